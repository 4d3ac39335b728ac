"""What a program loads when it imports this package: little, and each thing in one way.

How long that takes is measured by ``python -m benchmarks import``; a test would prove nothing on a
busy machine.
"""

import ast
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

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
