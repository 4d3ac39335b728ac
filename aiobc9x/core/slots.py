"""The six sockets of the module: states, generations, port quarantine.

Layer: core. Does no I/O; time comes in as ``now``.

A connect ID is free only once the module has confirmed its close. Each use of an ID
is a new :class:`Slot` with a higher generation, so that whoever holds an old slot
can't touch the new owner's bytes.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from aiobc9x.spec import (
    CONNECT_IDS,
    SEND_MAX_BYTES,
    AccessMode,
    ServiceType,
)


class SlotState(enum.Enum):
    """Where a socket is in its life."""

    OPENING = "opening"
    OPEN = "open"
    REMOTE_CLOSED = "remote closed"
    CLOSING = "closing"
    FREE = "free"


_OPENING, _OPEN, _REMOTE = SlotState.OPENING, SlotState.OPEN, SlotState.REMOTE_CLOSED
_CLOSING, _FREE = SlotState.CLOSING, SlotState.FREE
_BUFFER, _PUSH = AccessMode.BUFFER, AccessMode.PUSH

TRANSITIONS: dict[SlotState, frozenset[SlotState]] = {
    _OPENING: frozenset({_OPEN, _CLOSING, _FREE}),
    _OPEN: frozenset({_REMOTE, _CLOSING, _FREE}),
    _REMOTE: frozenset({_CLOSING, _FREE}),
    _CLOSING: frozenset({_FREE}),
    _FREE: frozenset(),
}
"""Legal steps. ``FREE`` from anywhere: a reset frees every socket at once."""


@dataclass(slots=True, eq=False)
class Slot:
    """One use of a connect ID.

    Attributes:
        connect_id: 0–5.
        generation: Rises with each use of any ID.
        service_type: What was opened (§2.2.1).
        access_mode: How its data arrives (§1.2).
        local_port: The port asked for, 0 if the module chose.
        state: See :data:`TRANSITIONS`.
        failed: The connection has ended with an exception; nothing is read, delivered or
            sent any more.
        owner: Whatever the layer above attaches; never looked at here.
        wants_read: The owner has room for one more read.
        readable: The module may hold bytes: read until ``+QIRD: 0`` (rule 5).
        announced: Bytes that the module is known to hold, or ``None`` if it said that
            there are some, but not how many.
        last_read: When a read last began or ended.
        outgoing: Stream bytes not confirmed by ``SEND OK``.
        datagrams: The same for UDP, one send each.
        fragments: Pieces of a datagram that goes on (§2.2.6, note 3).
        rest_due: A datagram's beginning may be lost, so what is read next may be its rest.
        retry_at: No send before this time, after ``SEND FAIL``.
        backoff: Seconds to wait after the next ``SEND FAIL``.
        stalled_since: When the first of the current run of ``SEND FAIL`` came.
        is_abandoned: Nobody wants it any more; it is closed once it has opened.

    """

    connect_id: int
    generation: int
    service_type: ServiceType
    access_mode: AccessMode = AccessMode.BUFFER
    local_port: int = 0
    state: SlotState = SlotState.OPENING
    failed: bool = False
    owner: object = None
    wants_read: bool = False
    readable: bool = False
    announced: int | None = 0
    last_read: float = 0.0
    outgoing: bytearray = field(default_factory=bytearray)
    datagrams: deque[bytes] = field(default_factory=deque)
    fragments: bytearray = field(default_factory=bytearray)
    rest_due: bool = False
    retry_at: float = 0.0
    backoff: float = 0.0
    stalled_since: float | None = None
    is_abandoned: bool = False

    @property
    def is_datagram(self) -> bool:
        """Whether one node is one datagram."""
        return self.service_type is ServiceType.UDP

    @property
    def is_listener(self) -> bool:
        """Whether it accepts connections and carries no data."""
        return self.service_type is ServiceType.TCP_LISTENER

    @property
    def holds_data(self) -> bool:
        """Whether the module is known to hold unread bytes of this socket."""
        return self.announced is None or self.announced > 0

    @property
    def unsent(self) -> int:
        """Bytes not confirmed by ``SEND OK``."""
        return len(self.outgoing) + (sum(map(len, self.datagrams)) if self.datagrams else 0)

    @property
    def is_live(self) -> bool:
        """Whether the module may still send us bytes of this socket."""
        return not self.failed and (self.state is _OPEN or self.state is _REMOTE)

    @property
    def is_sendable(self) -> bool:
        """Whether the module may still take bytes of this socket."""
        return not self.failed and self.state is _OPEN

    @property
    def may_read(self) -> bool:
        """Whether a read is due: the module may hold bytes, and there is room for them."""
        wanted = self.readable and self.wants_read
        return wanted and self.is_live and self.access_mode is _BUFFER

    def may_send(self, now: float) -> bool:
        """Whether there is something to send, and now is the time."""
        waiting = self.outgoing or (self.datagrams and self.unsent)
        return bool(waiting) and self.is_sendable and self.retry_at <= now

    def poll_due(self, interval: float) -> float | None:
        """When a silent socket is read, in case a URC got lost; ``None`` for never (rule 5)."""
        idle = self.wants_read and not self.readable and self.state is _OPEN
        if not interval or not idle or self.access_mode is _PUSH:
            return None
        return self.last_read + interval

    def next_quantum(self) -> bytes:
        """What one send takes: up to 1440 bytes, or one datagram; ``b""`` if nothing waits."""
        if self.datagrams:
            return self.datagrams[0]
        return bytes(self.outgoing[:SEND_MAX_BYTES])

    def retry_send(self, now: float) -> None:
        """Send again after a back-off: the module took nothing, and still has the socket."""
        self.retry_at = now + self.backoff

    def confirm(self, size_bytes: int) -> None:
        """Forget what the module has taken."""
        if self.datagrams:
            self.datagrams.popleft()
        else:
            del self.outgoing[:size_bytes]
        self.backoff, self.stalled_since, self.retry_at = 0.0, None, 0.0

    def move(self, state: SlotState) -> None:
        """Change state; a step that :data:`TRANSITIONS` lacks is a bug and raises."""
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"socket {self.connect_id} can't go from {self.state} to {state}")
        self.state = state

    def clear(self) -> None:
        """Drop everything that was to be sent or read."""
        self.outgoing.clear()
        self.datagrams.clear()
        self.fragments.clear()
        self.wants_read = self.readable = False
        self.announced = 0


class SocketTable:
    """Who owns which connect ID.

    Attributes:
        in_use: The slots in use, by connect ID.

    """

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self.in_use: tuple[Slot, ...] = ()
        self._generations = count(1)
        # Least recently used first: the longer an ID rests, the less a late URC can do.
        self._free = deque(CONNECT_IDS)
        self._resting: dict[int, float] = {}

    def __iter__(self) -> Iterator[Slot]:
        """Go through the slots in use, by connect ID."""
        return iter(self.in_use)

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, connect_id: int) -> Slot | None:
        """Return the slot that uses the ID, if one does."""
        return self._slots.get(connect_id)

    @property
    def is_closing(self) -> bool:
        """Whether an ID will be free soon."""
        return any(
            slot.state is SlotState.CLOSING or slot.is_abandoned for slot in self._slots.values()
        )

    def reserve(
        self,
        service_type: ServiceType,
        access_mode: AccessMode = AccessMode.BUFFER,
        local_port: int = 0,
    ) -> Slot | None:
        """Take the ID that has been free for longest; ``None`` if there is none."""
        if not self._free:
            return None
        return self._take(self._free[0], service_type, access_mode, local_port)

    def adopt(self, connect_id: int, service_type: ServiceType, access_mode: AccessMode) -> Slot:
        """Take the ID that the module chose for an incoming connection (§2.3.5).

        Raises:
            ValueError: The ID is in use.

        """
        if connect_id not in self._free:
            raise ValueError(f"connect ID {connect_id} is in use")
        slot = self._take(connect_id, service_type, access_mode, 0)
        slot.move(SlotState.OPEN)
        return slot

    def usurp(self, connect_id: int) -> Slot | None:
        """Take an ID away from a slot that the module must have freed; return that slot.

        The module gives an ID to an incoming connection only if it is free there.
        """
        slot = self._slots.pop(connect_id, None)
        if slot is not None:
            slot.state = SlotState.FREE
            slot.clear()
            self._free.append(connect_id)
            self._list_slots()
        return slot

    def _take(
        self, connect_id: int, service_type: ServiceType, access_mode: AccessMode, local_port: int
    ) -> Slot:
        self._free.remove(connect_id)
        slot = Slot(connect_id, next(self._generations), service_type, access_mode, local_port)
        self._slots[connect_id] = slot
        self._list_slots()
        return slot

    def _list_slots(self) -> None:
        self.in_use = tuple(self._slots[i] for i in sorted(self._slots))

    def release(self, slot: Slot, now: float, rest_s: float = 0.0) -> None:
        """Free the ID: the module has confirmed that it is closed, or has restarted.

        Args:
            slot: The socket; a slot that has lost its ID to another changes nothing.
            now: The time.
            rest_s: Seconds that its fixed local port rests: what the note recommends behind
                AT+QICLOSE (§2.2.1, note 5), and 0 where the module or the network has
                ended the socket.

        """
        if self._slots.get(slot.connect_id) is not slot:
            return
        slot.move(SlotState.FREE)
        slot.clear()
        del self._slots[slot.connect_id]
        self._list_slots()
        self._free.append(slot.connect_id)
        if slot.local_port and rest_s:
            self._resting[slot.local_port] = now + rest_s

    def forget_ports(self) -> None:
        """Let every local port be used at once: what held them on the module is gone."""
        self._resting.clear()

    def resting_s(self, local_port: int, now: float) -> float:
        """Seconds until a fixed local port may be used again, 0 if at once (§2.2.1, note 5)."""
        self._resting = {port: end for port, end in self._resting.items() if end > now}
        return self._resting.get(local_port, now) - now
