"""Other ways to split the same bytes, to compare the framer with.

A contender is made once and used for many streams. :meth:`Contender.frames` gives what
it makes of a stream, in the form of :mod:`benchmarks.workloads`; :meth:`Contender.run`
does the same work and nothing besides, to be timed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from aiobc9x.wire.framer import Frame as OurFrame
from aiobc9x.wire.framer import Framer
from benchmarks.contenders.forms import in_python
from benchmarks.contenders.line_reader import Lines
from benchmarks.contenders.plain import Plain
from benchmarks.contenders.streams import Streams
from benchmarks.contenders.tokenizer import Tokenizer
from benchmarks.workloads import PUSH_SOCKETS, Frame, Stream

Feed = Callable[[bytes], Iterable[Frame]]


class Contender(Protocol):
    """One way to split a stream."""

    name: str

    def frames(self, chunks: Sequence[bytes]) -> list[Frame]:
        """What it makes of the chunks."""

    def run(self, chunks: Sequence[bytes]) -> object:
        """Take the chunks, as fast as it can."""

    def close(self) -> None:
        """Free what it holds."""


class Fed:
    """A contender with a method that takes a chunk and returns frames."""

    def __init__(self, name: str, feed: Feed) -> None:
        self.name = name
        self._feed = feed

    def frames(self, chunks: Sequence[bytes]) -> list[Frame]:
        """What it makes of the chunks."""
        return [frame for chunk in chunks for frame in self._feed(chunk)]

    def run(self, chunks: Sequence[bytes]) -> None:
        """Take the chunks."""
        feed = self._feed
        for chunk in chunks:
            feed(chunk)

    def close(self) -> None:
        """Hold nothing."""


class Ours(Fed):
    """The framer that all this is about, whose frames are objects."""

    def __init__(self, name: str = "ours", maker: Callable[[], Framer] = Framer) -> None:
        framer = maker()
        framer.push_sockets |= PUSH_SOCKETS
        self._framer = framer
        super().__init__(name, lambda chunk: map(plainly, framer.feed(chunk)))

    def run(self, chunks: Sequence[bytes]) -> None:
        """Take the chunks."""
        feed = self._framer.feed
        for chunk in chunks:
            feed(chunk)


def plainly(frame: OurFrame) -> Frame:
    """Give a frame of either form as the workloads' oracle does: its attributes in their order."""
    found: Frame = tuple(getattr(frame, name) for name in frame.__match_args__)
    return found


class LineReader:
    """pyserial's, whose lines are text."""

    name = "line_reader"

    def __init__(self) -> None:
        self._lines = Lines()
        self.run = self._lines.feed_all

    def frames(self, chunks: Sequence[bytes]) -> list[Frame]:
        """What it makes of the chunks."""
        return [*self._lines.run(chunks)]

    def close(self) -> None:
        """Hold nothing."""


class AsyncioStreams:
    """asyncio's StreamReader."""

    name = "streams"

    def __init__(self, push_sockets: AbstractSet[int]) -> None:
        streams = Streams(push_sockets)
        self.run = streams.run
        self.close = streams.close

    def frames(self, chunks: Sequence[bytes]) -> list[Frame]:
        """What it makes of the chunks."""
        return [*self.run(chunks)]


def pure() -> Ours:
    """Make the framer in Python, whichever form is imported as usual."""
    return Ours("pure", in_python())


def plain() -> Fed:
    """Make the plain one."""
    return Fed("plain", Plain(PUSH_SOCKETS).feed)


def tokenizer() -> Fed:
    """Make the tokenizer."""
    return Fed("tokenizer", Tokenizer(PUSH_SOCKETS).feed)


def streams() -> AsyncioStreams:
    """Make asyncio's."""
    return AsyncioStreams(PUSH_SOCKETS)


MAKERS: dict[str, Callable[[], Contender]] = {
    "ours": Ours,
    "pure": pure,
    "plain": plain,
    "tokenizer": tokenizer,
    "line_reader": LineReader,
    "streams": streams,
}
"""All of them that come with the project or what it needs."""


def right_percent(stream: Stream, frames: Iterable[Frame]) -> float:
    """How many of the frames that a stream holds were found, whatever else was."""
    due = Counter(map(_without_reason, stream.frames))
    found = Counter(map(_without_reason, frames))
    return 100 * (due & found).total() / len(stream.frames)


def is_right(stream: Stream, frames: Iterable[Frame]) -> bool:
    """Tell whether the frames are those of the stream, in order and no others."""
    due = [_without_reason(frame) for frame in stream.frames]
    return [_without_reason(frame) for frame in frames] == due


def _without_reason(frame: Frame) -> Frame:
    """Blank what damage says of itself, which is prose."""
    return ("", frame[1]) if len(frame) == 2 else frame
