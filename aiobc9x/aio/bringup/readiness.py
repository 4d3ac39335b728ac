"""Wait for SIM, registration, attach, context and address.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiobc9x.aio.bringup.refusals import Refusal, concerns_sim, meaning_of
from aiobc9x.aio.bringup.simcard import SimCard
from aiobc9x.aio.bringup.steps import Leftovers
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.line.subscriptions import Progress
from aiobc9x.errors import (
    CommandError,
    LinkTimeout,
    ModuleReset,
    SimError,
    StageTimeout,
    UnexpectedAnswer,
)
from aiobc9x.spec import EMM_CAUSE_TEXT
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.radio import Cereg, Cgact, Cgatt, Cgpaddr, Cgreg, Creg
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
"""Default of :meth:`Modem.wait_ready`: a registration from cold took three minutes (F52)."""

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 2.0

_MISSING_AFTER_S: Final = 5.0
"""Seconds of nothing but ``ERROR`` after which a module counts as lacking a command (F50). Ours."""

_LEVELS: Final = (5, 4, 3, 2, 1)
"""What AT+CEREG can be set to (27.007): 3 adds the cause of a refusal, 4 the timers, 5 both."""

_TELLS_CELL: Final = 2
_REGISTRATIONS: Final = {
    0: "not searching",
    1: "registered at home",
    2: "searching",
    3: "registration denied by the network",
    4: "unknown",
    5: "registered, roaming",
}
_EMM: Final = 0
_SIM_STAGE: Final = "waiting for the SIM"
_SILENT: Final = "the module gave no answer"


class Readiness:
    """Find out whether the module can open connections.

    Attributes:
        ip_addresses: The module's own addresses; empty before :meth:`wait`.
        on_ready: Called when connections can be opened, for the first time or again.
        sim: The SIM.

    """

    def __init__(
        self, driver: Driver, context_id: int, pin: str | None, leftovers: Leftovers
    ) -> None:
        self.ip_addresses: tuple[str, ...] = ()
        self.on_ready: Callable[[], None] = lambda: None
        self.sim: SimCard = SimCard(driver, pin)
        self._driver, self._context_id, self._leftovers = driver, context_id, leftovers
        self._is_ready = self._is_doubted = False
        self._is_sim_doubted = False
        self._one_check = asyncio.Lock()
        self._stage = ""
        self._detail = ""
        self._missing: set[str] = set()
        self._is_level_chosen = False
        self._registration_command: type[Cereg | Cgreg | Creg] = Cereg
        self._heard: Registration | None = None

    @property
    def is_ready(self) -> bool:
        """Whether connections can be opened, as far as is known."""
        return self._is_ready

    async def has_network(self) -> bool:
        """Ask the module whether it is registered and has an address.

        Raises:
            ModemError: The module refused, or the link failed.

        """
        return (await self.registration()).registered and await self._find_address()

    def on_urc(self, urc: Urc) -> None:
        """Note that the module may not be ready any more, if a URC says so."""
        match urc:
            case Registration(status=status):
                self._heard = urc
                if not status.registered:
                    self.forget()
            case PacketEvent() if urc.ends(self._context_id):
                self.forget()
            case SimState(state) if state != "READY":
                self._doubt_sim()
            case RadioState(fun) if fun != 1:
                self._doubt_sim()
            case PdpDeactivated(context_id) if context_id == self._context_id:
                self.forget()
            case Restart() | PowerDown():
                self.restarted()

    def forget(self) -> None:
        """Have the next :meth:`wait` ask the module again."""
        self._is_ready = False
        self._is_doubted = True

    def restarted(self) -> None:
        """Begin anew, because a restarted module has forgotten everything, the PIN included."""
        self.sim.forget()
        self._missing.clear()
        self._is_level_chosen = False
        self._doubt_sim()

    def _doubt_sim(self) -> None:
        self.forget()
        self._is_sim_doubted = True

    async def wait(self, timeout: float) -> None:
        """Wait until connections can be opened.

        Returns at once if that was so before, and no URC has contradicted it. A query that is
        refused, answered too late or cut off by a restart is repeated.

        Raises:
            StageTimeout: Not ready in ``timeout`` seconds; the message names the stage.
            SimError: The SIM can't be used: it wants a PIN or PUK, or there is none.
            ModemError: The link failed.

        Cancellation is safe.
        """
        self._driver.check()
        if self._driver.session.suspended:
            # Whatever the trouble is, the call waits for its end: nothing is sent for it before.
            self.forget()
        if self._is_ready and not self._leftovers:
            return
        try:
            async with asyncio.timeout(timeout), self._one_check:
                await self._until_ready()
                await self._catch_up(is_ready=True)
                await self._until_ready()
                self.on_ready()
                self._driver.log.info("= the network is there")
        except TimeoutError as exc:
            # asyncio.timeout() raises without arguments; ours are passed on.
            if exc.args:
                raise
            raise StageTimeout(self._waits_for(), timeout, self.hint()) from None

    async def _until_ready(self) -> None:
        while not self._is_ready:
            self._is_doubted = False
            await self._check()
            self._is_ready = not self._is_doubted

    def explain(self) -> str:
        """Say what is being waited for, and why that takes so long."""
        return f"{self._waits_for()}: {self.hint()}"

    def _waits_for(self) -> str:
        if self._driver.trouble:
            return "waiting for the modem to come back"
        return self._stage or "waiting for the network"

    def hint(self) -> str:
        """Say why the wait takes so long, and what to look at."""
        if self._driver.trouble:
            return self._driver.trouble
        if self._detail and self._detail != _SILENT:
            return f"the module last said: {self._detail}; check SIM, antenna, coverage and APN"
        silence = self._detail or "the module said nothing"
        return f"{silence}; check SIM, antenna, coverage and APN"

    async def _check(self) -> None:
        await self._check_sim()
        await self._wait_for("registering on the network", self._is_registered)
        await self._wait_for("attaching to the packet service", self._is_attached)
        # The note has this command (§4.1.1), so it is never missing.
        await self._wait_for("getting an address", self._has_address, may_be_missing=False)

    async def _check_sim(self) -> None:
        self._is_sim_doubted = False
        # The start may have left the radio off, because the module was too busy to switch it on.
        await self._catch_up(is_ready=False)
        await self._wait_for(_SIM_STAGE, self._sim_is_ready)

    async def _catch_up(self, *, is_ready: bool) -> None:
        """Try again the settings that the start could not make; keep those that fail again."""
        try:
            await self._leftovers.catch_up(is_ready=is_ready)
        except (LinkTimeout, ModuleReset) as exc:
            text = "! settings of the start could not be made yet: %(reason)s"
            self._driver.log.debug(text, error=exc)

    async def _wait_for(
        self, stage: str, is_done: Callable[[], Awaitable[bool]], *, may_be_missing: bool = True
    ) -> None:
        self._enter(stage)
        pause, said, refused_at = _FIRST_WAIT_S, "", math.inf
        while True:
            try:
                if await is_done():
                    return
                refused_at = math.inf
            except SimError:
                raise
            except CommandError as exc:
                self._detail = exc.cme or "ERROR"
                if meaning_of(exc) is Refusal.MISSING:
                    refused_at = min(refused_at, self._driver.time())
                    if may_be_missing and self._is_missing(stage, refused_at):
                        return
                elif concerns_sim(exc):
                    self._is_sim_doubted = True
            except (LinkTimeout, ModuleReset):
                self._detail = _SILENT
            if self._is_sim_doubted and stage != _SIM_STAGE:
                await self._check_sim()
                self._enter(stage)
            if self._detail != said:
                said = self._detail
                self._driver.hub.publish(Progress(stage, said))
            await rest(self._driver, pause)
            pause = min(2 * pause, _LONGEST_WAIT_S)

    def _enter(self, stage: str) -> None:
        self._stage, self._detail = stage, ""
        self._driver.hub.publish(Progress(stage))

    def _is_missing(self, stage: str, refused_at: float) -> bool:
        """Whether the module lacks the command of a stage.

        A module that has just booted answers the same ``ERROR``, so it must last (F50).
        """
        if self._driver.time() - refused_at >= _MISSING_AFTER_S:
            self._missing.add(stage)
        return stage in self._missing

    async def _sim_is_ready(self) -> bool:
        is_ready = await self.sim.is_ready()
        self._detail = self.sim.said
        return is_ready

    async def _is_registered(self) -> bool:
        status = await self.registration()
        await self._choose_level(status)
        self._detail = in_words(status)
        return status.registered

    async def _choose_level(self, status: RegistrationStatus) -> None:
        """Set AT+CEREG to the highest level that the module knows, so that its URC tells most.

        A level from 2 on was chosen by a user, and stays.
        """
        if self._is_level_chosen or status.n is None:
            return
        for level in _LEVELS if status.n < _TELLS_CELL else ():
            if level <= status.n:
                break
            try:
                await self._driver.run(self._registration_command(level))
            except CommandError as exc:
                if meaning_of(exc) is not Refusal.MISSING:
                    # The module is busy; the next query tries again.
                    return
            else:
                break
        self._is_level_chosen = True

    async def diagnosis(self) -> RegistrationStatus:
        """Ask for the registration with all that the module can tell of it."""
        status = await self.registration()
        if self._is_level_chosen or status.n is None:
            return status
        await self._choose_level(status)
        return await self.registration()

    async def registration(self) -> RegistrationStatus:
        """Ask CEREG, and where the module lacks it CGREG and CREG (27.007)."""
        first: CommandError | None = None
        for command in (Cereg, Cgreg, Creg):
            try:
                status = await self._ask_registration(command())
            except CommandError as exc:
                if meaning_of(exc) is not Refusal.MISSING:
                    raise
                first = first or exc
            else:
                self._registration_command = command
                return status
        assert first is not None
        raise first

    async def _ask_registration(self, query: Command[RegistrationStatus]) -> RegistrationStatus:
        self._heard = None
        try:
            return await self._driver.run(query)
        except UnexpectedAnswer:
            # Some modules answer with one field, which looks like a URC and was read as one (F10).
            if self._heard is None or self._heard.kind not in query.text:
                raise
            return self._heard.status

    async def _is_attached(self) -> bool:
        if await self._driver.run(Cgatt()):
            return True
        self._detail = "not attached"
        if not await self._obeyed(Cgatt(1)):
            return False
        return bool(await self._driver.run(Cgatt()))

    async def _has_address(self) -> bool:
        if await self._find_address():
            return True
        self._detail = "no address"
        return await self._obeyed(Cgact(1, self._context_id)) and await self._find_address()

    async def _obeyed(self, command: Command[Any]) -> bool:
        """Run a command, and return whether the module has accepted it.

        A refusal goes into the hint of the error that may follow.
        """
        try:
            await self._driver.run(command)
        except CommandError as exc:
            if concerns_sim(exc):
                raise
            self._detail += f", and {exc.cme or 'ERROR'} to {command.text}"
            return False
        return True

    async def _find_address(self) -> bool:
        contexts = await self.addresses()
        mine = [addresses for cid, addresses in contexts if cid == self._context_id and addresses]
        self.ip_addresses = mine[0] if mine else ()
        return bool(mine)

    async def addresses(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Ask for the addresses of every context; the note's form first (§4.1.1)."""
        try:
            return await self._driver.run(Cgpaddr())
        except CommandError as exc:
            if meaning_of(exc) is not Refusal.MISSING:
                raise
            return await self._driver.run(Cgpaddr(self._context_id))


def in_words(status: RegistrationStatus) -> str:
    """Say how a module is registered: the state, why the network says no, and where that was."""
    words = _REGISTRATIONS.get(status.stat, f"status {status.stat}")
    if status.reject_cause:
        known = EMM_CAUSE_TEXT if status.cause_type in (_EMM, None) else {}
        meaning = known.get(status.reject_cause, "one of the maker's or a newer network's")
        words += f": cause {status.reject_cause}, {meaning}"
    if status.ci is not None:
        words += f"; cell {status.ci}" + (f" of area {status.tac}" if status.tac else "")
    return words
