"""Write a trace while a modem runs, without ever holding it up.

Layer: trace.

The event loop only appends to a queue. A thread takes what has gathered there, twenty times a
second at most, leaves out what must not stand in a trace, and appends it to the file. If the
file can't be written, or the disk is slower than the line, records are lost and counted, and one
warning is logged; the modem never waits and never fails. A program that is killed loses the last
tenth of a second of its trace.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiobc9x.logs import Log
from aiobc9x.trace.options import Payloads, Trace
from aiobc9x.trace.records import Content, Header, Kind, encode_content, encode_decision
from aiobc9x.trace.redaction import redactor

try:
    import fcntl
except ImportError:  # elsewhere than POSIX
    fcntl = None  # type: ignore[assignment]  # as the import would have

__all__ = ["Recorder"]

GATHER_S: Final = 0.05
"""Seconds that the thread lets records gather; ours. Less would wake it for each chunk."""

CLOSE_LIMIT_S: Final = 2.0
"""Seconds that closing a modem may wait for the last records; our choice."""

QUEUE_MOST: Final = 10_000
"""Records that may wait for a slow disk: a minute of the fastest line. More are lost. Ours."""

log: Final = Log("trace")

RETRY_S: Final = 1.0
"""Seconds between two tries to write a file that could not be written."""

JOINED_S: Final = 0.01
"""Seconds within which received chunks become one record: links deliver single bytes too."""

JOINED_BYTES: Final = 4096
"""The most bytes of such a record."""

NAMES_MOST: Final = 100
"""Files of one name that are tried, for modems of one program or of several. Ours."""


class _Item(NamedTuple):
    """What waits for the thread. ``what`` is bytes, or a decision's name with its facts."""

    kind: Kind
    mono: float
    wall: float
    link: int
    what: Any  # bytes, or (event, facts)
    is_payload: bool = False
    awaits_prompt: bool = False


class Recorder:
    """Record the dialogue of one modem; every method but :meth:`close` returns at once."""

    def __init__(self, trace: Trace) -> None:
        # The event loop counts the one, the thread the others.
        self._overflowed = 0
        self._unwritten = self._told = 0
        self._link, self._began = 0, 0.0
        self._queue: deque[_Item] = deque()
        self._wake = threading.Event()
        self._is_closing = threading.Event()
        self._writer = _Writer(trace)
        self._encoder = _Encoder(Payloads(trace.payloads))
        self._thread = threading.Thread(target=self._run, name="aiobc9x trace", daemon=True)
        self._thread.start()
        # A program may end without closing its modem.
        atexit.register(self.close)

    @property
    def lost(self) -> int:
        """How many records could not be written, so far."""
        return self._overflowed + self._unwritten

    def sent(
        self, data: bytes, mono: float, *, is_payload: bool = False, awaits_prompt: bool = False
    ) -> None:
        """Record what is written to the module: one command line, or data behind a prompt."""
        self._put(_Item(Kind.SENT, mono, time.time(), self._link, data, is_payload, awaits_prompt))

    def received(self, data: bytes, mono: float) -> None:
        """Record what has come from the module."""
        self._put(_Item(Kind.RECEIVED, mono, time.time(), self._link, data))

    def decided(self, event: str, mono: float, facts: Mapping[str, object]) -> None:
        """Record a decision of the library, such as the end of a connection."""
        self._put(_Item(Kind.DECISION, mono, time.time(), self._link, (event, facts)))

    def begin_link(self, mono: float, facts: Mapping[str, object]) -> None:
        """Record that the port was opened: for the first time, or once more."""
        self._link += 1
        self._began = mono
        self.decided("LinkOpened", mono, facts)

    def close(self) -> None:
        """Write what waits, for two seconds at most, and close the file; idempotent."""
        self._is_closing.set()
        self._wake.set()
        self._thread.join(CLOSE_LIMIT_S)
        atexit.unregister(self.close)

    def _put(self, item: _Item) -> None:
        if len(self._queue) >= QUEUE_MOST:
            self._overflowed += 1
            return
        self._queue.append(item)
        if not self._wake.is_set():
            self._wake.set()

    # -- in the thread -------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._wake.wait()
            # Before the queue is looked at, so that whatever comes later wakes the thread again.
            self._wake.clear()
            self._is_closing.wait(GATHER_S)
            self._write_all(self._taken())
        self._write_all([*self._taken(), None])
        self._writer.close()

    def _taken(self) -> list[_Item | None]:
        return [self._queue.popleft() for _ in range(len(self._queue))]

    def _write_all(self, items: list[_Item | None]) -> None:
        encoder = self._encoder
        lines: list[str] = []
        for item in items:
            lines += self._made(encoder.rest() if item is None else encoder.take(item))
        lines += self._made(encoder.flush())
        if self._overflowed:
            self._writer.warn("the disk is slower than the line")
        if not lines:
            return
        if (lost := self.lost) > self._told:
            lines.insert(0, self._loss(lost - self._told))
        if self._writer.write(lines):
            self._told = lost
        else:
            self._unwritten += len(lines) - (lost > self._told)

    def _made(self, lines: Iterator[str]) -> list[str]:
        """Return lines as far as they can be made."""
        made: list[str] = []
        try:
            made.extend(lines)
        except Exception:  # a bug of this package, which must not end the recording
            log.exception("! a record could not be made")
            self._unwritten += 1
        return made

    def _loss(self, count: int) -> str:
        """Say in the trace itself that something is missing here."""
        facts = {"count": count}
        return encode_decision(self._began, time.time(), self._link, "RecordsLost", facts)


