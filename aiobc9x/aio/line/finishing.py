"""Wait for something that must end before a cancelled call returns.

Layer: aio.

:meth:`asyncio.Task.cancel` interrupts one ``await`` of a task. A cancelled scope of anyio
interrupts every ``await``. A call that must clean up before it raises ``CancelledError`` has to
wait through both.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio


async def until_done(future: asyncio.Future[Any], limit: float | None = None) -> bool:
    """Wait until a future is done, however often the caller is cancelled meanwhile.

    Cancellations that arrive while this waits are dropped, so only a caller that raises
    :class:`asyncio.CancelledError` afterwards may use it.

    Args:
        future: A future or a task (``Any``: its result is of no interest).
        limit: Seconds to wait at most; ``None``: no limit.

    Returns:
        Whether it is done.

    """
    loop = asyncio.get_running_loop()
    end = None if limit is None else loop.time() + limit
    with anyio.CancelScope(shield=True):
        while not future.done():
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                return False
            try:
                await asyncio.wait([future], timeout=left)
            except asyncio.CancelledError:
                continue
    return True
