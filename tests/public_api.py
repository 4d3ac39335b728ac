"""List the public names with their signatures, as the sources have them.

    python -m tests.public_api           # shows them
    python -m tests.public_api --write   # keeps them in tests/public_api.txt

Sources are read and nothing is imported: the list is the same on each Python, and whichever
libraries are installed.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "tests/public_api.txt"

MODULES: Final = (
    "aiobc9x",
    "aiobc9x.adapters.anyio",
    "aiobc9x.adapters.httpcore",
    "aiobc9x.adapters.httpcore2",
    "aiobc9x.adapters.httpx",
    "aiobc9x.adapters.httpx2",
    "aiobc9x.adapters.prometheus",
    "aiobc9x.adapters.slow",
    "aiobc9x.adapters.watching",
    "aiobc9x.aio.dialer",
    "aiobc9x.errors",
    "aiobc9x.pytest_plugin",
    "aiobc9x.sim.links",
    "aiobc9x.sim.memory",
    "aiobc9x.sim.peers",
    "aiobc9x.sim.virtual_clock",
    "aiobc9x.sim.virtual_modem",
    "aiobc9x.trace",
    "aiobc9x.wire.urcs",
)
"""The documented modules: docs/compatibility.md has the same list."""

FIXTURES: Final = {"_in_the_loop", "pytest.fixture"}
"""The decorators of the plugin's fixtures."""

LONGEST_VALUE: Final = 100
"""Characters of a constant's value that are still shown: a table is data and no signature."""

SPECIAL: Final = {
    *("__init__", "__await__", "__aenter__", "__aexit__", "__enter__", "__exit__"),
    *("__aiter__", "__anext__", "__iter__", "__next__", "__len__", "__call__", "__getitem__"),
}
"""Methods that a program calls by syntax."""

MADE_BY_CALLS: Final = {
    *("Modem", "ModemPool", "Server", "SocketTransport", "DatagramTransport", "MemoryTransport"),
    *("ByteStream", "ConnectedUDPSocket", "Listener", "ModemNetworkStream", "ModemPeer", "Peer"),
}
"""Classes of which no program makes an object: their constructors may change."""

CALLED_FROM_INSIDE: Final = {
    "DatagramTransport": {"slot", "start"},
    "ModemBackend": {"library", "stream_type"},
    "ModemNetworkStream": {"library"},
    "ModemTransport": {"core", "library"},
    "Server": {"accept"},
    "SocketTransport": {"slot", "start"},
    "Statistics": {"count_send"},
}
"""Members that the package uses across its own modules, beside those of ``SlotOwner``."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Found(NamedTuple):
    """A definition, and the module in which it stands."""

    module: str
    node: ast.stmt


@cache
def tree(module: str) -> ast.Module:
    """A module's source, parsed."""
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"), str(file))


def statements(module: str) -> Iterator[ast.stmt]:
    """The statements of a module's top level, those under ``if`` and ``try`` among them."""
    waiting: list[ast.stmt] = [*tree(module).body]
    while waiting:
        node = waiting.pop(0)
        yield node
        if isinstance(node, ast.If):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *(each for way in node.handlers for each in way.body)]


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement defines, imports left out."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign():
            return [each.id for target in node.targets for each in _plain(target)]
    return []


def _plain(target: ast.expr) -> list[ast.Name]:
    """The plain names in the target of an assignment."""
    if isinstance(target, ast.Tuple):
        return [name for each in target.elts for name in _plain(each)]
    return [target] if isinstance(target, ast.Name) else []


@cache
def definitions(module: str) -> dict[str, list[ast.stmt]]:
    """What a module defines, by name; a name may have several definitions, as overloads."""
    found: dict[str, list[ast.stmt]] = {}
    for node in statements(module):
        for name in names_of(node):
            found.setdefault(name, []).append(node)
    return found


