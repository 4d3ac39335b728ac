"""urcs: a class per kind of line, then properties over damaged lines."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.wire import signalling, urcs
from aiobc9x.wire.urcs import (
    AddressAssigned,
    BufferFull,
    Closed,
    CloseOk,
    DnsAnswer,
    Incoming,
    IncomingFull,
    NtpResult,
    OpenResult,
    PdpDeactivated,
    PingCode,
    PingResultLine,
    PingSummary,
    PowerDown,
    RadioState,
    Received,
    Registration,
    RegistrationStatus,
    Restart,
    SendFail,
    SendOk,
    SignallingState,
    SimState,
    SleepEvent,
    Urc,
    Wakeup,
    parse_ntp_time,
    parse_urc,
)
from tests.wire.lines import DAMAGED, LINES

EXAMPLES: list[tuple[bytes, Urc]] = [
    (b"+QIOPEN: 0,0", OpenResult(0, 0)),
    (b"SEND OK", SendOk()),
    (b"SEND FAIL", SendFail()),
    (b"CLOSE OK", CloseOk()),
    (b'+QIURC: "recv",0', Received(0, None)),
    (b'+QIURC: "recv",0,12', Received(0, 12)),
    (b'+QIURC: "recv",0,"buff full"', BufferFull(0)),
    (b'+QIURC: "recv",0,5', Received(0, 5)),
    (b'+QIURC: "incoming",1,0,"192.168.2.2",36566', Incoming(1, 0, "192.168.2.2", 36566)),
    (b'+QIURC: "recv",1', Received(1, None)),
    (b"+QPING: 0,220.18.29.21,32,192,255", PingResultLine(0, "220.18.29.21", 32, 192, 255)),
    (b"+QPING: 0,220.18.23.21,32,479,255", PingResultLine(0, "220.18.23.21", 32, 479, 255)),
    (b"+QPING: 2,4,4,0,192,479,287", PingSummary(2, 4, 4, 0, 192, 479, 287)),
    (b'+QNTP: 0,"2018/04/20,11:08:20+32"', NtpResult(0, "2018/04/20,11:08:20+32")),
]
"""Every URC of chapter 4, byte for byte."""


@pytest.mark.parametrize(("line", "urc"), EXAMPLES)
def test_the_examples_of_the_note(line: bytes, urc: Urc) -> None:
    """Chapter 4 is read as it is printed."""
    assert parse_urc(line) == urc


@pytest.mark.parametrize(("line", "urc"), EXAMPLES)
def test_the_space_behind_the_colon_is_optional(line: bytes, urc: Urc) -> None:
    """§2.3 prints ``+QIURC:<type>``, the examples have a space."""
    assert parse_urc(line.replace(b": ", b":", 1)) == urc


@pytest.mark.parametrize(("line", "urc"), EXAMPLES)
def test_noise_of_a_module_that_wakes_up_is_passed_over(line: bytes, urc: Urc) -> None:
    """NUL and 0xFF before a line don't hide it."""
    assert parse_urc(b"\x00\xff\xff" + line + b" ") == urc


class TestOpened:
    """§2.2.1."""

    @pytest.mark.parametrize("connect_id", range(6))
    def test_every_connect_id(self, connect_id: int) -> None:
        """The result names its socket."""
        assert parse_urc(b"+QIOPEN: %d,566" % connect_id) == OpenResult(connect_id, 566)

    @pytest.mark.parametrize(
        "rest", [b"6,0", b"-1,0", b"0", b"0,", b",0", b'0,"a"', b"(1-3),(0-5)", b""]
    )
    def test_other_shapes_are_no_result(self, rest: bytes) -> None:
        """A socket that can't be, and the answer to the test form."""
        assert parse_urc(b"+QIOPEN: " + rest) is None


class TestClosed:
    """§2.3.1."""

    def test_closed(self) -> None:
        """The socket is named."""
        assert parse_urc(b'+QIURC: "closed",5') == Closed(5)

    @pytest.mark.parametrize("rest", [b",9", b",6", b",-1", b"", b",", b",zero"])
    def test_a_socket_that_cannot_be_is_no_urc(self, rest: bytes) -> None:
        """Malformed lines are unknown lines."""
        assert parse_urc(b'+QIURC: "closed"' + rest) is None


