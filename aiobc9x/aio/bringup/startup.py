"""From a port in an unknown state to a module in step, with the right settings.

Layer: aio. Plain coroutines over ``driver.run(command)`` in the recovery lane.

A module may be in data mode, echoing, asleep, or hold the sockets of a process that
crashed (rule 9). One that has just been switched on refuses nearly everything for seconds,
and vendor commands may be missing: :mod:`aiobc9x.aio.bringup.steps` says what comes of a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiobc9x.aio.bringup.identity import foreign_model, is_ours
from aiobc9x.aio.bringup.steps import Need, StartStep, Steps
from aiobc9x.aio.bringup.synchronize import settle, synchronize
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.subscriptions import Progress
from aiobc9x.aio.sockets.close_ok import CLOSE_OK_LIMIT_S, close_and_wait
from aiobc9x.core.events import Lane
from aiobc9x.core.profile import ModuleProfile, profile_for
from aiobc9x.errors import LinkTimeout, ModuleReset, WrongModule
from aiobc9x.slotted import slotted
from aiobc9x.spec import (
    CONNECT_IDS,
    OPEN_TIME_DEFAULT_S,
    OPEN_TIMES_S,
    AccessMode,
    ConfigKey,
)
from aiobc9x.wire.commands.base import Command, ReceiveHex, ShowLength
from aiobc9x.wire.commands.radio import (
    Cedrxs,
    Cfun,
    Cgauth,
    Cgdcont,
    Cgerep,
    Cgmi,
    Cgmm,
    Cmee,
    Cpsms,
    Cscon,
    Echo,
    Identify,
    Qatwakeup,
    Qnbiotevent,
    Qsclk,
    Verbose,
)
from aiobc9x.wire.commands.tcpip import Qicfg, Qidnscfg, Qistate, SocketStatus

_UNSTEADY: Final = "the module restarts again and again; check its power supply"

_BOOT_PAUSE_S: Final = 0.1

_NVRAM_GAP_S: Final = 0.05
_STARTS: Final = 3
_PUSH_RECENT_S: Final = 2.0
"""Seconds for which a line that looked like pushed data counts: a socket that an earlier program
left in push mode must then be closed first (F45). Ours."""

_UNLISTED_CLOSE_S: Final = 2.0
"""Seconds for ``CLOSE OK`` of a connect ID that the module does not list. Mostly it answers
ERROR at once; one that says OK to everything must not cost a start twelve seconds for each."""

_FRAMING: Final = "received data can't be told from answers (§2.2.11)"

ECHO_OFF: Final = StartStep(
    Echo(False), Need.MUST, "echoed commands and data can't be told from answers"
)

RESULTS_IN_WORDS: Final = StartStep(Verbose(), Need.MAY)
"""Results came in words to AT already, but a profile that the module has stored may undo that."""

ERROR_CODES: Final = StartStep(Cmee(1), Need.SHOULD)
NO_SLEEP: Final = StartStep(Qsclk(0), Need.SHOULD)
NO_POWER_SAVING: Final = StartStep(Cpsms(0), Need.SHOULD)
NO_EDRX: Final = StartStep(Cedrxs(0), Need.MAY)
EVENTS: Final = tuple(
    StartStep(c, Need.MAY) for c in (Cscon(1), Cgerep(1), Qnbiotevent(1), Qatwakeup(1))
)
RADIO_ON: Final = StartStep(Cfun(1), Need.SHOULD)


@slotted(frozen=True)
class Access:
    """How the modem's context gets into the network, as the program has set it.

    Attributes:
        context: Defines the context.
        login: Sets who logs in, or that nobody does; ``None`` where the module keeps that itself.

    """

    context: Cgdcont
    login: Cgauth | None


@slotted(frozen=True)
class Settings:
    """What start-up brings about.

    Attributes:
        sync_timeout: Seconds until the module must have answered, and as many again until it
            must have taken the settings that nothing works without.
        baudrate: Bits per second, ``None`` to find out.
        profile: Facts about the module, ``None`` to choose by ATI, which must not name another.
        hex_receive: Have payloads come as hex digits (§2.2.11).
        open_time: ``<open_time>`` in seconds, 1–36.
        allow_sleep: Leave the module's sleep and power saving settings alone.
        power_saving: What sets them in place of that.
        access: The context that the program has defined; ``None`` to leave the module's alone.
        dns_servers: Sets those of the program, once the module is registered (§2.2.13).

    """

    sync_timeout: float = 30.0
    baudrate: int | None = 115200
    profile: ModuleProfile | None = None
    hex_receive: bool = False
    open_time: int = OPEN_TIME_DEFAULT_S
    allow_sleep: bool = False
    power_saving: tuple[Command[Any], ...] = ()
    access: Access | None = None
    dns_servers: Qidnscfg | None = None

    def check(self) -> None:
        """Raise ``ValueError`` for what can't be brought about."""
        if self.open_time not in OPEN_TIMES_S:
            raise ValueError(f"open_time is {self.open_time}: use 1-36 seconds (§2.2.11)")
        if not self.sync_timeout > 0:  # nor NaN
            raise ValueError(f"sync_timeout is {self.sync_timeout}: use more than 0 s")
        if not isinstance(self.profile, ModuleProfile | None):
            raise TypeError(f"profile must be a ModuleProfile, not {self.profile!r}")


