"""From a port in an unknown state to a module in step, with the right settings.

Layer: aio. Plain coroutines over ``driver.run(command)`` in the recovery lane.

A module may be in data mode, echoing, asleep, or hold the sockets of a process that
crashed (rule 9). Vendor commands may be missing: an ``ERROR`` from one is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aiobc9x.aio.driver import Driver
from aiobc9x.aio.events import Progress
from aiobc9x.core.events import Lane
from aiobc9x.core.profile import ModuleProfile, profile_for
from aiobc9x.errors import CommandError, LinkTimeout, ModuleReset
from aiobc9x.spec import CLOSE_TIME_S, CONNECT_IDS, ESC, AccessMode, ConfigKey
from aiobc9x.wire.base import Command
from aiobc9x.wire.commands import Qicfg, Qiclose, Qistate, SocketStatus
from aiobc9x.wire.network import (
    At,
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

BAUDRATES: Final = (115200, 9600, 57600, 460800, 38400, 19200, 4800)
"""Tried in this order when the speed is unknown (lifecycle: relatives' defaults first)."""

QUIET_S: Final = 0.3
"""Silence after which no late answer is expected."""

SETTLE_LIMIT_S: Final = 3.0
"""A line that never falls silent is pushing data; go on after this."""

SCAN_S: Final = 3.0
"""Seconds for each speed of a scan."""

_TRIES_S: Final = (0.3, 0.3, 0.5)
"""Limits of the first AT commands; the first after sleep only wakes the module."""

_PATIENT_S: Final = 2.0
_LATE_S: Final = 2.0
_ESC_WAIT_S: Final = 0.5
_FILL_BYTES: Final = 64
_FILL_MAX_BYTES: Final = 2880
_FILL_GAP_S: Final = 0.05
_NVRAM_GAP_S: Final = 0.05
_RESTARTS: Final = 3


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
    open_time: int = 36
    allow_sleep: bool = False


async def start(driver: Driver, settings: Settings) -> tuple[str, ...]:
    """Bring the module in step and configure it; return what it says it is.

    A restart meanwhile starts over.

    Raises:
        LinkTimeout: The module did not answer in time; the message says what came.
        ModuleReset: The module keeps restarting.
        ModemError: The link failed.

    Cancellation is safe: nothing is left in flight that the next start doesn't settle.
    """
    for _ in range(_RESTARTS):
        resets = driver.session.statistics.resets
        try:
            identity = await _start_once(driver, settings)
        except ModuleReset:
            continue
        if driver.session.statistics.resets == resets:
            return identity
    raise ModuleReset("the module restarts again and again; check its power supply")


async def _start_once(driver: Driver, settings: Settings) -> tuple[str, ...]:
    driver.hub.publish(Progress("synchronizing with the module"))
    await synchronize(driver, settings.sync_timeout, scan=settings.baudrate is None)
    driver.hub.publish(Progress("configuring the module"))
    identity = await _identify(driver)
    driver.session.profile = settings.profile or profile_for(identity)
    await _prepare_radio(driver, allow_sleep=settings.allow_sleep)
    await _read_settings(driver)
    await _close_leftovers(driver)
    await configure(driver, settings)
    return identity


async def synchronize(driver: Driver, timeout: float, *, scan: bool = False) -> None:
    """Send AT until the module answers, whatever state it was left in.

    Raises:
        LinkTimeout: No answer in ``timeout`` seconds.

    """
    end = driver.time() + timeout
    received = driver.session.statistics.bytes_received
    if scan and driver.link.has_speed:
        answered = await _scan(driver, end)
    else:
        answered = await _synchronize(driver, end)
    if not answered:
        got = driver.session.statistics.bytes_received - received
        raise LinkTimeout(_silence(driver, timeout, got))


def _silence(driver: Driver, timeout: float, received: int) -> str:
    name = driver.link.name
    if received:
        return (
            f"{received} bytes came from {name} in {timeout:g} s, but no answer to AT; check the "
            "speed (baudrate=None tries the usual ones) and that it is a modem"
        )
    return (
        f"nothing came from {name} in {timeout:g} s; check that the module is powered, awake and "
        "wired, and the speed (baudrate=None tries the usual ones)"
    )


async def _scan(driver: Driver, end: float) -> bool:
    rates = [driver.link.baudrate, *(r for r in BAUDRATES if r != driver.link.baudrate)]
    while driver.time() < end:
        for rate in rates:
            await driver.link.set_baudrate(rate)
            driver.session.baudrate = rate
            if await _synchronize(driver, min(end, driver.time() + SCAN_S)):
                return True
    return False


async def _synchronize(driver: Driver, end: float) -> bool:
    began = driver.time()
    for unanswered, limit in enumerate(_limits()):
        left = end - driver.time()
        if left <= 0:
            return False
        if await _answers(driver, limit, end):
            await _await_late_answers(driver, unanswered, driver.time() - began)
            return True
        if unanswered + 1 == len(_TRIES_S):
            await _leave_data_mode(driver, end)
        await asyncio.sleep(max(0.0, min(0.1, end - driver.time())))
    return False


def _limits() -> Iterator[float]:
    yield from _TRIES_S
    while True:
        yield _PATIENT_S


async def _answers(driver: Driver, limit: float, end: float) -> bool:
    limit = max(0.0, min(limit, end - driver.time()))
    try:
        # Noise on the line prolongs an exchange beyond its limit, but not beyond the end.
        async with asyncio.timeout_at(end):
            await driver.run(At(), lane=Lane.RECOVERY, limit=limit)
    except TimeoutError:
        return False
    except CommandError:
        return True  # the rest of a line that was cut off: an answer all the same
    return True


async def _await_late_answers(driver: Driver, unanswered: int, waited: float) -> None:
    """Let the answers to earlier ATs pass, or every later answer would be off by one."""
    await settle(driver, min(max(QUIET_S, waited), _LATE_S) if unanswered else QUIET_S / 3)


async def settle(driver: Driver, quiet: float = QUIET_S) -> None:
    """Wait until the line has been silent for ``quiet`` seconds, three at most."""
    end = driver.time() + max(SETTLE_LIMIT_S, 2 * quiet)
    while (now := driver.time()) < end:
        silent = now - driver.last_input
        if silent >= quiet:
            return
        await asyncio.sleep(quiet - silent)


async def _leave_data_mode(driver: Driver, end: float) -> None:
    """End a data mode that an earlier program left behind (lifecycle, step 1a).

    Escape ends the variable-length form. The fixed-length form doesn't hear it, so
    after silence carriage returns fill it up; to a module that only sleeps both are noise.
    """
    session = driver.session
    before = session.statistics.bytes_received
    session.write_raw(ESC)
    driver.kick()
    await asyncio.sleep(min(_ESC_WAIT_S, max(0.0, end - driver.time())))
    if session.statistics.bytes_received != before or await _answers(driver, _TRIES_S[0], end):
        return
    written = 0
    before = session.statistics.bytes_received
    while written < _FILL_MAX_BYTES and driver.time() < end:
        session.write_raw(b"\r" * _FILL_BYTES)
        driver.kick()
        written += _FILL_BYTES
        await asyncio.sleep(_FILL_GAP_S + _FILL_BYTES * 10 / session.baudrate)
        if session.statistics.bytes_received != before:
            return


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


async def _read_settings(driver: Driver) -> None:
    """Learn how payloads are framed: the last owner's settings live on in NVRAM (rule 3)."""
    data_format = await attempt(driver, Qicfg(ConfigKey.DATA_FORMAT))
    if data_format:
        driver.session.note_hex_receive(data_format[-1] == 1)
    shown = await attempt(driver, Qicfg(ConfigKey.SHOW_LENGTH))
    if shown:
        driver.session.note_length_shown(shown[0] == 1)


async def configure(driver: Driver, settings: Settings) -> None:
    """Write the settings that differ (§2.2.11); those in NVRAM are flash writes."""
    await _set(driver, ConfigKey.DATA_FORMAT, 0, int(settings.hex_receive))
    await _set(driver, ConfigKey.VIEW_MODE, 0)
    await _set(driver, ConfigKey.SHOW_LENGTH, 1)
    await _set(driver, ConfigKey.OPEN_TIME, settings.open_time)


async def _set(driver: Driver, key: ConfigKey, *wanted: int) -> None:
    if await attempt(driver, Qicfg(key)) == wanted:
        return
    await attempt(driver, Qicfg(key, *wanted))
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
