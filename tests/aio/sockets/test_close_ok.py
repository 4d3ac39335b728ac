"""close_and_wait(): one AT+QICLOSE and what may come of it (§2.2.2)."""

from __future__ import annotations

import asyncio

import pytest

from aiobc9x.aio.sockets.close_ok import CLOSE_OK_LIMIT_S, CloseResult, close_and_wait
from aiobc9x.core.events import Lane
from aiobc9x.errors import LinkLost, ModuleReset
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import Bench, driver_of
from tests.support.clock import running, virtual


async def close(bench: Bench, limit: float = CLOSE_OK_LIMIT_S) -> CloseResult:
    """Close the first socket by itself, as a start does with those of an earlier program."""
    driver = driver_of(await bench.modem())
    return await close_and_wait(driver, 0, lane=Lane.CLOSE, limit=limit)


@virtual
async def test_close_ok_frees_the_id() -> None:
    """It may take ten seconds (§4.3.4)."""
    async with Bench(close_time=9.9) as bench:
        await bench.connect()
        began = running().now
        assert await close(bench) is CloseResult.CONFIRMED
        assert 9.9 <= running().now - began < 10.5
        assert bench.open_ids == []


@virtual
async def test_a_refusal_is_told_at_once() -> None:
    """Most modules say ERROR for a socket that they don't have."""
    async with Bench() as bench:
        await bench.connect()
        bench.add_fault(Fault(FaultKind.ERROR, on="AT+QICLOSE"))
        began = running().now
        assert await close(bench) is CloseResult.REFUSED
        assert running().now - began < 1
        assert await close(bench) is CloseResult.CONFIRMED


@pytest.mark.parametrize("limit", [CLOSE_OK_LIMIT_S, 2.0])
def test_a_close_ok_that_is_lost(limit: float) -> None:
    """The wait has an end, and nobody knows then whether the socket is gone."""

    @virtual
    async def check() -> None:
        async with Bench(Fault(FaultKind.DROP_LINE, on="CLOSE OK")) as bench:
            await bench.connect()
            began = running().now
            assert await close(bench, limit=limit) is CloseResult.UNCONFIRMED
            assert limit <= running().now - began < limit + 1

    check()


@virtual
async def test_a_restart_ends_the_wait() -> None:
    """It has freed every socket, so CLOSE OK won't come."""
    async with Bench(close_time=9, boot_time=1) as bench:
        await bench.connect()
        closing = asyncio.create_task(close(bench))
        await asyncio.sleep(1)
        bench.virtual.reset()
        with pytest.raises(ModuleReset):
            await closing


@virtual
async def test_a_lost_link_ends_the_wait() -> None:
    """Nobody can tell of the end any more."""
    async with Bench(close_time=9) as bench:
        await bench.connect()
        closing = asyncio.create_task(close(bench))
        await asyncio.sleep(1)
        bench.cut()
        with pytest.raises(LinkLost):
            await closing


@virtual
async def test_a_cancelled_wait_leaves_the_line_in_step() -> None:
    """The command ends by itself."""
    async with Bench(close_time=3) as bench:
        await bench.connect()
        closing = asyncio.create_task(close(bench))
        await asyncio.sleep(1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.sleep(5)
        assert await (await bench.modem()).command("AT+CSQ")
        assert (await bench.modem()).statistics.recoveries == 0
