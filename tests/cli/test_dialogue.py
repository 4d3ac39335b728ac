"""Dialogue: one readable row for each line of the AT dialogue."""

import errno
import io
import re
from collections.abc import Callable

import pytest

from aiobc9x.cli.dialogue import Dialogue, Group, shortened
from aiobc9x.cli.terminal import Terminal


def ticking(*times: float) -> Callable[[], float]:
    """A clock that reads these times."""
    return iter(times).__next__


def rows(
    *lines: tuple[str, str], columns: int = 100, unicode: bool = True, fold: bool = False
) -> list[str]:
    """What a dialogue of these lines looks like."""
    stream = io.StringIO()
    screen = Terminal(stream, columns=columns, unicode=unicode)
    dialogue = Dialogue(screen, fold=fold, clock=ticking(*range(5, 5 + len(lines))))
    for direction, text in lines:
        dialogue.line(direction, text)
    dialogue.finish()
    return stream.getvalue().splitlines()


def test_rows_have_time_arrow_and_meaning() -> None:
    """The first row is at 0; arrows say which way a line went."""
    first, second, third = rows((">", "AT+QICLOSE=2"), ("<", "OK"), ("<", "+QUNKNOWN: 1"))
    assert first.startswith("  0.000  → AT+QICLOSE=2 ")
    assert first.endswith("close socket 2 if open (§2.2.2)")
    assert second == "  1.000  ← OK"
    assert third == "  2.000  ← +QUNKNOWN: 1"


def test_meanings_are_aligned() -> None:
    """What lines mean stands in one column."""
    first, second = rows((">", "ATE0"), ("<", '+QIURC: "recv",0,5'))
    assert first.index("echo off") == second.index("socket 0 has data")


def test_a_folded_final_result_stands_at_the_end_of_its_row() -> None:
    """OK and ERROR share the row of what they answer, in one column."""
    first, second, third, fourth = rows(
        *((">", "ATE0"), ("<", "OK")),
        *((">", "AT+QIRD=0,5"), ("<", "ERROR")),
        *((">", "AT+CGATT?"), ("<", "+CGATT: 1"), ("<", "OK")),
        fold=True,
    )
    assert first.endswith("  OK")
    assert second.endswith(" ERROR")
    assert third.endswith("attached?")
    assert "+CGATT: 1" in fourth
    assert len(first) == len(second) == len(fourth) == 100


def test_a_final_result_without_a_row_has_its_own() -> None:
    """Nothing is folded into a row that is already written."""
    first, second, third = rows(("<", "OK"), ("<", "OK"), ("<", "SEND OK"), fold=True)
    assert first == "  0.000  ← OK"
    assert second == "  1.000  ← OK"
    assert third.startswith("  2.000  ← SEND OK")


def test_a_folded_row_is_written_at_the_next_line() -> None:
    """Until then it may get a final result."""
    stream = io.StringIO()
    dialogue = Dialogue(Terminal(stream), fold=True, clock=ticking(0, 1))
    dialogue.line(">", "AT")
    assert stream.getvalue() == ""
    dialogue.line("<", "RDY")
    assert stream.getvalue().count("\n") == 1


def test_a_row_that_cannot_be_written_is_the_last() -> None:
    """Whoever calls is not to blame and sees no exception; the owner is told once."""

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    told: list[bool] = []
    dialogue = Dialogue(Terminal(Pipe()), on_failure=lambda: told.append(True), clock=ticking(0))
    dialogue.line("<", "OK")
    dialogue.line("<", "OK")
    assert isinstance(dialogue.error, BrokenPipeError)
    assert told == [True]


@pytest.mark.parametrize("fold", [False, True])
def test_no_row_is_too_wide(*, fold: bool) -> None:
    """Long lines are cut, with a mark, and their meaning stays."""
    long = '+QIURC: "recv",0,' + "x" * 300
    for columns in (60, 80, 100):
        row, _ = rows(("<", long), (">", "y" * 300), columns=columns, fold=fold)
        assert len(row) <= columns
        assert "…" in row
        assert "socket 0 has data" in row


def test_control_characters_are_escaped() -> None:
    """A payload can't move the cursor or colour the screen."""
    (row,) = rows(("<", "+QIRD: 4,0 \x1b[2J\r\nx"))
    assert "\\x1b[2J\\r\\nx" in row
    assert row.isprintable()


