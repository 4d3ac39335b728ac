"""Run every cell of the table, and write it into docs/reliability.md.

python -m tests.reliability --seeds 200 --jobs 2             # the table, and what broke
python -m tests.reliability --seeds 200 --jobs 2 --write     # into the page, too
python -m tests.reliability --fault wedged --position idle --first 17 --seeds 1
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.reliability.positions import POSITIONS
from tests.reliability.promises import CLOSE_S, DRAINING, HOOK_S, NOTHING, PROMISES
from tests.reliability.runs import Cell, cells, run_cell
from tests.reliability.strikes import STRIKES

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/reliability.md"
BEGIN: Final = "<!-- The table: python -m tests.reliability --seeds 200 --jobs 2 --write -->"
END: Final = "<!-- The end of the table. -->"


def broken(cell: Cell) -> list[str]:
    """Return in words each promise that a cell has broken."""
    promise = PROMISES[cell.fault]
    limits = {
        "back_s": promise.back_s(cell.position),
        "all_back_s": promise.all_back_s(cell.position),
        "close_s": CLOSE_S,
        "hook_s": HOOK_S,
    }
    told = [f"{seed}: {why}" for seed, why in cell.failures]
    for name, limit in limits.items():
        if (worst := getattr(cell, name)) > limit:
            told.append(f"{cell.worst[name]}: {name} is {worst:.1f}, promised {limit:g}")
    for name in sorted(cell.saw.keys() - promise.sees - {DRAINING}):
        told.append(f"{cell.first.get(name)}: the program saw {name}")
    if not cell.saw:
        told.append(f"{cell.position}/{cell.fault}: it never struck")
    return told


def saw(cell: Cell) -> str:
    """Return what programs saw, the most frequent first."""
    return ", ".join(
        f"`{name}` {count}" if name != NOTHING else f"nothing {count}"
        for name, count in cell.saw.most_common()
    )


def lines(done: Sequence[Cell]) -> list[str]:
    """Return the lines of the table."""
    meanings = {strike.name: strike.meaning for strike in STRIKES}
    runs = max((cell.missed + cell.saw.total() + len(cell.failures) for cell in done), default=0)
    written = [
        f"Each cell has {runs} runs. *Back* is the worst time until a fresh connection of the",
        "same modem carried bytes both ways, *all back* until the listener served a client and a",
        "datagram came back too, both counted in seconds from the end of the fault.",
    ]
    for fault, group in groupby(done, key=lambda cell: cell.fault):
        promise = PROMISES[fault]
        written += [
            "",
            f"**{fault[0].upper()}{fault[1:]}**: {meanings[fault]}. Promised because of: "
            f"{promise.because}.",
            "",
            "| position | the program sees, of all runs | back | promised | all back | promised |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        written += [
            f"| {cell.position} | {saw(cell)} | {cell.back_s:.1f} |"
            f" {promise.back_s(cell.position):g} | {cell.all_back_s:.1f} |"
            f" {promise.all_back_s(cell.position):g} |"
            for cell in group
        ]
    return written


def in_page(text: str) -> set[tuple[str, str]]:
    """Return the cells that a page has, as fault and position."""
    found, fault = set(), ""
    for line in text.partition(BEGIN)[2].partition(END)[0].splitlines():
        if line.startswith("**"):
            fault = line[2:].partition("**")[0]
        elif line.startswith("| ") and not line.startswith(("| position", "| ---")):
            found.add((fault[0].lower() + fault[1:], line.split("|")[1].strip()))
    return found


def write(table: Sequence[str]) -> None:
    """Put the table into the page."""
    head, _, rest = PAGE.read_text("utf-8").partition(f"{BEGIN}\n")
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(table) + f"\n\n{END}{tail}", "utf-8")


def reliability_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="runs of each cell")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--fault", default="", help="only faults with this in their name")
    parser.add_argument("--position", default="", help="only positions with this in their name")
    parser.add_argument("--add", type=Path, help="a file with earlier runs; these are added to it")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    return parser


def run_named(position: str, fault: str, seeds: list[int]) -> Cell:
    """Run a cell, named by text, in a process of its own."""
    logging.disable(logging.CRITICAL)
    found = next(each for each in POSITIONS if each.name == position)
    return run_cell(found, next(each for each in STRIKES if each.name == fault), seeds)


def added(file: Path, done: list[Cell]) -> list[Cell]:
    """Add the cells of a file, if it exists, and write all into it."""
    if file.exists():
        earlier = {(cell.fault, cell.position): cell for cell in load(file)}
        for cell in done:
            if (other := earlier.get((cell.fault, cell.position))) is not None:
                cell.add_cell(other)
    # Not asdict(), which can't make a Counter before Python 3.12.
    values = [{each.name: getattr(cell, each.name) for each in fields(cell)} for cell in done]
    file.write_text(json.dumps(values), "utf-8")
    return done


def load(file: Path) -> list[Cell]:
    """Return the cells of a file."""
    found = []
    for values in json.loads(file.read_text("utf-8")):
        values["saw"] = Counter(values["saw"])
        values["failures"] = [(seed, why) for seed, why in values["failures"]]
        found.append(Cell(**values))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a promise was broken."""
    asked = reliability_parser().parse_args(arguments)
    seeds = list(range(asked.first, asked.first + asked.seeds))
    names = [
        (position.name, strike.name)
        for position, strike in cells()
        if asked.fault in strike.name and asked.position in position.name
    ]
    with concurrent.futures.ProcessPoolExecutor(asked.jobs) as pool:
        done = list(pool.map(run_named, *zip(*names, strict=True), [seeds] * len(names)))
    if asked.add is not None:
        done = added(asked.add, done)
    table = lines(done)
    print("\n".join(table))
    if asked.write:
        write(table)
    failures = [text for cell in done for text in broken(cell)]
    print("\n".join(f"broken: {text}" for text in failures), file=sys.stderr)
    return 1 if failures else 0
