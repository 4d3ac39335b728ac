"""Servers behind the virtual module's network, in memory and on loopback."""

import asyncio
import errno
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import HOST, ModemPeer, reserved_port
from aiobc9x.sim.virtual_modem import VirtualModem

OPTIONS = SimOptions(hosts={HOST: Host(("127.0.0.1",))})


class Datagrams(asyncio.DatagramProtocol):
    """Keep what comes."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        self.received.put_nowait(data)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_echo_by_tcp_and_udp(tmp_path: Path, in_memory: bool) -> None:
    """At one port."""
    network = MemoryNetwork(OPTIONS) if in_memory else None
    async with VirtualModem(OPTIONS, network) as module:
        peer = ModemPeer(module, tmp_path)
        port = await peer.echo()
        async with aiobc9x.open_modem(module.create) as modem:
            reader, writer = await modem.open_connection(peer.host, port)
            writer.write(b"stream")
            assert await reader.readexactly(6) == b"stream"
            writer.close()
            await writer.wait_closed()
            transport, protocol = await modem.create_datagram_endpoint(
                Datagrams, remote_addr=(peer.host, port)
            )
            transport.sendto(b"datagram")
            assert await protocol.received.get() == b"datagram"
            transport.close()
        await peer.aclose()


async def test_a_port_of_udp_that_somebody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is taken for both; if there is none, that is told."""
    loop, tried = asyncio.get_running_loop(), list[int]()
    create = loop.create_datagram_endpoint

    async def taken_at_first(factory: Any, *, local_addr: tuple[str, int]) -> Any:
        tried.append(local_addr[1])
        if len(tried) <= refusals:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return await create(factory, local_addr=local_addr)

    monkeypatch.setattr(loop, "create_datagram_endpoint", taken_at_first)
    refusals = 1
    async with VirtualModem(OPTIONS) as module:
        peer = ModemPeer(module, tmp_path)
        port = await peer.echo()
        first, second = tried
        assert first != port == second
        refusals = 100
        with pytest.raises(OSError, match="already in use"):
            await peer.echo()
        await peer.aclose()


def test_a_reserved_port_is_for_a_server_alone() -> None:
    """It may come and go; nobody else gets the port, and without a server nobody answers."""
    with reserved_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port)),
            ):
                server.accept()[0].close()
        if sys.platform == "linux":
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))


async def test_a_broker_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at once."""
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: "/bin/false")
    async with VirtualModem(OPTIONS) as module:
        peer = ModemPeer(module, tmp_path)
        with pytest.raises(RuntimeError, match="ended instead of listening"):
            await peer.mqtt()
        await peer.aclose()


async def test_requests_cut_anywhere(tmp_path: Path) -> None:
    """A web server that is fed byte by byte answers each request once."""
    async with VirtualModem(OPTIONS) as module:
        peer = ModemPeer(module, tmp_path)
        port = await peer.http({"/a": b"A", "/b": b"BB"})
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        for body in (b"A", b"BB"):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(len(body)) == body
        writer.close()
        await writer.wait_closed()
        await peer.aclose()


async def test_a_broker_takes_real_time(tmp_path: Path) -> None:
    """And says so where time may be virtual."""
    async with VirtualModem(OPTIONS, MemoryNetwork(OPTIONS)) as module:
        with pytest.raises(RuntimeError, match="leave the fixture modem_clock out"):
            await ModemPeer(module, tmp_path).mqtt()


async def test_a_broker_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is in the error."""
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    async with VirtualModem(OPTIONS) as module:
        with pytest.raises(FileNotFoundError, match="mosquitto is not installed"):
            await ModemPeer(module, tmp_path).mqtt()


@pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None,
    reason="mosquitto is not installed",
)
async def test_a_broker(tmp_path: Path) -> None:
    """It takes a client's CONNECT, through the module."""
    async with VirtualModem(OPTIONS) as module:
        peer = ModemPeer(module, tmp_path)
        port = await peer.mqtt()
        async with aiobc9x.open_modem(module.create) as modem:
            reader, writer = await modem.open_connection(peer.host, port)
            writer.write(bytes.fromhex("100d00044d51545404020 03c 0001 61".replace(" ", "")))
            assert await reader.readexactly(4) == bytes.fromhex("20020000")
            writer.close()
            await writer.wait_closed()
        await peer.aclose()
