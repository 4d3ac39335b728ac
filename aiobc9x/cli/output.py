"""What commands print: for people, or as JSON for programs.

Layer: cli. Colour, width and ``NO_COLOR`` are rich's business.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
AS_JSON_LINES: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line."
)

_PIPE_COLUMNS: Final = 1000
"""Lines of a pipe are not folded: whoever reads them is a program, or folds them himself."""


def console() -> Console:
    """Return what prints to stdout, as wide as the terminal."""
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)


def plain(value: object) -> Any:
    """Return a value as JSON has it: dataclasses as objects, enumerations by their names."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value


def as_line(value: object) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(plain(value), ensure_ascii=False)


def print_json(value: object) -> None:
    """Print a value as one line of JSON, at once."""
    click.echo(as_line(value))


def worded(value: object) -> str:
    """Return a value as people read it: a dash for what is not known."""
    shown = plain(value)
    if shown is None or shown == []:
        return "-"
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    if isinstance(shown, list):
        return ", ".join(map(worded, shown))
    return str(shown)


def print_rows(rows: Iterable[tuple[str, object]], title: str = "") -> None:
    """Print names and values in two columns, below a title if there is one."""
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in rows:
        grid.add_row(name, worded(value))
    if title:
        console().print(title, style="bold")
    show(grid)


def print_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print rows under a head."""
    table = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*map(worded, row))
    show(table)


def show(table: Table) -> None:
    """Print a table without the spaces that fill up its last column."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=True)  # rich has left out what the stream can't show
