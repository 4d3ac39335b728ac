"""Every number, enumeration and code table of the application note.

Layer: spec. Imports the standard library alone; § cites the BC65&BC92 TCP/IP
application note V1.0 ("the note"). Host limits that the note does not state are
marked as ours.
"""

from __future__ import annotations

import enum
from typing import Final

CONNECT_IDS: Final = range(6)
"""``<connectID>``, 0–5, shared by clients, listeners and incoming (§2.2.1)."""

CONTEXT_IDS: Final = range(1, 4)
"""``<contextID>``, 1–3 (§2.2.1)."""

PORTS: Final = range(1, 65536)
"""``<remote_port>``, and ``<local_port>`` where it is not 0 (§2.2.1)."""

LOCAL_PORTS: Final = range(65536)
"""``<local_port>``; 0 lets the module choose (§2.2.1)."""

DISCOURAGED_LOCAL_PORTS: Final = range(1000, 1501)
"""Local ports to avoid (§2.2.1, note 4)."""

LOCAL_PORT_QUARANTINE_S: Final = 120
"""Seconds before a fixed local port may be used again (§2.2.1, note 5)."""

DOMAIN_NAME_MAX_BYTES: Final = 50
"""Longest ``<domain_name>`` (§2.2.1)."""

DNS_ADDRESS_MAX_BYTES: Final = 50
"""Longest DNS server address (§2.2.13)."""

SEND_LENGTHS: Final = range(1, 1441)
"""``<send_length>`` in bytes; the maximum is stated in §2.2.4."""

SEND_MAX_BYTES: Final = 1440
"""Most bytes of one AT+QISEND or AT+QISENDEX (§2.2.4, §2.2.5)."""

READ_LENGTHS: Final = range(1, 1025)
"""``<read_length>`` in bytes (§2.2.6)."""

READ_MAX_BYTES: Final = 1024
"""Most bytes of one AT+QIRD (§2.2.6)."""

PUSH_MAX_BYTES: Final = 4096
"""Longest pushed payload that we frame. Ours: the note states no limit (§2.3.2)."""

LINE_MAX_BYTES: Final = 4096
"""Longest answer line that we frame. Ours: the note states no limit."""

PING_TIMEOUTS_S: Final = range(1, 256)
"""``<time_out>`` of AT+QPING in seconds, 4 by default (§2.2.8)."""

PING_COUNTS: Final = range(1, 11)
"""``<ping_num>``, 4 by default (§2.2.8)."""

PING_SIZES: Final = range(32, 201)
"""``<ping_size>`` in bytes, 32 by default (§2.2.8)."""

OPEN_TIMES_S: Final = range(1, 37)
"""``<open_time>`` in seconds (§2.2.11)."""

OPEN_TIME_DEFAULT_S: Final = 36
"""``<open_time>`` after boot and after deep sleep (§2.2.11)."""

NAME_RESOLUTION_S: Final = 140
"""What a domain name adds to ``<open_time>`` (§2.2.1, note 2)."""

TIME_ZONES_QUARTERS: Final = range(-48, 57)
"""``zz`` of a network time, in quarters of an hour (§2.2.9)."""

MAX_RESPONSE_TIME_S: Final = 0.3
"""Maximum response time of every command of the note (chapter 2)."""

CLOSE_TIME_S: Final = 10
"""``CLOSE OK`` may take this long (§4.3.4)."""

CTRL_Z: Final = b"\x1a"
"""Sends the data of a variable-length send (§2.2.4)."""

ESC: Final = b"\x1b"
"""Cancels a variable-length send (§2.2.4)."""


class AccessMode(enum.IntEnum):
    """``<access_mode>``: how received data reaches the host (§1.2)."""

    BUFFER = 0
    PUSH = 1


class ServiceType(enum.StrEnum):
    """``<service_type>`` (§2.2.1, §2.2.3)."""

    TCP = "TCP"
    UDP = "UDP"
    TCP_LISTENER = "TCP LISTENER"
    TCP_INCOMING = "TCP INCOMING"
    UDP_SERVICE = "UDP SERVICE"


