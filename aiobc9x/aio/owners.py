"""Who owns a socket of the module, and gets its events.

Layer: aio.
"""

from __future__ import annotations

from typing import Final, Protocol, cast, get_args

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    ReadRefused,
    SendRefused,
    SendStalled,
    Sent,
    SlotEvent,
)
from aiobc9x.core.slots import Slot

SLOT_EVENTS: Final[tuple[type[SlotEvent], ...]] = get_args(SlotEvent)
"""The classes of events that go to an owner."""


class SlotOwner(Protocol):
    """Whoever a socket's events go to: a transport."""

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream, or one datagram."""

    def on_sent(self, size_bytes: int) -> None:
        """Note that the module has taken bytes."""

    def on_remote_closed(self) -> None:
        """Note that the peer has closed; the module may hold more of what it sent."""

    def on_drained(self) -> None:
        """Note that the peer has closed and everything has been read."""

    def on_failed(self, error: Exception) -> None:
        """End the connection."""

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out whether the connection still stands."""

    def on_send_refused(self, error: OSError) -> None:
        """Act on a refusal by a socket that still stands."""

    def on_datagram_lost(self, reason: str) -> None:
        """Report a lost datagram."""

    def close(self) -> None:
        """Flush and close."""


def owner_of(slot: Slot) -> SlotOwner | None:
    """Return what :meth:`Driver.adopt` gave the socket, if it was adopted."""
    return cast("SlotOwner | None", slot.owner)


class Owners:
    """Hands each socket's events to its owner; keeps what comes before there is one."""

    def __init__(self) -> None:
        self._early: dict[Slot, list[SlotEvent]] = {}

    def adopt(self, slot: Slot, owner: SlotOwner) -> None:
        """Give a socket its owner, and the owner what came before it."""
        slot.owner = owner
        for event in self._early.pop(slot, ()):
            self.tell(event)

    def disown(self, slot: Slot) -> None:
        """Forget a socket that is free again."""
        self._early.pop(slot, None)

    def clear(self) -> None:
        """Forget what has no owner yet."""
        self._early.clear()

    def tell(self, event: SlotEvent) -> None:
        """Hand an event to the owner of its socket."""
        owner = owner_of(event.slot)
        if owner is None:
            if isinstance(event, DataReceived | Drained | Failed):
                self._early.setdefault(event.slot, []).append(event)
            return
        match event:
            case DataReceived(_, data):
                owner.on_data(data)
            case Sent(_, size):
                owner.on_sent(size)
            case Drained():
                owner.on_drained()
            case Failed(_, error):
                owner.on_failed(error)
            case DatagramLost(_, reason):
                owner.on_datagram_lost(reason)
            case SendStalled() | SendRefused() | ReadRefused():
                owner.on_refused(event)
