"""Hold what all parts of the virtual module share: time, timers, output, settings.

Layer: sim. Reads no clock: :attr:`Board.now` is the time of the event at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiobc9x.sim.energy import EnergyMeter
from aiobc9x.sim.faults import LINE_KINDS, PAYLOAD_KINDS, Fault, FaultKind, FaultPlan
from aiobc9x.sim.interface import Network
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.timers import Timer, Timers
from aiobc9x.spec import OPEN_TIME_DEFAULT_S

HIGH_WATER = 16384
"""Bytes of waiting output at which the module takes no more commands and datagrams."""

STREAM_WATER = 4096
"""Bytes of waiting output at which the module holds TCP peers back.

Without this, answers would wait after an endless row of pushed data.
"""

LOW_WATER = 2048
"""Bytes of waiting output at which TCP peers may go on."""


@dataclass(slots=True)
class Statistics:
    """Counters since the module was made; a reset leaves them alone.

    Attributes:
        broken_rules: Mistakes of the host: it wrote while a command was being carried out
            (§2.1.2), sent before ``SEND OK`` (§4.1.2), or gave a command that the note rules
            out. The module answers all the same.

    """

    bytes_in: int = 0
    bytes_out: int = 0
    commands: int = 0
    errors: int = 0
    urcs: int = 0
    opens: int = 0
    closes: int = 0
    sends: int = 0
    sent_bytes: int = 0
    reads: int = 0
    received_bytes: int = 0
    lost_bytes: int = 0
    resets: int = 0
    broken_rules: int = 0


@dataclass(frozen=True, slots=True)
class PsmRequest:
    """AT+CPSMS: whether power saving is on, and its timers as the eight bits of 24.008."""

    on: int = 0
    periodic_tau: str = "01000001"
    active_time: str = "00000101"


@dataclass(slots=True)
class Settings:
    """The settings that a reset puts back to their defaults.

    Deep sleep keeps them, except ``open_time`` (§2.2.11).
    """

    echo: bool = True
    cmee: int = 0
    open_time: int = OPEN_TIME_DEFAULT_S
    dns: list[str] = field(default_factory=lambda: ["114.114.114.114", "8.8.8.8"])
    sleep_clock: int = 0
    nbiot_event: bool = False
    wakeup_urc: bool = False
    psm: PsmRequest = field(default_factory=PsmRequest)


class Board:
    """Time, timers, output and settings of one module.

    Attributes:
        now: Time of the event at hand, in seconds on the caller's clock.
        started: When power came, on the same clock.
        up: False from a reset to the boot banner. The module then neither prints nor reads.
        mute_until: The module neither prints nor reads before this time.
        on_air_at: When the radio last sent or received for the host.
        lock_released: AT+QRELLOCK: the module need not stay awake for another command.
        energy: What the module spends its time on.
        last_error: What AT+QIGETERROR reports (§2.2.12).
        restart: Resets the module; the module sets this attribute.

    """

    def __init__(self, options: SimOptions, network: Network, nvram: Nvram) -> None:
        self.options = options
        self.network = network
        self.nvram = nvram
        self.faults: FaultPlan = FaultPlan(options.faults, options.seed)
        self.timers: Timers = Timers()
        self.statistics: Statistics = Statistics()
        self.settings: Settings = Settings()
        self.now: float = 0.0
        self.started: float = 0.0
        self.up = False
        self.mute_until: float = -math.inf
        self.on_air_at: float = 0.0
        self.lock_released = False
        self.energy: EnergyMeter = EnergyMeter()
        self.last_error = 0
        self.output: bytearray = bytearray()
        self.restart: Callable[[], None] = lambda: None

    @property
    def baud(self) -> int:
        """The rate of the serial line in bits a second: AT+IPR, else the option, 0 for none."""
        return self.nvram.baud or self.options.baud

    @property
    def mute(self) -> bool:
        """Whether the module neither hears nor speaks at present."""
        return not self.up or self.now < self.mute_until

    @property
    def flooded(self) -> bool:
        """Whether so much output waits that the module takes no more commands."""
        return len(self.output) >= HIGH_WATER

    @property
    def is_behind(self) -> bool:
        """Whether so much output waits that TCP peers are held back."""
        return len(self.output) >= STREAM_WATER

    def later(self, delay: float, callback: Callable[[], None]) -> Timer | None:
        """Run ``callback`` after ``delay`` seconds, unless the module restarts before."""
        return self.timers.at(self.now + delay, callback) if self.up else None

    def note(self, direction: str, text: str) -> None:
        """Show one line of the dialogue to whoever watches."""
        if self.options.on_line is not None:
            self.options.on_line(direction, text)

    def answer(self, *lines: str, final: str = "OK") -> None:
        """Say information lines, then a final result, as one answer."""
        self.lines(*lines)
        self.line(final)

    def lines(self, *lines: str) -> None:
        """Say lines with no blank line between them."""
        for index, line in enumerate(lines):
            self.line(line, lead=b"" if index else b"\r\n")

    def urc(self, line: str, *, lead: bytes = b"\r\n") -> None:
        """Say an unsolicited or late line."""
        self.statistics.urcs += 1
        self.line(line, lead=lead)

    def line(
        self,
        line: str,
        *,
        data: bytes = b"",
        separator: bytes = b"",
        lead: bytes = b"\r\n",
        end: bytes = b"\r\n",
    ) -> None:
        """Say one line between ``<CR><LF>`` (§2.1.2), a payload at its end if there is one."""
        head = lead + line.encode("latin-1") + separator
        watched = data and self.options.on_line is not None
        shown = f"{line} {_printable(data)}" if watched else line
        fault = self.faults.strike(PAYLOAD_KINDS, line) if data else None
        if fault is not None and fault.kind is FaultKind.RESET_IN_PAYLOAD:
            self._put(line, head + data[: fault.count], shown)
            self.restart()
            return
        if fault is not None and fault.kind is FaultKind.CORRUPT_BYTES:
            data = self.faults.corrupted(data, fault.count)
        elif fault is not None:
            middle = len(data) // 2
            data = data[:middle] + data[middle + fault.count :]
        self._put(line, head + data + end, shown)

    def raw(self, key: str, frame: bytes) -> None:
        """Say bytes with a framing of their own, such as the prompt."""
        self._put(key, frame, key)

    def echo(self, data: bytes) -> None:
        """Send back what the host typed."""
        if not self.mute:
            self.output += data

    def _put(self, key: str, frame: bytes, shown: str) -> None:
        fault = self.faults.strike(LINE_KINDS, key) if not self.mute else None
        if fault is not None:
            self._put_faulty(fault, key.encode("latin-1"), frame, shown)
        else:
            self._write(frame, shown)

    def _put_faulty(self, fault: Fault, text: bytes, frame: bytes, shown: str) -> None:
        match fault.kind:
            case FaultKind.DUPLICATE_LINE:
                self._write(frame, shown)
                self._write(frame, shown)
            case FaultKind.DELAY_LINE:
                self.later(fault.delay_s, lambda: self._write(frame, shown))
            case FaultKind.REPLACE_LINE:
                self._write(b"\r\n" + fault.data + b"\r\n", _printable(fault.data))
            case FaultKind.GARBAGE:
                self._write(fault.data + frame, shown)
            case FaultKind.CORRUPT_LINE:
                wrong = self.faults.corrupted(text, fault.count)
                self._write(frame.replace(text, wrong, 1), _printable(wrong))
            case FaultKind.TRUNCATE_LINE:
                self._write(frame[: -fault.count], shown)
            case FaultKind.INTERLEAVE:
                middle = len(frame) // 2
                between = b"\r\n" + fault.data + b"\r\n"
                self._write(frame[:middle] + between + frame[middle:], shown)
            case FaultKind.RESET_AT_LINE:
                self.restart()

    def _write(self, frame: bytes, shown: str) -> None:
        if not self.mute:
            self.output += frame
            self.note("<", shown)


def _printable(data: bytes) -> str:
    """Return bytes as text for a transcript, the rest escaped, at most 60 of them."""
    text = repr(data[:60])[2:-1]
    return text if len(data) <= 60 else f"{text}… ({len(data)} bytes)"


def join(values: Sequence[object]) -> str:
    """Write a parameter list: strings in quotes, ``None`` left empty."""
    return ",".join(
        "" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
        for value in values
    )
