"""Health: back in step after whatever happens on the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import aiobc9x
from aiobc9x.aio.recovery import RECOVERY_LIMIT_S
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import BLACK_HOLE, Host
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import ECHO_PORT, HOST, NAME, PORT, Bench, echoed
from tests.support.clock import running, virtual


async def works(bench: Bench) -> None:
    """Show that commands and data get through."""
    modem = await bench.modem()
    assert await modem.command("AT+CGMM") == ["BC65"]
    await echoed(modem)


@asynccontextmanager
async def out_of_step() -> AsyncIterator[tuple[Bench, asyncio.Task[list[str]]]]:
    """Lose the step while a command waits for an answer that the module won't give."""
    async with Bench(Fault(FaultKind.IGNORE, on="AT+CIMI")) as bench:
        modem = await bench.open()
        reader, writer = await bench.streams(access_mode=aiobc9x.AccessMode.PUSH)
        asking = asyncio.create_task(modem.command("AT+CIMI", timeout=RECOVERY_LIMIT_S + 5))
        await asyncio.sleep(1)
        bench.virtual.say('+QIURC: "recv",0,x')
        with pytest.raises(aiobc9x.StreamBroken):
            await reader.read()
        yield bench, asking
        writer.close()


class TestStep:
    """Commands and answers that don't match are brought back in step."""

    @pytest.mark.parametrize("line", ["OK", "ERROR", "+CME ERROR: 100"])
    @virtual
    async def test_stray_final_result(self, line: str) -> None:
        """An answer that nobody awaits; connections outlive the repair."""
        async with Bench() as bench:
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            events = (await bench.modem()).subscribe()
            bench.virtual.say(line)
            await asyncio.sleep(2)
            assert (await bench.modem()).statistics.recoveries == 1
            assert isinstance(await anext(events), aiobc9x.StepLost)
            assert isinstance(await anext(events), aiobc9x.StepRegained)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_lost_answer(self) -> None:
        """A command whose final result is lost times out; the next one works."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.DROP_LINE, on="OK"))
            with pytest.raises(aiobc9x.LinkTimeout, match=r"AT\+CIMI"):
                await modem.command("AT+CIMI", timeout=2)
            await works(bench)

    @pytest.mark.parametrize("lost", [1, 30, 700])
    @virtual
    async def test_a_payload_that_got_lost(self, lost: int) -> None:
        """The module waits for the rest, and takes what is written for it; it gets all of that."""
        async with Bench(Fault(FaultKind.LOSE_SENT, on="AT+QISEND", count=lost)) as bench:
            modem = await bench.open_lasting(send_form="fixed")
            reader, writer = await bench.streams()
            writer.write(bytes(700))
            with pytest.raises(aiobc9x.StreamBroken):
                await reader.read()
            began = running().now
            await works(bench)
            assert running().now - began < 10
            assert modem.statistics.link_losses == 0

    @virtual
    async def test_answer_that_comes_too_late(self) -> None:
        """It is not taken for the answer to the next command."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.DELAY_LINE, on="OK", delay_s=2.2))
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.command("AT+CIMI", timeout=2)
            assert await modem.command("AT+CGMM") == ["BC65"]
            await works(bench)

    @virtual
    async def test_garbage_between_lines(self) -> None:
        """Noise costs nothing that it doesn't hit."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.GARBAGE, on="+CGMM", data=b"\xff\xfe\x00"))
            for _ in range(3):
                assert await modem.command("AT+CFUN?") == ["+CFUN: 1"]
            await works(bench)

    @virtual
    async def test_silent_module(self) -> None:
        """One that stays silent is given up: everything ends with the reason."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, _ = await bench.streams(HOST, PORT)
            bench.add_fault(Fault(FaultKind.STUCK, on="AT"))
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.command("AT+CIMI", timeout=1)
            with pytest.raises(aiobc9x.LinkLost, match="stopped answering") as caught:
                await modem.command("AT+CIMI")
            assert "powered" in str(caught.value)
            with pytest.raises(aiobc9x.LinkLost, match="stopped answering"):
                await reader.read()
            assert running().now - began < RECOVERY_LIMIT_S + 10
            await asyncio.sleep(1)
            assert bench.line is not None
            assert bench.line.is_closing()  # others may have the port

    @virtual
    async def test_a_command_in_flight_is_waited_for(self) -> None:
        """Until its answer is overdue, no AT can be sent: the repair's time begins then."""
        async with out_of_step() as (bench, asking):
            with pytest.raises(aiobc9x.LinkTimeout):
                await asking
            await works(bench)

    @pytest.mark.parametrize("fault", [FaultKind.IGNORE, FaultKind.STUCK])
    @virtual
    async def test_module_that_answers_some_questions_is_there(self, fault: FaultKind) -> None:
        """It has the long time. A silent one, asked because it was silent, has the short one."""
        async with Bench() as bench:
            await bench.open(state_interval=30)
            bench.driver.link.hangs_up = False  # as a serial server behind a network
            await asyncio.sleep(10)
            bench.add_fault(Fault(fault, on="AT"))
            bench.add_fault(Fault(fault, on="AT+QISTATE", times=4))
            began = running().now
            if fault is FaultKind.IGNORE:
                await asyncio.sleep(60)
                assert bench.commands.count("AT+QISTATE?") == 6
                await works(bench)
            else:
                while bench.driver.is_alive:  # noqa: ASYNC110  (nobody waits for anything)
                    await asyncio.sleep(1)
                assert 40 < running().now - began < 55

    @virtual
    async def test_restart_while_a_command_is_waited_for(self) -> None:
        """The start is all the repair that the module needs."""
        async with out_of_step() as (bench, asking):
            await asyncio.sleep(1)
            bench.virtual.say("RDY")
            with pytest.raises(aiobc9x.ModuleReset):
                await asking
            await works(bench)
            assert bench.commands.count("AT+QISTATE?") == 2

    @virtual
    async def test_module_that_is_silent_for_a_while(self) -> None:
        """Ten seconds are survived, and so are the connections."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            bench.add_fault(Fault(FaultKind.SILENCE, on="AT+CIMI", delay_s=10))
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.command("AT+CIMI", timeout=1)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @pytest.mark.parametrize("count", [1, 3])
    @virtual
    async def test_an_answer_lost_during_the_repair(self, count: int) -> None:
        """It begins anew; one more lost line doesn't cost the modem."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QISTATE?", times=count))
            bench.virtual.say("OK")
            await asyncio.sleep(40)
            assert modem.statistics.timeouts == count
            await works(bench)

    @pytest.mark.parametrize("answer", [b"ERROR", b"+CME ERROR: 14"])
    @virtual
    async def test_a_refused_ate0_is_repeated(self, answer: bytes) -> None:
        """Echoes would be taken for answers from then on."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on("ATE0", answer, times=4)
            module.seen.clear()
            module.say(b"\r\nOK\r\n")
            await asyncio.sleep(10)
            assert module.told("ATE0") == ["ATE0"] * 5
            assert await modem.command("AT", timeout=1) == []

    @virtual
    async def test_an_ate0_that_is_refused_for_ever(self) -> None:
        """It is the end of the modem, which says so."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on("ATE0", b"ERROR")
            module.say(b"\r\nOK\r\n")
            await asyncio.sleep(2 * RECOVERY_LIMIT_S)
            with pytest.raises(aiobc9x.LinkLost, match="the module refused 'ATE0'"):
                await modem.command("AT")


