"""Wait for something that must end before a cancelled call returns.

Layer: aio.

A cancelled task hears of :meth:`asyncio.Task.cancel` once, and of a cancelled scope of
anyio at every ``await``. A call that cleans up before it lets the cancellation pass needs
to wait all the same.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio


async def until_done(future: asyncio.Future[Any], limit: float | None = None) -> bool:
    """Wait until a future is done, however often the caller is cancelled meanwhile.

    It is for callers that raise their own :class:`asyncio.CancelledError` behind it, because
    the cancellations that come here are forgotten.

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
