"""Bring commands and answers back in step, and look after the sockets.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiobc9x.aio.bringup.startup import ECHO_OFF, Settings, read_settings, start
from aiobc9x.aio.bringup.steps import PATIENCE_S, Leftovers, Need, StartStep, Steps
from aiobc9x.aio.bringup.synchronize import settle, synchronize, wait_for_line
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.subscriptions import Reset, StepRegained
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.opening import Opener
from aiobc9x.core.events import Lane
from aiobc9x.core.slots import SlotState
from aiobc9x.errors import CommandError, LinkTimeout, ModemError, ModuleReset, SettingRefused
from aiobc9x.spec import OPEN_TIME_DEFAULT_S, ConfigKey
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import Qicfg
from aiobc9x.wire.urcs import PacketEvent, PdpDeactivated, SleepEvent, Urc, Wakeup

logger = logging.getLogger("aiobc9x.aio")

RECOVERY_LIMIT_S: Final = 30.0
"""Seconds until a module that stopped answering is given up."""

QUESTION_S: Final = 5.0
"""Seconds in which a line must answer that is asked because it is silent. Ours."""

SHORT_RECOVERY_S: Final = 15.0
"""The same as :data:`RECOVERY_LIMIT_S` behind such a question, on a link whose far side can
vanish without a word: with the silence before, it is noticed within a minute."""

_LAST_WORDS_S: Final = 1.0
"""In which a module says "closed" of each socket that ends with its context. Ours."""

_PAUSE_S: Final = 0.5
"""Between two repairs: a module that restarts needs a moment."""


class Health:
    """Keeps one module usable.

    Attributes:
        settings: What a module that has restarted is configured with.
        on_unseen_restart: Called when a restart is found whose banner got lost.

    """

    def __init__(
        self,
        driver: Driver,
        examiner: Examiner,
        opener: Opener,
        settings: Settings,
        leftovers: Leftovers,
        state_interval: float,
    ) -> None:
        self._driver, self._examiner, self._opener = driver, examiner, opener
        self.settings, self._leftovers = settings, leftovers
        self._state_interval = state_interval
        self._one_recovery = asyncio.Lock()
        self._asked_at = -math.inf
        self._must_start = self._is_looking = False
        self.on_unseen_restart: Callable[[], None] = lambda: None

    def on_urc(self, urc: Urc) -> None:
        """Notice the end of a deep sleep, or of a context."""
        woken = isinstance(urc, SleepEvent) and "EXIT DEEPSLEEP" in urc.text.upper()
        if woken or isinstance(urc, Wakeup):
            self._driver.spawn(self.after_sleep)
        elif isinstance(urc, PdpDeactivated) or (isinstance(urc, PacketEvent) and urc.is_end):
            self._driver.spawn(self._after_context)

    async def _after_context(self) -> None:
        """Look for the sockets that have ended with a context, and not with a "closed"."""
        if self._is_looking:
            return
        self._is_looking = True
        await asyncio.sleep(_LAST_WORDS_S)
        self._is_looking = False  # what is said from now on may be news
        if any(slot.is_live or slot.is_listener for slot in self._driver.session.sockets):
            await self._ask(self._examiner.compare_after_loss)

    async def after_sleep(self) -> None:
        """End the TCP connections, which deep sleep does not spare, and set what it forgets.

        UDP sockets go on as they were (§2.2.1, note 3); ``open_time`` is lost (§2.2.11).
        """
        for slot in list(self._driver.session.sockets):
            if not slot.is_datagram:
                text = "the module was in deep sleep, which ends TCP"
                self._driver.session.break_off(slot, ModuleReset(text))
        self._driver.kick()
        step = self._open_time()
        try:
            await self._driver.run(step.command)
        except CommandError:
            self._leftovers.add(step)  # just awake, it may have been too busy

    def _open_time(self) -> StartStep:
        return StartStep(Qicfg(ConfigKey.OPEN_TIME, self._opener.open_time), Need.SHOULD)

    async def regain_step(self, reason: str) -> None:
        """Drain the line, send AT, compare the sockets, go on (rule: stray answers).

        A module that stays silent ends the link. Its time begins when AT can be sent: until
        then the command in flight is waited for.
        """
        session = self._driver.session
        async with self._one_recovery:
            if not session.suspended or not self._driver.is_alive:
                return
            resets, limit = session.boots, self._recovery_limit()
            await wait_for_line(self._driver)
            if session.boots != resets:
                return
            try:
                await self._until_it_works(
                    lambda: self._regain(resets, limit), limit, SettingRefused
                )
            except ModuleReset:
                return  # the restart is handled by itself
            except ModemError as exc:
                self._driver.fail(f"the module stopped answering ({reason}): {exc.args[-1]}")

    def _recovery_limit(self) -> float:
        patience = self._driver.session.answer_timeout + QUESTION_S
        asked = self._driver.time() - self._asked_at <= patience
        return SHORT_RECOVERY_S if asked and not self._driver.link.hangs_up else RECOVERY_LIMIT_S

    async def _until_it_works(
        self,
        repair: Callable[[], Coroutine[Any, Any, None]],
        limit: float,
        *again: type[ModemError],
    ) -> None:
        """Repeat a repair that got no answer, or failed by ``again``, while there is time.

        A short limit is that of silence: a module that says something is there.
        """
        passing: tuple[type[ModemError], ...] = (LinkTimeout, *again)
        began = self._driver.time()
        while True:
            try:
                await repair()
            except passing as exc:
                longest = RECOVERY_LIMIT_S if self._driver.last_input > began else limit
                if self._driver.time() + _PAUSE_S >= began + longest:
                    raise
                logger.debug("! the repair begins anew: %s", exc)
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def _regain(self, resets: int, limit: float) -> None:
        driver = self._driver
        await settle(driver)
        driver.dispatch(driver.session.resync())
        await synchronize(driver, limit)
        if driver.session.echo_seen:  # ATE0 forgets it
            self._note_restart()
        steps = Steps(driver, PATIENCE_S)
        await steps.take(ECHO_OFF)
        try:
            lost = await self._examiner.compare(Lane.RECOVERY)
        except CommandError:
            lost = False
        if driver.session.is_format_doubtful:
            await read_settings(driver, steps)
            driver.session.is_format_doubtful = False
        if lost:
            self._note_restart()
        if self._must_start:
            await self._start()
        elif self._opener.open_time != OPEN_TIME_DEFAULT_S:
            # It may have been asleep, which open_time does not survive (§2.2.11).
            await steps.take(self._open_time())
        if driver.session.boots == resets:
            self._go_on()

    def _note_restart(self) -> None:
        """Note a restart whose banner got lost; a repair that begins anew must not forget it."""
        if self._must_start:
            return
        logger.warning("! the module echoes, or has no socket: it must have restarted")
        self._must_start = True
        self._driver.session.statistics.resets += 1
        self._driver.hub.publish(Reset(""))
        self.on_unseen_restart()

    async def after_restart(self, banner: str) -> None:
        """Configure a module that has restarted, so that new connections can be opened."""
        async with self._one_recovery:
            if not self._driver.session.suspended:
                return  # the start after an earlier restart has covered this one
            try:
                await self._until_it_works(self._start, RECOVERY_LIMIT_S, ModuleReset)
            except ModemError as exc:
                self._driver.fail(f"the module restarted ({banner}) and stayed away: {exc}")
            else:
                self._go_on()

    async def _start(self) -> None:
        started = await start(self._driver, self.settings)
        self._must_start = False
        self._leftovers.replace(started.left)

    def _go_on(self) -> None:
        self._driver.session.resume()
        self._driver.hub.publish(StepRegained())
        self._driver.kick()

    async def watch(self) -> None:
        """Ask from time to time: a socket, or a far side, that ended in silence looks idle.

        The sockets are compared while somebody reads or listens. A line that is silent is
        asked by AT if its link can't tell that the far side has vanished.
        """
        interval = self._state_interval
        compared = asked = self._driver.time()
        while interval and not self.settings.allow_sleep:
            await asyncio.sleep(min(compared, self._heard(asked)) + interval - self._driver.time())
            now = self._driver.time()
            if now >= compared + interval:
                compared = now
                if self._is_awaited():
                    asked = now
                    await self._ask(self._examiner.compare)
            if now >= self._heard(asked) + interval:
                asked = now
                await self._ask(lambda: self._driver.run(At(), limit=QUESTION_S))

    def _heard(self, asked: float) -> float:
        """Return since when the line is silent, or when it was asked if that was later.

        A far side that tells of its end is never asked.
        """
        return math.inf if self._driver.link.hangs_up else max(asked, self._driver.last_input)

    def _is_awaited(self) -> bool:
        """Whether somebody waits for what a socket may bring."""
        return any(
            slot.state is SlotState.OPENING  # its +QIOPEN may have got lost
            or (slot.is_live and (slot.wants_read or slot.is_listener))
            for slot in self._driver.session.sockets
        )

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Ask the module something, unless it is being brought back in step anyway."""
        if self._driver.session.suspended:
            return
        self._asked_at = self._driver.time()
        try:
            await question()
        except ModemError as exc:
            logger.debug("! no answer to a look at the module: %s", exc)
