"""Pair a measurement with its floor in one process, and print tables.

Clock speed drifts by a factor of two between runs, so a time alone says little. What
is compared runs in turns with what it is compared to, and the median ratio is given.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from time import perf_counter
from typing import NamedTuple

Run = Callable[[], object]


class Paired(NamedTuple):
    """Medians over the rounds of one comparison."""

    seconds: float
    floor_seconds: float
    ratio: float


def seconds(run: Run, number: int) -> float:
    """Mean seconds of ``number`` calls."""
    start = perf_counter()
    for _ in range(number):
        run()
    return (perf_counter() - start) / number


def calls_for(run: Run, least_seconds: float) -> int:
    """How many calls take at least so long, as a power of two."""
    number = 1
    while seconds(run, number) * number < least_seconds:
        number *= 2
    return number


def paired(run: Run, floor: Run, *, rounds: int, round_seconds: float = 0.005) -> Paired:
    """Measure both in turns, so that noise hits both alike.

    Args:
        run: What is asked about; it is called once more to warm up.
        floor: The least that anyone must do for the same result.
        rounds: How many pairs.
        round_seconds: Least duration of each half of a pair.

    """
    runs = calls_for(run, round_seconds)
    floors = calls_for(floor, round_seconds)
    pairs = [(seconds(run, runs), seconds(floor, floors)) for _ in range(rounds)]
    return Paired(
        median(time for time, _ in pairs),
        median(time for _, time in pairs),
        median(time / least for time, least in pairs),
    )


def print_tsv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a heading and rows as they come; floats get three significant digits."""
    print(*columns, sep="\t")
    for row in rows:
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        print(*cells, sep="\t")
        sys.stdout.flush()


def rounds_from_command_line(description: str | None, *, default: int) -> int:
    """Parse ``--rounds N`` and ``--smoke`` (one round; CI runs this)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=default, help="pairs per row")
    parser.add_argument("--smoke", action="store_true", help="one round")
    arguments = parser.parse_args()
    return 1 if arguments.smoke else int(arguments.rounds)
