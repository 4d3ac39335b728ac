"""Hand events to the subscribers of a modem.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeAlias

from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.slotted import slotted
from aiobc9x.wire.urcs import Urc

QUEUE_LENGTH: Final = 1000
"""Events that wait for a slow subscriber; beyond them it is told how many it missed."""


@slotted(frozen=True)
class Progress:
    """A stage of start-up or of :meth:`Modem.wait_ready` has begun or changed.

    Attributes:
        stage: For example ``"registering on the network"``.
        detail: What the module has said last about it; ``""`` if nothing yet.

    """

    stage: str
    detail: str = ""


@slotted(frozen=True)
class Unknown:
    """A line that is no URC and belongs to no answer."""

    text: bytes


@slotted(frozen=True)
class StepLost:
    """Answers no longer match their commands; all traffic waits until they match again."""

    reason: str


@slotted(frozen=True)
class StepRegained:
    """Answers match their commands again, and traffic goes on."""


@slotted(frozen=True)
class Reset:
    """The module has restarted; every connection has failed.

    Attributes:
        banner: The line that the module printed; ``""`` if that got lost, and the restart was
            found by its answers.

    """

    banner: str


@slotted(frozen=True)
class LinkDown:
    """The port has gone, or was given up; every call in flight and every connection has failed.

    Attributes:
        reason: What showed it.

    """

    reason: str


@slotted(frozen=True)
class LinkUp:
    """The module is configured anew behind a :class:`LinkDown`, and in use again."""


@slotted(frozen=True)
class Recovering:
    """A rung of the ladder that brings a modem back; docs/reliability.md has all of them.

    Attributes:
        rung: What is done: ``"device"`` waits for it, ``"port"`` opens it, ``"hook"`` calls the
            user's, ``"radio"`` switches the radio off and on, ``"restart"`` restarts the module.
        attempt: How often this has been tried since the loss, from 1 on.
        delay_s: Seconds until then; 0 for now.
        reason: Why: what the last try has come to.

    """

    rung: str
    attempt: int
    delay_s: float
    reason: str


@slotted(frozen=True)
class BudgetReached:
    """A share of a budget for bytes over the air is used up; see :meth:`Usage.budget`.

    Attributes:
        share: The share, as 0.8; 1.0 is the whole budget.
        spent_bytes: What was used in this period, as estimated.
        limit_bytes: The budget.
        per: ``"hour"``, ``"day"`` or ``"month"``.

    """

    share: float
    spent_bytes: int
    limit_bytes: int
    per: str


@slotted(frozen=True)
class Dropped:
    """The subscriber read too slowly, and has missed this many events."""

    count: int


ModemEvent: TypeAlias = (
    Urc
    | Progress
    | Unknown
    | StepLost
    | StepRegained
    | Reset
    | LinkDown
    | LinkUp
    | Recovering
    | BudgetReached
    | Dropped
)


class Subscription:
    """An async iterator over events; ends when the modem is closed.

    Events queue from the moment when the subscription is made, at most 1000.
    Cancellation of ``anext`` is safe: no event is lost. A subscription that the program has
    dropped, for example by leaving its loop with ``break``, gets no more events; ``async
    with`` ends it at a definite point.
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
    """Hand each event to every subscriber.

    The references to subscriptions are weak, so that a subscription ends when its subscriber
    has dropped it.

    Attributes:
        home: The event loop of the modem.
        stage: The stage of the last :class:`Progress`; ``""`` before the first.
        on_event: Called with each event, before the subscribers get it.

    """

    def __init__(self, home: HomeLoop) -> None:
        self.home = home
        self.stage: str = ""
        self.on_event: Callable[[ModemEvent], None] | None = None
        # Not a WeakSet, because going through an empty one takes longer than handling a URC.
        self._subscriptions: list[weakref.ref[Subscription]] = []
        self._closed = False

    def subscribe(self, keep: object = None) -> Subscription:
        """Make a subscription that sees every event from now on.

        Args:
            keep: An object that must live as long as the subscription.

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
        if self.on_event is not None:
            self.on_event(event)
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
