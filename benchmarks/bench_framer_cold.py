"""Does the framer take longer with streams that it has never seen?

    python -m benchmarks framer_cold

A warm framer has seen the stream; a cold one is new and gets a stream of another seed each
time. Both are compared with the plain framer on the same bytes, in chunks of 64 bytes and whole.
"""

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from time import thread_time
from typing import Final

from benchmarks.contenders import Contender, Ours, plain
from benchmarks.harness import Options, Table, in_turns, quickest_ratio, run
from benchmarks.workloads import NAMES, stream

STREAM_BYTES: Final = 100_000
SMOKE_BYTES: Final = 6000
CHUNK_SIZES_BYTES: Final = (64, 0)
STREAMS: Final = 8
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    "cold_ns_per_frame",
    "cold_over_warm",
    "plain_over_cold",
)


def tables(options: Options) -> Iterator[Table]:
    """Measure every workload."""
    yield Table(COLUMNS, _rows(options))


def _rows(options: Options) -> Iterator[tuple[object, ...]]:
    size = SMOKE_BYTES if options.smoke else STREAM_BYTES
    for name in NAMES:
        streams = [stream(name, options.seed + number, size) for number in range(STREAMS)]
        for chunk in CHUNK_SIZES_BYTES:
            chunked = [each.chunks(chunk) for each in streams]
            fresh = cycle(chunked)
            times = in_turns(
                {
                    "cold": partial(_cold, fresh),
                    "warm": partial(_all, Ours(), chunked),
                    "plain": partial(_all, plain(), chunked),
                },
                rounds=options.rounds,
                clock=thread_time,
                round_seconds=0.0005 if options.smoke else 0.01,
            )
            warm = [seconds / STREAMS for seconds in times["warm"]]
            usual = [seconds / STREAMS for seconds in times["plain"]]
            frames = sum(len(each.frames) for each in streams) / STREAMS
            yield (
                name,
                str(chunk or "whole"),
                min(times["cold"]) * 1e9 / frames,
                quickest_ratio(times["cold"], warm),
                quickest_ratio(usual, times["cold"]),
            )


def _cold(streams: Iterator[list[bytes]]) -> None:
    Ours().run(next(streams))


def _all(contender: Contender, chunked: list[list[bytes]]) -> None:
    for chunks in chunked:
        contender.run(chunks)


if __name__ == "__main__":
    run(__name__)
