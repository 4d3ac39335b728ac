"""Hand the events of each socket to its owner, and to those who await one.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Final, Protocol, cast, get_args

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    ReadRefused,
    RemoteClosed,
    SendRefused,
    SendStalled,
    Sent,
    SlotEvent,
)
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot

SLOT_EVENTS: Final[tuple[type[SlotEvent], ...]] = get_args(SlotEvent)
"""The classes of events that go to an owner."""


class SlotOwner(Protocol):
    """The object that gets the events of a socket: a transport."""

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream, or one datagram."""

    def on_sent(self, size_bytes: int) -> None:
        """Note that the module has taken bytes."""

    def on_remote_closed(self) -> None:
        """Note that the peer has closed; the module may still hold data that the peer sent."""

    def on_drained(self) -> None:
        """Note that the peer has closed and everything has been read."""

    def on_failed(self, error: Exception) -> None:
        """End the connection."""

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out whether the connection still exists (AT+QISTATE)."""

    def on_send_refused(self, error: OSError) -> None:
        """Handle a send that was refused although the connection still exists."""

    def on_datagram_lost(self, reason: str) -> None:
        """Report a lost datagram."""

    def close(self) -> None:
        """Flush and close."""


def owner_of(slot: Slot) -> SlotOwner | None:
    """Return what :meth:`Driver.adopt` gave the socket, if it was adopted."""
    return cast("SlotOwner | None", slot.owner)


class Owners:
    """Hand each socket's events to its owner; keep those that come before it has one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._early: dict[Slot, list[SlotEvent]] = {}
        self._awaited: dict[Slot, list[tuple[tuple[type, ...], asyncio.Future[SlotEvent]]]] = {}

    def adopt(self, slot: Slot, owner: SlotOwner) -> None:
        """Give a socket its owner, and the owner the events from before."""
        self._session.own(slot, owner)
        for event in self._early.pop(slot, ()):
            self.tell(event)

    def disown(self, slot: Slot) -> None:
        """Forget a socket that is free again."""
        self._early.pop(slot, None)

    def clear(self) -> None:
        """Forget what has no owner yet."""
        self._early.clear()

    def expect(self, slot: Slot, *kinds: type[SlotEvent]) -> asyncio.Future[SlotEvent]:
        """Return a future for the first event of these kinds; the end of the socket fails it.

        Cancel the future to stop waiting.
        """
        future: asyncio.Future[SlotEvent] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(slot, []).append((kinds, future))
        future.add_done_callback(lambda done: self._forget(slot, done))
        return future

    def _forget(self, slot: Slot, future: asyncio.Future[SlotEvent]) -> None:
        left = [pair for pair in self._awaited.get(slot, ()) if pair[1] is not future]
        if left:
            self._awaited[slot] = left
        else:
            self._awaited.pop(slot, None)

    def _resolve(self, event: SlotEvent) -> None:
        for kinds, future in self._awaited.get(event.slot, ()):
            if future.done():
                continue
            if isinstance(event, kinds):
                future.set_result(event)
            elif isinstance(event, Failed):
                # A copy for each waiter, because a traceback grows wherever one is raised. Marked
                # as retrieved, so that asyncio doesn't log it if nobody awaits the future.
                future.set_exception(copy.copy(event.error))
                future.exception()

    def tell(self, event: SlotEvent) -> None:
        """Hand an event to the owner of its socket, and to those who await it."""
        if self._awaited:
            self._resolve(event)
        if (hand_over := _HANDED_OVER.get(type(event))) is None:
            return
        owner = owner_of(event.slot)
        if owner is None:
            if isinstance(event, DataReceived | RemoteClosed | Drained | Failed):
                self._early.setdefault(event.slot, []).append(event)
            return
        hand_over(owner, event)


# Any: each function takes the one class that it stands after.
_HANDED_OVER: Final[dict[type[SlotEvent], Callable[[SlotOwner, Any], None]]] = {
    DataReceived: lambda owner, event: owner.on_data(event.data),
    Sent: lambda owner, event: owner.on_sent(event.size_bytes),
    RemoteClosed: lambda owner, _: owner.on_remote_closed(),
    Drained: lambda owner, _: owner.on_drained(),
    Failed: lambda owner, event: owner.on_failed(event.error),
    DatagramLost: lambda owner, event: owner.on_datagram_lost(event.reason),
    SendStalled: lambda owner, event: owner.on_refused(event),
    SendRefused: lambda owner, event: owner.on_refused(event),
    ReadRefused: lambda owner, event: owner.on_refused(event),
}
"""The events for owners. Other events are only for those who await them."""