class _Encoder:
    """Turn what happened into lines of the file."""

    def __init__(self, payloads: Payloads) -> None:
        self._redactor = redactor(payloads)
        self._chunks: list[_Item] = []
        self._last: _Item | None = None

    def take(self, item: _Item) -> Iterator[str]:
        """Yield the lines that are complete with this."""
        chunks = self._chunks
        if item.kind is Kind.RECEIVED and (not chunks or self._continues(item)):
            chunks.append(item)
            return
        yield from self._received()
        if self._last is not None and item.link != self._last.link:
            yield from self._kept_back()
        self._last = item
        if item.kind is Kind.RECEIVED:
            chunks.append(item)
        elif item.kind is Kind.DECISION:
            yield encode_decision(item.mono, item.wall, item.link, *item.what)
        else:
            contents = self._redactor.sent(
                item.what, is_payload=item.is_payload, awaits_prompt=item.awaits_prompt
            )
            yield from self._lines(item, contents)

    def rest(self) -> Iterator[str]:
        """Yield what was kept back, because the trace ends."""
        yield from self._received()
        yield from self._kept_back()

    def flush(self) -> Iterator[str]:
        """Yield the chunks that wait for others to be joined with."""
        return self._received()

    def _continues(self, item: _Item) -> bool:
        first = self._chunks[0]
        size = sum(len(chunk.what) for chunk in self._chunks)
        is_near = item.mono - first.mono <= JOINED_S and item.link == first.link
        return is_near and size + len(item.what) <= JOINED_BYTES

    def _received(self) -> Iterator[str]:
        if not self._chunks:
            return
        first, data = self._chunks[0], b"".join(chunk.what for chunk in self._chunks)
        self._chunks.clear()
        if self._last is not None and first.link != self._last.link:
            yield from self._kept_back()
        self._last = first
        yield from self._lines(first, self._redactor.received(data))

    def _kept_back(self) -> Iterator[str]:
        if self._last is not None:
            kind = Kind.RECEIVED
            yield from self._lines(self._last._replace(kind=kind), self._redactor.rest())

    def _lines(self, item: _Item, contents: Iterator[Content]) -> Iterator[str]:
        for content in contents:
            yield encode_content(item.kind, item.mono, item.wall, item.link, content)


class _Writer:
    """Append lines to a file that is rotated by size, and that may refuse them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # Absolute, because a program may change its folder while it runs.
        self._wanted = Path(trace.path).absolute()
        self._path: Path | None = None
        self._file: int | None = None
        self._header = Header(os.urandom(4).hex(), 0, Payloads(trace.payloads))
        self._size = 0
        self._is_torn = self._has_warned = False
        self._retry_at = 0.0

    def write(self, lines: list[str]) -> bool:
        """Append lines; return whether that was possible."""
        if self._file is None and time.monotonic() < self._retry_at:
            return False
        try:
            if self._file is None or self._size >= self._trace.max_bytes:
                self._open_next()
            self._append("".join(lines))
        except OSError as exc:
            self._retry_at = time.monotonic() + RETRY_S
            self.warn(exc.strerror or str(exc))
            self.close()
            return False
        return True

    def warn(self, reason: str) -> None:
        """Say once that records are lost."""
        if not self._has_warned:
            self._has_warned = True
            path = str(self._path or self._wanted)
            log.warning("! the trace %(path)s lacks records: %(reason)s", path=path, reason=reason)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, text: str) -> None:
        assert self._file is not None
        data = text.encode("ascii")
        if self._is_torn:
            data = b"\n" + data
        self._is_torn = True  # unless all of it can be written
        while data:
            written = os.write(self._file, data)
            self._size += written
            data = data[written:]
        self._is_torn = False

    def _open_next(self) -> None:
        """Open the file, for the first time or again; rotate it if it is full."""
        self.close()
        if self._path is None:
            self._path, self._file = _open_free(self._wanted)
        else:
            self._file = _open_locked(self._path)
        if os.fstat(self._file).st_size >= self._trace.max_bytes:
            self.close()  # Windows renames no open file
            self._rotate(self._path)
            self._file = _open_locked(self._path)
        self._size = os.fstat(self._file).st_size
        # What an earlier program wrote may have been torn by its end.
        self._is_torn = self._is_torn or not _ends_with_line(self._path)
        header = Header(self._header.session, self._header.part + 1, self._header.payloads)
        self._append(header.encode())
        self._header = header

    def _rotate(self, path: Path) -> None:
        names = [
            path,
            *(path.with_name(f"{path.name}.{n}") for n in range(1, 1 + self._trace.keep)),
        ]
        if len(names) == 1:
            path.unlink(missing_ok=True)
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        self._is_torn = False


def _open_free(path: Path) -> tuple[Path, int]:
    """Open a file that no other modem records to: the path, or the same with ``-2`` in its name."""
    for number in range(1, NAMES_MOST):
        name = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            return name, _open_locked(name)
        except BlockingIOError:
            continue
    raise OSError(f"{NAMES_MOST} modems record to {path}")


def _open_locked(path: Path) -> int:
    # Payloads are nobody else's business.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise
    except OSError:
        pass  # a file system without locks
    return file


def _ends_with_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in {b"", b"\n"}
