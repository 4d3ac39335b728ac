"""Flush and close every socket when a modem is closed.

Layer: aio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import anyio

from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.errors import LinkLost

CLOSE_LIMIT_S: Final = 14.5
"""Seconds for all sockets together; :meth:`Modem.aclose` promises the port within 15."""

SILENT_LIMIT_S: Final = 4.5
"""The same while the module doesn't answer: what it is told now, it most likely doesn't hear."""

_LOOK_S: Final = 0.1

DROP_TIME_S: Final = 2.5
"""Of these, at least so many are for closing those that could not be flushed."""


async def close_all(keeper: SocketKeeper) -> None:
    """Flush and close every socket; what can't be flushed in time is dropped, and closed too.

    An open socket costs the module more than lost bytes cost a program that is leaving: the
    module keeps it, with its connect ID, until the next start closes it.
    """
    limit = SILENT_LIMIT_S if keeper.session.suspended else CLOSE_LIMIT_S
    end = keeper.driver.time() + limit
    with anyio.CancelScope() as flush:
        await _flush(keeper, flush, end)
    if flush.cancelled_caught:
        with anyio.CancelScope() as drop:
            await _drop(keeper, drop, end)


async def _flush(keeper: SocketKeeper, scope: anyio.CancelScope, end: float) -> None:
    keeper.is_closing = True
    for slot in keeper.session.sockets:
        owner = owner_of(slot)
        if owner is None:
            keeper.close(slot, whoever=True)  # nobody accepts connections any more
        else:
            owner.close()
    await _all_freed(keeper, scope, lambda: end - _time_to_drop(keeper))
    scope.deadline = end
    if keeper.has_foreign_sockets or keeper.has_listened:
        await keeper.close_foreign()


async def _drop(keeper: SocketKeeper, scope: anyio.CancelScope, end: float) -> None:
    for slot in keeper.session.sockets:
        owner = owner_of(slot)
        if owner is not None:
            owner.on_failed(LinkLost("the modem was closed"))
    await _all_freed(keeper, scope, lambda: end)


def _time_to_drop(keeper: SocketKeeper) -> float:
    """Return the seconds that closing all sockets takes, by how fast the module has answered."""
    answers = len(keeper.session.sockets) + 1  # one may be on its way
    return max(DROP_TIME_S, 0.5 + 1.1 * answers * keeper.session.line.latency_s)


async def _all_freed(
    keeper: SocketKeeper, scope: anyio.CancelScope, end: Callable[[], float]
) -> None:
    """Wait until no socket is in use, or the time has come that depends on how many are.

    A module that leaves a command without an answer for :data:`SILENT_LIMIT_S` ends the wait too.
    """
    while len(keeper.session.sockets) and keeper.driver.is_alive:
        left = SILENT_LIMIT_S - keeper.driver.silence
        scope.deadline = end() if left > 0 else -math.inf
        with anyio.move_on_after(max(left, _LOOK_S)):
            await keeper.freed.wait()
