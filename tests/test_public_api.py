"""What programs are written against changes on purpose only."""

import difflib
import importlib
import os
import re
from typing import Final

import pytest

from tests.public_api import (
    CALLED_FROM_INSIDE,
    KEPT,
    MADE_BY_CALLS,
    MODULES,
    ROOT,
    exported,
    find,
    hidden,
    listing,
)

ADVICE: Final = (
    "The public API has changed. If it should:\n"
    "    python -m tests.public_api --write\n"
    "then read the difference as a user would, and say in CHANGELOG.md what to do.\n"
    "docs/compatibility.md says which changes need a new minor or major version.\n"
)


def test_the_public_api_is_as_kept() -> None:
    """Each public name, with its signature."""
    kept, now = KEPT.read_text("utf-8").splitlines(), listing().splitlines()
    assert kept == now, ADVICE + "\n".join(
        difflib.unified_diff(kept, now, "kept", "now", "", "", 0)
    )


@pytest.mark.parametrize("module", MODULES)
def test_the_list_has_what_a_program_can_import(module: str) -> None:
    """Sources are read for the list; here they are imported."""
    if "CI" not in os.environ and module.endswith(("httpcore2", "httpx2")):
        pytest.importorskip("httpx2", reason="no httpx2 here: pip install httpx2")
    imported = importlib.import_module(module)
    names = exported(module)
    assert names
    assert set(names) == set(getattr(imported, "__all__", ()))
    for name in names:
        assert find(module, name), name
        assert hasattr(imported, name)


def test_the_page_names_the_same_modules() -> None:
    """A reader finds there what is public."""
    page = (ROOT / "docs/compatibility.md").read_text("utf-8")
    told = re.findall(r"^\| `(aiobc9x[\w.]*)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(MODULES)


def test_what_is_left_out_exists() -> None:
    """A class or a member that has gone needs no exception from the list."""
    public = {name: module for module in reversed(MODULES) for name in exported(module)}
    assert public.keys() >= MADE_BY_CALLS | CALLED_FROM_INSIDE.keys()
    for name, members in CALLED_FROM_INSIDE.items():
        loaded = getattr(importlib.import_module(public[name]), name)
        assert members <= hidden(name) & set(dir(loaded))
