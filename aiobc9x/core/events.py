"""Define what a session can be asked to do (jobs), and what it reports (events).

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from aiobc9x.slotted import slotted

if TYPE_CHECKING:
    from aiobc9x.core.slots import Slot
    from aiobc9x.errors import ModemError
    from aiobc9x.wire.commands.tcpip import Command
    from aiobc9x.wire.urcs import Urc


# A StrEnum, because its members hash as fast as strings, and each job is put in a dict by one.
class Lane(enum.StrEnum):
    """The queue that a job waits in."""

    CLOSE = "close"
    COMMAND = "command"
    RECOVERY = "recovery"


@slotted(eq=False)
class Job:
    """A command that waits for the line.

    Attributes:
        command: What to send.
        lane: Closes overtake commands; recovery runs only while the session is suspended.
        data: The bytes to write at the prompt, for commands that have a prompt.
        limit: Seconds until the final result; ``None`` for the command's own limit with a
            margin.
        explain: Ask AT+QIGETERROR for the reason of a plain ``ERROR``.
        slot: The socket that the command is for. Nothing is written if the connect ID of that
            socket has another owner when the job's turn comes (F34).
        owner: An object that the layer above attaches (hence ``Any``); this layer never looks
            at it.

    """

    command: Command[Any]
    lane: Lane = Lane.COMMAND
    data: bytes | None = None
    limit: float | None = None
    explain: bool = True
    owner: Any = None
    slot: Slot | None = None


@slotted(frozen=True)
class Answer:
    """The result of a job.

    Attributes:
        ok: Whether the final result was ``OK``.
        lines: The information lines.
        err: The ``<err>`` code after an ``ERROR``, if the module gave one.
        cme: What followed ``+CME ERROR:``.
        failure: Why there was no final result at all; ``None`` if there was one.

    """

    ok: bool = False
    lines: tuple[bytes, ...] = ()
    err: int | None = None
    cme: str | None = None
    failure: ModemError | None = None


OK: Final = Answer(ok=True)
"""The answer to most jobs; one object, so that none is made for each command."""


# Events that are made for each command or payload are NamedTuples: none can be made faster.
# Events that are rare are dataclasses.
class Finished(NamedTuple):
    """A job is done, with this answer."""

    job: Job
    answer: Answer


class DataReceived(NamedTuple):
    """Bytes of a stream, or one whole datagram."""

    slot: Slot
    data: bytes


class Sent(NamedTuple):
    """The module has taken bytes (``SEND OK``), or a datagram."""

    slot: Slot
    size_bytes: int


class SendOver(NamedTuple):
    """The outstanding send of a socket has ended, in success or not."""

    slot: Slot


@slotted(frozen=True)
class Opened:
    """A socket is connected: ``+QIOPEN`` said so, or its data proved it (F32)."""

    slot: Slot


@slotted(frozen=True)
class OpenRefused:
    """``+QIOPEN`` says that a socket could not be connected."""

    slot: Slot
    err: int


@slotted(frozen=True)
class ModeSwitched:
    """The access mode of a socket is now the one that was asked for."""

    slot: Slot


@slotted(frozen=True)
class SwitchRefused:
    """The access mode of a socket has not changed, or the socket has ended.

    Attributes:
        slot: The socket.
        err: The ``<err>`` code (§3), ``None`` if there is none.
        reason: What happened if the module has not refused; ``""`` if it has.

    """

    slot: Slot
    err: int | None
    reason: str = ""


@slotted(frozen=True)
class SendStalled:
    """``SEND FAIL``, or a refusal that may pass: the module has taken no byte (F26).

    The socket sends the same bytes again after ``Session.retry_send``.
    """

    slot: Slot
    err: int | None


@slotted(frozen=True)
class SendRefused:
    """The module refused a send for good; received data can still be read."""

    slot: Slot
    err: int | None


@slotted(frozen=True)
class DatagramLost:
    """The module took or dropped a datagram without sending or delivering it."""

    slot: Slot
    reason: str


@slotted(frozen=True)
class ReadRefused:
    """The module refused a read: the socket may hold data, or be gone (F21, F22).

    The socket is read again after ``Session.retry_read``.
    """

    slot: Slot
    err: int | None


@slotted(frozen=True)
class RemoteClosed:
    """The peer has closed. Nothing more can be sent; what the peer sent can still be read."""

    slot: Slot


@slotted(frozen=True)
class Drained:
    """The peer has closed, and everything that the peer sent has been read."""

    slot: Slot


@slotted(frozen=True)
class Failed:
    """The connection can't go on, for this reason."""

    slot: Slot
    error: ModemError


class UrcSeen(NamedTuple):
    """An unsolicited result code, after the session has acted on it."""

    urc: Urc


@slotted(frozen=True)
class UnknownLine:
    """A line that is no URC and belongs to no answer (F6)."""

    text: bytes


@slotted(frozen=True)
class Orphaned:
    """The module has a connection on an ID without a slot: its ``"incoming"`` got lost (F35)."""

    connect_id: int


@slotted(frozen=True)
class Damaged:
    """Bytes arrived that are neither a whole line nor a whole payload."""

    reason: str
    data: bytes


@slotted(frozen=True)
class OutOfStep:
    """The line is out of step: an answer may not belong to the command before it.

    The session sends nothing but recovery commands until ``Session.resume()``.

    Attributes:
        reason: What shows that the line is out of step.

    """

    reason: str


@slotted(frozen=True)
class Woken:
    """The module had to be woken, and has not said from what sleep: TCP may be gone.

    Attributes:
        lines: How many lines it has not heard.

    """

    lines: int


@slotted(frozen=True)
class Restarted:
    """The module has restarted: all commands have failed, and no socket is left (F41)."""

    banner: str


SlotEvent: TypeAlias = (
    DataReceived
    | Sent
    | SendOver
    | SendStalled
    | SendRefused
    | DatagramLost
    | ReadRefused
    | RemoteClosed
    | Drained
    | Failed
    | Opened
    | OpenRefused
    | ModeSwitched
    | SwitchRefused
)
"""Events that concern one socket."""

Event: TypeAlias = (
    SlotEvent
    | Finished
    | UrcSeen
    | UnknownLine
    | Damaged
    | Orphaned
    | OutOfStep
    | Restarted
    | Woken
)
