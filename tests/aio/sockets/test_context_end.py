"""ContextEnds: connections end with their context, though nothing is said of their sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

import aiobc9x
from aiobc9x.aio.sockets.compare import LAST_WORDS_S
from aiobc9x.aio.sockets.context_end import ends_network
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import ECHO_PORT, HOST, Bench, Streams, echoed
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder

NO_CLOSED = Fault(FaultKind.DROP_LINE, on='+QIURC: "closed"', times=None)

WORDS = ["+CGEV: NW DETACH", "+CGEV: ME PDN DEACT 1", '+QIURC: "pdpdeact",1', "+CFUN: 0"]
"""What modules say when the context of the sockets is over."""


Order = Callable[[aiobc9x.Modem], Awaitable[object]]


async def silent(bench: Bench) -> tuple[Streams, Peer]:
    """Connect to a module that doesn't report by itself what becomes of its contexts."""
    streams, peer = await bench.connect()
    await (await bench.modem()).command("AT+CGEREP=0")
    return streams, peer


class TestSaid:
    """A word about the context alone."""

    @pytest.mark.parametrize("said", WORDS)
    @virtual
    async def test_connections_end_at_once(self, said: str) -> None:
        """The module has no socket any more, and says why: nothing else is asked."""
        async with Bench(NO_CLOSED) as bench:
            (reader, _), _ = await silent(bench)
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)  # it may be back already
            bench.dialogue.clear()
            began = running().now
            bench.virtual.say(said)
            with pytest.raises(aiobc9x.NetworkLost, match=re.escape(said.partition(",")[0])):
                await reader.read()
            assert running().now - began < 0.1
            assert bench.commands[0] == "AT+QISTATE?"

    @virtual
    async def test_the_modules_own_report(self) -> None:
        """Start-up has it report (AT+CGEREP), and every kind of socket ends."""
        async with Bench(NO_CLOSED) as bench:
            modem = await bench.open()
            bench.network.serve_udp(9)
            (reader, _), _ = await bench.connect()
            _, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, 9)
            )
            began = running().now
            bench.virtual.set_coverage(False)
            with pytest.raises(aiobc9x.NetworkLost, match=r"\+CGEV: NW DETACH"):
                await reader.read()
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], aiobc9x.NetworkLost)
            assert running().now - began < 0.1

    @pytest.mark.parametrize("said", WORDS)
    @virtual
    async def test_a_later_connection_ends_for_its_own_reason(self, said: str) -> None:
        """The end of the context was that of the sockets before: here the peer has closed."""
        async with Bench(NO_CLOSED) as bench:
            (first, _), _ = await silent(bench)
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            bench.virtual.say(said)
            with pytest.raises(aiobc9x.NetworkLost):
                await first.read()
            (reader, _), peer = await bench.connect()
            peer.send(b"hello")
            peer.close()
            bench.virtual.say(f'+QIURC: "closed",{bench.open_ids[-1]}')
            assert await reader.read() == b"hello"

    @pytest.mark.parametrize("closed_is_told", [True, False])
    @virtual
    async def test_an_end_that_is_seen_long_after(self, *, closed_is_told: bool) -> None:
        """A recovery in between, and a network that is there again: it was no end by the peer."""
        async with Bench(*([] if closed_is_told else [NO_CLOSED])) as bench:
            bench.network.serve_udp(9)
            modem = await bench.open()
            await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, 9))
            (reader, _), _ = await bench.connect()
            bench.add_fault(Fault(FaultKind.SILENCE, on="AT", delay_s=9))
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            with pytest.raises(aiobc9x.NetworkLost):
                await reader.read()

    @pytest.mark.parametrize("closed_is_told", [True, False])
    @virtual
    async def test_an_opening_whose_result_got_lost(self, *, closed_is_told: bool) -> None:
        """It had opened, and ended with the context; nothing of that has come but the last."""
        lost = Fault(FaultKind.DROP_LINE, on="+QIOPEN")
        async with Bench(lost, *([] if closed_is_told else [NO_CLOSED])) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            opening = asyncio.create_task(bench.connect())
            await asyncio.sleep(1)
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            with pytest.raises(aiobc9x.NetworkLost):
                await (await opening)[0][0].read()

    @virtual
    async def test_a_send_that_finds_an_end_that_nobody_told(self) -> None:
        """The whole table is looked at, and shows the listener that no peer can close."""
        async with Bench(NO_CLOSED) as bench:
            modem = await bench.open()
            await modem.command("AT+CGEREP=0")
            await modem.start_server(lambda _r, _w: None, 2020)
            (reader, writer), _ = await bench.connect()
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            writer.write(b"unheard")
            with pytest.raises(aiobc9x.NetworkLost, match="no peer can close"):
                await reader.read()

    @pytest.mark.parametrize("kind", ["listener", "datagrams"])
    @pytest.mark.parametrize("is_open", [True, False])
    @virtual
    async def test_an_end_that_nobody_told(self, kind: str, *, is_open: bool) -> None:
        """A socket that no peer can close has ended, so the context has: for the others, too."""
        async with Bench(NO_CLOSED, network_latency=2) as bench:
            modem = await bench.open()
            await modem.command("AT+CGEREP=0")
            if kind == "listener":
                await modem.start_server(lambda _r, _w: None, 2020)
            else:
                bench.network.serve_udp(9)
                await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, 9))
            opening = asyncio.create_task(bench.connect())
            if is_open:
                await opening
            else:
                await asyncio.sleep(1)
                bench.add_fault(Fault(FaultKind.DROP_LINE, on="+QIOPEN"))
                await asyncio.sleep(2)
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            with pytest.raises(aiobc9x.NetworkLost, match="no peer can close"):
                await (await opening)[0][0].read()

    @pytest.mark.parametrize("kind", ["listener", "datagrams"])
    @virtual
    async def test_an_end_that_is_our_own(self, kind: str) -> None:
        """A close of ours that overtakes the question says nothing of the context."""
        async with Bench(NO_CLOSED, latency=0.1, close_time=2) as bench:
            modem = await bench.open()
            closing: asyncio.AbstractServer | asyncio.DatagramTransport
            if kind == "listener":
                closing = await modem.start_server(lambda _r, _w: None, 2020)
            else:
                bench.network.serve_udp(9)
                closing, _ = await modem.create_datagram_endpoint(
                    DatagramRecorder, remote_addr=(HOST, 9)
                )
            (reader, _), peer = await bench.connect()
            peer.close()
            occupying = asyncio.create_task(modem.command("AT+CGMM"))
            await asyncio.sleep(0)
            comparing = asyncio.create_task(modem._examiner.compare())
            await asyncio.sleep(0)
            closing.close()
            row = f'+QISTATE: 0,"{kind}","",0,2020,3,1,0'  # how the module shows it meanwhile
            row = row.replace("listener", "TCP LISTENER").replace("datagrams", "UDP")
            bench.add_fault(Fault(FaultKind.REPLACE_LINE, on="+QISTATE: 0", data=row.encode()))
            await asyncio.gather(occupying, comparing)
            assert "AT+QICLOSE=0" in bench.commands
            assert await reader.read() == b""

    @virtual
    async def test_a_peer_that_closes_a_while_behind_it(self) -> None:
        """The context was said to be over, and the connection outlived that: it is EOF."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            bench.virtual.say("+CGEV: NW DETACH")
            await asyncio.sleep(LAST_WORDS_S + 0.5)
            peer.send(b"hello")
            peer.close()
            assert await reader.read() == b"hello"

    @pytest.mark.parametrize("said", WORDS)
    @virtual
    async def test_sockets_that_the_module_still_has(self, said: str) -> None:
        """They go on: its own table shows them as connected."""
        async with Bench() as bench:
            (reader, writer) = await bench.streams(HOST, ECHO_PORT)
            bench.virtual.say(said)
            await asyncio.sleep(5)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_sockets_that_end_behind_it(self) -> None:
        """The module is looked at again behind its last words."""
        async with Bench(NO_CLOSED) as bench:
            (reader, _), _ = await silent(bench)
            bench.virtual.say("+CGEV: NW DETACH")
            await asyncio.sleep(LAST_WORDS_S / 2)
            bench.virtual.set_coverage(False)
            began = running().now
            with pytest.raises(aiobc9x.NetworkLost):
                await reader.read()
            assert running().now - began < LAST_WORDS_S

    @virtual
    async def test_it_is_looked_at_twice_for_all_that_is_said(self) -> None:
        """And not at all where nothing is open."""
        async with Bench() as bench:
            _, writer = await bench.streams(HOST, ECHO_PORT)
            bench.dialogue.clear()
            for _ in range(3):
                bench.virtual.say("+CGEV: ME PDN DEACT 1")
            await asyncio.sleep(5)
            assert bench.commands.count("AT+QISTATE?") == 2
            writer.close()
            await writer.wait_closed()
            bench.dialogue.clear()
            bench.virtual.say("+CGEV: NW DETACH")
            await asyncio.sleep(5)
            assert bench.commands == []

    @pytest.mark.parametrize(
        "said", ["+CGEV: ME PDN DEACT 2", '+QIURC: "pdpdeact",2', "+CGEV: ME PDN ACT 1", "+CFUN: 1"]
    )
    @virtual
    async def test_what_concerns_no_socket(self, said: str) -> None:
        """Another context, or no end, is no reason to ask anything."""
        async with Bench() as bench:
            await bench.connect()
            bench.dialogue.clear()
            bench.virtual.say(said)
            await asyncio.sleep(2)
            assert bench.commands == []

    @virtual
    async def test_the_answer_gets_lost(self) -> None:
        """The line is brought back in step, which compares the sockets too."""
        async with Bench() as bench:
            await bench.streams(HOST, ECHO_PORT)
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QISTATE"))
            bench.virtual.say("+CGEV: NW DETACH")
            bench.virtual.say("OK")
            await asyncio.sleep(20)
            await echoed(await bench.modem())

    @virtual
    async def test_rows_of_closed_sockets(self) -> None:
        """A relative keeps them, with a state that says so."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on(r"AT\+QIOPEN=.*", b"OK\n+QIOPEN: 0,0")
            row = b'+QISTATE: 0,"TCP","1.2.3.4",80,4000,%d,1,0\nOK'
            module.on(r"AT\+QISTATE.*", row % 2)
            reader, _ = await modem.open_connection("1.2.3.4", 80)
            module.on(r"AT\+QISTATE.*", row % 5)
            module.say(b"\r\n+CGEV: NW PDN DEACT 1\r\n")
            with pytest.raises(aiobc9x.NetworkLost):
                await asyncio.wait_for(reader.read(), 0.5)


