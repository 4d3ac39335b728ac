"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). Payloads are counted by their header (§2.2.6, §2.3.2)
and may hold any byte, even ``OK``. Whether a header announces a payload depends on state
that the bytes don't carry: see the attributes of :class:`Framer`. One machine takes a chunk
from front to back; what a state can't tell about yet is kept for the next chunk:

============= ========================================= ===================================
state         ends at                                   gives; goes on
============= ========================================= ===================================
in a line     LF                                        the line, or damage; in a line
..            CR, LF, comma behind a payload's header   nothing; separator, payload or digits
..            ``>`` where a prompt is due               the prompt; behind a prompt
..            byte 4097, unless it is a CR              damage; over-long
over-long     LF                                        nothing; in a line
behind prompt any byte: a space is dropped              nothing; in a line
separator     any byte: an LF is dropped                nothing; payload or digits
payload       the announced number of bytes             the payload; behind a read or push
digits        twice as many, two quotes; a line end     the same, or damage; in a line
behind a read CRLF CRLF, or the byte that isn't theirs  nothing, or damage; in a line
behind a push the byte that tells how the data ended    ``push_ends``, or damage; in a line
============= ========================================= ===================================

framer.pxd adds the types that make C of this file. ``text`` is an object there and ``head``
a pointer to its bytes; here they are the same.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from aiobc9x.spec import CONNECT_IDS, LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire.frames import NO_PUSH_END, NO_READ_END, Damage, Frame, Line, Payload, Prompt

