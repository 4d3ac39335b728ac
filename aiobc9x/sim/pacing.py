"""Pace the serial line: decide which bytes have crossed it by now.

Layer: sim. Reads no clock: ``now`` is passed in.
"""

from __future__ import annotations

BITS_PER_BYTE = 10
"""A start bit, eight data bits and a stop bit (8N1)."""

GRANULE_S = 0.005
"""Bytes of one burst are handed over in pieces of at most this many seconds."""


class Lane:
    """One direction of the line.

    Bytes go in at once and come out at the line's speed. Each byte takes ten bits'
    time after the one before, or after it went in if the line was idle, so that a
    late call delays nothing but itself.

    Args:
        cut_at: A byte after which a piece always ends, so that its end is known to
            the byte: the ``<CR>`` that starts a command.

    Attributes:
        baud: Bits a second; 0 for no pacing.

    """

    def __init__(self, cut_at: bytes = b"") -> None:
        self.baud = 0
        self._cut_at = cut_at
        self._bytes = bytearray()
        self._free = 0.0

    def __len__(self) -> int:
        return len(self._bytes)

    def put(self, data: bytes, now: float) -> None:
        """Begin to send ``data`` at ``now``, or after what is still on its way."""
        if not self._bytes:
            self._free = max(self._free, now)
        self._bytes += data

    def due(self) -> float | None:
        """Return when the next piece is across, or ``None`` for an empty line."""
        if not self._bytes:
            return None
        return self._free + self._piece() * self._byte_time()

    def take(self, now: float) -> bytes:
        """Take the bytes that are across at ``now``."""
        if not self._bytes:
            return b""
        if not self.baud and self._free <= now:  # there is nothing to count
            taken = bytes(self._bytes)
            self._bytes.clear()
            return taken
        due = self.due()
        if due is None or due > now:
            return b""
        time = self._byte_time()
        across = len(self._bytes)
        if time:
            across = min(across, int((now - self._free) / time + 1e-6))
        across = max(across, self._piece())
        taken = bytes(self._bytes[:across])
        del self._bytes[:across]
        self._free += across * time
        return taken

    def clear(self) -> None:
        """Drop what is on its way."""
        self._bytes.clear()

    def _byte_time(self) -> float:
        return BITS_PER_BYTE / self.baud if self.baud else 0.0

    def _piece(self) -> int:
        """Return how many bytes are handed over at once."""
        if not self.baud:
            return len(self._bytes)
        most = max(1, int(GRANULE_S * self.baud / BITS_PER_BYTE))
        piece = min(most, len(self._bytes))
        cut = self._bytes.find(self._cut_at, 0, piece) if self._cut_at else -1
        return cut + 1 if cut >= 0 else piece
