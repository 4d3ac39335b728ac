"""Regular expressions that are compiled when they are first used.

Layer: patterns. Does no I/O, reads no clock.

Each takes about 0.1 ms to compile. This package has about a hundred, and most programs use few.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["lazy_pattern"]


def lazy_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what :func:`re.compile` returns, to be compiled by the first use.

    Args:
        pattern: The regular expression. A wrong one raises :exc:`re.error` when it is used.
        flags: As for :func:`re.compile`.

    Returns:
        An object with the methods and attributes of the compiled pattern. Functions of :mod:`re`
        don't take it: ``lazy_pattern(…).sub()``, not ``re.sub(lazy_pattern(…))``.

    """
    return cast("re.Pattern[AnyStr]", _Lazy(pattern, flags))


class _Compiled:
    """Has the methods and attributes of a compiled pattern, as attributes of its own.

    There is no ``__getattr__()`` here, because a class that has one makes each look at an
    attribute slower, by a fifth of what a short match takes.
    """


class _Lazy(_Compiled):
    """Stands for a pattern that is to be compiled."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:  # Any: each method has its own signature
        if name.startswith("__"):
            raise AttributeError(name)  # somebody looks what kind of object this is
        pattern: re.Pattern[Any] = re.compile(*self._source)
        found = {each: getattr(pattern, each) for each in dir(pattern) if not each.startswith("_")}
        vars(self).update(found)
        # From now on there is nothing to do on demand.
        self.__class__ = _Compiled  # type: ignore[assignment]  # mypy takes it for the class's own
        return getattr(self, name)
