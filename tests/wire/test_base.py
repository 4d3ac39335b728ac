"""base: what all commands share, then test forms, then raw lines."""

import copy
import pickle
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest
from hypothesis import given

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.base import Command, Order, Raw, TestForm, is_stray
from aiobc9x.wire.params import command_line, integer
from tests.wire.lines import DAMAGED, EVIL, is_one_clean_line


@dataclass(frozen=True, slots=True)
class Answered(Command[int]):
    """A command with an answer, for these tests."""

    prefix: ClassVar[bytes] = b"+QX:"
    value: int = 0

    def _build(self) -> bytes:
        return command_line("+QX", value=integer("value", self.value, range(6)))

    def parse(self, lines: Sequence[bytes]) -> int:
        if not lines:
            raise self._unexpected(lines, "no line")
        return len(self._params(lines[0]))


@dataclass(frozen=True, slots=True)
class Silent(Order):
    """A command without an answer, for these tests."""

    def _build(self) -> bytes:
        return command_line("+QY")


class TestCommand:
    """The base class."""

    def test_the_line_ends_with_cr_and_the_text_does_not(self) -> None:
        """The text is for messages."""
        assert Answered(3).encode() == b"AT+QX=3\r"
        assert Answered(3).text == "AT+QX=3"

    def test_a_wrong_value_is_refused_when_the_command_is_made(self) -> None:
        """Nothing can be queued that can't be sent."""
        with pytest.raises(ValueError, match=r"^value must be an integer, 0 to 5, not 6"):
            Answered(6)

    def test_defaults(self) -> None:
        """300 ms, no prompt, explained by AT+QIGETERROR (chapter 2)."""
        command = Answered()
        assert command.max_response_time == 0.3
        assert not command.needs_prompt
        assert command.tcpip

    def test_lines_with_the_prefix_are_claimed(self) -> None:
        """No others."""
        assert Answered().claims(b"+QX: 1")
        assert not Answered().claims(b"+QXY: 1")

    def test_an_unexpected_answer_names_the_command(self) -> None:
        """So does its text."""
        with pytest.raises(UnexpectedAnswer, match=r"AT\+QX=0.*no line") as caught:
            Answered().parse([])
        assert caught.value.command == "AT+QX=0"

    def test_parameters_are_what_follows_the_prefix(self) -> None:
        """Spaces around them go."""
        assert Answered().parse([b"+QX: 12 "]) == 2

    def test_commands_are_values(self) -> None:
        """Equal when their arguments are; they hash, copy, pickle, and never change."""
        command = Answered(1)
        assert command == Answered(1) != Answered(2)
        assert len({command, Answered(1)}) == 1
        for twin in (copy.copy(command), pickle.loads(pickle.dumps(command))):
            assert twin == command
            assert twin.encode() == command.encode()
        with pytest.raises(FrozenInstanceError):
            command.value = 2  # type: ignore[misc]  # that it can't be set is the point

    def test_the_repr_shows_the_arguments(self) -> None:
        """Not the line."""
        assert repr(Answered(1)) == "Answered(value=1)"

    def test_a_silent_command_claims_nothing(self) -> None:
        """Its answer is the final result."""
        assert not Silent().claims(b"+QY: 1")
        assert Silent().parse([]) is None  # type: ignore[func-returns-value]  # None is the result
        assert Silent().encode() == b"AT+QY\r"


class TestTestForm:
    """§2.1.2."""

    def test_line(self) -> None:
        """The name gets its sign and ``=?``."""
        assert TestForm("QIOPEN").encode() == b"AT+QIOPEN=?\r"

    @pytest.mark.parametrize("name", ["", "+QIOPEN", "qiopen", "QI OPEN", "QIOPEN=?", "A\r", 3])
    def test_only_a_name_is_taken(self, name: str) -> None:
        """A sign or a form would be written twice."""
        with pytest.raises(ValueError, match=r"^name must be a command's name"):
            TestForm(name)

    def test_the_answer_is_claimed_and_a_urc_is_not(self) -> None:
        """``+QIOPEN: 0,0`` is the result of an open that runs meanwhile."""
        form = TestForm("QIOPEN")
        assert form.claims(b'+QIOPEN: (1-3),(0-5),"TCP/UDP"')
        assert not form.claims(b"+QIOPEN: 0,0")
        assert not form.claims(b"+QISTATE: 0")

    def test_lines_come_as_they_are(self) -> None:
        """The brackets are unbalanced in print; nothing is read into them."""
        assert TestForm("QIRD").parse([b"+QIRD: (0-5),(1-1024)]", b"\xff"]) == (
            "+QIRD: (0-5),(1-1024)]",
            "\\xff",
        )

    @pytest.mark.parametrize(
        ("name", "explained"), [("QIOPEN", True), ("QPING", True), ("CSQ", False)]
    )
    def test_whether_an_error_is_explained(self, name: str, explained: bool) -> None:
        """AT+QIGETERROR knows TCP/IP commands only."""
        assert TestForm(name).tcpip is explained


