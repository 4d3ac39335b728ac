"""Take lines and payloads with few steps.

Layer: wire. Does no I/O, reads no clock. :mod:`aiobc9x.wire.framer` has the public side
and chooses the way.

Where payloads are about, each line is cut out and looked up; where none are, the text is
cut at all line ends at once, in C. At whatever looks odd these ways stop, and the exact one
goes on for a line.
"""

from __future__ import annotations

from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire._exact import BEHIND_READ, NONE_INERT, Exact
from aiobc9x.wire._frames import Frame, Line, Payload
from aiobc9x.wire._records import (
    LENGTHS,
    LONG_BYTES,
    NUMBERS,
    PUSH,
    is_sample,
    keep,
    learn,
    line_of,
    look,
    recall,
)
from aiobc9x.wire._rests import HEADER_BEGUN, INERT_IN_HEADER, INERT_IN_TEXT, RESTS

ALL: Final = -1
"""All of the text is taken."""

BLOCK_BYTES: Final = 4096
"""A chunk of more is long."""

LOOKOUT: Final = 16
"""For how many chunks behind a payload another one is likely."""

_LF: Final = 0x0A
_CR: Final = 0x0D
_PLUS: Final = 0x2B
# Where in its record the numbers of a push begin.
_ID: Final = len(PUSH)
_SIZE: Final = _ID + 1
# The end of a line and an empty line, as between any two lines (§2.1.2).
_BETWEEN: Final = b"\n\r\n"
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__


