"""Readiness: SIM, registration, attach, context, address."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

import aiobc9x
from aiobc9x.aio.line.subscriptions import Subscription
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.urcs import Registration
from tests.support.answering import AnsweringModule, late, loses_network, opened
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual


async def _until_quiet(events: Subscription) -> AsyncIterator[aiobc9x.ModemEvent]:
    """What waits for a subscriber, and what comes within a second behind that."""
    with contextlib.suppress(TimeoutError):
        while True:
            yield await asyncio.wait_for(anext(events), 1)


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
            bench.cut()
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
            assert bench.commands.count("AT+CEREG=5") == 1

    @virtual
    async def test_lost_line(self) -> None:
        """A modem that is gone is not ready, whatever it was before."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.cut()
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
        """It is asked again, and holds nothing up for as long as what it asks about may take."""
        async with Bench(Fault(FaultKind.IGNORE, on="AT+CFUN?")) as bench:
            began = running().now
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CGATT?"))
            await modem.wait_ready()
            assert running().now - began < 20
            assert bench.commands.count("AT+CGATT?") == 2


class TestNotNow:
    """A single refused, slow or lost query ends nothing."""

    @pytest.mark.parametrize(
        "query", ["AT+CPIN?", "AT+CEREG?", "AT+CGATT?", "AT+CGPADDR?", "AT+CEREG=5"]
    )
    @virtual
    async def test_slow_answers(self, query: str) -> None:
        """An answer that comes too late once."""
        module = AnsweringModule()
        module.on(re.escape(query), late(module, 9, b"OK"), times=1)
        async with opened(module) as modem:
            await modem.wait_ready(60)

    @pytest.mark.parametrize("query", ["AT+CPIN?", "AT+CEREG?", "AT+CGATT?", "AT+CGPADDR?"])
    @virtual
    async def test_restart(self, query: str) -> None:
        """The check begins anew, and the PIN is given again."""
        module = AnsweringModule()
        module.on(r"AT\+CPIN\?", b"+CPIN: SIM PIN\nOK", times=1)

        def restart(_match: re.Match[str]) -> None:
            module.on(r"AT\+CPIN\?", b"+CPIN: SIM PIN\nOK", times=1)
            module.say(b"\r\nRDY\r\n")

        module.on(re.escape(query), restart, times=1)
        async with opened(module, pin="1234") as modem:
            await modem.wait_ready(60)
            assert modem.statistics.resets == 1
        assert len(module.told("AT+CPIN=")) == (1 if query == "AT+CPIN?" else 2)

    @pytest.mark.parametrize("answer", [b"ERROR", b"+CME ERROR: 100", b"+CME ERROR: 515"])
    @virtual
    async def test_everything_is_refused_for_a_while(self, answer: bytes) -> None:
        """That is no network: neither the SIM nor the address is taken for granted."""
        module = AnsweringModule()
        module.on(r"AT\+CPIN\?", b"+CPIN: SIM PIN\nOK", times=1)
        async with opened(module, pin="1234") as modem:
            began = running().now
            module.on(r"AT\+.*", answer, seconds=4)
            await modem.wait_ready(60)
            assert running().now - began > 4
        assert module.told("AT+CPIN=") == ['AT+CPIN="1234"']

    @virtual
    async def test_missing_commands(self) -> None:
        """They are gone without after some seconds, and not asked for again."""
        module = AnsweringModule()
        module.on(r"AT\+(CPIN|CEREG|CGREG|CREG|CGATT)\?", b"+CME ERROR: 4")
        async with opened(module) as modem:
            began = running().now
            await modem.wait_ready(60)
            assert 10 < running().now - began < 25
            await loses_network(module)
            began = running().now
            await modem.wait_ready(60)
            assert running().now - began < 1

    @virtual
    async def test_address_is_never_taken_for_granted(self) -> None:
        """The note has the command, so it can't be missing (§4.1.1)."""
        module = AnsweringModule()
        module.on(r"AT\+CGPADDR.*", b"ERROR")
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.StageTimeout, match=r"an address: .*said: ERROR"):
                await modem.wait_ready(30)

    @pytest.mark.parametrize(
        ("query", "state", "order", "match"),
        [
            ("AT+CGATT?", b"+CGATT: 0\nOK", "AT+CGATT=1", "not attached, and 30 to AT.CGATT=1"),
            ("AT+CGPADDR?", b"+CGPADDR: 1\nOK", "AT+CGACT=1,1", "no address, and 30 to AT"),
        ],
    )
    @virtual
    async def test_orders_that_are_refused(
        self, query: str, state: bytes, order: str, match: str
    ) -> None:
        """They are given again, and the error names them."""
        module = AnsweringModule()
        module.on(re.escape(query), state)
        module.on(re.escape(order), b"+CME ERROR: 30")
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.StageTimeout, match=match):
                await modem.wait_ready(30)
            assert module.seen.count(order) > 5

    @virtual
    async def test_silence_of_what_the_start_has_left(self) -> None:
        """It is left once more, and is no reason not to be ready."""
        module = AnsweringModule()
        module.on(r"AT\+QSCLK=0", b"ERROR", times=1)
        async with opened(module) as modem:
            module.on(r"AT\+QSCLK=0", lambda _: None, times=1)
            await modem.wait_ready()
            assert len(module.told("AT+QSCLK")) == 3

    @virtual
    async def test_silence_is_told(self) -> None:
        """The error says that nothing came, in the stage that it was."""
        module = AnsweringModule()
        module.on(r"AT\+CEREG\?", lambda _: None)
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.StageTimeout, match=r"registering .* gave no"):
                await modem.wait_ready(30)

    @pytest.mark.parametrize("query", ["AT+CEREG?", "AT+CGATT?", "AT+CGPADDR?"])
    @virtual
    async def test_sim_that_is_wanted_later(self, query: str) -> None:
        """A refusal that speaks of the SIM has it looked at, whatever is waited for."""
        module = AnsweringModule()
        module.on(re.escape(query), b"+CME ERROR: 11", times=1)
        async with opened(module, pin="1234") as modem:
            module.on(r"AT\+CPIN\?", b"+CPIN: SIM PIN\nOK", times=1)
            module.on(r"AT\+CPIN\?", b"+CPIN: READY\nOK", times=1)
            await modem.wait_ready(30)
        assert module.told("AT+CPIN=") == ['AT+CPIN="1234"']

    @virtual
    async def test_sim_that_goes_while_the_network_is_searched(self) -> None:
        """Its URC has it looked at."""
        module = AnsweringModule()
        module.on(r"AT\+CEREG\?", b"+CEREG: 1,2\nOK")
        async with opened(module) as modem:
            waiting = asyncio.create_task(modem.wait_ready(60))
            await asyncio.sleep(5)
            module.on(r"AT\+CPIN\?", b"+CME ERROR: 10")
            module.say(b"\r\n+CPIN: NOT INSERTED\r\n")
            await asyncio.sleep(12)
            assert isinstance(waiting.exception(), aiobc9x.SimMissing)