class TestRaw:
    """A line that somebody else wrote."""

    def test_line(self) -> None:
        """It is sent as it is."""
        assert Raw("at+cereg?").encode() == b"at+cereg?\r"

    def test_a_second_line_is_refused(self) -> None:
        """So is anything that doesn't begin with AT."""
        with pytest.raises(ValueError, match=r"^line holds a control"):
            Raw("AT\rAT+CFUN=0")
        with pytest.raises(ValueError, match=r"^line must start with AT"):
            Raw("+CFUN=0")

    @pytest.mark.parametrize(
        ("line", "name"),
        [
            ("AT+CEREG?", "+CEREG"),
            ("at+qird=0,1", "+QIRD"),
            ("ATI", "I"),
            ("AT", ""),
            ("AT&F", "&F"),
        ],
    )
    def test_name(self, line: str, name: str) -> None:
        """What follows AT, in capitals."""
        assert Raw(line).name == name

    def test_its_own_answer_is_claimed(self) -> None:
        """Also where a URC has the same prefix."""
        assert Raw("AT+CEREG?").claims(b"+CEREG: 0,1")
        assert Raw("at+cfun?").claims(b"+CFUN: 1")
        assert Raw("AT+CPIN?").claims(b"+CPIN: READY")

    def test_lines_that_nobody_knows_are_claimed(self) -> None:
        """What a vendor's command answers has any form."""
        assert Raw("ATI").claims(b"Quectel_BC65")
        assert Raw("AT+NEW").claims(b"+OTHER: 1")

    @pytest.mark.parametrize(
        "line",
        [b"+CEREG: 5", b"+QIOPEN: 0,0", b'+QIURC: "closed",0', b"+CPIN: READY", b"SEND OK", b"RDY"],
    )
    def test_urcs_are_not_claimed(self, line: bytes) -> None:
        """Another socket's events must not vanish in somebody's answer."""
        assert not Raw("AT+CEREG?").claims(line)
        assert not Raw("AT+QIOPEN=?").claims(line)

    def test_the_answer_is_text(self) -> None:
        """A line each."""
        assert Raw("ATI").parse([b"Quectel", b"\x80"]) == ["Quectel", "\\x80"]

    @pytest.mark.parametrize(
        ("line", "explained"),
        [
            ("AT+QISTATE?", True),
            ("at+qntp=1", True),
            ("AT+QPING=1", True),
            ("AT+QSCLK=0", False),
            ("AT", False),
        ],
    )
    def test_whether_an_error_is_explained(self, line: str, explained: bool) -> None:
        """AT+QIGETERROR knows TCP/IP commands only."""
        assert Raw(line).tcpip is explained

    def test_a_prompt_is_awaited_on_request(self) -> None:
        """The line doesn't say whether one comes."""
        assert not Raw("AT+X").needs_prompt
        assert Raw("AT+X", prompt=True).needs_prompt

    def test_it_may_take_long(self) -> None:
        """The radio takes 15 s to come up."""
        assert Raw("AT+CFUN=1").max_response_time == 15

    @given(text=EVIL)
    def test_no_text_adds_a_line(self, text: str) -> None:
        """Whatever follows AT, it is refused, or is one line."""
        try:
            line = Raw("AT" + text).encode()
        except ValueError:
            line = b"\r"
        assert is_one_clean_line(line)


@given(line=DAMAGED)
def test_no_line_raises(line: bytes) -> None:
    """Whatever arrives is claimed or it isn't, and can be given."""
    for command in (Raw("AT+CEREG?"), TestForm("QIOPEN"), Answered()):
        assert command.claims(line) in (True, False)
        assert command.parse([line, line]) is not None
    assert is_stray("+CFUN", line) in (True, False)
