"""The parameters of the virtual module as flags of a command.

Layer: cli. The flags come from the fields of ``SimOptions``; values are read by
``parse_address`` alone, so that a flag and a ``sim://`` address mean the same.
"""

from __future__ import annotations

import argparse
from dataclasses import MISSING, fields
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aiobc9x.sim.options import CHOICES, SimOptions, parse_address

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


def add_simulation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an address and one flag for each parameter."""
    parser.add_argument(
        "address", nargs="?", default="sim://", help="a sim:// address; flags come on top"
    )
    group = parser.add_argument_group(
        "the virtual module", "docs/virtual-module.md explains each; times are in seconds"
    )
    for name, default in plain_parameters().items():
        group.add_argument(_flag(name), metavar=_metavar(name, default), help=_default(default))
    for name, (metavar, words) in REPEATABLE.items():
        group.add_argument(
            _flag(name), metavar=metavar, action="append", default=[], help=f"{words}; repeatable"
        )


def simulation_options(arguments: argparse.Namespace) -> SimOptions:
    """Read what :func:`add_simulation_arguments` added.

    Raises:
        ValueError: A value that doesn't fit; the message names it.

    """
    values = vars(arguments)
    given = {name: values[name] for name in plain_parameters() if values[name] is not None}
    parts = urlsplit(arguments.address)
    query = [pair for pair in parse_qsl(parts.query, True) if pair[0] not in given]
    query += given.items()
    query += [(name, value) for name in REPEATABLE for value in values[name]]
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
