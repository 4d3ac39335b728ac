"""What a program loads when it imports this package: little, and each thing in one way.

How long that takes is measured by ``python -m benchmarks import``; a test would prove nothing on a
busy machine.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

MAY_BE_LOADED: Final = (
    "anyio.to_thread, asyncio, copy, dataclasses, datetime, importlib.util, ipaddress, serial, "
    "serial_asyncio, ssl"
)
"""What opening a modem needs of others, whatever the link and the program."""


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh Python has loaded when it ends."""
    at_exit = "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    # Without site, which loads modules for packages that are installed to be edited.
    run = subprocess.run(
        [sys.executable, "-S", "-c", at_exit + code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return set(run.stderr.split())


def test_opening_a_modem_loads_little_of_others() -> None:
    """What only some programs need is imported when it is called for."""
    found = loaded("import aiobc9x\naiobc9x.open_modem") - loaded(f"import {MAY_BE_LOADED}")
    assert "aiobc9x.modem" in found
    others = {name for name in found if name.partition(".")[0] != "aiobc9x"}
    # The compiled framer brings two modules that are empty.
    assert {name for name in others if "cython" not in name} == set()
    for unused in ("adapters.proxy.server", "adapters.redirect", "pool", "sim", "trace.recording"):
        assert f"aiobc9x.{unused}" not in found


def test_help_loads_no_event_loop() -> None:
    """It comes at once: neither asyncio nor a command is loaded for it."""
    found = loaded("from aiobc9x.__main__ import main\nmain()", "--help")
    assert {"aiobc9x.cli.main", "click"} <= found
    assert found.isdisjoint({"asyncio", "anyio", "serial", "ssl", "rich", "aiobc9x.cli.info"})


AS_THE_LIBRARY_DOES: Final = {
    "sim": "imports nothing of the package but the note's numbers, and no program loads it",
    "slotted.py": "makes its own of the library's",
    "patterns.py": "likewise",
    "wire/framer.py": "may be compiled, and needs both of its patterns for the first byte",
}
"""Where dataclasses and patterns are made by the standard library, and why."""


def costly(tree: ast.Module) -> list[str]:
    """What a module makes, when it is loaded, in a way that takes long."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="dataclasses", names=names):
                found += [each.name for each in names if each.name == "dataclass"]
            case ast.Attribute(value=ast.Name(id="dataclasses"), attr="dataclass"):
                found.append("dataclass")
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile")):
                found.append("compile")
    return found


def test_dataclasses_and_patterns_are_made_in_one_way() -> None:
    """That of :mod:`aiobc9x.slotted` and :mod:`aiobc9x.patterns`."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in AS_THE_LIBRARY_DOES and name.partition("/")[0] not in AS_THE_LIBRARY_DOES:
            found[name] = costly(ast.parse(path.read_text("utf-8")))
    assert len(found) > 100
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from dataclasses import field, dataclass", ["dataclass"]),
        ("import dataclasses\n@dataclasses.dataclass\nclass A: ...", ["dataclass"]),
        ("import re\nX = re.compile('a').match", ["compile"]),
        ("from dataclasses import field\nimport re\nre.match('a', 'a')", []),
    ],
)
def test_costly_ways_are_told(text: str, found: list[str]) -> None:
    """The check itself finds them."""
    assert costly(ast.parse(text)) == found
