"""Tell what may become of the beginning of a line.

Layer: wire. Pure data; :mod:`aiobc9x.wire._quick` keeps the state.

A chunk may end anywhere in a line, and the line may be the header of a payload. A header
that is whole must be seen at once, even without an LF (§2.2.6); of anything else it is
enough to know which bytes change nothing.
"""

from __future__ import annotations

import re
from typing import Final

from aiobc9x.spec import CONNECT_IDS


def _all_but(ends: bytes) -> frozenset[bytes]:
    return frozenset(bytes([byte]) for byte in range(256) if byte not in ends)


INERT: Final = _all_but(b"\n+>")
"""Bytes that can't complete a frame or a header at the start of a line."""

INERT_IN_TEXT: Final = _all_but(b"\n>")
"""The same in a line that is no header."""

INERT_IN_HEADER: Final = _all_but(b"\n\r,>")
"""The same in one that may be a header."""

_BEGINNINGS: Final = frozenset(
    literal[:size]
    for literal in (b"+QIRD: ", *(b'+QIURC: "recv",%d,' % number for number in CONNECT_IDS))
    for size in range(len(literal) + 1)
)

RESTS: Final = {
    line_end + beginning: (
        b"\r\n" + beginning if beginning else line_end,
        INERT_IN_HEADER if beginning else INERT,
    )
    for line_end in (b"", b"\r", b"\n", b"\r\n")
    for beginning in _BEGINNINGS
}
"""What is often left behind the last whole line: line ends, and what both headers begin with
up to the first number of bytes. Each with what to keep of it, as line ends in front of a
line mean nothing, and with the single bytes that may be added unseen."""

HEADER_BEGUN: Final = re.compile(
    rb'\r\n\+QI(?:(RD: \d{1,4}+(?:,\d{0,9}+)?\Z|URC: "recv",[0-5],\d{0,4}+\Z)'
    rb'|(?!RD|U)|U(?!RC)|URC: "[^r])'
).match
"""Match the beginning of a +QI line: with a group if that is a header that is cut in its
numbers, without one if it can't become a header."""
