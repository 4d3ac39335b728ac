"""Close one socket on the module and wait for its ``CLOSE OK`` (§2.2.2).

Layer: aio.

The module answers AT+QICLOSE with ``OK`` at once, and with ``CLOSE OK`` when the socket is
gone, up to ten seconds later (N6). ``CLOSE OK`` names no socket, so callers send one close at a
time and wait for its ``CLOSE OK`` (F39).
"""

from __future__ import annotations

import asyncio
import enum
from typing import Final

from aiobc9x.aio.line.driver import Driver
from aiobc9x.core.events import Lane
from aiobc9x.core.slots import Slot
from aiobc9x.spec import CLOSE_TIME_S
from aiobc9x.wire.commands.tcpip import Qiclose
from aiobc9x.wire.urcs import CloseOk

CLOSE_OK_LIMIT_S: Final = CLOSE_TIME_S + 2.0
"""Seconds to wait for ``CLOSE OK`` (N6, F39)."""


class CloseResult(enum.Enum):
    """The result of one AT+QICLOSE."""

    CONFIRMED = "CLOSE OK has come: the connect ID is free"
    REFUSED = "answered by ERROR: most often the module has no such socket"
    UNCONFIRMED = "accepted, but CLOSE OK did not come in time"


async def close_and_wait(
    driver: Driver,
    connect_id: int,
    *,
    lane: Lane,
    limit: float = CLOSE_OK_LIMIT_S,
    slot: Slot | None = None,
) -> CloseResult:
    """Send AT+QICLOSE and wait for ``CLOSE OK``.

    Args:
        driver: Runs the command.
        connect_id: The connect ID of the socket, 0–5.
        lane: The lane of the command.
        limit: Seconds to wait for ``CLOSE OK`` after the ``OK``.
        slot: The socket, if it is one of ours.

    Raises:
        LinkTimeout: The command got no answer.
        ModuleReset: The module restarted meanwhile, which has freed every connect ID.
        LinkLost: The link failed.

    If this is cancelled, the command goes on by itself, and its ``CLOSE OK`` is ignored.
    """
    # Awaited from before the command, because CLOSE OK may come in one chunk with the OK.
    done = driver.expect(lambda urc: True if isinstance(urc, CloseOk) else None)
    try:
        answer = await driver.ask(Qiclose(connect_id), lane=lane, explain=False, slot=slot)
        if not answer.ok:
            return CloseResult.REFUSED
        await asyncio.wait([done], timeout=limit)
        if not done.done():
            return CloseResult.UNCONFIRMED
        done.result()  # raises if the link is lost, or the module has restarted
        return CloseResult.CONFIRMED
    finally:
        done.cancel()
