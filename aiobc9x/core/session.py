"""Run the dialogue with one module: bytes in, events and bytes out.

Layer: core. Does no I/O; time comes in as ``now``.

One command is *in flight* at a time: no line is written before the final result (``OK``,
``ERROR``) of the last one. Some commands have a second, later result, such as ``SEND OK``; other
commands may run before it comes. The line is *in step* while each answer belongs to the command
before it. A session is *suspended* at its start, and whenever the line is out of step: until
:meth:`Session.resume`, only commands of the recovery lane run.

The session alone changes slots (:mod:`aiobc9x.core.slots`); the layers above call the methods
below for that. The class is long, because everything meets here. The decisions are made
elsewhere: :mod:`~aiobc9x.core.trust` decides which frames can be believed,
:mod:`~aiobc9x.core.turns` what the line is used for next, :mod:`~aiobc9x.core.endings` what the
end of a command means, :mod:`~aiobc9x.core.unsolicited` what URCs mean for the sockets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

from aiobc9x.core.endings import (
    Consequence,
    Endings,
    Explain,
    Probe,
    Purpose,
    Switch,
    done,
    end_of_closed,
    unfinished,
)
from aiobc9x.core.events import (
    OK,
    Answer,
    Damaged,
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Finished,
    Job,
    Lane,
    ModeSwitched,
    OutOfStep,
    Restarted,
    SendOver,
    Sent,
    SwitchRefused,
    UnknownLine,
    UrcSeen,
    Woken,
)
from aiobc9x.core.exchange import (
    ANSWER_MARGIN_S,
    BITS_A_BYTE,
    DONE,
    LOST,
    NOT_MINE,
    REST_S,
    TAKEN,
    Exchange,
    Step,
    is_final,
    wire_time,
)
from aiobc9x.core.line_timing import LineTiming, Stopwatch
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.receiving import Read, refused_wait
from aiobc9x.core.sending import (
    ANY_FORM,
    EARLY_S,
    GRACE_S,
    RESULT_LIMIT_S,
    Send,
    Sender,
    SendForm,
    SendState,
    SendStep,
    is_command_like,
)
from aiobc9x.core.slots import Slot, SlotState, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.trust import (
    NO_EMPTY_END,
    NOISE,
    Loss,
    OkHabit,
    Trust,
    blame,
    is_header_like,
    is_read_header,
    judge,
)
from aiobc9x.core.turns import JobQueue, Turn, TurnKind, Turns
from aiobc9x.core.unsolicited import Unsolicited
from aiobc9x.core.waking import WAKE, Waker
from aiobc9x.errors import ModemError, ModuleReset, StreamBroken
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import (
    CONNECT_IDS,
    MAX_RESPONSE_TIME_S,
    READ_MAX_BYTES,
    AccessMode,
    Err,
    ServiceType,
)
from aiobc9x.wire.commands.base import (
    PLAIN,
    READ,
    SEND,
    EchoLines,
    Effect,
    Meaning,
    OpenSocket,
    ReceiveHex,
    ShowLength,
)
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import Command, Qigeterror, Qird, Qiswtmd
from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload
from aiobc9x.wire.urcs import (
    Incoming,
    PowerDown,
    Received,
    Restart,
    SendFail,
    SendOk,
    SleepEvent,
    Urc,
    Wakeup,
    parse_urc,
)

ANSWER_TIMEOUT_S: Final = 10.0
"""Seconds without a byte of an answer after which the answer counts as lost (N4, F53).

The note says 300 ms, but a module that writes flash or searches a cell takes seconds.
"""

# Takes half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

# Answers to these always have a line or data before their OK.
_ASKING: Final = (Read, Explain)
_BANNERS: Final = (Restart, PowerDown)
_RESULTS: Final = (SendOk, SendFail)
# Events that need no more than to be passed on; nearly all are of these classes.
_USUAL: Final = frozenset({DataReceived, Finished, Sent, SendOver})
# Looking up a member of an enum is slow, and these are compared for each command.
_RECOVERY: Final = Lane.RECOVERY
_PROMPT, _WRITE, _ACCEPT = SendStep.PROMPT, SendStep.WRITE, SendStep.ACCEPT
_RESULT: Final = SendStep.RESULT
_FIRST: Final = OkHabit.FIRST

# Commands that never differ, made once.
_READS: Final = {number: Qird(number, READ_MAX_BYTES) for number in CONNECT_IDS}
_SWITCHES: Final = {(n, mode): Qiswtmd(n, mode) for n in CONNECT_IDS for mode in AccessMode}

_ANSWER_BYTES: Final = 2 * READ_MAX_BYTES
"""Size of the longest answer: the data of a read, as hex digits (§2.2.6, §2.2.11)."""

_ANSWER_BITS: Final = _ANSWER_BYTES * BITS_A_BYTE

_SLOWEST_BAUDRATE: Final = 9600
"""The rate, in bit/s, that sets the time which a long command line is given.

Behind a serial server the real rate is not known (F30), so the slowest usual one counts.
"""

# The answer to a read begins with data, as nearly all do, so nothing in it needs a closer look.
_HAS_DATA: Final = lazy_pattern(rb"\r\n\+QIRD: ?[1-9]")
# Lines after which a chunk is split: see Session._cut().
_EMPTY: Final = lazy_pattern(rb"\+QIRD: {0,8}0[^\n]*\n")
_OWNER_OR_EMPTY: Final = lazy_pattern(
    rb'(?:"incoming"[^\n]*|CLOSE OK\r?|\+QI(?:OPEN|RD: {0,8}0)[^\n]*)\n'
)

_WAKE_BYTES: Final = 64
"""The most that a line which wakes the module has, with its answer."""

_PUSHED: Final = b'+QIURC: "recv",'
"""The header of pushed data, which stand in the same line or after it (§2.2.11)."""

_DOUBT_S: Final = 0.3
"""Seconds to wait for another final result where the first may be received data (F45).

Before start-up has asked, we don't know which sockets an earlier program left in push mode. A
real answer comes within this time (§2.1.2).
"""

_DOUBT_SLACK_S: Final = 1.7
"""The most seconds by which arriving bytes can extend :data:`_DOUBT_S`. Ours."""

PROBE_S: Final = 2.0
PROBE_SLACK_S: Final = 0.3
"""How far arriving bytes can extend a limit that was asked for while the line is out of step: to
:data:`PROBE_S`, or by :data:`PROBE_SLACK_S` if it is longer.

