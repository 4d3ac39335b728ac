"""What all benchmarks share: options, paired measurements, tables, JSON.

Clock speed drifts by a factor of two between runs, so a time alone says little. What
is compared runs in turns with what it is compared to, and the median ratio is given.

A benchmark is a module ``bench_<name>`` whose docstring begins with its question, with

* ``tables(options)``, which yields one or more :class:`Table`;
* ``PLOTS``, if its figures make a picture: :class:`Plot` each, side by side;
* ``if __name__ == "__main__": run(__name__)``.
"""

import argparse
import json
import platform
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

Run = Callable[[], object]
Clock = Callable[[], float]
Row = Sequence[object]


@dataclass(frozen=True)
class Options:
    """How to run a benchmark.

    Attributes:
        rounds: How many times what is compared runs in turns.
        seed: What random input is made from.
        smoke: Whether to be brief, and only show that it runs.

    """

    rounds: int = 9
    seed: int = 0
    smoke: bool = False


class Table(NamedTuple):
    """Some results.

    Attributes:
        columns: Names with units, in snake_case.
        rows: One cell a column; may be a generator that measures as it goes.
        title: What the table is, if there are several.

    """

    columns: Sequence[str]
    rows: Iterable[Row]
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """How to draw one table: lines over ``x``, or bars if ``x`` has names and isn't in ``log``.

    Attributes:
        x: Column along the bottom.
        y: Columns of values, or one column if ``series`` is given.
        series: Column whose values tell one line from another.
        x_label: What stands along the bottom, with its unit.
        y_label: What stands at the side, with its unit.
        title: What stands above.
        table: Index of the table.
        only: Values that other columns must have.
        log: Which axes are logarithmic: any of ``x`` and ``y``.
        names: What to call columns or values of ``series`` in the legend.
        level: Height of a line across, where a ratio is 1, say.

    """

    x: str
    y: str | Sequence[str]
    x_label: str
    y_label: str
    series: str | None = None
    title: str = ""
    table: int = 0
    only: Mapping[str, object] = field(default_factory=dict)
    log: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    level: float | None = None


class Paired(NamedTuple):
    """Medians over the rounds of one comparison."""

    seconds: float
    floor_seconds: float
    ratio: float


def seconds(run: Run, number: int, clock: Clock = perf_counter) -> float:
    """Mean seconds of ``number`` calls."""
    start = clock()
    for _ in range(number):
        run()
    return (clock() - start) / number


def calls_for(run: Run, least_seconds: float, clock: Clock = perf_counter) -> int:
    """How many calls take at least so long, as a power of two."""
    number = 1
    while seconds(run, number, clock) * number < least_seconds:
        number *= 2
    return number


def in_turns(
    runs: Mapping[str, Run],
    *,
    rounds: int,
    round_seconds: float = 0.005,
    clock: Clock = perf_counter,
) -> dict[str, list[float]]:
    """Measure several in turns, so that noise hits all alike.

    Args:
        runs: What to measure, by name; each is called some times more to warm up.
        rounds: How many times each has its turn.
        round_seconds: Least duration of a turn.
        clock: What tells the time: :func:`time.thread_time`, for what never waits, leaves
            out the time in which other programs had the core.

    Returns:
        Seconds a call, one for each round; the same index is the same moment.

    """
    calls = {name: calls_for(run, round_seconds, clock) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, calls[name], clock))
    return times


def ratio(times: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return median(time / other for time, other in zip(times, to, strict=True))


def quickest_ratio(times: Sequence[float], to: Sequence[float]) -> float:
    """The ratio of the quickest rounds: what disturbs a computation only ever adds to it."""
    return min(times) / min(to)


def paired(run: Run, floor: Run, *, rounds: int, round_seconds: float = 0.005) -> Paired:
    """Measure two in turns, so that noise hits both alike.

    Args:
        run: What is asked about; it is called some times more to warm up.
        floor: The least that anyone must do for the same result.
        rounds: How many pairs.
        round_seconds: Least duration of each half of a pair.

    """
    times = in_turns({"run": run, "floor": floor}, rounds=rounds, round_seconds=round_seconds)
    return Paired(median(times["run"]), median(times["floor"]), ratio(times["run"], times["floor"]))


def question(docstring: str | None) -> str:
    """The first sentence or two of a benchmark's docstring: what it asks."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


def run(name: str, argv: Sequence[str] | None = None) -> None:
    """Run a benchmark from the command line.

    Args:
        name: Its module, imported already; ``__main__`` will do.
        argv: The options; ``None`` takes them from the command line.

    Raises:
        SystemExit: An option is wrong, or a picture can't be drawn; the status is not 0.

    """
    benchmark = sys.modules[name]
    rounds = getattr(benchmark, "ROUNDS", Options.rounds)
    arguments = parser(benchmark.__doc__, rounds).parse_args(argv)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    options = Options(1 if arguments.smoke else arguments.rounds, seed, arguments.smoke)
    plots = getattr(benchmark, "PLOTS", ())
    if arguments.plot and not plots:
        raise SystemExit("This benchmark has no picture.")
    if arguments.plot:
        from benchmarks.pictures import check  # noqa: PLC0415  # matplotlib is optional

        check(arguments.plot)
    if arguments.json:
        tables = [whole(table) for table in benchmark.tables(options)]
        print(json.dumps(report(benchmark.__doc__, options, tables), indent=1))
    else:
        print(f"# seed {seed}; to repeat: --seed {seed}", file=sys.stderr)
        tables = list(printed(benchmark.tables(options)))
    if arguments.plot:
        from benchmarks.pictures import draw  # noqa: PLC0415  # see above

        draw(arguments.plot, plots, tables)


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Make the parser of the options that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=_positive, default=rounds, help="how many turns each has")
    made.add_argument("--smoke", action="store_true", help="one round, briefly")
    made.add_argument("--seed", type=int, help="repeat a run's input")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, .svg or .png")
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def report(docstring: str | None, options: Options, tables: Sequence[Table]) -> dict[str, Any]:
    """Everything that a run says, for JSON."""  # Any: as json.dumps has it
    return {
        "question": question(docstring),
        "seed": options.seed,
        "rounds": options.rounds,
        "smoke": options.smoke,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": platform.machine(),
        "tables": [
            {"title": table.title, "columns": [*table.columns], "rows": [[*r] for r in table.rows]}
            for table in tables
        ],
    }


def whole(table: Table) -> Table:
    """Measure all rows of a table."""
    return table._replace(rows=list(table.rows))


def printed(tables: Iterable[Table]) -> Iterator[Table]:
    """Print tables as they come; give them with all their rows."""
    for number, table in enumerate(tables):
        if number:
            print()
        if table.title:
            print(f"# {table.title}")
        rows: list[Row] = []
        print_tsv(table.columns, _kept(table.rows, rows))
        yield table._replace(rows=rows)


def _kept(rows: Iterable[Row], kept: list[Row]) -> Iterator[Row]:
    for row in rows:
        kept.append(row)
        yield row


def print_tsv(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Print a heading and rows as they come; floats get three significant digits."""
    print(*columns, sep="\t")
    for row in rows:
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        print(*cells, sep="\t")
        sys.stdout.flush()


def rounds_from_command_line(description: str | None, *, default: int) -> int:
    """Parse ``--rounds N`` and ``--smoke`` (one round), for a benchmark without tables."""
    arguments = parser(description, default).parse_args()
    return 1 if arguments.smoke else int(arguments.rounds)
