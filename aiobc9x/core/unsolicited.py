"""What URCs and pushed payloads mean for the sockets.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiobc9x.core.effects import ReceiveHex, ShowLength, SwitchMode
from aiobc9x.core.events import DatagramLost, DataReceived, Drained, Event, Failed
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.receiving import announce
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.framer import Framer, Payload
from aiobc9x.wire.urcs import (
    BufferFull,
    Closed,
    Incoming,
    IncomingFull,
    OpenResult,
    Received,
    Urc,
)

_OVERFLOW = (
    'the module reported "buff full" and may have dropped received bytes; read faster, use '
    "access_mode=AccessMode.PUSH, or, for a module that throttles its peer instead, "
    'ModuleProfile(on_buffer_full="continue")'
)


class Routing:
    """Applies what the module says of its own accord to the socket table."""

    def __init__(self, sockets: SocketTable, framer: Framer, statistics: Statistics) -> None:
        self._sockets, self._framer, self._statistics = sockets, framer, statistics

    def on_urc(self, urc: Urc, profile: ModuleProfile) -> Iterator[Event]:
        """Act on a URC; yield what it means for the sockets."""
        match urc:
            case Received(connect_id, length):
                if (slot := self._live(connect_id)) is not None:
                    announce(slot, length)
            case Closed(connect_id):
                yield from self._closed(connect_id)
            case BufferFull(connect_id):
                yield from self._overflow(connect_id, profile)
            case OpenResult(connect_id, 0):
                self._opened(connect_id)
            case Incoming(connect_id=connect_id):
                yield from self._incoming(connect_id)
            case IncomingFull():
                self._statistics.incoming_full += 1

    def on_push(self, payload: Payload) -> Iterator[Event]:
        """Deliver a pushed payload (§2.3.2)."""
        assert payload.connect_id is not None
        slot = self._live(payload.connect_id)
        if slot is None:
            self._statistics.unowned_bytes += len(payload.data)
        else:
            yield DataReceived(slot, payload.data)

    def apply(self, effect: ReceiveHex | ShowLength | SwitchMode) -> None:
        """Take note of a setting that changes how received data are framed."""
        match effect:
            case ReceiveHex(on):
                self._framer.hex_receive = on
            case ShowLength(on):
                self._framer.length_shown = on
            case _:
                self.set_access_mode(effect.connect_id, effect.access_mode)

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Note how a socket's data arrive from now on."""
        slot = self._sockets.get(connect_id)
        if slot is not None:
            slot.access_mode = mode
        if mode is AccessMode.PUSH:
            self._framer.push_sockets.add(connect_id)
        else:
            self._framer.push_sockets.discard(connect_id)

    def suspect(self) -> None:
        """Have every open buffer-mode socket read once: a URC may have been lost."""
        for slot in self._sockets:
            if slot.state is SlotState.OPEN and slot.access_mode is AccessMode.BUFFER:
                slot.readable = True

    def break_pushes(self, reason: str) -> Iterator[Event]:
        """End every push-mode connection: the bytes in question may have been theirs.

        Of datagrams one may be lost, which ends nothing.
        """
        text = f"pushed bytes may be lost: {reason}"
        for slot in self._sockets:
            if slot.is_live and slot.connect_id in self._framer.push_sockets:
                broken = DatagramLost(slot, text) if slot.is_datagram else None
                yield broken or Failed(slot, StreamBroken(text))

    def _live(self, connect_id: int) -> Slot | None:
        slot = self._sockets.get(connect_id)
        return slot if slot is not None and slot.is_live else None

    def _opened(self, connect_id: int) -> None:
        slot = self._sockets.get(connect_id)
        if slot is not None and slot.state is SlotState.OPENING:
            slot.move(SlotState.OPEN)

    def _closed(self, connect_id: int) -> Iterator[Event]:
        slot = self._sockets.get(connect_id)
        if slot is None or slot.state is not SlotState.OPEN:
            return
        slot.move(SlotState.REMOTE_CLOSED)
        if slot.access_mode is AccessMode.PUSH:
            yield Drained(slot)
        else:  # what the peer sent before is still there (§2.3.1)
            slot.readable = True

    def _overflow(self, connect_id: int, profile: ModuleProfile) -> Iterator[Event]:
        self._statistics.buffer_overflows += 1
        slot = self._live(connect_id)
        if slot is None:
            return
        announce(slot, None)
        if slot.is_datagram:
            yield DatagramLost(slot, 'the module reported "buff full" and dropped a datagram')
        elif profile.on_buffer_full == "fail":
            yield Failed(slot, StreamBroken(_OVERFLOW))

    def _incoming(self, connect_id: int) -> Iterator[Event]:
        old = self._sockets.get(connect_id)
        was_open = old is not None and old.is_live
        self._sockets.usurp(connect_id)
        if old is not None and was_open:
            yield Failed(old, StreamBroken("its connect ID went to an incoming connection"))
        # An incoming connection always starts in Buffer Access Mode (§2.3.5).
        self._framer.push_sockets.discard(connect_id)
        self._sockets.adopt(connect_id, ServiceType.TCP_INCOMING, AccessMode.BUFFER)
        self._statistics.incoming += 1
