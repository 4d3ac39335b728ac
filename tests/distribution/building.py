"""Build what is released, from a copy of the project without what lies about beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.pages import ROOT

_LEFT_BEHIND: Final = shutil.ignore_patterns(
    *(".git", ".venv*", ".ci-venv*", ".*_cache", ".hypothesis", ".coverage*", "__pycache__"),
    *("build", "_build", "dist", "*.egg-info", "*.so", "*.pyd", "*.stamp"),
)


def project(folder: Path) -> Path:
    """Copy the project, without what git ignores."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_BEHIND, dirs_exist_ok=True)
    return folder


def tracked() -> set[str] | None:
    """The files of this checkout that git tracks, or would if they were added; else None."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return None
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, check=True, capture_output=True, text=True, cwd=ROOT)
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder, whose package it then imports, as a shell would start it."""
    ours = ("PYTEST_", "COV_CORE_", "AIOBC9X_", "PYTHONPATH")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(folder), **variables},
    )


def build(folder: Path, kind: str, out: Path) -> Path:
    """Have setuptools build a ``sdist``, a ``wheel`` or its ``metadata``; say where it is."""
    function = {
        "sdist": "build_sdist",
        "wheel": "build_wheel",
        "metadata": "prepare_metadata_for_build_wheel",
    }[kind]
    code = f"from setuptools.build_meta import {function}; print({function}({str(out)!r}))"
    done = run(folder, "-c", code, AIOBC9X_EXTENSION="0")
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]
