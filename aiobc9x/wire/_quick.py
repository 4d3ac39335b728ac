"""Take many lines and payloads at once, or short chunks with few steps.

Layer: wire. Does no I/O, reads no clock. :mod:`aiobc9x.wire.framer` has the public side
and chooses the way.

In a long text everything between two headers is taken at once, in C. A short one is cut at
the line ends and looked up, or matched token by token where payloads are about. At whatever
looks odd these ways stop, and the exact one goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire._exact import BEHIND_READ, NONE_INERT, Exact
from aiobc9x.wire._frames import Frame, Line, Payload
from aiobc9x.wire._headers import (
    BEGINNINGS,
    KINDS,
    OTHER_URC,
    UNFINISHED,
    Outlook,
    header_finder,
    outlook,
    token_matcher,
)
from aiobc9x.wire._lines import BETWEEN, KNOWN_MAX_BYTES, Known

FEW_BYTES: Final = 512
"""A chunk up to this size is short."""

LOOKOUT: Final = 16
"""For how many short chunks behind a payload another one is likely."""

RESTS: Final = {
    line_end + rest: rest
    for line_end in (b"", b"\r", b"\n", b"\r\n")
    for rest in (b"", *BEGINNINGS)
}
"""What is left of a text that ends behind a line or in the beginning of a header, and what
is kept of it. Line ends in front of a line mean nothing."""


def _all_but(ends: bytes) -> frozenset[bytes]:
    return frozenset(bytes([byte]) for byte in range(256) if byte not in ends)


INERT: Final = _all_but(b"\n+>")
"""Bytes that can't complete a frame or a header at the start of a line."""

INERT_IN_TEXT: Final = _all_but(b"\n>")
"""The same in a line that is no header."""

INERT_IN_HEADER: Final = _all_but(b"\n\r,>")
"""The same in one that may be a header."""

_LF: Final = 0x0A
_CR: Final = 0x0D
_PLUS: Final = 0x2B
_ZERO: Final = 0x30
# More than any header has, in a spelling that may be one.
_HEADER_BYTES: Final = 64
# Groups of a token.
_LINE: Final = 1
_PUSH: Final = 3
_READ: Final = 4
_REMAINING: Final = 5
_PLUS_LINE: Final = 6
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__
_BETWEEN_BYTES: Final = len(BETWEEN)


