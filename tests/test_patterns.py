"""patterns: a regular expression that is compiled late is the same regular expression."""

import importlib
import pkgutil
import re
from typing import Any

import pytest

import aiobc9x
from aiobc9x.patterns import lazy_pattern


def test_it_does_what_a_compiled_one_does() -> None:
    """Flags included; str stays str, and bytes stay bytes."""
    words = lazy_pattern("a(b+)", re.IGNORECASE)
    match = words.fullmatch("ABB")
    assert match is not None
    assert match[1] == "BB"
    assert words.match("cab") is None
    assert words.sub("-", "xabbx") == "x-x"
    assert (words.pattern, words.groups) == ("a(b+)", 1)
    assert lazy_pattern(rb"\d").findall(b"1a2") == [b"1", b"2"]


def test_it_is_compiled_once_and_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first use, of whatever method."""
    compiled = []
    compile_ = re.compile

    def noted(*source: Any) -> re.Pattern[Any]:
        compiled.append(source)
        return compile_(*source)

    monkeypatch.setattr(re, "compile", noted)
    words = lazy_pattern("a+")
    assert compiled == []
    assert words.match("aa")
    assert words.match("aa")
    assert words.search("baa")
    assert compiled == [("a+", 0)]


def test_it_has_nothing_that_a_compiled_one_lacks() -> None:
    """Neither before nor after the first use; and whoever looks what it is compiles nothing."""
    words: Any = lazy_pattern("(")
    assert not hasattr(words, "__wrapped__")
    words = lazy_pattern("a")
    for _ in range(2):
        with pytest.raises(AttributeError):
            words.nothing  # noqa: B018


def test_a_wrong_one_is_told_when_it_is_used() -> None:
    """So the next test uses all that the package has."""
    wrong = lazy_pattern("(")
    with pytest.raises(re.error):
        wrong.match("")


def test_all_of_the_package_can_be_compiled() -> None:
    """Nobody meets a wrong one first in the field."""
    found = 0
    for each in pkgutil.walk_packages(aiobc9x.__path__, "aiobc9x."):
        try:
            module = importlib.import_module(each.name)
        except ImportError:
            assert each.name.startswith("aiobc9x.adapters.")  # whose library isn't installed
            continue
        for value in vars(module).values():
            if type(value).__module__ == "aiobc9x.patterns":
                assert value.pattern
                found += 1
    assert found > 80
