"""base: what all commands share, then test forms, then raw lines."""

import copy
import pickle
from collections.abc import Sequence
from dataclasses import FrozenInstanceError, dataclass
from types import ModuleType
from typing import ClassVar

import pytest
from hypothesis import given

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands import contexts, module, power, radio, sim, tcpip
from aiobc9x.wire.commands.base import Command, Order, Raw, TestForm, is_stray
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
        assert command.time_limit == command.max_response_time == 0.3
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
            ("ATE0V1", "E"),
            ("AT +CSQ", "+CSQ"),
            ("AT+QI2C_X=1", "+QI2C_X"),
        ],
    )
    def test_name(self, line: str, name: str) -> None:
        """What follows AT, in capitals."""
        assert Raw(line).name == name

    @pytest.mark.parametrize(
        ("line", "answer"),
        [
            ("AT+CEREG?", b"+CEREG: 0,1"),
            ("at+cfun?", b"+CFUN: 1"),
            ("AT+CPIN?", b"+CPIN: READY"),
            ("AT+CPIN=?", b"+CPIN: (0-1)"),
            ("AT+CSCON?", b"+CSCON:0,1"),
            ("AT+CSQ", b"\x00\xff+CSQ: 20,0"),
            ("AT+QISTATE?", b'+QISTATE: 0,"TCP","1.2.3.4",80,1,2,1,0'),
            ("AT^SYSINFO", b"^SYSINFO: 1"),
            ("AT+NEW1_X=1", b"+new1_x : 1"),
            ("AT+QCCID", b"+CCID: 8986"),
            ("ATI", b"+GCAP: +CGSM"),
        ],
    )
    def test_lines_with_its_prefix_are_claimed(self, line: str, answer: bytes) -> None:
        """Also where a URC begins alike; capitals, noise and spaces around it don't count."""
        assert Raw(line).claims(answer)

    @pytest.mark.parametrize(
        ("line", "answer"),
        [
            ("ATI", b"Revision: BC65R01"),
            ("ATI9", b"BC65"),
            ("AT&V", b"E: 0; V: 1"),
            ("AT+CGMM", b"BC65"),
            ("AT+CGSN", b"867725030000000"),
            ("AT+CIMI", b"460111174590523"),
            ("AT+CMGR=1", b"a short message"),
            ("AT+CLAC", b"+CSQ"),
            ("AT+NUESTATS", b"Signal power:-682"),
            ("AT+QGMR", b"BC65R01"),
        ],
    )
    def test_lines_without_a_prefix(self, line: str, answer: bytes) -> None:
        """Commands without a sign, some of 27.007, and a vendor's answer so."""
        assert Raw(line).claims(answer)

    @pytest.mark.parametrize("text", [b"BC65", b"867725030000000", b"x"])
    @pytest.mark.parametrize("line", ["AT", "AT+CSQ", "AT+QISTATE?", "AT+CEREG?", "AT+QPING=1"])
    def test_an_answer_that_has_a_prefix_takes_no_other_line(self, line: str, text: bytes) -> None:
        """27.007 and the note say that theirs has one."""
        assert not Raw(line).claims(text)

    @pytest.mark.parametrize(
        "text",
        [
            b"+CEREG: 5",
            b"+QIOPEN: 0,0",
            b'+QIURC: "closed",0',
            b"+CPIN: READY",
            b"+CFUN: 1",
            b"SEND OK",
            b"RDY",
            b"+DBGINFO: x",
            b'+CTZEU: "+8",1,"2026/10/02,23:50:20"',
            b"*MATREADY: 1",
            b"+QUSIM: 1",
            b"+PBREADY",
            b"RING",
            b"\x00Call Ready",
            b"SMS Ready",
            b"NO CARRIER",
            b"UNDER-VOLTAGE WARNING",
            b"\xff\x00",
        ],
    )
    @pytest.mark.parametrize(
        "line", ["AT+CEREG?", "AT+QIOPEN=?", "ATI", "AT+CGMM", "AT+CPIN=1234", "AT+NEW"]
    )
    def test_what_comes_unasked_is_not_claimed(self, line: str, text: bytes) -> None:
        """Nothing that nobody has asked for vanishes in somebody's answer."""
        assert not Raw(line).claims(text)

    def test_another_prefix_is_nobodys_answer(self) -> None:
        """Nothing tells it from a vendor's URC."""
        assert not Raw("AT+NEW").claims(b"+OTHER: 1")

    def test_the_answer_is_text(self) -> None:
        """A line each."""
        assert Raw("ATI").parse([b"\x00Quectel", b"\x80"]) == ["Quectel", "\\x80"]

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

    @pytest.mark.parametrize(
        ("line", "seconds"),
        [
            ("AT+CFUN=1", 85),
            ("AT+CFUN?", 15),
            ("at+cops=?", 180),
            ("AT+COPS?", 15),
            ("AT+CGATT=1", 140),
            ("AT+CSQ", 15),
            ("AT", 15),
        ],
    )
    def test_it_may_take_long(self, line: str, seconds: float) -> None:
        """What waits for radio or network has its own time; what only asks is quick."""
        assert Raw(line).time_limit == seconds

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
    raws = (Raw("AT+CEREG?"), Raw("ATI"), Raw("AT+CLAC"), Raw("AT^X"))
    for command in (*raws, TestForm("QIOPEN"), Answered()):
        assert command.claims(line) in (True, False)
        assert command.parse([line, line]) is not None
    assert is_stray(line) in (True, False)


@pytest.mark.parametrize("file", [contexts, module, power, radio, sim, tcpip])
def test_every_command_is_exported(file: ModuleType) -> None:
    """So that programs and type checkers find each command where its class is."""
    made = {
        name
        for name, value in vars(file).items()
        if isinstance(value, type)
        and issubclass(value, Command)
        and value.__module__ == file.__name__
        and not name.startswith("_")
    }
    assert made
    assert made <= set(file.__all__)
