"""Define what every AT command has in common, and the commands that take any name.

Layer: wire. Does no I/O, reads no clock.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, Final, Generic, NamedTuple, TypeAlias, TypeVar

from aiobc9x import spec
from aiobc9x.errors import UnexpectedAnswer
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import AccessMode
from aiobc9x.wire.params import ascii_text, command_line, raw_line
from aiobc9x.wire.signalling import is_notice
from aiobc9x.wire.urcs import RadioState, SimState, parse_urc

__all__ = [
    "PLAIN",
    "RAW_TIMES_S",
    "READ",
    "SEND",
    "CloseSocket",
    "Command",
    "EchoLines",
    "Effect",
    "Meaning",
    "OpenSocket",
    "Order",
    "Raw",
    "ReceiveHex",
    "ShowLength",
    "SwitchMode",
    "TestForm",
    "is_stray",
]

T_co = TypeVar("T_co", covariant=True)

# Letters in either case, and spaces after AT, because people write raw lines by hand.
_NAME: Final = lazy_pattern(r"[Aa][Tt]\s*(&?[A-Za-z]|[+*^#$%][A-Za-z][A-Za-z0-9_]*)")
_TEST_NAME: Final = lazy_pattern(r"[A-Z][A-Z0-9]*")
_SIGNS: Final = (b"+", b"*", b"^", b"#", b"$", b"%")
# The UART floats while a module wakes up; drivers of relatives saw these bytes then (F4).
_NOISE: Final = b"\x00\xff"

RAW_TIMES_S: Final[dict[str, float]] = {
    "+COPS": 180.0,  # AT+COPS=? looks through every band
    "+CGACT": 150.0,
    "+CGATT": 140.0,
    "+CMGS": 120.0,
    "+CMSS": 120.0,
    "+CUSD": 120.0,
    "+CFUN": 85.0,
}
"""Seconds until the final result of a raw command that waits for the network or the radio.

The numbers are those of 27.007 and of the manuals of relatives. A raw command that is not
listed has :attr:`Raw.max_response_time`.
"""

_BARE_ANSWERS: Final = frozenset(
    {"+CCID", "+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CIMI", "+CLAC", "+CMGL", "+CMGR"}
)
"""Commands of 27.007 and 27.005 whose answers, or parts of them, have no prefix (F11)."""

_OTHER_PREFIXES: Final[dict[str, frozenset[str]]] = {
    "I": frozenset({"+GCAP"}),
    "+CCID": frozenset({"+ICCID"}),
    "+QCCID": frozenset({"+CCID"}),
}
"""Prefixes that the answer of a command may have besides the command's own name (F11)."""


@slotted(frozen=True)
class ReceiveHex:
    """From ``OK`` on, received payloads are hex digits, or raw bytes again (§2.2.11)."""

    on: bool


@slotted(frozen=True)
class ShowLength:
    """From ``OK`` on, headers carry the optional lengths, or no longer do (§2.2.11)."""

    on: bool


@slotted(frozen=True)
class SwitchMode:
    """From ``OK`` on, the data of a socket arrive in the other access mode (§2.2.7)."""

    connect_id: int
    access_mode: AccessMode


@slotted(frozen=True)
class OpenSocket:
    """From when the command is written, a socket may deliver data in this access mode (§2.2.1).

    Waiting for the ``OK`` would be too late: the peer may send as soon as it is connected, and
    the ``OK`` of AT+QIOPEN may get lost. An ``ERROR`` undoes this effect.
    """

    connect_id: int
    access_mode: AccessMode


@slotted(frozen=True)
class CloseSocket:
    """From ``CLOSE OK`` on, no more data of a socket arrive (§2.2.2)."""

    connect_id: int


@slotted(frozen=True)
class EchoLines:
    """From ``OK`` on, the module echoes command lines, or no longer does."""

    on: bool


Effect: TypeAlias = ReceiveHex | ShowLength | SwitchMode | OpenSocket | CloseSocket | EchoLines
"""What a command changes about how later bytes from the module must be read."""


