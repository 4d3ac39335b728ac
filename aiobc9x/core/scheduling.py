"""Who waits for the line, and until when.

Layer: core. Does no I/O; time comes in as ``now``.
"""

from __future__ import annotations

import math

from aiobc9x.core.events import Lane
from aiobc9x.core.queue import JobQueue
from aiobc9x.core.sending import Sender
from aiobc9x.core.slots import SocketTable
from aiobc9x.core.turns import SMALL_SEND_BYTES, Cursor, Turn, next_turn

_CLOSE, _COMMAND = Lane.CLOSE, Lane.COMMAND  # to look an attribute of an enum up takes its time


class Scheduler:
    """Asks everyone who may want the line, and keeps where the rounds stand."""

    def __init__(self, sockets: SocketTable, queue: JobQueue, sender: Sender) -> None:
        self._sockets, self._queue, self._sender = sockets, queue, sender
        self._cursor = Cursor()

    def pass_by(self, lane: Lane) -> bool:
        """Let a job go at once if nobody else wants the line, now or after a send.

        Returns:
            Whether it may. Then it has had its turn; behind a command the sockets come next.

        """
        if self._queue.waiting or self._sender.outstanding is not None or self._sockets_wait():
            return False
        if lane is _COMMAND and not self._cursor.command_was_last:
            self._cursor = self._cursor._replace(command_was_last=True)
        return True

    def next(self, now: float) -> Turn | None:
        """Return the next use of the line, ``None`` if nobody waits."""
        if not (self._queue.waiting or self._sockets_wait()):
            return None
        sockets = self._sockets.in_use
        sending = self._sender.outstanding is not None
        closes = self._queue.next(_CLOSE, sending=sending) is not None
        commands = self._queue.next(_COMMAND, sending=sending) is not None
        waiting = [slot for slot in sockets if slot.readable and slot.may_read]
        if len(waiting) > 1:
            # What is known to wait goes before what is only looked after (rule 5).
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
        """Whether some socket wants the line, though it may not be its time yet."""
        for slot in self._sockets.in_use:
            if (slot.readable and slot.wants_read) or slot.outgoing or slot.datagrams:
                return True
        return False

    def sends_wait(self, now: float) -> bool:
        """Whether some socket has more to send."""
        return any(slot.may_send(now) for slot in self._sockets)

    def wake(self, now: float, poll_interval: float) -> None:
        """Have silent sockets read, and stalled ones try again, whose time has come."""
        for slot in self._sockets:
            if (due := slot.poll_due(poll_interval)) is not None and now >= due:
                slot.readable = True
            if now >= slot.retry_at:
                slot.retry_at = 0.0  # nobody need wake up for it again

    def deadline(self, poll_interval: float) -> float:
        """Return when :meth:`wake` has something to do; infinity for never."""
        first = math.inf
        for slot in self._sockets.in_use:
            if (
                poll_interval
                and slot.last_read + poll_interval < first
                and (due := slot.poll_due(poll_interval)) is not None
            ):
                first = due
            if slot.retry_at and slot.retry_at < first and slot.unsent:
                first = slot.retry_at
        return first
