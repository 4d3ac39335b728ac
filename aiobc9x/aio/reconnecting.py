"""Bring a modem back whose link has gone, or that has stopped answering.

Layer: aio.

The rungs below :class:`LinkDown`, each told of as a :class:`Recovering` event:

========== ============================================== ======================================
rung       when                                           what follows
========== ============================================== ======================================
device     there is no such device                        ``port``, as soon as it is there
port       always                                         in step within 10 s and configured: up
hook       the port opens, and nothing (usable) answers   ``port`` at once
radio      it answers, and has no network for long        the wait for the network, twice as long
restart    the radio off and on did not help              the same, longer with each restart
========== ============================================== ======================================

The first rungs, before a link is given up at all, are those of
:mod:`aiobc9x.aio.recovery`: drain and ``AT``, ESC, filling up a data mode.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any, Final

from aiobc9x.aio.arguments import check_flag, check_integer, check_positive_seconds, check_seconds
from aiobc9x.aio.bringup.readiness import Readiness
from aiobc9x.aio.bringup.startup import Started, get_in_step, start
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.finishing import contain
from aiobc9x.aio.line.link import Link
from aiobc9x.aio.line.subscriptions import LinkDown, LinkUp, Recovering
from aiobc9x.aio.recovery import Health
from aiobc9x.errors import (
    CommandError,
    LinkTimeout,
    ModemError,
    ModuleReset,
    PortDenied,
    PortNotFound,
    WrongModule,
)
from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.radio import Cfun

IN_STEP_S: Final = 10.0
"""Seconds for the first answer on a port that has just been opened; our choice.

A silent module is asked all the time, so a further try costs only another opening of the port."""

SCAN_IN_STEP_S: Final = 25.0
"""The same where the speed is to be found: three seconds for each (quirks: seven speeds)."""

BOOT_S: Final = 30.0
"""Seconds of silence until the hook is called: a module that has just been switched on, as by
being plugged in or by the hook itself, is silent for a while, and must not be reset again. Ours."""

BOOTING_S: Final = 60.0
"""Seconds of boot banners without an answer between them after which a module counts as one that
restarts again and again, so that the hook is called at once. Ours."""

OPEN_LIMIT_S: Final = 60.0
"""Seconds for opening the port: a user's ``create`` may never end. Our choice; it is long,
because a tunnel may need that many."""

HOOK_LIMIT_S: Final = 60.0
"""Seconds that one call of the user's hook may take; our choice."""

LOOK_S: Final = 0.5
"""Seconds between two looks whether a device has appeared; our choice."""

SETTLE_S: Final = 0.2
"""Seconds that udev needs to give a device that has just appeared its group and its links."""

QUICK_DENIALS: Final = 5
"""Refusals for lack of permission after which the wait becomes the longest one.

A device that has just been plugged in belongs to root until udev has given it its group."""

NETWORK_LOOK_S: Final = 60.0
"""Seconds between two looks whether a module has a network, while it is not known to have one."""

FALTERS_S: Final = 3.0
"""Seconds of silence about a command after which a modem counts as faltering; our choice.

Ten times what the note allows. A module that writes flash or searches a cell may take longer, so
nothing ends by it: only a pool takes another modem, and a health check says no."""

_RADIO_PAUSE_S: Final = 5.0

Hook = Callable[[Any], Awaitable[object]]
"""A user's async callable, called with the modem (``Any``: its class is of a layer above)."""


class ModemState(enum.Enum):
    """Where a modem stands in its life."""

    UP = "up"
    """Commands and answers match; the network may be there or not."""

    RECOVERING = "recovering"
    """The line is being brought back in step, or the module configured after a restart."""

    AWAY = "away"
    """There is no link: the port has gone, or nothing answers."""

    CLOSED = "closed"
    """The modem has ended for good: by :meth:`Modem.aclose`, or because it was given up."""


