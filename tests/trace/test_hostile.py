"""Whatever somebody has made of a trace, whoever reads it gets through."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiobc9x.trace import Header, Kind, Record, decode, rows, write_capture
from aiobc9x.trace.records import LineReader, encode_content, encode_decision
from aiobc9x.trace.replaying import Player
from aiobc9x.trace.tape import reels
from tests.trace.test_dialogue import STEPS, records

LINES = [
    encode_content(record.kind, record.mono, record.wall, record.link, record.content)
    for record in records(
        [
            *STEPS,
            (">", b'AT+QIOPEN=1,1,"UDP","a.example",53,0,1,0\r'),
            ("<", b'\r\nOK\r\n\r\n+QIOPEN: 1,0\r\n\r\n+QIURC: "recv",1,3\r\nabc\r\n'),
            ("<", b'\r\n+QIURC: "incoming",2,1,"10.0.0.9",99\r\n\r\n+QIURC: "closed",0\r\n'),
            (">", b"AT+QICLOSE=0\r"),
            ("<", b"\r\nOK\r\n\r\nCLOSE OK\r\n\r\nRDY\r\n"),
        ]
    )
] + [encode_decision(1.0, 2.0, 1, "Failed", {"socket": 0, "error": "x"})]

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["\r\n", "> ", '+QIURC: "recv",0,99999\r\n', 'AT+QISEND=0,9999,"', "RDY\r\n"]),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
NAMES = ["kind", "mono", "wall", "link", "text", "base64", "size", "payload", "masked", "socket"]


@st.composite
def edited(draw: st.DrawFn) -> list[str]:
    """The lines of a trace, some moved, some with another value, some cut."""
    lines = draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=30))
    for number in draw(st.sets(st.integers(0, len(lines) - 1), max_size=8)):
        value = json.loads(lines[number])
        value[draw(st.sampled_from([*NAMES, "remaining", "event", "facts"]))] = draw(ODD)
        lines[number] = json.dumps(value)[: draw(st.integers(1, 400))] + "\n"
    return lines


def read(lines: list[str]) -> list[Record]:
    """The records that can be read."""
    reader = LineReader("x")
    reader.take(Header("s").encode())
    return [record for line in lines if (record := reader.take(line)) is not None]


def with_socket(number: object) -> str:
    """Data of a socket that there is not."""
    value = {"kind": ">", "mono": 4.0, "wall": 1e9, "link": 1, "text": "hi", "payload": True}
    return json.dumps({**value, "socket": number}) + "\n"


@example(lines=[with_socket(-3323199233)])
@example(lines=[with_socket(971768064)])
@example(lines=[with_socket(9), encode_decision(1.0, 2.0, 1, "Failed", {"socket": 2**40})])
@given(lines=edited())
def test_it_can_be_shown_and_captured(lines: list[str]) -> None:
    """Nothing is raised, whatever stands in it."""
    found = read(lines)
    assert len(list(rows(decode(found)))) >= len(list(decode(found)))
    assert write_capture(found, io.BytesIO()) >= len(list(decode(found)))


@given(lines=edited(), data=st.binary(max_size=200))
def test_it_can_be_replayed_or_not(lines: list[str], data: bytes) -> None:
    """Either there is no command, or the replay takes whatever a program writes."""
    try:
        links = reels(read(lines), "x")
    except ValueError:
        return
    for reel in links:
        player = Player(reel, "x")
        player.power_on(0.0)
        for chunk in (data, b"\rAT\r", b'AT+QISEND=0,2,"hi"\r', b"AT+QISEND=0,2\rhi"):
            player.feed(chunk, 1.0)
            player.take_output(7)
            player.tick(9.0)
        assert player.input_pending == 0


@pytest.mark.parametrize("make", [lambda: 2.0**40, lambda: float("nan"), lambda: -1.0])
@pytest.mark.parametrize("name", ["wall", "link"])
def test_times_that_cannot_be(make: Callable[[], float], name: str) -> None:
    """Such a record is left out."""
    value = {"kind": Kind.SENT, "mono": 1.0, "wall": 2.0, "link": 1, "text": "AT", name: make()}
    expected = [] if make() != 2.0**40 or name == "wall" else [2**40]
    assert [record.link for record in read([json.dumps(value) + "\n"])] == expected
