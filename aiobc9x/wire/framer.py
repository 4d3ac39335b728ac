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
    Outlook,
    header_finder,
    outlook,
)
from aiobc9x.wire._lines import BETWEEN, KNOWN_MAX_BYTES, Known

__all__ = ["Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

_LINE_CUT: Final = "line given up"
_PAYLOAD_CUT: Final = "payload given up"

_LF: Final = 0x0A
_CR: Final = 0x0D
_PLUS: Final = 0x2B
_ZERO: Final = 0x30
# Nothing, and what a longer beginning of a header begins with.
_BEGINNINGS: Final = frozenset({b"", b"+QI"})
# In chunks up to this size all lines are likely to be known ones.
_FEW_BYTES: Final = 512
# More than any header has, in a spelling that may be one.
_HEADER_BYTES: Final = 64
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__
_BETWEEN_BYTES: Final = len(BETWEEN)


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
        if size == 1:
            if data in self._inert and len(self._tail) < LINE_MAX_BYTES:
                self._tail += data
                return ()
        elif self._inert is _INERT_IN_TEXT and _LF not in data and not self.prompt_due:
            tail = self._tail + data
            if len(tail) <= LINE_MAX_BYTES:
                self._tail = tail
                return ()
        frames: list[Frame] = []
        if self._held or self.hold_after_final:
            self._held.append((data, 0))
            self._release(frames)
        elif self._step is not None or self.prompt_due:
            self._run(data, 0, frames)
        elif size == 1:
            self._take_byte(data, frames)
        else:
            start = self._take_chunk(data, frames)
            if start < size:
                if self._step is None:
                    start = self._take_line(data, start, frames)
                self._run(data, start, frames)
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
            if not self._keep(text) and not self._take_separator_byte(text, frames):
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

    def _take_separator_byte(self, text: bytes, frames: list[Frame]) -> bool:
        """Take a byte behind a number, if it ends a header in the usual form or none at all."""
        if self._pushing != self.push_sockets:
            self._learn_rules()
        whole = text + b"\n" if text[-1] == _CR else text
        header = self._find_header(whole, 0)
        if header is None:
            if len(text) > LINE_MAX_BYTES:
                return False
            self._tail = text
            self._inert = _INERT_IN_HEADER
            return True
        if whole is text or header.end() < len(whole):
            return False
        if self._take_plain(whole, 0, header, frames) < len(whole):
            return False
        self._tail = b""
        self._inert = NONE_INERT
        self._size, self._left, self._hex = self._left, 0, False
        self._step = Exact._take_separator
        return True

    def _take_chunk(self, data: bytes, frames: list[Frame]) -> int:
        """Take a chunk at C speed; return where that doesn't go on."""
        inert, self._inert = self._inert, NONE_INERT
        if self._pushing != self.push_sockets:
            self._learn_rules()
        size = self._left
        if size:
            number = self._connect_id
            self._pieces.append(data[:size])
            frames.append(_new(Payload, (number, self._remaining, b"".join(self._pieces))))
            self._left = 0
            start = size + 4
            if data[size:start] != BEHIND_READ:
                start = self._look_behind(number is not None, data, size)
                if self._step is not None:
                    return start
            elif number is not None:
                self.push_ends.append(True)
            rest = data[start:]
            if _LF in rest:
                return self._take_plain(data, start, self._find_header(data, start), frames)
            return len(data) if self._keep(rest) else start
        tail = self._tail
        if not tail:
            return self._take_short(data, frames)
        text = tail + data
        self._tail = b""
        if _LF not in data and len(text) <= LINE_MAX_BYTES:
            if self._keep(text):
                return len(data)
            self._tail = tail
            return 0
        header = self._find_header(text, 0) if inert is _INERT_IN_HEADER else None
        if header and not header.start() and header.end() > len(tail):
            stop = self._take_plain(text, 0, header, frames)
        else:
            stop = self._take_short(text, frames)
        if stop:
            return stop - len(tail)
        self._tail = tail  # the line in progress needs a closer look
        return 0

    def _learn_rules(self) -> None:
        """Take note that other sockets push."""
        self._pushing = frozenset(self.push_sockets)
        self._find_header = header_finder(self._pushing)
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
        if len(text) > _FEW_BYTES:
            return self._take_plain(text, 0, self._find_header(text, 0), frames)
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
                        return self._take_plain(text, start, header, frames)
                    found = known[record]
                elif len(record) > KNOWN_MAX_BYTES:
                    frames.append(_new(Line, (line,)))
                    found = ()
                else:
                    found = known.learn(record, line)
            frames += found
            start += len(record) + _BETWEEN_BYTES
        if rest in BEGINNINGS:
            self._tail = rest
            self._inert = _INERT_IN_HEADER
            return len(text)
        if rest[:3] in _BEGINNINGS or rest[0] == _CR:
            return len(text) if self._keep(rest) else len(text) - len(rest)
        self._tail = rest
        self._inert = _INERT_IN_TEXT
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
