"""What other packages in the environment must not change.

sniffio tells which async library runs. anyio asks it where it is installed, and outside
a task it can't tell: work that a callback of the loop starts must not depend on that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.link import open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.core.session import Session
from tests.support.clock import running, virtual
from tests.support.scripted import ScriptedDevice


async def started_driver() -> Driver:
    """Start a driver on a line whose other end never answers."""

    async def create(protocol_factory: Callable[[], asyncio.Protocol]) -> tuple[Any, Any]:
        protocol = protocol_factory()
        return ScriptedDevice().connect_memory(protocol), protocol

    driver = Driver(await open_link(create, SerialSettings()), Session())
    await driver.start()
    return driver


@virtual
async def test_work_starts_without_a_current_task() -> None:
    """A callback of the loop has no current task, and still starts work that ends."""
    driver = await started_driver()
    ended = asyncio.Event()
    current: list[asyncio.Task[object] | None] = []

    async def work() -> None:
        ended.set()

    def callback() -> None:
        current.append(asyncio.current_task())
        driver.spawn(work)

    running().call_soon(callback)
    await asyncio.wait_for(ended.wait(), 1)
    assert current == [None]
    await driver.stop()


@virtual
async def test_stop_ends_work_that_mistakes_a_cancellation() -> None:
    """A task that takes the first cancellation for a timeout is cancelled again."""
    driver = await started_driver()
    seen: list[str] = []

    async def stubborn() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1000)
        seen.append("once")
        await asyncio.sleep(1000)

    driver.spawn(stubborn)
    await asyncio.sleep(0)
    await driver.stop()
    assert seen == ["once"]