class Quick(Exact):
    """The quick ways through a chunk, and the exact one behind them."""

    def __init__(self) -> None:
        super().__init__()
        self._known = Known()
        self._pushing: frozenset[int] = frozenset()
        self._find_header = header_finder(self._pushing)
        self._match_token = token_matcher(self._pushing)
        # For how many short chunks without a payload the next one is still looked out for.
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
            elif self.prompt_due or armed:
                start = self._take_line(data, start, frames)
            else:
                start = self._take_lines(data, start, frames)
        return start

    def _feed_byte(self, data: bytes) -> Sequence[Frame]:
        """Take a single byte that may end something."""
        frames: list[Frame] = []
        if self._left:  # its last byte
            self._left = 0
            self._pieces.append(data)
            raw = b"".join(self._pieces)
            if self._connect_id is None:
                self._step, self._line_ends_due = Exact._take_line_end, BEHIND_READ
            else:
                self._step = Exact._take_push_end
            frames.append(_new(Payload, (self._connect_id, self._remaining, raw)))
            return frames
        text = self._tail + data
        if data == b"\n":
            if self._pushing != self.push_sockets:
                self._learn_rules()
            found = self._known.get(text)
            if found is not None:
                self._tail, self._inert = b"", INERT
                frames += found
                return frames or ()
            self._run(data, 0, frames)
            return frames or ()
        kept = RESTS.get(text)
        if kept is not None:
            self._tail = kept
            self._inert = INERT_IN_HEADER if kept else INERT
        elif OTHER_URC(text) and len(text) <= LINE_MAX_BYTES:
            self._tail, self._inert = text, INERT_IN_TEXT
        elif text[0] == _PLUS and data == b"\r" and self._take_separator_byte(text):
            return ()
        elif not self._keep(text):
            self._take_line(data, 0, frames)
        return frames or ()

    def _take_separator_byte(self, text: bytes) -> bool:
        """Take the CR behind a header in the usual form, or behind what is none for sure."""
        if self._pushing != self.push_sockets:
            self._learn_rules()
        token = self._match_token(text + b"\n", 0)
        if token is None or not self.length_shown or len(text) > LINE_MAX_BYTES:
            return False
        if token.lastindex in {_LINE, _PLUS_LINE}:
            self._tail, self._inert = text, INERT_IN_HEADER
            return True
        if pushed := token[_PUSH]:
            number, rest, size = token[2][0] - _ZERO, None, int(pushed)
            fits = size <= PUSH_MAX_BYTES
        else:
            number, size = None, int(token[_READ])
            rest = int(token[_REMAINING]) if token[_REMAINING] else None
            fits = size <= self.read_due and size <= READ_MAX_BYTES
        if not fits or self.hex_receive:
            return False
        self._connect_id, self._remaining = number, rest
        self._tail, self._pieces, self._size, self._hex = b"", [], size, False
        self._inert = NONE_INERT
        self._step = Exact._take_separator
        return True

    def _take_lines(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take all that is plain at C speed, then one line at most the exact way."""
        if not start:
            start = self._take_chunk(data, frames)
        elif not self._tail:
            if self._pushing != self.push_sockets:
                self._learn_rules()
            start = self._take_plain(data, start, self._find_header(data, start), frames)
        if start == len(data) or self._left or self._step is not None:
            return start
        return self._take_line(data, start, frames)

    def _take_chunk(self, data: bytes, frames: list[Frame]) -> int:
        """Take a chunk at C speed; return where that doesn't go on."""
        self._inert = NONE_INERT
        if self._pushing != self.push_sockets:
            self._learn_rules()
        size = self._left
        if size:
            start = self._end_payload(data, size, frames)
            if self._step is not None:
                return start
            return self._take_text(data, start, frames)
        tail = self._tail
        if not tail:
            return self._take_text(data, 0, frames)
        self._tail = b""
        known = len(tail)
        stop = self._take_text(tail + data, 0, frames)
        if stop >= known:
            return stop - known
        self._tail = tail  # the line in progress needs a closer look
        return 0

    def _end_payload(self, data: bytes, size: int, frames: list[Frame]) -> int:
        """Take the last bytes of a payload, and the line ends behind it."""
        pieces, number = self._pieces, self._connect_id
        pieces.append(data[:size])
        frames.append(_new(Payload, (number, self._remaining, b"".join(pieces))))
        self._left = 0
        self._lookout = LOOKOUT
        if not data.startswith(BEHIND_READ, size):
            return self._look_behind(number is not None, data, size)
        if number is not None:
            self.push_ends.append(True)
        return size + 4

    def _take_text(self, text: bytes, start: int, frames: list[Frame]) -> int:
        """Take lines and payloads by what is quickest for this text."""
        if not start and len(text) <= FEW_BYTES:
            return self._take_short(text, frames)
        return self._take_plain(text, start, self._find_header(text, start), frames)

    def _feed_tokens(self, data: bytes, left: int) -> Sequence[Frame]:
        """Take a short chunk, in which a payload or a header is likely, token by token."""
        frames: list[Frame] = []
        text, start, known = self._tail + data, 0, len(self._tail)
        if left:
            number = self._connect_id
            self._pieces.append(data[:left])
            frames.append(_new(Payload, (number, self._remaining, b"".join(self._pieces))))
            self._left, self._lookout = 0, LOOKOUT
            start = self._pass_behind(text, left, number, frames)
            if start < 0:
                return frames
        if self._pushing != self.push_sockets:
            self._learn_rules()
        self._tail, self._inert = b"", NONE_INERT
        self._lookout -= 1
        match = self._match_token
        while token := match(text, start):
            start, kind = token.end(), token.lastindex or 0
            if kind < _PUSH or kind > _REMAINING:
                frames.append(_new(Line, (token[kind],)))
                continue
            number, rest, size, most = None, None, int(token[_PUSH] or token[_READ]), self.read_due
            if kind == _PUSH:
                number, most = token[2][0] - _ZERO, PUSH_MAX_BYTES
            elif kind == _REMAINING:
                rest = int(token[_REMAINING])
            fits = size <= most and (number is not None or size <= READ_MAX_BYTES)
            if not fits or self.hex_receive or not self.length_shown:
                start = token.start()
                break
            self._lookout, stop = LOOKOUT, start + size
            if stop > len(text):
                self._connect_id, self._remaining, self._left = number, rest, stop - len(text)
                self._pieces = [text[start:]]
                return frames or ()
            frames.append(_new(Payload, (number, rest, text[start:stop])))
            start = self._pass_behind(text, stop, number, frames)
            if start < 0:
                return frames
        self._end_tokens(text, start, known, frames)
        return frames or ()

    def _pass_behind(self, text: bytes, stop: int, number: int | None, frames: list[Frame]) -> int:
        """Pass the line ends behind a payload; return -1 if all of the text is taken."""
        if text.startswith(BEHIND_READ, stop):
            if number is not None:
                self.push_ends.append(True)
            return stop + 4
        start = self._look_behind(number is not None, text, stop)
        if self._step is None:
            return start
        self._run(text, start, frames)
        return -1

    def _end_tokens(self, text: bytes, start: int, known: int, frames: list[Frame]) -> None:
        """Keep what is left of a text, or take it the exact way."""
        rest = RESTS.get(text[start:])
        if rest is not None:
            self._tail = rest
            return
        stop = self._keep_rest(text, start)
        if stop < known:  # the line in progress, of which so much was known before
            self._tail = text[:known]
            self._run(text[known:], 0, frames)
        elif stop < len(text):
            self._run(text, stop, frames)

    def _keep_rest(self, text: bytes, start: int) -> int:
        """Keep the beginning of a line; return where it is, if it needs a closer look."""
        rest = text[start:].lstrip(b"\r\n")
        if _LF in rest or len(rest) > LINE_MAX_BYTES:
            return len(text) - len(rest)
        if not rest:
            self._inert = INERT
        elif rest[:6] not in KINDS:
            self._inert = INERT_IN_HEADER if rest in BEGINNINGS else INERT_IN_TEXT
        elif not self.length_shown or not UNFINISHED(rest):
            if OTHER_URC(rest):
                self._inert = INERT_IN_TEXT
            elif rest[-1] == _CR and self._take_separator_byte(rest):
                return len(text)
            else:
                return len(text) if self._keep(rest) else len(text) - len(rest)
        self._tail = rest
        return len(text)

    def _learn_rules(self) -> None:
        """Take note that other sockets push."""
        self._pushing = frozenset(self.push_sockets)
        self._find_header = header_finder(self._pushing)
        self._match_token = token_matcher(self._pushing)
        self._known.clear()

    def _take_short(self, text: bytes, frames: list[Frame]) -> int:
        """Take the lines of a short text up to a header; then the rest."""
        records = text.split(BETWEEN)
        rest = records.pop()
        if _LF in rest:
            cut = rest.rfind(b"\n") + 1
            records.append(rest[:cut])
            rest = rest[cut:]
        known = self._known
        for index, record in enumerate(records):
            found = known.get(record)
            if found is None:
                line = record.strip(b"\r\n")
                if line[:3] != b"+QI" and _LF not in line:
                    if len(record) > KNOWN_MAX_BYTES:
                        frames.append(_new(Line, (line,)))
                        continue
                    found = known.learn(record, line)
                else:
                    start = sum(map(len, records[:index])) + index * _BETWEEN_BYTES
                    if header := self._find_header(text, start):
                        self._lookout = LOOKOUT
                        return self._take_plain(text, start, header, frames)
                    found = known[record]
            frames += found
        kept = RESTS.get(rest)
        if kept is None:
            if rest[:3] == b"+QI" or rest[0] == _CR or len(rest) > LINE_MAX_BYTES:
                return self._keep_rest(text, len(text) - len(rest))
            self._tail = rest
            self._inert = INERT_IN_TEXT
            return len(text)
        self._tail = kept
        self._inert = INERT_IN_HEADER if kept else INERT
        return len(text)

    def _take_plain(
        self, text: bytes, start: int, header: re.Match[bytes] | None, frames: list[Frame]
    ) -> int:
        """Take whole lines and payloads up to the first that needs a closer look."""
        while header:
            end = header.start()
            if start < end:
                lines = text[start:end]
                if lines[-1] != _LF:
                    return self._take_rest(text, start, end, frames)
                self._known.take(lines, frames)
            connect_id, pushed, read, remaining = header.groups()
            if pushed:
                size, number, rest = int(pushed), connect_id[0] - _ZERO, None
                fits = size <= PUSH_MAX_BYTES
            elif read:
                size, number, rest = int(read), None, int(remaining) if remaining else None
                fits = size <= self.read_due and size <= READ_MAX_BYTES
            else:
                fits = False
            if not fits or not self.length_shown or self.hex_receive:
                rest_of_line = text[end : end + _HEADER_BYTES]
                is_cut = end + _HEADER_BYTES > len(text) and _LF not in rest_of_line
                return len(text) if is_cut and self._keep(rest_of_line) else end
            start = header.end()
            stop = start + size
            if stop > len(text):
                self._connect_id, self._remaining = number, rest
                self._pieces = [text[start:]]
                self._left = stop - len(text)
                return len(text)
            frames.append(_new(Payload, (number, rest, text[start:stop])))
            start = stop + 4
            if text[stop:start] != BEHIND_READ:
                start = self._look_behind(pushed, text, stop)
                if self._step is not None:
                    return start
            elif pushed:
                self.push_ends.append(True)
            header = self._find_header(text, start)
        return self._take_rest(text, start, len(text), frames)

    def _take_rest(self, text: bytes, start: int, end: int, frames: list[Frame]) -> int:
        """Take the whole lines up to ``end``, and keep the beginning of another."""
        if start == len(text):
            self._inert = INERT
            return start
        stop = text.rfind(b"\n", start, end) + 1
        if stop > start:
            self._known.take(text[start:stop], frames)
            start = stop
        return len(text) if end == len(text) and self._keep(text[start:]) else start

    def _keep(self, tail: bytes) -> bool:
        """Keep the beginning of a line, unless it may already hold a whole header."""
        if tail and tail[0] == _CR:
            tail = tail.lstrip(b"\r")
        if not tail:
            self._inert = INERT
        elif len(tail) > LINE_MAX_BYTES:
            return False
        elif tail[0] != _PLUS:
            self._inert = INERT_IN_TEXT
        else:
            what = outlook(tail, self.length_shown)
            if what is Outlook.ODD:
                return False
            self._inert = INERT_IN_TEXT if what is Outlook.TEXT else INERT_IN_HEADER
        self._tail = tail
        return True
