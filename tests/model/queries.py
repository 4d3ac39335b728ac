"""A program that asks the module this and that meanwhile, and the answers it must get."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import aiobc9x
from tests.model.limits import FAILURES, Wrong, bounded

if TYPE_CHECKING:
    from tests.model.driver import Run

LINES: Final = {
    "AT+CSQ": "+CSQ:20,0",
    "AT+CIMI": "001010000000001",
    "AT+CCLK?": '+CCLK:"26/11/29,10:00:00+04"',
    "AT+QIDNSCFG?": '+QIDNSCFG:"8.8.8.8","8.8.4.4"',
}
"""Command lines and their information lines; a colon stands for the module's own kind."""

VENDOR: Final = ("+DBGINFO", "+LOWVBAT", "+CSCON")
"""Lines that nobody can tell from an answer's to a command of one's own."""


async def ask(run: Run) -> None:
    """Ask a few times."""
    rng = run.rng
    for _ in range(rng.randint(1, 6)):
        await asyncio.sleep(rng.uniform(0, 4))
        query = rng.choice((_line, _line, _line, _unknown, _name, _ping, _queries, _configure))
        patience = rng.choice((0.0, 0.05, 0.5)) if rng.random() < 0.1 else None
        try:
            async with asyncio.timeout(patience):
                await query(run)
        except TimeoutError as exc:
            if patience is None and not run.excused():
                raise Wrong(f"{query.__name__[1:]} fails: {exc!r}") from exc
        except FAILURES as exc:
            if not run.excused():
                raise Wrong(f"{query.__name__[1:]} fails: {exc!r}") from exc


async def _line(run: Run) -> None:
    line = run.rng.choice([*LINES])
    expected = LINES[line]
    if ":" in expected and expected.startswith("+"):
        expected = expected.replace(":", run.habits.colon.decode(), 1)
    got = await bounded(run.modem.command(line), f"command({line!r})")
    got = [one for one in got if not one.startswith(VENDOR)]
    if got != [expected] and run.condition.whole:
        raise Wrong(f"{line} gives {got}")


async def _unknown(run: Run) -> None:
    try:
        got = await bounded(run.modem.command("AT+NOSUCH"), "command('AT+NOSUCH')")
    except aiobc9x.CommandError:
        return
    if run.condition.whole:
        raise Wrong(f"AT+NOSUCH gives {got}")


async def _name(run: Run) -> None:
    host = run.rng.choice(("a.example", "ab.example", "no-such.example"))
    expected = run.net.lookup(host)
    try:
        answer = await bounded(run.modem.resolve(host), "resolve()")
    except aiobc9x.NameNotFound:
        if expected and not run.excused():
            raise
        return
    if list(answer.addresses) != expected and run.condition.whole:
        raise Wrong(f"resolve({host!r}) gives {answer.addresses}")


async def _ping(run: Run) -> None:
    report = await bounded(run.modem.ping("10.0.0.1", count=2), "ping()")
    if (report.sent, report.received) != (2, 2) and run.condition.whole:
        raise Wrong(f"ping() gives {report}")


async def _queries(run: Run) -> None:
    modem = run.modem
    queries: tuple[Callable[[], Awaitable[object]], ...] = (
        modem.signal,
        modem.settings,
        modem.socket_states,
        modem.dns_servers,
        modem.registration,
        modem.addresses,
    )
    query = run.rng.choice(queries)
    await bounded(query(), f"{getattr(query, '__name__', query)}()")


async def _configure(run: Run) -> None:
    rng = run.rng
    if rng.random() < 0.5:
        configuring = run.modem.configure(view_mode=aiobc9x.ViewMode(rng.randrange(2)))
    else:
        configuring = run.modem.configure(receive_hex=rng.random() < 0.5)
    await bounded(configuring, "configure()")
