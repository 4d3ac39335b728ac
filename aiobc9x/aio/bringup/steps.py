"""Make the settings of a start, and deal with those that the module refuses (F50).

Layer: aio.

::

    need     refused for now (SIM busy)      refused with ERROR, or as unknown
    MUST     again until the time is up      again until the time is up; then SettingRefused
    OUGHT    again for PATIENCE_S            again for PATIENCE_S; then left for later
    SHOULD   again for PATIENCE_S            left for later
    MAY      left for later                  left for later

A setting that is left for later is tried again at the end of a start that had to wait, whenever
a caller waits for the network, and once more when the network is there.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from aiobc9x.aio.bringup.refusals import Refusal, meaning_of
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.resting import rest
from aiobc9x.core.events import Lane
from aiobc9x.errors import CommandError, LinkTimeout, SettingRefused
from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.base import Command

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""Seconds of a whole start that are spent on settings which can wait. Ours: the longest busy time
after power-up in a public report is shorter."""

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 1.0
_MOST_TRIES: Final = 3
_LEAST_S: Final = 5.0  # the time that any command is given


class Need(enum.Enum):
    """How badly a start needs a setting."""

    MUST = "nothing works without it"
    OUGHT = "nothing works without it, unless the module differs as its user says"
    SHOULD = "something works worse without it"
    MAY = "it makes something known sooner"


@slotted(frozen=True)
class StartStep:
    """One setting.

    Attributes:
        command: The command that makes the setting.
        need: How badly the setting is needed.
        purpose: What goes wrong without the setting, for the error message.

    """

    command: Command[Any]  # each has its own answer
    need: Need
    purpose: str = ""


class Steps:
    """Make the settings of one start.

    Attributes:
        left: Settings that were refused, to be tried again later.

    """

    def __init__(self, driver: Driver, timeout: float) -> None:
        now = driver.time()
        self._driver, self._began = driver, now
        self._end = now + timeout
        self._patience_end = now + min(timeout, PATIENCE_S)
        self._has_waited = False
        self._left: dict[bytes, StartStep] = {}

    @property
    def left(self) -> tuple[StartStep, ...]:
        """Settings that were refused, to be tried again later."""
        return tuple(self._left.values())

    async def take(self, step: StartStep) -> bool:
        """Make a setting, trying as often as its need allows; return whether it is made.

        Raises:
            SettingRefused: The module refuses a setting that MUST be made.
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        line = step.command.encode()
        self._left.pop(line, None)
        try:
            await self._repeat(step.command, step.need)
        except CommandError as exc:
            if step.need is Need.MUST:
                raise SettingRefused(
                    step.command.text, step.purpose, exc.cme, self._driver.time() - self._began
                ) from exc
            self._left[line] = step
            return False
        return True

    async def ask(self, command: Command[T], need: Need = Need.SHOULD) -> T | None:
        """Ask something; return ``None`` if the module refuses to answer.

        Raises:
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        try:
            return await self._repeat(command, need)
        except CommandError:
            return None

    async def take_left(self) -> None:
        """Try refused settings once more, if waiting has helped with another one."""
        if self._has_waited:
            for step in self.left:
                await self.take(step)

    async def _repeat(self, command: Command[T], need: Need) -> T:
        pauses = _pauses()
        while True:
            try:
                return await self._driver.run(command, lane=Lane.RECOVERY, limit=self._cut(command))
            except CommandError as exc:
                pause = next(pauses)
                if self._driver.time() + pause > self._limit(need, exc):
                    raise
            self._has_waited = True
            await rest(self._driver, pause)

    def _cut(self, command: Command[Any]) -> float | None:
        """Return a limit for a command that may take longer than the start has left."""
        left = max(self._end - self._driver.time(), _LEAST_S)
        return left if command.time_limit > left else None

    def _limit(self, need: Need, refused: CommandError) -> float:
        """Return the time after which a refused command is not tried again."""
        if need is Need.MUST:
            return self._end
        if need is Need.OUGHT:
            return self._patience_end
        passes = need is Need.SHOULD and meaning_of(refused) is Refusal.PASSING
        return self._patience_end if passes else self._began


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)


class Leftovers:
    """The settings that a start has left for later."""

    def __init__(self, driver: Driver, steps: tuple[StartStep, ...] = ()) -> None:
        self._driver = driver
        self._steps = steps
        self._tries: dict[StartStep, int] = {}

    def __bool__(self) -> bool:
        """Whether any setting is left."""
        return bool(self._steps)

    def replace(self, steps: tuple[StartStep, ...]) -> None:
        """Replace all by the settings that a later start has left."""
        self._steps = steps
        self._tries.clear()

    def add(self, step: StartStep) -> None:
        """Add a setting that was refused since then."""
        self._steps = (*self._steps, step)
        self._tries.pop(step, None)

    async def catch_up(self, *, is_ready: bool) -> None:
        """Try again what was refused.

        Args:
            is_ready: The network is there, so the module is not busy with its start any more. A
                setting is then dropped if the module does not know it, or refuses or ignores
                it for the third time.

        Raises:
            ModemError: The link failed, the module restarted, or gave no answer.

        """
        for step in self._steps:
            try:
                await self._driver.run(step.command)
            except CommandError as exc:
                is_missing = meaning_of(exc) is Refusal.MISSING
                if is_ready and (self._is_worn_out(step) or is_missing):
                    self._drop(step)
            except LinkTimeout:
                if is_ready and self._is_worn_out(step):
                    self._drop(step)
                raise
            else:
                self._drop(step)

    def _is_worn_out(self, step: StartStep) -> bool:
        self._tries[step] = tries = self._tries.get(step, 0) + 1
        return tries >= _MOST_TRIES

    def _drop(self, step: StartStep) -> None:
        self._steps = tuple(other for other in self._steps if other is not step)
