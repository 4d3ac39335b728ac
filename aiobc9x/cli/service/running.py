"""Run a proxy over modems, and tell all who ask how it is.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from aiobc9x.adapters.proxy.api import ProxyServer
from aiobc9x.adapters.watching import INTERVAL_S, Watch
from aiobc9x.cli.service.status import Status, take
from aiobc9x.cli.service.systemd import notify, watchdog_s
from aiobc9x.errors import ModemError
from aiobc9x.logs import Log, Logs
from aiobc9x.modem import Modem
from aiobc9x.pool import ModemPool
from aiobc9x.slotted import slotted

_TICK_S: Final = 1.0
_ASK_S: Final = 5.0
"""Seconds between two AT to each modem, where systemd wants to know whether it lives."""

_ALIVE_S: Final = 10.0
"""Seconds since an answer for which a module counts as alive."""

_STATE_EVERY_S: Final = 10.0


@slotted(frozen=True)
class Plan:
    """What the proxy is to do.

    Attributes:
        host: Where it listens.
        port: Its port, 0 for any that is free.
        forwards: Local ports that lead to hosts.
        allow_remote: Whether others than this machine may reach it.
        state_file: Where the state is written as JSON, every ten seconds.

    """

    host: str
    port: int
    forwards: tuple[str, ...]
    allow_remote: bool
    state_file: Path | None


class Service:
    """A pool, its proxy, and a watch on each modem."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._since = plan, time.time()
        self._pool: ModemPool | None = None
        self._proxy: ProxyServer | None = None
        self._watches: dict[Modem, Watch] = {}
        self._answered: dict[Modem, float] = {}

    @property
    def watches(self) -> list[Watch]:
        """The watches on the modems that are there; other threads may ask."""
        return [*self._watches.values()]

    def status(self) -> Status:
        """How it is now; other threads may ask."""
        return take(self.watches, self._proxy, self._since)

    async def run(self, pool: ModemPool) -> None:
        """Serve until this is cancelled.

        Raises:
            OSError: The proxy's address can't be had, or the state file can't be written.
            ValueError: An argument of the proxy makes no sense.

        """
        plan = self._plan
        self._pool = pool
        proxy = await pool.serve_proxy(
            plan.host, plan.port, forwards=plan.forwards, allow_remote=plan.allow_remote
        )
        self._proxy = proxy
        click.echo(f"SOCKS5 and HTTP at {plan.host}, port {proxy.port}")
        for each in proxy.forwards:
            here = f"{each.local_host}, port {each.local_port}"
            click.echo(f"{here}, leads to {each.host}, port {each.port}")
        try:
            async with proxy, asyncio.TaskGroup() as group:
                group.create_task(self._tell_systemd())
                await self._tick(group)
        except ExceptionGroup as exc:
            raise exc.exceptions[0] from None  # the others were cancelled for it

    async def _tick(self, group: asyncio.TaskGroup) -> None:
        """Take in modems that have come, and write the state."""
        assert self._pool is not None
        next_state = 0.0
        while True:
            for modem in self._pool.modems:
                if modem not in self._watches:
                    self._watches[modem] = watch = Watch(modem, INTERVAL_S)
                    group.create_task(watch.run())
                    group.create_task(_keep_ready(modem))
                    group.create_task(self._ask(modem))
            now = _now()
            if self._plan.state_file is not None and now >= next_state:
                next_state = now + _STATE_EVERY_S
                write_state(self._plan.state_file, json.dumps(self.status().as_json(), indent=2))
            await asyncio.sleep(_TICK_S)

    async def _ask(self, modem: Modem) -> None:
        """Find out whether a module answers; only where systemd wants to know."""
        if watchdog_s() is None:
            return
        while True:
            with contextlib.suppress(ModemError, TimeoutError):
                await modem.command("AT", timeout=_ASK_S)
                self._answered[modem] = _now()
            await asyncio.sleep(_ASK_S)

    async def _tell_systemd(self) -> None:
        every = watchdog_s()
        is_ready, words = False, ""
        while True:
            status = self.status()
            if not is_ready and any(each.ready for each in status.modems):
                is_ready = True
                notify("READY=1")
            if status.words != words:
                words = status.words
                notify(f"STATUS={words}")
            alive = _now() - _ALIVE_S
            if every is not None and any(at > alive for at in self._answered.values()):
                notify("WATCHDOG=1")
            await asyncio.sleep(min(_TICK_S, every / 3) if every is not None else _TICK_S)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _keep_ready(modem: Modem) -> None:
    """Have the network waited for whenever it isn't known to be there: a client finds it ready."""
    log = Log("cli", Logs(modem.address))
    while True:
        try:
            await modem.available()
        except ModemError as exc:
            log.info("! no network: %(reason)s", error=exc)
        await asyncio.sleep(_ASK_S)


@contextlib.contextmanager
def told_to_systemd() -> Iterator[None]:
    """Say when the service begins to end."""
    try:
        yield
    finally:
        notify("STOPPING=1", "STATUS=closing connections")


def write_state(path: Path, text: str) -> None:
    """Replace a file at once, so that nobody reads half of it; write to a device or a pipe."""
    if path.exists() and not path.is_file():
        path.write_text(text, "utf-8")  # root could else put a file where /dev/stdout was
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, "utf-8")
    beside.replace(path)
