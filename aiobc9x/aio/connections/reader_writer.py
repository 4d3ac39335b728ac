"""asyncio's streams over transports of the module; their writers upgrade to TLS on any loop.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiobc9x.aio.line.home import check_loop
from aiobc9x.aio.transports.tls import start_tls

ClientConnected: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
"""Is given a new connection (``Any``: as in asyncio, a coroutine becomes a task)."""

_Connect: TypeAlias = Callable[
    [Callable[[], asyncio.BaseProtocol]],
    Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]],
]

_WHAT: Final = "the connection"
"""What belongs to an event loop, for messages."""


class ModuleStreamWriter(asyncio.StreamWriter):
    """A writer of asyncio, but for :meth:`start_tls`, and what it says in another loop."""

    _protocol: Any  # a StreamReaderProtocol, of which typeshed leaves most out
    _reader: Any  # its buffer and its transport are private
    _loop: asyncio.AbstractEventLoop

    async def drain(self) -> None:
        """Wait until there is room to write, as asyncio's writer does.

        Raises:
            RuntimeError: The connection belongs to another event loop.
            OSError: The connection is lost.

        Cancellation is safe.
        """
        check_loop(_WHAT, self._loop)
        await super().drain()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, as asyncio's writer does.

        Raises:
            RuntimeError: The connection belongs to another event loop.
            OSError: The connection was lost.

        Cancellation is safe.
        """
        check_loop(_WHAT, self._loop)
        await super().wait_closed()

    async def start_tls(
        self,
        sslcontext: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """Go on with TLS; what was written before is sent first, in the clear.

        The side that accepted the connection is TLS's server. What its reader holds
        already goes to TLS; asyncio drops that before 3.13.

        Args:
            sslcontext: The context.
            server_hostname: Whose certificate to expect.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.

        Raises:
            RuntimeError: A client has bytes unread: they came in the clear, and would pass
                for bytes that came secured. The connection goes on as it was. Or it belongs
                to another event loop.
            ValueError: A timeout is not above 0, or the name can't be checked, or a context
                that checks names got none (asyncio's own accepts any name then).
            OSError: The connection is closed, or the handshake failed.

        A failure of the handshake, and cancellation in it, close the connection.
        """
        check_loop(_WHAT, self._loop)
        protocol = self._protocol
        server_side = protocol._client_connected_cb is not None
        if sslcontext.check_hostname and not (server_side or server_hostname):
            raise ValueError("start_tls() needs server_hostname: the context checks names")
        await self.drain()
        if not server_side and self._reader is not None and self._reader._buffer:
            raise RuntimeError(
                f"start_tls() with {len(self._reader._buffer)} bytes unread, which came in the"
                " clear: read them first"
            )
        transport = await start_tls(
            self._loop,
            self.transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        self._transport = transport
        protocol._transport = transport
        protocol._over_ssl = True


async def open_streams(
    connect: _Connect, limit: int
) -> tuple[asyncio.StreamReader, ModuleStreamWriter]:
    """Connect and return a reader and a writer.

    Args:
        connect: Is given the protocol's factory; makes the connection.
        limit: Of the reader, in bytes.

    Raises:
        ModemError: What ``connect`` raises.

    Cancellation is as safe as ``connect`` is.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await connect(lambda: protocol)
    return reader, ModuleStreamWriter(transport, protocol, reader, loop)


def server_streams(
    client_connected_cb: ClientConnected, limit: int
) -> Callable[[], asyncio.StreamReaderProtocol]:
    """Return a factory of protocols that hand streams to a callback, as ``start_server`` does."""
    loop = asyncio.get_running_loop()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        # The protocol makes its writer itself. A second one for the same connection
        # would have the first close it when that is collected.
        writer.__class__ = ModuleStreamWriter
        return client_connected_cb(reader, writer)

    def factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, connected, loop=loop)

    return factory
