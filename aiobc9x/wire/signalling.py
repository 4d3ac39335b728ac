"""Read URCs about the module itself and about the network.

Layer: wire. Does no I/O, reads no clock.

A URC is a line that the module prints unasked. This module has those of 27.007 and those of
the start of the module; :mod:`aiobc9x.wire.urcs` has the note's. Callers use
:func:`aiobc9x.wire.urcs.parse_urc`, which knows both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.wire.params import (
    ascii_text,
    int_or_none,
    ip_or_none,
    is_quoted,
    number_or_none,
    split_params,
    unquote,
)

__all__ = [
    "ACTIVE_TIME_UNITS_S",
    "EDRX_CYCLES_S",
    "PERIODIC_TAU_UNITS_S",
    "PREFIXES",
    "AddressAssigned",
    "PacketEvent",
    "PowerDown",
    "RadioState",
    "Registration",
    "RegistrationKind",
    "RegistrationStatus",
    "Restart",
    "SignallingState",
    "SimState",
    "SleepEvent",
    "Urc",
    "Wakeup",
    "edrx_bits",
    "edrx_seconds",
    "is_answer",
    "is_notice",
    "parse_banner",
    "parse_status",
    "timer_bits",
    "timer_seconds",
]

RegistrationKind = Literal["CEREG", "CGREG", "CREG"]

PERIODIC_TAU_UNITS_S: Final = (600, 3600, 36000, 2, 30, 60, 1152000, None)
"""Seconds of one step of T3412 extended, by its upper three bits; ``None`` is off (24.008,
10.5.7.4a)."""

ACTIVE_TIME_UNITS_S: Final = (2, 60, 360, 60, 60, 60, 60, None)
"""Seconds of one step of T3324, by its upper three bits; ``None`` is off (24.008, 10.5.7.3).

