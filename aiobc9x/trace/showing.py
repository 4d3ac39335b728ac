"""Show a trace to people: one row for each entry, with what it means.

Layer: trace. Does no I/O, reads no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Final

from aiobc9x.masking import masked_command
from aiobc9x.slotted import slotted
from aiobc9x.trace.dialogue import Entry, EntryKind

__all__ = ["Selection", "rows"]

_ARROWS: Final = {True: ">", False: "<"}
_LINE_COLUMNS: Final = 44
_PREVIEW_BYTES: Final = 48


@slotted(frozen=True)
class Selection:
    """Which entries are wanted; by default all.

    Attributes:
        sockets: Connect IDs, 0-5; ``None`` for all, and for what is about no socket.
        kinds: Kinds of entries; ``None`` for all.
        since: The first moment, in seconds since 1970.
        until: The last moment, likewise.
        links: Which openings of the port, from 1 on; ``None`` for all.

    """

    sockets: Collection[int] | None = None
    kinds: Collection[EntryKind] | None = None
    since: float | None = None
    until: float | None = None
    links: Collection[int] | None = None

    def takes(self, entry: Entry) -> bool:
        """Whether an entry is wanted."""
        return (
            (self.sockets is None or entry.connect_id in self.sockets)
            and (self.kinds is None or entry.kind in self.kinds)
            and (self.since is None or entry.wall >= self.since)
            and (self.until is None or entry.wall <= self.until)
            and (self.links is None or entry.link in self.links)
        )


def rows(
    entries: Iterable[Entry],
    selection: Selection | None = None,
    *,
    zone: tzinfo | None = None,
    shows_payloads: bool = True,
) -> Iterator[str]:
    """Word a dialogue, one row an entry.

    Args:
        entries: As :func:`decode` gives them.
        selection: Which of them.
        zone: Whose clock the times are by; ``None`` for the system's.
        shows_payloads: Show the beginning of payloads, and not only how long they are.

    Yields:
        Rows without line ends. Each day, each session and each link begins with a row of its
        own.

    """
    head: tuple[str, int, str] | None = None
    for entry in entries:
        if selection is not None and not selection.takes(entry):
            continue
        when = datetime.fromtimestamp(entry.wall, zone)
        day = when.date().isoformat()
        if head != (entry.session, entry.link, day):
            head = (entry.session, entry.link, day)
            yield f"-- {day}, modem {entry.session}, link {entry.link} --"
        yield _row(entry, f"{when:%H:%M:%S}.{when.microsecond // 1000:03}", shows_payloads)


def _row(entry: Entry, when: str, shows_payloads: bool) -> str:
    if entry.kind is EntryKind.DECISION:
        socket = "" if entry.connect_id is None else f"socket {entry.connect_id}: "
        return f"{when} = {socket}{entry.meaning}"
    text = masked_command(entry.text) if entry.size_bytes else entry.text
    if shows_payloads and entry.data:
        text = f"{text} {_preview(entry.data)}"
    words = entry.meaning
    if entry.connect_id is not None and "socket" not in words:
        words = f"socket {entry.connect_id}: {words}" if words else f"socket {entry.connect_id}"
    arrow = _ARROWS[entry.is_to_module]
    return f"{when} {arrow} {text.ljust(_LINE_COLUMNS)} {words}".rstrip()


def _preview(data: bytes) -> str:
    """Return the beginning of a payload, printable."""
    shown = data[:_PREVIEW_BYTES].decode("ascii", "backslashreplace")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    return f"{shown}..." if len(data) > _PREVIEW_BYTES else shown
