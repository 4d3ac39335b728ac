"""Does it last: no hang, no leak, no lost exception, every byte right?

    python -m benchmarks soak --hours 24                   # a day of one modem, simulated
    python -m benchmarks soak --hours 24 --seed 7 --show-script > FILE
    python -m benchmarks soak --hours 24 --seed 7 --script FILE  # what is left of it goes wrong
    python -m benchmarks soak --seconds 600                # ten minutes on each loop
    python -m benchmarks soak --seconds 600 --loop uvloop  # on one
    python -m benchmarks soak --smoke                      # some seconds each; CI runs this

A simulated day takes minutes: it runs under a virtual clock, with the virtual module and its
network in memory. One modem does the work of a gateway, while everything breaks that can break,
by a script that is drawn from the seed. Equal seeds give equal runs, to the last byte of the
dialogue: see ``digest``.

In real time, over ptys and TCP, with real peers on loopback, several operations at once do in
random order what programs do with a modem: connections in both access modes, with TLS, by
redirection and through the proxy, datagrams, servers, questions, aborts, cancellations.
Meanwhile the module restarts, falls silent, loses the network, refuses, is late, or the line
breaks. ``ended`` counts operations that a fault has ended by an exception, ``busy`` those that
found no free connect ID. ``--seed`` repeats the order of what is chosen, but real time chooses too.

The status is 1 if something happened that must not: an operation that hangs; one that fails
though nothing went wrong; wrong bytes; a whole end without all bytes; an exception or a warning
that nobody took; a connect ID, a task or a descriptor that is left behind; memory that grows with
the hours; a modem that can't be opened, closed or used any more, or doesn't come back.
"""

import argparse
import asyncio
import faulthandler
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.harness import print_tsv
from benchmarks.soak_day import Day
from benchmarks.soak_life import LIMIT_S, Soak
from benchmarks.soak_peers import peers
from benchmarks.soak_record import Record, holdings, settled
from benchmarks.soak_script import Happening, random_script, read_script
from tests.support.clock import VirtualLoop

SECONDS: Final = 60.0
SMOKE_SECONDS: Final = 2.0
SMOKE_HOURS: Final = 1.0
SMOKE_SEED: Final = 1
WALL_S_PER_HOUR: Final = 120.0
"""How much real time a simulated hour may take before it counts as dead."""
GRACE_S: Final = 10 * LIMIT_S
"""How much longer than asked a loop may take before it counts as dead."""

STDERR: Final = 2

OPERATION_COLUMNS: Final = ("operation", "begun", "done", "ended", "busy", "checked_bytes")
FAULT_COLUMNS: Final = ("fault", "times")
HOLDING_COLUMNS: Final = ("held", "at_start", "at_end")


class LoopKind(NamedTuple):
    """A loop, and how it makes tasks."""

    make: Callable[[], asyncio.AbstractEventLoop]
    is_eager: bool = False


def loop_kinds() -> dict[str, LoopKind]:
    """Return the loops that this Python has."""
    kinds = {"asyncio": LoopKind(asyncio.new_event_loop)}
    if sys.version_info >= (3, 12):
        kinds["eager"] = LoopKind(asyncio.new_event_loop, is_eager=True)
    try:
        import uvloop  # noqa: PLC0415  # it is optional
    except ImportError:
        return kinds
    kinds["uvloop"] = LoopKind(uvloop.new_event_loop)
    return kinds


