"""A client of the local proxy in memory: no socket, no clock but the loop's."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from aiobc9x.adapters.proxy.client import Relay
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request


class Options:
    """Stands for the client's socket; notes whether its close sends a reset."""

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        assert (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER)
        self.resets = struct.unpack("ii", value) == (1, 0)


class Client(asyncio.Transport):
    """The relay's transport to a client in memory, and the client.

    Attributes:
        received: What the client has read.
        stalls: Whether the client reads nothing.
        is_reading_it: Whether the relay reads what the client sends.
        end: ``"FIN"`` or ``"RST"``, once the client has seen its end.

    """

    def __init__(self, all_clients: ProxyClients, request: Request | None = None) -> None:
        self._options = Options()
        super().__init__({"socket": self._options})
        self.received, self._unread = bytearray(), bytearray()
        self.stalls = False
        self.is_reading_it = True
        self.end: str | None = None
        self.done = asyncio.Event()
        self._closing = self._write_paused = self._wrote_eof = False
        self.relay = Relay(all_clients, request)
        self.relay.connection_made(self)

    @property
    def outcome(self) -> tuple[bytes, str | None]:
        """What the client has read, and how it ended."""
        return bytes(self.received), self.end

    def say(self, data: bytes) -> None:
        """Send bytes, in pieces as the relay takes them."""
        while data and not self._closing:
            buffer = self.relay.get_buffer(-1)
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self.relay.buffer_updated(size)
            data = data[size:]

    def finish(self) -> None:
        """Send EOF."""
        if not self.relay.eof_received():
            self.close()

    def break_off(self) -> None:
        """Send RST."""
        self._lose(ConnectionResetError(104, "reset by the client"))

    def write(self, data: Any) -> None:  # Any: as in typeshed's base
        assert not self._wrote_eof
        self._unread += data
        self._flush()

    def read(self) -> None:
        """Go on reading."""
        self.stalls = False
        self._flush()

    def _flush(self) -> None:
        if not self.stalls:
            self.received += self._unread
            self._unread.clear()
            if self._wrote_eof:
                self.end = self.end or "FIN"
            if self._closing:
                self._lose(None)
        paused = len(self._unread) > 65536
        if paused is not self._write_paused:
            self._write_paused = paused
            (self.relay.pause_writing if paused else self.relay.resume_writing)()

    def get_write_buffer_size(self) -> int:
        return len(self._unread)

    def write_eof(self) -> None:
        self._wrote_eof = True
        self._flush()

    def pause_reading(self) -> None:
        self.is_reading_it = False

    def resume_reading(self) -> None:
        self.is_reading_it = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self._flush()

    def abort(self) -> None:
        self._closing = True
        self._lose(None)

    def _lose(self, exc: Exception | None) -> None:
        if not self.done.is_set():
            self._closing = True
            self.end = "RST" if self._options.resets or exc else self.end or "FIN"
            self.done.set()
            asyncio.get_running_loop().call_soon(self.relay.connection_lost, exc)