__all__ = ["COMPILED", "Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

COMPILED: Final = not __file__.endswith((".py", ".pyc"))
"""Whether this is the extension module."""

globals().update(Damage=Damage, Line=Line, Payload=Payload, Prompt=Prompt)  # C leaves them out

_IN_LINE, _OVER_LONG, _BEHIND_PROMPT, _SEPARATOR, _PAYLOAD, _DIGITS = range(6)
_BEHIND_READ, _BEHIND_PUSH = 6, 7
_LF, _CR, _SPACE, _QUOTE, _PLUS, _COMMA, _MINUS, _ZERO, _NINE, _GREATER = b'\n\r "+,-09>'

# Verdicts on a line that is no payload's header; offsets behind a header are above them.
_NO_HEADER, _MALFORMED, _TOO_LONG, _NO_LENGTH = range(0, -4, -1)
_FAULTS: Final = {
    _MALFORMED: "malformed payload header",
    _TOO_LONG: "header announces more bytes than are due",
    _NO_LENGTH: "pushed data without a length has no end",
}
_LINE_TOO_LONG: Final = f"line exceeds {LINE_MAX_BYTES} bytes; these are its first"

_IS_FINAL: Final = re.compile(rb"(?:OK|ERROR)\Z|\+CM[ES] ERROR {0,8}:").match
_LINE_END: Final = re.compile(rb"[\r\n]").search
_IDS: Final = len(CONNECT_IDS)


def _find(text: bytes, byte: int, start: int) -> int:  # pragma: no cover  # see below
    """Find a byte; return its offset, or -1."""
    head: Any = text
    place: Any = memchr(head + start, byte, len(text) - start)  # type: ignore[name-defined]  # noqa: F821  # of C
    return place - head if place else -1


if not COMPILED:  # pragma: no branch  # bytes.find() called from C takes ten times as long
    globals().update(_find=bytes.find)


def _past_spaces(head: bytes, at: int, end: int) -> int:
    """Skip up to eight spaces: relatives print none in a header, or some more."""
    stop = at + 8
    while at < end and head[at] == _SPACE and at < stop:
        at += 1
    return at


class Framer:
    """Bytes in, frames out; no I/O.

    A whole chunk is framed in one call, because that is where the speed is. A rule that changes
    with an answer (§2.2.7, §2.2.11) is therefore changed behind that answer: see
    :attr:`hold_after_final`. Attributes may be set at any time between calls; they bear on what
    is fed, or released from hold, afterwards. A payload in progress keeps its header's rules.

    Attributes:
        push_sockets: Connect IDs in direct push mode (§1.2): their ``"recv"`` URC announces a
            payload, that of others is a line.
        prompt_due: Whether ``>`` begins no line but is a prompt. Cleared by it and a final result.
        hex_receive: Whether received data comes as hex digits, two a byte (§2.2.11).
        length_shown: Whether ``showlength`` is 1, so that a second number in a ``+QIRD`` header
            is the remaining length (§2.2.11).
        read_due: Largest payload of a ``+QIRD`` header, in bytes up to 1024; 0 makes it a line.
        hold_after_final: Whether to stop behind the next final result. Cleared there.
        push_ends: For each of the last 1024 pushed payloads, in order and once it is known:
            whether a CRLF of its own followed the data; ``None`` if that can't be told. A module
            does one or the other; a change shows that the data swallowed it.
        negative_remainings: How many payloads had a negative remaining length. Relatives print
            it; a missing one means lost bytes. :attr:`Payload.remaining` is ``None`` for both.

    """

    def __init__(self) -> None:
        self.push_sockets: set[int] = set()
        self.prompt_due = self.hex_receive = self.hold_after_final = False
        self.length_shown = True
        self.read_due = READ_MAX_BYTES
        self.push_ends: deque[bool | None] = deque(maxlen=1024)  # more than fit in a port's chunk
        self.negative_remainings = 0
        self._start_afresh()

    def _start_afresh(self) -> None:
        # The beginning of a line, or what is held; how much of it has been looked at.
        self._state, self._buffer, self._known = _IN_LINE, b"", 0
        # What there is of a payload, joined once: a byte that comes alone copies nothing of it.
        # How many bytes, or digits and quotes, are still to come.
        self._pieces: list[bytes] = []
        self._due = 0
        # What its header says, and whether hex was received then.
        self._connect_id: int | None = None
        self._remaining: int | None = None
        self._size, self._number, self._hex, self._behind = 0, 0, False, _BEHIND_READ

    def __repr__(self) -> str:
        if self._state in {_SEPARATOR, _PAYLOAD, _DIGITS}:
            return f"<Framer in a payload, {self._due or self._size} bytes due>"
        held = len(self._buffer) - self._known if self._state == _IN_LINE else 0
        return f"<Framer {'skipping' if self._state == _OVER_LONG else 'in lines'}, {held} held>"

    @property
    def is_cut(self) -> bool:
        """Whether a line or a payload has begun and not ended."""
        if self._state == _IN_LINE:
            return bool(self._buffer[: self._known].strip(b"\r\n\x00\xff"))  # noise begins nothing
        return self._state in {_SEPARATOR, _PAYLOAD, _DIGITS}

    @property
    def behind_push(self) -> bytes | None:
        """The line end bytes behind a pushed payload whose end isn't known yet; else ``None``."""
        return self._buffer if self._state == _BEHIND_PUSH else None

    def feed(self, data: bytes | bytearray | memoryview) -> Sequence[Frame]:
        """Take received bytes; return the frames they complete.

        Args:
            data: Any number of bytes, cut anywhere. Other buffers are copied.

        Returns:
            Frames in order of arrival, the same however the stream was cut. Damage is a frame
            as well; nothing is raised.

        """
        text = data if type(data) is bytes else bytes(data)
        size, kept = len(text), self._buffer
        if self._state == _IN_LINE:
            if size == 1 and len(kept) == self._known < LINE_MAX_BYTES:
                byte = text[0]
                if byte not in b"\r\n,>":  # it ends nothing
                    self._buffer, self._known = kept + text, self._known + 1
                    return ()
        elif size and size < self._due and (self._state == _PAYLOAD or text.isalnum()):
            self._pieces.append(text)
            self._due -= size
            return ()
        if kept:
            text = kept + text
        elif self._pieces:
            text = b"".join([*self._pieces, text])
            self._pieces.clear()
        frames: list[Frame] = []
        at, end, known = 0, len(text), self._known
        self._buffer, self._known = b"", 0
        while at < end:  # each state takes its bytes and tells where the next goes on, or the end
            state = self._state
            if state == _IN_LINE:
                at = self._take_lines(text, at, end, known, frames)
            elif state == _PAYLOAD:
                at = self._take_payload(text, at, end, frames)
            elif state == _BEHIND_READ:
                at = self._take_read_end(text, at, end, frames)
            elif state == _BEHIND_PUSH:
                at = self._take_push_end(text, at, end, frames)
            else:
                at = self._take_others(text, at, end, frames)
        return frames or ()

    def resync(self) -> Sequence[Frame]:
        """Give up what is in progress, and start afresh at the start of a line.

        :attr:`prompt_due` and :attr:`hold_after_final` are cleared; other attributes stay.

        Returns:
            The frames of what was held; then one :class:`Damage` with the bytes of an incomplete
            line or payload, if there is one.

        """
        self.prompt_due = self.hold_after_final = False
        frames = [*self.feed(b"")] if self._state == _IN_LINE else []
        if self._state in {_SEPARATOR, _PAYLOAD, _DIGITS}:
            frames.append(Damage("payload given up", b"".join(self._pieces)))
        elif self._state == _IN_LINE and self._buffer:
            frames.append(Damage("line given up", self._buffer.rstrip(b"\r")))
        self._start_afresh()
        return frames or ()

    def _take_lines(self, text: bytes, at: int, end: int, known: int, frames: list[Frame]) -> int:
        """Take lines up to a payload, a prompt, a hold or the end."""
        head, is_armed = text, self.prompt_due or self.hold_after_final
        while at < end:
            byte = head[at]
            if byte in b"\r\n":
                at += 1
                continue
            verdict = _NO_HEADER
            if byte == _PLUS:
                if text.startswith(b"+QIURC:", at):
                    verdict = self._read_push_header(text, at + 7, end, known)
                elif text.startswith(b"+QIRD:", at):
                    verdict = self._read_read_header(text, at + 6, end, known)
                if verdict > _NO_HEADER:
                    return verdict
            elif is_armed and self.prompt_due:
                stop = self._take_prompt(text, at, end, known, frames)
                if stop > at:
                    return stop
            stop = lf = _find(text, _LF, at)
            if lf < 0:
                if end - at > LINE_MAX_BYTES:
                    return self._keep_line(text, at, end, known, frames)
                self._buffer, self._known = text[at:end], end - at
                return end
            while head[stop - 1] == _CR:
                stop -= 1
            if stop - at > LINE_MAX_BYTES:
                frames.append(Damage(_LINE_TOO_LONG, head[at : at + LINE_MAX_BYTES]))
            elif verdict != _NO_HEADER:
                frames.append(Damage(_FAULTS[verdict], head[at:stop]))
            else:
                line = head[at:stop]
                frames.append(Line(line))
                if is_armed and _IS_FINAL(line):
                    is_armed = self.prompt_due = False
                    if self.hold_after_final:
                        self.hold_after_final, self._buffer = False, text[lf + 1 : end]
                        return end
            at = lf + 1
        return end

    def _take_others(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Take what is of no line, or of one that is too long."""
        if self._state == _DIGITS:
            return self._take_digits(text, at, end, frames)
        if self._state == _SEPARATOR:
            return self._begin_payload(text, at, end, _CR)
        if self._state == _BEHIND_PROMPT:
            self._state = _IN_LINE
            return at + (text[at] == _SPACE)
        lf = _find(text, _LF, at)
        self._state = _IN_LINE if lf >= 0 else _OVER_LONG
        return lf + 1 if lf >= 0 else end

    def _keep_line(self, text: bytes, at: int, end: int, known: int, frames: list[Frame]) -> int:
        """Give up a line that is too long, as an LF may never come; or keep its beginning."""
        head, stop = text, at + LINE_MAX_BYTES
        beyond = max(stop, known)
        while beyond < end and head[beyond] == _CR:  # CRs behind a line are not of it
            beyond += 1
        if beyond < end:
            frames.append(Damage(_LINE_TOO_LONG, head[at:stop]))
            self._state = _OVER_LONG
            return end
        self._buffer, self._known = text[at : stop + 1], LINE_MAX_BYTES + 1  # with one CR
        return end

    def _take_prompt(self, text: bytes, at: int, end: int, known: int, frames: list[Frame]) -> int:
        """Take ``>`` at the start of a line, or behind an echo that only CR ended; or nothing."""
        mark = at
        if text[at : at + 2].upper() == b"AT":
            lf = _find(text, _LF, at)
            mark = text.find(b"\r>", max(at, known - 1), end if lf < 0 else lf) + 1
        if mark < max(at, known) or text[mark] != _GREATER:
            return at
        if mark > at:
            echo = text[at:mark].rstrip(b"\r")
            if len(echo) > LINE_MAX_BYTES:
                return at
            frames.append(Line(echo))
        frames.append(Prompt())
        self.prompt_due, self._state = False, _BEHIND_PROMPT
        return mark + 1

    def _read_number(self, head: bytes, at: int) -> int:
        """Read up to nine digits, which fit any integer; return the offset behind them."""
        number = 0
        for byte in head[at : at + 9]:  # in C the NUL behind the bytes ends it at the latest
            if byte < _ZERO or byte > _NINE:
                break
            number = 10 * number + byte - _ZERO
            at += 1
        self._number = number
        return at

    def _read_read_header(self, text: bytes, at: int, end: int, known: int) -> int:
        """Read ``+QIRD: <n>[,<remaining>]`` (§2.2.6)."""
        head = text
        remaining: int | None = None
        is_negative = False
        at = self._read_number(head, _past_spaces(head, at, end))
        size = self._number
        if not size or self.read_due <= 0 or at == end:
            return _NO_HEADER
        # Without a number in between, a comma can't be the separator (§2.2.6).
        if head[at] == _COMMA and self.length_shown:
            at += 1
            if at < end and head[at] == _SPACE:
                at = _past_spaces(head, at, end)
            is_negative = at < end and head[at] == _MINUS
            first = at + is_negative
            at = self._read_number(head, first)
            if not first < at < end:
                return _MALFORMED
            if not is_negative:  # relatives print a negative one, which says nothing
                remaining = self._number
        if head[at] not in b"\r\n,":
            return _MALFORMED
        if size > READ_MAX_BYTES or size > self.read_due:
            return _TOO_LONG
        if at < known:
            return _MALFORMED  # a rule has changed behind the separator
        self.negative_remainings += is_negative
        self._connect_id, self._remaining, self._size = None, remaining, size
        self._hex, self._behind = self.hex_receive, _BEHIND_READ
        return self._begin_payload(text, at + 1, end, head[at])

    def _read_push_header(self, text: bytes, at: int, end: int, known: int) -> int:
        """Read ``+QIURC: "recv",<connectID>,<n>`` of a socket in direct push mode (§2.3.2)."""
        head = text
        at = _past_spaces(head, at, end)
        if not text.startswith(b'"recv",', at):
            return _NO_HEADER
        at += 7
        if at < end and head[at] == _SPACE:
            at = _past_spaces(head, at, end)
        connect_id = head[at] - _ZERO if at < end else -1
        if connect_id not in self.push_sockets or not 0 <= connect_id < _IDS:
            return _NO_HEADER
        at += 1
        if at == end or head[at] != _COMMA:
            return _NO_LENGTH
        first = _past_spaces(head, at + 1, end)
        at = self._read_number(head, first)
        size = self._number
        if at == end or (at == first and head[at] == _QUOTE):
            return _NO_HEADER  # "buff full" (§2.3.3)
        if at == first or head[at] not in b"\r\n," or not self.length_shown:
            return _NO_LENGTH
        if not size or size > PUSH_MAX_BYTES:
            return _TOO_LONG if size else _NO_HEADER
        if at < known:
            return _MALFORMED  # a rule has changed behind the separator
        self._connect_id, self._remaining, self._size = connect_id, None, size
        self._hex, self._behind = self.hex_receive, _BEHIND_PUSH
        return self._begin_payload(text, at + 1, end, head[at])

    def _begin_payload(self, text: bytes, at: int, end: int, separator: int) -> int:
        """Drop the LF of a CRLF in front of a payload, once there is a byte to look at."""
        if separator == _CR:
            if at == end:
                self._state = _SEPARATOR
                return at
            at += text[at] == _LF
        self._state = _DIGITS if self._hex else _PAYLOAD
        self._due = 2 * self._size if self._hex else self._size
        return at

    def _take_payload(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Take a payload, which may hold anything."""
        head = text
        stop = at + self._size
        if stop > end:
            self._pieces.append(text[at:end])
            self._due = stop - end
            return end
        frames.append(Payload(self._connect_id, self._remaining, head[at:stop]))
        self._due, self._state = 0, self._behind
        return stop

    def _take_digits(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Take a payload in hex, quoted or bare: the note doesn't say which."""
        stop = at + 2 * self._size + 2 * (text[at] == _QUOTE)
        line_end = _LINE_END(text, at, min(stop, end))
        if stop > end and not line_end:
            self._pieces.append(text[at:end])
            self._due = stop - end
            return end
        raw = text[at : line_end.start() if line_end else stop]
        is_quoted = raw.startswith(b'"') and raw.endswith(b'"')
        try:
            data = binascii.unhexlify(raw[1 : len(raw) - 1] if is_quoted else raw)
        except binascii.Error:
            data = b""
        if data and not line_end:
            frames.append(Payload(self._connect_id, self._remaining, data))
            self._due, self._state = 0, self._behind
        else:
            frames.append(Damage("hex payload holds other bytes than hex digits", raw))
            self._due, self._state = 0, _IN_LINE
        return at + len(raw)

    def _take_read_end(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Look for a CRLF that ends a read and one that begins the next line (example 4.1.3)."""
        head = text
        stop = at + 4
        if not text.startswith(b"\r\n\r\n", at):
            stop = at
            while stop < end and head[stop] == (_LF if (stop - at) % 2 else _CR):
                stop += 1
            if stop == end:
                self._buffer = text[at:end]
                return end
            frames.append(Damage(NO_READ_END, text[at:stop]))
        self._state = _IN_LINE
        return stop

    def _take_push_end(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Look for the data's own CRLF and that of the next line: without it, bytes were lost."""
        first = text[at]
        stop = at + (first in b"\r\n")
        if text.startswith(b"\r\n", at) or text.startswith(b"\n\r", at):
            stop = at + 2
        if stop == end:
            self._buffer = text[at:end]
            return end
        byte = text[stop]
        is_prompt = byte == _GREATER and self.prompt_due
        # A boot banner begins with LF CR.
        if first != _CR and not is_prompt and (stop - at < 2 or byte == _LF):
            frames.append(Damage(NO_PUSH_END, b""))
        can_tell = first == _CR and not is_prompt and stop - at == 2
        self.push_ends.append(byte in b"\r\n" if can_tell else None)
        self._state = _IN_LINE
        return stop
