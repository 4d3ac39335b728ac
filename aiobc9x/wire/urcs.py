"""Read URCs: the lines that the module prints unasked (§2.3), and results that follow an ``OK``.

Layer: wire. Does no I/O, reads no clock.

:func:`parse_urc` never raises. A line whose name is unknown, or whose numbers are out of
range, is not a URC; the caller then decides what the line is. Firmwares append fields that
the note doesn't have, so one more field is ignored if it is a number or a whole string (F7).
The framer has taken out pushed data (§2.3.2) before this module sees a line. A ``"recv"``
line here therefore belongs to a socket in buffer mode, and announces data to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS, CONTEXT_IDS, LOCAL_PORTS, TIME_ZONES_QUARTERS
from aiobc9x.wire import signalling
from aiobc9x.wire.params import int_or_none, ip_or_none, split_params, unquote
from aiobc9x.wire.signalling import (
    AddressAssigned,
    PacketEvent,
    PowerDown,
    RadioState,
    Registration,
    RegistrationStatus,
    Restart,
    SignallingState,
    SimState,
    SleepEvent,
    Urc,
    Wakeup,
)

__all__ = [
    "AddressAssigned",
    "BufferFull",
    "CloseOk",
    "Closed",
    "DnsAnswer",
    "Incoming",
    "IncomingFull",
    "NtpResult",
    "OpenResult",
    "PacketEvent",
    "PdpDeactivated",
    "PingCode",
    "PingResultLine",
    "PingSummary",
    "PowerDown",
    "RadioState",
    "Received",
    "Registration",
    "RegistrationStatus",
    "Restart",
    "SendFail",
    "SendOk",
    "SignallingState",
    "SimState",
    "SleepEvent",
    "Urc",
    "Wakeup",
    "parse_ntp_time",
    "parse_urc",
]


@slotted(frozen=True)
class OpenResult(Urc):
    """``+QIOPEN``: a socket opened, or ``err`` says why not (§2.2.1)."""

    connect_id: int
    err: int


@slotted(frozen=True)
class Closed(Urc):
    """``"closed"``: the peer or the network closed a socket (§2.3.1)."""

    connect_id: int


@slotted(frozen=True)
class Received(Urc):
    """``"recv"``: a socket in buffer mode has data (§2.3.2).

    The module prints it once, and again only after the buffer has been read empty (§1.2, note
    1; F13). ``length`` is in bytes; ``None`` if the line has none (F8).
    """

    connect_id: int
    length: int | None


@slotted(frozen=True)
class BufferFull(Urc):
    """``"recv",…,"buff full"``: no room for incoming data (§2.3.3)."""

    connect_id: int


@slotted(frozen=True)
class Incoming(Urc):
    """``"incoming"``: the listener ``server_id`` accepted a connection (§2.3.5)."""

    connect_id: int
    server_id: int
    remote_ip: str
    remote_port: int


@slotted(frozen=True)
class IncomingFull(Urc):
    """``"incoming full"``: the module refused a connection, for want of a connect ID (§2.3.4)."""


@slotted(frozen=True)
class SendOk(Urc):
    """``SEND OK``: the module has taken the data; the peer may not have them (§2.2.4, note 2)."""


@slotted(frozen=True)
class SendFail(Urc):
    """``SEND FAIL``: the send buffer is full, or sending failed (§2.2.4)."""


@slotted(frozen=True)
class CloseOk(Urc):
    """``CLOSE OK``: the socket is closed (§2.2.2)."""


@slotted(frozen=True)
class DnsAnswer(Urc):
    """``"dnsgip"``: one line of an answer to AT+QIDNSGIP (§2.2.10).

    The first line has ``err`` and, where ``err`` is 0, the number of addresses and the time to
    live in seconds. Each line after it has ``addresses`` only.
    """

    err: int | None
    count: int | None
    ttl_s: int | None
    addresses: tuple[str, ...]


@slotted(frozen=True)
class PingResultLine(Urc):
    """``+QPING`` with one reply; times in milliseconds (§2.2.8)."""

    result: int
    ip: str | None
    size_bytes: int
    time_ms: int
    ttl: int


@slotted(frozen=True)
class PingSummary(Urc):
    """``+QPING`` at the end; its counts are packets, although §2.2.8 calls them bytes (N14)."""

    result: int
    sent: int
    received: int
    lost: int
    min_ms: int
    max_ms: int
    avg_ms: int


@slotted(frozen=True)
class PingCode(Urc):
    """``+QPING`` with nothing but a code, of table 3 or of table 2 (N16).

    Code 1 is one request that timed out, and other requests may follow. Whether a code is the
    last line depends on how many requests were asked for, which the caller knows.
    """

    code: int


@slotted(frozen=True)
class NtpResult(Urc):
    """``+QNTP`` (``+QNTF`` in §2.2.9): see :func:`parse_ntp_time` for the time."""

    err: int
    time: str | None


@slotted(frozen=True)
class PdpDeactivated(Urc):
    """``"pdpdeact"``: the network closed a PDP context. Not in the note; relatives print it."""

    context_id: int


def parse_urc(text: bytes) -> Urc | None:
    """Read a line that may be a URC.

    Args:
        text: The line without its CRLF. NUL and 0xFF in front of it are ignored: a module
            that wakes up may send them (F4).

    Returns:
        The URC; ``None`` if the line is not one we know, or is malformed.

    """
    # First, because SEND OK is the most frequent URC by far, and never has noise around it on
    # a line that is awake.
    if (plain := _PLAIN.get(text)) is not None:
        return plain
    text = text.lstrip(b"\x00\xff").strip()
    name, colon, rest = text.partition(b":")
    if colon:
        # By the exact name: a search for digits would read "+QIOPEN: 1,0" in many wrong lines.
        parse = _PREFIXES.get(name)
        if parse is not None:
            # strip(), because the space after the colon is optional (N1, F1).
            return parse(rest.strip())
    return _PLAIN.get(text) or signalling.parse_banner(text)


def _ranged(field: bytes, allowed: range) -> int | None:
    number = int_or_none(field)
    return number if number is not None and number in allowed else None


def _of_the_note(fields: Sequence[bytes], count: int) -> Sequence[bytes] | None:
    """Return the fields that the note lists, ``None`` if the line has others (F7)."""
    # One field more is ignored if it looks like a parameter. Anything else may be the rest of
    # another line that lost its beginning (F5), and then none of the fields can be trusted.
    if len(fields) == count or (len(fields) == count + 1 and _PARAMETER.fullmatch(fields[count])):
        return fields[:count]
    return None


def _open_result(rest: bytes) -> Urc | None:
    fields = _of_the_note(split_params(rest), 2)
    if fields is None:
        return None
    connect_id, err = _ranged(fields[0], CONNECT_IDS), int_or_none(fields[1])
    # err may be any number: firmwares have codes that table 2 lacks, and all but 0 are failures.
    if connect_id is None or err is None:
        return None
    return OpenResult(connect_id, err)


def _qiurc(rest: bytes) -> Urc | None:
    # Firmwares differ in the case of the type, and some leave its quotes out (F9).
    kind, *fields = split_params(rest)
    parse = _QIURC.get(unquote(kind).lower())
    return parse(fields) if parse is not None else None


def _closed(fields: Sequence[bytes]) -> Urc | None:
    known = _of_the_note(fields, 1)
    connect_id = None if known is None else _ranged(known[0], CONNECT_IDS)
    return None if connect_id is None else Closed(connect_id)


def _received(fields: Sequence[bytes]) -> Urc | None:
    connect_id = _ranged(fields[0], CONNECT_IDS) if len(fields) in (1, 2, 3) else None
    if connect_id is None:
        return None
    # The length is optional, whatever showlength says (N23, F8).
    if len(fields) == 1:
        return Received(connect_id, None)
    length = int_or_none(fields[1])
    if length is not None and length >= 0:
        # The third field may be data of a socket that pushes, in the form with commas (N24):
        # '"recv",0,2,42' is two bytes of data, not an announcement and one field more. Such a
        # line reaches this parser only if the framer could not take it for a payload, so it is
        # left unknown, and the judge of torn lines sees it (F5).
        is_count = len(fields) == 2 or (
            _COUNT.fullmatch(fields[2]) is not None and len(fields[2]) != length
        )
        return Received(connect_id, length) if is_count else None
    known = _of_the_note(fields, 2)
    return BufferFull(connect_id) if known and unquote(known[1]).lower() == "buff full" else None


def _incoming(fields: Sequence[bytes]) -> Urc | None:
    known = _of_the_note(fields, 4)
    if known is None:
        return None
    connect_id, server_id = (_ranged(field, CONNECT_IDS) for field in known[:2])
    port = _ranged(known[3], LOCAL_PORTS)
    if connect_id is None or server_id is None or port is None:
        return None
    # An address in a spelling that ipaddress doesn't know is kept as it came: refusing the line
    # would leave a connection that nobody owns (F35).
    return Incoming(connect_id, server_id, ip_or_none(known[2]) or unquote(known[2]), port)


def _incoming_full(fields: Sequence[bytes]) -> Urc | None:
    return None if _of_the_note(fields, 0) is None else IncomingFull()


def _dns(fields: Sequence[bytes]) -> Urc | None:
    numbers = [int_or_none(field) for field in fields]
    # '"dnsgip",565' alone is a failure, '"dnsgip",0,2,60' the head of an answer (N35).
    if numbers and numbers[0] is not None:
        err, count, ttl_s = [*numbers, None, None][:3]
        return DnsAnswer(err, count, ttl_s, ())
    # One string may hold several addresses, with commas between them (N35).
    found = [ip_or_none(part.encode()) for field in fields for part in unquote(field).split(",")]
    addresses = tuple(ip for ip in found if ip is not None)
    return DnsAnswer(None, None, None, addresses) if addresses else None


def _pdp_deactivated(fields: Sequence[bytes]) -> Urc | None:
    known = _of_the_note(fields, 1)
    context_id = None if known is None else _ranged(known[0], CONTEXT_IDS)
    return None if context_id is None else PdpDeactivated(context_id)


def _ping(rest: bytes) -> Urc | None:
    fields = split_params(rest)
    values = [int_or_none(field) for field in fields]
    numbers = [value for value in values if value is not None]
    # The number of fields tells the three forms apart; <result> has the same values in all.
    if len(fields) == 1 and numbers:
        return PingCode(numbers[0])
    if len(fields) == 7 and len(numbers) == 7:
        return PingSummary(*numbers)
    # The address is bare on this module and quoted on others (N18).
    if len(fields) == 5 and values[1] is None and len(numbers) == 4:
        result, size_bytes, time_ms, ttl = numbers
        return PingResultLine(result, unquote(fields[1]) or None, size_bytes, time_ms, ttl)
    return None


def _ntp(rest: bytes) -> Urc | None:
    # Not split_params(): the time holds a comma, and may stand without quotes. A failure has no
    # time at all, although the note says that the URC comes on success only (N12).
    code, _, time = rest.partition(b",")
    err = int_or_none(code.strip())
    return None if err is None else NtpResult(err, unquote(time.strip()) or None)


_QIURC: Final[dict[str, Callable[[Sequence[bytes]], Urc | None]]] = {
    "closed": _closed,
    "recv": _received,
    "incoming": _incoming,
    "incoming full": _incoming_full,
    "dnsgip": _dns,
    "pdpdeact": _pdp_deactivated,
}

_PREFIXES: Final[dict[bytes, Callable[[bytes], Urc | None]]] = {
    b"+QIOPEN": _open_result,
    b"+QIURC": _qiurc,
    b"+QPING": _ping,
    b"+QNTP": _ntp,
    # §2.2.9 says QNTF, the contents and the example QNTP (N11).
    b"+QNTF": _ntp,
    **signalling.PREFIXES,
}

# One object for each: a URC without fields is equal to every other of its class.
_PLAIN: Final[dict[bytes, Urc]] = {
    b"SEND OK": SendOk(),
    b"SEND FAIL": SendFail(),
    b"CLOSE OK": CloseOk(),
}

# A number, or a whole string of printable characters without a quote inside.
_PARAMETER: Final = lazy_pattern(rb'[+-]?[0-9]{1,10}|"[ !#-~]*"')
# No leading zeros: "0042" would be four bytes of data.
_COUNT: Final = lazy_pattern(rb"0|[1-9][0-9]{0,3}")

# Two or four digits of the year, spaces or none, one or two digits elsewhere (N13).
_NTP_TIME: Final = lazy_pattern(
    r"(?P<year>(?:[0-9]{2})?[0-9]{2})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})\s*,\s*"
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2})\s*"
    r"(?P<sign>[+-])\s*(?P<zone>[0-9]{1,2})"
)


def parse_ntp_time(text: str) -> datetime:
    """Read ``<time>`` of a network time (§2.2.9).

    The note prints the format with spaces and the example without them. Firmware of the
    family writes years with two digits and zones with one (N13).

    Args:
        text: Such as ``2018/04/20,11:08:20+32``; the digits are local time at an
            offset of 32 quarters of an hour.

    Returns:
        An aware datetime at that offset.

    Raises:
        ValueError: The text has another form, or a number is out of range.

    """
    match = _NTP_TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a network time, which is like 2018/04/20,11:08:20+32: {text!r}")
    quarters = int(match["sign"] + match["zone"])
    if quarters not in TIME_ZONES_QUARTERS:
        raise ValueError(f"the zone of a network time is -48 to 56 quarter hours: {text!r}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    return datetime(
        # No module is older than 2000.
        year if len(match["year"]) == 4 else 2000 + year,
        month,
        day,
        hour,
        minute,
        second,
        tzinfo=timezone(timedelta(minutes=15 * quarters)),
    )
