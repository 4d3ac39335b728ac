"""The wheel holds the package and nothing else."""

import zipfile
from pathlib import Path
from typing import Final

import aiobc9x
from tests.support.pages import ROOT

NOT_IN_WHEELS: Final = {".so", ".pyd", ".stamp", ".pyc"}
"""What only a compiled wheel holds, or none."""


def names(wheel: Path) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_is_for_any_python(wheel: Path) -> None:
    """Built without a compiler, it fits every system; its version is the package's."""
    assert wheel.name == f"aiobc9x-{aiobc9x.__version__}-py3-none-any.whl"


def test_it_holds_the_package_whole(wheel: Path) -> None:
    """Types are declared, and neither tests nor benchmarks come along."""
    files = [path for path in (ROOT / "aiobc9x").rglob("*") if path.is_file()]
    wanted = {
        path.relative_to(ROOT).as_posix() for path in files if path.suffix not in NOT_IN_WHEELS
    }
    assert "aiobc9x/py.typed" in wanted
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert found == wanted