class TestOrdered:
    """What our own side has the module do."""

    @pytest.mark.parametrize(
        "order",
        [
            lambda modem: modem.detach(),
            lambda modem: modem.command("AT+CFUN=0"),
            lambda modem: modem.command("AT+CGACT=0,1"),
            lambda modem: modem.command("AT+COPS=2"),
        ],
    )
    @virtual
    async def test_connections_end_at_once(self, order: Order) -> None:
        """Also where the module says nothing of it."""
        async with Bench(NO_CLOSED) as bench:
            (reader, _), _ = await silent(bench)
            modem = await bench.modem()
            began = running().now
            await order(modem)
            with pytest.raises(aiobc9x.NetworkLost):
                await reader.read()
            assert running().now - began < 0.1

    @pytest.mark.parametrize(
        ("line", "ends"),
        [
            ("AT+CFUN=4", True),
            ("at+cfun = 0", True),
            ("AT+CGACT=0", True),
            ("AT+CFUN=1", False),
            ("AT+CFUN?", False),
            ("AT+CGATT=1", False),
            ("AT+COPS=2", True),
            ("AT+COPS=0", False),
            ("AT+CSQ", False),
        ],
    )
    def test_which_lines(self, line: str, ends: bool) -> None:
        """Those that leave the network, in any spelling."""
        assert ends_network(line) is ends
