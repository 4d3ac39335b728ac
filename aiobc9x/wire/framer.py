"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). Payloads are counted by their header (§2.2.6,
§2.3.2) and may hold any byte, even ``OK``. Whether a header announces a payload
depends on state the bytes don't carry: see :attr:`Framer.push_sockets`,
:attr:`Framer.length_shown` and :attr:`Framer.hex_receive`.

There are two ways through a chunk. The exact one takes a line, a payload or a prompt
at a time, from any state. The quick one takes everything between two headers at once,
in C; it stands aside where a prompt is due, where an answer is held, and at whatever
looks odd. Both give the same frames. Single bytes that end nothing are only kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire._exact import BEHIND_READ, NONE_INERT, Exact
from aiobc9x.wire._frames import Damage, Frame, Line, Payload, Prompt
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

__all__ = ["Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

_LINE_CUT: Final = "line given up"
_PAYLOAD_CUT: Final = "payload given up"

_LF: Final = 0x0A
_CR: Final = 0x0D
_PLUS: Final = 0x2B
_ZERO: Final = 0x30
# In chunks up to this size all lines are likely to be known ones.
_FEW_BYTES: Final = 512
# More than any header has, in a spelling that may be one.
_HEADER_BYTES: Final = 64
_LOOKOUT: Final = 16
# Groups of a token.
_PUSH: Final = 2
_READ: Final = 3
_LINE: Final = 5
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__
_BETWEEN_BYTES: Final = len(BETWEEN)


# What is left of a text that ends behind a line or in the beginning of a header, as it is
# kept. Line ends in front of a line mean nothing.
_RESTS: Final = {
    line_end + rest: rest for line_end in (b"", b"\r", b"\r\n") for rest in (b"", *BEGINNINGS)
}


def _all_but(ends: bytes) -> frozenset[bytes]:
    return frozenset(bytes([byte]) for byte in range(256) if byte not in ends)


# Bytes that can't complete a frame or a header, by what the line begins with.
_INERT: Final = _all_but(b"\n+>")
_INERT_IN_TEXT: Final = _all_but(b"\n>")
_INERT_IN_HEADER: Final = _all_but(b"\n\r,>")


class Framer(Exact):
    """Bytes in, frames out; no I/O.

    A whole chunk is framed in one call, because that is where the speed is. A rule
    that changes with an answer (§2.2.7, §2.2.11) is therefore changed behind that
    answer: see :attr:`hold_after_final`. Attributes may be set at any time between
    calls; they bear on bytes that are fed (or released from hold) afterwards, so a
    payload in progress keeps the rules of its header.

    Attributes:
        push_sockets: Connect IDs in direct push mode (§1.2): their ``"recv"`` URC
            announces a payload, that of others is a line.
        prompt_due: Whether a line that begins with ``>`` is a prompt. Cleared by the
            prompt and by a final result.
        hex_receive: Whether received data comes as hex digits, two a byte (§2.2.11).
        length_shown: Whether ``showlength`` is 1, so that a second number in a
            ``+QIRD`` header is the remaining length (§2.2.11).
        read_due: Largest payload that a ``+QIRD`` header may announce, in bytes up to
            1024; with 0 such a header is a plain line.
        hold_after_final: Whether to stop behind the next final result. Cleared there.
        push_ends: For each pushed payload, in order and once it is known: whether a CRLF of
            its own followed the data, ``None`` if that can't be told. A module does one or
            the other; a change shows that the data swallowed it. The last 1024 are kept.
        negative_remainings: How many ``+QIRD`` headers of payloads have had a negative
            remaining length. Relatives print one; a missing one means lost bytes, and
            :attr:`Payload.remaining` is ``None`` for both.

    """

    def __init__(self) -> None:
        super().__init__()
        # Chunks, each with the offset from which it is yet to be framed.
        self._held: deque[tuple[bytes, int]] = deque()
        self._known = Known()
        self._pushing: frozenset[int] = frozenset()
        self._find_header = header_finder(self._pushing)
        self._match_token = token_matcher(self._pushing)
        # For how many short chunks without a payload the next one is still looked out for.
        self._lookout = 0

    def __repr__(self) -> str:
        """Name the state in one line."""
        if due := self._left or self._digits_left or self._size:
            return f"<Framer in a payload, {due} bytes due>"
        skipping = self._step is Exact._skip
        return f"<Framer {'skipping' if skipping else 'in lines'}, {len(self._held)} held>"

    def feed(self, data: bytes | bytearray | memoryview) -> Sequence[Frame]:
        """Take received bytes; return the frames they complete.

        Args:
            data: Any number of bytes, cut anywhere. Buffers other than ``bytes`` are
                copied, and may be used again.

        Returns:
            Frames in order of arrival, the same however the stream was cut.
            Damage comes as a :class:`Damage` frame; nothing is raised.

        """
        if not isinstance(data, bytes):
            data = bytes(data)
        size = len(data)
        left = self._left
        if size < left:
            self._left = left - size
            self._pieces.append(data)
            return ()
        if size == 1 and data in self._inert and len(self._tail) < LINE_MAX_BYTES:
            self._tail += data
            return ()
        if self._step is not None or self.prompt_due or self.hold_after_final or self._held:
            return self._feed_exactly(data)
        if size == 1:
            return self._feed_byte(data)
        if size > _FEW_BYTES:
            return self._feed_lines(data)
        if not left and _LF not in data:
            return self._feed_part(data)
        return (
            self._feed_tokens(data, left) if left or self._lookout > 0 else self._feed_lines(data)
        )

    def _feed_exactly(self, data: bytes) -> Sequence[Frame]:
        """Take a chunk where something must be looked at closely."""
        step = self._step
        if step is Exact._take_push_end or step is Exact._take_line_end:
            pushed = step is Exact._take_push_end
            due = BEHIND_READ[len(self._behind_push) :] if pushed else self._line_ends_due
            is_plain = not (self.prompt_due or self.hold_after_final or self._held)
            if is_plain and len(data) == 1 and due.startswith(data) and len(due) > 2:
                if pushed:
                    self._behind_push += data
                else:
                    self._line_ends_due = due[1:]
                return ()
            if is_plain and len(data) <= _FEW_BYTES and data.startswith(due):
                self._step, self._behind_push, self._line_ends_due = None, b"", b""
                if pushed:
                    self.push_ends.append(True)
                return self._feed_tokens(data[len(due) :], 0)
        frames: list[Frame] = []
        if self._held or self.hold_after_final:
            self._held.append((data, 0))
            self._release(frames)
        else:
            self._run(data, 0, frames)
        return frames or ()

    def _feed_byte(self, data: bytes) -> Sequence[Frame]:
        """Take a single byte that may end something."""
        frames: list[Frame] = []
        self._take_byte(data, frames)
        return frames or ()

    def _feed_part(self, data: bytes) -> Sequence[Frame]:
        """Take some more of a line."""
        tail = self._tail
        text = tail + data
        if self._inert is _INERT_IN_TEXT and len(text) <= LINE_MAX_BYTES:
            self._tail = text
            return ()
        kept = _RESTS.get(text)
        if kept is not None:
            self._tail = kept
            self._inert = _INERT_IN_HEADER if kept else _INERT
            return ()
        self._tail = b""
        self._inert = NONE_INERT
        if self._keep_rest(text, 0) == len(text):
            return ()
        self._tail = tail
        frames: list[Frame] = []
        self._run(data, 0, frames)
        return frames or ()

    def _feed_short(self, data: bytes) -> Sequence[Frame]:
        """Take a short chunk, in which all is likely to be lines."""
        if self._pushing != self.push_sockets:
            self._learn_rules()
        frames: list[Frame] = []
        tail = self._tail
        text = tail + data
        self._tail = b""
        self._inert = NONE_INERT
        stop = self._take_short(text, frames)
        if stop < len(tail):
            self._tail = tail
            self._run(data, 0, frames)
        elif stop < len(text):
            self._run(text, stop, frames)
        return frames or ()

    def _feed_lines(self, data: bytes) -> Sequence[Frame]:
        """Take a long chunk."""
        frames: list[Frame] = []
        start = self._take_chunk(data, frames)
        if start < len(data):
            if self._step is None:
                start = self._take_line(data, start, frames)
            self._run(data, start, frames)
        return frames or ()

    def _feed_tokens(self, data: bytes, left: int) -> Sequence[Frame]:
        """Take a short chunk, in which a payload or a header is likely."""
        frames: list[Frame] = []
        if left:
            start = self._end_payload(data, left, frames)
            if self._step is not None:
                self._run(data, start, frames)
                return frames
            text, known = data, 0
        else:
            tail = self._tail
            text, known, start = tail + data, len(tail), 0
        self._tail = b""
        self._inert = NONE_INERT
        if self._pushing != self.push_sockets:
            self._learn_rules()
        start = self._take_tokens(text, start, frames)
        if start < 0:
            return frames or ()
        rest = _RESTS.get(text[start:])
        if rest is not None:
            self._tail = rest
            return frames or ()
        stop = self._keep_rest(text, start)
        if stop < known:
            self._tail = tail
            self._run(data, 0, frames)
        elif stop < len(text):
            self._run(text, stop, frames)
        return frames or ()

    def resync(self) -> Sequence[Frame]:
        """Give up what is in progress, and start afresh at the start of a line.

        Bytes that :attr:`hold_after_final` kept are framed first: they arrived
        before. :attr:`prompt_due` and :attr:`hold_after_final` are cleared, the
        other attributes stay.

        Returns:
            The frames of what was held, then one :class:`Damage` with the bytes of
            an incomplete line or payload, if there is one.

        """
        frames: list[Frame] = []
        self.prompt_due = self.hold_after_final = False
        self._release(frames)
        if self._left or self._digits_left or self._size:
            frames.append(Damage(_PAYLOAD_CUT, b"".join(self._pieces)))
        elif text := self._tail.strip(b"\r"):
            frames.append(Damage(_LINE_CUT, text))
        self._start_afresh()
        return frames or ()

    def _release(self, frames: list[Frame]) -> None:
        """Frame the held chunks, up to the next hold."""
        armed = self.hold_after_final
        while self._held and self.hold_after_final == armed:
            data, start = self._held.popleft()
            stop = self._run(data, start, frames)
            if stop < len(data):
                self._held.appendleft((data, stop))
        self._inert = NONE_INERT

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

    def _take_byte(self, data: bytes, frames: list[Frame]) -> None:
        """Take a single byte that may end something."""
        if self._left:
            self._take_payload(data, 0, frames)
        elif data != b"\n":
            text = self._tail + data
            if data == b"\r" and self._take_separator_byte(text):
                return
            if not self._keep(text):
                self._take_line(data, 0, frames)
        else:
            if self._pushing != self.push_sockets:
                self._learn_rules()
            found = self._known.get(self._tail + data)
            if found is None:
                self._run(data, 0, frames)
            else:
                self._tail = b""
                self._inert = _INERT
                frames += found

    def _take_separator_byte(self, text: bytes) -> bool:
        """Begin a payload behind a header in the usual form whose CR has come, if it is one."""
        if self._pushing != self.push_sockets:
            self._learn_rules()
        token = self._match_token(text + b"\n", 0)
        if token is None or token.lastindex == _LINE or not self.length_shown:
            return False
        if pushed := token[_PUSH]:
            number, rest, size = token[1][0] - _ZERO, None, int(pushed)
            fits = size <= PUSH_MAX_BYTES
        else:
            number, size = None, int(token[_READ])
            rest = int(token[4]) if token[4] else None
            fits = size <= self.read_due and size <= READ_MAX_BYTES
        if not fits or self.hex_receive:
            return False
        self._connect_id, self._remaining = number, rest
        self._tail, self._pieces, self._size, self._hex = b"", [], size, False
        self._inert = NONE_INERT
        self._step = Exact._take_separator
        return True

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
        self._lookout = _LOOKOUT
        if not data.startswith(BEHIND_READ, size):
            return self._look_behind(number is not None, data, size)
        if number is not None:
            self.push_ends.append(True)
        return size + 4

    def _take_text(self, text: bytes, start: int, frames: list[Frame]) -> int:
        """Take lines and payloads by what is quickest for this text."""
        if not start and len(text) <= _FEW_BYTES:
            return self._take_short(text, frames)
        return self._take_plain(text, start, self._find_header(text, start), frames)

    def _take_tokens(self, text: bytes, start: int, frames: list[Frame]) -> int:
        """Take lines and payloads one by one, up to the first that needs a closer look.

        Returns where that is, or what is left begins; -1 if all is taken.
        """
        match = self._match_token
        self._lookout -= 1
        while token := match(text, start):
            start = token.end()
            kind = token.lastindex
            if kind == _LINE:
                frames.append(_new(Line, (token[_LINE],)))
                continue
            if kind == _PUSH:
                number, rest, size = token[1][0] - _ZERO, None, int(token[_PUSH])
                fits = size <= PUSH_MAX_BYTES
            else:
                number, size = None, int(token[_READ])
                rest = int(token[4]) if kind > _READ else None
                fits = size <= self.read_due and size <= READ_MAX_BYTES
            if not fits or self.hex_receive or not self.length_shown:
                return token.start()
            self._lookout = _LOOKOUT
            stop = start + size
            if stop > len(text):
                self._connect_id, self._remaining, self._left = number, rest, stop - len(text)
                self._pieces = [text[start:]]
                return -1
            frames.append(_new(Payload, (number, rest, text[start:stop])))
            if text.startswith(BEHIND_READ, stop):
                start = stop + 4
                if number is not None:
                    self.push_ends.append(True)
            else:
                start = self._look_behind(number is not None, text, stop)
                if self._step is not None:
                    self._run(text, start, frames)
                    return -1
        return start

    def _keep_rest(self, text: bytes, start: int) -> int:
        """Keep the beginning of a line; return where it is, if it needs a closer look."""
        rest = text[start:].lstrip(b"\r\n")
        if _LF in rest or len(rest) > LINE_MAX_BYTES:
            return len(text) - len(rest)
        if rest in BEGINNINGS:
            self._inert = _INERT_IN_HEADER
        elif rest[:6] not in KINDS or OTHER_URC(rest):
            self._inert = _INERT_IN_TEXT
        elif not self.length_shown or not UNFINISHED(rest):
            if rest[-1] == _CR and self._take_separator_byte(rest):
                return len(text)
            return len(text) if self._keep(rest) else len(text) - len(rest)
        self._tail = rest
        return len(text)

    def _learn_rules(self) -> None:
        """Take note that other sockets push."""
        self._pushing = frozenset(self.push_sockets)
        self._find_header = header_finder(self._pushing)
        self._match_token = token_matcher(self._pushing)
        self._known.clear()

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

    def _take_short(self, text: bytes, frames: list[Frame]) -> int:
        """Take the lines of a short text up to a header; then the rest."""
        records = text.split(BETWEEN)
        rest = records.pop()
        if _LF in rest:
            cut = rest.rfind(b"\n") + 1
            records.append(rest[:cut])
            rest = rest[cut:]
        known = self._known
        start = 0
        for record in records:
            found = known.get(record)
            if found is None:
                line = record.strip(b"\r\n")
                if line[:3] == b"+QI" or _LF in line:
                    if header := self._find_header(text, start):
                        self._lookout = _LOOKOUT
                        return self._take_plain(text, start, header, frames)
                    found = known[record]
                elif len(record) > KNOWN_MAX_BYTES:
                    frames.append(_new(Line, (line,)))
                    found = ()
                else:
                    found = known.learn(record, line)
            frames += found
            start += len(record) + _BETWEEN_BYTES
        kept = _RESTS.get(rest)
        if kept is None:
            if rest[:3] == b"+QI" or rest[0] == _CR or len(rest) > LINE_MAX_BYTES:
                return self._keep_rest(text, len(text) - len(rest))
            self._tail = rest
            self._inert = _INERT_IN_TEXT
            return len(text)
        self._tail = kept
        self._inert = _INERT_IN_HEADER if kept else _INERT
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
            self._inert = _INERT
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
            self._inert = _INERT
        elif len(tail) > LINE_MAX_BYTES:
            return False
        elif tail[0] != _PLUS:
            self._inert = _INERT_IN_TEXT
        else:
            what = outlook(tail, self.length_shown)
            if what is Outlook.ODD:
                return False
            self._inert = _INERT_IN_TEXT if what is Outlook.TEXT else _INERT_IN_HEADER
        self._tail = tail
        return True
