"""Tell what a line says, the quicker the more often it comes.

Layer: wire. Does no I/O, reads no clock.

A module says the same few lines again and again. So a line is looked up as it stands,
with the line ends around it, and what is found holds under all rules: whether a header
announces a payload is for the framer to say.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aiobc9x.spec import LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire._frames import Line
from aiobc9x.wire._headers import HEADER_LIKE

KNOWN_MAX_BYTES: Final = 32
"""Ours. Longer lines hold addresses or times, and so hardly ever repeat."""

_KNOWN: Final = 512
_PUSH: Final = b'+QIURC: "recv",'
_READ: Final = b"+QIRD: "
_CONNECT_IDS: Final = b"012345"
_ZERO: Final = 0x30
_LF: Final = 0x0A
_SIZE_DIGITS: Final = 4
_REMAINING_DIGITS: Final = 9
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__


class Header(NamedTuple):
    """A line that announces a payload, if the rules are so.

    Attributes:
        connect_id: The socket of a push; ``None`` for ``+QIRD``.
        remaining: ``<remaining_length>``; ``None`` for a push.
        size: Bytes of the payload; -1 if the line needs a closer look for that.
        line: The line that it is if it announces none.

    """

    connect_id: int | None
    remaining: int | None
    size: int
    line: Line


RECORDS: Final[dict[bytes, Line | Header]] = {}
"""What is known of lines with the line ends around them, whoever framed them.

Bounded: where there is no more room, it starts afresh.
"""

recall: Final = RECORDS.get


def look(record: bytes) -> Line | Header | None:
    """Look at a line that isn't known, and keep what it is for the next.

    Returns:
        ``None`` for what needs a closer look, and for none or several lines.

    """
    text = record.strip(b"\r\n")
    size = len(record)
    if not text or _LF in text or size > LINE_MAX_BYTES:
        return None
    line: Line = _new(Line, (text,))
    found = _closer_look(record, line) if text[:3] == b"+QI" else line
    if size <= KNOWN_MAX_BYTES and found is not None:
        if len(RECORDS) >= _KNOWN:
            RECORDS.clear()
        RECORDS[record] = found
    return found


def _closer_look(record: bytes, line: Line) -> Line | Header | None:
    text = line.text
    is_bare = record == b"\r\n%b\r\n" % text
    if text.startswith(_PUSH):
        number = text[len(_PUSH) :][:1]
        if not number or number not in _CONNECT_IDS:
            return line
        digits = text[len(_PUSH) + 1 :]
        size = _number(digits[1:], _SIZE_DIGITS) if is_bare and digits[:1] == b"," else -1
        if not 0 < size <= PUSH_MAX_BYTES:
            size = -1
        return Header(number[0] - _ZERO, None, size, line)
    if text.startswith(_READ):
        if text == b"+QIRD: 0":
            return line
        first, _, second = text[len(_READ) :].partition(b",")
        size = _number(first, _SIZE_DIGITS) if is_bare else -1
        remaining = _number(second, _REMAINING_DIGITS)
        is_good = 0 < size <= READ_MAX_BYTES and remaining >= 0
        return Header(None, remaining, size, line) if is_good else None
    return None if HEADER_LIKE(text) else line


def _number(digits: bytes, most: int) -> int:
    """Read a number as the note prints it; -1 is none."""
    is_plain = digits.isdigit() and (digits[0] != _ZERO or len(digits) == 1)
    return int(digits) if is_plain and len(digits) <= most else -1
