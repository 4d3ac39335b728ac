"""synchronize: the module's speed is found, and a silent line is given up in time.

What an earlier program left is tested in test_startup.py.
"""

from __future__ import annotations

import asyncio
import time
from unittest.mock import patch

import pytest

import aiobc9x
from aiobc9x.aio import sync
from aiobc9x.sim.links import VirtualModule, parse_address
from tests.support.bench import Bench
from tests.support.clock import running, virtual


@pytest.mark.parametrize("speed", [115200, 9600])
async def test_speed_is_found(speed: int) -> None:
    """``baudrate=None`` tries the usual ones; at the wrong one only noise comes."""
    options = parse_address(f"sim://?baud={speed}&strict_baud=1")
    async with VirtualModule(options) as module:
        path = await module.start_pty()
        with patch.object(sync, "SCAN_S", 1.0):
            async with aiobc9x.open_modem(path, baudrate=None) as modem:
                assert modem._driver.link.baudrate == speed
                assert modem._driver.session.baudrate == speed
                assert await modem.command("AT+CGMM") == ["BC65"]


async def test_wrong_speed() -> None:
    """The error speaks of the speed, and keeps to its time."""
    async with VirtualModule(parse_address("sim://?baud=9600&strict_baud=1")) as module:
        path = await module.start_pty()
        began = time.monotonic()
        with pytest.raises(
            aiobc9x.LinkTimeout, match=r"the speed \(baudrate=None tries the usual ones\)"
        ):
            await aiobc9x.open_modem(path, baudrate=115200, sync_timeout=1)
        assert time.monotonic() - began < 2


async def test_speed_that_is_not_found() -> None:
    """A scan ends in time, too."""
    async with VirtualModule(parse_address("sim://?baud=1200&strict_baud=1")) as module:
        path = await module.start_pty()
        began = time.monotonic()
        with (
            patch.object(sync, "SCAN_S", 0.2),
            pytest.raises(aiobc9x.LinkTimeout, match=r"no answer to AT|nothing came"),
        ):
            await aiobc9x.open_modem(path, baudrate=None, sync_timeout=1)
        assert time.monotonic() - began < 2


@virtual
async def test_line_that_never_falls_silent() -> None:
    """``settle`` goes on after three seconds."""
    async with Bench() as bench:
        modem = await bench.open()

        async def chatter() -> None:
            while True:
                bench.virtual.say("+CSCON: 1")
                await asyncio.sleep(0.1)

        chattering = asyncio.create_task(chatter())
        await asyncio.sleep(1)
        began = running().now
        await sync.settle(modem._driver)
        chattering.cancel()
        assert running().now - began == pytest.approx(sync.SETTLE_LIMIT_S, abs=0.3)


@virtual
async def test_silent_line_is_settled_at_once() -> None:
    """No time is lost where nothing comes."""
    async with Bench() as bench:
        modem = await bench.open()
        await asyncio.sleep(1)
        began = running().now
        await sync.settle(modem._driver)
        assert running().now - began < 0.001
