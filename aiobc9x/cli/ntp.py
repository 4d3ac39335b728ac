"""``aiobc9x ntp``: the time of a server (§2.2.9).

Layer: cli.
"""

from __future__ import annotations

import click

from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json


@click.command()
@click.argument("server", default="pool.ntp.org")
@click.option("--server-port", default=123, show_default=True, metavar="PORT", help="UDP, 1-65535.")
@click.option("--set-clock", is_flag=True, help="Have the module set its clock too.")
@AS_JSON
@takes_port
@runs
async def command(
    server: str, server_port: int, set_clock: bool, as_json: bool, port: Port
) -> None:
    """Ask SERVER (pool.ntp.org if none is given) for the time through the module."""
    async with port.open(reconnect=None) as modem:
        await modem.wait_ready()
        time = await modem.ntp_time(server, port=server_port, set_clock=set_clock)
    if as_json:
        print_json({"server": server, "time": time})
    else:
        click.echo(time.isoformat())
