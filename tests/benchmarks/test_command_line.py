"""The benchmarks' command line, tables and pictures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import __main__ as program
from benchmarks import bench_framer, harness, pictures
from benchmarks.harness import Options, Plot, Table

TABLE = Table(("name", "size", "time_ns"), [("a", 1, 2.5), ("a", 10, 5.0), ("b", 1, 7.25)])
PLOT = Plot("size", "time_ns", "bytes", "ns", series="name", log="xy", names={"a": "first"})


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A benchmark that costs nothing; the name of its module."""
    module = ModuleType("quick", "How quick is nothing?\n\nVery.")

    def tables(options: Options) -> Iterator[Table]:
        yield TABLE._replace(title=f"seed {options.seed}, {options.rounds} rounds")
        yield Table(("smoke",), iter([(options.smoke,)]))

    module.tables = tables  # type: ignore[attr-defined]  # modules take anything
    module.PLOTS = (PLOT,)  # type: ignore[attr-defined]  # see above
    monkeypatch.setitem(sys.modules, "quick", module)
    return "quick"


class TestList:
    """``python -m benchmarks`` says what there is."""

    def test_each_benchmark_is_listed_with_its_question(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Every module is there."""
        program.main([])
        said = capsys.readouterr().out
        folder = Path(program.__file__).parent
        names = [path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py")]
        assert {"framer", "framer_memory", "stack"} <= {*names} == {*program.found()}
        for name, asked in program.found().items():
            assert name in said
            assert asked
            assert asked in said

    def test_an_unknown_name_is_an_error_that_names_the_others(self) -> None:
        """With a status."""
        with pytest.raises(SystemExit, match=r"no benchmark 'nothing'.*framer") as caught:
            program.main(["nothing"])
        assert caught.value.code

    def test_smoke_alone_runs_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Briefly, as CI does."""
        ran: list[tuple[str, list[str]]] = []
        monkeypatch.setattr(program, "one", lambda name, options: ran.append((name, [*options])))
        program.main(["--smoke"])
        assert ran == [(name, ["--smoke"]) for name in program.found()]

    def test_a_real_one_runs(self) -> None:
        """In a process of its own, with JSON and nothing else on its output."""
        command = [sys.executable, "-m", "benchmarks", "framer_readers"]
        command += ["--smoke", "--json", "--seed", "5"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        report = json.loads(done.stdout)
        assert report["seed"] == 5
        assert report["question"].endswith("?")
        (table,) = report["tables"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])


class TestRun:
    """What all benchmarks share."""

    def test_tables_are_printed_with_the_seed(
        self, benchmark: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Which repeats the run."""
        harness.run(benchmark, ["--seed", "7", "--rounds", "3"])
        said = capsys.readouterr()
        assert "--seed 7" in said.err
        assert said.out.splitlines() == [
            "# seed 7, 3 rounds",
            "name\tsize\ttime_ns",
            "a\t1\t2.5",
            "a\t10\t5",
            "b\t1\t7.25",
            "",
            "smoke",
            "False",
        ]

    def test_seeds_are_fresh_and_smoke_is_one_round(
        self, benchmark: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """So that nobody tunes to one."""
        titles = set()
        for _ in range(5):
            harness.run(benchmark, ["--smoke", "--json"])
            report = json.loads(capsys.readouterr().out)
            assert report["rounds"] == 1
            assert report["tables"][1]["rows"] == [[True]]
            titles.add(report["tables"][0]["title"])
        assert len(titles) > 1

    @pytest.mark.parametrize("options", [["--rounds", "0"], ["--rounds", "x"], ["--nothing"]])
    def test_a_wrong_option_is_an_error(self, benchmark: str, options: list[str]) -> None:
        """Before anything is measured."""
        with pytest.raises(SystemExit) as caught:
            harness.run(benchmark, options)
        assert caught.value.code

    def test_what_is_compared_runs_in_turns(self) -> None:
        """Each as often, and the ratio is that of each round."""
        ran: list[str] = []
        runs = {name: (lambda name=name: ran.append(name)) for name in "ab"}
        times = harness.in_turns(runs, rounds=3, round_seconds=0)
        assert ran[-6:] == [*"ababab"]
        assert {name: len(each) for name, each in times.items()} == {"a": 3, "b": 3}
        assert harness.ratio([2, 6, 9], [1, 2, 9]) == 2

    @pytest.mark.parametrize(
        ("got", "most", "words"),
        [(1.0, False, "no"), (2.0, False, "must"), (3.0, False, "stretch"), (1.0, True, "stretch")],
    )
    def test_a_demand_is_met_or_not(self, got: float, most: bool, words: str) -> None:
        """By its two bounds."""
        demand = bench_framer.Demand("x", lambda _: got, 2.0, 3.0, most)
        assert bench_framer.verdict(demand, got) == words


class TestPictures:
    """``--plot FILE``."""

    @pytest.mark.parametrize("suffix", pictures.SUFFIXES)
    def test_the_same_figures_give_the_same_picture(
        self, benchmark: str, tmp_path: Path, suffix: str
    ) -> None:
        """Byte for byte: no date, no random names."""
        pytest.importorskip("matplotlib")
        paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for path in paths:
            harness.run(benchmark, ["--plot", str(path)])
        first, second = (path.read_bytes() for path in paths)
        assert first == second
        assert len(first) > 1000

    def test_labels_have_units(self, benchmark: str, tmp_path: Path) -> None:
        """And lines have their names."""
        pytest.importorskip("matplotlib")
        path = tmp_path / "a.svg"
        harness.run(benchmark, ["--plot", str(path)])
        text = path.read_text()
        assert all(f">{word}<" in text for word in ("bytes", "ns", "first", "b"))

    def test_a_missing_matplotlib_names_the_extra(
        self, benchmark: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before minutes of measuring."""
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(SystemExit, match=r"aiobc9x\[plot\]"):
            harness.run(benchmark, ["--plot", "a.svg"])

    def test_another_suffix_is_an_error(self, benchmark: str) -> None:
        """It would be another format."""
        with pytest.raises(SystemExit, match=r"\.svg or \.png"):
            harness.run(benchmark, ["--plot", "a.gif"])

    def test_only_some_rows_are_drawn_if_asked(self) -> None:
        """Of the columns that the plot names."""
        plot = Plot("size", ["time_ns"], "", "", only={"name": "a"})
        assert pictures.lines_of(plot, TABLE) == {"time_ns": [(1, 2.5), (10, 5.0)]}

    def test_the_framers_plots_name_columns_of_its_table(self) -> None:
        """A wrong name would be found after minutes."""
        for plot in bench_framer.PLOTS:
            columns = [plot.y] if isinstance(plot.y, str) else plot.y
            assert {plot.x, *columns, *plot.only} <= {*bench_framer.COLUMNS}
