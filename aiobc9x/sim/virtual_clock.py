"""A virtual clock for a loop that runs: time jumps to the next timer when nothing else is to do.

Layer: sim; imports asyncio. A wait of hours takes as long as its computations. It fits whatever
stays in the loop, like a virtual module with a line and a network in memory; sockets, threads and
other processes take real time, of which this clock knows nothing.
"""

from __future__ import annotations

import asyncio
import selectors
from types import TracebackType
from typing import Any, Final

__all__ = ["Deadlock", "VirtualClock"]

RESOLUTION_S: Final = 1e-6
"""No timer waits for less; a float could not tell any smaller step from none."""

TURN_S: Final = 1e-9
"""What a turn of the loop takes: something, or code that waits until a moment is over would never
get there."""


class Deadlock(AssertionError):
    """Nothing is ready and no timer is set, yet somebody waits."""


class VirtualClock:
    """Gives a loop virtual time, for as long as the block runs.

    Args:
        loop: A loop of asyncio's own that runs on selectors; the running one if left out.
        now: What it shows at first, in seconds: with the same, two runs have the same times to the
            last digit. The loop's own time if left out.

    Raises:
        TypeError: It is another loop, such as uvloop's, whose time can't be changed.

    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, *, now: float | None = None
    ) -> None:
        found: Any = loop or asyncio.get_running_loop()
        if not isinstance(getattr(found, "_selector", None), selectors.BaseSelector):
            raise TypeError(
                f"{type(found).__name__} can't be given virtual time: use asyncio's own loop"
            )
        self._loop, self._selector = found, found._selector
        self._now: float = found.time() if now is None else now

    def __enter__(self) -> VirtualClock:
        """Begin virtual time; timers that are set keep their distance from now."""
        self._shift_timers(self._now - self._loop.time())
        self._loop._selector = _Jumping(self._selector, self)
        self._loop.time = self.time
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Go on in real time; timers that are set keep their distance from now."""
        self._loop._selector = self._selector
        del self._loop.time
        self._shift_timers(self._loop.time() - self._now)

    def _shift_timers(self, seconds: float) -> None:
        for timer in self._loop._scheduled:
            timer._when += seconds

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass within a turn of the loop, as by a callback that takes so long."""
        self._now += seconds


class _Jumping:
    """A selector that never waits: the clock goes forward instead."""

    def __init__(self, selector: selectors.BaseSelector, clock: VirtualClock) -> None:
        self._selector, self._clock = selector, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.advance(TURN_S)
        ready = self._selector.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(self._clock._loop))
            raise Deadlock(f"nothing can ever happen again, and these wait: {', '.join(waiting)}")
        self._clock.advance(max(timeout, RESOLUTION_S))
        return ready
