"""Time what splits streams: on bytes that it has never seen, and on those that it has.

A cold contender is new and gets a stream that nobody has had before; all others get the same
one in turns, each round from another place in the row. A warm one has been through it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from time import thread_time

from benchmarks.contenders import Contender
from benchmarks.workloads import Stream

Makers = Mapping[str, Callable[[], Contender]]


def cold_and_warm(
    streams: Sequence[Stream], chunk_bytes: int, makers: Makers
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Measure contenders, and ``split`` besides, which is ``bytes.split`` at line ends.

    Args:
        streams: One for each round.
        chunk_bytes: How they are cut; 0 leaves them whole.
        makers: What makes the contenders, by name.

    Returns:
        Seconds of the thread for a frame, a round each, by name: cold ones and warm ones.

    """
    names = [*makers]
    cold: dict[str, list[float]] = {name: [] for name in ("split", *names)}
    warm: dict[str, list[float]] = {name: [] for name in ("split", *names)}
    for number, stream in enumerate(streams):
        chunks = stream.chunks(chunk_bytes)
        frames = len(stream.frames)
        for times in (cold, warm):
            times["split"].append(_seconds(stream.data.split, b"\r\n") / frames)
        start = number % len(names)
        for name in names[start:] + names[:start]:
            with closing(makers[name]()) as contender:
                for times in (cold, warm):
                    times[name].append(_seconds(contender.run, chunks) / frames)
    return cold, warm


def _seconds(run: Callable[..., object], argument: object) -> float:
    start = thread_time()
    run(argument)
    return thread_time() - start
