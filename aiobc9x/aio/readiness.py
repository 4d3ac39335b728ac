"""Wait for SIM, registration, attach, context and address.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiobc9x.aio.driver import Driver
from aiobc9x.aio.events import Progress
from aiobc9x.aio.resting import rest
from aiobc9x.errors import CommandError, PinRequired, StageTimeout
from aiobc9x.wire.base import Command
from aiobc9x.wire.network import Cereg, Cgact, Cgatt, Cgpaddr, Cgreg, Cpin, Creg
from aiobc9x.wire.signalling import RegistrationStatus
from aiobc9x.wire.urcs import (
    PacketEvent,
    PdpDeactivated,
    PowerDown,
    RadioState,
    Registration,
    Restart,
    SimState,
    Urc,
)

READY_TIMEOUT_S: Final = 180.0
"""Default of :meth:`Modem.wait_ready`: a cold registration took three minutes."""

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 2.0
_UNKNOWN_COMMAND_TRIES: Final = 3
_GONE: Final = ("DETACH", "DEACT")
_REGISTRATIONS: Final = {0: "not searching", 2: "searching", 3: "denied so far", 4: "unknown"}


class Readiness:
    """Knows whether the module can open connections.

    Attributes:
        ip_address: The module's own address, ``""`` before :meth:`wait`.

    """

    def __init__(self, driver: Driver, context_id: int, pin: str | None) -> None:
        self.ip_address = ""
        self._driver, self._context_id, self._pin = driver, context_id, pin
        self._pin_given: int | None = None
        self._is_ready = self._is_doubted = False
        self._one_check = asyncio.Lock()
        self._stage = ""
        self._detail = ""

    def on_urc(self, urc: Urc) -> None:
        """Forget what a URC contradicts."""
        match urc:
            case Registration(status=status) if not status.registered:
                self.forget()
            case PacketEvent(text) if any(word in text.upper() for word in _GONE):
                self.forget()
            case SimState(state) if state != "READY":
                self.forget()
            case RadioState(fun) if fun != 1:
                self.forget()
            case PdpDeactivated() | Restart() | PowerDown():
                self.forget()

    def forget(self) -> None:
        """Ask the module again at the next :meth:`wait`."""
        self._is_ready = False
        self._is_doubted = True

    async def wait(self, timeout: float) -> None:
        """Wait until connections can be opened; at once if nothing contradicts the last time.

        Raises:
            StageTimeout: Not ready in ``timeout`` seconds; the message names the stage.
            PinRequired: The SIM wants a PIN, or refused it.
            ModemError: The link failed.

        Cancellation is safe.
        """
        self._driver.check()
        if self._is_ready:
            return
        try:
            async with asyncio.timeout(timeout), self._one_check:
                while not self._is_ready:
                    self._is_doubted = False
                    await self._check()
                    self._is_ready = not self._is_doubted
        except TimeoutError as exc:
            if exc.args:  # not the one of asyncio.timeout()
                raise
            raise StageTimeout(
                self._stage or "waiting for the network", timeout, self._hint()
            ) from None

    def _hint(self) -> str:
        said = f"the module last said {self._detail}" if self._detail else "the module said nothing"
        return f"{said}; check SIM, antenna, coverage and APN"

    async def _check(self) -> None:
        await self._wait_for("waiting for the SIM", self._sim_is_ready)
        await self._registration_urcs()
        await self._wait_for("registering on the network", self._is_registered)
        await self._wait_for("attaching to the packet service", self._is_attached)
        await self._wait_for("getting an address", self._has_address)

    async def _wait_for(self, stage: str, is_done: Callable[[], Awaitable[bool]]) -> None:
        self._stage, self._detail = stage, ""
        self._driver.hub.publish(Progress(stage))
        wait, refusals, said = _FIRST_WAIT_S, 0, ""
        while True:
            try:
                if await is_done():
                    return
            except PinRequired:
                raise
            except CommandError as exc:
                if exc.cme is None:  # a plain ERROR: the module may not know the command
                    refusals += 1
                    if refusals == _UNKNOWN_COMMAND_TRIES:
                        return
                self._detail = exc.cme or "ERROR"
            if self._detail != said:
                said = self._detail
                self._driver.hub.publish(Progress(stage, said))
            await rest(self._driver, wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    async def _sim_is_ready(self) -> bool:
        state = await self._driver.run(Cpin())
        self._detail = state
        if state == "SIM PIN":
            await self._give_pin()
        return state == "READY"

    async def _give_pin(self) -> None:
        """Give the SIM its PIN: once after each restart, never again once refused.

        Three wrong ones lock it.
        """
        resets = self._driver.session.statistics.resets
        if self._pin is None or self._pin_given == resets:
            raise PinRequired(Cpin().text)
        self._pin_given = resets
        try:
            await self._driver.run(Cpin(self._pin))
        except CommandError as exc:
            self._pin = None
            raise PinRequired(Cpin().text, refused=exc.cme or "ERROR") from exc

    async def _registration_urcs(self) -> None:
        try:
            await self._driver.run(Cereg(1))
        except CommandError:
            return

    async def _is_registered(self) -> bool:
        status = await self.registration()
        self._detail = _REGISTRATIONS.get(status.stat, f"status {status.stat}")
        return status.registered

    async def registration(self) -> RegistrationStatus:
        """Ask CEREG, and where the module lacks it CGREG and CREG (27.007)."""
        try:
            return await self._driver.run(Cereg())
        except CommandError as exc:
            first = exc
        queries: tuple[Command[RegistrationStatus], ...] = (Cgreg(), Creg())
        for query in queries:
            try:
                return await self._driver.run(query)
            except CommandError:
                continue
        raise first

    async def _is_attached(self) -> bool:
        if await self._driver.run(Cgatt()):
            return True
        self._detail = "not attached"
        await self._driver.run(Cgatt(1))
        return bool(await self._driver.run(Cgatt()))

    async def _has_address(self) -> bool:
        if await self._find_address():
            return True
        self._detail = "no address"
        await self._driver.run(Cgact(1, self._context_id))
        return await self._find_address()

    async def _find_address(self) -> bool:
        contexts = await self.addresses()
        mine = [addresses for cid, addresses in contexts if cid == self._context_id and addresses]
        self.ip_address = mine[0][0] if mine else ""
        return bool(mine)

    async def addresses(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Ask for the addresses of every context; the note's form first (§4.1.1)."""
        try:
            return await self._driver.run(Cgpaddr())
        except CommandError:
            return await self._driver.run(Cgpaddr(self._context_id))
