"""Which calls go through a modem, and which to the ordinary network.

Layer: adapters.

A route belongs to a context (:mod:`contextvars`), so each task has its own. A
context keeps its routes as a stack. Leaving a route removes that route only, wherever it is in
the stack, so routes may be left in any order.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar

from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.aio.dialer import Dialer
from aiobc9x.slotted import slotted
from aiobc9x.wire.host import Host
from aiobc9x.wire.params import IpAddress

T = TypeVar("T")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
BypassEntry: TypeAlias = str | IpAddress | Network

OwnAddresses: TypeAlias = Callable[[], Awaitable[Sequence[tuple[int, Sequence[str]]]]]
"""Asks for the addresses of the module's contexts, as :meth:`Modem.addresses` does: a program
that binds to one of them means the module."""

IP_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})

LEARNED_S: Final = 300.0
"""Seconds for which a resolved address belongs to its name.

The system's resolver doesn't tell how long its answers hold; its caches mostly ask again
after five minutes or less. After that the address may be another host's."""

_LOOPBACK: Final = {4: ipaddress.ip_address("127.0.0.1"), 6: ipaddress.ip_address("::1")}


class Bypass:
    """Hosts that stay on the ordinary network.

    Args:
        entries: Names (``"localhost"``), endings of names (``".lan"``), addresses and
            networks, as text or as objects of :mod:`ipaddress`.
        clock: Seconds; from any thread.

    Raises:
        TypeError: One text instead of several, or an entry that is none of these.
        ValueError: An entry can't be read.

    """

    def __init__(
        self, entries: Iterable[BypassEntry], clock: Callable[[], float] = time.monotonic
    ) -> None:
        if isinstance(entries, str):
            raise TypeError(f"bypass must be several entries, such as ({entries!r},)")
        if not isinstance(entries, Iterable):
            raise TypeError(f"bypass must be several entries, not {entries!r}")
        self._names: set[str] = set()
        self._endings: tuple[str, ...] = ()
        self._networks: list[Network] = []
        self._clock = clock
        self._learned: dict[IpAddress, float] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: BypassEntry) -> None:
        if isinstance(entry, ipaddress.IPv4Network | ipaddress.IPv6Network):
            self._networks.append(entry)
        elif isinstance(entry, ipaddress.IPv4Address | ipaddress.IPv6Address):
            self._networks.append(ipaddress.ip_network(entry))
        elif not isinstance(entry, str):
            raise TypeError(f"bypass takes names, addresses and networks, not {entry!r}")
        elif "/" in entry or ":" in entry or read_host(entry).address is not None:
            self._networks.append(ipaddress.ip_network(entry, strict=False))
        elif not entry.strip(". \t"):
            raise ValueError(f"bypass holds an empty name: {entry!r}")
        elif entry.startswith("."):
            self._endings += (_plain(entry),)
        else:
            self._names.add(_plain(entry))

    def covers(self, host: Host) -> bool:
        """Whether a connection to a host goes to the ordinary network."""
        address = host.address
        if address is None:
            name = _plain(host.written)
            return name in self._names or (bool(self._endings) and name.endswith(self._endings))
        if address.is_unspecified:  # as a destination it is this machine
            address = _LOOPBACK[address.version]
        if any(address in network for network in self._networks):
            return True
        return self._clock() < self._learned.get(address, -math.inf)

    def learn(self, host: Host) -> None:
        """Let an address of a host that is covered by name be covered too, for five minutes."""
        address = host.address
        if address is not None:
            now = self._clock()
            known = {known: end for known, end in self._learned.items() if end > now}
            # Replaced whole, because threads read it.
            self._learned = {**known, address: now + LEARNED_S}


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


@slotted(frozen=True, eq=False)
class Route:
    """A route through a modem.

    Attributes:
        dialer: What opens connections, the modem in most cases.
        loop: The loop that the dialer belongs to.
        strict: Whether what can't be routed raises.
        bypass: What stays on the ordinary network.
        own_addresses: Asks which addresses are the module's own.

    """

    dialer: Dialer
    loop: asyncio.AbstractEventLoop
    strict: bool
    bypass: Bypass
    own_addresses: OwnAddresses

    def check(self, sock: socket.socket | None, what: str, fix: str) -> None:
        """In strict mode, refuse a socket of the ordinary network that no bypass covers.

        Raises:
            OSError: EOPNOTSUPP.

        """
        if self.strict and sock is not None and self.is_foreign(sock):
            raise refusal(f"{what} with {sock!r}", fix)

    def is_foreign(self, sock: socket.socket) -> bool:
        """Whether a socket could reach the ordinary network beyond the bypass."""
        if sock.family not in IP_FAMILIES:
            return False
        for ask in (sock.getpeername, sock.getsockname):
            try:
                name: Any = ask()  # of an IP socket: the address comes first
            except OSError:
                continue
            host = read_host(name[0])
            if host.address is not None and not host.address.is_unspecified:
                return not self.bypass.covers(host)
        return True


def refusal(what: str, fix: str) -> OSError:
    """Return the error for what can't go through a modem."""
    text = f"{os.strerror(errno.EOPNOTSUPP)}: {what} can't go through the modem; {fix}"
    return OSError(errno.EOPNOTSUPP, text)


_ROUTES: ContextVar[tuple[Route, ...]] = ContextVar("aiobc9x routes", default=())


def enter(route: Route) -> None:
    """Route the running context."""
    _ROUTES.set((*_ROUTES.get(), route))


def leave(route: Route) -> None:
    """Take a route out of the running context, if it is there; the last one of several."""
    routes = list(_ROUTES.get())
    for index in range(len(routes) - 1, -1, -1):
        if routes[index] is route:
            del routes[index]
            break
    _ROUTES.set(tuple(routes))


def carried(function: Callable[..., T]) -> Callable[..., T]:
    """Return a function that goes the way of the running context, in whatever thread."""
    routes = _ROUTES.get()
    if not routes:
        return function

    def call(*args: Any) -> T:  # Any: as the function takes them
        token = _ROUTES.set(routes)
        try:
            return function(*args)
        finally:
            _ROUTES.reset(token)

    return call


def route_on(loop: asyncio.AbstractEventLoop) -> Route | None:
    """Return the route of the running context.

    Raises:
        RuntimeError: The context came here from another loop; its modem can't be used.

    """
    routes = _ROUTES.get()
    if not routes:
        return None
    if routes[-1].loop is not loop:
        raise RuntimeError(
            f"this context is routed through {routes[-1].dialer!r}, which belongs to another event"
            " loop; call from that loop, or start in a context of your own"
        )
    return routes[-1]
