"""What URCs and pushed payloads mean for the sockets.

Layer: core. Does no I/O; time comes in as ``now``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Opened,
    OpenRefused,
    Orphaned,
    RemoteClosed,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.receiving import announce
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.trust import Loss
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode, Err, ServiceType
from aiobc9x.wire.commands.base import CloseSocket, OpenSocket, ReceiveHex, ShowLength, SwitchMode
from aiobc9x.wire.framer import Framer, Payload
from aiobc9x.wire.urcs import (
    BufferFull,
    Closed,
    CloseOk,
    Incoming,
    IncomingFull,
    OpenResult,
    Received,
    Urc,
)

_OPEN: Final = SlotState.OPEN  # to look an attribute of an enum up takes its time

HELD_MAX_BYTES: Final = 64 * 1024
"""Pushed bytes that may wait until a switch to push mode is complete. Ours."""

_OVERFLOW = (
    'the module reported "buff full" and may have dropped received bytes; read faster, use '
    "access_mode=AccessMode.PUSH, or, for a module that throttles its peer instead, "
    'ModuleProfile(on_buffer_full="continue")'
)


class Unsolicited:
    """Applies what the module says of its own accord to the socket table."""

    def __init__(self, sockets: SocketTable, framer: Framer, statistics: Statistics) -> None:
        self._sockets, self._framer, self._statistics = sockets, framer, statistics
        self._closing_id: int | None = None

    def on_urc(self, urc: Urc, profile: ModuleProfile) -> Iterator[Event]:
        """Act on a URC; yield what it means for the sockets."""
        match urc:
            case Received(connect_id, length):
                slot, events = self._proven(connect_id)
                yield from events
                if slot is not None:
                    announce(slot, length)
            case Closed(connect_id):
                slot, events = self._proven(connect_id)
                yield from events
                if slot is not None:
                    yield from self.remote_closed(slot)
            case BufferFull(connect_id):
                slot, events = self._proven(connect_id)
                yield from events
                yield from self._overflow(slot, profile)
            case OpenResult(connect_id, err):
                yield from self._open_result(connect_id, err)
            case Incoming():
                yield from self._incoming(urc)
            case IncomingFull():
                self._statistics.incoming_full += 1

    def is_doubled(self, urc: Urc) -> bool:
        """Whether this is an ``"incoming"`` that has come before, of a connection in use."""
        if not isinstance(urc, Incoming):
            return False
        slot = self._sockets.get(urc.connect_id)
        peer = (urc.remote_ip, urc.remote_port)
        return slot is not None and slot.peer == peer

    def on_push(self, payload: Payload, now: float) -> Iterator[Event]:
        """Deliver a pushed payload (§2.3.2)."""
        assert payload.connect_id is not None
        slot = self._sockets.get(payload.connect_id)
        if slot is None or slot.state is not _OPEN:
            slot, events = self._proven(payload.connect_id, is_own=True)
            yield from events
        if slot is None or not slot.is_live:
            self._statistics.unowned_bytes += len(payload.data)
            return
        slot.pushed_at = now
        if slot.held is None:
            yield DataReceived(slot, payload.data)
            return
        slot.held.append(payload.data)  # behind what the buffer still holds
        if sum(map(len, slot.held)) > HELD_MAX_BYTES:
            yield Failed(slot, StreamBroken("the switch to push mode did not come to its end"))

    def apply(
        self, effect: ReceiveHex | ShowLength | SwitchMode | OpenSocket | CloseSocket
    ) -> None:
        """Take note of a setting that changes how received data are framed."""
        match effect:
            case ReceiveHex(on):
                self._framer.hex_receive = on
            case ShowLength(on):
                self._framer.length_shown = on
            case CloseSocket(connect_id):
                self._closing_id = connect_id
            case _:
                self.set_access_mode(effect.connect_id, effect.access_mode)

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Note how a socket's data arrive from now on."""
        slot = self._sockets.get(connect_id)
        if slot is not None:
            slot.access_mode = mode
            # A buffer may have collected something without a word.
            slot.readable = slot.readable or (mode is AccessMode.BUFFER and slot.is_live)
        self.frame_pushes(connect_id, on=mode is AccessMode.PUSH)

    def frame_pushes(self, connect_id: int, *, on: bool) -> None:
        """Have a socket's data framed as pushed ones, or as announcements."""
        if on:
            self._framer.push_sockets.add(connect_id)
        else:
            self._framer.push_sockets.discard(connect_id)

    def end_pushes(self, urc: Urc) -> None:
        """Frame no more pushed data of a socket that is gone, also while its URC is withheld."""
        if isinstance(urc, CloseOk) and self._closing_id is not None:
            self.frame_pushes(self._closing_id, on=False)
            self._closing_id = None
        elif isinstance(urc, Incoming):
            slot = self._sockets.get(urc.connect_id)
            if slot is None or not slot.is_live:
                self.frame_pushes(urc.connect_id, on=False)

    def suspect(self) -> None:
        """Have every live buffer-mode socket read once: a URC may have been lost."""
        for slot in self._sockets:
            if slot.is_live and slot.has_buffer:
                slot.readable = True

    def break_pushes(self, loss: Loss, since: float | None = None) -> Iterator[Event]:
        """End the push-mode connections whose bytes may have been lost.

        Of datagrams one may be lost, which ends nothing.

        Args:
            loss: What shows it, and whose bytes it may have been.
            since: Only those that got data since then.

        """
        text = f"pushed bytes may be lost: {loss.reason}"
        for slot in self._sockets:
            pushes = slot.is_live or slot.state is SlotState.OPENING
            if not pushes or slot.connect_id not in self._framer.push_sockets:
                continue
            if loss.connect_id not in {None, slot.connect_id}:
                continue
            if since is None or slot.pushed_at >= since:
                broken = DatagramLost(slot, text) if slot.is_datagram else None
                yield broken or Failed(slot, StreamBroken(text))

    @property
    def is_pushing(self) -> bool:
        """Whether sockets in push mode are in use."""
        return bool(self._framer.push_sockets)

    def opened(self, slot: Slot) -> Iterator[Event]:
        """Note that a socket is connected."""
        if slot.state is SlotState.OPENING:
            slot.move(SlotState.OPEN)
            yield Opened(slot)

    def remote_closed(self, slot: Slot) -> Iterator[Event]:
        """Note that the peer has closed; what it sent before is still there (§2.3.1)."""
        if slot.state is not SlotState.OPEN:
            return
        slot.move(SlotState.REMOTE_CLOSED)
        yield RemoteClosed(slot)
        if slot.is_listener:
            yield Drained(slot)
        elif slot.has_buffer or slot.wanted_mode is not None:
            slot.readable = True
        elif slot.is_mode_doubtful:
            pass  # it may have a buffer: QISTATE tells
        else:  # nothing was buffered, and what was pushed came before this
            yield Drained(slot)

    def _proven(
        self, connect_id: int, *, is_own: bool = False
    ) -> tuple[Slot | None, Iterator[Event]]:
        """Return who uses an ID that the module has just shown to be connected.

        Its ``+QIOPEN`` may be withheld or lost: data, or an end, prove as much. An ID that
        nobody uses has a connection whose ``"incoming"`` got lost.

        Args:
            connect_id: The ID.
            is_own: It can't be of the ID's former owner: its data are framed by what was asked.

        """
        slot = self._sockets.get(connect_id)
        if slot is None:
            return None, iter((Orphaned(connect_id),))
        # With a listener the ID may be an incoming connection's whose URC got lost: only +QIOPEN,
        # or the module's table, tells.
        is_proof = is_own or (slot.is_asked and not self._sockets.listeners)
        if slot.state is SlotState.OPENING and is_proof and not slot.is_listener:
            return slot, self.opened(slot)
        return (slot if slot.is_live or slot.is_listener else None), iter(())

    def _open_result(self, connect_id: int, err: int) -> Iterator[Event]:
        slot = self._sockets.get(connect_id)
        if slot is None or slot.state is not SlotState.OPENING:
            return
        if err:
            slot.is_asked = False
            yield OpenRefused(slot, err)
        else:
            self.frame_pushes(connect_id, on=slot.access_mode is AccessMode.PUSH)
            yield from self.opened(slot)

    def _overflow(self, slot: Slot | None, profile: ModuleProfile) -> Iterator[Event]:
        self._statistics.buffer_overflows += 1
        if slot is None:
            return
        announce(slot, None)
        if slot.is_datagram:
            yield DatagramLost(slot, 'the module reported "buff full" and dropped a datagram')
        elif profile.on_buffer_full == "fail" and not slot.is_checked:
            yield Failed(slot, StreamBroken(_OVERFLOW))

    def _incoming(self, urc: Incoming) -> Iterator[Event]:
        old = self._sockets.get(urc.connect_id)
        was_open = old is not None and old.is_live
        was_opening = old is not None and old.state is SlotState.OPENING
        self._sockets.usurp(urc.connect_id)
        if old is not None and was_open:
            yield Failed(old, StreamBroken("its connect ID went to an incoming connection"))
        elif old is not None and was_opening:  # another ID will do (§2.3.5)
            yield OpenRefused(old, Err.IDENTITY_IN_USE)
        # An incoming connection always starts in Buffer Access Mode (§2.3.5).
        self._framer.push_sockets.discard(urc.connect_id)
        peer = (urc.remote_ip, urc.remote_port)
        self._sockets.adopt(urc.connect_id, ServiceType.TCP_INCOMING, AccessMode.BUFFER, peer)
        self._statistics.incoming += 1
