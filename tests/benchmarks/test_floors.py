"""The gate that compares the framer's speed with the last release's."""

import json
import sys

import pytest

from aiobc9x.wire.framer import COMPILED, Framer
from benchmarks import bench_framer_floors as gate
from benchmarks.bench_framer_floors import CELLS, floors, is_met, key_of
from benchmarks.contenders.forms import in_python
from benchmarks.harness import Options


def test_each_cell_has_a_floor_in_either_form() -> None:
    """And no other has one."""
    keys = {key_of(form, *cell) for form in ("compiled", "pure") for cell in CELLS}
    known = json.loads(gate.FILE.read_text("utf-8"))
    assert known
    assert all({*each} == keys for each in known.values())


def test_a_python_without_floors_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it measures."""
    monkeypatch.setattr(sys, "version_info", (4, 0))
    assert floors() == {}
    for table in gate.tables(Options(1, 0, smoke=True)):
        assert {row[-1] for row in table.rows} == {"yes"}


@pytest.mark.parametrize(("got", "is_good"), [(2.0, True), (1.81, True), (1.79, False)])
def test_noise_is_allowed_for(got: float, is_good: bool) -> None:
    """A tenth here."""
    assert is_met(got, 2.0, 0.1) is is_good


def test_who_is_slower_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is named."""
    keys = [key_of(form, *cell) for form in ("compiled", "pure") for cell in CELLS]
    monkeypatch.setattr(gate, "floors", lambda: dict.fromkeys(keys, 1000.0))
    tables = gate.tables(Options(1, 0, smoke=True))
    assert {row[-1] for row in next(tables).rows} == {"no"}
    with pytest.raises(SystemExit, match="pure gateway 64"):
        next(tables)


def test_the_python_form_is_python() -> None:
    """Frames included, and the usual modules are left as they are."""
    (line,) = in_python()().feed(b"OK\r\n")
    assert (type(line) is type(Framer().feed(b"OK\r\n")[0])) is not COMPILED
    assert type(line).__init__.__code__.co_filename.endswith("frames.py")
