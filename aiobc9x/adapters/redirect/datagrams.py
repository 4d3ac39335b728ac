"""Datagrams: ``create_datagram_endpoint()`` of a loop, with or without ``remote_addr``.

Layer: adapters.

The module's UDP sockets are connected (§2.2.1). An endpoint without ``remote_addr``
is therefore made of one socket for each destination, of the six that the module has.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from aiobc9x.adapters.redirect.destination import check_castable
from aiobc9x.adapters.redirect.endpoint import Endpoint
from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.adapters.redirect.resolver import Original, port_number
from aiobc9x.adapters.redirect.route import IP_FAMILIES, Route
from aiobc9x.adapters.redirect.servers import is_the_modules
from aiobc9x.adapters.redirect.streams import family_for
from aiobc9x.wire.host import Host

D = TypeVar("D", bound=asyncio.DatagramProtocol)

HostAndPort = tuple[Any, ...]
"""Host and port; an IPv6 address may have more fields (hence ``Any``)."""


async def create_datagram_endpoint(
    route: Route,
    original: Original,
    protocol_factory: Callable[[], D],
    local_addr: HostAndPort | str | None = None,
    remote_addr: HostAndPort | str | None = None,
    *,
    sock: socket.socket | None = None,
    family: int = 0,
    **options: Any,
) -> tuple[asyncio.DatagramTransport, D]:
    """Open a datagram endpoint on the module, or on this machine by the loop's own method.

    Args:
        route: The route of the running context.
        original: The loop's own method.
        protocol_factory: Makes the protocol.
        local_addr: Host and port. A host that the bypass covers is one of this machine; of any
            other address only the port is used.
        remote_addr: Host and port; ``None``: each ``sendto()`` names its destination.
        sock: A socket of this machine.
        family: AF_INET, AF_INET6, or 0.
        options: The other keywords (``Any``: the types are those of the loop's own method).

    Raises:
        OSError: EADDRNOTAVAIL for another local host; EACCES and ENETUNREACH for
            broadcast and multicast; else as :meth:`Modem.create_datagram_endpoint`.

    Cancellation is safe.
    """
    hosts = (local_addr, remote_addr)
    local_only = family not in {0, *IP_FAMILIES} or any(isinstance(host, str) for host in hosts)
    if sock is not None:
        fix = "give remote_addr or local_addr instead, or bypass= its address"
        route.check(sock, "create_datagram_endpoint()", fix)
    is_ordinary = sock is not None or local_only or not (local_addr or remote_addr or family)
    remote = read_host(remote_addr[0]) if remote_addr and not is_ordinary else None
    if is_ordinary or await _is_bypassed(route, local_addr, remote):
        made: tuple[asyncio.DatagramTransport, D] = await original(
            protocol_factory, local_addr, remote_addr, sock=sock, family=family, **options
        )
        return made
    local_port = port_number(local_addr[1], "udp") if local_addr else 0
    if remote_addr and remote is not None:
        port = port_number(remote_addr[1], "udp")
        return await _connect(route, protocol_factory, remote, port, local_port, family, **options)
    return await _make_endpoint(route, original, protocol_factory, local_addr, family, **options)


async def _is_bypassed(route: Route, local_addr: Any, remote: Host | None) -> bool:
    if remote is not None:
        return route.bypass.covers(remote)
    return bool(local_addr) and not await is_the_modules(route, [local_addr[0]])


async def _connect(
    route: Route,
    protocol_factory: Callable[[], D],
    host: Host,
    port: int,
    local_port: int,
    family: int,
    **options: Any,
) -> tuple[asyncio.DatagramTransport, D]:
    check_castable(host)
    if not port:
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: port 0 of {host.written!r}")
    return await route.dialer.create_datagram_endpoint(
        protocol_factory,
        remote_addr=(host, port),
        local_port=local_port,
        family=family_for(host, family),
        **options,
    )


async def _make_endpoint(
    route: Route,
    original: Original,
    protocol_factory: Callable[[], D],
    local_addr: Any,
    family: int,
    *,
    proto: int = 0,
    flags: int = 0,
    reuse_port: bool | None = None,
    allow_broadcast: bool | None = None,
) -> tuple[asyncio.DatagramTransport, D]:
    """Make an endpoint; the keywords mean nothing on a module, but have to be asyncio's."""
    del proto, flags, reuse_port, allow_broadcast
    host, port = (local_addr or ("", 0))[:2]
    ipv6 = family == socket.AF_INET6 or (not family and ":" in (host or ""))
    protocol = protocol_factory()
    sockname = ("::" if ipv6 else "0.0.0.0", port_number(port, "udp"))
    endpoint = Endpoint(route, original, protocol, sockname, socket.AF_INET6 if ipv6 else family)
    await endpoint.start()
    return endpoint, protocol