class TestReceived:
    """§2.3.2, §2.3.3."""

    def test_a_full_buffer_in_other_capitals(self) -> None:
        """The words are compared without regard to case."""
        assert parse_urc(b'+QIURC: "RECV",1,"Buff Full"') == BufferFull(1)

    @pytest.mark.parametrize("rest", [b"", b",9", b",0,-5", b",0,x", b",,1"])
    def test_other_shapes_are_no_announcement(self, rest: bytes) -> None:
        """Among them data that were pushed on the line."""
        assert parse_urc(b'+QIURC: "recv"' + rest) is None


class TestIncoming:
    """§2.3.4, §2.3.5."""

    def test_no_room_for_a_connection(self) -> None:
        """``incoming full`` names no socket."""
        assert parse_urc(b'+QIURC: "incoming full"') == IncomingFull()

    @pytest.mark.parametrize(
        ("spelled", "ip"),
        [
            (b'"32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"', "2001:db8::1"),
            (b"10.0.0.1", "10.0.0.1"),
            (b'"a new spelling"', "a new spelling"),
        ],
    )
    def test_the_address_in_any_spelling(self, spelled: bytes, ip: str) -> None:
        """A connection isn't lost over its address."""
        line = b'+QIURC: "incoming",5,0,' + spelled + b",1"
        assert parse_urc(line) == Incoming(5, 0, ip, 1)

    @pytest.mark.parametrize(
        "rest", [b"6,0,1.1.1.1,1", b"1,6,1.1.1.1,1", b"1,0,1.1.1.1,65536", b"1,0"]
    )
    def test_numbers_that_cannot_be(self, rest: bytes) -> None:
        """Both sockets and the port are checked."""
        assert parse_urc(b'+QIURC: "incoming",' + rest) is None


MORE: list[tuple[bytes, Urc]] = [
    (b"+QIOPEN: 0,566", OpenResult(0, 566)),
    (b'+QIURC: "closed",5', Closed(5)),
    (b'+QIURC: "recv",1,40', Received(1, 40)),
    (b'+QIURC: "recv",1,"buff full"', BufferFull(1)),
    (b'+QIURC: "incoming",5,0,"10.0.0.1",80', Incoming(5, 0, "10.0.0.1", 80)),
    (b'+QIURC: "incoming full"', IncomingFull()),
    (b'+QIURC: "pdpdeact",1', PdpDeactivated(1)),
]
"""URCs that may have one field more than the note says."""


class TestOneFieldMore:
    """What other firmwares append is passed over, and garbage is no field."""

    @pytest.mark.parametrize("extra", [b",0", b", 17"])
    @pytest.mark.parametrize(("line", "urc"), MORE)
    def test_a_number_is_passed_over(self, line: bytes, urc: Urc, extra: bytes) -> None:
        """The connection lives by the fields that the note has."""
        assert parse_urc(line + extra) == urc

    @pytest.mark.parametrize("extra", [b',"10.0.0.1"', b',""', b',"a,b"'])
    @pytest.mark.parametrize(("line", "urc"), [row for row in MORE if b",40" not in row[0]])
    def test_so_is_a_string(self, line: bytes, urc: Urc, extra: bytes) -> None:
        """If it has both its quotes."""
        assert parse_urc(line + extra) == urc

    @pytest.mark.parametrize(
        "extra", [b",", b",x", b",0x", b',"a', b',"\xff"', b",0,0", b"0,+QIURC: 1", b",12345678901"]
    )
    @pytest.mark.parametrize(("line", "_"), MORE)
    def test_anything_else_makes_an_unknown_line(self, line: bytes, _: Urc, extra: bytes) -> None:
        """It may be another line whose beginning got lost."""
        assert parse_urc(line + extra) is None

    @pytest.mark.parametrize("rest", [b"12,0123456789", b"2,55", b"4,1024", b'7,"hello"', b"1,7"])
    def test_data_that_were_pushed_are_no_field(self, rest: bytes) -> None:
        """They stand where the field would, with as many bytes as the length says, or fewer."""
        assert parse_urc(b'+QIURC: "recv",1,' + rest) is None