@cache
def imports(module: str) -> dict[str, tuple[str, str]]:
    """What a module imports from this package: its name here, the module and its name there."""
    found = {}
    for node in statements(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiobc9x"):
            for each in node.names:
                found[each.asname or each.name] = (str(node.module), each.name)
    return found


def find(module: str, name: str) -> list[Found]:
    """The definitions of a name, in whichever module they stand; empty if in another package."""
    if name in definitions(module):
        return [Found(module, node) for node in definitions(module)[name]]
    if name in imports(module):
        return find(*imports(module)[name])
    return []


def exported(module: str) -> list[str]:
    """The public names of a module: those of ``__all__``, or what it defines without ``_``."""
    table = definitions(module).get("__all__")
    if table and isinstance(table[0], ast.Assign) and isinstance(table[0].value, ast.List):
        elements = table[0].value.elts
        if not any(isinstance(each, ast.Starred) for each in elements):
            return sorted(ast.literal_eval(table[0].value))
        # Names that are resolved when they are first used: type checkers read them as imports.
        return sorted({*imports(module), *(ast.literal_eval(each) for each in elements[:-1])})
    return sorted(name for name in definitions(module) if not name.startswith("_"))


def text(node: ast.AST | None) -> str:
    """A piece of source on one line."""
    return "" if node is None else " ".join(ast.unparse(node).split())


def signature(node: Function) -> str:
    """A function's decorators, name, parameters and result."""
    decorators = "".join(f"@{text(each)} " for each in node.decorator_list)
    is_async = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    result = f" -> {text(node.returns)}" if node.returns else ""
    # What a fixture asks for is pytest's business; a test names the fixture alone.
    taken = "" if {text(each) for each in node.decorator_list} & FIXTURES else text(node.args)
    return f"{decorators}{is_async}{node.name}({taken}){result}"


def value(name: str, node: ast.stmt) -> str:
    """A constant or a field: its type where that is said, and its value where that is short."""
    kind = f": {text(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    if name.startswith("__"):
        return name  # its value is no promise, as that of __version__
    given = text(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) else ""
    if len(given) > LONGEST_VALUE:
        given = "..."
    return f"{name}{kind}{' = ' if given else ''}{given}"


def attributes(node: Function) -> Iterator[str]:
    """The public attributes that a constructor sets."""
    for inner in ast.walk(node):
        match inner:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                yield f"self.{name}: {text(inner.annotation)}"
            case ast.Assign():
                targets = [each for target in inner.targets for each in ast.walk(target)]
                for each in targets:
                    if isinstance(each, ast.Attribute) and text(each.value) == "self":
                        yield f"self.{each.attr}"


def members(found: Found, public: set[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A class's fields in their order, and the rest by name, those of private bases included.

    A base that is itself public has its own place in the list.
    """
    assert isinstance(found.node, ast.ClassDef)
    fields: list[str] = []
    others: dict[str, list[str]] = {}
    for node in found.node.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") or node.name in SPECIAL:
                others.setdefault(node.name, []).append(signature(node))
            if node.name == "__init__":
                declared = {line.partition(":")[0] for line in fields}
                for each in attributes(node):
                    name = each.partition(":")[0].removeprefix("self.")
                    if not name.startswith("_") and name not in declared:
                        others.setdefault(each.partition(":")[0], []).append(each)
        else:
            fields += [value(n, node) for n in names_of(node) if not n.startswith("_")]
    for base in found.node.bases:
        name = text(base.value if isinstance(base, ast.Subscript) else base)
        for definition in find(found.module, name):
            if name not in public and isinstance(definition.node, ast.ClassDef):
                inherited = members(definition, public)
                fields = [*inherited[0], *fields]
                others = {**inherited[1], **others}
    return fields, others


def hidden(name: str) -> set[str]:
    """The members of a class that are no part of what is promised."""
    constructor = {"__init__"} if name in MADE_BY_CALLS else set()
    if name not in CALLED_FROM_INSIDE:
        return constructor
    ((_, owner),) = find("aiobc9x.aio.line.slot_events", "SlotOwner")
    assert isinstance(owner, ast.ClassDef)
    told = {each for node in owner.body for each in names_of(node)} - {"close"}
    return constructor | CALLED_FROM_INSIDE[name] | told


def entry(name: str, found: Found, public: set[str]) -> list[str]:
    """The lines of one public name."""
    node = found.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [signature(node)]
    if not isinstance(node, ast.ClassDef):
        return [value(name, node)]
    decorators = "".join(f"@{text(each)} " for each in node.decorator_list)
    bases = ", ".join(text(each) for each in [*node.bases, *node.keywords])
    bases = f"({bases})" if bases else ""
    fields, others = members(found, public)
    shown = [each for each in others if each not in hidden(name)]
    lines = [
        *(each for each in fields if each.split(":")[0].split(" ")[0] not in hidden(name)),
        *(line for each in sorted(shown) for line in others[each]),
    ]
    return [f"{decorators}class {name}{bases}", *(f"    {line}" for line in lines)]


def listing() -> str:
    """All public names, module by module."""
    public = {name for module in MODULES for name in exported(module)}
    lines: list[str] = []
    seen: dict[tuple[str, str], str] = {}
    for module in MODULES:
        lines += ["", f"# {module}"]
        for name in exported(module):
            found = find(module, name)
            key = (found[0].module, name) if found else (module, name)
            if key in seen:
                lines.append(f"{name}: see {seen[key]}")
                continue
            seen[key] = module
            lines += [line for each in found for line in entry(name, each, public)]
    return "\n".join(lines[1:]) + "\n"


def main() -> None:
    """Show the list, or keep it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help=f"keep it in {KEPT.name}")
    if parser.parse_args().write:
        KEPT.write_text(listing(), "utf-8")
    else:
        print(listing(), end="")


if __name__ == "__main__":
    main()
