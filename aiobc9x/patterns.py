"""Regular expressions that are compiled when they are first used.

Layer: patterns. Does no I/O, reads no clock.

Each takes about 0.1 ms to compile. This package has about a hundred, and most programs use few.
"""

from __future__ import annotations

import re
from functools import cached_property
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


class _Lazy:
    """Stands for a compiled pattern."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._source = pattern, flags

    @cached_property
    def _compiled(self) -> re.Pattern[Any]:
        return re.compile(*self._source)

    def __getattr__(self, name: str) -> object:
        # Python asks here for what is not there yet, so each method is looked up once.
        found: object = getattr(self._compiled, name)
        setattr(self, name, found)
        return found
