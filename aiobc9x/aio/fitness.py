"""Say, without waiting, whether a modem can open connections now: for a load balancer's checks.

Layer: aio.
"""

from __future__ import annotations

import math
from typing import Final

from aiobc9x.aio.bringup.readiness import READY_TIMEOUT_S, Readiness
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.reconnecting import Life
from aiobc9x.aio.recovery import Health

COUNTED_ON_S: Final = 120.0
"""Seconds after a check for which an idle line is asked by AT; our choice.

Nobody else would notice that the module of a gateway without clients has stopped answering."""

PAUSE_S: Final = 10.0
"""Seconds between two waits for the network that checks begin; our choice.

Checks may come as fast as anybody likes, and must not keep the line busy."""


class Fitness:
    """Answers the checks on one modem.

    A check sends nothing itself. If the network is not known to be there, which a modem without
    clients never finds out, a check has it waited for in the background: else a balancer that
    sends no clients before a check succeeds would never send any.
    """

    def __init__(self, driver: Driver, life: Life, readiness: Readiness, health: Health) -> None:
        self._driver, self._life = driver, life
        self._readiness, self._health = readiness, health
        self._is_waiting = False
        self._next_wait = -math.inf

    def check(self) -> bool:
        """Return whether connections can be opened now, as far as is known; see the class."""
        now = self._driver.time()
        self._health.counted_on_until = now + COUNTED_ON_S
        if self._life.falters:
            return False
        if self._readiness.is_ready:
            return True
        if not self._is_waiting and now >= self._next_wait:
            self._is_waiting = True
            self._driver.spawn(self._wait)
        return False

    async def _wait(self) -> None:
        try:
            await self._readiness.wait(READY_TIMEOUT_S)
        finally:
            self._is_waiting = False
            self._next_wait = self._driver.time() + PAUSE_S
