"""commands: every line of chapter 4, what is refused, then one class per command."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.spec import AccessMode, ConfigKey, QueryType, ServiceType, SocketState
from aiobc9x.wire.commands.tcpip import (
    Command,
    Qicfg,
    Qiclose,
    Qidnscfg,
    Qidnsgip,
    Qigeterror,
    Qiopen,
    Qird,
    Qisend,
    Qisendex,
    Qistate,
    Qiswtmd,
    Qntp,
    Qping,
    SocketStatus,
)

# Any: the results differ in type, and these tests look at lines alone.
AnyCommand = Command[Any]

EXAMPLES: list[tuple[str, AnyCommand]] = [
    (
        'AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,1234,0',
        Qiopen(1, 0, "TCP", "220.18.39.22", 8062, 1234, 0),
    ),
    ("AT+QISTATE=1,0", Qistate(QueryType.CONNECT_ID, 0)),
    ('AT+QISEND=0,10,"1234567890"', Qisend(0, 10, b"1234567890")),
    ('AT+QISENDEX=0,5,"3031323334"', Qisendex(0, 5, b"01234")),
    ("AT+QIRD=0,512", Qird(0, 512)),
    ('AT+QICFG="showlength",1', Qicfg(ConfigKey.SHOW_LENGTH, 1)),
    ("AT+QIRD=0,10", Qird(0, 10)),
    ('AT+QICFG="viewmode",1', Qicfg("viewmode", 1)),
    ('AT+QISEND=0,12,"012345678901"', Qisend(0, data=b"012345678901")),
    ("AT+QICLOSE=0", Qiclose(0)),
    (
        'AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,0,1',
        Qiopen(1, 0, ServiceType.TCP, "220.18.39.22", 8062, 0, AccessMode.PUSH),
    ),
    (
        'AT+QIOPEN=1,0,"TCP LISTENER","192.168.2.6",1,2020,0',
        Qiopen(1, 0, "TCP LISTENER", b"192.168.2.6", 1, 2020, 0),
    ),
    ("AT+QISTATE=0,1", Qistate(QueryType.CONTEXT_ID, 1)),
    ("AT+QIRD=1,512", Qird(1, 512)),
    ("AT+QICLOSE=1", Qiclose(1)),
    ('AT+QPING=1,"sh.quectel.com"', Qping(1, "sh.quectel.com")),
    ('AT+QNTP=1,"ntp5.aliyun.com"', Qntp(1, "ntp5.aliyun.com")),
    ("AT+QIGETERROR", Qigeterror()),
]
"""Every legal TCP/IP command line of chapter 4, byte for byte."""

FORMS: list[tuple[str, AnyCommand]] = [
    (
        'AT+QIOPEN=3,5,"UDP","example.com",65535,65535,1,1',
        Qiopen(3, 5, "UDP", "example.com", 65535, 65535, 1, 1),
    ),
    ('AT+QIOPEN=1,0,"TCP","example.com",1', Qiopen(1, 0, "TCP", b"example.com", 1)),
    ("AT+QISTATE?", Qistate()),
    ("AT+QISEND=5", Qisend(5)),
    ("AT+QISEND=5,1440", Qisend(5, 1440)),
    ("AT+QISENDEX=5", Qisendex(5)),
    ("AT+QISENDEX=5,1440", Qisendex(5, 1440)),
    ('AT+QISENDEX=5,2,"00FF"', Qisendex(5, data=b"\x00\xff")),
    ("AT+QIRD=5,1024", Qird(5)),
    ("AT+QISWTMD=5,1", Qiswtmd(5, AccessMode.PUSH)),
    ('AT+QPING=1,"1.2.3.4",255,10,200', Qping(1, "1.2.3.4", 255, 10, 200)),
    ('AT+QPING=1,"1.2.3.4",1', Qping(1, "1.2.3.4", 1)),
    ('AT+QNTP=1,"1.2.3.4",123,1', Qntp(1, "1.2.3.4", 123, 1)),
    ('AT+QIDNSGIP=1,"example.com"', Qidnsgip(1, "example.com")),
    ('AT+QIDNSGIP=1,"' + "a" * 253 + '"', Qidnsgip(1, "a" * 253)),
    ('AT+QICFG="dataformat"', Qicfg("dataformat")),
    ('AT+QICFG="dataformat",0,1', Qicfg("dataformat", 0, 1)),
    ('AT+QICFG="open_time",36', Qicfg(ConfigKey.OPEN_TIME, 36)),
    ("AT+QIDNSCFG?", Qidnscfg()),
    ('AT+QIDNSCFG="8.8.8.8"', Qidnscfg("8.8.8.8")),
    ('AT+QIDNSCFG="8.8.8.8","2001:db8::1"', Qidnscfg("8.8.8.8", "2001:db8::1")),
]
"""The other forms of chapter 2, at the ends of their ranges."""


@pytest.mark.parametrize(("line", "command"), EXAMPLES + FORMS)
def test_lines(line: str, command: AnyCommand) -> None:
    """The line is as the note prints it; AT+QIGETERROR explains its errors."""
    assert command.encode() == line.encode() + b"\r"
    assert command.text == line
    assert command.tcpip
    assert command.max_response_time == 0.3


# Any: a wrong value has any type.
REFUSED: list[tuple[str, Callable[[], Any]]] = [
    ("context_id", lambda: Qiopen(0, 0, "TCP", "h", 1)),
    ("context_id", lambda: Qiopen(4, 0, "TCP", "h", 1)),
    ("connect_id", lambda: Qiopen(1, 6, "TCP", "h", 1)),
    ("connect_id", lambda: Qiopen(1, -1, "TCP", "h", 1)),
    ("service_type", lambda: Qiopen(1, 0, "SCTP", "h", 1)),
    ("host", lambda: Qiopen(1, 0, "TCP", "", 1)),
    ("host", lambda: Qiopen(1, 0, "TCP", "h" * 51, 1)),
    ("remote_port", lambda: Qiopen(1, 0, "TCP", "h", 0)),
    ("remote_port", lambda: Qiopen(1, 0, "TCP", "h", 65536)),
    ("local_port", lambda: Qiopen(1, 0, "TCP", "h", 1, 65536)),
    ("local_port", lambda: Qiopen(1, 0, "TCP", "h", 1, None, 0)),
    ("access_mode", lambda: Qiopen(1, 0, "TCP", "h", 1, 0, 2)),
    ("access_mode", lambda: Qiopen(1, 0, "TCP", "h", 1, 0, None, 0)),
    ("protocol_type", lambda: Qiopen(1, 0, "TCP", "h", 1, 0, 0, 2)),
    ("connect_id", lambda: Qiclose(6)),
    ("query_type", lambda: Qistate(2, 0)),
    ("query_type", lambda: Qistate(None, 0)),
    ("query_type", lambda: Qistate(0)),
    ("value", lambda: Qistate(QueryType.CONTEXT_ID, 0)),
    ("value", lambda: Qistate(QueryType.CONNECT_ID, 6)),
    ("connect_id", lambda: Qisend(6)),
    ("send_length", lambda: Qisend(0, 0)),
    ("send_length", lambda: Qisend(0, 1441)),
    ("send_length", lambda: Qisend(0, 3, b"ab")),
    ("data", lambda: Qisend(0, data=b"")),
    ("data", lambda: Qisend(0, data=b"a" * 1441)),
    ("data", lambda: Qisend(0, data=b'"')),
    ("data", lambda: Qisend(0, data=b"\r")),
    ("connect_id", lambda: Qisendex(6)),
    ("send_length", lambda: Qisendex(0, 1441)),
    ("send_length", lambda: Qisendex(0, 4, b"ab")),
    ("data", lambda: Qisendex(0, data=b"")),
    ("data", lambda: Qisendex(0, data=b"a" * 1441)),
    ("connect_id", lambda: Qird(6)),
    ("read_length", lambda: Qird(0, 0)),
    ("read_length", lambda: Qird(0, 1025)),
    ("access_mode", lambda: Qiswtmd(0, 2)),
    ("connect_id", lambda: Qiswtmd(6, 0)),
    ("context_id", lambda: Qping(4, "h")),
    ("host", lambda: Qping(1, 'h"')),
    ("timeout", lambda: Qping(1, "h", 256)),
    ("timeout", lambda: Qping(1, "h", None, 1)),
    ("count", lambda: Qping(1, "h", 1, 11)),
    ("size_bytes", lambda: Qping(1, "h", 1, 1, 31)),
    ("size_bytes", lambda: Qping(1, "h", 1, 1, 201)),
    ("context_id", lambda: Qntp(4, "h")),
    ("server", lambda: Qntp(1, "")),
    ("port", lambda: Qntp(1, "h", 0)),
    ("auto_set_time", lambda: Qntp(1, "h", 123, 2)),
    ("context_id", lambda: Qidnsgip(0, "h")),
    ("host", lambda: Qidnsgip(1, "h" * 254)),
    ("key", lambda: Qicfg("passiveclosed")),
    ("value", lambda: Qicfg("dataformat", 1, 0)),
    ("value2", lambda: Qicfg("dataformat", 0, 2)),
    ("value and value2", lambda: Qicfg("dataformat", 0)),
    ("value and value2", lambda: Qicfg("dataformat", None, 0)),
    ("value and value2", lambda: Qicfg("viewmode", 0, 0)),
    ("value", lambda: Qicfg("viewmode", 2)),
    ("value", lambda: Qicfg("showlength", 2)),
    ("value", lambda: Qicfg("open_time", 0)),
    ("value", lambda: Qicfg("open_time", 37)),
    ("primary", lambda: Qidnscfg("dns.example")),
    ("primary", lambda: Qidnscfg(None, "8.8.8.8")),
    ("secondary", lambda: Qidnscfg("8.8.8.8", "")),
]
"""What is out of range, and the argument that the message must begin with."""


@pytest.mark.parametrize(("argument", "make"), REFUSED)
def test_out_of_range(argument: str, make: Callable[[], AnyCommand]) -> None:
    """A value that the note excludes is refused by name, before a byte is sent."""
    with pytest.raises(ValueError, match=rf"^{argument} "):
        make()


class TestQiopen:
    """§2.2.1."""

    @pytest.mark.parametrize(
        ("service_type", "message"),
        [
            ("UDP SERVICE", r"not supported by the module \(§2.2.1, note 1\); open \"UDP\""),
            (ServiceType.TCP_INCOMING, r"is what a listener accepts .*open \"TCP LISTENER\""),
        ],
    )
    def test_services_that_cannot_be_opened(self, service_type: str, message: str) -> None:
        """The message gives the note's reason and a way out."""
        with pytest.raises(ValueError, match=message):
            Qiopen(1, 0, service_type, "h", 1)

    @pytest.mark.parametrize("local_port", [None, 0])
    def test_a_listener_needs_a_local_port(self, local_port: int | None) -> None:
        """The module can't choose it."""
        with pytest.raises(ValueError, match=r"^local_port .*1 to 65535"):
            Qiopen(1, 0, "TCP LISTENER", "10.0.0.1", 1, local_port)

    @pytest.mark.parametrize("port", [1000, 1500])
    def test_ports_to_avoid_are_no_error(self, port: int) -> None:
        """The note's own example uses 1234."""
        assert b",%d\r" % port in Qiopen(1, 0, "TCP", "h", 1, port).encode()

    def test_its_result_is_a_urc(self) -> None:
        """``+QIOPEN: 0,0`` comes in its own time."""
        assert not Qiopen(1, 0, "TCP", "h", 1).claims(b"+QIOPEN: 0,0")