class TestDns:
    """§2.2.10."""

    @pytest.mark.parametrize(
        ("rest", "answer"),
        [
            (b"0,2,300", DnsAnswer(0, 2, 300, ())),
            (b"565", DnsAnswer(565, None, None, ())),
            (b"0,1", DnsAnswer(0, 1, None, ())),
            (b'"220.18.23.21"', DnsAnswer(None, None, None, ("220.18.23.21",))),
            (b"220.18.23.21", DnsAnswer(None, None, None, ("220.18.23.21",))),
            (b'"1.2.3.4,5.6.7.8"', DnsAnswer(None, None, None, ("1.2.3.4", "5.6.7.8"))),
            (b'"1.2.3.4", "5.6.7.8"', DnsAnswer(None, None, None, ("1.2.3.4", "5.6.7.8"))),
            (b'"2001:DB8::1"', DnsAnswer(None, None, None, ("2001:db8::1",))),
        ],
    )
    def test_head_and_addresses(self, rest: bytes, answer: DnsAnswer) -> None:
        """The head has numbers; quotes are optional; one line may have several addresses."""
        assert parse_urc(b'+QIURC: "dnsgip",' + rest) == answer

    @pytest.mark.parametrize("rest", [b"", b",", b',"example.com"', b',"1.2.3"'])
    def test_neither_number_nor_address(self, rest: bytes) -> None:
        """Such a line is unknown."""
        assert parse_urc(b'+QIURC: "dnsgip"' + rest) is None


class TestPing:
    """§2.2.8."""

    @pytest.mark.parametrize("code", [1, 3, 4, 5, 553, 569])
    def test_a_code_alone(self, code: int) -> None:
        """Of table 3 or of table 2."""
        assert parse_urc(b"+QPING: %d" % code) == PingCode(code)

    @pytest.mark.parametrize(
        ("rest", "urc"),
        [
            (b'0,"1.2.3.4",32,1,2', PingResultLine(0, "1.2.3.4", 32, 1, 2)),
            (b"1,,32,0,0", PingResultLine(1, None, 32, 0, 0)),
            (b"1,4,0,4,0,0,0", PingSummary(1, 4, 0, 4, 0, 0, 0)),
        ],
    )
    def test_replies_and_summaries(self, rest: bytes, urc: Urc) -> None:
        """Four numbers behind an address are a reply, six numbers a summary."""
        assert parse_urc(b"+QPING: " + rest) == urc

    @pytest.mark.parametrize(
        "rest", [b"", b"x", b"0,1.2.3.4,32,1", b"0,1.2.3.4,32,1,x", b"0,1,2,3,4", b"2,4,4,0,1,2,x"]
    )
    def test_other_shapes(self, rest: bytes) -> None:
        """Fields that are missing or no numbers make an unknown line."""
        assert parse_urc(b"+QPING: " + rest) is None


class TestNtp:
    """§2.2.9."""

    @pytest.mark.parametrize(
        ("line", "urc"),
        [
            (b"+QNTP: 1", NtpResult(1, None)),
            (b"+QNTP: 565", NtpResult(565, None)),
            (b'+QNTP: 2,""', NtpResult(2, None)),
            (b"+QNTF: 0,2018/04/20,11:08:20+32", NtpResult(0, "2018/04/20,11:08:20+32")),
        ],
    )
    def test_results(self, line: bytes, urc: Urc) -> None:
        """Failures have no time; the command has two names; quotes are optional."""
        assert parse_urc(line) == urc

    def test_no_code_is_no_result(self) -> None:
        """The answer to the test form is none."""
        assert parse_urc(b"+QNTP: (1-3),<server>") is None

    @pytest.mark.parametrize(
        ("text", "time"),
        [
            (
                "2018/04/20,11:08:20+32",
                datetime(2018, 4, 20, 11, 8, 20, tzinfo=timezone(timedelta(hours=8))),
            ),
            ("2018/04/20, 11:08:20 + 32", datetime(2018, 4, 20, 3, 8, 20, tzinfo=UTC)),
            ("18/4/20,11:08:20+8", datetime(2018, 4, 20, 9, 8, 20, tzinfo=UTC)),
            (" 2018/04/20,11:08:20-48 ", datetime(2018, 4, 20, 23, 8, 20, tzinfo=UTC)),
            ("2018/04/20,11:08:20+56", datetime(2018, 4, 19, 21, 8, 20, tzinfo=UTC)),
            ("2018/04/20,11:08:20+00", datetime(2018, 4, 20, 11, 8, 20, tzinfo=UTC)),
        ],
    )
    def test_times(self, text: str, time: datetime) -> None:
        """The digits are local time at an offset in quarters of an hour."""
        assert parse_ntp_time(text) == time

    def test_the_offset_is_kept(self) -> None:
        """The datetime is at the module's offset, not at UTC."""
        assert parse_ntp_time("2018/04/20,11:08:20-33").utcoffset() == timedelta(minutes=-495)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2018/04/20,11:08:20",
            "2018/04/20,11:08:20+57",
            "2018/04/20,11:08:20-49",
            "2018/13/20,11:08:20+32",
            "018/04/20,11:08:20+32",
            "2018/04/20,25:08:20+32",
            "2018/04/20,11:08:20+032",
            "٢018/04/20,11:08:20+32",
        ],
    )
    def test_what_is_no_time_is_an_error(self, text: str) -> None:
        """Another form, a number out of range, or no zone."""
        with pytest.raises(ValueError, match=r"time|range|must be in"):
            parse_ntp_time(text)


