"""network: the lines, then what each command reads, then properties."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.wire.commands.base import Command
from aiobc9x.wire.commands.radio import (
    AuthProtocol,
    Cereg,
    Cesq,
    Cfun,
    Cgact,
    Cgatt,
    Cgauth,
    Cgdcont,
    Cgerep,
    Cgpaddr,
    Cgreg,
    Context,
    Cops,
    Creg,
    Csq,
    ExtendedSignal,
    Operator,
    Qcgdefcont,
    RegistrationStatus,
    SignalQuality,
)
from tests.wire.lines import DAMAGED, EVIL, is_one_clean_line, outcome

# Any: the results differ in type, and these tests look at lines alone.
AnyCommand = Command[Any]

LINES: list[tuple[str, AnyCommand, float]] = [
    ("AT+CGATT?", Cgatt(), 1),
    ("AT+CGATT=1", Cgatt(1), 140),
    ("AT+CGEREP=1", Cgerep(1), 1),
    ("AT+CGPADDR?", Cgpaddr(), 1),
    ("AT+CGPADDR=1", Cgpaddr(1), 1),
    ("AT+CGACT?", Cgact(), 1),
    ("AT+CGACT=1,1", Cgact(1, 1), 150),
    ("AT+CGACT=0", Cgact(0), 150),
    ("AT+CFUN?", Cfun(), 1),
    ("AT+CFUN=1", Cfun(1), 85),
    ("AT+CFUN=1,1", Cfun(1, 1), 85),
    ("AT+CEREG?", Cereg(), 1),
    ("AT+CEREG=5", Cereg(5), 1),
    ("AT+CGREG?", Cgreg(), 1),
    ("AT+CREG=1", Creg(1), 1),
    ("AT+COPS?", Cops(), 1),
    ("AT+CSQ", Csq(), 1),
    ("AT+CESQ", Cesq(), 1),
    ("AT+CGDCONT?", Cgdcont(), 1),
    ('AT+CGDCONT=1,"IP","internet"', Cgdcont(1, "IP", "internet"), 1),
    ('AT+CGDCONT=1,"IPV6"', Cgdcont(1, "IPV6"), 1),
]


@pytest.mark.parametrize(("line", "command", "seconds"), LINES)
def test_lines(line: str, command: AnyCommand, seconds: float) -> None:
    """The line is as 27.007 has it; AT+QIGETERROR knows nothing of it."""
    assert command.encode() == line.encode() + b"\r"
    assert command.text == line
    assert not command.tcpip
    assert command.time_limit == seconds


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cgatt(2), r"^state must be"),
        (lambda: Cgerep(3), r"^mode must be"),
        (lambda: Cgauth(16), r"^context_id must be"),
        (lambda: Cgauth(1, AuthProtocol.PAP, None, "p"), r"^user is needed"),
        (lambda: Cgauth(1, AuthProtocol.PAP, "u" * 65), r"^user has 65 bytes"),
        (lambda: Qcgdefcont("IP", "", "u", "p"), r"^apn is empty"),
        (lambda: Cgpaddr(16), r"^context_id must be"),
        (lambda: Cgact(2, 1), r"^state must be"),
        (lambda: Cgact(1, 16), r"^cid must be"),
        (lambda: Cgact(None, 1), r"^state is needed"),
        (lambda: Cfun(5), r"^fun must be"),
        (lambda: Cfun(None, 1), r"^fun is needed"),
        (lambda: Cfun(1, 2), r"^reset must be"),
        (lambda: Cereg(6), r"^n must be"),
        (lambda: Cgdcont(16, "IP"), r"^context_id must be"),
        (lambda: Cgdcont(None, "IP"), r"^context_id is needed"),
        (lambda: Cgdcont(1, None, "a"), r"^pdp_type is needed"),
        (lambda: Cgdcont(1, "IP", 'a"b'), r"^apn holds"),
        (lambda: Cgdcont(1, "IP", "a" * 101), r"^apn has 101 bytes"),
    ],
)
def test_out_of_range(make: Any, message: str) -> None:  # Any: a lambda that raises
    """A wrong value is refused by name, before a byte is sent."""
    with pytest.raises(ValueError, match=message):
        make()


class TestLogin:
    """AT+CGAUTH and AT+QCGDEFCONT: user and password of a context."""

    @pytest.mark.parametrize(
        ("line", "command", "shown"),
        [
            ("AT+CGAUTH=2,0", Cgauth(2), "AT+CGAUTH=2,0"),
            (
                'AT+CGAUTH=1,1,"me","s3cret"',
                Cgauth(1, AuthProtocol.PAP, "me", "s3cret"),
                "AT+CGAUTH=1,1,...",
            ),
            ('AT+CGAUTH=1,2,"me",""', Cgauth(1, AuthProtocol.CHAP, "me", ""), "AT+CGAUTH=1,2,..."),
            (
                'AT+QCGDEFCONT="IP","internet","me","s3cret"',
                Qcgdefcont("IP", "internet", "me", "s3cret"),
                'AT+QCGDEFCONT="IP","internet",...',
            ),
        ],
    )
    def test_lines(self, line: str, command: Cgauth | Qcgdefcont, shown: str) -> None:
        """The password is in neither the text, which messages use, nor the repr."""
        assert command.encode() == line.encode() + b"\r"
        assert command.text == shown
        assert "s3cret" not in repr(command)

    @pytest.mark.parametrize("password", ['s3cret"', "s3cret" * 20, "s3cret\r"])
    def test_a_password_that_can_not_be_sent(self, password: str) -> None:
        """The message doesn't show it either."""
        with pytest.raises(ValueError, match=r"^password h") as caught:
            Cgauth(1, AuthProtocol.PAP, "me", password)
        assert "s3cret" not in str(caught.value)


