"""The modem: what applications call.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as ssl_module
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeVar

import anyio

from aiobc9x.aio.driver import Driver, owner_of
from aiobc9x.aio.events import Subscription
from aiobc9x.aio.examine import Examiner
from aiobc9x.aio.guard import check_line
from aiobc9x.aio.health import Health
from aiobc9x.aio.link import SerialSettings
from aiobc9x.aio.opening import Opener, OpenRequest
from aiobc9x.aio.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.sockets import SocketKeeper
from aiobc9x.aio.startup import Settings, start
from aiobc9x.aio.tls import make_context, wrap_protocol
from aiobc9x.aio.transport import SocketTransport
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sockets import Slot
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import ModemError, StageTimeout
from aiobc9x.spec import (
    CONTEXT_IDS,
    DISCOURAGED_LOCAL_PORTS,
    OPEN_TIMES_S,
    AccessMode,
    ProtocolType,
    ServiceType,
)
from aiobc9x.wire.base import Raw
from aiobc9x.wire.params import ip_or_none

logger = logging.getLogger("aiobc9x.aio")

P = TypeVar("P", bound=asyncio.BaseProtocol)

READ_AHEAD_BYTES: Final = 256 * 1024
"""Bytes a socket that may wait here for a protocol that has paused reading."""

FLUSH_LIMIT_S: Final = 12.0
"""Seconds that :meth:`Modem.aclose` gives the sockets; the port closes within 15."""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that :func:`open_modem` takes, checked.

    Attributes:
        address: What to open.
        serial: How to open a serial device.
        settings: What start-up brings about.
        context_id: ``<contextID>`` of every socket, 1–3.
        pin: For a SIM that wants one.
        read_ahead_bytes: Bytes a socket may hold here while its protocol has paused.
        poll_interval: Seconds between reads of a silent socket; 0 for never.
        state_interval: Seconds between AT+QISTATE while somebody reads; 0 for never.

    """

    address: str
    serial: SerialSettings
    settings: Settings
    context_id: int = 1
    pin: str | None = None
    read_ahead_bytes: int = READ_AHEAD_BYTES
    poll_interval: float = 10.0
    state_interval: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what can't work, before anything is opened."""
        if self.context_id not in CONTEXT_IDS:
            raise ValueError(f"context_id is {self.context_id}: use 1-3 (§2.2.1)")
        if self.settings.open_time not in OPEN_TIMES_S:
            raise ValueError(f"open_time is {self.settings.open_time}: use 1-36 seconds (§2.2.11)")
        if self.settings.sync_timeout <= 0:
            raise ValueError(f"sync_timeout is {self.settings.sync_timeout}: use more than 0 s")
        if self.read_ahead_bytes < 1:
            raise ValueError(f"read_ahead_bytes is {self.read_ahead_bytes}: use at least 1")
        if self.serial.baudrate < 1:
            raise ValueError(f"baudrate is {self.serial.baudrate}: use bits per second, or None")
        if min(self.poll_interval, self.state_interval) < 0:
            raise ValueError("poll_interval and state_interval can't be negative; 0 means never")


