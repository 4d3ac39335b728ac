"""Commands about the SIM: what it waits for, and how many tries are left.

Layer: wire. Does no I/O, reads no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, Final

from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.module import SIM_ANSWER_S, NetworkCommand
from aiobc9x.wire.params import command_line, number_or_none, split_params, unquote

__all__ = ["Cpin", "Cpinr", "Qpinc", "SimTries"]

_CARD: Final = "SC"  # the SIM's own lock, among those of AT+QPINC


@slotted(frozen=True)
class Cpin(NetworkCommand[str]):
    """Ask what the SIM waits for, give the PIN, or with ``new_pin`` the PUK.

    Wrong ones count: three PINs lock the SIM, ten PUKs destroy it.
    """

    max_response_time: ClassVar[float] = SIM_ANSWER_S
    question_time: ClassVar[float] = SIM_ANSWER_S
    prefix: ClassVar[bytes] = b"+CPIN:"

    pin: str | None = field(default=None, repr=False)
    new_pin: str | None = field(default=None, repr=False)

    def _build(self) -> bytes:
        if self.pin is None:
            return command_line("+CPIN?")
        if self.new_pin is None:
            return command_line("+CPIN", pin=_digits("pin", self.pin, 4))
        puk, pin = _digits("puk", self.pin, 8), _digits("new_pin", self.new_pin, 4)
        return command_line("+CPIN", puk=puk, new_pin=pin)

    @property
    def text(self) -> str:
        """The command line without its ``<CR>``; neither PIN nor PUK is shown."""
        return "AT+CPIN?" if self.pin is None else 'AT+CPIN="****"'

    def claims(self, text: bytes) -> bool:
        """Claim ``+CPIN:`` where the state was asked for; after a PIN it is a URC (F10)."""
        return self.pin is None and text.startswith(self.prefix)

    def parse(self, lines: Sequence[bytes]) -> str:
        """Give the state, such as ``READY`` or ``SIM PIN``; ``""`` after a PIN."""
        if self.pin is not None:
            return ""
        # If the SIM becomes ready just now, a URC that looks the same follows the answer. The
        # last of the two lines is the present state.
        states = [unquote(split_params(self._params(line))[0]).upper() for line in lines]
        if not states or not states[-1]:
            raise self._unexpected(lines, "no SIM state")
        return states[-1]


def _digits(argument: str, text: str, least: int) -> str:
    if not re.fullmatch(f"[0-9]{{{least},8}}", text):
        raise ValueError(f"{argument} must have {'8' if least == 8 else '4 to 8'} digits")
    return f'"{text}"'


@slotted(frozen=True)
class SimTries:
    """How many PINs and PUKs the SIM still takes; ``None`` is unknown."""

    pin: int | None
    puk: int | None


@slotted(frozen=True)
class Cpinr(NetworkCommand[SimTries]):
    """Ask how many tries are left (27.007, 8.65)."""

    max_response_time: ClassVar[float] = SIM_ANSWER_S
    prefix: ClassVar[bytes] = b"+CPINR:"

    def _build(self) -> bytes:
        return command_line("+CPINR")

    def parse(self, lines: Sequence[bytes]) -> SimTries:
        """Give the tries of PIN and PUK; those of the second PIN don't matter."""
        left = {}
        for line in lines:
            code, tries = [*split_params(self._params(line)), b""][:2]
            left[unquote(code).upper()] = number_or_none(tries)
        return SimTries(left.get("SIM PIN"), left.get("SIM PUK"))


@slotted(frozen=True)
class Qpinc(NetworkCommand[SimTries]):
    """Ask how many tries are left, where the module lacks AT+CPINR (vendor)."""

    question_time: ClassVar[float] = SIM_ANSWER_S
    prefix: ClassVar[bytes] = b"+QPINC:"

    def _build(self) -> bytes:
        return command_line("+QPINC?")

    def parse(self, lines: Sequence[bytes]) -> SimTries:
        """Give the tries of PIN and PUK."""
        for line in lines:
            lock, pin, puk = [*split_params(self._params(line)), b"", b""][:3]
            if unquote(lock).upper() == _CARD:
                return SimTries(number_or_none(pin), number_or_none(puk))
        return SimTries(None, None)
