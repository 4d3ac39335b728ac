"""A loop that has been given virtual time, and has its own back."""

import asyncio

import pytest

from aiobc9x.sim.virtual_clock import Deadlock, VirtualClock


async def test_waits_take_no_time_and_keep_their_order() -> None:
    """Each timer fires at its own moment."""
    loop = asyncio.get_running_loop()
    fired: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        began = loop.time()
        await asyncio.sleep(seconds)
        fired.append((name, round(loop.time() - began, 3)))

    with VirtualClock(loop):
        await asyncio.gather(wait("late", 7200), wait("soon", 0.5), wait("day", 86400))
    assert fired == [("soon", 0.5), ("late", 7200.0), ("day", 86400.0)]


async def test_a_timer_outlives_virtual_time() -> None:
    """It keeps its distance from now, so that it is not a day late, nor at once."""
    loop = asyncio.get_running_loop()
    with VirtualClock() as clock:
        await asyncio.sleep(86400)
        handle = loop.call_later(50, lambda: None)
        assert clock.time() == loop.time()
    assert 0 < handle.when() - loop.time() <= 50
    handle.cancel()


async def test_it_begins_where_it_is_told_to() -> None:
    """With timers that were set before as far away as they were."""
    loop = asyncio.get_running_loop()
    handle = loop.call_later(50, lambda: None)
    with VirtualClock(now=1000.0) as clock:
        assert clock.time() == 1000.0
        assert 1000 < handle.when() <= 1050
        await asyncio.sleep(40)
        assert clock.time() == pytest.approx(1040.0, abs=0.001)
    assert handle.when() - loop.time() <= 10
    handle.cancel()


async def test_what_can_never_happen_is_said() -> None:
    """Rather than a hang; the tasks that wait are named."""
    loop = asyncio.new_event_loop()

    async def wait_for_ever() -> None:
        with VirtualClock():
            await asyncio.Event().wait()

    def run() -> None:
        try:
            loop.run_until_complete(wait_for_ever())
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    with pytest.raises(Deadlock, match="nothing can ever happen again, and these wait: Task-"):
        await asyncio.to_thread(run)
