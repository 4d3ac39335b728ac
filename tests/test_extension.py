"""The extension modules: built where they can be, missed by nobody where they can't."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PARTS: Final = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "aiobc9x")
ASK: Final = """
from aiobc9x.wire.framer import COMPILED, Framer
framer = Framer()
framer.push_sockets.add(1)
print(COMPILED, *framer.feed(b'OK\\r\\n+QIURC: "recv",1,2\\r\\nab'))
"""
FRAMES: Final = "Line(text=b'OK') Payload(connect_id=1, remaining=None, data=b'ab')"

_LOCK_OFF: Final = re.compile(
    r"(?:\{Py_mod_gil, |#else\n#define __Pyx_FREETHREADING_COMPATIBLE )Py_MOD_GIL_NOT_USED\b"
)
"""What Cython writes into a module that needs no lock: up to 3.1, and since."""

needs_compiler: Final = pytest.mark.skipif(
    not (os.environ.get("CC") or shutil.which("cc")) and "CI" not in os.environ,
    reason="no C compiler on this machine",
)


def project(folder: Path) -> Path:
    """Copy what is needed to build the package, and nothing that was built."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            built = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.stamp")
            shutil.copytree(ROOT / part, folder / part, ignore=built)
        else:
            shutil.copy(ROOT / part, folder)
    return folder


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder, with variables of the environment set."""
    inherited = {
        k: v for k, v in os.environ.items() if k not in {"AIOBC9X_EXTENSION", "PYTHONPATH"}
    }
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(folder), **variables},
    )


def build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build the extension modules in their place."""
    return run(folder, "setup.py", "-q", "build_ext", "--inplace", **variables)


