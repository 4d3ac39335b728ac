"""The kit's virtual clock for tests of the virtual module alone: it shows 0 at first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiobc9x.sim.virtual_clock import VirtualClock

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine is sent is nobody's business
    """Run a coroutine under a virtual clock."""
    runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
    with runner, VirtualClock(runner.get_loop(), now=0.0):
        return runner.run(main)