class TestQistate:
    """§2.2.3."""

    @pytest.mark.parametrize(
        ("line", "row"),
        [
            (
                b'+QISTATE: 0,"TCP","220.18.39.22",8062,1234,2,1,0',
                SocketStatus(
                    0,
                    ServiceType.TCP,
                    "220.18.39.22",
                    8062,
                    1234,
                    SocketState.CONNECTED,
                    1,
                    AccessMode.BUFFER,
                ),
            ),
            (
                b'+QISTATE: 0,"TCP","220.18.39.22",8062,0,2,1,1',
                SocketStatus(
                    0,
                    ServiceType.TCP,
                    "220.18.39.22",
                    8062,
                    0,
                    SocketState.CONNECTED,
                    1,
                    AccessMode.PUSH,
                ),
            ),
            (
                b'+QISTATE: 0,"TCP LISTENER","192.168.2.6",1,2020,2,1,0',
                SocketStatus(
                    0,
                    ServiceType.TCP_LISTENER,
                    "192.168.2.6",
                    1,
                    2020,
                    SocketState.CONNECTED,
                    1,
                    AccessMode.BUFFER,
                ),
            ),
            (
                b'+QISTATE:5,"TCP incoming","10.0.0.1",1,2,3,1,0',
                SocketStatus(
                    5,
                    ServiceType.TCP_INCOMING,
                    "10.0.0.1",
                    1,
                    2,
                    SocketState.CLOSING,
                    1,
                    AccessMode.BUFFER,
                ),
            ),
            (
                b'+QISTATE: 0,"TCP","220.180.239.201",8705,65514,2,1,0,1,"uart1"',
                SocketStatus(
                    0,
                    ServiceType.TCP,
                    "220.180.239.201",
                    8705,
                    65514,
                    SocketState.CONNECTED,
                    1,
                    AccessMode.PUSH,
                ),
            ),
            (
                b'+QISTATE: 0,"SCTP","a name",1,2,9,1,7',
                SocketStatus(0, "SCTP", "a name", 1, 2, 9, 1, 7),
            ),
        ],
    )
    def test_rows(self, line: bytes, row: SocketStatus) -> None:
        """Those of chapter 4, of relatives, and with values that the note doesn't list."""
        assert Qistate().parse([line]) == (row,)

    def test_known_values_are_members(self) -> None:
        """What the note lists comes as its enumeration."""
        (row,) = Qistate().parse([b'+QISTATE: 0,"udp","1.1.1.1",1,2,4,1,1'])
        assert (row.service_type, row.socket_state, row.access_mode) == (
            ServiceType.UDP,
            SocketState.REMOTE_CLOSING,
            AccessMode.PUSH,
        )
        assert isinstance(row.socket_state, SocketState)
        assert isinstance(row.service_type, ServiceType)

    def test_any_number_of_rows(self) -> None:
        """None at all after a power cycle, six at most."""
        lines = [b'+QISTATE: %d,"TCP","1.1.1.1",1,2,2,1,0' % at for at in range(6)]
        assert Qistate().parse([]) == ()
        assert [row.connect_id for row in Qistate().parse(lines)] == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize(
        "line",
        [
            b'+QISTATE: 6,"TCP","1.1.1.1",1,2,2,1,0',
            b'+QISTATE: 0,"TCP","1.1.1.1",1,2,2,1',
            b'+QISTATE: 0,"TCP","1.1.1.1",1,2,x,1,0',
            b'+QISTATE: 0,"TCP","1.1.1.1",-1,2,2,1,0',
            b"+QISTATE:",
        ],
    )
    def test_a_damaged_row_spoils_the_answer(self, line: bytes) -> None:
        """A table with a hole would show a live socket as free."""
        with pytest.raises(UnexpectedAnswer, match=r"a row is damaged"):
            Qistate().parse([b'+QISTATE: 1,"TCP","1.1.1.1",1,2,2,1,0', line])

    def test_rows_are_claimed(self) -> None:
        """Nothing else is."""
        assert Qistate().claims(b'+QISTATE: 0,"TCP"')
        assert not Qistate().claims(b'+QIURC: "closed",0')