class TestRadio:
    """AT+CFUN."""

    def test_state(self) -> None:
        """Asked for, it is claimed; a URC that came before doesn't count."""
        assert Cfun().claims(b"+CFUN: 1")
        assert Cfun().parse([b"+CFUN: 0", b"+CFUN: 1"]) == 1

    def test_after_a_write_the_line_is_a_urc(self) -> None:
        """What was set is given."""
        assert not Cfun(1).claims(b"+CFUN: 1")
        assert Cfun(4).parse([]) == 4

    @pytest.mark.parametrize("lines", [[], [b"+CFUN: x"]])
    def test_no_state(self, lines: list[bytes]) -> None:
        """An answer without a number is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no state"):
            Cfun().parse(lines)


class TestRegistration:
    """AT+CEREG, AT+CGREG, AT+CREG."""

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            (b"+CEREG: 0,1", RegistrationStatus(1, n=0)),
            (b"+CEREG:0,5", RegistrationStatus(5, n=0)),
            (b'+CEREG: "0","5"', RegistrationStatus(5, n=0)),
            (b'+CEREG: 2,1,"12AB","0A01",9', RegistrationStatus(1, "12AB", "0A01", 9, n=2)),
            (b"+CEREG: 2,1,9129,00123456,9", RegistrationStatus(1, "9129", "00123456", 9, n=2)),
            (
                b'+CEREG: 3,3,"12AB","0A01",9,0,15',
                RegistrationStatus(3, "12AB", "0A01", 9, 0, 15, n=3),
            ),
            (b"+CEREG: 3,3,,,,0,15", RegistrationStatus(3, None, None, None, 0, 15, n=3)),
            (
                b'+CEREG: 5,1,"12AB","0A01",9,,,"00000101","01000001"',
                RegistrationStatus(1, "12AB", "0A01", 9, None, None, 10, 36000, 5),
            ),
            (
                b"+CEREG: 5,1,12AB,0A01,9,,,00000101,01000001,more",
                RegistrationStatus(1, "12AB", "0A01", 9, None, None, 10, 36000, 5),
            ),
            (b"+CEREG: 5,2,,,,0,0", RegistrationStatus(2, None, None, None, 0, 0, n=5)),
        ],
    )
    def test_answers(self, line: bytes, status: RegistrationStatus) -> None:
        """The first number chooses the form; empty positions are None."""
        assert Cereg().claims(line)
        assert Cereg().parse([line]) == status

    @pytest.mark.parametrize(
        "line",
        [
            b"+CEREG: 5",
            b'+CEREG: 5,"12AB","0A01",9',
            b'+CEREG: 5,"1","0A01",9',
            b"+CEREG: 1,9129,00123456,9",
            b"+CEREG: 2,,,",
            b"+CREG: 0,1",
        ],
    )
    def test_the_urc_is_not_claimed(self, line: bytes) -> None:
        """It has the same prefix, and no second number."""
        assert not Cereg().claims(line)

    def test_each_has_its_prefix(self) -> None:
        """NB-IoT, GPRS and GSM are three commands."""
        assert Cgreg().claims(b"+CGREG: 0,1")
        assert Creg().claims(b"+CREG: 0,1")
        assert not Creg().claims(b"+CGREG: 0,1")

    def test_routing_area_of_cgreg(self) -> None:
        """27.007 puts one more code between technology and cause there."""
        line = b'+CGREG: 3,3,"12AB","0A01",0,01,0,15'
        assert Cgreg().parse([line]) == RegistrationStatus(3, "12AB", "0A01", 0, 0, 15, n=3)

    def test_a_write_claims_nothing_and_knows_nothing(self) -> None:
        """Its result is "unknown", 4."""
        assert not Cereg(5).claims(b"+CEREG: 5,1")
        assert Cereg(5).parse([]) == RegistrationStatus(4)

    @pytest.mark.parametrize("lines", [[], [b"+CEREG: 5"], [b"+CEREG: x,y"], [b"+CEREG: 0,80"]])
    def test_no_status(self, lines: list[bytes]) -> None:
        """A URC is no answer."""
        with pytest.raises(UnexpectedAnswer, match=r"no status"):
            Cereg().parse(lines)


class TestOperator:
    """AT+COPS."""

    @pytest.mark.parametrize(
        ("line", "operator"),
        [
            (b'+COPS: 1,2,"21901",9', Operator(1, 2, "21901", 9)),
            (b'+COPS: 0,0,"CHINA MOBILE"', Operator(0, 0, "CHINA MOBILE", None)),
            (b"+COPS:0", Operator(0, None, None, None)),
            (b"+COPS: 0,2,21901,9,more", Operator(0, 2, "21901", 9)),
            (b'+COPS: "0","2","21901","9"', Operator(0, 2, "21901", 9)),
            (b"+COPS: x", Operator(None, None, None, None)),
            (b"+COPS:", Operator(None, None, None, None)),
        ],
    )
    def test_answers(self, line: bytes, operator: Operator) -> None:
        """Without a network there is only the mode; a mode in words is unknown."""
        assert Cops().parse([line]) == operator


class TestSignal:
    """AT+CSQ, AT+CESQ."""

    @pytest.mark.parametrize(
        ("line", "signal"),
        [
            (b"+CSQ: 21,0", SignalQuality(-71, 0)),
            (b"+CSQ:0,99", SignalQuality(-113, None)),
            (b"+CSQ: 31,7", SignalQuality(-51, 7)),
            (b"+CSQ: 99,99", SignalQuality(None, None)),
            (b'+CSQ: "21","0"', SignalQuality(-71, 0)),
            (b"+CSQ: 21", SignalQuality(-71, None)),
            (b"+CSQ: 21,0,3,x", SignalQuality(-71, 0)),
            (b"+CSQ:", SignalQuality(None, None)),
            (b"+CSQ: 1000,-1", SignalQuality(None, None)),
        ],
    )
    def test_signal(self, line: bytes, signal: SignalQuality) -> None:
        """99 is unknown; a step is 2 dB from -113 dBm."""
        assert Csq().parse([line]) == signal

    @pytest.mark.parametrize(
        ("line", "signal"),
        [
            (b"+CESQ: 30,99,255,255,20,60", ExtendedSignal(-81, None, None, None, -10.0, -81)),
            (b"+CESQ: 99,0,96,49,34,97", ExtendedSignal(None, 0, -25, 0.0, -3.0, -44)),
            (b"+CESQ: 0,7,0,0,0,0", ExtendedSignal(-111, 7, -121, -24.5, -20.0, -141)),
            (b'+CESQ: "0",7', ExtendedSignal(-111, 7, None, None, None, None)),
            (b"+CESQ: 99,99,255,255,20,60,1,2", ExtendedSignal(None, None, None, None, -10, -81)),
        ],
    )
    def test_extended_signal(self, line: bytes, signal: ExtendedSignal) -> None:
        """99 and 255 are unknown; values are lower bounds."""
        assert Cesq().parse([line]) == signal

    def test_no_line(self) -> None:
        """A module that answers OK alone doesn't know."""
        assert Csq().parse([]) == SignalQuality(None, None)
        assert Cesq().parse([]) == ExtendedSignal(None, None, None, None, None, None)