@slotted(frozen=True, repr=False)
class Reconnect:
    """How a modem comes back after the loss of its port, or of the module's answers.

    Attributes:
        first_delay: Seconds, at most, until the port is opened for the first time.
        max_delay: Seconds, at most, between two tries later; each is twice the last one. The
            real ones are chosen at random below these, so that many modems on one hub, or many
            gateways on one network, don't all come at once.
        give_up_after: Seconds from the loss on after which the modem is closed for good;
            ``None`` for never.
        reset: An async callable that is given the modem and restarts the module from outside: by
            a GPIO, by the power of its USB port. Called when the port opens and nothing answers.
            It has 60 s and is then cancelled; its exceptions go to the loop's exception handler.
            Either way the modem goes on trying. The port is closed meanwhile, so a command that
            the hook sends fails at once with :class:`LinkLost`.
        resets_per_hour: The most calls of ``reset``, plus restarts for lack of a network, in any
            hour: a network may refuse a module that restarts too often (seen with its relatives).
        wait_for_device: Whether the first opening waits too until the device is there.
        network_patience: Seconds that a module which answers may have no network until its
            radio is switched off and on, and later itself restarted; 0 for never. With
            ``allow_sleep`` nothing is asked, as that would keep the module awake.

    """

    first_delay: float = 1.0
    max_delay: float = 60.0
    give_up_after: float | None = None
    reset: Hook | None = None
    resets_per_hour: int = 6
    wait_for_device: bool = False
    network_patience: float = 900.0

    def __post_init__(self) -> None:
        """Refuse values that are out of range."""
        for name in ("first_delay", "max_delay", "give_up_after"):
            if (seconds := getattr(self, name)) is not None or name != "give_up_after":
                check_positive_seconds(name, seconds)
            if seconds == math.inf:
                raise ValueError(f"{name} is {seconds}: use a finite number of seconds")
        if self.first_delay > self.max_delay:
            raise ValueError(
                f"max_delay is {self.max_delay}: use first_delay ({self.first_delay}) or more"
            )
        if self.reset is not None and not callable(self.reset):
            raise TypeError(f"reset must be an async callable, not {type(self.reset).__name__}")
        check_integer("resets_per_hour", self.resets_per_hour, 0)
        check_flag("wait_for_device", self.wait_for_device)
        check_seconds("network_patience", self.network_patience)
        if not 0 <= self.network_patience < math.inf:  # nor NaN
            raise ValueError(
                f"network_patience is {self.network_patience}: use seconds, 0 for never"
            )

    def __repr__(self) -> str:
        told = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return f"Reconnect({', '.join(f'{n}={v!r}' for n, v, usual in told if v != usual)})"

    def delay(self, attempt: int, draw: Callable[[], float] | None = None) -> float:
        """Return the seconds before a try, 0 being the first: at random below a doubling limit."""
        from random import random  # noqa: PLC0415  (no program needs it before a loss)

        doublings = min(attempt, 30)  # 2**30 s are longer than any limit
        return (draw or random)() * min(self.max_delay, self.first_delay * 2.0**doublings)


