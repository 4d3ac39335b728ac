"""``aiobc9x ping``: echo requests through the module (§2.2.8).

Layer: cli.
"""

from __future__ import annotations

import click

from aiobc9x.aio.queries.results import PingReply
from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json


@click.command()
@click.argument("host")
@click.option("--count", default=4, show_default=True, metavar="N", help="Requests, 1-10.")
@click.option(
    "--timeout", default=4, show_default=True, metavar="SECONDS", help="For each request, 1-255."
)
@click.option(
    "--size", default=32, show_default=True, metavar="BYTES", help="Of each request, 32-200."
)
@AS_JSON
@takes_port
@runs
async def command(host: str, count: int, timeout: int, size: int, as_json: bool, port: Port) -> int:
    """Send echo requests to HOST, a name or an address, through the module.

    The exit code is 1 if no reply has come.
    """
    async with port.open(reconnect=None) as modem:
        await modem.wait_ready()
        if as_json:
            report = await modem.ping(host, timeout=timeout, count=count, size_bytes=size)
            print_json(report)
            return 0 if report.received else 1
        times: list[int | None] = []
        async for reply in modem.ping_replies(host, timeout=timeout, count=count, size_bytes=size):
            times.append(reply.time_ms)
            click.echo(f"{len(times)}: {_worded(reply)}")
    return _sum_up(times)


def _worded(reply: PingReply) -> str:
    if reply.timed_out:
        return "no reply"
    return f"{reply.size_bytes} bytes from {reply.ip_address} in {reply.time_ms} ms"


def _sum_up(replies: list[int | None]) -> int:
    times = [time for time in replies if time is not None]
    click.echo(f"{len(replies)} sent, {len(times)} received, {len(replies) - len(times)} lost")
    if not times:
        return 1
    mean = sum(times) / len(times)
    click.echo(f"round trip: {min(times)} ms at best, {mean:.0f} on average, {max(times)} at worst")
    return 0
