"""Tape: what belongs to which command, and what a command is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiobc9x.trace import Header, Kind, Payloads, Record
from aiobc9x.trace.tape import EpisodeKind, Reel, command_key, kind_of, reels, send_size, socket_of
from tests.trace.test_dialogue import Step, records


def reel(*steps: Step) -> Reel:
    """The only link of a trace."""
    (found,) = reels(records(list(steps)), "x")
    return found


def test_what_belongs_to_a_command() -> None:
    """Its answer ends with its final result, wherever the chunks were cut."""
    found = reel(
        ("<", b"\r\nRDY\r\n"),
        (">", b"AT+CSQ\r"),
        ("<", b"\r\n+CSQ: 20,0\r\n\r\nO"),
        ("<", b'K\r\n\r\n+QIURC: "recv",0\r\n'),
        (">", b"AT+QIRD=0,1024\r"),
        ("<", b"\r\n+QIRD: 6,0\r\nOK\r\n\r\n\r\n\r\nOK\r\n+CEREG: 1\r\n"),
        (">", b"AT\r"),
        (">", b"AT+CFUN=1\r"),
        ("<", b"\r\n+CME ERROR: 3\r\n"),
    )
    assert found.first == b"\r\nRDY\r\n"
    csq, qird, at, cfun = found.episodes
    assert (csq.answer, csq.after) == (
        b"\r\n+CSQ: 20,0\r\n\r\nOK\r\n",
        b'\r\n+QIURC: "recv",0\r\n',
    )
    assert qird.answer == b"\r\n+QIRD: 6,0\r\nOK\r\n\r\n\r\n\r\nOK\r\n"
    assert qird.after == b"+CEREG: 1\r\n"
    assert (at.answer, at.is_ok) == (b"", False)
    assert (cfun.answer, cfun.is_ok) == (b"\r\n+CME ERROR: 3\r\n", False)
    assert csq.is_ok


def test_sends() -> None:
    """Prompts and results are taken out, wherever they came; what they say is noted."""
    found = reel(
        (">", b"AT+QISEND=0,2\r", "prompt"),
        ("<", b"\r\n> "),
        (">", b"hi", "payload"),
        ("<", b"\r\nOK\r\n"),
        (">", b"AT+QIRD=0,1024\r"),
        ("<", b"\r\nSEND OK\r\n\r\n+QIRD: 0\r\n\r\nOK\r\n"),
        (">", b'AT+QISEND=0,3,"abc"\r'),
        ("<", b"\r\nOK\r\n\r\nSEND FAIL\r\n"),
        (">", b'AT+QISENDEX=1,2,"6869"\r'),
        ("<", b"\r\nERROR\r\n"),
    )
    first, read, second, third = found.episodes
    assert (first.line, first.size_bytes, first.sent, first.is_taken) == (
        "AT+QISEND=0,2",
        2,
        True,
        True,
    )
    assert b"> " not in first.answer
    assert read.answer == b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
    assert (second.line, second.sent, second.is_taken) == ("AT+QISEND=0,3,...", False, False)
    assert (third.is_ok, third.is_taken, third.connect_id) == (False, False, 1)


def test_what_came_unasked_within_a_send() -> None:
    """Lines and pushes, wherever the chunks were cut; what the module answered is left alone."""
    found = reel(
        (">", b'AT+QIOPEN=1,1,"TCP","10.0.0.1",80,0,1,0\r'),
        ("<", b"\r\nOK\r\n\r\n+QIOPEN: 1,0\r\n"),
        (">", b'AT+QISEND=0,2,"hi"\r'),
        ("<", b'\r\n+QIURC: "rec'),
        ("<", b'v",0\r\n\r\n+QIURC: "recv",1,4\r\n'),
        ("<", b"\r\nOK\r\n\r\nOK\r\n\r\nSEND OK\r\n"),
    )
    _, send = found.episodes
    assert send.answer == b"\r\nOK\r\n"
    assert send.after == b'\r\n+QIURC: "recv",0\r\n\r\n+QIURC: "recv",1,4\r\n\r\nOK\r\n'
    assert send.is_taken


def test_links() -> None:
    """Those of the last session; one that was lost is cut."""
    header, other = Header("a"), Header("b")
    (at,) = records([(">", b"AT\r")])
    lost = Record(Kind.DECISION, 0, 0, 1, other, event="LinkEnded")
    trace = [
        replace(at, header=header),
        replace(at, header=header, link=2),
        replace(at, header=other),
        lost,
        replace(at, header=other, link=2),
    ]
    first, second = reels(trace, "x")
    assert (first.is_cut, second.is_cut) == (True, False)
    assert (len(first.episodes), len(second.episodes)) == (1, 1)


def test_what_cannot_be_replayed() -> None:
    """A trace without payloads, or without a command."""
    with pytest.raises(ValueError, match="x was recorded without payloads"):
        reels(records([(">", b"AT\r")], Payloads.LENGTH), "x")
    with pytest.raises(ValueError, match="x has no command"):
        reels(records([("<", b"\r\nRDY\r\n"), (">", b"\x1b")]), "x")


@pytest.mark.parametrize(
    ("line", "key", "kind", "connect_id", "size"),
    [
        ("AT", "AT", EpisodeKind.QUESTION, None, 0),
        ("at+csq ", "AT+CSQ", EpisodeKind.QUESTION, None, 0),
        ("AT+CFUN?", "AT+CFUN?", EpisodeKind.QUESTION, None, 0),
        ("AT+COPS=?", "AT+COPS=?", EpisodeKind.QUESTION, None, 0),
        ("AT+CFUN=1", "AT+CFUN=1", EpisodeKind.CHANGE, None, 0),
        ('AT+CPIN="1234"', "AT+CPIN=...", EpisodeKind.CHANGE, None, 0),
        ("AT+QIRD=3,1024", "AT+QIRD=3,1024", EpisodeKind.READ, 3, 0),
        ("AT+QICLOSE=4", "AT+QICLOSE=4", EpisodeKind.CHANGE, 4, 0),
        (
            'AT+QIOPEN=1,2,"TCP","a",1',
            'AT+QIOPEN=1,2,"TCP","A",1',
            EpisodeKind.CHANGE,
            2,
            0,
        ),
        ('AT+QISEND=5,2,"hi"', "AT+QISEND=5,2,...", EpisodeKind.SEND, 5, 2),
        ("AT+QISEND=5,1440", "AT+QISEND=5,1440", EpisodeKind.SEND, 5, 1440),
    ],
)
def test_command_lines(
    line: str, key: str, kind: EpisodeKind, connect_id: int | None, size: int
) -> None:
    """Compared without secrets and payload."""
    assert (command_key(line), kind_of(line), send_size(line)) == (key, kind, size)
    if connect_id is not None:
        assert socket_of(line) == connect_id