async def soak(record: Record, seed: int, seconds: float, *, is_brief: bool) -> None:
    """Use one module after the other for so many seconds; print what there was at the ends."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    with record.watching(loop):
        async with peers():  # libuv opens a descriptor with its first server, and keeps it
            pass
        before = holdings()
        async with peers() as far:
            run = Soak(record, random.Random(seed), far, is_brief)
            while loop.time() < until:
                await run.one_module(until)
        after = await settled(before)
        run.report_leaks(before, after)
    print_tsv(OPERATION_COLUMNS, record.rows())
    print()
    print_tsv(FAULT_COLUMNS, sorted(record.faults.items()))
    print()
    held = [
        ("tasks", len(before.tasks), len(after.tasks)),
        ("descriptors", len(before.descriptors), len(after.descriptors)),
    ]
    print_tsv(HOLDING_COLUMNS, held)


async def simulate(record: Record, seed: int, hours: float, script: Sequence[Happening]) -> Day:
    """Live through so many hours under the virtual clock."""
    loop = asyncio.get_running_loop()
    record.clock = loop.time
    record.excused = frozenset({"the reset hook failed"})
    with record.watching(loop):
        before = holdings()
        day = Day(record, seed, hours * 3600, script)
        await day.run()
        for what in (await settled(before)).beyond(before):
            record.breach(f"left behind: {what}")
    return day


def soak_simulated(
    seed: int, hours: float, script: Sequence[Happening], dialogue: Path | None = None
) -> Sequence[str]:
    """Simulate; print what has happened; return what must not have."""
    record, began = Record(), time.monotonic()
    faulthandler.dump_traceback_later(max(hours, 1.0) * WALL_S_PER_HOUR, exit=True, file=STDERR)
    state = random.getstate()
    random.seed(seed)  # the pauses of a modem that comes back are at random
    try:
        with ExitStack() as stack:
            if dialogue is not None:
                record.transcript = stack.enter_context(dialogue.open("w", encoding="utf-8"))
            runner = stack.enter_context(asyncio.Runner(loop_factory=VirtualLoop))
            day = runner.run(simulate(record, seed, hours, script))
    finally:
        random.setstate(state)
        faulthandler.cancel_dump_traceback_later()
    day.report_growth()
    print_tsv(OPERATION_COLUMNS, record.rows())
    for columns, rows in day.tables(time.monotonic() - began):
        print()
        print_tsv(columns, rows)
    return record.breaches


def soak_on(kind: LoopKind, seed: int, seconds: float, *, is_brief: bool) -> Sequence[str]:
    """Soak on a loop of one kind; return what must not have happened."""
    record = Record()
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=STDERR)  # status 1
    try:
        with asyncio.Runner(loop_factory=kind.make) as runner:
            if sys.version_info >= (3, 12) and kind.is_eager:
                runner.get_loop().set_task_factory(asyncio.eager_task_factory)
            runner.run(soak(record, seed, seconds, is_brief=is_brief))
    finally:
        faulthandler.cancel_dump_traceback_later()
    return record.breaches


def parser(kinds: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of the command line; ``kinds`` are the loops that there are."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--hours", type=float, help="simulate so many hours")
    made.add_argument("--script", type=Path, help="what goes wrong in them")
    made.add_argument("--show-script", action="store_true", help="print that, and do nothing")
    made.add_argument("--dialogue", type=Path, help="write all that is said there")
    made.add_argument("--seconds", type=float, default=SECONDS, help="on each loop")
    made.add_argument("--loop", choices=kinds, action="append", help="on this loop alone")
    made.add_argument("--seed", type=int, help="repeat a run's choices")
    made.add_argument("--smoke", action="store_true", help="some seconds on each loop")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Soak on the loops asked for.

    Raises:
        SystemExit: Something happened that must not, and the status is 1; or an option is wrong.

    """
    kinds = loop_kinds()
    options = parser([*kinds])
    asked = options.parse_args(argv)
    # CI must not fail by lottery; runs by hand look further.
    chosen = SMOKE_SEED if asked.smoke else random.randrange(10**6)
    seed = chosen if asked.seed is None else asked.seed
    hours = SMOKE_HOURS if asked.smoke and not asked.loop and asked.hours is None else asked.hours
    script = _script(asked.script, seed, hours or 0.0, options)
    if asked.show_script:
        print(*script, sep="\n")
        return
    print(f"# seed {seed}; to repeat: --seed {seed}", file=sys.stderr)
    logging.getLogger("aiobc9x").addHandler(logging.NullHandler())  # it tells of every fault
    breaches: list[tuple[str, str]] = []
    if hours:
        print(f"# simulated, {hours:g} h", flush=True)
        found = soak_simulated(seed, hours, script, asked.dialogue)
        breaches += [("simulated", each) for each in found]
    if asked.hours is None:
        seconds = SMOKE_SECONDS if asked.smoke else asked.seconds
        for number, name in enumerate(asked.loop or kinds):
            print("\n" * bool(number or hours) + f"# {name}, {seconds:g} s", flush=True)
            found = soak_on(kinds[name], seed, seconds, is_brief=asked.smoke)
            breaches += [(name, each) for each in found]
    print()
    print_tsv(("loop", "breach"), breaches or [("all", "none")])
    if breaches:
        raise SystemExit(1)


def _script(
    path: Path | None, seed: int, hours: float, options: argparse.ArgumentParser
) -> Sequence[Happening]:
    if path is None:
        return random_script(seed, hours * 3600)
    if not hours:
        options.error("a script belongs to --hours")
    try:
        return read_script(path.read_text("utf-8").splitlines())
    except (OSError, ValueError) as exc:
        options.error(f"the script can't be read: {exc}")


if __name__ == "__main__":
    main()
