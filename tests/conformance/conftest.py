"""Loops of both kinds, each with a modem that stays."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.compare import Both
from tests.conformance.nets import module


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What makes a loop, by its name; uvloop has no Windows."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


@pytest.fixture(scope="session", params=list(loops()))
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    """asyncio's own transports and the module's, on a loop of each kind."""
    with asyncio.Runner(loop_factory=loops()[request.param]) as runner:
        stack = AsyncExitStack()
        ours = runner.run(stack.enter_async_context(module()))
        yield Both(runner, ours, request.param)
        runner.run(stack.aclose())