class TestAttachment:
    """AT+CGATT and AT+CGACT, example 4.1.1."""

    @pytest.mark.parametrize(
        ("line", "attached"), [(b"+CGATT: 1", True), (b"+CGATT:0", False), (b'+CGATT: "1",0', True)]
    )
    def test_attached(self, line: bytes, attached: bool) -> None:
        """1 is attached."""
        assert Cgatt().parse([line]) is attached

    def test_after_a_write_the_state_that_was_set(self) -> None:
        """The final result says that it took effect."""
        assert Cgatt(1).parse([]) is True
        assert Cgatt(0).parse([]) is False

    def test_no_state(self) -> None:
        """An answer without a number is none."""
        with pytest.raises(UnexpectedAnswer, match=r"no state"):
            Cgatt().parse([b"+CGATT: x"])

    def test_active_contexts(self) -> None:
        """Each context is named, unless it was a write."""
        assert Cgact().parse([b"+CGACT: 1,1", b"+CGACT:2,0"]) == {1: True, 2: False}
        assert Cgact().parse([b'+CGACT: "1","1",x']) == {1: True}
        assert Cgact(1, 1).parse([]) == {}

    @pytest.mark.parametrize("line", [b"+CGACT: 1", b"+CGACT: 1,x", b"+CGACT: x,1"])
    def test_a_damaged_row(self, line: bytes) -> None:
        """A context without a state is damage."""
        with pytest.raises(UnexpectedAnswer, match=r"a row is damaged"):
            Cgact().parse([line])


