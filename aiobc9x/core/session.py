"""The session with one module: bytes in, events and bytes out.

Layer: core. Does no I/O; time comes in as ``now``.

One command is in flight at a time (rule 4). Between its final result and a deferred
one (``SEND OK``) other commands may run. A session starts suspended: only jobs of
the recovery lane run until :meth:`Session.resume`, as after every loss of step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from aiobc9x.core import effects
from aiobc9x.core.doubt import Doubt, is_torn
from aiobc9x.core.endings import Consequence, Endings, Explain, Purpose, unfinished
from aiobc9x.core.events import (
    Answer,
    Damaged,
    DatagramLost,
    Event,
    Failed,
    Finished,
    Lane,
    OutOfStep,
    Restarted,
    UnknownLine,
    UrcSeen,
)
from aiobc9x.core.exchange import (
    LOST,
    NOT_MINE,
    TAKEN,
    Exchange,
    Step,
    answer_time,
    is_final,
    wire_time,
)
from aiobc9x.core.forms import ANY_FORM, LineTiming, SendForm
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.pushes import PushGate
from aiobc9x.core.queue import JobQueue
from aiobc9x.core.receiving import Read
from aiobc9x.core.routing import Routing
from aiobc9x.core.scheduling import Scheduler
from aiobc9x.core.sending import RESULT_LIMIT_S, Sender
from aiobc9x.core.sockets import Slot, SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.stopwatch import Stopwatch
from aiobc9x.core.turns import Turn, TurnKind
from aiobc9x.errors import ModemError, ModuleReset
from aiobc9x.spec import READ_MAX_BYTES, AccessMode
from aiobc9x.wire.commands import Command, Qigeterror, Qird
from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload
from aiobc9x.wire.urcs import PowerDown, Restart, SendFail, SendOk, SleepEvent, Urc, parse_urc

_GRACE_S: Final = 0.3
"""How long ``OK`` may stay away when ``SEND OK`` came first; relatives omit it."""


class Session:
    """Turns bytes into events, and jobs, reads and sends into bytes.

    Attributes:
        sockets: The six connect IDs.
        queue: Commands that wait; a :class:`Finished` event tells what came of each.
        statistics: Counters.
        baudrate: Bits per second, for deadlines.
        poll_interval: Seconds without a read before an open socket is read to find lost
            URCs (rule 5); 0 switches that off.
        suspended: Only the recovery lane runs.
        echo_expected: Echoed lines are normal; after ATE0 one shows a restart.
        echo_seen: One has shown that.
        idle_limit: After so many seconds of silence the step counts as lost: it may sleep.
        stray_answers: Final results that nobody awaited; it only rises.

    """

    def __init__(
        self,
        profile: ModuleProfile | None = None,
        *,
        baudrate: int = 115200,
        poll_interval: float = 10.0,
        send_forms: Collection[SendForm] = ANY_FORM,
    ) -> None:
        self.sockets = SocketTable()
        self.statistics = Statistics()
        self.baudrate = baudrate
        self.poll_interval = poll_interval
        self.suspended = True
        self.echo_expected = True
        self.echo_seen = False
        self.stray_answers = 0
        self.idle_limit = math.inf
        self._last_traffic = 0.0
        self._framer = Framer()
        self._pushes = PushGate(self._framer)
        self._routing = Routing(self.sockets, self._framer, self.statistics)
        self._sender = Sender(profile or ModuleProfile(), send_forms)
        self._endings = Endings(self._sender, self.statistics)
        self.queue = JobQueue()
        self._exchange: Exchange | None = None
        self._explain: Explain | None = None
        self._ok_is_omitted = False
        self._scheduler = Scheduler(self.sockets, self.queue, self._sender)
        self._gap_until = 0.0
        self._outbox = bytearray()
        self._doubt = Doubt()
        self._stopwatch = Stopwatch(self.statistics)
        self._events: list[Event] = []

    @property
    def profile(self) -> ModuleProfile:
        """What this module is known to do."""
        return self._sender.profile

    @profile.setter
    def profile(self, profile: ModuleProfile) -> None:
        self._sender.use(profile)

    @property
    def line(self) -> LineTiming:
        """What the line and its two ends have been measured to take."""
        return self._stopwatch.line(self.baudrate)

    @property
    def length_shown(self) -> bool:
        """Whether headers carry the optional lengths (§2.2.11)."""
        return self._framer.length_shown

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take received bytes; return what they mean."""
        self.statistics.bytes_received += len(data)
        self._last_traffic = now
        if self._exchange is not None:
            self._exchange.progress(now)
        held = True
        while held:  # a rule that hangs on an answer changes exactly there
            held = self._framer.hold_after_final
            for frame in self._framer.feed(data):
                self._on_frame(frame, now)
            held = held and not self._framer.hold_after_final
            data = b""
        return self.take_events()

    def advance(self, now: float) -> list[Event]:
        """Let time pass; return what it means."""
        exchange = self._exchange
        if exchange is not None and now >= exchange.deadline:
            self._expire(exchange, now)
        send = self._sender.outstanding
        if send is not None and send.deadline is not None and now >= send.deadline:
            self._act(self._endings.lose_send(send, "SEND OK did not come in time"))
        self._settle_push(*self._pushes.expire(now))
        if self._sender.clear_suspicion(now, sends_wait=self._scheduler.sends_wait(now)):
            self._routing.suspect()
        self._scheduler.wake(now, self.poll_interval)
        if now >= self._gap_until:
            self._gap_until = 0.0
        return self.take_events()

    def deadline(self) -> float | None:
        """When :meth:`advance` or :meth:`next_output` must be called at the latest."""
        first = self._scheduler.deadline(self.poll_interval)
        end = self._gap_until if self._exchange is None else self._exchange.deadline
        send = self._sender.outstanding
        result = None if send is None else send.deadline
        for due in (end, result, self._sender.suspicion_due, self._pushes.due):
            if due and due < first:
                first = due
        return None if first == math.inf else first

    def next_output(self, now: float) -> bytes | None:
        """Return what to write now, ``None`` if nothing; call until it gives ``None``."""
        data: bytes | None
        if self._outbox:
            data = bytes(self._outbox)
            self._outbox.clear()
            self._stopwatch.written(now)
        elif self._exchange is not None or (data := self._begin_next(now)) is None:
            return None
        self.statistics.bytes_sent += len(data)
        self._last_traffic = now
        return data

    def write_raw(self, data: bytes) -> None:
        """Write bytes outside any command, to end a data mode that is stuck."""
        self._outbox += data

    def resync(self) -> list[Event]:
        """Give up what the framer has in progress: the line has been silent."""
        self._doubt.clear()
        for frame in self._framer.resync():
            self._on_frame(frame, 0.0)
        return self.take_events()

    def resume(self) -> None:
        """Commands and answers are in step: everything may run; lost URCs are made up for."""
        self.suspended = False
        self._doubt.clear()
        self._routing.suspect()

    def set_access_mode(self, connect_id: int, mode: AccessMode) -> None:
        """Note how a socket's data arrive from now on."""
        self._routing.set_access_mode(connect_id, mode)

    def is_sending(self, slot: Slot) -> bool:
        """Whether the result of a send of this socket is still to come."""
        send = self._sender.outstanding
        return send is not None and send.slot is slot

    def apply(self, effect: effects.Effect) -> None:
        """Take note of a setting that changes what later bytes mean."""
        if isinstance(effect, effects.EchoLines):
            self.echo_expected, self.echo_seen = effect.on, False
        else:
            self._routing.apply(effect)

    def release(self, slot: Slot, now: float) -> None:
        """Free a connect ID whose close the module has confirmed."""
        if self.sockets.get(slot.connect_id) is not slot:
            return
        self.sockets.release(slot, now)
        self._framer.push_sockets.discard(slot.connect_id)
        self._sender.drop_dead(now)

    def fail(self, error: Callable[[], ModemError], now: float) -> list[Event]:
        """Fail everything at once: the link is gone, or the module has restarted.

        Args:
            error: Makes one exception for each waiter.
            now: The time.

        """
        exchange, send = self._exchange, self._sender.outstanding
        for job in unfinished(exchange, self._explain, send, self.queue):
            self._events.append(Finished(job, Answer(failure=error())))
        for slot in self.sockets:
            self._events.append(Failed(slot, error()))
            self.sockets.release(slot, now)
        self.queue.clear()
        self._exchange = self._explain = None
        self._outbox.clear()
        self._doubt.clear()
        self._sender.forget()
        self._framer.push_sockets.clear()
        self._pushes.clear()
        self._rest_framer()
        return self.take_events()

    def take_events(self) -> list[Event]:
        """Return what has happened since the last call, which :meth:`next_output` can't."""
        events = self._events
        self._events = []
        return events

    def _begin_next(self, now: float) -> bytes | None:
        if now < self._gap_until:
            return None
        if self._explain is not None:
            explain, self._explain = self._explain, None
            return self._begin(Qigeterror(), explain, now, effects.PLAIN)
        if self.suspended:
            job = self.queue.next(Lane.RECOVERY)
            return None if job is None else self._begin_job(job.lane, now)
        turn = self._scheduler.next(now)
        if turn is not None and now - self._last_traffic > self.idle_limit:
            self._lose_step("the module may be asleep", is_sleep=True)
            return None
        return None if turn is None else self._begin_turn(turn, now)

    def _begin_turn(self, turn: Turn, now: float) -> bytes:
        if turn.lane is not None:
            return self._begin_job(turn.lane, now)
        slot = self.sockets.get(turn.connect_id)
        assert slot is not None
        if turn.kind is TurnKind.READ:
            self.statistics.reads += 1
            slot.readable, slot.last_read = False, now  # what comes from now on sets it again
            read = Read(slot, READ_MAX_BYTES)
            return self._begin(Qird(slot.connect_id, read.length), read, now, effects.READ)
        send = self._sender.begin(slot, self.line)
        command = send.command()
        outgoing = send.data if command.needs_prompt else None
        return self._begin(command, send, now, effects.SEND, outgoing=outgoing)

    def _begin_job(self, lane: Lane, now: float) -> bytes:
        job = self.queue.take(lane, sending=self._sender.outstanding is not None)
        meaning = effects.meaning_of(job.command.encode())
        if meaning.is_send:
            self._sender.begin_job(job)
        return self._begin(job.command, job, now, meaning, job.limit, job.data)

    def _begin(
        self,
        command: Command[Any],
        purpose: Purpose,
        now: float,
        meaning: effects.Meaning,
        limit: float | None = None,
        outgoing: bytes | None = None,
    ) -> bytes:
        line = command.encode()
        length = purpose.length if isinstance(purpose, Read) else READ_MAX_BYTES
        limit = answer_time(command, limit, 2 * length, self.baudrate)
        framer = self._framer
        counts = framer.negative_remainings, self.statistics.traffic_bytes
        self._exchange = Exchange(command, purpose, now, limit, outgoing, *counts, meaning)
        framer.prompt_due = outgoing is not None
        framer.read_due = length
        framer.hold_after_final = meaning.effect is not None
        self.statistics.commands += 1
        return line

    def _rest_framer(self) -> None:
        self._framer.prompt_due = self._framer.hold_after_final = False
        self._framer.read_due = READ_MAX_BYTES

    def _on_frame(self, frame: Frame, now: float) -> None:
        if self._pushes.is_unchecked:
            self._settle_push(*self._pushes.check(frame))
        if isinstance(frame, Line):
            self._on_line(frame.text, now)
        elif isinstance(frame, Payload):
            self._on_payload(frame, now)
        elif isinstance(frame, Damage):
            self._on_damage(frame)
        elif self._exchange is not None:
            self._measure(self._exchange, now)
            self._stopwatch.prompted(now)
            data = self._exchange.on_prompt()
            self._outbox += data
            self._exchange.extend(now + RESULT_LIMIT_S + wire_time(len(data), self.baudrate))

    def _measure(self, exchange: Exchange, now: float) -> None:
        if not self.suspended:  # a module that is being waited for is late for other reasons
            self._stopwatch.answered(exchange, now, self.baudrate)

    def _on_line(self, text: bytes, now: float) -> None:
        exchange = self._exchange
        if exchange is not None and (step := exchange.on_line(text)) is not NOT_MINE:
            self._on_answer(exchange, step, now)
        elif exchange is None and is_final(text):
            self.stray_answers += 1
            self._act(self._endings.stray_result(text, self._explain))
        elif (urc := parse_urc(text)) is not None:
            self._on_urc(urc, now)
        else:
            self._on_unknown(text)

    def _on_answer(self, exchange: Exchange, step: Step, now: float) -> None:
        if step is not TAKEN:
            unwritten = exchange.prompted and bool(self._outbox)
            self._end(exchange, now, lost=step is LOST or unwritten)
            return
        if exchange.has_data:
            self._release_urcs(exchange, now)
        if exchange.echoed and not self.echo_expected:
            self.echo_seen = self.echo_expected = True
            self._lose_step("the module echoes again, as it does after a restart")

    def _on_unknown(self, text: bytes) -> None:
        self.statistics.unknown_lines += 1
        self._events.append(UnknownLine(text))
        if is_torn(text):
            self._distrust(f"an unreadable line: {text[:40]!r}")

    def _on_damage(self, damage: Damage) -> None:
        self.statistics.damages += 1
        self._events.append(Damaged(damage.reason, damage.data))
        self._distrust(damage.reason)

    def _distrust(self, reason: str) -> None:
        """Bytes were lost: whose, only the exchange in flight and the push sockets may know."""
        if self._exchange is not None and isinstance(self._exchange.purpose, Read):
            self._exchange.damage = self._exchange.damage or reason
        self._act(self._routing.break_pushes(reason))
        self._routing.suspect()

    def _on_payload(self, payload: Payload, now: float) -> None:
        if payload.connect_id is not None:
            self._pushes.hold(payload, now)
        elif self._exchange is not None and self._exchange.meaning.is_read:
            self._exchange.on_payload(payload, self._framer.negative_remainings)
            self._release_urcs(self._exchange, now)
        else:
            self._act(self._endings.stray_payload())

    def _settle_push(self, payload: Payload | None, reason: str | None) -> None:
        if payload is not None:
            self.statistics.payload_bytes_received += len(payload.data)
            self._act(self._routing.on_push(payload))
        if reason is not None:
            self._on_damage(Damage(reason, b""))

    def _on_urc(self, urc: Urc, now: float) -> None:
        self.statistics.urcs += 1
        if isinstance(urc, SleepEvent) and urc.text.upper().startswith("ENTER"):
            self._last_traffic = -math.inf
        exchange = self._exchange
        banner = urc.text if isinstance(urc, Restart | PowerDown) else None
        if self._doubt.persists:
            return
        if exchange is not None and exchange.damage is not None:
            if banner is not None:  # true or not, this answer won't end any more
                self._expire(exchange, now, f"{banner!r} came instead of its end")
        elif banner is not None:
            self._restart(banner, now)
            self._events.append(UrcSeen(urc))
        else:
            self._doubt.withhold(urc)
            if exchange is None or not isinstance(exchange.purpose, Read) or exchange.has_data:
                self._release_urcs(exchange, now)

    def _release_urcs(self, exchange: Exchange | None, now: float) -> None:
        damaged = exchange is not None and exchange.damage is not None
        for urc in self._doubt.release(damaged=damaged):
            if isinstance(urc, SendOk | SendFail):
                self._on_send_result(sent=isinstance(urc, SendOk), now=now)
            else:
                self._act(self._routing.on_urc(urc, self.profile))
                self._sender.drop_dead(now)
            self._events.append(UrcSeen(urc))

    def _restart(self, banner: str, now: float) -> None:
        self.statistics.resets += 1
        self.suspended = self.echo_expected = True
        events = self.fail(lambda: ModuleReset(f"the module restarted ({banner})"), now)
        self._events = [*events, Restarted(banner)]

    def _on_send_result(self, *, sent: bool, now: float) -> None:
        send, exchange = self._sender.outstanding, self._exchange
        if send is None:
            return  # late or doubled: what it belonged to has been settled
        if exchange is not None and send.is_of(exchange.purpose):
            if not (exchange.prompt_is_due or self._outbox):  # else the module has no data yet
                send.result = sent
                exchange.extend(now if self._ok_is_omitted else now + _GRACE_S, _GRACE_S)
        elif send.deadline is not None:  # else it was refused, and this is of the send before
            self._act(self._endings.send_result(sent=sent, now=now))

    def _end(self, exchange: Exchange, now: float, *, lost: bool) -> None:
        self._leave(exchange, now)
        if exchange.succeeded:
            self._measure(exchange, now)
            meaning = exchange.meaning
            self._ok_is_omitted &= not meaning.is_send
            if meaning.effect is not None:
                self.apply(meaning.effect)
            self.statistics.nvram_writes += meaning.writes_nvram
        else:
            self.statistics.errors += 1
        self._act(self._endings.answered(exchange, now, lost=lost, length_shown=self.length_shown))
        self._release_urcs(exchange, now)

    def _expire(self, exchange: Exchange, now: float, reason: str = "") -> None:
        self._leave(exchange, now)
        send = self._sender.outstanding
        if send is not None and send.result is not None and send.is_of(exchange.purpose):
            self._ok_is_omitted = True
            self._act(self._endings.send_result(sent=send.result, now=now))
            return
        self.statistics.timeouts += 1
        self._act(self._endings.expired(exchange, now, reason))
        self._release_urcs(exchange, now)
        for frame in self._framer.resync():
            self._on_frame(frame, now)

    def _leave(self, exchange: Exchange, now: float) -> None:
        self._exchange = None
        if exchange.prompted:
            self._outbox.clear()  # a module that awaits a command must not get data
        self._rest_framer()
        gap_ms = self.profile.command_gap_ms
        self._gap_until = now + gap_ms / 1000 if gap_ms else 0.0

    def _act(self, consequences: Iterable[Consequence]) -> None:
        for consequence in consequences:
            if isinstance(consequence, Explain):
                self._explain = consequence
            elif isinstance(consequence, OutOfStep):
                self._lose_step(consequence.reason)
            else:
                self._report(consequence)

    def _report(self, event: Event) -> None:
        if isinstance(event, Failed):
            event.slot.failed = True  # it never goes on with a hole (rule 6)
        self.statistics.datagrams_lost += isinstance(event, DatagramLost)
        self._events.append(event)

    def _lose_step(self, reason: str, *, is_sleep: bool = False) -> None:
        if not self.suspended:
            self.suspended = True
            self.statistics.recoveries += 1
            self._events.append(OutOfStep(reason, is_sleep))