class ProtocolType(enum.IntEnum):
    """``<protocol_type>`` (§2.2.1)."""

    IPV4 = 0
    IPV6 = 1


class SocketState(enum.IntEnum):
    """``<socket_state>`` (§2.2.3)."""

    IDLE = 0
    CONNECTING = 1
    CONNECTED = 2
    CLOSING = 3
    REMOTE_CLOSING = 4
    CLOSED = 5


class QueryType(enum.IntEnum):
    """``<query_type>`` of AT+QISTATE (§2.2.3)."""

    CONTEXT_ID = 0
    CONNECT_ID = 1


class DataFormat(enum.IntEnum):
    """``<send_data_format>`` and ``<recv_data_format>`` (§2.2.11)."""

    TEXT = 0
    HEX = 1


class ViewMode(enum.IntEnum):
    """``<view_mode>``: what stands between a header and its data (§2.2.11)."""

    CRLF = 0
    COMMA = 1


class ConfigKey(enum.StrEnum):
    """The four keys of AT+QICFG (§2.2.11)."""

    DATA_FORMAT = "dataformat"
    VIEW_MODE = "viewmode"
    SHOW_LENGTH = "showlength"
    OPEN_TIME = "open_time"


class Err(enum.IntEnum):
    """``<err>`` codes (table 2)."""

    OK = 0
    UNKNOWN = 550
    BLOCKED = 551
    INVALID_PARAMETERS = 552
    NO_MEMORY = 553
    CREATE_FAILED = 554
    NOT_SUPPORTED = 555
    BIND_FAILED = 556
    LISTEN_FAILED = 557
    WRITE_FAILED = 558
    READ_FAILED = 559
    ACCEPT_FAILED = 560
    OPEN_PDP_FAILED = 561
    CLOSE_PDP_FAILED = 562
    IDENTITY_IN_USE = 563
    DNS_BUSY = 564
    DNS_FAILED = 565
    CONNECT_FAILED = 566
    SOCKET_CLOSED = 567
    BUSY = 568
    TIMEOUT = 569
    PDP_BROKEN = 570
    SEND_CANCELLED = 571
    NOT_ALLOWED = 572
    NO_APN = 573
    PORT_BUSY = 574


ERR_TEXT: Final[dict[int, str]] = {
    Err.OK: "Operation successful",
    Err.UNKNOWN: "Unknown error",
    Err.BLOCKED: "Operation blocked",
    Err.INVALID_PARAMETERS: "Invalid parameters",
    Err.NO_MEMORY: "Memory not enough",
    Err.CREATE_FAILED: "Create socket failed",
    Err.NOT_SUPPORTED: "Operation not supported",
    Err.BIND_FAILED: "Socket bind failed",
    Err.LISTEN_FAILED: "Socket listen failed",
    Err.WRITE_FAILED: "Socket write failed",
    Err.READ_FAILED: "Socket read failed",
    Err.ACCEPT_FAILED: "Socket accept failed",
    Err.OPEN_PDP_FAILED: "Open PDP context failed",
    Err.CLOSE_PDP_FAILED: "Close PDP context failed",
    Err.IDENTITY_IN_USE: "Socket identity has been used",
    Err.DNS_BUSY: "DNS busy",
    Err.DNS_FAILED: "DNS parse failed",
    Err.CONNECT_FAILED: "Socket connect failed",
    Err.SOCKET_CLOSED: "Socket has been closed",
    Err.BUSY: "Operation busy",
    Err.TIMEOUT: "Operation timeout",
    Err.PDP_BROKEN: "PDP context broken down",
    Err.SEND_CANCELLED: "Cancel send",
    Err.NOT_ALLOWED: "Operation not allowed",
    Err.NO_APN: "APN not configured",
    Err.PORT_BUSY: "Port busy",
}
"""Description of each ``<err>`` code, as table 2 prints it."""


class PingResult(enum.IntEnum):
    """``<result>`` and ``<finresult>`` of AT+QPING (table 3)."""

    ECHO = 0
    TIMEOUT = 1
    SUCCESS = 2
    TCPIP_ERROR = 3
    ADDRESS_NOT_FOUND = 4
    PDP_ACT_FAIL = 5


