"""The settings that a module keeps without power: ask for them, make them, keep them in a file.

Layer: cli. The note says of AT+QICFG that it is kept (§2.2.11); of the others that is so on
relatives. A modem as ``open_modem()`` has it changes some of these settings when it starts, so
that here the module is spoken to without that.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiobc9x.aio.bringup.synchronize import BAUDRATES, synchronize
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.link import open_link_apart
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.cli.main import told
from aiobc9x.cli.opening import Port
from aiobc9x.core.events import Lane
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.session import Session
from aiobc9x.errors import CommandError, ModuleReset
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONTEXT_IDS, ConfigKey
from aiobc9x.wire.commands.base import Command, Raw
from aiobc9x.wire.commands.contexts import Cgdcont, Context
from aiobc9x.wire.commands.module import Cmee, Echo
from aiobc9x.wire.commands.power import NB_S1, Cedrxs, Cpsms, EdrxSetting, PsmSetting, Qsclk
from aiobc9x.wire.commands.tcpip import Qicfg
from aiobc9x.wire.signalling import (
    ACTIVE_TIME_UNITS_S,
    PERIODIC_TAU_UNITS_S,
    edrx_bits,
    edrx_seconds,
    timer_bits,
)

Values = dict[str, Any]
"""Settings by their names. A value is a bool, a number, a text, or a table of such."""

SYNC_S: Final = 30.0
"""Seconds that the module has for its first answer, as for :func:`aiobc9x.open_modem`."""

GAP_MS: Final = 20
"""Milliseconds between two commands, because no profile tells of the module (F31)."""

WRITE_GAP_S: Final = 0.05
"""Seconds between two writes to flash memory (F44)."""


@slotted(frozen=True)
class Setting:
    """How one setting is asked for and made.

    Attributes:
        question: The command that asks.
        read: Makes the value of the answer; ``None`` if there is none.
        order: Makes the command that sets a value; ``ValueError``, ``KeyError`` or ``TypeError``
            if it can't be one.
        expected: What a value must be, in words.

    """

    question: Command[Any]
    read: Callable[[Any], Any]
    order: Callable[[Any], Command[Any]]
    expected: str


def _choice(key: ConfigKey, names: Mapping[Any, int]) -> Setting:
    """Return one of the settings of AT+QICFG that have a few values."""
    values = {number: name for name, number in names.items()}

    def order(value: Any) -> Command[Any]:
        number = names[value]
        return Qicfg(key, 0, number) if key is ConfigKey.DATA_FORMAT else Qicfg(key, number)

    words = " or ".join(json.dumps(name) for name in names)
    return Setting(Qicfg(key), lambda answer: values.get(answer[-1]), order, words)


def _psm(answer: PsmSetting) -> Values:
    timers = {"period_s": answer.periodic_tau_s, "active_s": answer.active_time_s}
    return {"on": answer.enabled, **{k: v for k, v in timers.items() if v is not None}}


def _order_psm(value: Values) -> Cpsms:
    timers = {*value} - {"on"}
    if not isinstance(value["on"], bool) or timers not in (set(), {"period_s", "active_s"}):
        raise ValueError(value)
    if not timers:
        return Cpsms(int(value["on"]))
    return Cpsms(
        int(value["on"]),
        timer_bits("period_s", value["period_s"], PERIODIC_TAU_UNITS_S),
        timer_bits("active_s", value["active_s"], ACTIVE_TIME_UNITS_S),
    )


def _edrx(answer: tuple[EdrxSetting, ...]) -> float:
    values = [row.value for row in answer if row.act_type == NB_S1 and row.value]
    return edrx_seconds(values[0]) or 0.0 if values else 0.0


def _order_edrx(value: float) -> Cedrxs:
    if isinstance(value, bool):
        raise TypeError(value)
    return Cedrxs(1, NB_S1, edrx_bits("edrx_s", value)) if value else Cedrxs(0)


def _sleep(answer: list[str]) -> int | None:
    digits = answer[0].rpartition(" ")[2] if answer else ""
    return int(digits) if digits.isdecimal() else None


def _order_sleep(value: int) -> Qsclk:
    if isinstance(value, bool):
        raise TypeError(value)
    return Qsclk(value)


def _context(number: int, answer: tuple[Context, ...]) -> Values | None:
    mine = [c for c in answer if c.context_id == number and c.pdp_type]
    return {"type": mine[0].pdp_type, "apn": mine[0].apn or ""} if mine else None


def _order_context(number: int, value: Values) -> Cgdcont:
    if {*value} != {"type", "apn"}:
        raise ValueError(value)
    return Cgdcont(number, value["type"], value["apn"] or None)


SETTINGS: Final[dict[str, Setting]] = {
    "receive_format": _choice(ConfigKey.DATA_FORMAT, {"text": 0, "hex": 1}),
    "view_mode": _choice(ConfigKey.VIEW_MODE, {"crlf": 0, "comma": 1}),
    "show_length": _choice(ConfigKey.SHOW_LENGTH, {False: 0, True: 1}),
    "sleep": Setting(
        Raw("AT+QSCLK?"), _sleep, _order_sleep, "0 (none), 1 (deep sleep) or 2 (light sleep)"
    ),
    "psm": Setting(Cpsms(), _psm, _order_psm, "{on, period_s, active_s}, or {on}"),
    "edrx_s": Setting(Cedrxs(), _edrx, _order_edrx, "0, or seconds up to 10485.76"),
    **{
        f"context_{number}": Setting(
            Cgdcont(),
            partial(_context, number),
            partial(_order_context, number),
            '{type = "IP", apn = "…"}',
        )
        for number in CONTEXT_IDS
    },
}
"""Every setting by its name in a file."""


class Module:
    """A module that is spoken to as it is, without the settings of a start."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def baudrate(self) -> int:
        """Bits per second, as they were told or found."""
        return self._driver.link.baudrate

    async def values(self) -> Values:
        """Ask for all settings; one that the module doesn't tell is left out.

        Raises:
            ModemError: The link failed, or the module gave no answer.

        """
        found = {}
        for name, setting in SETTINGS.items():
            try:
                value = setting.read(await self._run(setting.question))
            except CommandError:
                continue
            if value is not None:
                found[name] = value
        return found

    async def make(self, name: str, value: Any) -> str | None:
        """Make a setting; return the module's words if it refuses.

        Raises:
            ModemError: The link failed, or the module gave no answer.

        """
        try:
            await self._run(SETTINGS[name].order(value))
        except CommandError as exc:
            return told(exc)
        await asyncio.sleep(WRITE_GAP_S)
        return None

    async def _run(self, command: Command[Any]) -> Any:
        return await self._driver.run(command, lane=Lane.RECOVERY)


