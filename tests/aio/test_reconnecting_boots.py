"""A module that boots while its modem is brought back is left alone until it answers."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x import LinkLost, LinkUp, Reconnect, StepRegained
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
        is_called = asyncio.Event()

        async def reset(_modem: aiobc9x.Modem) -> None:
            calls.append(running().now)
            is_called.set()

        modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
        bench.silence(True)
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        await is_called.wait()
        await asyncio.sleep(8)
        bench.virtual.say("RDY")
        banner = running().now
        await asyncio.sleep(60)
        assert 30 <= calls[1] - banner < 45
        bench.silence(False)


@pytest.mark.parametrize("after_s", [20.0, 31.0, 40.0, 40.6, 41.2, 41.8, 45.0, 50.0])
@virtual
async def test_a_module_that_chatters(after_s: float) -> None:
    """What it prints unasked is no late answer, and holds no question up that got lost."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        events = modem.subscribe()
        bench.silence(True)
        began = running().now
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        await asyncio.sleep(began + after_s - running().now)
        bench.silence(False)
        is_up = asyncio.create_task(heard(events, StepRegained))
        for number in range(100):
            bench.virtual.say(f"+CSCON: {number % 2}")
            done, _ = await asyncio.wait([is_up], timeout=0.7)
            if done:
                break
        assert running().now - began - after_s < 5.0


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


@pytest.mark.parametrize("after_s", [100.0, 101.5, 103.0, 104.5, 106.0, 107.5, 109.0])
@virtual
async def test_a_module_that_still_waits_for_data(after_s: float) -> None:
    """One that hung in the middle of a send hears no AT before its bytes: it gets them soon."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        events = modem.subscribe()
        await bench.streams()
        bench.silence(True)
        began = running().now
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        bench.earlier_program("AT+QISEND=0,500")
        await asyncio.sleep(began + after_s - running().now)
        bench.silence(False)
        await heard(events, LinkUp)
        assert running().now - began - after_s < 10.0
