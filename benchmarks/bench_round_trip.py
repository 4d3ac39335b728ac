"""What does a command cost, against a bare future round trip over the same link?

    python -m benchmarks round_trip          # one row per link and way to ask
    python -m benchmarks round_trip --smoke  # one round; CI runs this

The bare round trip writes a line to the link; a protocol that looks for ``OK`` at the end
of what comes resolves a future, which its caller awaits. It parses nothing, keeps no
deadline, knows no queue and can't be in doubt: it is the least that anyone can do. Two
usual ways to add a deadline are there as well.

In memory the module's side answers in the next turn of the loop, once with no socket open
and once with all of them, idle; over the pty it is a process of its own that answers each
line from bytes made beforehand. ``over_future`` compares with a future that the next turn
of the loop resolves, without any link. All take turns, and the least of each counts:
whatever else the machine has to do only adds to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final
from unittest.mock import Mock

import aiobc9x
from aiobc9x.aio.line.link import Link, open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.spec import CONNECT_IDS
from aiobc9x.wire.commands.base import Raw
from benchmarks.children import Child
from benchmarks.harness import Options, Plot, Run, Table, in_turns, run
from benchmarks.script import Script, open_modem
from tests.support.bench import plugged_in

ROUNDS: Final = 201
COMMANDS: Final = 32
TURN_S: Final = 0.0005  # shorter than the slices of a busy machine
LIMIT_S: Final = 60.0
COLUMNS: Final = ("link", "asked_by", "us_per_command", "over_bare", "over_future")
PLOTS: Final = (
    Plot(
        x="asked_by",
        y="over_bare",
        series="link",
        x_label="",
        y_label="time, as a multiple of the bare round trip",
        title="One command",
        level=1,
    ),
)

Ask = Callable[[], Awaitable[object]]


class Bare:
    """Writes lines to a link, and looks for OK."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[bytes] = self._loop.create_future()
        link.start(self._on_data, Mock())

    def _on_data(self, data: bytes) -> None:
        if data.endswith(b"\r\nOK\r\n"):
            self._future.set_result(data)

    def ask(self) -> asyncio.Future[bytes]:
        """Write a line; return the future of its answer."""
        self._future = self._loop.create_future()
        self._link.write(b"AT\r")
        return self._future

    async def ask_within(self) -> bytes:
        """Ask, with a deadline as it is usually written today."""
        async with asyncio.timeout(2):
            return await self.ask()

    async def wait_for(self) -> bytes:
        """Ask, with a deadline as it was usually written before."""
        return await asyncio.wait_for(self._answer(), 2)

    async def aclose(self) -> None:
        """Close the link."""
        await self._link.aclose()

    async def _answer(self) -> bytes:
        return await self.ask()


def ways(bare: Bare, modem: aiobc9x.Modem) -> dict[str, Ask]:
    """The ways to ask over one kind of link."""
    command = Raw("AT")
    return {
        "bare": bare.ask,
        "bare, asyncio.timeout": bare.ask_within,
        "bare, asyncio.wait_for": bare.wait_for,
        "the session": lambda: modem._driver.run(command),
        "Modem.command": lambda: modem.command("AT"),
    }


async def in_memory(connections: int = 0) -> tuple[Bare, aiobc9x.Modem]:
    """Both over links to scripts in this process; the modem with idle connections."""
    modem = await open_modem(Script())
    for _ in range(connections):
        await modem.create_connection(asyncio.Protocol, "192.0.2.1", 7)
    with plugged_in(lambda _options: Script()):
        return Bare(await open_link("sim://?link=memory", SerialSettings())), modem


async def over_ptys(one: Child, other: Child) -> tuple[Bare, aiobc9x.Modem]:
    """Both over ptys to processes that answer."""
    async with asyncio.timeout(LIMIT_S):
        link = await open_link(one.devices[0], SerialSettings())
        modem = await aiobc9x.open_modem(other.devices[0], poll_interval=0, state_interval=0)
        return Bare(link), modem


async def repeat(ask: Ask) -> None:
    """Ask so many times, one after the other."""
    for _ in range(COMMANDS):
        await ask()


async def future() -> None:
    """Await a future that the next turn of the loop resolves."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    loop.call_soon(waiter.set_result, None)
    await waiter


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per link and way, all measured in turns."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(Child("script")) for _ in range(2))
        runner = stack.enter_context(asyncio.Runner())
        loop = runner.get_loop()

        def timed(ask: Ask) -> Run:
            return lambda: loop.run_until_complete(asyncio.wait_for(repeat(ask), LIMIT_S))

        sets = {
            "memory": runner.run(in_memory()),
            "memory, six connections open": runner.run(in_memory(len(CONNECT_IDS))),
            "pty": runner.run(over_ptys(one, other)),
        }
        asks = {
            (name, way): ask
            for name, (bare, modem) in sets.items()
            for way, ask in ways(bare, modem).items()
        }
        runs = {f"{name}: {way}": timed(ask) for (name, way), ask in asks.items()}
        times = in_turns(
            {"future": timed(future), **runs}, rounds=options.rounds, round_seconds=TURN_S
        )
        least = {name: min(took) / COMMANDS * 1e6 for name, took in times.items()}
        yield "none", "future", least["future"], "", 1.0
        for name, way in asks:
            took = least[f"{name}: {way}"]
            yield name, way, took, took / least[f"{name}: bare"], took / least["future"]
        for bare, modem in sets.values():
            runner.run(modem.aclose())
            runner.run(bare.aclose())


def tables(options: Options) -> Iterator[Table]:
    """The one table."""
    yield Table(COLUMNS, rows(options))


if __name__ == "__main__":
    run(__name__)
