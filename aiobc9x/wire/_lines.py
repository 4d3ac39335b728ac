"""Make frames of whole lines, the quicker the more often they come.

Layer: wire. Does no I/O, reads no clock.

A module says the same few lines again and again, each with a CRLF before and behind it
(§2.1.2). So what lies between two such pairs is looked up as it stands: one look-up a
line, and no stripping of CRs or skipping of empty lines.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Final, TypeAlias

from aiobc9x.spec import LINE_MAX_BYTES
from aiobc9x.wire._frames import Damage, Frame, Line

BETWEEN: Final = b"\n\r\n"
"""Where text is cut: the end of a line and an empty line."""

KNOWN_MAX_BYTES: Final = 32
"""Ours. Longer lines hold addresses or times, and so hardly ever repeat."""

LINE_TOO_LONG: Final = f"line exceeds {LINE_MAX_BYTES} bytes; these are its first"

_Frames: TypeAlias = tuple[Line | Damage, ...]

_KNOWN: Final = 1024
# Where a loop in C begins to pay, and how many lines tell which loop.
_MANY_BYTES: Final = 1024
_SAMPLE: Final = 16
_SAMPLE_REPEATS: Final = 3
_LF: Final = 0x0A
# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__


class Known(dict[bytes, _Frames]):
    """Pieces of text, cut at line ends, and the frames of the lines in each.

    Bounded: where there is no more room, it starts afresh.
    """

    def __missing__(self, text: bytes) -> _Frames:
        line = text.strip(b"\r\n")
        if _LF in line or len(line) > LINE_MAX_BYTES:
            return frames_of(text)
        return self.learn(text, line)

    def learn(self, text: bytes, line: bytes) -> _Frames:
        """Make the frame of the one line in a text, or of none, and keep it for the next."""
        frames = (_new(Line, (line,)),) if line else ()
        if len(text) <= KNOWN_MAX_BYTES:
            if len(self) >= _KNOWN:
                self.clear()
            self[text] = frames
        return frames

    def take(self, text: bytes, frames: list[Frame]) -> None:
        """Add the frames of lines that are whole and no payload headers.

        Args:
            text: Cut behind an LF, or in front of one that is left out.
            frames: What to add to.

        """
        if len(text) <= KNOWN_MAX_BYTES:
            frames += self[text]
        elif len(text) > _MANY_BYTES:
            self._take_many(text, frames)
        else:
            get = self.get
            has_learned = False
            for record in text.split(BETWEEN):
                found = get(record)
                if found is not None:
                    frames += found
                    continue
                line = record.strip(b"\r\n")
                if not line or _LF in line:
                    frames += frames_of(record)
                elif has_learned or len(record) > KNOWN_MAX_BYTES:
                    frames.append(_new(Line, (line,)))
                else:
                    has_learned = True  # one at a time will do to learn them all
                    frames += self.learn(record, line)

    def _take_many(self, text: bytes, frames: list[Frame]) -> None:
        records = text.split(BETWEEN)
        sample = records[:_SAMPLE]
        if len({*sample}) <= len(sample) - _SAMPLE_REPEATS:
            frames += chain.from_iterable(map(self.__getitem__, records))
            return
        lines = [*filter(None, map(bytes.strip, text.split(b"\n"), repeat(b"\r")))]
        if max(map(len, lines), default=0) > LINE_MAX_BYTES:
            frames += frames_of(text)
        else:
            frames += map(_new, repeat(Line), zip(lines))


def frames_of(text: bytes) -> _Frames:
    """Give the frames of lines, one by one."""
    lines = (line.strip(b"\r") for line in text.split(b"\n"))
    return tuple(frame_of(line) for line in lines if line)


def frame_of(line: bytes) -> Line | Damage:
    """Give the frame of a line without its line end."""
    if len(line) > LINE_MAX_BYTES:
        return Damage(LINE_TOO_LONG, line[:LINE_MAX_BYTES])
    return _new(Line, (line,))
