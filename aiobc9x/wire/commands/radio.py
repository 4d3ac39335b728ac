"""Define commands about the network: registration, attachment, addresses (27.007).

Layer: wire. Does no I/O, reads no clock.

The commands of :mod:`aiobc9x.wire.commands.module`, ``contexts``, ``power`` and ``sim`` can
be imported from here as well. A command whose fields are all optional is a question when it is
made without them, and a write when it is made with them. The result of a write is what was
written, or empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.contexts import (
    AuthProtocol,
    Cgauth,
    Cgdcont,
    Cgerep,
    Context,
    Qcgdefcont,
)
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
    NetworkCommand,
    NetworkOrder,
    Qatwakeup,
    Qccid,
    Qnbiotevent,
    Results,
    Verbose,
)
from aiobc9x.wire.commands.power import (
    Cedrxrdp,
    Cedrxs,
    Cpsms,
    EdrxGrant,
    EdrxSetting,
    PsmSetting,
    Qrellock,
    Qsclk,
)
from aiobc9x.wire.commands.sim import Cpin, Cpinr, Qpinc, SimTries
from aiobc9x.wire.params import (
    command_line,
    integer,
    ip_or_none,
    maybe_integer,
    number_or_none,
    split_params,
    unquote,
)
from aiobc9x.wire.signalling import RegistrationStatus, is_answer, parse_status

__all__ = [
    "At",
    "AuthProtocol",
    "Cclk",
    "Cedrxrdp",
    "Cedrxs",
    "Cereg",
    "Cesq",
    "Cfun",
    "Cgact",
    "Cgatt",
    "Cgauth",
    "Cgdcont",
    "Cgerep",
    "Cgmi",
    "Cgmm",
    "Cgmr",
    "Cgpaddr",
    "Cgreg",
    "Cgsn",
    "Cimi",
    "Cmee",
    "Context",
    "Cops",
    "Cpin",
    "Cpinr",
    "Cpsms",
    "Creg",
    "Cscon",
    "Csq",
    "Echo",
    "EdrxGrant",
    "EdrxSetting",
    "ExtendedSignal",
    "Identify",
    "Ipr",
    "NetworkCommand",
    "NetworkOrder",
    "Operator",
    "PsmSetting",
    "Qatwakeup",
    "Qccid",
    "Qcgdefcont",
    "Qnbiotevent",
    "Qpinc",
    "Qrellock",
    "Qsclk",
    "RegistrationStatus",
    "Results",
    "SignalQuality",
    "SimTries",
    "Verbose",
]

_SWITCH: Final = range(2)
# 27.007 leaves the range to the module; the note's own commands take 1 to 3.
_CIDS: Final = range(16)
# What AT+CGPADDR shows for a context that has no address yet.
_UNSPECIFIED: Final = ("0.0.0.0", "::")
# 27.007, 10.1.22: the status that says "unknown".
_UNKNOWN_STAT: Final = 4


@slotted(frozen=True)
class Cfun(NetworkCommand[int]):
    """Ask whether the radio is on, or switch it: 0 off, 1 on, 4 flight mode."""

    # Manuals of relatives: switching the radio off waits for the network to agree.
    max_response_time: ClassVar[float] = 85.0
    prefix: ClassVar[bytes] = b"+CFUN:"

    fun: int | None = None
    reset: int | None = None

    def _build(self) -> bytes:
        if self.fun is None and self.reset is None:
            return command_line("+CFUN?")
        return command_line(
            "+CFUN",
            fun=maybe_integer("fun", self.fun, range(5)),
            reset=maybe_integer("reset", self.reset, _SWITCH),
        )

    def claims(self, text: bytes) -> bool:
        """Claim ``+CFUN:`` where the state was asked for; after a write it is a URC (F10)."""
        return self.fun is None and text.startswith(self.prefix)

    def parse(self, lines: Sequence[bytes]) -> int:
        """Give the state; after a write, the one that was set."""
        if self.fun is not None:
            return self.fun
        values = [number_or_none(split_params(self._params(line))[0]) for line in lines]
        # The last line, because a URC of the same form may follow the answer.
        if not values or values[-1] is None:
            raise self._unexpected(lines, "no state")
        return values[-1]


@slotted(frozen=True)
class _RegistrationCommand(NetworkCommand[RegistrationStatus]):
    """Ask for the registration, or choose how much its URC tells (0 switches the URC off)."""

    n: int | None = None

    def _build(self) -> bytes:
        name = self.prefix[:-1].decode("ascii")
        if self.n is None:
            return command_line(f"{name}?")
        return command_line(name, n=integer("n", self.n, range(6)))

    def claims(self, text: bytes) -> bool:
        """Claim an answer, but not the URC, which has the same prefix (F10)."""
        asked = self.n is None and text.startswith(self.prefix)
        return asked and is_answer(split_params(self._params(text)))

    def parse(self, lines: Sequence[bytes]) -> RegistrationStatus:
        """Give the status; "unknown" after a write."""
        if self.n is not None:
            return RegistrationStatus(_UNKNOWN_STAT)
        for line in lines:
            fields = split_params(self._params(line))
            # A URC lacks <n>, so its fields would be read one place too far to the left.
            if not is_answer(fields):
                continue
            status = parse_status(fields[1:], has_rac=self.prefix == Cgreg.prefix)
            if status is not None:
                return replace(status, n=number_or_none(fields[0]))
        raise self._unexpected(lines, "no status")


@slotted(frozen=True)
class Cereg(_RegistrationCommand):
    """Registration in NB-IoT and LTE."""

    prefix: ClassVar[bytes] = b"+CEREG:"


@slotted(frozen=True)
class Cgreg(_RegistrationCommand):
    """Registration in GPRS."""

    prefix: ClassVar[bytes] = b"+CGREG:"


@slotted(frozen=True)
class Creg(_RegistrationCommand):
    """Registration in GSM."""

    prefix: ClassVar[bytes] = b"+CREG:"


@slotted(frozen=True)
class Operator:
    """How the module chooses a network, and the network it has chosen; ``act`` 9 is NB-IoT."""

    mode: int | None
    format: int | None
    name: str | None
    act: int | None


@slotted(frozen=True)
class Cops(NetworkCommand[Operator]):
    """Ask for the operator."""

    prefix: ClassVar[bytes] = b"+COPS:"

    def _build(self) -> bytes:
        return command_line("+COPS?")

    def parse(self, lines: Sequence[bytes]) -> Operator:
        """Give the operator. A field that is missing or can't be read is ``None``."""
        # Never an error: the operator is shown to people, and no decision depends on it.
        for line in lines:
            mode, form, name, act = [*split_params(self._params(line)), *[b""] * 4][:4]
            number = number_or_none(mode)
            if number is not None:
                form_number, act_number = number_or_none(form), number_or_none(act)
                return Operator(number, form_number, unquote(name) or None, act_number)
        return Operator(None, None, None, None)


