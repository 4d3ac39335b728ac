"""The parameters of the virtual module as flags of a command.

Layer: cli. The flags come from the fields of ``SimOptions``; values are read by
``parse_address`` alone, so that a flag and a ``sim://`` address mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import click

from aiobc9x.sim.options import CHOICES, SimOptions, parse_address

T = TypeVar("T")

REPEATABLE: Final = {
    "host": ("NAME:ADDRESS", "where a name leads; blackhole never answers"),
    "remote_port": ("PORT:REAL", "connect to another port than the program says"),
    "listen_port": ("PORT:REAL", "listen on another port than the program says"),
    "ping": ("ADDRESS:MS,MS,…", "round trips of an address; - for a loss"),
    "fault": ("KIND;FIELD=VALUE", "something that goes wrong"),
}
"""Flags that may come more than once: metavariable and help."""

_NOT_FLAGS: Final = {"link", "faults", "on_line"}


def plain_parameters() -> dict[str, object]:
    """The parameters that take one plain value, and their defaults."""
    return {
        f.name: f.default
        for f in fields(SimOptions)
        if f.default is not MISSING and f.name not in _NOT_FLAGS
    }


def takes_simulation(function: Callable[..., T]) -> Callable[..., T]:
    """Give a command an address and one option for each parameter.

    The command's function is called with ``options``, a :class:`SimOptions`.
    """

    @wraps(function)
    def with_options(*arguments: Any, address: str, **values: Any) -> T:
        given = {name: values.pop(name) for name in (*plain_parameters(), *REPEATABLE)}
        return function(*arguments, options=simulation_options(address, given), **values)

    for option in reversed(_options()):
        with_options = option(with_options)
    return click.argument("address", default="sim://")(with_options)


def _options() -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    single = [
        click.option(_flag(name), name, metavar=_metavar(name, default), help=_default(default))
        for name, default in plain_parameters().items()
    ]
    repeatable = [
        click.option(
            _flag(name), name, metavar=metavar, multiple=True, help=f"{words}; repeatable."
        )
        for name, (metavar, words) in REPEATABLE.items()
    ]
    return [*single, *repeatable]


def simulation_options(address: str, given: Mapping[str, Any]) -> SimOptions:
    """Read an address, with options on top of it.

    Args:
        address: A ``sim://`` address.
        given: The values of the options by name: text, ``None``, or a tuple of texts.

    Raises:
        ValueError: A value that doesn't fit; the message names it.

    """
    single = {n: given[n] for n in plain_parameters() if given[n] is not None}
    parts = urlsplit(address)
    query = [pair for pair in parse_qsl(parts.query, True) if pair[0] not in single]
    query += single.items()
    query += [(name, value) for name in REPEATABLE for value in given[name]]
    return parse_address(parts._replace(query=urlencode(query, quote_via=quote)).geturl())


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _metavar(name: str, default: object) -> str:
    if name in CHOICES:
        return "{" + ",".join(map(str, CHOICES[name])) + "}"
    if isinstance(default, bool):
        return "{0,1}"
    return {int: "N", float: "SECONDS"}.get(type(default), "VALUE")


def _default(default: object) -> str:
    if default in (None, ""):
        return "default: none"
    if isinstance(default, tuple):
        return f"default: {'-'.join(map(str, default))}"
    return f"default: {int(default) if isinstance(default, bool) else default}"