@slotted(frozen=True)
class Started:
    """The outcome of a start.

    Attributes:
        identity: The lines that the module answered to ATI.
        left: Settings that the module refused, or can't take yet, to be tried again later.

    """

    identity: tuple[str, ...]
    left: tuple[StartStep, ...] = ()


async def start(driver: Driver, settings: Settings) -> Started:
    """Bring the line in step, and configure the module.

    If the module restarts or falls silent, begin again (F43).

    Raises:
        LinkTimeout: The module did not answer in time; the message says what came.
        ModuleReset: The module keeps restarting.
        SettingRefused: It refused for ``sync_timeout`` what nothing works without.
        WrongModule: It is another module, and the settings have no profile.
        ModemError: The link failed.

    Cancellation is safe: nothing is left in flight that the next start doesn't settle.
    """
    silence: LinkTimeout | None = None
    end = driver.time() + 2 * settings.sync_timeout
    for _ in range(_STARTS):
        driver.hub.publish(Progress("synchronizing with the module"))
        scan = settings.baudrate is None
        await get_in_step(driver, settings.sync_timeout, end, scan=scan)
        resets = driver.session.boots
        try:
            started = await _set_up(driver, settings)
        except LinkTimeout as exc:
            silence = exc
            if driver.time() >= end:
                break
            continue
        except ModuleReset:
            continue
        if driver.session.boots == resets:
            return started
    raise silence or ModuleReset(_UNSTEADY)


async def get_in_step(
    driver: Driver,
    patience: float,
    end: float,
    *,
    scan: bool,
    on_boot: Callable[[], None] = lambda: None,
) -> None:
    """Wait for the module's first answer; begin again at each boot banner (F43).

    Args:
        driver: Runs the session over the link.
        patience: Seconds for the first answer, anew behind each banner.
        end: When a module that boots again and again is given up, by the loop's clock.
        scan: Find the speed too.
        on_boot: Called at each banner.

    Raises:
        LinkTimeout: No answer in ``patience`` seconds.
        ModuleReset: The module still boots at ``end``.
        ModemError: The link failed.

    Cancellation is safe.
    """
    while True:
        try:
            return await synchronize(driver, patience, scan=scan)
        except ModuleReset as exc:
            on_boot()
            if driver.time() >= end:
                raise ModuleReset(_UNSTEADY) from exc
            await asyncio.sleep(_BOOT_PAUSE_S)


async def _set_up(driver: Driver, settings: Settings) -> Started:
    driver.hub.publish(Progress("configuring the module"))
    if driver.time() - driver.session.pushed_at < _PUSH_RECENT_S:
        # Before anything is asked, because pushed data may look like an answer. All sockets are
        # closed once more below.
        await _close_leftovers(driver, Steps(driver, 0))
    steps = Steps(driver, settings.sync_timeout)
    identity = await _identify(driver, steps)
    stranger = None if settings.profile else await _find_stranger(driver, steps, identity)
    driver.session.profile = settings.profile or profile_for(identity)
    await _prepare_radio(driver, steps, settings)
    found = await read_settings(driver, steps)
    await _close_leftovers(driver, steps)
    await _configure(driver, steps, settings, found, stranger)
    await steps.take_left()
    left = steps.left
    if settings.dns_servers is not None:
        # The module takes them when it is registered, and no sooner.
        left = (*left, StartStep(settings.dns_servers, Need.SHOULD))
    return Started(identity, left)


async def _identify(driver: Driver, steps: Steps) -> tuple[str, ...]:
    """Switch the echo off, and ask for the identity; its answer shows that the line is in step."""
    for _ in range(3):
        for step in (ECHO_OFF, RESULTS_IN_WORDS, ERROR_CODES):
            await steps.take(step)
        identity = await steps.ask(Identify())
        if identity:
            return identity
        await settle(driver)
    return ()


async def _find_stranger(driver: Driver, steps: Steps, identity: tuple[str, ...]) -> str | None:
    """Return the name of an unknown module; raise :class:`WrongModule` for a wrong one."""
    if is_ours(identity):
        return None
    commands: tuple[Command[str], ...] = (Cgmm(), Cgmi())
    asked = [await steps.ask(command, Need.MAY) or "" for command in commands]
    if (model := foreign_model([*identity, *asked])) is not None:
        raise WrongModule(model, driver.link.name)
    return next((name for line in (*asked, *identity) if (name := line.strip())), None)


