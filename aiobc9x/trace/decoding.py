"""Cut what a module said into frames, by the commands that it was given.

Layer: trace. Does no I/O, reads no clock.

How received bytes must be read depends on settings that they don't show (see
:class:`aiobc9x.wire.framer.Framer`). Here the commands themselves tell: AT+QIOPEN and AT+QISWTMD
which sockets push, AT+QICFG how payloads and headers are spelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import READ_MAX_BYTES, AccessMode
from aiobc9x.wire.commands.base import (
    PLAIN,
    CloseSocket,
    EchoLines,
    Effect,
    Meaning,
    OpenSocket,
    Raw,
    ReceiveHex,
    ShowLength,
    SwitchMode,
)
from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload, Prompt
from aiobc9x.wire.urcs import (
    BufferFull,
    Closed,
    CloseOk,
    Incoming,
    OpenResult,
    Received,
    Restart,
    SendFail,
    SendOk,
    Urc,
    parse_urc,
)

__all__ = ["Decoder", "Placed"]

_FINAL: Final = lazy_pattern(rb"OK|ERROR|\+CM[ES] ERROR:.*", re.DOTALL)
_SOCKET: Final = lazy_pattern(
    r"AT\+(?:QI(?:CLOSE|SEND|SENDEX|RD)|QISWTMD)\s*=\s*([0-5])"
    r"|AT\+QIOPEN\s*=\s*[0-9]\s*,\s*([0-5])"
    r"|AT\+QISTATE\s*=\s*1\s*,\s*([0-5])",
    re.IGNORECASE,
)
_SETTING: Final = lazy_pattern(rb'\+QICFG: ?"(dataformat|showlength)",(?:[01],)?([01])')


class Placed(NamedTuple):
    """A frame, and what it belongs to.

    Attributes:
        frame: The frame.
        connect_id: The socket that it is about, if it is about one.
        urc: What a line says, if it is an unsolicited result code.
        is_final: Whether a line is the final result of a command.

    """

    frame: Frame
    connect_id: int | None = None
    urc: Urc | None = None
    is_final: bool = False


class Decoder:
    """Bytes of both directions in, frames of the module out.

    Attributes:
        command: The command in flight, without its ``<CR>``; ``""`` if none is.
        connect_id: The socket of that command, if it names one.

    """

    command: str

    def __init__(self) -> None:
        self.begin_link()

    def begin_link(self) -> None:
        """Begin anew: the port was opened, and nothing is known of the module's state."""
        self._framer = Framer()
        self.command = ""
        self.connect_id: int | None = None
        self._meaning: Meaning = PLAIN
        self._sending: int | None = None
        self._closing: int | None = None
        self._is_held = False

    def command_sent(self, line: bytes, *, awaits_prompt: bool = False) -> int | None:
        """Take a command line that was written; return the socket that it is about, if any.

        Args:
            line: With or without its ``<CR>``.
            awaits_prompt: Its data follow behind a prompt.

        """
        self.command = line.decode("ascii", "backslashreplace").rstrip("\r\n")
        match = _SOCKET.match(self.command)
        self.connect_id = int(next(filter(None, match.groups()))) if match else None
        self._meaning = _meaning_of(self.command)
        framer, effect = self._framer, self._meaning.effect
        framer.read_due = READ_MAX_BYTES if self._meaning.is_read else 0
        framer.prompt_due = awaits_prompt
        framer.hold_after_final = effect is not None
        if self._meaning.is_send:
            self._sending = self.connect_id
        if isinstance(effect, OpenSocket):
            # The peer may send as soon as it is connected, ahead of the OK (§2.2.1).
            self._frame_pushes(effect.connect_id, effect.access_mode)
        return self.connect_id

    def received(self, data: bytes) -> Iterator[Placed]:
        """Take received bytes, cut anywhere; yield the frames that they complete."""
        if self._framer.push_sockets or self._meaning.effect is not None:
            # A line such as CLOSE OK changes how the bytes right behind it are read.
            for piece in data.splitlines(keepends=True):
                yield from self._framed(piece)
        else:
            yield from self._framed(data)

    def _framed(self, data: bytes) -> Iterator[Placed]:
        frames: Sequence[Frame] = self._framer.feed(data)
        while True:
            for frame in frames:
                yield self.place(frame)
            if not self._is_held:
                return
            self._is_held = False
            frames = self._framer.feed(b"")  # what stood behind the final result

    def rest(self) -> Iterator[Placed]:
        """Yield what is left of a link that has ended: the beginning of a line or a payload."""
        for frame in self._framer.resync():
            yield self.place(frame)

    def place(self, frame: Frame) -> Placed:
        """Take a frame, and return it with what it belongs to."""
        match frame:
            case Line(text):
                return self._place_line(frame, text)
            case Payload(connect_id):
                return Placed(frame, self.connect_id if connect_id is None else connect_id)
            case Prompt():
                return Placed(frame, self.connect_id)
            case Damage():
                return Placed(frame)

    def _place_line(self, frame: Line, text: bytes) -> Placed:
        if self.command and _FINAL.fullmatch(text):
            return Placed(frame, self._end(is_ok=text == b"OK"), is_final=True)
        urc = parse_urc(text)
        if urc is not None:
            return Placed(frame, self._on_urc(urc), urc)
        if match := _SETTING.match(text):
            self._apply(
                ReceiveHex(match[2] == b"1")
                if match[1] == b"dataformat"
                else ShowLength(match[2] == b"1")
            )
        return Placed(frame, self.connect_id)

    def _end(self, *, is_ok: bool) -> int | None:
        """Apply what the final result of the command in flight changes."""
        effect, connect_id = self._meaning.effect, self.connect_id
        self._is_held = effect is not None
        if is_ok and effect is not None:
            self._apply(effect)
        elif isinstance(effect, OpenSocket):
            self._framer.push_sockets.discard(effect.connect_id)
        self.command, self.connect_id, self._meaning = "", None, PLAIN
        return connect_id

    def _apply(self, effect: Effect) -> None:
        match effect:
            case ReceiveHex(on):
                self._framer.hex_receive = on
            case ShowLength(on):
                self._framer.length_shown = on
            case SwitchMode(connect_id, mode) | OpenSocket(connect_id, mode):
                self._frame_pushes(connect_id, mode)
            case CloseSocket(connect_id):
                self._closing = connect_id
            case EchoLines():
                pass  # an echo is a line like others

    def _frame_pushes(self, connect_id: int, mode: AccessMode) -> None:
        if mode is AccessMode.PUSH:
            self._framer.push_sockets.add(connect_id)
        else:
            self._framer.push_sockets.discard(connect_id)

    def _on_urc(self, urc: Urc) -> int | None:
        """Follow what a URC changes; return the socket that it is about."""
        connect_id: int | None = None
        match urc:
            case SendOk() | SendFail():
                connect_id = self._sending
            case CloseOk():
                connect_id, self._closing = self._closing, None
                if connect_id is not None:
                    self._framer.push_sockets.discard(connect_id)
            case Restart():
                self._framer.push_sockets.clear()
            case Received() | Closed() | BufferFull() | OpenResult() | Incoming():
                connect_id = urc.connect_id
                if isinstance(urc, Incoming):  # it begins in buffer mode (N30)
                    self._framer.push_sockets.discard(connect_id)
        return connect_id


def _meaning_of(line: str) -> Meaning:
    try:
        return Raw(line).meaning
    except ValueError:  # noise, or a line of another program
        return PLAIN
