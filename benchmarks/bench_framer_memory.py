"""How much memory does the framer hold while 100 MB of hostile bytes go through it?

    python -m benchmarks framer_memory

Bound by one payload or the longest line. The input is made
piece by piece and dropped, so that the peak is the framer's; tracemalloc counts it.
"""

import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final

from aiobc9x.wire.framer import Framer
from benchmarks.harness import Options, Table, run
from benchmarks.workloads import PUSH_SOCKETS

TOTAL_BYTES: Final = 100_000_000
SMOKE_BYTES: Final = 2_000_000
PIECE_BYTES: Final = 4096
COLUMNS: Final = ("input", "fed_MB", "frames", "peak_KiB", "held_KiB")


def distinct_lines(dice: random.Random) -> bytes:
    """Short lines, no two alike, which a careless cache would all keep."""
    return b"".join(b"\r\n+X: %d\r\n" % dice.randrange(10**12) for _ in range(200))


def long_lines(dice: random.Random) -> bytes:
    """Lines of the greatest length, and longer ones."""
    return dice.randbytes(16).hex().encode() * (PIECE_BYTES // 32) + dice.choice((b"\r\n", b""))


def endless_line(dice: random.Random) -> bytes:
    """No line end at all."""
    return bytes([dice.randrange(0x61, 0x7B)]) * PIECE_BYTES


def line_ends(dice: random.Random) -> bytes:
    """Nothing but line ends, or halves of them."""
    return dice.choice((b"\r", b"\n", b"\r\n", b"\n\r")) * (PIECE_BYTES // 2)


def headers(dice: random.Random) -> bytes:
    """Headers that announce much, and hardly any data."""
    header = b'\r\n+QIURC: "recv",%d,4096\r\n' % dice.choice(sorted(PUSH_SOCKETS))
    return header * (PIECE_BYTES // len(header))


def lengths(dice: random.Random) -> bytes:
    """Headers that hardly ever repeat."""
    return b"".join(
        b"\r\n+QIRD: 1,%d\r\nx\r\n\r\nOK\r\n" % dice.randrange(10**9) for _ in range(100)
    )


def noise(dice: random.Random) -> bytes:
    """Random bytes."""
    return dice.randbytes(PIECE_BYTES)


INPUTS: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    distinct_lines,
    long_lines,
    endless_line,
    line_ends,
    headers,
    lengths,
    noise,
)


def tables(options: Options) -> Iterator[Table]:
    """Feed each kind of input, its share of the whole."""
    total = SMOKE_BYTES if options.smoke else TOTAL_BYTES
    yield Table(COLUMNS, (_row(make, total // len(INPUTS), options.seed) for make in INPUTS))


def _row(make: Callable[[random.Random], bytes], total: int, seed: int) -> tuple[object, ...]:
    dice = random.Random(seed)
    pieces = [make(dice) for _ in range(64)] if make not in {distinct_lines, lengths} else []
    fed = frames = peak = 0
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        framer = Framer()
        framer.push_sockets |= PUSH_SOCKETS
        while fed < total:
            piece = dice.choice(pieces) if pieces else make(dice)
            base = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            got = framer.feed(piece)
            peak = max(peak, tracemalloc.get_traced_memory()[1] - base)
            frames += len(got)
            fed += len(piece)
            del piece, got
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return make.__name__, round(fed / 1e6), frames, (held + peak) / 1024, held / 1024


if __name__ == "__main__":
    run(__name__)
