"""Driver: futures, the watchdog, and what becomes of those who wait."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from unittest.mock import patch

import pytest

import aiobc9x
from aiobc9x.aio.line.driver import STALL_S, Driver
from aiobc9x.aio.line.link import open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.core.session import Session
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.commands.base import Raw
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, PORT, Bench, plugged_in
from tests.support.clock import running, take_errors, virtual
from tests.support.scripted import ScriptedDevice


class TestCommands:
    """One at a time, each with its own answer."""

    @virtual
    async def test_answers_go_to_their_commands(self) -> None:
        """However many wait."""
        async with Bench(latency=0.1) as bench:
            modem = await bench.open()
            lines = ["AT+CGMM", "AT+CFUN?", "AT+CGMI", "AT+CIMI"] * 5
            answers = await asyncio.gather(*map(modem.command, lines))
            one_round = [["BC65"], ["+CFUN: 1"], ["Quectel"], ["460001234567890"]]
            assert answers == one_round * 5

    @virtual
    async def test_timeout_of_one_is_not_the_others(self) -> None:
        """A command that times out fails alone; those behind it wait for the repair."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CIMI"))
            silent = asyncio.create_task(modem.command("AT+CIMI", timeout=3))
            behind = asyncio.create_task(modem.command("AT+CGMM"))
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout):
                await silent
            assert 3 <= running().now - began < 3.3  # what the line itself takes is added
            assert await behind == ["BC65"]

    @virtual
    async def test_error_with_its_reason(self) -> None:
        """A TCP/IP command's ERROR is explained by AT+QIGETERROR, another's is not."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.CommandError) as caught:
                await modem.command('AT+QIOPEN=9,0,"TCP","10.0.0.1",80')
            assert caught.value.err == 552
            bench.dialogue.clear()
            with pytest.raises(aiobc9x.CommandError, match=r"AT\+XYZ"):
                await modem.command("AT+XYZ")
            assert bench.commands == ["AT+XYZ"]

    @virtual
    async def test_data_at_the_prompt(self) -> None:
        """A command of the caller's may have a payload."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            open_line = f'AT+QIOPEN=1,5,"TCP","{HOST}",{PORT},0,0,0'
            await modem.command(open_line)
            await asyncio.sleep(1)
            await modem.command("AT+QISEND=5,4", data=b"\r\n\x1a>")
            await asyncio.sleep(1)
            assert bench.peer.received == b"\r\n\x1a>"
            await modem.command("AT+QICLOSE=5")
            await asyncio.sleep(1)

    @virtual
    async def test_settings_take_effect_at_their_ok(self) -> None:
        """Hex receive and hidden lengths, switched by hand in mid-stream."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            lines = ['"dataformat",0,1', '"showlength",0', '"viewmode",1', '"dataformat",0,0']
            for line in [*lines, '"showlength",1', '"viewmode",0']:
                await modem.command(f"AT+QICFG={line}")
                writer.write(bytes(range(256)) * 8)
                assert await reader.readexactly(2048) == bytes(range(256)) * 8
            assert modem.statistics.recoveries == 0


class TestStall:
    """The whole program may be held up."""

    @virtual
    async def test_answer_that_waits_to_be_read_is_not_late(self) -> None:
        """After a stall what has arrived is read before anything is called late."""
        async with Bench(latency=1.0) as bench:
            modem = await bench.open()
            call = asyncio.create_task(modem.command("AT+CGMM", timeout=2))
            await asyncio.sleep(0.5)
            running().clock.advance(10 + STALL_S)  # a debugger, a swapped-out machine
            assert await call == ["BC65"]
            assert modem.statistics.timeouts == 0

    @virtual
    async def test_slow_start_of_the_reader(self) -> None:
        """A flood on the line doesn't starve the rest of the program."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            peer.send(bytes(100_000))
            await reader.readexactly(100_000)
            counting.cancel()
            assert turns > 100


