"""Ask about SIM, network and power, and set the PIN and the APN (27.007).

Layer: aio.
"""

from __future__ import annotations

from typing import Final, TypeVar

from aiobc9x.aio.arguments import check_text
from aiobc9x.aio.bringup.readiness import Readiness
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.queries.results import Identity, PowerSavingStatus, Signal
from aiobc9x.errors import CommandError
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.radio import (
    Cedrxs,
    Cesq,
    Cgatt,
    Cgdcont,
    Cgmi,
    Cgmm,
    Cgmr,
    Cgsn,
    Cimi,
    Cpsms,
    Csq,
    Qccid,
)

T = TypeVar("T")

PDP_TYPES: Final = frozenset({"IP", "IPV6", "IPV4V6"})
"""What :meth:`Modem.set_apn` takes (27.007)."""


class RadioQueries:
    """Asks about radio and SIM; the contracts stand at :class:`~aiobc9x.Modem`."""

    def __init__(self, driver: Driver, readiness: Readiness, context_id: int) -> None:
        self._driver, self._readiness, self._context_id = driver, readiness, context_id

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

    async def power_saving(self) -> PowerSavingStatus:
        """Ask for PSM and eDRX as requested from the network."""
        saving = await self._optional(Cpsms())
        edrx = await self._optional(Cedrxs())
        if saving is None:
            return PowerSavingStatus(None, None, None, edrx or ())
        return PowerSavingStatus(
            saving.enabled, saving.periodic_tau_s, saving.active_time_s, edrx or ()
        )

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

    async def set_apn(self, apn: str, pdp_type: str) -> None:
        """Set the access point name of the modem's context.

        Raises:
            ModemError: As :meth:`Modem.set_apn`.

        """
        check_text("apn", apn)
        check_text("pdp_type", pdp_type)
        if pdp_type not in PDP_TYPES:
            raise ValueError(f"pdp_type is {pdp_type!r}: use 'IP', 'IPV6' or 'IPV4V6'")
        await self._driver.run(Cgdcont(self._context_id, pdp_type, apn))
        self._readiness.forget()

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
