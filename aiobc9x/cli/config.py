"""``aiobc9x config``: the settings that a module keeps without power, as a file.

Layer: cli.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json, print_rows, print_table
from aiobc9x.cli.stored import Values, as_it_is, as_text, differences, read_file, toml

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group(no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show, save and load the settings that the module keeps without power.

    They are read as they are: unlike all other commands, these change none by opening the module.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("show", short_help="Show them, or how they differ from a file.")
@click.argument("file", required=False, type=_FILE)
@AS_JSON
@takes_port
@runs
async def show(file: Path | None, as_json: bool, port: Port) -> None:
    """Show the settings; with FILE, how the module differs from it."""
    wanted = None if file is None else await asyncio.to_thread(read_file, file)
    async with as_it_is(port) as module:
        found = await module.values()
    if wanted is None:
        print_json(found) if as_json else print_rows(_rows(found))
        return
    names = differences(found, wanted)
    if as_json:
        print_json({"settings": found, "differences": {n: wanted[n] for n in names}})
    elif names:
        rows = [(name, _shown(found, name), toml(wanted[name])) for name in names]
        print_table(("setting", "module", str(file)), rows)
    else:
        click.echo(f"the module is set as {file} says")


@command.command("save", short_help="Write them to a file.")
@click.argument("file", type=_FILE)
@takes_port
@runs
async def save(file: Path, port: Port) -> None:
    """Write the settings to FILE: JSON if its name ends in .json, else TOML."""
    async with as_it_is(port) as module:
        found = await module.values()
    await asyncio.to_thread(file.write_text, as_text(found, file), encoding="utf-8")
    click.echo(f"{len(found)} settings are in {file}")


@command.command("load", short_help="Make those of a file, and say what was refused.")
@click.argument("file", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Only say what would be changed.")
@AS_JSON
@takes_port
@runs
async def load(file: Path, dry_run: bool, as_json: bool, port: Port) -> int:
    """Make the settings of FILE that differ, then ask the module for what they are now.

    Settings that FILE does not have stay as they are. The exit code is 1 if one is not made.
    """
    wanted = await asyncio.to_thread(read_file, file)
    refused: dict[str, str] = {}
    async with as_it_is(port) as module:
        found = await module.values()
        names = differences(found, wanted)
        if not dry_run:
            for name in names:
                if (words := await module.make(name, wanted[name])) is not None:
                    refused[name] = words
        now = await module.values() if names else found
    left = [] if dry_run else differences(now, wanted)
    if as_json:
        print_json(
            {
                "settings": now,
                "changed": [n for n in names if n not in left],
                "not_made": {n: refused.get(n) for n in left},
            }
        )
    elif not names:
        click.echo(f"the module is set as {file} says")
    else:
        rows = [
            (n, _shown(found, n), toml(wanted[n]), _outcome(n, now, left, refused, dry_run))
            for n in names
        ]
        print_table(("setting", "before", str(file), "outcome"), rows)
    return 1 if left else 0


def _outcome(
    name: str, now: Values, left: list[str], refused: dict[str, str], dry_run: bool
) -> str:
    if dry_run:
        return "would be made"
    if name in refused:
        return f"refused: {refused[name]}"
    return f"taken, but the module says {_shown(now, name)}" if name in left else "made"


def _rows(found: Values) -> list[tuple[str, object]]:
    return [(name, toml(value)) for name, value in found.items()]


def _shown(values: dict[str, Any], name: str) -> str:
    return toml(values[name]) if name in values else "not told"
