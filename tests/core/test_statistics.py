"""Statistics: counters, documented by name."""

import dataclasses

import pytest

from aiobc9x.core.statistics import Statistics

NAMES = [field.name for field in dataclasses.fields(Statistics)]


@pytest.mark.parametrize("name", NAMES)
def test_a_counter_starts_at_0(name: str) -> None:
    """Nothing has happened yet."""
    assert getattr(Statistics(), name) == 0


def test_every_counter_is_documented_and_nothing_else() -> None:
    """The docstring lists the counters in their order."""
    text = (Statistics.__doc__ or "").partition("Attributes:")[2]
    listed = [row.strip().split(":")[0] for row in text.splitlines() if ": " in row]
    assert listed == NAMES


def test_two_links_count_apart() -> None:
    """Counters belong to one link."""
    one, other = Statistics(), Statistics()
    one.reads += 1
    assert (one.reads, other.reads) == (1, 0)


def test_a_misspelt_counter_is_an_error() -> None:
    """It would count in silence otherwise."""
    with pytest.raises(AttributeError):
        setattr(Statistics(), "raeds", 1)  # noqa: B010