@slotted(frozen=True)
class SignalQuality:
    """Received power in dBm, and the class of the bit error rate, 0–7; ``None`` is unknown."""

    rssi_dbm: int | None
    ber: int | None


@slotted(frozen=True)
class Csq(NetworkCommand[SignalQuality]):
    """Ask for the signal."""

    prefix: ClassVar[bytes] = b"+CSQ:"

    def _build(self) -> bytes:
        return command_line("+CSQ")

    def parse(self, lines: Sequence[bytes]) -> SignalQuality:
        """Give the signal; a field that can't be read is unknown."""
        # 27.007, 8.5: 0 is -113 dBm, each step 2 dB, 31 is -51 dBm or more, 99 unknown.
        rssi, ber = _measures(map(self._params, lines), (31, 7))
        return SignalQuality(None if rssi is None else 2 * rssi - 113, ber)


@slotted(frozen=True)
class ExtendedSignal:
    """Signal measures of GSM, UMTS and LTE; ``None`` is unknown or not applicable.

    The module reports steps of a scale; each number here is the lower bound of its step.
    """

    rxlev_dbm: int | None
    ber: int | None
    rscp_dbm: int | None
    ecno_db: float | None
    rsrq_db: float | None
    rsrp_dbm: int | None


@slotted(frozen=True)
class Cesq(NetworkCommand[ExtendedSignal]):
    """Ask for the signal in detail."""

    prefix: ClassVar[bytes] = b"+CESQ:"

    def _build(self) -> bytes:
        return command_line("+CESQ")

    def parse(self, lines: Sequence[bytes]) -> ExtendedSignal:
        """Give the signal; a field that can't be read is unknown."""
        # The top of each scale; above it, 99 or 255 is "unknown" (27.007, 8.69).
        largest = (63, 7, 96, 49, 34, 97)
        rxlev, ber, rscp, ecno, rsrq, rsrp = _measures(map(self._params, lines), largest)
        # Bottom and step of each scale, from the same chapter.
        return ExtendedSignal(
            rxlev_dbm=None if rxlev is None else rxlev - 111,
            ber=ber,
            rscp_dbm=None if rscp is None else rscp - 121,
            ecno_db=None if ecno is None else ecno / 2 - 24.5,
            rsrq_db=None if rsrq is None else rsrq / 2 - 20,
            rsrp_dbm=None if rsrp is None else rsrp - 141,
        )


