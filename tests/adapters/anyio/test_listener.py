"""anyio's listener on the module."""

from __future__ import annotations

import socket

import anyio
import anyio.abc
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener

import aiobc9x
from aiobc9x.adapters.anyio import Listener, create_listener
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import Bench
from tests.support.clock import virtual

LISTEN_PORT = 2020


async def echo(stream: anyio.abc.ByteStream) -> None:
    """Send back what comes, until the peer closes."""
    async with stream:
        async for data in stream:
            await stream.send(data)


async def dialled(bench: Bench, data: bytes = b"") -> Peer:
    """Connect to the module, send something and give it a second."""
    peer = bench.network.dial(LISTEN_PORT)
    assert peer is not None
    peer.send(data)
    await anyio.sleep(1)
    return peer


async def listening(bench: Bench) -> Listener:
    """Return a listener of a new modem."""
    return await create_listener(await bench.open(), LISTEN_PORT)


@pytest.mark.parametrize("own_group", [True, False])
@virtual
async def test_serve(own_group: bool) -> None:
    """Each connection gets a task, in the caller's group or in one of serve()'s own."""
    async with Bench() as bench, await listening(bench) as listener, anyio.create_task_group() as g:
        g.start_soon(listener.serve, echo, None if own_group else g)
        await anyio.sleep(0.1)
        peers = [await dialled(bench, b"%d" % number) for number in range(4)]
        assert [bytes(peer.received) for peer in peers] == [b"0", b"1", b"2", b"3"]
        for peer in peers:
            peer.close()
        await anyio.sleep(1)
        assert len(bench.open_ids) == 1
        g.cancel_scope.cancel()


@virtual
async def test_attributes() -> None:
    """The module's own address and the port."""
    async with Bench() as bench:
        listener = await listening(bench)
        own = dict(await (await bench.modem()).addresses())[1][0]
        assert listener.extra(SocketAttribute.family) == socket.AF_INET
        assert listener.extra(SocketAttribute.local_address) == (own, LISTEN_PORT)
        assert listener.extra(SocketAttribute.local_port) == LISTEN_PORT
        assert "open at" in repr(listener)
        await listener.aclose()
        assert listener.extra(SocketAttribute.local_port) == LISTEN_PORT
        assert "closed at" in repr(listener)


@virtual
async def test_the_stream_knows_its_client() -> None:
    """Remote address and port of an accepted connection."""
    async with Bench() as bench, await listening(bench) as listener:
        peer = await dialled(bench, b"early")
        async with await listener.accept() as stream:
            assert stream.extra(SocketAttribute.remote_address) == (peer.address, peer.port)
            assert stream.extra(SocketAttribute.local_port) == LISTEN_PORT
            assert await stream.receive() == b"early"


@virtual
async def test_connections_wait_to_be_accepted() -> None:
    """Nothing is lost while nobody accepts, nor when accept() is cancelled."""
    async with Bench() as bench, await listening(bench) as listener:
        with anyio.move_on_after(1) as scope:
            await listener.accept()
        assert scope.cancelled_caught
        peers = [await dialled(bench, b"%d" % number) for number in range(2)]
        peers[0].close()
        for number in range(2):
            with anyio.CancelScope() as cancelled:
                cancelled.cancel()
                await listener.accept()
            stream = await listener.accept()
            assert await stream.receive() == b"%d" % number
            await stream.aclose()


@virtual
async def test_accept_is_for_one_task() -> None:
    """The second gets BusyResourceError, and closing tells the first."""
    async with Bench() as bench:
        listener = await listening(bench)

        async def told() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await listener.accept()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told)
            await anyio.sleep(0.1)
            with pytest.raises(anyio.BusyResourceError):
                await listener.accept()
            await listener.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()
        await listener.aclose()
        assert bench.open_ids == []


@virtual
async def test_closing_spares_what_was_accepted() -> None:
    """Connections that nobody accepted are ended; the others go on."""
    async with Bench() as bench:
        listener = await listening(bench)
        accepted, waiting = await dialled(bench), await dialled(bench)
        stream = await listener.accept()
        await listener.aclose()
        await anyio.sleep(1)
        assert waiting.closed
        assert not accepted.closed
        await stream.send(b"still here")
        await stream.aclose()
        assert accepted.received == b"still here"


@virtual
async def test_who_comes_too_late_is_turned_away() -> None:
    """A connection that is made known behind the close is ended."""
    async with Bench(Fault(FaultKind.DELAY_LINE, on="CLOSE OK", delay_s=5)) as bench:
        listener = await listening(bench)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.aclose)
            await dialled(bench)
        await anyio.sleep(20)
        assert bench.open_ids == []


@virtual
async def test_cancelled_close() -> None:
    """The listener is closed in the background."""
    async with Bench() as bench:
        listener = await listening(bench)
        await anyio.aclose_forcefully(listener)
        await anyio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_the_end_of_the_module() -> None:
    """accept() and serve() say why there is no listener any more."""
    async with Bench() as bench:
        listener = await listening(bench)

        async def unplug() -> None:
            await anyio.sleep(1)
            bench.cut()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unplug)
            with pytest.raises(ExceptionGroup) as group:
                await listener.serve(echo)
        assert group.group_contains(anyio.BrokenResourceError, match="lost")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await listener.accept()
        assert isinstance(caught.value.__cause__, aiobc9x.LinkLost)
        await listener.aclose()


@virtual
async def test_the_end_of_the_modem() -> None:
    """Closing the modem is not closing the listener."""
    async with Bench() as bench:
        listener = await listening(bench)
        await (await bench.modem()).aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await listener.accept()
        await listener.aclose()


@virtual
async def test_failures() -> None:
    """What create_server() raises: the errors are OSErrors already."""
    fault = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 0", data=b"+QIOPEN: 0,557")
    async with Bench(fault) as bench:
        modem = await bench.open()
        with pytest.raises(OSError, match="listen") as caught:
            await create_listener(modem, LISTEN_PORT)
        assert isinstance(caught.value, aiobc9x.AddressBusy)
        with pytest.raises(ValueError, match=r"^port must be"):
            await create_listener(modem, 0)


@virtual
async def test_two_ports_as_one() -> None:
    """anyio's MultiListener serves several."""
    async with Bench() as bench:
        modem = await bench.open()
        listeners = [await create_listener(modem, LISTEN_PORT + number) for number in range(2)]
        async with MultiListener(listeners) as both, anyio.create_task_group() as tasks:
            tasks.start_soon(both.serve, echo)
            await anyio.sleep(0.1)
            peers = [bench.network.dial(LISTEN_PORT + number) for number in range(2)]
            for peer in peers:
                assert peer is not None
                peer.send(b"hello")
            await anyio.sleep(1)
            for peer in peers:
                assert peer is not None
                assert peer.received == b"hello"
                peer.close()
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
