"""Define commands about the module itself: identity, clock, SIM card and URCs.

Layer: wire. Does no I/O, reads no clock.

Most are commands of 3GPP TS 27.007, the standard that every cellular modem follows; "27.007"
in this package means it. The vendor's commands (AT+QSCLK, AT+QNBIOTEVENT, AT+QATWAKEUP,
AT+QCCID) are in no manual of this module, only in those of its relatives, so the module may
refuse any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.base import Command, EchoLines, Meaning, T_co, is_stray
from aiobc9x.wire.params import (
    ascii_text,
    command_line,
    integer,
    number_or_none,
    unquote,
)

__all__ = [
    "At",
    "Cclk",
    "Cgmi",
    "Cgmm",
    "Cgmr",
    "Cgsn",
    "Cimi",
    "Cmee",
    "Cscon",
    "Echo",
    "Identify",
    "Ipr",
    "NetworkCommand",
    "NetworkOrder",
    "Qatwakeup",
    "Qccid",
    "Qnbiotevent",
    "Results",
    "Verbose",
]

_SWITCH: Final = range(2)
_ANSWER_S: Final = 1.0

SIM_ANSWER_S: Final = 5.0
"""For commands that wait for the SIM: a public log has AT+CPIN? answered after 4 s (F51)."""

# An IMSI has 6 to 15 digits, an IMEI 15, an ICCID 19 or 20 and perhaps a hex filler after them.
_DIGITS: Final = lazy_pattern(rb"[0-9]{6,22}[0-9A-Fa-f]?")


@slotted(frozen=True)
class NetworkCommand(Command[T_co]):
    """A command that is not in the note, so AT+QIGETERROR does not explain its failure.

    The note's 300 ms don't hold for it; relatives answer within a second.

    Attributes:
        question_time: Seconds until the final result of the read form (``?``).

    """

    max_response_time: ClassVar[float] = _ANSWER_S
    question_time: ClassVar[float] = _ANSWER_S

    @property
    def time_limit(self) -> float:
        """Seconds until the final result: the read form is quick, the write form may not be."""
        return self.question_time if self._line.endswith(b"?\r") else self.max_response_time

    @property
    def tcpip(self) -> bool:
        """Whether AT+QIGETERROR explains an ``ERROR`` (§2.2.12)."""
        return False


@slotted(frozen=True)
class NetworkOrder(NetworkCommand[None]):
    """A command that is not in the note and whose answer is the final result alone."""

    def claims(self, text: bytes) -> bool:
        """Claim nothing."""
        return False

    def parse(self, lines: Sequence[bytes]) -> None:
        """Give nothing."""


@slotted(frozen=True)
class At(NetworkOrder):
    """Ask for an ``OK``, to see that the module listens."""

    def _build(self) -> bytes:
        return command_line("")


@slotted(frozen=True)
class Echo(NetworkOrder):
    """Switch the echo of commands."""

    on: bool

    @property
    def meaning(self) -> Meaning:
        """The echo from the ``OK`` on: with it off, an echoed line shows a restart (F42)."""
        return Meaning(EchoLines(self.on))

    def _build(self) -> bytes:
        return command_line("E1" if self.on else "E0")


@slotted(frozen=True)
class Results(NetworkOrder):
    """Switch final results on, which an earlier program may have switched off by ATQ1 (F46)."""

    def _build(self) -> bytes:
        return command_line("Q0")


@slotted(frozen=True)
class Verbose(NetworkOrder):
    """Switch to results in words: the framer can't read the numbers of ATV0 (F46)."""

    def _build(self) -> bytes:
        return command_line("V1")


@slotted(frozen=True)
class Cmee(NetworkOrder):
    """Choose ``ERROR`` (0), ``+CME ERROR`` with a number (1) or with words (2)."""

    n: int

    def _build(self) -> bytes:
        return command_line("+CMEE", n=integer("n", self.n, range(3)))


@slotted(frozen=True)
class _Text(NetworkCommand[str]):
    """A command whose answer is one line of text, with or without a prefix (F11)."""

    def claims(self, text: bytes) -> bool:
        """Claim lines with the prefix, and lines that have none."""
        return text.startswith(self.prefix) or _is_plain(text)

    def parse(self, lines: Sequence[bytes]) -> str:
        """Give the text of the first line that has any."""
        for line in lines:
            text = line[len(self.prefix) :] if line.startswith(self.prefix) else line
            if text.strip():
                return unquote(text.strip())
        raise self._unexpected(lines, "no text")


def _is_plain(text: bytes) -> bool:
    # A sign begins another command's line or a URC; words such as RDY come unasked (F6).
    return not text.startswith((b"+", b"*", b"^", b"$", b"#", b"%")) and not is_stray(text)


