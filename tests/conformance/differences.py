"""What a protocol sees over the module and would not see over asyncio's own transports.

docs/reference.md has a row for each :attr:`Difference.topic`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.versions import version


@dataclass(frozen=True)
class Difference:
    """One difference, which must be there.

    Attributes:
        topic: What differs, as docs/reference.md calls it.
        why: The reason.
        ours: What a scenario gives over the module; ``None`` where it has several outcomes.
        reports: What goes to the loop's exception handler over the module.
        tls: Only with TLS, or only without; ``None``: with both.
        loop_name: Only on this loop; ``None``: on both.

    """

    topic: str
    why: str
    ours: object = None
    reports: list[str | None] = field(default_factory=list)
    tls: bool | None = None
    loop_name: str | None = None

    def applies(self, *, tls: bool, loop_name: str) -> bool:
        """Whether it is to be expected here."""
        return self.tls in {None, tls} and self.loop_name in {None, loop_name}


_HALF_CLOSE = "half-close"
_EXCEPTION = "an exception in a protocol"
_UVLOOP = "what uvloop does its own way"
_MADE_DATA_EOF_LOST = [("made", None), ("data", b"data"), ("eof", None), ("lost", None)]

DIFFERENCES: dict[str, Difference] = {
    "protocol_that_holds_on": Difference(
        _HALF_CLOSE,
        "the module has no half-close: at the peer's end it wants its own side closed (§2.3.1)",
        ([("made", None), ("data", b"last"), ("eof", None), ("lost", None)], b""),
    ),
    "peer_resets": Difference(
        "a reset by the peer", 'the module says "closed" for a reset too', _MADE_DATA_EOF_LOST
    ),
    "reading_behind_a_writer_that_failed": Difference(
        "bytes that a peer's end left unsent",
        "they are no reason to forget what was received",
        True,
    ),
    "exception_in_connection_made": Difference(
        _EXCEPTION,
        "an exception of a protocol ends its connection, here too",
        [("made", None), ("lost", "LookupError")],
        ["LookupError"],
    ),
    "end_in_a_callback-made-close": Difference(
        _UVLOOP,
        "uvloop's own TLS tells of an end, asyncio's does not",
        [("made", None), ("lost", None)],
        tls=True,
        loop_name="uvloop",
    ),
    "pause_in_connection_made": Difference(
        _UVLOOP,
        "uvloop's own transport reads although it was paused",
        [("made", None), ("resumed", None), ("data", b"data")],
        loop_name="uvloop",
    ),
    "after_the_end": Difference(
        _UVLOOP,
        "uvloop's own transport raises after its end, asyncio's does not",
        [("made", None), ("lost", None)],
        tls=False,
        loop_name="uvloop",
    ),
    "after_closing": Difference(
        _UVLOOP,
        "uvloop's own transport raises after its end, asyncio's does not",
        [b"", True],
        tls=False,
        loop_name="uvloop",
    ),
    "eof_of_a_writer": Difference(
        _HALF_CLOSE, "the module can't end one direction alone", "refused"
    ),
    "peer_that_only_stops_sending": Difference(
        _HALF_CLOSE,
        "the module has no half-close: at the peer's end it wants its own side closed (§2.3.1)",
        True,
    ),
    "empty_datagram": Difference(
        "an empty datagram", "the module can't send one (§2.2.4, note 4)", "refused"
    ),
    "nobody_there": Difference(
        "a port where nobody listens, UDP", "the module doesn't tell of ICMP", False
    ),
    "exception_in_datagram_received": Difference(
        _EXCEPTION,
        "an exception of a protocol ends its connection, here too",
        True,
        ["LookupError"],
    ),
    "can_write_eof": Difference(_HALF_CLOSE, "the module can't end one direction alone", False),
    "default_limits": Difference(
        "write buffer limits", "64 KiB would hide six seconds at 115200 baud", (1440, 2880)
    ),
}

if version("uvloop") < (0, 23):
    DIFFERENCES["copy"] = Difference(
        _UVLOOP,
        "uvloop before 0.23 sends what stands in a bytearray later, not what stood there",
        b"before",
        tls=False,
        loop_name="uvloop",
    )
