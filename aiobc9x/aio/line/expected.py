"""Keep the futures of those who wait for a URC.

Layer: aio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiobc9x.errors import ModemError
from aiobc9x.wire.urcs import Urc

T = TypeVar("T")


class Expected:
    """Futures for URCs that are still to come (``Any``: each has a result of its own type)."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[Any], Callable[[Urc], Any]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, match: Callable[[Urc], T | None], future: asyncio.Future[T]) -> None:
        """Have a future get the first value that ``match`` gives; cancel it to stop."""
        self._waiting[future] = match
        future.add_done_callback(lambda done: self._waiting.pop(done, None))

    def tell(self, urc: Urc) -> None:
        """Give a URC to each future that matches it."""
        for future, match in list(self._waiting.items()):
            if not future.done() and (value := match(urc)) is not None:
                future.set_result(value)

    def fail(self, error: Callable[[], ModemError]) -> None:
        """Fail every future, each with an exception of its own."""
        for future in list(self._waiting):
            fail_quietly(future, error())
        self._waiting.clear()


def fail_quietly(future: asyncio.Future[Any], error: ModemError) -> None:
    """Fail a future, unless it is done, without a warning if nobody awaits it."""
    if not future.done():
        future.set_exception(error)
        # asyncio logs an exception that was never retrieved; this counts as retrieving it.
        future.exception()
