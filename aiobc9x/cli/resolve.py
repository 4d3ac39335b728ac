"""``aiobc9x resolve``: the addresses of a name (§2.2.10).

Layer: cli.
"""

from __future__ import annotations

import click

from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json


@click.command()
@click.argument("name")
@AS_JSON
@takes_port
@runs
async def command(name: str, as_json: bool, port: Port) -> None:
    """Look up the addresses of NAME in the DNS that the module uses, one a line."""
    async with port.open(reconnect=None) as modem:
        await modem.wait_ready()
        resolution = await modem.resolve(name)
    if as_json:
        print_json(resolution)
    else:
        for address in resolution.addresses:
            click.echo(address)
