"""Showing: a row for each entry, and only those that were asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest

from aiobc9x.trace import EntryKind, Header, Kind, Record, Selection, decode, rows
from tests.trace.test_dialogue import STEPS, records

ENDED = Record(
    *(Kind.DECISION, 99.0, 1e9 + 99, 1, Header("s")),
    event="ConnectionEnded",
    facts={"socket": 0, "reason": "gone"},
)


def shown(selection: Selection | None = None, *, shows_payloads: bool = True) -> list[str]:
    """The rows of the usual dialogue."""
    entries = decode([*records(STEPS), ENDED])
    return list(rows(entries, selection, zone=UTC, shows_payloads=shows_payloads))


def test_rows() -> None:
    """Time, arrow, line, and what that means; decisions beside."""
    found = shown()
    assert found[0] == "-- 2001-09-09, modem s, link 1 --"
    command = 'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,0,0'
    assert found[1] == f"01:46:40.000 > {command.ljust(44)} open socket 0, TCP (§2.2.1)"
    assert found[5].split() == ["01:46:43.000", "<", ">", "socket", "0:", "now", "the", "bytes"]
    assert found[6] == f"01:46:44.000 > {'(2 bytes) hi'.ljust(44)} socket 0: the bytes"
    assert found[-1] == "01:48:19.000 = socket 0: the connection has ended: gone"
    assert found[-2] == "01:46:53.000 < OK"


def test_payloads_need_not_be_shown() -> None:
    """Then only how long they are."""
    found = shown(Selection(kinds={EntryKind.PAYLOAD}), shows_payloads=False)
    assert found[1].startswith("01:46:51.000 < (4 bytes)  ")
    whole = shown(Selection(kinds={EntryKind.PAYLOAD}))
    assert r"(4 bytes) OK\r\n" in whole[1]


def test_payloads_in_commands_are_payloads_too() -> None:
    """They are cut, or left out, alike."""
    selection = Selection(kinds={EntryKind.COMMAND}, sockets={0})
    assert "> AT+QISEND=0,3,... abc " in "".join(shown(selection))
    assert "> AT+QISENDEX=0,2,... hi " in "".join(shown(selection))
    assert "abc" not in "".join(shown(selection, shows_payloads=False))


def test_long_payloads_are_cut() -> None:
    """With a mark, and printable."""
    (entry,) = [e for e in decode(records(STEPS)) if e.kind is EntryKind.PAYLOAD]
    _, row = rows([replace(entry, data=b"\x00\xff" * 100)], zone=UTC)
    assert r"\x00\xff\x00" in row
    assert row.count(r"\xff") == 24
    assert "..." in row


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(), 22),
        (Selection(sockets={0}), 19),
        (Selection(sockets={1}), 0),
        (Selection(kinds={EntryKind.COMMAND, EntryKind.DECISION}), 7),
        (Selection(sockets=[0], kinds=[EntryKind.DECISION]), 1),
        (Selection(since=1e9 + 12), 4),
        (Selection(until=1e9 + 1), 3),
        (Selection(links={2}), 0),
    ],
)
def test_selections(selection: Selection, count: int) -> None:
    """By socket, time, kind and link; what is about no socket is left out by the first."""
    assert len(shown(selection)) == (count and count + 1)


def test_each_link_and_day_has_a_head() -> None:
    """A trace may be of weeks."""
    later = replace(ENDED, wall=1e9 + 86400)
    again = replace(later, link=2)
    heads = [row for row in rows(decode([ENDED, later, later, again]), zone=UTC) if "--" in row]
    assert heads == [
        "-- 2001-09-09, modem s, link 1 --",
        "-- 2001-09-10, modem s, link 1 --",
        "-- 2001-09-10, modem s, link 2 --",
    ]
