"""``aiobc9x proxy``: SOCKS5 and HTTP CONNECT through one modem or many, as a service.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from pathlib import Path

import click

from aiobc9x.aio.reconnecting import Reconnect
from aiobc9x.cli.opening import Ports, runs, takes_ports
from aiobc9x.cli.service.running import Plan, Service, told_to_systemd


def _host_and_port(
    _ctx: click.Context, option: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is no [HOST:]PORT with a port of 0-65535")
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command()
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    default="127.0.0.1:1080",
    show_default=True,
    callback=_host_and_port,
    help="Where clients find the proxy; port 0 is any that is free.",
)
@click.option(
    "--forward",
    "forwards",
    metavar="LOCAL:HOST:PORT",
    multiple=True,
    help="A local port that leads to a host; repeatable.",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    callback=_host_and_port,
    help="Serve a status page at /, the state at /state.json and Prometheus's metrics at /metrics.",
)
@click.option(
    "--state-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the state as JSON every ten seconds.",
)
@click.option("--allow-remote", is_flag=True, help="Listen on addresses that others can reach.")
@takes_ports
@runs
async def command(
    listen: tuple[str, int],
    forwards: tuple[str, ...],
    metrics: tuple[str, int] | None,
    state_file: Path | None,
    allow_remote: bool,
    ports: Ports,
) -> None:
    """Let programs on this machine connect through the module, until Ctrl-C or SIGTERM.

    Programs use it by socks5h://127.0.0.1:1080 or http://127.0.0.1:1080. --port may come more
    than once: the modems are then one. A modem that is away comes back by itself. systemd is told
    READY=1 once a modem is registered, how it is in words, and WATCHDOG=1 while a module answers.
    """
    service = Service(Plan(*listen, forwards, allow_remote, state_file))
    if metrics is not None and not allow_remote:
        _check_loopback(metrics[0])
    with _status(service, metrics), told_to_systemd():
        serving = asyncio.create_task(_run(service, ports))
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # by Ctrl-C; SIGTERM ends the service alone, which is a regular end


async def _run(service: Service, ports: Ports) -> None:
    async with ports.open_pool(reconnect=Reconnect(wait_for_device=True)) as pool:
        await service.run(pool)


def _status(service: Service, address: tuple[str, int] | None) -> AbstractContextManager[object]:
    if address is None:
        return nullcontext()
    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app  # noqa: PLC0415

        from aiobc9x.adapters.prometheus import ModemCollector  # noqa: PLC0415
    except ImportError as exc:
        text = "--metrics needs one more package: pip install 'aiobc9x[cli,metrics]'"
        raise click.ClickException(text) from exc
    from aiobc9x.cli.service.web import serving  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(ModemCollector(lambda: service.watches))
    return _announced(serving(*address, service.status, make_wsgi_app(registry)), address[0])


@contextlib.contextmanager
def _announced(server: AbstractContextManager[int], host: str) -> Iterator[None]:
    with server as port:
        click.echo(f"status and metrics at http://{host}:{port}/")
        yield


def _check_loopback(host: str) -> None:
    try:
        is_here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise click.UsageError(
            f"--metrics {host} can be reached by others: use 127.0.0.1, or --allow-remote"
        )
