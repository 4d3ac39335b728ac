"""The line between host and module: speed, latency, chunks, losses."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

BITS_PER_BYTE: Final = 10

Done = Callable[[], None]


class Piece(NamedTuple):
    """Bytes that arrive together.

    Attributes:
        at: When the last of them arrives.
        data: The bytes.
        done: Called when they are complete, just before they are delivered.

    """

    at: float
    data: bytes
    done: Done | None


class Wire:
    """One direction: bytes come out in order, later, cut anew.

    Attributes:
        chance: That a block loses bytes.
        lost: How many blocks have lost bytes.
        told: Called with what gets lost.

    """

    def __init__(
        self, rng: Random, baudrate: int | None, cut: str, deliver: Callable[[bytes], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._byte_s = BITS_PER_BYTE / baudrate if baudrate else 0.0
        self._cut = cut
        self._deliver = deliver
        self._pieces: deque[Piece] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._paused = False
        self._closed = False
        self.chance = 0.0
        self.lost = 0
        self.told: Callable[[bytes], None] = lambda data: None

    def send(self, data: bytes, done: Done | None = None, spare: tuple[int, int] = (0, 0)) -> None:
        """Put a block on the line.

        Args:
            data: The block.
            done: Called when it has arrived.
            spare: Where in the block nothing may get lost.

        """
        if self._closed:
            return
        if self.chance and self._rng.random() < self.chance:
            data = self._spoil(data, spare)
        at = max(self._loop.time(), self._free_at)
        pieces = self._pieces_of(data) or [b""]
        for piece in pieces[:-1]:
            at += len(piece) * self._byte_s
            self._pieces.append(Piece(at, piece, None))
        at += len(pieces[-1]) * self._byte_s
        self._pieces.append(Piece(at, pieces[-1], done))
        self._free_at = at
        self._schedule()

    def backlog(self) -> float:
        """Return the seconds until all of it has arrived."""
        return max(0.0, self._free_at - self._loop.time())

    def cut_off(self) -> bool:
        """Lose what has not arrived yet; return whether there was something."""
        was_busy = bool(self._pieces)
        self._pieces.clear()
        self._free_at = 0.0
        return was_busy

    def close(self) -> None:
        """Carry nothing any more."""
        self._closed = True
        self._pieces.clear()
        if self._timer is not None:
            self._timer.cancel()

    def pause(self, paused: bool) -> None:
        """Hold what arrives, or let it through again."""
        self._paused = paused
        if not paused:
            self._schedule()

    def _spoil(self, data: bytes, spare: tuple[int, int]) -> bytes:
        rng = self._rng
        count = rng.choice((1, 1, 1, 2, 3, rng.randint(1, 20)))
        start = rng.randrange(max(1, len(data)))
        if start < spare[1] and start + count > spare[0]:
            start, count = 0, min(count, spare[0])
        self.lost += 1
        self.told(data[start : start + count])
        return data[:start] + data[start + count :]

    def _pieces_of(self, data: bytes) -> list[bytes]:
        if self._cut == "whole" or len(data) < 2:
            return [data] if data else []
        if self._cut == "bytes":
            return [data[at : at + 1] for at in range(len(data))]
        edges = sorted(self._rng.randrange(1, len(data)) for _ in range(self._rng.randint(0, 3)))
        return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]

    def _schedule(self) -> None:
        if self._timer is None and self._pieces and not self._paused and not self._closed:
            self._timer = self._loop.call_at(self._pieces[0].at, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        now = self._loop.time() + 1e-6
        joined = bytearray()
        first = True
        while self._pieces and self._pieces[0].at <= now and not self._paused:
            if self._cut == "bytes" and joined:
                break
            piece = self._pieces.popleft()
            if self._cut == "pieces" and not first and self._rng.random() < 0.5:
                self._flush(joined)
            if piece.done is not None:
                piece.done()  # before the host hears the block, because it answers at once
            joined += piece.data
            first = False
        self._flush(joined)
        self._schedule()

    def _flush(self, joined: bytearray) -> None:
        if joined and not self._closed:
            data = bytes(joined)
            joined.clear()
            self._deliver(data)


class HostEnd(asyncio.Transport):
    """What the library writes to and is called by."""

    def __init__(self, protocol: asyncio.Protocol, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._protocol = protocol
        self._write = write
        self._closing = False
        self.down: Wire | None = None
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the module."""
        if not self._closing and data:
            self._write(bytes(data))

    def received(self, data: bytes) -> None:
        """Pass bytes of the module on."""
        if not self._closing:
            self._protocol.data_received(data)

    def close(self) -> None:
        """Close the line."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        self.closed = True
        if self.down is not None:
            self.down.close()
        self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing

    def pause_reading(self) -> None:
        """Hold what arrives."""
        if self.down is not None:
            self.down.pause(True)

    def resume_reading(self) -> None:
        """Let through what has arrived."""
        if self.down is not None:
            self.down.pause(False)

    def is_reading(self) -> bool:
        """Whether the line is open."""
        return not self._closing

    def get_write_buffer_size(self) -> int:
        """Return 0: the line takes all at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the line takes all at once."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as in asyncio
        """Return the default."""
        return default
