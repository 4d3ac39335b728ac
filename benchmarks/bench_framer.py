"""What does framing cost, against other ways to split the same bytes?

    python -m benchmarks framer          # one row per workload and chunk size; minutes
    python -m benchmarks framer --smoke  # one round of each, on short streams

The floor is ``bytes.split(b"\\r\\n")`` over the whole stream: it finds line ends in C,
knows nothing of payloads and keeps no state. The others give lines and payloads as the
framer does (see :mod:`benchmarks.contenders`), in one process and in turns. What each
makes of a stream is compared with the stream's oracle first; who gets it wrong is timed
all the same, and named with the share of the frames that it did find. All have seen the
workload's lines before; :mod:`benchmarks.bench_framer_cold` asks what that is worth.

Processor time is what counts, and of each the quickest round: a busy machine only ever
adds to it. A second table has the ratios that the project demands of itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from time import thread_time
from typing import Final, NamedTuple

from benchmarks.contenders import MAKERS, Contender, is_right, right_percent
from benchmarks.harness import Options, Plot, Table, in_turns, quickest_ratio, run
from benchmarks.workloads import ADVERSARIAL, CHUNK_SIZES_BYTES, NAMES, Stream, stream

STREAM_BYTES: Final = 50_000
FINE_BYTES: Final = 10_000  # where chunks are small, so that a row takes seconds
SMOKE_BYTES: Final = 6000
ROUNDS: Final = 15

OTHERS: Final = tuple(name for name in MAKERS if name != "ours")
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    "frame_bytes",
    "ours_ns_per_frame",
    "ours_MB_per_s",
    "ours_over_split",
    *(f"{name}_over_ours" for name in OTHERS),
    "wrong",
)
_NAMES: Final = {
    "ours_over_split": "the framer",
    "plain_over_ours": "plain",
    "tokenizer_over_ours": "one regular expression",
    "line_reader_over_ours": "pyserial's LineReader",
    "streams_over_ours": "asyncio's StreamReader",
}


def _plot(chunk_bytes: str, title: str) -> Plot:
    return Plot(
        x="workload",
        y=[f"{name}_over_ours" for name in OTHERS],
        x_label="workload",
        y_label="time, as a multiple of the framer's",
        title=title,
        only={"chunk_bytes": chunk_bytes},
        names=_NAMES,
        log="y",
        level=1,
    )


PLOTS: Final = (
    _plot("64", "chunks of 64 bytes"),
    _plot("whole", "all bytes at once"),
    Plot(
        x="chunk_bytes",
        y="ours_ns_per_frame",
        series="workload",
        x_label="bytes in a chunk",
        y_label="ns per frame, the framer",
        title="by chunk size",
        log="xy",
    ),
)

Key = tuple[str, int]
Ratios = dict[str, float]


class Demand(NamedTuple):
    """A ratio, at least ``must`` or, with ``most``, at most."""

    name: str
    measure: Callable[[dict[Key, Ratios]], float]
    must: float | None
    stretch: float
    most: bool = False


def _at(ratio_name: str, workload: str, chunk_bytes: int) -> Callable[[dict[Key, Ratios]], float]:
    return lambda found: found[workload, chunk_bytes][ratio_name]


def _least(ratio_name: str) -> Callable[[dict[Key, Ratios]], float]:
    return lambda found: min(
        ratios[ratio_name] for (name, _), ratios in found.items() if name not in ADVERSARIAL
    )


DEMANDS: Final = (
    Demand("plain/ours, urc_small, 64 B", _at("plain_over_ours", "urc_small", 64), 2.0, 2.4),
    Demand("plain/ours, mixed, 64 B", _at("plain_over_ours", "mixed", 64), 1.35, 1.7),
    Demand("plain/ours, urc_small, whole", _at("plain_over_ours", "urc_small", 0), 5, 7),
    Demand("plain/ours, any mix and chunk", _least("plain_over_ours"), 1.1, 1.4),
    Demand("tokenizer/ours, any mix and chunk", _least("tokenizer_over_ours"), 0.9, 1.0),
    Demand("LineReader/ours, mixed, 64 B", _at("line_reader_over_ours", "mixed", 64), 2, 2.6),
    Demand(
        "LineReader/ours, urc_small, 1 B", _at("line_reader_over_ours", "urc_small", 1), 1.3, 1.8
    ),
    Demand("ours/split, urc_small, whole", _at("ours_over_split", "urc_small", 0), None, 4, True),
    Demand("ours/split, mixed, whole", _at("ours_over_split", "mixed", 0), None, 6.5, True),
    Demand("ours/split, push_64, whole", _at("ours_over_split", "push_64", 0), None, 5, True),
)


def tables(options: Options) -> Iterator[Table]:
    """Measure every workload at every chunk size."""
    found: dict[Key, Ratios] = {}
    yield Table(COLUMNS, _rows(options, found), "multiples of the time of one another")
    yield Table(("ratio", "must", "stretch", "measured", "met"), _verdicts(found), "demands")


def _rows(options: Options, found: dict[Key, Ratios]) -> Iterator[tuple[object, ...]]:
    for name in NAMES:
        for size in CHUNK_SIZES_BYTES:
            length = FINE_BYTES if 0 < size < 64 else STREAM_BYTES
            workload = stream(name, options.seed, SMOKE_BYTES if options.smoke else length)
            yield _row(workload, size, options, found)


def _row(
    workload: Stream, size: int, options: Options, found: dict[Key, Ratios]
) -> tuple[object, ...]:
    chunks = workload.chunks(size)
    with ExitStack() as stack:
        contenders = {name: make() for name, make in MAKERS.items()}
        for contender in contenders.values():
            stack.callback(contender.close)
        wrong = wrongs(workload, chunks, contenders.values())
        runs = {name: partial(c.run, chunks) for name, c in contenders.items()}
        times = in_turns(
            {"split": partial(workload.data.split, b"\r\n"), **runs},
            rounds=options.rounds,
            round_seconds=0.0005 if options.smoke else 0.002,
            clock=thread_time,
        )
    ours = times["ours"]
    ratios = {f"{name}_over_ours": quickest_ratio(times[name], ours) for name in OTHERS}
    ratios["ours_over_split"] = quickest_ratio(ours, times["split"])
    found[workload.name, size] = ratios
    return (
        workload.name,
        str(size or "whole"),
        len(workload.data) / len(workload.frames),
        min(ours) * 1e9 / len(workload.frames),
        len(workload.data) / min(ours) / 1e6,
        ratios["ours_over_split"],
        *(ratios[f"{name}_over_ours"] for name in OTHERS),
        ", ".join(wrong) or "-",
    )


def wrongs(workload: Stream, chunks: Sequence[bytes], contenders: Iterable[Contender]) -> list[str]:
    """Name the contenders that get a stream wrong, with the share that they get right.

    Raises:
        SystemExit: The framer itself does.

    """
    wrong = []
    for contender in contenders:
        frames = contender.frames(chunks)
        if not is_right(workload, frames):
            wrong.append(f"{contender.name} ({right_percent(workload, frames):.0f} % right)")
            if contender.name == "ours":
                raise SystemExit(f"The framer gets {workload.name} wrong.")
    return wrong


def _verdicts(found: dict[Key, Ratios]) -> Iterator[tuple[object, ...]]:
    for demand in DEMANDS:
        got = demand.measure(found)
        yield demand.name, demand.must or "-", demand.stretch, got, verdict(demand, got)


def verdict(demand: Demand, got: float) -> str:
    """Say which of the two bounds a ratio reaches."""
    sign = -1 if demand.most else 1
    if sign * got >= sign * demand.stretch:
        return "stretch"
    if demand.must is None:
        return "reported"
    return "must" if sign * got >= sign * demand.must else "no"


if __name__ == "__main__":
    run(__name__)
