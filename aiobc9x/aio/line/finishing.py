"""Wait for something that must end before a cancelled call returns, or that may never end.

Layer: aio.

:meth:`asyncio.Task.cancel` interrupts one ``await`` of a task. A cancelled scope of anyio
interrupts every ``await``. A call that must clean up before it raises ``CancelledError`` has to
wait through both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import anyio

LAST_MOMENT_S: Final = 2.0
"""Seconds that a program's own code has to end once it is cancelled; our choice.

:meth:`Modem.aclose` waits for it, and a link that is away must be closed within 5 s.
"""


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


async def contain(work: Coroutine[Any, Any, object], limit: float) -> None:
    """Run a program's own code so that nothing it does can hold up its caller, or end it.

    Args:
        work: The coroutine (``Any``: as coroutines are annotated).
        limit: Seconds until it is cancelled. If it ignores that too, it is left behind.

    Raises:
        TimeoutError: It did not end in time.
        RuntimeError: It was cancelled, and not by this call.
        Exception: Whatever it raised.

    Cancellation cancels the work, and waits for its end for at most :data:`LAST_MOMENT_S`.
    """
    task = asyncio.create_task(work, name="aiobc9x contained")
    task.add_done_callback(_take_error)
    try:
        await asyncio.wait([task], timeout=limit)
    except asyncio.CancelledError:
        task.cancel()
        await until_done(task, LAST_MOMENT_S)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=LAST_MOMENT_S)
        stays = "" if task.done() else ", and ignores its cancellation"
        raise TimeoutError(f"it did not end in {limit:g} s{stays}")
    if task.cancelled():
        raise RuntimeError("it was cancelled from inside")
    task.result()


def _take_error(task: asyncio.Task[object]) -> None:
    """Take the exception of a task that nobody may ask any more, as asyncio would report it."""
    if not task.cancelled():
        task.exception()
