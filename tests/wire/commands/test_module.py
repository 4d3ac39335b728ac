"""device: the lines, then what each command reads, then properties."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.module import (
    At,
    Cclk,
    Cgmi,
    Cgmm,
    Cgmr,
    Cgsn,
    Cimi,
    Cmee,
    Cscon,
    Echo,
    Identify,
    Ipr,
    Qatwakeup,
    Qccid,
    Qnbiotevent,
    Results,
    Verbose,
)
from aiobc9x.wire.commands.power import Cedrxs, Cpsms, Qsclk
from aiobc9x.wire.commands.sim import Cpin
from tests.wire.lines import DAMAGED, EVIL, is_one_clean_line, outcome

# Any: the results differ in type, and these tests look at lines alone.
AnyCommand = Command[Any]

LINES: list[tuple[str, AnyCommand]] = [
    ("AT", At()),
    ("ATE0", Echo(on=False)),
    ("ATE1", Echo(on=True)),
    ("ATQ0", Results()),
    ("ATV1", Verbose()),
    ("AT+CMEE=1", Cmee(1)),
    ("ATI", Identify()),
    ("AT+CGMI", Cgmi()),
    ("AT+CGMM", Cgmm()),
    ("AT+CGMR", Cgmr()),
    ("AT+CGSN=1", Cgsn()),
    ("AT+CIMI", Cimi()),
    ("AT+QCCID", Qccid()),
    ("AT+CPIN?", Cpin()),
    ("AT+CCLK?", Cclk()),
    ("AT+IPR?", Ipr()),
    ("AT+IPR=115200", Ipr(115200)),
    ("AT+QSCLK=0", Qsclk(0)),
    ("AT+CSCON=1", Cscon(1)),
    ("AT+QNBIOTEVENT=1,1", Qnbiotevent(1)),
    ("AT+QATWAKEUP=1", Qatwakeup(1)),
    ("AT+CPSMS?", Cpsms()),
    ("AT+CPSMS=0", Cpsms(0)),
    ('AT+CPSMS=1,,,"01000001","00000101"', Cpsms(1, "01000001", "00000101")),
    ('AT+CPSMS=1,,,"01000001"', Cpsms(1, "01000001")),
    ("AT+CEDRXS?", Cedrxs()),
    ("AT+CEDRXS=0", Cedrxs(0)),
    ('AT+CEDRXS=1,5,"0011"', Cedrxs(1, 5, "0011")),
]


@pytest.mark.parametrize(("line", "command"), LINES)
def test_lines(line: str, command: AnyCommand) -> None:
    """The line is as relatives take it; AT+QIGETERROR knows nothing of it."""
    assert command.encode() == line.encode() + b"\r"
    assert command.text == line
    assert not command.tcpip
    sim = line.startswith(("AT+CPIN", "AT+CIMI", "AT+QCCID"))
    assert command.time_limit == command.max_response_time == (5.0 if sim else 1.0)
    assert not command.needs_prompt


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cmee(3), r"^n must be"),
        (lambda: Qsclk(3), r"^n must be"),
        (lambda: Cscon(2), r"^n must be"),
        (lambda: Qnbiotevent(2), r"^enable must be"),
        (lambda: Qnbiotevent(1, 0), r"^event must be"),
        (lambda: Qatwakeup(2), r"^enable must be"),
        (lambda: Ipr(-1), r"^rate must be"),
        (lambda: Cpin("12a4"), r"^pin must have 4 to 8 digits$"),
        (lambda: Cpin("123"), r"^pin must have 4 to 8 digits$"),
        (lambda: Cpsms(3), r"^mode must be"),
        (lambda: Cpsms(None, "01000001"), r"^mode is needed"),
        (lambda: Cpsms(1, None, "00000101"), r"^periodic_tau is needed"),
        (lambda: Cpsms(1, "0100000"), r"^periodic_tau must have 8 bits, such as 01010101$"),
        (lambda: Cpsms(1, "01000001", "0000010x"), r"^active_time must have 8 bits"),
        (lambda: Cedrxs(4), r"^mode must be"),
        (lambda: Cedrxs(1, 6), r"^act_type must be"),
        (lambda: Cedrxs(1, 5, "00111"), r"^value must have 4 bits, such as 0101$"),
        (lambda: Cedrxs(1, None, "0011"), r"^act_type is needed"),
        (lambda: Cedrxs(None, 5), r"^mode is needed"),
    ],
)
def test_out_of_range(make: Any, message: str) -> None:  # Any: a lambda that raises
    """A wrong value is refused by name, before a byte is sent."""
    with pytest.raises(ValueError, match=message):
        make()


class TestOrders:
    """Commands that are answered by the final result alone."""

    @pytest.mark.parametrize(
        "command", [At(), Echo(on=False), Verbose(), Cmee(1), Qsclk(0), Cscon(1), Qatwakeup(1)]
    )
    def test_nothing_is_claimed_and_nothing_read(self, command: AnyCommand) -> None:
        """A URC that comes meanwhile stays one."""
        assert not command.claims(b"+CSCON: 1")
        assert not command.claims(b"Quectel")
        assert command.parse([]) is None


class TestIdentity:
    """ATI and its relatives."""

    def test_identify_gives_the_lines(self) -> None:
        """Maker, model, revision."""
        lines = [b"Quectel_Ltd", b"Quectel_BC65", b"Revision: BC65\xff"]
        assert all(Identify().claims(line) for line in lines)
        assert Identify().parse(lines) == ("Quectel_Ltd", "Quectel_BC65", "Revision: BC65\\xff")

    @pytest.mark.parametrize(
        "line", [b"RDY", b"+DBGINFO:x", b"*MATREADY: 1", b"SEND OK", b"^X", b"RING"]
    )
    def test_what_comes_unasked_is_not_claimed(self, line: bytes) -> None:
        """A line with a sign, or a URC, says nothing of who the module is."""
        assert not Identify().claims(line)
        assert not Cgmi().claims(line)

    @pytest.mark.parametrize(
        ("command", "line", "text"),
        [
            (Cgmi(), b"Quectel", "Quectel"),
            (Cgmi(), b'+CGMI: "Quectel"', "Quectel"),
            (Cgmm(), b"BC65", "BC65"),
            (Cgmr(), b"+CGMR:BC65R01", "BC65R01"),
            (Cgsn(), b"+CGSN: 867725030000000", "867725030000000"),
            (Cgsn(), b"867725030000000", "867725030000000"),
            (Cgsn(), b'+CGSN: "867725030000000"', "867725030000000"),
            (Cimi(), b"460111174590523", "460111174590523"),
            (Qccid(), b"+QCCID: 89860446091891282224", "89860446091891282224"),
            (Qccid(), b"8986044609189128222F", "8986044609189128222F"),
        ],
    )
    def test_one_text(self, command: Command[str], line: bytes, text: str) -> None:
        """With prefix or without, quoted or not."""
        assert command.claims(line)
        assert command.parse([b"", line]) == text

    @pytest.mark.parametrize("command", [Cgmi(), Cgsn()])
    def test_no_text(self, command: Command[str]) -> None:
        """An answer without text is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no text"):
            command.parse([b" "])

    @pytest.mark.parametrize("line", [b"Quectel", b"12345", b"+CFUN: 1", b"RDY"])
    def test_numbers_are_long(self, line: bytes) -> None:
        """No other line is taken for an IMEI."""
        assert not Cgsn().claims(line)


