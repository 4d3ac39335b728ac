"""Check the arguments of callers before anything is opened or sent.

Layer: aio. :mod:`aiobc9x.wire.params` checks what goes into a command line; this module checks
the rest. Each message begins with the name of the argument. A wrong type is a ``TypeError``, a
value out of range a ``ValueError``.
"""

from __future__ import annotations

import enum
import math
from typing import Final, TypeVar

E = TypeVar("E", bound=enum.Enum)

_SHOWN_CHARACTERS: Final = 40


def check_seconds(argument: str, value: object) -> None:
    """Check that a value is a number of seconds; a negative one is allowed, and is up at once.

    Raises:
        TypeError: It is no number.
        ValueError: It is NaN.

    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be a number of seconds, not {_shown(value)}")
    if math.isnan(value):
        raise ValueError(f"{argument} is nan: use a number of seconds")


def check_positive_seconds(argument: str, value: object) -> None:
    """Check that a value is a number of seconds above 0.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above 0.

    """
    check_seconds(argument, value)
    if not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{argument} is {value}: use more than 0 s")


def check_integer(argument: str, value: object, least: int | None = None) -> None:
    """Check that a value is an integer, and not below the least.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below ``least``.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an integer, not {_shown(value)}")
    if least is not None and value < least:
        raise ValueError(f"{argument} is {value}: use at least {least}")


def check_flag(argument: str, value: object) -> None:
    """Check that a value is ``True`` or ``False``, because any text would count as ``True``.

    Raises:
        TypeError: It is neither, nor 1 or 0.

    """
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError(f"{argument} must be True or False, not {_shown(value)}")


def check_text(argument: str, value: object) -> None:
    """Check that a value is text.

    Raises:
        TypeError: It is not.

    """
    if not isinstance(value, str):
        # Without the value, which may be a secret: pin=1234.
        raise TypeError(f"{argument} must be str, not {type(value).__name__}")


def check_callable(argument: str, value: object) -> None:
    """Check that a value can be called.

    Raises:
        TypeError: It can't.

    """
    if not callable(value):
        raise TypeError(f"{argument} must be callable, not {_shown(value)}")


def member(argument: str, kind: type[E], value: object) -> E:
    """Return the member of an enumeration that a value stands for.

    Raises:
        ValueError: There is none; the message lists what there is.

    """
    try:
        return kind(value)
    except ValueError:
        known = " or ".join(f"{kind.__name__}.{each.name}" for each in kind)
        raise ValueError(f"{argument} is {value!r}: use {known}") from None


def _shown(value: object) -> str:
    """Show a value for a message, or only its type if the value may be long."""
    plain = value is None or isinstance(value, bool | int | float | str | enum.Enum)
    text = repr(value)
    return text if plain and len(text) <= _SHOWN_CHARACTERS else type(value).__name__
