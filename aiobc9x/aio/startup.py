"""From a port in an unknown state to a module in step, with the right settings.

Layer: aio. Plain coroutines over ``driver.run(command)`` in the recovery lane.

A module may be in data mode, echoing, asleep, or hold the sockets of a process that
crashed (rule 9). Vendor commands may be missing: an ``ERROR`` from one is skipped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from aiobc9x.aio.driver import Driver
from aiobc9x.aio.events import Progress
from aiobc9x.aio.sync import settle, synchronize
from aiobc9x.core.events import Lane
from aiobc9x.core.profile import ModuleProfile, profile_for
from aiobc9x.errors import CommandError, LinkTimeout, ModuleReset
from aiobc9x.spec import (
    CLOSE_TIME_S,
    CONNECT_IDS,
    OPEN_TIME_DEFAULT_S,
    OPEN_TIMES_S,
    AccessMode,
    ConfigKey,
)
from aiobc9x.wire.base import Command, ReceiveHex, ShowLength
from aiobc9x.wire.commands import Qicfg, Qiclose, Qistate, SocketStatus
from aiobc9x.wire.network import (
    Cedrxs,
    Cfun,
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
from aiobc9x.wire.urcs import CloseOk

_NVRAM_GAP_S: Final = 0.05
_STARTS: Final = 3
_PUSH_RECENT_S: Final = 2.0
"""Data that seemed to be pushed so lately show a socket that must be closed first. Ours."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What start-up brings about.

    Attributes:
        sync_timeout: Seconds until the module must have answered.
        baudrate: Bits per second, ``None`` to find out.
        profile: Facts about the module, ``None`` to choose by ATI.
        hex_receive: Have payloads come as hex digits (§2.2.11).
        open_time: ``<open_time>`` in seconds, 1–36.
        allow_sleep: Leave the module's sleep and power saving settings alone.

    """

    sync_timeout: float = 30.0
    baudrate: int | None = 115200
    profile: ModuleProfile | None = None
    hex_receive: bool = False
    open_time: int = OPEN_TIME_DEFAULT_S
    allow_sleep: bool = False

    def check(self) -> None:
        """Raise ``ValueError`` for what can't be brought about."""
        if self.open_time not in OPEN_TIMES_S:
            raise ValueError(f"open_time is {self.open_time}: use 1-36 seconds (§2.2.11)")
        if not self.sync_timeout > 0:  # nor NaN
            raise ValueError(f"sync_timeout is {self.sync_timeout}: use more than 0 s")
        if not isinstance(self.profile, ModuleProfile | None):
            raise TypeError(f"profile must be a ModuleProfile, not {self.profile!r}")


async def start(driver: Driver, settings: Settings) -> tuple[str, ...]:
    """Bring the module in step and configure it; return what it says it is.

    A restart, or silence, meanwhile starts over.

    Raises:
        LinkTimeout: The module did not answer in time; the message says what came.
        ModuleReset: The module keeps restarting.
        ModemError: The link failed.

    Cancellation is safe: nothing is left in flight that the next start doesn't settle.
    """
    silence: LinkTimeout | None = None
    for _ in range(_STARTS):
        resets = driver.session.boots
        driver.hub.publish(Progress("synchronizing with the module"))
        try:
            await synchronize(driver, settings.sync_timeout, scan=settings.baudrate is None)
        except ModuleReset:
            continue
        try:
            identity = await _set_up(driver, settings)
        except LinkTimeout as exc:
            silence = exc
            continue
        except ModuleReset:
            continue
        if driver.session.boots == resets:
            return identity
    raise silence or ModuleReset("the module restarts again and again; check its power supply")


async def _set_up(driver: Driver, settings: Settings) -> tuple[str, ...]:
    driver.hub.publish(Progress("configuring the module"))
    if driver.time() - driver.session.pushed_at < _PUSH_RECENT_S:
        await _close_leftovers(driver)  # now: what they push may look like an answer
    identity = await _identify(driver)
    driver.session.profile = settings.profile or profile_for(identity)
    await _prepare_radio(driver, allow_sleep=settings.allow_sleep)
    found = await _read_settings(driver)
    await _close_leftovers(driver)
    await _configure(driver, settings, found)
    return identity


