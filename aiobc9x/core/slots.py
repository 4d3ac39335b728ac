"""Keep the state of the module's six sockets: connect IDs, generations, port quarantine.

Layer: core. Does no I/O; time comes in as ``now``.

A *connect ID* is the number, 0–5, by which the module knows a socket. An ID is free only once
the module has confirmed its close. Each use of an ID is a new :class:`Slot` with a higher
generation, so that code which still holds the old slot can't touch the new owner's bytes::

              +QIOPEN: n,0, or pushed data        "closed", or QISTATE says so
    OPENING ───────────────────────────────► OPEN ──────────────────────────► REMOTE_CLOSED
       │                                       │                                    │
       └──────────────────┬────────────────────┴────────────────────────────────────┘
                          │ the socket is closed, or its open failed
                          ▼
                       CLOSING ──── CLOSE OK, or QISTATE has no row ───► FREE
                                    (FREE from anywhere: a restart frees every socket)

What each state promises:

``OPENING``
    AT+QIOPEN has not been sent yet, or its result is due. The caller who opens the socket
    waits, with a time limit.
``OPEN``
    Data go both ways. The owner is told when the connection ends; polling finds an end whose
    URC got lost.
``REMOTE_CLOSED``
    The peer has closed. What it sent before stays readable until the socket is drained
    (``+QIRD: 0``) or has failed. One of the two always happens, because the socket is polled.
``CLOSING``
    A caller waits until the module confirms the close, and repeats the close if need be.
``FREE``
    The slot is out of use, and its connect ID may have a new slot.

Only the session writes a slot (:mod:`aiobc9x.core.session`); the layers above read it.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import field
from itertools import count

from aiobc9x.slotted import slotted
from aiobc9x.spec import (
    CONNECT_IDS,
    SEND_MAX_BYTES,
    AccessMode,
    ServiceType,
)


class SlotState(enum.Enum):
    """The states of a socket; :data:`TRANSITIONS` has the steps between them."""

    OPENING = "opening"
    OPEN = "open"
    REMOTE_CLOSED = "remote closed"
    CLOSING = "closing"
    FREE = "free"


# Looking up a member of an enum is slow, and these are compared for every turn and event.
_OPENING, _OPEN, _REMOTE = SlotState.OPENING, SlotState.OPEN, SlotState.REMOTE_CLOSED
_CLOSING, _FREE = SlotState.CLOSING, SlotState.FREE
_BUFFER, _PUSH = AccessMode.BUFFER, AccessMode.PUSH

CLOSED_POLL_S = 2.0
"""Seconds between reads of a socket that the peer has closed and that is not drained yet. Ours.

