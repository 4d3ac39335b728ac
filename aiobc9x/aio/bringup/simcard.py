"""Ask for the SIM, and give it its PIN, with care: three wrong ones lock it.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiobc9x.aio.bringup.refusals import concerns_sim, sim_trouble
from aiobc9x.aio.line.driver import Driver
from aiobc9x.errors import (
    CommandError,
    LinkTimeout,
    PinRequired,
    PukRequired,
    SimError,
    SimMissing,
    cme_code,
)
from aiobc9x.wire.commands.radio import Cpin, Cpinr, Qpinc, SimTries

PATIENCE_S: Final = 5.0
"""Seconds for which a SIM may seem to be missing or wrong before that is believed (F51). Ours.

Also the seconds for which a SIM may still ask for a PIN that it has accepted.
"""

_PAUSE_S: Final = 0.5
_SIM_PUK, _SIM_BUSY = 12, 14  # 27.007, 9.2
_UNKNOWN: Final = SimTries(None, None)
_READY: Final = frozenset({"READY", "SIM PIN2", "SIM PUK2", "17", "18"})
"""States in which connections can be opened. PIN2 protects services that no connection needs."""


class SimCard:
    """Find out what the SIM waits for, and give it its PIN.

    Attributes:
        said: The last state of the SIM, in the module's words.

    """

    def __init__(self, driver: Driver, pin: str | None) -> None:
        self.said: str = ""
        self._driver, self._pin = driver, pin
        self._given_at: float | None = None
        self._unusable_since: float | None = None

    def forget(self) -> None:
        """Begin anew, because after a restart of the module the SIM wants its PIN again."""
        self._given_at = self._unusable_since = None

    async def is_ready(self) -> bool:
        """Return whether the SIM is ready; give it the PIN if it wants one.

        The PIN is given once after each restart, because three wrong PINs lock a SIM.

        Raises:
            SimError: Waiting won't help; its class says why.
            CommandError: The module refused to say.
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        self.said = await self._ask()
        if self.said in _READY:
            self._unusable_since = None
            return True
        trouble = sim_trouble(self.said)
        if isinstance(trouble, PinRequired):
            await self._give_own_pin(trouble)
        elif trouble is None:
            self._unusable_since = None
        elif not self._may_pass(trouble):
            raise await self._counted(trouble)
        return False

    async def give(self, pin: str) -> None:
        """Give the SIM a PIN, if a PIN is what it waits for; nothing is sent if it is ready.

        Raises:
            ValueError: Not a PIN; nothing was sent.
            SimError: It wants something else, there is no SIM, or it refused the PIN.
            CommandError: The module refused to say, or the SIM stayed busy; nothing was sent.
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        command = Cpin(pin)
        if await self._waits_for(PinRequired):
            await self._send(command)

    async def unblock(self, puk: str, new_pin: str) -> None:
        """Give a SIM its PUK and a new PIN, if the PUK is what it waits for.

        From then on the new PIN is the modem's own.

        Raises:
            ValueError: No PUK, or no PIN; nothing was sent.
            SimError: It wants something else, there is no SIM, or it refused the PUK.
            CommandError: The module refused to say, or the SIM stayed busy; nothing was sent.
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        command = Cpin(puk, new_pin)
        if await self._waits_for(PukRequired):
            try:
                await self._driver.run(command)
            except CommandError as exc:
                if cme_code(exc.cme) == _SIM_BUSY:
                    raise
                trouble = None if exc.cme is None else sim_trouble(exc.cme)
                if trouble is None or isinstance(trouble, PinRequired):
                    trouble = PukRequired(Cpin().text, exc.cme or "ERROR")
                raise await self._counted(trouble) from exc
            self._pin, self._given_at = new_pin, self._driver.time()

    async def _waits_for(self, kind: type[PinRequired | PukRequired]) -> bool:
        """Whether the SIM waits for a PIN or a PUK, or is ready; raise what else is the matter."""
        end = self._driver.time() + PATIENCE_S
        while (said := await self._ask()) not in _READY:
            trouble = sim_trouble(said)
            if isinstance(trouble, kind):
                return True
            if trouble is not None and not self._may_pass(trouble):
                raise await self._counted(trouble)
            if self._driver.time() >= end:
                raise trouble or CommandError(Cpin().text, cme=said)
            await asyncio.sleep(_PAUSE_S)
        return False

    async def _counted(self, trouble: SimError) -> SimError:
        """Add to an error how many tries are left, if the module tells."""
        if not isinstance(trouble, PinRequired | PukRequired):
            return trouble
        tries = await self._tries()
        if isinstance(trouble, PinRequired):
            return PinRequired(trouble.command, trouble.cme, tries.pin)
        return PukRequired(trouble.command, trouble.cme or "", tries.puk)

    async def _tries(self) -> SimTries:
        for command in (Cpinr(), Qpinc()):
            try:
                tries = await self._driver.run(command)
            except (CommandError, LinkTimeout):
                continue
            if tries != _UNKNOWN:
                return tries
        return _UNKNOWN

    async def _ask(self) -> str:
        try:
            return await self._driver.run(Cpin())
        except CommandError as exc:
            if exc.cme is None or not concerns_sim(exc):
                raise
            return exc.cme

    def _may_pass(self, trouble: SimError) -> bool:
        """Whether the SIM may still turn out to be there, and right (F51)."""
        if type(trouble) not in (SimError, SimMissing):
            return False
        now = self._driver.time()
        if self._unusable_since is None:
            self._unusable_since = now
        return now - self._unusable_since < PATIENCE_S

    async def _give_own_pin(self, wanted: PinRequired) -> None:
        if self._pin is None:
            raise await self._counted(wanted)
        if self._given_at is not None:
            if self._driver.time() - self._given_at < PATIENCE_S:
                # The SIM has accepted the PIN, and needs a moment.
                return
            raise await self._counted(wanted)
        self._given_at = self._driver.time()
        try:
            await self._send(Cpin(self._pin))
        except SimError:
            # A wrong PIN is never sent again: the third one locks the SIM.
            self._pin = None
            raise
        except CommandError:
            # The module was too busy to try the PIN, so it may be sent again.
            self._given_at = None

    async def _send(self, command: Cpin) -> None:
        try:
            await self._driver.run(command)
        except CommandError as exc:
            code = cme_code(exc.cme)
            if code == _SIM_BUSY:
                raise
            if exc.cme is not None and code == _SIM_PUK:
                raise await self._counted(PukRequired(Cpin().text, exc.cme)) from exc
            refused = PinRequired(Cpin().text, refused=exc.cme or "ERROR")
            raise await self._counted(refused) from exc
