"""The source distribution holds the checkout, and its tests run in it."""

import tarfile
from pathlib import Path
from typing import Final

import pytest

from tests.distribution.building import run, tracked

NOT_PACKED: Final = {
    ".gitignore": "there is no git where it is unpacked",
}
"""Files that git tracks and the source distribution lacks, each with its reason."""

MADE: Final = ("PKG-INFO", "setup.cfg", "aiobc9x.egg-info/")
"""What setuptools adds."""

SAMPLE: Final = (
    *("tests/test_spec.py", "tests/test_errors.py", "tests/test_ci.py", "tests/test_masking.py"),
    *("tests/wire/test_frames.py", "tests/core/test_profile.py", "tests/aio/test_stages.py"),
)
"""Tests of each layer, and those that read what lies beside the package."""


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who has unpacked it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def test_it_holds_what_git_tracks(unpacked: Path) -> None:
    """Tests, pages, benchmarks and the tools around them; MANIFEST.in says so."""
    files = tracked()
    if files is None:
        pytest.skip("not a git checkout")
    everything = [path for path in unpacked.rglob("*") if path.is_file()]
    packed = {path.relative_to(unpacked).as_posix() for path in everything}
    packed = {name for name in packed if not name.startswith(MADE)}
    missing = files - packed - NOT_PACKED.keys()
    assert not missing, f"MANIFEST.in leaves out {sorted(missing)}"
    assert not packed - files, f"MANIFEST.in packs {sorted(packed - files)}"


def test_reasons_are_of_files(unpacked: Path) -> None:
    """A file that is packed, or has gone, needs no reason."""
    files = tracked()
    if files is None:
        pytest.skip("not a git checkout")
    for name in NOT_PACKED:
        assert name in files
        assert not (unpacked / name).exists()


@pytest.mark.timeout(300)  # some hundred modules, with all the libraries that they are tests of
def test_its_tests_can_all_be_imported(unpacked: Path) -> None:
    """Whatever they read while they are collected is packed too."""
    done = run(unpacked, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.timeout(300)
def test_its_tests_pass(unpacked: Path) -> None:
    """A sample of them, in the unpacked folder and on its package."""
    done = run(unpacked, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SAMPLE)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
