"""From an opened socket to a transport with its protocol, TLS included.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as ssl_module
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiobc9x.aio.datagram import DatagramTransport
from aiobc9x.aio.opening import Opener, OpenRequest
from aiobc9x.aio.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.tls import wrap_protocol
from aiobc9x.aio.transport import SocketTransport
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import (
    LinkLost,
    ModemError,
    ModuleReset,
    NetworkDown,
    NetworkUnreachable,
    StageTimeout,
)
from aiobc9x.spec import DISCOURAGED_LOCAL_PORTS, PORTS, AccessMode, ProtocolType, ServiceType
from aiobc9x.wire.params import integer, ip_or_none

if TYPE_CHECKING:
    from aiobc9x.aio.examine import Examiner
    from aiobc9x.aio.modes import ModeSwitcher
    from aiobc9x.aio.sockets import SocketKeeper

logger = logging.getLogger("aiobc9x.aio")

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)


@dataclass(slots=True)
class Stage:
    """What a call that consists of stages is doing, for the message of its timeout."""

    name: str = ""


@asynccontextmanager
async def timing(timeout: float | None) -> AsyncIterator[Stage]:
    """Limit a call that consists of stages; its timeout names the stage."""
    stage = Stage()
    try:
        async with asyncio.timeout(timeout):
            yield stage
    except TimeoutError as exc:
        if exc.args or timeout is None:
            raise
        raise StageTimeout(stage.name, timeout) from exc


@dataclass(frozen=True, slots=True)
class Tls:
    """How to secure a connection.

    Attributes:
        context: The context.
        server_hostname: Whose certificate to expect; ``None`` on the server's side.
        server_side: Whether this is the server's side.
        handshake_timeout: Seconds, ``None`` for 180.
        shutdown_timeout: Seconds, ``None`` for 60.

    """

    context: ssl_module.SSLContext
    server_hostname: str | None = None
    server_side: bool = False
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None


class Connector:
    """Makes the transports of one modem.

    Attributes:
        home: The event loop that they belong to.

    """

    def __init__(
        self,
        modem: object,
        keeper: SocketKeeper,
        opener: Opener,
        examiner: Examiner,
        readiness: Readiness,
        modes: ModeSwitcher,
        read_ahead_bytes: int,
    ) -> None:
        # Weak, as the driver keeps this; transports and servers keep the modem.
        self._modem, self._keeper, self._opener = weakref.ref(modem), keeper, opener
        self._examiner, self._readiness, self._modes = examiner, readiness, modes
        self._read_ahead_bytes = read_ahead_bytes
        self.home = keeper.driver.home

    def check(self, request: OpenRequest) -> None:
        """Raise ``ValueError`` for an argument that no module takes; sends nothing."""
        self.home.check_loop()
        request.command(self._keeper.context_id, 0)
        counted = request.access_mode is AccessMode.PUSH or request.service_type is ServiceType.UDP
        if counted and not self._keeper.session.length_shown:
            raise ValueError(
                "push mode and UDP need show_length, without which data have no end (§2.3.2);"
                " call configure(show_length=True) first"
            )
        if request.local_port in DISCOURAGED_LOCAL_PORTS:
            logger.warning(
                "local port %d: the note advises against 1000-1500 (§2.2.1, note 4)",
                request.local_port,
            )

    async def open(self, request: OpenRequest, stage: Stage) -> tuple[Slot, dict[str, Any]]:
        """Wait for the network and open a socket.

        Returns:
            The socket and its transport's extra info (``Any``: it has all types).

        Raises:
            ModemError: As :meth:`Opener.open`, or the network did not come.

        Cancellation is safe.
        """
        stage.name = "waiting for the network"
        await self._readiness.wait(READY_TIMEOUT_S)
        stage.name = f"connecting to {request.host}:{request.remote_port}"
        try:
            slot = await self._opener.open(request)
        except (NetworkUnreachable, NetworkDown):
            self._readiness.forget()  # it went without a word
            raise
        try:
            peer = await self._peer_address(request, slot)
            self._check_live(slot)
        except BaseException:
            self._keeper.close(slot)
            raise
        return slot, self.extra(slot, (peer, request.remote_port))

    def _check_live(self, slot: Slot) -> None:
        """Raise if a socket ended before it had an owner to tell."""
        if slot.state in {SlotState.OPEN, SlotState.REMOTE_CLOSED}:
            return  # one that has failed is told so when it is adopted
        self._keeper.driver.check()
        if slot.state is SlotState.CLOSING:
            raise LinkLost("the modem was closed while the connection was being opened")
        raise ModuleReset("the module restarted while the connection was being opened")

    async def _peer_address(self, request: OpenRequest, slot: Slot) -> str:
        if not request.is_named:
            return request.host
        try:
            row = await self._keeper.status(slot)
        except ModemError:
            logger.debug("! can't ask for the peer's address")
            return request.host
        return row.ip_address if row is not None and row.ip_address else request.host

    def extra(self, slot: Slot, peername: tuple[str, int]) -> dict[str, Any]:
        """Return a transport's extra info (``Any``: it has all types)."""
        return {
            "peername": peername,
            "sockname": (self._readiness.ip_address, slot.local_port),
            "connect_id": slot.connect_id,
            "modem": self._modem(),
        }

    async def why_closed(self) -> Exception | None:
        """Say why a socket ends: ``None`` for its far side, an error for a lost network."""
        return await self._examiner.why_closed()

    async def attach(
        self,
        slot: Slot,
        extra: dict[str, Any],
        protocol_factory: Callable[[], P],
        tls: Tls | None,
    ) -> tuple[asyncio.Transport, P]:
        """Make a stream's transport and protocol; with TLS, shake hands.

        A failure closes the socket. Cancellation aborts it.
        """
        try:
            protocol = protocol_factory()
            if tls is None:
                return self._stream(slot, extra, protocol), protocol
            secured, handshake = wrap_protocol(
                protocol,
                tls.context,
                server_hostname=tls.server_hostname,
                server_side=tls.server_side,
                handshake_timeout=tls.handshake_timeout,
                shutdown_timeout=tls.shutdown_timeout,
            )
        except BaseException:
            self._keeper.close(slot)
            raise
        result: asyncio.Transport = secured._app_transport  # it forgets it with the connection
        transport = self._stream(slot, extra, secured)
        try:
            await handshake
        except BaseException:
            transport.abort()
            raise
        return result, protocol

    def attach_datagrams(
        self, slot: Slot, extra: dict[str, Any], protocol_factory: Callable[[], D]
    ) -> tuple[DatagramTransport, D]:
        """Make a datagram transport and its protocol; a failure closes the socket."""
        try:
            protocol = protocol_factory()
        except BaseException:
            self._keeper.close(slot)
            raise
        transport = DatagramTransport(self._keeper, self._examiner, slot, protocol, extra)
        transport.start()
        return transport, protocol

    def _stream(
        self, slot: Slot, extra: dict[str, Any], protocol: asyncio.BaseProtocol
    ) -> SocketTransport:
        transport = SocketTransport(
            self._keeper, self._examiner, self._modes, slot, protocol, extra, self._read_ahead_bytes
        )
        transport.start()
        return transport