The question is asked again behind it, and a module that prints all the time must not hold that up.
Bytes may also be the echo of a slow module, whose answer follows. Ours.
"""


class Session:
    """Turn received bytes into events, and jobs, reads and sends into bytes to write.

    Attributes:
        sockets: The table of the six connect IDs.
        queue: Commands that wait; a :class:`Finished` event has the answer of each.
        statistics: Counters.
        poll_interval: Seconds without a read after which an open socket is read, in case a URC
            got lost (F15); 0 switches that off.
        answer_timeout: Seconds without a byte of an answer after which it counts as lost.
        suspended: Only the recovery lane runs, because the line is out of step.
        echo_expected: Echoed lines are normal. After ATE0 they are not: an echo then shows
            that the module has restarted (F42).
        echo_seen: An echo has shown that the module has restarted.
        stray_answers: Final results that came while no command was in flight; only rises.
        boots: Boot banners so far, including that of a module that was just switched on.
        data_due: Bytes for which the module may still be waiting, because their prompt never
            came (F28); ``None`` if that is unknown, as at the start.
        data_doubtful: Bytes that were written behind a prompt and got no answer: the module may
            have missed some or all of them, and still be waiting (F28).
        is_format_doubtful: A command that changes how payloads are framed got no answer, or a
            payload could not be read, as after such a change by another program (F56): the
            layer above must ask AT+QICFG before anything is read.
        events: The events since :meth:`take_events`.

    """

    # CPython keeps 29 attributes inside an object with a dict, and this class has more.
    __slots__ = (
        "_answer_s",
        "_awake_s",
        "_baudrate",
        "_byte_s",
        "_endings",
        "_exchange",
        "_explain",
        "_framer",
        "_gap_s",
        "_gap_until",
        "_idle_limit",
        "_last_fed",
        "_last_traffic",
        "_older",
        "_outbox",
        "_sender",
        "_stopwatch",
        "_trust",
        "_turns",
        "_unanswered_from",
        "_unsolicited",
        "_waker",
        "_was_in_step",
        "answer_timeout",
        "boots",
        "data_doubtful",
        "data_due",
        "echo_expected",
        "echo_seen",
        "events",
        "is_format_doubtful",
        "poll_interval",
        "queue",
        "sockets",
        "statistics",
        "stray_answers",
        "suspended",
    )

    def __init__(
        self,
        profile: ModuleProfile | None = None,
        *,
        baudrate: int = 115200,
        poll_interval: float = 10.0,
        answer_timeout: float = ANSWER_TIMEOUT_S,
        send_forms: Collection[SendForm] = ANY_FORM,
    ) -> None:
        self.sockets: SocketTable = SocketTable()
        self.statistics: Statistics = Statistics()
        self.queue: JobQueue = JobQueue()
        self.baudrate = baudrate
        self.poll_interval: float = poll_interval
        self.answer_timeout: float = answer_timeout
        self.suspended: bool = True
        self.echo_expected: bool = True
        self.echo_seen: bool = False
        self.stray_answers: int = 0
        self.boots: int = 0
        self.data_due: int | None = None
        self.data_doubtful: int = 0
        self._unanswered_from = 0.0
        self.is_format_doubtful: bool = False
        self.idle_limit = math.inf
        self.events: list[Event] = []
        self._was_in_step = False
        # Jobs that waited when the session was suspended; None while it is not.
        self._older: Collection[Job] | None = None
        self._last_traffic = self._last_fed = 0.0
        self._framer = Framer()
        self._trust = Trust(self._framer)
        self._unsolicited = Unsolicited(self.sockets, self._framer, self.statistics)
        self._sender = Sender(profile or ModuleProfile(), send_forms)
        self._endings = Endings(self._sender, self.statistics)
        self._turns = Turns(self.sockets, self.queue, self._sender)
        self._stopwatch = Stopwatch(self.statistics)
        self._waker = Waker()
        self._exchange: Exchange | None = None
        self._explain: Explain | None = None
        self._gap_s = self.profile.command_gap_ms / 1000
        self._gap_until = 0.0
        self._outbox = bytearray()

    # -- what the layers above read ------------------------------------------------------

    @property
    def profile(self) -> ModuleProfile:
        """How this module behaves where modules differ."""
        return self._sender.profile

    @profile.setter
    def profile(self, profile: ModuleProfile) -> None:
        self._sender.use(profile)
        self._gap_s = profile.command_gap_ms / 1000

    @property
    def baudrate(self) -> int:
        """Bits per second of the line, as the user gave it; deadlines depend on it."""
        return self._baudrate

    @baudrate.setter
    def baudrate(self, baudrate: int) -> None:
        self._baudrate = baudrate
        self._answer_s = _ANSWER_BITS / baudrate
        self._byte_s = BITS_A_BYTE / min(baudrate, _SLOWEST_BAUDRATE)

    @property
    def idle_limit(self) -> float:
        """Seconds of silence after which the module may be asleep, and must be woken (F48).

        Infinity if it never sleeps.
        """
        return self._idle_limit

    @idle_limit.setter
    def idle_limit(self, seconds: float) -> None:
        self._idle_limit = self._awake_s = seconds

    @property
    def line(self) -> LineTiming:
        """The measured speed of the line and the delays at its two ends."""
        return self._stopwatch.timing(self.baudrate)

    def framing(self) -> tuple[frozenset[int], bool]:
        """Return which sockets push their data, and whether data come as hex (§2.2.7, §2.2.11)."""
        return frozenset(self._framer.push_sockets), self._framer.hex_receive

    @property
    def length_shown(self) -> bool:
        """Whether headers carry the optional lengths (§2.2.11)."""
        return self._framer.length_shown

    @property
    def pushed_at(self) -> float:
        """When a line last looked like pushed data that we did not ask for (F45).

        Noted only while the session is suspended.
        """
        return self._trust.pushed_at

    @property
    def answer_due(self) -> float:
        """When the answer to the command in flight must have come; infinity if there is none."""
        return math.inf if self._exchange is None else self._exchange.ends_at()

    def silence(self, now: float) -> float:
        """Return for how many seconds the module has owed an answer without a byte of any kind.

        0 while no command is in flight, and while the line or data of one may still be on the way.
        """
        exchange = self._exchange
        if exchange is None:
            return 0.0
        size = exchange.size_bytes + (len(exchange.outgoing) if exchange.prompted else 0)
        return max(0.0, now - self._last_traffic - self._byte_s * size)

    def hasten(self, deadline: float) -> None:
        """Wait for the answer in flight no longer than until then; if it is later, it is lost."""
        if self._exchange is not None:
            self._exchange.hasten(deadline)

    @property
    def awaits_prompt(self) -> bool:
        """Whether the command in flight has data that it gets behind a prompt still to come."""
        return self._exchange is not None and self._exchange.prompt_is_due

    @property
    def is_prompted(self) -> bool:
        """Whether what is written now are the data of the command in flight, and no command."""
        return self._exchange is not None and self._exchange.prompted

    @property
    def unanswered_from(self) -> float:
        """When the command that got no answer was written, or when bytes last came after it."""
        return max(self._unanswered_from, self._last_fed)

    def is_sending(self, slot: Slot) -> bool:
        """Whether a send of this socket is outstanding; :class:`SendOver` reports its end."""
        send = self._sender.outstanding
        return send is not None and send.slot is slot and not send.is_lost

    def deadline(self, before: float = math.inf) -> float | None:
        """Return when :meth:`advance` or :meth:`next_output` must be called at the latest.

        Args:
            before: When one of them will be called anyway.

        Returns:
            The time; ``None`` if neither needs to be called before ``before``.

        """
        first, send, gate = before, self._sender.outstanding, self._trust.gate
        if self._exchange is not None:
            # While a command is in flight nothing can be written, so only its end counts; the
            # sockets are looked at after it.
            if (due := self._exchange.ends_at()) < first:
                first = due
        else:
            if self._gap_until and self._gap_until < first:
                first = self._gap_until
            if self.sockets.in_use:
                first = self._turns.deadline(self.poll_interval, first)
        # While URCs are withheld, the result of the send may be among them, so the send waits.
        if send is not None and send.deadline is not None and not self._trust.withheld:
            first = min(first, send.deadline)
        if (quiet := self._sender.reads_due) is not None and quiet < first:
            first = quiet
        if gate.due is not None and gate.due < first:
            first = gate.due
        return None if first == before else first

    # -- what the layers above ask of a socket -------------------------------------------

    def own(self, slot: Slot, owner: object) -> None:
        """Attach an object of the layer above to a socket."""
        slot.owner = owner

    def write(
        self, slot: Slot, data: bytes | bytearray | memoryview, *, more: bool = False
    ) -> None:
        """Queue bytes of a stream for sending.

        Args:
            slot: The socket.
            data: The bytes; copied.
            more: Whether nothing is sent before :meth:`flush`, as more bytes may follow.

        """
        slot.outgoing += data
        slot.is_gathering = more
        self._turns.is_quiet = False

    def flush(self, slot: Slot) -> None:
        """Let what was written with ``more`` be sent."""
        slot.is_gathering = False
        self._turns.is_quiet = False

    def send_datagram(self, slot: Slot, data: bytes) -> None:
        """Queue a datagram for sending."""
        slot.queue_datagram(data)
        self._turns.is_quiet = False

    def want_reads(self, slot: Slot, wants: bool, now: float) -> None:
        """Set whether the owner of a socket has room for received data, so that it may be read."""
        slot.wants_read = wants
        self._turns.is_quiet = False
        # The poll interval runs from here, not from the start of the clock.
        if wants and not slot.last_read:
            slot.last_read = now

    def mark_checked(self, slot: Slot) -> None:
        """Note that the layer above detects missing bytes: ``"buff full"`` ends nothing (F20)."""
        slot.is_checked = True

    def note_opened(self, slot: Slot) -> None:
        """Note that a socket is connected, as AT+QISTATE shows: its ``+QIOPEN`` got lost (F32)."""
        self._act(self._unsolicited.note_opened(slot))
        self._turns.is_quiet = False
        # A "recv" after the lost +QIOPEN may have got lost as well.
        if slot.is_live and slot.has_buffer:
            slot.readable = True

    def note_remote_closed(self, slot: Slot) -> None:
        """Note that the peer has closed, as AT+QISTATE shows: the ``"closed"`` got lost (F15)."""
        self._act(self._unsolicited.note_remote_closed(slot))

    def retry_send(self, slot: Slot, now: float) -> None:
        """Have a refused send repeated after a back-off: the socket still stands (F26)."""
        slot.retry_at = now + slot.backoff

    def retry_read(self, slot: Slot, now: float) -> None:
        """Have a refused read repeated after a while: the socket still stands (F22)."""
        slot.last_read = now
        slot.read_at = now + refused_wait(slot)

    def switch_mode(self, slot: Slot, mode: AccessMode) -> None:
        """Have the access mode of a socket switched (§2.2.7).

        :class:`ModeSwitched` or :class:`SwitchRefused` reports the result. Before a switch to
        push mode, the module's buffer is read empty, and AT+QISWTMD follows ``+QIRD: 0`` at
        once. After the switch the buffer is read once more, because a byte may have arrived
        between the two commands.
        """
        self._turns.is_quiet = False
        is_known = slot.held is None and not slot.is_mode_doubtful
        if slot.access_mode is mode and is_known and not self._is_switching(slot):
            # Nothing to do but to withdraw an earlier wish whose command has not been written. The
            # end of a socket that the peer has closed may have waited for that switch.
            slot.wanted_mode = None
            self.events.append(ModeSwitched(slot))
            self._act(end_of_closed(slot))
            return
        if slot.is_drained:
            self.events.append(SwitchRefused(slot, None, "the peer has closed the connection"))
            return
        slot.wanted_mode = mode
        if mode is AccessMode.PUSH:
            slot.readable, slot.found_empty = True, False

    def _is_switching(self, slot: Slot) -> bool:
        """Whether AT+QISWTMD of this socket is in flight, or its refusal is to be explained."""
        purposes = [self._exchange and self._exchange.purpose, self._explain]
        subjects = [p.subject if isinstance(p, Explain) else p for p in purposes]
        return any(isinstance(s, Switch) and s.slot is slot for s in subjects)

    def note_mode(self, slot: Slot, mode: AccessMode) -> None:
        """Note the access mode that AT+QISTATE shows, if it was not known."""
        if slot.is_mode_doubtful:
            self._turns.is_quiet = slot.is_mode_doubtful = False
            self._unsolicited.set_access_mode(slot.connect_id, mode)
            # The caller may have asked for this mode again in the meantime.
            if slot.wanted_mode is mode:
                slot.wanted_mode = None
                self.events.append(ModeSwitched(slot))
            # A socket that the peer has closed could not end before its mode was known.
            if slot.wanted_mode is None:
                self._act(end_of_closed(slot))

    def abandon(self, slot: Slot) -> None:
        """Note that the caller who opens a socket has gone; it is closed once it has opened."""
        slot.is_abandoned = True

    def begin_close(self, slot: Slot) -> None:
        """Begin to close a socket; drop all bytes that were to be sent or read."""
        if slot.wanted_mode is not None:
            self.events.append(SwitchRefused(slot, None, "the connection was closed"))
        if slot.state is not SlotState.CLOSING:
            slot.move(SlotState.CLOSING)
        slot.clear()

    def note_drained(self, slot: Slot) -> None:
        """Note that a socket has nothing more to read, although no ``+QIRD: 0`` said so (F21)."""
        self._report(Drained(slot))

    def break_off(self, slot: Slot, error: ModemError) -> None:
        """Fail a connection for a reason that lies outside its own bytes."""
        if slot.state is not SlotState.FREE and not slot.failed:
            self._report(Failed(slot, error))

    def adopt_orphan(self, connect_id: int) -> Slot | None:
        """Make a slot for a connection of the module that has no owner, to close it (F35).

        Returns:
            The slot; ``None`` if the connect ID has an owner by now.

        """
        if self.sockets.get(connect_id) is not None:
            return None
        return self.sockets.adopt(connect_id, ServiceType.TCP_INCOMING, AccessMode.BUFFER)

    def release(self, slot: Slot, now: float, rest_s: float = 0.0) -> None:
        """Free a connect ID whose close the module has confirmed.

        See :meth:`~aiobc9x.core.slots.SocketTable.release` for the arguments.
        """
        if self.sockets.get(slot.connect_id) is not slot:
            return
        self.sockets.release(slot, now, rest_s)
        self._framer.push_sockets.discard(slot.connect_id)
        self._drop_dead_send(now)

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Set the access mode of a socket here, as the module has it from now on."""
        self._unsolicited.set_access_mode(connect_id, mode)

    def apply(self, effect: Effect) -> None:
        """Apply what a successful command changed: access mode, echo, data format."""
        if isinstance(effect, EchoLines):
            self.echo_expected, self.echo_seen = effect.on, False
        else:
            self._unsolicited.apply(effect)

    # -- in and out of step --------------------------------------------------------------

    def resync(self) -> list[Event]:
        """Drop an incomplete line or payload, because the line has been silent; end all doubt."""
        self._turns.is_quiet = False
        for frame in self._framer.resync():
            self._on_frame(frame, self._last_fed)
        self._trust.end_doubt()
        return self.take_events()

    def resume(self) -> None:
        """End the suspension: the line is in step again. Read each socket once for lost URCs."""
        self.suspended, self._was_in_step, self._older = False, True, None
        self._awake_s = self._idle_limit  # what came in the repair shows that it is awake
        self.data_due = self.data_doubtful = 0
        self._turns.is_quiet = False
        self._trust.end_doubt()
        # No read is in flight, so the framer must take no "+QIRD: …" for a header.
        self._framer.read_due = 0
        self._unsolicited.read_all_once()

    def fail(
        self, error: Callable[[], ModemError], now: float, *, for_good: bool = False
    ) -> list[Event]:
        """Fail all jobs and connections, because the link is gone or the module has restarted.

        Jobs that were asked for while the session was suspended go on waiting: nothing has been
        sent for them, and they are for the link or the module that is in step again.

        Args:
            error: Makes an exception; called once for each waiter, because a traceback grows
                with each place that raises one.
            now: The time.
            for_good: Nothing will come, so no job may wait.

        """
        exchange, send = self._exchange, self._sender.outstanding
        kept: list[Job] = []
        if self._older is not None and not for_good:
            newer = [job for job in self.queue if job not in self._older]
            kept = [job for job in newer if job.lane is Lane.COMMAND and job.slot is None]
        for job in unfinished(exchange, self._explain, send, self.queue):
            if job not in kept:
                self.events.append(Finished(job, Answer(failure=error())))
        for slot in self.sockets:
            self.events.append(Failed(slot, error()))
            self.sockets.release(slot, now)
        if send is not None and send.job is None and not send.is_lost:
            self.events.append(SendOver(send.slot))
        self.queue.clear()
        for job in kept:
            self.queue.add(job)
        self._older = ()
        self._exchange = self._explain = None
        self._outbox.clear()
        self._sender.forget()
        self._waker.reset()
        self._awake_s = self._idle_limit
        self._framer.push_sockets.clear()
        self._trust.clear()
        self._framer.prompt_due = self._framer.hold_after_final = False
        return self.take_events()

    def begin_anew(self, baudrate: int) -> None:
        """Forget what was known of the line and of the module's state: it is another link.

        Behind :meth:`fail`. Habits of the module, counters and measured times stay: most
        often it is the same module, which has been plugged in again.
        """
        for frame in self._framer.resync():  # of the link that is gone: nobody's any more
            self.statistics.damages += type(frame) is Damage
        self.baudrate = baudrate
        self.suspended, self._was_in_step = True, False
        self.echo_expected, self.echo_seen = True, False
        self.data_due, self.is_format_doubtful = None, False
        self._framer.hex_receive, self._framer.length_shown = False, True
        self._framer.read_due = READ_MAX_BYTES

    def doze(self) -> None:
        """Note that the module may be asleep from now on, though it has just spoken.

        It stays so until it has been woken: what it says while it falls asleep shows nothing.
        """
        if self.idle_limit < math.inf:
            self._awake_s = -1.0

    def write_raw(self, data: bytes) -> None:
        """Write bytes outside any command, to end a data mode that is stuck (F28)."""
        self._outbox += data

    def take_events(self) -> list[Event]:
        """Return the events since the last call, and remove them."""
        events = self.events
        self.events = []
        return events

    # -- bytes in ------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take received bytes, and return the events that they cause.

        Args:
            data: Any number of bytes, cut anywhere.
            now: The time.

        """
        self.statistics.bytes_received += len(data)
        framer, trust, gate = self._framer, self._trust, self._trust.gate
        if trust.in_doubt:
            trust.note_silence(now - self._last_fed)
        self._last_traffic = self._last_fed = now
        self._turns.is_quiet = False
        exchange, send = self._exchange, self._sender.outstanding
        if exchange is not None and now + ANSWER_MARGIN_S > exchange.due:
            exchange.extend_for_traffic(now)
        if send is not None and send.deadline is not None:
            send.extend_for_traffic(now, ANSWER_MARGIN_S)
        # Most chunks are framed in one call, which is where the speed is.
        must_cut = self.sockets.listeners or (
            exchange is not None and type(exchange.purpose) is Read and not _HAS_DATA.match(data)
        )
        for piece in self._cut(data, now) if must_cut else (data,):
            may_hold = framer.hold_after_final
            for frame in framer.feed(piece):
                # The usual frame takes the short way; _on_frame() looks at the rest.
                if frame.__class__ is Line and not gate.is_unchecked and trust.deferred is None:
                    self._on_line(frame.text, now)
                else:
                    self._on_frame(frame, now)
            if may_hold and not framer.hold_after_final:
                # The framer stopped after the final result, whose effect (§2.2.7, §2.2.11) holds
                # for the rest of the chunk.
                for frame in framer.feed(b""):
                    self._on_frame(frame, now)
        if self._exchange is not None:
            self._exchange.cut_at = now if framer.is_cut else math.inf
        events = self.events
        self.events = []
        return events

    def _cut(self, data: bytes, now: float) -> Iterator[bytes]:
        """Split a chunk after each line that changes how the bytes after it must be read.

        After ``"incoming"`` and ``CLOSE OK``, a connect ID that pushed may belong to another
        connection, whose data are announced. After ``+QIOPEN`` an ID may begin to push. After
        ``+QIRD: 0``, :meth:`_check_behind_empty` must see the bytes themselves. A split in
        another place, such as inside a payload, changes nothing.
        """
        pattern = _OWNER_OR_EMPTY if self.sockets.listeners else _EMPTY
        # The line that the last chunk began may be one of these; its beginning is not here.
        start = data.find(b"\n") + 1 if self._framer.is_cut else 0
        if start:
            yield data[:start]
        while (match := pattern.search(data, start)) is not None:
            self._check_behind_empty(data[start : match.end()], now)
            yield data[start : match.end()]
            start = match.end()
        self._check_behind_empty(data[start:], now)
        yield data[start:]

    def _check_behind_empty(self, data: bytes, now: float) -> None:
        """Damage the read in flight if the bytes after its ``+QIRD: 0`` must be data (F18).

        The line may be ``+QIRD: 1,0`` that lost ``1,``. If its data are nothing but line ends
        or noise, they make no frame, so only the bytes themselves show the loss.
        """
        exchange = self._exchange
        if exchange is None or not exchange.lines or not self._is_reading():
            return
        blanks = exchange.collect_blanks(data)
        if blanks is not None and self._trust.check_blanks(blanks):
            self.statistics.damages += 1
            self.events.append(Damaged(NO_EMPTY_END, blanks))
            self._on_loss(Loss(NO_EMPTY_END, spares_pushes=True), now)

    def advance(self, now: float) -> list[Event]:
        """Handle each deadline that has passed, and return the events that this causes."""
        self._turns.is_quiet = False
        exchange, send = self._exchange, self._sender.outstanding
        if exchange is not None and now >= self.answer_due:
            self._expire(exchange, now)
        elif send is not None and send.deadline is not None and now >= send.deadline:
            self._expire_send(send, now)
        self._settle_push(*self._trust.gate.expire(now), now)
        if self._sender.end_burst(now, sends_wait=self._turns.sends_wait(now)):
            self._unsolicited.read_all_once()
        self._sender.lift_limits(now)
        self._turns.mark_due(now, self.poll_interval)
        if now >= self._gap_until:
            self._gap_until = 0.0
        return self.take_events()

    def _on_frame(self, frame: Frame, now: float) -> None:
        gate = self._trust.gate
        if gate.is_unchecked:
            payload, reason, is_used = gate.check(frame)
            self._settle_push(payload, reason, now)
            if is_used:
                return
        if (
            self._trust.deferred is not None
            and (damage := self._trust.settle_deferred(frame)) is not None
        ):
            self._on_damage(damage, now)
        if isinstance(frame, Line):
            self._on_line(frame.text, now)
        elif isinstance(frame, Payload):
            self._on_payload(frame, now)
        elif isinstance(frame, Damage):
            if not self._trust.defer(frame):
                self._on_damage(frame, now)
        elif self._exchange is not None and self._exchange.prompt_is_due:
            self._on_prompt(self._exchange, now)

    def _on_prompt(self, exchange: Exchange, now: float) -> None:
        # Start-up and recovery talk to a module that may be asleep or busy: no sample.
        if not self.suspended:
            self._stopwatch.sample(exchange, now, self._baudrate)
        self._stopwatch.note_prompt(now)
        self._write_payload(exchange, now)

    def _write_payload(self, exchange: Exchange, now: float) -> None:
        """Write the data of a send, and give its result time until they have crossed the line."""
        data = exchange.on_prompt()
        if self._sender.outstanding is not None:
            self._sender.outstanding.step(_PROMPT)
        self._outbox += data
        exchange.extend(now + RESULT_LIMIT_S + wire_time(len(data), self._baudrate))

    def _on_line(self, text: bytes, now: float) -> None:
        exchange, trust = self._exchange, self._trust
        if exchange is not None:
            # While sockets push, a line that looks like a torn header may be their data (F5).
            unsure = trust.in_doubt
            if self._framer.push_sockets and not unsure:
                unsure = is_header_like(text)
            step = exchange.on_line(text, unsure)
            if step is not NOT_MINE:
                # The usual end of an answer takes the short way.
                special = trust.in_doubt or trust.awaits_late_ok or exchange.is_doubtful
                if step is DONE and not (special or (exchange.prompted and self._outbox)):
                    self._end(exchange, now, lost=False)
                else:
                    self._on_answer_line(exchange, text, step, now)
                return
        elif is_final(text):
            # No command is in flight. The result may be the late OK of a send (F23), or part of
            # data that lost their header. Else an answer got a wrong command: out of step.
            if trust.is_late_ok(text, now):
                trust.take_late_ok()
            elif not (trust.in_doubt or self._waker.is_past(now)):
                self.stray_answers += 1
                self._act(self._endings.stray_result(text, self._explain))
            return
        if (urc := parse_urc(text)) is not None:
            self._on_urc(urc, now)
        else:
            self._on_unknown(text, now)

    def _on_answer_line(self, exchange: Exchange, text: bytes, step: Step, now: float) -> None:
        """Handle a line of the answer in flight that is not simply its end."""
        trust = self._trust
        # The OK belongs to a send that ended without it, and comes too early for this command.
        # Where a prompt is due, that OK has made the framer forget it, so it is set again.
        if trust.is_late_ok(text, now) and self._is_too_early_for_ok(exchange, step):
            trust.take_late_ok()
            self._framer.prompt_due = step is LOST
            exchange.final = None
        elif step is DONE and self._may_be_data(exchange):
            exchange.is_doubtful = True
            exchange.await_last(now + _DOUBT_S, _DOUBT_SLACK_S)
        elif step is not TAKEN:
            # A result before the host has written the data, which are still in the outbox.
            unwritten = exchange.prompted and bool(self._outbox)
            self._end(exchange, now, lost=step is LOST or unwritten)
        else:
            exchange.note_part(now)
            if exchange.echoed and not self.echo_expected:
                self.echo_seen = self.echo_expected = True
                # ATE0 is not stored, so the module has most likely restarted (F42).
                self._lose_step("the module echoes again, as it does after a restart")

    def _may_be_data(self, exchange: Exchange) -> bool:
        """Whether a final result may be received data, so that a later result would count."""
        return exchange.is_doubtful or (self._trust.in_doubt and exchange.damage is None)

    def _is_reading(self) -> bool:
        """Whether a read of ours is in flight; its answer shows whether it is whole."""
        return self._exchange is not None and isinstance(self._exchange.purpose, Read)

    def _is_too_early_for_ok(self, exchange: Exchange, step: Step) -> bool:
        """Whether an ``OK`` now can't be the answer in flight, which has a line or prompt first."""
        asks = step is LOST or isinstance(exchange.purpose, _ASKING)
        return asks and not exchange.has_data

    def _note_possible_push(self, now: float) -> None:
        """Note that the next line may be data of a socket that an earlier program left (F45)."""
        self._trust.pushed_at = now
        if self._exchange is not None:
            self._exchange.is_doubtful = True

    def _on_unknown(self, text: bytes, now: float) -> None:
        if self.suspended and text.startswith(_PUSHED):
            self._note_possible_push(now)
        self.statistics.unknown_lines += 1
        exchange, in_doubt = self._exchange, self._trust.in_doubt
        in_step = not (self.suspended or in_doubt or self._is_reading())
        # Another program has read (F56). Without a socket there is nobody to read from.
        if in_step and is_read_header(text) and self.sockets.in_use:
            self._act(self._unsolicited.break_reads())
            self._trust.begin_doubt()  # what follows are a peer's data
            self._lose_step("the answer to an AT+QIRD came that is not ours")
            return
        reading = exchange is not None and exchange.meaning.is_read and exchange.payload is None
        pushing = self._unsolicited.is_pushing
        loss = judge(
            text,
            awaited=exchange is not None,
            reading=reading,
            emptied=exchange is not None and self._is_reading() and bool(exchange.lines),
            pushing=pushing,
        )
        if in_doubt and loss is not None:
            loss = self._blame_in_doubt(text, loss)
        # While sockets read or push, a line that shows a loss may be a peer's data, which must not
        # end up in events and logs.
        elif loss is None or not (reading or pushing):
            self.events.append(UnknownLine(text))
        if loss is None:
            return
        if exchange is not None and isinstance(exchange.purpose, Switch):
            # The OK of the switch may have got lost: then "recv" lines since then were pushed data
            # and not announcements.
            exchange.is_doubtful |= exchange.purpose.slot.readable
        # One torn line alone may have been "+QIRD: 0", which loses nothing. A second one makes it
        # b"", which says that it was more.
        if exchange is not None and not loss.spares_read:
            exchange.torn_line = text if exchange.torn_line is None else b""
            exchange.note_part(now)
        self._on_loss(loss, now)

    def _blame_in_doubt(self, text: bytes, loss: Loss) -> Loss:
        """Decide whom a line after lost bytes concerns, as far as the line tells.

        After a damaged header of a read, such lines are the data of that read, unless they
        look like a header of pushed data. After another loss, they are pushed data, or the
        torn header of a read.
        """
        exchange = self._exchange
        if exchange is not None and exchange.damage is not None:
            return loss._replace(spares_read=False, spares_pushes=not is_header_like(text))
        is_of_read = text.startswith(b"+Q") or (exchange is not None and bool(exchange.lines))
        return loss._replace(spares_read=not is_of_read, spares_pushes=False)

    def _on_damage(self, damage: Damage, now: float) -> None:
        self.statistics.damages += 1
        self.events.append(Damaged(damage.reason, damage.data))
        # Noise of a module that wakes up holds no data (F4).
        if damage.data and not damage.data.strip(NOISE):
            return
        loss = blame(damage, self._framer.push_sockets, self._trust.gate.last_push)
        if self._exchange is not None and not loss.spares_read:
            # This was no torn "+QIRD: 0".
            self._exchange.torn_line = b""
        self._on_loss(loss, now)

    def _on_loss(self, loss: Loss, now: float) -> None:
        """End the connections that lost bytes may concern, and begin to doubt what follows."""
        exchange = self._exchange
        hits_read = not loss.spares_read and self._is_reading()
        if hits_read and exchange is not None:
            exchange.damage = exchange.damage or loss.reason
        hits_pushes = not loss.spares_pushes and self._unsolicited.is_pushing
        if hits_pushes:
            self._act(self._unsolicited.break_pushes(loss))
        # Without a socket there are no data that lines could be made of.
        if (hits_read or hits_pushes) and self.sockets.in_use:
            self._trust.begin_doubt()
        # A lost answer may stand inside pushed data, so nobody knows which answer is next.
        if hits_pushes:
            self._lose_step(loss.reason)
        # A "recv" may have been among the lost bytes.
        self._unsolicited.read_all_once()

    def _on_payload(self, payload: Payload, now: float) -> None:
        if payload.connect_id is not None:
            # After a loss, this may be inside what another peer has sent, so it is not delivered.
            if self._trust.in_doubt:
                loss = Loss("data came after lost bytes", True, connect_id=payload.connect_id)
                self._act(self._unsolicited.break_pushes(loss))
            else:
                self._trust.gate.hold(payload, now, self._answer_s)
        elif self._exchange is not None and self._exchange.meaning.is_read:
            self._exchange.on_payload(payload, self._framer.negative_remainings)
            self._exchange.note_part(now)
            # The read has its data, so what was withheld is no part of them.
            if self._trust.withheld:
                self._release_urcs(now)
        else:
            self._act(self._endings.stray_payload())

    def _settle_push(self, payload: Payload | None, reason: str | None, now: float) -> None:
        if payload is not None:
            self.statistics.payload_bytes_received += len(payload.data)
            self._act(self._unsolicited.on_push(payload, now))
        if reason is not None:
            self.statistics.damages += 1
            self.events.append(Damaged(reason, b""))
            self._on_loss(Loss(reason, True, connect_id=self._trust.gate.last_push), now)

    def _on_urc(self, urc: Urc, now: float) -> None:
        self.statistics.urcs += 1
        exchange = self._exchange
        if isinstance(urc, Wakeup | SleepEvent):
            self._on_sleep_urc(urc, now)
        banner = urc.text if isinstance(urc, _BANNERS) else None
        emptied = exchange is not None and self._is_reading() and bool(exchange.lines)
        if exchange is not None and (exchange.damage is not None or (banner and emptied)):
            # A banner inside a damaged read may be data that say RDY. True or not, this answer will
            # not come to its end, so the read is given up and the module asked (F41).
            if banner is not None:
                self._expire(exchange, now, f"{banner!r} came instead of its end")
        elif self._trust.in_doubt:
            return
        elif banner is not None:
            self._restart(banner, now)
            self.events.append(UrcSeen(urc))
        elif exchange is None or not self._is_reading() or exchange.payload is not None:
            self._apply_urc(urc, now)
        else:
            # A read is in flight and has no data yet: this may be data whose header got lost (F5).
            self._unsolicited.end_pushes(urc)
            self._trust.withhold(urc)

    def _on_sleep_urc(self, urc: Wakeup | SleepEvent, now: float) -> None:
        if isinstance(urc, SleepEvent) and urc.text.upper().startswith("ENTER"):
            self._waker.is_announced = False
            self.doze()
            return
        self._waker.is_announced = True
        if self._exchange is not None and self._exchange.purpose is WAKE:
            self._expire(self._exchange, now)  # it has woken the module, which is deaf to it
        elif not self._waker.lines:
            self._awake_s = self._idle_limit

    def _release_urcs(self, now: float) -> None:
        for urc in self._trust.release():
            self._apply_urc(urc, now)

    def _apply_urc(self, urc: Urc, now: float) -> None:
        if isinstance(urc, _RESULTS):
            self._on_send_result(sent=isinstance(urc, SendOk), now=now)
        elif self._unsolicited.is_doubled(urc):
            return
        else:
            # At the start "recv" may be the header of data that are pushed (F45).
            if self.suspended and isinstance(urc, Received):
                self._note_possible_push(now)
            self._act(self._unsolicited.on_urc(urc, self.profile))
            self._drop_dead_send(now)
            if isinstance(urc, Incoming):
                self._refuse_usurped()
            self._unsolicited.end_pushes(urc)
        self.events.append(_new(UrcSeen, (urc,)))

    def _drop_dead_send(self, now: float) -> None:
        if (send := self._sender.drop_dead(now)) is not None:
            self.events.append(SendOver(send.slot))

    def _refuse_usurped(self) -> None:
        """Refuse the jobs of sockets whose connect ID went to an incoming connection (F34).

        Their commands would reach the incoming connection. 563, "identity in use", is what the
        module itself would answer.
        """
        for job in self.queue:
            if job.slot is not None and job.slot.is_usurped:
                self.queue.withdraw(job)
                self.events.append(Finished(job, Answer(err=Err.IDENTITY_IN_USE)))

    def _restart(self, banner: str, now: float) -> None:
        self.boots += 1
        # A module that was never in step was just switched on; that is no restart.
        self.statistics.resets += self._was_in_step
        self.suspended = self.echo_expected = True
        # A module that has booted waits for no data.
        self.data_due = self.data_doubtful = 0
        events = self.fail(lambda: ModuleReset(f"the module restarted ({banner})"), now)
        self.events = [*events, Restarted(banner)]

    def _on_send_result(self, *, sent: bool, now: float) -> None:
        send, exchange = self._sender.outstanding, self._exchange
        # Late or doubled: the send that the result belongs to is over (F24).
        if send is None:
            if sent and (event := self._sender.contradict()) is not None:
                self._report(event)
            return
        # The send that was given up can print no more, so the next may begin.
        if send.is_lost:
            self._sender.expire_lost()
            return
        if not send.is_waiting:
            # This send was refused, and its reason is being asked for: the result is that of the
            # send before.
            if exchange is None or not send.is_of(exchange.purpose):
                return
            was_settled = send.state is SendState.SETTLED
            if send.step(_RESULT):
                send.result = sent
                self._await_ok(send, exchange, now, is_second=was_settled)
            return
        # The result came after OK, and no other before it: so this module prints OK first (F23).
        if send.result is None:
            self._trust.ok_habits[send.form] = _FIRST
        send.step(_RESULT)
        self._act(self._endings.send_result(sent=sent, now=now))

    def _await_ok(self, send: Send, exchange: Exchange, now: float, *, is_second: bool) -> None:
        """Set how long to wait for ``OK`` after a result that came before it (F23, F24).

        The result may be a doubled one of the send before. It counts for this send only if
        this module is known to print results so, or if ``OK`` does not come.

        Args:
            send: The outstanding send.
            exchange: Its exchange, which is still in flight.
            now: The time.
            is_second: This is the second result, so it belongs to this send.

        """
        habit, crossed = self._trust.ok_habits.get(send.form), self._crossed_at(send)
        send.is_early = not is_second and now < crossed
        if is_second:
            exchange.extend(now, GRACE_S)
        elif habit is _FIRST:
            # The OK of this send is still to come, and has the time that every answer has.
            pass
        elif send.is_early:
            exchange.extend(crossed + EARLY_S, GRACE_S)
        else:
            grace = 0.0 if habit is OkHabit.OMITTED else GRACE_S
            exchange.extend(now + grace, GRACE_S)

    def _crossed_at(self, send: Send) -> float:
        """Return the time before which the send can't have crossed the line (F24)."""
        if send.form is SendForm.FIXED:
            size = len(send.data)
        else:
            size = len(send.job.command.encode() if send.job else send.command().encode())
        return send.written_at + self._stopwatch.crossing_s(size, self.baudrate)

    # -- the end of an exchange ----------------------------------------------------------

    def _end(self, exchange: Exchange, now: float, *, lost: bool) -> None:
        """End the exchange in flight with its final result."""
        self._exchange = None
        # A plain exchange has told the framer nothing, so there is nothing to undo.
        if self._gap_s or not exchange.is_plain:
            self._disarm(exchange, now)
        purpose, meaning, took = exchange.purpose, exchange.meaning, now - exchange.started
        succeeded = exchange.final == b"OK"
        if took * self._stopwatch.fastest < exchange.size_bytes:
            self._stopwatch.note_crossing(exchange.size_bytes, took)
        if not succeeded:
            self.statistics.errors += 1
            if isinstance(meaning.effect, OpenSocket):
                self._undo_open(meaning.effect, framed=exchange.is_framed_at_once)
        else:
            # A command that waits for the network, or a module in trouble, is no sample.
            if exchange.traffic_before is not None and not self.suspended:
                self._stopwatch.sample(exchange, now, self._baudrate)
            if meaning is not PLAIN:
                self._apply_success(exchange, meaning, lost=lost)
        if (
            succeeded
            # Not type(), which is a call.
            and purpose.__class__ is Job
            and self._sender.outstanding is None
            and not (lost or exchange.turned_away)
        ):
            # The short way, which nearly every command takes.
            plain = not exchange.lines and exchange.payload is None
            self.events.append(_new(Finished, (purpose, OK)) if plain else done(purpose, exchange))
        elif purpose is WAKE:
            self._on_awake(exchange, now)
        else:
            shown = self.length_shown
            self._act(self._endings.answered(exchange, now, lost=lost, length_shown=shown))
        if exchange.damage is not None:
            self._trust.begin_doubt()
        elif self._trust.withheld:
            self._release_urcs(now)

    def _on_awake(self, exchange: Exchange, now: float) -> None:
        """Go on: the module has answered. What it may have said in its sleep is made up for."""
        waker = self._waker
        if waker.is_late(exchange):
            exchange.final = None
            self._exchange = exchange
            return
        self._awake_s = self._idle_limit
        if unheard := waker.awake(now, self.line.latency_s):
            self.statistics.wakes += 1
            self._unsolicited.read_all_once()
            if not waker.is_announced:
                self.events.append(Woken(unheard))
            self._gap_until = max(self._gap_until, waker.late_until)

    def _apply_success(self, exchange: Exchange, meaning: Meaning, *, lost: bool) -> None:
        """Apply what a successful command did: it was a send, or it changed a setting."""
        if meaning.is_send:
            if (send := self._sender.outstanding) is not None and not lost:
                self._accept(send)
            return
        self.statistics.nvram_writes += meaning.writes_nvram
        if (effect := meaning.effect) is None:
            return
        self.apply(effect)
        if exchange.is_doubtful and isinstance(effect, OpenSocket):
            # The OK was not believed at first, and what was pushed since then was not either.
            loss = Loss("its first data came after lost bytes", True, connect_id=effect.connect_id)
            self._act(self._unsolicited.break_pushes(loss))

    def _undo_open(self, effect: OpenSocket, *, framed: bool) -> None:
        """Undo what was noted when AT+QIOPEN was written, because the module refused it."""
        slot = self.sockets.get(effect.connect_id)
        if slot is not None and slot.state is SlotState.OPENING:
            slot.is_asked = False
        if framed:
            self._unsolicited.frame_pushes(effect.connect_id, on=False)

    def _accept(self, send: Send) -> None:
        """Note the ``OK`` of a send: the module has the data."""
        if send.result is not None:
            # A result stands before this OK. It was too early, or this module prints OK first: so
            # it belongs to the send before, and another result comes (F24).
            if send.is_early or self._trust.ok_habits.get(send.form) is _FIRST:
                send.step(SendStep.DISTRUST)
                return
            self._trust.ok_habits[send.form] = OkHabit.BEHIND
        send.step(_ACCEPT)

    def _expire(self, exchange: Exchange, now: float, reason: str = "") -> None:
        """End the exchange in flight without a final result, or with one that was doubted."""
        # No other final result came, so the one that might have been data counts.
        if exchange.is_doubtful and exchange.final is not None:
            self._end(exchange, now, lost=False)
            return
        send = self._sender.outstanding
        if exchange.prompt_is_due and not reason and self._write_unprompted(exchange, now):
            return
        self._exchange = None
        self._disarm(exchange, now)
        if exchange.purpose is WAKE and self._waker.has_more():
            self.doze()
            return
        # SEND OK or SEND FAIL has come, and OK has not: this module omits it (F23).
        if send is not None and send.result is not None and send.is_of(exchange.purpose):
            self._trust.note_omitted_ok(send.form, now)
            send.step(SendStep.EXPIRE)
            self._act(self._endings.send_result(sent=send.result, now=now))
            return
        self.statistics.timeouts += 1
        self._unanswered_from = exchange.started
        self.is_format_doubtful |= isinstance(exchange.meaning.effect, ReceiveHex | ShowLength)
        # The module may be waiting for the data, and would take the next command for them (F27).
        if exchange.prompt_is_due:
            self.data_due = len(exchange.outgoing)
        elif exchange.prompted:
            self.data_doubtful = len(exchange.outgoing)
        self._act(self._endings.expired(exchange, now, reason))
        # Pushed data that lost bytes may have taken the answer with them. In recovery, answers are
        # missing for other reasons.
        if not (isinstance(exchange.purpose, Job) and exchange.purpose.lane is _RECOVERY):
            # A payload that lost bytes has taken its own OK instead, and whole pushes perhaps.
            is_torn = exchange.damage is not None or exchange.payload is not None
            since = None if is_torn else exchange.started
            loss = Loss("an answer got lost while they came", spares_read=True)
            self._act(self._unsolicited.break_pushes(loss, since=since))
        if exchange.damage is not None:
            self._trust.begin_doubt()
        else:
            self._release_urcs(now)
        # What the framer has of an incomplete line or payload was part of the lost answer.
        for frame in self._framer.resync():
            self._on_frame(frame, now)

    def _write_unprompted(self, exchange: Exchange, now: float) -> bool:
        """Write the data of a send whose prompt is overdue, if that is safe (F27).

        The prompt has most likely got lost, and the module waits for the data. If instead the
        module has missed the command, it reads the data as command lines, so no line of them
        may look like a command.

        Returns:
            Whether the data were written.

        """
        if is_command_like(exchange.outgoing):
            return False
        self._write_payload(exchange, now)
        return True

    def _expire_send(self, send: Send, now: float) -> None:
        """End or give up the outstanding send, because its deadline has passed."""
        # Its result may be among the withheld URCs. The read in flight has a limit of its own, and
        # releases them.
        if self._trust.withheld:
            return
        if send.is_lost:
            self._sender.expire_lost()
            return
        # No second result came: the one before OK was that of this send after all.
        if send.result is not None:
            self._trust.ok_habits[send.form] = OkHabit.BEHIND
            send.step(SendStep.RESULT)
            self._act(self._endings.send_result(sent=send.result, now=now))
            return
        self._act(self._endings.lose_send(send, "SEND OK did not come in time", now))
        loss = Loss("SEND OK got lost while they came", spares_read=True)
        self._act(self._unsolicited.break_pushes(loss, since=send.written_at))

    def _disarm(self, exchange: Exchange, now: float) -> None:
        """Undo what :meth:`_arm` told the framer, and begin the pause between commands (F31)."""
        if self._gap_s:
            self._gap_until = now + self._gap_s
        # A module that waits for a command must not get the data of a send that has ended.
        if exchange.prompted:
            self._outbox.clear()
        framer = self._framer
        framer.prompt_due = framer.hold_after_final = False
        # After a read that failed, its payload may still come, and must be framed.
        if exchange.meaning.is_read and exchange.succeeded and not self.suspended:
            framer.read_due = 0

    def _act(self, consequences: Iterable[Consequence]) -> None:
        for consequence in consequences:
            if type(consequence) in _USUAL:
                self.events.append(consequence)  # type: ignore[arg-type]  # it is no Explain
            elif isinstance(consequence, Explain):
                self._explain = consequence
            elif isinstance(consequence, OutOfStep):
                self._lose_step(consequence.reason)
            else:
                self._report(consequence)

    def _report(self, event: Event) -> None:
        if isinstance(event, Failed):
            # From now on nothing of this connection is read, delivered or sent.
            event.slot.failed = True
            self.is_format_doubtful |= isinstance(event.error, StreamBroken)
        elif isinstance(event, Drained):
            event.slot.is_drained = True
        if isinstance(event, DatagramLost):
            self.statistics.datagrams_lost += 1
            self.is_format_doubtful = True
        self.events.append(event)

    def _lose_step(self, reason: str) -> None:
        if not self.suspended:
            self.suspended, self._older = True, tuple(self.queue)
            self.statistics.recoveries += 1
            self.events.append(OutOfStep(reason))

    # -- bytes out -----------------------------------------------------------------------

    def submit(self, job: Job, now: float) -> bytes | None:
        """Take a job, and return its command line if it may be written now.

        Returns:
            The line; ``None`` if something else wants the line first. The job is then queued,
            and :meth:`next_output` returns its line later.

        """
        # This short way saves a single command the queue and the choice between turns.
        if (
            self._exchange is None
            and not self.suspended
            and job.lane is not _RECOVERY
            and now >= self._gap_until
            and self._explain is None
            and now - self._last_traffic <= self._awake_s
            and not self._outbox
            and self._turns.claim_turn(job.lane)
        ):
            line = self._begin_job(job, now)
            self.statistics.bytes_sent += len(line)
            self._last_traffic = now
            return line
        self.queue.add(job)
        return None

    def next_output(self, now: float) -> bytes | None:
        """Return bytes to write now; call again until it returns ``None``, which is nothing."""
        data: bytes | None
        if self._outbox:
            data = bytes(self._outbox)
            self._outbox.clear()
            self._stopwatch.note_written(now)
            if (send := self._sender.outstanding) is not None and send.step(_WRITE):
                send.written_at = now
        elif (
            self._exchange is not None
            or not (self.queue.waiting or self.sockets.in_use or self._explain)
            or (data := self._begin_next(now)) is None
        ):
            return None
        self.statistics.bytes_sent += len(data)
        self._last_traffic = now
        return data

    def _begin_next(self, now: float) -> bytes | None:
        """Begin the next command, if one may begin; return its line."""
        if now < self._gap_until:
            return None
        # Ahead of everything, because AT+QIGETERROR tells of the last command alone (§2.2.12).
        if self._explain is not None:
            explain, self._explain = self._explain, None
            return self._begin(Qigeterror(), PLAIN, explain, now)
        if self.suspended:
            job = self.queue.next(_RECOVERY)
            return None if job is None else self._begin_job(self.queue.take(job.lane), now)
        turn = self._turns.next(now)
        if turn is None:
            return self._begin(At(), PLAIN, Probe(), now) if self._trust.gate.wants_frame else None
        # A sleeping module would take the command for a wake-up call, and lose it (F48).
        if now - self._last_traffic > self._awake_s:
            return self._begin_wake(now)
        return self._begin_turn(turn, now)

    def _begin_wake(self, now: float) -> bytes:
        command, limit = self._waker.next_line(self.line.latency_s)
        line = self._begin(command, PLAIN, WAKE, now)
        exchange = self._exchange
        assert exchange is not None
        exchange.traffic_before = None  # how long a sleeper takes says nothing of the line
        exchange.extend(now + limit + wire_time(_WAKE_BYTES, self._baudrate), 0.0)
        return line

    def _begin_turn(self, turn: Turn, now: float) -> bytes:
        if turn.lane is not None:
            sending = self._sender.outstanding is not None
            return self._begin_job(self.queue.take(turn.lane, sending=sending), now)
        slot = self.sockets.get(turn.connect_id)
        assert slot is not None
        if turn.kind is TurnKind.READ:
            self.statistics.reads += 1
            # A "recv" that arrives from now on sets readable again, and counts (N28).
            slot.readable, slot.last_read = False, now
            return self._begin(_READS[slot.connect_id], READ, Read(slot), now)
        if turn.kind is TurnKind.SWITCH:
            assert slot.wanted_mode is not None
            switch = Switch(slot, slot.wanted_mode)
            switching = _SWITCHES[slot.connect_id, switch.mode]
            return self._begin(switching, switching.meaning, switch, now)
        send = self._sender.begin(slot, self.line, now)
        command = send.command()
        outgoing = send.data if command.needs_prompt else None
        return self._begin(command, SEND, send, now, outgoing=outgoing)

    def _begin_job(self, job: Job, now: float) -> bytes:
        meaning = job.command.meaning
        if meaning.is_send:
            self._sender.begin_job(job, now)
        return self._begin(job.command, meaning, job, now, job.limit, job.data)

    def _begin(
        self,
        command: Command[Any],
        meaning: Meaning,
        purpose: Purpose,
        now: float,
        limit: float | None = None,
        outgoing: bytes | None = None,
    ) -> bytes:
        line, usual, answer_s = command.encode(), command.time_limit, self._answer_s
        is_probe = limit is not None and self.suspended
        # A command with more than the note's 300 ms waits for the network or the SIM, and may pause
        # in the middle of its answer.
        is_quick, rest_s = usual <= MAX_RESPONSE_TIME_S, math.inf
        if limit is None:
            # While out of step, answers get lost, and asking again does no harm.
            patience = self.answer_timeout / 2 if self.suspended else self.answer_timeout
            limit = usual + ANSWER_MARGIN_S
            limit = patience if patience > limit else limit
            if is_quick:
                rest_s = REST_S + answer_s
        size = len(line)
        limit += self._byte_s * size + answer_s
        traffic = self.statistics.traffic_bytes if is_quick else None
        exchange = Exchange(command, purpose, now, limit, outgoing, traffic, rest_s, meaning, size)
        self._exchange = exchange
        if self.suspended:
            if is_probe:
                # Somebody asks again soon, so what else a module prints must not hold that up.
                slack = PROBE_S - (exchange.due - now)
                exchange.extend(exchange.due, slack if slack > PROBE_SLACK_S else PROBE_SLACK_S)
            # Pushed data of an earlier program's socket may look like this command's OK (F45).
            exchange.is_doubtful = now - self._trust.pushed_at < _DOUBT_S
        elif self._framer.read_due and not isinstance(purpose, Explain):
            # After a failed read its payload may still come, until another command begins.
            self._framer.read_due = 0
        if not exchange.is_plain:
            self._arm(exchange)
        self.statistics.commands += 1
        return line

    def _arm(self, exchange: Exchange) -> None:
        """Tell the framer what the answer may hold, and where its rules change."""
        framer, effect = self._framer, exchange.meaning.effect
        if exchange.meaning.is_read:
            framer.read_due = READ_MAX_BYTES
            exchange.negatives_before = framer.negative_remainings
            return
        has_prompt = exchange.prompt_is_due
        framer.prompt_due = has_prompt
        if isinstance(effect, OpenSocket) and self._begin_open(effect):
            exchange.is_framed_at_once = True
            return
        # The late OK of the send before ends the framer's wait for the prompt, and the prompt may
        # stand right after that OK. So the framer stops there, to be told again of the prompt.
        after_late_ok = has_prompt and self._trust.awaits_late_ok
        framer.hold_after_final = effect is not None or after_late_ok

    def _begin_open(self, effect: OpenSocket) -> bool:
        """Note that AT+QIOPEN is being written.

        The framer expects data of the socket from now on, because a peer may send as soon as it
        is connected, and the ``OK`` may get lost.

        Returns:
            Whether the framer does; if not, its rules change at the ``OK``.

        """
        slot = self.sockets.get(effect.connect_id)
        # A caller's own AT+QIOPEN. If a socket of ours has the ID, the module refuses it (563).
        if slot is None or slot.state is not SlotState.OPENING:
            return False
        slot.is_asked = True
        # Beside a listener, the ID may belong to an incoming connection whose URC got lost, and
        # whose data are announced (F33).
        if self.sockets.listeners:
            return False
        self._unsolicited.apply(effect)
        return True
