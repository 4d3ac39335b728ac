"""Describe the local proxy as callers see it; :mod:`aiobc9x.adapters.proxy.server` makes it.

Layer: adapters.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from aiobc9x.aio.arguments import check_positive_seconds, check_text
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted

Forwards = Mapping[int, tuple[str, int]] | Iterable[str]
"""``{local port: (host, port)}``, or strings such as ``"1883:broker.example:1883"``."""


@slotted(frozen=True)
class Forward:
    """A local port whose connections all go to one host and port.

    Attributes:
        local_host: The address on which the proxy listens.
        local_port: The port on which the proxy listens; the system's choice if 0 was given.
        host: A name, resolved by the module, or an address.
        port: The remote port.

    """

    local_host: str
    local_port: int
    host: str
    port: int


@slotted()
class ProxyStatistics:
    """Counters of a local proxy; they go on counting after they were read.

    Attributes:
        clients: Connections that the proxy has accepted.
        health_checks: Health checks that the proxy has answered.
        opened: Connections that the proxy has opened through the module.
        failed: Connections that the module could not open.
        turned_away: Clients that broke the protocol, requested what the proxy doesn't support,
            sent no request in time, or came when there were too many.
        bytes_up: Bytes received from clients and sent to the module.
        bytes_down: Bytes received from the module and sent to clients.

    """

    clients: int = 0
    health_checks: int = 0
    opened: int = 0
    failed: int = 0
    turned_away: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@slotted(frozen=True)
class ProxyTimeouts:
    """The timeouts given to :meth:`Modem.serve_proxy`, in seconds.

    Attributes:
        handshake_timeout: Seconds that a client has to send its request.
        linger: Seconds without a byte after which a connection ends whose client has sent EOF.
        connect_timeout: Seconds to connect, waiting for the network included; ``None``: the
            limits of the modem.

    Raises:
        TypeError: A timeout is no number.
        ValueError: A timeout is not above 0.

    """

    handshake_timeout: float
    linger: float
    connect_timeout: float | None

    def __post_init__(self) -> None:
        check_positive_seconds("handshake_timeout", self.handshake_timeout)
        check_positive_seconds("linger", self.linger)
        if self.connect_timeout is not None:
            check_positive_seconds("connect_timeout", self.connect_timeout)


_PATH: Final = lazy_pattern(r"/[!-~]*")


@slotted(frozen=True)
class HealthCheck:
    """How the proxy answers a load balancer that asks whether it can be sent clients.

    The answer has one word, and costs the module nothing, so that nobody learns or spends
    anything by it.

    Attributes:
        path: What ``GET`` and ``HEAD`` ask for; ``None``: nothing is answered.
        is_well: Returns whether connections can be opened.

    Raises:
        TypeError: The path is no text.
        ValueError: The path doesn't begin with ``/``, or holds blanks or non-ASCII characters.

    """

    path: str | None
    is_well: Callable[[], bool]

    def __post_init__(self) -> None:
        if self.path is None:
            return
        check_text("health_path", self.path)
        if _PATH.fullmatch(self.path) is None:
            raise ValueError(f"health_path is {self.path!r}: use a path such as '/health', or None")


NO_CHECK: Final = HealthCheck(None, lambda: False)
"""Answers no checks."""


class ProxyServer(abc.ABC):
    """A running local proxy; made by :meth:`Modem.serve_proxy`.

    Leaving ``async with`` closes the proxy and waits until its connections have ended.
    """

    @property
    @abc.abstractmethod
    def port(self) -> int | None:
        """The port of SOCKS5 and HTTP; ``None`` if there are only forwards, or when closed."""

    @property
    @abc.abstractmethod
    def forwards(self) -> tuple[Forward, ...]:
        """The local ports whose connections go to a fixed host and port."""

    @property
    @abc.abstractmethod
    def connections(self) -> int:
        """How many clients there are now."""

    @property
    @abc.abstractmethod
    def statistics(self) -> ProxyStatistics:
        """The counters, which go on counting after they were read."""

    @abc.abstractmethod
    async def add_forward(self, local_port: int, host: str, port: int) -> Forward:
        """Forward one more local port.

        Args:
            local_port: The port to listen on, 1–65535, or 0 for any that is free.
            host: A name, resolved by the module, or an address.
            port: The remote port, 1–65535.

        Raises:
            ValueError: An argument is out of range.
            OSError: The system refuses the port.
            RuntimeError: The proxy is closed.

        Cancellation is safe: the port is not listened on after it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Stop listening and end all connections.

        Clients see a reset. Bytes that clients have sent still go out before the module's sockets
        close. Closing twice is harmless.
        """

    @abc.abstractmethod
    async def wait_closed(self) -> None:
        """Wait until the proxy is closed and its last connection through the module has ended.

        If a connection was still being opened, its connect ID stays reserved until the module
        has answered. Cancellation is safe.
        """

    @abc.abstractmethod
    def is_serving(self) -> bool:
        """Return whether the proxy accepts clients."""

    async def __aenter__(self) -> Self:
        """Return the proxy itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the proxy and wait until its connections have ended."""
        self.close()
        await self.wait_closed()
