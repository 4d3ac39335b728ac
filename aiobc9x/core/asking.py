"""The half of a session that writes: whose turn it is, and what goes out.

Layer: core. Does no I/O; time comes in as ``now``.

Beginning a command is on the way of each of them, so what is known to be usual is told
apart first.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Final

from aiobc9x.core.doubt import Doubt
from aiobc9x.core.effects import PLAIN, READ, SEND, Meaning, meaning_of
from aiobc9x.core.endings import Endings, Explain, Purpose
from aiobc9x.core.events import Event, Job, Lane, OutOfStep
from aiobc9x.core.exchange import ANSWER_MARGIN_S, BITS_A_BYTE, Exchange
from aiobc9x.core.forms import ANY_FORM, LineTiming, SendForm
from aiobc9x.core.line_timing import Stopwatch
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.pushes import PushGate
from aiobc9x.core.queue import JobQueue
from aiobc9x.core.receiving import Read
from aiobc9x.core.scheduling import Scheduler
from aiobc9x.core.sending import Sender
from aiobc9x.core.slots import SocketTable
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.turns import Turn, TurnKind
from aiobc9x.core.unsolicited import Routing
from aiobc9x.spec import CONNECT_IDS, MAX_RESPONSE_TIME_S, READ_MAX_BYTES
from aiobc9x.wire.commands import Command, Qigeterror, Qird
from aiobc9x.wire.framer import Framer

_ANSWER_BYTES: Final = 2 * READ_MAX_BYTES
"""The most that an answer has: a read, in hex."""

_READS: Final = {number: Qird(number, READ_MAX_BYTES) for number in CONNECT_IDS}

DOUBT_S: Final = 0.3
"""How long another final result may stay away (§2.1.2) where the first may be pushed data: before
start-up has asked, nobody knows which sockets a program before left in push mode."""

_SLOWEST_BAUDRATE: Final = 9600
"""What a long command line is given time for: behind a serial server, or on a virtual
line, the real rate is not known."""

_RECOVERY: Final = Lane.RECOVERY  # to look an attribute of an enum up takes its time


class Asking:
    """What a session keeps, and how it chooses and begins what is written next."""

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
        self._late_ok_until = 0.0
        self.pushed_at = -math.inf
        self._scheduler = Scheduler(self.sockets, self.queue, self._sender)
        self._gap_s = self.profile.command_gap_ms / 1000
        self._gap_until = 0.0
        self._outbox = bytearray()
        self._doubt = Doubt()
        self._stopwatch = Stopwatch(self.statistics)
        self.events: list[Event] = []

    @property
    def profile(self) -> ModuleProfile:
        """What this module is known to do."""
        return self._sender.profile

    @profile.setter
    def profile(self, profile: ModuleProfile) -> None:
        self._sender.use(profile)
        self._gap_s = profile.command_gap_ms / 1000

    @property
    def line(self) -> LineTiming:
        """What the line and its two ends have been measured to take."""
        return self._stopwatch.line(self.baudrate)

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
            and self._scheduler.pass_by(job.lane)
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
        elif (
            self._exchange is not None
            or not (self.queue.waiting or self.sockets.in_use or self._explain)
            or (data := self._begin_next(now)) is None
        ):
            return None
        self.statistics.bytes_sent += len(data)
        self._last_traffic = now
        return data

    def deadline(self) -> float | None:
        """When :meth:`advance` or :meth:`next_output` must be called at the latest."""
        exchange, send = self._exchange, self._sender.outstanding
        first = self._gap_until or math.inf if exchange is None else exchange.deadline
        if send is not None and send.deadline is not None and send.deadline < first:
            first = send.deadline
        if self.sockets.in_use and (due := self._scheduler.deadline(self.poll_interval)) < first:
            first = due
        if (quiet := self._sender.suspicion_due) is not None and quiet < first:
            first = quiet
        if (silent := self._pushes.due) is not None and silent < first:
            first = silent
        return None if first == math.inf else first

    @property
    def answer_due(self) -> float:
        """When the answer in flight must have come; infinity if there is none."""
        return math.inf if self._exchange is None else self._exchange.deadline

    def write_raw(self, data: bytes) -> None:
        """Write bytes outside any command, to end a data mode that is stuck."""
        self._outbox += data

    def take_events(self) -> list[Event]:
        """Return what has happened since the last call, and forget it."""
        events = self.events
        self.events = []
        return events

    def _begin_next(self, now: float) -> bytes | None:
        if now < self._gap_until:
            return None
        if self._explain is not None:
            explain, self._explain = self._explain, None
            return self._begin(Qigeterror(), explain, now, PLAIN)
        if self.suspended:
            job = self.queue.next(Lane.RECOVERY)
            return None if job is None else self._begin_job(self.queue.take(job.lane), now)
        turn = self._scheduler.next(now)
        if turn is not None and now - self._last_traffic > self.idle_limit:
            self._lose_step("the module may be asleep", is_sleep=True)
            return None
        return None if turn is None else self._begin_turn(turn, now)

    def _begin_turn(self, turn: Turn, now: float) -> bytes:
        if turn.lane is not None:
            sending = self._sender.outstanding is not None
            return self._begin_job(self.queue.take(turn.lane, sending=sending), now)
        slot = self.sockets.get(turn.connect_id)
        assert slot is not None
        if turn.kind is TurnKind.READ:
            self.statistics.reads += 1
            slot.readable, slot.last_read = False, now  # what comes from now on sets it again
            return self._begin(_READS[slot.connect_id], Read(slot), now, READ)
        send = self._sender.begin(slot, self.line)
        command = send.command()
        outgoing = send.data if command.needs_prompt else None
        return self._begin(command, send, now, SEND, outgoing=outgoing)

    def _begin_job(self, job: Job, now: float) -> bytes:
        meaning = meaning_of(job.command.encode())
        if meaning.is_send:
            self._sender.begin_job(job)
        return self._begin(job.command, job, now, meaning, job.limit, job.data)

    def _begin(
        self,
        command: Command[Any],
        purpose: Purpose,
        now: float,
        meaning: Meaning,
        limit: float | None = None,
        outgoing: bytes | None = None,
    ) -> bytes:
        line, usual = command.encode(), command.time_limit
        if limit is None:
            limit = usual + ANSWER_MARGIN_S
        rate = self.baudrate
        slower = rate if rate < _SLOWEST_BAUDRATE else _SLOWEST_BAUDRATE
        limit += BITS_A_BYTE * (len(line) / slower + _ANSWER_BYTES / rate)
        # What the note gives more time may wait for the network.
        traffic = self.statistics.traffic_bytes if usual <= MAX_RESPONSE_TIME_S else None
        exchange = Exchange(command, purpose, now, limit, meaning, outgoing, traffic)
        self._exchange = exchange
        exchange.is_doubtful = self.suspended and now - self.pushed_at < DOUBT_S
        if meaning is not PLAIN or outgoing is not None:
            framer = self._framer
            exchange.negatives_before = framer.negative_remainings
            framer.prompt_due = outgoing is not None
            # The prompt may come right behind an OK of the send before.
            after_late_ok = outgoing is not None and self._late_ok_until > 0
            framer.hold_after_final = meaning.effect is not None or after_late_ok
        self.statistics.commands += 1
        return line

    def _lose_step(self, reason: str, *, is_sleep: bool = False) -> None:
        if not self.suspended:
            self.suspended = True
            self.statistics.recoveries += 1
            self.events.append(OutOfStep(reason, is_sleep))
