"""Let the module sleep: ask the network for PSM and eDRX, and have it sleep now.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final, TypeVar

from aiobc9x.aio.arguments import check_seconds
from aiobc9x.aio.bringup.readiness import Readiness
from aiobc9x.aio.bringup.refusals import Refusal, meaning_of
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.queries.results import PowerSaving, PowerSavingStatus
from aiobc9x.aio.recovery import Health
from aiobc9x.errors import CommandError
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.power import (
    NB_S1,
    Cedrxrdp,
    Cedrxs,
    Cpsms,
    Qrellock,
    Qsclk,
)
from aiobc9x.wire.signalling import (
    ACTIVE_TIME_UNITS_S,
    PERIODIC_TAU_UNITS_S,
    edrx_bits,
    edrx_seconds,
    timer_bits,
)

T = TypeVar("T")

AWAKE_S: Final = 8.0
"""Seconds of silence after which a module that may sleep is woken before a command (F48).

A sleeping module does not hear the first AT.
"""

GRANT_S: Final = 5.0
"""Seconds in which the network's answer to another request is waited for. Ours."""

_LOOK_S: Final = 0.5
_FLUSH_LOOK_S: Final = 0.05


class PowerSaver:
    """Sets and tells of power saving; the contracts stand at :class:`~aiobc9x.Modem`."""

    def __init__(
        self, driver: Driver, readiness: Readiness, health: Health, poll_interval: float
    ) -> None:
        self._driver, self._readiness, self._health = driver, readiness, health
        self._poll_interval = poll_interval

    async def set(self, psm: PowerSaving | None, edrx_s: float | None) -> PowerSavingStatus:
        """Ask the network for PSM and eDRX, or for neither; return what it grants.

        Raises:
            ModemError: As :meth:`Modem.set_power_saving`.

        """
        orders = _psm_order(psm), _edrx_order(edrx_s)
        sleeps = psm is not None or edrx_s is not None
        before = await self._granted()
        for order, is_wanted in zip(orders, (psm, edrx_s), strict=True):
            await self._run(order, may_lack=is_wanted is None)
        await self._run(Qsclk(int(sleeps)), may_lack=True)
        self._let_sleep((*orders, Qsclk(1)) if sleeps else ())
        if psm is not None:
            await self._await_grant(before)
        return await self.status()

    async def status(self) -> PowerSavingStatus:
        """Ask for PSM and eDRX, as requested and as granted."""
        saving, edrx = await self._ask(Cpsms()), await self._ask(Cedrxs())
        grant = await self._ask(Cedrxrdp()) if edrx else None
        granted = await self._granted()
        return PowerSavingStatus(
            saving.enabled if saving else None,
            saving.periodic_tau_s if saving else None,
            saving.active_time_s if saving else None,
            edrx or (),
            granted,
            edrx_seconds(grant.granted) if grant else None,
        )

    async def sleep(self) -> None:
        """Send what waits to be sent, then let the module sleep at once.

        Raises:
            ModemError: As :meth:`Modem.sleep`.

        """
        session = self._driver.session
        while any(slot.unsent or session.is_sending(slot) for slot in session.sockets):
            await rest(self._driver, _FLUSH_LOOK_S)
        await self._run(Qsclk(1), may_lack=True)
        if not self._health.settings.power_saving:
            self._let_sleep((Qsclk(1),))
        await self._run(Qrellock(), may_lack=True)
        session.doze()

    def _let_sleep(self, orders: tuple[Command[Any], ...]) -> None:
        """Stop all that would keep the module awake, or go on with it.

        Args:
            orders: What a module that has restarted is told again; none if it must not sleep.

        """
        session, sleeps = self._driver.session, bool(orders)
        session.idle_limit = AWAKE_S if sleeps else math.inf
        session.poll_interval = 0.0 if sleeps else self._poll_interval
        settings = self._health.settings
        self._health.settings = replace(settings, allow_sleep=sleeps, power_saving=orders)
        self._driver.kick()

    async def _await_grant(self, before: PowerSaving | None) -> None:
        """Wait until the network has answered: by what was asked for, or by another grant."""
        end = self._driver.time() + GRANT_S
        asked = await self._ask(Cpsms())
        wanted = asked and (asked.active_time_s, asked.periodic_tau_s)
        while self._driver.time() < end:
            status = await self._readiness.diagnosis()
            if not status.registered:
                return
            granted = (status.active_time_s, status.periodic_tau_s)
            if granted == wanted or (None not in granted and granted != _timers(before)):
                return
            await rest(self._driver, _LOOK_S)

    async def _granted(self) -> PowerSaving | None:
        try:
            status = await self._readiness.diagnosis()
        except CommandError:
            return None
        active, period = status.active_time_s, status.periodic_tau_s
        if not status.registered or active is None or period is None:
            return None
        return PowerSaving(active, period)

    async def _run(self, order: Command[Any], *, may_lack: bool) -> None:
        try:
            await self._driver.run(order)
        except CommandError as exc:
            if not may_lack or meaning_of(exc) is not Refusal.MISSING:
                raise

    async def _ask(self, command: Command[T]) -> T | None:
        try:
            return await self._driver.run(command)
        except CommandError:
            return None


def _timers(granted: PowerSaving | None) -> tuple[float | None, float | None]:
    return (granted.active_s, granted.period_s) if granted else (None, None)


def _psm_order(psm: PowerSaving | None) -> Cpsms:
    if psm is None:
        return Cpsms(0)
    if not isinstance(psm, PowerSaving):
        raise TypeError(f"psm must be a PowerSaving or None, not {psm!r}")
    if psm.active_s >= psm.period_s:
        raise ValueError(f"active_s is {psm.active_s}: it must be less than period_s")
    period = timer_bits("period_s", psm.period_s, PERIODIC_TAU_UNITS_S)
    return Cpsms(1, period, timer_bits("active_s", psm.active_s, ACTIVE_TIME_UNITS_S))


def _edrx_order(edrx_s: float | None) -> Cedrxs:
    if edrx_s is None:
        return Cedrxs(0)
    check_seconds("edrx_s", edrx_s)
    return Cedrxs(1, NB_S1, edrx_bits("edrx_s", edrx_s))
