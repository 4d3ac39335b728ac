"""What waits for a modem to come back ends with the modem.

A listener and a datagram endpoint without a socket are in no table that a closing modem goes
through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import aiobc9x
from aiobc9x import LinkLost, ModemState, Reconnect
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, LISTEN_PORT, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder


async def closes(modem: aiobc9x.Modem) -> None:
    """The program closes the modem."""
    await modem.aclose()


async def gives_up(modem: aiobc9x.Modem) -> None:
    """The policy gives the modem up."""
    while modem.state is not ModemState.CLOSED:  # noqa: ASYNC110  (as a program looks at it)
        await asyncio.sleep(1)


@pytest.mark.parametrize("away_s", [0.001, 0.5, 20.0])
@pytest.mark.parametrize("end", [closes, gives_up])
@virtual
async def test_servers_and_endpoints(
    end: Callable[[aiobc9x.Modem], Awaitable[None]], away_s: float
) -> None:
    """``serve_forever()`` returns, and the protocol is told, as when the modem is up."""
    async with Bench() as bench:
        modem = await bench.open_lasting(reconnect=Reconnect(give_up_after=60))
        transport, protocol = await modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, PORT)
        )
        server = await modem.start_server(lambda _r, w: w.close(), LISTEN_PORT)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(1)
        bench.is_plugged_in = False
        bench.cut()
        await asyncio.sleep(away_s)
        await end(modem)
        await asyncio.wait([serving], timeout=1)
        error = await asyncio.wait_for(protocol.lost, 1)
        if end is closes:
            assert serving.cancelled()
            assert error is None
        else:
            assert isinstance(serving.exception(), LinkLost)
            assert isinstance(error, LinkLost)
        assert not server.is_serving()
        assert transport.is_closing()
        await asyncio.wait_for(server.wait_closed(), 1)


@pytest.mark.parametrize("waits_s", [0.0, 0.1, 0.5, 3.0])
@virtual
async def test_a_restart_just_before_the_end(waits_s: float) -> None:
    """While the sockets are being opened again: the same."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        _, protocol = await modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, PORT)
        )
        server = await modem.start_server(lambda _r, w: w.close(), LISTEN_PORT)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(1)
        bench.virtual.reset()
        await asyncio.sleep(waits_s)
        await modem.aclose()
        assert await asyncio.wait_for(protocol.lost, 1) is None
        await asyncio.wait([serving], timeout=1)
        assert serving.cancelled()
        await asyncio.wait_for(server.wait_closed(), 1)


@pytest.mark.parametrize("sockets", [1, 5])
@virtual
async def test_closing_a_modem_whose_module_has_just_fallen_silent(sockets: int) -> None:
    """What can't be flushed is dropped when the module leaves a command without an answer."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        for _ in range(sockets):
            _, writer = await bench.streams()
            writer.write(bytes(3000))
        bench.silence(True)
        assert modem.state is ModemState.UP
        began = running().now
        await modem.aclose()
        assert running().now - began < 5.0
        bench.silence(False)


@pytest.mark.parametrize("late", [None, 4.8], ids=["lost", "late"])
@virtual
async def test_a_close_whose_answer_is_lost_or_late(late: float | None) -> None:
    """The module is asked again before it is given up, so no socket is left on it."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        await bench.streams()
        if late is None:
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QICLOSE"))
        else:
            busy = asyncio.create_task(modem.command("AT+CGMM"))
            bench.add_fault(Fault(FaultKind.DELAY_LINE, on="BC65", delay_s=late))
            await asyncio.sleep(1)
        began = running().now
        await modem.aclose()
        assert bench.open_ids == []
        assert running().now - began < 8
        if late is not None:
            await asyncio.gather(busy, return_exceptions=True)
