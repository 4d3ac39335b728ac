"""Run a session over a link: read, write, keep time, and wake those who wait.

Layer: aio.

The session owns every exchange, and callers only await futures. If a caller is cancelled, the
exchange goes on without it, and its late answer is dropped, so the line stays *in step*: each
answer belongs to the command before it. One watchdog timer serves all commands.

The single reader is :meth:`Driver._single_reader`, a callback of the link: nothing else gets
bytes from the module. It is no task, because waking one costs a quarter of a command
(docs/decisions).

Everything that happens to the session happens in turns, one at a time: bytes have arrived, a
command was requested, a deadline has passed, or a socket wants the line. See
:meth:`Driver._turn`. The module is long for that reason: the driver is one object, and each part
of it is a beginning or a consequence of a turn.

Work is often started from a callback of the loop, where there is no current task. An anyio task
group can't start a task from there, because it asks sniffio for the running library, and sniffio
needs a current task. So the driver keeps plain asyncio tasks, and its supervisor cancels and
awaits them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from aiobc9x.aio.ledger import Ledger
from aiobc9x.aio.line.decisions import DECISIONS, TOLD, facts_of, log_facts, slot_facts
from aiobc9x.aio.line.expected import Expected, fail_quietly
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.aio.line.link import Link
from aiobc9x.aio.line.slot_events import SLOT_EVENTS, Owners, SlotOwner
from aiobc9x.aio.line.subscriptions import Hub, Reset, StepLost, Unknown
from aiobc9x.aio.line.trace import DialogueLog
from aiobc9x.core.events import (
    Answer,
    Damaged,
    DataReceived,
    Event,
    Finished,
    Job,
    Lane,
    Orphaned,
    OutOfStep,
    Restarted,
    Sent,
    SlotEvent,
    UnknownLine,
    UrcSeen,
    Woken,
)
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot
from aiobc9x.errors import LinkLost, LinkTimeout, ModemError, ModuleReset, command_error
from aiobc9x.logs import Log, Logs
from aiobc9x.masking import shown_line
from aiobc9x.trace.words import decision_words
from aiobc9x.wire.commands.tcpip import Command
from aiobc9x.wire.urcs import Urc

if TYPE_CHECKING:
    from aiobc9x.trace.recording import Recorder

T = TypeVar("T")

# Looking up a member of an enum is slow, and this one is compared for each command.
_RECOVERY = Lane.RECOVERY

_RECANCEL_S = 1.0
"""Seconds after which a task that has not ended is cancelled again.

A task may take a cancellation for the end of a timeout of its own.
"""

AWAY_WAIT_S = 180.0
"""Seconds that a command without a limit of its own waits for a modem that has no link: as long
as :meth:`Modem.wait_ready` waits for a network."""

STALL_S = 0.25
"""Seconds of delay that show that the whole event loop was held up, not the module.

