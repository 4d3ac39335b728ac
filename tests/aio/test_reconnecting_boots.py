"""A module that boots while its modem is brought back is left alone until it answers."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x import LinkLost, LinkUp, Reconnect
from tests.aio.test_reconnecting import heard
from tests.support.bench import Bench, echoed
from tests.support.clock import running, virtual


@pytest.mark.parametrize("hook_s", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("boot_s", [0.5, 2.0, 6.0, 20.0])
@virtual
async def test_the_hook_is_called_once(boot_s: float, hook_s: float) -> None:
    """The banner shows that it has worked, though the module answers nothing yet."""
    async with Bench(boot_time=boot_s) as bench:
        calls: list[float] = []

        async def reset(_modem: aiobc9x.Modem) -> None:
            calls.append(running().now)
            bench.silence(False)
            bench.virtual.reset()
            await asyncio.sleep(hook_s)

        modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
        events = modem.subscribe()
        bench.silence(True)
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        await heard(events, LinkUp)
        assert len(calls) == modem.statistics.reset_hooks == 1
        assert running().now - max(calls[0] + boot_s, calls[0] + hook_s) < 5.0
        await echoed(modem)


@virtual
async def test_silence_behind_a_banner() -> None:
    """It counts from the banner on: a module that then hangs is reset again, not at once."""
    async with Bench() as bench:
        calls: list[float] = []

        async def reset(_modem: aiobc9x.Modem) -> None:
            calls.append(running().now)

        modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
        bench.silence(True)
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        while not calls:
            await asyncio.sleep(0.1)
        await asyncio.sleep(8)
        bench.virtual.say("RDY")
        banner = running().now
        await asyncio.sleep(60)
        assert 30 <= calls[1] - banner < 45
        bench.silence(False)


@virtual
async def test_a_boot_loop() -> None:
    """A module that only ever boots is reset from outside, about once in a minute."""
    async with Bench() as bench:
        calls: list[float] = []

        async def reset(_modem: aiobc9x.Modem) -> None:
            calls.append(running().now)

        modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
        bench.silence(True)
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        for _ in range(100):
            bench.virtual.say("RDY")
            await asyncio.sleep(3)
        assert 3 <= len(calls) <= 5
        bench.silence(False)
        await modem.available(timeout=60)
