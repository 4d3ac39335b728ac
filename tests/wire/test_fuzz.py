"""The fuzz itself, for as long as a test may take; CI runs it on either form."""

import pytest

from aiobc9x.wire.framer import COMPILED, Framer
from tests.wire.fuzz import in_python, trial


@pytest.mark.parametrize("block", range(4))
def test_both_forms_and_the_reference_agree(block: int) -> None:
    """Whatever comes, under whatever rules."""
    makers = (Framer, in_python()) if COMPILED else (Framer,)
    for seed in range(block * 25, block * 25 + 25):
        trial(seed, makers)


def test_a_difference_is_found() -> None:
    """Between a framer that knows a socket in push mode and one that doesn't."""

    def pushing() -> Framer:
        framer = Framer()
        framer.push_sockets.add(3)
        return framer

    def search() -> None:
        for seed in range(50):
            trial(seed, (Framer, pushing))

    with pytest.raises(AssertionError):
        search()
