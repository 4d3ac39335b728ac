"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). Payloads are counted by their header (§2.2.6,
§2.3.2) and may hold any byte, even ``OK``. Whether a header announces a payload
depends on state the bytes don't carry: see :attr:`Framer.push_sockets`,
:attr:`Framer.length_shown` and :attr:`Framer.hex_receive`.

There are two ways through a chunk. The exact one takes a line, a payload or a prompt
at a time, from any state. The quick one takes everything between two headers at once,
in C; it stands aside where a prompt is due, where an answer is held, and at whatever
looks odd. Both give the same frames.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES, PUSH_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire._frames import NO_PUSH_END, Damage, Frame, Line, Payload, Prompt
from aiobc9x.wire._headers import DECIDING, MALFORMED, UNDECIDED, Header, header_finder, read_header

__all__ = ["Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

_LINE_TOO_LONG: Final = f"line exceeds {LINE_MAX_BYTES} bytes; these are its first"
_NO_LINE_END: Final = "no two CRLFs behind a +QIRD payload"
_NOT_HEX: Final = "hex payload holds other bytes than hex digits"
_LINE_CUT: Final = "line given up"
_PAYLOAD_CUT: Final = "payload given up"

_LF: Final = 0x0A
_CR: Final = 0x0D
_SPACE: Final = 0x20
_QUOTE: Final = 0x22
_PROMPT: Final = b">"
# One ends the payload, one begins the next answer or URC (§2.1.2, example 4.1.3).
_BEHIND_READ: Final = b"\r\n\r\n"
# The CRLF behind pushed data is optional, the one in front of what comes next is not;
# a boot banner begins with LF CR instead.
_PUSH_END: Final = b"\r\n"
_BANNER: Final = re.compile(rb"\n\r[^\n]")
_PUSH_ENDS_UNDECIDED: Final = frozenset({b"\r", b"\n", b"\r\n", b"\n\r"})
# More pushes than fit in any chunk that a port delivers.
_PUSH_ENDS_KEPT: Final = 1024
# A line, its line end, and a byte that makes it too long.
_NEAR_BYTES: Final = LINE_MAX_BYTES + 2
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__
_FINALS: Final = frozenset({b"OK", b"ERROR"})
_FINAL_ERROR: Final = re.compile(rb"\+CM[ES] ERROR {0,8}:")
_LINE_END: Final = re.compile(rb"[\r\n]")


class Framer:
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
        self.push_sockets: set[int] = set()
        self.prompt_due = False
        self.hex_receive = False
        self.length_shown = True
        self.read_due = READ_MAX_BYTES
        self.hold_after_final = False
        self.push_ends: deque[bool | None] = deque(maxlen=_PUSH_ENDS_KEPT)
        self.negative_remainings = 0
        # Chunks, each with the offset from which it is yet to be framed.
        self._held: deque[tuple[bytes, int]] = deque()
        self._lines = _Lines()
        self._pushing: frozenset[int] = frozenset()
        self._find_header = header_finder(self._pushing)
        self._start_afresh()

    def __repr__(self) -> str:
        """Name the state in one line."""
        if self._header is not None:
            return f"<Framer in a payload, {self._left} bytes due>"
        return f"<Framer {'skipping' if self._skipping else 'in lines'}, {len(self._held)} held>"

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
        frames: list[Frame] = []
        if self._held or self.hold_after_final:
            self._held.append((data, 0))
            self._release(frames)
        else:
            self._run(data, 0, frames)
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
        if self._header is not None:
            frames.append(Damage(_PAYLOAD_CUT, b"".join(self._pieces)))
        elif text := self._tail.rstrip(b"\r"):
            frames.append(Damage(_LINE_CUT, text))
        self._start_afresh()
        return frames or ()

    def _start_afresh(self) -> None:
        # The line in progress, from its first byte that is no CR; and what is wrong
        # with it, once it is known to be no header in spite of its beginning.
        self._tail = b""
        self._verdict: str | None = None
        self._skipping = False
        # The payload in progress: bytes on the wire still to come, and those here.
        self._header: Header | None = None
        self._hex = False
        self._left = 0
        self._pieces: list[bytes] = []
        self._line_ends_due = b""
        # What has followed a pushed payload, until it tells how that ended.
        self._push_ended = False
        self._behind_push = b""
        # A byte to drop if it comes next: the LF of a CRLF, the space of a prompt.
        self._optional: int | None = None

    def _release(self, frames: list[Frame]) -> None:
        """Frame the held chunks, up to the next hold."""
        armed = self.hold_after_final
        while self._held and self.hold_after_final == armed:
            data, start = self._held.popleft()
            stop = self._run(data, start, frames)
            if stop < len(data):
                self._held.appendleft((data, stop))

    def _run(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Frame ``data`` from ``start``; return the offset of what is to be held."""
        end = len(data)
        armed = self.hold_after_final
        while start < end and self.hold_after_final == armed:
            if self._optional is not None:
                start += data[start] == self._optional
                self._optional = None
            elif self._header is not None:
                take = self._take_digits if self._hex else self._take_payload
                start = take(self._header, data, start, frames)
            elif self._line_ends_due:
                start = self._take_line_end(data, start, frames)
            elif self._push_ended:
                start = self._take_push_end(data, start, frames)
            elif self._skipping:
                start = self._skip(data, start)
            elif self.prompt_due or armed or self._verdict is not None:
                start = self._take_line(data, start, frames)
            else:
                start = self._take_lines(data, start, frames)
        return start

    def _take_lines(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take all that is plain at C speed, then one line at most the exact way."""
        known = len(self._tail)
        near = start + _NEAR_BYTES
        if data.find(b"\n", start, near) < 0 or known > _CACHED_LINE_MAX_BYTES:
            # To search a growing line for headers time and again would be quadratic.
            return self._take_line(data, start, frames)
        if not known:
            start = self._take_plain(data, start, frames)
        else:
            text, self._tail = self._tail + data[start:], b""
            stop = self._take_plain(text, 0, frames)
            # Either the line in progress is done, or it still needs a closer look.
            self._tail = self._tail if stop else text[:known]
            start += stop and stop - known
        if start == len(data) or self._header is not None:
            return start
        if self._line_ends_due or self._push_ended:  # the next byte tells of the payload
            return start
        return self._take_line(data, start, frames)

    def _take_plain(self, text: bytes, start: int, frames: list[Frame]) -> int:
        """Take whole lines and payloads up to the first that needs a closer look."""
        if self._pushing != self.push_sockets:
            self._pushing = frozenset(self.push_sockets)
            self._find_header = header_finder(self._pushing)
        counted = self.length_shown and not self.hex_receive
        while True:
            header = self._find_header(text, start)
            end = len(text) if header is None else header.start()
            stop = text.rfind(b"\n", start, end) + 1 or start
            lines = text[start:stop]
            if lines and lines != b"\r\n":
                frames += filter(None, map(self._lines.__getitem__, lines.split(b"\n")))
            if header is None:
                return self._keep_plain(text, stop)
            if stop < end or not counted:
                return stop
            start = self._take_counted(header, text, frames)
            if start == stop:
                return self._keep_plain(text, stop) if header.end() == len(text) else stop
            if self._header is not None or self._line_ends_due or self._push_ended:
                return start

    def _keep_plain(self, text: bytes, start: int) -> int:
        """Keep the beginning of a line, unless it may already hold a whole header."""
        tail = text[start:].lstrip(b"\r")
        if UNDECIDED.fullmatch(tail) is None and (
            len(tail) > LINE_MAX_BYTES or DECIDING.search(tail) is not None
        ):
            return start
        self._tail = tail
        return len(text)

    def _take_counted(self, header: re.Match[bytes], text: bytes, frames: list[Frame]) -> int:
        """Take a header and its payload, if both are as the note prints them."""
        connect_id, pushed, read, remaining = header.groups()
        size = int(pushed or read or 0)
        if not 0 < size <= (PUSH_MAX_BYTES if pushed else min(self.read_due, READ_MAX_BYTES)):
            return header.start()
        number = int(connect_id) if pushed else None
        rest = int(remaining) if remaining else None
        start = header.end()
        end = start + size
        if end > len(text):
            self._header, self._hex = Header(number, rest, size, 0), False
            self._left, self._pieces = end - len(text), [text[start:]]
            return len(text)
        frames.append(_new(Payload, (number, rest, text[start:end])))
        if read:
            if text.startswith(_BEHIND_READ, end):
                return end + len(_BEHIND_READ)
            self._line_ends_due = _BEHIND_READ
        elif end + 2 < len(text) and text.startswith(_PUSH_END, end):
            self.push_ends.append(text[end + 2] in _PUSH_END)
            return end + 2
        else:
            self._push_ended = True
        return end

    def _take_line(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take one line, prompt or header, or what there is of it."""
        near = start + _NEAR_BYTES
        lf = data.find(b"\n", start, near)
        stop = lf + 1 or min(near, len(data))
        known = len(self._tail)
        text = (self._tail + data[start:stop]).lstrip(b"\r")
        mark = self._find_prompt(text, known) if self.prompt_due else -1
        if mark >= 0:
            self._end_line(text[:mark], frames)
            frames.append(Prompt())
            self.prompt_due = False
            self._optional = _SPACE
            return stop - len(text) + mark + 1
        if self._verdict is None:
            verdict = read_header(text, self.push_sockets, self.length_shown, self.read_due)
            if isinstance(verdict, Header) and verdict.end <= known:
                verdict = MALFORMED  # length_shown changed behind its separator
            if isinstance(verdict, Header):
                self._begin_payload(verdict, text)
                return stop - len(text) + verdict.end
            # Other text isn't mistaken for a header when it is looked at again.
            self._verdict = verdict if text.startswith(b"+QI") else None
        if len(text.rstrip(b"\r\n")) > LINE_MAX_BYTES:
            self._end_line(text, frames)
            self._skipping = lf < 0
        elif lf < 0:
            # One CR too many tells a CR behind the longest line from none.
            self._tail = text[: LINE_MAX_BYTES + 1]
        else:
            self._end_line(text, frames)
        return stop

    def _find_prompt(self, text: bytes, known: int) -> int:
        """Find ``>`` at the start of a line, or behind an echo that only CR ended.

        ``known`` bytes came before the prompt was due or have been looked at.
        """
        if not known and text.startswith(b">"):
            return 0
        if text[:2].upper() != b"AT":
            return -1
        mark = text.find(b"\r>", max(0, known - 1)) + 1
        return mark if mark and len(text[:mark].rstrip(b"\r")) <= LINE_MAX_BYTES else -1

    def _end_line(self, text: bytes, frames: list[Frame]) -> None:
        reason = self._verdict
        self._tail = b""
        self._verdict = None
        frame = self._lines[text.rstrip(b"\n")]
        if frame is None:
            return
        if isinstance(frame, Line):
            if reason:
                frame = Damage(reason, frame.text)
            elif frame.text in _FINALS or _FINAL_ERROR.match(frame.text):
                self.prompt_due = self.hold_after_final = False
        frames.append(frame)

    def _skip(self, data: bytes, start: int) -> int:
        """Drop the rest of a line that is too long."""
        lf = data.find(b"\n", start)
        self._skipping = lf < 0
        return lf + 1 or len(data)

    def _begin_payload(self, header: Header, text: bytes) -> None:
        self._tail = b""
        self._header = header
        self._hex = self.hex_receive
        self.negative_remainings += header.negative
        self._left = header.size * 2 if self._hex else header.size
        self._pieces = []
        if text[header.end - 1] == _CR:
            self._optional = _LF

    def _take_payload(self, header: Header, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take what there is of a payload, which may hold anything."""
        piece = data[start : start + self._left]
        self._pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            raw = self._end_payload()
            frames.append(_new(Payload, (header.connect_id, header.remaining, raw)))
            self._expect_end(header)
        return start + len(piece)

    def _take_digits(self, header: Header, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take what there is of a payload in hex, which ends early at a line end."""
        if not self._pieces and data[start] == _QUOTE:
            self._left += 2
        piece = data[start : start + self._left]
        if line_end := _LINE_END.search(piece):
            piece = piece[: line_end.start()]
        self._pieces.append(piece)
        self._left -= len(piece)
        if line_end:
            frames.append(Damage(_NOT_HEX, self._end_payload()))
        elif not self._left:
            frame = _decode(header, self._end_payload())
            frames.append(frame)
            if isinstance(frame, Payload):
                self._expect_end(header)
        return start + len(piece)

    def _expect_end(self, header: Header) -> None:
        if header.connect_id is None:
            self._line_ends_due = _BEHIND_READ
        else:
            self._push_ended = True

    def _end_payload(self) -> bytes:
        raw = b"".join(self._pieces)
        self._pieces = []
        self._header = None
        return raw

    def _take_line_end(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Check a byte behind a ``+QIRD`` payload: a lost byte would go unseen."""
        due = self._line_ends_due
        if data[start] == due[0]:
            self._line_ends_due = due[1:]
            return start + 1
        frames.append(Damage(_NO_LINE_END, _BEHIND_READ[: -len(due)]))
        self._line_ends_due = b""
        return start

    def _take_push_end(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Look at what follows pushed data: a line end, or else bytes of it were lost."""
        behind = self._behind_push + data[start : start + 1]
        if behind in _PUSH_ENDS_UNDECIDED:
            self._behind_push = behind
            return start + 1
        self._push_ended, self._behind_push = False, b""
        end: bool | None = None
        prompted = self.prompt_due and behind.endswith(_PROMPT)
        if behind.startswith(_PUSH_END) and not prompted:
            end = behind[2] in _PUSH_END
        elif not prompted and not behind.startswith(b"\r") and not _BANNER.match(behind):
            frames.append(Damage(NO_PUSH_END, b""))
        self.push_ends.append(end)
        return start

    @property
    def behind_push(self) -> bytes | None:
        """The line end bytes behind a pushed payload whose end isn't known yet; else ``None``."""
        return self._behind_push if self._push_ended else None


class _Lines(dict[bytes, Line | Damage | None]):
    """Each record (a line without its LF) and its frame; ``None`` for an empty one.

    Most lines come again and again, and so cost one look-up.
    """

    def __missing__(self, record: bytes) -> Line | Damage | None:
        text = record.strip(b"\r")
        if len(text) > LINE_MAX_BYTES:
            return Damage(_LINE_TOO_LONG, text[:LINE_MAX_BYTES])
        frame = _new(Line, (text,)) if text else None
        if len(record) <= _CACHED_LINE_MAX_BYTES:
            if len(self) >= _CACHED_LINES:
                self.clear()
            self[record] = frame
        return frame


# Ours. A line of 64 bytes holds any URC but "incoming" over IPv6; 512 such lines
# take about 100 KiB.
_CACHED_LINE_MAX_BYTES: Final = 64
_CACHED_LINES: Final = 512


def _decode(header: Header, raw: bytes) -> Payload | Damage:
    """Decode hex digits, quoted or bare (the note doesn't say which)."""
    digits = raw[1:-1] if raw[0] == raw[-1] == _QUOTE else raw
    try:
        return Payload(header.connect_id, header.remaining, binascii.unhexlify(digits))
    except binascii.Error:
        return Damage(_NOT_HEX, raw)
