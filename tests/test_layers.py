"""The layers, sizes and places of docs/design.md, read from the source."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

LONG_LINES: Final = 500

LONG: Final = {
    "core/session.py": "where everything meets: the one class that writes slots",
    "core/sending.py": "one send, its forms and its back-off: one table of states",
    "wire/framer.py": "one state machine, drawn at its top; half of its lines say why",
    "wire/commands/tcpip.py": "the commands of the note's chapter 2, one small class each",
    "aio/line/driver.py": "owns every exchange: one object, no part of which stands alone",
    "aio/line/link.py": "opens one byte stream: the ways to open it are steps of one object",
    "trace/replaying.py": "one module that is played: its rules, each a few lines, share all state",
    "cli/characterizing/measurements.py": "one short function for each habit, with its figures",
    "errors.py": "one exception tree, drawn at its top",
    "modem.py": "every public method with its whole contract; thin bodies",
    "pool.py": "every public method with its whole contract; thin bodies",
}
"""Modules of more lines than most, and why each is one thing. Others are told of, not refused:
see conftest.py. A limit would cut classes where they have no joint."""

MEANS: Final = {"patterns", "slotted"}
"""How patterns and classes are made. They know nothing of modems, so every layer may import them,
save the virtual module, which imports nothing but the numbers of the note."""

MAY_IMPORT: Final[dict[str, set[str]]] = {
    "patterns": set(),
    "slotted": set(),
    "spec": set(),
    "masking": set(),
    "errors": {"spec", "masking"},
    "logs": {"masking", "errors"},
    "wire": {"spec", "masking", "errors", "wire"},
    "core": {"spec", "masking", "errors", "wire", "core"},
    "trace": {"spec", "masking", "errors", "logs", "wire", "trace"},
    "aio": {"spec", "masking", "errors", "logs", "wire", "core", "trace", "aio"},
    "adapters": {
        "spec",
        "masking",
        "errors",
        "logs",
        "wire",
        "core",
        "aio",
        "adapters",
    },
    "modem": {"spec", "masking", "errors", "wire", "core", "aio", "adapters"},
    "open": {
        "spec",
        "masking",
        "errors",
        "wire",
        "core",
        "trace",
        "aio",
        "adapters",
        "modem",
    },
    "pool": {
        "spec",
        "masking",
        "errors",
        "logs",
        "wire",
        "core",
        "trace",
        "aio",
        "adapters",
        "modem",
        "open",
    },
    "sim": {"spec", "sim"},
}
"""Layers that a layer may import; the ones not named here (cli, …) may import all."""

ABOVE: Final = {"cli", "pytest_plugin", "__init__", "__main__"}

NO_IO: Final = {"asyncio", "anyio", "socket", "serial", "serial_asyncio", "time", "random"}

NEVER: Final[dict[str, set[str]]] = {
    "patterns": NO_IO,
    "slotted": NO_IO,
    "spec": NO_IO,
    "masking": NO_IO,
    "errors": NO_IO - {"socket"},  # for socket.gaierror
    "logs": NO_IO,
    "wire": NO_IO,
    "core": NO_IO,
    "trace": NO_IO - {"time"},
    "aio": set(),
    "adapters": set(),
    "modem": set(),
    "open": set(),
    "pool": set(),
    "sim": {"anyio", "serial", "serial_asyncio", "asyncio"},
}
"""Modules of others that a layer never imports; importlib, which could hide one, goes for all."""

MAY_USE_IMPORTLIB: Final = {"aio.line.link", "trace.__init__", "wire._form"}
"""The first looks whether serialx is installed; the next resolves names when they are first used,
as the package itself does; the last imports a module's Python file where the extension module
beside that is no good."""

SIM_MAY_USE_ASYNCIO: Final = {
    "sim.links",
    "sim.network",
    "sim.peers",
    "sim.virtual_clock",
    "sim.virtual_modem",
}

LAZY: Final = {
    ("aio.line.link", "aio.line.serialx_port", "_open_serialx"),
    ("aio.line.link", "serial.tools", "find_usb"),
    ("aio.line.link", "sim.links", None),
    ("aio.line.link", "urllib.parse", "_host_and_port"),
    ("aio.reconnecting", "random", "delay"),
    ("core.profile", "json", "load"),
    ("core.profile", "json", "save"),
    ("core.profile", "pathlib", "load"),
    ("core.profile", "pathlib", "save"),
    ("sim.links", "trace.replaying", "_replayed"),
    ("open", "trace.recording", "_recorder"),
    ("modem", "adapters", "installed"),
    ("modem", "adapters", "serve_proxy"),
    ("pool", "adapters", "installed"),
    ("pool", "adapters", "serve_proxy"),
}
"""(module, what it imports, in which function); None stands for any one function."""

TOP_LEVEL: Final = {
    ".ci/run",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "aiobc9x",
    "benchmarks",
    "docs",
    "examples",
    "pyproject.toml",
    "setup.py",
    "tests",
}


class Import(NamedTuple):
    """One imported module, and the function around it."""

    target: str
    function: str | None
    line: int


@cache
def modules() -> list[str]:
    """The dotted names of all modules, below the package."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


