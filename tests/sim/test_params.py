"""Parameter lists as the module reads them."""

import pytest

from aiobc9x.sim.params import (
    Arguments,
    Command,
    Form,
    Refused,
    Text,
    parse_command,
    split_parameters,
)


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("", Command("", Form.EXEC, "")),
        ("e0", Command("E0", Form.EXEC, "")),
        ("+QISTATE?", Command("+QISTATE", Form.READ, "")),
        ("+qird=?", Command("+QIRD", Form.TEST, "")),
        ("+QIRD=0,1", Command("+QIRD", Form.WRITE, "0,1")),
        ("+QICLOSE=", Command("+QICLOSE", Form.WRITE, "")),
        ('+X="=?"', Command("+X", Form.WRITE, '"=?"')),
    ],
)
def test_forms(body: str, command: Command) -> None:
    assert parse_command(body) == command


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", [None]),
        ("1", ["1"]),
        ("1,,2", ["1", None, "2"]),
        ('1,"a,b", 3 ', ["1", Text("a,b"), "3"]),
        ('""', [Text("")]),
        ("1,", ["1", None]),
    ],
)
def test_split(arguments: str, found: list[object]) -> None:
    assert split_parameters(arguments) == found


@pytest.mark.parametrize("arguments", ['"a', '"a"b', '1,"a" ,2'])
def test_bad_quotes(arguments: str) -> None:
    with pytest.raises(Refused):
        split_parameters(arguments)


@pytest.mark.parametrize("value", ["-1", "+1", "1.0", "0x1", "\u0661", '"1"', "", "7"])
def test_numbers_refused(value: str) -> None:
    """Plain decimal digits, in range."""
    with pytest.raises(Refused):
        Arguments(value, 1, 1).number(0, range(6))


def test_defaults() -> None:
    given = Arguments("1,", 1, 3)
    assert given.number(0, range(2)) == 1
    assert given.number(1, range(2), 0) == 0
    assert given.number(2, range(2), 1) == 1
    assert given.raw(2) == ""


def test_errors_carry_their_code() -> None:
    """552 for the note's commands, +CME ERROR: 50 for the rest."""
    with pytest.raises(Refused) as of_note:
        Arguments("1", 2, 2)
    assert (of_note.value.err, of_note.value.cme) == (552, None)
    with pytest.raises(Refused) as other:
        Arguments("1", 2, 2, err=None)
    assert (other.value.err, other.value.cme) == (None, 50)
