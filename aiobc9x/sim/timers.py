"""Callbacks at points in time, in a stable order.

Layer: sim. Reads no clock: ``now`` is passed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timer:
    """One pending callback; :meth:`cancel` forgets it."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when: float = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the callback; harmless when it already ran."""
        self.callback = None


class Timers:
    """A queue of timers; those of one time run in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = count()

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` in the first :meth:`run` that is not before ``when``."""
        timer = Timer(when, callback)
        heapq.heappush(self._heap, (when, next(self._sequence), timer))
        return timer

    def deadline(self) -> float | None:
        """Return when the next callback is due, or ``None``."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Timer | None:
        """Take the first timer that is due at ``now``, if there is one."""
        due = self.deadline()
        if due is None or due > now:
            return None
        return heapq.heappop(self._heap)[2]

    def clear(self) -> None:
        """Forget every callback."""
        self._heap.clear()
