"""Commands that define PDP contexts, log in there, and have the module report of them.

Layer: wire. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, Final

from aiobc9x.masking import masked_command
from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.module import NetworkCommand, NetworkOrder
from aiobc9x.wire.params import (
    ascii_text,
    command_line,
    integer,
    maybe_integer,
    number_or_none,
    quoted,
    split_params,
    unquote,
)

__all__ = ["AuthProtocol", "Cgauth", "Cgdcont", "Cgerep", "Context", "Qcgdefcont"]

# 27.007 leaves the range to the module; the note's own commands take 1 to 3.
_CIDS: Final = range(16)
# The longest that an APN can be (3GPP TS 23.003, 9.1).
_APN_MAX_BYTES: Final = 100
_LOGIN_MAX_BYTES: Final = 64  # what relatives' manuals give


@slotted(frozen=True)
class Context:
    """A PDP context as it is defined: the settings of one data connection to the network."""

    context_id: int
    pdp_type: str
    apn: str
    address: str


@slotted(frozen=True)
class Cgdcont(NetworkCommand[tuple[Context, ...]]):
    """Ask for the defined contexts, or define one.

    ``pdp_type`` is for example ``IP``, ``IPV6`` or ``IPV4V6``.
    """

    prefix: ClassVar[bytes] = b"+CGDCONT:"

    context_id: int | None = None
    pdp_type: str | None = None
    apn: str | None = None

    def _build(self) -> bytes:
        if (self.context_id, self.pdp_type, self.apn) == (None, None, None):
            return command_line("+CGDCONT?")
        apn, kind = self.apn, self.pdp_type
        return command_line(
            "+CGDCONT",
            context_id=maybe_integer("context_id", self.context_id, _CIDS),
            pdp_type=None if kind is None else quoted("pdp_type", kind, 16),
            apn=None if apn is None else quoted("apn", apn, _APN_MAX_BYTES),
        )

    def parse(self, lines: Sequence[bytes]) -> tuple[Context, ...]:
        """Give a row per context; none after a write."""
        contexts = []
        for line in lines:
            # Padded: 27.007 lets a module leave out fields from the end.
            number, kind, apn, addr = [*split_params(self._params(line)), *[b""] * 4][:4]
            context_id = number_or_none(number)
            if context_id is None:
                raise self._unexpected(lines, "a row is damaged")
            contexts.append(Context(context_id, unquote(kind), unquote(apn), unquote(addr)))
        return tuple(contexts)


class AuthProtocol(enum.IntEnum):
    """``<auth_prot>`` of AT+CGAUTH: how a user and a password get to the network."""

    NONE = 0
    PAP = 1
    CHAP = 2


@slotted(frozen=True)
class _Login(NetworkOrder):
    """A command with a user and a password, which are shown nowhere."""

    @property
    def text(self) -> str:
        """The command line without its ``<CR>``, up to the user."""
        return masked_command(ascii_text(self._line[:-1]))


@slotted(frozen=True)
class Cgauth(_Login):
    """Set the user and the password of a context, or none (27.007, 10.1.31)."""

    context_id: int
    protocol: AuthProtocol = AuthProtocol.NONE
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def _build(self) -> bytes:
        return command_line(
            "+CGAUTH",
            context_id=integer("context_id", self.context_id, _CIDS),
            protocol=integer("protocol", int(self.protocol), range(3)),
            user=_secret("user", self.user),
            password=_secret("password", self.password),
        )


@slotted(frozen=True)
class Qcgdefcont(_Login):
    """Define the context that the attachment brings, with user and password (vendor).

    Relatives take it with the radio off, and use it from the next attachment on.
    """

    pdp_type: str
    apn: str
    user: str = field(repr=False)
    password: str = field(repr=False)

    def _build(self) -> bytes:
        return command_line(
            "+QCGDEFCONT",
            pdp_type=quoted("pdp_type", self.pdp_type, 16),
            apn=quoted("apn", self.apn, _APN_MAX_BYTES),
            user=_secret("user", self.user),
            password=_secret("password", self.password),
        )


def _secret(argument: str, text: str | None) -> str | None:
    if text is None:
        return None
    return '""' if not text else quoted(argument, text, _LOGIN_MAX_BYTES, secret=True)


@slotted(frozen=True)
class Cgerep(NetworkOrder):
    """Switch the URC ``+CGEV``, which tells of contexts and the attachment."""

    mode: int

    def _build(self) -> bytes:
        return command_line("+CGEREP", mode=integer("mode", self.mode, range(3)))
