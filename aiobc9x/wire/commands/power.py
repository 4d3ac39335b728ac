"""Commands about sleep: PSM, eDRX, and whether the module may sleep at all.

Layer: wire. Does no I/O, reads no clock.

AT+QSCLK and AT+QRELLOCK are the vendor's; the module may refuse them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.module import NetworkCommand, NetworkOrder
from aiobc9x.wire.params import (
    command_line,
    integer,
    maybe_integer,
    number_or_none,
    split_params,
    unquote,
)
from aiobc9x.wire.signalling import ACTIVE_TIME_UNITS_S, PERIODIC_TAU_UNITS_S, timer_seconds

__all__ = [
    "NB_S1",
    "Cedrxrdp",
    "Cedrxs",
    "Cpsms",
    "EdrxGrant",
    "EdrxSetting",
    "PsmSetting",
    "Qrellock",
    "Qsclk",
]

NB_S1: Final = 5
"""``<AcT-type>`` of NB-IoT in AT+CEDRXS (27.007, 7.40)."""


@slotted(frozen=True)
class Qsclk(NetworkOrder):
    """Forbid sleep (0), allow deep sleep (1) or light sleep (2)."""

    n: int

    def _build(self) -> bytes:
        return command_line("+QSCLK", n=integer("n", self.n, range(3)))


@slotted(frozen=True)
class Qrellock(NetworkOrder):
    """Let the module sleep now; it stays awake for ten seconds after a command else."""

    def _build(self) -> bytes:
        return command_line("+QRELLOCK")


@slotted(frozen=True)
class PsmSetting:
    """Whether the module may enter power saving mode (PSM), and the timers it requests.

    ``periodic_tau_s`` is T3412 in seconds, how often the module must show itself to the network;
    ``active_time_s`` is T3324, how long it stays reachable before it sleeps. ``None`` is off.
    """

    enabled: bool
    periodic_tau_s: int | None
    active_time_s: int | None


@slotted(frozen=True)
class Cpsms(NetworkCommand[PsmSetting]):
    """Ask for the power saving settings, or write them.

    Timers are the eight bits of 3GPP TS 24.008 (10.5.7.4a, 10.5.7.3), the upper three of which
    are the unit: ``01000001`` is a periodic TAU of 10 hours, ``00000101`` an active time of
    10 seconds.
    """

    prefix: ClassVar[bytes] = b"+CPSMS:"

    mode: int | None = None
    periodic_tau: str | None = None
    active_time: str | None = None

    def _build(self) -> bytes:
        timers = (self.periodic_tau, self.active_time)
        # Timers without a mode would turn the question into a write with an empty mode.
        if self.mode is None:
            if timers != (None, None):
                raise ValueError("mode is needed to set periodic_tau or active_time")
            return command_line("+CPSMS?")
        mode = integer("mode", self.mode, range(3))
        if timers == (None, None):
            return command_line("+CPSMS", mode=mode)
        # The two empty positions are timers of GSM, which NB-IoT doesn't have (27.007, 7.38).
        return command_line(
            "+CPSMS",
            mode=mode,
            rau="",
            ready="",
            periodic_tau=_bits("periodic_tau", self.periodic_tau, 8),
            active_time=_bits("active_time", self.active_time, 8),
        )

    def parse(self, lines: Sequence[bytes]) -> PsmSetting:
        """Give the settings; after a write, what was asked for."""
        if self.mode is not None:
            tau, active = ((bits or "").encode() for bits in (self.periodic_tau, self.active_time))
            return _power_saving(self.mode, tau, active)
        for line in lines:
            # Padded, because a module may leave out what is off.
            mode, _, _, tau, active = [*split_params(self._params(line)), *[b""] * 5][:5]
            number = number_or_none(mode)
            if number is not None:
                return _power_saving(number, tau, active)
        raise self._unexpected(lines, "no mode")


def _bits(argument: str, value: str | None, length: int) -> str | None:
    if value is None:
        return None
    if len(value) != length or set(value) - {"0", "1"}:
        raise ValueError(f"{argument} must have {length} bits, such as {'01' * length:.{length}}")
    return f'"{value}"'


def _power_saving(mode: int, tau: bytes, active: bytes) -> PsmSetting:
    return PsmSetting(
        # 2 is "off, and forget the timers"; no module answers it.
        enabled=mode == 1,
        periodic_tau_s=timer_seconds(tau, PERIODIC_TAU_UNITS_S),
        active_time_s=timer_seconds(active, ACTIVE_TIME_UNITS_S),
    )


@slotted(frozen=True)
class EdrxSetting:
    """A requested eDRX cycle, which is how often a sleeping module listens to the network.

    ``act_type`` is the technology, 5 for NB-IoT; ``value`` the cycle as four bits of 24.008
    (10.5.5.32), ``None`` for none.
    """

    act_type: int
    value: str | None


@slotted(frozen=True)
class Cedrxs(NetworkCommand[tuple[EdrxSetting, ...]]):
    """Ask for the requested eDRX cycles, or request one; mode 0 switches eDRX off."""

    prefix: ClassVar[bytes] = b"+CEDRXS:"

    mode: int | None = None
    act_type: int | None = None
    value: str | None = None

    def _build(self) -> bytes:
        if self.mode is None:
            if self.act_type is not None or self.value is not None:
                raise ValueError("mode is needed to set act_type or value")
            return command_line("+CEDRXS?")
        return command_line(
            "+CEDRXS",
            mode=integer("mode", self.mode, range(4)),
            act_type=maybe_integer("act_type", self.act_type, range(1, 6)),
            value=_bits("value", self.value, 4),
        )

    def parse(self, lines: Sequence[bytes]) -> tuple[EdrxSetting, ...]:
        """Give a setting per technology; none after a write."""
        rows = []
        # Padded, because a module may leave the value out.
        for line in lines:
            act_type, value = [*split_params(self._params(line)), b""][:2]
            number = number_or_none(act_type)
            if number is None:
                raise self._unexpected(lines, "no technology")
            rows.append(EdrxSetting(number, unquote(value) or None))
        return tuple(rows)


@slotted(frozen=True)
class EdrxGrant:
    """An eDRX cycle as it was asked for and as the network grants it: four bits of 24.008."""

    act_type: int
    requested: str | None
    granted: str | None


@slotted(frozen=True)
class Cedrxrdp(NetworkCommand[EdrxGrant]):
    """Ask for the eDRX cycle that is in force; technology 0 has none."""

    prefix: ClassVar[bytes] = b"+CEDRXRDP:"

    def _build(self) -> bytes:
        return command_line("+CEDRXRDP")

    def parse(self, lines: Sequence[bytes]) -> EdrxGrant:
        """Give it."""
        for line in lines:
            act_type, asked, granted = [*split_params(self._params(line)), b"", b""][:3]
            number = number_or_none(act_type)
            if number is not None:
                return EdrxGrant(number, unquote(asked) or None, unquote(granted) or None)
        raise self._unexpected(lines, "no technology")
