"""Does framing get slower, byte for byte, as hostile input gets longer?

    python -m benchmarks framer_growth

The adversarial workloads at 64 KiB and four times that, in chunks and whole. Linear work
gives a growth of 1; 1.1 is demanded. The long stream is the short one four times over, so that
both have the same mix of frames; only of the line without an end it is one of four times the
length.
"""

from collections.abc import Iterator
from functools import partial
from time import thread_time
from typing import Final

from benchmarks.contenders import Ours
from benchmarks.harness import Options, Table, in_turns, quickest_ratio, run
from benchmarks.workloads import ADVERSARIAL, CHUNK_SIZES_BYTES, ENDLESS, Stream, stream

SIZES_BYTES: Final = (64 * 1024, 256 * 1024)
SMOKE_SIZES_BYTES: Final = (8 * 1024, 32 * 1024)
COLUMNS: Final = ("workload", "chunk_bytes", "short_ns_per_byte", "long_ns_per_byte", "growth")


def tables(options: Options) -> Iterator[Table]:
    """Measure each adversarial workload at two lengths."""
    yield Table(COLUMNS, _rows(options))


def _rows(options: Options) -> Iterator[tuple[object, ...]]:
    short, long = SMOKE_SIZES_BYTES if options.smoke else SIZES_BYTES
    for name in ADVERSARIAL:
        for chunk in CHUNK_SIZES_BYTES:
            streams = _pair(name, options.seed, short, long)
            times = in_turns(
                {str(n): partial(Ours().run, each.chunks(chunk)) for n, each in enumerate(streams)},
                rounds=options.rounds,
                clock=thread_time,
                round_seconds=0.0005 if options.smoke else 0.02,
            )
            few, many = (
                [seconds * 1e9 / len(each.data) for seconds in times[str(n)]]
                for n, each in enumerate(streams)
            )
            yield name, str(chunk or "whole"), min(few), min(many), quickest_ratio(many, few)


def _pair(name: str, seed: int, short: int, long: int) -> list[Stream]:
    """Make a short stream, and a long one of the same mix."""
    one = stream(name, seed, short)
    if name == ENDLESS:
        return [one, stream(name, seed, long)]
    times = long // short
    return [one, Stream(name, one.data * times, one.frames * times)]


if __name__ == "__main__":
    run(__name__)
