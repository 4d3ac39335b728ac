"""The private names that the package uses are there, and docs/asyncio-internals.md has them."""

import ast
import importlib
import platform
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.internals import OURS, PACKAGE, ROOT, names_of_class, own_names, taken, uses

PAGE: Final = "docs/asyncio-internals.md"


class Row(NamedTuple):
    """A class or a module of asyncio, and a name of it that the package uses."""

    owner: str
    name: str


def told() -> Iterator[Row]:
    """What the page has, by its tables."""
    owner = ""
    for line in (ROOT / PAGE).read_text("utf-8").splitlines():
        match line.split("|"):
            case ["", first, names, _, _, ""] if "`" in names:
                owner = first.strip(" `") or owner
                yield from (Row(owner, name) for name in re.findall(r"`(\w+)`", names))


TOLD: Final = list(told())


def names_of(owner: str) -> frozenset[str]:
    """What a module or a class has, on this Python; nothing if it is not there itself."""
    module, _, name = owner.rpartition(".")
    try:
        return frozenset(dir(importlib.import_module(owner)))
    except ImportError:
        cls = getattr(importlib.import_module(module), name, None)
    return names_of_class(cls) if isinstance(cls, type) else frozenset()


@pytest.mark.parametrize("row", TOLD, ids=".".join)
def test_this_python_has_it(row: Row) -> None:
    """What the package needs of asyncio and asyncio does not promise."""
    assert row.name in names_of(row.owner), (
        f"{row.owner} of Python {platform.python_version()} has no {row.name}:"
        f" {PAGE} says what for it is used, and what happens without"
    )


def test_the_page_has_all_that_is_used() -> None:
    """And nothing that is not used any more."""
    used = {use.name: use.file for use in uses()}
    listed = {row.name for row in TOLD}
    new = {f"{name} (in {file})" for name, file in used.items() if name not in listed}
    assert not new, f"private names of others; do without, or say in {PAGE} what for: {sorted(new)}"
    assert not listed - used.keys(), f"{PAGE} has names that nothing uses"


@pytest.mark.parametrize(
    "code",
    [
        "reader._waiter",
        "getattr(loop, '_ready')",
        "super()._wait()",
        "from asyncio import _set_task",
    ],
)
def test_a_use_is_found(code: str) -> None:
    """However a name is taken; one that is our own alone, or of ``self``, is not."""
    assert list(taken(ast.parse(code)))
    assert not list(taken(ast.parse("self._waiter; modem._driver; pair._replace(a=1)")))


def test_a_name_that_is_missing_is_told() -> None:
    """Of a class, of a module, and of a class that has gone itself."""
    assert "_no_such_name" not in names_of("asyncio.StreamReader")
    assert "_NoSuchClass" not in names_of("asyncio.transports")
    assert names_of("asyncio.transports._NoSuchClass") == frozenset()


def test_exceptions_are_names_of_our_own() -> None:
    """A name of ours that asyncio has too is an exception only where it is used."""
    for file, name in OURS:
        assert name in own_names()
        assert re.search(rf"\.{name}\b", (PACKAGE / file).read_text("utf-8")), file
