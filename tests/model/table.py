"""Run seeds of one or all conditions, and say how many fail.

python -m tests.model --seeds 0-299                       # a row for each condition
python -m tests.model --condition clean --seeds 17        # one run, its whole dialogue
PYTHONPATH=../other python -m tests.model                 # the library of another checkout
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import logging
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiobc9x
from tests.model.conditions import CONDITIONS
from tests.model.driver import Run, run
from tests.model.limits import Wrong
from tests.support.clock import run as run_virtually

REAL_LIMIT_S: Final = 30.0


class Failure(NamedTuple):
    """A run that went wrong."""

    seed: int
    why: str


def failure_of(condition: str, seed: int, keep: list[Any] | None = None) -> str | None:
    """Return why the run of this seed fails, or ``None``."""
    try:
        run_virtually(run(seed, CONDITIONS[condition], keep))
    except BaseException as exc:  # groups are failures too
        if isinstance(exc, KeyboardInterrupt):
            raise
        return why(exc)
    return None


@contextlib.contextmanager
def real_limit() -> Iterator[None]:
    """End a run that goes round and round; not under pytest, whose timeout uses the same timer."""
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, REAL_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def give_up(*_: object) -> None:
    """Say that the time is up."""
    raise Wrong(f"not over after {REAL_LIMIT_S:g} s of real time")


def why(exc: BaseException) -> str:
    """Return an exception in one line."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    text = f"{type(exc).__name__}: {exc}".replace("\n", " ")
    if type(exc).__name__ in {"Wrong", "AssertionError", "Deadlock"}:
        return text
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{text} ({Path(frame.filename).name}:{frame.lineno})"


def failures_of(condition: str, seeds: range) -> list[Failure]:
    """Return the failures among these seeds."""
    found = []
    for seed in seeds:
        text = failure_of(condition, seed)
        if text is not None:
            found.append(Failure(seed, text))
    return found


def limited_failures_of(condition: str, seeds: range) -> list[Failure]:
    """Return the failures among these seeds, each with a limit in real time."""
    found = []
    for seed in seeds:
        with real_limit():
            found += failures_of(condition, range(seed, seed + 1))
    return found


def seeds_of(text: str) -> range:
    """Read ``A-B``, both included, or a number."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def kind_of(text: str) -> str:
    """Return a failure without its numbers and payloads, to count kinds by."""
    text = re.sub(r"b'.*", "…", text)
    text = re.sub(r'b".*', "…", text)
    return re.sub(r"\d+", "#", text)[:120]


def show(condition: str, seed: int, socket: int | None) -> int:
    """Print the dialogue of one run, or what concerns one socket; return 1 if it fails."""
    kept: list[Run] = []
    text = failure_of(condition, seed, kept)
    asked = False
    for at, direction, data in kept[0].module.log:
        if direction == ">":
            asked = concerns(data, socket) or (asked and not data.startswith(b"AT"))
        if asked or direction not in "<>" or concerns(data[:60], socket):
            print(
                f"{at - 1000:11.6f} {direction} {data.decode() if direction == '#' else repr(data)}"
            )
    print(kept[0].habits)
    print(text or "passes")
    return 1 if text else 0


def concerns(data: bytes, socket: int | None) -> bool:
    """Whether a line names this socket."""
    if socket is None:
        return True
    number = b"%d" % socket
    pattern = rb"=(?:1,)?%s\b|\+QIOPEN: ?%s|URC: ?\"\w+\",%s|QISTATE: ?%s" % ((number,) * 4)
    return re.search(pattern, data) is not None


def model_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--condition", choices=[*CONDITIONS], action="append")
    parser.add_argument("--seeds", type=seeds_of, default=range(300))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--examples", type=int, default=3, help="seeds shown for each kind")
    parser.add_argument("--all", action="store_true", help="show every failure as well")
    parser.add_argument("--socket", type=int, help="show what concerns this connectID alone")
    return parser


def main() -> int:
    """Print the table, or one dialogue."""
    options = model_parser().parse_args()
    logging.disable(logging.CRITICAL)
    names = options.condition or [*CONDITIONS]
    print(f"aiobc9x of {Path(aiobc9x.__file__).parent}")
    if len(options.seeds) == 1 and len(names) == 1:
        return show(names[0], options.seeds[0], options.socket)
    block = 25
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        for name in names:
            began = time.perf_counter()
            blocks = [options.seeds[at : at + block] for at in range(0, len(options.seeds), block)]
            found = [
                one
                for part in pool.map(limited_failures_of, [name] * len(blocks), blocks)
                for one in part
            ]
            spent = time.perf_counter() - began
            failed += len(found)
            if options.all:
                for one in found:
                    print(f"FAIL {name} {one.seed} {one.why}")
            report(name, found, len(options.seeds), spent, options.examples)
    return 1 if failed else 0


def report(name: str, found: list[Failure], runs: int, spent: float, examples: int) -> None:
    """Print the row of a condition and the kinds of its failures."""
    share = 100 * len(found) / runs
    print(f"{name:18} {len(found):5} of {runs} failed ({share:.1f} %), {spent:.0f} s")
    kinds = collections.defaultdict(list)
    for one in found:
        kinds[kind_of(one.why)].append(one)
    for members in sorted(kinds.values(), key=len, reverse=True):
        numbers = " ".join(str(one.seed) for one in members[:examples])
        print(f"  {len(members):4}  {members[0].why[:170]}   seeds {numbers}")
    sys.stdout.flush()
