"""How long the module and the host take beyond the bytes on the line.

Layer: core. Does no I/O; time comes in as ``now``.
"""

from __future__ import annotations

from typing import Final

from aiobc9x.core.exchange import BITS_A_BYTE, Exchange, wire_time
from aiobc9x.core.forms import LineTiming
from aiobc9x.core.statistics import Statistics
from aiobc9x.spec import MAX_RESPONSE_TIME_S

_WEIGHT: Final = 1 / 8
"""Of a new sample in the average, as in RFC 6298; the first one counts in full."""

_SHORT_BYTES: Final = 100
"""An exchange of more tells of the line's rate rather than of latency."""


class Stopwatch:
    """Averages the latency of the module and the turnaround of the host."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._latency: float | None = None
        self._turnaround: float | None = None
        self._prompt_at: float | None = None

    def line(self, baudrate: int) -> LineTiming:
        """Return what has been measured; 0 where nothing has."""
        rate = baudrate / BITS_A_BYTE
        return LineTiming(rate, self._latency or 0.0, self._turnaround or 0.0)

    def answered(self, exchange: Exchange, now: float, baudrate: int) -> None:
        """Take a sample of the latency at a prompt, or at the end of an exchange without one.

        Args:
            exchange: What the module answered. One that the note gives more time than
                usual may wait for the network, so it tells nothing. Nor does a long one:
                if the line is slower than it is thought to be, that is no latency.
            now: The time.
            baudrate: Bits per second.

        """
        size = self._statistics.traffic_bytes - exchange.traffic_before
        quick = exchange.command.time_limit <= MAX_RESPONSE_TIME_S and not exchange.prompted
        if quick and size <= _SHORT_BYTES:
            self._latency = _averaged(
                self._latency, now - exchange.started - wire_time(size, baudrate)
            )

    def prompted(self, now: float) -> None:
        """Note that a prompt has come: the payload is due."""
        self._prompt_at = now

    def written(self, now: float) -> None:
        """Take a sample of the turnaround, if a prompt came before these bytes."""
        if self._prompt_at is not None:
            self._turnaround = _averaged(self._turnaround, now - self._prompt_at)
            self._prompt_at = None


def _averaged(average: float | None, sample: float) -> float:
    sample = max(sample, 0.0)
    return sample if average is None else average + _WEIGHT * (sample - average)