Bits that the standard doesn't define count as minutes, as it says.
"""

EDRX_CYCLES_S: Final = {
    "0010": 20.48,
    "0011": 40.96,
    "0101": 81.92,
    "1001": 163.84,
    "1010": 327.68,
    "1011": 655.36,
    "1100": 1310.72,
    "1101": 2621.44,
    "1110": 5242.88,
    "1111": 10485.76,
}
"""The eDRX cycles of NB-IoT by their four bits (24.008, 10.5.5.32)."""

_LARGEST_COUNT: Final = 31  # five bits
_STATS: Final = range(12)  # 27.007, 10.1.22
# A status or a technology: an area code or a cell has at least four digits on most modules.
_SHORT_NUMBER: Final = lazy_pattern("[0-9]{1,2}")
# An area code has up to 4 hex digits, a cell up to 8.
_CODE: Final = lazy_pattern("[0-9A-Fa-f]{2,8}")
_TIMER: Final = lazy_pattern("[01]{8}")
_PDN_DEACT: Final = lazy_pattern("PDN DEACT ?([0-9]{1,2})(?![0-9])")
# A state in words. A fragment of another line mostly has other characters too (F5).
_WORDS: Final = lazy_pattern("[A-Z][A-Z0-9 -]*")


@slotted(frozen=True)
class Urc:
    """Base class of everything that the module says unasked."""


@slotted(frozen=True)
class RegistrationStatus:
    """A registration with the network (27.007).

    Attributes:
        stat: 0 idle, 1 home, 2 searching, 3 denied, 4 unknown, 5 roaming. 3 is not final: a
            network may accept later what it has denied (F52).
        tac: Tracking area in hex (location area on GSM).
        ci: Cell in hex.
        act: Access technology; 9 is NB-IoT, 7 LTE, 0 GSM.
        cause_type: 0 if ``reject_cause`` is an EMM cause.
        reject_cause: Why the network has denied the registration.
        active_time_s: T3324 in seconds: how long the module stays reachable before it sleeps.
        periodic_tau_s: T3412 in seconds: how often it shows itself to the network.
        n: The setting of the URC, which only an answer has: 1 the URC tells the status, 2 the
            cell too, 3 the cause too, 5 all; ``None`` in a URC.

    """

    stat: int
    tac: str | None = None
    ci: str | None = None
    act: int | None = None
    cause_type: int | None = None
    reject_cause: int | None = None
    active_time_s: int | None = None
    periodic_tau_s: int | None = None
    n: int | None = None

    @property
    def registered(self) -> bool:
        """Whether the module is registered, at home or roaming."""
        return self.stat in (1, 5)


@slotted(frozen=True)
class Registration(Urc):
    """``+CEREG``, ``+CGREG`` or ``+CREG``: the registration changed."""

    kind: RegistrationKind
    status: RegistrationStatus


@slotted(frozen=True)
class SignallingState(Urc):
    """``+CSCON``: the radio connection came up, or went down, as it does before sleep."""

    connected: bool


@slotted(frozen=True)
class PacketEvent(Urc):
    """``+CGEV``: a PDP context or the attachment changed; ``text`` says how (27.007, 10.1.19)."""

    text: str

    @property
    def is_end(self) -> bool:
        """Whether a context or the attachment has ended."""
        # "NW DETACH", "ME PDN DEACT 1" and others: the words in front say who has done it.
        return "DETACH" in self.text.upper() or "DEACT" in self.text.upper()

    def ends(self, context_id: int) -> bool:
        """Whether this context has ended: by itself, or with the attachment."""
        match = _PDN_DEACT.search(self.text.upper())
        return self.is_end and (match is None or int(match[1]) == context_id)


@slotted(frozen=True)
class AddressAssigned(Urc):
    """``+IP``: the module has an address."""

    address: str


@slotted(frozen=True)
class SimState(Urc):
    """``+CPIN``: the state of the SIM, for example ``READY`` or ``NOT READY``."""

    state: str


@slotted(frozen=True)
class RadioState(Urc):
    """``+CFUN``: the radio was switched; 1 is on."""

    fun: int


@slotted(frozen=True)
class SleepEvent(Urc):
    """``+QNBIOTEVENT``: for example ``ENTER PSM`` or ``EXIT DEEPSLEEP``."""

    text: str


@slotted(frozen=True)
class Wakeup(Urc):
    """``+QATWAKEUP``: the module left deep sleep; it did not restart."""


@slotted(frozen=True)
class Restart(Urc):
    """A boot banner: the module restarted, and everything on it is gone."""

    text: str


@slotted(frozen=True)
class PowerDown(Urc):
    """The module is going down."""

    text: str


def timer_seconds(field: bytes, units: Sequence[int | None]) -> int | None:
    """Decode a timer of eight bits (24.008); ``None`` for off, missing or unreadable.

    Args:
        field: For example ``"01000001"``, with or without quotes.
        units: :data:`PERIODIC_TAU_UNITS_S` or :data:`ACTIVE_TIME_UNITS_S`.

    """
    text = unquote(field)
    if not _TIMER.fullmatch(text):
        return None
    # The upper three bits are the unit, the lower five how many of them.
    unit = units[int(text[:3], 2)]
    return None if unit is None else unit * int(text[3:], 2)


def timer_bits(argument: str, seconds: float, units: Sequence[int | None]) -> str:
    """Encode a timer of eight bits: the least that can be written and is not less.

    Args:
        argument: Name of the argument, for the message.
        seconds: From 0 on.
        units: :data:`PERIODIC_TAU_UNITS_S` or :data:`ACTIVE_TIME_UNITS_S`.

    Raises:
        ValueError: The time is negative, or longer than any that can be written.

    """
    best: tuple[int, int, int] | None = None
    for code, unit in enumerate(units):
        if unit is not None and 0 <= seconds <= unit * _LARGEST_COUNT:
            count = -(-math.ceil(seconds) // unit)
            if best is None or unit * count < best[0]:
                best = unit * count, code, count
    if best is None:
        longest = max(unit for unit in units if unit is not None) * _LARGEST_COUNT
        raise ValueError(f"{argument} must be 0 to {longest} s, not {seconds!r}")
    return f"{best[1]:03b}{best[2]:05b}"


def edrx_seconds(bits: str | None) -> float | None:
    """Decode an eDRX cycle of NB-IoT; ``None`` for what is missing or unreadable."""
    return EDRX_CYCLES_S.get(bits or "")


def edrx_bits(argument: str, seconds: float) -> str:
    """Encode an eDRX cycle of NB-IoT: the shortest that is not less.

    Raises:
        ValueError: The time is not above 0, or longer than the longest cycle.

    """
    longest = max(EDRX_CYCLES_S.values())
    if not 0 < seconds <= longest:
        raise ValueError(f"{argument} must be above 0 and at most {longest} s, not {seconds!r}")
    return min((cycle, bits) for bits, cycle in EDRX_CYCLES_S.items() if cycle >= seconds)[1]


def is_answer(fields: Sequence[bytes]) -> bool:
    """Tell the answer to a question, ``<n>,<stat>…``, from a URC, ``<stat>,"<tac>"…``.

    Both have the same prefix, so the second field decides (F10). In an answer it is a status,
    of one or two digits. In a URC it is an area code, of four digits on most modules, quoted or
    not.
    """
    if len(fields) < 2 or _SHORT_NUMBER.fullmatch(unquote(fields[1])) is None:
        return False
    # Two short numbers, spelled alike: an area code would be quoted where <stat> is not.
    if is_quoted(fields[0]) or not is_quoted(fields[1]):
        return True
    # '1,"5"': an area code without its leading zeros, or a quoted status? In a URC a cell
    # follows the area code, and the technology, one short number, follows the cell.
    has_technology = len(fields) > 3 and _SHORT_NUMBER.fullmatch(unquote(fields[3]))
    return len(fields) != 3 and not has_technology


def parse_status(fields: Sequence[bytes], *, has_rac: bool = False) -> RegistrationStatus | None:
    """Read ``<stat>[,<tac>,<ci>,<AcT>[,<cause_type>,<reject_cause>[,<T3324>,<T3412>]]]``.

    Args:
        fields: The fields from the status on, quoted or bare; any number of them.
        has_rac: Whether a routing area code follows ``<AcT>``, as in ``+CGREG``.

    Returns:
        ``None`` if the first field is no status.

    """
    if has_rac:
        fields = [*fields[:4], *fields[5:]]
    # Padded, because modules print from one to all eight fields, and empty ones (F9).
    stat, tac, ci, act, kind, cause, active, periodic = [*fields, *[b""] * 8][:8]
    number = number_or_none(stat)
    if number is None or number not in _STATS:
        return None
    return RegistrationStatus(
        stat=number,
        tac=_code(tac),
        ci=_code(ci),
        act=number_or_none(act),
        cause_type=number_or_none(kind),
        reject_cause=number_or_none(cause),
        active_time_s=timer_seconds(active, ACTIVE_TIME_UNITS_S),
        periodic_tau_s=timer_seconds(periodic, PERIODIC_TAU_UNITS_S),
    )


def _code(field: bytes) -> str | None:
    text = unquote(field)
    return text if _CODE.fullmatch(text) else None


def _registration(kind: RegistrationKind) -> Callable[[bytes], Urc | None]:
    def parse(rest: bytes) -> Urc | None:
        fields = split_params(rest)
        # An answer is never a URC, not even a late one: it tells of an earlier time.
        if is_answer(fields):
            return None
        status = parse_status(fields, has_rac=kind == "CGREG")
        return None if status is None else Registration(kind, status)

    return parse


def _signalling(rest: bytes) -> Urc | None:
    mode = int_or_none(rest)
    return None if mode is None else SignallingState(mode == 1)


def _packet_event(rest: bytes) -> Urc | None:
    return PacketEvent(ascii_text(rest)) if rest else None


def _address(rest: bytes) -> Urc | None:
    text = ip_or_none(rest)
    return None if text is None else AddressAssigned(text)


def _sim(rest: bytes) -> Urc | None:
    text = unquote(rest)
    return SimState(text) if _WORDS.fullmatch(text) else None


def _radio(rest: bytes) -> Urc | None:
    fun = int_or_none(rest)
    return None if fun is None else RadioState(fun)


def _sleep(rest: bytes) -> Urc | None:
    text = unquote(rest)
    return SleepEvent(text) if _WORDS.fullmatch(text) else None


PREFIXES: Final[dict[bytes, Callable[[bytes], Urc | None]]] = {
    b"+CEREG": _registration("CEREG"),
    b"+CGREG": _registration("CGREG"),
    b"+CREG": _registration("CREG"),
    b"+CSCON": _signalling,
    b"+CGEV": _packet_event,
    b"+IP": _address,
    b"+CPIN": _sim,
    b"+CFUN": _radio,
    b"+QNBIOTEVENT": _sleep,
}
"""The parser for the parameters of each URC, by the URC's prefix."""

