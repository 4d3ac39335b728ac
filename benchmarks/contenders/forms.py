"""The framer in Python, also where the compiled one is imported as usual."""

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from aiobc9x.wire import framer as usual
from aiobc9x.wire._form import MODULES
from aiobc9x.wire.framer import Framer


@cache
def in_python() -> type[Framer]:
    """Import the Python files, frames included, beside what is imported already."""
    if not usual.COMPILED:
        return Framer
    folder = Path(str(usual.__file__)).parent
    with patch.dict(sys.modules):
        modules = [_import(f"aiobc9x.wire.{name}", folder / f"{name}.py") for name in MODULES]
    made: type[Framer] = modules[-1].Framer
    return made


def _import(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