class TestSend:
    """§2.2.4, §2.2.5."""

    @pytest.mark.parametrize("command", [Qisend(0), Qisend(0, 5), Qisendex(0), Qisendex(0, 5)])
    def test_data_mode_has_a_prompt(self, command: Qisend | Qisendex) -> None:
        """Without data on the line, the module asks for them."""
        assert command.needs_prompt

    @pytest.mark.parametrize("command", [Qisend(0, data=b"1"), Qisendex(0, data=b"1")])
    def test_the_inline_form_has_none(self, command: Qisend | Qisendex) -> None:
        """The data are on the line."""
        assert not command.needs_prompt

    def test_the_longest_inline_sends(self) -> None:
        """1440 bytes, which are 2880 digits."""
        assert len(Qisend(0, data=b"a" * 1440).encode()) == len('AT+QISEND=0,1440,""\r') + 1440
        assert len(Qisendex(0, data=b"a" * 1440).encode()) == len('AT+QISENDEX=0,1440,""\r') + 2880

    def test_data_that_cannot_stand_inline_have_another_way(self) -> None:
        """The message names both."""
        with pytest.raises(ValueError, match=r"^data must be printable.*after the prompt, or with"):
            Qisend(0, data=b"\x00")

    def test_payloads_stay_out_of_the_repr(self) -> None:
        """A log must not carry them."""
        assert "secret" not in repr(Qisend(0, data=b"secret"))
        assert repr(Qisendex(0, data=b"\x01")) == "Qisendex(connect_id=0, send_length=None)"

    @given(data=st.binary(min_size=1, max_size=1440))
    def test_hex_carries_every_byte(self, data: bytes) -> None:
        """The digits decode to the data, the length counts bytes."""
        head, length, digits = Qisendex(2, data=data).encode()[:-1].split(b",")
        assert head == b"AT+QISENDEX=2"
        assert int(length) == len(data)
        assert bytes.fromhex(digits[1:-1].decode()) == data


