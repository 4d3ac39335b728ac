"""The same application code over every way in which received data can come.

Buffer or push mode (§1.2), text or hex digits, CRLF or comma behind the header (§2.2.11):
an application can't tell.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trustme

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.sim.memory import Peer
from aiobc9x.spec import ViewMode
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import virtual
from tests.support.recorders import DatagramRecorder

NASTY = (
    b'\r\n+QIURC: "closed",0\r\n\r\nOK\r\n\r\n+QIRD: 5,0\r\nERROR\r\n> \x00\x1a\x1b",\r\nRDY\r\n'
)
ANYTHING = bytes(range(256)) * 12 + NASTY * 20


@dataclass(frozen=True)
class Mode:
    """How received data come."""

    access: AccessMode
    hexadecimal: bool
    view: ViewMode

    def __str__(self) -> str:
        digits = "hex" if self.hexadecimal else "text"
        return f"{self.access.name}-{digits}-{self.view.name}".lower()


MODES = [Mode(*each) for each in itertools.product(AccessMode, (False, True), ViewMode)]


class Place:
    """A modem in one mode, and what the application calls."""

    def __init__(self, bench: Bench, modem: aiobc9x.Modem, mode: Mode) -> None:
        self.bench, self.modem, self._mode = bench, modem, mode

    async def connect(
        self, serve: Callable[[Peer], None] = lambda _peer: None, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to a server."""
        self.bench.network.serve_tcp(PORT, serve)
        return await self.modem.open_connection(
            HOST, PORT, access_mode=self._mode.access, **options
        )

    async def endpoint(self, port: int) -> tuple[asyncio.DatagramTransport, DatagramRecorder]:
        """Open a datagram endpoint."""
        return await self.modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, port), access_mode=self._mode.access
        )


def in_every_mode(application: Callable[[Place], Awaitable[None]]) -> Any:
    """Make a test of an application."""

    @pytest.mark.parametrize("chunk", [0, "random"])
    @pytest.mark.parametrize("mode", MODES, ids=str)
    @virtual
    async def test(mode: Mode, chunk: Any) -> None:
        async with Bench(chunk=chunk, seed=7) as bench:
            modem = await bench.open(receive_hex=mode.hexadecimal)
            await modem.configure(view_mode=mode.view)
            await application(Place(bench, modem, mode))
            assert modem.statistics.damages == modem.statistics.recoveries == 0
            assert bench.virtual.module.nvram.view_mode == mode.view
            assert bench.virtual.module.nvram.receive_format == mode.hexadecimal

    test.__doc__ = application.__doc__
    return test


@in_every_mode
async def test_echo(place: Place) -> None:
    """Any bytes come back, whatever they look like."""
    reader, writer = await place.connect(lambda peer: peer.answer_with(peer.send))
    writer.write(ANYTHING)
    assert await reader.readexactly(len(ANYTHING)) == ANYTHING
    writer.close()
    await writer.wait_closed()
    assert place.bench.open_ids == []


@in_every_mode
async def test_lines_and_eof(place: Place) -> None:
    """A server speaks first, in lines, and closes: all of it comes before the EOF."""

    def greet(peer: Peer) -> None:
        peer.send(b"220 ready\r\n")
        peer.send(NASTY)
        peer.close()

    reader, writer = await place.connect(greet)
    assert await reader.readline() == b"220 ready\r\n"
    assert await reader.read() == NASTY
    assert reader.at_eof()
    writer.close()


@in_every_mode
async def test_slow_reader(place: Place) -> None:
    """A reader that pauses loses nothing."""
    reader, writer = await place.connect(limit=512)
    data = ANYTHING * 3
    for start in range(0, len(data), 700):
        place.bench.peer.send(data[start : start + 700])
        await asyncio.sleep(0.1)
    got = b""
    while len(got) < len(data):
        got += await reader.read(97)
    assert got == data
    writer.close()


@in_every_mode
async def test_both_directions_at_once(place: Place) -> None:
    """Neither direction disturbs the other."""
    reader, writer = await place.connect()
    peer = place.bench.peer

    async def send() -> None:
        for start in range(0, len(ANYTHING), 100):
            writer.write(ANYTHING[start : start + 100])
            await writer.drain()

    async def receive() -> None:
        for start in range(0, len(ANYTHING), 131):
            peer.send(ANYTHING[start : start + 131])
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        group.create_task(receive())
        assert await reader.readexactly(len(ANYTHING)) == ANYTHING
    assert peer.received == ANYTHING
    writer.close()


@in_every_mode
async def test_datagrams(place: Place) -> None:
    """Boundaries survive."""
    place.bench.network.serve_udp(53, lambda peer: peer.answer_with(peer.send))
    transport, protocol = await place.endpoint(53)
    sent = [ANYTHING[:size] for size in (1, 1024, 1025, 1440)] + [NASTY]
    for datagram in sent:
        transport.sendto(datagram)
    await protocol.until(received=len(sent))
    assert protocol.received == sent
    transport.close()


@in_every_mode
async def test_tls(place: Place) -> None:
    """TLS runs over it, from our handshake to the echo."""
    authority = trustme.CA()
    far, near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("a.example").configure_cert(far)
    authority.configure_trust(near)

    def serve(peer: Peer) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = far.wrap_bio(incoming, outgoing, server_side=True)

        def on_data(data: bytes) -> None:
            incoming.write(data)
            try:
                tls.do_handshake()
                tls.write(tls.read(65536))
            except ssl.SSLWantReadError:
                pass
            peer.send(outgoing.read())

        peer.answer_with(on_data)

    reader, writer = await place.connect(serve, ssl=near, server_hostname="a.example")
    writer.write(b"secret")
    assert await reader.readexactly(6) == b"secret"
    writer.transport.abort()


@in_every_mode
async def test_two_connections(place: Place) -> None:
    """Bytes of two connections never mix."""
    one, two = await place.connect(), await place.connect()
    first, second = place.bench.network.peers[-2:]
    for number in range(50):
        first.send(b"1" * (number * 13 % 90 + 1))
        second.send(b"2" * (number * 29 % 90 + 1))
        await asyncio.sleep(0.01)
    first.close()
    second.close()
    assert set(await one[0].read()) == set(b"1")
    assert set(await two[0].read()) == set(b"2")
    one[1].close()
    two[1].close()
