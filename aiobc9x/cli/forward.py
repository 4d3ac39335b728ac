"""``aiobc9x forward``: local ports that lead through the module.

Layer: cli.
"""

from __future__ import annotations

import click

from aiobc9x.cli.opening import Port, runs, takes_port


@click.command()
@click.argument("forwards", metavar="LOCAL:HOST:PORT...", nargs=-1, required=True)
@click.option("--allow-remote", is_flag=True, help="Listen on addresses that others can reach.")
@takes_port
@runs
async def command(forwards: tuple[str, ...], allow_remote: bool, port: Port) -> None:
    """Forward local ports to hosts behind the module, until Ctrl-C.

    1883:broker.example:1883 lets a program reach broker.example at 127.0.0.1, port 1883. In
    front of LOCAL may stand the address to listen on. Local port 0 is any that is free.
    """
    async with port.open() as modem:
        proxy = await modem.serve_proxy(port=None, forwards=forwards, allow_remote=allow_remote)
        async with proxy:
            for each in proxy.forwards:
                here = f"{each.local_host}, port {each.local_port}"
                click.echo(f"{here}, leads to {each.host}, port {each.port}")
            await proxy.wait_closed()