class TestQird:
    """§2.2.6."""

    @pytest.mark.parametrize("line", [b"+QIRD: 0", b"+QIRD:0", b"+QIRD: 0,0", b"+QIRD: 0 "])
    def test_nothing_to_read(self, line: bytes) -> None:
        """The line of an empty buffer, with or without the remaining length."""
        assert Qird(0).claims(line)
        assert Qird(0).parse([line]) == 0

    @pytest.mark.parametrize(
        "line", [b"+QIRD: 10,2", b"+QIRD: 01", b"+QIRD: (0-5),(1-1024)", b"OK", b"+QIRD:\r0"]
    )
    def test_other_lines_are_not_claimed(self, line: bytes) -> None:
        """Headers of payloads are no lines."""
        assert not Qird(0).claims(line)

    def test_an_answer_without_any_line_is_no_empty_buffer(self) -> None:
        """After an overrun of the link, ``OK`` comes alone; bytes are missing then."""
        with pytest.raises(UnexpectedAnswer, match=r"neither data nor '\+QIRD: 0'"):
            Qird(0).parse([])


class TestQicfg:
    """§2.2.11."""

    @pytest.mark.parametrize(
        ("command", "lines", "values"),
        [
            (Qicfg("showlength", 1), [b'+QICFG: "showlength",1'], (1,)),
            (Qicfg("viewmode", 1), [b'+QICFG: "viewmode",1'], (1,)),
            (Qicfg("dataformat"), [b'+QICFG: "dataformat",0,1'], (0, 1)),
            (Qicfg("open_time"), [b"+QICFG:open_time,36"], (36,)),
            (Qicfg("open_time", 36), [], ()),
            (Qicfg("viewmode"), [b'+QICFG: "dataformat",0,1', b'+QICFG: "viewmode",0'], (0,)),
        ],
    )
    def test_values(self, command: Qicfg, lines: list[bytes], values: tuple[int, ...]) -> None:
        """A write may be answered by ``OK`` alone, as relatives do."""
        assert command.parse(lines) == values

    @pytest.mark.parametrize(
        "line",
        [b'+QICFG: "viewmode"', b'+QICFG: "viewmode",x', b'+QICFG: "showlength",1', b"+QICFG:"],
    )
    def test_an_answer_without_the_value(self, line: bytes) -> None:
        """Another key, or no number."""
        with pytest.raises(UnexpectedAnswer, match=r"no value of viewmode"):
            Qicfg("viewmode").parse([line])

    def test_the_message_says_how_many_values_there_are(self) -> None:
        """``dataformat`` has two."""
        with pytest.raises(ValueError, match=r"dataformat takes 2, or none to read"):
            Qicfg("dataformat", 0)


