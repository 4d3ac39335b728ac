"""Resting: until the time is over, or nothing is worth waiting for."""

from __future__ import annotations

import asyncio

import pytest

from aiobc9x.aio.line.resting import rest
from tests.support.bench import Bench, left_waiting
from tests.support.clock import running, virtual


@virtual
async def test_until_the_time_is_over() -> None:
    """URCs don't matter."""
    async with Bench() as bench:
        await bench.open()
        began = running().now
        resting = asyncio.create_task(rest(bench.driver, 10))
        await asyncio.sleep(1)
        bench.virtual.say("+CEREG: 5")
        await resting
        assert running().now - began == pytest.approx(10, abs=0.01)
        assert left_waiting(bench.driver) == []


@pytest.mark.parametrize("event", ["a restart", "a lost line"])
@virtual
async def test_until_a_restart_or_a_lost_line(event: str) -> None:
    """Nothing is raised: the next command tells."""
    async with Bench(boot_time=1) as bench:
        await bench.open()
        resting = asyncio.create_task(rest(bench.driver, 1000))
        await asyncio.sleep(1)
        began = running().now
        if event == "a restart":
            bench.virtual.reset()
        else:
            bench.cut()
        await resting
        assert running().now - began < 2


@virtual
async def test_cancelled() -> None:
    """It leaves nothing behind."""
    async with Bench() as bench:
        await bench.open()
        resting = asyncio.create_task(rest(bench.driver, 1000))
        await asyncio.sleep(1)
        resting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resting
        await asyncio.sleep(0)
        assert left_waiting(bench.driver) == []
