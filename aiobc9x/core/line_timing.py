"""How long the module and the host take beyond the bytes on the line.

Layer: core. Does no I/O; time comes in as ``now``.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

from aiobc9x.core.exchange import BITS_A_BYTE, Exchange
from aiobc9x.core.statistics import Statistics

_WEIGHT: Final = 1 / 8
"""Of a new sample in the average, as in RFC 6298; the first one counts in full."""

_SHORT_BYTES: Final = 100
"""An exchange of more tells of the line's rate rather than of latency."""

_LONG_BYTES: Final = 500
"""An exchange of more tells little of latency."""

_RATES_KEPT: Final = 8
"""Long exchanges whose best rate counts: whatever delays one only takes away from it."""

_CLEARLY_LESS: Final = 0.7
"""Of the rate that was told: a measured one below that is believed."""


class LineTiming(NamedTuple):  # one is made a send, and a frozen dataclass takes twice as long
    """What the line and its two ends take.

    Attributes:
        bytes_per_s: Rate of the serial line: as told, or as measured if that is clearly less.
        latency_s: From the last byte of a command to the first of its answer.
        turnaround_s: From the prompt to the payload: the host's own time.

    """

    bytes_per_s: float
    latency_s: float = 0.0
    turnaround_s: float = 0.0


class Stopwatch:
    """Averages the latency of the module and the turnaround of the host.

    Attributes:
        fastest: Bytes per second that have crossed the line once; so it has no less.

    """

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._latency: float | None = None
        self._turnaround: float | None = None
        self._prompt_at: float | None = None
        self._rates: deque[float] = deque(maxlen=_RATES_KEPT)
        self.fastest = 0.0

    def crossing_s(self, size_bytes: int, baudrate: int) -> float:
        """Return the least time that so many bytes take to cross the line.

        A line may be faster than it was said to be, as one in memory is. What has crossed it
        so far shows that, so the fastest exchange counts.
        """
        return size_bytes / max(self.fastest, baudrate / BITS_A_BYTE)

    def line(self, baudrate: int) -> LineTiming:
        """Return what has been measured; 0 where nothing has.

        A serial server's port may be slower than ``baudrate``, which nobody has checked.
        """
        rate = self._rate(baudrate)
        return LineTiming(rate, self._latency or 0.0, self._turnaround or 0.0)

    def _rate(self, baudrate: int) -> float:
        told = baudrate / BITS_A_BYTE
        if len(self._rates) < 2 or (best := max(self._rates)) >= _CLEARLY_LESS * told:
            return told
        return best

    def crossed(self, size_bytes: int, took_s: float) -> None:
        """See how fast the line is at least: an answer came behind the whole command.

        What else has arrived meanwhile tells nothing: links deliver in chunks, and a line
        carries both directions at once.
        """
        self.fastest = size_bytes / took_s if took_s > 0 else math.inf

    def answered(self, exchange: Exchange, now: float, baudrate: int) -> None:
        """Take a sample of the latency at a prompt, or at the end of an exchange without one.

        Args:
            exchange: What the module answered. A long one tells of the rate: if the line is
                slower than it was said to be, that is no latency.
            now: The time.
            baudrate: Bits per second.

        """
        if exchange.prompted or exchange.traffic_before is None:
            return
        size = self._statistics.traffic_bytes - exchange.traffic_before
        took = now - exchange.started
        if size <= _SHORT_BYTES:
            rate = self._rate(baudrate) if self._rates else baudrate / BITS_A_BYTE
            self._latency = _averaged(self._latency, took - size / rate)
        elif size > _LONG_BYTES and took > (latency := self._latency or 0.0):
            self._rates.append(size / (took - latency))

    def prompted(self, now: float) -> None:
        """Note that a prompt has come: the payload is due."""
        self._prompt_at = now

    def written(self, now: float) -> None:
        """Take a sample of the turnaround, if a prompt came before these bytes."""
        if self._prompt_at is not None:
            self._turnaround = _averaged(self._turnaround, now - self._prompt_at)
            self._prompt_at = None


def _averaged(average: float | None, sample: float) -> float:
    sample = sample if sample > 0.0 else 0.0
    return sample if average is None else average + _WEIGHT * (sample - average)
