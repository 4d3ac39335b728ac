"""What a session is asked to do, and what it reports.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from aiobc9x.core.slots import Slot
    from aiobc9x.errors import ModemError
    from aiobc9x.wire.commands.tcpip import Command
    from aiobc9x.wire.urcs import Urc


class Lane(enum.StrEnum):  # whose members hash as fast as strings
    """Which queue a job waits in."""

    CLOSE = "close"
    COMMAND = "command"
    RECOVERY = "recovery"


@dataclass(eq=False, slots=True)
class Job:
    """A command that waits for the line.

    Attributes:
        command: What to send.
        lane: Closes overtake commands; recovery runs only while the session is suspended.
        data: What goes out at the prompt, for commands that have one.
        limit: Seconds until the final result, ``None`` for the note's with margin.
        explain: Ask AT+QIGETERROR after a plain ``ERROR``.
        slot: The socket that it is for: if its ID has another owner by the time that it is the
            job's turn, nothing is written.
        owner: Whatever the layer above attaches (hence ``Any``); never looked at here.

    """

    command: Command[Any]
    lane: Lane = Lane.COMMAND
    data: bytes | None = None
    limit: float | None = None
    explain: bool = True
    owner: Any = None
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a job.

    Attributes:
        ok: The final result was ``OK``.
        lines: The information lines.
        err: The ``<err>`` code behind an ``ERROR``, if the module gave one.
        cme: What followed ``+CME ERROR:``.
        failure: Why there was no final result at all.

    """

    ok: bool = False
    lines: tuple[bytes, ...] = ()
    err: int | None = None
    cme: str | None = None
    failure: ModemError | None = None


OK: Final = Answer(ok=True)
"""What comes of most jobs."""


class Finished(NamedTuple):  # as are the events made for each payload: a dataclass takes longer
    """A job is done."""

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
    """The outstanding send of a socket is over, whatever became of it."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket is connected: the module said so, or it has pushed data."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class OpenRefused:
    """``+QIOPEN`` says that a socket can't be connected."""

    slot: Slot
    err: int


@dataclass(frozen=True, slots=True)
class ModeSwitched:
    """The access mode of a socket is now what was asked for."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class SwitchRefused:
    """The access mode stays what it was, or the socket has ended.

    Attributes:
        slot: The socket.
        err: The ``<err>`` code (§3), ``None`` if there is none.
        reason: What happened instead of a refusal, else ``""``.

    """

    slot: Slot
    err: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SendStalled:
    """``SEND FAIL``, or a refusal that may pass: nothing was taken.

    The socket sends again after ``Session.retry_send``.
    """

    slot: Slot
    err: int | None


@dataclass(frozen=True, slots=True)
class SendRefused:
    """``ERROR`` to a send for good; what was received before is still to be read."""

    slot: Slot
    err: int | None


@dataclass(frozen=True, slots=True)
class DatagramLost:
    """The module took or dropped a datagram without sending or delivering it."""

    slot: Slot
    reason: str


@dataclass(frozen=True, slots=True)
class ReadRefused:
    """``ERROR`` to a read, which proves nothing: the socket may hold data or be gone.

    It is read again after ``Session.retry_read``.
    """

    slot: Slot
    err: int | None


@dataclass(frozen=True, slots=True)
class RemoteClosed:
    """The peer has closed: nothing more can be sent; what it sent is still to be read."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Drained:
    """The peer has closed, and everything it sent has been read."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection can't go on."""

    slot: Slot
    error: ModemError


class UrcSeen(NamedTuple):
    """An unsolicited result code, after the session has acted on it."""

    urc: Urc


@dataclass(frozen=True, slots=True)
class UnknownLine:
    """A line that nobody awaits and nobody knows."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The module has a connection on an ID that nobody here owns: its ``"incoming"`` got lost."""

    connect_id: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that can't be framed."""

    reason: str
    data: bytes


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """Answers and commands may no longer match; the session is suspended until ``resume()``.

    Attributes:
        reason: What shows it.
        is_sleep: Nothing went wrong: the module may just be asleep.

    """

    reason: str
    is_sleep: bool = False


@dataclass(frozen=True, slots=True)
class Restarted:
    """The module has restarted: all that was pending has failed, no socket is left."""

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
"""What concerns one socket."""

Event: TypeAlias = (
    SlotEvent | Finished | UrcSeen | UnknownLine | Damaged | Orphaned | OutOfStep | Restarted
)
