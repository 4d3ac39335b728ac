"""Names that clients of the proxy ask for: the module's own rules are no concern of theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiobc9x.adapters.proxy.api import ProxyTimeouts
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.sim.options import Host
from aiobc9x.wire.host import Host as WireHost
from tests.adapters.proxy.proxy_client import Client
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import virtual

LONG = "x" * 44 + ".example"
"""52 bytes, two more than AT+QIOPEN takes (§2.2.1)."""

SIX = "2001:db8::7"


def by_socks(name: str) -> bytes:
    """A greeting and a request of SOCKS5, with a name."""
    port = ECHO_PORT.to_bytes(2, "big")
    return b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(name)]) + name.encode() + port


def by_connect(name: str) -> bytes:
    """CONNECT of HTTP."""
    return f"CONNECT {name}:{ECHO_PORT} HTTP/1.1\r\n\r\n".encode()


def by_forward(_name: str) -> bytes:
    """Nothing to ask: the port leads to one place."""
    return b""


@pytest.mark.parametrize("way", [by_socks, by_connect, by_forward])
@pytest.mark.parametrize(
    ("name", "addresses", "options"),
    [
        (LONG, (HOST,), {}),
        ("two.example", ("192.0.2.9", HOST), {}),
        ("six.example", (SIX,), {"ip": "2001:db8::10"}),
    ],
    ids=["long", "in turn", "IPv6 alone"],
)
def test_name(way: Any, name: str, addresses: tuple[str, ...], options: dict[str, Any]) -> None:
    """A long name, one whose first address is dead, and one of IPv6 lead where they should."""

    @virtual
    async def check() -> None:
        async with Bench(hosts={name: Host(addresses)}, **options) as bench:
            all_clients = ProxyClients(await bench.open(), ProxyTimeouts(30, 30, None))
            client = Client(
                all_clients, Request(WireHost.read(name), ECHO_PORT) if way is by_forward else None
            )
            client.say(way(name))
            client.say(b"question")
            async with asyncio.timeout(100):
                while not client.received.endswith(b"question"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert bench.peer.address == addresses[-1]
            all_clients.close()
            await all_clients.wait_empty()

    check()
