"""Datagrams by redirection: a bench with UDP servers, and endpoints of its modem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobc9x.adapters.redirect.endpoint import Endpoint
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host
from tests.support.bench import HOST, Bench
from tests.support.clock import running
from tests.support.ordinary import nothing_leaves
from tests.support.recorders import DatagramRecorder

ECHO, SINK = 7, 9

NAME, LONG = "server.example", "x" * 60 + ".example"

HOSTS = {NAME: Host((HOST,)), LONG: Host((HOST,)), "six.example": Host(("2001:db8::1",))}


def echo(peer: Peer) -> None:
    """Answer each datagram with itself."""
    peer.answer_with(peer.send)


def bench_with_udp(**options: Any) -> Bench:
    """A bench with an echo port and one that never answers, at any address."""
    bench = Bench(hosts=HOSTS, **options)
    bench.network.serve_udp(ECHO, echo)
    bench.network.serve_udp(SINK)
    return bench


@asynccontextmanager
async def routed(ip: str = "100.127.243.105", **options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave; ``ip`` is the module's."""
    async with bench_with_udp(ip=ip) as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


async def endpoint(**options: Any) -> tuple[Endpoint, DatagramRecorder]:
    """An endpoint without remote_addr."""
    options = options or {"local_addr": ("0.0.0.0", 0)}
    transport, protocol = await running().create_datagram_endpoint(DatagramRecorder, **options)
    assert isinstance(transport, Endpoint)
    assert protocol.transport is transport
    return transport, protocol


def opens(bench: Bench) -> list[str]:
    """The AT+QIOPEN lines so far."""
    return [line for line in bench.commands if "QIOPEN" in line]


def host(number: int) -> str:
    """One address of many."""
    return f"10.0.0.{number}"
