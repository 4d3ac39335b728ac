"""Whose turn it is, and by which form a payload goes: pure functions.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiobc9x.core.profile import ModuleProfile
from aiobc9x.wire.params import inline_text_ok


class TurnKind(enum.Enum):
    """What the line is used for next."""

    CLOSE = "close"
    COMMAND = "command"
    READ = "read"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Turn:
    """One use of the line; ``connect_id`` is -1 where no socket is meant."""

    kind: TurnKind
    connect_id: int = -1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the rounds stand.

    Attributes:
        read_in_round: Sockets that have had their read in this round.
        send_is_due: The round of reads is over, so one send comes next.
        last_send: The socket that sent last.
        command_was_last: The last turn was a command, so the sockets come next.

    """

    read_in_round: frozenset[int] = frozenset()
    send_is_due: bool = False
    last_send: int = -1
    command_was_last: bool = False


def next_turn(
    cursor: Cursor,
    *,
    closes: bool,
    commands: bool,
    readable: Sequence[int],
    sendable: Sequence[int],
) -> tuple[Turn | None, Cursor]:
    """Choose the next use of the line.

    Closes go first. Commands alternate with the sockets. Among the sockets, each
    readable one is read once, then one sends, so that neither direction starves.

    Args:
        cursor: Where the rounds stand.
        closes: A close is waiting.
        commands: A command is waiting.
        readable: Connect IDs that may hold data and have room for it, ascending.
        sendable: Connect IDs with bytes to send, ascending; none while one is outstanding.

    Returns:
        The turn, ``None`` if nothing waits, and where the rounds stand after it.

    """
    if closes:
        return Turn(TurnKind.CLOSE), cursor
    sockets = bool(readable or sendable)
    if commands and not (cursor.command_was_last and sockets):
        return Turn(TurnKind.COMMAND), replace(cursor, command_was_last=True)
    if not sockets:
        return None, cursor
    return _socket_turn(replace(cursor, command_was_last=False), readable, sendable)


def _socket_turn(
    cursor: Cursor, readable: Sequence[int], sendable: Sequence[int]
) -> tuple[Turn, Cursor]:
    left = [i for i in readable if i not in cursor.read_in_round]
    if sendable and (cursor.send_is_due or not left):
        connect_id = _after(cursor.last_send, sendable)
        return Turn(TurnKind.SEND, connect_id), Cursor(last_send=connect_id)
    if not left:  # a new round
        left = list(readable)
        cursor = replace(cursor, read_in_round=frozenset())
    read = cursor.read_in_round | {left[0]}
    return Turn(TurnKind.READ, left[0]), replace(
        cursor, read_in_round=read, send_is_due=len(left) == 1
    )


def _after(last: int, waiting: Sequence[int]) -> int:
    """Return the first ID behind ``last``, going round."""
    return next((i for i in waiting if i > last), waiting[0])


class SendForm(enum.Enum):
    """How a payload goes to the module (§2.2.4)."""

    INLINE = "inline"
    FIXED = "fixed length"


def choose_form(data: bytes, profile: ModuleProfile) -> SendForm:
    """Choose the form of one send.

    Inline saves one turnaround, but what quotes, control characters and bytes above
    0x7E do inside quotes is undocumented, so only plain text goes that way.

    Args:
        data: 1–1440 bytes.
        profile: Gives the longest inline payload.

    """
    if len(data) <= profile.inline_limit_bytes and inline_text_ok(data):
        return SendForm.INLINE
    return SendForm.FIXED
