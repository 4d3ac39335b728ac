"""Resolve names on the module for ``getaddrinfo()``; answer ``getnameinfo()`` with numbers.

Layer: adapters.

The system's own ``getaddrinfo()`` reads numbers and names of services, and gives the answer its
form. The system is asked about addresses only, with AI_NUMERICHOST, so that nothing is sent.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiobc9x.adapters.redirect.hosts import check_name, read_host
from aiobc9x.adapters.redirect.route import Route

Original: TypeAlias = Callable[..., Awaitable[Any]]
"""A loop's own method (``Any``: each has another result)."""

Rows: TypeAlias = list[tuple[Any, ...]]
"""What ``getaddrinfo()`` gives (``Any``: the fields have different types)."""

_NO_DATA: Final = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)


async def getaddrinfo(
    route: Route,
    original: Original,
    host: str | bytes | None,
    port: str | bytes | int | None,
    *,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> Rows:
    """Resolve a name on the module; an address is its own answer, and asks nobody.

    Raises:
        socket.gaierror: As :func:`socket.getaddrinfo`.
        ModemError: As :meth:`Modem.resolve`.

    Cancellation is safe.
    """
    numeric = (flags | socket.AI_NUMERICHOST) & ~socket.AI_ADDRCONFIG
    if not host:
        return _ask(None, port, family, type, proto, flags)
    read = read_host(host)
    if read.address is not None:
        return _ask(host, port, family, type, proto, numeric)
    _ask("::1" if family == socket.AF_INET6 else "127.0.0.1", port, family, type, proto, numeric)
    if flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, f"{read.written!r} is no address")
    if route.bypass.covers(read):
        rows: Rows = await original(host, port, family=family, type=type, proto=proto, flags=flags)
        for row in rows:
            route.bypass.learn(read_host(row[4][0]))
        return rows
    check_name(read)
    found = await route.dialer.resolve(read)
    rows = []
    for address in found.addresses:
        try:
            rows += _ask(address, port, family, type, proto, numeric & ~socket.AI_CANONNAME)
        except socket.gaierror:
            continue  # of another family
    if not rows:
        raise socket.gaierror(_NO_DATA, f"{read.written!r} has no address of this family")
    if flags & socket.AI_CANONNAME:
        rows[0] = (*rows[0][:3], read.written, rows[0][4])
    return rows


def _ask(host: str | bytes | None, *arguments: Any) -> Rows:
    """Ask the system about numbers (``Any``: the arguments of ``getaddrinfo()``)."""
    return list(socket.getaddrinfo(host, *arguments))


async def getnameinfo(
    route: Route, original: Original, sockaddr: tuple[Any, ...], flags: int = 0
) -> tuple[str, str]:
    """Return the address and the port as numbers: the module can't look up the name of an address.

    Hosts of the bypass go to the loop's own method.

    Raises:
        socket.gaierror: A name is required.

    Cancellation is safe.
    """
    if flags & socket.NI_NUMERICHOST or route.bypass.covers(read_host(sockaddr[0])):
        names: tuple[str, str] = await original(sockaddr, flags)
        return names
    if flags & socket.NI_NAMEREQD:
        raise socket.gaierror(socket.EAI_NONAME, "the module can't look up the name of an address")
    return socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST)


def port_number(port: str | bytes | int | None, protocol: str) -> int:
    """Return the number of a port, which may be named.

    Raises:
        socket.gaierror: EAI_SERVICE.
        OverflowError: It is above 65535, as asyncio's own calls say it.

    """
    if port is None:
        return 0
    if isinstance(port, bytes):
        port = port.decode("ascii", "backslashreplace")
    if isinstance(port, str):
        try:
            port = int(port) if port.isdecimal() else socket.getservbyname(port, protocol)
        except OSError as exc:
            raise socket.gaierror(socket.EAI_SERVICE, f"unknown service {port!r}") from exc
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")
    return port
