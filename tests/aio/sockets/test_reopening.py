"""Sockets without a stream are opened again, however they have ended."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, LISTEN_PORT, UDP_PORT, Bench
from tests.support.clock import virtual
from tests.support.recorders import DatagramRecorder

NO_CLOSED = Fault(FaultKind.DROP_LINE, on='+QIURC: "closed"', times=None)


class TestEndsThatNobodyTold:
    """The context has ended and is back, and no word of it has come (F15)."""

    @virtual
    async def test_both_kinds_come_back(self) -> None:
        """AT+QISTATE shows the end; each is opened again, and only once."""
        async with Bench(NO_CLOSED) as bench:
            bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
            modem = await bench.open_lasting()
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            server = await modem.start_server(lambda _r, w: w.close(), LISTEN_PORT)
            await modem.command("AT+CGEREP=0")
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            bench.dialogue.clear()
            await asyncio.sleep(200)
            transport.sendto(b"again")
            await protocol.until(received=1)
            assert server.is_serving()
            assert bench.network.dial(LISTEN_PORT) is not None
            opened = [line for line in bench.commands if line.startswith("AT+QIOPEN")]
            assert len([line for line in opened if "LISTENER" in line]) == 1
            assert len([line for line in opened if "UDP" in line]) == 1
            assert not protocol.lost.done()
            transport.close()
            server.close()

    @pytest.mark.parametrize("word", ["pdpdeact", "none"])
    @virtual
    async def test_the_endpoint_is_told(self, word: str) -> None:
        """By ``error_received()``, of what was lost."""
        async with Bench(NO_CLOSED) as bench:
            modem = await bench.open_lasting()
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            await modem.command("AT+CGEREP=0")
            bench.virtual.set_coverage(False)
            bench.virtual.set_coverage(True)
            if word != "none":
                bench.virtual.say(f'+QIURC: "{word}",1')
            await protocol.until(errors=1)
            assert [type(error) for error in protocol.errors] == [aiobc9x.NetworkLost]
            transport.close()
