"""Replace ``create_connection()``, ``sock_connect()`` and ``start_tls()`` of a loop.

Layer: adapters.

Some libraries connect a socket of their own first (aiohttp does, to try addresses at once).
``sock_connect()`` only notes the address; ``create_connection(sock=…)`` then connects
through the modem and closes the socket, which never sends anything.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiobc9x.adapters.redirect.hosts import check_name, read_host
from aiobc9x.adapters.redirect.resolver import Original, port_number
from aiobc9x.adapters.redirect.route import IP_FAMILIES, Route, refusal, route_on
from aiobc9x.aio.transports.tls import start_tls as start_tls_on_any_loop
from aiobc9x.slotted import slotted
from aiobc9x.wire.host import Host

P = TypeVar("P", bound=asyncio.BaseProtocol)

Connected = tuple[asyncio.Transport, P]

_ADDRESS_FAMILY: Final = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_FAMILY)


@slotted(frozen=True)
class _Noted:
    """The address that ``sock_connect()`` was called with, and the route of its caller."""

    route: Route
    host: Host
    port: int


_noted: weakref.WeakKeyDictionary[socket.socket, _Noted] = weakref.WeakKeyDictionary()


def is_noted(sock: object) -> bool:
    """Whether ``sock_connect()`` has noted where a socket is to be connected to."""
    return isinstance(sock, socket.socket) and sock in _noted


def note(loop: asyncio.AbstractEventLoop, sock: socket.socket, address: Any) -> bool:
    """Note where a TCP socket is to be connected to, if the running context is routed.

    For libraries that connect a socket themselves before they hand it to the loop.

    Args:
        loop: The running loop.
        sock: The socket.
        address: Host and port (``Any``: other families have others).

    Returns:
        Whether the module will connect it; else the caller has to, by the ordinary network.

    Raises:
        RuntimeError: The route belongs to another loop.

    """
    route = route_on(loop)
    if route is None or sock.family not in IP_FAMILIES:
        return False
    if route.bypass.covers(host := read_host(address[0])):
        return False
    _noted[sock] = _Noted(route, host, port_number(address[1], "tcp"))
    return True


async def sock_connect(route: Route, original: Original, sock: socket.socket, address: Any) -> None:
    """Note where a TCP socket is to be connected to (``Any``: each family has its own).

    Raises:
        OSError: EOPNOTSUPP: no TCP socket.

    It waits for nothing on the module, so cancellation can't interrupt it.
    """
    if sock.family not in IP_FAMILIES or route.bypass.covers(host := read_host(address[0])):
        await original(sock, address)
    elif sock.type != socket.SOCK_STREAM:
        fix = "use create_datagram_endpoint(remote_addr=…), or bypass="
        raise refusal(f"sock_connect() to {address!r} with {sock!r}", fix)
    else:
        _noted[sock] = _Noted(route, host, port_number(address[1], "tcp"))


async def create_connection(
    route: Route,
    original: Original,
    protocol_factory: Callable[[], P],
    host: str | bytes | None = None,
    port: str | bytes | int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Any,
) -> Connected[P]:
    """Connect through the modem, or in place of a socket that ``sock_connect()`` has noted.

    Args:
        route: The route of the running context.
        original: The loop's own method.
        protocol_factory: Makes the protocol.
        host: Name or address.
        port: Number or service.
        sock: A socket that ``sock_connect()`` was called with, or one that is connected.
        options: The other keywords (``Any``: the types are those of the loop's own method).

    Raises:
        OSError: As :meth:`Modem.create_connection`; ``socket.gaierror`` for bad names.
        ExceptionGroup: The same, with ``all_errors=True``.

    Cancellation is safe.
    """
    connected: Connected[P]
    noted = _noted.get(sock) if sock is not None and host is None and port is None else None
    if sock is not None and noted is not None:
        if options.get("ssl") and options.get("server_hostname") is None:
            raise ValueError("You must set server_hostname when using ssl without a host")
        del _noted[sock]
        sock.close()
        return await connect(noted.route, protocol_factory, noted.host, noted.port, **options)
    fix = "connect it by create_connection(host, port), or add its peer to bypass="
    route.check(sock, "create_connection()", fix)
    if host is None or sock is not None or route.bypass.covers(read := read_host(host)):
        connected = await original(protocol_factory, host, port, sock=sock, **options)
        return connected
    return await connect(route, protocol_factory, read, port_number(port, "tcp"), **options)


async def connect(
    route: Route,
    protocol_factory: Callable[[], P],
    host: Host,
    port: int,
    **options: Any,
) -> Connected[P]:
    """Connect through the modem, whatever the bypass says; see :func:`create_connection`."""
    if not port:
        raise ConnectionRefusedError(
            errno.ECONNREFUSED, f"nobody listens on port 0 of {host.written!r}"
        )
    local_addr = options.pop("local_addr", None)
    if local_addr:
        options["local_port"] = port_number(local_addr[1], "tcp")
    if options.get("ssl") and options.get("server_hostname") is None:
        options["server_hostname"] = host.written
    options["family"] = family_for(host, options.get("family", 0))
    return await route.dialer.create_connection(protocol_factory, host, port, **options)


def family_for(host: Host, family: int) -> int:
    """Return the family to ask the modem for: 0 for an address, which has a family of its own.

    Raises:
        socket.gaierror: The host is no name, or an address of another family.

    """
    check_name(host)
    if host.address is None:
        return family
    # As it was written: mapped IPv4 is IPv6 too.
    own = socket.AF_INET6 if ":" in host.written else socket.AF_INET
    if family and family != own:
        raise socket.gaierror(_ADDRESS_FAMILY, f"{host.written!r} is of another address family")
    return 0


async def start_tls(
    loop: asyncio.AbstractEventLoop,
    original: Original,
    transport: Any,
    *arguments: Any,
    **options: Any,
) -> Any:
    """Start TLS on a transport of any modem, or, by the loop's own method, on another.

    Args:
        loop: The running loop.
        original: The loop's own method.
        transport: The transport (``Any``: nothing is known of it).
        arguments: The protocol and the context (``Any``: handed on).
        options: The keywords (``Any``: handed on).

    Raises:
        OSError: As :func:`aiobc9x.aio.transports.tls.start_tls`, with all its other errors.

    A failure of the handshake, and cancellation, close the connection.
    """
    ask = getattr(transport, "get_extra_info", None)
    if ask is None or ask("modem") is None:
        return await original(transport, *arguments, **options)
    return await start_tls_on_any_loop(loop, transport, *arguments, **options)
