r"""The records of a trace, and the file that holds them: one JSON object a line.

Layer: trace.

The first line of each file is its *header*::

    {"aiobc9x_trace":1,"session":"5f0c2b91","part":1,"payloads":"whole"}

``session`` is a number of the modem that was opened, and ``part`` counts its files. A file that
was there before gets another header in its middle. Each other line is a record::

    {"kind":">","mono":1000.000341,"wall":1767254400.000341,"link":1,"text":"AT\r"}
    {"kind":"<","mono":1000.001200,"wall":1767254400.001200,"link":1,"text":"\r\nOK\r\n"}
    {"kind":"=","mono":1000.001300,"wall":1767254400.001300,"link":1,"event":"LinkUp","facts":{}}

``>`` is what was written to the module, ``<`` what came from it, ``=`` what the library has
decided. ``mono`` are seconds of a clock that never jumps, ``wall`` seconds since 1970, and
``link`` counts the links of this modem: 1, and one more each time that the port was opened
again. Bytes stand in ``text`` if all are ASCII, else in ``base64``; ``size`` stands in their
place where they were left out. ``"payload":true`` marks data of a connection,
``"masked":true`` bytes that are not those of the line because a secret or a payload is left out,
``"prompt":true`` a command that gets its data behind a prompt, and ``socket`` a connect ID.

Lines are only ever appended. A program that is killed, or a full disk, may leave half of a line;
whoever reads goes on with the next one.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS
from aiobc9x.trace.options import PathLike, Payloads

__all__ = [
    "VERSION",
    "Content",
    "Header",
    "Kind",
    "Payloads",
    "Record",
    "files_of",
    "follow_trace",
    "read_trace",
]

VERSION: Final = 1
"""What the header says. A reader refuses a higher one."""

LOOK_S: Final = 0.2
"""Seconds between two looks at a file that is followed; our choice."""

_MARK: Final = "aiobc9x_trace"

_WALL_END: Final = 2.0**37
"""Seconds that no clock has come to: somebody has edited the file."""

_SIZE_END: Final = 2**31
"""Bytes that no record is about; likewise."""


class Kind(enum.StrEnum):
    """What a record is about."""

    SENT = ">"
    RECEIVED = "<"
    DECISION = "="


@slotted(frozen=True)
class Content:
    """Bytes of the line, as far as a trace holds them.

    Attributes:
        data: The bytes; empty if they were left out.
        size_bytes: How many bytes there were.
        is_payload: They are data of a connection, or of another command with a prompt.
        is_masked: A part was left out, because it is, or may be, a secret or a payload.
        awaits_prompt: A command that gets its data behind a prompt.
        connect_id: The socket, where the record says it.
        remaining: Of received data that were left out, the remaining length in their header.

    """

    data: bytes = b""
    size_bytes: int = 0
    is_payload: bool = False
    is_masked: bool = False
    awaits_prompt: bool = False
    connect_id: int | None = None
    remaining: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether these are exactly the bytes of the line."""
        return not self.is_masked and len(self.data) == self.size_bytes


@slotted(frozen=True)
class Header:
    """The first line of a file.

    Attributes:
        session: Tells modems, and runs of a program, apart.
        part: 1, and one more for each further file of the same modem.
        payloads: What the records hold of the data of connections.

    """

    session: str
    part: int = 1
    payloads: Payloads = Payloads.WHOLE

    def encode(self) -> str:
        """Return the line, with its end."""
        return _line(
            {
                _MARK: VERSION,
                "session": self.session,
                "part": self.part,
                "payloads": self.payloads.value,
            }
        )


@slotted(frozen=True)
class Record:
    """One line of a trace.

    Attributes:
        kind: Sent, received, or decided.
        mono: Seconds of a clock that never jumps; its zero differs between sessions.
        wall: Seconds since 1970 by the system's clock, which may be set.
        link: Which opening of the port, from 1 on.
        header: That of the file; another one when another modem, or another run, begins.
        content: The bytes; empty for a decision.
        event: For a decision, what it was, such as ``"LinkDown"``.
        facts: For a decision, its details by name.

    """

    kind: Kind
    mono: float
    wall: float
    link: int
    header: Header
    content: Content = field(default_factory=Content)
    event: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def encode_content(kind: Kind, mono: float, wall: float, link: int, content: Content) -> str:
    """Return the line of a record about bytes, with its end."""
    data = content.data
    if len(data) < content.size_bytes and not data:
        told = f'"size":{content.size_bytes}'
    elif data.isascii():
        told = f'"text":{json.dumps(data.decode("ascii"))}'
    else:
        told = f'"base64":"{binascii.b2a_base64(data, newline=False).decode("ascii")}"'
    more = "".join(
        f',"{name}":true'
        for name, is_so in (
            ("payload", content.is_payload),
            ("masked", content.is_masked),
            ("prompt", content.awaits_prompt),
        )
        if is_so
    )
    if content.is_masked and data:
        more += f',"size":{content.size_bytes}'
    if content.connect_id is not None:
        more += f',"socket":{content.connect_id}'
    if content.remaining is not None:
        more += f',"remaining":{content.remaining}'
    return f"{_beginning(kind, mono, wall, link)},{told}{more}}}\n"


def encode_decision(
    mono: float, wall: float, link: int, event: str, facts: Mapping[str, object]
) -> str:
    """Return the line of a record about a decision, with its end."""
    told = json.dumps({"event": event, "facts": dict(facts)}, separators=(",", ":"), default=str)
    return f"{_beginning(Kind.DECISION, mono, wall, link)},{told[1:]}\n"


