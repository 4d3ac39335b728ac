"""The six sockets of the module: states, generations, port quarantine.

Layer: core. Does no I/O; time comes in as ``now``.

A connect ID is free only once the module has confirmed its close. Each use of an ID
is a new :class:`Slot` with a higher generation, so that whoever holds an old slot
can't touch the new owner's bytes::

              +QIOPEN: n,0, or pushed data        "closed", or QISTATE says so
    OPENING ───────────────────────────────► OPEN ──────────────────────────► REMOTE_CLOSED
       │                                       │                                    │
       └──────────────────┬────────────────────┴────────────────────────────────────┘
                          │ somebody closes it, or the open failed
                          ▼
                       CLOSING ──── CLOSE OK, or QISTATE has no row ───► FREE
                                    (FREE from anywhere: a restart frees every socket)

What each state promises:

``OPENING``
    AT+QIOPEN waits, or its result is due. Whoever opens waits, with a limit.
``OPEN``
    Data go both ways. The owner is told of each end; a poll finds ends that got lost.
``REMOTE_CLOSED``
    The peer has closed. What it sent before stays readable until the socket is drained
    (``+QIRD: 0``) or has failed, and one of the two happens: it is read, and polled.
``CLOSING``
    Somebody waits for the module to confirm the close, and repeats it.
``FREE``
    The slot is history; its ID may have a new one.

Only the session writes a slot (:mod:`aiobc9x.core.session`); the layers above read it.
"""

from __future__ import annotations

import enum
import math
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

