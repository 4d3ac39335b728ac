"""What the module asks of a network, and what a network tells the module.

Layer: sim. No I/O: :mod:`aiobc9x.sim.memory` and :mod:`aiobc9x.sim.network` are the
two implementations.

Handles are numbers that the module never uses twice, so that a late event of a
closed socket can't reach its successor under the same connectID.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Resolution:
    """The addresses of a name and how long they hold, in seconds."""

    addresses: tuple[str, ...]
    ttl_s: int


class NetworkEvents(Protocol):
    """What a network reports; the module implements it.

    ``now`` is the time of the event on the clock given to :meth:`Network.attach`.
    """

    def opened(self, handle: int, err: int, now: float) -> None:
        """Report the end of a connect or listen: 0, or an ``<err>`` of §3."""

    def received(self, handle: int, data: bytes, now: float) -> None:
        """Report a TCP segment or a datagram, never empty."""

    def closed(self, handle: int, now: float) -> None:
        """Report that the peer closed, or that the connection broke."""

    def incoming(self, listener: int, address: str, port: int, now: float) -> int | None:
        """Report a client; return the handle of its socket, or ``None`` to turn it away."""

    def resolved(self, ticket: int, resolution: Resolution | None, now: float) -> None:
        """Answer :meth:`Network.resolve`; ``None`` if nobody knows the name."""


class Network(Protocol):
    """The far side of the module's sockets.

    No method blocks or raises; an event may come in the course of the call that
    caused it. Nothing is reported for a handle after :meth:`close`.
    """

    def attach(self, events: NetworkEvents, clock: Callable[[], float]) -> None:
        """Say whom to tell, and which clock to read."""

    def resolve(self, ticket: int, name: str) -> None:
        """Look up a name or an address; ends in ``resolved``."""

    def connect(
        self, handle: int, address: str, port: int, *, udp: bool, local_port: int = 0
    ) -> None:
        """Connect to an address; ends in ``opened``, or never if it is a black hole."""

    def listen(self, handle: int, port: int) -> None:
        """Listen on a port of the module; ends in ``opened``."""

    def send(self, handle: int, data: bytes) -> bool:
        """Take all of ``data``, or return ``False`` and take nothing (buffer full)."""

    def close(self, handle: int, *, abort: bool = False) -> None:
        """Close a socket or listener; ``abort`` drops what was not sent yet."""

    def pause(self, handle: int) -> None:
        """Report no data for this handle until :meth:`resume`."""

    def resume(self, handle: int) -> None:
        """Report data again."""

    def ping(self, address: str) -> float | None:
        """Return a round trip time in seconds, or ``None`` for no answer."""
