"""``aiobc9x info``: module, SIM, network, signal, addresses, sockets and settings at a glance.

Layer: cli.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

from aiobc9x.aio.queries.results import Identity
from aiobc9x.cli.opening import Port, runs, takes_port
from aiobc9x.cli.output import AS_JSON, print_json, print_rows, worded
from aiobc9x.cli.survey import Survey, signal_in_words, survey
from aiobc9x.wire.commands.tcpip import SocketStatus


@click.command()
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=6.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for SIM and network; without them the rest is shown.",
)
@AS_JSON
@takes_port
@runs
async def command(wait: float, as_json: bool, port: Port) -> None:
    """Show module, SIM, registration, signal, addresses, sockets and settings at a glance.

    What the module doesn't tell is said in its place. The exit code is 1 only if nothing
    answers on the port.
    """
    async with port.open(reconnect=None) as modem:
        found = await survey(modem, wait)
    if as_json:
        print_json(found.as_json())
    else:
        print_rows(_rows(found))


def _rows(found: Survey) -> Iterator[tuple[str, object]]:
    identity = found.parts["identity"]
    yield "module", _named(identity, manufacturer="", model="", revision="", imei="IMEI")
    yield "SIM", _named(identity, iccid="ICCID", imsi="IMSI")
    if (why := found.errors.get("network")) is not None:
        yield "no network", why
    for name, words in _WORDS.items():
        part = found.parts[name]
        yield name, found.errors[name] if part is None else words(part)


def _named(identity: Identity | None, **names: str) -> str:
    found = [(name, getattr(identity, field, None)) for field, name in names.items()]
    return ", ".join(f"{name} {value}".strip() for name, value in found if value) or "tells nothing"


def _addresses(rows: list[dict[str, Any]]) -> str:
    mine = [f"{worded(r['addresses'])} (context {r['context_id']})" for r in rows if r["addresses"]]
    return ", ".join(mine) or "none"


def _sockets(rows: Sequence[SocketStatus]) -> str:
    found = [f"{row.connect_id} to {row.ip_address}:{row.remote_port}" for row in rows]
    return ", ".join(found) or "all six are free"


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {worded(settings[key])}" for key, name in _SETTINGS.items())


def _usage(found: dict[str, Any]) -> str:
    total = found["total"]["sent_bytes"] + found["total"]["received_bytes"]
    return f"about {total} bytes over the air for this"


_SETTINGS: Final = {
    "apn": "APN",
    "dns_servers": "name servers",
    "recv_data_format": "data as",
    "view_mode": "view mode",
    "show_length": "lengths shown:",
    "open_time": "open time",
}

_WORDS: Final[dict[str, Callable[[Any], str]]] = {  # Any: each takes the class of its part
    "registration": lambda status: str(status["text"]),
    "signal": signal_in_words,
    "addresses": _addresses,
    "sockets": _sockets,
    "settings": _settings,
    "usage": _usage,
}
