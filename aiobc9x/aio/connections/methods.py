"""Connections, datagrams and servers: the part of the modem that asyncio's own calls mirror.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable
from typing import Any, TypeVar

from aiobc9x.aio.arguments import check_callable, check_integer, check_text
from aiobc9x.aio.connections.accepting import Acceptor, check_server_options
from aiobc9x.aio.connections.connecting import (
    PROTOCOL_TYPES,
    Connector,
    Tls,
    make_request,
    split_address,
    timing,
)
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.connections.reader_writer import ClientConnected, open_streams, server_streams
from aiobc9x.aio.transports.tls import check_timeouts, make_context
from aiobc9x.spec import AccessMode, ServiceType

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)


class ConnectionMethods:
    """Part of :class:`Modem`. Every method can be cancelled safely."""

    _connector: Connector
    _acceptor: Acceptor

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | bytes,
        port: int,
        *,
        ssl: ssl_module.SSLContext | bool | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
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
        """Connect a TCP socket through the module (§2.2.1).

        Args:
            protocol_factory: Makes the protocol.
            host: IP literal, or a domain name of at most 253 bytes, resolved by the module.
                If its first address fails, the others are tried in turn.
            port: Remote port, 1–65535.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0 to go by the literal, for a name by the
                addresses of the module's context: IPv4 where it has one.
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay`` and ``interleave``.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Only its port counts.
            local_port: 0 lets the module choose; a fixed one rests behind its close, see
                ``port_quarantine`` of :func:`open_modem`.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: Raise an ``ExceptionGroup``, with one error for each address tried.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call, waiting for the network and TLS included.
                ``None``: 180 for the network, then the note's 36 or 176 with margin, for
                all addresses of a name together.

        Returns:
            The transport and the protocol, as :meth:`asyncio.loop.create_connection` does.

        Raises:
            TypeError: An argument is of another type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe: the connect ID stays reserved until the module confirms its
        close.
        """
        if sock is not None:
            raise ValueError("sock can't be used: the connection's socket is the module's")
        check_callable("protocol_factory", protocol_factory)
        if server_hostname is not None:
            check_text("server_hostname", server_hostname)
        request = make_request(
            ServiceType.TCP,
            host,
            port,
            local_port=local_port,
            local_addr=local_addr,
            access_mode=access_mode,
            family=family,
        )
        self._connector.check(request)
        context = make_context(ssl, server_hostname)
        check_timeouts(
            with_tls=context is not None,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        tls = None
        if context is not None:
            name = server_hostname if server_hostname is not None else request.host
            tls = Tls(context, name, False, ssl_handshake_timeout, ssl_shutdown_timeout)
        async with timing(timeout) as stage:
            slot, extra = await self._connector.open(request, stage, all_errors=all_errors)
            stage.name = "in the TLS handshake"
            return await self._connector.attach(slot, extra, protocol_factory, tls)

    async def open_connection(
        self,
        host: str | bytes,
        port: int,
        *,
        limit: int = 65536,
        timeout: float | None = None,
        **options: Any,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a TCP socket through the module (§2.2.1).

        Other sockets go on receiving meanwhile.

        Args:
            host: As for :meth:`create_connection`.
            port: Remote port, 1–65535.
            limit: Bytes that the reader buffers before it pauses, and the longest line.
            timeout: Seconds for the whole call; see :meth:`create_connection`.
            options: The other keywords of :meth:`create_connection` (``Any``: they have
                its types).

        Returns:
            A reader and a writer, as :func:`asyncio.open_connection` does. ``drain()``
            returns when the module has taken the bytes, not when the peer has them;
            ``wait_closed()`` returns when the module has closed the socket.

        Raises:
            TypeError: An argument is of another type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe: the connect ID stays reserved until the module confirms its
        close.
        """
        self._connector.home.check_loop()
        check_integer("limit", limit, 1)
        return await open_streams(
            lambda factory: self.create_connection(factory, host, port, timeout=timeout, **options),
            limit,
        )

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], D],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str | bytes, int] | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
        local_port: int = 0,
        access_mode: AccessMode = AccessMode.BUFFER,
        timeout: float | None = None,
    ) -> tuple[asyncio.DatagramTransport, D]:
        """Open a UDP socket of the module, connected to one address (§2.2.1).

        Args:
            protocol_factory: Makes the protocol.
            local_addr: Only its port counts.
            remote_addr: Host and port; required, because the module's sockets are connected.
            family: As for :meth:`create_connection`.
            proto: Ignored, as are ``flags``, ``reuse_port`` and ``allow_broadcast``.
            flags: Ignored.
            reuse_port: Ignored.
            allow_broadcast: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_port: 0 lets the module choose; a fixed one rests behind its close, see
                ``port_quarantine`` of :func:`open_modem`.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            The transport and the protocol. One ``sendto`` is one datagram of 1–1440 bytes.

        Raises:
            TypeError: An argument is of another type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not open in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        if sock is not None:
            raise ValueError("sock can't be used: the endpoint's socket is the module's")
        check_callable("protocol_factory", protocol_factory)
        if remote_addr is None:
            raise ValueError("remote_addr is required: the module's UDP sockets are connected")
        request = make_request(
            ServiceType.UDP,
            *split_address("remote_addr", remote_addr),
            local_port=local_port,
            local_addr=local_addr,
            access_mode=access_mode,
            family=family,
        )
        self._connector.check(request)
        async with timing(timeout) as stage:
            slot, extra = await self._connector.open(request, stage)
            extra["remote_addr"] = (request.host, request.remote_port)
            return self._connector.attach_datagrams(slot, extra, protocol_factory)

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        port: int,
        *,
        ssl: ssl_module.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Server:
        """Listen for TCP connections on the module (§2.2.1, "TCP LISTENER").

        The listener uses one of the six connect IDs, each connection another. Incoming
        connections start in Buffer Access Mode (§2.3.5). One that finds no free ID is
        turned away by the module: an ``IncomingFull`` event, and a counter.

        Args:
            protocol_factory: Makes a protocol for each connection.
            port: The module's port to listen on, 1–65535.
            ssl: A server's context.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            timeout: Seconds for the whole call; see :meth:`create_connection`.
            options: Other keywords of :meth:`asyncio.loop.create_server` (``Any``: they have
                its types). ``family`` chooses among the module's addresses if it has one of
                it; the others are ignored.

        Raises:
            TypeError: An argument is of another type, or asyncio has no such keyword.
            ValueError: The port is out of range, or ``sock`` or ``start_serving=False`` is
                asked for; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port rests, see ``port_quarantine`` of :func:`open_modem`.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        check_callable("protocol_factory", protocol_factory)
        check_server_options(options)
        check_timeouts(
            with_tls=ssl is not None,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        tls = None
        if ssl is not None:
            if not isinstance(ssl, ssl_module.SSLContext):
                raise TypeError("ssl argument must be an SSLContext or None")
            tls = Tls(ssl, None, True, ssl_handshake_timeout, ssl_shutdown_timeout)
        self._connector.check(self._acceptor.request("127.0.0.1", port))
        async with timing(timeout) as stage:
            family = PROTOCOL_TYPES.get(options.get("family", 0))
            return await self._acceptor.listen(port, protocol_factory, tls, stage, family)

    async def start_server(
        self,
        client_connected_cb: ClientConnected,
        port: int,
        *,
        limit: int = 65536,
        ssl: ssl_module.SSLContext | None = None,
        **options: Any,
    ) -> Server:
        """Listen for TCP connections on the module; each gets a reader and a writer.

        Args:
            client_connected_cb: Called with both; a coroutine function becomes a task
                (``Any``: as in :func:`asyncio.start_server`, what it returns is dropped).
            port: As for :meth:`create_server`.
            limit: As for :meth:`open_connection`.
            ssl: A server's context.
            options: The other keywords of :meth:`create_server`.

        Raises:
            ValueError: As :meth:`create_server`, with all its other errors.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        self._connector.home.check_loop()
        check_callable("client_connected_cb", client_connected_cb)
        check_integer("limit", limit, 1)
        factory = server_streams(client_connected_cb, limit)
        return await self.create_server(factory, port, ssl=ssl, **options)
