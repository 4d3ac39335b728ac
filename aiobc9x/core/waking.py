"""Wake a module that may be asleep: it is deaf to the line that wakes it.

Layer: core. Does no I/O; time comes in as ``now``.

The first line is AT, which is thrown away: asleep, the module answers nothing, and awake it
answers at once. What follows it is AT+CFUN?, whose answer has a line of its own, so that an ``OK``
alone can only be the late one to AT. So the first line needs no long wait, and nothing has to
be drained. ::

    line         waits   answered                   not answered
    AT           0.15 s  it was awake               ask
    AT+CFUN?     0.3 s   it is awake; OK alone is   ask again, 0.5 s, then 1 s each;
                         late, and waited over      after the last one the step is lost

Each line has twice the module's latency more, as measured; before that the note's 300 ms (§2.1.2).
A module that says that it leaves its sleep ("EXIT DEEPSLEEP", +QATWAKEUP) is asked at once. After
several questions the answers to the earlier ones are let pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.slotted import slotted
from aiobc9x.spec import MAX_RESPONSE_TIME_S
from aiobc9x.wire.commands.radio import At, Cfun

if TYPE_CHECKING:
    from aiobc9x.core.exchange import Exchange
    from aiobc9x.wire.commands.base import Command

_LIMITS_S: Final = (0.15, 0.3, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0)
"""How long each line has. Ours; a relative took ten lines in 5 s behind a long sleep."""

_LATE_S: Final = 0.3
"""How long the answers to earlier questions may come behind the last one's: the note's time."""

_LATENCIES: Final = 2
"""How much longer than its measured latency a slow module may take, in latencies. Ours."""

_AT: Final = At()
_QUESTION: Final = Cfun()


@slotted(frozen=True)
class Wake:
    """A line whose only use is to wake the module, or to show that it is awake."""


WAKE: Final = Wake()


def _margin(latency_s: float) -> float:
    return _LATENCIES * (latency_s or MAX_RESPONSE_TIME_S / 2)


class Waker:
    """Knows how far a module is from being awake.

    Attributes:
        lines: How many lines have been written without an answer, the one in flight included.
        is_announced: The module has said that it left its sleep.
        late_until: Until when answers may come that nobody awaits any more.

    """

    is_announced: bool
    late_until: float
    lines: int

    __slots__ = ("is_announced", "late_until", "lines")

    def __init__(self) -> None:
        self.lines, self.is_announced, self.late_until = 0, False, -math.inf

    def next_line(self, latency_s: float) -> tuple[Command[Any], float]:
        """Return the next line, and how long its answer may take.

        Args:
            latency_s: What the module takes for an answer when it is awake, as measured; 0 if
                it has not been measured yet.

        """
        if not self.lines:
            self.is_announced = False
        command = _QUESTION if self.lines else _AT
        limit = _LIMITS_S[self.lines] + _margin(latency_s)
        self.lines += 1
        return command, limit

    def has_more(self) -> bool:
        """Whether there is another line to try; begin anew behind the last one."""
        if self.lines < len(_LIMITS_S):
            return True
        self.reset()
        return False

    def reset(self) -> None:
        """Begin anew with the next sleep."""
        self.lines = 0

    def is_late(self, exchange: Exchange) -> bool:
        """Whether a final result is that of AT, and not yet the question's own."""
        return exchange.command is _QUESTION and exchange.succeeded and not exchange.lines

    def awake(self, now: float, latency_s: float) -> int:
        """Note that the module has answered; return how many lines it has not heard before."""
        unheard, self.lines = self.lines - 1, 0
        if unheard > 1:
            self.late_until = now + _LATE_S + _margin(latency_s)
        return unheard

    def is_past(self, now: float) -> bool:
        """Whether a final result that nobody awaits is the answer to an earlier question."""
        return now < self.late_until