def _measures(answers: Iterable[bytes], largest: Sequence[int]) -> list[int | None]:
    """Read the measures of the first line that has any; ``None`` for one that is unknown.

    Args:
        answers: The parameters of each line.
        largest: The highest number of each measure's scale; a number above it is unknown.

    """
    for answer in answers:
        fields = [*split_params(answer), *[b""] * len(largest)]
        values = [
            number if number is not None and 0 <= number <= most else None
            for number, most in zip(map(number_or_none, fields), largest, strict=False)
        ]
        if any(value is not None for value in values):
            return values
    return [None] * len(largest)


@slotted(frozen=True)
class Cgatt(NetworkCommand[bool]):
    """Ask whether the module is attached, attach it (1) or detach it (0)."""

    # Manuals of relatives: attaching waits for the network.
    max_response_time: ClassVar[float] = 140.0
    prefix: ClassVar[bytes] = b"+CGATT:"

    state: int | None = None

    def _build(self) -> bytes:
        if self.state is None:
            return command_line("+CGATT?")
        return command_line("+CGATT", state=integer("state", self.state, _SWITCH))

    def parse(self, lines: Sequence[bytes]) -> bool:
        """Give whether the module is attached; after a write, what was set."""
        if self.state is not None:
            return bool(self.state)
        for line in lines:
            number = number_or_none(split_params(self._params(line))[0])
            if number is not None:
                return number == 1
        raise self._unexpected(lines, "no state")


@slotted(frozen=True)
class Cgact(NetworkCommand[dict[int, bool]]):
    """Ask which contexts are active, activate one (1) or deactivate it (0)."""

    # Manuals of relatives: activating waits for the network.
    max_response_time: ClassVar[float] = 150.0
    prefix: ClassVar[bytes] = b"+CGACT:"

    state: int | None = None
    cid: int | None = None

    def _build(self) -> bytes:
        if self.state is None and self.cid is None:
            return command_line("+CGACT?")
        return command_line(
            "+CGACT",
            state=maybe_integer("state", self.state, _SWITCH),
            cid=maybe_integer("cid", self.cid, _CIDS),
        )

    def parse(self, lines: Sequence[bytes]) -> dict[int, bool]:
        """Give whether each context is active; empty after a write."""
        found = {}
        for line in lines:
            # A row that was skipped would read as "this context is not active".
            context_id, state = map(number_or_none, [*split_params(self._params(line)), b""][:2])
            if context_id is None or state is None:
                raise self._unexpected(lines, "a row is damaged")
            found[context_id] = state == 1
        return found


@slotted(frozen=True)
class Cgpaddr(NetworkCommand[tuple[tuple[int, tuple[str, ...]], ...]]):
    """Ask for the addresses of all contexts, or of one."""

    prefix: ClassVar[bytes] = b"+CGPADDR:"

    context_id: int | None = None

    def _build(self) -> bytes:
        # 27.007 has no read form of this command; the note uses it so (§4.1.1).
        if self.context_id is None:
            return command_line("+CGPADDR?")
        return command_line("+CGPADDR", context_id=integer("context_id", self.context_id, _CIDS))

    def parse(self, lines: Sequence[bytes]) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Give each context with its addresses, which may be none."""
        rows = []
        # A context without an address has its ID alone, or an empty string after it.
        for line in lines:
            number, *fields = split_params(self._params(line))
            context_id = number_or_none(number)
            if context_id is None:
                raise self._unexpected(lines, "a row is damaged")
            rows.append((context_id, _addresses(fields)))
        return tuple(rows)


def _addresses(fields: Sequence[bytes]) -> tuple[str, ...]:
    # Some relatives put the IPv4 and the IPv6 address into one string (F9).
    parts = [part for field in fields for part in unquote(field).split(",")]
    found = [ip_or_none(part.encode()) for part in parts]
    return tuple(ip for ip in found if ip is not None and ip not in _UNSPECIFIED)
