"""The modem's questions about sockets and settings (§2.2.3, §2.2.7, §2.2.11 to §2.2.13).

Layer: aio.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from aiobc9x.aio.arguments import check_flag, check_integer, check_text, member
from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.queries.results import ModuleSettings
from aiobc9x.aio.recovery import Health
from aiobc9x.aio.sockets.access_modes import ModeSwitcher
from aiobc9x.aio.sockets.opening import Opener
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
from aiobc9x.wire.commands.tcpip import Qicfg, Qidnscfg, Qigeterror, Qistate, SocketStatus
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
    """Return what the first value means, ``None`` if there is none or the note lists no such."""
    known: list[int] = list(kind)
    return kind(values[0]) if values and values[0] in known else None


class SettingQueries:
    """Part of :class:`Modem`. Every method can be cancelled safely.

    Each raises :class:`CommandError` if the module refuses, :class:`LinkTimeout` if it
    doesn't answer in time, and :class:`LinkLost` if the link fails.
    """

    _driver: Driver
    _opener: Opener
    _health: Health
    _modes: ModeSwitcher

    async def socket_states(
        self, *, context_id: int | None = None, connect_id: int | None = None
    ) -> tuple[SocketStatus, ...]:
        """Ask the module for its sockets (AT+QISTATE, §2.2.3).

        Args:
            context_id: Only those of one context, 1–3.
            connect_id: Only this one, 0–5.

        Raises:
            ValueError: Both are given, or one is out of range; nothing was sent.

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

    async def dns_servers(self) -> tuple[str, str | None]:
        """Ask for the DNS servers: primary and secondary (AT+QIDNSCFG, §2.2.13)."""
        servers = await self._driver.run(Qidnscfg())
        primary, secondary = (*servers, "", "")[:2]
        return primary, secondary or None

    async def set_dns_servers(self, primary: str, secondary: str | None = None) -> None:
        """Set the DNS servers (AT+QIDNSCFG, §2.2.13).

        They are lost when the module restarts, and kept over deep sleep. The module takes
        them only once it is registered.

        Raises:
            TypeError: ``primary`` is no text; nothing was sent.
            ValueError: Not an IP address; nothing was sent.

        """
        check_text("primary", primary)
        await self._driver.run(Qidnscfg(primary, secondary))

    async def last_error(self) -> tuple[int, str]:
        """Ask for the ``<err>`` of the last TCP/IP command, and its text (§2.2.12)."""
        return await self._driver.run(Qigeterror())

    async def settings(self) -> ModuleSettings:
        """Ask for the settings of AT+QICFG (§2.2.11)."""
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
        *,
        receive_hex: bool | None = None,
        view_mode: ViewMode | None = None,
        show_length: bool | None = None,
        open_time: int | None = None,
    ) -> None:
        """Change settings of AT+QICFG (§2.2.11); ``None`` leaves one as it is.

        Connections go on meanwhile. All but ``open_time`` are flash writes on the module.
        ``open_time`` is set again after deep sleep. After a restart it and ``receive_hex``
        are brought about again; the others go back to what start-up chooses.

        Args:
            receive_hex: Have payloads come as hex digits.
            view_mode: What stands between a header and its data; both are understood.
            show_length: Whether headers carry the optional lengths.
            open_time: Seconds that the module tries to connect, 1–36.

        Raises:
            TypeError: An argument is of another type; nothing was sent.
            ValueError: ``open_time`` is out of range, or ``show_length`` is to be switched off
                while a socket is in push mode or a UDP socket, whose data could not be told
                apart; nothing was sent.

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
            self._check_lengths(ShowLength(False))
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

    def _check_lengths(self, effect: Effect) -> None:
        """Raise ``ValueError`` for a change after which data could not be told apart."""
        session = self._driver.session
        if effect == ShowLength(False) and any(
            slot.access_mode is AccessMode.PUSH or slot.is_datagram for slot in session.sockets
        ):
            raise ValueError(
                "show_length must stay on while a socket is in push mode (§2.3.2) or a UDP socket,"
                " whose datagrams may take two reads (§2.2.6)"
            )
        pushes = (
            isinstance(effect, SwitchMode | OpenSocket) and effect.access_mode is AccessMode.PUSH
        )
        if pushes and not session.length_shown:
            raise ValueError("push mode needs show_length; call configure(show_length=True) first")

    async def set_access_mode(self, transport: asyncio.BaseTransport, mode: AccessMode) -> None:
        """Switch a connection between buffer and push mode (AT+QISWTMD, §2.2.7).

        A flash write on the module. To push mode the module's buffer is read empty first, which
        takes as long as the peer goes on sending. Of two calls at once the later one decides, and
        the earlier one raises unless both have chosen the same.

        Args:
            transport: A transport of this modem, or one of TLS over it.
            mode: The mode from now on.

        Raises:
            ValueError: Not a transport of this modem, or it is closed; no such mode; or push
                mode while the module doesn't show lengths.
            RuntimeError: A later call has chosen the other mode before this one was done.
            CommandError: The module refused; the connection goes on in the mode that it had.
            StreamBroken: The connection ended meanwhile, or the answer got lost.
            ModemError: The module restarted, or the link failed.

        Cancellation is safe: the switch goes on by itself.
        """
        mode = member("mode", AccessMode, mode)
        if not hasattr(transport, "get_extra_info"):
            raise ValueError(f"transport must be one of this modem, not {transport!r}")
        connect_id = transport.get_extra_info("connect_id")
        slot = None if connect_id is None else self._driver.session.sockets.get(connect_id)
        if transport.get_extra_info("modem") is not self or slot is None or transport.is_closing():
            raise ValueError(f"{transport!r} is not an open connection of this modem")
        self._check_lengths(SwitchMode(slot.connect_id, mode))
        await self._modes.switch(slot, mode)

    async def capabilities(self) -> dict[str, tuple[str, ...] | None]:
        """Ask which commands the module knows, with the test form of each (§2.1.2).

        Returns:
            For each command of the note the lines that state its ranges, as the module
            words them; ``None`` for a command that it doesn't know.

        """
        known: dict[str, tuple[str, ...] | None] = {}
        for name in COMMANDS:
            answer = await self._driver.ask(TestForm(name), explain=False)
            lines = tuple(line.decode("ascii", "backslashreplace") for line in answer.lines)
            known[name] = lines if answer.ok else None
        return known
