"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). Payloads are counted by their header (§2.2.6,
§2.3.2) and may hold any byte, even ``OK``. Whether a header announces a payload
depends on state the bytes don't carry: see :attr:`Framer.push_sockets`,
:attr:`Framer.length_shown` and :attr:`Framer.hex_receive`.

There are several ways through a chunk. The exact one takes a line, a payload or a prompt
at a time, from any state. The quick ones (:mod:`aiobc9x.wire._quick`) stand aside where a
prompt is due, where an answer is held, and at whatever looks odd. All give the same
frames. Bytes that end nothing are only kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire._exact import BEHIND_READ, NONE_INERT, UNDECIDED, Exact
from aiobc9x.wire._frames import Damage, Frame, Line, Payload, Prompt
from aiobc9x.wire._headers import HEADER_IN
from aiobc9x.wire._quick import BLOCK_BYTES, LOOKOUT, Quick
from aiobc9x.wire._records import recall
from aiobc9x.wire._rests import INERT, INERT_IN_HEADER, INERT_IN_TEXT, RESTS

__all__ = ["Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

_LINE_CUT: Final = "line given up"
_PAYLOAD_CUT: Final = "payload given up"

_LF: Final = 0x0A
# What is left behind a payload may be the beginning of the next line, if it is this short.
_SHORT_BYTES: Final = 24
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__


class Framer(Quick):
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

    def __repr__(self) -> str:
        """Name the state in one line."""
        if due := self._left or self._digits_left or self._size:
            return f"<Framer in a payload, {due} bytes due>"
        skipping = self._step is Exact._skip
        return f"<Framer {'skipping' if skipping else 'in lines'}, {len(self._held)} held>"

    @property
    def is_cut(self) -> bool:
        """Whether a line or a payload has begun and not ended."""
        if self._left or self._digits_left or self._size:
            return True
        return bool(self._tail.strip(b"\r\n\x00\xff"))  # noise is no beginning

    def feed(self, data: bytes | bytearray | memoryview) -> Sequence[Frame]:
        """Take received bytes; return the frames they complete.

        Args:
            data: Any number of bytes, cut anywhere. Buffers other than ``bytes`` are
                copied, and may be used again.

        Returns:
            Frames in order of arrival, the same however the stream was cut.
            Damage comes as a :class:`Damage` frame; nothing is raised.

        """
        if type(data) is not bytes:
            data = bytes(data)
        size, left = len(data), self._left
        if size < left:
            self._left = left - size
            self._pieces.append(data)
            return ()
        if size == 1 and data in self._inert:
            tail = self._tail + data
            if len(tail) <= LINE_MAX_BYTES:
                self._tail = tail
                return ()
        if self._step is not None or self.prompt_due or self.hold_after_final:
            return self._feed_exactly(data)
        if left:
            return self._feed_end(data, left)
        if not 1 < size <= BLOCK_BYTES:
            return self._feed_byte(data) if size == 1 else self._feed_block(data)
        if _LF not in data:
            if self._inert is INERT_IN_TEXT and len(self._tail) <= LINE_MAX_BYTES - size:
                self._tail += data
                return ()
            return self._feed_part(data)
        if not self._tail and data[-1] == _LF and type(found := recall(data)) is Line:
            return [found]
        frames: list[Frame] = []
        text = self._tail + data
        if self._lookout > 0:
            stop = self._take_records(text, 0, frames)
        else:
            stop = self._take_pieces(text, frames)
        if stop >= 0:
            self._go_on(text, stop, len(text) - size, frames)
        return frames or ()

    def _feed_end(self, data: bytes, left: int) -> Sequence[Frame]:
        """Take a chunk that begins with the last bytes of a payload."""
        number = self._connect_id
        raw = self._join(data[:left]) if self._pieces else self._part + data[:left]
        frames: list[Frame] = [_new(Payload, (number, self._remaining, raw))]
        self._left, self._lookout = 0, LOOKOUT
        if data[left : left + 4] != BEHIND_READ:
            return self._feed_behind(data, left, frames)
        if number is not None:
            self.push_ends.append(True)
        if len(data) - left < _SHORT_BYTES and (kept := RESTS.get(data[left + 2 :])) is not None:
            self._tail, self._inert = kept
            return frames
        stop = self._take_records(data, left + 2, frames)
        if stop >= 0:
            self._go_on(data, stop, 0, frames)
        return frames

    def _feed_block(self, data: bytes) -> Sequence[Frame]:
        """Take a chunk that is long: it pays to look whether its beginning has payloads."""
        frames: list[Frame] = []
        text = self._tail + data
        if self._lookout > 0 or HEADER_IN(text, 0, BLOCK_BYTES):
            stop = self._take_records(text, 0, frames)
        else:
            stop = self._take_pieces(text, frames)
        if stop >= 0:
            self._go_on(text, stop, len(text) - len(data), frames)
        return frames or ()

    def _feed_part(self, data: bytes) -> Sequence[Frame]:
        """Take some more of a line, which may be a header."""
        text = (self._tail or b"\r\n") + data
        if (kept := RESTS.get(text)) is not None:
            self._tail, self._inert = kept
            return ()
        if self._keep_line(text):
            return ()
        frames: list[Frame] = []
        self._go_on(text, 0, len(text) - len(data), frames)
        return frames or ()

    def _feed_behind(self, data: bytes, start: int, frames: list[Frame]) -> Sequence[Frame]:
        """Take what follows a payload, if that isn't two CRLFs, and go on."""
        start = self._look_behind(self._connect_id is not None, data, start)
        if self._step is None:
            start = self._take_records(data, start, frames)
        if 0 <= start < len(data):
            self._go_on(data, start, 0, frames)
        return frames or ()

    def _feed_byte(self, data: bytes) -> Sequence[Frame]:
        """Take a single byte that may end something."""
        text = self._tail + data
        if (kept := RESTS.get(text)) is not None:
            self._tail, self._inert = kept
            return ()
        frames: list[Frame] = []
        start = 0
        if data == b"\n":
            if type(found := recall(text)) is Line:
                self._tail, self._inert = b"", INERT
                return [found]
            if found and found[-1] and found[0] not in self.push_sockets:
                self._tail, self._inert = b"", INERT
                return [found[-1]]
            start = self._take_records(text, 0, frames)
        elif data == b"\r" and self._inert is INERT_IN_HEADER:
            if self._keep_separator(text):
                return ()
        elif self._keep_line(text):
            return ()
        if start >= 0:
            self._go_on(text, start, len(text) - 1, frames)
        return frames or ()

    def _feed_exactly(self, data: bytes) -> Sequence[Frame]:
        """Take a chunk where something must be looked at closely."""
        frames: list[Frame] = []
        if self._held or self.hold_after_final:
            self._take_held(data, 0, frames)
        elif self.prompt_due or not self._take_behind(data, frames):
            self._run(data, 0, frames)
        return frames or ()

    def _take_behind(self, data: bytes, frames: list[Frame]) -> bool:
        """Take what is due behind a payload, and what follows; return whether it came."""
        is_push = self._step is Exact._take_push_end
        if not is_push and self._step is not Exact._take_line_end:
            return False
        known = len(self._behind)
        text = self._behind + data
        if text.startswith(BEHIND_READ):
            self._step, self._behind = None, b""
            if is_push:
                self.push_ends.append(True)
            start = self._take_records(text, 2, frames)
            if start >= 0:
                self._go_on(text, start, known, frames)
            return True
        if text in UNDECIDED[is_push]:
            self._behind = text
            return True
        return False

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
            frames.append(Damage(_PAYLOAD_CUT, self._part + b"".join(self._pieces)))
        elif text := self._tail.strip(b"\r\n"):
            frames.append(Damage(_LINE_CUT, text))
        self._start_afresh()
        return frames or ()

    def _take_held(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Frame what is held, and then this."""
        self._held.append((data, start))
        self._release(frames)
        return len(data)

    def _release(self, frames: list[Frame]) -> None:
        """Frame the held chunks, up to the next hold."""
        armed = self.hold_after_final
        if self._step is Framer._take_held:
            self._step = None
        while self._held and self.hold_after_final == armed:
            data, start = self._held.popleft()
            stop = self._run(data, start, frames)
            if stop < len(data):
                self._held.appendleft((data, stop))
        self._inert = NONE_INERT
        if self._held and self._step is None:
            self._step = Framer._take_held  # feed() asks for a step, not for held chunks
