"""What is built once for all tests of a run."""

from pathlib import Path

import pytest

from tests.distribution.building import build, project


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, packed."""
    folder = project(tmp_path_factory.mktemp("project"))
    return build(folder, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for any Python."""
    folder = project(tmp_path_factory.mktemp("project"))
    return build(folder, "wheel", tmp_path_factory.mktemp("wheel"))
