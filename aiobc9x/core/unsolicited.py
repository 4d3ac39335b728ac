"""Apply URCs and pushed payloads to the sockets.

Layer: core. Does no I/O; time comes in as ``now``.

A URC is a line that the module prints unasked (§2.3). A pushed payload is data of a socket in
push mode, which the module prints as soon as they arrive (§2.3.2).
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
from aiobc9x.core.receiving import note_announced
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

# Looking up a member of an enum is slow, and this one is compared for each payload.
_OPEN: Final = SlotState.OPEN

HELD_MAX_BYTES: Final = 64 * 1024
"""Pushed bytes that may wait until a switch to push mode is complete. Ours."""

_OVERFLOW = (
    'the module reported "buff full" and may have dropped received bytes; read faster, use '
    "access_mode=AccessMode.PUSH, or, for a module that throttles its peer instead, "
    'ModuleProfile(on_buffer_full="continue")'
)


class Unsolicited:
    """Apply what the module reports unasked to the socket table and to the framer's rules."""

    def __init__(self, sockets: SocketTable, framer: Framer, statistics: Statistics) -> None:
        self._sockets, self._framer, self._statistics = sockets, framer, statistics
        # The socket whose CLOSE OK is due; CLOSE OK itself names none.
        self._closing_id: int | None = None

    def on_urc(self, urc: Urc, profile: ModuleProfile) -> Iterator[Event]:
        """Apply a URC to the socket that it names, and yield what happened."""
        match urc:
            case Received(connect_id, length):
                slot, events = self._connected_slot(connect_id)
                yield from events
                if slot is not None:
                    note_announced(slot, length)
            case Closed(connect_id):
                slot, events = self._connected_slot(connect_id)
                yield from events
                if slot is not None:
                    yield from self.note_remote_closed(slot)
            case BufferFull(connect_id):
                slot, events = self._connected_slot(connect_id)
                yield from events
                yield from self._overflow(slot, profile)
            case OpenResult(connect_id, err):
                yield from self._open_result(connect_id, err)
            case Incoming():
                yield from self._incoming(urc)
            case IncomingFull():
                self._statistics.incoming_full += 1

    def is_doubled(self, urc: Urc) -> bool:
        """Whether this is an ``"incoming"`` for a connection that is in use already (F35)."""
        if not isinstance(urc, Incoming):
            return False
        # A new connection of the same client would have another port.
        slot = self._sockets.get(urc.connect_id)
        peer = (urc.remote_ip, urc.remote_port)
        return slot is not None and slot.peer == peer

    def on_push(self, payload: Payload, now: float) -> Iterator[Event]:
        """Deliver a pushed payload (§2.3.2)."""
        assert payload.connect_id is not None
        slot = self._sockets.get(payload.connect_id)
        # The usual case is an open socket; everything else takes the longer way.
        if slot is None or slot.state is not _OPEN:
            slot, events = self._connected_slot(payload.connect_id, is_own=True)
            yield from events
        # Data of a connection that has failed here, or of a program that crashed (F45).
        if slot is None or not slot.is_live:
            self._statistics.unowned_bytes += len(payload.data)
            return
        slot.pushed_at = now
        if slot.held is None:
            yield DataReceived(slot, payload.data)
            return
        # A switch to push mode is under way. The buffer still holds older data, which must be
        # delivered first.
        slot.held.append(payload.data)
        if sum(map(len, slot.held)) > HELD_MAX_BYTES:
            yield Failed(slot, StreamBroken("the switch to push mode was not completed"))

    def apply(
        self, effect: ReceiveHex | ShowLength | SwitchMode | OpenSocket | CloseSocket
    ) -> None:
        """Apply what a successful command has changed about how received data are framed."""
        match effect:
            case ReceiveHex(on):
                self._framer.hex_receive = on
            case ShowLength(on):
                self._framer.length_shown = on
            case CloseSocket(connect_id):
                # The data end at CLOSE OK, not at the OK of the command.
                self._closing_id = connect_id
            case _:
                self.set_access_mode(effect.connect_id, effect.access_mode)

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Set the access mode of a socket here, as the module has it from now on."""
        slot = self._sockets.get(connect_id)
        if slot is not None:
            slot.access_mode = mode
            # While the socket pushed, nothing was announced; what arrived around the switch may
            # be in the buffer, unannounced.
            slot.readable = slot.readable or (mode is AccessMode.BUFFER and slot.is_live)
        self.frame_pushes(connect_id, on=mode is AccessMode.PUSH)

    def frame_pushes(self, connect_id: int, *, on: bool) -> None:
        """Tell the framer whether ``"recv"`` of a socket is followed by data, or announces them."""
        if on:
            self._framer.push_sockets.add(connect_id)
        else:
            self._framer.push_sockets.discard(connect_id)

    def end_pushes(self, urc: Urc) -> None:
        """Tell the framer that a socket pushes no more, if this URC says that the socket is gone.

        This is done as soon as the URC arrives, even if the session acts on it later: the bytes
        after the URC are framed now.
        """
        if isinstance(urc, CloseOk) and self._closing_id is not None:
            self.frame_pushes(self._closing_id, on=False)
            self._closing_id = None
        elif isinstance(urc, Incoming):
            # An incoming connection starts in buffer mode (N30). A live slot with its ID shows
            # that the URC is a doubled one (F35).
            slot = self._sockets.get(urc.connect_id)
            if slot is None or not slot.is_live:
                self.frame_pushes(urc.connect_id, on=False)

    def read_all_once(self) -> None:
        """Have each live socket with a buffer read once, because a URC may have got lost."""
        for slot in self._sockets:
            if slot.is_live and slot.has_buffer:
                slot.readable = True

    def break_pushes(self, loss: Loss, since: float | None = None) -> Iterator[Event]:
        """End the push-mode connections whose bytes may have been lost on the line.

        A UDP socket goes on: at most one datagram is lost, and that is reported.

        Args:
            loss: The loss, and which sockets it may concern.
            since: End only connections that got data since then; ``None`` for all.

        """
        text = f"pushed bytes may be lost: {loss.reason}"
        for slot in self._sockets:
            # While a socket opens, its peer may have sent already (§2.2.1).
            pushes = slot.is_live or slot.state is SlotState.OPENING
            if not pushes or slot.connect_id not in self._framer.push_sockets:
                continue
            if loss.connect_id not in {None, slot.connect_id}:
                continue
            if since is None or slot.pushed_at >= since:
                broken = DatagramLost(slot, text) if slot.is_datagram else None
                yield broken or Failed(slot, StreamBroken(text))

    def break_reads(self) -> Iterator[Event]:
        """End the buffer-mode connections: the answer to a read came that nobody here has sent.

        Another user of the module has taken these bytes, out of whatever socket. A UDP socket
        goes on: at most one datagram is lost, and that is reported.
        """
        text = "received bytes may be lost: another program reads the module's sockets"
        for slot in self._sockets:
            reads = slot.is_live and not slot.is_listener
            if reads and slot.connect_id not in self._framer.push_sockets:
                broken = DatagramLost(slot, text) if slot.is_datagram else None
                yield broken or Failed(slot, StreamBroken(text))

    @property
    def is_pushing(self) -> bool:
        """Whether sockets in push mode are in use."""
        return bool(self._framer.push_sockets)

    def note_opened(self, slot: Slot) -> Iterator[Event]:
        """Make an opening socket open; do nothing to a socket in another state."""
        if slot.state is SlotState.OPENING:
            slot.move(SlotState.OPEN)
            yield Opened(slot)

    def note_remote_closed(self, slot: Slot) -> Iterator[Event]:
        """Note that the peer has closed; what it sent before can still be read (§2.3.1)."""
        # A second "closed" says nothing new.
        if slot.state is not SlotState.OPEN:
            return
        slot.move(SlotState.REMOTE_CLOSED)
        yield RemoteClosed(slot)
        if slot.is_listener:
            yield Drained(slot)
        elif slot.has_buffer or slot.wanted_mode is not None:
            slot.readable = True
        elif slot.is_mode_doubtful:
            # The socket may have a buffer or not. QISTATE shows its access mode, and then it is
            # read, or is drained.
            pass
        else:
            # In push mode nothing was buffered, and all that was pushed came before this URC.
            yield Drained(slot)

    def _connected_slot(
        self, connect_id: int, *, is_own: bool = False
    ) -> tuple[Slot | None, Iterator[Event]]:
        """Find the slot of a connect ID that the module has just shown to be connected.

        Data, or the end of a connection, prove that an opening socket is connected, even if
        its ``+QIOPEN`` is late or lost (F32). If no slot has the ID, the ID belongs to a
        connection whose ``"incoming"`` got lost (F35).

        Args:
            connect_id: The ID.
            is_own: What came can't belong to a former owner of the ID, because only this slot
                has asked for pushed data.

        Returns:
            The slot, ``None`` if the ID has none that is alive; and events to yield.

        """
        slot = self._sockets.get(connect_id)
        if slot is None:
            return None, iter((Orphaned(connect_id),))
        # Beside a listener, the ID may belong to an incoming connection whose URC got lost. Only
        # +QIOPEN, or the module's own table (AT+QISTATE), tells (F33).
        is_proof = is_own or (slot.is_asked and not self._sockets.listeners)
        if slot.state is SlotState.OPENING and is_proof and not slot.is_listener:
            return slot, self.note_opened(slot)
        return (slot if slot.is_live or slot.is_listener else None), iter(())

    def _open_result(self, connect_id: int, err: int) -> Iterator[Event]:
        slot = self._sockets.get(connect_id)
        # A result for a socket that has been given up, or whose data proved its opening.
        if slot is None or slot.state is not SlotState.OPENING:
            return
        if err:
            # What still comes for this ID does not belong to this slot.
            slot.is_asked = False
            yield OpenRefused(slot, err)
        else:
            self.frame_pushes(connect_id, on=slot.access_mode is AccessMode.PUSH)
            yield from self.note_opened(slot)

    def _overflow(self, slot: Slot | None, profile: ModuleProfile) -> Iterator[Event]:
        self._statistics.buffer_overflows += 1
        if slot is None:
            return
        # A full buffer holds data, although the URC has no length.
        note_announced(slot, None)
        # F20: the module has most likely dropped bytes that it had acknowledged. A checked stream
        # (TLS) finds the hole by itself, and may be lucky.
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
            yield Failed(
                old, StreamBroken("the module gave its connect ID to an incoming connection")
            )
        elif old is not None and was_opening:
            # The caller opens with another ID: the one that it had reserved was still free on
            # the module, which gave it to a client (§2.3.5, F34).
            yield OpenRefused(old, Err.IDENTITY_IN_USE)
        # An incoming connection starts in buffer mode, whatever its listener's mode (§2.3.5, N30).
        self._framer.push_sockets.discard(urc.connect_id)
        peer = (urc.remote_ip, urc.remote_port)
        self._sockets.adopt(urc.connect_id, ServiceType.TCP_INCOMING, AccessMode.BUFFER, peer)
        self._statistics.incoming += 1
