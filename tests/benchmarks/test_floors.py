"""The regression gate: ratios of the framer may not fall below those of the last release."""

import pytest

from aiobc9x.wire.framer import COMPILED
from benchmarks import bench_framer_cold as bench
from benchmarks.workloads import CHUNK_SIZES_BYTES, NAMES


def found(form: str, ratio: float) -> bench.Found:
    """A measurement in which every ratio is the same."""
    cell: bench.Ratios = {(other, form): ratio for other in bench.OTHERS}
    return {(name, size): cell for name in NAMES for size in CHUNK_SIZES_BYTES}


@pytest.mark.parametrize("form", bench.FORMS)
def test_each_demand_has_a_floor(form: str) -> None:
    """So that no ratio falls unseen."""
    assert {*bench.measured(found(form, 1.0))} <= {*bench.floors()}


@pytest.mark.parametrize("form", bench.FORMS)
def test_what_falls_by_more_than_noise_is_named(form: str) -> None:
    """With what it was before."""
    keys = [f"{form}: {demand.name}" for demand in bench.DEMANDS]
    least = dict.fromkeys(keys, 2.0)
    assert bench.fallen_below(found(form, 2.0 * bench.SLACK), least) == []
    fallen = bench.fallen_below(found(form, 1.5), least)
    assert fallen == [f"{key} 1.50 of 2.00" for key in keys]


def test_both_forms_are_measured_where_both_are_here() -> None:
    """And each contender once."""
    forms = {"c", "py"} if COMPILED else {"py"}
    assert {*bench.makers()} == {*forms, *bench.OTHERS}
