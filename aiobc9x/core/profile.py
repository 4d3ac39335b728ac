"""Describe how a particular module behaves where modules differ from the note.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aiobc9x.spec import SEND_MAX_BYTES

_VIRTUAL = re.compile(r"virtual|simulat", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModuleProfile:
    """Facts about a module that the bytes on the line don't carry.

    Attributes:
        on_buffer_full: ``"fail"``: ``"buff full"`` on a TCP socket ends the connection,
            because relatives (BC660K, BC25) drop bytes that they have acknowledged.
            ``"continue"``: the module throttles its peer and loses nothing.
        send_fail_is_atomic: ``SEND FAIL`` means that no byte was taken (§2.2.4: the send
            buffer is full), so the same bytes may be sent again. ``False`` ends the
            connection with :class:`BrokenPipeError`.
        concurrent_opens: Opens that may be under way at once, 1–6. A relative (BC25) has
            one watchdog for all opens: 1 serializes them.
        command_gap_ms: Pause between a final result and the next command, in milliseconds.
            Drivers of relatives needed 4–20 (F31).
        inline_limit_bytes: Longest payload that goes inside quotes on the command line.
            Learned downwards when the module refuses one (F29).
        hex_inline_limit_bytes: Longest payload that goes as hex digits on the command line
            (AT+QISENDEX). Learned downwards like the other.
        keeps_unread: The data of a socket that the peer has closed can be read until we close
            the socket (§2.3.1). ``False``: the module frees the socket and its unread data at
            once, and refuses to read, as a relative does (BC25, F21). The connection then
            ends with an EOF if its last read found nothing, else with an error.
        suspect_after_send: A send after a prompt may swallow ``"recv"`` URCs (BC25, F14), so
            sockets are read once after a burst of such sends.

    """

    # Every default is what the note says. This is the exception: the note says only that the
    # buffer is full (§2.3.3), and the relatives that were measured lose bytes (N27, F20).
    on_buffer_full: Literal["fail", "continue"] = "fail"
    send_fail_is_atomic: bool = True
    concurrent_opens: int = 6
    command_gap_ms: float = 0
    inline_limit_bytes: int = SEND_MAX_BYTES
    hex_inline_limit_bytes: int = SEND_MAX_BYTES
    keeps_unread: bool = True
    suspect_after_send: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no module can have."""
        if self.on_buffer_full not in {"fail", "continue"}:
            raise ValueError(f"on_buffer_full is {self.on_buffer_full!r}: use 'fail' or 'continue'")
        if not 1 <= self.concurrent_opens <= 6:
            raise ValueError(f"concurrent_opens is {self.concurrent_opens}: use 1-6")
        if self.command_gap_ms < 0:
            raise ValueError(f"command_gap_ms is {self.command_gap_ms}: it can't be negative")


def profile_for(identity: Sequence[str]) -> ModuleProfile:
    """Choose the profile of a module by its answer to ATI.

    Args:
        identity: The information lines, for example ``("Quectel", "BC65", "Revision: …")``.

    """
    # No real module is told apart: none of the family has been seen to need another default.
    if _VIRTUAL.search("\n".join(identity)):
        return replace(ModuleProfile(), on_buffer_full="continue")
    return ModuleProfile()
