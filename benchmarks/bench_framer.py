"""Framer cost, as a multiple of the least that any framer must do.

    python -m benchmarks.bench_framer          # one TSV row per workload and chunk size
    python -m benchmarks.bench_framer --smoke  # one round; CI runs this

The floor is ``bytes.split(b"\\r\\n")`` over the same bytes, whole: it finds line ends
in C, knows nothing of payloads and keeps no state.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

from aiobc9x.wire.framer import Framer
from benchmarks.harness import paired, print_tsv, rounds_from_command_line

STREAM_BYTES = 200_000
CHUNK_SIZES_BYTES = (64, 4096, STREAM_BYTES * 2)  # the last is the whole stream
PUSHING = {0, 1, 2}

Part = Callable[[random.Random], bytes]

RESULTS = (
    b"\r\nOK\r\n",
    b"\r\nSEND OK\r\n",
    b"\r\n+QIOPEN: 0,0\r\n",
    b'\r\n+QIURC: "closed",3\r\n',
    b'\r\n+QIURC: "recv",3\r\n',
    b"\r\nCLOSE OK\r\n",
)


def urc_small(dice: random.Random) -> bytes:
    return dice.choice(RESULTS)


def urc_unique(dice: random.Random) -> bytes:
    address = ".".join(str(dice.randrange(256)) for _ in range(4))
    return b"\r\n+QPING: 0,%s,32,%d,255\r\n" % (address.encode(), dice.randrange(100, 999))


def push(dice: random.Random, data: bytes) -> bytes:
    return b'\r\n+QIURC: "recv",%d,%d\r\n%s\r\n' % (dice.choice([0, 1, 2]), len(data), data)


def push_64(dice: random.Random) -> bytes:
    return push(dice, dice.randbytes(64))


def push_512(dice: random.Random) -> bytes:
    return push(dice, dice.randbytes(512))


def push_rnd(dice: random.Random) -> bytes:
    return push(dice, dice.randbytes(dice.randint(1, 1440)))


def qird(data: bytes) -> bytes:
    return b"\r\n+QIRD: %d,%d\r\n%s\r\n\r\nOK\r\n" % (len(data), 1440 - len(data), data)


def qird_1024(dice: random.Random) -> bytes:
    return qird(dice.randbytes(1024))


def mixed(dice: random.Random) -> bytes:
    """Six sockets of a gateway: announcements, reads, sends, some pushes."""
    kind = dice.randrange(10)
    if kind < 2:
        return b'\r\n+QIURC: "recv",%d,%d\r\n' % (dice.randint(3, 5), dice.randint(1, 1440))
    if kind < 4:
        return qird(dice.randbytes(dice.randint(1, 256)))
    if kind < 5:
        return push(dice, dice.randbytes(dice.randint(1, 256)))
    return b"\r\nOK\r\n\r\nSEND OK\r\n" if kind < 8 else urc_small(dice)


def adv_crlf(dice: random.Random) -> bytes:
    return push(dice, b"\r\n" * dice.randint(1, 700))


def adv_protocol(dice: random.Random) -> bytes:
    return push(dice, b"".join(mixed(dice) for _ in range(10))[:1440])


def adv_endless(dice: random.Random) -> bytes:
    return b"\x00" * 100


WORKLOADS: tuple[Part, ...] = (
    urc_small,
    urc_unique,
    push_64,
    push_512,
    push_rnd,
    qird_1024,
    mixed,
    adv_crlf,
    adv_protocol,
    adv_endless,
)


def stream_of(part: Part) -> bytes:
    """The workload's bytes, the same in every run."""
    dice = random.Random(part.__name__)
    stream = b""
    while len(stream) < STREAM_BYTES:
        stream += part(dice)
    return stream


def rows(rounds: int) -> Iterator[tuple[object, ...]]:
    for part in WORKLOADS:
        stream = stream_of(part)
        for size in CHUNK_SIZES_BYTES:
            chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
            count = frames_in(chunks)
            times = paired(
                partial(frames_in, chunks),
                partial(stream.split, b"\r\n"),
                rounds=rounds,
            )
            yield (
                part.__name__,
                min(size, len(stream)),
                len(stream) / count,
                times.seconds * 1e9 / count,
                len(stream) / times.seconds / 1e6,
                times.ratio,
            )


def frames_in(chunks: list[bytes]) -> int:
    framer = Framer()
    framer.push_sockets |= PUSHING
    return sum(len(framer.feed(chunk)) for chunk in chunks)


def main() -> None:
    rounds = rounds_from_command_line(__doc__, default=9)
    columns = ("workload", "chunk_bytes", "frame_bytes", "frame_ns", "MB_per_s", "times_split")
    print_tsv(columns, rows(rounds))


if __name__ == "__main__":
    main()
