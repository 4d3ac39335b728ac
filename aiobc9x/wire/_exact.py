"""Frame a line, a payload or a prompt at a time, from any state.

Layer: wire. Does no I/O, reads no clock. :mod:`aiobc9x.wire.framer` has the public side
and the quick way, which this one completes.
"""

from __future__ import annotations

import binascii
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiobc9x.spec import LINE_MAX_BYTES, READ_MAX_BYTES
from aiobc9x.wire._frames import NO_PUSH_END, NO_READ_END, Damage, Frame, Line, Payload, Prompt
from aiobc9x.wire._headers import LINE, MALFORMED, Header, read_header

BEHIND_READ: Final = b"\r\n\r\n"
"""One ends the payload, one begins the next answer or URC (§2.1.2, example 4.1.3)."""

PUSH_END: Final = b"\r\n"
"""This is optional behind pushed data; that in front of what comes next is not."""

NONE_INERT: Final[frozenset[bytes]] = frozenset()
"""No single byte goes unseen."""

_LINE_TOO_LONG: Final = f"line exceeds {LINE_MAX_BYTES} bytes; these are its first"
_NOT_HEX: Final = "hex payload holds other bytes than hex digits"

_LF: Final = 0x0A
_CR: Final = 0x0D
_SPACE: Final = 0x20
_QUOTE: Final = 0x22
_PROMPT: Final = b">"
# A boot banner begins with LF CR, where anything else begins with CR LF.
_BANNER: Final = re.compile(rb"\n\r[^\n]")
UNDECIDED: Final = (
    frozenset({b"", b"\r", b"\r\n", b"\r\n\r"}),
    frozenset({b"", b"\r", b"\n", b"\r\n", b"\n\r"}),
)
"""What may follow a +QIRD payload, and a pushed one, so that more bytes must tell."""

# More pushes than fit in any chunk that a port delivers.
_PUSH_ENDS_KEPT: Final = 1024
# A line, its line end, and a byte that makes it too long.
_NEAR_BYTES: Final = LINE_MAX_BYTES + 2
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__
_FINALS: Final = frozenset({b"OK", b"ERROR"})
_FINAL_ERROR: Final = re.compile(rb"\+CM[ES] ERROR {0,8}:")
_LINE_END: Final = re.compile(rb"[\r\n]")


