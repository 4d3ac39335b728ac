"""Readiness: SIM, registration, attach, context, address."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual


class TestWaiting:
    """Each stage is awaited and named."""

    @virtual
    async def test_slow_network(self) -> None:
        """A registration of a minute is waited for; progress is told."""
        async with Bench(register_time=60, attach_time=5) as bench:
            modem = await bench.open()
            events = modem.subscribe()
            began = running().now
            await modem.wait_ready()
            assert 59 < running().now - began < 70
            stages = []
            for _ in range(6):
                event = await anext(events)
                if isinstance(event, aiobc9x.Progress):
                    stages.append((event.stage, event.detail))
            assert ("registering on the network", "searching") in stages

    @pytest.mark.parametrize(
        ("option", "value", "match"),
        [
            ("register_time", 900.0, "registering on the network: .*searching; check SIM"),
            ("attach_time", 900.0, "attaching to the packet service: .*not attached"),
            ("sim", False, "waiting for the SIM: .*10"),
        ],
    )
    @virtual
    async def test_timeout_names_the_stage(self, option: str, value: float, match: str) -> None:
        """And what the module said last, and what to check."""
        async with Bench(**{option: value}) as bench:  # type: ignore[arg-type]  # a parameter
            modem = await bench.open()
            began = running().now
            with pytest.raises(aiobc9x.StageTimeout, match=match) as caught:
                await modem.wait_ready(20)
            assert isinstance(caught.value, TimeoutError)
            assert running().now - began == pytest.approx(20, abs=0.1)

    @virtual
    async def test_a_lost_line_ends_the_wait(self) -> None:
        """At once, also between two questions."""
        async with Bench(register_time=900) as bench:
            modem = await bench.open()
            waiting = asyncio.create_task(modem.open_connection(HOST, PORT))
            await asyncio.sleep(30)
            began = running().now
            bench.cut_line()
            with pytest.raises(aiobc9x.LinkLost):
                await waiting
            assert running().now - began < 0.1

    @virtual
    async def test_second_time_is_free(self) -> None:
        """A state that nothing contradicts is not asked for again."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.dialogue.clear()
            await modem.wait_ready()
            assert bench.dialogue == []

    @pytest.mark.parametrize("line", ["+CEREG: 2", "+CEREG: 0", "+CFUN: 0", "+CPIN: NOT READY"])
    @virtual
    async def test_urc_contradicts(self, line: str) -> None:
        """What the module says of its own accord makes us ask again."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.virtual.say(line)
            await asyncio.sleep(0.1)
            bench.dialogue.clear()
            await modem.wait_ready()
            assert "AT+CGATT?" in bench.commands

    @virtual
    async def test_urc_that_comes_during_the_check(self) -> None:
        """It is not forgotten: the check starts over."""
        async with Bench() as bench:
            modem = await bench.open()
            once = [True]

            def interrupt(line: str) -> None:
                if line == "AT+CGPADDR?" and once.pop():
                    once.append(False)
                    bench.virtual.say("+CEREG: 2")

            bench.on_command = interrupt
            await modem.wait_ready()
            assert bench.commands.count("AT+CEREG?") == 2

    @virtual
    async def test_concurrent_waits_share_one_check(self) -> None:
        """Six connections at once ask the network once."""
        async with Bench(register_time=5) as bench:
            modem = await bench.open()
            await asyncio.gather(*(modem.wait_ready() for _ in range(6)))
            assert bench.commands.count("AT+CEREG=1") == 1

    @virtual
    async def test_lost_line(self) -> None:
        """A modem that is gone is not ready, whatever it was before."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.cut_line()
            await asyncio.sleep(0.1)
            with pytest.raises(aiobc9x.LinkLost):
                await modem.wait_ready()

    @virtual
    async def test_context_is_activated(self) -> None:
        """Without an address AT+CGACT is tried."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.command("AT+CGACT=0,1")
            await modem.wait_ready()
            assert "AT+CGACT=1,1" in bench.commands
            await bench.streams(HOST, PORT)

    @virtual
    async def test_module_without_cereg(self) -> None:
        """CGREG and CREG are asked where CEREG is missing."""
        refused = [
            Fault(FaultKind.ERROR, on=f"AT+{n}", times=None) for n in ("CEREG", "CGREG", "CPIN")
        ]
        async with Bench(*refused) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            assert "AT+CREG?" in bench.commands

    @virtual
    async def test_question_without_an_answer(self) -> None:
        """It holds nothing up for as long as what it asks about may take to do."""
        async with Bench(Fault(FaultKind.IGNORE, on="AT+CFUN?")) as bench:
            began = running().now
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CGATT?"))
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.wait_ready()
            assert running().now - began < 20


class TestPin:
    """A SIM that wants one."""

    @virtual
    async def test_right_one(self) -> None:
        """It is given once."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open(pin="1234")
            await modem.wait_ready()
            assert sum(c.startswith("AT+CPIN=") for c in bench.commands) == 1

    @virtual
    async def test_it_is_given_again_after_a_restart(self) -> None:
        """A gateway comes back by itself."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open(pin="1234")
            await modem.wait_ready()
            bench.virtual.reset()
            await asyncio.sleep(60)
            await modem.wait_ready()
            assert sum(c.startswith("AT+CPIN=") for c in bench.commands) == 2

    @virtual
    async def test_none(self) -> None:
        """The error says which parameter is missing."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.PinRequired, match="wants its PIN; pass pin="):
                await modem.wait_ready()

    @virtual
    async def test_wrong_one_is_never_tried_twice(self) -> None:
        """Three wrong ones lock a SIM."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open(pin="9999")
            for _ in range(3):
                with pytest.raises(aiobc9x.PinRequired):
                    await modem.wait_ready()
            assert sum(c.startswith("AT+CPIN=") for c in bench.commands) == 1
