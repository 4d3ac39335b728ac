"""Define :class:`Modem`, whose methods applications call.

Layer: modem. The module is long and thin: each public method stands here once, with its whole
signature and its contract, so that a reader, a type checker and ``help()`` find all in one
place. The work is done in :mod:`aiobc9x.aio`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import TracebackType
from typing import Final, Literal, TypeAlias, TypeVar

import anyio

from aiobc9x.adapters.proxy.api import Forwards, HealthCheck, ProxyServer, ProxyTimeouts
from aiobc9x.aio.arguments import (
    check_callable,
    check_flag,
    check_integer,
    check_seconds,
    check_text,
    member,
)
from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.bringup.startup import Started
from aiobc9x.aio.bringup.steps import Leftovers
from aiobc9x.aio.connections.accepting import Acceptor, read_listener, refuse_listener_options
from aiobc9x.aio.connections.connecting import (
    Connector,
    client_tls,
    server_tls,
    split_address,
)
from aiobc9x.aio.connections.hosts import HostOpener
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.connections.reader_writer import ClientConnected, open_streams, server_streams
from aiobc9x.aio.fitness import Fitness
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.link import is_there, open_link_apart
from aiobc9x.aio.line.subscriptions import Subscription
from aiobc9x.aio.options import Options
from aiobc9x.aio.queries.dns_ping_ntp import NetworkQueries, Resolver
from aiobc9x.aio.queries.power import PowerSaver
from aiobc9x.aio.queries.radio import RadioQueries
from aiobc9x.aio.queries.raw_command import RawCommands
from aiobc9x.aio.queries.results import (
    Identity,
    ModuleSettings,
    PingReply,
    PingReport,
    PowerSaving,
    PowerSavingStatus,
    Resolution,
    Signal,
)
from aiobc9x.aio.queries.settings import SettingQueries, check_lengths
from aiobc9x.aio.reconnecting import OPEN_LIMIT_S, Life, ModemState
from aiobc9x.aio.recovery import Health
from aiobc9x.aio.sockets.access_modes import ModeSwitcher
from aiobc9x.aio.sockets.closing import close_all
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.context_end import ends_network
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.opening import Opener
from aiobc9x.aio.stages import Stage, timing
from aiobc9x.aio.usage import Usage
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import LinkLost, LinkTimeout, ModuleReset, StageTimeout
from aiobc9x.spec import CONNECT_IDS, AccessMode, ServiceType, ViewMode
from aiobc9x.wire.commands.base import SwitchMode
from aiobc9x.wire.commands.tcpip import Qidnscfg, Qigeterror, SocketStatus
from aiobc9x.wire.host import Host
from aiobc9x.wire.signalling import RegistrationStatus
from aiobc9x.wire.urcs import CloseOk, Received, SendFail, SendOk, Urc

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)

ListenerHost: TypeAlias = str | bytes | Sequence[str | bytes] | None
"""The host argument of asyncio's ``create_server()`` and ``start_server()``."""

AVAILABLE_PAUSE_S: Final = 0.5
"""Between two looks of :meth:`Modem.available`, if the last one ended at once."""

FORGOTTEN_S: Final = 1.0
"""Seconds from when a program drops its modem without closing it until the port is closed.

If the event loop ends in that time, which may be why the modem was dropped, the port is closed
by that.
"""

_ROUTINE: Final = frozenset({SendOk, SendFail, Received, CloseOk})
"""The URCs that only the session needs. Most URCs are of these classes, so they are sorted out
first."""


