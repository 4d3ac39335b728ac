"""Collect the URCs of one operation, and run operations that outlive their callers.

Layer: aio.

``+QPING``, ``+QNTP`` and ``dnsgip`` name no request, so at most one operation of each kind runs
at a time. If its caller is cancelled, the operation goes on until the module has finished, so
that its lines can't be taken for those of the next operation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from aiobc9x.aio.line.driver import Driver
from aiobc9x.errors import LinkLost, LinkTimeout
from aiobc9x.wire.urcs import Urc

T = TypeVar("T")
U = TypeVar("U", bound=Urc)


class Inbox(Generic[U]):
    """Collects the URCs of some kinds from the moment when it is made."""

    def __init__(self, driver: Driver, *kinds: type[U]) -> None:
        self._kinds = kinds
        self._items: deque[U] = deque()
        self._arrived = asyncio.Event()
        self._future: asyncio.Future[None] = driver.expect(self._take)
        self._future.add_done_callback(lambda _: self._arrived.set())

    def _take(self, urc: Urc) -> None:
        if isinstance(urc, self._kinds):
            self._items.append(urc)
            self._arrived.set()

    async def get(self, timeout: float, command: str) -> U:
        """Wait for the next one.

        Raises:
            LinkTimeout: No result to ``command`` came in ``timeout`` seconds.
            ModemError: The link failed, or the module restarted.

        """
        try:
            async with asyncio.timeout(timeout):
                while not self._items:
                    if self._future.done():
                        self._future.result()
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError as exc:
            raise LinkTimeout(f"the module gave no result to {command!r} in {timeout:g} s") from exc
        return self._items.popleft()

    def skip(self, unwanted: Callable[[U], bool]) -> None:
        """Drop collected URCs, from the oldest on, as long as they are not wanted."""
        while self._items and unwanted(self._items[0]):
            self._items.popleft()

    def close(self) -> None:
        """Stop collecting."""
        self._future.cancel()


async def detached(
    driver: Driver, operation: Callable[..., Coroutine[Any, Any, T]], *args: object
) -> T:
    """Run an operation in the supervisor and wait for it.

    Cancellation is safe: the operation goes on by itself.
    """
    driver.check()
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        try:
            result = await operation(*args)
        except asyncio.CancelledError:
            if not future.done():
                future.set_exception(LinkLost(driver.reason))
            raise
        except Exception as exc:
            if not future.done():
                future.set_exception(exc)
        else:
            if not future.done():
                future.set_result(result)

    driver.spawn(run)
    return await future