async def _identify(driver: Driver) -> tuple[str, ...]:
    """Switch the echo off and ask for the identity, which shows that answers match."""
    for _ in range(3):
        await attempt(driver, Echo(False))
        await attempt(driver, Verbose())
        await attempt(driver, Cmee(1))
        identity = await attempt(driver, Identify())
        if identity:
            return tuple(identity)
        await settle(driver)
    return ()


async def attempt(driver: Driver, command: Command[Any]) -> Any:
    """Run a command that the module may not know; ``None`` if it refuses it.

    ``Any``, because each command has its own answer.
    """
    try:
        return await driver.run(command, lane=Lane.RECOVERY)
    except CommandError:
        return None


async def _prepare_radio(driver: Driver, *, allow_sleep: bool) -> None:
    if not allow_sleep:
        await attempt(driver, Qsclk(0))
        saving = await attempt(driver, Cpsms())
        if saving is None or saving.enabled:
            await attempt(driver, Cpsms(0))
        await attempt(driver, Cedrxs(0))
    await attempt(driver, Cscon(1))
    await attempt(driver, Qnbiotevent(1))
    await attempt(driver, Qatwakeup(1))
    if await attempt(driver, Cfun()) != 1:
        driver.hub.publish(Progress("switching the radio on"))
        await attempt(driver, Cfun(1))


async def _read_settings(driver: Driver) -> dict[ConfigKey, tuple[int, ...] | None]:
    """Learn how payloads are framed: the last owner's settings live on in NVRAM (rule 3)."""
    found = {key: await attempt(driver, Qicfg(key)) for key in ConfigKey}
    if data_format := found[ConfigKey.DATA_FORMAT]:
        driver.session.apply(ReceiveHex(data_format[-1] == 1))
    if shown := found[ConfigKey.SHOW_LENGTH]:
        driver.session.apply(ShowLength(shown[0] == 1))
    return found


async def _configure(
    driver: Driver, settings: Settings, found: dict[ConfigKey, tuple[int, ...] | None]
) -> None:
    """Write the settings that differ (§2.2.11); those in NVRAM are flash writes."""
    wanted = {
        ConfigKey.DATA_FORMAT: (0, int(settings.hex_receive)),
        ConfigKey.VIEW_MODE: (0,),
        ConfigKey.SHOW_LENGTH: (1,),
        ConfigKey.OPEN_TIME: (settings.open_time,),
    }
    for key, values in wanted.items():
        if found[key] != values:
            await attempt(driver, Qicfg(key, *values))
            await asyncio.sleep(_NVRAM_GAP_S)  # back-to-back flash writes get lost


async def _close_leftovers(driver: Driver) -> None:
    """Close what an earlier process left open; incoming sockets may not be listed."""
    rows: tuple[SocketStatus, ...] = await attempt(driver, Qistate()) or ()
    for row in rows:
        if row.access_mode == AccessMode.PUSH:  # its data must be framed until it is closed
            driver.session.set_access_mode(row.connect_id, AccessMode.PUSH)
    listed = [row.connect_id for row in rows if row.connect_id in CONNECT_IDS]
    for connect_id in [*listed, *(i for i in CONNECT_IDS if i not in listed)]:
        done = driver.expect(lambda urc: True if isinstance(urc, CloseOk) else None)
        try:
            answer = await driver.ask(Qiclose(connect_id), lane=Lane.RECOVERY, explain=False)
            if answer.ok:
                await asyncio.wait([done], timeout=CLOSE_TIME_S + 2 if connect_id in listed else 2)
        finally:
            done.cancel()
        driver.session.set_access_mode(connect_id, AccessMode.BUFFER)
