"""Changes: all that wait are woken, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from aiobc9x.aio.sockets.changes import Changes
from tests.support.clock import virtual


@virtual
async def test_all_that_wait_are_woken_in_their_order() -> None:
    """Whoever comes later waits for the next change."""
    changes = Changes()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await changes.wait()
        woken.append(number)

    changes.tell()
    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(1)
    changes.tell()
    late = asyncio.create_task(wait(3))
    await asyncio.sleep(1)
    assert woken == [0, 1, 2]
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    changes.tell()
    await asyncio.gather(*tasks)
    assert woken == [0, 1, 2]


def test_a_function_is_told_within_its_block() -> None:
    """It may end the block of another, or its own, while it is told."""
    changes = Changes()
    told: list[str] = []
    with changes.told(lambda: told.append("a")):
        changes.tell()
        with changes.told(lambda: told.append("b")):
            changes.tell()
        changes.tell()
    changes.tell()
    assert told == ["a", "a", "b", "a"]
