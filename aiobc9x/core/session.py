"""The session with one module: bytes in, events and bytes out.

Layer: core. Does no I/O; time comes in as ``now``.

One command is in flight at a time (rule 4). Between its final result and a deferred
one (``SEND OK``) other commands may run. A session starts suspended: only jobs of
the recovery lane run until :meth:`Session.resume`, as after every loss of step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from aiobc9x.core import effects
from aiobc9x.core.asking import DOUBT_S, Asking
from aiobc9x.core.doubt import is_torn
from aiobc9x.core.effects import PLAIN, Meaning
from aiobc9x.core.endings import Consequence, Explain, done, unfinished
from aiobc9x.core.events import (
    OK,
    Answer,
    Damaged,
    DatagramLost,
    DataReceived,
    Event,
    Failed,
    Finished,
    Job,
    OutOfStep,
    Restarted,
    Sent,
    UnknownLine,
    UrcSeen,
)
from aiobc9x.core.exchange import (
    ANSWER_MARGIN_S,
    DONE,
    LOST,
    NOT_MINE,
    TAKEN,
    Exchange,
    Step,
    is_final,
    wire_time,
)
from aiobc9x.core.receiving import Read
from aiobc9x.core.sending import RESULT_LIMIT_S
from aiobc9x.core.slots import Slot
from aiobc9x.errors import ModemError, ModuleReset
from aiobc9x.spec import AccessMode
from aiobc9x.wire.framer import Damage, Frame, Line, Payload
from aiobc9x.wire.urcs import (
    PowerDown,
    Received,
    Restart,
    SendFail,
    SendOk,
    SleepEvent,
    Urc,
    parse_urc,
)

# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

_ASKING: Final = (Read, Explain)
_BANNERS: Final = (Restart, PowerDown)
_RESULTS: Final = (SendOk, SendFail)
_USUAL: Final = frozenset({DataReceived, Finished, Sent})

_GRACE_S: Final = 0.3
"""How long ``OK`` may stay away when ``SEND OK`` came first; relatives omit it."""

_PUSHED: Final = b'+QIURC: "recv",'
"""What pushed data begin with, in the same line or the one before (§2.2.11)."""

_DOUBT_SLACK_S: Final = 1.7
"""How much longer if bytes come all the time. Ours."""

_LATE_S: Final = 5.0
"""How much later it may still come, and must not be taken for another command's. Ours."""


