"""A program on the installed wheel passes the strict checks of mypy and of pyright.

basedpyright stands for pyright: it is the same checker, and its Node comes with it as a wheel,
where pyright's own package downloads one.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.public_api import MODULES, exported, find

CONSUMER: Final = Path(__file__).with_name("consumer.py")

needs_pyright: Final = pytest.mark.skipif(
    importlib.util.find_spec("basedpyright") is None and "CI" not in os.environ,
    reason="no basedpyright here: pip install --group types",
)


class Place(NamedTuple):
    """Where a consumer works: a folder with a program, and an environment with the wheel."""

    folder: Path
    python: Path

    def check(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a checker in the folder, which sees the environment as a shell would show it."""
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", *command],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": ""},
        )


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The wheel, installed beside the packages of this environment, and the program."""
    folder, home = tmp_path_factory.mktemp("consumer"), tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=os.name != "nt")
    python = Path(home, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
    paths = sysconfig.get_paths("venv", {"base": str(home), "platbase": str(home)})
    site = Path(paths["purelib"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # What is installed here in editable form, as this package, isn't found this way.
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"], "utf-8")
    (folder / "consumer.py").write_text(CONSUMER.read_text("utf-8"), "utf-8")
    settings = {"typeCheckingMode": "strict", "include": ["consumer.py"]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    return Place(folder, python)


@pytest.mark.timeout(600)
def test_mypy_is_content(place: Place) -> None:
    """With ``--strict``, and with the wheel's own types."""
    done = place.check("mypy", "--strict", "--python-executable", str(place.python), "consumer.py")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_pyright
@pytest.mark.timeout(600)
def test_pyright_is_content(place: Place) -> None:
    """In its strict mode."""
    done = place.check("basedpyright", "--project", str(place.folder))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_pyright
@pytest.mark.timeout(600)
def test_every_type_is_known(place: Place) -> None:
    """Of all that does not begin with ``_``, documented or not: no checker has to infer any."""
    done = place.check(
        *("basedpyright", "--verifytypes", "aiobc9x", "--ignoreexternal", "--outputjson")
    )
    report: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    assert len(report["symbols"]) > 1000
    causes = {
        symbol["name"]: each["message"]
        for symbol in report["symbols"]
        for each in symbol["diagnostics"]
        # What has an unknown type in turn is mended with it.
        if each["severity"] == "error" and "partially unknown" not in each["message"]
    }
    assert causes == {}


def test_the_program_uses_all_of_it() -> None:
    """Each name of the package itself, and each method of a modem."""
    tree = ast.parse(CONSUMER.read_text("utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(exported("aiobc9x")) - used == set()
    ((_, modem),) = find("aiobc9x", "Modem")
    assert isinstance(modem, ast.ClassDef)
    methods = {each.name for each in modem.body if hasattr(each, "name")}
    assert {name for name in methods if not name.startswith("_")} - used == set()


def test_the_program_imports_each_module() -> None:
    """Those apart that only have the names of another library, and that pytest loads."""
    same = {"aiobc9x.adapters.httpcore2", "aiobc9x.adapters.httpx2", "aiobc9x.pytest_plugin"}
    tree = ast.parse(CONSUMER.read_text("utf-8"))
    imported = {
        place
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
        for place in (str(node.module), f"{node.module}.{each.name}")
    }
    assert set(MODULES) - imported - same == set()