class TestAddresses:
    """AT+CGPADDR, example 4.1.1."""

    @pytest.mark.parametrize(
        ("line", "row"),
        [
            (b'+CGPADDR: 1,"100.127.243.105"', (1, ("100.127.243.105",))),
            (b"+CGPADDR:1,10.157.140.5", (1, ("10.157.140.5",))),
            (b"+CGPADDR: 1", (1, ())),
            (b'+CGPADDR: "1","10.0.0.1"', (1, ("10.0.0.1",))),
            (b'+CGPADDR: 1,""', (1, ())),
            (b'+CGPADDR: 1,"0.0.0.0"', (1, ())),
            (
                b'+CGPADDR: 1,"10.0.0.1","32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"',
                (1, ("10.0.0.1", "2001:db8::1")),
            ),
            (b'+CGPADDR: 1,"10.0.0.1,2001:DB8::1"', (1, ("10.0.0.1", "2001:db8::1"))),
        ],
    )
    def test_rows(self, line: bytes, row: tuple[int, tuple[str, ...]]) -> None:
        """Quotes are optional, IPv6 has two spellings, and there may be no address."""
        assert Cgpaddr().parse([line, b"+CGPADDR: 2"]) == (row, (2, ()))

    def test_a_damaged_row(self) -> None:
        """An address without a context is damage."""
        with pytest.raises(UnexpectedAnswer, match=r"a row is damaged"):
            Cgpaddr().parse([b"+CGPADDR: x"])


class TestContexts:
    """AT+CGDCONT."""

    def test_rows(self) -> None:
        """Further fields are left alone."""
        lines = [b'+CGDCONT: 1,"IP","internet","10.0.0.1",0,0,0', b'+CGDCONT:0,"IPV4V6"']
        assert Cgdcont().parse(lines) == (
            Context(1, "IP", "internet", "10.0.0.1"),
            Context(0, "IPV4V6", "", ""),
        )

    def test_a_damaged_row(self) -> None:
        """A context without a number is damage."""
        with pytest.raises(UnexpectedAnswer, match=r"a row is damaged"):
            Cgdcont().parse([b'+CGDCONT: "IP"'])


@given(text=EVIL)
def test_no_text_adds_a_command(text: str) -> None:
    """Whatever is passed, it is refused, or there is one CR, at the end."""
    for pdp_type, apn in ((text, "a"), ("IP", text)):
        try:
            line = Cgdcont(1, pdp_type, apn).encode()
        except ValueError:
            line = b"\r"
        assert is_one_clean_line(line)


@given(command=st.sampled_from([row[1] for row in LINES]), lines=st.lists(DAMAGED, max_size=4))
def test_no_answer_raises_anything_else(command: AnyCommand, lines: list[bytes]) -> None:
    """Whatever arrives is claimed or not, and is read or is an UnexpectedAnswer."""
    claimed = [line for line in lines if command.claims(line)]
    for answer in (lines, claimed):
        result = outcome(command, answer)
        assert not isinstance(result, UnexpectedAnswer) or result.lines == tuple(answer)
