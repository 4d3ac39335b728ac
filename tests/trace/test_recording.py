"""Recording: what stands in the file, and what becomes of a file that can't be written."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.trace import Content, Kind, Payloads, Record, Trace, files_of, read_trace
from aiobc9x.trace.recording import QUEUE_MOST, Recorder


def recorded(path: Path, **settings: Any) -> Recorder:
    """A recorder of one link."""
    recorder = Recorder(Trace(path, **settings))
    recorder.begin_link(1000.0, {"address": "COM3"})
    return recorder


def until(is_so: Callable[[], bool]) -> None:
    """Wait for the thread; pytest's timeout ends a wait for what never comes."""
    while not is_so():
        time.sleep(0.001)


def told(records: list[Record]) -> list[bytes | str]:
    """What was sent, received and decided."""
    return [record.event or record.content.data for record in records]


class TestRecords:
    """Order, times and links."""

    def test_everything_in_its_order(self, tmp_path: Path) -> None:
        """With the clock of the modem, and that of the wall."""
        recorder = recorded(tmp_path / "x")
        recorder.sent(b"AT+QISEND=0,2\r", 1000.1, awaits_prompt=True)
        recorder.received(b"\r\n> ", 1000.2)
        recorder.sent(b"hi", 1000.3, is_payload=True)
        recorder.begin_link(1000.4, {})
        recorder.received(b"\r\nRDY\r\n", 1000.5)
        recorder.close()
        records = list(read_trace(tmp_path / "x"))
        assert [(r.kind, r.mono, r.link) for r in records] == [
            (Kind.DECISION, 1000.0, 1),
            (Kind.SENT, 1000.1, 1),
            (Kind.RECEIVED, 1000.2, 1),
            (Kind.SENT, 1000.3, 1),
            (Kind.DECISION, 1000.4, 2),
            (Kind.RECEIVED, 1000.5, 2),
        ]
        assert [r.content for r in records if r.kind is Kind.SENT] == [
            Content(b"AT+QISEND=0,2\r", 14, awaits_prompt=True),
            Content(b"hi", 2, is_payload=True),
        ]
        assert all(1.7e9 < record.wall < 2e10 for record in records)
        assert recorder.lost == 0

    def test_bytes_that_come_singly_become_one_record(self, tmp_path: Path) -> None:
        """Unless there is time between them, or something else, or there are many."""
        recorder = recorded(tmp_path / "x")
        chunks = [(b"a", 1.0), (b"b", 1.005), (b"c", 1.1), (b"d" * 4000, 1.101), (b"e" * 99, 1.102)]
        for data, mono in chunks:
            recorder.received(data, mono)
        recorder.decided("Woken", 1.103, {})
        recorder.received(b"f", 1.104)
        recorder.close()
        sizes = [(r.event or len(r.content.data), r.mono) for r in read_trace(tmp_path / "x")][1:]
        assert sum(size for size, _ in sizes if isinstance(size, int)) == 4103
        assert sizes[-2:] == [("Woken", 1.103), (1, 1.104)]

    def test_what_was_kept_back_comes_with_its_link(self, tmp_path: Path) -> None:
        """The beginning of a line, when the port is lost, and when the trace ends."""
        recorder = recorded(tmp_path / "x", payloads=Payloads.LENGTH)
        recorder.received(b"\r\nsecr", 1000.1)
        recorder.begin_link(1000.2, {})
        recorder.received(b"secret", 1000.3)
        recorder.close()
        records = list(read_trace(tmp_path / "x"))
        assert [(r.event, r.content.size_bytes, r.link) for r in records] == [
            ("LinkOpened", 0, 1),
            ("", 4, 1),
            ("LinkOpened", 0, 2),
            ("", 6, 2),
        ]

    def test_nobody_else_can_read_it(self, tmp_path: Path) -> None:
        """It may hold payloads."""
        recorded(tmp_path / "x").close()
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) & 0o077 == 0

    def test_closing_twice(self, tmp_path: Path) -> None:
        """Does nothing more, and leaves no thread."""
        recorder = recorded(tmp_path / "x")
        recorder.close()
        recorder.close()
        assert "aiobc9x trace" not in {thread.name for thread in threading.enumerate()}


