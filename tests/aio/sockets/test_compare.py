"""Examiner: what a refusal, a silence or an end means for a connection."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.commands.radio import Cgact
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import StreamRecorder

CLOSED = '+QIURC: "closed"'


class TestRefusals:
    """ERROR to a send or a read."""

    @virtual
    async def test_refused_read_of_a_socket_that_stands(self) -> None:
        """Nothing was known to be there: the next poll reads again."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QIRD"))
            await asyncio.sleep(11)
            assert "AT+QISTATE=1,0" in bench.commands
            peer.send(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_refused_read_of_announced_bytes(self) -> None:
        """They are lost, so the connection ends."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QIRD"))
            peer.send(b"announced")
            with pytest.raises(aiobc9x.StreamBroken, match=r"lost received bytes: ERROR"):
                await reader.read()

    @virtual
    async def test_refused_send_after_a_lost_closed(self) -> None:
        """A send finds out: the end is clean for the reader, but not for the writer."""
        async with Bench(Fault(FaultKind.DROP_LINE, on=CLOSED)) as bench:
            (reader, writer), peer = await bench.connect()
            peer.send(b"the last")
            peer.close()
            await asyncio.sleep(0.5)
            writer.write(b"are you there?")
            assert await reader.readexactly(8) == b"the last"
            assert await reader.read() == b""
            with pytest.raises(aiobc9x.StreamBroken, match="14 bytes not sent"):
                await writer.wait_closed()

    @pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.IGNORE])
    @virtual
    async def test_refused_send_that_nobody_can_explain(self, kind: FaultKind) -> None:
        """The module doesn't say whether it has the socket: the next send finds out."""
        busy = Fault(FaultKind.REPLACE_LINE, on="+QIGETERROR", data=b"+QIGETERROR: 568")
        async with Bench(busy) as bench:
            (_, writer), peer = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISEND"))
            bench.add_fault(Fault(kind, on="AT+QISTATE=1"))
            writer.write(b"once")
            await asyncio.sleep(20)
            assert peer.received == b"once"

    @virtual
    async def test_refused_send_that_may_pass(self) -> None:
        """The same bytes go out later, once."""
        busy = Fault(FaultKind.REPLACE_LINE, on="+QIGETERROR", times=3, data=b"+QIGETERROR: 568")
        async with Bench(Fault(FaultKind.ERROR, on="AT+QISEND", times=3), busy) as bench:
            (_, writer), peer = await bench.connect()
            writer.write(bytes(range(256)))
            writer.close()
            await writer.wait_closed()
            assert peer.received == bytes(range(256))

    @virtual
    async def test_refused_send_for_good(self) -> None:
        """A reason that doesn't pass ends the connection, and is told."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+QISEND")) as bench:
            (reader, writer), _ = await bench.connect()
            writer.write(bytes(range(256)))
            with pytest.raises(aiobc9x.CommandError) as caught:
                await reader.read()
            assert caught.value.err == 550

    @virtual
    async def test_refused_send_of_a_socket_that_is_gone(self) -> None:
        """The module has lost it without a word."""
        async with Bench() as bench:
            (reader, writer), _ = await bench.connect()
            bench.virtual.module.sockets.lose(streams_only=True)
            writer.write(b"hello?")
            with pytest.raises(aiobc9x.StreamBroken, match="without reporting it"):
                await asyncio.wait_for(reader.read(), 5)


class TestEnds:
    """Why a connection ended."""

    @virtual
    async def test_six_ends_ask_the_network_once(self) -> None:
        """They come together when the network goes; each ends with its own exception."""
        async with Bench() as bench:
            streams = [await bench.streams(HOST, PORT) for _ in range(6)]
            bench.dialogue.clear()
            bench.virtual.set_coverage(False)
            ends = await asyncio.gather(
                *(reader.read() for reader, _ in streams), return_exceptions=True
            )
            assert all(isinstance(end, aiobc9x.NetworkLost) for end in ends)
            assert bench.commands.count("AT+CGATT?") < 6

    @virtual
    async def test_network_that_goes_while_another_end_is_looked_into(self) -> None:
        """What the module has said before says nothing of what ends now."""
        async with Bench() as bench:
            (first, _), peer = await bench.connect()
            second, _ = await bench.streams(HOST, PORT)
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+CGPADDR?"))
            note = bench.virtual.module.board.options.on_line

            def go_down(direction: str, text: str) -> None:
                assert note is not None
                note(direction, text)
                if text.startswith("+CGATT") and direction == "<":
                    bench.virtual.set_coverage(False)

            object.__setattr__(bench.virtual.module.board.options, "on_line", go_down)
            peer.close()
            assert await first.read() == b""
            with pytest.raises(aiobc9x.NetworkLost):
                await second.read()

    @virtual
    async def test_ends_during_a_check_share_the_next(self) -> None:
        """Six peers that close together make two."""
        async with Bench() as bench:
            mode = aiobc9x.AccessMode.PUSH  # an end is read of no buffer
            streams = [await bench.streams(HOST, PORT, access_mode=mode) for _ in range(6)]
            bench.dialogue.clear()
            for peer in bench.network.peers:
                peer.close()
            assert await asyncio.gather(*(reader.read() for reader, _ in streams)) == [b""] * 6
            assert bench.commands.count("AT+CGATT?") == 2

    @virtual
    async def test_module_that_cannot_say(self) -> None:
        """Without CGATT the peer's word counts."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+CGATT?", times=None))
            peer.close()
            assert await reader.read() == b""

    @virtual
    async def test_address_that_is_gone(self) -> None:
        """Attached, but without an address, is no network either."""
        async with Bench() as bench:
            (reader, _), _ = await bench.connect()
            modem = await bench.modem()
            await modem.command("AT+CGEREP=0")
            await modem._driver.run(Cgact(0, 1))  # it says nothing of the context
            with pytest.raises(aiobc9x.NetworkLost, match="no address"):
                await reader.read()

    @virtual
    async def test_line_that_goes_while_the_reason_is_asked(self) -> None:
        """A lost line is no clean end."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            bench.on_command = lambda line: bench.cut() if line == "AT+CGATT?" else None
            peer.close()
            with pytest.raises(aiobc9x.LinkLost):
                await reader.read()

    @virtual
    async def test_restart_while_the_reason_is_asked(self) -> None:
        """Nor is a restart."""
        async with Bench(boot_time=1) as bench:
            (reader, _), peer = await bench.connect()
            bench.add_fault(Fault(FaultKind.RESET, on="AT+CGATT?"))
            peer.close()
            with pytest.raises(aiobc9x.ModuleReset):
                await reader.read()


class TestCompare:
    """The module's table against ours, every 30 s."""

    @virtual
    async def test_agreement_changes_nothing(self) -> None:
        """An idle connection lasts."""
        async with Bench() as bench:
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            await asyncio.sleep(3600)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_refused_table_changes_nothing(self) -> None:
        """A module that can't say keeps its connections."""
        async with Bench() as bench:
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISTATE", times=None))
            await asyncio.sleep(100)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_lost_closed_is_found(self) -> None:
        """Within the interval, the bytes before it included."""
        async with Bench(Fault(FaultKind.DROP_LINE, on=CLOSED)) as bench:
            (reader, _), peer = await bench.connect()
            peer.send(b"the last")
            began = running().now
            peer.close()
            assert await asyncio.wait_for(reader.read(), 45) == b"the last"
            assert running().now - began <= 31

    @virtual
    async def test_one_of_two_has_vanished(self) -> None:
        """Only that one ends."""
        async with Bench() as bench:
            gone, _ = await bench.streams(HOST, PORT)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            sockets = bench.virtual.module.sockets
            sockets.remove(sockets.by_id[0])
            with pytest.raises(aiobc9x.StreamBroken):
                await asyncio.wait_for(gone.read(), 45)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_open_behind_the_question(self) -> None:
        """A socket that opens while the module is asked for others has no row in the answer."""
        async with Bench(incoming_rows=False) as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, LISTEN_PORT)
            bench.network.dial(LISTEN_PORT)
            await asyncio.sleep(1)
            comparing = asyncio.create_task(modem._examiner.compare())
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            await comparing
            kinds = [line.partition("=")[0] for line in bench.commands[-3:]]
            assert kinds == ["AT+QISTATE?", "AT+QIOPEN", "AT+QISTATE"]
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_client_that_is_shown_before_it_is_told_of(self) -> None:
        """The row of a connection that is being set up is no reason to close it (F35)."""
        async with Bench(network_latency=0.05) as bench:
            modem = await bench.open()
            room: list[StreamRecorder] = []

            def admit() -> StreamRecorder:
                room.append(StreamRecorder())
                return room[-1]

            await modem.create_server(admit, LISTEN_PORT)
            bench.network.dial(LISTEN_PORT)
            await modem._examiner.compare()
            assert room == []
            await asyncio.sleep(10)
            bench.peer.send(b"let in")
            await asyncio.sleep(10)
            assert bytes(room[0].received) == b"let in"
            assert len(bench.open_ids) == 2

    @virtual
    async def test_client_that_is_never_told_of(self) -> None:
        """Its URC got lost, so it is closed soon."""
        async with Bench(Fault(FaultKind.DROP_LINE, on='+QIURC: "incoming"')) as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, LISTEN_PORT)
            bench.network.dial(LISTEN_PORT)
            await asyncio.sleep(1)
            assert bench.open_ids == [0, 1]
            await modem._examiner.compare()
            await asyncio.sleep(5)
            assert bench.open_ids == [0]

    @virtual
    async def test_listener_that_nobody_has(self) -> None:
        """It is closed, as it keeps its port and lets clients in that nobody serves."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.earlier_program(f'AT+QIOPEN=1,5,"TCP LISTENER","1.1.1.1",1,{LISTEN_PORT},0,0')
            await asyncio.sleep(1)
            assert bench.open_ids == [5]
            await modem._examiner.compare()
            await asyncio.sleep(5)
            assert bench.open_ids == []
