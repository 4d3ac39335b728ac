"""Rest, but no longer than makes sense.

Layer: aio.
"""

from __future__ import annotations

import asyncio

from aiobc9x.aio.line.driver import Driver
from aiobc9x.wire.urcs import Urc


async def rest(driver: Driver, seconds: float) -> None:
    """Sleep; a lost link or a restart ends it early, and the next command tells of it.

    Cancellation is safe.
    """
    ended: asyncio.Future[None] = driver.expect(_nothing)
    try:
        await asyncio.wait([ended], timeout=seconds)
    finally:
        ended.cancel()


def _nothing(_urc: Urc) -> None:
    return None
