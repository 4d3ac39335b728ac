"""Choose what the line is used for next.

Layer: core. Does no I/O; time comes in as ``now``.

:class:`JobQueue` holds the commands that wait. :func:`next_turn`, a pure function, chooses
between commands, reads and sends. :class:`Turns` collects who wants the line, calls
:func:`next_turn`, and keeps the state of the rounds between two calls.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final, NamedTuple

from aiobc9x.core.events import Job, Lane
from aiobc9x.core.slots import SlotState
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS

if TYPE_CHECKING:
    from aiobc9x.core.sending import Sender
    from aiobc9x.core.slots import SocketTable

SMALL_SEND_BYTES: Final = 256
"""The most bytes of a send that counts as small.

Small sends alternate with the others, so that a short message does not wait for every socket
that has 1440 bytes to send. Ours.
"""


class JobQueue:
    """Hold the jobs that wait, first come first served in each lane.

    Attributes:
        waiting: The number of jobs in all lanes.

    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Job]] = {lane: deque() for lane in Lane}
        self.waiting: int = 0

    def __iter__(self) -> Iterator[Job]:
        """Go through every waiting job."""
        return iter([job for lane in self._lanes.values() for job in lane])

    def add(self, job: Job) -> None:
        """Append a job to its lane."""
        self.waiting += 1
        self._lanes[job.lane].append(job)

    def withdraw(self, job: Job) -> bool:
        """Take a job back; ``False`` if it no longer waits."""
        try:
            self._lanes[job.lane].remove(job)
        except ValueError:
            return False
        self.waiting -= 1
        return True

    def next(self, lane: Lane, *, sending: bool = False) -> Job | None:
        """Return the first job of a lane that may start, ``None`` if none may.

        Args:
            lane: The lane.
            sending: A send is outstanding, so a job that is a send may not start: ``SEND OK``
                names no socket (§4.1.2).

        """
        jobs = self._lanes[lane]
        if not sending:
            return jobs[0] if jobs else None
        return next((job for job in jobs if not job.command.meaning.is_send), None)

    def take(self, lane: Lane, *, sending: bool = False) -> Job:
        """Remove the job that :meth:`next` returns, and return it; there must be one."""
        job = self.next(lane, sending=sending)
        assert job is not None
        # remove() compares by identity here, because Job has no __eq__ of its own.
        self._lanes[lane].remove(job)
        self.waiting -= 1
        return job

    def clear(self) -> None:
        """Forget every job."""
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0


class TurnKind(enum.Enum):
    """The uses of the line."""

    CLOSE = "close"
    COMMAND = "command"
    SWITCH = "switch"
    READ = "read"
    SEND = "send"


@slotted(frozen=True)
class Turn:
    """One use of the line.

    Attributes:
        kind: What the line is used for.
        connect_id: The socket; -1 for a close or a command, whose job names its own.
        lane: The lane of the job; ``None`` for a read, a send or a switch, which have no job.

    """

    kind: TurnKind
    connect_id: int = -1
    lane: Lane | None = field(default=None, compare=False)


# All turns there can be, made beforehand: making one for each command would take time.
_CLOSE: Final = Turn(TurnKind.CLOSE, lane=Lane.CLOSE)
_COMMAND: Final = Turn(TurnKind.COMMAND, lane=Lane.COMMAND)
_SWITCHES: Final = {i: Turn(TurnKind.SWITCH, i) for i in CONNECT_IDS}
_READS: Final = {i: Turn(TurnKind.READ, i) for i in CONNECT_IDS}
_SENDS: Final = {i: Turn(TurnKind.SEND, i) for i in CONNECT_IDS}


_NOBODY: Final[frozenset[int]] = frozenset()

# Takes a third of the time of a NamedTuple's own constructor, and a sixth of _replace().
_new: Final = tuple.__new__


