"""Split the module's byte stream into frames.

Layer: wire. Does no I/O, reads no clock.

Lines end at ``<CR><LF>`` (§2.1.2). Payloads are counted by their header (§2.2.6,
§2.3.2) and may hold any byte, even ``OK``. Whether a header announces a payload
depends on state the bytes don't carry: see :attr:`Framer.push_sockets`,
:attr:`Framer.length_shown` and :attr:`Framer.hex_receive`.

There are two ways through a chunk. The exact one takes a line, a payload or a prompt
at a time, from any state. The quick ones (:mod:`aiobc9x.wire._quick`) stand aside where a
prompt is due, where an answer is held, and at whatever looks odd. All give the same
frames. Single bytes that end nothing are only kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire._exact import BEHIND_READ, NONE_INERT, Exact
from aiobc9x.wire._frames import Damage, Frame, Line, Payload, Prompt
from aiobc9x.wire._headers import KINDS, OTHER_URC, UNFINISHED
from aiobc9x.wire._quick import (
    FEW_BYTES,
    INERT,
    INERT_IN_HEADER,
    INERT_IN_TEXT,
    RESTS,
    Quick,
)

__all__ = ["Damage", "Frame", "Framer", "Line", "Payload", "Prompt"]

_LINE_CUT: Final = "line given up"
_PAYLOAD_CUT: Final = "payload given up"

# So many bytes of CRLF CRLF are due when the next one tells how a push ended.
_DECISIVE_BYTES: Final = 2
_LF: Final = 0x0A
_CR: Final = 0x0D
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
        if size > FEW_BYTES:
            return self._feed_lines(data)
        if not left:
            if not self._tail:
                data = data.lstrip(b"\r\n")
            if _LF not in data:
                return self._feed_part(data)
        if left or self._lookout > 0:
            return self._feed_tokens(data, left)
        return self._feed_short(data)

    def _feed_exactly(self, data: bytes) -> Sequence[Frame]:
        """Take a chunk where something must be looked at closely."""
        due = self._due_behind()
        if due and data.startswith(due) and len(data) <= FEW_BYTES:
            if self._step is Exact._take_push_end:
                self.push_ends.append(True)
            self._step, self._behind_push, self._line_ends_due = None, b"", b""
            return self._feed_tokens(data[len(due) :], 0)
        if len(data) == 1 and due.startswith(data):
            self._take_due(due)
            return ()
        frames: list[Frame] = []
        if self._held or self.hold_after_final:
            self._held.append((data, 0))
            self._release(frames)
        else:
            self._run(data, 0, frames)
        return frames or ()

    def _take_due(self, due: bytes) -> None:
        """Take the first of the bytes that are due behind a payload, and not the last."""
        if self._step is Exact._take_line_end:
            self._line_ends_due = due[1:]
        elif len(due) > _DECISIVE_BYTES:
            self._behind_push += due[:1]
        else:  # the CR in front of the next line: there is a line end of the data's own
            self._step, self._behind_push, self._inert = None, b"", INERT
            self.push_ends.append(True)

    def _due_behind(self) -> bytes:
        """Return what is due behind a payload, if nothing else is to be looked out for."""
        if self.prompt_due or self.hold_after_final or self._held:
            return b""
        if self._step is Exact._take_line_end:
            return self._line_ends_due
        if self._step is Exact._take_push_end and BEHIND_READ.startswith(self._behind_push):
            return BEHIND_READ[len(self._behind_push) :]
        return b""

    def _feed_part(self, data: bytes) -> Sequence[Frame]:
        """Take some more of a line."""
        tail = self._tail
        text = tail + data
        if self._inert is INERT_IN_TEXT and len(text) <= LINE_MAX_BYTES:
            self._tail = text
            return ()
        kept = RESTS.get(text)
        if kept is not None:
            self._tail = kept
            self._inert = INERT_IN_HEADER if kept else INERT
            return ()
        self._inert = NONE_INERT
        if text[:6] not in KINDS or OTHER_URC(text):
            if text[0] != _CR and len(text) <= LINE_MAX_BYTES:
                self._tail, self._inert = text, INERT_IN_TEXT
                return ()
        elif self.length_shown:
            if UNFINISHED(text):
                self._tail = text
                return ()
            if text[-1] == _CR and self._take_separator_byte(text):
                return ()
        self._tail = b""
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