class TestQigeterror:
    """§2.2.12."""

    @pytest.mark.parametrize(
        ("line", "result"),
        [
            (b"+QIGETERROR: 552,invalid parameters", (552, "invalid parameters")),
            (b"+QIGETERROR:558,Socket write failed", (558, "Socket write failed")),
            (b'+QIGETERROR: 0, "Operation successful"', (0, "Operation successful")),
            (b"+QIGETERROR: 566", (566, "")),
            (b"+QIGETERROR: 550,a, b", (550, "a, b")),
        ],
    )
    def test_results(self, line: bytes, result: tuple[int, str]) -> None:
        """Space, quotes and text are optional."""
        assert Qigeterror().parse([line]) == result

    @pytest.mark.parametrize("lines", [[], [b"+QIGETERROR: x,y"]])
    def test_no_code(self, lines: list[bytes]) -> None:
        """Without a number there is no result."""
        with pytest.raises(UnexpectedAnswer, match=r"no error code"):
            Qigeterror().parse(lines)


class TestQidnscfg:
    """§2.2.13."""

    @pytest.mark.parametrize(
        ("lines", "servers"),
        [
            ([b'+QIDNSCFG: "218.2.2.2","8.8.8.8"'], ("218.2.2.2", "8.8.8.8")),
            ([b"+QIDNSCFG: 218.2.2.2"], ("218.2.2.2",)),
            ([b'+QIDNSCFG: "218.2.2.2",""'], ("218.2.2.2",)),
            ([b"+QIDNSCFG:"], ()),
            ([], ()),
        ],
    )
    def test_servers(self, lines: list[bytes], servers: tuple[str, ...]) -> None:
        """One or two, with or without quotes; none after a write."""
        assert Qidnscfg().parse(lines) == servers


