"""Whose turn it is: pure functions.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiobc9x.core.events import Lane
from aiobc9x.spec import CONNECT_IDS

SMALL_SEND_BYTES: Final = 256
"""A socket with no more than this to send doesn't wait for all that have a quantum."""


class TurnKind(enum.Enum):
    """What the line is used for next."""

    CLOSE = "close"
    COMMAND = "command"
    READ = "read"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Turn:
    """One use of the line.

    Attributes:
        kind: What for.
        connect_id: The socket, -1 where none is meant.
        lane: Where its command waits, ``None`` for a read or a send.

    """

    kind: TurnKind
    connect_id: int = -1
    lane: Lane | None = field(default=None, compare=False)


# Made beforehand: one is needed a command.
_CLOSE: Final = Turn(TurnKind.CLOSE, lane=Lane.CLOSE)
_COMMAND: Final = Turn(TurnKind.COMMAND, lane=Lane.COMMAND)
_READS: Final = {i: Turn(TurnKind.READ, i) for i in CONNECT_IDS}
_SENDS: Final = {i: Turn(TurnKind.SEND, i) for i in CONNECT_IDS}


_NOBODY: Final[frozenset[int]] = frozenset()

# A third of the time of a NamedTuple's own constructor, a sixth of _replace().
_new: Final = tuple.__new__


class Cursor(NamedTuple):  # one is made a turn, and a dataclass takes three times as long
    """Where the rounds stand.

    Attributes:
        read_in_round: Sockets that have had their read in this round.
        send_is_due: The round of reads is over, so one send comes next.
        last_send: The socket that sent last, of those with much to send.
        last_small: The socket that sent last, of those with little to send.
        small_was_last: The last send was one of those.
        command_was_last: The last turn was a command, so the sockets come next.

    """

    read_in_round: frozenset[int] = frozenset()
    send_is_due: bool = False
    last_send: int = -1
    last_small: int = -1
    small_was_last: bool = False
    command_was_last: bool = False


def next_turn(
    cursor: Cursor,
    *,
    closes: bool,
    commands: bool,
    readable: Sequence[int],
    sendable: Sequence[int],
    small: Collection[int] = (),
) -> tuple[Turn | None, Cursor]:
    """Choose the next use of the line.

    Closes go first. Commands alternate with the sockets. Among the sockets, each
    readable one is read once, then one sends, so that neither direction starves. Sends
    that are small alternate with the others, so that a short message waits for one
    quantum, not for one of each bulk writer.

    Args:
        cursor: Where the rounds stand.
        closes: A close is waiting.
        commands: A command is waiting.
        readable: Connect IDs that may hold data and have room for it, the most urgent first.
        sendable: Connect IDs with bytes to send, ascending; none while one is outstanding.
        small: Those of them that have at most :data:`SMALL_SEND_BYTES`.

    Returns:
        The turn, ``None`` if nothing waits, and where the rounds stand after it.

    """
    if closes:
        return _CLOSE, cursor
    sockets = bool(readable or sendable)
    if commands and not (cursor.command_was_last and sockets):
        if not cursor.command_was_last:
            cursor = cursor._replace(command_was_last=True)
        return _COMMAND, cursor
    if not sockets:
        return None, cursor
    left = [i for i in readable if i not in cursor.read_in_round]
    if sendable and (cursor.send_is_due or not left):
        return _send_turn(cursor, sendable, small)
    return _read_turn(cursor, left, readable)


def _send_turn(
    cursor: Cursor, sendable: Sequence[int], small: Collection[int]
) -> tuple[Turn, Cursor]:
    """Let one socket send; a new round of reads begins behind it."""
    few = [i for i in sendable if i in small]
    many = [i for i in sendable if i not in small]
    last_send, last_small = cursor.last_send, cursor.last_small
    if is_small := bool(few and not (many and cursor.small_was_last)):
        connect_id = last_small = _after(last_small, few)
    else:
        connect_id = last_send = _after(last_send, many)
    state = (_NOBODY, False, last_send, last_small, is_small, False)
    return _SENDS[connect_id], _new(Cursor, state)


def _read_turn(cursor: Cursor, left: Sequence[int], readable: Sequence[int]) -> tuple[Turn, Cursor]:
    if not left:  # a new round
        left = readable
        read = frozenset({left[0]})
    else:
        read = cursor.read_in_round | {left[0]}
    state = (
        read,
        len(left) == 1,
        cursor.last_send,
        cursor.last_small,
        cursor.small_was_last,
        False,
    )
    return _READS[left[0]], _new(Cursor, state)


def _after(last: int, waiting: Sequence[int]) -> int:
    """Return the first ID behind ``last``, going round."""
    if len(waiting) == 1:
        return waiting[0]
    return next((i for i in waiting if i > last), waiting[0])
