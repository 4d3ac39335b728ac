"""The far side of a soak: servers on loopback that send back, send, and break off."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import trustme

LOOPBACK: Final = "127.0.0.1"
NAME: Final = "soak.example"
"""Whom the certificate is for; the module alone knows where that is."""

PIECE_BYTES: Final = 4096
END_S: Final = 10.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    """Return a server that is :data:`NAME`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(NAME).configure_cert(context)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """Return a client that trusts that server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


@dataclass(frozen=True)
class Peers:
    """Ports on loopback.

    Attributes:
        echo: TCP: sends back what comes.
        secure: The same, with TLS.
        source: TCP: takes a line ``seed size``, sends so many random bytes and closes.
        cutter: TCP: sends back what comes, and resets the connection after some bytes.
        datagrams: UDP: sends back what comes.

    """

    echo: int
    secure: int
    source: int
    cutter: int
    datagrams: int


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(PIECE_BYTES):
        writer.write(data)
        await writer.drain()


async def _source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    seed, size = map(int, (await reader.readuntil()).split())
    data = random.Random(seed).randbytes(size)
    for start in range(0, size, PIECE_BYTES):
        writer.write(data[start : start + PIECE_BYTES])
        await writer.drain()


async def _cutter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data = await reader.read(PIECE_BYTES)
    writer.write(data[: len(data) // 2 + 1])
    await asyncio.sleep(0.02)  # so that some of it goes out
    writer.transport.abort()


class _Mirror(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as in typeshed
        self._transport.sendto(data, addr)


def forgiving(handler: Handler) -> Handler:
    """Let the other side go away, which is its right, and close in the end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    return handle


@asynccontextmanager
async def _serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    handling: set[asyncio.Task[object]] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast(asyncio.Task[object], asyncio.current_task())
        handling.add(task)
        try:
            await forgiving(handler)(reader, writer)
        finally:
            handling.discard(task)

    server = await asyncio.start_server(noted, LOOPBACK, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if handling:
            await asyncio.wait(handling, timeout=END_S)
        await asyncio.sleep(0)  # uvloop closes its listeners in the next turn


@asynccontextmanager
async def peers() -> AsyncIterator[Peers]:
    """Run all of them."""
    async with AsyncExitStack() as stack:
        mirror, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            _Mirror, local_addr=(LOOPBACK, 0)
        )
        stack.callback(mirror.close)
        ports = [
            await stack.enter_async_context(_serving(handler, tls))
            for handler, tls in (
                (echo, None),
                (echo, server_context()),
                (_source, None),
                (_cutter, None),
            )
        ]
        ports.append(mirror.get_extra_info("sockname")[1])
        yield Peers(*ports)
