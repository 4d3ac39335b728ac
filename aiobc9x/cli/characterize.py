"""``aiobc9x characterize``: measure a module, and write its profile.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from aiobc9x.cli.characterizing.assumptions import Measured, findings, profile_of
from aiobc9x.cli.characterizing.echoing import Peer
from aiobc9x.cli.characterizing.run import characterize
from aiobc9x.cli.doctor import host_and_port
from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, plain, print_json, print_table


def _in_a_folder(_ctx: click.Context, _option: click.Parameter, path: Path) -> Path:
    """Refuse a file that can't be written, before some minutes are spent on it."""
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"{path.parent} is no folder that can be written to")
    return path


@click.command()
@click.option(
    "--peer",
    required=True,
    metavar="HOST:PORT",
    callback=host_and_port,
    help="A server that sends back what it gets, by TCP and by UDP.",
)
@click.option(
    "--web",
    metavar="HOST:PORT",
    callback=host_and_port,
    help="A web server, which answers and closes; any will do.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_in_a_folder,
    metavar="FILE",
    help="Write the profile there.",
)
@AS_JSON
@takes_port
@runs
async def command(
    peer: tuple[str, int], web: tuple[str, int] | None, output: Path, as_json: bool, port: Port
) -> None:
    """Measure how a module behaves, and write a profile for open_modem(profile=…).

    It takes some minutes and some 100 kB through the module. Then it says which assumptions of
    this package about modules (docs/spec-notes.md, docs/field-notes.md) the module confirms,
    breaks, or leaves open.
    """
    closing = None if web is None else Peer(*web)
    measured = await characterize(port, Peer(*peer), _say, closing)
    profile = profile_of(measured)
    details = plain(measured)
    await asyncio.to_thread(profile.save, output, measured=details)
    if as_json:
        found = {
            "file": str(output),
            "profile": profile,
            "measured": details,
            "assumptions": findings(measured),
        }
        print_json(found)
        return
    _show(measured, output)


def _say(what: str) -> None:
    """Tell a person who waits what is being done."""
    if sys.stderr.isatty():
        click.echo(f"{what} …", err=True)


def _show(measured: Measured, output: Path) -> None:
    click.echo(", ".join(measured.module) or "the module tells no name")
    rows: list[tuple[Any, ...]] = [(f.number, f.verdict, f.text) for f in findings(measured)]
    print_table(("what", "verdict", "this module"), rows)
    for name, why in measured.errors.items():
        click.echo(f"{name.replace('_', ' ')} could not be measured: {why}")
    click.echo(f"the profile is in {output}")