class TestOthers:
    """Lines that start with +QIURC and aren't in the note."""

    def test_a_context_that_went_down(self) -> None:
        """Relatives say so."""
        assert parse_urc(b'+QIURC: "pdpdeact",1') == PdpDeactivated(1)
        assert parse_urc(b'+QIURC: "pdpdeact",4') is None
        assert parse_urc(b'+QIURC: "pdpdeact"') is None

    @pytest.mark.parametrize("line", [b'+QIURC: "new",1', b"+QIURC:", b"+QIURC", b"", b":", b"OK"])
    def test_unknown_lines(self, line: bytes) -> None:
        """What isn't known is not a URC."""
        assert parse_urc(line) is None

    @pytest.mark.parametrize("line", [b"+DBGINFO:SIM", b"+LOWVBAT:2987", b"Quectel_BC65"])
    def test_lines_that_nobody_asked_for_and_nobody_needs(self, line: bytes) -> None:
        """They are unknown, which the caller logs."""
        assert parse_urc(line) is None


@pytest.mark.parametrize(
    ("line", "urc"),
    [
        (b"RDY", Restart("RDY")),
        (b"POWERED DOWN", PowerDown("POWERED DOWN")),
        (b"+QATWAKEUP", Wakeup()),
        (b"+CSCON: 1", SignallingState(connected=True)),
        (b"+CPIN: READY", SimState("READY")),
        (b"+CFUN: 0", RadioState(0)),
        (b"+IP: 10.1.2.3", AddressAssigned("10.1.2.3")),
        (b'+QNBIOTEVENT: "EXIT PSM"', SleepEvent("EXIT PSM")),
        (b"+CEREG: 5", Registration("CEREG", RegistrationStatus(5))),
    ],
)
def test_lines_beside_the_note_are_read_too(line: bytes, urc: Urc) -> None:
    """One entry point reads every URC."""
    assert parse_urc(line) == urc


@given(line=DAMAGED)
def test_no_line_raises(line: bytes) -> None:
    """Whatever arrives is a URC or it isn't."""
    urc = parse_urc(line)
    assert urc is None or isinstance(urc, Urc)


@given(line=DAMAGED)
def test_no_line_names_a_socket_that_cannot_be(line: bytes) -> None:
    """A connect ID that gets out is 0–5."""
    assert getattr(parse_urc(line), "connect_id", 0) in range(6)


@given(line=st.sampled_from(LINES), junk=st.text("\x00\xff", max_size=9))
def test_noise_before_a_line_never_matters(line: bytes, junk: str) -> None:
    """With NUL and 0xFF before it, a line means the same."""
    assert parse_urc(junk.encode("latin-1") + line) == parse_urc(line)


def test_every_class_is_exported() -> None:
    """So that programs and type checkers find each URC where its parser is."""
    for module in (signalling, urcs):
        made = {
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, signalling.Urc)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        }
        assert made <= set(getattr(module, "__all__", made))
