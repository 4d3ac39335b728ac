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

ASK_AGAIN_S: Final = 2.2
"""Seconds of silence after which an answer counts as lost meanwhile. Our choice."""

_LOOK_S: Final = 0.1

DROP_TIME_S: Final = 2.5
"""Of these, at least so many are for closing those that could not be flushed."""


async def close_all(keeper: SocketKeeper) -> None:
    """Flush and close every socket; what can't be flushed in time is dropped, and closed too.

    An open socket costs the module more than lost bytes cost a program that is leaving: the
    module keeps it, with its connect ID, until the next start closes it.
    """
    limit = SILENT_LIMIT_S if keeper.session.suspended else CLOSE_LIMIT_S
    began = keeper.driver.time()
    with anyio.CancelScope() as flush:
        await _flush(keeper, flush, began, began + limit)
    if flush.cancelled_caught:
        with anyio.CancelScope() as drop:
            await _drop(keeper, drop, began, began + limit)


async def _flush(keeper: SocketKeeper, scope: anyio.CancelScope, began: float, end: float) -> None:
    keeper.is_closing = True
    for slot in keeper.session.sockets:
        owner = owner_of(slot)
        if owner is None:
            keeper.close(slot, whoever=True)  # nobody accepts connections any more
        else:
            owner.close()
    await _all_freed(keeper, scope, began, lambda: end - _time_to_drop(keeper))
    scope.deadline = end
    if keeper.has_foreign_sockets or keeper.has_listened:
        await keeper.close_foreign()


async def _drop(keeper: SocketKeeper, scope: anyio.CancelScope, began: float, end: float) -> None:
    for slot in keeper.session.sockets:
        owner = owner_of(slot)
        if owner is not None:
            owner.on_failed(LinkLost("the modem was closed"))
    await _all_freed(keeper, scope, began, lambda: end)


def _time_to_drop(keeper: SocketKeeper) -> float:
    """Return the seconds that closing all sockets takes, by how fast the module has answered."""
    answers = len(keeper.session.sockets) + 1  # one may be on its way
    return max(DROP_TIME_S, 0.5 + 1.1 * answers * keeper.session.line.latency_s)


def _silence(keeper: SocketKeeper, began: float) -> float:
    """Return for how long nothing has come of what the module owes; each question counts on."""
    driver = keeper.driver
    owes = driver.silence > 0 or keeper.session.suspended
    return driver.time() - max(driver.last_input, began) if owes else 0.0


async def _all_freed(
    keeper: SocketKeeper, scope: anyio.CancelScope, began: float, end: Callable[[], float]
) -> None:
    """Wait until no socket is in use, or the time has come that depends on how many are.

    A module that says nothing for :data:`SILENT_LIMIT_S`, though it owes an answer, ends the wait
    too. What it owed before counts from ``began`` on: an answer may be late by seconds, and whoever
    gives up too soon leaves sockets on the module. Half-way the module is asked anew, as the
    answer may be lost.
    """
    driver = keeper.driver
    while len(keeper.session.sockets) and driver.is_alive:
        silence = _silence(keeper, began)
        scope.deadline = end() if silence < SILENT_LIMIT_S else -math.inf
        if silence >= ASK_AGAIN_S and not keeper.session.suspended:
            driver.hasten()
        until = ASK_AGAIN_S if silence < ASK_AGAIN_S else SILENT_LIMIT_S
        with anyio.move_on_after(max(until - silence, _LOOK_S)):
            await keeper.freed.wait()
