"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). A payload has as many bytes as its header says (§2.2.6,
§2.3.2), and they may be any bytes, even ``OK``. Whether a header announces a payload depends on
settings that the bytes don't show: see the attributes of :class:`Framer`. The framer is a state
machine that takes each chunk from front to back. Bytes that don't end a state are kept for the
next chunk. "After a read" means: after the payload of AT+QIRD; "after a push": after pushed data.

============= ========================================= ===================================
state         ends at                                   gives; goes on
============= ========================================= ===================================
in a line     LF                                        the line, or damage; in a line
..            CR, LF, comma after a payload's header    nothing; separator, payload or digits
..            ``>`` where a prompt is due               the prompt; after prompt
..            byte 4097, unless it is a CR              damage; over-long
over-long     LF                                        nothing; in a line
after prompt  any byte: a space is dropped              nothing; in a line
separator     any byte: an LF is dropped                nothing; payload or digits
payload       the announced number of bytes             the payload; after a read or push
digits        twice as many, two quotes; a line end     the same, or damage; in a line
after a read  CRLF CRLF, or the first other byte        nothing, or damage; in a line
after a push  the byte that tells how the data ended    ``push_ends``, or damage; in a line
============= ========================================= ===================================

framer.pxd adds the types with which Cython compiles this same file to C. There, ``text`` is a
bytes object and ``head`` a pointer to its bytes; in Python they are the same object.
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
"""Whether this is the compiled extension module, and not the Python file."""

# The compiled module uses its C names for the classes; this makes them importable from here too.
globals().update(Damage=Damage, Line=Line, Payload=Payload, Prompt=Prompt)

_IN_LINE, _OVER_LONG, _BEHIND_PROMPT, _SEPARATOR, _PAYLOAD, _DIGITS = range(6)
_BEHIND_READ, _BEHIND_PUSH = 6, 7
_LF, _CR, _SPACE, _QUOTE, _PLUS, _COMMA, _MINUS, _ZERO, _NINE, _GREATER = b'\n\r "+,-09>'

# What _read_…_header() returns for a line that is no payload's header. For a header they return the
# offset after it, which is always larger than these.
_NO_HEADER, _MALFORMED, _TOO_LONG, _NO_LENGTH = range(0, -4, -1)
_FAULTS: Final = {
    _MALFORMED: "malformed payload header",
    _TOO_LONG: "header announces more bytes than are due",
    _NO_LENGTH: "pushed data without a length has no end",
}
_LINE_TOO_LONG: Final = f"line exceeds {LINE_MAX_BYTES} bytes; these are its first"

# Final results: the note's commands give the first two, others (27.007) also the third.
_IS_FINAL: Final = re.compile(rb"(?:OK|ERROR)\Z|\+CM[ES] ERROR {0,8}:").match
_LINE_END: Final = re.compile(rb"[\r\n]").search
_IDS: Final = len(CONNECT_IDS)


def _find(text: bytes, byte: int, start: int) -> int:  # pragma: no cover  # see below
    """Find a byte; return its offset, or -1."""
    head: Any = text
    place: Any = memchr(head + start, byte, len(text) - start)  # type: ignore[name-defined]  # noqa: F821  # of C
    return place - head if place else -1


# memchr() for C, where a call of bytes.find() would take ten times as long.
if not COMPILED:  # pragma: no branch
    globals().update(_find=bytes.find)


def _past_spaces(head: bytes, at: int, end: int) -> int:
    """Skip up to eight spaces: relatives print none in a header, or more than one (F1, N1)."""
    stop = at + 8
    while at < end and head[at] == _SPACE and at < stop:
        at += 1
    return at


