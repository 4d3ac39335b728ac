"""The far side of a soak: servers on loopback that send back, send, and break off."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from tests.support.loopback import LOOPBACK, echo, server
from tests.support.tls import server_context

PIECE_BYTES: Final = 4096


@dataclass(frozen=True)
class Peers:
    """Ports on loopback.

    Attributes:
        echo: TCP: sends back what comes.
        secure: The same, with TLS.
        source: TCP: takes a line ``seed size``, sends so many random bytes and closes.
        cutter: TCP: sends back what comes, and resets the connection after some bytes.
        datagrams: UDP: sends back what comes.
        closed: TCP: nobody listens there.

    """

    echo: int
    secure: int
    source: int
    cutter: int
    datagrams: int
    closed: int = 9


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


@asynccontextmanager
async def peers() -> AsyncIterator[Peers]:
    """Run all of them."""
    async with AsyncExitStack() as stack:
        mirror, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            _Mirror, local_addr=(LOOPBACK, 0)
        )
        stack.callback(mirror.close)
        ports = [
            await stack.enter_async_context(server(handler, ssl=tls))
            for handler, tls in (
                (echo, None),
                (echo, server_context()),
                (_source, None),
                (_cutter, None),
            )
        ]
        ports.append(mirror.get_extra_info("sockname")[1])
        yield Peers(*ports)