class TestDeferredResults:
    """Results that come as URCs are never part of an answer."""

    @pytest.mark.parametrize(("line", "command"), EXAMPLES + FORMS)
    def test_urcs_are_not_claimed(self, line: str, command: AnyCommand) -> None:
        """Whichever command is in flight."""
        for urc in (
            b"+QIOPEN: 0,0",
            b"+QPING: 0,220.18.29.21,32,192,255",
            b"+QPING: 2,4,4,0,192,479,287",
            b'+QNTP: 0,"2018/04/20,11:08:20+32"',
            b'+QIURC: "recv",0',
            b'+QIURC: "dnsgip",0,2,300',
            b"SEND OK",
            b"CLOSE OK",
            b"+CPIN: READY",
        ):
            assert not command.claims(urc), line

    @pytest.mark.parametrize(
        "command",
        [
            Qiopen(1, 0, "TCP", "h", 1),
            Qiclose(0),
            Qisend(0, 1),
            Qisendex(0, 1),
            Qiswtmd(0, 0),
            Qping(1, "h"),
            Qntp(1, "h"),
            Qidnsgip(1, "h"),
        ],
    )
    def test_commands_without_information_give_nothing(self, command: AnyCommand) -> None:
        """Their answer is the final result."""
        assert command.parse([]) is None
        assert command.parse([b"\xff"]) is None