async def _define_context(steps: Steps, access: Access) -> None:
    """Define the context again in a module that has forgotten it.

    A context that is as it should be is left alone, because it may be active. What the module
    knows of the login can't be asked everywhere, and to set it concerns only the next attach.
    """
    wanted = access.context
    for row in await steps.ask(Cgdcont()) or ():
        if (row.context_id, row.pdp_type, row.apn) == (
            wanted.context_id,
            wanted.pdp_type,
            wanted.apn,
        ):
            break
    else:
        await steps.take(StartStep(wanted, Need.SHOULD))
    if access.login is not None:
        await steps.take(StartStep(access.login, Need.SHOULD))


async def _prepare_radio(driver: Driver, steps: Steps, settings: Settings) -> None:
    if settings.access is not None:
        await _define_context(steps, settings.access)
    for order in settings.power_saving:
        await steps.take(StartStep(order, Need.MAY))
    if not settings.allow_sleep:
        await steps.take(NO_SLEEP)
        saving = await steps.ask(Cpsms())
        if saving is None or saving.enabled:
            await steps.take(NO_POWER_SAVING)
        await steps.take(NO_EDRX)
    for step in EVENTS:
        await steps.take(step)
    if await steps.ask(Cfun()) != 1:
        driver.hub.publish(Progress("switching the radio on"))
        await steps.take(RADIO_ON)


async def read_settings(driver: Driver, steps: Steps) -> dict[ConfigKey, tuple[int, ...] | None]:
    """Read how payloads are framed, because the last user's settings are in NVRAM (F44)."""
    found = {key: await steps.ask(Qicfg(key)) for key in ConfigKey}
    if data_format := found[ConfigKey.DATA_FORMAT]:
        driver.session.apply(ReceiveHex(data_format[-1] == 1))
    if shown := found[ConfigKey.SHOW_LENGTH]:
        driver.session.apply(ShowLength(shown[0] == 1))
    return found


async def _configure(
    driver: Driver,
    steps: Steps,
    settings: Settings,
    found: dict[ConfigKey, tuple[int, ...] | None],
    stranger: str | None,
) -> None:
    """Write the settings that differ (§2.2.11); those in NVRAM are flash writes.

    Text or hex digits can both be read, if it is known which of them come. Lengths are needed
    to find the end of datagrams and of pushed data. With a profile, the user vouches for a
    module that may lack these settings; its headers are then taken to have the length of the
    data alone. A module with an unknown name that refuses a needed setting is a wrong one.
    """
    is_known = settings.profile is None and stranger is None
    must = Need.MUST if is_known else Need.OUGHT
    if settings.hex_receive:
        format_need = Need.MUST if stranger is None else must
    else:
        format_need = Need.SHOULD if found[ConfigKey.DATA_FORMAT] else must
    wanted = {
        ConfigKey.DATA_FORMAT: ((0, int(settings.hex_receive)), format_need),
        ConfigKey.VIEW_MODE: ((0,), Need.MAY),
        ConfigKey.SHOW_LENGTH: ((1,), must),
        ConfigKey.OPEN_TIME: ((settings.open_time,), Need.SHOULD),
    }
    for key, (values, need) in wanted.items():
        if found[key] != values:
            if not await steps.take(StartStep(Qicfg(key, *values), need, _FRAMING)):
                if need is Need.OUGHT and stranger is not None:
                    raise WrongModule(stranger, driver.link.name)
                _do_without(driver, key)
            # Drivers of relatives lost flash writes that followed each other at once (F44).
            await asyncio.sleep(_NVRAM_GAP_S)


def _do_without(driver: Driver, key: ConfigKey) -> None:
    if key is ConfigKey.SHOW_LENGTH:
        driver.session.apply(ShowLength(False))


async def _close_leftovers(driver: Driver, steps: Steps) -> None:
    """Close the sockets that an earlier program left open (F45).

    All six IDs are closed, listed or not, because some firmware does not list incoming
    connections (F36).
    """
    rows: tuple[SocketStatus, ...] = await steps.ask(Qistate()) or ()
    for row in rows:
        # Until such a socket is closed, its data must be framed.
        if row.access_mode == AccessMode.PUSH:
            driver.session.set_access_mode(row.connect_id, AccessMode.PUSH)
    listed = [row.connect_id for row in rows if row.connect_id in CONNECT_IDS]
    for connect_id in [*listed, *(i for i in CONNECT_IDS if i not in listed)]:
        limit = CLOSE_OK_LIMIT_S if connect_id in listed else _UNLISTED_CLOSE_S
        await close_and_wait(driver, connect_id, lane=Lane.RECOVERY, limit=limit)
        driver.session.set_access_mode(connect_id, AccessMode.BUFFER)