def test_an_ascii_stream_gets_ascii() -> None:
    """Where the encoding lacks arrows, hyphens do."""
    to_module, from_module = rows((">", "AT+CREG?" + "x" * 200), ("<", "OK"), unicode=False)
    assert to_module.startswith("  0.000 -> AT")
    assert from_module.startswith("  1.000 <- OK")
    assert "..." in to_module


@pytest.mark.parametrize(
    ("direction", "text", "code"),
    [
        (">", "AT+QIRD=0,5", "36"),
        ("<", "OK", "2"),
        ("<", "ERROR", "31"),
        ("<", "+CME ERROR: 10", "31"),
        ("<", '+QIURC: "closed",0', "33"),
        ("<", "+CGATT: 1", "32"),
    ],
)
def test_colours_tell_kinds_of_lines(direction: str, text: str, code: str) -> None:
    """Commands, answers, URCs and errors differ at a glance."""
    stream = io.StringIO()
    Dialogue(Terminal(stream, colour=True), clock=ticking(0)).line(direction, text)
    assert f"\x1b[{code}m{text}\x1b[0m" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ('AT+QISEND=0,5,"12345"', 'AT+QISEND=0,5,"12345"'),
        (f'AT+QISEND=0,50,"{"y" * 50}"', f'AT+QISEND=0,50,"{"y" * 24}…"'),
        (f'AT+QISENDEX=0,25,"{"41" * 25}"', f'AT+QISENDEX=0,25,"{"41" * 12}…"'),
        (f"+QIRD: 50,0 {'z' * 50}", f"+QIRD: 50,0 {'z' * 24}…"),
        ("+QIRD: 50,-50," + "z" * 50, "+QIRD: 50,-50," + "z" * 24 + "…"),
        ("+CGPADDR: 1," + "1" * 50, "+CGPADDR: 1," + "1" * 50),
    ],
)
def test_payloads_are_shortened(text: str, short: str) -> None:
    """Only the payload is; the line around it stays whole."""
    assert shortened(text) == short


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('AT+CPIN="1234"', "AT+CPIN=..."),
        ('AT+CGAUTH=1,1,"user","s3cret"', "AT+CGAUTH=1,1,..."),
        ("AT+CPIN?", "AT+CPIN?"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    """What a program tells the virtual module may be what it tells a real one."""
    assert shortened(text) == shown


GROUPS = (Group(r"AT\+QICLOSE", "close all", "nothing was open"), Group(r"AT(E|I)", "hello"))


def grouped(*lines: str, unfold: bool = False) -> list[str]:
    """What a dialogue with groups looks like, without times and gaps."""
    stream = io.StringIO()
    dialogue = Dialogue(Terminal(stream, columns=80), fold=True, clock=lambda: 1.0)
    dialogue.groups, dialogue.unfold = GROUPS, unfold
    for line in lines:
        dialogue.line(">" if line.startswith("AT") else "<", line)
    dialogue.finish()
    return [
        re.sub(" +", " ", row).removeprefix(" 0.000 ") for row in stream.getvalue().splitlines()
    ]


STARTING = ["ATE0", "OK", "ATI", "BC65", "OK", "AT+QICLOSE=0", "ERROR", "AT+QICLOSE=1", "ERROR"]


def test_a_group_is_one_row() -> None:
    """Of its first and last command; a result that all have stands there, and is explained."""
    assert grouped(*STARTING, "AT+QIRD=0,1", "OK") == [
        "→ ATE0 … ATI hello OK",
        "→ AT+QICLOSE=0 … AT+QICLOSE=1 close all ERROR",
        " nothing was open",
        "→ AT+QIRD=0,1 socket 0: read (§2.2.6) OK",
    ]


def test_a_group_that_is_shown_whole_is_explained_too() -> None:
    """Below its last row."""
    shown = grouped(*STARTING, "AT+QIRD=0,1", "OK", unfold=True)
    assert [row.split()[1] for row in shown] == [
        "ATE0",
        "ATI",
        "BC65",
        "AT+QICLOSE=0",
        "AT+QICLOSE=1",
        "was",
        "AT+QIRD=0,1",
    ]


def test_a_group_that_was_not_refused_needs_no_excuse() -> None:
    """Different results are told by none; a URC in between ends the group."""
    lines = ["AT+QICLOSE=0", "OK", "AT+QICLOSE=1", "ERROR"]
    assert grouped(*lines, '+QIURC: "closed",3', "AT+QICLOSE=2", "OK") == [
        "→ AT+QICLOSE=0 … AT+QICLOSE=1 close all",
        '← +QIURC: "closed",3 socket 3: the peer has clo…',
        "→ AT+QICLOSE=2 close all OK",
    ]
