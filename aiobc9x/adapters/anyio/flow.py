"""Receive what asyncio's transports of the module report, for anyio's streams.

Layer: adapters.

These protocols only keep what was reported, and wake the tasks that wait. The streams of
:mod:`aiobc9x.adapters.anyio` decide what to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from aiobc9x.logs import Log

log: Final = Log("adapters")

RECEIVE_LIMIT_BYTES: Final = 65536
"""Bytes that a stream holds for :meth:`receive`; more wait in the transport's read-ahead."""

DATAGRAM_LIMIT: Final = 100
"""Datagrams that wait for :meth:`receive`.

If there are more, the oldest are dropped, as in anyio's own sockets."""


class FlowProtocol(asyncio.BaseProtocol):
    """Keep what streams and datagram sockets have in common.

    Attributes:
        transport: The transport, once it is made.
        readable: Set while there is something to receive, or nothing more can come.
        room: Set while the module has confirmed everything written, or can confirm no more.
        is_drained: The module has confirmed every byte; no longer changes after the end.
        is_lost: The connection has ended, and its connect ID is free or soon will be.
        lost: Set when the connection has ended.
        error: Why the connection has ended; ``None`` if the program or the peer closed it.

    """

    readable: asyncio.Event
    room: asyncio.Event
    lost: asyncio.Event

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.readable, self.room, self.lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.room.set()
        self.is_drained: bool = True
        self.error: Exception | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self.lost.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the transport report every unconfirmed byte, so that a loss of bytes is noticed."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        """Note that bytes wait for the module."""
        self.is_drained = False
        self.room.clear()

    def resume_writing(self) -> None:
        """Note that the module has taken all bytes."""
        if not self.is_lost:
            self.is_drained = True
            self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection has ended, and why."""
        self.error = exc
        self.lost.set()
        self.wake()

    def wake(self) -> None:
        """Wake the tasks that wait, so that they look at the state again."""
        self.readable.set()
        self.room.set()


class StreamProtocol(FlowProtocol, asyncio.Protocol):
    """Collect the bytes of a stream.

    Attributes:
        is_ended: The peer has closed the connection, and all its bytes have arrived here.

    """

    def __init__(self, made: Callable[[StreamProtocol], None] | None = None) -> None:
        super().__init__()
        self._made = made
        self._received = bytearray()
        self._is_paused = False
        self.is_ended: bool = False

    @property
    def has_data(self) -> bool:
        """Whether there are bytes to receive."""
        return bool(self._received)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; tell the listener, if a listener accepted the connection."""
        super().connection_made(transport)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        """Keep bytes; pause the transport when 65536 of them wait."""
        self._received += data
        self.readable.set()
        if not self._is_paused and len(self._received) >= RECEIVE_LIMIT_BYTES:
            self._is_paused = True
            self.transport.pause_reading()

    def take(self, max_bytes: int) -> bytes:
        """Return bytes that wait; let the transport go on if it was paused."""
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._received and not self.is_ended and not self.is_lost:
            self.readable.clear()
        if self._is_paused and len(self._received) < RECEIVE_LIMIT_BYTES:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    def eof_received(self) -> None:
        """Note that the peer has closed; the module closes its own side in any case."""
        self.is_ended = True
        self.readable.set()


class Arrivals:
    """Connections that came to a listener and wait to be accepted.

    Attributes:
        waiting: The connections, the oldest first.
        is_closed: The listener is closed, so a connection that still comes is aborted.

    """

    def __init__(self) -> None:
        self.waiting: deque[StreamProtocol] = deque()
        self.is_closed: bool = False
        self._news = asyncio.Event()

    def new_protocol(self) -> StreamProtocol:
        """Return a protocol for the next connection."""
        return StreamProtocol(self._add)

    def _add(self, protocol: StreamProtocol) -> None:
        if self.is_closed:
            protocol.transport.abort()
        else:
            self.waiting.append(protocol)
            self.wake()

    async def wait(self) -> None:
        """Wait until a connection comes or the listener ends; cancellation is safe."""
        self._news.clear()
        await self._news.wait()

    def wake(self) -> None:
        """Wake the task that waits, so that it looks at the state again."""
        self._news.set()

    def close(self) -> None:
        """Abort the connections that wait, and those that still come."""
        self.is_closed = True
        while self.waiting:
            self.waiting.popleft().transport.abort()
        self.wake()


class DatagramProtocol(FlowProtocol, asyncio.DatagramProtocol):
    """Collect datagrams.

    Attributes:
        received: The datagrams that wait, the oldest first.
        dropped: How many datagrams were dropped to make room for newer ones.

    """

    def __init__(self) -> None:
        super().__init__()
        self.received: deque[bytes] = deque()
        self.dropped: int = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep a datagram; drop the oldest one if there are too many."""
        if len(self.received) >= DATAGRAM_LIMIT:
            self.received.popleft()
            self.dropped += 1
            log.warning(
                "! %(count)d datagrams that nobody received were dropped", count=self.dropped
            )
        self.received.append(data)
        self.readable.set()

    def take(self) -> bytes:
        """Return the oldest datagram."""
        data = self.received.popleft()
        if not self.received and not self.is_lost:
            self.readable.clear()
        return data

    def error_received(self, exc: Exception) -> None:
        """Log that a datagram was lost; the socket goes on, because UDP may lose datagrams."""
        log.info("! a datagram was lost: %(reason)s", error=exc)
