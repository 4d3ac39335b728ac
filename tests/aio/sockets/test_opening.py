"""Opening sockets: results, retries, and whatever happens meanwhile (§2.2.1)."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

import aiobc9x
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import BLACK_HOLE, Host
from tests.support.bench import ECHO_PORT, HOST, NAME, PORT, Bench
from tests.support.clock import running, virtual

NAMED = {NAME: Host((HOST,))}
OPEN_TIME_S = 5


class TestResults:
    """What ``+QIOPEN`` says becomes an exception that asyncio callers know."""

    @virtual
    async def test_refused(self) -> None:
        """566 soon after the command: nobody listens."""
        async with Bench() as bench:
            with pytest.raises(ConnectionRefusedError) as caught:
                await bench.streams(port=1)
            assert isinstance(caught.value, aiobc9x.ConnectRefused)
            assert caught.value.errno == errno.ECONNREFUSED
            assert "connection refused: 220.18.39.22:1 (module error 566)" in str(caught.value)
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_unknown_name(self) -> None:
        """565 is what the resolver of the system would raise."""
        async with Bench() as bench:
            with pytest.raises(socket.gaierror) as caught:
                await bench.streams(host="nowhere.example")
            assert isinstance(caught.value, aiobc9x.NameNotFound)
            assert caught.value.errno == socket.EAI_NONAME

    @pytest.mark.parametrize("err", [566, 569])
    @virtual
    async def test_black_hole(self, err: int) -> None:
        """Both codes mean a timeout when they come after ``open_time``."""
        async with Bench(timeout_err=err) as bench:
            await bench.open(open_time=OPEN_TIME_S)
            began = running().now
            with pytest.raises(aiobc9x.ConnectTimedOut) as caught:
                await bench.streams(BLACK_HOLE, PORT)
            assert isinstance(caught.value, TimeoutError)
            assert OPEN_TIME_S <= running().now - began < OPEN_TIME_S + 1

    @virtual
    async def test_no_context(self) -> None:
        """561: the module has no PDP context, and has not said so."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="+CGEV", times=None)) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await modem.command("AT+CGACT=0,1")
            with pytest.raises(aiobc9x.ConnectFailed) as caught:
                await bench.streams(HOST, PORT)
            assert caught.value.err == 561
            assert caught.value.errno == errno.ENETUNREACH

    @virtual
    async def test_lost_result_of_a_connected_socket(self) -> None:
        """Without ``+QIOPEN`` the module is asked, and the socket used."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="+QIOPEN: ")) as bench:
            await bench.open(open_time=OPEN_TIME_S)
            began = running().now
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            assert running().now - began == pytest.approx(OPEN_TIME_S + 5, abs=0.1)
            writer.write(b"here?")
            assert await reader.readexactly(5) == b"here?"

    @virtual
    async def test_lost_result_of_a_socket_whose_id_has_gone(self) -> None:
        """The open has failed, and an incoming connection has its ID: that is not ours."""
        row = '+QISTATE: 0,"TCP INCOMING","192.168.2.2",36566,2020,2,1,0'
        faults = [
            Fault(FaultKind.DROP_LINE, on="+QIOPEN: "),
            Fault(FaultKind.REPLACE_LINE, on="+QISTATE: 0", times=None, data=row.encode()),
        ]
        async with Bench(*faults) as bench:
            modem = await bench.open(state_interval=0)
            with pytest.raises(aiobc9x.ConnectTimedOut):
                await modem.open_connection(HOST, PORT)

    @virtual
    async def test_lost_result_of_a_socket_that_is_not(self) -> None:
        """Without ``+QIOPEN`` and without a connection it is a timeout."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="+QIOPEN: ")) as bench:
            await bench.open(open_time=OPEN_TIME_S)
            with pytest.raises(aiobc9x.ConnectTimedOut, match="no result"):
                await bench.streams(HOST, 1)
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_result_before_ok(self) -> None:
        """Some firmware says ``+QIOPEN`` first; it is the same connection."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.add_fault(Fault(FaultKind.DELAY_LINE, on="OK", delay_s=0.2))
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(b"here")
            assert await reader.readexactly(4) == b"here"


class TestRetries:
    """Refusals that pass."""

    @virtual
    async def test_identity_in_use_changes_the_id(self) -> None:
        """563: another owner has the ID; it is closed and the next one taken."""
        async with Bench() as bench:
            await bench.open()
            bench.earlier_program(f'AT+QIOPEN=1,0,"TCP","{HOST}",{PORT},0,0,0')
            _, writer = await bench.streams(HOST, PORT)
            assert writer.get_extra_info("connect_id") == 1
            await asyncio.sleep(1)
            assert bench.open_ids == [1]

    @virtual
    async def test_busy_module_is_tried_again(self) -> None:
        """551 and its like pass: the same call succeeds later."""
        busy = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: ", times=2, data=b"+QIOPEN: 0,551")
        async with Bench(busy) as bench:
            await bench.open()
            began = running().now
            await bench.streams(HOST, PORT)
            assert 1.5 <= running().now - began < 2

    @virtual
    async def test_busy_module_is_given_up(self) -> None:
        """A module that stays busy is an error, and leaves no ID behind."""
        busy = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: ", times=None, data=b"+QIOPEN: 0,551")
        async with Bench(busy) as bench:
            with pytest.raises(BlockingIOError):
                await bench.streams()
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @pytest.mark.parametrize("comes_back", [False, True])
    @virtual
    async def test_a_lost_line_between_two_tries(self, comes_back: bool) -> None:
        """Nobody waits until the next, also where the modem waits for another line."""
        async with Bench() as bench:
            modem = await (bench.open_lasting() if comes_back else bench.open())
            await modem.wait_ready()
            bench.add_fault(
                Fault(FaultKind.REPLACE_LINE, on="+QIOPEN:", times=None, data=b"+QIOPEN: 0,568")
            )
            opening = asyncio.create_task(bench.streams(HOST, PORT))
            await asyncio.sleep(3)  # the fourth try comes 2 s after the third
            began = running().now
            bench.cut()
            with pytest.raises(aiobc9x.LinkLost):
                await opening
            assert running().now - began < 0.1

    @virtual
    async def test_opens_are_serialized_where_the_module_needs_it(self) -> None:
        """``concurrent_opens=1``: no QIOPEN before the last one's result."""
        async with Bench(network_latency=0.5) as bench:
            await bench.open(profile=ModuleProfile(concurrent_opens=1))
            await asyncio.gather(*(bench.streams(HOST, PORT) for _ in range(4)))
            said = [t for _, t in bench.dialogue if t.startswith(("AT+QIOPEN", "+QIOPEN"))]
            assert [t.startswith("AT") for t in said] == [True, False] * 4