PING_TEXT: Final[dict[int, str]] = {
    PingResult.ECHO: "PING_ECHO",
    PingResult.TIMEOUT: "PING_TIMEOUT",
    PingResult.SUCCESS: "PING_SUCCESS",
    PingResult.TCPIP_ERROR: "PING_TCPIP_ERROR",
    PingResult.ADDRESS_NOT_FOUND: "PING_ADDRESS_NOT_FOUND",
    PingResult.PDP_ACT_FAIL: "PING_PDP_ACT_FAIL",
}
"""Description of each ping result, as table 3 prints it."""


class NtpErr(enum.IntEnum):
    """``<NTP_err>`` (table 4)."""

    OK = 0
    ERROR = 1
    NO_REPLY = 2
    BUSY = 3
    DNS_ERROR = 4
    BEARER_FAIL = 5


NTP_TEXT: Final[dict[int, str]] = {
    NtpErr.OK: "APP_NTP_OK",
    NtpErr.ERROR: "APP_NTP_ERROR",
    NtpErr.NO_REPLY: "APP_NTP_NO_REPLY",
    NtpErr.BUSY: "APP_NTP_ERROR_BUSY",
    NtpErr.DNS_ERROR: "APP_NTP_DNS_ERROR",
    NtpErr.BEARER_FAIL: "APP_NTP_BEARER_FAIL",
}
"""Description of each NTP result, as table 4 prints it."""


CME_TEXT: Final[dict[int, str]] = {
    3: "operation not allowed",
    4: "operation not supported",
    5: "PH-SIM PIN required",
    6: "PH-FSIM PIN required",
    7: "PH-FSIM PUK required",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    17: "SIM PIN2 required",
    18: "SIM PUK2 required",
    30: "no network service",
    31: "network timeout",
    40: "network personalization PIN required",
    41: "network personalization PUK required",
    42: "network subset personalization PIN required",
    43: "network subset personalization PUK required",
    44: "service provider personalization PIN required",
    45: "service provider personalization PUK required",
    46: "corporate personalization PIN required",
    47: "corporate personalization PUK required",
    50: "incorrect parameters",
    100: "unknown",
    148: "unspecified packet service error",
    149: "PDP authentication failure",
    262: "SIM blocked",
}
"""Meaning of the ``+CME ERROR`` codes that a gateway meets (27.007, 9.2)."""


EMM_CAUSE_TEXT: Final[dict[int, str]] = {
    2: "IMSI unknown in HSS",
    3: "illegal UE",
    5: "IMEI not accepted",
    6: "illegal ME",
    7: "EPS services not allowed",
    8: "EPS and non-EPS services not allowed",
    9: "UE identity cannot be derived by the network",
    10: "implicitly detached",
    11: "PLMN not allowed",
    12: "tracking area not allowed",
    13: "roaming not allowed in this tracking area",
    14: "EPS services not allowed in this PLMN",
    15: "no suitable cells in tracking area",
    16: "MSC temporarily not reachable",
    17: "network failure",
    18: "CS domain not available",
    19: "ESM failure",
    20: "MAC failure",
    21: "synch failure",
    22: "congestion",
    23: "UE security capabilities mismatch",
    24: "security mode rejected",
    25: "not authorized for this CSG",
    26: "non-EPS authentication unacceptable",
    31: "redirection to 5GCN required",
    35: "requested service option not authorized in this PLMN",
    39: "CS service temporarily not available",
    40: "no EPS bearer context activated",
    42: "severe network failure",
    95: "semantically incorrect message",
    96: "invalid mandatory information",
    97: "message type unknown",
    98: "message type not compatible with the state",
    99: "information element unknown",
    100: "conditional element error",
    101: "message not compatible with the state",
    111: "protocol error",
}
"""Meaning of ``<reject_cause>`` of AT+CEREG for ``<cause_type>`` 0 (24.301, annex A).

Those of AT+CGREG and AT+CREG have the same numbers (24.008, annex G).
"""