class Modem:
    """One module; made by :func:`open_modem`.

    A method that is cancelled leaves the line in step and no connect ID behind.
    """

    def __init__(self, options: Options, driver: Driver) -> None:
        self._options, self._driver = options, driver
        self._keeper = SocketKeeper(driver, options.context_id)
        self._opener = Opener(self._keeper)
        self._opener.open_time = options.settings.open_time
        self._examiner = Examiner(self._keeper)
        self._readiness = Readiness(driver, options.context_id, options.pin)
        self._health = Health(driver, self._examiner, options.settings, options.state_interval)
        self._identity: tuple[str, ...] = ()
        self._closing: asyncio.Task[None] | None = None
        driver.on_urc = self._readiness.on_urc

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
        return self._identity

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

        AT+QICFG, AT+QISWTMD and ATE take effect on how answers are read, at their OK.

        Args:
            line: The command with ``AT``, in printable ASCII, without ``<CR>``.
            data: What goes out at the prompt, for a command that has one.
            timeout: Seconds until the final result; ``None``: 15.

        Raises:
            ValueError: The line holds a control or non-ASCII character, or concerns a socket
                in use; nothing was sent.
            CommandError: The module refused it.
            LinkTimeout: No final result in time.
            LinkLost: The link failed.

        Cancellation is safe: an answer on its way is swallowed.
        """
        command = Raw(line, prompt=data is not None)
        check_line(line, self._driver.session.sockets)
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
        port_here = local_port or (local_addr[1] if local_addr else 0)
        request = _request(ServiceType.TCP, host, port, port_here, access_mode, family)
        request.command(self._options.context_id, 0)
        context = make_context(ssl, server_hostname)
        stage = _Stage()
        try:
            async with asyncio.timeout(timeout):
                slot, extra = await self._open_slot(request, stage)
                stage.name = "in the TLS handshake"
                return await self._attach(
                    slot,
                    extra,
                    protocol_factory,
                    context,
                    server_hostname=server_hostname or request.host,
                    handshake_timeout=ssl_handshake_timeout,
                    shutdown_timeout=ssl_shutdown_timeout,
                )
        except TimeoutError as exc:
            if exc.args or timeout is None:
                raise
            raise StageTimeout(stage.name, timeout) from exc

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
        for slot in self._driver.session.sockets:
            owner = owner_of(slot)
            if owner is None:
                self._keeper.close(slot)
            else:
                owner.close()
        async with self._keeper.freed:
            while len(self._driver.session.sockets) and self._driver.is_alive:
                await self._keeper.freed.wait()

    async def start(self) -> None:
        """Start the tasks and bring the module in step; for :func:`open_modem`."""
        await self._driver.start()
        self._identity = await start(self._driver, self._options.settings)
        self._driver.on_out_of_step = self._health.regain_step
        self._driver.on_restarted = self._health.after_restart
        self._driver.session.resume()
        self._driver.spawn(self._health.watch)

    async def _open_slot(self, request: OpenRequest, stage: _Stage) -> tuple[Slot, dict[str, Any]]:
        """Open a socket and find out its addresses (``Any``: extra info has all types)."""
        stage.name = "waiting for the network"
        await self._readiness.wait(READY_TIMEOUT_S)
        stage.name = f"connecting to {request.host}:{request.remote_port}"
        slot = await self._opener.open(request)
        try:
            peer = request.host
            if request.is_named and (row := await self._keeper.status(slot)) is not None:
                peer = row.ip_address or peer
        except ModemError:
            logger.debug("! can't ask for the peer's address")
        except BaseException:
            self._keeper.close(slot)
            raise
        extra = {
            "peername": (peer, request.remote_port),
            "sockname": (self._readiness.ip_address, request.local_port),
            "connect_id": slot.connect_id,
            "modem": self,
        }
        return slot, extra

    async def _attach(
        self,
        slot: Slot,
        extra: dict[str, Any],
        protocol_factory: Callable[[], P],
        context: ssl_module.SSLContext | None,
        *,
        server_hostname: str,
        handshake_timeout: float | None,
        shutdown_timeout: float | None,
    ) -> tuple[asyncio.Transport, P]:
        try:
            protocol = protocol_factory()
        except BaseException:
            self._keeper.close(slot)
            raise
        if context is None:
            return self._transport(slot, extra, protocol), protocol
        secured, handshake = wrap_protocol(
            protocol,
            context,
            server_hostname=server_hostname,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
        )
        transport = self._transport(slot, extra, secured)
        try:
            await handshake
        except BaseException:
            transport.abort()
            raise
        return secured._app_transport, protocol

    def _transport(
        self, slot: Slot, extra: dict[str, Any], protocol: asyncio.BaseProtocol
    ) -> SocketTransport:
        ahead = self._options.read_ahead_bytes
        transport = SocketTransport(self._keeper, self._examiner, slot, protocol, extra, ahead)
        transport.start()
        return transport


@dataclass(slots=True)
class _Stage:
    """What a call that consists of stages is doing, for the message of its timeout."""

    name: str = ""


def _request(
    service_type: ServiceType,
    host: str | bytes,
    port: int,
    local_port: int,
    access_mode: AccessMode,
    family: int,
) -> OpenRequest:
    name = host.decode("ascii") if isinstance(host, bytes) else host
    literal = ip_or_none(name.encode("ascii", "replace")) if name else None
    ipv6 = family == socket.AF_INET6 or (family == 0 and literal is not None and ":" in literal)
    if family not in {0, socket.AF_INET, socket.AF_INET6}:
        raise ValueError(f"family is {family}: use AF_INET, AF_INET6 or 0")
    if literal is not None and (":" in literal) is not ipv6:
        raise ValueError(
            f"host {name!r} is no address of the family {socket.AddressFamily(family)!r}"
        )
    if local_port in DISCOURAGED_LOCAL_PORTS:
        logger.warning("local port %d: the note advises against 1000-1500 (§2.2.1)", local_port)
    protocol_type = ProtocolType.IPV6 if ipv6 else ProtocolType.IPV4
    return OpenRequest(service_type, name, port, local_port, AccessMode(access_mode), protocol_type)
