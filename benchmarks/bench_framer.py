"""What does framing cost, against other ways to split the same bytes?

    python -m benchmarks framer          # one row per workload and chunk size; minutes
    python -m benchmarks framer --smoke  # one round of each, on short streams

The floor is ``bytes.split(b"\\r\\n")`` over the whole stream: it finds line ends in C,
knows nothing of payloads and keeps no state. The others give lines and payloads as the
framer does (see :mod:`benchmarks.contenders`), in one process and in turns. ``ours`` is the
framer as it is installed here, compiled or not, and ``pure`` the one in Python. What each
makes of a stream is compared with the stream's oracle first; who gets it wrong is timed
all the same, and named with the share of the frames that it did find.

All are cold: each round has a stream that nobody has seen, and new contenders;
:mod:`benchmarks.bench_framer_cold` asks what it is worth to have seen it. Processor time
counts, and the median of the rounds. A second table has the ratios that the project demands
of itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final, NamedTuple

from aiobc9x.wire.framer import COMPILED
from benchmarks.contenders import MAKERS, Contender, is_right, right_percent
from benchmarks.framing import cold_and_warm
from benchmarks.harness import Options, Plot, Table, ratio, run
from benchmarks.workloads import ADVERSARIAL, CHUNK_SIZES_BYTES, NAMES, Stream, stream

STREAM_BYTES: Final = 50_000
FINE_BYTES: Final = 20_000  # where chunks are small, so that a row takes seconds
SMOKE_BYTES: Final = 6000
ROUNDS: Final = 15

OTHERS: Final = tuple(name for name in MAKERS if name != "ours")
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    "frame_bytes",
    "ours_ns_per_frame",
    "ours_MB_per_s",
    "pure_ns_per_frame",
    "ours_over_split",
    *(f"{name}_over_ours" for name in OTHERS),
    "plain_over_pure",
    "line_reader_over_pure",
    "wrong",
)
_NAMES: Final = {
    "pure_over_ours": "the framer in Python",
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
    stretch: float | None = None
    most: bool = False


def _at(ratio_name: str, workload: str, chunk_bytes: int) -> Callable[[dict[Key, Ratios]], float]:
    return lambda found: found[workload, chunk_bytes][ratio_name]


def _least(ratio_name: str, chunks: Sequence[int]) -> Callable[[dict[Key, Ratios]], float]:
    return lambda found: min(
        ratios[ratio_name]
        for (name, chunk), ratios in found.items()
        if name not in ADVERSARIAL and chunk in chunks
    )


def _demands(form: str, bounds: Sequence[tuple[float, float | None]]) -> tuple[Demand, ...]:
    """Demand the same ratios of either form, each with bounds of its own."""
    plain, line_reader = f"plain_over_{form}", f"line_reader_over_{form}"
    what = (
        ("plain, urc_small, 64 B", _at(plain, "urc_small", 64)),
        ("plain, urc_small, whole", _at(plain, "urc_small", 0)),
        ("plain, mixed, 64 B", _at(plain, "mixed", 64)),
        ("plain, urc_unique, 64 B", _at(plain, "urc_unique", 64)),
        ("plain, all_unique, 64 B", _at(plain, "all_unique", 64)),
        ("plain, push_64, 64 B", _at(plain, "push_64", 64)),
        ("plain, gateway, 64 B", _at(plain, "gateway", 64)),
        ("plain, any mix, 256 B and more", _least(plain, (256, 4096, 0))),
        ("plain, any mix, 64 B", _least(plain, (64,))),
        ("plain, any mix, 16 B", _least(plain, (16,))),
        ("plain, any mix, 1 B", _least(plain, (1,))),
        ("LineReader, mixed, 64 B", _at(line_reader, "mixed", 64)),
        ("LineReader, urc_small, 1 B", _at(line_reader, "urc_small", 1)),
    )
    name = "compiled" if form == "ours" else form
    return tuple(
        Demand(f"{name}: {text}", measure, *bound)
        for (text, measure), bound in zip(what, bounds, strict=True)
    )


# Of the frozen plain framer, whose chunks of 16 and 64 bytes take a quarter longer than they must.
COMPILED_BOUNDS: Final = (
    *((3.84, 5.4), (3.0, 4.5), (3.6, 4.8), (3.36, 4.2), (3.36, 4.2), (3.12, 4.2), (3.84, 4.8)),
    *((3.0, 4.0), (3.24, 4.2), (2.28, 3.0), (1.9, 2.5), (5.0, None), (2.6, None)),
)
PURE_BOUNDS: Final = (
    *((0.744, None), (0.70, None), (0.84, None), (0.744, None), (0.72, None), (0.66, None)),
    *((0.84, None), (0.65, None), (0.72, None), (0.54, None), (0.45, None), (1.2, None)),
    (0.85, None),
)
DEMANDS: Final = (
    *(_demands("ours", COMPILED_BOUNDS) if COMPILED else ()),
    *_demands("pure", PURE_BOUNDS),
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
            length = SMOKE_BYTES if options.smoke else length
            streams = [stream(name, options.seed + n, length) for n in range(options.rounds)]
            yield _row(streams, size, found)


def _row(streams: Sequence[Stream], size: int, found: dict[Key, Ratios]) -> tuple[object, ...]:
    first = streams[0]
    with ExitStack() as stack:
        contenders = [make() for make in MAKERS.values()]
        for contender in contenders:
            stack.callback(contender.close)
        wrong = wrongs(first, first.chunks(size), contenders)
    times, _ = cold_and_warm(streams, size, MAKERS)
    ours, pure = times["ours"], times["pure"]
    ratios = {f"{name}_over_ours": ratio(times[name], ours) for name in OTHERS}
    for name in ("plain", "line_reader"):
        ratios[f"{name}_over_pure"] = ratio(times[name], pure)
    ratios["ours_over_split"] = ratio(ours, times["split"])
    found[first.name, size] = ratios
    frame_bytes = len(first.data) / len(first.frames)
    return (
        first.name,
        str(size or "whole"),
        frame_bytes,
        median(ours) * 1e9,
        frame_bytes / median(ours) / 1e6,
        median(pure) * 1e9,
        ratios["ours_over_split"],
        *(ratios[f"{name}_over_ours"] for name in OTHERS),
        ratios["plain_over_pure"],
        ratios["line_reader_over_pure"],
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
            if contender.name in {"ours", "pure"}:
                raise SystemExit(f"The framer gets {workload.name} wrong.")
    return wrong


def _verdicts(found: dict[Key, Ratios]) -> Iterator[tuple[object, ...]]:
    for demand in DEMANDS:
        got = demand.measure(found)
        yield demand.name, demand.must or "-", demand.stretch or "-", got, verdict(demand, got)


def verdict(demand: Demand, got: float) -> str:
    """Say which of the two bounds a ratio reaches."""
    sign = -1 if demand.most else 1
    if demand.stretch is not None and sign * got >= sign * demand.stretch:
        return "stretch"
    if demand.must is None:
        return "reported"
    return "must" if sign * got >= sign * demand.must else "no"


if __name__ == "__main__":
    run(__name__)
