"""The modem's questions about SIM, network and power (27.007).

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
from aiobc9x.wire.signalling import RegistrationStatus

T = TypeVar("T")

PDP_TYPES: Final = frozenset({"IP", "IPV6", "IPV4V6"})
"""What :meth:`RadioQueries.set_apn` takes (27.007)."""


class RadioQueries:
    """Part of :class:`Modem`. Every method can be cancelled safely.

    Each raises :class:`CommandError` if the module refuses, :class:`LinkTimeout` if it
    doesn't answer in time, and :class:`LinkLost` if the link fails.
    """

    _driver: Driver
    _readiness: Readiness
    _context_id: int

    async def registration(self) -> RegistrationStatus:
        """Ask how the module is registered: CEREG, or CGREG or CREG where it lacks that."""
        return await self._readiness.registration()

    async def addresses(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Ask for the addresses of every context: ``(contextID, addresses)`` pairs."""
        return await self._readiness.addresses()

    async def signal(self) -> Signal:
        """Ask for strength and quality of reception (CSQ, CESQ)."""
        quality = await self._optional(Csq())
        extended = await self._optional(Cesq())
        return Signal(
            quality.rssi_dbm if quality else None,
            quality.ber if quality else None,
            extended.rsrp_dbm if extended else None,
            extended.rsrq_db if extended else None,
        )

    async def identity(self) -> Identity:
        """Ask who the module and its SIM are."""
        commands: tuple[Command[str], ...] = (Cgmi(), Cgmm(), Cgmr(), Cgsn(), Cimi(), Qccid())
        return Identity(*[await self._optional(command) for command in commands])

    async def power_saving(self) -> PowerSavingStatus:
        """Ask for PSM and eDRX as requested from the network (CPSMS, CEDRXS)."""
        saving = await self._optional(Cpsms())
        edrx = await self._optional(Cedrxs())
        if saving is None:
            return PowerSavingStatus(None, None, None, edrx or ())
        return PowerSavingStatus(
            saving.enabled, saving.periodic_tau_s, saving.active_time_s, edrx or ()
        )

    async def attach(self) -> None:
        """Attach to the packet service (CGATT=1); up to 140 s."""
        await self._driver.run(Cgatt(1))

    async def detach(self) -> None:
        """Detach from the packet service (CGATT=0); every connection ends."""
        await self._driver.run(Cgatt(0))
        self._readiness.forget()

    async def set_pin(self, pin: str) -> None:
        """Give the SIM its PIN, 4–8 digits. Three wrong ones lock it.

        The SIM is asked first what it waits for. One that is ready gets nothing.

        Raises:
            TypeError: Not a text, such as ``"1234"``; nothing was sent.
            ValueError: Not a PIN; nothing was sent.
            PinRequired: The SIM refused the PIN.
            PukRequired: The SIM wants its PUK, before or after this PIN.
            SimError: There is no SIM, it has failed, or the module is locked to others.

        """
        check_text("pin", pin)
        await self._readiness.sim.give(pin)
        self._readiness.forget()

    async def set_apn(self, apn: str, *, pdp_type: str = "IP") -> None:
        """Set the access point name of the modem's context (CGDCONT).

        It takes effect when the context is activated next.

        Args:
            apn: The name.
            pdp_type: ``"IP"``, ``"IPV6"`` or ``"IPV4V6"``.

        Raises:
            TypeError: The name is no text; nothing was sent.
            ValueError: Another type, or characters that an AT command can't carry; nothing
                was sent.

        """
        check_text("apn", apn)
        check_text("pdp_type", pdp_type)
        if pdp_type not in PDP_TYPES:
            raise ValueError(f"pdp_type is {pdp_type!r}: use 'IP', 'IPV6' or 'IPV4V6'")
        await self._driver.run(Cgdcont(self._context_id, pdp_type, apn))
        self._readiness.forget()

    async def apn(self) -> str | None:
        """Ask for the access point name of the modem's context; ``None`` if it has none."""
        contexts = await self._driver.run(Cgdcont())
        return next((c.apn for c in contexts if c.context_id == self._context_id), None)

    async def _optional(self, command: Command[T]) -> T | None:
        """Ask for what the module may not know (``Any`` would hide the answer's type)."""
        try:
            return await self._driver.run(command)
        except CommandError:
            return None
