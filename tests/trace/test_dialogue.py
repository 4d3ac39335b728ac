"""Dialogue: records in, entries out; the same from a trace without payloads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiobc9x.trace import Content, Entry, EntryKind, Header, Kind, Payloads, Record, decode
from aiobc9x.trace.redaction import redactor

Step = tuple[str, bytes] | tuple[str, bytes, str]

STEPS: list[Step] = [
    (">", b'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,0,0\r'),
    ("<", b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"),
    (">", b"AT+QISEND=0,2\r", "prompt"),
    ("<", b"\r\n> "),
    (">", b"hi", "payload"),
    ("<", b"\r\nOK\r\n\r\nSEND OK\r\n"),
    (">", b'AT+QISEND=0,3,"abc"\r'),
    ("<", b"\r\nOK\r\n\r\nSEND OK\r\n"),
    (">", b'AT+QISENDEX=0,2,"6869"\r'),
    ("<", b'\r\nOK\r\n\r\nSEND OK\r\n\r\n+QIURC: "recv",0\r\n'),
    (">", b"AT+QIRD=0,1024\r"),
    ("<", b"\r\n+QIRD: 4,0\r\nOK\r\n\r\n\r\nOK\r\n"),
    (">", b"AT+CSQ\r"),
    ("<", b"\r\n+CSQ: 20,0\r\n\r\nOK\r\n"),
]

K = EntryKind


def records(steps: list[Step], payloads: Payloads = Payloads.WHOLE) -> Iterator[Record]:
    """A trace of some steps, one second each, as the recorder would have written it."""
    redacting, header = redactor(payloads), Header("s", 1, payloads)
    for number, step in enumerate(steps):
        mark = step[2] if len(step) == 3 else ""
        contents = (
            redacting.sent(step[1], is_payload=mark == "payload", awaits_prompt=mark == "prompt")
            if step[0] == ">"
            else redacting.received(step[1])
        )
        for content in contents:
            yield Record(Kind(step[0]), number, 1e9 + number, 1, header, content)


def told(entries: Iterator[Entry]) -> list[tuple[EntryKind, int | None, str]]:
    """Kind, socket and text of each."""
    return [(entry.kind, entry.connect_id, entry.text) for entry in entries]


EXPECTED = [
    (K.COMMAND, 0, 'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,0,0'),
    (K.RESULT, 0, "OK"),
    (K.URC, 0, "+QIOPEN: 0,0"),
    (K.COMMAND, 0, "AT+QISEND=0,2"),
    (K.PROMPT, 0, ">"),
    (K.DATA, 0, "(2 bytes)"),
    (K.RESULT, 0, "OK"),
    (K.URC, 0, "SEND OK"),
    (K.COMMAND, 0, 'AT+QISEND=0,3,"abc"'),
    (K.RESULT, 0, "OK"),
    (K.URC, 0, "SEND OK"),
    (K.COMMAND, 0, 'AT+QISENDEX=0,2,"6869"'),
    (K.RESULT, 0, "OK"),
    (K.URC, 0, "SEND OK"),
    (K.URC, 0, '+QIURC: "recv",0'),
    (K.COMMAND, 0, "AT+QIRD=0,1024"),
    (K.PAYLOAD, 0, "(4 bytes)"),
    (K.RESULT, 0, "OK"),
    (K.COMMAND, None, "AT+CSQ"),
    (K.ANSWER, None, "+CSQ: 20,0"),
    (K.RESULT, None, "OK"),
]


def test_frames_have_their_kind_and_socket() -> None:
    """Results that name no socket too."""
    assert told(decode(records(STEPS))) == EXPECTED


def test_payloads_stand_where_they_are() -> None:
    """Whether they go behind a prompt, in a command line, as hex, or come."""
    entries = [entry for entry in decode(records(STEPS)) if entry.size_bytes]
    assert [entry.data for entry in entries] == [b"hi", b"abc", b"hi", b"OK\r\n"]
    assert [entry.size_bytes for entry in entries] == [2, 3, 2, 4]
    assert [entry.is_to_module for entry in entries] == [True, True, True, False]


def test_without_payloads_the_same_is_told() -> None:
    """But for the bytes themselves."""
    found = list(decode(records(STEPS, Payloads.LENGTH)))
    shown = [
        (kind, connect_id, text.replace('"abc"', "...").replace('"6869"', "..."))
        for kind, connect_id, text in EXPECTED
    ]
    assert told(iter(found)) == shown
    assert [(e.data, e.size_bytes) for e in found if e.size_bytes] == [
        (b"", 2),
        (b"", 3),
        (b"", 2),
        (b"", 4),
    ]


def test_times_are_those_of_the_record_that_completes() -> None:
    """By both clocks."""
    first, *_, last = decode(records(STEPS))
    assert (first.mono, first.wall, first.session, first.link) == (0, 1e9, "s", 1)
    assert (last.mono, last.wall) == (13, 1e9 + 13)


def test_decisions() -> None:
    """Worded, with their facts, and the socket if they name one."""
    facts = {"socket": 2, "generation": 9, "reason": "gone"}
    record = Record(Kind.DECISION, 0, 0, 1, Header("s"), event="ConnectionEnded", facts=facts)
    other = Record(Kind.DECISION, 0, 0, 1, Header("s"), event="LinkUp", facts={"socket": "?"})
    ended, up = decode([record, other])
    assert (ended.kind, ended.connect_id, ended.text) == (K.DECISION, 2, "ConnectionEnded")
    assert ended.meaning == "the connection has ended: gone"
    assert ended.facts == facts
    assert up.connect_id is None


@pytest.mark.parametrize("payloads", [Payloads.WHOLE, Payloads.LENGTH])
def test_a_link_that_breaks_off(payloads: Payloads) -> None:
    """Half a line is damage, and nothing of it reaches the next link."""
    header = Header("s", 1, payloads)
    steps: list[Step] = [("<", b"\r\n+CS")]
    broken = list(records(steps, payloads))
    if payloads is Payloads.LENGTH:
        broken = [Record(Kind.RECEIVED, 0, 0, 1, header, Content(b"", 3, is_masked=True))]
    again = Record(Kind.RECEIVED, 1, 1, 2, header, Content(b"RDY\r\n", 5))
    found = list(decode([*broken, again]))
    assert [entry.kind for entry in found] == [K.DAMAGE, K.URC]
    assert [entry.link for entry in found] == [1, 2]


def test_other_commands_with_data() -> None:
    """They are about no socket."""
    steps: list[Step] = [
        (">", b"AT+QFUPL\r", "prompt"),
        ("<", b"\r\n> "),
        (">", b"AT+CSQ\r", "payload"),
        (">", b'AT+QISENDEX=0,2,"zz"\r'),
        (">", b"AT+QISEND=0,x\r"),
    ]
    found = list(decode(records(steps)))
    assert told(iter(found))[2] == (K.DATA, None, "(7 bytes)")
    assert [(entry.data, entry.size_bytes) for entry in found[3:]] == [(b"", 2), (b"", 0)]