class TestLine:
    """How the line is used and watched."""

    @virtual
    async def test_link_that_answers_at_once(self) -> None:
        """Bytes that come while the line is written to are handled after that, in order."""
        answers = {b"AT+CGMM": b"\r\nBC65\r\n", b"AT+CGMI": b"\r\nQuectel\r\n"}

        def answer(device: ScriptedDevice, line: bytes) -> None:
            device.say_now(answers[line])
            device.say_now(b"\r\nOK\r\n")

        with plugged_in(lambda _: ScriptedDevice(answer)):
            link = await open_link(ADDRESS, SerialSettings())
        session = Session()
        driver = Driver(link, session)
        await driver.start()
        session.resume()
        lines = await asyncio.gather(*(driver.run(Raw(f"AT+CGM{x}")) for x in "MIMI"))
        assert lines == [["BC65"], ["Quectel"]] * 2
        await driver.stop()

    @virtual
    async def test_one_timer_for_many_commands(self) -> None:
        """A watchdog that comes early sets itself anew; none is set and cancelled a command."""
        async with opened(AnsweringModule()) as modem:  # which sets none
            before = running().timers_set
            for _ in range(100):
                await modem.command("AT")
            assert running().timers_set - before <= 1

    @virtual
    async def test_library_code_has_no_context_of_the_program(self) -> None:
        """What a command sets off does not inherit the variables of who sent it."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
        async with Bench() as bench:
            modem = await bench.open()
            seen = []
            bench.driver.on_urc = lambda _: seen.append(variable.get())
            variable.set("the program's")
            await modem.command("AT")
            bench.virtual.say('+QIURC: "closed",5')
            await asyncio.sleep(1)
            assert seen == ["none"]


class TestEnd:
    """The link goes, the modem closes."""

    @virtual
    async def test_lost_line_fails_everything_at_once(self) -> None:
        """Commands in flight and in the queue, connections, events."""
        async with Bench(latency=0.5) as bench:
            modem = await bench.open()
            reader, _ = await bench.streams(HOST, PORT)
            events = modem.subscribe()
            pending = [
                asyncio.create_task(modem.command("AT+CGMM")),
                asyncio.create_task(modem.command("AT+CIMI")),
                asyncio.create_task(modem.open_connection(HOST, PORT)),
                asyncio.create_task(reader.read()),
            ]
            await asyncio.sleep(0.1)
            bench.cut()
            _, late = await asyncio.wait(pending, timeout=0.01)
            assert not late
            for task in pending:
                assert isinstance(task.exception(), aiobc9x.LinkLost)
                assert "Input/output error" in str(task.exception())
            assert len({id(task.exception()) for task in pending}) == len(pending)
            assert [e async for e in events if not isinstance(e, aiobc9x.Progress)] == []

    @virtual
    async def test_nobody_asking_is_no_error(self) -> None:
        """A future that fails with the link and that nobody awaits is not reported."""
        async with Bench() as bench:
            await bench.open()
            driver = bench.driver
            before: asyncio.Future[object] = driver.expect(lambda _: None)
            bench.cut()
            await asyncio.sleep(0.1)
            after: asyncio.Future[object] = driver.expect(lambda _: None)
            assert before.done()
            assert after.done()
            del before, after
            gc.collect()
            assert take_errors() == []

    @pytest.mark.parametrize("method", ["submit", "feed", "next_output", "advance"])
    @virtual
    async def test_bug_in_the_session_ends_the_modem_with_its_reason(self, method: str) -> None:
        """An exception of our own is reported, and nobody waits for ever."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CIMI"))
            line = "AT+CIMI" if method == "advance" else "AT"
            with patch.object(Session, method, side_effect=RuntimeError("a bug")):
                both = (modem.command(line, timeout=1) for _ in range(2))
                results = await asyncio.gather(*both, return_exceptions=True)
                assert isinstance(results[-1], aiobc9x.LinkLost)
                assert "a bug" in str(results[-1])
                (report,) = take_errors()
                assert str(report["exception"]) == "a bug"

    @virtual
    async def test_reason_is_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        """A lost line is a warning, a close by the caller none."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.aclose()
            assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
            await bench.open()
            bench.cut()
            await asyncio.sleep(1)
            assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1

    @virtual
    async def test_traffic_can_be_watched(self, caplog: pytest.LogCaptureFixture) -> None:
        """Debug lines show both directions, but not what the connections carry."""
        async with Bench() as bench:
            caplog.set_level(logging.DEBUG, "aiobc9x.wire")
            await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(bytes(1400))
            await reader.readexactly(1400)
            lines = [record.message for record in caplog.records]
            assert "> ATI" in lines
            assert "> (1400 bytes)" in lines
            assert any(line.startswith("< ") and "+QIRD: 1024" in line for line in lines)
            assert max(map(len, lines)) < 700


@virtual
async def test_every_chunk_is_heard_before_it_is_read() -> None:
    """A terminal shows lines as the module has spelled them."""
    async with Bench() as bench:
        modem = await bench.open()
        heard: list[bytes] = []
        modem._driver.on_received = heard.append
        assert await modem.command("AT+CGMM") == ["BC65"]
    assert b"\r\nBC65\r\n" in b"".join(heard)