class TestRegistrationLevel:
    """AT+CEREG=5 tells why a network says no, and its timers (27.007)."""

    @pytest.mark.parametrize(
        ("n", "known", "chosen"),
        [
            (0, range(6), ["AT+CEREG=5"]),
            (1, range(4), ["AT+CEREG=5", "AT+CEREG=4", "AT+CEREG=3"]),
            (0, range(2), [f"AT+CEREG={n}" for n in (5, 4, 3, 2, 1)]),
            (1, range(2), [f"AT+CEREG={n}" for n in (5, 4, 3, 2)]),
            (2, range(6), []),
            (5, range(6), []),
        ],
    )
    @virtual
    async def test_the_most_that_the_module_has(
        self, n: int, known: range, chosen: list[str]
    ) -> None:
        """Once; a level that somebody has chosen is left alone."""
        module = AnsweringModule()
        level = [n]

        def choose(match: re.Match[str]) -> bytes:
            if int(match[1]) not in known:
                return b"+CME ERROR: 50"
            level[0] = int(match[1])
            return b"OK"

        module.on(r"AT\+CEREG=(\d)", choose)
        module.on(r"AT\+CEREG\?", lambda _: b"+CEREG: %d,1\nOK" % level[0])
        async with opened(module) as modem:
            for _ in range(2):
                await modem.wait_ready(30)
                await loses_network(module)
        assert module.told("AT+CEREG=") == chosen

    @virtual
    async def test_a_refusal_that_may_pass(self) -> None:
        """The level is chosen at the next look."""
        module = AnsweringModule()
        module.on(r"AT\+CEREG=5", b"+CME ERROR: 14", times=1)
        module.on(r"AT\+CEREG\?", b"+CEREG: 0,2\nOK", times=1)
        async with opened(module) as modem:
            await modem.wait_ready(30)
        assert module.told("AT+CEREG=") == ["AT+CEREG=5"] * 2

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (
                b',"7B2C","0012A4F1",9,0,11',
                "cause 11, PLMN not allowed; cell 0012A4F1 of area 7B2C",
            ),
            (b",,,,0,15", "cause 15, no suitable cells in tracking area"),
            (b',,"0012A4F1",9,0,22', "cause 22, congestion; cell 0012A4F1"),
            (b",,,,0,77", "cause 77, one of the maker's or a newer network's"),
            (b",,,,1,11", "cause 11, one of the maker's or a newer network's"),
        ],
    )
    @virtual
    async def test_the_cause_is_told(self, answer: bytes, words: str) -> None:
        """In the error, in the progress, and by registration()."""
        module = AnsweringModule()
        module.on(r"AT\+CEREG\?", b"+CEREG: 5,3%b\nOK" % answer)
        denied = f"registration denied by the network: {words}"
        async with opened(module) as modem:
            events = modem.subscribe()
            with pytest.raises(aiobc9x.StageTimeout, match=f"{denied}; check SIM") as caught:
                await modem.wait_ready(5)
            assert caught.value.stage == "registering on the network"
            told = [event async for event in _until_quiet(events)]
            assert aiobc9x.Progress("registering on the network", denied) in told
            cause = int(answer.rpartition(b",")[2])
            assert (await modem.registration()).reject_cause == cause

    @virtual
    async def test_from_denied_to_registered(self) -> None:
        """The network may take later what it denied before (lifecycle); its URCs are events."""
        async with Bench(reject_cause=11) as bench:
            modem = await bench.open()
            waiting = asyncio.create_task(modem.wait_ready(60))
            await asyncio.sleep(10)
            denied = await modem.registration()
            assert (denied.reject_cause, denied.ci, denied.n) == (11, "01A2B3C4", 5)
            events = modem.subscribe()
            bench.virtual.deny(0)
            await waiting
            assert (await modem.registration()).registered
            told = [event async for event in _until_quiet(events)]
            stats = [event.status.stat for event in told if isinstance(event, Registration)]
            assert stats == [2, 1]

    @virtual
    async def test_an_answer_of_one_field(self) -> None:
        """It can't be told from the URC, and is taken for the answer if there is no other."""
        module = AnsweringModule()
        module.on(r"AT\+CEREG\?", b"+CEREG: 5\nOK")
        async with opened(module) as modem:
            assert (await modem.registration()).stat == 5
            await modem.wait_ready(10)
        assert module.told("AT+CGREG") == []

    @virtual
    async def test_no_answer_at_all(self) -> None:
        """OK alone, and a URC of another kind, are none."""
        module = AnsweringModule()
        module.on(r"AT\+C.?REG\?|AT\+CEREG\?", b"+CSCON: 1\nOK")
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.UnexpectedAnswer):
                await modem.registration()


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
