"""What breaks in the field, as an application sees it: rows that no other test shows.

docs/reliability.md has all rows, each with its test.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode, ModuleProfile
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.urcs import SignallingState
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, PORT, UDP_PORT, Bench, echoed
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder

ANYTHING = bytes(range(256)) * 8 + b'\r\nOK\r\n> \r\n+QIURC: "closed",0\r\nSEND FAIL\r\nRDY\r\n' * 4
DEAD_PORT = 1
FINALS = ["+QIRD", "OK", "SEND OK", "+QIOPEN", "CLOSE OK"]


def in_front_of(what: str, data: bytes) -> Fault:
    """Have bytes come before every line that begins so."""
    return Fault(FaultKind.GARBAGE, on=what, data=data, times=None)


async def works_all_the_while(bench: Bench, **settings: Any) -> aiobc9x.Modem:
    """Carry bytes on two connections at once, one of them in push mode; nothing may be lost."""
    modem = await bench.open(**settings)
    await asyncio.gather(
        echoed(modem, ANYTHING), echoed(modem, ANYTHING, access_mode=AccessMode.PUSH)
    )
    await asyncio.sleep(10)
    assert bench.open_ids == []
    assert modem.statistics.recoveries == 0
    return modem


class TestFraming:
    """Lines of nobody, in front of any line, whole or byte by byte."""

    @pytest.mark.parametrize("what", FINALS)
    @pytest.mark.parametrize("chunk", [0, 1, "random"])
    @virtual
    async def test_urcs_between_everything(self, what: str, chunk: Any) -> None:
        """Calls get their answers, streams their bytes, and subscribers the URCs."""
        urcs = b"\r\n+CSCON: 1\r\n\r\n+CEREG: 1\r\n"
        async with Bench(in_front_of(what, urcs), chunk=chunk) as bench:
            modem = await works_all_the_while(bench)
            events = modem.subscribe()
            assert (await modem.registration()).registered
            assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]
            if what == "OK":
                assert isinstance(await anext(events), SignallingState)

    @pytest.mark.parametrize("words", [b"\r\n+LOWVBAT:2987\r\n", b"\r\nRING\r\n", b"\r\n"])
    @virtual
    async def test_words_and_empty_lines(self, words: bytes) -> None:
        """In front of every line that the module prints."""
        async with Bench(in_front_of("", words)) as bench:
            await works_all_the_while(bench)

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("junk", [bytes(5000), b"\xff" * 300, bytes(range(128, 256)) * 50])
    @virtual
    async def test_noise_without_end(self, junk: bytes, times: int) -> None:
        """Connections get all their bytes or an error; the modem goes on, and keeps nothing."""
        noise = Fault(FaultKind.GARBAGE, on="OK", data=junk, after=20, times=times)
        async with Bench(noise) as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            got = b""
            try:
                for piece in (ANYTHING[:1000], ANYTHING[1000:]):
                    writer.write(piece)
                    while len(got) < len(piece):
                        got += await asyncio.wait_for(reader.read(4096), 60)
            except aiobc9x.StreamBroken:
                assert ANYTHING.startswith(got)
            writer.close()
            await asyncio.sleep(60)
            await echoed(modem, ANYTHING)
            assert bench.open_ids == []

    @pytest.mark.parametrize(
        "change",
        ['AT+QICFG="dataformat",0,1', 'AT+QICFG="showlength",0', 'AT+QICFG="viewmode",1'],
    )
    @pytest.mark.parametrize("mode", AccessMode)
    @virtual
    async def test_another_program_changes_a_setting(self, change: str, mode: AccessMode) -> None:
        """The connection in use ends if its data can't be read; then everything works again."""
        async with Bench() as bench:
            bench.network.serve_udp(UDP_PORT)
            modem = await bench.open()
            (reader, writer), peer = await bench.connect(access_mode=mode)
            peer.send(b"before")
            assert await reader.readexactly(6) == b"before"
            bench.earlier_program(change)
            peer.send(b"behind")
            try:
                assert await reader.readexactly(6) == b"behind"
            except aiobc9x.StreamBroken:
                assert "viewmode" not in change
            writer.close()
            await asyncio.sleep(20)
            for each in AccessMode:
                await echoed(modem, ANYTHING, access_mode=each)
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            transport.sendto(b"?")
            await asyncio.sleep(1)
            bench.peer.send(b"a whole datagram")
            await asyncio.sleep(15)
            assert protocol.received == [b"a whole datagram"]
            transport.close()

    @virtual
    async def test_numbers_that_can_not_be(self) -> None:
        """They are nobody's: a connection in use goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            for line in (
                '+QIURC: "recv",9',
                '+QIURC: "closed",9',
                '+QIURC: "closed",-1',
                '+QIURC: "incoming",9,0,"1.2.3.4",99999999',
                "+QIOPEN: 7,0",
                "+QIRD: -5",
                "+QIRD: 99999999999999999999,1",
                "+QPING: -1,-1",
                "+CEREG: 99999999999",
            ):
                bench.virtual.say(line)
            await asyncio.sleep(5)
            writer.write(b"abc")
            assert await reader.readexactly(3) == b"abc"
            await echoed(modem)


class TestSending:
    """What the module says about a send."""

    @virtual
    async def test_send_ok_behind_send_fail(self) -> None:
        """The peer never gets a byte twice: the connection ends, and says why."""
        fault = Fault(FaultKind.GARBAGE, on="SEND OK", data=b"\r\nSEND FAIL\r\n")
        async with Bench(fault) as bench:
            modem = await bench.open()
            (_, writer), peer = await bench.connect()
            writer.write(b"once")
            with pytest.raises(aiobc9x.StreamBroken, match="may be doubled"):
                await writer.wait_closed()
            assert peer.received == b"once"
            await echoed(modem)

    @pytest.mark.parametrize("gap", [0, 20, 100])
    @virtual
    async def test_a_slow_module(self, gap: int) -> None:
        """With a gap between the commands, where it needs one."""
        profile = ModuleProfile(command_gap_ms=gap)
        async with Bench(latency=0.3) as bench:
            modem = await bench.open(profile=profile)
            await echoed(modem, ANYTHING)


class TestConnections:
    """None costs another one anything, or the module an ID."""

    @virtual
    async def test_failed_opens_use_up_nothing(self) -> None:
        """Twenty in a row, beside a connection that goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            for turn in range(20):
                with pytest.raises(aiobc9x.ConnectRefused):
                    await modem.open_connection(HOST, DEAD_PORT)
                writer.write(bytes([turn]))
                assert await reader.readexactly(1) == bytes([turn])
            writer.close()
            await writer.wait_closed()
            assert (bench.open_ids, modem.free_sockets) == ([], 6)

    @virtual
    async def test_an_id_that_is_used_again(self) -> None:
        """Data of the old owner never reach the new one."""
        async with Bench(close_time=0.5) as bench:
            await bench.open()
            for _ in range(12):
                (_, writer), peer = await bench.connect()
                peer.send(b"old" * 500)
                writer.close()
                (reader, writer), peer = await bench.connect()
                peer.send(b"new")
                assert await reader.readexactly(3) == b"new"
                peer.close()
                assert await reader.read() == b""
                writer.close()

    @virtual
    async def test_a_dead_connection_costs_no_commands(self) -> None:
        """Writing raises, and nothing is tried for ever."""
        async with Bench() as bench:
            modem = await bench.open(state_interval=0)
            (_, writer), peer = await bench.connect()
            peer.close()
            await asyncio.sleep(5)
            writer.write(bytes(10_000))
            with pytest.raises(ConnectionError):
                await writer.drain()
            await asyncio.sleep(5)
            before = len(bench.commands)
            await asyncio.sleep(600)
            assert len(bench.commands) == before
            await echoed(modem)

    @virtual
    async def test_two_users_of_one_module(self) -> None:
        """Bytes that the other one has read end the connection, and are no silent hole."""
        async with Bench() as bench:
            modem = await bench.open()
            (reader, _), peer = await bench.connect()
            peer.send(bytes(400))
            bench.virtual.module.feed(b"AT+QIRD=0,10\r", running().now)
            with pytest.raises(aiobc9x.StreamBroken, match="another program reads"):
                await reader.read()
            await asyncio.sleep(5)
            await echoed(modem)

    @virtual
    async def test_everything_before_a_sleep_and_behind_it(self) -> None:
        """UDP sends in deep sleep wake the module; TCP is ended by it, and says so."""
        async with Bench() as bench:
            bench.network.serve_udp(UDP_PORT)
            modem = await bench.open(allow_sleep=True)
            await modem.command("AT+QSCLK=1")
            (reader, _), _ = await bench.connect()
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            await asyncio.sleep(120)
            transport.sendto(b"awake?")
            with pytest.raises(aiobc9x.ModuleReset, match="deep sleep"):
                await reader.read()
            await asyncio.sleep(5)
            assert [d for peer in bench.network.peers for d in peer.datagrams] == [b"awake?"]
            assert protocol.errors == []
            transport.close()