Shorter than the usual poll, because the program waits for the EOF, and no URC will come.
"""

TRANSITIONS: dict[SlotState, frozenset[SlotState]] = {
    _OPENING: frozenset({_OPEN, _CLOSING, _FREE}),
    _OPEN: frozenset({_REMOTE, _CLOSING, _FREE}),
    _REMOTE: frozenset({_CLOSING, _FREE}),
    _CLOSING: frozenset({_FREE}),
    _FREE: frozenset(),
}
"""The legal steps. ``FREE`` follows any state, because a restart frees every socket at once."""


@slotted(eq=False)
class Slot:
    """One use of a connect ID.

    Attributes:
        connect_id: 0–5.
        generation: A number that is higher for each new slot, whatever its ID.
        service_type: What was opened (§2.2.1).
        access_mode: How its data arrives (§1.2).
        local_port: The port asked for, 0 if the module chose.
        state: See :data:`TRANSITIONS`.
        failed: The connection has ended with an exception; nothing is read, delivered or
            sent any more.
        owner: An object that the layer above attaches; this layer never looks at it.
        peer: For a connection to a listener, the client's address and port.
        wants_read: The owner has room for one more read.
        readable: The module may hold bytes, so the socket is to be read until ``+QIRD: 0``
            (F13).
        announced: Bytes that the module is known to hold, or ``None`` if it said that
            there are some, but not how many (F8).
        is_drained: The peer has closed, and everything that it sent has been read.
        found_empty: The last answer to a read was ``+QIRD: 0``, and nothing has been
            announced since.
        last_read: When a read last began or ended.
        read_at: When to read again after a refused read; 0 if no refused read waits (F22).
        refusals: Reads that the module has refused in a row.
        outgoing: Bytes of a stream that ``SEND OK`` has not confirmed yet.
        is_gathering: They are not sent yet, as more of the same message may follow.
        datagrams: Datagrams that ``SEND OK`` has not confirmed yet; each takes one send. See
            :meth:`queue_datagram`.
        fragments: What has been read of a datagram that is not complete (§2.2.6, note 3).
        rest_due: The beginning of a datagram may be lost, so the next read may give the rest
            of that datagram.
        retry_at: When to send again after ``SEND FAIL``; infinity until the socket has been
            checked, 0 if no failed send waits.
        backoff: Seconds to wait after the next ``SEND FAIL``.
        stalled_since: When the first of the current run of ``SEND FAIL`` came; ``None`` if the
            last send succeeded.
        is_abandoned: The caller who opened the socket has gone, so the socket is closed as
            soon as it has opened.
        is_asked: AT+QIOPEN for this slot has been written, so URCs and data for its ID belong
            to this slot.
        is_usurped: The module gave the ID to an incoming connection (F34).
        is_checked: The layer above detects missing bytes by itself, as TLS does.
        is_mode_doubtful: AT+QISWTMD got no answer, so the access mode is not known.
        wanted_mode: The access mode that the socket is being switched to; ``None`` if no
            switch is under way.
        held: During the last part of a switch to push mode, pushed data that must be
            delivered after what the module's buffer still holds; ``None`` at other times.
        pushed_at: When pushed data last arrived.

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
    is_gathering: bool = False
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
        """Whether the socket is UDP, so that boundaries between messages count."""
        return self.service_type is ServiceType.UDP

    @property
    def is_listener(self) -> bool:
        """Whether the socket accepts connections; it carries no data then."""
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
        """Whether a switch to push mode is under way; the module's buffer is emptied first."""
        return self.held is not None or self.wanted_mode is _PUSH

    @property
    def switch_is_due(self) -> bool:
        """Whether AT+QISWTMD may be sent now for the mode that is wanted."""
        wanted = self.wanted_mode
        if wanted is None or wanted is self.access_mode or not self.is_live:
            return False
        if wanted is _BUFFER:
            # After a switch to push mode that is not complete, the buffer has older data than
            # what is held; those are read first.
            return not (self.held and self.readable)
        # Only right after "+QIRD: 0": what is still in the buffer when the mode changes may
        # never be announced again.
        return self.state is _OPEN and self.found_empty and not self.readable

    @property
    def may_read(self) -> bool:
        """Whether a read is due: the module may hold bytes, and the owner has room for them.

        A switch to push mode needs an empty buffer, so it does not wait for room. The module's
        buffer is small, so little can be read beyond the limit.
        """
        wanted = self.readable and (self.wants_read or self.is_switching)
        return wanted and self.is_live and self.has_buffer

    def may_send(self, now: float) -> bool:
        """Whether the socket has something to send, all of it, and need not wait (F26)."""
        if not (self.outgoing or self.datagrams) or self.is_gathering:
            return False
        return self.is_sendable and self.retry_at <= now

    def poll_due(self, interval: float) -> float | None:
        """Return when to read a silent socket in case a URC got lost; ``None`` for never (F15).

        Args:
            interval: Seconds between such reads; 0 for none.

        """
        if not self.wants_read or self.readable or self.failed or self.is_drained:
            return None
        # A push-mode socket has no buffer to read; QISTATE finds its lost end.
        if self.access_mode is _PUSH and self.held is None:
            return None
        state = self.state
        if state is _OPEN:
            return self.last_read + interval if interval else None
        # Whatever the interval, because the program must get its EOF at some time.
        return self.last_read + CLOSED_POLL_S if state is _REMOTE else None

    def next_quantum(self) -> bytes:
        """Return what the next send carries: up to 1440 bytes, or one datagram; may be empty."""
        if self.datagrams:
            return self.datagrams[0]
        return bytes(self.outgoing[:SEND_MAX_BYTES])

    def queue_datagram(self, data: bytes) -> None:
        """Append a datagram to those that are to be sent."""
        self.datagrams.append(data)
        self._datagram_bytes += len(data)

    def confirm(self, size_bytes: int) -> None:
        """Remove what the module has taken from what is to be sent, and end any back-off.

        Args:
            size_bytes: How many bytes of a stream; of datagrams, the first one goes.

        """
        if self.datagrams:
            self._datagram_bytes -= len(self.datagrams.popleft())
        else:
            del self.outgoing[:size_bytes]
        self.backoff, self.stalled_since, self.retry_at = 0.0, None, 0.0

    def move(self, state: SlotState) -> None:
        """Change the state.

        Raises:
            RuntimeError: :data:`TRANSITIONS` lacks the step; that is a bug of this package.

        """
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"socket {self.connect_id} can't go from {self.state} to {state}")
        self.state = state

    def clear(self) -> None:
        """Drop all bytes that were to be sent or read."""
        self.outgoing.clear()
        self.datagrams.clear()
        self._datagram_bytes = 0
        self.is_gathering = False
        self.fragments.clear()
        self.wants_read = self.readable = False
        self.announced = 0
        self.wanted_mode = self.held = None


