"""Commands whose ``OK`` changes what later bytes mean.

Layer: core. Does no I/O, reads no clock.

The command's text decides, so that a line from :meth:`Modem.command` counts like our
own: another owner of the modem may write settings through it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from aiobc9x.spec import AccessMode


@dataclass(frozen=True, slots=True)
class ReceiveHex:
    """Payloads come as hex digits, or no longer (§2.2.11)."""

    on: bool


@dataclass(frozen=True, slots=True)
class ShowLength:
    """Headers carry the optional lengths, or no longer (§2.2.11)."""

    on: bool


@dataclass(frozen=True, slots=True)
class SwitchMode:
    """A socket's data arrive differently from now on (§2.2.1, §2.2.7)."""

    connect_id: int
    access_mode: AccessMode


@dataclass(frozen=True, slots=True)
class EchoLines:
    """The module echoes command lines, or no longer."""

    on: bool


Effect: TypeAlias = ReceiveHex | ShowLength | SwitchMode | EchoLines


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a command's text means for us.

    Attributes:
        effect: What its ``OK`` changes here.
        is_send: ``SEND OK`` or ``SEND FAIL`` will follow (§2.2.4, §2.2.5).
        is_read: The answer may be a counted payload (§2.2.6).
        writes_nvram: It writes a setting that outlives a restart (§2.2.7, §2.2.11).

    """

    effect: Effect | None = None
    is_send: bool = False
    is_read: bool = False
    writes_nvram: bool = False


PLAIN = Meaning()
"""Of a command whose text means nothing in particular."""

SEND = Meaning(is_send=True)
"""Of AT+QISEND and AT+QISENDEX."""

READ = Meaning(is_read=True)
"""Of AT+QIRD."""

_E, _Q = {b"E", b"e"}, {b"Q", b"q"}

_DATA_FORMAT = re.compile(r'AT\+QICFG\s*=\s*"dataformat"\s*,\s*[01]\s*,\s*([01])\s*', re.IGNORECASE)
_SHOW_LENGTH = re.compile(r'AT\+QICFG\s*=\s*"showlength"\s*,\s*([01])\s*', re.IGNORECASE)
_VIEW_MODE = re.compile(r'AT\+QICFG\s*=\s*"viewmode"\s*,\s*[01]\s*', re.IGNORECASE)
_SWITCH = re.compile(r"AT\+QISWTMD\s*=\s*([0-5])\s*,\s*([01])\s*", re.IGNORECASE)
_OPEN = re.compile(
    r'AT\+QIOPEN\s*=\s*\d\s*,\s*([0-5])\s*,\s*"[^"]*"\s*,\s*"[^"]*"\s*,\s*\d+\s*,\s*\d*\s*,'
    r"\s*([01])\s*(?:,\s*[01]?\s*)?",
    re.IGNORECASE,
)
_SEND = re.compile(r"AT\+QISEND(?:EX)?\s*=\s*\d", re.IGNORECASE)
_READ = re.compile(r"AT\+QIRD\s*=\s*\d", re.IGNORECASE)
_ECHO = re.compile(r"ATE([01]?)\s*", re.IGNORECASE)


def meaning_of(line: bytes) -> Meaning:
    """Return all that the functions below say about a command, by its line with the CR."""
    if line[2:3] not in _E and line[3:4] not in _Q:
        return PLAIN
    text = line[:-1].decode("ascii")
    return Meaning(effect_of(text), is_send(text), is_read(text), writes_nvram(text))


def effect_of(text: str) -> Effect | None:
    """Return what the command changes at its ``OK``, if it changes anything here."""
    if match := _DATA_FORMAT.fullmatch(text):
        return ReceiveHex(match[1] == "1")
    if match := _SHOW_LENGTH.fullmatch(text):
        return ShowLength(match[1] == "1")
    if match := _SWITCH.fullmatch(text) or _OPEN.fullmatch(text):
        return SwitchMode(int(match[1]), AccessMode(int(match[2])))
    if match := _ECHO.fullmatch(text):
        return EchoLines(match[1] == "1")
    return None


def writes_nvram(text: str) -> bool:
    """Whether the command writes a setting that outlives a restart (§2.2.7, §2.2.11)."""
    return any(p.fullmatch(text) for p in (_DATA_FORMAT, _SHOW_LENGTH, _VIEW_MODE, _SWITCH))


def is_send(text: str) -> bool:
    """Whether ``SEND OK`` or ``SEND FAIL`` will follow (§2.2.4, §2.2.5)."""
    return _SEND.match(text) is not None


def is_read(text: str) -> bool:
    """Whether the answer may be a counted payload (§2.2.6)."""
    return _READ.match(text) is not None