def answer(folder: Path, **variables: str) -> str:
    """Say what a program sees: whether the framer is compiled, and what it frames."""
    done = run(folder, "-W", "error", "-c", ASK, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with its extension modules."""
    folder = project(tmp_path_factory.mktemp("built"))
    done = build(folder, AIOBC9X_EXTENSION="1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy of it, to spoil."""
    shutil.copytree(built / "aiobc9x", tmp_path / "aiobc9x")
    return tmp_path


@needs_compiler
class TestBuilt:
    """What a machine with a compiler gets."""

    def test_the_framer_is_compiled(self, built: Path) -> None:
        """And frames what the other does."""
        assert answer(built) == answer(built, AIOBC9X_EXTENSION="1") == f"True {FRAMES}"

    def test_it_can_be_switched_off(self, built: Path) -> None:
        """To debug or profile."""
        assert answer(built, AIOBC9X_EXTENSION="0") == f"False {FRAMES}"

    @pytest.mark.parametrize(("wanted", "words"), [("1", "compiled"), ("0", "pure Python")])
    def test_the_version_says_which_it_is(self, built: Path, wanted: str, words: str) -> None:
        """For reports of faults."""
        done = run(built, "-m", "aiobc9x", "--version", AIOBC9X_EXTENSION=wanted)
        assert f"({words} framer)" in done.stdout

    @pytest.mark.parametrize("name", ["frames.py", "framer.pxd"])
    def test_a_stale_one_is_not_imported(self, copied: Path, name: str) -> None:
        """The sources have changed since."""
        path = copied / "aiobc9x" / "wire" / name
        path.write_text(path.read_text("utf-8") + "\n", "utf-8")
        assert answer(copied) == f"False {FRAMES}"
        assert "other sources" in run(copied, "-c", ASK, AIOBC9X_EXTENSION="1").stderr

    @pytest.mark.parametrize("name", ["frames", "framer"])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_half_a_one_is_not_imported(self, copied: Path, name: str, share: float) -> None:
        """The system's loader would crash or refuse it."""
        (path,) = (p for p in (copied / "aiobc9x" / "wire").glob(f"{name}.*") if is_built(p))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        assert answer(copied) == f"False {FRAMES}"

    def test_a_build_that_fails_leaves_nothing_half(self, built: Path, tmp_path: Path) -> None:
        """What was there before is no good for the new sources."""
        folder = project(tmp_path)
        shutil.copytree(built / "aiobc9x", folder / "aiobc9x", dirs_exist_ok=True)
        pxd = folder / "aiobc9x" / "wire" / "framer.pxd"
        pxd.write_text(pxd.read_text("utf-8") + "cdef int nonsense(\n", "utf-8")
        assert build(folder, AIOBC9X_EXTENSION="1").returncode
        assert answer(folder) == f"False {FRAMES}"

    def test_free_threaded_pythons_keep_the_lock_off(self, built: Path) -> None:
        """The modules say so; a Python without the lock prints a warning if they don't."""
        sources = [*(built / "build" / "cython").rglob("*.c")]
        assert len(sources) == 2
        for source in sources:
            assert _LOCK_OFF.search(source.read_text("utf-8"))


def is_built(path: Path) -> bool:
    """Tell an extension module from its sources and its stamp."""
    return path.suffix in {".so", ".pyd"}


class TestNotBuilt:
    """What a machine without a compiler gets, as a small container is."""

    @pytest.fixture
    def bare(self, tmp_path: Path) -> Path:
        """The project, nothing built."""
        return project(tmp_path)

    def test_it_is_installed_without(self, bare: Path) -> None:
        """Without a word of alarm."""
        done = build(bare, PATH="", CC="")
        assert done.returncode == 0, done.stderr
        assert "error" not in (done.stdout + done.stderr).lower()
        assert "warning" not in (done.stdout + done.stderr).lower()
        assert answer(bare) == f"False {FRAMES}"

    def test_it_is_installed_without_cython_too(self, bare: Path) -> None:
        """Where somebody builds without an environment of its own."""
        (bare / "Cython.py").write_text("raise ImportError")
        assert build(bare).returncode == 0
        assert build(bare, AIOBC9X_EXTENSION="1").returncode
        assert answer(bare) == f"False {FRAMES}"

    def test_it_fails_if_it_is_demanded(self, bare: Path) -> None:
        """And nothing is left behind that could be imported."""
        assert build(bare, PATH="", CC="", AIOBC9X_EXTENSION="1").returncode
        assert answer(bare) == f"False {FRAMES}"

    def test_none_is_built_if_none_is_wanted(self, bare: Path) -> None:
        """What an earlier build left goes."""
        left = bare / "aiobc9x" / "wire" / "framer.abi3.so"
        left.write_bytes(b"of an earlier build")
        assert build(bare, AIOBC9X_EXTENSION="0").returncode == 0
        assert not [path for path in (bare / "aiobc9x" / "wire").iterdir() if is_built(path)]


@pytest.mark.parametrize(
    ("variables", "is_compiled"),
    [
        pytest.param({"AIOBC9X_EXTENSION": "1"}, True, marks=needs_compiler),
        ({"AIOBC9X_EXTENSION": "0"}, False),
        ({"PATH": "", "CC": ""}, False),
    ],
)
def test_an_editable_installation(
    tmp_path: Path, variables: dict[str, str], is_compiled: bool
) -> None:
    """As ``make test`` makes one in a fresh clone: the modules are built beside their sources."""
    folder = project(tmp_path)
    code = "from setuptools.build_meta import build_editable; build_editable('dist')"
    done = run(folder, "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    assert answer(folder) == f"{is_compiled} {FRAMES}"


@needs_compiler
@pytest.mark.parametrize(("wanted", "is_pure"), [("1", False), ("0", True)])
def test_wheels(tmp_path: Path, wanted: str, is_pure: bool) -> None:
    """One for any Python, and one with the extension modules, their sources and stamps."""
    folder = project(tmp_path)
    code = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    done = run(folder, "-c", code, AIOBC9X_EXTENSION=wanted)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name.endswith("-none-any.whl") is is_pure
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
        suffixes = {Path(name).suffix for name in archive.namelist()}
    assert suffixes.isdisjoint({".so", ".pyd"}) is is_pure
    assert answer(installed) == f"{not is_pure} {FRAMES}"
    assert (installed / "aiobc9x" / "wire" / "framer.pxd").exists()
