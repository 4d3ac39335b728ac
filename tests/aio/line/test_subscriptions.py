"""Subscriptions: events from the call on, bounded, cancellable."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import aiobc9x
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.aio.line.subscriptions import QUEUE_LENGTH, Hub, Progress
from aiobc9x.wire.urcs import Registration
from tests.support.bench import Bench
from tests.support.clock import virtual


def number(event: aiobc9x.ModemEvent) -> int:
    """Return the number that :func:`numbered` gave an event."""
    assert isinstance(event, Progress)
    return int(event.stage)


@virtual
async def test_events_queue_from_the_call_on() -> None:
    """Each subscriber gets every event since it subscribed, in order."""
    hub = Hub(HomeLoop("a test"))
    hub.publish(Progress("0"))
    early = hub.subscribe()
    hub.publish(Progress("1"))
    late = hub.subscribe()
    hub.publish(Progress("2"))
    hub.close()
    assert [number(event) async for event in early] == [1, 2]
    assert [number(event) async for event in late] == [2]


@virtual
async def test_slow_subscriber_is_told_what_it_missed() -> None:
    """The queue is bounded; what came first is kept."""
    hub = Hub(HomeLoop("a test"))
    events = hub.subscribe()
    for turn in range(QUEUE_LENGTH + 5):
        hub.publish(Progress(str(turn)))
    for turn in range(QUEUE_LENGTH):
        assert number(await anext(events)) == turn
    assert await anext(events) == aiobc9x.Dropped(5)
    hub.publish(Progress("7"))
    assert number(await anext(events)) == 7


@virtual
async def test_nothing_is_between_the_gap_and_its_report() -> None:
    """Once events are missed, all that come before the report are missed too."""
    hub = Hub(HomeLoop("a test"))
    events = hub.subscribe()
    for turn in range(QUEUE_LENGTH + 1):
        hub.publish(Progress(str(turn)))
    await anext(events)
    hub.publish(Progress("in the gap"))
    for _ in range(QUEUE_LENGTH - 1):
        await anext(events)
    assert await anext(events) == aiobc9x.Dropped(2)


@virtual
async def test_cancelled_wait_loses_no_event() -> None:
    """Also not in the moment in which it comes."""
    hub = Hub(HomeLoop("a test"))
    events = hub.subscribe()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    hub.publish(Progress("1"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert number(await anext(events)) == 1


@virtual
async def test_closing_a_subscription() -> None:
    """It ends behind what it has, and hears no more."""
    hub = Hub(HomeLoop("a test"))
    events = hub.subscribe()
    hub.publish(Progress("1"))
    events.close()
    events.close()
    hub.publish(Progress("2"))
    assert [number(event) async for event in events] == [1]


@virtual
async def test_urcs_of_a_modem() -> None:
    """URCs come parsed; lines that nobody knows come as they are."""
    async with Bench() as bench:
        modem = await bench.open()
        events = modem.subscribe()
        bench.virtual.say("+CEREG: 5")
        bench.virtual.say("+XYZ: 1")
        first, second = await anext(events), await anext(events)
        assert isinstance(first, Registration)
        assert second == aiobc9x.Unknown(b"+XYZ: 1")
        waiting = asyncio.ensure_future(anext(events, None))
        await asyncio.sleep(0)
        await modem.aclose()
        assert await waiting is None
        assert [event async for event in modem.subscribe()] == []


@virtual
async def test_a_subscription_that_is_left_costs_nothing() -> None:
    """Behind ``break`` nobody holds it, and no event is kept for it."""
    hub = Hub(HomeLoop("a test"))
    left: list[weakref.ref[object]] = []

    async def first() -> int:
        events = hub.subscribe()
        left.append(weakref.ref(events))
        hub.publish(Progress("1"))
        async for event in events:
            return number(event)
        raise AssertionError

    kept = hub.subscribe()
    for _ in range(1000):
        assert await first() == 1
    gc.collect()
    assert [each for each in left if each() is not None] == []
    hub.publish(Progress("2"))
    assert number(await anext(kept)) == 1


@virtual
async def test_async_with_closes_a_subscription() -> None:
    """Also one that somebody still holds."""
    hub = Hub(HomeLoop("a test"))
    async with hub.subscribe() as events:
        hub.publish(Progress("1"))
    hub.publish(Progress("2"))
    assert [number(event) async for event in events] == [1]


@virtual
async def test_a_subscriber_that_waits_is_kept() -> None:
    """Even if it is the loop alone that holds it."""
    hub = Hub(HomeLoop("a test"))
    waiting = asyncio.ensure_future(anext(hub.subscribe()))
    await asyncio.sleep(0)
    gc.collect()
    hub.publish(Progress("1"))
    assert number(await waiting) == 1
