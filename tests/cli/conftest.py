"""What tests of commands share: no program is left in a terminal, and waits take no time."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aiobc9x.sim import links
from aiobc9x.sim.options import SimOptions, parse_address
from tests.support import terminals
from tests.support.clock import VirtualLoop


@pytest.fixture(autouse=True)
def no_terminal_left() -> Iterator[None]:
    """End what a failed test has left in a terminal, so that one failure isn't told as two."""
    yield
    while terminals.STARTED:
        terminals.STARTED.pop().close(force=True)


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run commands under a virtual clock, so that no wait of theirs takes time, nor breaks.

    Lines of ``sim://`` are in memory then. Connections would need real time.
    """
    loops: list[VirtualLoop] = []

    def new_loop() -> VirtualLoop:
        loops.append(VirtualLoop())
        return loops[-1]

    def in_memory(address: str) -> SimOptions:
        return replace(parse_address(address), link="memory")

    monkeypatch.setattr(asyncio.events, "new_event_loop", new_loop)
    monkeypatch.setattr(links, "parse_address", in_memory)
    yield
    assert [error for loop in loops for error in loop.errors] == []
