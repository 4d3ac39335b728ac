"""What asyncio's transports of the module tell an anyio stream.

Layer: adapters.

These protocols only take notes and wake whoever waits; the streams of
:mod:`aiobc9x.adapters.anyio` decide.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, cast

logger = logging.getLogger("aiobc9x.adapters")

RECEIVE_LIMIT_BYTES: Final = 65536
"""Bytes that a stream holds for :meth:`receive`; more wait in the transport's read-ahead."""

DATAGRAM_LIMIT: Final = 100
"""Datagrams that wait for :meth:`receive`; the oldest give way, as in anyio's own sockets."""


class FlowProtocol(asyncio.BaseProtocol):
    """Notes what streams and datagrams have in common.

    Attributes:
        transport: The transport, once there is one.
        readable: Set while there is something to receive, or nothing will ever come.
        room: Set while everything written has been confirmed, or nothing ever will be.
        is_drained: The module has confirmed every byte; stays as it was at the end.
        is_lost: The connection has ended, and its connect ID is free or on its way to it.
        lost: Set when it is.
        error: Why it has ended, if not as asked for.

    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.readable, self.room, self.lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.room.set()
        self.is_drained = True
        self.error: Exception | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self.lost.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have every unconfirmed byte reported: that is how a loss is known."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        """Note that bytes wait for the module."""
        self.is_drained = False
        self.room.clear()

    def resume_writing(self) -> None:
        """Note that the module has taken all of them."""
        if not self.is_lost:
            self.is_drained = True
            self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.error = exc
        self.lost.set()
        self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self.readable.set()
        self.room.set()


class StreamProtocol(FlowProtocol, asyncio.Protocol):
    """Collects a stream.

    Attributes:
        is_ended: The peer has closed, and all it sent is here.

    """

    def __init__(self, made: Callable[[StreamProtocol], None] | None = None) -> None:
        super().__init__()
        self._made = made
        self._received = bytearray()
        self._is_paused = False
        self.is_ended = False

    @property
    def has_data(self) -> bool:
        """Whether bytes wait."""
        return bool(self._received)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the listener, if the connection came to one."""
        super().connection_made(transport)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        """Keep bytes; pause the transport when there are many."""
        self._received += data
        self.readable.set()
        if not self._is_paused and len(self._received) >= RECEIVE_LIMIT_BYTES:
            self._is_paused = True
            self.transport.pause_reading()

    def take(self, max_bytes: int) -> bytes:
        """Return bytes that wait; let more come."""
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._received and not self.is_ended and not self.is_lost:
            self.readable.clear()
        if self._is_paused and len(self._received) < RECEIVE_LIMIT_BYTES:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    def eof_received(self) -> None:
        """Note the peer's end; the module closes its side whatever we say."""
        self.is_ended = True
        self.readable.set()


class Arrivals:
    """Connections that came to a listener and wait to be accepted.

    Attributes:
        waiting: They, in order.
        is_closed: The listener is closed, so whoever still comes is turned away.

    """

    def __init__(self) -> None:
        self.waiting: deque[StreamProtocol] = deque()
        self.is_closed = False
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
        """Wait for news; cancellation is safe."""
        self._news.clear()
        await self._news.wait()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._news.set()

    def close(self) -> None:
        """End those that wait."""
        self.is_closed = True
        while self.waiting:
            self.waiting.popleft().transport.abort()
        self.wake()


class DatagramProtocol(FlowProtocol, asyncio.DatagramProtocol):
    """Collects datagrams.

    Attributes:
        received: Those that wait.
        dropped: How many gave way to newer ones.

    """

    def __init__(self) -> None:
        super().__init__()
        self.received: deque[bytes] = deque()
        self.dropped = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep a datagram, in the place of the oldest if there are too many."""
        if len(self.received) >= DATAGRAM_LIMIT:
            self.received.popleft()
            self.dropped += 1
            logger.warning("! %d datagrams that nobody received were dropped", self.dropped)
        self.received.append(data)
        self.readable.set()

    def take(self) -> bytes:
        """Return the oldest."""
        data = self.received.popleft()
        if not self.received and not self.is_lost:
            self.readable.clear()
        return data

    def error_received(self, exc: Exception) -> None:
        """Log a lost datagram: datagrams may be lost, and the socket goes on."""
        logger.info("! a datagram was lost: %s", exc)
