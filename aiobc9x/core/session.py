"""The session with one module: bytes in, events and bytes out.

Layer: core. Does no I/O; time comes in as ``now``.

One command is in flight at a time (rule 4). Between its final result and a deferred
one (``SEND OK``) other commands may run. A session starts suspended: only jobs of
the recovery lane run until :meth:`Session.resume`, as after every loss of step.

The session alone writes a slot (:mod:`aiobc9x.core.slots`): what is above asks for it by
the methods below. It is long because it is where everything meets, and decides nothing by
itself: :mod:`~aiobc9x.core.trust` says what counts, :mod:`~aiobc9x.core.turns` who is next,
:mod:`~aiobc9x.core.endings` what an answer means, :mod:`~aiobc9x.core.unsolicited` what
comes unasked.
"""

from __future__ import annotations

import math
import re
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
    judge,
)
from aiobc9x.core.turns import JobQueue, Turn, TurnKind, Turns
from aiobc9x.core.unsolicited import Unsolicited
from aiobc9x.errors import ModemError, ModuleReset
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
    parse_urc,
)

ANSWER_TIMEOUT_S: Final = 10.0
"""Seconds without a byte of an answer until it counts as lost. The note says 300 ms; a module
that writes flash or searches a cell takes seconds."""

# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

_ASKING: Final = (Read, Explain)
_BANNERS: Final = (Restart, PowerDown)
_RESULTS: Final = (SendOk, SendFail)
_USUAL: Final = frozenset({DataReceived, Finished, Sent, SendOver})
# To look an attribute of an enum up takes its time.
_RECOVERY: Final = Lane.RECOVERY
_PROMPT, _WRITE, _ACCEPT = SendStep.PROMPT, SendStep.WRITE, SendStep.ACCEPT
_RESULT: Final = SendStep.RESULT
_FIRST: Final = OkHabit.FIRST

_READS: Final = {number: Qird(number, READ_MAX_BYTES) for number in CONNECT_IDS}
_SWITCHES: Final = {(n, mode): Qiswtmd(n, mode) for n in CONNECT_IDS for mode in AccessMode}

_ANSWER_BYTES: Final = 2 * READ_MAX_BYTES
"""The most that an answer has: a read, in hex."""

_ANSWER_BITS: Final = _ANSWER_BYTES * BITS_A_BYTE

_SLOWEST_BAUDRATE: Final = 9600
"""What a long command line is given time for: behind a serial server, or on a virtual
line, the real rate is not known."""

_HAS_DATA: Final = re.compile(rb"\r\n\+QIRD: ?[1-9]").match  # which is nearly always so
_EMPTY: Final = re.compile(rb"\+QIRD: {0,8}0[^\n]*\n")
_OWNER_OR_EMPTY: Final = re.compile(
    rb'(?:"incoming"[^\n]*|CLOSE OK\r?|\+QI(?:OPEN|RD: {0,8}0)[^\n]*)\n'
)

_PUSHED: Final = b'+QIURC: "recv",'
"""What pushed data begin with, in the same line or the one before (§2.2.11)."""

_DOUBT_S: Final = 0.3
"""How long another final result may stay away (§2.1.2) where the first may be received data:
before start-up has asked, nobody knows which sockets a program before left in push mode."""

_DOUBT_SLACK_S: Final = 1.7
"""How much longer if bytes come all the time. Ours."""


