"""Limit calls that consist of several stages, and name the stage in the timeout.

Layer: aio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiobc9x.aio.arguments import check_seconds
from aiobc9x.errors import StageTimeout
from aiobc9x.slotted import slotted


@slotted()
class Stage:
    """The present stage of a call, for the message of its timeout.

    Attributes:
        name: What the call waits for, for example ``"registering on the network"``.
        hint: What to do about it, or ``""``.

    """

    name: str = ""
    hint: str = ""


@asynccontextmanager
async def timing(timeout: float | None) -> AsyncIterator[Stage]:
    """Limit a call that consists of stages; its timeout names the stage.

    Args:
        timeout: Seconds; ``None`` for no limit.

    Raises:
        TypeError: The timeout is no number.
        StageTimeout: The time is up; a ``TimeoutError`` with a text of its own passes.

    """
    if timeout is not None:
        check_seconds("timeout", timeout)
    stage = Stage()
    try:
        async with asyncio.timeout(timeout):
            yield stage
    except TimeoutError as exc:
        if exc.args or timeout is None:
            raise
        raise StageTimeout(stage.name, timeout, stage.hint) from exc
