"""Records: what is written can be read, and what is torn does no harm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.trace import (
    Content,
    Header,
    Kind,
    Payloads,
    Record,
    files_of,
    follow_trace,
    read_trace,
)
from aiobc9x.trace.records import LineReader, encode_content, encode_decision

HEADER = Header("5f0c2b91", 1, Payloads.WHOLE)
OK_LINE = encode_content(Kind.RECEIVED, 1000.5, 1767254400.25, 1, Content(b"\r\nOK\r\n", 6))


def decoded(line: str) -> Record:
    """What a line says, behind a header."""
    reader = LineReader("x")
    assert reader.take(HEADER.encode()) is None
    record = reader.take(line)
    assert record is not None
    return record


def at_line(text: bytes) -> str:
    """A record of something sent."""
    return encode_content(Kind.SENT, 1.0, 2.0, 1, Content(text, len(text)))


def texts(records: Iterator[Record]) -> list[bytes]:
    """The bytes of records."""
    return [record.content.data for record in records]


CONTENTS = st.builds(
    lambda data, more, payload, masked, prompt, *numbers: Content(
        data, len(data) + more, payload, masked or bool(more and data), prompt, *numbers
    ),
    st.binary(max_size=40),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 5),
    st.none() | st.integers(0, 5),
).filter(lambda content: content.size_bytes > 0)


class TestLines:
    """One record a line."""

    @given(kind=st.sampled_from([Kind.SENT, Kind.RECEIVED]), content=CONTENTS)
    def test_bytes_come_back(self, kind: Kind, content: Content) -> None:
        """Whatever bytes they are."""
        line = encode_content(kind, 1000.123456, 1767254400.654321, 3, content)
        assert line.isascii()
        assert line.count("\n") == 1
        record = decoded(line)
        assert record == Record(kind, 1000.123456, 1767254400.654321, 3, HEADER, content)

    def test_decisions_come_back(self) -> None:
        """With their facts, of whatever kind."""
        facts = {"socket": 0, "reason": "StreamBroken: \u00fc", "other": Payloads.WHOLE, "x": None}
        record = decoded(encode_decision(1.0, 2.0, 1, "Failed", {**facts, "odd": Path("a")}))
        assert (record.kind, record.event) == (Kind.DECISION, "Failed")
        assert record.facts == {**facts, "odd": "a"}

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "\n",
            "[]\n",
            "7\n",
            "null\n",
            '{"kind":"?","mono":1,"wall":2,"link":1,"text":"AT"}\n',
            '{"kind":"<","mono":1,"wall":2,"link":1}\n',
            '{"kind":"<","mono":1,"wall":2,"link":1e999,"text":"AT"}\n',
            '{"kind":"<","mono":1,"wall":2,"link":1,"text":"\\u00fc"}\n',
            '{"kind":"<","mono":1,"wall":2,"link":1,"base64":"!"}\n',
            '{"kind":"=","mono":1,"wall":2,"link":1,"event":"x","facts":7}\n',
            f"{'[' * 100_000}\n",
            OK_LINE[:30],
            OK_LINE[10:],
        ],
    )
    def test_what_is_no_record_is_left_out(self, line: str) -> None:
        """And counted, unless it is empty."""
        reader = LineReader("x")
        reader.take(HEADER.encode())
        assert reader.take(line) is None
        assert reader.damaged == bool(line.strip())
        assert reader.take(OK_LINE) is not None


class TestHeaders:
    """Each file has one."""

    def test_what_is_no_trace(self, tmp_path: Path) -> None:
        """Nor is a record without one."""
        for text in ("hello\n", OK_LINE, "\n"):
            (tmp_path / "x").write_text(text)
            with pytest.raises(ValueError, match="no trace of aiobc9x"):
                list(read_trace(tmp_path / "x"))

    def test_a_later_version(self, tmp_path: Path) -> None:
        """It may mean something else by the same words."""
        (tmp_path / "x").write_text('{"aiobc9x_trace":2}\n')
        with pytest.raises(ValueError, match="version 2"):
            list(read_trace(tmp_path / "x"))

    @pytest.mark.parametrize(
        "line",
        ['{"aiobc9x_trace":1}\n', '{"aiobc9x_trace":1,"session":1,"part":1,"payloads":"x"}\n'],
    )
    def test_one_that_cannot_be_read(self, line: str) -> None:
        """Somebody has edited it."""
        with pytest.raises(ValueError, match="header can't be read"):
            LineReader("x").take(line)

    def test_sessions_are_told_apart(self, tmp_path: Path) -> None:
        """A second run appends to the file of the first."""
        other = Header("00000000", 1, Payloads.NONE)
        (tmp_path / "x").write_text(HEADER.encode() + OK_LINE + other.encode() + OK_LINE)
        assert [record.header for record in read_trace(tmp_path / "x")] == [HEADER, other]


class TestFiles:
    """A trace is one file, and those that were rotated away."""

    def test_torn_lines(self, tmp_path: Path) -> None:
        """At the end, and where a later program went on."""
        path = tmp_path / "x"
        path.write_text(
            f"{HEADER.encode()}{at_line(b'1')}{OK_LINE[:9]}\n{at_line(b'2')}{OK_LINE[:40]}"
        )
        assert texts(read_trace(path)) == [b"1", b"2"]
        path.write_text(HEADER.encode()[:12])
        assert texts(read_trace(path)) == []
        path.write_text("")
        assert texts(read_trace(path)) == []

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        """A disk may hold anything."""
        path = tmp_path / "x"
        path.write_bytes(HEADER.encode().encode() + b"\x00\xff\r\n" + at_line(b"1").encode())
        assert texts(read_trace(path)) == [b"1"]

    def test_older_files_come_first(self, tmp_path: Path) -> None:
        """Unless only the newest is wanted."""
        for number, name in enumerate(["x.2", "x.1", "x", "x.4"]):
            (tmp_path / name).write_text(HEADER.encode() + at_line(b"%d" % number))
        assert files_of(tmp_path / "x") == [tmp_path / name for name in ("x.2", "x.1", "x")]
        assert texts(read_trace(tmp_path / "x")) == [b"0", b"1", b"2"]
        assert texts(read_trace(os.fspath(tmp_path / "x"), rotated=False)) == [b"2"]

    def test_no_such_file(self, tmp_path: Path) -> None:
        """That is an error of the reader."""
        with pytest.raises(FileNotFoundError):
            list(read_trace(tmp_path / "x"))


def steps(*actions: Callable[[], object]) -> Callable[[], bool]:
    """Act once at each wait; end the following behind the last."""
    left = list(actions)

    def wait() -> bool:
        if left:
            left.pop(0)()
            return True
        return False

    return wait


class TestFollowing:
    """Reading while somebody writes."""

    def test_what_is_appended(self, tmp_path: Path) -> None:
        """Also in halves."""
        path = tmp_path / "x"
        path.write_text(HEADER.encode() + at_line(b"1"))

        def append(text: str) -> None:
            with path.open("a") as file:
                file.write(text)

        wait = steps(
            lambda: append(at_line(b"2")[:20]), lambda: append(at_line(b"2")[20:] + at_line(b"3"))
        )
        assert texts(follow_trace(path, wait=wait)) == [b"1", b"2", b"3"]

    def test_what_is_new_alone(self, tmp_path: Path) -> None:
        """Without what the file holds at first."""
        path = tmp_path / "x"
        path.write_text(HEADER.encode() + at_line(b"1"))
        wait = steps(lambda: path.write_text(HEADER.encode() + at_line(b"1") + at_line(b"2")))
        assert texts(follow_trace(path, from_start=False, wait=wait)) == [b"2"]

    def test_a_file_that_comes_later(self, tmp_path: Path) -> None:
        """Also if it never comes."""
        path = tmp_path / "x"
        wait = steps(lambda: None, lambda: path.write_text(HEADER.encode() + at_line(b"1")))
        assert texts(follow_trace(path, from_start=False, wait=wait)) == [b"1"]
        assert texts(follow_trace(tmp_path / "y", wait=steps())) == []

    def test_rotation(self, tmp_path: Path) -> None:
        """The rest of the old file comes before the new one."""
        path = tmp_path / "x"
        path.write_text(HEADER.encode() + at_line(b"1"))

        def rotate() -> None:
            with path.open("a") as file:
                file.write(at_line(b"2"))
            path.replace(tmp_path / "x.1")

        def begin() -> None:
            path.write_text(HEADER.encode() + at_line(b"3"))

        assert texts(follow_trace(path, wait=steps(rotate, begin))) == [b"1", b"2", b"3"]
