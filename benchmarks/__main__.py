"""Run the benchmarks.

python -m benchmarks                     # which there are, and what each asks
python -m benchmarks NAME [--json] ...   # one; NAME --help has the options
python -m benchmarks --smoke             # all, briefly
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from benchmarks.harness import question, run

PREFIX = "bench_"


def found() -> dict[str, str]:
    """The benchmarks and their questions, by name; none is imported."""
    paths = sorted(Path(__file__).parent.glob(f"{PREFIX}*.py"))
    return {
        path.stem.removeprefix(PREFIX): question(ast.get_docstring(ast.parse(path.read_text())))
        for path in paths
    }


def main(argv: Sequence[str]) -> None:
    """List the benchmarks, or run one or all.

    Raises:
        SystemExit: There is no such benchmark, or an option is wrong; the status is not 0.

    """
    benchmarks = found()
    name, *options = argv or [""]
    name = name.removeprefix(PREFIX)
    if name in benchmarks:
        one(name, options)
    elif name == "--smoke" and not options:
        for each in benchmarks:
            print(f"\n== {each}", flush=True)
            one(each, ["--smoke"])
    elif name in {"", "-h", "--help"}:
        print(__doc__)
        width = max(map(len, benchmarks))
        for each, asked in benchmarks.items():
            print(f"{each:{width}}  {asked}")
    else:
        raise SystemExit(f"There is no benchmark {name!r}; there are: {', '.join(benchmarks)}")


def one(name: str, options: Sequence[str]) -> None:
    """Run a benchmark by name, with its options."""
    module = importlib.import_module(f"benchmarks.{PREFIX}{name}")
    if hasattr(module, "tables"):
        run(module.__name__, options)
    else:
        with patch.object(sys, "argv", [name, *options]):
            module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