class Session(Asking):
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
        events: What has happened since :meth:`take_events`.
        pushed_at: When data last seemed to be pushed that nobody has asked for; only while
            suspended.

    """

    @property
    def length_shown(self) -> bool:
        """Whether headers carry the optional lengths (§2.2.11)."""
        return self._framer.length_shown

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take received bytes; return what they mean."""
        self.statistics.bytes_received += len(data)
        self._last_traffic = now
        exchange, framer = self._exchange, self._framer
        if exchange is not None and now + ANSWER_MARGIN_S > exchange.deadline:
            exchange.progress(now)
        held = True
        while held:  # a rule that hangs on an answer changes exactly there
            held = framer.hold_after_final
            for frame in framer.feed(data):
                if type(frame) is Line and not self._pushes.is_unchecked:
                    self._on_line(frame.text, now)
                else:
                    self._on_frame(frame, now)
            held = held and not framer.hold_after_final
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

    def resync(self) -> list[Event]:
        """Give up what the framer has in progress: the line has been silent."""
        self._doubt.clear()
        for frame in self._framer.resync():
            self._on_frame(frame, 0.0)
        return self.take_events()

    def resume(self) -> None:
        """Commands and answers are in step: everything may run; lost URCs are made up for."""
        self.suspended = False
        self._late_ok_until = 0.0
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

    def release(self, slot: Slot, now: float, rest_s: float = 0.0) -> None:
        """Free a connect ID whose close the module has confirmed; see SocketTable.release()."""
        if self.sockets.get(slot.connect_id) is not slot:
            return
        self.sockets.release(slot, now, rest_s)
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
            self.events.append(Finished(job, Answer(failure=error())))
        for slot in self.sockets:
            self.events.append(Failed(slot, error()))
            self.sockets.release(slot, now)
        self.queue.clear()
        self._exchange = self._explain = None
        self._outbox.clear()
        self._doubt.clear()
        self._sender.forget()
        self._framer.push_sockets.clear()
        self._pushes.clear()
        self._framer.prompt_due = self._framer.hold_after_final = False
        return self.take_events()

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
            if not self.suspended:
                self._stopwatch.answered(self._exchange, now, self.baudrate)
            self._stopwatch.prompted(now)
            data = self._exchange.on_prompt()
            self._outbox += data
            self._exchange.extend(now + RESULT_LIMIT_S + wire_time(len(data), self.baudrate))

    def _on_line(self, text: bytes, now: float) -> None:
        exchange = self._exchange
        if exchange is not None and (step := exchange.on_line(text)) is not NOT_MINE:
            if self._late_ok_until and self._is_late_ok(text, exchange, step, now):
                exchange.final = None
            elif exchange.is_doubtful and step is DONE:
                exchange.await_last(now + DOUBT_S, _DOUBT_SLACK_S)
            elif step is DONE and not exchange.prompted:
                self._end(exchange, now, lost=False)
            else:
                self._on_answer(exchange, step, now)
        elif exchange is None and is_final(text):
            if self._late_ok_until and self._is_late_ok(text, None, DONE, now):
                return
            self.stray_answers += 1
            self._act(self._endings.stray_result(text, self._explain))
        elif (urc := parse_urc(text)) is not None:
            self._on_urc(urc, now)
        else:
            self._on_unknown(text, now)

    def _is_late_ok(self, text: bytes, exchange: Exchange | None, step: Step, now: float) -> bool:
        """Whether this is the ``OK`` of a send that has ended without it: nobody else's."""
        if text != b"OK" or now > self._late_ok_until:
            return False
        asks = exchange is None or step is LOST or isinstance(exchange.purpose, _ASKING)
        if not asks or (exchange is not None and exchange.has_data):
            return False  # what it asks for has come, or needs no line
        self._late_ok_until = 0.0
        self._framer.prompt_due = step is LOST  # which the OK has ended
        return True

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

    def _suspect_push(self, now: float) -> None:
        """What comes next may be data: nobody knows yet which sockets are in push mode."""
        self.pushed_at = now
        if self._exchange is not None:
            self._exchange.is_doubtful = True

    def _on_unknown(self, text: bytes, now: float) -> None:
        if self.suspended and text.startswith(_PUSHED):
            self._suspect_push(now)
        self.statistics.unknown_lines += 1
        self.events.append(UnknownLine(text))
        if is_torn(text):
            self._distrust(f"an unreadable line: {text[:40]!r}")

    def _on_damage(self, damage: Damage) -> None:
        self.statistics.damages += 1
        self.events.append(Damaged(damage.reason, damage.data))
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
        banner = urc.text if isinstance(urc, _BANNERS) else None
        if self._doubt.persists:
            return
        if exchange is not None and exchange.damage is not None:
            if banner is not None:  # true or not, this answer won't end any more
                self._expire(exchange, now, f"{banner!r} came instead of its end")
        elif banner is not None:
            self._restart(banner, now)
            self.events.append(UrcSeen(urc))
        elif exchange is None or not isinstance(exchange.purpose, Read) or exchange.has_data:
            self._obey(urc, now)
        else:
            self._doubt.withhold(urc)

    def _release_urcs(self, exchange: Exchange | None, now: float) -> None:
        damaged = exchange is not None and exchange.damage is not None
        for urc in self._doubt.release(damaged=damaged):
            self._obey(urc, now)

    def _obey(self, urc: Urc, now: float) -> None:
        if isinstance(urc, _RESULTS):
            self._on_send_result(sent=isinstance(urc, SendOk), now=now)
        else:
            if self.suspended and isinstance(urc, Received):
                self._suspect_push(now)
            self._act(self._routing.on_urc(urc, self.profile))
            self._sender.drop_dead(now)
        self.events.append(_new(UrcSeen, (urc,)))

    def _restart(self, banner: str, now: float) -> None:
        self.statistics.resets += 1
        self.suspended = self.echo_expected = True
        events = self.fail(lambda: ModuleReset(f"the module restarted ({banner})"), now)
        self.events = [*events, Restarted(banner)]

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
        purpose, succeeded = exchange.purpose, exchange.final == b"OK"
        if not succeeded:
            self.statistics.errors += 1
        else:
            if exchange.traffic_before is not None and not self.suspended:  # else others delay it
                self._stopwatch.answered(exchange, now, self.baudrate)
            if exchange.meaning is not PLAIN:
                self._heed(exchange.meaning)
        if succeeded and type(purpose) is Job and self._sender.outstanding is None and not lost:
            # Nearly always.
            plain = not exchange.lines and exchange.payload is None
            self.events.append(_new(Finished, (purpose, OK)) if plain else done(purpose, exchange))
        else:
            shown = self.length_shown
            self._act(self._endings.answered(exchange, now, lost=lost, length_shown=shown))
        if self._doubt.withheld or exchange.damage is not None:
            self._release_urcs(exchange, now)

    def _heed(self, meaning: Meaning) -> None:
        """Go by what a command has changed."""
        if meaning.is_send:
            self._ok_is_omitted = False
        if meaning.effect is not None:
            self.apply(meaning.effect)
        self.statistics.nvram_writes += meaning.writes_nvram

    def _expire(self, exchange: Exchange, now: float, reason: str = "") -> None:
        if exchange.is_doubtful and exchange.final is not None:
            self._end(exchange, now, lost=False)
            return
        self._leave(exchange, now)
        send = self._sender.outstanding
        if send is not None and send.result is not None and send.is_of(exchange.purpose):
            self._ok_is_omitted = True
            self._late_ok_until = now + _LATE_S
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
        self._framer.prompt_due = self._framer.hold_after_final = False
        self._gap_until = now + self._gap_s if self._gap_s else 0.0

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
        self.statistics.datagrams_lost += isinstance(event, DatagramLost)
        self.events.append(event)
