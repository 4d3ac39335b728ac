"""No cell of the table breaks its promise; the page has the cells that the code has.

The seeds are fresh in each run of the tests, and a failure names its seed:
``python -m tests.reliability --fault wedged --position idle --first SEED --seeds 1``.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest

from tests.reliability import table
from tests.reliability.positions import POSITIONS
from tests.reliability.promises import PROMISES
from tests.reliability.runs import cells, run_cell
from tests.reliability.strikes import STRIKES, Strike

RUNS: Final = 2
"""Runs of each cell; 200 are run by hand, for the page."""


@pytest.mark.parametrize("strike", STRIKES, ids=lambda strike: strike.name)
def test_promises_are_kept(strike: Strike) -> None:
    """At every position: what the program sees, and when the modem is back."""
    seeds = random.sample(range(1_000_000), RUNS)
    done = [run_cell(position, each, seeds) for position, each in cells() if each is strike]
    # That it never struck is seen in 200 runs, not in two.
    told = [text for cell in done for text in table.broken(cell) if "never struck" not in text]
    assert told == []


def test_each_fault_has_a_promise() -> None:
    """Neither is there without the other."""
    assert list(PROMISES) == [strike.name for strike in STRIKES]


def test_the_page_has_every_cell() -> None:
    """And no other; ``--write`` makes it anew."""
    known = {(strike.name, position.name) for position, strike in cells()}
    assert table.in_page(table.PAGE.read_text("utf-8")) == known


def test_a_broken_promise_is_told() -> None:
    """Else the tests above would prove nothing."""
    cell = run_cell(POSITIONS[0], STRIKES[0], [1])
    assert table.broken(cell) == []
    cell.back_s, cell.worst["back_s"] = 1e6, "idle/a line is lost/1"
    cell.saw["EOFError"] += 1
    cell.failures.append(("idle/a line is lost/2", "Broken: wrong bytes"))
    assert len(table.broken(cell)) == 3


def test_written_tables_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``--write`` puts into a page is what is found there; the rest of it stays."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", "utf-8")
    monkeypatch.setattr(table, "PAGE", page)
    cell = run_cell(POSITIONS[0], STRIKES[0], [1])
    table.write(table.lines([cell]))
    text = page.read_text("utf-8")
    assert table.in_page(text) == {("a line is lost", "idle")}
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text


def test_runs_add_up(tmp_path: Path) -> None:
    """What ``--add`` keeps in a file is what all runs together would have given."""
    file = tmp_path / "runs.json"
    position, strike = POSITIONS[0], STRIKES[0]
    together = run_cell(position, strike, [1, 2, 3, 4])
    table.added(file, [run_cell(position, strike, [1, 2])])
    (both,) = table.added(file, [run_cell(position, strike, [3, 4])])
    assert table.load(file) == [both]
    assert both.saw == together.saw
    assert both.back_s == together.back_s
    assert both.worst == together.worst
    assert both.first.keys() == together.first.keys()