What the module printed in that time must be read before its answer is called late.
"""


class Driver:
    """Run one session over one link.

    Attributes:
        session: The state machine.
        home: The event loop that the modem belongs to.
        hub: Hands events to subscribers.
        logs: The loggers of this modem.
        log: The one among them for what is done here.
        ledger: Counts bytes over the air.
        on_received: Called with the bytes of each chunk, before anybody has read them.
        on_urc: Called with each URC, after the session has acted on it.
        on_out_of_step: Started as a task, to bring the line back in step.
        on_restarted: Started as a task when the module has restarted.
        on_link_lost: Started as a task when the link is lost, to bring another one. ``None``:
            the modem ends with its link.
        on_woken: Started as a task when the module had to be woken, and said nothing of it.
        on_orphaned: Called with a connect ID on which the module has a connection that has no
            owner here (F35).
        on_sockets_lost: Called when every socket has ended at once.
        on_state_changed: Called when the modem may or may not take commands any more, or again.
        trouble: Why the link was lost, or could not be had again; empty once it is back.
        is_forgotten: The program has dropped its modem without closing it; the warning about
            that has been given.
        hook: The task that runs the user's ``reset`` hook, which must not wait for the link.
        recorder: Writes the trace; ``None`` if there is none.

    """

    def __init__(self, link: Link, session: Session, recorder: Recorder | None = None) -> None:
        self.session = session
        self.recorder = recorder
        self.home: HomeLoop = HomeLoop(f"the modem on {link.name}")
        self.hub: Hub = Hub(self.home)
        self.hub.on_event = self._tell
        self.logs: Logs = Logs(link.name)
        self.log: Log = self.logs.aio
        self.ledger: Ledger = Ledger(self.hub.publish)
        self.on_received: Callable[[bytes], None] | None = None
        self.on_urc: Callable[[Urc], None] = lambda _urc: None
        self.on_out_of_step: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self.on_restarted: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self.on_link_lost: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self.on_woken: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.on_orphaned: Callable[[int], None] = lambda _id: None
        self.on_sockets_lost: Callable[[], None] = lambda: None
        self.on_state_changed: Callable[[], None] = lambda: None
        self.is_forgotten = False
        self.hook: asyncio.Task[Any] | None = None  # Any: its result is of no interest
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._expected = Expected()
        self._owners = Owners(session)
        # The modem's own tasks must not run in the opener's context: redirection, which is per
        # context, could send them through a modem.
        self._context = contextvars.Context()
        self._handlers = self._event_handlers()
        for kind in DECISIONS:
            self._handlers[kind] = self._telling(self._handlers[kind])
        self._watchdog: asyncio.TimerHandle | None = None
        self._watchdog_at = math.inf
        self._is_in_turn = False
        self._is_kicked = False  # since the last pump, so another one must follow
        self._next_turn: asyncio.Handle | None = None
        self._has_sent = False
        self._backlog: list[bytes] = []
        self._dialogue = DialogueLog(self.logs)
        self._last_input = 0.0
        self._dead: str | None = None
        self._away: str | None = None
        self.trouble: str = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the modem can still be used, now or when its link is back."""
        return self._dead is None

    @property
    def is_away(self) -> bool:
        """Whether there is no link at present."""
        return self._away is not None

    @property
    def last_input(self) -> float:
        """When bytes last arrived, by the loop's clock."""
        return self._last_input

    @property
    def silence(self) -> float:
        """For how many seconds the module has owed an answer without a byte of any kind."""
        return self.session.silence(self._loop.time())

    @property
    def link(self) -> Link:
        """The byte stream to the module."""
        return self._link

    @property
    def reason(self) -> str:
        """Why the link no longer works."""
        return self._dead or self._away or self.trouble or "the line is out of step"

    def time(self) -> float:
        """Return the loop's clock."""
        return self._loop.time()

    async def start(self) -> None:
        """Start the supervisor and the reader."""
        ready = self._loop.create_future()
        self._supervisor = asyncio.create_task(
            self._supervise(ready), name="aiobc9x supervisor", context=contextvars.Context()
        )
        await asyncio.shield(ready)

    async def stop(self) -> None:
        """End every task, fail every caller who still waits, and close the link."""
        self._stopping.set()
        # At once, so that no new caller begins to wait for a link that is going away.
        self.fail("the modem was closed")
        if self._supervisor is not None:
            await asyncio.wait([self._supervisor])

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Run a coroutine function as a task that the supervisor ends; from anywhere."""
        if self._supervisor is None or self._stopping.is_set():
            return
        self.home.check_thread()
        # Not by the loop's task factory, which may be an eager one: the coroutine must not run
        # inside the callback that starts it.
        task = asyncio.Task(
            self._guarded(function, args),
            loop=self._loop,
            name=f"aiobc9x {function.__name__}",
            context=self._context.copy(),
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(
        self,
        command: Command[Any],
        *,
        lane: Lane = Lane.COMMAND,
        limit: float | None = None,
        explain: bool = True,
        slot: Slot | None = None,
    ) -> Answer:
        """Send a command; return its answer, which may be an ``ERROR``.

        Raises:
            ModemError: There was no final result; the class says why.

        Cancellation is safe: a command that waits is withdrawn, the answer to one that
        is on its way is swallowed.
        """
        job = self._request(command, lane, limit, None, explain, slot)
        try:
            answer: Answer = await job.owner
        except asyncio.CancelledError:
            self.session.queue.withdraw(job)
            raise
        if answer.failure is not None:
            raise answer.failure
        return answer

    async def run(
        self,
        command: Command[T],
        *,
        lane: Lane = Lane.COMMAND,
        limit: float | None = None,
        data: bytes | None = None,
        slot: Slot | None = None,
    ) -> T:
        """Send a command; return its parsed answer.

        Raises:
            CommandError: The module refused it.
            ModemError: There was no final result; the class says why.

        Cancellation is safe, as in :meth:`ask`.
        """
        # The same as in ask(), because one coroutine more would cost time.
        job = self._request(command, lane, limit, data, True, slot)
        try:
            answer: Answer = await job.owner
        except asyncio.CancelledError:
            self.session.queue.withdraw(job)
            raise
        if answer.ok:
            return command.parse(answer.lines)
        raise answer.failure or command_error(command.text, answer.err, answer.cme)

    def _request(
        self,
        command: Command[Any],
        lane: Lane,
        limit: float | None,
        data: bytes | None,
        explain: bool,
        slot: Slot | None,
    ) -> Job:
        if self._dead is not None:
            raise LinkLost(self._dead)
        if self._away is not None:
            if lane is _RECOVERY:
                raise LinkLost(self._away)  # there is nothing to bring in step
            if self.hook is not None and asyncio.current_task() is self.hook:
                # To wait for the link would be to wait for itself.
                raise LinkLost("the reset hook can't send commands: the port is closed meanwhile")
        if asyncio._get_running_loop() is not self._loop:
            # Raises. Called only here, because one call for each command would cost time.
            self.home.check_loop()
        future: asyncio.Future[Answer] = self._loop.create_future()
        # While the line is out of step, AT+QIGETERROR might tell of another command.
        job = Job(command, lane, data, limit, explain and lane is not _RECOVERY, future, slot)
        if self._is_in_turn:
            self.session.queue.add(job)
            self.kick()
            return job
        if self.session.suspended and lane is not _RECOVERY:
            wait_s = AWAY_WAIT_S if limit is None else limit
            self._loop.call_later(wait_s, self._end_wait, job, wait_s)
        # At once: waiting for the loop's next turn would cost more than the command itself.
        self._turn(self._begin, job)
        # A bug of this package has ended the modem before the session knew the job.
        if self._dead is not None and not future.done():
            future.set_exception(LinkLost(self._dead))
        return job

    def _end_wait(self, job: Job, seconds: float) -> None:
        """Give up a job that was asked for while there was no link, and that still waits."""
        # A caller who was cancelled in this turn of the loop has not withdrawn the job yet.
        if self.session.queue.withdraw(job) and not job.owner.done():
            text = (
                f"{job.command.text}: the modem did not come back in {seconds:g} s: {self.reason}"
            )
            job.owner.set_result(Answer(failure=LinkTimeout(text)))

    def _begin(self, job: Job) -> None:
        """Write a command at once if nothing else wants the line, else queue it."""
        now = self._loop.time()
        if (line := self.session.submit(job, now)) is None:
            self._pump(now)
        else:
            self._write(line)
            if (due := self.session.answer_due) < self._watchdog_at:
                self._watch(due)

    def expect(self, match: Callable[[Urc], T | None]) -> asyncio.Future[T]:
        """Return a future for the first URC that ``match`` gives a value for.

        Cancel the future to stop waiting. It fails with the link, or with a restart.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._dead is not None:
            fail_quietly(future, LinkLost(self._dead))
        else:
            self._expected.add(match, future)
        return future

    def expect_of(self, slot: Slot, *kinds: type[SlotEvent]) -> asyncio.Future[SlotEvent]:
        """Return a future for the first event of these kinds that concerns a socket.

        Cancel the future to stop waiting. It fails with the socket.

        Raises:
            LinkLost: The link is gone.

        """
        self.check()
        return self._owners.expect(slot, *kinds)

    def note(self, what: str, slot: Slot | None = None, **facts: object) -> None:
        """Write a decision, such as the end of a connection, into the trace, if there is one."""
        if self.recorder is not None:
            of_slot = {} if slot is None else slot_facts(slot)
            self.recorder.decided(what, self.time(), {**of_slot, **facts})

    def _tell(self, event: object) -> None:
        """Write a decision into trace and log, if it is one."""
        if (told := TOLD.get(type(event))) is None:
            return
        layer, level = told
        log: Log = getattr(self.logs, layer)
        if self.recorder is None and not log.shows(level):
            return
        name, facts = type(event).__name__, facts_of(event)
        if self.recorder is not None:
            self.recorder.decided(name, self.time(), facts)
        sign = "!" if level >= logging.WARNING else "="
        log.say(level, f"{sign} %s", decision_words(name, facts), **log_facts(facts))

    # Any: a handler takes the one class of events that it is for.
    def _telling(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a handler that writes the event into trace and log first."""

        def handle(event: Any) -> None:
            self._tell(event)
            handler(event)

        return handle

    def report(self, message: str, exc: Exception) -> None:
        """Tell the loop's exception handler of what a caller's code has raised."""
        self._loop.call_exception_handler({"message": message, "exception": exc})

    def check_link(self) -> None:
        """Raise :class:`LinkLost` while there is no link, or for good."""
        if self._dead is not None or self._away is not None:
            raise LinkLost(self.reason)

    def check(self) -> None:
        """Raise if the link is gone, or the modem's event loop does not run here."""
        self.home.check_loop()
        if self._dead is not None:
            raise LinkLost(self._dead)

    def adopt(self, slot: Slot, owner: SlotOwner) -> None:
        """Give a socket its owner, and the owner what came before it."""
        self._owners.adopt(slot, owner)

    def disown(self, slot: Slot) -> None:
        """Forget a socket that is free again."""
        self._owners.disown(slot)

    def hasten(self) -> None:
        """Take an answer that is awaited for lost now, and bring the line back in step."""
        self.session.hasten(self._loop.time())
        self._watch(self.session.answer_due)

    def kick(self) -> None:
        """Have the session asked soon what to write; many calls in one turn count once."""
        self._is_kicked = True
        if not self._is_in_turn:
            self._schedule()

    def pump(self) -> None:
        """Ask the session at once what to write; it is called from a callback of the loop."""
        if self._is_in_turn or self._backlog:
            self.kick()
        else:
            self._context.run(self._turn, self._pump, self._loop.time())

    def dispatch(self, events: list[Event]) -> None:
        """Hand the session's events to their handlers, and answers to their callers."""
        for event in events:
            try:
                if event.__class__ is not Finished:  # type() is a call
                    self._handlers[type(event)](event)
                elif not (future := event.job.owner).done():
                    future.set_result(event.answer)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {"message": f"handling {type(event).__name__} failed", "exception": exc}
                )

    def fail(self, reason: str) -> None:
        """Give the link up: fail everything that waits, and have the port closed."""
        if self._dead is not None:
            return
        self._dead = reason
        self.note("ModemEnded", reason=reason)
        level = logging.DEBUG if self._stopping.is_set() else logging.WARNING
        self.log.say(level, "! %s", reason, reason=reason)
        self._end_all(reason, for_good=True)
        self.hub.close()
        # The supervisor closes the port, so that another program can have it.
        self._stopping.set()

    def lose_link(self, reason: str) -> None:
        """Fail all that hangs on the link, and have another one brought if somebody does.

        Jobs that are asked for from now on wait for that link, as the session is suspended.
        """
        if self.on_link_lost is None:
            self.fail(reason)
        elif self._dead is None and self._away is None:
            # Once for a loss; the tries that follow may go on for hours.
            level = logging.INFO if self.trouble else logging.WARNING
            self.log.say(level, "! %s", reason, reason=reason)
            self._away = self.trouble = reason
            self.note("LinkEnded", reason=reason)
            self._end_all(reason, for_good=False)
            self.session.begin_anew(self._link.baudrate)
            self.spawn(self.on_link_lost, reason)

    def use_link(self, link: Link) -> None:
        """Go on with another link, in place of the one that was lost and is closed."""
        self._link, self._away = link, None
        self._backlog.clear()
        self.session.begin_anew(link.baudrate)
        self._last_input = self.time()
        self._start_link()

    def _start_link(self) -> None:
        link = self._link
        self.logs.link += 1
        if self.recorder is not None:
            # Without its parameters: those of sim:// may be a PIN.
            address = link.name.partition("?")[0]
            facts = {"address": address, "baudrate": link.baudrate}
            self.recorder.begin_link(self.time(), facts)
        link.start(self._single_reader, lambda why: self._on_link_end(link, why))

    def _on_link_end(self, link: Link, reason: str) -> None:
        if link is self._link:  # an earlier one may tell late of its end
            self.lose_link(reason)

    def _end_all(self, reason: str, *, for_good: bool) -> None:
        """Fail every job, every waiter and every socket."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog, self._watchdog_at = None, math.inf
        error, session = lambda: LinkLost(reason), self.session
        self.dispatch(session.fail(error, self.time(), for_good=for_good))
        self._expected.fail(error)
        self._owners.clear()
        self.on_sockets_lost()
        self.on_state_changed()

    async def _supervise(self, ready: asyncio.Future[None]) -> None:
        try:
            self._start_link()
            if not ready.done():
                ready.set_result(None)
            await self._stopping.wait()
        finally:
            text = f"{self._link.name} was still open when its event loop ended; use 'async with'"
            is_left_open = self.is_alive and not self.is_forgotten
            self.fail(text)
            await self._end_tasks()
            await self._link.aclose()
            if self.recorder is not None:
                self.recorder.close()
            if is_left_open:
                warnings.warn(text, ResourceWarning, stacklevel=1, source=self)

    async def _end_tasks(self) -> None:
        """Cancel all tasks and wait for them: a close frees its connect ID on the way out."""
        # One that is cancelled before it has begun would not even run its ``finally``.
        await asyncio.sleep(0)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_RECANCEL_S)

    async def _guarded(
        self, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[object, ...]
    ) -> None:
        try:
            await function(*args)
        except ModemError as exc:
            self.log.debug("! %s: %s", function.__name__, exc, error=exc)
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"{function.__name__} failed", "exception": exc}
            )

    def _single_reader(self, data: bytes) -> None:
        """Take received bytes: through the session, to its callbacks, then write what is due.

        A transport calls this once in a turn of the loop at most, so that a flood of bytes
        doesn't starve the rest of the program.
        """
        if self.recorder is not None:
            self.recorder.received(data, self._loop.time())
        if self.on_received is not None:
            self.on_received(data)
        # A link in memory may answer while it is written to, which is in the middle of a turn.
        if self._is_in_turn or self._backlog:
            self._backlog.append(data)
        else:
            self._context.run(self._turn, self._take, data)

    def _turn(self, act: Callable[[T], None], argument: T) -> None:
        """Let one thing happen to the session, with all that follows from it.

        The program's callbacks run within a turn, and may call anything. What they request
        waits until the turn is over, because the session is not ready for more before that.
        """
        self._is_in_turn = True
        try:
            act(argument)
        except Exception as exc:
            # A bug of this package. Unless the modem ends, its callers would wait for ever.
            context = {"message": "aiobc9x has failed", "exception": exc}
            self._loop.call_exception_handler(context)
            self.fail(f"an internal error: {exc!r}")
        finally:
            self._is_in_turn = False
            if self._is_kicked or self._backlog:
                self._schedule()

    def _schedule(self) -> None:
        """Have another turn in the loop's next round, unless one is scheduled already."""
        if self._next_turn is None and self._dead is None:
            self._next_turn = self._loop.call_soon(self._on_next_turn, context=self._context)

    def _on_next_turn(self) -> None:
        self._next_turn = None
        if self._backlog:
            data = b"".join(self._backlog)
            self._backlog.clear()
            self._turn(self._take, data)
        else:
            self._turn(self._pump, self._loop.time())

    def _take(self, data: bytes) -> None:
        """Give received bytes to the session, then write what is due."""
        if self._dead is not None:
            return
        self._dialogue.received(data, self.session.framing)
        self._last_input = now = self._loop.time()
        self._has_sent = False
        self.dispatch(self.session.feed(data, now))
        if self._has_sent:
            # The module has taken a send. The program that waited to write runs first, so that the
            # next send can be a full one.
            self._is_kicked = True
        else:
            self._pump(now)

    def _advance(self, now: float) -> None:
        """Have the session handle its deadlines, then write what is due."""
        self.dispatch(self.session.advance(now))
        self._pump(now)

    def _pump(self, now: float) -> None:
        """Write what is due, and set the watchdog."""
        if self._dead is not None:
            return
        # Every request up to here is served below.
        self._is_kicked = False
        session = self.session
        while (data := session.next_output(now)) is not None:
            self._write(data)
        if session.events:
            self.dispatch(session.take_events())
        if (deadline := session.deadline(self._watchdog_at)) is not None:
            self._watch(max(deadline, now + 0.001))

    def _write(self, data: bytes) -> None:
        self._dialogue.sent(data, is_payload=self.session.is_prompted)
        if self.recorder is not None:
            session = self.session
            self.recorder.sent(
                data,
                self._loop.time(),
                is_payload=session.is_prompted,
                awaits_prompt=session.awaits_prompt,
            )
        self._link.write(data)

    def _watch(self, when: float) -> None:
        """Set the watchdog to that time, unless it is set to an earlier one.

        An early watchdog finds nothing to do, and is set again to the time that is right then.
        """
        if when >= self._watchdog_at:
            return
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog_at = when
        self._watchdog = self._loop.call_at(when, self._on_watchdog, when, context=self._context)

    def _on_watchdog(self, when: float) -> None:
        self._watchdog, self._watchdog_at = None, math.inf
        now = self._loop.time()
        if now - when > STALL_S:
            self._watch(now + STALL_S)
        else:
            self._turn(self._advance, now)

    # Any: each handler takes the one class that it stands after.
    def _event_handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        return {
            UrcSeen: lambda event: self._on_urc(event.urc),
            UnknownLine: self._on_unknown,
            Damaged: lambda _event: None,  # a trace and the log tell of it
            OutOfStep: self._on_step_lost,
            Restarted: lambda event: self._on_restarted(event.banner),
            Woken: self._on_woken,
            Orphaned: lambda event: self.on_orphaned(event.connect_id),
            **dict.fromkeys(SLOT_EVENTS, self._owners.tell),
            Sent: self._on_sent,
            DataReceived: self._on_data,
        }

    def _on_sent(self, event: Sent) -> None:
        self._has_sent = True
        self.ledger.sent(event.slot, event.size_bytes)
        self._owners.tell(event)

    def _on_data(self, event: DataReceived) -> None:
        self.ledger.received(event.slot, len(event.data))
        self._owners.tell(event)

    def _on_unknown(self, event: UnknownLine) -> None:
        words = shown_line(event.text)
        self.logs.wire.info("! unknown line: %s", words, size_bytes=len(event.text))
        self.hub.publish(Unknown(event.text))

    def _on_step_lost(self, event: OutOfStep) -> None:
        self.hub.publish(StepLost(event.reason))
        self.on_state_changed()
        if self.on_out_of_step is not None:
            self.spawn(self.on_out_of_step, event.reason)

    def _on_woken(self, _event: Woken) -> None:
        if self.on_woken is not None:
            self.spawn(self.on_woken)

    def _on_urc(self, urc: Urc) -> None:
        self._expected.tell(urc)
        self.on_urc(urc)
        self.hub.publish(urc)

    def fail_expected(self, reason: str) -> None:
        """End every wait for a URC with :class:`ModuleReset`: a module that restarts forgets it."""
        self._expected.fail(lambda: ModuleReset(reason))

    def _on_restarted(self, banner: str) -> None:
        self._owners.clear()
        self.fail_expected(f"the module restarted ({banner})")
        self.on_sockets_lost()
        self.on_state_changed()
        # During start-up: the module was most likely just switched on.
        if self.on_restarted is None:
            self.logs.core.info("= the module has started: %s", banner, banner=banner)
            return
        self.hub.publish(Reset(banner))
        self.spawn(self.on_restarted, banner)