class TestLimits:
    """Six IDs and one port."""

    @virtual
    async def test_seventh_connection(self) -> None:
        """With six live sockets a seventh is EMFILE at once."""
        async with Bench() as bench:
            await bench.open()
            await asyncio.gather(*(bench.streams(HOST, PORT) for _ in range(6)))
            began = running().now
            with pytest.raises(OSError, match="six connect IDs") as caught:
                await bench.streams(HOST, PORT)
            assert isinstance(caught.value, aiobc9x.NoFreeSocket)
            assert caught.value.errno == errno.EMFILE
            assert running().now - began < 0.001

    @virtual
    async def test_seventh_waits_for_one_that_closes(self) -> None:
        """An ID that is being closed is worth waiting for."""
        async with Bench(close_time=3) as bench:
            await bench.open()
            streams = await asyncio.gather(*(bench.streams(HOST, PORT) for _ in range(6)))
            streams[2][1].close()
            began = running().now
            _, writer = await bench.streams(HOST, PORT)
            assert writer.get_extra_info("connect_id") == 2
            assert running().now - began == pytest.approx(3, abs=0.1)

    @virtual
    async def test_fixed_local_port_rests(self) -> None:
        """Note 5 of §2.2.1: a fixed port can be used again after 120 s."""
        async with Bench() as bench:
            _, writer = await bench.streams(local_port=5000)
            assert writer.get_extra_info("sockname")[1] == 5000
            writer.close()
            await writer.wait_closed()
            with pytest.raises(OSError, match="local port 5000") as caught:
                await bench.streams(local_port=5000)
            assert caught.value.errno == errno.EADDRINUSE
            await asyncio.sleep(121)
            await bench.streams(local_port=5000)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (("", PORT), "host"),
            (("a" * 254, PORT), "253"),
            (('x",1\rAT+QRST=1\r', PORT), "host"),
            ((HOST, 0), "port"),
            ((HOST, 65536), "port"),
        ],
    )
    @virtual
    async def test_wrong_arguments(self, arguments: tuple[str, int], match: str) -> None:
        """A ValueError names the argument, and nothing is sent."""
        async with Bench() as bench:
            await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match=match):
                await bench.streams(*arguments)
            assert bench.dialogue == []


