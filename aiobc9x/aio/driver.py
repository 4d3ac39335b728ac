"""The reader task, the watchdog, and the futures of those who wait.

Layer: aio.

The session owns every exchange; callers only await futures. A caller that is
cancelled therefore leaves an exchange behind whose late answer is swallowed, and the
line stays in step. All tasks live in one group inside one supervisor task, so no
cancel scope ever spans user code.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

import anyio
import anyio.abc

from aiobc9x.aio import trace
from aiobc9x.aio.events import Hub, Reset, StepLost, Unknown
from aiobc9x.aio.link import Link
from aiobc9x.core.events import (
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
    OutOfStep,
    ReadRefused,
    Restarted,
    SendRefused,
    SendStalled,
    Sent,
    UnknownLine,
    UrcSeen,
)
from aiobc9x.core.session import Session
from aiobc9x.core.sockets import Slot
from aiobc9x.errors import LinkLost, ModemError, ModuleReset, command_error
from aiobc9x.wire.commands import Command
from aiobc9x.wire.urcs import Urc

logger = logging.getLogger("aiobc9x.aio")

T = TypeVar("T")

STALL_S = 0.25
"""A watchdog that is later than this was held up with the whole event loop; what the
module said meanwhile must be read before it is called late."""


class SlotOwner(Protocol):
    """Whoever a socket's events go to: a transport."""

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream, or one datagram."""

    def on_sent(self, size_bytes: int) -> None:
        """Note that the module has taken bytes."""

    def on_drained(self) -> None:
        """Note that the peer has closed and everything has been read."""

    def on_failed(self, error: Exception) -> None:
        """End the connection."""

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out whether the connection still stands."""

    def on_send_refused(self, error: OSError) -> None:
        """Act on a refusal by a socket that still stands."""

    def on_datagram_lost(self, reason: str) -> None:
        """Report a lost datagram."""

    def close(self) -> None:
        """Flush and close."""


def owner_of(slot: Slot) -> SlotOwner | None:
    """Return what :meth:`Driver.adopt` gave the socket, if it was adopted."""
    return cast("SlotOwner | None", slot.owner)


