"""Open a socket and make its transport and protocol, with TLS if asked for.

Layer: aio.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl as ssl_module
import weakref
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from aiobc9x.aio.arguments import check_text, member
from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.connections.hosts import HostOpener, pick_address
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.aio.sockets.access_modes import ModeSwitcher
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.opening import OpenRequest
from aiobc9x.aio.stages import Stage, timing
from aiobc9x.aio.transports.datagram import DatagramTransport, OpensAgain
from aiobc9x.aio.transports.stream import SocketTransport
from aiobc9x.aio.transports.tls import check_timeouts, make_context, wrap_protocol
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import (
    LinkLost,
    ModemError,
    ModuleReset,
    NetworkDown,
    NetworkUnreachable,
)
from aiobc9x.slotted import slotted
from aiobc9x.spec import DISCOURAGED_LOCAL_PORTS, PORTS, AccessMode, ProtocolType, ServiceType
from aiobc9x.wire.host import Host
from aiobc9x.wire.params import integer

PROTOCOL_TYPES: Final = {
    int(socket.AF_INET): ProtocolType.IPV4,
    int(socket.AF_INET6): ProtocolType.IPV6,
}
"""``<protocol_type>`` of AT+QIOPEN (§2.2.1) for each ``family=``."""

P = TypeVar("P", bound=asyncio.BaseProtocol)
D = TypeVar("D", bound=asyncio.DatagramProtocol)
H = TypeVar("H")


@slotted(frozen=True)
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


def client_tls(
    context: ssl_module.SSLContext | bool | None,
    server_hostname: str | None,
    host: str,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> Tls | None:
    """Read the TLS arguments of a connection to be opened; return ``None`` without TLS.

    Raises:
        TypeError: The context or the name has a wrong type.
        ValueError: An argument has no meaning without TLS, or a timeout is not above 0.

    """
    if server_hostname is not None:
        check_text("server_hostname", server_hostname)
    made = make_context(context, server_hostname)
    check_timeouts(
        with_tls=made is not None,
        ssl_handshake_timeout=handshake_timeout,
        ssl_shutdown_timeout=shutdown_timeout,
    )
    if made is None:
        return None
    name = server_hostname if server_hostname is not None else host
    return Tls(made, name, False, handshake_timeout, shutdown_timeout)


def server_tls(
    context: ssl_module.SSLContext | None,
    handshake_timeout: float | None,
    shutdown_timeout: float | None,
) -> Tls | None:
    """Read the TLS arguments of a server; return ``None`` without TLS.

    Raises:
        TypeError: ``ssl`` is not a context.
        ValueError: A timeout has no meaning without TLS, or is not above 0.

    """
    check_timeouts(
        with_tls=context is not None,
        ssl_handshake_timeout=handshake_timeout,
        ssl_shutdown_timeout=shutdown_timeout,
    )
    if context is None:
        return None
    if not isinstance(context, ssl_module.SSLContext):
        raise TypeError("ssl argument must be an SSLContext or None")
    return Tls(context, None, True, handshake_timeout, shutdown_timeout)


class Connector:
    """Make the transports of one modem.

    Attributes:
        home: The event loop of the modem.

    """

    def __init__(
        self,
        modem: object,
        keeper: SocketKeeper,
        opener: HostOpener,
        examiner: Examiner,
        readiness: Readiness,
        modes: ModeSwitcher,
        read_ahead_bytes: int,
    ) -> None:
        # A weak reference, because the driver holds this object, and the modem must be collectable
        # when the program drops it. Transports and servers hold the modem.
        self._modem, self._keeper, self._opener = weakref.ref(modem), keeper, opener
        self._examiner, self._readiness, self._modes = examiner, readiness, modes
        self._read_ahead_bytes = read_ahead_bytes
        self.home: HomeLoop = keeper.driver.home

    def check(self, request: OpenRequest) -> None:
        """Raise ``ValueError`` for an argument that the module can't take; send nothing."""
        self.home.check_loop()
        request.check(self._keeper.context_id)
        counted = request.access_mode is AccessMode.PUSH or request.service_type is ServiceType.UDP
        if counted and not self._keeper.session.length_shown:
            raise ValueError(
                "push mode and UDP need show_length, without which data have no end (§2.3.2);"
                " call configure(show_length=True) first"
            )
        if request.local_port in DISCOURAGED_LOCAL_PORTS:
            text = "! local port %(port)d: the note advises against 1000-1500 (§2.2.1, note 4)"
            self._keeper.driver.log.warning(text, port=request.local_port)

    def read(
        self,
        service_type: ServiceType,
        host: str | bytes | Host,
        port: int,
        sock: object,
        local_addr: tuple[str, int] | None,
        local_port: int,
        access_mode: AccessMode,
        family: int,
    ) -> OpenRequest:
        """Read and check the arguments that asyncio's calls share; send nothing.

        Raises:
            TypeError: The host is no text.
            ValueError: An argument is out of range, or the module can't take it.

        """
        if sock is not None:
            raise ValueError("sock can't be used: the socket is the module's")
        request = make_request(
            service_type,
            host,
            port,
            local_port=local_port,
            local_addr=local_addr,
            access_mode=access_mode,
            family=family,
        )
        self.check(request)
        return request

    async def await_network(self, stage: Stage) -> None:
        """Wait for the network.

        Raises:
            ModemError: As :meth:`Readiness.wait`.

        Cancellation is safe.
        """
        stage.name = "waiting for the network"
        try:
            await self._readiness.wait(READY_TIMEOUT_S)
        except asyncio.CancelledError:
            stage.hint = self._readiness.explain()  # if it is the stage's timeout that cancels
            raise

    async def open(
        self, request: OpenRequest, stage: Stage, *, all_errors: bool = False
    ) -> tuple[Slot, dict[str, Any]]:
        """Wait for the network, and open a socket to the first address that accepts.

        Returns:
            The socket, and the extra info for its transport (``Any``: of many types).

        Raises:
            ModemError: As :meth:`HostOpener.open`, or the network did not come.
            ExceptionGroup: The same, with ``all_errors``.

        Cancellation is safe.
        """
        await self.await_network(stage)
        stage.name = f"connecting to {request.host}:{request.remote_port}"
        own = self._readiness.ip_addresses
        try:
            slot, used = await self._opener.open(request, own, stage, all_errors=all_errors)
        except (OSError, ExceptionGroup) as exc:
            errors = exc.exceptions if isinstance(exc, ExceptionGroup) else (exc,)
            if any(isinstance(each, NetworkUnreachable | NetworkDown) for each in errors):
                # The network has gone without a URC, so the next call must wait for it.
                self._readiness.forget()
            raise
        try:
            peer = await self._peer_address(used, slot)
            self._check_live(slot)
        except BaseException:
            self._keeper.close(slot)
            raise
        return slot, self.extra(slot, (peer, request.remote_port), used.protocol_type)

    def _check_live(self, slot: Slot) -> None:
        """Raise if a socket has ended before it got a transport."""
        # A failed connection is reported to its transport later.
        if slot.state in {SlotState.OPEN, SlotState.REMOTE_CLOSED}:
            return
        self._keeper.driver.check()
        if slot.state is SlotState.CLOSING:
            raise LinkLost("the modem was closed while the connection was being opened")
        raise ModuleReset("the module restarted while the connection was being opened")

    async def _peer_address(self, request: OpenRequest, slot: Slot) -> str:
        if not request.is_named:
            return request.host.text
        try:
            row = await self._keeper.status(slot)
        except ModemError as exc:
            text = "! can't ask for the peer's address: %(reason)s"
            self._keeper.driver.log.debug(text, connect_id=slot.connect_id, error=exc)
            return request.host.text
        return row.ip_address if row is not None and row.ip_address else request.host.text

    def own_address(self, family: ProtocolType | None) -> str:
        """Return the module's address of a family, else of the other one, else ``""``."""
        return pick_address(self._readiness.ip_addresses, family)

    def own_address_of(self, host: Host) -> str:
        """Return the module's own address that equals a host, as the module spells it.

        Raises:
            OSError: EADDRNOTAVAIL: the module has no such address.

        """
        own = self._readiness.ip_addresses
        for address in own:
            if ip_address(address) == host.address:
                return address
        known = " and ".join(own) or "none"
        text = f"the module has no address {host.address} to listen on; it has {known}"
        raise OSError(errno.EADDRNOTAVAIL, text)

    def extra(
        self, slot: Slot, peername: tuple[str, int], family: ProtocolType | None
    ) -> dict[str, Any]:
        """Return the extra info for a transport (``Any``: of many types)."""
        return {
            "peername": peername,
            "sockname": (self.own_address(family), slot.local_port),
            "connect_id": slot.connect_id,
            "modem": self._modem(),
        }

    async def connect(
        self,
        request: OpenRequest,
        tls: Tls | None,
        protocol_factory: Callable[[], P],
        timeout: float | None,
        *,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, P]:
        """Open a stream; see :meth:`Modem.create_connection`.

        Raises:
            BudgetExceeded: A budget that refuses is spent; nothing was sent.
            ModemError: As :meth:`open` and :meth:`attach`.

        Cancellation is safe.
        """
        self._keeper.driver.ledger.check()
        async with timing(timeout) as stage:
            slot, extra = await self.open(request, stage, all_errors=all_errors)
            stage.name = "in the TLS handshake"
            return await self.attach(slot, extra, protocol_factory, tls)

    async def connect_datagrams(
        self, request: OpenRequest, protocol_factory: Callable[[], D], timeout: float | None
    ) -> tuple[DatagramTransport, D]:
        """Open a datagram endpoint; see :meth:`Modem.create_datagram_endpoint`.

        Raises:
            BudgetExceeded: A budget that refuses is spent; nothing was sent.
            ModemError: As :meth:`open`.

        Cancellation is safe.
        """
        self._keeper.driver.ledger.check()  # a socket that is opened again may be, as before

        async def opens(preferred: int, mode: AccessMode) -> tuple[Slot, dict[str, Any]]:
            again = replace(request, preferred=preferred, access_mode=mode)
            return await self.open(again, Stage())

        async with timing(timeout) as stage:
            slot, extra = await self.open(request, stage)
            extra["remote_addr"] = (request.host.text, request.remote_port)
            return self.attach_datagrams(slot, extra, protocol_factory, opens)

    def slot_of(self, transport: asyncio.BaseTransport) -> Slot:
        """Return the socket of a transport of this modem, or of a TLS transport over one.

        Raises:
            ValueError: It is no transport of this modem, or it is closed.

        """
        if not hasattr(transport, "get_extra_info"):
            raise ValueError(f"transport must be one of this modem, not {transport!r}")
        connect_id = transport.get_extra_info("connect_id")
        slot = None if connect_id is None else self._keeper.session.sockets.get(connect_id)
        is_own = transport.get_extra_info("modem") is self._modem()
        if not is_own or slot is None or transport.is_closing():
            raise ValueError(f"{transport!r} is not an open connection of this modem")
        return slot

    async def why_closed(self, slot: Slot) -> Exception | None:
        """Find out why a socket has ended: ``None`` for its peer, an error for a lost network."""
        return await self._examiner.why_closed(slot)

    async def attach(
        self,
        slot: Slot,
        extra: dict[str, Any],
        protocol_factory: Callable[[], P],
        tls: Tls | None,
    ) -> tuple[asyncio.Transport, P]:
        """Make the transport and the protocol of a stream; with TLS, do the handshake.

        If that fails, the socket is closed. Cancellation drops the connection at once.
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
        # Taken now, because asyncio's TLS drops its transport when the connection ends.
        result: asyncio.Transport = secured._app_transport
        transport = self._stream(slot, extra, secured)
        try:
            await handshake
        except BaseException:
            transport.abort()
            raise
        return result, protocol

    def attach_datagrams(
        self,
        slot: Slot,
        extra: dict[str, Any],
        protocol_factory: Callable[[], D],
        opens: OpensAgain,
    ) -> tuple[DatagramTransport, D]:
        """Make a datagram transport and its protocol; a failure closes the socket."""
        try:
            protocol = protocol_factory()
        except BaseException:
            self._keeper.close(slot)
            raise
        transport = DatagramTransport(self._keeper, self._examiner, slot, protocol, extra, opens)
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


def split_address(argument: str, address: tuple[H, int]) -> tuple[H, int]:
    """Return the host and the port of an address.

    Raises:
        ValueError: The address is not a pair of a host and an integer.

    """
    try:
        host, port = address
    except (TypeError, ValueError):
        raise ValueError(f"{argument} must be (host, port), not {address!r}") from None
    # As asyncio does, take None as "any address of this host" for a local address.
    is_host = isinstance(host, str | bytes | Host) or (host is None and argument == "local_addr")
    if not is_host or not isinstance(port, int):
        raise ValueError(f"{argument} must be (host, port), text and a number, not {address!r}")
    return host, port


def make_request(
    service_type: ServiceType,
    host: str | bytes | Host,
    port: int,
    *,
    local_port: int = 0,
    local_addr: tuple[str, int] | None = None,
    access_mode: AccessMode = AccessMode.BUFFER,
    family: int = 0,
) -> OpenRequest:
    """Read the arguments that asyncio's calls share; of ``local_addr``, use the port alone.

    Raises:
        TypeError: The host is no text.
        ValueError: The port is out of range, the family unknown, or the host an address of
            another one, or none that the module can be given.

    """
    if local_addr is not None and not local_port:
        local_port = split_address("local_addr", local_addr)[1]
    if not isinstance(host, str | bytes | Host):
        raise TypeError(f"host must be str or bytes, not {type(host).__name__}")
    integer("port", port, PORTS)
    if family and family not in PROTOCOL_TYPES:
        raise ValueError(f"family is {family}: use AF_INET, AF_INET6 or 0")
    read = Host.read(host)
    protocol_type = PROTOCOL_TYPES.get(family)
    if read.family is not None:
        if protocol_type not in {None, read.family}:
            raise ValueError(f"host {read.text!r} is not an address of the family asked for")
        protocol_type = read.family
    mode = member("access_mode", AccessMode, access_mode)
    return OpenRequest(service_type, read.check(), port, local_port, mode, protocol_type)