class Quick(Exact):
    """The quick ways through a chunk, and the exact one behind them.

    A method that takes text returns the offset from which a closer look is needed, or
    :data:`ALL`. Nothing of what it has taken is lost by then.
    """

    def __init__(self) -> None:
        super().__init__()
        # For how many chunks without a payload the next one is still looked out for.
        self._lookout = 0

    def _run(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Frame ``data`` from ``start``; return the offset of what is to be held."""
        self._inert = NONE_INERT
        end = len(data)
        armed = self.hold_after_final
        while start < end and self.hold_after_final == armed:
            if self._left:
                start = self._take_payload(data, start, frames)
            elif self._step is not None:
                start = self._step(self, data, start, frames)
            elif self.prompt_due or armed or self._tail:
                start = self._take_line(data, start, frames)
            else:
                start = self._take_records(data, start, frames)
                if start == ALL:
                    return end
                if start < end and self._step is None:
                    start = self._take_line(data, start, frames)
        return start

    def _go_on(self, text: bytes, start: int, known: int, frames: list[Frame]) -> None:
        """Take a closer look; ``known`` bytes of the text are of earlier chunks."""
        self._tail = b""
        if start < known:  # a rule may have changed since they came
            self._tail = text[start:known]
            start = known
        self._run(text, start, frames)

    def _take_pieces(self, text: bytes, frames: list[Frame]) -> int:
        """Take the lines of a text that is likely to hold nothing else."""
        pieces = text.split(_BETWEEN)
        rest = pieces.pop()
        is_torn = _LF in rest
        if is_torn and rest[-1] == _LF:
            pieces.append(rest)
            rest, is_torn = b"", False
        if len(pieces) == 1 and LONG_BYTES <= len(pieces[0]) <= LINE_MAX_BYTES:
            line = pieces[0].strip(b"\r\n")  # it can't be known, so nobody need look it up
            if line[:3] != b"+QI" and _LF not in line:
                frames.append(_new(Line, (line,)))
                pieces.clear()
        for piece in pieces:
            found = recall(piece)
            if found is None:
                line = piece.strip(b"\r\n")
                if (
                    LONG_BYTES <= len(piece) <= LINE_MAX_BYTES
                    and line[:3] != b"+QI"
                    and _LF not in line
                ):
                    frames.append(_new(Line, (line,)))  # it hardly ever comes again
                    continue
                found = learn(piece)
            if type(found) is Line:
                frames.append(found)
            elif found and found[-1] and found[0] not in self.push_sockets:
                frames.append(found[-1])
            else:
                return self._take_others(text, pieces[: len(frames)], frames)
        if (kept := RESTS.get(rest)) is not None:
            self._tail, self._inert = kept
        elif is_torn and (rest[0] > _CR or rest.rfind(b"\n") > 1):
            return self._take_records(text, len(text) - len(rest), frames)
        elif rest[0] >= _PLUS and rest[:3] != b"+QI" and len(rest) <= LINE_MAX_BYTES:
            self._tail, self._inert = rest, INERT_IN_TEXT
        elif not self._keep_line(rest if is_torn else b"\r\n" + rest):
            return len(text) - len(rest)
        return ALL

    def _take_others(self, text: bytes, taken: list[bytes], frames: list[Frame]) -> int:
        """Go on behind so many pieces with what is no mere line."""
        self._lookout = LOOKOUT
        start = sum(map(len, taken)) + len(taken) * len(_BETWEEN)
        start -= len(b"\r\n") if start else 0  # a header begins with a line end
        return self._take_records(text, start, frames)

    def _take_records(self, text: bytes, start: int, frames: list[Frame]) -> int:
        """Take lines and payloads one by one."""
        length = len(text)
        while end := text.find(b"\n", start + 2) + 1:
            record = text[start:end]
            if type(found := recall(record)) is Line:
                frames.append(found)
                start = end
                continue
            if found is None and record.startswith(PUSH) and (size := LENGTHS.get(record[_SIZE:])):
                found = NUMBERS.get(record[_ID], -1), None, size, None
                if is_sample():
                    keep(record, found)
            elif not (found := found or look(record)):
                return start
            number, remaining, size, line = found
            if number is not None and number not in self.push_sockets:
                frames.append(line or line_of(record, found))
                start = end
                continue
            if number is None and size > self.read_due:
                return start
            if not size or self.hex_receive or not self.length_shown:
                return start
            stop = end + size
            if stop > length:
                self._connect_id, self._remaining, self._left = number, remaining, stop - length
                self._part, self._tail, self._inert = text[end:], b"", NONE_INERT
                return ALL
            frames.append(_new(Payload, (number, remaining, text[end:stop])))
            start = stop + 2
            if text[stop : stop + 4] != BEHIND_READ:
                start = self._look_behind(number is not None, text, stop)
                if self._step is not None:
                    return start
            elif number is not None:
                self.push_ends.append(True)
        self._lookout -= 1
        return ALL if self._keep(text[start:]) else start

    def _keep(self, rest: bytes) -> bool:
        """Keep the beginning of a line, unless it needs a closer look."""
        if (kept := RESTS.get(rest)) is not None:
            self._tail, self._inert = kept
            return True
        return self._keep_line(rest)

    def _keep_line(self, rest: bytes) -> bool:
        """Do the same for what isn't in ``RESTS``."""
        if rest[:2] != b"\r\n" or rest[2] < _PLUS or len(rest) > LINE_MAX_BYTES:
            return self._keep_odd(rest)
        inert = INERT_IN_TEXT
        if rest.find(b"+QI") > 0:  # "in" first looks for a number, and takes twice as long
            if rest[-1] == _CR:
                return self._keep_separator(rest)
            kind = HEADER_BEGUN(rest)
            if kind is None:
                return False
            if kind.lastindex:
                if not self.length_shown:
                    return False
                inert = INERT_IN_HEADER
        self._tail, self._inert = rest, inert
        return True

    def _keep_odd(self, rest: bytes) -> bool:
        """Keep what has other line ends in front than one CRLF, or nothing but line ends."""
        line = rest.lstrip(b"\r\n")
        usual = b"\r\n" + line
        if kept := RESTS.get(usual if line else rest[-1:]):
            self._tail, self._inert = kept
            return True
        if _LF in line or len(line) > LINE_MAX_BYTES:
            return False
        if line[0] < _PLUS:
            self._tail, self._inert = usual, INERT_IN_TEXT
            return True
        return len(usual) <= LINE_MAX_BYTES and self._keep_line(usual)

    def _keep_separator(self, rest: bytes) -> bool:
        """Take the CR behind a header as the note prints it, or keep that of a line."""
        record = rest + b"\n"
        found = recall(record)
        if type(found) is Line:
            self._tail, self._inert = rest, INERT_IN_HEADER
            return True
        if found is None and record.startswith(PUSH) and (size := LENGTHS.get(record[_SIZE:])):
            found = NUMBERS.get(record[_ID], -1), None, size, None
        elif not (found := found or look(record)):
            return False
        number, remaining, size, _ = found
        if number is not None and number not in self.push_sockets:
            self._tail, self._inert = rest, INERT_IN_HEADER
            return True
        if number is None and size > self.read_due:
            return False
        if not size or self.hex_receive or not self.length_shown:
            return False
        self._connect_id, self._remaining, self._part = number, remaining, b""
        self._size, self._hex, self._step = size, False, Exact._take_separator
        self._tail, self._inert = b"", NONE_INERT
        return True