class TestHost:
    """What the program's own side does."""

    @virtual
    async def test_a_call_from_a_urc_and_from_a_protocol(self) -> None:
        """Neither waits for itself."""
        async with Bench() as bench:
            modem = await bench.open()
            events = modem.subscribe()

            class Asks(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    self.asking = asyncio.ensure_future(modem.signal())

            transport, protocol = await modem.create_connection(Asks, HOST, ECHO_PORT)
            transport.write(b"x")
            bench.virtual.say("+CSCON: 1")
            async for event in events:
                if isinstance(event, SignallingState):
                    assert (await modem.signal()).rssi_dbm == -73
                    break
            await asyncio.sleep(1)
            assert (await protocol.asking).rssi_dbm == -73
            transport.close()

    @pytest.mark.parametrize("seconds", [1, 10])
    @virtual
    async def test_an_event_loop_that_stands_still(self, seconds: int) -> None:
        """Whatever came meanwhile is read before anything counts as late."""
        async with Bench(latency=0.05) as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            for turn in range(5):
                writer.write(ANYTHING)
                await asyncio.sleep(0.03 * turn)
                running().clock.advance(seconds)
                assert await reader.readexactly(len(ANYTHING)) == ANYTHING
            assert modem.statistics.recoveries == 0

    @virtual
    async def test_a_full_listener_and_an_own_connection(self) -> None:
        """The module has six IDs: who comes too late is told, and who is in stays in."""
        async with Bench() as bench:
            modem = await bench.open()

            async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(100):
                    writer.write(data)
                writer.close()

            server = await modem.start_server(echo, LISTEN_PORT)
            peers = [bench.network.dial(LISTEN_PORT) for _ in range(7)]
            await asyncio.sleep(2)
            assert [peer is not None for peer in peers] == [True] * 5 + [False] * 2
            with pytest.raises(aiobc9x.NoFreeSocket):
                await modem.open_connection(HOST, PORT)
            server.close()
            await server.wait_closed()
            for peer in peers[:5]:
                assert peer is not None
                peer.send(b"still here")
            await asyncio.sleep(5)
            assert [bytes(peer.received) for peer in peers[:5] if peer] == [b"still here"] * 5
