"""What subscribers of a modem are told.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, TypeAlias

from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.wire.urcs import Urc

QUEUE_LENGTH: Final = 1000
"""Events that wait for a slow subscriber; beyond them it is told how many it missed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A stage of start-up or of :meth:`Modem.wait_ready` has begun or changed.

    Attributes:
        stage: Such as ``"registering on the network"``.
        detail: What the module said last, or ``""``.

    """

    stage: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line that nobody awaited and nobody knows."""

    text: bytes


@dataclass(frozen=True, slots=True)
class StepLost:
    """Commands and answers no longer matched; traffic waits until they do again."""

    reason: str


@dataclass(frozen=True, slots=True)
class StepRegained:
    """Commands and answers match again."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The module has restarted; every connection has failed.

    Attributes:
        banner: What it printed, ``""`` if that got lost and its answers gave it away.

    """

    banner: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The subscriber was too slow and missed so many events."""

    count: int


ModemEvent: TypeAlias = Urc | Progress | Unknown | StepLost | StepRegained | Reset | Dropped


class Subscription:
    """An async iterator over events; ends when the modem is closed.

    Cancellation of ``anext`` is safe: no event is lost. Events queue from the moment
    of creation, at most :data:`QUEUE_LENGTH`. They stop when nobody holds the subscription
    any more, as after a loop that was left by ``break``; ``async with`` closes it sooner.
    """

    def __init__(self, hub: Hub, keep: object = None) -> None:
        self._hub, self._keep = hub, keep
        self._queue: deque[ModemEvent] = deque()
        self._missed = 0
        self._ended = False
        self._arrived = asyncio.Event()

    def __aiter__(self) -> Subscription:
        return self

    async def __aenter__(self) -> Subscription:
        """Return the subscription itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self.close()

    async def __anext__(self) -> ModemEvent:
        """Wait for the next event.

        Raises:
            StopAsyncIteration: The modem or the subscription was closed.
            RuntimeError: It runs in another event loop than the modem.

        """
        self._hub.home.check_loop()
        while not self._queue:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Dropped(missed)
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def close(self) -> None:
        """Stop listening."""
        self._hub.discard(self)
        self._end()

    def _put(self, event: ModemEvent) -> None:
        if len(self._queue) >= QUEUE_LENGTH or self._missed:
            self._missed += 1
        else:
            self._queue.append(event)
        self._arrived.set()

    def _end(self) -> None:
        self._ended, self._keep = True, None
        self._arrived.set()


class Hub:
    """Hands each event to every subscriber.

    A subscription lives as long as its subscriber holds it: here stand weak references.

    Attributes:
        home: The event loop that it belongs to.
        stage: The one of the last :class:`Progress`, ``""`` before there was any.

    """

    def __init__(self, home: HomeLoop) -> None:
        self.home = home
        self.stage = ""
        # No WeakSet: to go through an empty one takes longer than a URC.
        self._subscriptions: list[weakref.ref[Subscription]] = []
        self._closed = False

    def subscribe(self, keep: object = None) -> Subscription:
        """Make a subscription that sees every event from now on.

        Args:
            keep: What is to live as long as the subscription.

        Raises:
            RuntimeError: It is called from another event loop or thread than the modem's.

        """
        self.home.check_thread()
        subscription = Subscription(self, keep)
        if self._closed:
            subscription._end()
        else:
            self._subscriptions.append(weakref.ref(subscription, self._subscriptions.remove))
        return subscription

    def discard(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions[:] = [r for r in self._subscriptions if r() is not subscription]

    def publish(self, event: ModemEvent) -> None:
        """Hand out an event."""
        if isinstance(event, Progress):
            self.stage = event.stage
        if self._subscriptions:
            for subscription in self._living():
                subscription._put(event)

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for subscription in self._living():
            subscription._end()
        self._subscriptions.clear()

    def _living(self) -> list[Subscription]:
        return [s for reference in self._subscriptions if (s := reference()) is not None]
