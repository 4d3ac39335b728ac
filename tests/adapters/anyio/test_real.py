"""anyio's own wrappers over the modem, in real time over a pty: TLS, buffers, ``anyio.run``."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSConnectable, TLSListener, TLSStream

import aiobc9x
from aiobc9x.adapters.anyio import (
    ByteStreamConnectable,
    ModemAttribute,
    connect_tcp,
    connect_udp,
    create_listener,
)
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from tests.adapters.real import BOTH_LOOPS, LISTEN_PORT, run, warm_up_uvloop
from tests.support.loopback import LOOPBACK, Handler, echo, server
from tests.support.tls import NAME, client_context, server_context

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows"),
    pytest.mark.usefixtures("closes_its_files"),
]


@pytest.fixture(scope="module", autouse=True)
def ready() -> None:
    """Leave no file open that a test would be blamed for."""
    warm_up_uvloop()


@asynccontextmanager
async def tls_echo(context: ssl.SSLContext, handler: Handler = echo) -> AsyncIterator[int]:
    """Serve with asyncio's own TLS; give the port."""
    async with server(handler, ssl=context) as port:
        yield port


@BOTH_LOOPS
@pytest.mark.parametrize("standard_compatible", [True, False])
def test_tls_connectable(
    standard_compatible: bool,
    use_uvloop: bool,
) -> None:
    """50 kB there and back, through TLS; the name is the module's, and so are the bytes."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        data = bytes(range(256)) * 200
        async with tls_echo(server_context()) as port:
            connectable = TLSConnectable(
                ByteStreamConnectable(modem, NAME, port),
                hostname=NAME,
                ssl_context=client_context(),
                standard_compatible=standard_compatible,
            )
            async with await connectable.connect() as stream, anyio.create_task_group() as tasks:
                assert stream.extra(anyio.abc.SocketAttribute.remote_port) == port
                assert stream.extra(TLSAttribute.tls_version).startswith("TLSv1.")
                assert stream.extra(ModemAttribute.connect_id) == 0
                tasks.start_soon(stream.send, data)
                reader = BufferedByteReceiveStream(stream)
                assert await reader.receive_exactly(len(data)) == data
        assert modem.statistics.payload_bytes_sent > len(data)
        assert modem.statistics.payload_bytes_received > len(data)

    run(test, use_uvloop)


@BOTH_LOOPS
def test_the_server_says_goodbye_first(use_uvloop: bool) -> None:
    """A clean end of TLS, and closing behind it is no error, though nobody reads our goodbye."""

    async def page(stream: anyio.abc.SocketStream) -> None:
        secured = await TLSStream.wrap(stream, server_side=True, ssl_context=server_context())
        assert await secured.receive() == b"GET"
        await secured.send(b"page")
        with anyio.move_on_after(0.01):  # enough to say goodbye, but not to hear ours
            await secured.unwrap()
        await stream.aclose()

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with (
            await anyio.create_tcp_listener(local_host=LOOPBACK) as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, page)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            raw = await connect_tcp(modem, NAME, port)
            stream = await TLSStream.wrap(raw, hostname=NAME, ssl_context=client_context())
            await stream.send(b"GET")
            assert [chunk async for chunk in stream] == [b"page"]
            with pytest.raises(anyio.EndOfStream):
                await raw.receive()
            await stream.aclose()
            tasks.cancel_scope.cancel()

    run(test, use_uvloop)


@BOTH_LOOPS
def test_wrong_certificate(use_uvloop: bool) -> None:
    """The handshake fails and the socket of the module is closed."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with tls_echo(server_context()) as port:
            connectable = TLSConnectable(
                ByteStreamConnectable(modem, NAME, port),
                hostname="other.example",
                ssl_context=client_context(),
            )
            with pytest.raises(ssl.SSLCertVerificationError):
                await connectable.connect()
            six = [await connect_tcp(modem, NAME, port) for _ in range(6)]
            for stream in six:
                await stream.aclose()

    run(test, use_uvloop)


@BOTH_LOOPS
def test_tls_in_tls(use_uvloop: bool) -> None:
    """A tunnel within a tunnel."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with tls_echo(server_context()) as inner:

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                there = await asyncio.open_connection(LOOPBACK, inner)

                async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
                    while data := await source.read(4096):
                        to.write(data)
                    to.close()

                await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

            async with tls_echo(server_context(), relay) as outer:
                stream: Any = await connect_tcp(modem, NAME, outer)  # Any: it is wrapped twice
                for _ in range(2):
                    stream = await TLSStream.wrap(
                        stream,
                        hostname=NAME,
                        ssl_context=client_context(),
                        standard_compatible=False,
                    )
                await stream.send(b"deep")
                assert await stream.receive() == b"deep"
                await stream.aclose()

    run(test, use_uvloop)


@BOTH_LOOPS
def test_tls_listener(use_uvloop: bool) -> None:
    """A TLS server on the module, asked by asyncio's own client."""

    async def upper(stream: TLSStream) -> None:
        async with stream:
            await stream.send((await stream.receive()).upper())

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        network = virtual.network
        assert isinstance(network, LoopbackNetwork)
        async with (
            TLSListener(
                await create_listener(modem, LISTEN_PORT),
                server_context(),
                standard_compatible=False,
            ) as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, upper)
            reader, writer = await asyncio.open_connection(
                LOOPBACK,
                network.port_map[LISTEN_PORT],
                ssl=client_context(),
                server_hostname=NAME,
            )
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.close()
            tasks.cancel_scope.cancel()

    run(test, use_uvloop)


@BOTH_LOOPS
def test_datagrams(use_uvloop: bool) -> None:
    """A real datagram socket as the peer."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with (
            await anyio.create_udp_socket(local_host=LOOPBACK) as far,
            await connect_udp(modem, NAME, far.extra(anyio.abc.SocketAttribute.local_port)) as near,
        ):
            await near.send(b"ping")
            data, address = await far.receive()
            assert data == b"ping"
            await far.sendto(b"pong", *address)
            assert await near.receive() == b"pong"

    run(test, use_uvloop)