@slotted(frozen=True)
class Identify(NetworkCommand[tuple[str, ...]]):
    """Ask for the maker, the model and the firmware, a line each."""

    def _build(self) -> bytes:
        return command_line("I")

    def claims(self, text: bytes) -> bool:
        """Claim lines without prefix."""
        return _is_plain(text)

    def parse(self, lines: Sequence[bytes]) -> tuple[str, ...]:
        """Give the lines."""
        return tuple(ascii_text(line.strip()) for line in lines)


@slotted(frozen=True)
class Cgmi(_Text):
    """Ask for the manufacturer."""

    prefix: ClassVar[bytes] = b"+CGMI:"

    def _build(self) -> bytes:
        return command_line("+CGMI")


@slotted(frozen=True)
class Cgmm(_Text):
    """Ask for the model."""

    prefix: ClassVar[bytes] = b"+CGMM:"

    def _build(self) -> bytes:
        return command_line("+CGMM")


@slotted(frozen=True)
class Cgmr(_Text):
    """Ask for the firmware revision."""

    prefix: ClassVar[bytes] = b"+CGMR:"

    def _build(self) -> bytes:
        return command_line("+CGMR")


@slotted(frozen=True)
class _Digits(_Text):
    """A command whose answer is a long number, with or without a prefix (F11)."""

    def claims(self, text: bytes) -> bool:
        """Claim lines with the prefix, and bare numbers."""
        return text.startswith(self.prefix) or _DIGITS.fullmatch(text.strip()) is not None


@slotted(frozen=True)
class Cgsn(_Digits):
    """Ask for the IMEI."""

    prefix: ClassVar[bytes] = b"+CGSN:"

    def _build(self) -> bytes:
        # <snt> 1 is the IMEI. 0 and the bare form may give a serial number of the vendor's.
        return command_line("+CGSN", snt="1")


@slotted(frozen=True)
class Cimi(_Digits):
    """Ask for the IMSI of the SIM."""

    max_response_time: ClassVar[float] = SIM_ANSWER_S
    prefix: ClassVar[bytes] = b"+CIMI:"

    def _build(self) -> bytes:
        return command_line("+CIMI")


@slotted(frozen=True)
class Qccid(_Digits):
    """Ask for the ICCID of the SIM."""

    max_response_time: ClassVar[float] = SIM_ANSWER_S
    prefix: ClassVar[bytes] = b"+QCCID:"

    def _build(self) -> bytes:
        return command_line("+QCCID")


@slotted(frozen=True)
class Cclk(NetworkCommand[str]):
    """Ask for the module's clock."""

    prefix: ClassVar[bytes] = b"+CCLK:"

    def _build(self) -> bytes:
        return command_line("+CCLK?")

    def parse(self, lines: Sequence[bytes]) -> str:
        """Give the time as the module spells it, which varies."""
        for line in lines:
            text = unquote(self._params(line))
            if text:
                return text
        raise self._unexpected(lines, "no time")


@slotted(frozen=True)
class Ipr(NetworkCommand[int]):
    """Ask for the baud rate, or set it; 0 lets the module detect it."""

    prefix: ClassVar[bytes] = b"+IPR:"

    rate: int | None = None

    def _build(self) -> bytes:
        if self.rate is None:
            return command_line("+IPR?")
        # The module knows which rates it has; this range only keeps nonsense off the line.
        return command_line("+IPR", rate=integer("rate", self.rate, range(4_000_001)))

    def parse(self, lines: Sequence[bytes]) -> int:
        """Give the rate in bit/s; after a write, the one that was set."""
        if self.rate is not None:
            return self.rate
        for line in lines:
            rate = number_or_none(self._params(line))
            if rate is not None:
                return rate
        raise self._unexpected(lines, "no baud rate")


@slotted(frozen=True)
class Cscon(NetworkOrder):
    """Switch the URC ``+CSCON``."""

    n: int

    def _build(self) -> bytes:
        return command_line("+CSCON", n=integer("n", self.n, _SWITCH))


@slotted(frozen=True)
class Qnbiotevent(NetworkOrder):
    """Switch the URC ``+QNBIOTEVENT``; ``event`` 1 is sleep."""

    enable: int
    event: int = 1

    def _build(self) -> bytes:
        return command_line(
            "+QNBIOTEVENT",
            enable=integer("enable", self.enable, _SWITCH),
            # Relatives know event 1 alone; others may have more.
            event=integer("event", self.event, range(1, 256)),
        )


@slotted(frozen=True)
class Qatwakeup(NetworkOrder):
    """Switch the URC ``+QATWAKEUP``."""

    enable: int

    def _build(self) -> bytes:
        return command_line("+QATWAKEUP", enable=integer("enable", self.enable, _SWITCH))
