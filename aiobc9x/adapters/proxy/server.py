"""Run a local proxy, through which other programs can connect by the module.

Layer: adapters.

One loopback port speaks SOCKS5 and HTTP, which the first byte tells apart. Each other port
forwards to one fixed host and port. The sockets of the proxy itself are always ordinary ones, also
while :meth:`Modem.installed` routes those of the program through the module.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiobc9x.adapters.proxy.api import (
    Forward,
    Forwards,
    HealthCheck,
    ProxyServer,
    ProxyStatistics,
    ProxyTimeouts,
)
from aiobc9x.adapters.proxy.client import CHUNK_BYTES, Relay
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request, split_authority
from aiobc9x.aio.arguments import check_text
from aiobc9x.aio.connections.connecting import split_address
from aiobc9x.aio.dialer import Dialer
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import LOCAL_PORTS, PORTS
from aiobc9x.wire.host import Host
from aiobc9x.wire.params import ascii_text, integer

_FORWARD: Final = lazy_pattern(r"(?:(\[[^\[\]]+\]|[^\[\]:]+):)?([0-9]{1,5}):(.+:[0-9]{1,5})")


def parse_forward(text: str, default_host: str) -> Forward:
    """Read ``[local host:]local port:host:port``; IPv6 addresses stand in brackets.

    Raises:
        ValueError: The text isn't of this form, or a port is out of range.

    """
    match = _FORWARD.fullmatch(text)
    if match is None:
        raise ValueError(
            f"forward {text!r} is not [local host:]local port:host:port,"
            " such as 1883:broker.example:1883"
        )
    host, port = split_authority(match[3])
    local_host = default_host if match[1] is None else match[1].strip("[]")
    return make_forward(local_host, int(match[2]), host, port)


def read_forwards(forwards: Forwards, default_host: str) -> list[Forward]:
    """Read forwards that are given as a mapping of local ports to targets, or as strings.

    Raises:
        TypeError: ``forwards`` is neither a mapping nor several strings.
        ValueError: See :func:`parse_forward`.

    """
    if isinstance(forwards, str):
        raise TypeError(f"forwards must be a list of strings, not one: [{forwards!r}]")
    if isinstance(forwards, Mapping):
        return [
            make_forward(default_host, local_port, _as_text(host), port)
            for local_port, target in forwards.items()
            for host, port in [split_address("forwards", target)]
        ]
    if not isinstance(forwards, Iterable):
        raise TypeError(f"forwards must be a mapping or a list of strings, not {forwards!r}")
    texts = list(forwards)
    for text in texts:
        check_text("each of forwards", text)
    return [parse_forward(text, default_host) for text in texts]


def _as_text(host: str | bytes) -> str:
    return ascii_text(host) if isinstance(host, bytes) else host


def make_forward(local_host: str, local_port: int, host: str, port: int) -> Forward:
    """Check the target and the ports of a forward.

    Raises:
        TypeError: The host is no text.
        ValueError: A port is out of range, or the host is more than a host.

    """
    check_text("host", host)
    Host.read(host).check()
    integer("local_port", local_port, LOCAL_PORTS)
    integer("port", port, PORTS)
    return Forward(local_host, local_port, host, port)


def check_local(host: str, allow_remote: bool) -> None:
    """Refuse an address to listen on that is no loopback address, unless the caller allows it.

    Raises:
        ValueError: Other machines could connect to the address.

    """
    if allow_remote or host == "localhost":
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(
        f"host {host!r} is no loopback address: whoever reaches the proxy can use the module"
        " and spend its data; pass allow_remote=True if that is meant"
    )


class LocalProxy(ProxyServer):
    """See :class:`ProxyServer`."""

    def __init__(
        self,
        dialer: Dialer,
        host: str,
        allow_remote: bool,
        timeouts: ProxyTimeouts,
        health: HealthCheck,
    ) -> None:
        self._home = HomeLoop("the proxy")
        self._clients = ProxyClients(dialer, timeouts, health)
        self._host, self._allow_remote = host, allow_remote
        self._port: int | None = None
        self._listeners: list[asyncio.Server] = []
        self._forwards: list[Forward] = []

    def __repr__(self) -> str:
        state = "closed" if self._clients.is_closing else f"{self._host}:{self._port}"
        forwards, clients = len(self.forwards), len(self._clients)
        return f"<ProxyServer {state} forwards={forwards} clients={clients}>"

    @property
    def port(self) -> int | None:
        """The port of SOCKS5 and HTTP; ``None`` if there are only forwards, or when closed."""
        return None if self._clients.is_closing else self._port

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """The local ports whose connections go to a fixed host and port."""
        return () if self._clients.is_closing else tuple(self._forwards)

    @property
    def connections(self) -> int:
        """How many clients there are now."""
        return len(self._clients)

    @property
    def statistics(self) -> ProxyStatistics:
        """The counters, which go on counting after they were read."""
        return self._clients.statistics

    async def start(self, port: int | None, forwards: Iterable[Forward]) -> None:
        """Listen on all ports; if one port fails, close the others again.

        Raises:
            OSError: The system refuses a port.

        Cancellation is safe: no port is listened on after it.
        """
        try:
            if port is not None:
                self._port = await self._listen(self._host, port, None)
            for forward in forwards:
                await self._add(forward)
        except BaseException:
            self.close()
            raise

    async def add_forward(self, local_port: int, host: str, port: int) -> Forward:
        """See :meth:`ProxyServer.add_forward`."""
        self._home.check_loop()
        if self._clients.is_closing:
            raise RuntimeError("the proxy is closed")
        return await self._add(make_forward(self._host, local_port, host, port))

    async def _add(self, forward: Forward) -> Forward:
        check_local(forward.local_host, self._allow_remote)
        request = Request(Host.read(forward.host), forward.port)
        local_port = await self._listen(forward.local_host, forward.local_port, request)
        forward = Forward(forward.local_host, local_port, forward.host, forward.port)
        self._forwards.append(forward)
        return forward

    async def _listen(self, host: str, port: int, request: Request | None) -> int:
        # In a context of its own, because in the caller's one installed() may be in force, which
        # would open the listener on the module. Callbacks of the sockets inherit this context.
        listening = asyncio.create_task(
            _listen(lambda: Relay(self._clients, request), host, port),
            name="aiobc9x proxy listen",
            context=contextvars.Context(),
        )
        try:
            listener = await asyncio.shield(listening)
        except asyncio.CancelledError:
            listening.add_done_callback(_close_unwanted)
            raise
        if self._clients.is_closing:
            listener.close()
            raise RuntimeError("the proxy was closed meanwhile")
        self._listeners.append(listener)
        local_port: int = listener.sockets[0].getsockname()[1]
        return local_port

    def close(self) -> None:
        """See :meth:`ProxyServer.close`."""
        self._home.check_thread()
        for listener in self._listeners:
            listener.close()
        self._clients.close()

    async def wait_closed(self) -> None:
        """See :meth:`ProxyServer.wait_closed`."""
        self._home.check_loop()
        await self._clients.wait_closed()
        await asyncio.sleep(0)  # uvloop closes its listeners in the next turn

    def is_serving(self) -> bool:
        """Return whether the proxy accepts clients."""
        return not self._clients.is_closing


async def _listen(factory: Callable[[], Relay], host: str, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(factory, host, port, start_serving=False)
    for sock in listener.sockets:
        # Accepted sockets inherit this option. A small buffer, because bytes that wait in it are
        # not on the line yet, while the client's program takes them for sent.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
    await listener.start_serving()
    return listener


def _close_unwanted(listening: asyncio.Task[asyncio.Server]) -> None:
    if not listening.cancelled() and listening.exception() is None:
        listening.result().close()


async def serve_proxy(
    dialer: Dialer,
    host: str,
    port: int | None,
    forwards: Forwards,
    allow_remote: bool,
    timeouts: ProxyTimeouts,
    health: HealthCheck,
) -> LocalProxy:
    """Start a proxy; see :meth:`Modem.serve_proxy`."""
    if port is not None:
        integer("port", port, LOCAL_PORTS)
    check_text("host", host)
    check_local(host, allow_remote)
    places = read_forwards(forwards, host)
    if port is None and not places:
        raise ValueError("neither a port nor forwards: there is nothing to serve")
    for place in places:
        check_local(place.local_host, allow_remote)
    proxy = LocalProxy(dialer, host, allow_remote, timeouts, health)
    await proxy.start(port, places)
    return proxy