class TestClockAndBaudRate:
    """AT+CCLK, AT+IPR."""

    @pytest.mark.parametrize(
        ("line", "text"),
        [
            (b'+CCLK: "20/07/08,12:00:00+32"', "20/07/08,12:00:00+32"),
            (b"+CCLK: 2024/02/29,12:00:00GMT+8", "2024/02/29,12:00:00GMT+8"),
        ],
    )
    def test_clock(self, line: bytes, text: str) -> None:
        """The time as the module spells it."""
        assert Cclk().parse([line]) == text

    def test_no_time(self) -> None:
        """An empty clock is no answer."""
        with pytest.raises(UnexpectedAnswer, match=r"no time"):
            Cclk().parse([b'+CCLK: ""'])

    def test_rate(self) -> None:
        """What is set, or was just set."""
        assert Ipr().parse([b"+IPR: 9600"]) == 9600
        assert Ipr(57600).parse([]) == 57600

    def test_no_rate(self) -> None:
        """An answer without a number is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no baud rate"):
            Ipr().parse([b"+IPR: fast"])


@given(
    text=EVIL,
    which=st.sampled_from([Cpin, lambda text: Cpsms(1, text), lambda text: Cedrxs(1, 5, text)]),
)
def test_no_text_adds_a_command(text: str, which: Any) -> None:  # Any: three signatures
    """Whatever is passed, it is refused, or there is one CR, at the end."""
    try:
        line = which(text).encode()
    except ValueError:
        line = b"\r"
    assert is_one_clean_line(line)


@given(
    command=st.sampled_from([command for _, command in LINES]), lines=st.lists(DAMAGED, max_size=4)
)
def test_no_answer_raises_anything_else(command: AnyCommand, lines: list[bytes]) -> None:
    """Whatever arrives is claimed or not, and is read or is an UnexpectedAnswer."""
    claimed = [line for line in lines if command.claims(line)]
    for answer in (lines, claimed):
        result = outcome(command, answer)
        assert not isinstance(result, UnexpectedAnswer) or result.lines == tuple(answer)
