"""Stages: a timeout names what was being waited for."""

from __future__ import annotations

import asyncio
import math

import pytest

from aiobc9x.aio.stages import Stage, timing
from aiobc9x.errors import StageTimeout
from tests.support.clock import virtual


@virtual
async def test_the_timeout_names_the_stage_and_what_to_do() -> None:
    """Of several stages, the last one."""

    async def run() -> None:
        async with timing(2.0) as stage:
            stage.name = "in the first"
            await asyncio.sleep(1)
            stage.name, stage.hint = "in the second", "do something"
            await asyncio.sleep(10)

    with pytest.raises(StageTimeout, match=r"after 2 s, in the second") as caught:
        await run()
    assert "do something" in str(caught.value)


@virtual
async def test_a_timeout_that_has_a_text_passes() -> None:
    """It knows more than the stage does."""
    with pytest.raises(TimeoutError, match=r"^of another$") as caught:
        async with timing(2.0):
            raise TimeoutError("of another")
    assert not isinstance(caught.value, StageTimeout)


@virtual
async def test_without_a_limit_every_timeout_passes() -> None:
    """There is no time to name."""
    with pytest.raises(TimeoutError) as caught:
        async with timing(None):
            raise TimeoutError
    assert not isinstance(caught.value, StageTimeout)


@virtual
async def test_a_stage_begins_without_a_name() -> None:
    """Whoever times a call gives its stages their names."""
    async with timing(1) as stage:
        assert stage == Stage("", "")


@virtual
async def test_what_is_no_time_is_refused() -> None:
    """Before anything runs."""
    with pytest.raises(ValueError, match="timeout is nan"):
        async with timing(math.nan):
            pytest.fail("it ran")
