"""Wait until a program has stopped writing, so that the pieces of a message become one send.

Layer: aio.

HTTP libraries write a request in pieces: the head, then the body, or each part of a form. They go
through the event loop once or twice between two pieces. A send over the module costs a command,
two answers and at least one change of direction, which is worth more than a few rounds of the
loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

QUIET_ROUNDS: Final = 2
"""Rounds of the loop without a piece that end a message.

An async library goes through the loop once for its checkpoint, and once more to take the next
piece out of an async iterator.
"""

MOST_ROUNDS: Final = 16
"""Rounds after which a message is sent though there is a new piece in each. Ours."""


class Gathering:
    """Call ``ready`` once after a burst of pieces, from a callback of the loop."""

    __slots__ = ("_handle", "_loop", "_quiet_rounds", "_ready", "_rounds")

    def __init__(self, loop: asyncio.AbstractEventLoop, ready: Callable[[], None]) -> None:
        self._loop = loop
        self._ready = ready
        self._handle: asyncio.Handle | None = None
        self._rounds = self._quiet_rounds = 0

    def add(self) -> None:
        """Note a piece."""
        self._quiet_rounds = 0
        if self._handle is None:
            self._rounds = 0
            self._handle = self._loop.call_soon(self._on_round)

    def end(self) -> None:
        """Don't call ``ready`` for the pieces up to here."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _on_round(self) -> None:
        self._rounds += 1
        self._quiet_rounds += 1
        if self._quiet_rounds < QUIET_ROUNDS and self._rounds < MOST_ROUNDS:
            self._handle = self._loop.call_soon(self._on_round)
        else:
            self._handle = None
            self._ready()
