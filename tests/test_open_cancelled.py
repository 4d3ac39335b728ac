"""open_modem() that is cancelled: the port is free when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

import aiobc9x
from tests.support.bench import ADDRESS, HOST, PORT, Bench, Plug, plugged_in
from tests.support.clock import no_task_left, other_tasks, virtual
from tests.support.scripted import ScriptedDevice

Cancelled = Callable[[Callable[[], Awaitable[Any]], float], Awaitable[None]]


async def by_scope(work: Callable[[], Awaitable[Any]], after: float) -> None:
    """Cancel as anyio does: at every await."""
    with anyio.move_on_after(after) as scope:
        await work()
    assert scope.cancelled_caught


async def by_task(work: Callable[[], Awaitable[Any]], after: float) -> None:
    """Cancel as asyncio does: once."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after):
            await work()


async def twice(work: Callable[[], Awaitable[Any]], after: float) -> None:
    """Cancel, and again while it ends."""

    async def main() -> None:
        await work()

    task = asyncio.create_task(main())
    await asyncio.sleep(after)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


WAYS = pytest.mark.parametrize("cancelled", [by_scope, by_task, twice])


class Lazy(ScriptedDevice):
    """Closes a moment after it was told to, as a port does that is closed in a thread.

    Attributes:
        is_closed: Whether it has.

    """

    is_closed = False

    def close(self) -> None:
        """Close soon."""
        asyncio.get_running_loop().call_later(0.5, self._close)

    def _close(self) -> None:
        self.is_closed = True
        super().close()


@WAYS
@virtual
async def test_while_the_module_is_silent(cancelled: Cancelled) -> None:
    """The port is closed before the cancellation passes, however slowly it closes."""
    device = Lazy()
    before = other_tasks()

    async def work() -> None:
        await aiobc9x.open_modem(ADDRESS)

    with plugged_in(lambda _: device):
        await cancelled(work, 3)
    assert device.is_closed
    await no_task_left(before)


@WAYS
@virtual
async def test_while_the_stream_is_opened(cancelled: Cancelled) -> None:
    """What ``create`` has to clean up it cleans up in peace."""
    left: list[str] = []

    async def create(_factory: Callable[[], asyncio.Protocol]) -> Any:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.5)
            left.append("cleaned up")

    async def work() -> None:
        await aiobc9x.open_modem(create)

    await cancelled(work, 3)
    assert left == ["cleaned up"]


@virtual
async def test_in_the_turn_in_which_the_stream_has_come() -> None:
    """It is closed, since nobody gets to know of it."""
    device = Lazy()
    has_come = asyncio.Event()

    async def create(factory: Callable[[], asyncio.Protocol]) -> Any:
        protocol = factory()
        device.connect_memory(protocol)
        has_come.set()
        return device, protocol

    async def main() -> None:
        await aiobc9x.open_modem(create)

    task = asyncio.create_task(main())
    await has_come.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert device.is_closed


@virtual
async def test_a_scope_around_an_open_modem() -> None:
    """Leaving ``async with`` by a cancelled scope closes the sockets and the port first."""
    async with Bench() as bench:
        with plugged_in(lambda _: Plug(bench)), anyio.move_on_after(5):
            async with aiobc9x.open_modem(ADDRESS) as modem:
                await modem.create_connection(asyncio.Protocol, HOST, PORT)
                await anyio.sleep(1000)
        assert bench.open_ids == []
        assert bench.line is not None
        assert bench.line.is_closing()
