"""``aiobc9x monitor``: how a modem is, again and again.

Layer: cli. In a terminal one table that changes in place; elsewhere one line a look.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from typing import Any, Final

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.cli.looks import Look, Looker, sparkline
from aiobc9x.cli.opening import Port, hush, runs, takes_port
from aiobc9x.cli.output import AS_JSON_LINES, console, print_json
from aiobc9x.cli.survey import signal_in_words
from aiobc9x.cli.terminal import terminal
from aiobc9x.errors import ModemError
from aiobc9x.modem import Modem

_NAME_COLUMNS: Final = len("over the air") + 2


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks. Each asks the module, which keeps it awake.",
)
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="End after so many. Default: never."
)
@AS_JSON_LINES
@takes_port
@runs
async def command(interval: float, count: int | None, as_json: bool, port: Port) -> None:
    """Show state, signal, sockets, rates, retries and bytes of a modem, until Ctrl-C.

    An unplugged device is waited for. Where stdout is no terminal, each look is one line.
    """
    hush()
    async with port.open() as modem:
        looker = Looker(modem)
        async with _beside(looker.listen(), _have_a_network(modem)):
            with _shown(port.name, looker, as_json=as_json) as show:
                for number in itertools.count(1):
                    show(await looker.look())
                    if number == count:
                        return
                    await asyncio.sleep(interval)


@contextlib.asynccontextmanager
async def _beside(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _have_a_network(modem: Modem) -> None:
    """Bring the module onto the network once; what keeps it from that is in the looks."""
    with contextlib.suppress(ModemError):
        await modem.available()


@contextlib.contextmanager
def _shown(name: str, looker: Looker, *, as_json: bool) -> Iterator[Callable[[Look], None]]:
    """Give the function that shows a look."""
    if as_json:
        yield lambda look: print_json(look.as_json())
    elif not sys.stdout.isatty():
        yield lambda look: click.echo(line(look))
    else:
        unicode = terminal(sys.stdout).unicode
        with Live(console=console(), auto_refresh=False) as live:
            yield lambda look: live.update(
                table(name, look, looker.strengths, live.console.width, unicode=unicode),
                refresh=True,
            )


def table(
    name: str,
    look: Look,
    strengths: Collection[int | None],
    columns: int,
    *,
    unicode: bool = True,
) -> Table:
    """Return a look as a table, with the signal of the looks before it.

    Args:
        name: Of the port.
        look: The look.
        strengths: Of all looks, in dBm.
        columns: Of the terminal.
        unicode: Whether it has blocks.

    """
    counters = look.statistics
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("state", Text(look.state.value, style=_STYLES[look.state]))
    rows = {
        "port": name,
        "network": look.network,
        "signal": "-" if look.signal is None else signal_in_words(look.signal),
        "over time": sparkline(strengths, columns - _NAME_COLUMNS, unicode=unicode),
        "addresses": ", ".join(look.addresses) or "-",
        "sockets": "-" if look.sockets is None else f"{len(look.sockets)} of 6 are open",
        "line": f"{rates(look)}; {amount(counters['bytes_received'])} received,"
        f" {amount(counters['bytes_sent'])} sent",
        "payload": f"{amount(counters['payload_bytes_received'])} received,"
        f" {amount(counters['payload_bytes_sent'])} sent",
        "over the air": air(look),
        "retries": f"{counters['send_failures']} sends, {counters['timeouts']} commands without"
        f" an answer, {counters['recoveries']} repairs",
        "losses": f"{counters['resets']} restarts, {counters['link_losses']} of the port,"
        f" {counters['datagrams_lost']} datagrams",
        "last": look.event or "nothing has happened",
        "at": f"{look.time:%H:%M:%S}; Ctrl-C ends this",
    }
    for title, text in rows.items():
        grid.add_row(title, Text(text))
    return grid


_STYLES: Final = {
    ModemState.UP: "green",
    ModemState.RECOVERING: "yellow",
    ModemState.AWAY: "red",
    ModemState.CLOSED: "red",
}


def line(look: Look) -> str:
    """Return a look as one line."""
    signal = "-" if look.signal is None else signal_in_words(look.signal)
    sockets = "-" if look.sockets is None else str(len(look.sockets))
    return (
        f"{look.time:%H:%M:%S}  {look.state.value}  {look.network}  {signal}"
        f"  sockets {sockets}  {rates(look)}"
    )


def rates(look: Look) -> str:
    """Return the rates on the line."""
    return f"in {look.received_bytes_per_s:.0f} B/s, out {look.sent_bytes_per_s:.0f} B/s"


def air(look: Look) -> str:
    """Return the estimate of bytes over the air, and what is used of the budgets."""
    total = look.usage["total"]
    said = f"about {amount(total['received_bytes'])} received, {amount(total['sent_bytes'])} sent"
    for per, budget in look.usage["budgets"].items():
        share = budget["spent_bytes"] / budget["limit_bytes"]
        said += f", {share:.0%} of this {per}'s budget"
    return said


def amount(size_bytes: int) -> str:
    """Return a number of bytes as people read it."""
    if size_bytes < 10_000:
        return f"{size_bytes} B"
    return (
        f"{size_bytes / 1000:.1f} kB" if size_bytes < 10_000_000 else f"{size_bytes / 1e6:.1f} MB"
    )
