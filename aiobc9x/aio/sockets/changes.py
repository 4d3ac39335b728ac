"""Wake all tasks that wait for a change.

Layer: aio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Changes:
    """Wake waiting tasks; unlike :class:`asyncio.Condition`, without a lock.

    A task that wakes looks at what has changed, and waits again if that is not what it needs.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._listeners: dict[object, Callable[[], object]] = {}

    def tell(self) -> None:
        """Wake all tasks that wait now, in the order in which they began to wait."""
        self._event.set()
        self._event.clear()
        for call in tuple(self._listeners.values()):
            call()

    @contextmanager
    def told(self, call: Callable[[], object]) -> Iterator[None]:
        """Have a function called at each change within the block."""
        key = object()
        self._listeners[key] = call
        try:
            yield
        finally:
            del self._listeners[key]

    async def wait(self) -> None:
        """Wait for the next change; cancellation is safe."""
        await self._event.wait()