class TestMeanwhile:
    """The line, the module or the modem ends while a socket opens."""

    @pytest.mark.parametrize("on", ["AT+QIOPEN", "AT+QISTATE=1"])
    @virtual
    async def test_restart(self, on: str) -> None:
        """A restart before the connection is handed over fails the call."""
        async with Bench(hosts=NAMED, boot_time=1) as bench:
            await bench.open()
            bench.add_fault(Fault(FaultKind.RESET, on=on))
            with pytest.raises(aiobc9x.ModuleReset):
                await bench.streams(NAME, PORT)
            await bench.streams(NAME, PORT)
            assert bench.open_ids == [1]

    @pytest.mark.parametrize("on", ["AT+QIOPEN", "AT+QISTATE=1"])
    @virtual
    async def test_lost_line(self, on: str) -> None:
        """A cut before the connection is handed over fails the call."""
        async with Bench(hosts=NAMED) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            bench.on_command = lambda line: bench.cut() if line.startswith(on) else None
            with pytest.raises(aiobc9x.LinkLost):
                await bench.streams(NAME, PORT)

    @virtual
    async def test_lost_line_while_waiting_for_an_id(self) -> None:
        """Whoever waits for an ID that closes hears that the line is gone."""
        async with Bench(close_time=5) as bench:
            await bench.open()
            streams = await asyncio.gather(*(bench.streams(HOST, PORT) for _ in range(6)))
            streams[0][1].close()
            seventh = asyncio.create_task(bench.streams(HOST, PORT))
            await asyncio.sleep(1)
            bench.cut()
            with pytest.raises(aiobc9x.LinkLost):
                await asyncio.wait_for(seventh, 2)

    @pytest.mark.parametrize("ticks", range(6))
    @virtual
    async def test_modem_closed_in_the_same_moment(self, ticks: int) -> None:
        """An open that starts around the close ends with LinkLost, or opens and is closed."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            closing = asyncio.create_task(modem.aclose())
            for _ in range(ticks):
                await asyncio.sleep(0)
            with pytest.raises(aiobc9x.LinkLost):
                await asyncio.wait_for(bench.streams(HOST, PORT), 30)
            await closing
            assert running().now < 1020
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_modem_closed_while_opening(self) -> None:
        """``aclose()`` closes IDs that are still opening."""
        async with Bench() as bench:
            modem = await bench.open()
            opening = asyncio.create_task(bench.streams(BLACK_HOLE, PORT))
            await asyncio.sleep(1)
            await modem.aclose()
            with pytest.raises(aiobc9x.LinkLost, match="closed"):
                await opening
            assert bench.open_ids == []

    @virtual
    async def test_modem_closed_before_the_open_was_told(self) -> None:
        """A close doesn't overtake an AT+QIOPEN that waits its turn: nothing would end that."""
        async with Bench(latency=0.05) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            _, writer = await bench.streams(HOST, PORT)
            bench.dialogue.clear()
            openings = [asyncio.create_task(bench.streams(HOST, PORT)) for _ in range(5)]
            await asyncio.sleep(0.07)
            writer.write(bytes(20000))  # something to flush while the others are closed
            await modem.aclose()
            await asyncio.gather(*openings, return_exceptions=True)
            assert ("<", "ERROR") not in bench.dialogue  # to the close of what isn't open yet
            assert bench.open_ids == []

    @virtual
    async def test_failure_before_the_transport_is_made(self) -> None:
        """A socket that fails while its peer's address is asked for is not handed over whole."""
        overflow = b'+QIURC: "recv",0,"buff full"'
        profile = ModuleProfile(on_buffer_full="fail")
        async with Bench(hosts=NAMED) as bench:
            modem = await bench.open(profile=profile)
            await modem.wait_ready()
            bench.add_fault(Fault(FaultKind.GARBAGE, on="+QISTATE", data=overflow + b"\r\n"))
            reader, _ = await bench.streams(NAME, PORT)
            with pytest.raises(aiobc9x.StreamBroken, match="buff full"):
                await asyncio.wait_for(reader.read(), 5)

    @virtual
    async def test_factory_that_fails(self) -> None:
        """An exception of the protocol factory is the caller's, and closes the socket."""
        async with Bench() as bench:
            modem = await bench.open()

            def factory() -> asyncio.Protocol:
                raise RuntimeError("no protocol today")

            with pytest.raises(RuntimeError, match="no protocol"):
                await modem.create_connection(factory, HOST, PORT)
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @pytest.mark.parametrize("stage", ["register_time", "network"])
    @virtual
    async def test_timeout_names_the_stage(self, stage: str) -> None:
        """The timeout covers the whole call; its message says what was going on."""
        slow = stage == "register_time"
        async with Bench(register_time=100.0 if slow else 0.0) as bench:
            await bench.open()
            match = "registering|waiting" if slow else f"connecting to {BLACK_HOLE}"
            began = running().now
            with pytest.raises(aiobc9x.StageTimeout, match=match):
                await bench.streams(BLACK_HOLE, PORT, timeout=4)
            assert running().now - began == pytest.approx(4, abs=0.1)


@virtual
async def test_an_open_waits_for_the_ids_of_cancelled_ones() -> None:
    """They are closed once the module has answered, so this is no case of EMFILE."""
    async with Bench() as bench:
        modem = await bench.open(open_time=OPEN_TIME_S)
        await modem.wait_ready()
        lost = [asyncio.create_task(modem.open_connection(BLACK_HOLE, PORT)) for _ in range(6)]
        await asyncio.sleep(1)
        for task in lost:
            task.cancel()
        await asyncio.wait(lost)
        began = running().now
        await bench.streams(HOST, PORT)
        assert running().now - began < OPEN_TIME_S + 1
