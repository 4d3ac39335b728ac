"""Measure all of a module, and leave it as it was.

Layer: cli.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiobc9x.cli.characterizing import measurements as m
from aiobc9x.cli.characterizing.assumptions import Measured
from aiobc9x.cli.characterizing.conversation import Conversation, conversation
from aiobc9x.cli.characterizing.echoing import EchoSocket, Peer
from aiobc9x.cli.main import told
from aiobc9x.cli.opening import Port
from aiobc9x.cli.stored import GAP_MS, Values, as_it_is, differences
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.errors import LinkLost, ModemError, ModuleReset

T = TypeVar("T")


async def characterize(
    port: Port, peer: Peer, on_step: Callable[[str], None], closing: Peer | None = None
) -> Measured:
    """Measure what there is.

    Args:
        port: Where the module is.
        peer: The echo server.
        on_step: Called with words for what is being measured.
        closing: A server that answers a request of HTTP/1.0 and closes, if there is one.

    Raises:
        ModemError: The module can't be opened, has no network, or was lost; or the peer can't be
            reached.

    Cancellation closes all sockets and puts the settings back.
    """
    on_step("settings")
    async with as_it_is(port) as module:
        before, baudrate = await module.values(), module.baudrate
    try:
        measured = Measured()
        on_step("network")
        # With a gap, as long as nobody knows that the module needs none (F31). A profile also lets
        # relatives in, of which the habits are what somebody wants to know.
        patient = ModuleProfile(command_gap_ms=GAP_MS)
        async with port.open(reconnect=None, profile=patient) as modem:
            await modem.wait_ready()
            measured.module = modem.identification
        async with conversation(port, baudrate) as talk:
            await _Measuring(talk, peer, measured, on_step, closing).all(baudrate)
    except BaseException:
        with contextlib.suppress(ModemError):  # the first error says what is wrong
            await _put_back(port, before)
        raise
    on_step("settings as before")
    await _put_back(port, before)
    return measured


async def _put_back(port: Port, before: Values) -> None:
    async with as_it_is(port) as module:
        now = await module.values()
        for name in differences(now, before):
            await module.make(name, before[name])


class _Measuring:
    """Take one measurement after the other; one that fails leaves the others alone."""

    def __init__(
        self,
        talk: Conversation,
        peer: Peer,
        measured: Measured,
        on_step: Callable[[str], None],
        closing: Peer | None,
    ) -> None:
        self._talk, self._peer, self._measured, self._on_step = talk, peer, measured, on_step
        self._closing = closing

    async def all(self, baudrate: int) -> None:
        """Measure all.

        Raises:
            LinkLost: The link failed.
            ModuleReset: The module restarted.
            ConnectFailed: The peer can't be reached.

        """
        talk, peer = self._talk, self._peer
        await self._take("latency", m.latency(talk))
        await self._take("writes", m.writes(talk))
        echo = EchoSocket(talk, peer, 0)
        await echo.open()
        forms = await self._take("send_forms", m.send_forms(echo))
        if forms is not None and forms.best[1]:
            await self._take("line_rate", m.line_rate(echo, forms, baudrate))
            await self._take("announcements", m.announcements(echo, forms))
            await self._take("outstanding", m.outstanding(echo, forms))
            await self._take("pushes", m.pushes(talk, peer, forms))
            await self._take("overflow", m.overflow(echo, forms))
            await self._take("datagrams", m.datagrams(talk, peer, forms))
            if self._closing is not None:
                await self._take("unread", m.unread(talk, self._closing, forms))
        for connect_id in sorted(talk.open_ids):
            await talk.close(connect_id)
        await self._take("opens", m.opens(talk, peer))
        self._measured.closes = m.closes(talk)

    async def _take(self, name: str, measurement: Awaitable[T]) -> T | None:
        """Keep a result, or why there is none."""
        self._on_step(name.replace("_", " "))
        try:
            found: Any = await measurement
        except (LinkLost, ModuleReset):
            raise
        except ModemError as exc:
            self._measured.errors[name] = told(exc)
            await self._talk.synchronize()
            return None
        setattr(self._measured, name, found)
        return found  # type: ignore[no-any-return]  # as it came
