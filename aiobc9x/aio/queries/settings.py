"""Ask for sockets and settings, and change settings (§2.2.3, §2.2.7, §2.2.11 to §2.2.13).

Layer: aio.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from aiobc9x.aio.arguments import check_flag, check_integer, member
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.queries.results import ModuleSettings
from aiobc9x.aio.recovery import Health
from aiobc9x.aio.sockets.opening import Opener
from aiobc9x.core.session import Session
from aiobc9x.errors import CommandError
from aiobc9x.spec import (
    CONNECT_IDS,
    CONTEXT_IDS,
    OPEN_TIMES_S,
    AccessMode,
    ConfigKey,
    DataFormat,
    QueryType,
    ViewMode,
)
from aiobc9x.wire.commands.base import Effect, OpenSocket, ShowLength, SwitchMode, TestForm
from aiobc9x.wire.commands.tcpip import Qicfg, Qidnscfg, Qistate, SocketStatus
from aiobc9x.wire.params import integer

COMMANDS: Final = (
    "QIOPEN",
    "QICLOSE",
    "QISTATE",
    "QISEND",
    "QISENDEX",
    "QIRD",
    "QISWTMD",
    "QPING",
    "QNTP",
    "QIDNSGIP",
    "QICFG",
    "QIGETERROR",
    "QIDNSCFG",
)
"""The commands of the note (chapter 2)."""


E = TypeVar("E", bound=enum.IntEnum)


def _member(kind: type[E], values: Sequence[int]) -> E | None:
    """Return the meaning of the first value; ``None`` if there is none, or the note lacks it."""
    known: list[int] = list(kind)
    return kind(values[0]) if values and values[0] in known else None


class SettingQueries:
    """Asks for sockets and settings, and sets them; the contracts stand at :class:`Modem`."""

    def __init__(self, driver: Driver, opener: Opener, health: Health) -> None:
        self._driver, self._opener, self._health = driver, opener, health

    async def socket_states(
        self, context_id: int | None, connect_id: int | None
    ) -> tuple[SocketStatus, ...]:
        """Ask the module for its sockets.

        Raises:
            ValueError: Both are given, or one is out of range.

        """
        if context_id is not None and connect_id is not None:
            raise ValueError("context_id and connect_id can't both be given: ask for one")
        if context_id is not None:
            integer("context_id", context_id, CONTEXT_IDS)
            return await self._driver.run(Qistate(QueryType.CONTEXT_ID, context_id))
        if connect_id is not None:
            integer("connect_id", connect_id, CONNECT_IDS)
            return await self._driver.run(Qistate(QueryType.CONNECT_ID, connect_id))
        return await self._driver.run(Qistate())

    async def set_dns_servers(self, order: Qidnscfg) -> None:
        """Set the DNS servers, now and in a module that has restarted."""
        await self._driver.run(order)
        self._health.settings = replace(self._health.settings, dns_servers=order)

    async def dns_servers(self) -> tuple[str, str | None]:
        """Ask for the DNS servers: primary and secondary."""
        servers = await self._driver.run(Qidnscfg())
        primary, secondary = (*servers, "", "")[:2]
        return primary, secondary or None

    async def settings(self) -> ModuleSettings:
        """Ask for the settings of AT+QICFG; what the module doesn't know is ``None``."""
        data_format = await self._setting(ConfigKey.DATA_FORMAT)
        view_mode = await self._setting(ConfigKey.VIEW_MODE)
        show_length = await self._setting(ConfigKey.SHOW_LENGTH)
        open_time = await self._setting(ConfigKey.OPEN_TIME)
        return ModuleSettings(
            _member(DataFormat, data_format[:1]),
            _member(DataFormat, data_format[1:]),
            _member(ViewMode, view_mode),
            bool(show_length[0]) if show_length else None,
            open_time[0] if open_time else None,
        )

    async def _setting(self, key: ConfigKey) -> tuple[int, ...]:
        try:
            return await self._driver.run(Qicfg(key))
        except CommandError:
            return ()

    async def configure(
        self,
        receive_hex: bool | None,
        view_mode: ViewMode | None,
        show_length: bool | None,
        open_time: int | None,
    ) -> None:
        """Change settings of AT+QICFG; ``None`` leaves one as it is.

        Raises:
            ValueError: As :meth:`Modem.configure`, with all its other errors.

        """
        for name, flag in (("receive_hex", receive_hex), ("show_length", show_length)):
            if flag is not None:
                check_flag(name, flag)
        if view_mode is not None:
            view_mode = member("view_mode", ViewMode, view_mode)
        if open_time is not None:
            check_integer("open_time", open_time)
            if open_time not in OPEN_TIMES_S:
                raise ValueError(f"open_time is {open_time}: use 1-36 seconds (§2.2.11)")
        if show_length is False:
            check_lengths(self._driver.session, ShowLength(False))
        if receive_hex is not None:
            await self._driver.run(Qicfg(ConfigKey.DATA_FORMAT, 0, int(receive_hex)))
            self._health.settings = replace(self._health.settings, hex_receive=receive_hex)
        if view_mode is not None:
            await self._driver.run(Qicfg(ConfigKey.VIEW_MODE, int(view_mode)))
        if show_length is not None:
            await self._driver.run(Qicfg(ConfigKey.SHOW_LENGTH, int(show_length)))
        if open_time is not None:
            await self._driver.run(Qicfg(ConfigKey.OPEN_TIME, open_time))
            self._opener.open_time = open_time
            self._health.settings = replace(self._health.settings, open_time=open_time)

    async def capabilities(self) -> dict[str, tuple[str, ...] | None]:
        """Ask which commands the module knows, with the test form of each."""
        known: dict[str, tuple[str, ...] | None] = {}
        for name in COMMANDS:
            answer = await self._driver.ask(TestForm(name), explain=False)
            lines = tuple(line.decode("ascii", "backslashreplace") for line in answer.lines)
            known[name] = lines if answer.ok else None
        return known


def check_lengths(session: Session, effect: Effect) -> None:
    """Refuse a change after which the end of payloads could not be found.

    Raises:
        ValueError: The change is such a one: without ``showlength``, the end of the data of a UDP
            socket, or of a socket in push mode, is not known (N19).

    """
    if effect == ShowLength(False) and any(
        slot.access_mode is AccessMode.PUSH or slot.is_datagram for slot in session.sockets
    ):
        raise ValueError(
            "show_length must stay on while a socket is in push mode (§2.3.2) or a UDP socket,"
            " whose datagrams may take two reads (§2.2.6)"
        )
    pushes = isinstance(effect, SwitchMode | OpenSocket) and effect.access_mode is AccessMode.PUSH
    if pushes and not session.length_shown:
        raise ValueError("push mode needs show_length; call configure(show_length=True) first")