CLOSED_POLL_S = 2.0
"""Seconds between reads of a socket that the peer has closed and that is not drained yet. Ours."""

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
        peer: Who came in, for a connection to a listener: address and port.
        wants_read: The owner has room for one more read.
        readable: The module may hold bytes: read until ``+QIRD: 0`` (rule 5).
        announced: Bytes that the module is known to hold, or ``None`` if it said that
            there are some, but not how many.
        is_drained: The peer has closed, and everything that it sent has been read.
        found_empty: The last answer to a read was ``+QIRD: 0``, and nothing has been
            announced since.
        last_read: When a read last began or ended.
        read_at: No read before this time, after one that was refused.
        refusals: Reads that the module has refused in a row.
        outgoing: Stream bytes not confirmed by ``SEND OK``.
        datagrams: The same for UDP, one send each; see :meth:`queue_datagram`.
        fragments: Pieces of a datagram that goes on (§2.2.6, note 3).
        rest_due: A datagram's beginning may be lost, so what is read next may be its rest.
        retry_at: No send before this time, after ``SEND FAIL``.
        backoff: Seconds to wait after the next ``SEND FAIL``.
        stalled_since: When the first of the current run of ``SEND FAIL`` came.
        is_abandoned: Nobody wants it any more; it is closed once it has opened.
        is_asked: Its AT+QIOPEN has been written, so that what comes for its ID is its own.
        is_usurped: Its ID went to an incoming connection.
        is_checked: What is above finds a hole by itself, as TLS does.
        is_mode_doubtful: AT+QISWTMD got no answer, so nobody knows the access mode.
        wanted_mode: The access mode that it is being switched to, ``None`` if it stays.
        held: Pushed data that wait for what the buffer still holds, while a switch to push
            mode is being completed; ``None`` at all other times.
        pushed_at: When pushed data last came.

    """

    connect_id: int
    generation: int
    service_type: ServiceType
    access_mode: AccessMode = AccessMode.BUFFER
    local_port: int = 0
    state: SlotState = SlotState.OPENING
    failed: bool = False
    owner: object = None
    peer: tuple[str, int] | None = None
    wants_read: bool = False
    readable: bool = False
    announced: int | None = 0
    is_drained: bool = False
    found_empty: bool = False
    last_read: float = 0.0
    read_at: float = 0.0
    refusals: int = 0
    outgoing: bytearray = field(default_factory=bytearray)
    datagrams: deque[bytes] = field(default_factory=deque)
    fragments: bytearray = field(default_factory=bytearray)
    rest_due: bool = False
    retry_at: float = 0.0
    backoff: float = 0.0
    stalled_since: float | None = None
    is_abandoned: bool = False
    is_asked: bool = False
    is_usurped: bool = False
    is_checked: bool = False
    is_mode_doubtful: bool = False
    wanted_mode: AccessMode | None = None
    held: list[bytes] | None = None
    pushed_at: float = -math.inf
    _datagram_bytes: int = 0

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
        return len(self.outgoing) + self._datagram_bytes

    @property
    def is_live(self) -> bool:
        """Whether the module may still send us bytes of this socket."""
        return not self.failed and (self.state is _OPEN or self.state is _REMOTE)

    @property
    def is_sendable(self) -> bool:
        """Whether the module may still take bytes of this socket."""
        return not self.failed and self.state is _OPEN

    @property
    def has_buffer(self) -> bool:
        """Whether the module may keep received data for AT+QIRD."""
        return (self.access_mode is _BUFFER or self.held is not None) and not self.is_drained

    @property
    def is_switching(self) -> bool:
        """Whether it is being switched to push mode, which empties the buffer first."""
        return self.held is not None or self.wanted_mode is _PUSH

    @property
    def switch_is_due(self) -> bool:
        """Whether AT+QISWTMD comes next: to push mode right behind ``+QIRD: 0`` alone."""
        wanted = self.wanted_mode
        if wanted is None or wanted is self.access_mode or not self.is_live:
            return False
        if wanted is _BUFFER:  # what a switch to push mode has left is older than what is held
            return not (self.held and self.readable)
        return self.state is _OPEN and self.found_empty and not self.readable

    @property
    def may_read(self) -> bool:
        """Whether a read is due: the module may hold bytes, and there is room for them.

        A switch to push mode needs an empty buffer, so it doesn't wait for room: what the
        module holds is little.
        """
        wanted = self.readable and (self.wants_read or self.is_switching)
        return wanted and self.is_live and self.has_buffer

    def may_send(self, now: float) -> bool:
        """Whether there is something to send, and now is the time."""
        return bool(self.outgoing or self.datagrams) and self.is_sendable and self.retry_at <= now

    def poll_due(self, interval: float) -> float | None:
        """When a silent socket is read, in case a URC got lost; ``None`` for never (rule 5)."""
        if not self.wants_read or self.readable or self.failed or self.is_drained:
            return None
        if self.access_mode is _PUSH and self.held is None:
            return None
        state = self.state
        if state is _OPEN:
            return self.last_read + interval if interval else None
        return self.last_read + CLOSED_POLL_S if state is _REMOTE else None  # it must end

    def next_quantum(self) -> bytes:
        """What one send takes: up to 1440 bytes, or one datagram; ``b""`` if nothing waits."""
        if self.datagrams:
            return self.datagrams[0]
        return bytes(self.outgoing[:SEND_MAX_BYTES])

    def queue_datagram(self, data: bytes) -> None:
        """Append a datagram to what is to be sent."""
        self.datagrams.append(data)
        self._datagram_bytes += len(data)

    def confirm(self, size_bytes: int) -> None:
        """Forget what the module has taken."""
        if self.datagrams:
            self._datagram_bytes -= len(self.datagrams.popleft())
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
        self._datagram_bytes = 0
        self.fragments.clear()
        self.wants_read = self.readable = False
        self.announced = 0
        self.wanted_mode = self.held = None


class SocketTable:
    """Who owns which connect ID.

    Attributes:
        in_use: The slots in use, by connect ID.
        listeners: How many of them are listeners.

    """

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self.in_use: tuple[Slot, ...] = ()
        self.listeners = 0
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

    def adopt(
        self,
        connect_id: int,
        service_type: ServiceType,
        access_mode: AccessMode,
        peer: tuple[str, int] | None = None,
    ) -> Slot:
        """Take the ID that the module chose for an incoming connection (§2.3.5).

        Raises:
            ValueError: The ID is in use.

        """
        if connect_id not in self._free:
            raise ValueError(f"connect ID {connect_id} is in use")
        slot = self._take(connect_id, service_type, access_mode, 0)
        slot.peer = peer
        slot.move(SlotState.OPEN)
        return slot

    def usurp(self, connect_id: int) -> Slot | None:
        """Take an ID away from a slot that the module must have freed; return that slot.

        The module gives an ID to an incoming connection only if it is free there.
        """
        slot = self._slots.pop(connect_id, None)
        if slot is not None:
            slot.move(SlotState.FREE)
            slot.is_usurped = True
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
        self.listeners = sum(slot.is_listener for slot in self.in_use)

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