def source(module: str) -> ast.Module:
    """Parse a module."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text("utf-8"), str(path))


def layer_of(module: str) -> str:
    """The layer that a module below the package belongs to."""
    return module.partition(".")[0]


def imports(module: str, tree: ast.Module) -> list[Import]:
    """Everything that a module imports, wherever the statement stands."""
    return list(_imports(module, tree, None))


def _imports(module: str, node: ast.AST, function: str | None) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(name.name, function, child.lineno) for name in names)
            case ast.ImportFrom():
                yield from _imports_from(module, child, function)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(module, child, function or child.name)
            case _:
                yield from _imports(module, child, function)


def _imports_from(module: str, node: ast.ImportFrom, function: str | None) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        package = ["aiobc9x", *module.split(".")][: -node.level]
        base = ".".join([*package, base]).rstrip(".")
    for name in node.names:
        full = f"{base}.{name.name}"
        # ``from aiobc9x.wire import framer`` imports a module, not a name of one.
        is_module = full.partition("aiobc9x.")[2] in {*modules(), *packages()}
        yield Import(full if is_module else base, function, node.lineno)


@cache
def packages() -> set[str]:
    """The packages below the top one."""
    return {m.removesuffix(".__init__") for m in modules() if m.endswith(".__init__")}


def complaints(module: str, tree: ast.Module) -> list[str]:
    """Imports that break the table, each as one sentence."""
    found = []
    for imported in imports(module, tree):
        head, _, rest = imported.target.partition(".")
        lazy = _is_lazy(module, rest if head == "aiobc9x" else imported.target, imported)
        bad = (
            not _own_allowed(module, rest, imported)
            if head == "aiobc9x"
            else (not _other_allowed(module, head))
        )
        if bad:
            found.append(f"{module}:{imported.line} must not import {imported.target}")
        elif imported.function is not None and not lazy:
            found.append(f"{module}:{imported.line} imports {imported.target} in a function")
    return found


def _own_allowed(module: str, target: str, imported: Import) -> bool:
    layer = layer_of(module)
    if layer in ABOVE or _is_lazy(module, target, imported):
        return True
    below = MAY_IMPORT[layer] if layer in {*MEANS, "sim"} else {*MEANS, *MAY_IMPORT[layer]}
    return layer_of(target or "__init__") in below


def _other_allowed(module: str, head: str) -> bool:
    if head == "asyncio" and module in SIM_MAY_USE_ASYNCIO:
        return True
    if head == "importlib" and module in MAY_USE_IMPORTLIB:
        return True
    return layer_of(module) in ABOVE or head not in {*NEVER[layer_of(module)], "importlib"}


def _is_lazy(module: str, target: str, imported: Import) -> bool:
    if imported.function is None:
        return False
    if layer_of(module) in ABOVE:
        return True
    return any(
        (module, imported.function) == (importer, function or imported.function)
        and f"{target}.".startswith(f"{lazy}.")
        for importer, lazy, function in LAZY
    )


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_downward_only(module: str) -> None:
    """Each layer imports the layers below it and no I/O that it must not know."""
    assert layer_of(module) in {*MAY_IMPORT, *ABOVE}
    assert complaints(module, source(module)) == []


@pytest.mark.parametrize(
    ("module", "text", "fine"),
    [
        ("wire.framer", "import asyncio", False),
        ("wire.framer", "from time import monotonic", False),
        ("wire.framer", "import re", True),
        ("wire.framer", "from aiobc9x.core import session", False),
        ("wire.framer", "from ..core.session import Session", False),
        ("wire.framer", "from . import params", True),
        ("spec", "from aiobc9x.slotted import slotted", True),
        ("slotted", "from aiobc9x.patterns import lazy_pattern", False),
        ("sim.module", "from aiobc9x.slotted import slotted", False),
        ("errors", "import socket", True),
        ("errors", "import time", False),
        ("core.turns", "from aiobc9x.wire.framer import Line", True),
        ("core.turns", "import random", False),
        ("core.turns", "import importlib", False),
        ("core.turns", "def f():\n    import re", False),
        ("aio.line.driver", "from aiobc9x.sim.module import Module", False),
        ("aio.line.driver", "import aiobc9x", False),
        ("aio.line.link", "from aiobc9x.sim.links import open_link", False),
        ("aio.line.link", "def f():\n    from aiobc9x.sim.links import open_link", True),
        ("aio.line.link", "def f():\n    from aiobc9x.sim.module import Module", False),
        ("aio.line.link", "def find_usb():\n    from serial.tools import list_ports", True),
        ("aio.line.link", "def find_usb():\n    import glob", False),
        ("modem", "def installed():\n    from aiobc9x.adapters import redirect", True),
        ("modem", "def other():\n    from aiobc9x.adapters import redirect", False),
        ("sim.module", "from aiobc9x.spec import Err", True),
        ("sim.module", "from aiobc9x.errors import ModemError", False),
        ("sim.module", "from aiobc9x.wire import params", False),
        ("sim.module", "import asyncio", False),
        ("sim.links", "import asyncio", True),
        ("adapters.redirect.installation", "from aiobc9x.sim import links", False),
        ("adapters.anyio.streams", "from aiobc9x.aio.dialer import Dialer", True),
        ("adapters.anyio.streams", "from aiobc9x.modem import Modem", False),
        ("adapters.httpx", "if TYPE_CHECKING:\n    from aiobc9x.modem import Modem", False),
        ("adapters.httpx", "from aiobc9x import Modem", False),
        ("cli.main", "from aiobc9x.sim import links", True),
    ],
)
def test_the_table_is_enforced(module: str, text: str, fine: bool) -> None:
    """The check itself tells good imports from bad ones."""
    assert (complaints(module, ast.parse(text)) == []) is fine


def test_the_framer_loads_without_asyncio() -> None:
    """A sans-I/O user pays for no event loop, and the façade stays lazy."""
    code = "import sys, aiobc9x.wire.framer; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    loaded = set(run.stdout.split())
    assert "aiobc9x.wire.framer" in loaded
    assert loaded.isdisjoint({"asyncio", "anyio", "serial", "serial_asyncio"})


def test_the_top_level_holds_nothing_else() -> None:
    """What git tracks lies in the few places where a reader looks."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    listed = subprocess.run(
        ["git", "ls-files"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = listed.stdout.splitlines()
    heads = {file if file.startswith(".ci/") else file.split("/")[0] for file in files}
    assert heads <= TOP_LEVEL


def long_modules() -> dict[str, int]:
    """The modules that are long for no reason that somebody has written down."""
    folders = (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in paths}
    reasons = {f"aiobc9x/{name}" for name in LONG}
    return {p: n for p, n in lengths.items() if n > LONG_LINES and p not in reasons}


def test_reasons_are_of_long_modules() -> None:
    """A module that has become short, or has gone, needs no reason."""
    for name in LONG:
        assert (PACKAGE / name).read_text("utf-8").count("\n") > LONG_LINES, name


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each imports, directly or by others, each other one.

    Python can load such a group when enough of its imports are for types alone or stand in
    functions, but nobody can understand one of them without all the others.
    """
    reached = {module: _reached(graph, module) for module in graph}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached.get(other, ())))
        for module in graph
        if module in reached[module]
    }
    return sorted(list(group) for group in groups)


def _reached(graph: dict[str, set[str]], module: str) -> set[str]:
    found: set[str] = set()
    ahead = list(graph[module])
    while ahead:
        if (other := ahead.pop()) not in found:
            found.add(other)
            ahead += graph.get(other, ())
    return found


def own_imports(module: str, tree: ast.Module) -> set[str]:
    """The modules of this package that one imports: for types and in functions too."""
    heads = (each.target.partition(".") for each in imports(module, tree))
    targets = {rest for head, _, rest in heads if head == "aiobc9x"}
    return {f"{each}.__init__" if each in packages() else each or "__init__" for each in targets}


def test_no_imports_go_in_circles() -> None:
    """Nor under ``TYPE_CHECKING``, nor in functions, in the whole package; no exceptions."""
    graph = {module: own_imports(module, source(module)) for module in modules()}
    assert graph["modem"] >= {"aio.line.driver", "adapters.redirect.installation"}
    assert graph["adapters.httpx2"] >= {"adapters.httpcore2", "adapters.http.transport"}
    assert graph["adapters.http.network"] >= {"adapters.anyio.__init__", "aio.dialer"}
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"aio.a": "from aiobc9x.aio.b import B", "aio.b": ""}, []),
        (
            {
                "aio.a": "from aiobc9x.aio.b import B",
                "aio.b": "if TYPE_CHECKING:\n    from aiobc9x.aio.a import A",
            },
            [["aio.a", "aio.b"]],
        ),
        (
            {
                "aio.a": "from aiobc9x.aio.b import B",
                "aio.b": "def f():\n    import aiobc9x.aio.c",
                "aio.c": "from .a import A",
            },
            [["aio.a", "aio.b", "aio.c"]],
        ),
        (
            {"aio.__init__": "from aiobc9x.aio.a import A", "aio.a": "import aiobc9x.aio"},
            [["aio.__init__", "aio.a"]],
        ),
    ],
)
def test_circles_are_told(texts: dict[str, str], found: list[list[str]]) -> None:
    """The check itself finds circles, for types alone, in functions and through a package."""
    graph = {module: own_imports(module, ast.parse(text)) for module, text in texts.items()}
    assert circles(graph) == found


def slot_writes(module: str, tree: ast.Module) -> list[str]:
    """Where a module above core changes a slot: assigns to a field, or calls what changes one."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_slot(node.value):
            if isinstance(node.ctx, ast.Store | ast.Del) or node.attr in CHANGING:
                found.append(f"{module}:{node.lineno} changes a slot by {node.attr}")
            continue
        # A container of the slot's: slot.outgoing.clear(), slot.datagrams.append(…).
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base = node.func.value
            if isinstance(base, ast.Attribute) and is_slot(base.value):
                found.append(f"{module}:{node.lineno} calls {base.attr}.{node.func.attr}()")
    return found


CHANGING: Final = {"move", "clear", "confirm", "queue_datagram"}
"""Methods of a slot that change it."""


def is_slot(node: ast.expr) -> bool:
    """Whether an expression is a slot, by its name: ``slot``, ``self._slot``, ``opening.slot``."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name in {"slot", "_slot", "listener"}


@pytest.mark.parametrize("module", [m for m in modules() if layer_of(m) in {"aio", "adapters"}])
def test_only_the_session_writes_a_slot(module: str) -> None:
    """What is above core asks the session, so every transition stands in one place."""
    assert slot_writes(module, source(module)) == []


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("slot.readable = True", False),
        ("self._slot.outgoing += data", False),
        ("slot.datagrams.append(data)", False),
        ("opening.slot.move(SlotState.OPEN)", False),
        ("del slot.owner", False),
        ("if slot.readable: print(slot.state)", True),
        ("session.write(slot, data)", True),
        ("self._slot = slot", True),
    ],
)
def test_writes_of_slots_are_told(text: str, fine: bool) -> None:
    """The check itself tells writing from reading."""
    assert (slot_writes("aio.x", ast.parse(text)) == []) is fine


def classes(module: str, tree: ast.Module) -> list[tuple[str, str]]:
    """The names of a module's classes, nested ones too, each with the module."""
    return [(node.name, module) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def shared_names(found: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Names of classes that stand in more than one place, with the modules."""
    places: dict[str, list[str]] = {}
    for name, module in found:
        places.setdefault(name, []).append(module)
    return {name: where for name, where in places.items() if len(where) > 1}


TWINS: Final = {"adapters.httpx2": "adapters.httpx", "adapters.httpcore2": "adapters.httpcore"}
"""Modules with the classes of another one, for the library that goes on from the other's. A
program changes libraries by its import lines alone."""


def test_no_two_classes_share_a_name() -> None:
    """Whoever reads a class's name in a log, or looks for it, means one class.

    The virtual module is excepted: it is parsed from the note a second time, and its words
    are the note's.
    """
    counted = [m for m in modules() if layer_of(m) != "sim" and m not in TWINS]
    found = [pair for m in counted for pair in classes(m, source(m))]
    assert len(found) > 100
    assert shared_names(found) == {}


@pytest.mark.parametrize(("twin", "module"), TWINS.items())
def test_twins_have_the_same_classes(twin: str, module: str) -> None:
    """And nothing of their own."""
    names = [[name for name, _ in classes(m, source(m))] for m in (twin, module)]
    assert names[0] == names[1] != []


def test_a_name_that_two_classes_share_is_told() -> None:
    """The check itself finds two of a name, in two modules or in one."""
    trees = {"aio.x": "class Step: ...", "core.y": "class Step: ...\nclass Other: ..."}
    found = [pair for name, text in trees.items() for pair in classes(name, ast.parse(text))]
    assert shared_names(found) == {"Step": ["aio.x", "core.y"]}
