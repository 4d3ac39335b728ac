"""``aiobc9x listen``: wait for clients as netcat does (§2.2.1, TCP LISTENER).

Layer: cli.
"""

from __future__ import annotations

import asyncio
from typing import Any

import click

from aiobc9x.cli.connect import LINGER
from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.piping import pipe_streams
from aiobc9x.modem import Modem

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@click.command()
@click.argument("local_port", metavar="PORT", type=click.IntRange(1, 65535))
@click.option("--keep", is_flag=True, help="Go on listening after the first client, until Ctrl-C.")
@LINGER
@takes_port
@runs
async def command(local_port: int, keep: bool, linger: float, port: Port) -> None:
    """Listen on PORT of the module: stdin is sent to the client, and what comes is printed.

    One client is served at a time; others wait for their turn. Whether a client can reach
    the module at all is the carrier's choice: most give addresses that nobody can connect to.
    """
    async with port.open() as modem:
        await modem.wait_ready()
        await _serve(modem, local_port, keep, linger)


async def _serve(modem: Modem, local_port: int, keep: bool, linger: float) -> None:
    clients: asyncio.Queue[Streams] = asyncio.Queue()

    async def take(*streams: Any) -> None:
        await clients.put(streams)

    async with await modem.start_server(take, local_port):
        addresses = [text for _, found in await modem.addresses() for text in found]
        click.echo(f"listening on {' and '.join(addresses)}, port {local_port}", err=True)
        while True:
            reader, writer = await clients.get()
            peer = writer.get_extra_info("peername")
            click.echo(f"{peer[0]}, port {peer[1]}, has connected", err=True)
            try:
                await pipe_streams(reader, writer, linger)
            except ConnectionError as exc:
                if not keep:
                    raise
                click.echo(f"aiobc9x: {exc}", err=True)
            if not keep:
                return
