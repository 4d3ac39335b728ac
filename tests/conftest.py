"""What all tests share: leak checks, the logger as it was, and hypothesis profiles."""

import asyncio
import gc
import inspect
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dev", deadline=None)
# The same examples in each run, so that a red check has one cause: the change.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# A shell that starts the tests in the background has SIGINT ignored, and their children would
# inherit that: none could be ended as by Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SETTLE_S = 2.0
"""Transports and threads end a moment after the call that ends them."""


def open_files() -> dict[str, str]:
    """This process's file descriptors and what is behind each; none where /proc is missing."""
    found = {}
    folder = Path("/proc/self/fd")
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def new_files(before: dict[str, str]) -> list[str]:
    """What is open now and was not before, by name; empty if no more are open than before."""
    after = open_files()
    if len(after) <= len(before):
        return []
    return sorted(f"{fd} → {target}" for fd, target in after.items() - before.items())


def new_tasks(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """Tasks that run now and did not before, the calling one aside."""
    return asyncio.all_tasks() - before - {asyncio.current_task()}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell of modules that are long, which is a question and no error."""
    from tests.test_layers import long_modules

    for path, lines in sorted(long_modules().items()):
        advice = "split it, or say in tests/test_layers.py why it is one"
        terminalreporter.write_line(f"long: {path} has {lines} lines; {advice}")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command, which sets up logging for its process, did to the library's logger."""
    logger = logging.getLogger("aiobc9x")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)  # which also makes the loggers below forget what they are enabled for


@pytest.fixture(autouse=True)
def leak_check(request: pytest.FixtureRequest) -> None:
    """Check each async test; the others need no event loop and get none."""
    function = getattr(request, "function", None)
    if inspect.iscoroutinefunction(inspect.unwrap(function) if function else None):
        request.getfixturevalue("leaves_nothing_behind")


@pytest.fixture
async def leaves_nothing_behind() -> AsyncIterator[None]:
    """Fail a test whose tasks or file descriptors outlive it and its fixtures."""
    tasks, files = asyncio.all_tasks(), open_files()
    yield
    until = time.monotonic() + SETTLE_S
    while (new_tasks(tasks) or new_files(files)) and time.monotonic() < until:
        gc.collect()
        await asyncio.sleep(0.01)
    assert not new_tasks(tasks), "the test left tasks behind"
    assert not new_files(files), "the test left file descriptors open"


@pytest.fixture
def closes_its_files() -> Iterator[None]:
    """Fail a test without a loop of its own that leaves file descriptors open."""
    files = open_files()
    yield
    gc.collect()
    assert not new_files(files), "the test left file descriptors open"
