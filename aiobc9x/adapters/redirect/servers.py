"""Replace ``create_server()`` of a loop by a listener of the module.

Layer: adapters.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.adapters.redirect.resolver import Original, port_number
from aiobc9x.adapters.redirect.route import Route
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.transports.socket_view import SocketView

Hosts: TypeAlias = str | bytes | Iterable[str | bytes] | None

FREE_PORTS: Final = range(49152, 65536)
"""The ports that port 0 is chosen from; none of them is registered for a service."""

_TRIES: Final = 8
"""How many random ports are tried, if the chosen ones are busy."""


class DeferredServer(asyncio.AbstractServer):
    """A server that listens from :meth:`start_serving` on, for ``start_serving=False``.

    The module accepts as soon as it listens, so before that nothing is opened on it.
    """

    def __init__(self, listen: Callable[[], Awaitable[Server]], port: int) -> None:
        self._listen, self._port = listen, port
        self._loop = asyncio.get_running_loop()
        self._server: Server | None = None
        self._is_closed = False
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        inner = self._server if self._server is not None else f"port {self._port}, not listening"
        return f"<DeferredServer {inner!r}>"

    @property
    def sockets(self) -> tuple[SocketView, ...]:
        """The listening socket, as an object with ``getsockname()``; empty when closed."""
        if self._is_closed:
            return ()
        if self._server is not None:
            return self._server.sockets
        return (SocketView(socket.SOCK_STREAM, ("0.0.0.0", self._port), ("0.0.0.0", 0)),)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the server belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None and self._server.is_serving()

    async def start_serving(self) -> None:
        """Listen, if it doesn't yet.

        Raises:
            RuntimeError: It is closed.
            OSError: As :meth:`Modem.create_server`.

        Cancellation is safe.
        """
        async with self._starting:
            if self._is_closed:
                raise RuntimeError(f"server {self!r} is closed")
            if self._server is None:
                self._server = await self._listen()
                if self._is_closed:  # close() was called while the module began to listen
                    self._server.close()

    async def serve_forever(self) -> None:
        """Listen until cancelled, then close the server.

        Raises:
            RuntimeError: It is closed, or somebody waits already.
            OSError: As :meth:`Modem.create_server`.

        """
        await self.start_serving()
        assert self._server is not None
        await self._server.serve_forever()

    def close(self) -> None:
        """Stop accepting; accepted connections live on."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()

    async def wait_closed(self) -> None:
        """Wait until the module has closed the listener; cancellation is safe."""
        if self._server is not None:
            await self._server.wait_closed()

    def close_clients(self) -> None:
        """Close every accepted connection, flushing it."""
        if self._server is not None:
            self._server.close_clients()

    def abort_clients(self) -> None:
        """Close every accepted connection at once."""
        if self._server is not None:
            self._server.abort_clients()


async def create_server(
    route: Route,
    original: Original,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: Hosts = None,
    port: str | bytes | int | None = None,
    *,
    sock: socket.socket | None = None,
    start_serving: bool = True,
    **options: Any,
) -> asyncio.AbstractServer:
    """Listen on the module for wildcard hosts, on this machine for hosts of the bypass.

    Args:
        route: The route of the running context.
        original: The loop's own method.
        protocol_factory: Makes a protocol for each connection.
        host: ``None``, ``""``, ``"0.0.0.0"``, ``"::"`` or the module's own address for the
            module; several may be given, but all of one kind.
        port: Number or service; 0 or ``None`` for one of 49152–65535.
        sock: A listening socket of this machine.
        start_serving: ``False``: listen from the server's ``start_serving()`` on.
        options: The other keywords (``Any``: the types are those of the loop's own method).

    Raises:
        ValueError: Hosts of both kinds.
        OSError: EADDRNOTAVAIL for another host; else as :meth:`Modem.create_server`.

    Cancellation is safe.
    """
    if sock is not None:
        route.check(sock, "create_server()", "give host and port instead, or bypass= its address")
    if sock is not None or not await is_the_modules(route, _several(host)):
        server: asyncio.AbstractServer = await original(
            protocol_factory, host, port, sock=sock, start_serving=start_serving, **options
        )
        return server
    wanted = port_number(port, "tcp")

    async def listen(tried: int = wanted) -> Server:
        return await route.dialer.create_server(protocol_factory, port=tried, **options)

    if start_serving:
        return await (listen() if wanted else _listen_anywhere(listen))
    chosen = wanted or random.choice(FREE_PORTS)
    return DeferredServer(lambda: listen(chosen), chosen)


async def _listen_anywhere(listen: Callable[[int], Awaitable[Server]]) -> Server:
    """Listen on a random free port."""
    ports = random.sample(FREE_PORTS, _TRIES)
    for port in ports[:-1]:
        try:
            return await listen(port)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
    return await listen(ports[-1])


def _several(host: Hosts) -> list[str | bytes | None]:
    return [host] if host is None or isinstance(host, str | bytes) else list(host)


async def is_the_modules(route: Route, hosts: list[str | bytes | None]) -> bool:
    """Whether these hosts are addresses of the module; if not, they are this machine's.

    Raises:
        ValueError: They are not of one kind.
        OSError: EADDRNOTAVAIL: one is neither.

    Cancellation is safe.
    """
    kinds = {await _is_module_address(route, host) for host in hosts}
    if len(kinds) > 1:
        raise ValueError(
            f"{hosts!r} are addresses of the module and of this machine; make one call for each"
        )
    return True in kinds


async def _is_module_address(route: Route, host: str | bytes | None) -> bool:
    if not host:
        return True
    read = read_host(host)
    address = read.address
    if address is not None and address.is_unspecified:
        return True
    if route.bypass.covers(read):
        return False
    contexts = await route.own_addresses()
    own = {read_host(text).address for _, texts in contexts for text in texts}
    if address is not None and address in own:
        return True
    raise OSError(
        errno.EADDRNOTAVAIL,
        f"{os.strerror(errno.EADDRNOTAVAIL)}: {read.written!r} is no address of the module; use"
        " None for the module, or add the host to bypass= of installed() for this machine",
    )