class TestFiles:
    """Appending and rotating."""

    def test_a_second_run_appends(self, tmp_path: Path) -> None:
        """Also behind a line that the first one has torn."""
        recorded(tmp_path / "x").close()
        with (tmp_path / "x").open("a") as file:
            file.write('{"kind":"<","mo')
        recorded(tmp_path / "x").close()
        records = list(read_trace(tmp_path / "x"))
        assert told(records) == ["LinkOpened", "LinkOpened"]
        assert records[0].header.session != records[1].header.session

    def test_two_modems_of_one_name(self, tmp_path: Path) -> None:
        """Each has a file of its own, so that none is mixed or rotated twice."""
        recorders = []
        for number in range(3):
            recorders.append(recorded(tmp_path / "x.jsonl"))
            name = ("x.jsonl", "x-2.jsonl", "x-3.jsonl")[number]
            until((tmp_path / name).exists)
        for recorder in recorders:
            recorder.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "x-2.jsonl",
            "x-3.jsonl",
            "x.jsonl",
        ]

    @pytest.mark.parametrize("keep", [0, 1, 3])
    def test_rotation(self, tmp_path: Path, keep: int) -> None:
        """The oldest go; each has a header, and the parts are counted."""
        path = tmp_path / "x"
        for run in range(12):
            recorder = recorded(path, max_bytes=4096, keep=keep)
            recorder.received(b"%02d" % run * 2500, 1.0)
            recorder.close()
        files = files_of(path)
        assert len(files) == 1 + keep
        found = [told(list(read_trace(each, rotated=False)))[-1] for each in files]
        assert found == [b"%02d" % run * 2500 for run in range(12)][-len(found) :]

    def test_a_program_that_changes_its_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The trace stays where it was begun, also when it is rotated."""
        monkeypatch.chdir(tmp_path)
        recorder = recorded(Path("x"), max_bytes=4096)
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        for _ in range(2):
            recorder.received(b"x" * 5000, 1.0)
            until(lambda: not recorder._queue)
        recorder.close()
        assert list((tmp_path / "other").iterdir()) == []
        assert (tmp_path / "x.1").exists()

    def test_parts_of_one_modem(self, tmp_path: Path) -> None:
        """One session goes on in the next file."""
        recorder = recorded(tmp_path / "x", max_bytes=4096)
        for number in range(3):
            recorder.received(b"%d" % number * 5000, 1.0 + number)
            until(lambda: not recorder._queue)
        recorder.close()
        records = list(read_trace(tmp_path / "x"))
        assert told(records)[1:] == [b"%d" % number * 5000 for number in range(3)]
        assert len({record.header.session for record in records}) == 1
        assert [record.header.part for record in records][-2:] == [2, 3]


class TestTrouble:
    """A file that can't be written never harms the modem."""

    def test_no_such_folder(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is said once, and everything is counted."""
        recorder = recorded(tmp_path / "none" / "x")
        recorder.received(b"a", 1.0)
        recorder.decided("Woken", 1.5, {})
        recorder.close()
        assert recorder.lost == 3
        (message,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert "lacks records: No such file or directory" in message
        assert os.fspath(tmp_path) in message

    def test_a_disk_that_is_full_for_a_while(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Half of a line may be there; behind it the trace says how many records it lacks."""
        recorder = recorded(tmp_path / "x")
        until((tmp_path / "x").exists)
        until(lambda: (tmp_path / "x").stat().st_size > 100)
        real, is_full = os.write, threading.Event()

        def write(file: int, data: bytes) -> int:
            if not is_full.is_set():
                return real(file, data)
            if len(data) > 20:
                return real(file, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", write)
        is_full.set()
        recorder.received(b"lost", 1.0)
        until(lambda: recorder.lost > 0)
        is_full.clear()
        recorder._writer._retry_at = 0.0
        recorder.received(b"there", 2.0)
        recorder.close()
        records = list(read_trace(tmp_path / "x"))
        assert told(records) == ["LinkOpened", "RecordsLost", b"there"]
        assert records[1].facts == {"count": 1}
        assert recorder.lost == 1
        assert [r for r in caplog.records if "No space left" in r.getMessage()]

    def test_a_file_system_without_locks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is written to all the same."""
        fcntl = pytest.importorskip("fcntl")

        def flock(_file: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)
        recorder = recorded(tmp_path / "x")
        recorder.close()
        assert recorder.lost == 0
        assert told(list(read_trace(tmp_path / "x"))) == ["LinkOpened"]

    def test_a_record_that_cannot_be_made(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A bug here costs that record alone, and is told."""
        recorder = recorded(tmp_path / "x")
        recorder.decided("Odd", "no number", {})  # type: ignore[arg-type]  # that is the bug
        recorder.received(b"there", 2.0)
        recorder.close()
        records = list(read_trace(tmp_path / "x"))
        assert [each for each in told(records) if each != "RecordsLost"] == ["LinkOpened", b"there"]
        assert recorder.lost == 1
        assert [r for r in caplog.records if "could not be made" in r.getMessage()]

    def test_a_disk_that_hangs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The queue has an end, and nothing waits."""
        goes_on, real = threading.Event(), os.write
        monkeypatch.setattr(os, "write", lambda f, data: goes_on.wait() and real(f, data))
        recorder = recorded(tmp_path / "x")
        until(lambda: not recorder._queue)
        for _ in range(QUEUE_MOST + 7):
            recorder.decided("Woken", 1.0, {})
        assert recorder.lost == 7
        goes_on.set()
        recorder.close()
        events = told(list(read_trace(tmp_path / "x")))
        assert events.count("Woken") == QUEUE_MOST
        assert "RecordsLost" in events
        assert recorder.lost == 7
