"""Tests under the test kit's virtual clock, on a loop that shows what they leave behind.

A test under it takes as long as its computations, however many seconds it waits, and
every timer fires at its own time to the microsecond. When nothing is ready and no timer
is set, nothing will ever happen again: the loop says so instead of hanging.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
from collections.abc import Callable, Collection, Coroutine
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, cast

from aiobc9x.sim.virtual_clock import VirtualClock

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

SETTLE_S = 20.0
"""Virtual seconds that a test's tasks have to end by themselves."""


class _NoThreads(ThreadPoolExecutor):
    """Runs what it is given at once, since a thread would take real time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[T]:
        future: futures.Future[T] = futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as exc:
            future.set_exception(exc)
        return future


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual time; what is meant for a thread is done at once.

    Attributes:
        clock: The kit's clock, which the loop has all its life. It shows 1000 s at first.
        errors: What was reported to the exception handler and not yet looked at.
        timers_set: How many timers have been set.

    """

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []  # Any: the context of a report holds anything
        self.timers_set = 0
        super().__init__()
        self.clock = VirtualClock(self, now=1000.0)
        self.clock.__enter__()
        self.set_default_executor(_NoThreads())
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    @property
    def now(self) -> float:
        """The virtual time in seconds."""
        return self.clock.time()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: no thread has been started, and one that waits for them takes real time."""

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer, and count it."""
        self.timers_set += 1
        return super().call_at(when, callback, *args, context=context)


def running() -> VirtualLoop:
    """Return the virtual loop that runs."""
    return cast(VirtualLoop, asyncio.get_running_loop())


def take_errors() -> list[dict[str, Any]]:
    """Return what was reported to the loop's exception handler, and forget it."""
    loop = running()
    errors, loop.errors = loop.errors, []
    return errors


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks but the calling one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def no_task_left(before: Collection[asyncio.Task[Any]] = ()) -> None:
    """Fail if tasks that ``before`` lacks don't end in :data:`SETTLE_S` virtual seconds."""
    left = other_tasks().difference(before)
    if left:
        _, left = await asyncio.wait(left, timeout=SETTLE_S)
    assert not left, f"tasks are left: {left}"


async def _checked(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    await no_task_left()
    gc.collect(1)  # a future nobody has asked reports itself when it is collected
    await asyncio.sleep(0)
    errors = take_errors()
    assert not errors, f"reported to the loop's exception handler: {errors}"
    return result


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual loop.

    Fails if it leaves tasks behind, or errors in the loop's exception handler.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_checked(main))


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a coroutine function a test that runs under the virtual clock."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    # pytest takes parameters from the signature; what is behind it is no async test.
    wrapper.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    del wrapper.__wrapped__
    return wrapper
