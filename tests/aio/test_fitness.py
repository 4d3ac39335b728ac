"""Fitness: what a load balancer is told of a modem, and what its checks cost."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x import LinkLost, ModemState, Reconnect
from aiobc9x.aio.fitness import COUNTED_ON_S, PAUSE_S
from aiobc9x.aio.reconnecting import FALTERS_S
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, Bench, echoed
from tests.support.clock import running, virtual

EVERY_S = 2.0
"""What a load balancer does by default."""


async def checked(modem: aiobc9x.Modem, seconds: float) -> list[bool]:
    """Check a modem as a balancer does; return what it was told."""
    told = []
    end = running().time() + seconds
    while running().time() < end:
        told.append(modem._fitness.check())
        await asyncio.sleep(EVERY_S)
    return told


async def until(modem: aiobc9x.Modem, is_well: bool, limit: float) -> float:
    """Check a modem until it is well, or not; return the seconds that it took."""
    began = running().time()
    while modem._fitness.check() is not is_well:
        assert running().time() - began < limit
        await asyncio.sleep(EVERY_S)
    return running().time() - began


class TestWhatIsTold:
    """Yes if connections can be opened now."""

    @virtual
    async def test_a_modem_that_nobody_has_used_yet(self) -> None:
        """The checks themselves have the network waited for."""
        async with Bench(register_time=20) as bench:
            modem = await bench.open()
            assert not modem._fitness.check()
            assert 10 < await until(modem, True, 60) < 60
            assert all(await checked(modem, 60))

    @virtual
    async def test_a_network_that_goes_and_comes(self) -> None:
        async with Bench() as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            bench.virtual.set_coverage(False)
            await until(modem, False, 10)
            assert not any(await checked(modem, 60))
            bench.virtual.set_coverage(True)
            await until(modem, True, 60)

    @virtual
    async def test_a_link_that_goes_and_comes(self) -> None:
        """At once, and within the time in which the modem is back."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            bench.is_plugged_in = False
            bench.cut()
            await asyncio.sleep(0.001)
            assert not modem._fitness.check()
            assert not any(await checked(modem, 30))
            bench.is_plugged_in = True
            await modem.available()
            assert modem._fitness.check()

    @virtual
    async def test_a_module_that_falls_silent_in_use(self) -> None:
        """Before its answer counts as lost."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            bench.silence(True)
            call = asyncio.create_task(modem.command("AT+CSQ"))
            assert await until(modem, False, 60) <= FALTERS_S + EVERY_S
            with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
                await call
            assert not any(await checked(modem, 30))

    @virtual
    async def test_a_module_that_falls_silent_unused(self) -> None:
        """The checks have an idle line asked, though the port would tell of its own end."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            await checked(modem, 100)
            bench.silence(True)
            assert await until(modem, False, 100) < 70

    @virtual
    async def test_a_closed_modem(self) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await modem.aclose()
            assert not modem._fitness.check()

    @virtual
    async def test_a_sim_that_cannot_be_used(self) -> None:
        """Each wait for the network ends at once then."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open(reconnect=Reconnect())
            assert not any(await checked(modem, 60))


class TestCost:
    """However often somebody checks."""

    @virtual
    async def test_a_check_that_succeeds_sends_nothing(self) -> None:
        """But the question on a line that has been silent for ``state_interval``."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await asyncio.sleep(100)
            bench.dialogue.clear()
            for _ in range(100_000):
                assert modem._fitness.check()
            await checked(modem, 300)
            assert set(bench.commands) == {"AT"}
            assert 8 <= len(bench.commands) <= 11
            tasks = len(asyncio.all_tasks())
            await asyncio.sleep(COUNTED_ON_S + 30)
            bench.dialogue.clear()
            await asyncio.sleep(600)
            assert bench.commands == [], "nobody checks any more"
            assert len(asyncio.all_tasks()) == tasks

    @virtual
    async def test_one_wait_at_a_time(self) -> None:
        """And a pause behind one that was in vain."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            for _ in range(600):
                for _ in range(10):
                    assert not modem._fitness.check()
                await asyncio.sleep(0.1)
            asked = [line for line in bench.commands if line == "AT+CPIN?"]
            assert 2 <= len(asked) <= 60 / PAUSE_S + 1

    @virtual
    async def test_a_module_that_may_sleep_is_let_sleep(self) -> None:
        async with Bench() as bench:
            modem = await bench.open(allow_sleep=True)
            await modem.wait_ready()
            await asyncio.sleep(20)
            bench.dialogue.clear()
            assert all(await checked(modem, 600))
            assert bench.commands == []


@virtual
async def test_it_changes_nothing_for_clients() -> None:
    """A module that is slow to answer is told of, and its connections go on."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.wait_ready()
        bench.add_fault(Fault(FaultKind.DELAY_LINE, on="OK", delay_s=7))
        call = asyncio.create_task(echoed(modem))
        assert await until(modem, False, 10) <= FALTERS_S + EVERY_S
        await call
        assert modem.state is ModemState.UP
        assert modem._fitness.check()
        assert (await modem.ping(HOST, count=1)).received == 1
