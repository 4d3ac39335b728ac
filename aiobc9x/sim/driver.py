"""Move bytes between a virtual module and its link: pacing, cutting, back-pressure.

Layer: sim. Imports no asyncio: the loop's ``time``, ``call_soon`` and ``call_at`` come
in through :class:`Loop`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.pacing import Lane

OUT_ROOM = 4096
"""The most output bytes outside the module.

More stay inside it, where they hold the network back.
"""

IN_HIGH, IN_LOW = 16384, 4096
"""Input bytes at which the host is stopped, and at which it may go on."""


class Machine(Protocol):
    """A module, or what says what one said before."""

    wake: Callable[[], None]

    @property
    def board(self) -> Any:
        """What has the speed of the line, as ``baud``."""

    @property
    def output_pending(self) -> int:
        """Bytes that wait for :meth:`take_output`."""

    @property
    def input_pending(self) -> int:
        """Bytes of the host that wait."""

    def power_on(self, now: float) -> None:
        """Switch it on."""

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes of the host."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def deadline(self) -> float | None:
        """Return when something is due, or ``None``."""

    def take_output(self, most: int | None = None) -> bytes:
        """Take bytes for the host."""


class Handle(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Forget the call."""


class Loop(Protocol):
    """What the driver uses of an event loop."""

    def time(self) -> float:
        """Return the loop's time in seconds."""

    def call_soon(self, callback: Callable[[], None]) -> Handle:
        """Call back in the loop's next turn."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """Call back at a time."""


class End(Protocol):
    """The host's end of a link."""

    def deliver(self, data: bytes) -> int:
        """Hand over bytes; return how many it took.

        If not all, it calls :meth:`Driver.schedule` once it takes more.
        """

    def hold(self, hold: bool) -> None:
        """Stop or go on reading what the host writes."""


class Driver:
    """Move bytes and time between a module and the end of a link.

    Attributes:
        garble: Tells whether bytes arrive as noise, because the host's baud rate is wrong.

    """

    def __init__(self, module: Machine, options: SimOptions, loop: Loop) -> None:
        self._module = module
        self._loop = loop
        self._chunk = options.chunk
        self._paced = options.baud > 0
        self._random = random.Random(options.seed)
        self._from_host = Lane(cut_at=b"\r")
        self._to_host = Lane()
        self._unsent = b""
        self._end: End | None = None
        self._holding = False
        self._stopped = False
        self._soon: Handle | None = None
        self._timer: Handle | None = None
        self.garble: Callable[[], bool] = lambda: False
        module.wake = self.schedule

    def attach(self, end: End) -> None:
        """Connect a host. Output from before is lost to it, as on a real line."""
        self._end = end
        self.schedule()

    def detach(self, end: End) -> None:
        """Disconnect the host; the module goes on."""
        if self._end is end:
            self._end, self._unsent = None, b""
            self._holding = False
            self.schedule()

    def stop(self) -> None:
        """Cancel all scheduled calls; the driver can't be used afterwards."""
        self._end = None
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()
        self._stopped = True

    @property
    def input_pending(self) -> int:
        """Bytes of the host that the module hasn't taken yet."""
        return len(self._from_host) + self._module.input_pending

    def from_host(self, data: bytes) -> None:
        """Take bytes that the host wrote just now."""
        if not self._stopped:
            self._from_host.put(data, self._loop.time())
            self._pump(self._loop.time())

    def schedule(self) -> None:
        """Have bytes and timers looked at in the loop's next turn."""
        if self._soon is None and not self._stopped:
            self._soon = self._loop.call_soon(self._run_soon)

    def _run_soon(self) -> None:
        self._soon = None
        self._pump(self._loop.time())

    def _pump(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set_rate()
        received = self._from_host.take(now)
        if received and not self.garble():
            self._module.feed(received, now)
        else:
            self._module.tick(now)
        self._move_output(now)
        self._regulate()
        self._rearm(now)

    def _move_output(self, now: float) -> None:
        while self._flush():
            if self._module.output_pending:
                room = OUT_ROOM - len(self._to_host)
                self._to_host.put(self._module.take_output(room), now)
            elif not self._to_host:
                return
            self._unsent = self._to_host.take(now)
            if not self._unsent:
                return
            if self.garble():
                self._unsent = self._random.randbytes(len(self._unsent))

    def _flush(self) -> bool:
        """Hand over output that has crossed the line; return whether all of it is gone."""
        if self._end is None:
            self._unsent = b""
        if not self._unsent:
            return True
        piece = self._unsent[: self._cut(len(self._unsent))]
        taken = self._end.deliver(piece) if self._end is not None else len(piece)
        self._unsent = self._unsent[taken:]
        if self._unsent and taken == len(piece):
            # The next piece goes in another turn, so that the host gets two chunks.
            self.schedule()
        return not self._unsent

    def _cut(self, size: int) -> int:
        if self._chunk == "random":
            return self._random.randint(1, size)
        return min(size, self._chunk or size)

    def _set_rate(self) -> None:
        """Follow AT+IPR once its answer is across."""
        if self._paced and not self._to_host and not self._module.output_pending:
            self._to_host.baud = self._from_host.baud = self._module.board.baud

    def _regulate(self) -> None:
        hold = self.input_pending > (IN_LOW if self._holding else IN_HIGH)
        if hold != self._holding and self._end is not None:
            self._holding = hold
            self._end.hold(hold)

    def _rearm(self, now: float) -> None:
        times = [self._module.deadline(), self._from_host.due()]
        if not self._unsent:
            times.append(self._to_host.due())
        due = min((time for time in times if time is not None), default=None)
        if due is None:
            return
        if due <= now:
            self.schedule()
        else:
            self._timer = self._loop.call_at(due, lambda: self._on_time(due))

    def _on_time(self, due: float) -> None:
        # The loop may be early by its clock's resolution.
        self._timer = None
        self._pump(max(due, self._loop.time()))
