"""Measure how long the module and the host take, and how fast the line is (F30).

Layer: core. Does no I/O; time comes in as ``now``.

The session chooses the form of each send by these figures, and recognizes by them a result
that comes too early to be the result of this send (F24).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

from aiobc9x.core.exchange import BITS_A_BYTE, Exchange
from aiobc9x.core.statistics import Statistics

_WEIGHT: Final = 1 / 8
"""Weight of a new sample in the average, as in RFC 6298; the first sample counts in full."""

_SHORT_BYTES: Final = 100
"""The most bytes of an exchange that is a sample of the latency.

In a longer one, the time on the line outweighs the latency.
"""

_LONG_BYTES: Final = 500
"""The fewest bytes of an exchange that is a sample of the line's rate.

In a shorter one, the latency outweighs the time on the line.
"""

_RATES_KEPT: Final = 8
"""How many samples of the rate are kept; the best counts, because delays only make one worse."""

_CLEARLY_LESS: Final = 0.7
"""A measured rate counts if it is below this part of the rate that the user gave."""


# A NamedTuple, because one is made for each send, and a frozen dataclass takes a little longer.
class LineTiming(NamedTuple):
    """The speed of the line, and the delays at its two ends.

    Attributes:
        bytes_per_s: Rate of the serial line: as the user gave it, or as measured if that is
            clearly less.
        latency_s: From the last byte of a command to the first of its answer.
        turnaround_s: From the prompt to the payload: the host's own time.

    """

    bytes_per_s: float
    latency_s: float = 0.0
    turnaround_s: float = 0.0


class Stopwatch:
    """Average the latency of the module and the turnaround of the host.

    Attributes:
        fastest: The highest rate seen so far, in bytes per second; the line is at least that
            fast.

    """

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._latency: float | None = None
        self._turnaround: float | None = None
        self._prompt_at: float | None = None
        self._rates: deque[float] = deque(maxlen=_RATES_KEPT)
        self.fastest: float = 0.0

    def crossing_s(self, size_bytes: int, baudrate: int) -> float:
        """Return the least time that so many bytes take to cross the line.

        A line may be faster than the user said, as one in memory is (F30). The fastest
        exchange so far shows that.
        """
        return size_bytes / max(self.fastest, baudrate / BITS_A_BYTE)

    def timing(self, baudrate: int) -> LineTiming:
        """Return the present figures; 0 for a delay that has not been measured.

        The port of a serial server may be slower than ``baudrate``, which is only what the
        user said (F30).
        """
        rate = self._rate(baudrate)
        return LineTiming(rate, self._latency or 0.0, self._turnaround or 0.0)

    def _rate(self, baudrate: int) -> float:
        told = baudrate / BITS_A_BYTE
        # One sample may have met a busy module; two that agree are the line.
        if len(self._rates) < 2 or (best := max(self._rates)) >= _CLEARLY_LESS * told:
            return told
        return best

    def note_crossing(self, size_bytes: int, took_s: float) -> None:
        """Note that a whole command has crossed the line in some time, as its answer shows.

        Bytes of the answer don't count: links deliver in chunks, and a line carries both
        directions at once.

        Args:
            size_bytes: Size of the command.
            took_s: Seconds from writing it to its answer.

        """
        self.fastest = size_bytes / took_s if took_s > 0 else math.inf

    def sample(self, exchange: Exchange, now: float, baudrate: int) -> None:
        """Take a sample at a prompt, or at the end of an exchange without a prompt.

        Args:
            exchange: The exchange. A short one is a sample of the latency, a long one of the
                rate: a line that is slower than the user said must not count as latency.
            now: The time.
            baudrate: Bits per second.

        """
        # After a prompt the host's own turnaround is part of the time.
        if exchange.prompted or exchange.traffic_before is None:
            return
        size = self._statistics.traffic_bytes - exchange.traffic_before
        took = now - exchange.started
        if size <= _SHORT_BYTES:
            rate = self._rate(baudrate) if self._rates else baudrate / BITS_A_BYTE
            self._latency = _averaged(self._latency, took - size / rate)
        elif size > _LONG_BYTES and took > (latency := self._latency or 0.0):
            self._rates.append(size / (took - latency))

    def note_prompt(self, now: float) -> None:
        """Note that a prompt has arrived, so that the host must write the payload."""
        self._prompt_at = now

    def note_written(self, now: float) -> None:
        """Take a sample of the turnaround, if a prompt came before these bytes."""
        if self._prompt_at is not None:
            self._turnaround = _averaged(self._turnaround, now - self._prompt_at)
            self._prompt_at = None


def _averaged(average: float | None, sample: float) -> float:
    # A line that is faster than assumed gives samples below 0.
    sample = sample if sample > 0.0 else 0.0
    return sample if average is None else average + _WEIGHT * (sample - average)