@asynccontextmanager
async def as_it_is(port: Port) -> AsyncIterator[Module]:
    """Open a module, and change nothing on it but the echo.

    Raises:
        ModemError: As :func:`aiobc9x.open_modem`.

    Cancellation closes the port.
    """
    baudrate = port.settings["baudrate"]
    link = await open_link_apart(port.address, SerialSettings(baudrate or BAUDRATES[0]))
    session = Session(baudrate=link.baudrate, profile=ModuleProfile(command_gap_ms=GAP_MS))
    driver = Driver(link, session, port.recorder())
    try:
        await driver.start()
        await _begin(driver, scan=baudrate is None)
        yield Module(driver)
    finally:
        await driver.stop()


async def _begin(driver: Driver, *, scan: bool) -> None:
    """Get an answer; a module that boots as its port is opened gets a second chance."""
    for is_last in (False, True):
        try:
            await synchronize(driver, SYNC_S, scan=scan)
            for command in (Echo(False), Cmee(1)):
                await driver.run(command, lane=Lane.RECOVERY)
        except ModuleReset:
            if is_last:
                raise
        else:
            return


def differences(before: Values, after: Values) -> list[str]:
    """Return the names of the settings that a second set has, and that differ from the first."""
    return [name for name in SETTINGS if name in after and before.get(name) != after[name]]


def read_file(path: Path) -> Values:
    """Read settings from a file: JSON if its name ends so, else TOML.

    Raises:
        OSError: The file can't be read.
        ValueError: It holds something else.

    """
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as exc:
        raise ValueError(f"{path} can't be read: {exc}") from exc
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no settings")  # noqa: TRY004  (it is the file's fault)
    for name, value in found.items():
        if name not in SETTINGS:
            raise ValueError(f"{path}: there is no setting {name!r}; known: {', '.join(SETTINGS)}")
        try:
            SETTINGS[name].order(value).encode()
        except (ValueError, KeyError, TypeError) as exc:
            expected = SETTINGS[name].expected
            raise ValueError(f"{path}: {name} is {value!r}; expected {expected}") from exc
    return found


def as_text(values: Values, path: Path) -> str:
    """Return settings as a file of that name has them."""
    if path.suffix == ".json":
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    lines = ["# What a module keeps without power, written by 'aiobc9x config save'."]
    return "\n".join([*lines, *(f"{name} = {toml(v)}" for name, v in values.items())]) + "\n"


def toml(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
