"""Ask about SIM, network and power, and set the PIN and the APN (27.007).

Layer: aio.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, TypeVar

from aiobc9x.aio.arguments import check_text
from aiobc9x.aio.bringup.readiness import Readiness
from aiobc9x.aio.bringup.refusals import Refusal, meaning_of
from aiobc9x.aio.bringup.startup import Access
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.queries.results import Identity, Signal
from aiobc9x.aio.recovery import Health
from aiobc9x.errors import CommandError, ModemError
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.radio import (
    AuthProtocol,
    Cesq,
    Cfun,
    Cgatt,
    Cgauth,
    Cgdcont,
    Cgmi,
    Cgmm,
    Cgmr,
    Cgsn,
    Cimi,
    Csq,
    Qccid,
    Qcgdefcont,
)

T = TypeVar("T")

_PROTOCOLS: Final = {"pap": AuthProtocol.PAP, "chap": AuthProtocol.CHAP}

PDP_TYPES: Final = frozenset({"IP", "IPV6", "IPV4V6"})
"""What :meth:`Modem.set_apn` takes (27.007)."""


class RadioQueries:
    """Asks about radio and SIM; the contracts stand at :class:`~aiobc9x.Modem`."""

    def __init__(
        self, driver: Driver, readiness: Readiness, health: Health, context_id: int
    ) -> None:
        self._driver, self._readiness, self._context_id = driver, readiness, context_id
        self._health = health

    async def signal(self) -> Signal:
        """Ask for strength and quality of reception."""
        quality = await self._optional(Csq())
        extended = await self._optional(Cesq())
        return Signal(
            quality.rssi_dbm if quality else None,
            quality.ber if quality else None,
            extended.rsrp_dbm if extended else None,
            extended.rsrq_db if extended else None,
        )

    async def identity(self) -> Identity:
        """Ask for the names and numbers of the module and its SIM."""
        commands: tuple[Command[str], ...] = (Cgmi(), Cgmm(), Cgmr(), Cgsn(), Cimi(), Qccid())
        return Identity(*[await self._optional(command) for command in commands])

    async def attach(self) -> None:
        """Attach to the packet service."""
        await self._driver.run(Cgatt(1))

    async def detach(self) -> None:
        """Detach from the packet service."""
        await self._driver.run(Cgatt(0))
        self._readiness.forget()

    async def set_pin(self, pin: str) -> None:
        """Give the SIM its PIN, if it waits for one.

        Raises:
            ModemError: As :meth:`Modem.set_pin`.

        """
        check_text("pin", pin)
        await self._readiness.sim.give(pin)
        self._readiness.forget()

    async def unblock_sim(self, puk: str, new_pin: str) -> None:
        """Give a SIM its PUK and a new PIN, if it waits for that.

        Raises:
            ModemError: As :meth:`Modem.unblock_sim`.

        """
        check_text("puk", puk)
        check_text("new_pin", new_pin)
        await self._readiness.sim.unblock(puk, new_pin)
        self._readiness.forget()

    async def set_apn(
        self, apn: str, pdp_type: str, user: str | None, password: str | None, auth: str | None
    ) -> None:
        """Set the access point name of the modem's context, and who logs in there.

        A module that restarts forgets both, and is told them again.

        Raises:
            ModemError: As :meth:`Modem.set_apn`.

        """
        check_text("apn", apn)
        check_text("pdp_type", pdp_type)
        if pdp_type not in PDP_TYPES:
            raise ValueError(f"pdp_type is {pdp_type!r}: use 'IP', 'IPV6' or 'IPV4V6'")
        context = Cgdcont(self._context_id, pdp_type, apn)
        login = self._login(user, password, auth)
        await self._driver.run(context)
        self._readiness.forget()
        access = Access(context, login)
        try:
            await self._driver.run(login)
        except CommandError as exc:
            if meaning_of(exc) is not Refusal.MISSING:
                raise
            access = Access(context, None)
            if user is not None:
                # Which the module keeps, in its flash.
                default = Qcgdefcont(pdp_type, apn, user, password or "")
                await self._with_radio_off(default)
        self._health.settings = replace(self._health.settings, access=access)

    def _login(self, user: str | None, password: str | None, auth: str | None) -> Cgauth:
        """Read who logs in; an earlier login is taken back if nobody does."""
        for name, text in (("user", user), ("password", password), ("auth", auth)):
            if text is not None:
                check_text(name, text)
        if auth not in (None, *_PROTOCOLS):
            raise ValueError(f"auth is {auth!r}: use 'pap' or 'chap'")
        if user is None:
            if password is not None or auth is not None:
                raise ValueError("password and auth need a user")
            return Cgauth(self._context_id)
        if not user:
            raise ValueError("user is empty; leave it out for none")
        return Cgauth(self._context_id, _PROTOCOLS[auth or "pap"], user, password or "")

    async def _with_radio_off(self, command: Command[None]) -> None:
        """Run a command with the radio off, as relatives want it, and go on the air again."""
        try:
            try:
                await self._driver.run(Cfun(0))
                await self._driver.run(command)
            except ModemError:
                await self._switch_on()
                raise
            await self._switch_on()
        except asyncio.CancelledError:
            self._driver.spawn(self._switch_on)
            raise

    async def _switch_on(self) -> None:
        await self._driver.run(Cfun(1))

    async def apn(self) -> str | None:
        """Ask for the access point name of the modem's context."""
        contexts = await self._driver.run(Cgdcont())
        return next((c.apn for c in contexts if c.context_id == self._context_id), None)

    async def _optional(self, command: Command[T]) -> T | None:
        """Send a query that the module may not know; return ``None`` if it refuses."""
        try:
            return await self._driver.run(command)
        except CommandError:
            return None
