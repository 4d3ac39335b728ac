"""What do the AT readers on PyPI make of a module's stream, and what do they cost?

    python -m benchmarks framer_readers

Each gets the whole stream. ``right_percent`` is how many of the frames it finds: all of
them split at line ends, so payloads are lost, cut, or taken for answers and URCs, and
some stop at the first byte that is no text. Those that are not installed are named.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from benchmarks.contenders import Ours, right_percent
from benchmarks.contenders.readers import READERS, is_installed, quiet
from benchmarks.harness import Options, Table, in_turns, ratio, run
from benchmarks.workloads import Stream, stream

STREAM_BYTES: Final = 6000
WORKLOADS: Final = ("urc_small", "mixed", "push_64", "adv_protocol")
COLUMNS: Final = ("reader", "workload", "over_ours", "right_percent", "remark")
ROUNDS: Final = 3

Read = Callable[[Sequence[bytes]], list[bytes]]


def tables(options: Options) -> Iterator[Table]:
    """Ask each reader that is there."""
    yield Table(COLUMNS, _rows(options))


def _rows(options: Options) -> Iterator[tuple[object, ...]]:
    before = quiet()
    try:
        for name, (module, read) in READERS.items():
            if not is_installed(module):
                yield name, "-", "-", "-", f"not installed: pip install {name}"
                continue
            for workload in WORKLOADS[: 1 if options.smoke else None]:
                yield (
                    name,
                    workload,
                    *_row(stream(workload, options.seed, STREAM_BYTES), read, options),
                )
    finally:
        logging.disable(before)


def _row(workload: Stream, read: Read, options: Options) -> tuple[object, ...]:
    chunks = [workload.data]
    try:
        lines = read(chunks)
    except Exception as exc:  # whatever a reader raises is what it makes of the stream
        return "-", 0.0, f"dies: {type(exc).__name__}"
    percent = right_percent(workload, [(line,) for line in lines])
    times = in_turns(
        {"reader": partial(read, chunks), "ours": partial(Ours().run, chunks)},
        rounds=options.rounds,
    )
    return ratio(times["reader"], times["ours"]), percent, "-" if percent == 100 else "corrupts"


if __name__ == "__main__":
    run(__name__)
