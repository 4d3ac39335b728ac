"""Random programs over the independent model of the module, in every condition.

A seeded driver rather than a state machine of hypothesis: a run has many actors at once in
virtual time, whose next step depends on timers and not on a sequence of rules; what makes a failure
small is the dialogue of one socket (``python -m tests.model --condition NAME --seeds N --socket
ID``), and a seed is the same run for everybody. By hand, more seeds:
``python -m tests.model --seeds 0-19999 --jobs 2``.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import pytest

from tests.model.conditions import CONDITIONS, Condition
from tests.model.driver import run
from tests.model.table import failure_of, failures_of
from tests.support.clock import run as run_virtually

SEEDS: Final = 500
BLOCK: Final = 100


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what the library says of thousands of faults out of the report."""
    caplog.set_level(logging.CRITICAL, "aiobc9x")


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_run_fails(condition: str, first: int) -> None:
    """Streams arrive whole or end by an error, every wait ends, and the modem works afterwards."""
    found = failures_of(condition, range(first, first + BLOCK))
    assert not found, "\n".join(f"{one.seed}: {one.why}" for one in found)


def test_a_seed_is_one_run() -> None:
    """A failure can be looked at again: the dialogue is the same, to the microsecond."""
    first: list[Any] = []
    second: list[Any] = []
    failure_of("all", 1, first)
    failure_of("all", 1, second)
    assert first[0].module.log == second[0].module.log


def test_what_nothing_excuses_is_noticed() -> None:
    """Lost bytes where none may get lost: if no run noticed, the programs would look at nothing."""
    for seed in range(50):
        try:
            run_virtually(run(seed, Condition("lost in secret", lost_down=0.02)))
        except AssertionError:
            return
    pytest.fail("50 runs with lost bytes pass as if the line were clean")