class Session:
    """Turns bytes into events, and jobs, reads and sends into bytes.

    Attributes:
        sockets: The six connect IDs.
        queue: Commands that wait; a :class:`Finished` event tells what came of each.
        statistics: Counters.
        poll_interval: Seconds without a read before an open socket is read to find lost
            URCs (rule 5); 0 switches that off.
        answer_timeout: Seconds without a byte of an answer until it counts as lost.
        suspended: Only the recovery lane runs.
        echo_expected: Echoed lines are normal; after ATE0 one shows a restart.
        echo_seen: One has shown that.
        idle_limit: After so many seconds of silence the step counts as lost: it may sleep.
        stray_answers: Final results that nobody awaited; it only rises.
        boots: Boot banners so far, that of a module just switched on included.
        data_due: Bytes that the module may still wait for, because their prompt never came;
            ``None`` while that is unknown, as at the start.
        is_format_doubtful: A command that changes how payloads are framed got no answer, so
            AT+QICFG must be asked before anything is read.
        events: What has happened since :meth:`take_events`.

    """

    # So many attributes are slow without (CPython keeps 29 in place), and nobody adds one.
    __slots__ = (
        "_answer_s",
        "_baudrate",
        "_byte_s",
        "_endings",
        "_exchange",
        "_explain",
        "_framer",
        "_gap_s",
        "_gap_until",
        "_last_fed",
        "_last_traffic",
        "_outbox",
        "_sender",
        "_stopwatch",
        "_trust",
        "_turns",
        "_unsolicited",
        "_was_in_step",
        "answer_timeout",
        "boots",
        "data_due",
        "echo_expected",
        "echo_seen",
        "events",
        "idle_limit",
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
        self.sockets = SocketTable()
        self.statistics = Statistics()
        self.queue = JobQueue()
        self.baudrate = baudrate
        self.poll_interval = poll_interval
        self.answer_timeout = answer_timeout
        self.suspended = True
        self.echo_expected = True
        self.echo_seen = False
        self.stray_answers = 0
        self.boots = 0
        self.data_due: int | None = None
        self.is_format_doubtful = False
        self.idle_limit = math.inf
        self.events: list[Event] = []
        self._was_in_step = False
        self._last_traffic = self._last_fed = 0.0
        self._framer = Framer()
        self._trust = Trust(self._framer)
        self._unsolicited = Unsolicited(self.sockets, self._framer, self.statistics)
        self._sender = Sender(profile or ModuleProfile(), send_forms)
        self._endings = Endings(self._sender, self.statistics)
        self._turns = Turns(self.sockets, self.queue, self._sender)
        self._stopwatch = Stopwatch(self.statistics)
        self._exchange: Exchange | None = None
        self._explain: Explain | None = None
        self._gap_s = self.profile.command_gap_ms / 1000
        self._gap_until = 0.0
        self._outbox = bytearray()

    # -- what the layers above read ------------------------------------------------------

    @property
    def profile(self) -> ModuleProfile:
        """What this module is known to do."""
        return self._sender.profile

    @profile.setter
    def profile(self, profile: ModuleProfile) -> None:
        self._sender.use(profile)
        self._gap_s = profile.command_gap_ms / 1000

    @property
    def baudrate(self) -> int:
        """Bits per second of the line, as far as is known; deadlines go by it."""
        return self._baudrate

    @baudrate.setter
    def baudrate(self, baudrate: int) -> None:
        self._baudrate = baudrate
        self._answer_s = _ANSWER_BITS / baudrate
        self._byte_s = BITS_A_BYTE / min(baudrate, _SLOWEST_BAUDRATE)

    @property
    def line(self) -> LineTiming:
        """What the line and its two ends have been measured to take."""
        return self._stopwatch.line(self.baudrate)

    @property
    def length_shown(self) -> bool:
        """Whether headers carry the optional lengths (§2.2.11)."""
        return self._framer.length_shown

    @property
    def pushed_at(self) -> float:
        """When data last seemed to be pushed that nobody has asked for; only while suspended."""
        return self._trust.pushed_at

    @property
    def answer_due(self) -> float:
        """When the answer in flight must have come; infinity if there is none."""
        return math.inf if self._exchange is None else self._exchange.ends_at()

    def is_sending(self, slot: Slot) -> bool:
        """Whether a send of this socket is not over; :class:`SendOver` tells when it is."""
        send = self._sender.outstanding
        return send is not None and send.slot is slot and not send.is_lost

    def deadline(self, before: float = math.inf) -> float | None:
        """Say when :meth:`advance` or :meth:`next_output` must be called at the latest.

        Args:
            before: When one of them will be called anyway.

        Returns:
            The time; ``None`` if that is never, or not sooner than ``before``.

        """
        first, send, gate = before, self._sender.outstanding, self._trust.gate
        if self._exchange is not None:
            # Behind its end it is seen what the sockets want.
            if (due := self._exchange.ends_at()) < first:
                first = due
        else:
            if self._gap_until and self._gap_until < first:
                first = self._gap_until
            if self.sockets.in_use:
                first = self._turns.deadline(self.poll_interval, first)
        # While URCs are withheld, the result may be among them.
        if send is not None and send.deadline is not None and not self._trust.withheld:
            first = min(first, send.deadline)
        if (quiet := self._sender.suspicion_due) is not None and quiet < first:
            first = quiet
        if gate.due is not None and gate.due < first:
            first = gate.due
        return None if first == before else first

    # -- what the layers above ask of a socket -------------------------------------------

    def own(self, slot: Slot, owner: object) -> None:
        """Attach whatever the layer above keeps for a socket."""
        slot.owner = owner

    def write(self, slot: Slot, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes of a stream."""
        slot.outgoing += data
        self._turns.is_quiet = False

    def send_datagram(self, slot: Slot, data: bytes) -> None:
        """Queue a datagram."""
        slot.queue_datagram(data)
        self._turns.is_quiet = False

    def want_reads(self, slot: Slot, wants: bool, now: float) -> None:
        """Let the module's buffer be read for a socket, or not: there is room, or none."""
        slot.wants_read = wants
        self._turns.is_quiet = False
        if wants and not slot.last_read:
            slot.last_read = now

    def check_above(self, slot: Slot) -> None:
        """Go on after ``"buff full"``: what is above finds a hole by itself, as TLS does."""
        slot.is_checked = True

    def opened(self, slot: Slot) -> None:
        """Note that a socket is connected, though its ``+QIOPEN`` got lost (QISTATE says so)."""
        self._act(self._unsolicited.opened(slot))
        self._turns.is_quiet = False
        if slot.is_live and slot.has_buffer:
            slot.readable = True  # so did what was announced behind it

    def remote_closed(self, slot: Slot) -> None:
        """Note a ``"closed"`` that got lost: QISTATE says so, or the row is gone."""
        self._act(self._unsolicited.remote_closed(slot))

    def retry_send(self, slot: Slot, now: float) -> None:
        """Send again after a back-off: the module took nothing, and still has the socket."""
        slot.retry_at = now + slot.backoff

    def retry_read(self, slot: Slot, now: float) -> None:
        """Read again after a while what the module has refused: it still has the socket."""
        slot.last_read = now
        slot.read_at = now + refused_wait(slot)

    def switch_mode(self, slot: Slot, mode: AccessMode) -> None:
        """Have the access mode of a socket switched.

        :class:`ModeSwitched` or :class:`SwitchRefused` tells what came of it. To push mode, the
        module's buffer is read empty first, and AT+QISWTMD follows ``+QIRD: 0`` at once. It is
        read once more behind that, because a byte may have come between the two.
        """
        self._turns.is_quiet = False
        is_known = slot.held is None and not slot.is_mode_doubtful
        if slot.access_mode is mode and is_known and not self._is_switching(slot):
            slot.wanted_mode = None  # an earlier wish that was not written yet is withdrawn
            self.events.append(ModeSwitched(slot))
            self._act(end_of_closed(slot))  # which had waited for it
            return
        if slot.is_drained:
            self.events.append(SwitchRefused(slot, None, "the peer has closed the connection"))
            return
        slot.wanted_mode = mode
        if mode is AccessMode.PUSH:
            slot.readable, slot.found_empty = True, False

    def _is_switching(self, slot: Slot) -> bool:
        """Whether AT+QISWTMD of this socket is in flight, or is to be explained."""
        purposes = [self._exchange and self._exchange.purpose, self._explain]
        subjects = [p.subject if isinstance(p, Explain) else p for p in purposes]
        return any(isinstance(s, Switch) and s.slot is slot for s in subjects)

    def found_mode(self, slot: Slot, mode: AccessMode) -> None:
        """Note the access mode that QISTATE gives, where nobody knew it."""
        if slot.is_mode_doubtful:
            self._turns.is_quiet = slot.is_mode_doubtful = False
            self._unsolicited.set_access_mode(slot.connect_id, mode)
            if slot.wanted_mode is mode:  # somebody has asked for it again meanwhile
                slot.wanted_mode = None
                self.events.append(ModeSwitched(slot))
            if slot.wanted_mode is None:
                self._act(end_of_closed(slot))  # which had waited to be sure of the mode

    def abandon(self, slot: Slot) -> None:
        """Note that nobody wants a socket any more that is still being opened."""
        slot.is_abandoned = True

    def begin_close(self, slot: Slot) -> None:
        """Note that a socket is being closed; what was to be sent or read is dropped."""
        if slot.wanted_mode is not None:
            self.events.append(SwitchRefused(slot, None, "the connection was closed"))
        if slot.state is not SlotState.CLOSING:
            slot.move(SlotState.CLOSING)
        slot.clear()

    def drained(self, slot: Slot) -> None:
        """Note that a closed socket has nothing to read, though no ``+QIRD: 0`` can say so."""
        self._report(Drained(slot))

    def break_off(self, slot: Slot, error: ModemError) -> None:
        """End a connection for a reason that its own bytes don't show."""
        if slot.state is not SlotState.FREE and not slot.failed:
            self._report(Failed(slot, error))

    def adopt_orphan(self, connect_id: int) -> Slot | None:
        """Take an ID on which the module has a connection that nobody owns, to close it."""
        if self.sockets.get(connect_id) is not None:
            return None
        return self.sockets.adopt(connect_id, ServiceType.TCP_INCOMING, AccessMode.BUFFER)

    def release(self, slot: Slot, now: float, rest_s: float = 0.0) -> None:
        """Free a connect ID whose close the module has confirmed; see SocketTable.release()."""
        if self.sockets.get(slot.connect_id) is not slot:
            return
        self.sockets.release(slot, now, rest_s)
        self._framer.push_sockets.discard(slot.connect_id)
        self._drop_dead_send(now)

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Note how a socket's data arrive from now on."""
        self._unsolicited.set_access_mode(connect_id, mode)

    def apply(self, effect: Effect) -> None:
        """Take note of a setting that changes what later bytes mean."""
        if isinstance(effect, EchoLines):
            self.echo_expected, self.echo_seen = effect.on, False
        else:
            self._unsolicited.apply(effect)

    # -- in and out of step --------------------------------------------------------------

    def resync(self) -> list[Event]:
        """Give up what the framer has in progress: the line has been silent."""
        self._turns.is_quiet = False
        for frame in self._framer.resync():
            self._on_frame(frame, self._last_fed)
        self._trust.in_step()
        return self.take_events()

    def resume(self) -> None:
        """Let everything run: commands and answers are in step; lost URCs are made up for."""
        self.suspended, self._was_in_step = False, True
        self.data_due = 0
        self._turns.is_quiet = False
        self._trust.in_step()
        self._framer.read_due = 0  # nothing is asked: no header announces a payload
        self._unsolicited.suspect()

    def fail(self, error: Callable[[], ModemError], now: float) -> list[Event]:
        """Fail everything at once: the link is gone, or the module has restarted.

        Args:
            error: Makes one exception for each waiter.
            now: The time.

        """
        exchange, send = self._exchange, self._sender.outstanding
        for job in unfinished(exchange, self._explain, send, self.queue):
            self.events.append(Finished(job, Answer(failure=error())))
        for slot in self.sockets:
            self.events.append(Failed(slot, error()))
            self.sockets.release(slot, now)
        if send is not None and send.job is None and not send.is_lost:
            self.events.append(SendOver(send.slot))
        self.queue.clear()
        self._exchange = self._explain = None
        self._outbox.clear()
        self._sender.forget()
        self._framer.push_sockets.clear()
        self._trust.clear()
        self._framer.prompt_due = self._framer.hold_after_final = False
        return self.take_events()

    def write_raw(self, data: bytes) -> None:
        """Write bytes outside any command, to end a data mode that is stuck."""
        self._outbox += data

    def take_events(self) -> list[Event]:
        """Return what has happened since the last call, and forget it."""
        events = self.events
        self.events = []
        return events

    # -- bytes in ------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take received bytes; return what they mean."""
        self.statistics.bytes_received += len(data)
        framer, trust, gate = self._framer, self._trust, self._trust.gate
        if trust.in_doubt:
            trust.silent(now - self._last_fed)
        self._last_traffic = self._last_fed = now
        self._turns.is_quiet = False
        exchange, send = self._exchange, self._sender.outstanding
        if exchange is not None and now + ANSWER_MARGIN_S > exchange.due:
            exchange.progress(now)
        if send is not None and send.deadline is not None:
            send.progress(now, ANSWER_MARGIN_S)
        must_cut = self.sockets.listeners or (
            exchange is not None and type(exchange.purpose) is Read and not _HAS_DATA(data)
        )
        for piece in self._cut(data, now) if must_cut else (data,):
            may_hold = framer.hold_after_final
            for frame in framer.feed(piece):
                if frame.__class__ is Line and not gate.is_unchecked and trust.accused is None:
                    self._on_line(frame.text, now)
                else:
                    self._on_frame(frame, now)
            if may_hold and not framer.hold_after_final:
                # What was held came behind an answer that has changed a rule.
                for frame in framer.feed(b""):
                    self._on_frame(frame, now)
        if self._exchange is not None:
            self._exchange.cut_at = now if framer.is_cut else math.inf
        events = self.events
        self.events = []
        return events

    def _cut(self, data: bytes, now: float) -> Iterator[bytes]:
        """Cut a chunk behind each line behind which more than its frames must be known.

        Behind some an ID may belong to an incoming connection. It may have been that of a
        socket in push mode, and what comes behind in the same chunk is announced, not pushed.
        Behind ``+QIOPEN`` it is the other way round. Behind ``+QIRD: 0`` the bytes themselves
        are looked at. To cut elsewhere, as in a payload, changes nothing.
        """
        pattern = _OWNER_OR_EMPTY if self.sockets.listeners else _EMPTY
        start = data.find(b"\n") + 1 if self._framer.is_cut else 0
        if start:
            yield data[:start]
        while (match := pattern.search(data, start)) is not None:
            self._look_behind_empty(data[start : match.end()], now)
            yield data[start : match.end()]
            start = match.end()
        self._look_behind_empty(data[start:], now)
        yield data[start:]

    def _look_behind_empty(self, data: bytes, now: float) -> None:
        """Distrust ``+QIRD: 0`` if what stands behind it is received data.

        It may be ``+QIRD: 1,0`` without its ``1,``. Data that are no more than line ends or
        noise make no frame.
        """
        exchange = self._exchange
        if exchange is None or not exchange.lines or not self._reads():
            return
        blanks = exchange.blanks_behind(data)
        if blanks is not None and self._trust.mistrusts_empty(blanks):
            self.statistics.damages += 1
            self.events.append(Damaged(NO_EMPTY_END, blanks))
            self._on_loss(Loss(NO_EMPTY_END, spares_pushes=True), now)

    def advance(self, now: float) -> list[Event]:
        """Let time pass; return what it means."""
        self._turns.is_quiet = False
        exchange, send = self._exchange, self._sender.outstanding
        if exchange is not None and now >= self.answer_due:
            self._expire(exchange, now)
        elif send is not None and send.deadline is not None and now >= send.deadline:
            self._expire_send(send, now)
        self._settle_push(*self._trust.gate.expire(now), now)
        if self._sender.end_burst(now, sends_wait=self._turns.sends_wait(now)):
            self._unsolicited.suspect()
        self._sender.heal(now)
        self._turns.wake(now, self.poll_interval)
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
        if self._trust.accused is not None and (damage := self._trust.acquit(frame)) is not None:
            self._on_damage(damage, now)
        if isinstance(frame, Line):
            self._on_line(frame.text, now)
        elif isinstance(frame, Payload):
            self._on_payload(frame, now)
        elif isinstance(frame, Damage):
            if not self._trust.accuse(frame):
                self._on_damage(frame, now)
        elif self._exchange is not None and self._exchange.prompt_is_due:
            self._on_prompt(self._exchange, now)

    def _on_prompt(self, exchange: Exchange, now: float) -> None:
        if not self.suspended:
            self._stopwatch.answered(exchange, now, self._baudrate)
        self._stopwatch.prompted(now)
        self._write_payload(exchange, now)

    def _write_payload(self, exchange: Exchange, now: float) -> None:
        """Write the data of a send; the result comes once they have crossed the line."""
        data = exchange.on_prompt()
        if self._sender.outstanding is not None:
            self._sender.outstanding.step(_PROMPT)
        self._outbox += data
        exchange.extend(now + RESULT_LIMIT_S + wire_time(len(data), self._baudrate))

    def _on_line(self, text: bytes, now: float) -> None:
        exchange, trust = self._exchange, self._trust
        if exchange is not None:
            unsure = trust.in_doubt
            if self._framer.push_sockets and not unsure:
                unsure = is_header_like(text)
            step = exchange.on_line(text, unsure)
            if step is not NOT_MINE:
                special = trust.in_doubt or trust.awaits_late_ok or exchange.is_doubtful
                if step is DONE and not (special or (exchange.prompted and self._outbox)):
                    self._end(exchange, now, lost=False)
                else:
                    self._on_answer_line(exchange, text, step, now)
                return
        elif is_final(text):
            if trust.is_late_ok(text, now):
                trust.take_late_ok()
            elif not trust.in_doubt:
                self.stray_answers += 1
                self._act(self._endings.stray_result(text, self._explain))
            return
        if (urc := parse_urc(text)) is not None:
            self._on_urc(urc, now)
        else:
            self._on_unknown(text, now)

    def _on_answer_line(self, exchange: Exchange, text: bytes, step: Step, now: float) -> None:
        trust = self._trust
        if trust.is_late_ok(text, now) and self._asks(exchange, step):
            trust.take_late_ok()
            self._framer.prompt_due = step is LOST  # which the OK has ended
            exchange.final = None
        elif step is DONE and self._may_be_data(exchange):
            exchange.is_doubtful = True
            exchange.await_last(now + _DOUBT_S, _DOUBT_SLACK_S)
        elif step is not TAKEN:
            unwritten = exchange.prompted and bool(self._outbox)
            self._end(exchange, now, lost=step is LOST or unwritten)
        else:
            exchange.part(now)
            if exchange.echoed and not self.echo_expected:
                self.echo_seen = self.echo_expected = True
                self._lose_step("the module echoes again, as it does after a restart")

    def _may_be_data(self, exchange: Exchange) -> bool:
        """Whether a final result may be received data, so that the last one counts."""
        return exchange.is_doubtful or (self._trust.in_doubt and exchange.damage is None)

    def _reads(self) -> bool:
        """Whether a read of ours is in flight, which shows by itself whether it comes whole."""
        return self._exchange is not None and isinstance(self._exchange.purpose, Read)

    def _asks(self, exchange: Exchange, step: Step) -> bool:
        """Whether an ``OK`` would come too soon for what is in flight."""
        asks = step is LOST or isinstance(exchange.purpose, _ASKING)
        return asks and not exchange.has_data

    def _suspect_push(self, now: float) -> None:
        """Note that what comes next may be data: nobody knows yet which sockets are pushing."""
        self._trust.pushed_at = now
        if self._exchange is not None:
            self._exchange.is_doubtful = True

    def _on_unknown(self, text: bytes, now: float) -> None:
        if self.suspended and text.startswith(_PUSHED):
            self._suspect_push(now)
        self.statistics.unknown_lines += 1
        exchange, in_doubt = self._exchange, self._trust.in_doubt
        reading = exchange is not None and exchange.meaning.is_read and exchange.payload is None
        pushing = self._unsolicited.is_pushing
        loss = judge(
            text,
            awaited=exchange is not None,
            reading=reading,
            emptied=exchange is not None and self._reads() and bool(exchange.lines),
            pushing=pushing,
        )
        if in_doubt and loss is not None:
            loss = self._blame_in_doubt(text, loss)
        elif loss is None or not (reading or pushing):  # else it may be a part of somebody's data
            self.events.append(UnknownLine(text))
        if loss is None:
            return
        if exchange is not None and isinstance(exchange.purpose, Switch):
            # The OK may have got lost, and what seemed announced be pushed already.
            exchange.is_doubtful |= exchange.purpose.slot.readable
        if exchange is not None and not loss.spares_read:
            exchange.torn_line = text if exchange.torn_line is None else b""
            exchange.part(now)
        self._on_loss(loss, now)

    def _blame_in_doubt(self, text: bytes, loss: Loss) -> Loss:
        """Say whose line this is behind lost bytes, as far as it can be told.

        Behind a damaged header of a read these are its data, unless they hold the header of
        pushed data. Behind another loss they are what was pushed, or the header of another's.
        """
        exchange = self._exchange
        if exchange is not None and exchange.damage is not None:
            return loss._replace(spares_read=False, spares_pushes=not is_header_like(text))
        is_of_read = text.startswith(b"+Q") or (exchange is not None and bool(exchange.lines))
        return loss._replace(spares_read=not is_of_read, spares_pushes=False)

    def _on_damage(self, damage: Damage, now: float) -> None:
        self.statistics.damages += 1
        self.events.append(Damaged(damage.reason, damage.data))
        if damage.data and not damage.data.strip(NOISE):
            return
        loss = blame(damage, self._framer.push_sockets, self._trust.gate.last_push)
        if self._exchange is not None and not loss.spares_read:
            self._exchange.torn_line = b""  # it was more than a torn line
        self._on_loss(loss, now)

    def _on_loss(self, loss: Loss, now: float) -> None:
        """Act on lost bytes: those whom they may concern end, and lines are doubted."""
        exchange = self._exchange
        hits_read = not loss.spares_read and self._reads()
        if hits_read and exchange is not None:
            exchange.damage = exchange.damage or loss.reason
        hits_pushes = not loss.spares_pushes and self._unsolicited.is_pushing
        if hits_pushes:
            self._act(self._unsolicited.break_pushes(loss))
        if (hits_read or hits_pushes) and self.sockets.in_use:
            self._trust.doubt()  # at the start there is nobody's data to protect
        if hits_pushes:
            self._lose_step(loss.reason)
        self._unsolicited.suspect()

    def _on_payload(self, payload: Payload, now: float) -> None:
        if payload.connect_id is not None:
            if self._trust.in_doubt:  # it may be a part of what another peer has sent
                loss = Loss("data came behind lost bytes", True, connect_id=payload.connect_id)
                self._act(self._unsolicited.break_pushes(loss))
            else:
                self._trust.gate.hold(payload, now, self._answer_s)
        elif self._exchange is not None and self._exchange.meaning.is_read:
            self._exchange.on_payload(payload, self._framer.negative_remainings)
            self._exchange.part(now)
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
        if isinstance(urc, SleepEvent) and urc.text.upper().startswith("ENTER"):
            self._last_traffic = -math.inf
        exchange = self._exchange
        banner = urc.text if isinstance(urc, _BANNERS) else None
        emptied = exchange is not None and self._reads() and bool(exchange.lines)
        if exchange is not None and (exchange.damage is not None or (banner and emptied)):
            if banner is not None:  # true or not, this answer won't end any more
                self._expire(exchange, now, f"{banner!r} came instead of its end")
        elif self._trust.in_doubt:
            return
        elif banner is not None:
            self._restart(banner, now)
            self.events.append(UrcSeen(urc))
        elif exchange is None or not self._reads() or exchange.payload is not None:
            self._obey(urc, now)
        else:
            self._unsolicited.end_pushes(urc)
            self._trust.withhold(urc)

    def _release_urcs(self, now: float) -> None:
        for urc in self._trust.release():
            self._obey(urc, now)

    def _obey(self, urc: Urc, now: float) -> None:
        if isinstance(urc, _RESULTS):
            self._on_send_result(sent=isinstance(urc, SendOk), now=now)
        elif self._unsolicited.is_doubled(urc):
            return
        else:
            if self.suspended and isinstance(urc, Received):
                self._suspect_push(now)
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
        """Refuse jobs that wait for a socket whose ID went to an incoming connection.

        Written, they would concern the newcomer. The module would refuse them alike.
        """
        for job in self.queue:
            if job.slot is not None and job.slot.is_usurped:
                self.queue.withdraw(job)
                self.events.append(Finished(job, Answer(err=Err.IDENTITY_IN_USE)))

    def _restart(self, banner: str, now: float) -> None:
        self.boots += 1
        self.statistics.resets += self._was_in_step  # else it was just switched on
        self.suspended = self.echo_expected = True
        self.data_due = 0
        events = self.fail(lambda: ModuleReset(f"the module restarted ({banner})"), now)
        self.events = [*events, Restarted(banner)]

    def _on_send_result(self, *, sent: bool, now: float) -> None:
        send, exchange = self._sender.outstanding, self._exchange
        if send is None:
            return  # late or doubled: what it belonged to has been settled
        if send.is_lost:
            self._sender.expire_lost()
            return
        if not send.is_waiting:
            if exchange is None or not send.is_of(exchange.purpose):
                return  # it was refused, and this is of the send before
            was_settled = send.state is SendState.SETTLED
            if send.step(_RESULT):
                send.result = sent
                self._await_ok(send, exchange, now, is_second=was_settled)
            return
        if send.result is None:
            self._trust.ok_habits[send.form] = _FIRST
        send.step(_RESULT)
        self._act(self._endings.send_result(sent=sent, now=now))

    def _await_ok(self, send: Send, exchange: Exchange, now: float, *, is_second: bool) -> None:
        """Decide how long ``OK`` may stay away behind a result that came before it.

        A result may be a doubled one of the send before, so it counts for this one only where
        this module prints it so.
        """
        habit, crossed = self._trust.ok_habits.get(send.form), self._crossed_at(send)
        send.is_early = not is_second and now < crossed
        if is_second:
            exchange.extend(now, GRACE_S)
        elif habit is _FIRST:
            pass  # its OK has the time that every answer has
        elif send.is_early:
            exchange.extend(crossed + EARLY_S, GRACE_S)
        else:
            grace = 0.0 if habit is OkHabit.OMITTED else GRACE_S
            exchange.extend(now + grace, GRACE_S)

    def _crossed_at(self, send: Send) -> float:
        """Return the time before which the send can't have crossed the line."""
        if send.form is SendForm.FIXED:
            size = len(send.data)
        else:
            size = len(send.job.command.encode() if send.job else send.command().encode())
        return send.written_at + self._stopwatch.crossing_s(size, self.baudrate)

    # -- the end of an exchange ----------------------------------------------------------

    def _end(self, exchange: Exchange, now: float, *, lost: bool) -> None:
        self._exchange = None
        if self._gap_s or not exchange.is_plain:
            self._leave(exchange, now)
        purpose, meaning, took = exchange.purpose, exchange.meaning, now - exchange.started
        succeeded = exchange.final == b"OK"
        if took * self._stopwatch.fastest < exchange.size_bytes:
            self._stopwatch.crossed(exchange.size_bytes, took)
        if not succeeded:
            self.statistics.errors += 1
            if isinstance(meaning.effect, OpenSocket):
                self._take_back_open(meaning.effect, framed=exchange.is_framed_at_once)
        else:
            if exchange.traffic_before is not None and not self.suspended:  # else others delay it
                self._stopwatch.answered(exchange, now, self._baudrate)
            if meaning is not PLAIN:
                self._heed(exchange, meaning, lost=lost)
        if (
            succeeded
            and purpose.__class__ is Job  # type() is a call
            and self._sender.outstanding is None
            and not (lost or exchange.turned_away)
        ):
            # Nearly always.
            plain = not exchange.lines and exchange.payload is None
            self.events.append(_new(Finished, (purpose, OK)) if plain else done(purpose, exchange))
        else:
            shown = self.length_shown
            self._act(self._endings.answered(exchange, now, lost=lost, length_shown=shown))
        if exchange.damage is not None:
            self._trust.doubt()
        elif self._trust.withheld:
            self._release_urcs(now)

    def _heed(self, exchange: Exchange, meaning: Meaning, *, lost: bool) -> None:
        """Note what a command that succeeded has done: a send accepted, or a setting changed."""
        if meaning.is_send:
            if (send := self._sender.outstanding) is not None and not lost:
                self._accept(send)
            return
        self.statistics.nvram_writes += meaning.writes_nvram
        if (effect := meaning.effect) is None:
            return
        self.apply(effect)
        if exchange.is_doubtful and isinstance(effect, OpenSocket):
            # Its data began to be pushed while nothing could be believed.
            loss = Loss("its first data came behind lost bytes", True, connect_id=effect.connect_id)
            self._act(self._unsolicited.break_pushes(loss))

    def _take_back_open(self, effect: OpenSocket, *, framed: bool) -> None:
        """Take back what was noted when AT+QIOPEN was written, because of its ``ERROR``."""
        slot = self.sockets.get(effect.connect_id)
        if slot is not None and slot.state is SlotState.OPENING:
            slot.is_asked = False
        if framed:
            self._unsolicited.frame_pushes(effect.connect_id, on=False)

    def _accept(self, send: Send) -> None:
        """Note the ``OK`` of a send."""
        if send.result is not None:
            if send.is_early or self._trust.ok_habits.get(send.form) is _FIRST:
                send.step(SendStep.DISTRUST)  # it is of another
                return
            self._trust.ok_habits[send.form] = OkHabit.BEHIND
        send.step(_ACCEPT)

    def _expire(self, exchange: Exchange, now: float, reason: str = "") -> None:
        if exchange.is_doubtful and exchange.final is not None:
            self._end(exchange, now, lost=False)
            return
        send = self._sender.outstanding
        if exchange.prompt_is_due and not reason and self._write_unprompted(exchange, now):
            return
        self._exchange = None
        self._leave(exchange, now)
        if send is not None and send.result is not None and send.is_of(exchange.purpose):
            self._trust.omit_ok(send.form, now)
            send.step(SendStep.EXPIRE)
            self._act(self._endings.send_result(sent=send.result, now=now))
            return
        self.statistics.timeouts += 1
        self.is_format_doubtful |= isinstance(exchange.meaning.effect, ReceiveHex | ShowLength)
        if exchange.prompt_is_due:
            self.data_due = len(exchange.outgoing)
        self._act(self._endings.expired(exchange, now, reason))
        # The answer may stand inside what was pushed meanwhile.
        if not (isinstance(exchange.purpose, Job) and exchange.purpose.lane is _RECOVERY):
            loss = Loss("an answer got lost while they came", spares_read=True)
            self._act(self._unsolicited.break_pushes(loss, since=exchange.started))
        if exchange.damage is not None:
            self._trust.doubt()
        else:
            self._release_urcs(now)
        for frame in self._framer.resync():
            self._on_frame(frame, now)

    def _write_unprompted(self, exchange: Exchange, now: float) -> bool:
        """Write the data of a send whose prompt is overdue; see :class:`~.sending.Sender`.

        The prompt has most likely got lost, and the module waits. A module that has missed the
        command reads the data as command lines, which must not look like commands.
        """
        if is_command_like(exchange.outgoing):
            return False
        self._write_payload(exchange, now)
        return True

    def _expire_send(self, send: Send, now: float) -> None:
        if self._trust.withheld:
            return  # its result may be among them, and the read in flight has a limit of its own
        if send.is_lost:
            self._sender.expire_lost()
            return
        if send.result is not None:  # it was this send's after all, though it came before OK
            self._trust.ok_habits[send.form] = OkHabit.BEHIND
            send.step(SendStep.RESULT)
            self._act(self._endings.send_result(sent=send.result, now=now))
            return
        self._act(self._endings.lose_send(send, "SEND OK did not come in time", now))
        loss = Loss("SEND OK got lost while they came", spares_read=True)
        self._act(self._unsolicited.break_pushes(loss, since=send.written_at))

    def _leave(self, exchange: Exchange, now: float) -> None:
        """Take back what :meth:`_arm` has told the framer, and begin the gap if there is one."""
        if self._gap_s:
            self._gap_until = now + self._gap_s
        if exchange.prompted:
            self._outbox.clear()  # a module that awaits a command must not get data
        framer = self._framer
        framer.prompt_due = framer.hold_after_final = False
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
            event.slot.failed = True  # it never goes on with a hole (rule 6)
        elif isinstance(event, Drained):
            event.slot.is_drained = True
        self.statistics.datagrams_lost += isinstance(event, DatagramLost)
        self.events.append(event)

    def _lose_step(self, reason: str, *, is_sleep: bool = False) -> None:
        if not self.suspended:
            self.suspended = True
            self.statistics.recoveries += 1
            self.events.append(OutOfStep(reason, is_sleep))

    # -- bytes out -----------------------------------------------------------------------

    def submit(self, job: Job, now: float) -> bytes | None:
        """Take a job; return its line, to be written now, if nobody else wants the line.

        Otherwise it is ``None``: the job is queued, and :meth:`next_output` has its turn.
        """
        if (
            self._exchange is None
            and not self.suspended
            and job.lane is not _RECOVERY
            and now >= self._gap_until
            and self._explain is None
            and now - self._last_traffic <= self.idle_limit
            and not self._outbox
            and self._turns.pass_by(job.lane)
        ):
            line = self._begin_job(job, now)
            self.statistics.bytes_sent += len(line)
            self._last_traffic = now
            return line
        self.queue.add(job)
        return None

    def next_output(self, now: float) -> bytes | None:
        """Return what to write now, ``None`` if nothing; call until it gives ``None``."""
        data: bytes | None
        if self._outbox:
            data = bytes(self._outbox)
            self._outbox.clear()
            self._stopwatch.written(now)
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
        if now < self._gap_until:
            return None
        if self._explain is not None:
            explain, self._explain = self._explain, None
            return self._begin(Qigeterror(), PLAIN, explain, now)
        if self.suspended:
            job = self.queue.next(_RECOVERY)
            return None if job is None else self._begin_job(self.queue.take(job.lane), now)
        turn = self._turns.next(now)
        if turn is None:
            return self._begin(At(), PLAIN, Probe(), now) if self._trust.gate.wants_frame else None
        if now - self._last_traffic > self.idle_limit:
            self._lose_step("the module may be asleep", is_sleep=True)
            return None
        return self._begin_turn(turn, now)

    def _begin_turn(self, turn: Turn, now: float) -> bytes:
        if turn.lane is not None:
            sending = self._sender.outstanding is not None
            return self._begin_job(self.queue.take(turn.lane, sending=sending), now)
        slot = self.sockets.get(turn.connect_id)
        assert slot is not None
        if turn.kind is TurnKind.READ:
            self.statistics.reads += 1
            slot.readable, slot.last_read = False, now  # what comes from now on sets it again
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
        # What the note gives more time may wait for the network.
        is_quick, rest_s = usual <= MAX_RESPONSE_TIME_S, math.inf
        if limit is None:
            # Out of step, answers get lost, and asking again costs nothing.
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
            exchange.is_doubtful = now - self._trust.pushed_at < _DOUBT_S
        elif self._framer.read_due and not isinstance(purpose, Explain):
            self._framer.read_due = 0  # until a read sets it: no header announces a payload
        if not exchange.is_plain:
            self._arm(exchange)
        self.statistics.commands += 1
        return line

    def _arm(self, exchange: Exchange) -> None:
        """Tell the framer what the answer may hold, and where a rule changes."""
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
        # The prompt may come right behind an OK of the send before.
        after_late_ok = has_prompt and self._trust.awaits_late_ok
        framer.hold_after_final = effect is not None or after_late_ok

    def _begin_open(self, effect: OpenSocket) -> bool:
        """Note that AT+QIOPEN is written; return whether its data are framed from now on.

        A peer may speak as soon as it is connected, and the ``OK`` may get lost.
        """
        slot = self.sockets.get(effect.connect_id)
        if slot is None or slot.state is not SlotState.OPENING:
            return False  # a caller's own command: if its ID is in use, the module refuses it
        slot.is_asked = True
        if self.sockets.listeners:
            return False  # an incoming connection whose URC got lost may have the ID
        self._unsolicited.apply(effect)
        return True
