"""One input for the framer: four bytes that choose cuts and rules, then what the line says.

What is checked is the same as in :mod:`tests.wire.fuzz`: both forms of the framer give the same
frames and states, and where the rules stay, those of the reference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from aiobc9x.wire.framer import Framer
from tests.wire.fuzz import changing, rules, steady

CONTROL_BYTES = 4


def one_input(data: bytes, makers: Sequence[Callable[[], Framer]] = (Framer,)) -> None:
    """Feed one input; raise if what comes of it is wrong."""
    control, said = data[:CONTROL_BYTES], data[CONTROL_BYTES:]
    dice = random.Random(control)
    changing(dice, makers, said)
    steady(dice, makers, said, rules(dice))
