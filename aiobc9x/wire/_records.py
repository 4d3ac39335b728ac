"""Tell what a line says, the quicker the more often it comes.

Layer: wire. Does no I/O, reads no clock.

A module says the same few lines again and again. So a line is looked up as it stands,
with the line ends around it, and what is found holds under all rules: whether a header
announces a payload is for the framer to say. Lengths may never repeat, so what reads a
header is nearly as quick, and not every one is kept.
"""

from __future__ import annotations

from itertools import cycle
from typing import Final, TypeAlias

from aiobc9x.spec import CONNECT_IDS, LINE_MAX_BYTES, READ_MAX_BYTES, SEND_MAX_BYTES
from aiobc9x.wire._frames import Line
from aiobc9x.wire._headers import HEADER_LIKE

Meaning: TypeAlias = tuple[int | None, int | None, int, Line | None]
"""What a line means, if the rules are so: connect ID of a push, ``None`` for ``+QIRD`` and -1
for neither; remaining length; size of the payload, or 0 if that needs a closer look; and the
line that it is if it announces none."""

LONG_BYTES: Final = 33
"""Ours. Lines of so many bytes and more hold addresses or times, and so hardly ever repeat."""

_KNOWN: Final = 1024

_LF: Final = 0x0A
_RECV: Final = b'+QIURC: "recv",'
PUSH: Final = b"\r\n" + _RECV
_READ: Final = b"\r\n+QIRD: "
_READ_SIZE: Final = len(_READ)
_SIZES: Final = {b"%d" % size: size for size in range(1, READ_MAX_BYTES + 1)}
NUMBERS: Final = {0x30 + number: number for number in CONNECT_IDS}
LENGTHS: Final = {b",%d\r\n" % length: length for length in range(SEND_MAX_BYTES + 1)}
"""Numbers as the note prints them: a look-up takes a third of ``int()``, which reads signs,
spaces and underscores too."""
_REMAINING_DIGITS: Final = 9
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

RECORDS: Final[dict[bytes, Line | Meaning]] = {}
"""What is known of lines with the line ends around them, whoever framed them.

Bounded: where there is no more room, it starts afresh.
"""

recall: Final = RECORDS.get

is_sample: Final = cycle((True, False, False, False)).__next__
"""Whether to keep a header that was read in no time: one that comes again and again soon is
kept, and one that doesn't costs little."""


def look(record: bytes) -> Meaning | None:
    """Look at a line that isn't known and no header of a push.

    Returns:
        ``None`` for what needs a closer look, and for none or several lines.

    """
    if record.startswith(_READ) and (meaning := _read(record)):
        keep(record, meaning)
        return meaning
    found = learn(record)
    return (-1, None, 0, found) if type(found) is Line else found


def learn(record: bytes) -> Line | Meaning | None:
    """Keep a line that isn't known for the next; return what it is, as :func:`look` does."""
    text = record.strip(b"\r\n")
    size = len(record)
    if not text or _LF in text or size > LINE_MAX_BYTES:
        return None
    line: Line = _new(Line, (text,))
    found: Line | Meaning = line
    if text[:3] == b"+QI" and text != b"+QIRD: 0" and HEADER_LIKE(text):
        if text[:-1] != _RECV or text[-1] not in NUMBERS:
            return None
        found = NUMBERS[text[-1]], None, 0, line
    if size < LONG_BYTES:
        keep(record, found)
    return found


def keep(record: bytes, found: Line | Meaning) -> None:
    """Know a line from now on."""
    if len(RECORDS) >= _KNOWN:
        RECORDS.clear()
    RECORDS[record] = found


def line_of(record: bytes, meaning: Meaning) -> Line:
    """Make the line that a header of another socket is, and keep it for the next."""
    line: Line = _new(Line, (record.strip(b"\r\n"),))
    keep(record, (meaning[0], None, meaning[2], line))
    return line


def _read(record: bytes) -> Meaning | None:
    comma = record.find(b",", _READ_SIZE)
    size = _SIZES.get(record[_READ_SIZE:comma])
    if size is None:
        return None
    last = record[comma:]
    remaining = LENGTHS.get(last)
    if remaining is None:
        digits = last[1:-2]
        if last != b",%b\r\n" % digits or not digits.isdigit() or len(digits) > _REMAINING_DIGITS:
            return None
        remaining = int(digits)
    return None, remaining, size, None
