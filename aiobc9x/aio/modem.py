"""The modem: what applications call.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as ssl_module
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar

import anyio

from aiobc9x.aio.configuring import SettingQueries
from aiobc9x.aio.connecting import Connector, Tls, make_request, split_address, timing
from aiobc9x.aio.driver import Driver, owner_of
from aiobc9x.aio.events import Subscription
from aiobc9x.aio.examine import Examiner
from aiobc9x.aio.guard import check_data, check_line, opens_socket
from aiobc9x.aio.health import Health
from aiobc9x.aio.listener import Server
from aiobc9x.aio.modes import ModeSwitcher
from aiobc9x.aio.names import NameQueries
from aiobc9x.aio.opening import Opener
from aiobc9x.aio.options import Options
from aiobc9x.aio.radio import RadioQueries
from aiobc9x.aio.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.serving import Acceptor, check_server_options
from aiobc9x.aio.sockets import SocketKeeper
from aiobc9x.aio.tls import make_context
from aiobc9x.core.effects import effect_of
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.statistics import Statistics
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.base import Raw
from aiobc9x.wire.urcs import Urc

logger = logging.getLogger("aiobc9x.aio")

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)

FLUSH_LIMIT_S: Final = 12.0
"""Seconds that :meth:`Modem.aclose` gives the sockets; the port closes within 15."""


class Modem(NameQueries, RadioQueries, SettingQueries):
    """One module; made by :func:`open_modem`.

    A method that is cancelled leaves the line in step and no connect ID behind.
    """

    def __init__(self, options: Options, driver: Driver, identification: tuple[str, ...]) -> None:
        self._driver, self._identification = driver, identification
        self._context_id = options.context_id
        self._modes = ModeSwitcher(driver)
        self._keeper = SocketKeeper(driver, options.context_id)
        self._opener = Opener(self._keeper)
        self._opener.open_time = options.settings.open_time
        self._examiner = Examiner(self._keeper)
        self._readiness = Readiness(driver, options.context_id, options.pin)
        self._health = Health(
            driver, self._examiner, self._opener, options.settings, options.state_interval
        )
        self._health.on_unseen_restart = self._readiness.forget
        self._connector = Connector(
            self,
            self._keeper,
            self._opener,
            self._examiner,
            self._readiness,
            self._modes,
            options.read_ahead_bytes,
        )
        self._acceptor = Acceptor(self._keeper, self._connector, self._readiness)
        self._has_foreign_sockets = False
        self._closing: asyncio.Task[None] | None = None
        self._set_up_names()
        self._take_over(driver)

    def __repr__(self) -> str:
        state = "open" if self._driver.is_alive else "closed"
        sockets = len(self._driver.session.sockets)
        return f"<Modem {self._driver.link.name} {state} sockets={sockets}>"

    async def __aenter__(self) -> Modem:
        """Return the modem itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; see :meth:`aclose`."""
        await self.aclose()

    @property
    def statistics(self) -> Statistics:
        """Counters, live."""
        return self._driver.session.statistics

    @property
    def profile(self) -> ModuleProfile:
        """What this module is known to do."""
        return self._driver.session.profile

    @property
    def identification(self) -> tuple[str, ...]:
        """The lines that the module answered to ATI at start-up."""
        return self._identification

    def subscribe(self) -> Subscription:
        """Return an async iterator over URCs and lifecycle events from now on.

        A subscriber that is too slow gets :class:`~aiobc9x.aio.events.Dropped`.
        """
        return self._driver.hub.subscribe()

    async def wait_ready(self, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait for SIM, registration, attach, context and address.

        Returns at once if it was ready before and no URC contradicts it. Progress goes
        to :meth:`subscribe`.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: Not ready in time; the message names the stage.
            PinRequired: The SIM wants a PIN, or refused it.
            LinkLost: The link failed.

        Cancellation is safe.
        """
        await self._readiness.wait(timeout)

    async def command(
        self, line: str, *, data: bytes | None = None, timeout: float | None = None
    ) -> list[str]:
        """Send any other AT command; return its information lines.

        A send ends with ``SEND OK``, which is its last line. What AT+QIRD reads comes as
        two lines. Results that come as URCs, such as ``+QIOPEN``, go to :meth:`subscribe`.
        AT+QICFG, AT+QISWTMD and ATE take effect on how answers are read, at their OK.

        Args:
            line: The command with ``AT``, in printable ASCII, without ``<CR>``.
            data: What goes out at the prompt, for a command that has one. AT+QISEND without a
                length gets its Ctrl-Z; AT+QISENDEX takes two hex digits a byte.
            timeout: Seconds until the final result; ``None``: 15.

        Raises:
            ValueError: The line holds a control or non-ASCII character, or concerns a socket
                in use, the data don't fit it, or the timeout is not above 0; nothing was sent.
            CommandError: The module refused it, or answered ``SEND FAIL``.
            LinkTimeout: No final result in time.
            LinkLost: The link failed.

        Cancellation is safe: an answer on its way is swallowed.
        """
        command = Raw(line, prompt=data is not None)
        check_line(line, self._driver.session.sockets)
        self._check_lengths(effect_of(line))
        data = check_data(line, data)
        self._has_foreign_sockets |= opens_socket(line)
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout is {timeout}: use more than 0 s, or None for 15")
        return await self._driver.run(command, limit=timeout, data=data)

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
            host: IP literal, or a domain name of at most 50 bytes, resolved by the module.
            port: Remote port, 1–65535.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0 to go by the literal (a name: IPv4).
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay``, ``interleave`` and
                ``all_errors``: the module connects once.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Only its port counts.
            local_port: 0 lets the module choose; a fixed one can't be reused for 120 s.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: Ignored.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call, waiting for the network and TLS included.
                ``None``: 180 for the network, then the note's 36 or 176 with margin.

        Returns:
            The transport and the protocol, as :meth:`asyncio.loop.create_connection` does.

        Raises:
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
        tls = None
        if context is not None:
            name = server_hostname if server_hostname is not None else request.host
            tls = Tls(context, name, False, ssl_handshake_timeout, ssl_shutdown_timeout)
        async with timing(timeout) as stage:
            slot, extra = await self._connector.open(request, stage)
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
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe: the connect ID stays reserved until the module confirms its
        close.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await self.create_connection(
            lambda: protocol, host, port, timeout=timeout, **options
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

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
            local_port: 0 lets the module choose; a fixed one can't be reused for 120 s.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            The transport and the protocol. One ``sendto`` is one datagram of 1–1440 bytes.

        Raises:
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not open in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        if sock is not None:
            raise ValueError("sock can't be used: the endpoint's socket is the module's")
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
            options: Other keywords of :meth:`asyncio.loop.create_server`; ignored (``Any``:
                they have its types).

        Raises:
            TypeError: ``ssl`` is no context, or asyncio has no such keyword.
            ValueError: The port is out of range, or ``sock`` or ``start_serving=False`` is
                asked for; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port was in use less than 120 s ago.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        check_server_options(options)
        tls = None
        if ssl is not None:
            if not isinstance(ssl, ssl_module.SSLContext):
                raise TypeError("ssl argument must be an SSLContext or None")
            tls = Tls(ssl, None, True, ssl_handshake_timeout, ssl_shutdown_timeout)
        self._connector.check(self._acceptor.request("127.0.0.1", port))
        async with timing(timeout) as stage:
            return await self._acceptor.listen(port, protocol_factory, tls, stage)

    async def start_server(
        self,
        client_connected_cb: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
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
        loop = asyncio.get_running_loop()

        def factory() -> asyncio.StreamReaderProtocol:
            reader = asyncio.StreamReader(limit=limit, loop=loop)
            return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=loop)

        return await self.create_server(factory, port, ssl=ssl, **options)

    async def aclose(self) -> None:
        """Flush and close every socket on the module, then the port, within 15 s.

        Connections that are still being opened are closed too. Closing twice is harmless.
        Cancellation doesn't stop it: it goes on in the background.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._aclose(), name="aiobc9x close")
        await asyncio.shield(self._closing)

    async def _aclose(self) -> None:
        try:
            if self._driver.is_alive:
                with anyio.move_on_after(FLUSH_LIMIT_S):
                    await self._close_sockets()
        finally:
            await self._driver.stop()

    async def _close_sockets(self) -> None:
        self._keeper.is_closing = True
        for slot in self._driver.session.sockets:
            owner = owner_of(slot)
            if owner is None:
                self._keeper.close(slot)
            else:
                owner.close()
        async with self._keeper.freed:
            while len(self._driver.session.sockets) and self._driver.is_alive:
                await self._keeper.freed.wait()
        if self._has_foreign_sockets:
            await self._keeper.close_foreign()

    def _take_over(self, driver: Driver) -> None:
        """Look after a module that start-up has brought in step."""
        driver.on_urc = self._on_urc
        driver.on_out_of_step = self._health.regain_step
        driver.on_restarted = self._health.after_restart
        for slot in driver.session.sockets:
            self._keeper.close(slot)  # came to an earlier program's listener in the meantime
        driver.session.resume()
        driver.spawn(self._health.watch)

    def _on_urc(self, urc: Urc) -> None:
        self._readiness.on_urc(urc)
        self._health.on_urc(urc)
        self._acceptor.on_urc(urc)