def split_address(argument: str, address: tuple[str | bytes, int]) -> tuple[str | bytes, int]:
    """Return the host and the port of an address.

    Raises:
        ValueError: It has not just these two.

    """
    try:
        host, port = address
    except (TypeError, ValueError):
        raise ValueError(f"{argument} must be (host, port), not {address!r}") from None
    return host, port


def make_request(
    service_type: ServiceType,
    host: str | bytes,
    port: int,
    *,
    local_port: int = 0,
    local_addr: tuple[str, int] | None = None,
    access_mode: AccessMode = AccessMode.BUFFER,
    family: int = 0,
) -> OpenRequest:
    """Read the arguments that asyncio's calls share; only the port of ``local_addr`` counts.

    Raises:
        TypeError: The host is no text.
        ValueError: The port is out of range, the family unknown, or the host an address of
            another one.

    """
    if local_addr is not None and not local_port:
        local_port = split_address("local_addr", local_addr)[1]
    if not isinstance(host, str | bytes):
        raise TypeError(f"host must be str or bytes, not {type(host).__name__}")
    integer("port", port, PORTS)
    name = host.decode("ascii", "backslashreplace") if isinstance(host, bytes) else host
    literal = ip_or_none(name.encode("ascii", "replace"))
    if family not in {0, socket.AF_INET, socket.AF_INET6}:
        raise ValueError(f"family is {family}: use AF_INET, AF_INET6 or 0")
    ipv6 = family == socket.AF_INET6 or (not family and literal is not None and ":" in literal)
    if literal is not None and (":" in literal) is not ipv6:
        raise ValueError(f"host {name!r} is not an address of the family asked for")
    protocol_type = ProtocolType.IPV6 if ipv6 else ProtocolType.IPV4
    return OpenRequest(service_type, name, port, local_port, AccessMode(access_mode), protocol_type)
