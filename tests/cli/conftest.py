"""What each test of a command begins and ends with: the logger as it was, no program left."""

import logging
from collections.abc import Iterator

import pytest

from tests.support import terminals


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command did to the library's logger."""
    logger = logging.getLogger("aiobc9x")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(autouse=True)
def no_terminal_left() -> Iterator[None]:
    """End what a failed test has left in a terminal, so that one failure isn't told as two."""
    yield
    while terminals.STARTED:
        terminals.STARTED.pop().close(force=True)