class Exact:
    """The state of a framer, and what takes the next bytes in each.

    A method that takes bytes gets the chunk, the offset to go on from and the list to add
    frames to, and returns the offset behind what it took.
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
        self._start_afresh()

    def _start_afresh(self) -> None:
        # The line in progress, with line ends in front of it or without, and which single
        # bytes may be added to it unseen.
        self._tail: bytes = b""
        self._inert: frozenset[bytes] = NONE_INERT
        # The payload in progress: what its header says, the bytes that are here, and how
        # many bytes, or hex digits and quotes, are still to come.
        self._connect_id: int | None = None
        self._remaining: int | None = None
        self._part: bytes = b""
        self._pieces: list[bytes] = []
        self._left: int = 0
        self._digits_left = 0
        # The same while the LF behind its header may still come.
        self._size = 0
        self._hex = False
        # What takes the next byte, where that is neither of a line nor of a payload.
        self._step: Step | None = None
        # What has followed a payload, until that tells how it ended.
        self._behind = b""

    def _look_behind(self, is_push: bool, text: bytes, stop: int) -> int:
        """Look at the line ends behind a payload; return where the next line may begin."""
        behind = text[stop : stop + 4]
        if behind not in UNDECIDED[is_push]:
            if behind == BEHIND_READ and not is_push:
                return stop + 4
            if is_push and behind.startswith(PUSH_END) and not self.prompt_due:
                self.push_ends.append(behind[2] in PUSH_END)
                return stop + 2
            behind = b""
        self._step = Exact._take_push_end if is_push else Exact._take_line_end
        self._behind = behind
        return stop + len(behind)

    def _take_line(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take one line, prompt or header, or what there is of it."""
        self._inert = NONE_INERT
        near = start + _NEAR_BYTES
        lf = data.find(b"\n", start, near)
        stop = lf + 1 or min(near, len(data))
        tail = self._tail.lstrip(b"\r\n")
        known = len(tail)
        text = (tail + data[start:stop]).lstrip(b"\r")
        mark = self._find_prompt(text, known) if self.prompt_due else -1
        if mark >= 0:
            self._end_line(text[:mark], LINE, frames)
            frames.append(Prompt())
            self.prompt_due = False
            self._step = Exact._take_space
            return stop - len(text) + mark + 1
        verdict = read_header(text, self.push_sockets, self.length_shown, self.read_due)
        if isinstance(verdict, Header):
            if verdict.end > known:
                self._begin_payload(verdict, text)
                return stop - len(text) + verdict.end
            verdict = MALFORMED  # a rule changed behind its separator
        if lf >= 0 or len(text.rstrip(b"\r")) > LINE_MAX_BYTES:
            self._end_line(text, verdict, frames)
            self._step = None if lf >= 0 else Exact._skip
        else:
            # One CR too many tells a CR behind the longest line from none.
            self._tail = text[: LINE_MAX_BYTES + 1] or b"\r"
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

    def _take_space(self, data: bytes, start: int, _: list[Frame]) -> int:
        """Drop the space of a prompt."""
        self._step = None
        return start + (data[start] == _SPACE)

    def _end_line(self, text: bytes, damage: str | None, frames: list[Frame]) -> None:
        self._tail = b""
        line = text.strip(b"\r\n")
        if not line:
            return
        if len(line) > LINE_MAX_BYTES:
            frames.append(Damage(_LINE_TOO_LONG, line[:LINE_MAX_BYTES]))
        elif damage:
            frames.append(Damage(damage, line))
        else:
            if line in _FINALS or _FINAL_ERROR.match(line):
                self.prompt_due = self.hold_after_final = False
            frames.append(_new(Line, (line,)))

    def _skip(self, data: bytes, start: int, _: list[Frame]) -> int:
        """Drop the rest of a line that is too long."""
        lf = data.find(b"\n", start)
        if lf < 0:
            return len(data)
        self._step = None
        return lf + 1

    def _begin_payload(self, header: Header, text: bytes) -> None:
        self._tail = b""
        self._connect_id, self._remaining = header.connect_id, header.remaining
        self._part = b""
        self.negative_remainings += header.negative
        self._size = header.size
        self._hex = self.hex_receive
        if text[header.end - 1] == _CR:
            self._step = Exact._take_separator
        else:
            self._take_separator(text, header.end - 1, [])

    def _take_separator(self, data: bytes, start: int, _: list[Frame]) -> int:
        """Drop the LF of a CRLF in front of a payload."""
        if self._hex:
            self._digits_left = 2 * self._size
            self._step = Exact._take_digits
        else:
            self._left = self._size
            self._step = None
        self._size = 0
        return start + (data[start] == _LF)

    def _take_payload(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take what there is of a payload, which may hold anything."""
        stop = start + self._left
        piece = data[start:stop]
        self._pieces.append(piece)
        if stop > len(data):
            self._left = stop - len(data)
            return len(data)
        self._left = 0
        raw = self._join(b"")
        frames.append(_new(Payload, (self._connect_id, self._remaining, raw)))
        return self._look_behind(self._connect_id is not None, data, stop)

    def _join(self, last: bytes) -> bytes:
        """Join the pieces of a payload."""
        pieces = self._pieces
        pieces.append(last)
        raw = self._part + b"".join(pieces)
        pieces.clear()
        return raw

    def _take_digits(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Take what there is of a payload in hex, which ends early at a line end."""
        if not self._pieces and data[start] == _QUOTE:
            self._digits_left += 2
        piece = data[start : start + self._digits_left]
        if line_end := _LINE_END.search(piece):
            piece = piece[: line_end.start()]
        self._pieces.append(piece)
        self._digits_left -= len(piece)
        start += len(piece)
        if not line_end and self._digits_left:
            return start
        self._step = None
        self._digits_left = 0
        raw = self._join(b"")
        frame = Damage(_NOT_HEX, raw) if line_end else self._decode(raw)
        frames.append(frame)
        if isinstance(frame, Payload):
            start = self._look_behind(self._connect_id is not None, data, start)
        return start

    def _decode(self, raw: bytes) -> Payload | Damage:
        """Decode hex digits, quoted or bare (the note doesn't say which)."""
        digits = raw[1:-1] if raw[0] == raw[-1] == _QUOTE else raw
        try:
            return Payload(self._connect_id, self._remaining, binascii.unhexlify(digits))
        except binascii.Error:
            return Damage(_NOT_HEX, raw)

    def _take_line_end(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Check the bytes behind a ``+QIRD`` payload: a lost byte would go unseen."""
        behind = self._behind
        while start < len(data) and data[start] == BEHIND_READ[len(behind)]:
            behind += data[start : start + 1]
            start += 1
            if behind == BEHIND_READ:
                break
        else:
            if start == len(data):
                self._behind = behind
                return start
            frames.append(Damage(NO_READ_END, behind))
        self._step, self._behind = None, b""
        return start

    def _take_push_end(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Look at what follows pushed data: a line end, or else bytes of it were lost."""
        behind = self._behind
        while behind in UNDECIDED[True]:
            if start == len(data):
                self._behind = behind
                return start
            behind += data[start : start + 1]
            start += 1
        self._step, self._behind = None, b""
        end: bool | None = None
        prompted = self.prompt_due and behind.endswith(_PROMPT)
        if behind.startswith(PUSH_END) and not prompted:
            end = behind[2] in PUSH_END
        elif not prompted and not behind.startswith(b"\r") and not _BANNER.match(behind):
            frames.append(Damage(NO_PUSH_END, b""))
        self.push_ends.append(end)
        # The byte that tells is of the next line, unless it ends an empty one.
        return start if end else start - 1

    @property
    def behind_push(self) -> bytes | None:
        """The line end bytes behind a pushed payload whose end isn't known yet; else ``None``."""
        return self._behind if self._step is Exact._take_push_end else None


# Any: a method of this class or of one that completes it.
Step: TypeAlias = Callable[[Any, bytes, int, list[Frame]], int]
