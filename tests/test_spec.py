"""spec: the numbers and tables of the note, written down a second time."""

import enum

import pytest

from aiobc9x import spec

ERR = """\
0 Operation successful
550 Unknown error
551 Operation blocked
552 Invalid parameters
553 Memory not enough
554 Create socket failed
555 Operation not supported
556 Socket bind failed
557 Socket listen failed
558 Socket write failed
559 Socket read failed
560 Socket accept failed
561 Open PDP context failed
562 Close PDP context failed
563 Socket identity has been used
564 DNS busy
565 DNS parse failed
566 Socket connect failed
567 Socket has been closed
568 Operation busy
569 Operation timeout
570 PDP context broken down
571 Cancel send
572 Operation not allowed
573 APN not configured
574 Port busy"""

PING = """\
0 PING_ECHO
1 PING_TIMEOUT
2 PING_SUCCESS
3 PING_TCPIP_ERROR
4 PING_ADDRESS_NOT_FOUND
5 PING_PDP_ACT_FAIL"""

NTP = """\
0 APP_NTP_OK
1 APP_NTP_ERROR
2 APP_NTP_NO_REPLY
3 APP_NTP_ERROR_BUSY
4 APP_NTP_DNS_ERROR
5 APP_NTP_BEARER_FAIL"""


@pytest.mark.parametrize(
    ("table", "codes", "text"),
    [
        (spec.ERR_TEXT, spec.Err, ERR),
        (spec.PING_TEXT, spec.PingResult, PING),
        (spec.NTP_TEXT, spec.NtpErr, NTP),
    ],
)
def test_tables(table: dict[int, str], codes: type[enum.IntEnum], text: str) -> None:
    """Tables 2, 3 and 4, code by code."""
    assert [f"{int(code)} {words}" for code, words in table.items()] == text.splitlines()
    assert [int(code) for code in codes] == list(table)


@pytest.mark.parametrize(
    ("allowed", "first", "last"),
    [
        (spec.CONNECT_IDS, 0, 5),
        (spec.CONTEXT_IDS, 1, 3),
        (spec.PORTS, 1, 65535),
        (spec.LOCAL_PORTS, 0, 65535),
        (spec.DISCOURAGED_LOCAL_PORTS, 1000, 1500),
        (spec.SEND_LENGTHS, 1, 1440),
        (spec.READ_LENGTHS, 1, 1024),
        (spec.PING_TIMEOUTS_S, 1, 255),
        (spec.PING_COUNTS, 1, 10),
        (spec.PING_SIZES, 32, 200),
        (spec.OPEN_TIMES_S, 1, 36),
        (spec.TIME_ZONES_QUARTERS, -48, 56),
    ],
)
def test_ranges(allowed: range, first: int, last: int) -> None:
    """Both ends of each range of chapter 2 are in it, and their neighbours aren't."""
    assert first in allowed
    assert last in allowed
    assert first - 1 not in allowed
    assert last + 1 not in allowed


@pytest.mark.parametrize(
    ("value", "stated"),
    [
        (spec.DOMAIN_NAME_MAX_BYTES, 50),
        (spec.DNS_ADDRESS_MAX_BYTES, 50),
        (spec.SEND_MAX_BYTES, 1440),
        (spec.READ_MAX_BYTES, 1024),
        (spec.LOCAL_PORT_QUARANTINE_S, 120),
        (spec.OPEN_TIME_DEFAULT_S, 36),
        (spec.NAME_RESOLUTION_S, 140),
        (spec.MAX_RESPONSE_TIME_S, 0.3),
        (spec.CLOSE_TIME_S, 10),
        (spec.CTRL_Z, b"\x1a"),
        (spec.ESC, b"\x1b"),
    ],
)
def test_values(value: object, stated: object) -> None:
    """Single numbers and bytes of chapter 2."""
    assert value == stated


@pytest.mark.parametrize(
    ("members", "values"),
    [
        (spec.AccessMode, {"BUFFER": 0, "PUSH": 1}),
        (spec.ProtocolType, {"IPV4": 0, "IPV6": 1}),
        (spec.QueryType, {"CONTEXT_ID": 0, "CONNECT_ID": 1}),
        (spec.DataFormat, {"TEXT": 0, "HEX": 1}),
        (spec.ViewMode, {"CRLF": 0, "COMMA": 1}),
        (
            spec.SocketState,
            {
                "IDLE": 0,
                "CONNECTING": 1,
                "CONNECTED": 2,
                "CLOSING": 3,
                "REMOTE_CLOSING": 4,
                "CLOSED": 5,
            },
        ),
        (
            spec.ServiceType,
            {
                "TCP": "TCP",
                "UDP": "UDP",
                "TCP_LISTENER": "TCP LISTENER",
                "TCP_INCOMING": "TCP INCOMING",
                "UDP_SERVICE": "UDP SERVICE",
            },
        ),
        (
            spec.ConfigKey,
            {
                "DATA_FORMAT": "dataformat",
                "VIEW_MODE": "viewmode",
                "SHOW_LENGTH": "showlength",
                "OPEN_TIME": "open_time",
            },
        ),
    ],
)
def test_enumerations(members: type[enum.Enum], values: dict[str, object]) -> None:
    """Every value of a parameter has a name, and no other has."""
    assert {member.name: member.value for member in members} == values