class Life:
    """Bring the link of one modem back, for as long as its policy says.

    Args:
        modem: Returns the modem, which the user's hook is given.
        policy: When to try what; ``None``: a modem ends with its link.
        driver: Runs the session over the link.
        health: Configures the module.
        readiness: Knows whether the module has a network.
        open_link: Opens the link once more, or fails, within a limited time.
        is_there: Whether the device is there, as far as can be seen without opening it.

    """

    def __init__(
        self,
        modem: Callable[[], object],
        policy: Reconnect | None,
        driver: Driver,
        health: Health,
        readiness: Readiness,
        open_link: Callable[[], Awaitable[Link]],
        is_there: Callable[[], Awaitable[bool]],
    ) -> None:
        self._modem, self._policy, self._driver = modem, policy, driver
        self._health, self._readiness = health, readiness
        self._open_link, self._is_there = open_link, is_there
        self._is_returning = False
        self._silent_since = 0.0
        self._returned_at = -math.inf
        self._quick_ends = 0
        self._resets: deque[float] = deque()
        if policy is not None:
            driver.on_link_lost = self.on_link_lost

    @property
    def state(self) -> ModemState:
        """Where the modem stands."""
        if not self._driver.is_alive:
            return ModemState.CLOSED
        if self._driver.is_away or self._is_returning:
            return ModemState.AWAY
        return ModemState.RECOVERING if self._driver.session.suspended else ModemState.UP

    @property
    def falters(self) -> bool:
        """Whether the modem takes no commands, or has owed an answer for :data:`FALTERS_S`."""
        return self.state is not ModemState.UP or self._driver.silence >= FALTERS_S

    async def on_link_lost(self, reason: str) -> None:
        """Bring the modem back; one try after the other, until it is there or given up."""
        if self._is_returning:
            return  # the link was lost while it was being brought back
        assert self._policy is not None
        self._is_returning = True
        driver = self._driver
        self._silent_since = driver.last_input
        # A serial server ends the stream in order when it gives the module to another client.
        # Without longer and longer waits, two clients would take it from each other for ever.
        is_soon = driver.time() < self._returned_at + self._policy.max_delay
        self._quick_ends = self._quick_ends + 1 if is_soon and driver.link.was_ended else 0
        driver.session.statistics.link_losses += 1
        driver.hub.publish(LinkDown(reason))
        self._readiness.restarted()  # the module may restart unseen while there is no link
        try:
            # Whatever is being tried then: the hook and the opening of the port may take a minute.
            async with asyncio.timeout(self._policy.give_up_after):
                await self._return(self._policy, reason)
        except TimeoutError:
            reason = f"{driver.trouble}; given up after {self._policy.give_up_after:g} s"
            driver.fail(reason)
        finally:
            self._is_returning = False
            driver.on_state_changed()

    async def _return(self, policy: Reconnect, reason: str) -> None:
        driver, attempt, denials = self._driver, 0, 0
        wait, is_missing = policy.delay(self._quick_ends), False
        while True:
            await driver.link.aclose()
            if not is_missing:
                attempt += 1
                driver.hub.publish(Recovering("port", attempt, wait, reason))
            await self._pause(wait)
            was_missing, is_missing = is_missing, False
            try:
                started = await self._try()
            except PortNotFound as exc:
                reason, wait = _in_words(exc), policy.delay(0)
                if not was_missing:
                    driver.hub.publish(Recovering("device", attempt, LOOK_S, reason))
                # Nothing but another opening shows whether a stream of create() is there again.
                is_missing = not await self._wait_for_device()
                self._silent_since = driver.time()
            except (PortDenied, WrongModule) as exc:
                # A wrong device doesn't become the right one soon, and a user does nothing soon.
                reason, denials = _in_words(exc), denials + 1
                wait = policy.max_delay if denials > QUICK_DENIALS else policy.delay(0)
            except (LinkTimeout, ModuleReset) as exc:
                reason = _in_words(exc)
                silence = driver.time() - self._silent_since
                is_due = isinstance(exc, ModuleReset) or silence >= BOOT_S
                has_reset = is_due and await self._reset(policy, attempt, reason)
                wait = 0.0 if has_reset else min(policy.delay(attempt), policy.first_delay)
            except Exception as exc:  # create() is a user's: it may raise anything
                if not isinstance(exc, ModemError | OSError):
                    driver.report("opening the link again failed", exc)
                reason, wait = _in_words(exc), policy.delay(attempt)
            else:
                self._go_on(started)
                return
            driver.trouble = reason

    async def _try(self) -> Started:
        """Open the link, and bring the module in step and to its settings."""
        link = await self._open_link()
        driver, settings = self._driver, self._health.settings
        try:
            async with self._health.one_recovery:
                driver.use_link(link)
                scan, boots_until = settings.baudrate is None, driver.time() + BOOTING_S
                patience = SCAN_IN_STEP_S if scan else IN_STEP_S
                # A module that the hook or its plug has just switched on prints its banner here.
                await get_in_step(driver, patience, boots_until, scan=scan, on_boot=self._note_boot)
                started = await start(driver, settings)
                driver.check_link()
        except BaseException as exc:
            if isinstance(exc, Exception):
                driver.lose_link(_in_words(exc))  # does nothing if it is lost already
            await link.aclose()
            raise
        link.end_greeting()
        return started

    def _note_boot(self) -> None:
        self._silent_since = self._driver.time()

    def _go_on(self, started: Started) -> None:
        self._driver.session.statistics.returns += 1
        self._returned_at = self._driver.time()
        self._is_returning = False
        self._driver.trouble = ""
        self._health.started(started)
        self._driver.hub.publish(LinkUp())

    async def _pause(self, seconds: float) -> None:
        """Wait before a try; a device that appears cuts the wait."""
        until = self._driver.time() + seconds
        is_there = await self._is_there()
        while (left := until - self._driver.time()) > 0:
            await asyncio.sleep(min(left, LOOK_S))
            was_there, is_there = is_there, await self._is_there()
            if is_there and not was_there:
                await asyncio.sleep(SETTLE_S)
                return

    async def _wait_for_device(self) -> bool:
        """Wait until the device is there; return whether it could be seen to be missing."""
        was_missing = False
        while not await self._is_there():
            was_missing = True
            await asyncio.sleep(LOOK_S)
        return was_missing

    async def _reset(self, policy: Reconnect, attempt: int, reason: str) -> bool:
        """Have the user's hook reset the module, if there is one; return whether it was called."""
        driver = self._driver
        if policy.reset is None or driver.hook is not None or not self._may_reset(policy):
            return False  # the last call may run on, if it ignores its cancellation
        driver.hub.publish(Recovering("hook", attempt, 0.0, reason))
        driver.session.statistics.reset_hooks += 1
        await driver.link.aclose()  # a hook that switches the port's power off needs it closed
        try:
            await contain(self._run_hook(policy.reset), HOOK_LIMIT_S)
        except Exception as exc:
            driver.log.warning("! the reset hook failed: %(reason)s", error=exc)
            driver.report("the reset hook failed", exc)
        self._silent_since = driver.time()
        return True

    async def _run_hook(self, hook: Hook) -> None:
        """Call the user's hook; commands that it sends itself fail, because the port is closed."""
        self._driver.hook = asyncio.current_task()
        try:
            result = hook(self._modem())
            if not inspect.isawaitable(result):
                raise TypeError(f"reset must be an async callable; it returned {result!r}")
            await result
        finally:
            self._driver.hook = None

    def _may_reset(self, policy: Reconnect) -> bool:
        """Count a reset, unless there were too many within an hour."""
        now = self._driver.time()
        while self._resets and self._resets[0] <= now - 3600.0:
            self._resets.popleft()
        if len(self._resets) >= policy.resets_per_hour:
            return False
        self._resets.append(now)
        return True

    async def watch_network(self) -> None:
        """Restart the radio, later the module, if it answers commands but has no network."""
        policy = self._policy
        if policy is None or not policy.network_patience:
            return
        rung, since, patience = 0, self._driver.time(), policy.network_patience
        while True:
            await asyncio.sleep(min(NETWORK_LOOK_S, policy.network_patience))
            now = self._driver.time()
            if self.state is not ModemState.UP:
                since = now
            elif self._readiness.is_ready or await self._has_network():
                rung, since, patience = 0, now, policy.network_patience
            elif now - since >= patience:
                rung += 1
                since, patience = now, min(2 * patience, 24 * 3600.0)
                await self._help_network(policy, rung, patience)

    async def _has_network(self) -> bool:
        try:
            return await self._readiness.has_network()
        except ModemError:
            return True  # the module or the link fails here, not the network

    async def _help_network(self, policy: Reconnect, rung: int, patience: float) -> None:
        name = "radio" if rung == 1 else "restart"
        if name == "restart" and not self._may_reset(policy):
            return
        reason = f"no network for {patience / 2:.0f} s"
        self._driver.log.warning("! %(reason)s: %(rung)s", reason=reason, rung=name)
        self._driver.hub.publish(Recovering(name, rung, 0.0, reason))
        try:
            if name == "radio":
                await self._driver.run(Cfun(0))
                await asyncio.sleep(_RADIO_PAUSE_S)
                await self._driver.run(Cfun(1))
            else:
                await self._restart()
        except ModemError as exc:
            self._driver.log.info("! %(rung)s: %(reason)s", rung=name, error=exc)
        self._readiness.forget()

    async def _restart(self) -> None:
        try:
            await self._driver.run(Raw("AT+QRST=1"))
        except CommandError:  # a module without it (27.007 has the other one)
            await self._driver.run(Raw("AT+CFUN=1,1"))


def _in_words(exc: Exception) -> str:
    """Return an exception's text without its errno, for events and errors that quote it."""
    text = exc.strerror if isinstance(exc, OSError) else None
    return text or str(exc) or type(exc).__name__
