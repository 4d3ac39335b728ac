"""What goes wrong in a simulated soak: it does what the script says, and knows when all is calm."""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiobc9x import Modem
from aiobc9x.sim.faults import Fault, FaultKind
from benchmarks.soak_desk import Desk
from benchmarks.soak_record import Record
from benchmarks.soak_script import Happening

HOOK_S: Final = 60.0
"""Seconds from the first command that a wedged module doesn't answer to the call of the hook."""

PLMN_NOT_ALLOWED: Final = 11
"""The cause of a denied registration (24.301)."""


class Trouble:
    """Do to a module, its line and its network what a script says.

    Attributes:
        active: What is going on.
        number: Rises with each beginning and each end, so that two equal numbers mean calm.
        blackouts: Rises whenever the network goes or comes.
        ended_at: When the last one ended.
        last_kind: What that was.
        hook_delays: How long a wedged module has waited for the hook, where nothing else was wrong.

    """

    def __init__(self, desk: Desk, record: Record, seed: int) -> None:
        self._desk, self._record = desk, record
        self._rng = random.Random(f"trouble {seed}")
        self.active: list[Happening] = []
        self.number = self.blackouts = 0
        self.ended_at, self.last_kind = _time(), "the start"
        self.hook_delays: list[float] = []
        self._settled: int | None = None
        self._was_calm = False  # before the last one began
        self._outages = self._denials = 0
        self._wedged_at: float | None = None
        self._deeds: dict[str, Callable[[float], Coroutine[Any, Any, None]]] = {
            "restart": self._restart,
            "boot-loop": self._boot_loop,
            "wedged": self._wedge,
            "deep-sleep": self._sleep,
            "unplug": self._unplug,
            "hang-up": self._hang_up,
            "half-open": self._half_open,
            "no-network": self._lose_network,
            "denied": self._deny,
        }
        desk.faults.on_strike = self._on_strike

    @property
    def is_calm(self) -> bool:
        """Whether nothing is wrong, and everything has worked since the last trouble."""
        return not self.active and self._settled == self.number

    def settle(self) -> None:
        """Note that everything works again."""
        self._settled = self.number

    async def follow(
        self, script: Sequence[Happening], may_go_on: asyncio.Event, group: asyncio.TaskGroup
    ) -> None:
        """Do what a script says, from now on, each in a task of its own."""
        began = _time()
        for happening in script:
            await asyncio.sleep(max(began + happening.at - _time(), 0.0))
            await may_go_on.wait()
            self._record.heard("!", str(happening))
            self._was_calm = self.is_calm
            self.active.append(happening)
            self.number += 1
            group.create_task(self._happen(happening), name=f"soak {happening.kind}")

    async def _happen(self, happening: Happening) -> None:
        try:
            if happening.fault is not None:
                await self._arm(happening.fault, happening.lasts)
            else:
                self._record.faults[happening.kind] += 1
                await self._deeds[happening.kind](happening.lasts)
        finally:
            self.active = [each for each in self.active if each is not happening]
            self.number += 1
            self.ended_at, self.last_kind = _time(), happening.kind
            self._record.heard("!", f"{happening.kind} is over")

    async def _arm(self, fault: Fault, lasts: float) -> None:
        faults, before = self._desk.faults, self._desk.faults.struck
        faults.add(fault)
        await until(lambda: not faults.has(fault.kind), lasts)
        faults.remove(fault)
        if faults.struck == before:
            return
        if fault.kind in {FaultKind.NETWORK_DOWN, FaultKind.SILENCE, FaultKind.DELAY_LINE}:
            await asyncio.sleep(fault.delay_s)
        self.blackouts += fault.kind is FaultKind.NETWORK_DOWN

    def _on_strike(self, fault: Fault) -> None:
        self._record.faults[fault.kind] += 1
        self._record.heard("!", f"{fault.kind} strikes")
        self.blackouts += fault.kind is FaultKind.NETWORK_DOWN
        if fault.kind is FaultKind.STUCK and self._was_calm and len(self.active) == 1:
            self._wedged_at = _time()

    async def hook(self, _modem: Modem) -> None:
        """Reset the module, as by a GPIO; but one call in ten fails, and one in twenty hangs."""
        self._record.heard("!", "the hook")
        if self._wedged_at is not None and len(self.active) == 1:
            passed, self._wedged_at = _time() - self._wedged_at, None
            self.hook_delays.append(passed)
            if passed > HOOK_S:
                self._record.breach(f"the hook came {passed:.1f} s after the first lost command")
        luck = self._rng.random()
        if luck < 0.1:
            raise OSError(19, "No such device")
        if luck < 0.15:
            await asyncio.sleep(math.inf)
        self._desk.virtual.reset()

    async def _restart(self, _lasts: float) -> None:
        self._desk.virtual.reset()

    async def _boot_loop(self, lasts: float) -> None:
        end = _time() + lasts
        while _time() < end:
            self._desk.virtual.reset()
            await asyncio.sleep(self._rng.uniform(1, 5))

    async def _wedge(self, lasts: float) -> None:
        stuck, board = Fault(FaultKind.STUCK, "AT"), self._desk.virtual.module.board
        self._desk.faults.add(stuck)
        await until(lambda: not self._desk.faults.has(stuck.kind), lasts)
        self._desk.faults.remove(stuck)
        is_reset = await until(lambda: board.mute_until != math.inf, lasts)
        self._wedged_at = None
        if not is_reset:
            self._record.breach(f"a wedged module was not reset in {lasts:g} s")
            self._desk.virtual.reset()

    async def _sleep(self, _lasts: float) -> None:
        self._desk.virtual.deep_sleep()

    async def _unplug(self, lasts: float) -> None:
        self._desk.is_plugged_in = False
        self._desk.cut()
        self._desk.virtual.reset()
        await asyncio.sleep(lasts)
        self._desk.virtual.reset()
        self._desk.is_plugged_in = True

    async def _hang_up(self, _lasts: float) -> None:
        self._desk.cut()

    async def _half_open(self, _lasts: float) -> None:
        self._desk.swallow()

    async def _lose_network(self, lasts: float) -> None:
        self.blackouts += 1
        self._outages += 1
        self._desk.virtual.set_coverage(False)
        await asyncio.sleep(lasts)
        self._outages -= 1
        self.blackouts += 1
        if not self._outages:
            self._desk.virtual.set_coverage(True)

    async def _deny(self, lasts: float) -> None:
        self.blackouts += 1
        self._denials += 1
        self._desk.virtual.deny(PLMN_NOT_ALLOWED)
        await asyncio.sleep(lasts)
        self._denials -= 1
        self.blackouts += 1
        if not self._denials:
            self._desk.virtual.deny(0)


def _time() -> float:
    return asyncio.get_running_loop().time()


async def until(holds: Callable[[], bool], limit: float = math.inf, every: float = 0.5) -> bool:
    """Wait until something holds, which is looked at now and then; return whether it does.

    What it looks at is changed in a dozen places and by the module, which tells nobody.
    """
    end = _time() + limit
    while not holds():
        if (left := end - _time()) <= 0:
            return False
        await asyncio.sleep(min(left, every))
    return True
