"""One destination of a datagram endpoint: its socket, and the datagrams that wait for it.

Layer: adapters.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os
from collections import deque
from typing import Any, Final, NamedTuple, Protocol

from aiobc9x.adapters.redirect.route import Bypass
from aiobc9x.wire.host import Host

QUEUE_DATAGRAMS: Final = 16
"""Datagrams that wait at most while the socket of their destination is being opened."""

ANSWER_WAIT_S: Final = 10.0
"""Seconds that the answer to a datagram may take before its socket is given to another
destination: round trips over NB-IoT take up to ten seconds."""


def check_castable(host: Host) -> None:
    """Refuse addresses that mean several hosts.

    Raises:
        PermissionError: Broadcast (EACCES, as without SO_BROADCAST).
        OSError: Multicast (ENETUNREACH).

    """
    address = host.address
    if address is None:
        return
    if address.is_multicast:
        text = f"{os.strerror(errno.ENETUNREACH)}: the module can't send to the multicast group"
        raise OSError(
            errno.ENETUNREACH, f"{text} {address}; bypass= its network to use this machine's"
        )
    if str(address) == "255.255.255.255":
        text = f"{os.strerror(errno.EACCES)}: the module can't broadcast"
        raise PermissionError(errno.EACCES, f"{text} to {address}")


def full_address(host: str, port: int) -> tuple[Any, ...]:
    """Return an address with all its fields, of which IPv6 has four (hence ``Any``)."""
    return (host, port, 0, 0) if ":" in host else (host, port)


class Key(NamedTuple):
    """The fields by which destinations are told apart.

    Attributes:
        host: Address or name; for the ordinary network, the wildcard address.
        port: Port; 0 for the ordinary network, where one socket serves all.
        is_ordinary: Whether the destination is reached by the ordinary network.

    """

    host: str
    port: int
    is_ordinary: bool = False


def key_of(bypass: Bypass, host: Host, port: int, wildcard: str) -> Key:
    """Return the key of a destination."""
    if bypass.covers(host):
        if host.address is not None:
            wildcard = "0.0.0.0" if host.address.version == 4 else "::"
        return Key(wildcard, 0, True)
    return Key(host.folded().text, port)


class DestinationState(enum.Enum):
    """How far the socket of a destination is."""

    WAITING = enum.auto()
    """All connect IDs are in use."""
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class DestinationOwner(Protocol):
    """The methods of an endpoint that its destinations call."""

    def time(self) -> float:
        """Return the loop's clock."""

    def takes_from(self, host: str) -> bool:
        """Whether datagrams that reach this machine's socket from a host are wanted."""

    def on_opened(self, destination: Destination) -> None:
        """Note that the socket of a destination is open."""

    def on_datagram(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a datagram (``Any``: an IPv6 address has more fields)."""

    def on_error(self, exc: Exception) -> None:
        """Take an error after which the endpoint goes on."""

    def on_progress(self) -> None:
        """Note that some of the waiting datagrams have been sent."""

    def on_closed(self, destination: Destination, exc: Exception | None) -> None:
        """Note that the socket of a destination is closed, and why."""


class Destination(asyncio.DatagramProtocol):
    """The protocol of one socket of an endpoint.

    Attributes:
        key: The key of the destination.
        host: Host that the first datagram goes to.
        state: How far the opening or closing of the socket is.
        local_port: Local port of the socket on the module; 0 if the module chose the port.
        last_used: Time of the last datagram, sent or received, by the loop's clock.
        is_answered: Whether a datagram has arrived since the last one was sent.

    """

    key: Key
    host: Host
    state: DestinationState
    local_port: int

    def __init__(
        self, endpoint: DestinationOwner, key: Key, host: Host, source: tuple[Any, ...] | None
    ) -> None:
        self.key, self.host = key, host
        self.state, self.local_port = DestinationState.OPENING, 0
        self.last_used: float = endpoint.time()
        self.is_answered: bool = False
        self._endpoint, self._source = endpoint, source
        self._queue: deque[tuple[bytes, tuple[Any, ...]]] = deque()
        self._transport: Any = None  # the stubs of datagram transports lack their buffer's size

    @property
    def unsent(self) -> int:
        """Bytes not sent yet, in this queue or in the socket's transport."""
        size = sum(len(data) for data, _ in self._queue)
        if self._transport is not None and self.state is not DestinationState.CLOSED:
            size += self._transport.get_write_buffer_size()
        return size

    def patience(self, now: float) -> float:
        """Return for how many seconds more the socket should stay open."""
        return 0.0 if self.is_answered else self.last_used + ANSWER_WAIT_S - now

    def send(self, data: bytes, addr: tuple[Any, ...]) -> bool:
        """Send a datagram, or queue it; return ``False`` if the queue is full."""
        self.last_used, self.is_answered = self._endpoint.time(), False
        if self._transport is not None:
            self._send(data, addr)
        elif len(self._queue) < QUEUE_DATAGRAMS:
            self._queue.append((data, addr))
        else:
            return False
        return True

    def _send(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            self._transport.sendto(data, addr if self.key.is_ordinary else None)
        except (OSError, ValueError) as exc:  # uvloop refuses host names
            self._endpoint.on_error(exc)

    def close(self) -> None:
        """Close the socket after the waiting datagrams, or, if it is not open yet, once it is."""
        if self.state is DestinationState.OPEN and self._transport is not None:
            self.state = DestinationState.CLOSING
            self._transport.close()

    def abort(self) -> None:
        """Drop the waiting datagrams and close the socket."""
        self._queue.clear()
        if self._transport is not None and self.state is not DestinationState.CLOSED:
            self.state = DestinationState.CLOSING
            self._transport.abort()
        else:
            self.state = DestinationState.CLOSED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the datagrams that waited for the socket."""
        self._transport = transport
        # So that resume_writing() is called as soon as nothing waits to be sent.
        self._transport.set_write_buffer_limits(0)
        self.state, self.last_used = DestinationState.OPEN, self._endpoint.time()
        while self._queue:
            self._send(*self._queue.popleft())
        self._endpoint.on_opened(self)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Hand a datagram to the endpoint (``Any``: as in typeshed)."""
        if self.key.is_ordinary and not self._endpoint.takes_from(addr[0]):
            return  # the sender's host is not in the bypass, so no datagram went there
        self.last_used, self.is_answered = self._endpoint.time(), True
        self._endpoint.on_datagram(data, self._source or full_address(*addr[:2]))

    def error_received(self, exc: Exception) -> None:
        """Hand an error to the endpoint."""
        self._endpoint.on_error(exc)

    def resume_writing(self) -> None:
        """Let the endpoint look whether it may send more."""
        self._endpoint.on_progress()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        self.state = DestinationState.CLOSED
        self._endpoint.on_closed(self, exc)