class Framer:
    """Bytes in, frames out; no I/O.

    A whole chunk is framed in one call, because that is where the speed is. If an answer changes
    a rule (§2.2.7, §2.2.11), the bytes after it in the same chunk must be framed by the new
    rule: :attr:`hold_after_final` makes the framer stop there. Attributes may be set at any time
    between calls. They apply to bytes that are fed, or released from hold, afterwards. A
    payload that has begun goes on by the rules of its header.

    Attributes:
        push_sockets: Connect IDs in direct push mode (§1.2). A payload follows their ``"recv"``
            URC; the ``"recv"`` of other sockets is a line.
        prompt_due: Whether ``>`` at the start of a line is a prompt. Cleared by the prompt, and
            by a final result.
        hex_receive: Whether received data are hex digits, two for a byte (§2.2.11).
        length_shown: Whether ``showlength`` is 1, so that a second number in a ``+QIRD`` header
            is the remaining length (§2.2.11).
        read_due: The most bytes that a ``+QIRD`` header may announce, up to 1024; with 0 the
            header is a line, because no read is in flight.
        hold_after_final: Whether to stop after the next final result. Cleared there.
        push_ends: For each of the last 1024 pushed payloads, in order and once it is known:
            whether the module printed a CRLF of its own after the data; ``None`` if that can't
            be told. A module always does, or never (F19). A change means that the data have
            lost bytes, and the framer took the CRLF in their place.
        negative_remainings: How many payloads had a negative remaining length. Relatives print
            such a length (F16), while a missing one means lost bytes;
            :attr:`Payload.remaining` is ``None`` for both.

    """

    def __init__(self) -> None:
        self.push_sockets: set[int] = set()
        self.prompt_due: bool = False
        self.hex_receive: bool = False
        self.hold_after_final: bool = False
        self.length_shown = True
        self.read_due = READ_MAX_BYTES
        # A chunk from a port has fewer payloads than this; the session looks after each chunk.
        self.push_ends: deque[bool | None] = deque(maxlen=1024)
        self.negative_remainings: int = 0
        self._start_afresh()

    def _start_afresh(self) -> None:
        # The beginning of a line, or bytes on hold; and how many of them were judged before,
        # perhaps by other rules: the present rules must not judge those again.
        self._state, self._buffer, self._known = _IN_LINE, b"", 0
        # The chunks of an incomplete payload, joined only once, so that a byte that arrives alone
        # costs no copy of them; and how many bytes, or digits and quotes, are still to come.
        self._pieces: list[bytes] = []
        self._due = 0
        # The header of the present payload, and hex_receive at that time.
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
            # Noise of a module that wakes up (F4) is no beginning of a line.
            return bool(self._buffer[: self._known].strip(b"\r\n\x00\xff"))
        return self._state in {_SEPARATOR, _PAYLOAD, _DIGITS}

    @property
    def behind_push(self) -> bytes | None:
        """The line end bytes after a pushed payload whose end is not known yet; else ``None``."""
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
                # A byte that ends nothing takes the short way: slow links deliver single bytes.
                if byte not in b"\r\n,>":
                    self._buffer, self._known = kept + text, self._known + 1
                    return ()
        elif size and size < self._due and (self._state == _PAYLOAD or text.isalnum()):
            # A chunk inside a payload takes the short way as well; of a hex payload only if it has
            # no quote and no line end, which must be looked at.
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
        # Each state takes its bytes, and returns the offset where the next state begins.
        while at < end:
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
        """Take lines up to a payload, a prompt, a hold or the end.

        Args:
            text: The bytes to frame.
            at: Where to begin; the start of a line.
            end: The length of ``text``.
            known: How many bytes at the front were judged by an earlier call.
            frames: Gets the frames.

        Returns:
            The offset where the next state begins; ``end`` if this state goes on.

        """
        # Nearly all chunks have no prompt and no hold, and then one test is enough.
        head, is_armed = text, self.prompt_due or self.hold_after_final
        while at < end:
            byte = head[at]
            # Empty lines, and the CRLFs around payloads, give no frame. Modules print them in any
            # number, and LF CR too (F3). "in" would build a tuple, or take twice as long in bytes.
            if byte == _CR or byte == _LF:  # noqa: PLR1714, SIM109
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
                # Noise at a wrong speed may have no LF for ever.
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
                    # What follows is framed once the caller has changed the rule.
                    if self.hold_after_final:
                        self.hold_after_final, self._buffer = False, text[lf + 1 : end]
                        return end
            at = lf + 1
        return end

    def _take_others(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Take the bytes of a state other than a line, or skip an over-long line."""
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
        """Give up a line that is too long, because its LF may never come, or keep its beginning."""
        head, stop = text, at + LINE_MAX_BYTES
        beyond = max(stop, known)
        # CRs at the end of a line don't count, so the line may still be short enough.
        while beyond < end and head[beyond] == _CR:
            beyond += 1
        if beyond < end:
            frames.append(Damage(_LINE_TOO_LONG, head[at:stop]))
            self._state = _OVER_LONG
            return end
        # One CR is enough to know that the line has ended but for its LF.
        self._buffer, self._known = text[at : stop + 1], LINE_MAX_BYTES + 1
        return end

    def _take_prompt(self, text: bytes, at: int, end: int, known: int, frames: list[Frame]) -> int:
        """Take a prompt at the start of a line, or after an echo that only a CR has ended (F12).

        Returns:
            The offset after the prompt; ``at`` if there is no prompt.

        """
        mark = at
        if text[at : at + 2].upper() == b"AT":
            lf = _find(text, _LF, at)
            mark = text.find(b"\r>", max(at, known - 1), end if lf < 0 else lf) + 1
        # A ">" among the known bytes was judged before, when no prompt was due.
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
        """Read up to nine digits into ``_number``; return the offset after them.

        Nine digits fit a C integer, and no length has more than four.
        """
        number = 0
        for byte in head[at : at + 9]:  # in C the NUL behind the bytes ends it at the latest
            if byte < _ZERO or byte > _NINE:
                break
            number = 10 * number + byte - _ZERO
            at += 1
        self._number = number
        return at

    def _read_read_header(self, text: bytes, at: int, end: int, known: int) -> int:
        """Read ``+QIRD: <n>[,<remaining>]`` (§2.2.6).

        Returns:
            The offset after the header, or a verdict.

        """
        head = text
        remaining: int | None = None
        is_negative = False
        at = self._read_number(head, _past_spaces(head, at, end))
        size = self._number
        # "+QIRD: 0" says that nothing is there. At the end of the bytes, the number may go on in
        # the next chunk, so there is no verdict yet.
        if not size or self.read_due <= 0 or at == end:
            return _NO_HEADER
        # With showlength 1 (§2.2.11), a comma stands before the remaining length. Only a second
        # comma can be the separator of viewmode 1.
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
        # The byte that follows is the separator. The viewmode setting doesn't tell, because the
        # families number its modes in opposite ways (F2, N24).
        if head[at] not in b"\r\n,":
            return _MALFORMED
        # More than was asked for: digits were damaged on the line.
        if size > READ_MAX_BYTES or size > self.read_due:
            return _TOO_LONG
        # An earlier call has judged the separator, as part of a line. A rule has changed since, and
        # part of the payload may be gone.
        if at < known:
            return _MALFORMED
        self.negative_remainings += is_negative
        self._connect_id, self._remaining, self._size = None, remaining, size
        self._hex, self._behind = self.hex_receive, _BEHIND_READ
        return self._begin_payload(text, at + 1, end, head[at])

    def _read_push_header(self, text: bytes, at: int, end: int, known: int) -> int:
        """Read ``+QIURC: "recv",<connectID>,<n>`` of a socket in direct push mode (§2.3.2).

        Returns:
            The offset after the header, or a verdict.

        """
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
        first = at + 1
        if first < end and head[first] == _SPACE:
            first = _past_spaces(head, first, end)
        at = self._read_number(head, first)
        size = self._number
        if at == end or (at == first and head[at] == _QUOTE):
            # "buff full" (§2.3.3), or a number that may go on in the next chunk.
            return _NO_HEADER
        # Without a length nothing says where the data end (N19). With showlength 0, a number here
        # is the data themselves (N21).
        if at == first or head[at] not in b"\r\n," or not self.length_shown:
            return _NO_LENGTH
        if not size or size > PUSH_MAX_BYTES:
            return _TOO_LONG if size else _NO_HEADER
        # An earlier call has judged the separator, as part of a line. A rule has changed since, and
        # part of the payload may be gone.
        if at < known:
            return _MALFORMED
        self._connect_id, self._remaining, self._size = connect_id, None, size
        self._hex, self._behind = self.hex_receive, _BEHIND_PUSH
        return self._begin_payload(text, at + 1, end, head[at])

    def _begin_payload(self, text: bytes, at: int, end: int, separator: int) -> int:
        """Begin a payload after its separator; drop the LF of a CRLF.

        If a CR is the last of the bytes, the next chunk decides: it begins with the LF, or with the
        payload. Until then this is a state of its own.
        """
        if separator == _CR:
            if at == end:
                self._state = _SEPARATOR
                return at
            at += text[at] == _LF
        self._state = _DIGITS if self._hex else _PAYLOAD
        self._due = 2 * self._size if self._hex else self._size
        return at

    def _take_payload(self, text: bytes, at: int, end: int, frames: list[Frame]) -> int:
        """Take the bytes of a payload; they are counted, and never looked at."""
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
        """Take a payload of hex digits, with or without quotes: the note doesn't say (N25).

        A line end among the digits shows that digits were lost.
        """
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
        """Take the CRLF that ends a read and the CRLF before ``OK`` (example 4.1.3).

        Anything else is damage: the payload has lost bytes, and has taken some of these instead.
        """
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
        """Find out how pushed data ended: by a CRLF of the module's own or not (F19).

        The next line begins with a CRLF as well. If there is none at all, the data have lost
        bytes, and have taken the CRLF instead.
        """
        first = text[at]
        stop = at + (first in b"\r\n")
        if text.startswith(b"\r\n", at) or text.startswith(b"\n\r", at):
            stop = at + 2
        if stop == end:
            self._buffer = text[at:end]
            return end
        byte = text[stop]
        is_prompt = byte == _GREATER and self.prompt_due
        # A boot banner begins with LF CR (F3), which is a line end too.
        if first != _CR and not is_prompt and (stop - at < 2 or byte == _LF):
            frames.append(Damage(NO_PUSH_END, b""))
        can_tell = first == _CR and not is_prompt and stop - at == 2
        self.push_ends.append(byte in b"\r\n" if can_tell else None)
        self._state = _IN_LINE
        return stop
