"""Switch a socket between Buffer Access Mode and Direct Push Mode (§2.2.7).

Layer: aio.

Direct push can't be paused: a socket whose reader falls behind is switched to buffer
mode, and back once everything has been read. Each switch is a flash write on the
module, so switching back waits until the last one is long enough ago.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiobc9x.core.sockets import Slot, SlotState
from aiobc9x.errors import CommandError, ModemError
from aiobc9x.spec import AccessMode
from aiobc9x.wire.commands import Qiswtmd

if TYPE_CHECKING:
    from aiobc9x.aio.driver import Driver

logger = logging.getLogger("aiobc9x.aio")

SWITCH_BACK_INTERVAL_S: Final = 60.0
"""Seconds between two automatic returns to push mode, over all sockets: at most
1440 pairs of flash writes a day."""

_LOOK_S: Final = 0.5


class ModeSwitcher:
    """Switches access modes, and limits how often it does so by itself."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._next_return = 0.0

    async def switch(self, slot: Slot, mode: AccessMode) -> None:
        """Switch a socket now.

        Raises:
            CommandError: The module refused; the socket stays as it was.
            ModemError: The link failed.

        """
        if slot.access_mode is mode:
            return
        await self._driver.run(Qiswtmd(slot.connect_id, mode))
        if mode is AccessMode.BUFFER and slot.is_live:
            slot.readable = True  # it may have collected something without a word
        self._driver.kick()

    async def relieve(self, slot: Slot) -> None:
        """Switch a socket whose reader is behind to buffer mode."""
        try:
            await self.switch(slot, AccessMode.BUFFER)
        except CommandError as exc:
            logger.warning("! can't leave push mode on socket %d: %s", slot.connect_id, exc)

    async def restore(self, slot: Slot) -> None:
        """Return a socket to push mode once it has been read empty, if its reader keeps up."""
        while slot.state is SlotState.OPEN:
            wait = self._next_return - self._driver.time()
            if wait <= 0 and slot.wants_read and not slot.readable and not slot.holds_data:
                self._next_return = self._driver.time() + SWITCH_BACK_INTERVAL_S
                try:
                    await self.switch(slot, AccessMode.PUSH)
                except ModemError as exc:
                    logger.warning("! can't return to push mode: %s", exc)
                return
            await asyncio.sleep(max(wait, _LOOK_S))
