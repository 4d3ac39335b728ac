"""Cancel a coroutine at each of its steps, one run for each.

A step is a moment at which the coroutine waits. Two moments matter at each: while it
waits, and when what it waits for has just come but the coroutine hasn't run yet.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

import pytest

T = TypeVar("T")


class TooLong(AssertionError):
    """A call has not ended in the time that it had."""


class Moment(enum.Enum):
    """When at a step the cancellation comes."""

    WAITING = "while it waits"
    DONE = "when it has just come"


BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())


class CancelledAt(Generic[T]):
    """Awaits a coroutine and has the task cancelled at its step number ``step``.

    Attributes:
        reached: Whether the coroutine has come so far.

    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        step: int,
        moment: Moment,
        at_step: Callable[[], object],
    ) -> None:
        self._coroutine, self._step, self._moment = coroutine, step, moment
        self._at_step = at_step
        self.reached = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Run the coroutine by hand; what it yields and gets goes through."""
        step, error, value = 0, None, None
        while True:
            try:
                waits_for = (
                    self._coroutine.send(value) if error is None else self._coroutine.throw(error)
                )
            except StopIteration as stop:
                result: T = stop.value
                return result
            if step == self._step:
                self._at_step()
                self._cancel(waits_for)
            step += 1
            error = value = None
            try:
                value = yield waits_for
            except BaseException as exc:
                error = exc

    def _cancel(self, waits_for: asyncio.Future[Any] | None) -> None:
        self.reached = True
        task = asyncio.current_task()
        assert task is not None
        if self._moment is Moment.WAITING:
            task.cancel()
        elif waits_for is None:  # a bare yield, as of sleep(0)
            asyncio.get_running_loop().call_soon(task.cancel)
        else:  # before the task's own callback, which comes behind ours
            waits_for.add_done_callback(lambda _: task.cancel())


async def cancel_at(
    coroutine: Coroutine[Any, Any, T],
    step: int,
    moment: Moment,
    limit: float | None = None,
    at_step: Callable[[], object] = lambda: None,
) -> bool:
    """Run a coroutine and cancel it at a step.

    Args:
        coroutine: What to run.
        step: The number of the step, from 0.
        moment: When at the step.
        limit: Seconds that it may take in all; ``None``: as long as it takes.
        at_step: Called when the step is reached, right before the cancellation.

    Returns:
        Whether it was cancelled; ``False`` if it ended first, so that there are no more
        steps.

    Raises:
        TooLong: It has not ended in ``limit``; it was cancelled then.

    """
    run = CancelledAt(coroutine, step, moment, at_step)

    async def main() -> T:
        return await run

    task = asyncio.create_task(main(), name=f"cancelled at step {step} {moment.value}")
    _, running = await asyncio.wait([task], timeout=limit)
    if running:
        task.cancel()
        await asyncio.wait([task])
        raise TooLong(f"not over in {limit:g} s")
    if not task.cancelled():
        await task
    assert task.cancelled() is run.reached, "the cancellation was swallowed"
    return run.reached