class TestRestart:
    """A reset fails everything, then the modem is usable again."""

    @virtual
    async def test_everything_pending_fails_at_once(self) -> None:
        """Commands in flight, commands in the queue, connections, opens."""
        async with Bench(boot_time=5) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            reader, _ = await bench.streams(HOST, PORT)
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CIMI"))
            pending = [
                asyncio.create_task(modem.command("AT+CIMI")),
                asyncio.create_task(modem.command("AT+CGMM")),
                asyncio.create_task(modem.open_connection(HOST, PORT)),
                asyncio.create_task(reader.read()),
            ]
            await asyncio.sleep(0.5)
            bench.virtual.reset()
            _, late = await asyncio.wait(pending, timeout=5.01)
            assert not late
            assert all(isinstance(task.exception(), aiobc9x.ModuleReset) for task in pending)
            await works(bench)

    @virtual
    async def test_second_restart_during_the_first_repair(self) -> None:
        """Each restart is looked after, and the line never waits for ever."""
        async with Bench(boot_time=1) as bench:
            await bench.open()
            bench.add_fault(Fault(FaultKind.RESET, on="AT+QSCLK"))
            bench.virtual.reset()
            await asyncio.sleep(20)
            assert bench.virtual.statistics.resets == 2
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            bench.virtual.say("OK")  # step is lost: the repair is free, and repairs no more
            await asyncio.sleep(5)
            writer.write(b"still here")
            assert await asyncio.wait_for(reader.readexactly(10), 5) == b"still here"

    @virtual
    async def test_many_restarts_in_a_row(self) -> None:
        """A weak supply may need a while; the modem is there again when it has recovered."""
        async with Bench(boot_time=0.5) as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.RESET, on="ATE0", times=8))
            bench.virtual.reset()
            await asyncio.sleep(RECOVERY_LIMIT_S)
            assert modem.statistics.resets >= 9
            await works(bench)

    @virtual
    async def test_network_is_awaited_again(self) -> None:
        """After a restart the module must register first; connecting waits for that."""
        async with Bench(register_time=10) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.virtual.reset()
            await asyncio.sleep(3)
            began = running().now
            await bench.streams(HOST, PORT)
            assert 5 < running().now - began < 10

    @virtual
    async def test_banner_that_got_lost(self) -> None:
        """The echo shows the restart: nothing that was open is trusted."""
        async with Bench(banner="", register_time=20) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            reader, _ = await bench.streams(HOST, PORT)
            bench.virtual.reset()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 40)
            began = running().now
            await works(bench)
            assert running().now - began > 1  # it had to register
            assert not bench.virtual.module.board.settings.echo
            assert modem.statistics.resets == 1

    @virtual
    async def test_what_a_restarted_module_owes_nobody(self) -> None:
        """Openings and lookups end with the restart, not by their own long limits."""
        hosts = {NAME: Host((HOST,)), "9.9.9.9": Host((BLACK_HOLE,))}
        async with Bench(hosts=hosts, dns_time=3, banner="") as bench:
            modem = await bench.open()
            await modem.wait_ready()
            asked = [
                asyncio.create_task(modem.open_connection("9.9.9.9", PORT)),
                asyncio.create_task(modem.resolve(NAME)),
            ]
            await asyncio.sleep(1)
            bench.virtual.reset()
            began = running().now
            await modem.command("AT+CSQ")
            for task in asked:
                with pytest.raises(aiobc9x.ModuleReset):
                    await task
            assert running().now - began < 5
            await works(bench)

    @virtual
    async def test_an_opening_that_shows_the_restart(self) -> None:
        """The start behind it closes every socket, so that one ends too, at once."""
        async with Bench(banner="", network_latency=3) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.virtual.reset()
            began = running().now
            with pytest.raises(aiobc9x.ModuleReset):
                await modem.open_connection(HOST, ECHO_PORT)
            assert running().now - began < 5
            assert modem.statistics.resets == 1
            await works(bench)

    @virtual
    async def test_banner_that_got_lost_and_an_answer_too(self) -> None:
        """A repair that begins anew knows of the restart, though the echo is off by then."""
        async with Bench(banner="") as bench:
            modem = await bench.open()
            bench.virtual.reset()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QISTATE?"))
            assert await modem.command("AT+CGMM") == ["BC65"]
            await asyncio.sleep(10)
            assert bench.commands.count("AT+CSCON=1") == 2  # it was configured again
            assert modem.statistics.resets == 1

    @virtual
    async def test_module_that_stays_away(self) -> None:
        """A module that restarts and then says nothing ends the modem."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.STUCK, on="AT"))
            bench.virtual.reset()
            await asyncio.sleep(60)
            with pytest.raises(aiobc9x.LinkLost, match=r"restarted .* stayed away"):
                await modem.command("AT")


class TestWatch:
    """Sockets that close in silence."""

    @virtual
    async def test_socket_that_vanishes(self) -> None:
        """Within the state interval its connection ends with an error."""
        async with Bench() as bench:
            (reader, _), _ = await bench.connect()
            bench.virtual.module.sockets.lose(streams_only=True)
            with pytest.raises(aiobc9x.StreamBroken, match="without reporting it"):
                await asyncio.wait_for(reader.read(), 45)

    @virtual
    async def test_watching_can_be_switched_off(self) -> None:
        """With both intervals 0 an idle modem sends nothing."""
        async with Bench() as bench:
            await bench.open(poll_interval=0, state_interval=0)
            await bench.streams(HOST, PORT)
            bench.dialogue.clear()
            await asyncio.sleep(3600)
            assert bench.dialogue == []

    @virtual
    async def test_idle_modem_without_connections_is_quiet(self) -> None:
        """No socket, no polling."""
        async with Bench() as bench:
            await bench.open()
            bench.dialogue.clear()
            await asyncio.sleep(3600)
            assert bench.dialogue == []

    @virtual
    async def test_polling_has_a_price(self) -> None:
        """An idle connection costs a read every 10 s and a table every 30 s."""
        async with Bench() as bench:
            await bench.connect()
            await asyncio.sleep(1)
            bench.dialogue.clear()
            await asyncio.sleep(300)
            counts = [sum(c.startswith(a) for c in bench.commands) for a in ("AT+QIRD", "AT+QISTA")]
            assert counts[0] == pytest.approx(30, abs=1)
            assert counts[1] == pytest.approx(10, abs=1)


class TestSleep:
    """A module that may sleep misses its first AT (lifecycle: deep sleep)."""

    @virtual
    async def test_it_is_woken_before_a_command(self) -> None:
        """Nobody notices, and nothing keeps it awake meanwhile."""
        async with Bench() as bench:
            modem = await bench.open(allow_sleep=True, open_time=20)
            await modem.wait_ready()
            for _ in range(2):
                commands = len(bench.commands)
                await asyncio.sleep(120)
                assert len(bench.commands) == commands
                bench.virtual.deep_sleep()
                await asyncio.sleep(1)
                assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]
                assert (await modem.settings()).open_time == 20

    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize(("wake_time", "limit"), [(0.0, 0.5), (0.4, 1.2), (3.0, 5.0)])
    @virtual
    async def test_waking_is_no_repair(
        self, announced: bool, wake_time: float, limit: float
    ) -> None:
        """A throw-away AT, and the command: no lost step, and no more time than it takes."""
        async with Bench(wake_time=wake_time) as bench:
            modem = await bench.open(allow_sleep=True)
            if not announced:
                await modem.command("AT+QNBIOTEVENT=0,1")
                await modem.command("AT+QATWAKEUP=0")
            await modem.wait_ready()
            events = modem.subscribe()
            for wakes in (1, 2):
                await asyncio.sleep(60)
                bench.virtual.deep_sleep()
                bench.dialogue.clear()
                began = running().now
                assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]
                assert running().now - began < limit
                assert set(bench.commands) <= {"AT+CFUN?", "AT+CSQ"}
                assert modem.statistics.wakes == wakes
            assert modem.statistics.recoveries == 0
            events.close()
            assert not [e async for e in events if isinstance(e, aiobc9x.StepLost)]

    @pytest.mark.parametrize("latency", [0.05, 0.2, 0.3, 0.5])
    @virtual
    async def test_a_slow_module(self, latency: float) -> None:
        """One that is slow to answer is not taken for one that sleeps, awake or just woken."""
        async with Bench(latency=latency) as bench:
            modem = await bench.open(allow_sleep=True)
            for sleeps in (False, True, False, True):
                await asyncio.sleep(60)
                if sleeps:
                    bench.virtual.deep_sleep()
                assert await modem.command("AT+CSQ")
            assert modem.statistics.recoveries == 0

    @pytest.mark.parametrize("announced", [True, False])
    @virtual
    async def test_what_deep_sleep_ends(self, announced: bool) -> None:
        """TCP, whether the module tells or not; ``open_time`` is set again, UDP goes on."""
        async with Bench() as bench:
            bench.network.serve_udp(9, lambda peer: peer.answer_with(peer.send))
            modem = await bench.open(allow_sleep=True, open_time=20)
            if not announced:
                await modem.command("AT+QNBIOTEVENT=0,1")
                await modem.command("AT+QATWAKEUP=0")
            (reader, _), _ = await bench.connect()
            received: asyncio.Queue[bytes] = asyncio.Queue()

            class Protocol(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: object) -> None:
                    received.put_nowait(data)

            transport, _ = await modem.create_datagram_endpoint(Protocol, remote_addr=(HOST, 9))
            await asyncio.sleep(10)
            bench.virtual.deep_sleep()
            transport.sendto(b"telemetry")
            assert await received.get() == b"telemetry"
            with pytest.raises(aiobc9x.ModuleReset, match="sleep"):
                await reader.read()
            await asyncio.sleep(1)
            assert bench.virtual.module.board.settings.open_time == 20
            assert modem.statistics.recoveries == 0

    @virtual
    async def test_light_sleep(self) -> None:
        """It eats a line, and ends nothing."""
        async with Bench() as bench:
            modem = await bench.open(allow_sleep=True)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            await asyncio.sleep(60)
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT", times=1))
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            assert (modem.statistics.wakes, modem.statistics.recoveries) == (1, 0)

    @virtual
    async def test_it_does_not_wake_up(self) -> None:
        """That is a loss of step like any other, which is repaired as ever."""
        async with Bench(wake_time=12.0) as bench:
            modem = await bench.open(allow_sleep=True)
            await asyncio.sleep(60)
            bench.virtual.deep_sleep()
            assert await modem.command("AT+CSQ", timeout=30) == ["+CSQ: 20,0"]
            assert modem.statistics.recoveries == 1

    @virtual
    async def test_a_busy_line_is_left_alone(self) -> None:
        """It is awake for as long as it is spoken to."""
        async with Bench() as bench:
            modem = await bench.open(allow_sleep=True)
            for _ in range(5):
                await asyncio.sleep(7)
                await modem.command("AT+CSQ")
            assert modem.statistics.recoveries == 0

    @virtual
    async def test_busy_when_it_wakes(self) -> None:
        """A refused ``open_time`` is set with the next thing that needs the network."""
        module = AnsweringModule()
        async with opened(module, open_time=20) as modem:
            await modem.wait_ready()
            module.seen.clear()
            module.on(r'AT\+QICFG="open_time",20', b"+CME ERROR: 14", times=2)
            module.say(b'\r\n+QNBIOTEVENT: "EXIT DEEPSLEEP"\r\n')
            await asyncio.sleep(1)
            for _ in range(3):
                await modem.wait_ready()
            assert module.seen == ['AT+QICFG="open_time",20'] * 3
