"""``aiobc9x connect``: netcat through the module.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from aiobc9x.aio.transports.datagram import DatagramTransport
from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.piping import pipe, pipe_streams
from aiobc9x.modem import Modem
from aiobc9x.spec import SEND_MAX_BYTES

_LOOK_S: Final = 0.05

LINGER: Final = click.option(
    "--linger",
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Without a byte, once stdin has ended, until the connection is closed.",
)


@click.command()
@click.argument("host")
@click.argument("remote_port", metavar="PORT", type=click.IntRange(1, 65535))
@click.option("--tls", is_flag=True, help="Encrypt, and check the peer's certificate.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Trust the authorities in FILE instead of the system's.",
)
@click.option("--udp", is_flag=True, help="Send each piece of stdin, as a line, as a datagram.")
@LINGER
@takes_port
@runs
async def command(
    host: str, remote_port: int, tls: bool, ca: Path | None, udp: bool, linger: float, port: Port
) -> None:
    """Connect to HOST and PORT: stdin is sent, and what comes is printed.

    It ends when the peer closes the connection, or when stdin has ended, all of it is sent and
    nothing has come for the time of --linger.
    """
    if udp and (tls or ca):
        raise click.UsageError("--udp can't be encrypted: leave --tls and --ca out")
    context = ssl.create_default_context(cafile=ca) if tls or ca else None
    async with port.open(reconnect=None) as modem:
        if udp:
            await _exchange_datagrams(modem, host, remote_port, linger)
        else:
            reader, writer = await modem.open_connection(host, remote_port, ssl=context)
            click.echo(f"connected to {host}, port {remote_port}", err=True)
            await pipe_streams(reader, writer, linger)


class _Datagrams(asyncio.DatagramProtocol):
    """A socket whose datagrams are sent and received one by one."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        self._received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """Say what was lost; the socket goes on."""
        click.echo(f"aiobc9x: {exc}", err=True)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._received.put_nowait(b"")

    async def receive(self) -> bytes:
        return await self._received.get()


async def _exchange_datagrams(modem: Modem, host: str, remote_port: int, linger: float) -> None:
    transport, protocol = await modem.create_datagram_endpoint(
        _Datagrams, remote_addr=(host, remote_port)
    )

    async def send(piece: bytes) -> None:
        for start in range(0, len(piece), SEND_MAX_BYTES):
            transport.sendto(piece[start : start + SEND_MAX_BYTES])
        assert isinstance(transport, DatagramTransport)
        while transport.get_write_buffer_size():  # noqa: ASYNC110  # no event tells of the end
            await asyncio.sleep(_LOOK_S)

    with closing(transport):
        await pipe(send, protocol.receive, linger)
