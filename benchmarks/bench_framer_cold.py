"""Does framing take longer with streams that were never seen?

    python -m benchmarks framer_cold

A cold contender is new and gets a stream that nobody has had; a warm one gets it again. Each
round has a stream of its own, in chunks of 64 bytes and whole.
"""

from collections.abc import Iterator
from statistics import median
from typing import Final

from benchmarks.contenders import MAKERS
from benchmarks.framing import cold_and_warm
from benchmarks.harness import Options, Table, ratio, run
from benchmarks.workloads import NAMES, stream

STREAM_BYTES: Final = 50_000
SMOKE_BYTES: Final = 6000
CHUNK_SIZES_BYTES: Final = (64, 0)
ROUNDS: Final = 15
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    "ours_cold_ns_per_frame",
    *(f"{name}_cold_over_warm" for name in MAKERS),
)


def tables(options: Options) -> Iterator[Table]:
    """Measure every workload."""
    yield Table(COLUMNS, _rows(options))


def _rows(options: Options) -> Iterator[tuple[object, ...]]:
    size = SMOKE_BYTES if options.smoke else STREAM_BYTES
    for name in NAMES:
        streams = [stream(name, options.seed + number, size) for number in range(options.rounds)]
        for chunk in CHUNK_SIZES_BYTES:
            cold, warm = cold_and_warm(streams, chunk, MAKERS)
            yield (
                name,
                str(chunk or "whole"),
                median(cold["ours"]) * 1e9,
                *(ratio(cold[each], warm[each]) for each in MAKERS),
            )


if __name__ == "__main__":
    run(__name__)
