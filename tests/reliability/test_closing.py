"""A modem can be closed whatever has just gone wrong, and soon."""

from __future__ import annotations

import random
from typing import Final

import pytest

import aiobc9x
from tests.reliability.promises import CLOSE_AWAY_S, CLOSE_S
from tests.reliability.runs import cells, closed_amid
from tests.reliability.strikes import STRIKES, Strike
from tests.support.clock import run

LIMITS: Final = {
    aiobc9x.ModemState.UP.value: CLOSE_S,
    aiobc9x.ModemState.RECOVERING.value: CLOSE_AWAY_S,
    aiobc9x.ModemState.AWAY.value: CLOSE_AWAY_S,
}
"""Seconds that ``aclose()`` may take, by the state in which it is called."""


@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.name)
def test_it_closes_in_time(strike: Strike) -> None:
    """At every position, at a moment that a fresh seed draws; nobody waits for it then."""
    for position, each in cells():
        if each is strike:
            seed = f"{position.name}/{strike.name}/{random.randrange(1_000_000)}"
            state, took = run(closed_amid(position, strike, seed))
            assert took <= LIMITS[state], (seed, state)
