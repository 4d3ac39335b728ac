"""Commands set up logging for their process; tests share one."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command did to the library's logger."""
    logger = logging.getLogger("aiobc9x")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before
