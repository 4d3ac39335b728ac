"""What does framing cost on streams that nobody has seen, compiled and not?

    python -m benchmarks framer_cold --rounds 9    # minutes

In each round every contender is new and gets, once, the same stream of a seed of its own:
nothing is warm but the interpreter. The ratios are medians of the rounds, by processor time.
Both forms of the framer run side by side, if the extension modules are there: ``c`` and ``py``.
:mod:`benchmarks.bench_framer` asks the same of streams that come again.

The second table has the ratios that the project demands of itself, and those that the last
release had on CPython 3.11 (floors.json). There, one that is less than four fifths of its floor,
which is more than noise does, ends the program with status 1.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from statistics import median
from time import thread_time
from types import ModuleType
from typing import Final, NamedTuple

from aiobc9x.wire import framer as usual
from benchmarks.contenders import MAKERS, Contender, Fed, Ours, is_right
from benchmarks.harness import Options, Plot, Table, run
from benchmarks.workloads import ADVERSARIAL, CHUNK_SIZES_BYTES, NAMES, PUSH_SOCKETS, Stream, stream

STREAM_BYTES: Final = 50_000
FINE_BYTES: Final = 10_000  # where chunks are small, so that a row takes seconds
SMOKE_BYTES: Final = 3000
FLOORS: Final = Path(__file__).with_name("floors.json")
SLACK: Final = 0.8
FORMS: Final = ("c", "py")
OTHERS: Final = tuple(name for name in MAKERS if name != "ours")
COLUMNS: Final = (
    "workload",
    "chunk_bytes",
    *(f"{form}_ns_per_frame" for form in FORMS),
    *(f"{name}_over_{form}" for form in FORMS for name in OTHERS),
)

_NAMES: Final = {
    "plain_over_c": "plain, to the compiled framer",
    "plain_over_py": "plain, to the framer in Python",
    "line_reader_over_c": "LineReader, to the compiled framer",
    "line_reader_over_py": "LineReader, to the framer in Python",
}


def _plot(chunk_bytes: str, title: str) -> Plot:
    return Plot(
        x="workload",
        y=[*_NAMES],
        x_label="workload",
        y_label="time, as a multiple of the framer's",
        title=title,
        only={"chunk_bytes": chunk_bytes},
        names=_NAMES,
        log="y",
        level=1,
    )


PLOTS: Final = (_plot("64", "chunks of 64 bytes"), _plot("whole", "all bytes at once"))

Ratios = dict[tuple[str, str], float]
Found = dict[tuple[str, int], Ratios]


class Demand(NamedTuple):
    """A ratio to have, compiled and not; 0 asks for nothing.

    What is demanded of the plain framer in chunks up to 64 bytes is a fifth above the figures
    for plain code of others, which takes less time there.
    """

    name: str
    measure: Callable[[Found, str], float]
    compiled: float
    pure: float


def _at(other: str, workload: str, size: int) -> Callable[[Found, str], float]:
    return lambda found, form: found[workload, size][other, form]


def _least(sizes: tuple[int, ...]) -> Callable[[Found, str], float]:
    return lambda found, form: min(
        ratios["plain", form]
        for (name, size), ratios in found.items()
        if size in sizes and name not in ADVERSARIAL
    )


DEMANDS: Final = (
    Demand("plain, urc_small, 64 B", _at("plain", "urc_small", 64), 3.84, 0.744),
    Demand("plain, urc_small, whole", _at("plain", "urc_small", 0), 3.0, 0.70),
    Demand("plain, mixed, 64 B", _at("plain", "mixed", 64), 3.6, 0.84),
    Demand("plain, urc_unique, 64 B", _at("plain", "urc_unique", 64), 3.36, 0.744),
    Demand("plain, all_unique, 64 B", _at("plain", "all_unique", 64), 3.36, 0.72),
    Demand("plain, push_64, 64 B", _at("plain", "push_64", 64), 3.12, 0.66),
    Demand("plain, gateway, 64 B", _at("plain", "gateway", 64), 3.84, 0.84),
    Demand("plain, any mix, 256 B and more", _least((256, 4096, 0)), 3.0, 0.65),
    Demand("plain, any mix, 64 B", _least((64,)), 3.24, 0.72),
    Demand("plain, any mix, 16 B", _least((16,)), 2.28, 0.54),
    Demand("plain, any mix, 1 B", _least((1,)), 1.9, 0.45),
    Demand("LineReader, mixed, 64 B", _at("line_reader", "mixed", 64), 5.0, 1.2),
    Demand("LineReader, urc_small, 1 B", _at("line_reader", "urc_small", 1), 2.6, 0.85),
)


def tables(options: Options) -> Iterator[Table]:
    """Measure every workload at every chunk size, and compare.

    Raises:
        SystemExit: A ratio has fallen below its floor.

    """
    found: Found = {}
    yield Table(COLUMNS, _rows(options, found), "multiples of the framer's time")
    verdicts = [*_verdicts(found)]
    columns = ("ratio to the framer", "form", "must", "floor", "measured", "met")
    yield Table(columns, verdicts, "demands")
    if not options.smoke and has_floors() and (fallen := fallen_below(found, floors())):
        raise SystemExit(f"Slower than the last release: {', '.join(fallen)}")


def makers() -> dict[str, Callable[[], Contender]]:
    """All contenders, with the framer in the forms that are here."""
    here = "c" if usual.COMPILED else "py"
    made: dict[str, Callable[[], Contender]] = {here: Ours}
    if usual.COMPILED:
        made["py"] = in_python()
    return made | {name: MAKERS[name] for name in OTHERS}


def in_python() -> Callable[[], Contender]:
    """The framer and its frames from the Python files, beside the extension modules."""
    package = Path(str(usual.__file__)).parent
    frames = _load("benchmarks.frames_in_python", package / "frames.py")
    framer = _load("benchmarks.framer_in_python", package / "framer.py")
    for name in ("Line", "Payload", "Prompt", "Damage"):
        setattr(framer, name, getattr(frames, name))

    def make() -> Contender:
        made = framer.Framer()
        made.push_sockets |= PUSH_SOCKETS
        return Fed("py", made.feed)

    return make


def _load(name: str, path: Path) -> ModuleType:
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _rows(options: Options, found: Found) -> Iterator[tuple[object, ...]]:
    made = makers()
    for name in NAMES:
        for size in CHUNK_SIZES_BYTES:
            length = FINE_BYTES if 0 < size < 64 else STREAM_BYTES
            length = SMOKE_BYTES if options.smoke else length
            first = options.seed * 1000
            streams = [stream(name, first + number, length) for number in range(options.rounds)]
            times = [cold(each, size, made) for each in streams]
            ratios: Ratios = {
                (other, form): median(each[other] / each[form] for each in times)
                for form in FORMS
                if form in made
                for other in OTHERS
            }
            found[name, size] = ratios
            costs = (median(t[f] for t in times) * 1e9 if f in made else "-" for f in FORMS)
            cells = (ratios.get((other, form), "-") for form in FORMS for other in OTHERS)
            yield name, str(size or "whole"), *costs, *cells


def cold(
    workload: Stream, size: int, made: Mapping[str, Callable[[], Contender]]
) -> dict[str, float]:
    """Seconds a frame of each contender, new and with a stream that it has never seen.

    Raises:
        SystemExit: The framer gets it wrong.

    """
    chunks = workload.chunks(size)
    if not is_right(workload, Ours().frames(chunks)):
        raise SystemExit(f"The framer gets {workload.name} wrong.")
    times = {}
    with ExitStack() as stack:
        for name, make in made.items():
            contender = make()
            stack.callback(contender.close)
            start = thread_time()
            contender.run(chunks)
            times[name] = (thread_time() - start) / len(workload.frames)
    return times


def has_floors() -> bool:
    """Tell whether the floors are of this Python: each version has ratios of its own."""
    version: list[int] = json.loads(FLOORS.read_text("utf-8"))["python"]
    return version == [*sys.version_info[:2]]


def floors() -> dict[str, float]:
    """The ratios of the last release, by form and demand."""
    read: dict[str, float] = json.loads(FLOORS.read_text("utf-8"))["ratios"]
    return read


def fallen_below(found: Found, least: Mapping[str, float]) -> list[str]:
    """Name the ratios that are less than the last release's, by more than noise."""
    return [
        f"{key} {got:.2f} of {least[key]:.2f}"
        for key, got in measured(found).items()
        if key in least and got < SLACK * least[key]
    ]


def measured(found: Found) -> dict[str, float]:
    """The demands' ratios, by form and name."""
    forms = {form for ratios in found.values() for _, form in ratios}
    return {f"{form}: {d.name}": d.measure(found, form) for form in sorted(forms) for d in DEMANDS}


def _verdicts(found: Found) -> Iterator[tuple[object, ...]]:
    got, least = measured(found), floors()
    for demand in DEMANDS:
        for form, must in (("c", demand.compiled), ("py", demand.pure)):
            key = f"{form}: {demand.name}"
            if key in got:
                met = "yes" if got[key] >= must else "no"
                yield demand.name, form, must, least.get(key, "-"), got[key], met


if __name__ == "__main__":
    run(__name__)