def _beginning(kind: Kind, mono: float, wall: float, link: int) -> str:
    # By hand: json.dumps() of the whole would take three times as long, and this is for each chunk.
    return f'{{"kind":"{kind.value}","mono":{mono:.6f},"wall":{wall:.6f},"link":{link}'


def _line(value: dict[str, object]) -> str:
    return f"{json.dumps(value, separators=(',', ':'))}\n"


class LineReader:
    """Turn the lines of trace files into records, one line at a time.

    Attributes:
        damaged: How many lines could not be read: torn ones, most often.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._header: Header | None = None
        self.damaged: int = 0

    def take(self, line: str) -> Record | None:
        """Read a line; return its record, ``None`` for a header and a line that can't be read.

        Raises:
            ValueError: The trace is of a later version, or what comes first is no trace at all.

        """
        try:
            value: Any = json.loads(line)  # of any shape: somebody may have edited the file
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and _MARK in value:
            self._header = self._read_header(value)
            return None
        if self._header is None and not line.endswith("\n"):
            return None  # the torn header of a file that has nothing else
        if self._header is None:
            raise ValueError(f"{self._name} is no trace of aiobc9x: its first line is no header")
        record = _record_of(value, self._header)
        self.damaged += record is None and bool(line.strip())
        return record

    def _read_header(self, value: dict[str, Any]) -> Header:
        version = value[_MARK]
        if version != VERSION:
            raise ValueError(
                f"{self._name} is a trace of version {version}, and this release of aiobc9x reads "
                f"version {VERSION}"
            )
        try:
            payloads, part = Payloads(value["payloads"]), int(value["part"])
            return Header(str(value["session"]), part, payloads)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise ValueError(f"{self._name}: the header can't be read: {value!r}") from exc


def _record_of(value: Any, header: Header) -> Record | None:
    try:
        kind = Kind(value["kind"])
        mono, wall, link = float(value["mono"]), float(value["wall"]), int(value["link"])
        if not (0 <= wall < _WALL_END and abs(mono) < _WALL_END and link >= 0):  # nor NaN
            return None
        if kind is Kind.DECISION:
            event, facts = str(value["event"]), dict(value.get("facts") or {})
            return Record(kind, mono, wall, link, header, event=event, facts=facts)
        return Record(kind, mono, wall, link, header, _content_of(value))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _content_of(value: dict[str, Any]) -> Content:
    if "base64" in value:
        data = base64.b64decode(value["base64"], validate=True)
    else:
        data = str(value.get("text", "")).encode("ascii")
    if not data and "size" not in value:
        raise ValueError("neither bytes nor a size")
    if not 0 <= int(value.get("size", len(data))) < _SIZE_END:
        raise ValueError("no size")
    socket, remaining = value.get("socket"), value.get("remaining")
    if socket is not None and socket not in CONNECT_IDS:
        raise ValueError("no connect ID")
    return Content(
        data,
        int(value.get("size", len(data))),
        bool(value.get("payload")),
        bool(value.get("masked")),
        bool(value.get("prompt")),
        None if socket is None else int(socket),
        None if remaining is None else int(remaining),
    )


def files_of(path: PathLike) -> list[Path]:
    """Return the files of a trace, the oldest first: those that were rotated away, and itself."""
    newest = Path(path)
    older: list[Path] = []
    while (rotated := newest.with_name(f"{newest.name}.{len(older) + 1}")).exists():
        older.append(rotated)
    return [*reversed(older), newest]


def read_trace(path: PathLike, *, rotated: bool = True) -> Iterator[Record]:
    """Iterate over the records of a trace, in the order in which they were written.

    Args:
        path: The file that was given to ``trace=``.
        rotated: Begin with the older files beside it: ``PATH.2``, ``PATH.1``, then ``PATH``.

    Yields:
        Records. Lines that can't be read, such as a torn last one, are left out.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no trace, or one of a later version.

    """
    reader = LineReader(os.fspath(path))
    for each in files_of(path) if rotated else [Path(path)]:
        with each.open(encoding="ascii", errors="replace", newline="\n") as lines:
            for line in lines:
                if (record := reader.take(line)) is not None:
                    yield record


def _sleep() -> bool:
    time.sleep(LOOK_S)
    return True


def follow_trace(
    path: PathLike, *, from_start: bool = True, wait: Callable[[], bool] = _sleep
) -> Iterator[Record]:
    """Iterate over the records of a trace as they are written, also over rotations.

    Args:
        path: The file that was given to ``trace=``; it may not be there yet.
        from_start: Begin with what the file already holds.
        wait: Called when there is nothing new; returns whether to look again. The default waits
            0.2 s, for ever.

    Yields:
        Records. Lines that can't be read are left out.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no trace, or one of a later version.

    """
    reader, torn = LineReader(os.fspath(path)), ""
    skips = not from_start and Path(path).exists()
    while (file := _opened(Path(path))) is None:
        if not wait():
            return
    try:
        while True:
            is_replaced = _is_replaced(file, Path(path))
            for line in file:
                torn += line
                if torn.endswith("\n"):
                    record, torn = reader.take(torn), ""
                    if record is not None and not skips:
                        yield record
            skips = False
            if is_replaced and (newer := _opened(Path(path))) is not None:
                file.close()
                file, torn = newer, ""
            elif not wait():
                return
    finally:
        file.close()


def _opened(path: Path) -> TextIOWrapper | None:
    try:
        return path.open(encoding="ascii", errors="replace", newline="\n")
    except FileNotFoundError:
        return None


def _is_replaced(file: TextIOWrapper, path: Path) -> bool:
    """Whether the path names another file by now. Asked before the old one is read to its end."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return True
