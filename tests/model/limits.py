"""How long things may take, and what counts as wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import aiobc9x

T = TypeVar("T")

LIMIT_S: Final = 200.0
"""Virtual seconds that a single call, or a wait for data, may take."""

OPENING_S: Final = 1200.0
"""Virtual seconds for an open: by name it has 181, and others may be before it."""

TICK_S: Final = 0.25
"""Virtual seconds between two looks at whether everything has come."""

FAILURES: Final = (aiobc9x.ModemError, OSError, TimeoutError)
"""What the library may raise."""


class Wrong(AssertionError):
    """The library did what it must not."""


async def bounded(call: Awaitable[T], what: str, limit: float = LIMIT_S) -> T:
    """Wait for a call, but not for ever.

    Args:
        call: What to wait for; cancelled with the caller, and at the limit.
        what: Its name, for the message.
        limit: Virtual seconds.

    Raises:
        Wrong: It has not ended in time. Besides, whatever it raises.

    """
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise Wrong(f"{what} takes more than {limit:g} s")
    return await task
