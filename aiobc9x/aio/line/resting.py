"""Sleep, but wake early if the link or the module goes.

Layer: aio.
"""

from __future__ import annotations

import asyncio

from aiobc9x.aio.line.driver import Driver
from aiobc9x.wire.urcs import Urc


async def rest(driver: Driver, seconds: float) -> None:
    """Sleep; return early if the link is lost or the module restarts.

    The next command then raises what has happened.

    Cancellation is safe.
    """
    ended: asyncio.Future[None] = driver.expect(_nothing)
    try:
        await asyncio.wait([ended], timeout=seconds)
    finally:
        ended.cancel()


def _nothing(_urc: Urc) -> None:
    return None
