"""Waiting in spite of cancellations."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from aiobc9x.aio.line.finishing import until_done
from tests.support.clock import running, virtual


@virtual
async def test_a_scope_that_is_cancelled_does_not_interrupt() -> None:
    """anyio cancels at every await; this one goes on."""
    began = running().now
    with anyio.move_on_after(1) as scope:
        try:
            await anyio.sleep(100)
        finally:
            assert await until_done(asyncio.create_task(asyncio.sleep(5)))
    assert scope.cancelled_caught
    assert 6 <= running().now - began < 6.1


@virtual
async def test_nor_does_a_cancellation_of_the_task() -> None:
    """However many come."""
    future: asyncio.Future[None] = running().create_future()
    task = asyncio.create_task(until_done(future))
    for _ in range(3):
        await asyncio.sleep(1)
        task.cancel()
    await asyncio.sleep(1)
    assert not task.done()
    future.set_exception(LookupError("of no interest"))
    assert await task is True
    with pytest.raises(LookupError):
        await future


@virtual
async def test_the_limit_holds_all_the_same() -> None:
    """Cancellations don't start it anew."""
    task = asyncio.create_task(until_done(running().create_future(), 2))
    await asyncio.sleep(1.5)
    task.cancel()
    await asyncio.sleep(1)
    assert task.done()
    assert task.result() is False
