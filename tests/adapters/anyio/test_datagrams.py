"""The connected UDP socket of anyio, over the modem."""

from __future__ import annotations

import errno
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

import aiobc9x
from aiobc9x.adapters.anyio import ConnectedUDPSocket, ModemAttribute, connect_udp
from aiobc9x.adapters.anyio.flow import DATAGRAM_LIMIT
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, Bench
from tests.support.clock import virtual

UDP_PORT = 5683


async def connected(bench: Bench, **settings: Any) -> tuple[ConnectedUDPSocket, Peer]:
    """Return a socket and its far end."""
    bench.network.serve_udp(UDP_PORT)
    socket = await connect_udp(await bench.open(**settings), HOST, UDP_PORT)
    return socket, bench.peer


@virtual
async def test_datagrams_keep_their_boundaries() -> None:
    """One item is one datagram, in both directions."""
    async with Bench() as bench:
        socket, peer = await connected(bench)
        items = [b"a", bytes(1440), b"bc"]
        for item in items:
            await socket.send(item)
            peer.send(item)
            await anyio.sleep(1)
        assert [await socket.receive() for _ in items] == items
        assert peer.datagrams == items
        await socket.aclose()
        assert bench.open_ids == []


@virtual
async def test_iteration() -> None:
    """Datagrams have no end, so a loop over them ends with an error alone."""
    async with Bench() as bench:
        socket, peer = await connected(bench)
        peer.send(b"one")
        seen = []

        async def collect() -> None:
            async for item in socket:
                seen.append(item)
                bench.cut()

        with pytest.raises(anyio.BrokenResourceError, match="lost") as caught:
            await collect()
        assert seen == [b"one"]
        assert isinstance(caught.value.__cause__, aiobc9x.LinkLost)
        with pytest.raises(anyio.BrokenResourceError):
            await socket.send(b"x")
        await socket.aclose()


@virtual
async def test_attributes() -> None:
    """Those of anyio's own, but for the raw socket."""
    async with Bench() as bench:
        socket, _ = await connected(bench)
        assert socket.extra(SocketAttribute.remote_address) == (HOST, UDP_PORT)
        assert socket.extra(SocketAttribute.remote_port) == UDP_PORT
        assert socket.extra(ModemAttribute.connect_id) == 0
        assert socket.extra(SocketAttribute.raw_socket, None) is None
        assert "open peer=('220.18.39.22', 5683)" in repr(socket)
        await socket.aclose()


@virtual
async def test_sizes() -> None:
    """What the module can't send is refused before anything is sent."""
    async with Bench() as bench:
        socket, peer = await connected(bench)
        with pytest.raises(OSError, match="1441 bytes") as caught:
            await socket.send(bytes(1441))
        assert caught.value.errno == errno.EMSGSIZE
        with pytest.raises(ValueError, match="empty datagram"):
            await socket.send(b"")
        await socket.aclose()
        assert peer.datagrams == []


@virtual
async def test_a_lost_datagram_breaks_nothing() -> None:
    """The module refuses one for good; the next goes through."""
    async with Bench(Fault(FaultKind.SEND_FAIL)) as bench:
        socket, peer = await connected(bench)
        await socket.send(b"refused")
        await anyio.sleep(100)
        await socket.send(b"sent")
        await socket.aclose()
        assert peer.datagrams[-1] == b"sent"


@virtual
async def test_a_sender_waits() -> None:
    """It doesn't run away from the module."""
    async with Bench(latency=0.1) as bench:
        socket, peer = await connected(bench)
        sent = 0
        with anyio.move_on_after(3):
            while True:
                await socket.send(bytes(1000))
                sent += 1
        assert 0 < len(peer.datagrams) <= sent <= len(peer.datagrams) + 5
        await socket.aclose()


@virtual
async def test_nobody_receives() -> None:
    """The oldest go, so that memory is bounded."""
    async with Bench() as bench:
        socket, peer = await connected(bench)
        for number in range(DATAGRAM_LIMIT + 20):
            peer.send(b"%d" % number)
            await anyio.sleep(0.5)
        received = [await socket.receive() for _ in range(DATAGRAM_LIMIT)]
        assert received == [b"%d" % number for number in range(20, DATAGRAM_LIMIT + 20)]
        assert not socket.extra(ModemAttribute.is_readable)
        await socket.aclose()


@virtual
async def test_busy_and_closed() -> None:
    """One receiver at a time; closing wakes it."""
    async with Bench() as bench:
        socket, _ = await connected(bench)

        async def told() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await socket.receive()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told)
            await anyio.sleep(0.1)
            with pytest.raises(anyio.BusyResourceError):
                await socket.receive()
            await socket.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await socket.send(b"x")
        with pytest.raises(anyio.ClosedResourceError):
            await socket.receive()
        await socket.aclose()


@virtual
async def test_cancelled_receives_lose_nothing() -> None:
    """A datagram that comes while nobody waits is there for the next."""
    async with Bench() as bench:
        socket, peer = await connected(bench)
        received = []
        for number in range(20):
            peer.send(b"%d" % number)
            with anyio.move_on_after(number / 100):
                received.append(await socket.receive())
        while len(received) < 20:
            received.append(await socket.receive())
        assert received == [b"%d" % number for number in range(20)]
        await anyio.aclose_forcefully(socket)
        await anyio.sleep(1)
        assert bench.open_ids == []


@virtual
async def test_connection_failed() -> None:
    """As for TCP: the cause is what the modem raised."""
    async with Bench() as bench:
        modem = await bench.open()
        with pytest.raises(anyio.ConnectionFailed) as caught:
            await connect_udp(modem, "nowhere.example", UDP_PORT)
        assert isinstance(caught.value.__cause__, aiobc9x.NameNotFound)
        with pytest.raises(ValueError, match=r"^port must be"):
            await connect_udp(modem, HOST, 0)