class SocketTable:
    """Know which slot owns which connect ID.

    Attributes:
        in_use: The slots in use, in the order of their connect IDs. A new tuple for each
            change, so that a loop over it survives one.
        listeners: How many of them are listeners.

    """

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self.in_use: tuple[Slot, ...] = ()
        self.listeners: int = 0
        self._generations = count(1)
        # Least recently used first. A late URC for the former owner of an ID does no harm as
        # long as nobody has the ID, so each ID rests for as long as possible.
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
        """Whether an ID will be free soon, so that waiting for one is worth while."""
        return any(
            slot.state is SlotState.CLOSING or slot.is_abandoned for slot in self._slots.values()
        )

    def reserve(
        self,
        service_type: ServiceType,
        access_mode: AccessMode = AccessMode.BUFFER,
        local_port: int = 0,
        preferred: int | None = None,
    ) -> Slot | None:
        """Take an ID: the preferred one, or that which has been free for longest.

        Returns:
            Its slot; ``None`` if none is free.

        """
        if not self._free:
            return None
        connect_id = self._free[0]
        if preferred is not None and preferred in self._free:
            connect_id = preferred
        return self._take(connect_id, service_type, access_mode, local_port)

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
        # The module chooses the ID, so it may be any free one, not the one that rested longest.
        if connect_id not in self._free:
            raise ValueError(f"connect ID {connect_id} is in use")
        slot = self._take(connect_id, service_type, access_mode, 0)
        slot.peer = peer
        slot.move(SlotState.OPEN)
        return slot

    def usurp(self, connect_id: int) -> Slot | None:
        """Take an ID away from its slot, because an incoming connection has it now (F34).

        The module gives only free IDs to incoming connections, so it must have freed the slot.

        Returns:
            The slot that had the ID; ``None`` if the ID was free here too.

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
            slot: The socket. Nothing happens if another slot has its ID already.
            now: The time.
            rest_s: Seconds before its fixed local port may be used again: the note's 120 after
                AT+QICLOSE (§2.2.1, note 5), 0 if the module or the network ended the socket
                (N33).

        """
        # An incoming connection may have got the ID in the meantime (usurp()).
        if self._slots.get(slot.connect_id) is not slot:
            return
        slot.move(SlotState.FREE)
        slot.clear()
        del self._slots[slot.connect_id]
        self._list_slots()
        self._free.append(slot.connect_id)
        # Port 0 means that the module chose one, and it knows what it may choose again.
        if slot.local_port and rest_s:
            self._resting[slot.local_port] = now + rest_s

    def forget_ports(self) -> None:
        """End every quarantine: a restart has freed the ports on the module."""
        self._resting.clear()

    def resting_s(self, local_port: int, now: float) -> float:
        """Return the seconds until a local port may be used again; 0 for now (§2.2.1, note 5)."""
        self._resting = {port: end for port, end in self._resting.items() if end > now}
        return self._resting.get(local_port, now) - now
