"""Command lines and their parameter lists, as the module reads them (§2.1.2).

Layer: sim. Text is Latin-1, so that each character is one byte of the line.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Container, Sequence
from dataclasses import dataclass

from aiobc9x.spec import Err


class Refused(Exception):
    """The command ends in an error.

    Attributes:
        err: The ``<err>`` of §3 for a command of the note, else ``None``.
        cme: The 27.007 number for ``+CME ERROR``, else ``None``.

    """

    def __init__(self, err: int | None = None, *, cme: int | None = None) -> None:
        super().__init__(err, cme)
        self.err = err
        self.cme = cme


class Form(enum.Enum):
    """The four forms of a command (table 1)."""

    TEST = "=?"
    READ = "?"
    WRITE = "="
    EXEC = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A parameter in double quotes."""

    value: str


Parameter = Text | str | None
"""Quoted, bare, or left out."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line without its ``AT``: name in upper case, form, what follows ``=``."""

    name: str
    form: Form
    arguments: str


def parse_command(body: str) -> Command:
    """Split the body of an extended command (``+NAME``, then ``=?``, ``?``, ``=…`` or nothing)."""
    end = next((at for at, char in enumerate(body) if char in "=?"), len(body))
    name, rest = body[:end].strip().upper(), body[end:]
    if rest in ("=?", "?", ""):
        return Command(name, Form(rest), "")
    if rest.startswith("="):
        return Command(name, Form.WRITE, rest[1:])
    return Command(body.upper(), Form.EXEC, "")


def split_parameters(arguments: str) -> list[Parameter]:
    """Split a parameter list at the commas outside of quotes.

    Raises:
        Refused: 552; a quote is not closed, or something stands after it.

    """
    found: list[Parameter] = []
    at = 0
    while True:
        parameter, at = _one_parameter(arguments, at)
        found.append(parameter)
        if at == len(arguments):
            return found
        at += 1


def _one_parameter(arguments: str, start: int) -> tuple[Parameter, int]:
    """Return the parameter at ``start`` and the index of the comma, or end, after it."""
    while start < len(arguments) and arguments[start] == " ":
        start += 1
    if start < len(arguments) and arguments[start] == '"':
        close = arguments.find('"', start + 1)
        if close < 0:
            raise Refused(Err.INVALID_PARAMETERS)
        end = close + 1
        if end < len(arguments) and arguments[end] != ",":
            raise Refused(Err.INVALID_PARAMETERS)
        return Text(arguments[start + 1 : close]), end
    end = arguments.find(",", start)
    end = len(arguments) if end < 0 else end
    return arguments[start:end].strip() or None, end


class Arguments:
    """A parameter list with typed, checked access; every failure is :class:`Refused`."""

    def __init__(self, arguments: str, least: int, most: int, *, err: int | None = 552) -> None:
        self._err = err
        try:
            self._list: Sequence[Parameter] = split_parameters(arguments)
        except Refused as error:
            raise self._refusal() from error
        if not least <= len(self._list) <= most:
            raise self._refusal()

    def __len__(self) -> int:
        return len(self._list)

    def _refusal(self) -> Refused:
        return Refused(self._err) if self._err is not None else Refused(cme=50)

    def number(self, index: int, allowed: Container[int], default: int | None = None) -> int:
        """Return a decimal number without a sign; ``default`` stands in for one left out."""
        value = self._list[index] if index < len(self._list) else None
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
            raise self._refusal()
        if int(value) not in allowed:
            raise self._refusal()
        return int(value)

    def text(self, index: int, *, most: int = 255) -> str:
        """Return a quoted string of 1 to ``most`` bytes."""
        value = self._list[index] if index < len(self._list) else None
        if not isinstance(value, Text) or not 0 < len(value.value) <= most:
            raise self._refusal()
        return value.value

    def raw(self, index: int) -> str:
        """Return a parameter with or without quotes; empty if left out."""
        value = self._list[index] if index < len(self._list) else None
        return value.value if isinstance(value, Text) else value or ""


def write_arguments(command: Command, least: int, most: int) -> Arguments:
    """Return the parameters of a command of the note; any form but write is 552."""
    if command.form is not Form.WRITE:
        raise Refused(Err.INVALID_PARAMETERS)
    return Arguments(command.arguments, least, most)


def maybe_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that ``text`` spells, or ``None`` for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
