"""What does importing this package cost, beside asyncio and ssl?

    python -m benchmarks import          # half a minute
    python -m benchmarks import --smoke  # one round; CI runs this

Each round starts a fresh Python for each program, in turns; the modules are compiled
beforehand, in a folder of their own. What one program takes more than another is the median of
the rounds' differences. Processor time is what to look at on a busy machine.

The second table is about the decorator that makes most of the difference: what a frozen
class of three fields costs when it is made, and an object of it.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import eq
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time
from typing import Any, Final, NamedTuple

from aiobc9x.slotted import slotted
from benchmarks.harness import Options, Table, in_turns, ratio, run

ROUNDS: Final = 25
PROGRAMS: Final[dict[str, Sequence[str]]] = {
    "nothing": ("-c", ""),
    "import asyncio, ssl": ("-c", "import asyncio, ssl"),
    "import aiobc9x; aiobc9x.open_modem": (
        "-c",
        "import asyncio, ssl, aiobc9x; aiobc9x.open_modem",
    ),
    "aiobc9x --help": ("-m", "aiobc9x", "--help"),
}
BESIDE: Final = {
    "import asyncio, ssl": "nothing",
    "import aiobc9x; aiobc9x.open_modem": "import asyncio, ssl",
    "aiobc9x --help": "nothing",
}
"""What each program is compared with: what it loads in any case."""

COLUMNS: Final = (
    "program",
    "ms",
    "cpu_ms",
    "beside",
    "more_ms",
    "more_cpu_ms",
    "more_times_asyncio_and_ssl",
)
DECORATORS: Final[dict[str, Callable[[type], Any]]] = {  # Any: a class that is made here
    "dataclass(frozen=True, slots=True)": dataclass(frozen=True, slots=True),
    "slotted(frozen=True)": slotted(frozen=True),
}


class Took(NamedTuple):
    """Seconds that a program took."""

    wall: float
    cpu: float

    def beside(self, other: "Took") -> "Took":
        """What it took more than another."""
        return Took(self.wall - other.wall, self.cpu - other.cpu)


def took(arguments: Sequence[str], folder: str) -> Took:
    """Run a program in a fresh Python, whose compiled modules are in a folder."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    wall, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def medians(each: Sequence[Took]) -> Took:
    """Of the rounds."""
    return Took(median(one.wall for one in each), median(one.cpu for one in each))


def programs(options: Options) -> Iterator[Sequence[object]]:
    """One row per program."""
    rounds: dict[str, list[Took]] = {name: [] for name in PROGRAMS}
    with TemporaryDirectory() as folder:
        for arguments in PROGRAMS.values():
            took(arguments, folder)
        for _ in range(options.rounds):
            for name, arguments in PROGRAMS.items():
                rounds[name].append(took(arguments, folder))
    more = {
        name: [one.beside(two) for one, two in zip(rounds[name], rounds[other], strict=True)]
        for name, other in BESIDE.items()
    }
    for name, each in rounds.items():
        whole = medians(each)
        row: list[object] = [name, whole.wall * 1e3, whole.cpu * 1e3]
        if name in more:
            added, least = medians(more[name]), medians(more["import asyncio, ssl"])
            row += [BESIDE[name], added.wall * 1e3, added.cpu * 1e3, added.cpu / least.cpu]
        yield [*row, *["-"] * (len(COLUMNS) - len(row))]


def declared() -> type:
    """A class as the package has many."""

    class Signal:
        """Three fields."""

        rssi: int
        quality: int
        reason: str | None = None

    return Signal


def decorated(decorator: Callable[[type], Any]) -> object:
    """A class, made by a decorator."""
    made: object = decorator(declared())
    return made


def decorators(options: Options) -> Iterator[Sequence[object]]:
    """One row per decorator."""
    made = {name: decorator(declared()) for name, decorator in DECORATORS.items()}
    objects = {name: (cls(-70, 3), cls(-70, 3)) for name, cls in made.items()}
    uses: dict[str, dict[str, Callable[[], object]]] = {
        "class": {name: partial(decorated, each) for name, each in DECORATORS.items()},
        "object": {name: partial(cls, -70, 3, None) for name, cls in made.items()},
        "equal": {name: partial(eq, *two) for name, two in objects.items()},
    }
    seconds = 0.0005 if options.smoke else 0.005
    times = {
        use: in_turns(ways, rounds=options.rounds, round_seconds=seconds, clock=thread_time)
        for use, ways in uses.items()
    }
    library, _ = DECORATORS
    for name in DECORATORS:
        yield (
            name,
            *(median(times[use][name]) * 1e6 for use in uses),
            *(ratio(times[use][name], times[use][library]) for use in uses),
        )


def tables(options: Options) -> Iterator[Table]:
    """Programs, then decorators."""
    yield Table(COLUMNS, programs(options))
    columns = ("decorator", "class_us", "object_us", "equal_us")
    times = ("class_times", "object_times", "equal_times")
    yield Table((*columns, *times), decorators(options), "A frozen class of three fields")


if __name__ == "__main__":
    run(__name__)
