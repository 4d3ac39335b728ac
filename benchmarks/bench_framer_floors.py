"""Has framing become slower, against plain code, than it was in the last release?

    python -m benchmarks framer_floors

Ratios of the frozen plain framer's time to ours, in both forms, and what they were when
``floors.json`` was written. Streams are new and contenders cold. It ends with status 1 if
a ratio is below nine tenths of its floor, or six tenths in a ``--smoke`` run, whose rounds are
few and short. Where the file has none of this version of Python, it only says what it measures.
A release writes its own figures there: those of the column ``measured``, by version.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from aiobc9x.wire.framer import COMPILED
from benchmarks.contenders import MAKERS
from benchmarks.framing import cold_and_warm
from benchmarks.harness import Options, Table, ratio, run
from benchmarks.workloads import stream

FILE: Final = Path(__file__).with_name("floors.json")
CELLS: Final = (
    ("urc_small", 64),
    ("all_unique", 64),
    ("push_64", 64),
    ("gateway", 1),
    ("gateway", 64),
    ("gateway", 0),
)
SLACK: Final = 0.1
SMOKE_SLACK: Final = 0.4
SMOKE_ROUNDS: Final = 5
STREAM_BYTES: Final = 50_000
SMOKE_BYTES: Final = 10_000
ROUNDS: Final = 31
COLUMNS: Final = ("form", "workload", "chunk_bytes", "floor", "measured", "met")


def tables(options: Options) -> Iterator[Table]:
    """Measure, then judge.

    Raises:
        SystemExit: A ratio is too low.

    """
    low: list[str] = []
    yield Table(COLUMNS, _rows(options, floors(), low))
    if low:
        raise SystemExit(f"Slower than the last release: {', '.join(low)}")


def floors() -> dict[str, float]:
    """The last release's ratios on this Python: by form, workload and bytes in a chunk."""
    found: dict[str, dict[str, float]] = json.loads(FILE.read_text("utf-8"))
    return found.get("{}.{}".format(*sys.version_info), {})


def _rows(
    options: Options, known: Mapping[str, float], low: list[str]
) -> Iterator[tuple[object, ...]]:
    rounds = SMOKE_ROUNDS if options.smoke else options.rounds
    size = SMOKE_BYTES if options.smoke else STREAM_BYTES
    slack = SMOKE_SLACK if options.smoke else SLACK
    for name, chunk in CELLS:
        streams = [stream(name, options.seed + number, size) for number in range(rounds)]
        makers = {each: MAKERS[each] for each in ("ours", "pure", "plain")}
        times, _ = cold_and_warm(streams, chunk, makers)
        forms = {"pure": "pure", **({"compiled": "ours"} if COMPILED else {})}
        for form, contender in forms.items():
            key = key_of(form, name, chunk)
            got = ratio(times["plain"], times[contender])
            good = is_met(got, known.get(key, 0.0), slack)
            if not good:
                low.append(key)
            cell = str(chunk or "whole")
            yield form, name, cell, known.get(key, "-"), got, "yes" if good else "no"


def key_of(form: str, workload: str, chunk_bytes: int) -> str:
    """What a ratio is called in the file."""
    return f"{form} {workload} {chunk_bytes or 'whole'}"


def is_met(got: float, floor: float, slack: float) -> bool:
    """Tell whether a ratio is as high as it was, but for noise."""
    return got >= floor * (1 - slack)


if __name__ == "__main__":
    run(__name__)
