"""Switch a socket between Buffer Access Mode and Direct Push Mode (§2.2.7).

Layer: aio.

In push mode the module can't be paused. A socket whose reader falls behind is therefore switched
to buffer mode, and back once everything has been read. Each switch is a flash write on the
module, so switching back waits until the last such return is a minute ago. The session sends
AT+QISWTMD itself, because no command may come between the last read and the switch.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiobc9x.aio.line.driver import Driver
from aiobc9x.core.events import ModeSwitched, SwitchRefused
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import ModemError, StreamBroken, command_error
from aiobc9x.spec import AccessMode
from aiobc9x.wire.commands.tcpip import Qiswtmd

SWITCH_BACK_INTERVAL_S: Final = 60.0
"""Seconds between two automatic returns to push mode, over all sockets: at most
1440 pairs of flash writes a day."""

_LOOK_S: Final = 0.5


class ModeSwitcher:
    """Switch access modes on request, and to relieve slow readers; limit the latter."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._next_return = 0.0
        self._relieved: set[Slot] = set()

    async def switch(self, slot: Slot, mode: AccessMode) -> None:
        """Switch a socket to an access mode, for as long as nothing else is asked for.

        Raises:
            RuntimeError: A later call has chosen the other mode before this one was done.
            CommandError: The module refused; the socket stays as it was.
            ModemError: The connection or the link failed.

        Cancellation is safe: the switch goes on by itself.
        """
        # The owner's decision ends a relief that is under way.
        self._relieved.discard(slot)
        is_done = await self._switch(slot, mode)
        # A reader that is behind may have been relieved in the meantime; that is undone later.
        if not (is_done or slot in self._relieved):
            raise RuntimeError(
                f"socket {slot.connect_id} is not in {mode.name} mode: a later call of"
                " set_access_mode() has chosen the other one; await one before the next"
            )

    async def _switch(self, slot: Slot, mode: AccessMode) -> bool:
        """Switch a socket; return whether it is in that mode, or a later call has won."""
        if _is_in(slot, mode):
            return True
        over = self._driver.expect_of(slot, ModeSwitched, SwitchRefused)
        self._driver.session.switch_mode(slot, mode)
        self._driver.kick()
        while True:
            try:
                event = await over
            finally:
                over.cancel()
            if _is_in(slot, mode) or (isinstance(event, ModeSwitched) and not slot.is_live):
                # In the second case the socket was switched, and has ended since.
                return True
            if isinstance(event, SwitchRefused):
                if event.reason:
                    raise StreamBroken(f"the access mode was not switched: {event.reason}")
                raise command_error(Qiswtmd(slot.connect_id, mode).text, event.err)
            if slot.wanted_mode is not mode:
                return False
            # The event belonged to another call's switch.
            over = self._driver.expect_of(slot, ModeSwitched, SwitchRefused)

    async def relieve(self, slot: Slot) -> None:
        """Switch a socket whose reader is behind to buffer mode until it has caught up.

        Then it returns to push mode, unless its owner has switched it meanwhile.
        """
        self._relieved.add(slot)
        try:
            await self._switch(slot, AccessMode.BUFFER)
            await self._restore(slot)
        except ModemError as exc:
            # The end of a socket is reported anyway.
            if slot.is_live:
                text = "! can't switch the mode of socket %(connect_id)d: %(reason)s"
                self._driver.log.warning(text, connect_id=slot.connect_id, error=exc)
        finally:
            self._relieved.discard(slot)

    async def _restore(self, slot: Slot) -> None:
        while slot.state is SlotState.OPEN and slot in self._relieved:
            wait = self._next_return - self._driver.time()
            empty = not slot.readable and not slot.holds_data
            if wait <= 0 and slot.wants_read and empty and self._driver.session.length_shown:
                self._next_return = self._driver.time() + SWITCH_BACK_INTERVAL_S
                await self._switch(slot, AccessMode.PUSH)
                return
            await asyncio.sleep(max(wait, _LOOK_S))


def _is_in(slot: Slot, mode: AccessMode) -> bool:
    """Whether a socket is certainly in a mode, and no switch is under way."""
    is_settled = slot.wanted_mode is None and slot.held is None and not slot.is_mode_doubtful
    return slot.is_live and slot.access_mode is mode and is_settled
