"""Define what adapters need of a modem: four calls that open connections and resolve names.

Layer: aio.

An adapter (redirection, the proxy, anyio, httpcore, httpx) uses a :class:`Dialer` and knows
nothing else of a modem. :class:`~aiobc9x.Modem` is a dialer, and so is any other object with
these four methods: several modems after one object, or a fake modem in a test.

An adapter asks the transport about its connection, by
:meth:`~asyncio.BaseTransport.get_extra_info`: ``"modem"`` (the object that opened it),
``"connect_id"``, ``"sockname"``, ``"peername"``, ``"socket"``.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import Protocol, TypeVar

from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.queries.results import Resolution
from aiobc9x.spec import AccessMode
from aiobc9x.wire.host import Host

__all__ = ["Dialer"]

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)


class Dialer(Protocol):
    """Opens connections, datagram sockets and listeners through a module, and resolves names.

    All four belong to one event loop, wait for the network within their ``timeout``, and raise
    what :class:`~aiobc9x.Modem` raises: ``ValueError`` and ``TypeError`` before anything is
    sent, then :class:`~aiobc9x.NoFreeSocket`, subclasses of :class:`~aiobc9x.ConnectFailed`,
    ``TimeoutError`` and :class:`~aiobc9x.LinkLost`. If a call is cancelled, what it has begun
    is closed in the background.
    """

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | bytes | Host,
        port: int,
        /,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        local_addr: tuple[str, int] | None = None,
        local_port: int = 0,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.Transport, P]:
        """Connect a TCP socket; see :meth:`aiobc9x.Modem.create_connection`.

        Every keyword of asyncio's own is taken, because the redirection hands on what a
        program gives it.

        Args:
            protocol_factory: Makes the protocol, once the connection stands.
            host: An IP literal, or a name, which the module resolves; or either of them as an
                adapter has read it.
            port: Remote port, 1–65535.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0 to let the host and the network decide.
            proto: Without effect, as are ``flags``, ``happy_eyeballs_delay``, ``interleave``.
            flags: Without effect.
            local_addr: Only its port counts.
            local_port: The module's port; 0 lets the module choose.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Without effect.
            interleave: Without effect.
            all_errors: Raise an ``ExceptionGroup``, with one error for each address tried.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call, the network and TLS included; ``None``: the
                limits of its parts.

        Returns:
            The transport and the protocol.

        Raises:
            OSError: Not connected; every error of the module is one.
            ValueError: An argument is out of range; nothing was sent.

        Cancellation is safe.

        """

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], D],
        /,
        *,
        remote_addr: tuple[str | bytes | Host, int],
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        local_port: int = 0,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.DatagramTransport, D]:
        """Open a UDP socket towards one address.

        The module's sockets are connected, so each serves one destination (§2.2.1); see
        :meth:`aiobc9x.Modem.create_datagram_endpoint`.

        Args:
            protocol_factory: Makes the protocol, once the socket is open.
            remote_addr: Host and port, the host as for :meth:`create_connection`.
            family: As for :meth:`create_connection`.
            proto: Without effect, as are ``flags``, ``reuse_port`` and ``allow_broadcast``.
            flags: Without effect.
            reuse_port: Without effect.
            allow_broadcast: Without effect.
            local_port: The module's port; 0 lets the module choose.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call.

        Returns:
            The transport and the protocol.

        Raises:
            OSError: Not open; every error of the module is one.
            ValueError: An argument is out of range; nothing was sent.

        Cancellation is safe.

        """

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        /,
        *,
        port: int,
        ssl: ssl_module.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        family: int = 0,
        timeout: float | None = None,
    ) -> Server:
        """Listen for TCP connections on the module's own address (§2.2.1, "TCP LISTENER").

        It accepts from the moment that it listens; see :meth:`aiobc9x.Modem.create_server`.
        The keywords of asyncio's own that have no meaning on a module, such as ``backlog``,
        are taken too.

        Args:
            protocol_factory: Makes a protocol for each connection.
            port: The module's port, 1–65535.
            ssl: A server's context.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            family: Chooses among the module's addresses if it has one of it.
            timeout: Seconds for the whole call.

        Returns:
            The server.

        Raises:
            OSError: Not listening; EADDRINUSE if the port is in use or rests.
            ValueError: An argument is out of range; nothing was sent.

        Cancellation is safe.

        """

    async def resolve(self, host: str | bytes | Host, /) -> Resolution:
        """Resolve a name on the module (§2.2.10); see :meth:`aiobc9x.Modem.resolve`.

        Args:
            host: The name, of at most 253 bytes; an address is its own answer.

        Raises:
            NameNotFound: It has no address (a ``socket.gaierror``).
            OSError: Another error of the module.
            ValueError: The name can't be a host's; nothing was sent.

        Cancellation is safe.

        """
