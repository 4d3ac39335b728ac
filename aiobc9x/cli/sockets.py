"""``aiobc9x sockets``: what AT+QISTATE says (§2.2.3).

Layer: cli.
"""

from __future__ import annotations

from dataclasses import astuple

import click

from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json, print_table

_HEAD = ("ID", "type", "remote", "port", "local port", "state", "context", "access mode")


@click.command()
@AS_JSON
@takes_port
@runs
async def command(as_json: bool, port: Port) -> None:
    """List the sockets that are open on the module.

    A socket that another program has left there is closed first, as whenever a modem is opened.
    """
    async with port.open(reconnect=None) as modem:
        states = await modem.socket_states()
    if as_json:
        print_json({"sockets": states})
    elif states:
        print_table(_HEAD, map(astuple, states))
    else:
        click.echo("no socket is open; all six are free")