class Meaning(NamedTuple):
    """What a command does besides having an answer.

    Attributes:
        effect: What the command changes about how later bytes must be read, if anything.
        is_send: ``SEND OK`` or ``SEND FAIL`` will follow (§2.2.4, §2.2.5).
        is_read: The answer may be a counted payload (§2.2.6).
        writes_nvram: The command stores a setting that outlives a restart (§2.2.7, §2.2.11),
            so the next command has to wait a little (F44).

    """

    effect: Effect | None = None
    is_send: bool = False
    is_read: bool = False
    writes_nvram: bool = False


PLAIN: Final = Meaning()
"""The meaning of most commands: none. There is one such object, so ``is PLAIN`` is a test."""

SEND: Final = Meaning(is_send=True)
READ: Final = Meaning(is_read=True)


@slotted(frozen=True)
class Command(ABC, Generic[T_co]):
    """One AT command: how it is written, and how its answer is read.

    The line is built when the command is made, so a wrong argument is a
    ``ValueError`` there, before anything is queued or sent.

    Attributes:
        max_response_time: Seconds until the final result (chapter 2).
        prefix: What its information lines start with, colon included; may be empty.

    """

    # A promise of the note that modules break (F53); the session adds its own patience.
    max_response_time: ClassVar[float] = spec.MAX_RESPONSE_TIME_S
    prefix: ClassVar[bytes] = b""
    _line: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # object.__setattr__, because the dataclass is frozen.
        object.__setattr__(self, "_line", self._build())

    @abstractmethod
    def _build(self) -> bytes:
        """Return the command line with its ``<CR>``; raise ``ValueError``."""

    @abstractmethod
    def parse(self, lines: Sequence[bytes]) -> T_co:
        """Read the information lines that came before ``OK``.

        Raises:
            UnexpectedAnswer: The lines can't be read; nothing else is raised.

        """

    def encode(self) -> bytes:
        """Return the command line with its ``<CR>``."""
        return self._line

    def claims(self, text: bytes) -> bool:
        """Tell whether a line that arrived before the final result belongs to the answer."""
        return bool(self.prefix) and text.startswith(self.prefix)

    @property
    def text(self) -> str:
        """The command line without its ``<CR>``, for messages."""
        return ascii_text(self._line[:-1])

    @property
    def time_limit(self) -> float:
        """Seconds until the final result of this very line."""
        return self.max_response_time

    @property
    def needs_prompt(self) -> bool:
        """Whether ``>`` comes before the final result."""
        return False

    @property
    def tcpip(self) -> bool:
        """Whether AT+QIGETERROR explains an ``ERROR`` (§2.2.12)."""
        return True

    @property
    def meaning(self) -> Meaning:
        """What the command does besides having an answer; :data:`PLAIN` for most commands."""
        return PLAIN

    def owns(self, text: bytes) -> bool:
        """Tell whether a line begins as the command's own information lines do.

        The prefix alone decides. :meth:`claims` may take lines without a prefix too, and part of
        a torn payload can look like such a line (F5).
        """
        return bool(self.prefix) and text.startswith(self.prefix)

    def _unexpected(self, lines: Sequence[bytes], reason: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(self.text, lines, reason)

    def _params(self, line: bytes) -> bytes:
        return line[len(self.prefix) :].strip()


@slotted(frozen=True)
class Order(Command[None]):
    """A command whose answer is the final result alone."""

    def claims(self, text: bytes) -> bool:
        """Claim nothing."""
        return False

    def parse(self, lines: Sequence[bytes]) -> None:
        """Give nothing."""


def is_stray(text: bytes) -> bool:
    """Tell whether a line is a URC or a notice, so never part of an answer (F6)."""
    return parse_urc(text) is not None or is_notice(text)


def _explained(name: str) -> bool:
    # AT+QIGETERROR tells about the TCP/IP commands alone (§2.2.12).
    return name.startswith(("+QI", "+QPING", "+QNTP"))


@slotted(frozen=True)
class TestForm(Command[tuple[str, ...]]):
    """``AT+<name>=?``: what the module supports (§2.1.2).

    The forms are printed with unbalanced brackets and differ between firmwares
    (N5), so the lines are given as they come.
    """

    # Without this, pytest would collect the class because of its name.
    __test__: ClassVar[bool] = False

    name: str

    def _build(self) -> bytes:
        if not _TEST_NAME.fullmatch(str(self.name)):
            raise ValueError(f"name must be a command's name, such as 'QIOPEN', not {self.name!r}")
        return command_line(f"+{self.name}=?")

    @property
    def tcpip(self) -> bool:
        """Whether AT+QIGETERROR explains an ``ERROR`` (§2.2.12)."""
        return _explained(f"+{self.name}")

    def claims(self, text: bytes) -> bool:
        """Claim lines with the command's prefix that are no URC."""
        return text.startswith(f"+{self.name}:".encode()) and not is_stray(text)

    def parse(self, lines: Sequence[bytes]) -> tuple[str, ...]:
        """Give the lines."""
        return tuple(ascii_text(line) for line in lines)


# What a raw line changes, in the spellings that a module accepts: any case, and spaces. Only
# complete commands match, because the module refuses the others (§2.2.7, §2.2.11).
_DATA_FORMAT: Final = lazy_pattern(
    r'AT\+QICFG\s*=\s*"dataformat"\s*,\s*[01]\s*,\s*([01])\s*', re.IGNORECASE
)
_SHOW_LENGTH: Final = lazy_pattern(r'AT\+QICFG\s*=\s*"showlength"\s*,\s*([01])\s*', re.IGNORECASE)
_VIEW_MODE: Final = lazy_pattern(r'AT\+QICFG\s*=\s*"viewmode"\s*,\s*[01]\s*', re.IGNORECASE)
_SWITCH: Final = lazy_pattern(r"AT\+QISWTMD\s*=\s*([0-5])\s*,\s*([01])\s*", re.IGNORECASE)
# The access mode must be there: an omitted one is that of the last user (N2).
_OPEN: Final = lazy_pattern(
    r'AT\+QIOPEN\s*=\s*\d\s*,\s*([0-5])\s*,\s*"[^"]*"\s*,\s*"[^"]*"\s*,\s*\d+\s*,\s*\d*\s*,'
    r"\s*([01])\s*(?:,\s*[01]?\s*)?",
    re.IGNORECASE,
)
_CLOSE: Final = lazy_pattern(r"AT\+QICLOSE\s*=\s*([0-5])\s*", re.IGNORECASE)
# ATE without a digit is ATE0 (V.250).
_ECHO: Final = lazy_pattern(r"ATE([01]?)\s*", re.IGNORECASE)
_SEND: Final = lazy_pattern(r"AT\+QISEND(?:EX)?\s*=\s*\d", re.IGNORECASE)
_READ: Final = lazy_pattern(r"AT\+QIRD\s*=\s*\d", re.IGNORECASE)


def _effect_of(line: str) -> Effect | None:
    """Read from the text of a raw command what it changes about how later bytes are read."""
    if match := _DATA_FORMAT.fullmatch(line):
        return ReceiveHex(match[1] == "1")
    if match := _SHOW_LENGTH.fullmatch(line):
        return ShowLength(match[1] == "1")
    if match := _SWITCH.fullmatch(line):
        return SwitchMode(int(match[1]), AccessMode(int(match[2])))
    if match := _OPEN.fullmatch(line):
        return OpenSocket(int(match[1]), AccessMode(int(match[2])))
    if match := _CLOSE.fullmatch(line):
        return CloseSocket(int(match[1]))
    if match := _ECHO.fullmatch(line):
        return EchoLines(match[1] == "1")
    return None


def _meaning_of(line: str) -> Meaning:
    """Read from the text of a raw command what it does besides having an answer."""
    # match(), not fullmatch(): a malformed send must be treated as one all the same.
    if _SEND.match(line):
        return SEND
    if _READ.match(line):
        return READ
    # viewmode has no effect here: the framer looks at the byte after the header (F2, N24).
    stored = any(p.fullmatch(line) for p in (_DATA_FORMAT, _SHOW_LENGTH, _VIEW_MODE, _SWITCH))
    effect = _effect_of(line)
    return Meaning(effect, writes_nvram=stored) if effect or stored else PLAIN


@slotted(frozen=True)
class Raw(Command[list[str]]):
    """Any other AT command, as its caller wrote it.

    The answer consists of the lines with the command's own prefix. Some commands also get the
    lines without any prefix, except URCs and notices (F6, F11): commands without a sign (ATI),
    commands of 27.007 that are known to answer so (AT+CGMM, AT+CIMI), and vendor commands that
    are not the note's, because we can't know how those answer. A line with another prefix
    belongs to no answer.

    Attributes:
        line: The line, with ``AT`` and without ``<CR>``.
        prompt: Whether the module will ask for data with ``>``.

    """

    # Ours: longer than any command of 27.007 that does not wait for the network.
    max_response_time: ClassVar[float] = 15.0

    line: str
    prompt: bool = False
    _meaning: Meaning = field(init=False, repr=False, compare=False)
    _time_limit: float = field(init=False, repr=False, compare=False)

    def _build(self) -> bytes:
        line = raw_line(self.line)
        object.__setattr__(self, "_meaning", _meaning_of(self.line))
        object.__setattr__(self, "_time_limit", self._answer_time())
        return line

    @property
    def meaning(self) -> Meaning:
        """What the text of the command says that the command does."""
        return self._meaning

    def owns(self, text: bytes) -> bool:
        """Tell whether a line begins with the command's name."""
        return self.name.startswith("+") and text.startswith(f"{self.name}:".encode())

    @property
    def name(self) -> str:
        """What follows ``AT``, in capitals, such as ``+CEREG`` or ``I``; may be empty."""
        match = _NAME.match(self.line)
        return match[1].upper() if match else ""

    @property
    def time_limit(self) -> float:
        """Seconds until the final result: shorter for a question (``?``) than for an action."""
        return self._time_limit

    def _answer_time(self) -> float:
        # AT+COPS=? ends in "?" too, and yet searches for networks: minutes (27.007, 7.3).
        if self._asks and not self.line.rstrip().endswith("=?"):
            return self.max_response_time
        return RAW_TIMES_S.get(self.name, self.max_response_time)

    @property
    def _asks(self) -> bool:
        return self.line.rstrip().endswith("?")

    @property
    def needs_prompt(self) -> bool:
        """Whether ``>`` comes before the final result."""
        return self.prompt

    @property
    def tcpip(self) -> bool:
        """Whether AT+QIGETERROR explains an ``ERROR`` (§2.2.12)."""
        return _explained(self.name)

    def claims(self, text: bytes) -> bool:
        """Claim lines with the command's prefix, and bare lines if its answer may have those."""
        text = text.lstrip(_NOISE)
        if not text.startswith(_SIGNS):
            return bool(text) and self._may_answer_bare() and not is_stray(text)
        prefix, colon, _ = text.partition(b":")
        if not colon:
            # AT+CLAC lists commands, one a line: "+CREG" with no colon.
            return self.name == "+CLAC" and not is_stray(text)
        found = ascii_text(prefix).strip().upper()
        if found != self.name and found not in _OTHER_PREFIXES.get(self.name, ()):
            return False
        urc = parse_urc(text)
        # "+CFUN: 1" and "+CPIN: READY" look the same as an answer and as a URC (F10).
        return urc is None or (self._asks and isinstance(urc, (RadioState, SimState)))

    def _may_answer_bare(self) -> bool:
        name = self.name
        # +C… are the standard's commands, so the list of bare ones is complete.
        if name.startswith("+C"):
            return name in _BARE_ANSWERS
        return bool(name) and not self.tcpip

    def parse(self, lines: Sequence[bytes]) -> list[str]:
        """Give the lines."""
        return [ascii_text(line.lstrip(_NOISE)) for line in lines] if lines else []
