"""Decide what a refusal means: busy for now, command missing, or a problem of the SIM.

Layer: aio.

A module that has just been switched on refuses nearly every command for seconds, with
``+CME ERROR: 14`` or plain ``ERROR``. A module also answers plain ``ERROR`` to a command that it
does not have (F50). The codes are those of 27.007, 9.2.
"""

from __future__ import annotations

import enum
from typing import Final

from aiobc9x.errors import (
    CommandError,
    PinRequired,
    PukRequired,
    SimError,
    SimLocked,
    SimMissing,
    UnexpectedAnswer,
    cme_code,
)
from aiobc9x.spec import Err
from aiobc9x.wire.commands.radio import Cpin

_MISSING: Final = frozenset({3, 4, 50, 100})
"""Codes that mean that the module has no such command: not allowed, not supported, incorrect
parameters, unknown."""

_SIM: Final = frozenset({5, 6, 7, 10, 11, 12, 13, 14, 15, 17, 18, *range(40, 48), 262})
_SIM_BUSY: Final = 14
_PASSING_ERRS: Final = frozenset({Err.BLOCKED, Err.DNS_BUSY, Err.BUSY})

_NO_SIM: Final = ("NOT INSERTED", "ABSENT", "REMOVED")


class Refusal(enum.Enum):
    """Why a module has refused a command."""

    MISSING = "it doesn't know the command, or only says ERROR"
    PASSING = "it is busy, or waits for something"
    SIM = "the SIM can't be used, or not yet"


def meaning_of(refused: CommandError) -> Refusal:
    """Decide what a refusal means."""
    # An answer without content is as good as a missing command.
    if isinstance(refused, UnexpectedAnswer):
        return Refusal.MISSING
    if refused.cme is None:
        return Refusal.PASSING if refused.err in _PASSING_ERRS else Refusal.MISSING
    code = cme_code(refused.cme)
    if code in _MISSING:
        return Refusal.MISSING
    return Refusal.SIM if code in _SIM and code != _SIM_BUSY else Refusal.PASSING


def concerns_sim(refused: CommandError) -> bool:
    """Whether the SIM is the reason for a refusal, even if it is only busy."""
    return refused.cme is not None and cme_code(refused.cme) in _SIM


def sim_trouble(said: str) -> SimError | None:
    """Return the error for a SIM that is not ready.

    Args:
        said: What followed ``+CPIN:``, in capitals, or ``+CME ERROR:``.

    Returns:
        The error; ``None`` if waiting is enough. While a module starts, :class:`SimMissing` and
        a plain :class:`SimError` may go away by themselves: one relative says "not inserted"
        twice before it finds its SIM (F51).

    """
    command, code = Cpin().text, cme_code(said)
    if said == "SIM PIN" or code == 11:
        return PinRequired(command)
    if said == "SIM PUK" or code == 12:
        return PukRequired(command, said)
    if said.startswith("PH-") or code in (5, 6, 7, *range(40, 48)):
        return SimLocked(command, said)
    if code == 10 or any(word in said for word in _NO_SIM):
        return SimMissing(command, said)
    if code in (13, 15, 262):
        return SimError(command, said)
    failed = code is None and any(word in said for word in ("FAIL", "WRONG", "BLOCK", "ERROR"))
    return SimError(command, said) if failed else None
