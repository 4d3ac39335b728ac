"""Waiting in spite of cancellations."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from aiobc9x.aio.line.finishing import LAST_MOMENT_S, contain, until_done
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


class TestContain:
    """A program's own code, whatever it does."""

    @virtual
    async def test_what_ends(self) -> None:
        """It is over, or its exception is raised."""
        await contain(asyncio.sleep(1), 2)

        async def fail() -> None:
            raise LookupError("inside")

        with pytest.raises(LookupError, match="inside"):
            await contain(fail(), 2)

    @pytest.mark.parametrize("is_stubborn", [False, True])
    @virtual
    async def test_what_does_not_end(self, is_stubborn: bool) -> None:
        """It is cancelled, and left behind if it ignores that; what it raises later is nobody's."""
        may_end = asyncio.Event()

        async def hang() -> None:
            while not may_end.is_set():
                try:
                    await may_end.wait()
                except asyncio.CancelledError:
                    if not is_stubborn:
                        raise
            raise LookupError("too late")

        began = running().now
        with pytest.raises(TimeoutError, match="did not end in 3 s"):
            await contain(hang(), 3)
        assert running().now - began <= 3.1 + is_stubborn * LAST_MOMENT_S
        may_end.set()

    @virtual
    async def test_what_fails_when_it_is_cancelled(self) -> None:
        """The limit is what is told of."""

        async def hang() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                raise LookupError("on its way out")

        with pytest.raises(TimeoutError, match=r"did not end in 3 s$"):
            await contain(hang(), 3)

    @virtual
    async def test_what_is_cancelled_from_inside(self) -> None:
        """It is an error like any other, and no cancellation of the caller."""

        async def stop() -> None:
            raise asyncio.CancelledError

        with pytest.raises(RuntimeError, match="cancelled from inside"):
            await contain(stop(), 3)

    @virtual
    async def test_a_caller_that_is_cancelled(self) -> None:
        """The work has ended when the cancellation passes, if it ends soon."""
        ended: list[float] = []

        async def work() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(1)
                ended.append(running().now)

        task = asyncio.create_task(contain(work(), 50))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ended == [pytest.approx(running().now, abs=0.01)]
