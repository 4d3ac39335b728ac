"""Subscriptions: events from the call on, bounded, cancellable."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.aio.events import QUEUE_LENGTH, Hub, Progress
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
    hub = Hub()
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
    hub = Hub()
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
    hub = Hub()
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
    hub = Hub()
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
    hub = Hub()
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
