"""Form: an extension module is imported only if it is complete and made from these sources."""

import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from aiobc9x.wire import _form
from aiobc9x.wire._form import MODULES, STAMP, VARIABLE, choose, extensions, fault, stamp_of

SUFFIX = EXTENSION_SUFFIXES[0]
PACKAGE = "formed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package's folder with sources and, as if compiled from them, extension modules."""
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / f"{name}.pxd").write_text("# types\n")
        (tmp_path / f"{name}{SUFFIX}").write_bytes(b"no machine code")
    for name in MODULES:
        path = tmp_path / f"{name}{SUFFIX}"
        (tmp_path / f"{path.name}{STAMP}").write_bytes(stamp_of(str(tmp_path), str(path)))
    return tmp_path


@pytest.fixture
def package() -> Iterator[ModuleType]:
    """The package, imported."""
    made = sys.modules[PACKAGE] = ModuleType(PACKAGE)
    yield made
    for name in (PACKAGE, *(f"{PACKAGE}.{name}" for name in MODULES)):
        sys.modules.pop(name, None)


def test_stamped_modules_are_good(folder: Path) -> None:
    """Nothing is imported in their place."""
    assert fault(str(folder)) is None
    choose(PACKAGE, str(folder), {})
    choose(PACKAGE, str(folder), {VARIABLE: "1"})
    assert PACKAGE not in sys.modules


@pytest.mark.parametrize(
    "name", [f"{name}{suffix}" for name in MODULES for suffix in (".py", ".pxd")]
)
def test_other_sources_are_a_fault(folder: Path, name: str) -> None:
    """Of either module: each is compiled with the types of both."""
    (folder / name).write_text((folder / name).read_text() + "\n")
    assert "other sources" in str(fault(str(folder)))


@pytest.mark.parametrize("name", MODULES)
def test_half_a_module_is_a_fault(folder: Path, name: str) -> None:
    """As a build leaves it that ends in the middle."""
    path = folder / f"{name}{SUFFIX}"
    path.write_bytes(path.read_bytes()[:5])
    assert "not complete" in str(fault(str(folder)))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("suffix", [SUFFIX, SUFFIX + STAMP, ".pxd"])
def test_a_missing_file_is_a_fault(folder: Path, name: str, suffix: str) -> None:
    """One module without the other, or without what it could be checked by."""
    (folder / f"{name}{suffix}").unlink()
    assert name in str(fault(str(folder)))


@pytest.mark.parametrize("is_stale", [False, True])
def test_the_python_files_are_imported_instead(
    folder: Path, package: ModuleType, is_stale: bool
) -> None:
    """Where the extension modules are no good, or not wanted."""
    if is_stale:
        (folder / "framer.py").write_text("NAME = 'new'\n")
    choose(PACKAGE, str(folder), {} if is_stale else {VARIABLE: "0"})
    for name in MODULES:
        module = sys.modules[f"{PACKAGE}.{name}"]
        assert module is getattr(package, name)
        assert module.__file__ == f"{folder}/{name}.py"
        assert module.__spec__ is not None
    assert ("new" if is_stale else "framer") == package.framer.NAME


@pytest.mark.parametrize("wanted", ["", "0"])
def test_without_extension_modules_python_finds_its_files_by_itself(
    folder: Path, wanted: str
) -> None:
    """As in an installation without a compiler."""
    for path in extensions(str(folder)).values():
        Path(path).unlink()
    choose(PACKAGE, str(folder), {VARIABLE: wanted})
    assert not {f"{PACKAGE}.{name}" for name in MODULES} & {*sys.modules}


def test_what_is_demanded_and_missing_is_an_error(folder: Path) -> None:
    """It says what is wrong, and what to do."""
    (folder / "frames.pxd").write_text("# other types\n")
    with pytest.raises(ImportError, match=r"AIOBC9X_EXTENSION is 1, but .*frames.*pip install"):
        choose(PACKAGE, str(folder), {VARIABLE: "1"})


def test_the_framer_is_of_the_form_that_was_chosen() -> None:
    """Whichever these tests run on."""
    from aiobc9x.wire import framer

    wire = str(Path(_form.__file__).parent)
    assert (Path(str(framer.__file__)).suffix != ".py") == framer.COMPILED
    assert not framer.COMPILED or fault(wire) is None
