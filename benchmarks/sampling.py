"""Where processor time goes, by layer, without slowing down what is measured.

A timer of the system interrupts the program after each :data:`INTERVAL_S` of its own
processor time; what runs then gets the sample. Unlike a profiler it costs small functions
no more than large ones. POSIX only.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERVAL_S: Final = 0.001

LAYERS: Final = (
    ("aiobc9x/wire/framer", "framer"),
    ("aiobc9x/wire/_", "framer"),
    ("aiobc9x/wire/", "commands and URCs"),
    ("aiobc9x/core/", "session"),
    ("aiobc9x/aio/link", "link"),
    ("serial_asyncio", "link"),
    ("aiobc9x/aio/transport", "transport"),
    ("aiobc9x/aio/base", "transport"),
    ("aiobc9x/aio/", "driver"),
    ("asyncio/streams", "streams"),
    ("asyncio/", "event loop"),
    ("selectors", "event loop"),
)
"""Parts of paths, and the layer that the code there belongs to; the first that fits."""

NAMES: Final = (
    "link",
    "framer",
    "commands and URCs",
    "session",
    "driver",
    "transport",
    "streams",
    "event loop",
)
"""The layers, from the line to the application, and what is around them."""

OTHER: Final = "the measurement itself"


def layer_of(path: str) -> str | None:
    """Return the layer of a source file, ``None`` for what serves any."""
    return next((name for part, name in LAYERS if part in path), None)


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """Count samples by layer while the context lasts.

    What belongs to no layer, such as the standard library's ``enum``, counts for whoever
    called it.
    """
    counts: Counter[str] = Counter()

    def on_sample(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            layer = layer_of(frame.f_code.co_filename)
            if layer is not None or "benchmarks" in frame.f_code.co_filename:
                counts[layer or OTHER] += 1
                return
            frame = frame.f_back

    before = signal.signal(signal.SIGPROF, on_sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
    try:
        yield counts
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
