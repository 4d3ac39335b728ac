"""What a soak counts, and what it must never see."""

import asyncio
import gc
import hashlib
import io
import sys
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

SETTLE_S: Final = 10.0
"""What the system, and the far side, may take to end what has been closed."""

SHOWN_LINES: Final = 300
"""Of the dialogue, with a breach."""

DESCRIPTORS: Final = Path("/proc/self/fd")


class WrongBytesError(Exception):
    """Bytes arrived that were not sent, or a stream ended as if it were whole.

    Attributes:
        has_swallowed: Whether a line of the module stands in what arrived. Where just as many bytes
            of a push get lost as that line has, nothing shows it: a push is followed by nothing.

    """

    def __init__(self, text: str, got: bytes = b"", sent: bytes = b"") -> None:
        super().__init__(text)
        self.has_swallowed = any(line in got and line not in sent for line in MODULE_LINES)


MODULE_LINES: Final = (
    b"\r\nOK\r",
    b"\r\nSEND OK",
    b"\r\nCLOSE OK",
    b"\r\n+Q",
    b"\r\n+C",
    b"\r\nERR",
)


class FilledUpError(ConnectionError):
    """The far side got other bytes than were sent before its connection ended.

    The serial line has lost some of a send, and a module that waits for the rest is filled up.
    """


@dataclass
class Tally:
    """How the operations of one kind have ended.

    Attributes:
        begun: How many there were.
        done: Those that did all that they meant to do.
        ended: Those that a fault has ended, with an exception that says so.
        busy: Those that found no free connect ID.
        checked_bytes: How many bytes were compared with what was sent.

    """

    begun: int = 0
    done: int = 0
    ended: int = 0
    busy: int = 0
    checked_bytes: int = 0

    def check(self, got: bytes, sent: bytes) -> None:
        """Compare bytes that arrived with those that were sent.

        Raises:
            WrongBytesError: They differ.

        """
        if got != sent:
            text = f"{len(got)} bytes differ from the {len(sent)} that were sent"
            raise WrongBytesError(text, got, sent)
        self.checked_bytes += len(got)


@dataclass(frozen=True)
class Holdings:
    """What a process holds at one moment.

    Attributes:
        tasks: Tasks of the loop, the one that looks aside.
        descriptors: Open descriptors, and what is behind each; none where /proc is missing.

    """

    tasks: frozenset[asyncio.Task[Any]]  # Any: whatever they return
    descriptors: frozenset[tuple[str, str]]

    def beyond(self, before: "Holdings") -> list[str]:
        """Name what is held now and was not before."""
        tasks = [f"task {task.get_name()}: {where(task)}" for task in self.tasks - before.tasks]
        more = len(self.descriptors) - len(before.descriptors)
        new = sorted(self.descriptors - before.descriptors) if more > 0 else []
        return tasks + [f"descriptor {number} → {target}" for number, target in new]


def holdings() -> Holdings:
    """Look at what is held now."""
    found = set()
    for entry in [*DESCRIPTORS.iterdir()] if DESCRIPTORS.is_dir() else []:
        try:
            found.add((entry.name, str(entry.readlink())))
        except OSError:  # the descriptor of the listing itself
            continue
    this = asyncio.current_task()
    tasks = frozenset(task for task in asyncio.all_tasks() if task is not this)
    return Holdings(tasks, frozenset(found))


async def settled(before: Holdings) -> Holdings:
    """Wait until nothing is held that was not before, a while at most; return what is."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE_S
    while (now := holdings()).beyond(before) and loop.time() < until:
        gc.collect()
        await asyncio.sleep(0.2)
    return now


def where(task: asyncio.Task[Any]) -> str:
    """Tell where a task stands, from the outermost line to the innermost."""
    lines: list[str] = []
    awaited: Any = task.get_coro()  # Any: coroutines, generators, futures
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " → ".join(lines) or "ended"


@dataclass
class Record:
    """One run of a soak.

    Attributes:
        tallies: Operations by kind.
        faults: What has gone wrong on purpose, by kind.
        endings: The operations that a fault has ended, by the class of their exception.
        unnoticed: Pushes that had swallowed a line of the module, which nobody can notice.
        breaches: What must not happen; the soak has failed if there are any.
        excused: Reports to the loop's exception handler that are no breach, by their message.
        dialogue: What the module and its host have said last, to be printed with a breach.
        clock: Gives the time.
        transcript: Where the whole dialogue is written to, if anywhere.
        digest: Of the whole dialogue: two runs that are the same have the same one.

    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    unnoticed: int = 0
    excused: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic
    transcript: IO[str] | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    breaches: list[str] = field(default_factory=list)
    dialogue: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN_LINES))

    def heard(self, direction: str, text: str) -> None:
        """Note a line of the dialogue; what is done and what goes wrong stands between them."""
        line = f"{self.clock():.3f} {direction} {text}"
        self.digest.update(line.encode())
        self.dialogue.append(line)
        if self.transcript is not None:
            print(line, file=self.transcript)

    def tally(self, kind: str) -> Tally:
        """Return the tally of one kind of operation."""
        return self.tallies.setdefault(kind, Tally())

    def breach(self, what: str) -> None:
        """Note what must not happen, and say it at once."""
        self.breaches.append(what)
        print(*self.dialogue, f"# breach: {what}", sep="\n", file=sys.stderr, flush=True)
        self.dialogue.clear()

    def rows(self) -> Iterator[Sequence[object]]:
        """One row per kind of operation."""
        for kind, each in sorted(self.tallies.items()):
            yield kind, each.begun, each.done, each.ended, each.busy, each.checked_bytes

    @contextmanager
    def watching(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Take every exception that nobody retrieves, and every warning, for a breach."""

        def unretrieved(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if context.get("message") not in self.excused:
                self.breach(f"unretrieved: {context.get('message')}: {context.get('exception')!r}")

        loop.set_exception_handler(unretrieved)
        before = sys.unraisablehook
        sys.unraisablehook = _hook(self)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                yield
                gc.collect()
        finally:
            sys.unraisablehook = before


def _hook(record: Record) -> Callable[[Any], object]:  # Any: typeshed has no public name for it
    return lambda raised: record.breach(f"unraisable: {raised.exc_value!r} in {raised.object!r}")


def stack_of(task: asyncio.Task[Any]) -> str:
    """Return what asyncio prints of a task's stack."""
    text = io.StringIO()
    task.print_stack(file=text)
    return text.getvalue()
