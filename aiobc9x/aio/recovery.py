"""Bring the line back in step after a fault, and watch over silent sockets.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiobc9x.aio.bringup.startup import ECHO_OFF, Settings, Started, read_settings, start
from aiobc9x.aio.bringup.steps import PATIENCE_S, Leftovers, Need, StartStep, Steps
from aiobc9x.aio.bringup.synchronize import settle, synchronize, wait_for_line
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.subscriptions import Reset, StepRegained
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.context_end import ContextEnds
from aiobc9x.aio.sockets.opening import Opener
from aiobc9x.core.events import Lane
from aiobc9x.core.slots import SlotState
from aiobc9x.errors import CommandError, LinkTimeout, ModemError, ModuleReset, SettingRefused
from aiobc9x.spec import OPEN_TIME_DEFAULT_S, ConfigKey
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import Qicfg
from aiobc9x.wire.urcs import SleepEvent, Urc, Wakeup

RECOVERY_LIMIT_S: Final = 30.0
"""Seconds after which a module that has stopped answering is given up."""

QUESTION_S: Final = 5.0
"""Seconds for the answer to an AT that is sent because the line is silent. Ours."""

SHORT_RECOVERY_S: Final = 15.0
"""Seconds, instead of :data:`RECOVERY_LIMIT_S`, after an AT that got no answer on a link whose
far side can vanish silently. With the silence before, the loss is noticed within a minute. Also
the least, where the module has been silent for longer than ``answer_timeout`` before."""

_RESTARTED: Final = "the module restarted, and its banner got lost"

_PAUSE_S: Final = 0.5
"""Seconds between two tries of a repair, because a restarting module needs a moment."""


class Health:
    """Keep one module usable.

    Attributes:
        settings: The settings for a module that has restarted.
        on_unseen_restart: Called when a restart is found whose banner got lost.
        one_recovery: Held by whoever brings commands and answers in step.
        context_ends: Ends connections with their context.
        counted_on_until: Until when somebody counts on it that the loss of an idle module is
            noticed, so that its silent line is asked.

    """

    settings: Settings
    counted_on_until: float

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
        self.one_recovery: asyncio.Lock = asyncio.Lock()
        self._asked_at = self.counted_on_until = -math.inf
        self._must_start = False
        self.context_ends: ContextEnds = ContextEnds(driver, examiner)
        self.on_unseen_restart: Callable[[], None] = lambda: None

    def on_urc(self, urc: Urc) -> None:
        """Notice the end of a deep sleep, or of a context."""
        woken = isinstance(urc, SleepEvent) and "EXIT DEEPSLEEP" in urc.text.upper()
        if woken or isinstance(urc, Wakeup):
            self._end_streams()
            self._driver.spawn(self._set_open_time)  # deep sleep forgets it (§2.2.11)
        self.context_ends.on_urc(urc)

    def _end_streams(self) -> None:
        """End the TCP connections, which deep sleep does not spare.

        UDP sockets go on as they were (§2.2.1, note 3), and so do those that the module has not
        been told of yet: it was woken for them.
        """
        for slot in list(self._driver.session.sockets):
            is_told = slot.state is not SlotState.OPENING or slot.is_asked
            if not slot.is_datagram and is_told:
                text = "the module was in deep sleep, which ends TCP"
                self._driver.session.break_off(slot, ModuleReset(text))
        self._driver.kick()

    async def after_wake(self) -> None:
        """Find out whether a sleep that the module says nothing of was a deep one."""
        reason = ModuleReset("the module was asleep, and has the socket no more")
        self._examiner.expect_ends(reason, within_s=0.0)
        if self._opener.open_time != OPEN_TIME_DEFAULT_S:
            await self._set_open_time()
        if any(slot.state is not SlotState.OPENING for slot in self._driver.session.sockets):
            await self._ask(lambda: self._examiner.compare(reason=reason))

    async def _set_open_time(self) -> None:
        step = self._open_time()
        try:
            await self._driver.run(step.command)
        except CommandError:
            # A module that has just woken up may be too busy; it is set again later.
            self._leftovers.add(step)

    def _open_time(self) -> StartStep:
        return StartStep(Qicfg(ConfigKey.OPEN_TIME, self._opener.open_time), Need.SHOULD)

    async def regain_step(self, reason: str) -> None:
        """Bring the line back in step: wait for silence, send AT, compare the sockets, go on.

        If the module stays silent, the link is given up. The time for that begins when AT can
        be sent; before, the command in flight gets its own time.
        """
        session = self._driver.session
        async with self.one_recovery:
            if not session.suspended or not self._driver.is_alive or self._driver.is_away:
                return
            resets, limit, link = session.boots, self._recovery_limit(), self._driver.link
            await wait_for_line(self._driver)
            if session.boots != resets:
                return
            try:
                await self._until_it_works(
                    lambda: self._regain(resets, limit), limit, SettingRefused
                )
            except ModuleReset:
                # after_restart() handles it.
                return
            except ModemError as exc:
                if self._driver.link is not link:
                    return  # the line was lost meanwhile, and another one has come
                self._driver.lose_link(f"the module stopped answering ({reason}): {exc.args[-1]}")

    def _recovery_limit(self) -> float:
        now, answer_timeout = self._driver.time(), self._driver.session.answer_timeout
        asked = now - self._asked_at <= answer_timeout + QUESTION_S
        if asked and not self._driver.link.hangs_up:
            return SHORT_RECOVERY_S
        # A send has waited for its prompt and for its result before it is given up: what it has
        # waited longer than others is taken off, so that the hook is called in time.
        waited = now - self._driver.session.unanswered_from - answer_timeout
        return max(SHORT_RECOVERY_S, RECOVERY_LIMIT_S - max(0.0, waited))

    async def _until_it_works(
        self,
        repair: Callable[[], Coroutine[Any, Any, None]],
        limit: float,
        *again: type[ModemError],
    ) -> None:
        """Repeat a repair that got no answer, or failed with ``again``, while there is time.

        The limit holds only while the line is silent. A module that prints anything exists, so
        it gets the full :data:`RECOVERY_LIMIT_S`.
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
                self._driver.log.debug("! the repair begins again: %(reason)s", error=exc)
                await asyncio.sleep(_PAUSE_S)
                self._driver.check_link()
            else:
                return

    async def _regain(self, resets: int, limit: float) -> None:
        driver = self._driver
        await settle(driver)
        driver.dispatch(driver.session.resync())
        await synchronize(driver, limit)
        # Before ATE0, which clears the flag. A returned echo shows a restart (F42).
        if driver.session.echo_seen:
            self._note_restart()
        steps = Steps(driver, PATIENCE_S)
        await steps.take(ECHO_OFF)
        try:
            lost = await self._examiner.compare(Lane.RECOVERY)
        except CommandError:
            lost = False
        if driver.session.is_format_doubtful:
            await self._read_format(steps)
        if lost:
            self._note_restart()
        if self._must_start:
            await self._start()
        elif self._opener.open_time != OPEN_TIME_DEFAULT_S:
            # The silence may have been deep sleep, which open_time does not survive (§2.2.11).
            await steps.take(self._open_time())
        if driver.session.boots == resets:
            self._go_on()

    async def _read_format(self, steps: Steps) -> None:
        """Find out how payloads are framed: another program may have changed it (F44, F56).

        Text and hex digits are both read. Lengths that are hidden are shown again, because
        nothing else says where pushed data and datagrams end.
        """
        session = self._driver.session
        was_shown = session.length_shown
        await read_settings(self._driver, steps)
        if was_shown and not session.length_shown:
            await steps.take(StartStep(Qicfg(ConfigKey.SHOW_LENGTH, 1), Need.SHOULD))
        session.is_format_doubtful = False

    def _note_restart(self) -> None:
        """Note a restart whose banner got lost, so that a repeated repair does the whole start."""
        if self._must_start:
            return
        self._must_start = True
        self._driver.session.statistics.resets += 1
        self._driver.hub.publish(Reset(""))
        self.on_unseen_restart()
        self._end_what_was_asked()

    def _end_what_was_asked(self) -> None:
        """End what the module owed before it restarted: openings, and lines that come later.

        An opening that was asked for behind the restart is not spared: the start closes it.
        """
        self._driver.fail_expected(_RESTARTED)
        for slot in list(self._driver.session.sockets):
            if slot.state is SlotState.OPENING and slot.is_asked:
                self._driver.session.break_off(slot, ModuleReset(_RESTARTED))

    async def after_restart(self, banner: str) -> None:
        """Configure a module that has restarted, so that new connections can be opened."""
        async with self.one_recovery:
            if not self._driver.session.suspended or self._driver.is_away:
                # The start after an earlier restart, or on another link, has dealt with this one.
                return
            link = self._driver.link
            try:
                await self._until_it_works(self._start, RECOVERY_LIMIT_S, ModuleReset)
            except ModemError as exc:
                if self._driver.link is not link:
                    return
                self._driver.lose_link(f"the module restarted ({banner}) and stayed away: {exc}")
            else:
                self._go_on()

    async def _start(self) -> None:
        started = await start(self._driver, self.settings)
        self._must_start = False
        self._leftovers.replace(started.left)

    def started(self, started: Started) -> None:
        """Go on behind a start on another link."""
        self._must_start = False
        self._leftovers.replace(started.left)
        self._go_on()

    def _go_on(self) -> None:
        self._driver.session.resume()
        self._driver.on_state_changed()
        self._driver.hub.publish(StepRegained())
        self._driver.kick()

    async def watch(self) -> None:
        """Find sockets and links that have ended silently, which look the same as idle ones.

        The sockets are compared with AT+QISTATE while a program reads or listens (F15). A
        silent line gets an AT if its link can't notice that the far side has vanished (F55).
        """
        interval = self._state_interval
        compared = asked = self._driver.time()
        while interval:
            await asyncio.sleep(min(compared, self._heard(asked)) + interval - self._driver.time())
            now = self._driver.time()
            if self.settings.allow_sleep:  # to be asked would keep it awake
                compared = asked = now
                continue
            if now >= compared + interval:
                compared = now
                if self._is_awaited():
                    asked = now
                    await self._ask(self._examiner.compare)
            if now >= self._heard(asked) + interval:
                asked = now
                await self._ask(lambda: self._driver.run(At(), limit=QUESTION_S))

    def _heard(self, asked: float) -> float:
        """Return when bytes last arrived or AT was last sent, whichever is later.

        Infinity, so that no AT is sent, for a link that reports the loss of its far side, unless
        somebody counts on an idle module.
        """
        driver = self._driver
        if driver.link.hangs_up and driver.time() >= self.counted_on_until:
            return math.inf
        return max(asked, driver.last_input)

    def _is_awaited(self) -> bool:
        """Whether a caller waits for something that a socket may deliver."""
        return any(
            # The +QIOPEN of an opening socket may have got lost (F32).
            slot.state is SlotState.OPENING
            or (slot.is_live and (slot.wants_read or slot.is_listener))
            for slot in self._driver.session.sockets
        )

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Ask the module something, unless a repair is under way anyway."""
        if self._driver.session.suspended:
            return
        self._asked_at = self._driver.time()
        try:
            await question()
        except ModemError as exc:
            self._driver.log.debug("! the module did not answer a check: %(reason)s", error=exc)
