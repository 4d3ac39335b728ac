"""The local proxy as callers see it; :mod:`aiobc9x.adapters.proxy.server` makes it.

Layer: adapters.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiobc9x.aio.arguments import check_positive_seconds

Forwards = Mapping[int, tuple[str, int]] | Iterable[str]
"""``{local port: (host, port)}``, or strings such as ``"1883:broker.example:1883"``."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A local port whose connections all go to one place.

    Attributes:
        local_host: Where it listens.
        local_port: Its port, as chosen by the system if 0 was asked for.
        host: A name, resolved by the module, or an address.
        port: The remote port.

    """

    local_host: str
    local_port: int
    host: str
    port: int


@dataclass(slots=True)
class ProxyStatistics:
    """Counters of a local proxy, live.

    Attributes:
        clients: Connections that it has accepted.
        opened: Connections through the module that it has opened.
        failed: Those that the module could not open.
        turned_away: Clients that broke the protocol, asked for what the proxy doesn't do, said
            nothing in time, or were too many.
        bytes_up: Bytes taken from clients for the module.
        bytes_down: Bytes given to clients.

    """

    clients: int = 0
    opened: int = 0
    failed: int = 0
    turned_away: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(frozen=True, slots=True)
class ProxyTimeouts:
    """What :meth:`Modem.serve_proxy` was given, in seconds.

    Attributes:
        handshake_timeout: For a client's request.
        linger: Without a byte, until a connection ends whose client has sent EOF.
        connect_timeout: To connect, waiting for the network included; ``None``: the limits of
            the modem.

    Raises:
        TypeError: One is no number.
        ValueError: One is not above 0.

    """

    handshake_timeout: float
    linger: float
    connect_timeout: float | None

    def __post_init__(self) -> None:
        check_positive_seconds("handshake_timeout", self.handshake_timeout)
        check_positive_seconds("linger", self.linger)
        if self.connect_timeout is not None:
            check_positive_seconds("connect_timeout", self.connect_timeout)


class ProxyServer(abc.ABC):
    """A local proxy that runs; made by :meth:`Modem.serve_proxy`.

    Leaving its context closes it and waits.
    """

    @property
    @abc.abstractmethod
    def port(self) -> int | None:
        """The port of SOCKS5 and HTTP; ``None`` if there are only forwards, or when closed."""

    @property
    @abc.abstractmethod
    def forwards(self) -> tuple[Forward, ...]:
        """The ports that are forwarded."""

    @property
    @abc.abstractmethod
    def connections(self) -> int:
        """How many clients there are now."""

    @property
    @abc.abstractmethod
    def statistics(self) -> ProxyStatistics:
        """Counters, live."""

    @abc.abstractmethod
    async def add_forward(self, local_port: int, host: str, port: int) -> Forward:
        """Forward one more local port.

        Args:
            local_port: Where to listen, 1–65535, or 0 for any that is free.
            host: A name, resolved by the module, or an address.
            port: The remote port, 1–65535.

        Raises:
            ValueError: An argument is out of range.
            OSError: The system refuses the port.
            RuntimeError: The proxy is closed.

        Cancellation is safe: nothing listens then.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Stop listening and end all connections.

        Clients see a reset. What they have sent still goes out before the module's sockets
        close. Closing twice is harmless.
        """

    @abc.abstractmethod
    async def wait_closed(self) -> None:
        """Return when it is closed and its last connection through the module has ended.

        The connect ID of one that was still being opened stays reserved until the module has
        answered. Cancellation is safe.
        """

    @abc.abstractmethod
    def is_serving(self) -> bool:
        """Whether it takes clients."""

    async def __aenter__(self) -> Self:
        """Return the proxy itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it and wait."""
        self.close()
        await self.wait_closed()