# A NamedTuple, because one is made for each turn and a dataclass takes longer by far than _new.
class Cursor(NamedTuple):
    """The state of the rounds: who has had a turn.

    Attributes:
        read_in_round: Connect IDs that have been read in this round.
        send_is_due: The round of reads is over, so one send comes next.
        last_send: The connect ID of the last send that was not small.
        last_small: The connect ID of the last send that was small.
        small_was_last: The last send was a small one.
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
    small: Sequence[int] = (),
) -> tuple[Turn | None, Cursor]:
    """Choose the next use of the line.

    Closes go first. Commands alternate with the sockets. Among the sockets, each
    readable one is read once, then one sends, so that neither direction starves. Small sends
    alternate with the others, so that a short message waits for one send of 1440 bytes at
    most, and not for one of each bulk writer.

    Args:
        cursor: The state of the rounds.
        closes: A close is waiting.
        commands: A command is waiting.
        readable: Connect IDs to read, the most urgent first.
        sendable: Connect IDs with bytes to send, ascending; empty while a send is outstanding.
        small: Those of ``sendable`` that have at most :data:`SMALL_SEND_BYTES`, ascending.

    Returns:
        The turn, ``None`` if nothing waits; and the state of the rounds after it.

    """
    # A close frees a connect ID, for which an open may be waiting.
    if closes:
        return _CLOSE, cursor
    # A caller who sends commands without a pause must not stop the data of the sockets.
    sockets = bool(readable or sendable)
    if commands and not (cursor.command_was_last and sockets):
        # _replace() is slow, and after a command nothing changes.
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
    cursor: Cursor, sendable: Sequence[int], small: Sequence[int]
) -> tuple[Turn, Cursor]:
    """Give the turn to a socket that sends; a new round of reads begins after it."""
    # Nearly always all sends are small, or none is, and then nothing has to be sorted out.
    few = small if len(small) == len(sendable) else [i for i in sendable if i in small]
    many = sendable if not small else [i for i in sendable if i not in small]
    last_send, last_small = cursor.last_send, cursor.last_small
    if is_small := bool(few and not (many and cursor.small_was_last)):
        connect_id = last_small = _after(last_small, few)
    else:
        connect_id = last_send = _after(last_send, many)
    state = (_NOBODY, False, last_send, last_small, is_small, False)
    return _SENDS[connect_id], _new(Cursor, state)


def _read_turn(cursor: Cursor, left: Sequence[int], readable: Sequence[int]) -> tuple[Turn, Cursor]:
    # Every readable socket has had its read: a new round begins.
    if not left:
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
    """Return the next ID above ``last``, or the lowest if there is none above."""
    if len(waiting) == 1:
        return waiting[0]
    return next((i for i in waiting if i > last), waiting[0])


# Looking up a member of an enum is slow, and these are compared for each command.
_CLOSE_LANE, _COMMAND_LANE = Lane.CLOSE, Lane.COMMAND
_REMOTE: Final = SlotState.REMOTE_CLOSED


class Turns:
    """Collect who wants the line, and keep the state of the rounds.

    Attributes:
        is_quiet: No socket wants the line: :meth:`next` has looked at all six, and no socket
            has changed since. The session sets it to ``False`` whenever it changes a slot. A
            single command is then written without another look at the sockets. If the session
            forgot to do so, one command would go ahead of a socket, and nothing worse.

    """

    def __init__(self, sockets: SocketTable, queue: JobQueue, sender: Sender) -> None:
        self._sockets, self._queue, self._sender = sockets, queue, sender
        self._cursor = Cursor()
        self.is_quiet: bool = False

    def claim_turn(self, lane: Lane) -> bool:
        """Take the next turn for a job of this lane, if nothing else wants the line.

        Returns:
            Whether the job may be written at once. If so, it has had its turn: after a
            command the sockets come next.

        """
        # After an outstanding send its socket mostly has more to send, and comes first then.
        if self._queue.waiting or self._sender.outstanding is not None:
            return False
        if self._sockets.in_use and not self.is_quiet and self._sockets_wait():
            return False
        if lane is _COMMAND_LANE and not self._cursor.command_was_last:
            self._cursor = self._cursor._replace(command_was_last=True)
        return True

    def next(self, now: float) -> Turn | None:
        """Return the next use of the line; ``None`` if nothing waits."""
        queue = self._queue
        if not (queue.waiting or self._sockets_wait()):
            self.is_quiet = True
            return None
        sockets = self._sockets.in_use
        for slot in sockets:
            # Ahead of everything: the switch must follow "+QIRD: 0" at once, before more data get
            # into the buffer (see Slot.switch_is_due).
            if slot.wanted_mode is not None and slot.switch_is_due:
                return _SWITCHES[slot.connect_id]
        sending = self._sender.outstanding is not None
        closes = commands = False
        if queue.waiting:
            closes = queue.next(_CLOSE_LANE, sending=sending) is not None
            commands = queue.next(_COMMAND_LANE, sending=sending) is not None
        waiting = [slot for slot in sockets if slot.readable and slot.may_read]
        if len(waiting) > 1:
            # Sockets that are known to hold data go before those that are read in case a URC got
            # lost (F14, F15).
            waiting.sort(key=lambda slot: not slot.holds_data)
        readable = [slot.connect_id for slot in waiting]
        sendable, small = [], []
        if not sending:
            for slot in sockets:
                if (slot.outgoing or slot.datagrams) and slot.may_send(now):
                    sendable.append(slot.connect_id)
                    if slot.unsent <= SMALL_SEND_BYTES:
                        small.append(slot.connect_id)
        if not (readable or sendable or commands or closes):
            return None
        turn, self._cursor = next_turn(
            self._cursor,
            closes=closes,
            commands=commands,
            readable=readable,
            sendable=sendable,
            small=small,
        )
        return turn

    def _sockets_wait(self) -> bool:
        """Whether a socket wants the line now, or will once its back-off is over."""
        for slot in self._sockets.in_use:
            if slot.outgoing or slot.datagrams or slot.wanted_mode is not None:
                return True
            if slot.readable and (slot.wants_read or slot.held is not None):
                return True
        return False

    def sends_wait(self, now: float) -> bool:
        """Whether a socket has bytes to send now."""
        return any(slot.may_send(now) for slot in self._sockets)

    def mark_due(self, now: float, poll_interval: float) -> None:
        """Mark the sockets whose time has come: for a poll (F15), a second read, or a send."""
        for slot in self._sockets.in_use:
            if (due := slot.poll_due(poll_interval)) is not None and now >= due:
                slot.readable = True
            if slot.read_at and now >= slot.read_at:
                slot.read_at, slot.readable = 0.0, True
            if now >= slot.retry_at:
                # So that deadline() doesn't name a time in the past for ever.
                slot.retry_at = 0.0

    def deadline(self, poll_interval: float, before: float) -> float:
        """Return when :meth:`mark_due` has something to do, or ``before`` if that is sooner."""
        first = before
        for slot in self._sockets.in_use:
            # The cheap comparison first. It misses sockets that the peer has closed, because those
            # are read more often than poll_interval says.
            if (poll_interval and slot.last_read + poll_interval < first) or slot.state is _REMOTE:
                due = slot.poll_due(poll_interval)
                if due is not None and due < first:
                    first = due
            if slot.read_at and slot.read_at < first:
                first = slot.read_at
            if slot.retry_at and slot.retry_at < first and slot.unsent:
                first = slot.retry_at
        return first