class Modem:
    """One module; made by :func:`open_modem`.

    Every method can be cancelled safely: later answers still belong to their commands, and a
    connect ID (one of the module's six sockets) that the method has reserved is freed. Queries
    raise :class:`CommandError` if the module refuses, :class:`LinkTimeout` if it doesn't answer
    in time, and :class:`LinkLost` if the link fails.
    """

    def __init__(self, options: Options, driver: Driver, started: Started) -> None:
        self._driver, self._identification = driver, started.identity
        self._loop = asyncio.get_running_loop()
        self._modes = ModeSwitcher(driver)
        self._keeper = SocketKeeper(driver, options.context_id, options.port_quarantine)
        self._opener = Opener(self._keeper)
        self._opener.open_time = options.settings.open_time
        self._examiner = Examiner(self._keeper)
        leftovers = Leftovers(driver, started.left)
        self._readiness = Readiness(driver, options.context_id, options.pin, leftovers)
        # A network that must be waited for was lost, which has freed all ports on the module.
        self._readiness.on_ready = driver.session.sockets.forget_ports
        # The network may have gone without a URC, so readiness must be told.
        self._examiner.on_network_lost = self._readiness.forget
        self._health = Health(
            driver,
            self._examiner,
            self._opener,
            options.settings,
            leftovers,
            options.state_interval,
        )
        self._health.on_unseen_restart = self._readiness.restarted
        self._resolver = Resolver(driver, self._readiness, options.context_id)
        self._connector = Connector(
            self,
            self._keeper,
            HostOpener(self._opener, self._resolver, options.context_id, driver.log),
            self._examiner,
            self._readiness,
            self._modes,
            options.read_ahead_bytes,
        )
        self._acceptor = Acceptor(self._keeper, self._connector)
        self._life = Life(
            weakref.ref(self),
            options.reconnect,
            driver,
            self._health,
            self._readiness,
            partial(open_link_apart, options.address, options.serial, OPEN_LIMIT_S),
            partial(is_there, options.address),
        )
        self._fitness = Fitness(driver, self._life, self._readiness, self._health)
        self._closing: asyncio.Task[None] | None = None
        self._proxies: list[ProxyServer] = []
        self._network = NetworkQueries(driver, self._readiness, options.context_id)
        self._radio = RadioQueries(driver, self._readiness, self._health, options.context_id)
        self._power = PowerSaver(driver, self._readiness, self._health, options.poll_interval)
        self._settings = SettingQueries(driver, self._opener, self._health)
        self._raw_commands = RawCommands(self._keeper)
        self._address = options.address if isinstance(options.address, str) else "create()"
        self._take_over(driver)

    # -- its life ----------------------------------------------------------------------

    def __repr__(self) -> str:
        state = "open" if self._driver.is_alive else "closed"
        sockets = len(self._driver.session.sockets)
        return f"<Modem {self._driver.link.name} {state} sockets={sockets}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        driver = getattr(self, "_driver", None)
        if driver is None or not driver.is_alive or self._closing is not None:
            return
        driver.is_forgotten = True
        # Garbage may be collected in another thread.
        if not self._loop.is_closed():
            text = f"{driver.link.name} was still open when its modem was dropped; use 'async with'"
            self._loop.call_soon_threadsafe(self._loop.call_later, FORGOTTEN_S, driver.fail, text)
        _warn(f"unclosed modem {self!r}; use 'async with'", ResourceWarning, source=self)

    async def __aenter__(self) -> Modem:
        """Return the modem itself.

        Raises:
            LinkLost: The modem is closed; a closed modem can't be opened again.

        """
        if self._closing is not None or not self._driver.is_alive:
            name = self._driver.link.name
            raise LinkLost(f"the modem on {name} is closed; open it again with open_modem()")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the modem; see :meth:`aclose`."""
        await self.aclose()

    async def wait_ready(self, timeout: float = READY_TIMEOUT_S) -> None:
        """Wait for SIM, registration, attach, context and address.

        Queries that the module refuses for now, answers late or forgets in a restart are
        repeated. Settings that it refused at start-up are tried again. Only a fault that
        waiting can't mend, such as a missing SIM, ends the wait early.

        Returns at once if the module was ready before and no URC has contradicted that.
        Progress is reported to :meth:`subscribe`.

        Args:
            timeout: Seconds.

        Raises:
            TypeError: The timeout is no number.
            TimeoutError: Not ready in time; the message names the stage.
            PinRequired: The SIM wants a PIN, or refused it.
            PukRequired: The SIM wants its PUK; see :meth:`unblock_sim`.
            SimError: There is no SIM, it has failed, or the module is locked to others.
            LinkLost: The link failed.

        Cancellation is safe.
        """
        check_seconds("timeout", timeout)
        await self._readiness.wait(timeout)

    async def aclose(self) -> None:
        """Flush and close every socket on the module, then the port, within 15 s.

        Connections that are still being opened are closed too. Closing twice is harmless.
        Cancellation doesn't stop the closing, which goes on in the background. A cancelled
        scope of anyio waits for it, so that the port is free after ``async with``.

        Raises:
            RuntimeError: The modem belongs to another event loop; nothing is closed.

        """
        self._driver.home.check_loop()
        if self._closing is None:
            self._closing = asyncio.create_task(self._aclose(), name="aiobc9x close")
        with anyio.CancelScope(shield=True):
            await asyncio.shield(self._closing)

    async def _aclose(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        try:
            if self._driver.is_alive:
                await close_all(self._keeper)
        finally:
            await self._driver.stop()

    # -- what is known of it -------------------------------------------------------------

    @property
    def address(self) -> str:
        """What was given to :func:`open_modem`; ``"create()"`` for a callable."""
        return self._address

    @property
    def state(self) -> ModemState:
        """Where the modem stands: up, recovering, away, or closed for good."""
        return self._life.state

    async def available(self, timeout: float | None = None) -> None:
        """Wait until the modem is up and has a network, through restarts and lost links.

        Args:
            timeout: Seconds; ``None`` for as long as it takes.

        Raises:
            TimeoutError: Not available in time; the message names the stage.
            SimError: The SIM can't be used, as for :meth:`wait_ready`.
            LinkLost: The modem is closed, for good.

        Cancellation is safe.
        """
        self._driver.home.check_loop()
        async with timing(timeout) as stage:
            try:
                await self._until_available(stage)
            except asyncio.CancelledError:
                stage.hint = self._readiness.hint()  # if it is the timeout that cancels
                raise

    async def _until_available(self, stage: Stage) -> None:
        while True:
            stage.name = "waiting for the modem to come back"
            if self.state is ModemState.UP:
                stage.name = "waiting for the network"
            try:
                return await self._readiness.wait(READY_TIMEOUT_S)
            except (LinkLost, LinkTimeout, ModuleReset, StageTimeout):
                self._driver.check()
                await asyncio.sleep(AVAILABLE_PAUSE_S)

    @property
    def is_ready(self) -> bool:
        """Whether the modem is up and has a network, as far as is known without asking.

        False until something has waited for the network for the first time, and from a URC
        against it until the network has been waited for again.
        """
        return self.state is ModemState.UP and self._readiness.is_ready

    @property
    def free_sockets(self) -> int:
        """How many of the six connect IDs are free; one that is being closed is not."""
        return len(CONNECT_IDS) - len(self._driver.session.sockets)

    @property
    def statistics(self) -> Statistics:
        """Counters of what has happened on the link; they go on counting."""
        statistics, recorder = self._driver.session.statistics, self._driver.recorder
        if recorder is not None:
            # Counted by a thread, and fetched from there when somebody looks.
            statistics.trace_losses = recorder.lost
        return statistics

    @property
    def usage(self) -> Usage:
        """An estimate of the bytes over the air, by connection, host and day; and budgets."""
        return Usage(self._driver.ledger)

    @property
    def profile(self) -> ModuleProfile:
        """How this module behaves where modules differ from the note."""
        return self._driver.session.profile

    @property
    def line(self) -> LineTiming:
        """The line's rate, the module's latency, and the host's own delay at a prompt.

        Both times are moving averages in seconds, 0 until the first answer.
        """
        return self._driver.session.line

    @property
    def identification(self) -> tuple[str, ...]:
        """The lines that the module answered to ATI at start-up."""
        return self._identification

    def subscribe(self) -> Subscription:
        """Return an async iterator over events: URCs, and what happens to the modem.

        You get events from the call on. If you read too slowly, events are dropped, and you get
        :class:`~aiobc9x.aio.line.subscriptions.Dropped` with their number.
        """
        return self._driver.hub.subscribe(keep=self)

    # -- connections ---------------------------------------------------------------------

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | bytes | Host,
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
                If its first address fails, the others are tried in turn. An adapter that
                has read it before passes what it read.
            port: Remote port, 1–65535.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0: the family of an IP literal; for a name,
                IPv4 if the module has an IPv4 address, else IPv6.
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay`` and ``interleave``.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Host and port; only the port is used.
            local_port: 0 lets the module choose. A fixed port can't be used again for a while
                after its close: see ``port_quarantine`` of :func:`open_modem`.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: If every address fails, raise an ``ExceptionGroup`` of their errors.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call, waiting for the network and TLS included.
                ``None``: 180 for the network, then the note's 36 or 176 with margin, for
                all addresses of a name together.

        Returns:
            The transport and the protocol, as :meth:`asyncio.loop.create_connection` does.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not connected in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe: the connect ID stays reserved until the module confirms its
        close.
        """
        check_callable("protocol_factory", protocol_factory)
        request = self._connector.read(
            ServiceType.TCP, host, port, sock, local_addr, local_port, access_mode, family
        )
        tls = client_tls(
            ssl, server_hostname, request.host.text, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        return await self._connector.connect(
            request, tls, protocol_factory, timeout, all_errors=all_errors
        )

    async def open_connection(
        self,
        host: str | bytes,
        port: int,
        *,
        limit: int = 65536,
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
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a TCP socket through the module (§2.2.1).

        Other connections go on in the meantime.

        Args:
            host: As for :meth:`create_connection`.
            port: Remote port, 1–65535.
            limit: Bytes that the reader buffers before it pauses, and the longest line.
            ssl: A context, or ``True`` for the default one.
            family: ``AF_INET``, ``AF_INET6``, or 0: the family of an IP literal; for a name,
                IPv4 if the module has an IPv4 address, else IPv6.
            proto: Ignored, as are ``flags``, ``happy_eyeballs_delay`` and ``interleave``.
            flags: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_addr: Host and port; only the port is used.
            local_port: 0 lets the module choose. A fixed port can't be used again for a while
                after its close: see ``port_quarantine`` of :func:`open_modem`.
            server_hostname: For TLS; ``host`` by default.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            happy_eyeballs_delay: Ignored.
            interleave: Ignored.
            all_errors: If every address fails, raise an ``ExceptionGroup`` of their errors.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            A reader and a writer, as :func:`asyncio.open_connection` does. ``drain()``
            returns when the module has taken the bytes, not when the peer has them;
            ``wait_closed()`` returns when the module has closed the socket.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
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
        request = self._connector.read(
            ServiceType.TCP, host, port, sock, local_addr, local_port, access_mode, family
        )
        tls = client_tls(
            ssl, server_hostname, request.host.text, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        return await open_streams(
            lambda factory: self._connector.connect(
                request, tls, factory, timeout, all_errors=all_errors
            ),
            limit,
        )

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], D],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str | bytes | Host, int] | None = None,
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
            local_addr: Host and port; only the port is used.
            remote_addr: Host and port; required, because the module's sockets are connected.
            family: As for :meth:`create_connection`.
            proto: Ignored, as are ``flags``, ``reuse_port`` and ``allow_broadcast``.
            flags: Ignored.
            reuse_port: Ignored.
            allow_broadcast: Ignored.
            sock: Must be ``None``: the socket is the module's.
            local_port: 0 lets the module choose. A fixed port can't be used again for a while
                after its close: see ``port_quarantine`` of :func:`open_modem`.
            access_mode: How received data reach the host (§1.2).
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Returns:
            The transport and the protocol. One ``sendto`` is one datagram of 1–1440 bytes.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3); see its subclasses.
            TimeoutError: Not open in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        check_callable("protocol_factory", protocol_factory)
        if remote_addr is None:
            raise ValueError("remote_addr is required: the module's UDP sockets are connected")
        host, port = split_address("remote_addr", remote_addr)
        request = self._connector.read(
            ServiceType.UDP, host, port, sock, local_addr, local_port, access_mode, family
        )
        return await self._connector.connect_datagrams(request, protocol_factory, timeout)

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *address: ListenerHost | int,
        host: ListenerHost = None,
        port: int | None = None,
        ssl: ssl_module.SSLContext | None = None,
        family: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        backlog: int = 100,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        timeout: float | None = None,
    ) -> Server:
        """Listen for TCP connections on the module (§2.2.1, "TCP LISTENER").

        The listener uses one of the six connect IDs, and each connection another one. Incoming
        connections start in Buffer Access Mode (§2.3.5). If no ID is free, the module refuses
        the client; that gives an ``IncomingFull`` event, and is counted.

        Args:
            protocol_factory: Makes a protocol for each connection.
            address: The port alone, or host and port: ``create_server(factory, 7000)`` and, as
                asyncio has it, ``create_server(factory, None, 7000)``.
            host: Where the module listens: ``None``, a wildcard, or one of its own addresses.
            port: The module's port to listen on, 1–65535.
            ssl: A server's context.
            family: The family of the module's address to listen on, if it has one of that family.
            flags: Ignored, as are ``backlog``, ``reuse_address``, ``reuse_port`` and
                ``keep_alive``.
            sock: Must be ``None``: the socket is the module's.
            backlog: Ignored.
            reuse_address: Ignored.
            reuse_port: Ignored.
            keep_alive: Ignored.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            start_serving: Must be ``True``: the module accepts from the start.
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Raises:
            TypeError: An argument has a wrong type, or there is no port.
            ValueError: The port is out of range, ``sock`` or ``start_serving=False`` is asked
                for, or the host can't be the module's, as ``"127.0.0.1"``; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port can't be used again yet, see ``port_quarantine`` of
                :func:`open_modem`. EADDRNOTAVAIL: the module has no such address.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        check_callable("protocol_factory", protocol_factory)
        refuse_listener_options(sock, start_serving)
        own_address, number = read_listener(address, host, port)
        tls = server_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        self._acceptor.check(number)
        return await self._acceptor.listen(
            own_address, number, protocol_factory, tls, family, timeout
        )

    async def start_server(
        self,
        client_connected_cb: ClientConnected,
        *address: ListenerHost | int,
        host: ListenerHost = None,
        port: int | None = None,
        limit: int = 65536,
        ssl: ssl_module.SSLContext | None = None,
        family: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        backlog: int = 100,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        timeout: float | None = None,
    ) -> Server:
        """Listen for TCP connections on the module; each gets a reader and a writer.

        Args:
            client_connected_cb: Called with both; a coroutine function becomes a task
                (``Any``: as in :func:`asyncio.start_server`, what it returns is dropped).
            address: The port alone, or host and port, as for :meth:`create_server`.
            host: Where the module listens, as for :meth:`create_server`.
            port: The module's port to listen on, 1–65535.
            limit: As for :meth:`open_connection`.
            ssl: A server's context.
            family: The family of the module's address to listen on, if it has one of that family.
            flags: Ignored, as are ``backlog``, ``reuse_address``, ``reuse_port`` and
                ``keep_alive``.
            sock: Must be ``None``: the socket is the module's.
            backlog: Ignored.
            reuse_address: Ignored.
            reuse_port: Ignored.
            keep_alive: Ignored.
            ssl_handshake_timeout: Seconds; ``None``: 180.
            ssl_shutdown_timeout: Seconds; ``None``: 60.
            start_serving: Must be ``True``: the module accepts from the start.
            timeout: Seconds for the whole call; see :meth:`create_connection`.

        Raises:
            TypeError: An argument has a wrong type, or there is no port.
            ValueError: The port is out of range, ``sock`` or ``start_serving=False`` is asked
                for, or the host can't be the module's, as ``"127.0.0.1"``; nothing was sent.
            NoFreeSocket: All six connect IDs are in use (errno EMFILE).
            ConnectFailed: The ``<err>`` is not 0 (§3), such as ``AddressBusy``.
            OSError: EADDRINUSE: the port can't be used again yet, see ``port_quarantine`` of
                :func:`open_modem`. EADDRNOTAVAIL: the module has no such address.
            TimeoutError: Not listening in time; the message names the stage.
            LinkLost: The serial link failed.

        Cancellation is safe, as for :meth:`create_connection`.
        """
        self._connector.home.check_loop()
        check_callable("client_connected_cb", client_connected_cb)
        check_integer("limit", limit, 1)
        refuse_listener_options(sock, start_serving)
        own_address, number = read_listener(address, host, port)
        tls = server_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        self._acceptor.check(number)
        factory = server_streams(client_connected_cb, limit)
        return await self._acceptor.listen(own_address, number, factory, tls, family, timeout)

    async def set_access_mode(self, transport: asyncio.BaseTransport, mode: AccessMode) -> None:
        """Switch a connection between buffer and push mode (AT+QISWTMD, §2.2.7).

        The module stores the mode in its flash memory. Before a switch to push mode, the
        module's buffer is read empty, which takes as long as the peer goes on sending. Of two
        calls at once, the later one wins; the earlier one raises, unless both want the same mode.

        Args:
            transport: A transport of this modem, or one of TLS over it.
            mode: The mode from now on.

        Raises:
            ValueError: Not a transport of this modem, or it is closed; no such mode; or push
                mode while the module doesn't show lengths.
            RuntimeError: A later call has asked for the other mode before this one was done.
            CommandError: The module refused; the connection goes on in its present mode.
            StreamBroken: The connection ended meanwhile, or the answer got lost.
            ModemError: The module restarted, or the link failed.

        Cancellation is safe: the switch goes on by itself.
        """
        mode = member("mode", AccessMode, mode)
        slot = self._connector.slot_of(transport)
        check_lengths(self._driver.session, SwitchMode(slot.connect_id, mode))
        await self._modes.switch(slot, mode)

    # -- names, pings, time --------------------------------------------------------------

    async def resolve(self, host: str | bytes | Host) -> Resolution:
        """Resolve a name on the module (AT+QIDNSGIP, §2.2.10).

        Answers are remembered for their time to live. An IP address is returned as it is.

        Args:
            host: The name; here it may be longer than 50 bytes.

        Raises:
            ValueError: The text can't be a host name; nothing was sent.
            NameNotFound: The name has no address (a ``socket.gaierror``).
            ConnectFailed: The module reported another error.
            LinkTimeout: No answer in 145 s.
            ModemError: The link or the network failed.

        """
        return await self._resolver.resolve(Host.read(host))

    async def ping(
        self, host: str | bytes, *, timeout: int = 4, count: int = 4, size_bytes: int = 32
    ) -> PingReport:
        """Ping a host from the module (AT+QPING, §2.2.8).

        Args:
            host: IP address or name.
            timeout: Whole seconds for each request, 1–255.
            count: Requests, 1–10.
            size_bytes: Bytes of each, 32–200.

        Returns:
            A report. Lost requests are counted in it, and are no error.

        Raises:
            ValueError: An argument is out of range; nothing was sent.
            NameNotFound: The name has no address.
            CommandError: The module refused, or the ping failed as a whole.
            LinkTimeout: The module did not report the end in time.
            ModemError: The link or the network failed.

        """
        return await self._network.ping(host, timeout, count, size_bytes)

    def ping_replies(
        self, host: str | bytes, *, timeout: int = 4, count: int = 4, size_bytes: int = 32
    ) -> AsyncGenerator[PingReply, None]:
        """Ping a host from the module; yield each request's outcome as it comes.

        Arguments and errors are those of :meth:`ping`. Leaving the iteration early is
        safe: the module finishes by itself.
        """
        return self._network.ping_replies(host, timeout, count, size_bytes)

    async def ntp_time(
        self, server: str | bytes, *, port: int = 123, set_clock: bool = False
    ) -> datetime:
        """Ask an NTP server for the time through the module (AT+QNTP, §2.2.9).

        Args:
            server: IP address or name.
            port: Port of the server, 1–65535.
            set_clock: Have the module set its own clock too.

        Returns:
            An aware ``datetime``; its digits are local time at the offset that the module states.

        Raises:
            TypeError: ``set_clock`` is no bool; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            NameNotFound: The server's name has no address.
            ConnectTimedOut: The server did not answer.
            UnexpectedAnswer: The time can't be read.
            CommandError: The module refused, or failed in another way.
            LinkTimeout: The module did not report the end in time.
            ModemError: The link or the network failed.

        """
        check_flag("set_clock", set_clock)
        return await self._network.ntp_time(server, port, set_clock)

    # -- SIM, network and power (27.007) -------------------------------------------------

    async def registration(self) -> RegistrationStatus:
        """Ask how the module is registered (CEREG; CGREG or CREG if the module lacks that)."""
        return await self._readiness.registration()

    async def addresses(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Ask for the addresses of every context: ``(contextID, addresses)`` pairs."""
        return await self._readiness.addresses()

    async def signal(self) -> Signal:
        """Ask for strength and quality of reception (CSQ, CESQ)."""
        return await self._radio.signal()

    async def identity(self) -> Identity:
        """Ask for the maker, model, firmware and IMEI of the module, and the numbers of its SIM."""
        return await self._radio.identity()

    async def power_saving(self) -> PowerSavingStatus:
        """Ask for PSM and eDRX: what the network is asked for, and what it grants.

        What it grants is in AT+CEREG? from level 4 on, which is set if nobody has set 2 or more.
        """
        return await self._power.status()

    async def set_power_saving(
        self, psm: PowerSaving | None = None, *, edrx_s: float | None = None
    ) -> PowerSavingStatus:
        """Ask the network for PSM and eDRX, and let the module sleep; or for neither.

        From then on nothing is polled, and the module is woken by a throw-away AT before a
        command after 8 s of silence, as with ``allow_sleep`` of :func:`open_modem`. After a
        restart the same is asked for again. Deep sleep ends TCP connections; UDP goes on
        (§2.2.1, note 3).

        Args:
            psm: The timers of PSM, each rounded up to what can be written (24.008); ``None``:
                no PSM.
            edrx_s: The cycle of eDRX in seconds, rounded up to one of NB-IoT, 20.48-10485.76;
                ``None``: no eDRX. With neither the module stays awake.

        Returns:
            What the network was asked for, and what it grants; its answer is waited for up to
            5 s.

        Raises:
            TypeError: An argument is of another type; nothing was sent.
            ValueError: An argument is out of range; nothing was sent.
            CommandError: The module lacks PSM or eDRX, or refused.
            LinkTimeout: The module didn't answer in time.
            LinkLost: The link failed.

        Cancellation may leave a part of it set: call it again.
        """
        return await self._power.set(psm, edrx_s)

    async def sleep(self) -> None:
        """Let the module sleep at once; the next command wakes it.

        What was written is sent first. Then the module may sleep (AT+QSCLK) without the ten
        seconds that it waits for another command (AT+QRELLOCK); with PSM it sleeps deeply once
        the network's active time is over. From then on it is as after :meth:`set_power_saving`:
        nothing is polled, and the module may sleep whenever it is idle.

        Raises:
            CommandError: The module refused, though it has the command.
            LinkTimeout: The module didn't answer in time.
            LinkLost: The link failed.

        Cancellation is safe.
        """
        await self._power.sleep()

    async def attach(self) -> None:
        """Attach to the packet service (CGATT=1); up to 140 s."""
        await self._radio.attach()

    async def detach(self) -> None:
        """Detach from the packet service (CGATT=0); every connection ends."""
        await self._radio.detach()
        self._health.context_ends.look("AT+CGATT=0")

    async def set_pin(self, pin: str) -> None:
        """Give the SIM its PIN, 4–8 digits. Three wrong PINs lock the SIM.

        The SIM is asked first, and if it does not wait for a PIN, nothing is sent to it.

        Raises:
            TypeError: Not a text, such as ``"1234"``; nothing was sent.
            ValueError: Not a PIN; nothing was sent.
            PinRequired: The SIM refused the PIN.
            PukRequired: The SIM wants its PUK, before or after this PIN.
            SimError: There is no SIM, it has failed, or the module is locked to others.

        """
        await self._radio.set_pin(pin)

    async def unblock_sim(self, puk: str, new_pin: str) -> None:
        """Give a SIM that three wrong PINs have locked its PUK, and a new PIN.

        The SIM is asked first what it waits for: one that is ready gets nothing. The new PIN is
        given again after each restart, as that of :func:`open_modem`.

        Args:
            puk: 8 digits. Ten wrong ones destroy the SIM.
            new_pin: 4-8 digits.

        Raises:
            TypeError: Not a text; nothing was sent.
            ValueError: No PUK, or no PIN; nothing was sent.
            PukRequired: The SIM refused the PUK; ``tries_left`` says how many are left.
            PinRequired: The SIM is not locked and wants its PIN; nothing was sent.
            SimError: There is no SIM, it has failed, or the module is locked to others.

        """
        await self._radio.unblock_sim(puk, new_pin)

    async def set_apn(
        self,
        apn: str,
        *,
        pdp_type: str = "IP",
        user: str | None = None,
        password: str | None = None,
        auth: Literal["pap", "chap"] | None = None,
    ) -> None:
        """Set the access point name of the modem's context, and who logs in there.

        It takes effect when the context is activated next. (CGDCONT and CGAUTH; a module
        that lacks CGAUTH gets user and password by the vendor's QCGDEFCONT with its radio off
        for a moment, which ends its connections.)

        Args:
            apn: The name.
            pdp_type: ``"IP"``, ``"IPV6"`` or ``"IPV4V6"``.
            user: Who logs in, at most 64 bytes; ``None``: nobody, which takes an earlier
                login back.
            password: The password, at most 64 bytes; neither logs nor exceptions show it.
            auth: How user and password get to the network; ``None``: by PAP.

        Raises:
            TypeError: An argument is no text; nothing was sent.
            ValueError: Another type, a password without a user, or characters that an AT
                command can't carry; nothing was sent.

        Cancellation is safe: a radio that is off is switched on again.
        """
        await self._radio.set_apn(apn, pdp_type, user, password, auth)

    async def apn(self) -> str | None:
        """Ask for the access point name of the modem's context; ``None`` if it has none."""
        return await self._radio.apn()

    # -- the module's sockets and settings, raw commands ---------------------------------

    async def socket_states(
        self, *, context_id: int | None = None, connect_id: int | None = None
    ) -> tuple[SocketStatus, ...]:
        """Ask the module for its sockets (AT+QISTATE, §2.2.3).

        Args:
            context_id: Only those of one context, 1–3.
            connect_id: Only this one, 0–5.

        Raises:
            ValueError: Both are given, or one is out of range; nothing was sent.

        """
        return await self._settings.socket_states(context_id, connect_id)

    async def dns_servers(self) -> tuple[str, str | None]:
        """Ask for the DNS servers: primary and secondary (AT+QIDNSCFG, §2.2.13)."""
        return await self._settings.dns_servers()

    async def set_dns_servers(self, primary: str, secondary: str | None = None) -> None:
        """Set the DNS servers (AT+QIDNSCFG, §2.2.13).

        The module keeps them over deep sleep. It forgets them when it restarts, and is told them
        again. It takes them only once it is registered.

        Raises:
            TypeError: ``primary`` is no text; nothing was sent.
            ValueError: Not an IP address; nothing was sent.

        """
        check_text("primary", primary)
        await self._settings.set_dns_servers(Qidnscfg(primary, secondary))

    async def last_error(self) -> tuple[int, str]:
        """Ask for the ``<err>`` of the last TCP/IP command, and its text (§2.2.12)."""
        return await self._driver.run(Qigeterror())

    async def settings(self) -> ModuleSettings:
        """Ask for the settings of AT+QICFG (§2.2.11)."""
        return await self._settings.settings()

    async def configure(
        self,
        *,
        receive_hex: bool | None = None,
        view_mode: ViewMode | None = None,
        show_length: bool | None = None,
        open_time: int | None = None,
    ) -> None:
        """Change settings of AT+QICFG (§2.2.11); ``None`` leaves one as it is.

        Connections go on in the meantime. The module stores all settings but ``open_time`` in
        its flash memory. ``open_time`` is set again after deep sleep. After a restart of the
        module, ``open_time`` and ``receive_hex`` are set again; the others are set to what
        start-up chooses.

        Args:
            receive_hex: Have payloads come as hex digits.
            view_mode: What stands between a header and its data; both are understood.
            show_length: Whether headers carry the optional lengths.
            open_time: Seconds that the module tries to connect, 1–36.

        Raises:
            TypeError: An argument has a wrong type; nothing was sent.
            ValueError: ``open_time`` is out of range; or ``show_length=False`` while a socket
                is in push mode or is a UDP socket, because the end of its data could not be
                found. Nothing was sent.

        """
        await self._settings.configure(receive_hex, view_mode, show_length, open_time)

    async def capabilities(self) -> dict[str, tuple[str, ...] | None]:
        """Ask which commands the module knows, with the test form of each (§2.1.2).

        Returns:
            For each command of the note, the lines with its ranges as the module prints them;
            ``None`` for a command that the module doesn't know.

        """
        return await self._settings.capabilities()

    async def command(
        self, line: str, *, data: bytes | None = None, timeout: float | None = None
    ) -> list[str]:
        """Send any other AT command; return its information lines.

        The last line of a send is its ``SEND OK``. AT+QIRD gives two lines: its header and its
        data. URCs, such as ``+QIOPEN``, and other lines that don't answer this command go to
        :meth:`subscribe`; docs/reference.md says which lines are answers. AT+QICFG, AT+QISWTMD
        and ATE change how later answers are read, and that is taken care of. Other commands
        that would change it are refused: AT&F, ATZ, ATV0, ATQ1, and several in one line.

        Args:
            line: The command with ``AT``, in printable ASCII, without ``<CR>``.
            data: The bytes to write at the prompt, for a command that has one. For AT+QISEND
                without a length, Ctrl-Z is added; AT+QISENDEX takes two hex digits a byte.
            timeout: Seconds until the final result; ``None``: 15, or up to 180 for commands that
                wait for the radio or the network (AT+CFUN, AT+CGATT, AT+CGACT, AT+COPS).

        Raises:
            TypeError: The line is no text, the data no bytes, or the timeout no number.
            ValueError: The line holds a control or non-ASCII character, concerns a socket in
                use, or changes how answers are read, the data don't fit it, or the timeout is
                not above 0; nothing was sent. The message says what to do instead.
            CommandError: The module refused it, or answered ``SEND FAIL``.
            LinkTimeout: No final result in time, or bytes of the answer were lost.
            StreamBroken: Nobody knows whether the module has the data of a send.
            ModuleReset: The module restarted meanwhile.
            LinkLost: The link failed.

        Cancellation is safe: an answer that comes later is dropped.
        """
        command, data = self._raw_commands.read(line, data, timeout)
        answer = await self._driver.run(command, limit=timeout, data=data)
        if ends_network(line):
            self._health.context_ends.look(line)
        return answer

    # -- other programs and libraries ----------------------------------------------------

    def installed(
        self,
        *,
        strict: bool = False,
        bypass: Iterable[str | IPv4Address | IPv6Address | IPv4Network | IPv6Network] = (
            "localhost",
            "127.0.0.0/8",
            "::1",
        ),
    ) -> AbstractContextManager[Modem]:
        """Route asyncio's own calls through the module, for the code inside ``with``.

        That is ``create_connection``, ``create_datagram_endpoint``, ``create_server``,
        ``getaddrinfo``, ``getnameinfo``, ``sock_connect`` and ``start_tls`` of the running
        loop, hence ``asyncio.open_connection()``, ``asyncio.start_server()`` and most
        libraries. Each task has its own way: those started inside keep it after the
        block, others are never touched. docs/existing-software.md says what can't be
        caught.

        Args:
            strict: Raise where a call of the loop can't be routed and would reach the
                ordinary network.
            bypass: What stays on the ordinary network: names, endings of names with a
                leading dot, addresses and networks.

        Returns:
            A context manager that gives the modem. It may be entered several times.

        Raises:
            TypeError: ``bypass`` holds something else, or ``strict`` is no bool.
            ValueError: A network of ``bypass`` can't be read.
            RuntimeError: On entering: no loop runs, or another one than the modem's.

        """
        check_flag("strict", strict)
        from aiobc9x.adapters.redirect.installation import Installation  # noqa: PLC0415  (adapters load on demand)

        return Installation(self, self._loop, self.addresses, strict=strict, bypass=bypass)

    async def serve_proxy(
        self,
        host: str = "127.0.0.1",
        port: int | None = 1080,
        *,
        forwards: Forwards = (),
        allow_remote: bool = False,
        handshake_timeout: float = 30.0,
        connect_timeout: float | None = None,
        linger: float = 30.0,
        health_path: str | None = "/health",
    ) -> ProxyServer:
        """Let other programs connect through the module: SOCKS5, HTTP and forwarded ports.

        Names are resolved by the module if the program leaves them to the proxy
        (``socks5h://``). Every connection takes one of the six sockets. There is no password.

        Args:
            host: Where to listen: a loopback address or ``"localhost"``.
            port: The port of SOCKS5 and HTTP; 0 for any that is free, ``None`` for forwards
                alone.
            forwards: ``{local port: (host, port)}``, or strings such as
                ``"1883:broker.example:1883"`` and ``"127.0.0.1:1883:broker.example:1883"``.
            allow_remote: Listen on addresses that other machines can reach.
            handshake_timeout: Seconds that a client has for its request.
            connect_timeout: Seconds to connect, waiting for the network included; ``None``:
                as for :meth:`create_connection`.
            linger: Seconds without a byte after which a connection ends whose client has
                sent EOF but whose peer has not.
            health_path: The path that answers a load balancer's ``GET`` or ``HEAD`` on ``port``:
                200 if the modem is up, answers, and has a network, else 503. ``None`` for none.

        Returns:
            The proxy; close it, or use it as an async context manager. It ends with the
            modem.

        Raises:
            TypeError: An argument is of another type.
            ValueError: An argument is out of range, or the address is no loopback address.
            OSError: The system refuses a port.
            LinkLost: The modem is closed.

        Cancellation is safe: nothing listens then.
        """
        check_flag("allow_remote", allow_remote)
        from aiobc9x.adapters.proxy import server  # noqa: PLC0415  (adapters load on demand)

        self._driver.check()
        timeouts = ProxyTimeouts(handshake_timeout, linger, connect_timeout)
        health = HealthCheck(health_path, self._fitness.check)
        made = await server.serve_proxy(self, host, port, forwards, allow_remote, timeouts, health)
        self._proxies = [old for old in self._proxies if old.is_serving()] + [made]
        if self._closing is not None:
            made.close()
        return made

    def _take_over(self, driver: Driver) -> None:
        """Look after a module that start-up has brought in step."""
        # The driver lives as long as its loop, and must not keep a modem that nobody holds.
        driver.on_urc = _Heard(self._readiness, self._health, self._acceptor)
        driver.on_out_of_step = self._health.regain_step
        driver.on_restarted = self._health.after_restart
        driver.on_woken = self._health.after_wake
        driver.on_orphaned = self._keeper.close_orphan
        for slot in driver.session.sockets:
            self._keeper.close(slot)  # came to an earlier program's listener in the meantime
        driver.session.resume()
        driver.spawn(self._health.watch)
        if not self._health.settings.allow_sleep:  # to look would keep it awake
            driver.spawn(self._life.watch_network)


class _Heard:
    """Tells of URCs those parts of a modem that go by them."""

    def __init__(self, *parts: Readiness | Health | Acceptor) -> None:
        self._parts = parts

    def __call__(self, urc: Urc) -> None:
        """Tell of a URC."""
        if type(urc) not in _ROUTINE:
            for part in self._parts:
                part.on_urc(urc)
