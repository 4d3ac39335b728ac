"""Make a page of the reference of each row of docs/api.md, for autodoc to fill.

A row has names of two kinds. A module gives all that it makes public, in the order in which its
file has it; anything else gives itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Final

from sphinx.ext.napoleon.docstring import GoogleDocstring

LIST: Final = Path(__file__).resolve().parents[1] / "api.md"

_ROW: Final = re.compile(r"^\| ([^|`]+?) \| (`[^|]+`) \|$", re.MULTILINE)


@cache
def rows() -> dict[str, list[str]]:
    """Read the table: the names of each page."""
    return {
        title: re.findall(r"`([\w.]+)`", cell)
        for title, cell in _ROW.findall(LIST.read_text("utf-8"))
    }


def slug(title: str) -> str:
    """Make the name of a page's file of its title."""
    return title.lower().replace(" ", "-")


@cache
def find(name: str) -> object:
    """Import what a dotted name means.

    Raises:
        ImportError: Nothing has that name.

    """
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        home, _, last = name.rpartition(".")
        if not home:
            raise
        owner = find(home)
        if not hasattr(owner, last):
            raise ImportError(f"nothing is called {name}") from exc
        return getattr(owner, last)


def is_fixture(value: object) -> bool:
    """Say whether something is one of pytest's fixtures."""
    return type(value).__name__ == "FixtureFunctionDefinition"


def public(module: ModuleType) -> list[str]:
    """Give a module's public names: its fixtures, ``__all__``, or what it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return [name for name, value in own.items() if is_fixture(value)] or [
        name
        for name, value in own.items()
        if getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or inspect.isroutine(value))
    ]


@cache
def documented() -> dict[str, str]:
    """Give each name that the reference has, and the page that has it."""
    found: dict[str, str] = {}
    for title, listed in rows().items():
        for name in listed:
            found |= dict.fromkeys(entries(name), slug(title))
    return found


_NOT_FOR_PROGRAMS: Final = {
    "aiobc9x.DatagramTransport": "slot, start",
    "aiobc9x.Server": "accept",
    "aiobc9x.SocketTransport": "slot, start",
}
"""Methods that the package calls, beside those whose names begin with ``on_``."""


def entries(name: str) -> list[str]:
    """Give what a name of the table puts on its page: a module's names, or itself.

    A name that a row has by itself stands there alone, though a module offers it too.
    """
    value = find(name)
    if not inspect.ismodule(value):
        return [name]
    alone = [find(each) for listed in rows().values() for each in listed]
    known = {id(each) for each in alone if not inspect.ismodule(each)}
    return [f"{name}.{each}" for each in public(value) if id(find(f"{name}.{each}")) not in known]


def _directive(name: str) -> str:
    value = find(name)
    if is_fixture(value):
        return _fixture(name, value)
    if isinstance(value, type):
        kind = "exception" if issubclass(value, BaseException) else "class"
    else:
        kind = "function" if inspect.isroutine(value) else "data"
    text = f".. auto{kind}:: {name}\n"
    if kind == "data":
        text += "   :no-value:\n"  # most are tables, which the file shows better
    if isinstance(value, type) and value.__bases__ != (object,):
        text += "   :show-inheritance:\n"
    if kind == "class" and (others := _not_ours(value)):
        text += f"   :inherited-members: {others}\n"
    if name in _NOT_FOR_PROGRAMS:
        text += f"   :exclude-members: {_NOT_FOR_PROGRAMS[name]}\n"
    return f"{text}\n"


def _not_ours(value: object) -> str:
    """Give the bases whose members stay out, if there is a base of ours whose members go in."""
    bases = inspect.getmro(value)[1:] if isinstance(value, type) else ()
    foreign = {each for each in bases if not each.__module__.startswith("aiobc9x")}
    if foreign == {*bases}:
        return ""
    return ", ".join([*sorted(each.__name__ for each in foreign), "SlotEvents"])


def _fixture(name: str, value: object) -> str:
    """Write what autodoc would: for it a fixture is an object without a text of its own."""
    told = GoogleDocstring(inspect.getdoc(value) or "").lines()
    body = "".join(f"   {line}\n" if line else "\n" for line in told)
    module, _, short = name.rpartition(".")
    return f".. py:data:: {short}\n   :module: {module}\n\n{body}\n"


def pages() -> Iterator[tuple[PurePosixPath, str]]:
    """Give each page's path and text, in reStructuredText."""
    for title, listed in rows().items():
        parts = [f"{title}\n{'=' * len(title)}\n\n"]
        for name in listed:
            if inspect.ismodule(find(name)):
                parts.append(f".. automodule:: {name}\n   :no-members:\n\n")
            parts += [_directive(each) for each in entries(name)]
        yield PurePosixPath(f"api/{slug(title)}.rst"), "".join(parts)
