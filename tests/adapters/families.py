"""The two families of HTTP libraries: httpx with httpcore, httpx2 with httpcore2.

A test module is written for the first and run with both: :func:`use` puts the second one's
modules and classes under the first one's names.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Any, Final

import pytest

FAMILIES: Final = [
    pytest.param(suffix, id=f"httpx{suffix}", marks=() if found else pytest.mark.skip(reason=text))
    for suffix in ("", "2")
    for found, text in [(find_spec(f"httpx{suffix}"), f"httpx{suffix} is not installed")]
]
"""What follows the names of a family's modules."""

HTTPX: Final = [
    importlib.import_module(f"httpx{suffix}") for suffix in ("", "2") if find_spec(f"httpx{suffix}")
]
"""Those of httpx and httpx2 that are installed."""


def use(suffix: str, test_module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a test module use a family, under the names that it has imported.

    Args:
        suffix: One of :data:`FAMILIES`.
        test_module: The name of the test module.
        monkeypatch: Undoes it.

    """
    here: Any = sys.modules[test_module]
    of = {
        name: importlib.import_module(name + suffix)
        for name in ("httpx", "httpcore", "aiobc9x.adapters.httpx", "aiobc9x.adapters.httpcore")
    }
    for name in ("httpx", "httpcore"):
        adapter = of[f"aiobc9x.adapters.{name}"]
        known = {name: of[name], **{each: getattr(adapter, each) for each in adapter.__all__}}
        for each in known.keys() & vars(here).keys():
            monkeypatch.setattr(here, each, known[each])
