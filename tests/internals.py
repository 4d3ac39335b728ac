"""Find where the package uses names that other packages keep to themselves.

A name is private if it begins with ``_``, or stands in a module of asyncio that asyncio does not
export it from. Sources are read; nothing is called.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from tests.public_api import find, tree

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

DOCUMENTED: Final = {"_asdict", "_exit", "_replace"}
"""Names with ``_`` that Python documents: of named tuples, and of :mod:`os`."""

OURS: Final = {
    ("aio/connections/listening.py", "_clients"),
    ("aio/line/subscriptions.py", "_put"),
    ("aio/transports/base.py", "_call"),
    ("aio/transports/base.py", "_call_connection_lost"),
    ("sim/virtual_clock.py", "_loop"),
}
"""Uses of names of our own that some class of asyncio's has too, on some Python."""

_ACCESSORS: Final = {"delattr", "getattr", "hasattr", "setattr"}


class Use(NamedTuple):
    """A private name, and the file that uses it."""

    file: str
    name: str


def is_private(name: str) -> bool:
    """Whether a name says that it is nobody else's business."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def names_in(source: ast.AST) -> Iterator[str]:
    """The private names that some code defines, for its modules, classes and objects."""
    for node in ast.walk(source):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                yield name


def parsed(path: Path) -> ast.Module:
    """A source file."""
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def own_names() -> frozenset[str]:
    """The private names that this package defines."""
    found = {name for path in PACKAGE.rglob("*.py") for name in names_in(parsed(path))}
    return frozenset(filter(is_private, found))


@cache
def names_of_asyncio() -> frozenset[str]:
    """The private names that asyncio defines, on this Python."""
    folder = Path(asyncio.__file__).parent
    found = {name for path in folder.glob("*.py") for name in names_in(parsed(path))}
    return frozenset(filter(is_private, found))


@cache
def names_of_class(cls: type) -> frozenset[str]:
    """The private names of a class and its bases, those that objects get by assignment too."""
    found: set[str] = set()
    for each in cls.__mro__:
        found.update(vars(each))
        if each.__module__ not in {"builtins", "abc"}:
            found.update(names_in(ast.parse(textwrap.dedent(inspect.getsource(each)))))
    return frozenset(found)


def bases_elsewhere(module: str, node: ast.ClassDef) -> list[type]:
    """The bases of a class that are asyncio's, those of our own bases among them."""
    found = []
    for base in node.bases:
        match base:
            case ast.Attribute(value=ast.Name(id=place), attr=name):
                cls = getattr(modules_of_asyncio(tree(module)).get(place), name, None)
                if isinstance(cls, type):
                    found.append(cls)
            case ast.Name(id=name):
                for other, definition in find(module, name):
                    if isinstance(definition, ast.ClassDef):
                        found += bases_elsewhere(other, definition)
    return found


def modules_of_asyncio(source: ast.Module) -> dict[str, ModuleType]:
    """The modules of asyncio that a file imports, by their names in that file."""
    inner = {each.name for each in pkgutil.iter_modules(asyncio.__path__)}
    found: dict[str, ModuleType] = {}
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            for each in node.names:
                if each.name in inner:
                    module = importlib.import_module(f"asyncio.{each.name}")
                    found[each.asname or each.name] = module
        elif isinstance(node, ast.Import) and any(each.name == "asyncio" for each in node.names):
            found["asyncio"] = asyncio
    return found


def uses() -> Iterator[Use]:
    """All uses, in all files of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for name in uses_in(module) - {name for place, name in OURS if place == file}:
            yield Use(file, name)


def uses_in(module: str) -> set[str]:
    """The private names of others that a module uses."""
    found = set(taken(tree(module))) | set(_unexported(tree(module)))
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef) and (bases := bases_elsewhere(module, node)):
            found.update(_inherited(node, bases))
    return found


def taken(source: ast.Module) -> Iterator[str]:
    """Names that are taken from an object, other than ``self``."""
    for node in ast.walk(source):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name):
                pass
            case ast.Call(func=ast.Name(id=function), args=[of, ast.Constant(value=str(name)), *_]):
                if function not in _ACCESSORS or ast.unparse(of) in {"self", "cls"}:
                    continue
            case ast.ImportFrom(module=str(module)) if not module.startswith("aiobc9x"):
                yield from (each.name for each in node.names if is_private(each.name))
                continue
            case _:
                continue
        is_ours = name in own_names() and name not in names_of_asyncio()
        if is_private(name) and name not in DOCUMENTED and not is_ours:
            yield name


def _unexported(source: ast.Module) -> Iterator[str]:
    """Names of asyncio's inner modules that asyncio itself does not have."""
    modules = {name for name in modules_of_asyncio(source) if name != "asyncio"}
    for node in ast.walk(source):
        match node:
            case ast.Attribute(value=ast.Name(id=place), attr=name) if place in modules:
                if name not in asyncio.__all__:
                    yield name


def _inherited(node: ast.ClassDef, bases: list[type]) -> Iterator[str]:
    """Names that a class shares with its base: it uses them, or defines them anew.

    A method that only some code of asyncio's calls has a name that asyncio knows.
    """
    theirs = {name for base in bases for name in names_of_class(base)}
    for inner in ast.walk(node):
        match inner:
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if is_private(name):
                if name in theirs:
                    yield name
    for inner in node.body:
        match inner:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = {name}
            case ast.Assign():
                names = {each.id for each in ast.walk(inner) if isinstance(each, ast.Name)}
            case _:
                continue
        yield from {each for each in names if is_private(each)} & (theirs | names_of_asyncio())