# Relatives print several of these in one boot (F43). Only the start is compared, because the
# rest differs from boot to boot, and the last line may be cut in mid word (F41).
_RESTART_STARTS: Final = (b"F1:", b"Leaving the BROM", b"REBOOT_CAUSE_", b"*MATREADY")
_BANNERS: Final[dict[bytes, Urc]] = {
    b"RDY": Restart("RDY"),
    # A relative's boot loader signs with the maker of the chip.
    b"Neul": Restart("Neul"),
    b"POWERED DOWN": PowerDown("POWERED DOWN"),
    b"NORMAL POWER DOWN": PowerDown("NORMAL POWER DOWN"),
    # Not a restart: UDP sockets survive deep sleep (N32, F49).
    b"+QATWAKEUP": Wakeup(),
}


# V.250's result codes of calls, and what logs of relatives show around a boot (F6).
_NOTICE: Final = lazy_pattern(
    rb"RING|NO CARRIER|NO ANSWER|NO DIAL ?TONE|BUSY|MODEM:STARTUP|(?:UNDER|OVER)[-_]VOLTAGE.*"
    rb"|(?:[A-Z]+ )?(?:RDY|READY|DONE)",
    re.IGNORECASE,
)


def is_notice(text: bytes) -> bool:
    """Tell whether a line is a word that relatives print unasked, such as ``RING``.

    Such a word has no prefix, so it would otherwise pass for a line of an answer. It means
    nothing for a connection.
    """
    return _NOTICE.fullmatch(text.strip(b"\x00\xff ")) is not None


def parse_banner(text: bytes) -> Urc | None:
    """Read a line without parameters: the module has restarted, goes down, or wakes up."""
    known = _BANNERS.get(text)
    if known is None and text.startswith(_RESTART_STARTS):
        return Restart(ascii_text(text))
    return known
