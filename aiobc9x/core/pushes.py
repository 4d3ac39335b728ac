"""Keep pushed data back until they are known to be whole (§2.3.2).

Layer: core. Does no I/O; time comes in as ``now``.

Nothing behind pushed data says that they are complete. But data that lost bytes on the
line swallow as many of what follows, so the traces come at once: no line end behind
them, another one than the module prints, or a line that is not silent. A payload is
therefore delivered when the next frame shows no trace, or after a moment of silence.
"""

from __future__ import annotations

from typing import Final

from aiobc9x.wire._frames import NO_PUSH_END
from aiobc9x.wire.framer import Damage, Frame, Framer, Payload

SILENCE_S: Final = 0.03
"""Silence behind the data that shows that they are whole; 30 bytes at 9600 baud."""

PATIENCE_S: Final = 1.0
"""How long a line end that the module always prints may stay away."""

_LINE_END: Final = b"\r\n"
_SWALLOWED: Final = "pushed data swallowed the line end behind them: they lost bytes"


class PushGate:
    """Holds one payload at most.

    Attributes:
        due: When :meth:`expire` must be called; ``None`` if nothing is held.
        is_unchecked: A payload's end is still to come, whether or not it was delivered.

    """

    def __init__(self, framer: Framer) -> None:
        self.due: float | None = None
        self.is_unchecked = False
        self._framer = framer
        self._held: Payload | None = None
        self._since = 0.0
        self._ends_own_line: bool | None = None

    def hold(self, payload: Payload, now: float) -> None:
        """Keep a payload back."""
        self._held, self._since, self.due = payload, now, now + SILENCE_S
        self.is_unchecked = True

    def check(self, frame: Frame) -> tuple[Payload | None, str | None]:
        """Look at the frame behind a payload; there must be one that :attr:`is_unchecked`.

        Returns:
            The payload if it is whole, and what is wrong if it, or one that was delivered
            after silence, is not.

        """
        if isinstance(frame, Damage) and frame.reason == NO_PUSH_END:
            self._settle()
            return None, None  # it says itself what is wrong
        return self._settle()

    def expire(self, now: float) -> tuple[Payload | None, str | None]:
        """Deliver what silence has shown to be whole; see :meth:`check`."""
        if self.due is None or now < self.due:
            return None, None
        behind = self._framer.behind_push
        if behind is None and self._framer.push_ends:
            return self._settle()  # the end is known, but the next frame is slow
        if self._ends_own_line and behind not in {_LINE_END, None}:
            if now < self._since + PATIENCE_S:
                self.due = self._since + PATIENCE_S
                return None, None
            self.clear()
            return None, _SWALLOWED
        held, self._held, self.due = self._held, None, None
        return held, None

    def _settle(self) -> tuple[Payload | None, str | None]:
        """Judge the oldest payload by its end; see :meth:`check`."""
        self.is_unchecked = False
        held, self._held, self.due = self._held, None, None
        end = self._framer.push_ends.popleft() if self._framer.push_ends else None
        if end is None or self._ends_own_line in {None, end}:
            self._ends_own_line = self._ends_own_line if end is None else end
            return held, None
        self._ends_own_line = None
        return None, _SWALLOWED

    def clear(self) -> None:
        """Drop what is held."""
        self._held = self.due = None
        self.is_unchecked = False
        self._framer.push_ends.clear()