class Driver:
    """Runs one session over one link.

    Attributes:
        session: The state machine.
        hub: Where events go.
        on_urc: Called with each URC, after the session has acted on it.
        on_out_of_step: Started as a task to bring commands and answers back in step.
        on_restarted: Started as a task when the module has restarted.

    """

    def __init__(self, link: Link, session: Session) -> None:
        self.session = session
        self.hub = Hub()
        self.on_urc: Callable[[Urc], None] = lambda _urc: None
        self.on_out_of_step: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self.on_restarted: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._futures: dict[Job, asyncio.Future[Answer]] = {}
        self._expected: list[tuple[Callable[[Urc], Any], asyncio.Future[Any]]] = []
        self._early: dict[Slot, list[Event]] = {}
        self._watchdog: asyncio.TimerHandle | None = None
        self._kicked = False
        self._last_input = 0.0
        self._dead: str | None = None
        self._group: anyio.abc.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the link still works."""
        return self._dead is None

    @property
    def last_input(self) -> float:
        """When bytes last arrived, by the loop's clock."""
        return self._last_input

    @property
    def link(self) -> Link:
        """The byte stream to the module."""
        return self._link

    def time(self) -> float:
        """Return the loop's clock."""
        return self._loop.time()

    async def start(self) -> None:
        """Start the supervisor and, in it, the reader."""
        ready = self._loop.create_future()
        # Library tasks must not inherit the routing of whoever opens the modem.
        self._supervisor = asyncio.create_task(
            self._supervise(ready), name="aiobc9x supervisor", context=contextvars.Context()
        )
        await asyncio.shield(ready)

    async def stop(self) -> None:
        """End every task, fail whoever still waits, and close the link."""
        self._stopping.set()
        self.fail("the modem was closed")  # now, so that nothing new waits for what won't run
        if self._supervisor is not None:
            await asyncio.wait([self._supervisor])

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Run a coroutine function in the supervisor's group."""
        if self._group is not None and not self._stopping.is_set():
            self._group.start_soon(self._guarded, function, args)

    async def ask(
        self,
        command: Command[Any],
        *,
        lane: Lane = Lane.COMMAND,
        limit: float | None = None,
        data: bytes | None = None,
        explain: bool = True,
    ) -> Answer:
        """Send a command; return what came of it, an ``ERROR`` included.

        Raises:
            ModemError: There was no final result; the class says why.

        Cancellation is safe: a command that waits is withdrawn, the answer to one that
        is on its way is swallowed.
        """
        self.check()
        # In an unknown state AT+QIGETERROR might tell of another command.
        job = Job(command, lane, data, limit, explain and lane is not Lane.RECOVERY)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._futures[job] = future
        self.session.queue.add(job)
        self.kick()
        try:
            answer = await future
        except asyncio.CancelledError:
            self._futures.pop(job, None)
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
    ) -> T:
        """Send a command; return its parsed answer.

        Raises:
            CommandError: The module refused it.
            ModemError: There was no final result; the class says why.

        Cancellation is safe, as in :meth:`ask`.
        """
        answer = await self.ask(command, lane=lane, limit=limit, data=data)
        if not answer.ok:
            raise command_error(command.text, answer.err, answer.cme)
        return command.parse(answer.lines)

    def expect(self, match: Callable[[Urc], T | None]) -> asyncio.Future[T]:
        """Return a future for the first URC that ``match`` gives a value for.

        Cancel the future to stop waiting. It fails with the link, or with a restart.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._dead is not None:
            future.set_exception(LinkLost(self._dead))
            future.exception()  # whoever waits sees it; nobody waiting is no error
        else:
            self._expected.append((match, future))
            future.add_done_callback(self._unexpect)
        return future

    def check(self) -> None:
        """Raise if the link is gone."""
        if self._dead is not None:
            raise LinkLost(self._dead)

    def adopt(self, slot: Slot, owner: SlotOwner) -> None:
        """Give a socket its owner, and the owner what came before it."""
        slot.owner = owner
        for event in self._early.pop(slot, ()):
            self._to_owner(slot, event)

    def disown(self, slot: Slot) -> None:
        """Forget a socket that is free again."""
        self._early.pop(slot, None)

    def kick(self) -> None:
        """Have the line looked at soon; many kicks in one turn of the loop are one."""
        if not self._kicked and self._dead is None:
            self._kicked = True
            self._loop.call_soon(self._on_kick)

    def dispatch(self, events: list[Event]) -> None:
        """Hand out what the session reports."""
        for event in events:
            try:
                self._dispatch(event)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {"message": f"handling {type(event).__name__} failed", "exception": exc}
                )

    def fail(self, reason: str) -> None:
        """Give the link up: everything that waits fails now."""
        if self._dead is not None:
            return
        self._dead = reason
        logger.log(logging.DEBUG if self._stopping.is_set() else logging.WARNING, "! %s", reason)
        if self._watchdog is not None:
            self._watchdog.cancel()
        self.dispatch(self.session.fail(lambda: LinkLost(reason), self.time()))
        self._fail_expected(lambda: LinkLost(reason))
        self._early.clear()
        self.hub.close()

    async def _supervise(self, ready: asyncio.Future[None]) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(self._read_forever)
                if not ready.done():
                    ready.set_result(None)
                await self._stopping.wait()
                group.cancel_scope.cancel()
        finally:
            self._group = None
            name = self._link.name
            self.fail(f"{name} was still open when its event loop ended; use 'async with'")
            await self._link.aclose()

    async def _guarded(
        self, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[object, ...]
    ) -> None:
        try:
            await function(*args)
        except ModemError as exc:
            logger.debug("! %s: %s", function.__name__, exc)
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"{function.__name__} failed", "exception": exc}
            )

    async def _read_forever(self) -> None:
        try:
            while True:
                data = await self._link.receive()
                if logger.isEnabledFor(logging.DEBUG):
                    logger.debug("< %s", trace.received(data))
                self._last_input = self.time()
                self.dispatch(self.session.feed(data, self._last_input))
                self._pump()
                await asyncio.sleep(0)  # a flood must not starve the rest of the loop
        except LinkLost as exc:
            self.fail(exc.strerror or str(exc))
        except Exception as exc:
            self._give_up(exc)

    def _give_up(self, exc: Exception) -> None:
        """End the modem because of a bug of ours, or everything would wait for ever."""
        self._loop.call_exception_handler({"message": "aiobc9x has failed", "exception": exc})
        self.fail(f"an internal error: {exc!r}")

    def _on_kick(self) -> None:
        self._kicked = False
        try:
            self._pump()
        except Exception as exc:
            self._give_up(exc)

    def _pump(self) -> None:
        """Write what is due, and set the watchdog."""
        if self._dead is not None:
            return
        now = self.time()
        while (data := self.session.next_output(now)) is not None:
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("> %s", trace.sent(data))
            self._link.write(data)
        self.dispatch(self.session.take_events())
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        deadline = self.session.deadline()
        if deadline is not None and deadline != float("inf"):
            when = max(deadline, now + 0.001)
            self._watchdog = self._loop.call_at(when, self._on_watchdog, when)

    def _on_watchdog(self, when: float) -> None:
        self._watchdog = None
        now = self.time()
        if now - when > STALL_S:
            self._watchdog = self._loop.call_at(now + STALL_S, self._on_watchdog, now + STALL_S)
            return
        try:
            self.dispatch(self.session.advance(now))
            self._pump()
        except Exception as exc:
            self._give_up(exc)

    def _dispatch(self, event: Event) -> None:
        match event:
            case Finished(job, answer):
                future = self._futures.pop(job, None)
                if future is not None and not future.done():
                    future.set_result(answer)
            case UrcSeen(urc):
                self._on_urc(urc)
            case UnknownLine(text):
                logger.info("! unknown line %s", _shorten(text))
                self.hub.publish(Unknown(text))
            case Damaged(reason, data):
                logger.warning("! %s: %s", reason, _shorten(data))
            case OutOfStep(reason, is_sleep):
                logger.log(logging.DEBUG if is_sleep else logging.WARNING, "! %s", reason)
                self.hub.publish(StepLost(reason))
                if self.on_out_of_step is not None:
                    self.spawn(self.on_out_of_step, reason)
            case Restarted(banner):
                self._on_restarted(banner)
            case _:
                self._to_slot(event.slot, event)

    def _to_slot(self, slot: Slot, event: Event) -> None:
        if slot.owner is not None:
            self._to_owner(slot, event)
        elif isinstance(event, DataReceived | Drained | Failed):
            self._early.setdefault(slot, []).append(event)

    def _to_owner(self, slot: Slot, event: Event) -> None:
        owner = owner_of(slot)
        assert owner is not None
        match event:
            case DataReceived(_, data):
                owner.on_data(data)
            case Sent(_, size):
                owner.on_sent(size)
            case Drained():
                owner.on_drained()
            case Failed(_, error):
                owner.on_failed(error)
            case DatagramLost(_, reason):
                owner.on_datagram_lost(reason)
            case SendStalled() | SendRefused() | ReadRefused():
                owner.on_refused(event)

    def _on_urc(self, urc: Urc) -> None:
        for match, future in list(self._expected):
            if future.done():
                continue
            value = match(urc)
            if value is not None:
                future.set_result(value)
        self.on_urc(urc)
        self.hub.publish(urc)

    def _on_restarted(self, banner: str) -> None:
        expected = self.on_restarted is None  # a module that was just switched on
        logger.log(logging.INFO if expected else logging.WARNING, "! restarted: %s", banner)
        self._early.clear()
        self._fail_expected(lambda: ModuleReset(f"the module restarted ({banner})"))
        self.hub.publish(Reset(banner))
        if self.on_restarted is not None:
            self.spawn(self.on_restarted, banner)

    def _fail_expected(self, error: Callable[[], ModemError]) -> None:
        for _, future in list(self._expected):
            if not future.done():
                future.set_exception(error())
                future.exception()  # whoever waits sees it; nobody waiting is no error
        self._expected.clear()

    def _unexpect(self, future: asyncio.Future[Any]) -> None:
        self._expected = [pair for pair in self._expected if pair[1] is not future]


def _shorten(data: bytes, limit: int = 120) -> str:
    shown = repr(data[:limit])[1:]
    return shown if len(data) <= limit else f"{shown} and {len(data) - limit} bytes more"
