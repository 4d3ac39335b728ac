"""Fixed local ports: what has ended their socket decides when they can be used again."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, LISTEN_PORT, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder


def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close at once."""
    writer.close()


def dial(bench: Bench, port: int = LISTEN_PORT) -> None:
    """Connect to the server; the module must let it in."""
    assert bench.network.dial(port) is not None


def listens(bench: Bench) -> int:
    """How often the module was asked to listen."""
    return sum('"TCP LISTENER"' in line for line in bench.commands)


class TestListeners:
    """A server that listens again on its port."""

    @virtual
    async def test_after_a_restart(self) -> None:
        """At once: the module knows nothing of it, nor of a port that it closed before."""
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(hang_up, LISTEN_PORT + 1):
                pass
            async with await modem.start_server(hang_up, LISTEN_PORT):
                bench.virtual.reset()
                await asyncio.sleep(20)
                dial(bench)
                async with await modem.start_server(hang_up, LISTEN_PORT + 1):
                    dial(bench, port=LISTEN_PORT + 1)

    @pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "refused"])
    @virtual
    async def test_another_one_after_a_restart(self, allowed: bool) -> None:
        """A server that came back, and is closed for another one: the module is asked."""
        async with Bench(port_quarantine=0 if allowed else 120) as bench:
            modem = await bench.open()
            server = await modem.start_server(hang_up, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            bench.virtual.reset()
            await asyncio.sleep(20)
            assert not serving.done()
            serving.cancel()
            asked = listens(bench)
            if allowed:
                async with await modem.start_server(hang_up, LISTEN_PORT):
                    dial(bench)
            else:
                with pytest.raises(aiobc9x.AddressBusy):
                    await modem.start_server(hang_up, LISTEN_PORT)
            assert listens(bench) == asked + 1

    @virtual
    async def test_a_second_one_rests_again(self) -> None:
        """Behind the close of one that no restart has ended, though there was one before."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.virtual.reset()
            await modem.wait_ready()
            async with await modem.start_server(hang_up, LISTEN_PORT):
                pass
            with pytest.raises(OSError, match="rests for another 120 s"):
                await modem.start_server(hang_up, LISTEN_PORT)

    @virtual
    async def test_after_a_restart_that_nobody_saw(self) -> None:
        """Also if the banner got lost, and QISTATE tells that no socket is left."""
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(hang_up, LISTEN_PORT):
                bench.virtual.module.sockets.lose(streams_only=False)
                await asyncio.sleep(60)
                dial(bench)

    @pytest.mark.parametrize("closed_by_caller", [False, True])
    @virtual
    async def test_after_the_network_was_lost(self, closed_by_caller: bool) -> None:
        """At once, also if the caller was the first to close it, while there was no network."""
        async with Bench(port_quarantine=0 if closed_by_caller else 120) as bench:
            modem = await bench.open()
            server = await modem.start_server(hang_up, LISTEN_PORT)
            if closed_by_caller:
                bench.virtual.say("+CEREG: 2")  # the listener's own end is still to come
                server.close()
                await server.wait_closed()
            bench.virtual.set_coverage(False)
            await asyncio.sleep(30)
            bench.virtual.set_coverage(True)
            await modem.wait_ready()  # whoever waited for the network first
            if closed_by_caller:
                server = await modem.start_server(hang_up, LISTEN_PORT)
            await asyncio.sleep(60)
            dial(bench)
            server.close()

    @virtual
    async def test_the_modules_refusal_is_the_error(self) -> None:
        """Without a quarantine of ours the module is asked: 574 is AddressBusy."""
        async with Bench() as bench:
            modem = await bench.open(port_quarantine=0)
            async with await modem.start_server(hang_up, LISTEN_PORT):
                pass
            with pytest.raises(
                aiobc9x.AddressBusy, match=f"100.127.243.105:{LISTEN_PORT} .module error 574"
            ) as caught:
                await modem.start_server(hang_up, LISTEN_PORT)
            assert caught.value.errno == errno.EADDRINUSE
            await asyncio.sleep(120)
            async with await modem.start_server(hang_up, LISTEN_PORT):
                dial(bench)

    @virtual
    async def test_a_close_whose_answer_got_lost(self) -> None:
        """It was carried out, though the next one is refused: the port rests."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(hang_up, LISTEN_PORT)
            bench.add_fault(Fault(FaultKind.DROP_LINE, on="OK"))
            bench.add_fault(Fault(FaultKind.DROP_LINE, on="CLOSE OK"))
            server.close()
            await server.wait_closed()
            with pytest.raises(OSError, match="rests for another 1"):
                await modem.start_server(hang_up, LISTEN_PORT)

    @virtual
    async def test_while_the_old_one_is_being_closed(self) -> None:
        """The new one waits for it, as the module would refuse it."""
        async with Bench(port_quarantine=0, close_time=3) as bench:
            modem = await bench.open(port_quarantine=0)
            server = await modem.start_server(hang_up, LISTEN_PORT)
            server.close()
            began = running().now
            async with await modem.start_server(hang_up, LISTEN_PORT):
                assert running().now - began == pytest.approx(3, abs=0.1)
                dial(bench)

    @virtual
    async def test_a_module_that_needs_no_rest(self) -> None:
        """It is asked, and listens at once."""
        async with Bench(port_quarantine=0) as bench:
            modem = await bench.open(port_quarantine=0)
            for _ in range(3):
                async with await modem.start_server(hang_up, LISTEN_PORT) as server:
                    assert server.is_serving()


class TestDatagrams:
    """An endpoint that is opened again by itself, as CoAP servers want it on their port."""

    @pytest.mark.parametrize("what", ["restart", "network"])
    @virtual
    async def test_comes_back_on_its_port(self, what: str) -> None:
        """Behind a restart and a lost network."""
        async with Bench() as bench:
            modem = await bench.open()
            options: Any = {"remote_addr": (HOST, PORT), "local_port": 5683}
            await modem.create_datagram_endpoint(DatagramRecorder, remote_addr=(HOST, PORT))
            transport, protocol = await modem.create_datagram_endpoint(DatagramRecorder, **options)
            before = transport.get_extra_info("connect_id")
            if what == "restart":
                bench.virtual.reset()
            else:
                bench.virtual.set_coverage(False)
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], ConnectionResetError)
            transport.sendto(b"lost")
            assert [getattr(e, "errno", None) for e in protocol.errors[1:]] == [errno.ENETDOWN]
            bench.virtual.set_coverage(True)
            await asyncio.sleep(120)
            transport.sendto(b"again")
            await asyncio.sleep(5)
            assert transport.get_extra_info("connect_id") == before
            rows = await modem.socket_states(connect_id=before)
            assert [row.local_port for row in rows] == [5683]
            assert [d for peer in bench.network.peers for d in peer.datagrams][-1:] == [b"again"]
            transport.close()
            assert await protocol.lost is None
