"""Hosts as getaddrinfo() takes them, each read once on its way through a redirected call."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from aiobc9x.adapters.redirect import hosts
from aiobc9x.adapters.redirect.hosts import check_name, read_host
from aiobc9x.sim.options import Host
from aiobc9x.wire import host as wire_host
from aiobc9x.wire.params import ip_address_or_none
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import virtual

NAME = "server.example"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2", "1.0.0.2"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        ("1.2.3.4.example", None),
        ("1.2.3.400", None),
        ("x", None),
        ("", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    """Addresses are read as getaddrinfo() reads them."""
    found = read_host(text).address
    assert (None if found is None else str(found)) == address


def test_the_module_gets_the_plain_form() -> None:
    """It knows no short forms, no scopes and no IPv4 in IPv6; what was written is kept."""
    read = read_host(b"::ffff:7F00:1")
    assert (read.written, read.text, read.encoded) == ("::ffff:7F00:1", "127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("name", ["a b", "é" * 70, "", b"\xff", "host:80"])
def test_what_is_no_name(name: str | bytes) -> None:
    """It has no address, as a resolver says; a bypass rule may cover it all the same."""
    with pytest.raises(socket.gaierror) as caught:
        check_name(read_host(name))
    assert caught.value.errno == socket.EAI_NONAME


@contextmanager
def counted(host: str) -> Iterator[Counter[str]]:
    """Count how often a host is looked at for an address, and how often it is encoded."""
    seen: Counter[str] = Counter()

    def counting(what: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            seen[what] += host in {arguments[0], getattr(arguments[0], "decode", str)()}
            return function(*arguments)

        return call

    with (
        patch.object(hosts, "_address_or_none", counting("parsed", hosts._address_or_none)),
        patch("aiobc9x.wire.host.ip_address_or_none", counting("parsed", ip_address_or_none)),
        patch.object(wire_host, "_encode", counting("encoded", wire_host._encode)),
    ):
        yield seen


@pytest.mark.parametrize("host", [NAME, HOST])
def test_a_host_is_read_once_on_a_redirected_connection(host: str) -> None:
    """Bypass, family, checks and the command go by what was read at the beginning."""

    @virtual
    async def check() -> None:
        async with Bench(hosts={NAME: Host((HOST,))}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            with modem.installed(), counted(host) as seen:
                _, writer = await asyncio.open_connection(host, ECHO_PORT)
            writer.close()
            await writer.wait_closed()
            assert seen["parsed"] == 1
            assert seen["encoded"] == (host == NAME)

    check()


@virtual
async def test_a_destination_is_read_once_per_datagram() -> None:
    """However much of an endpoint goes by it."""
    async with Bench(hosts={NAME: Host((HOST,))}) as bench:
        modem = await bench.open()
        await modem.wait_ready()
        with modem.installed(), counted(NAME) as seen:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("0.0.0.0", 0)
            )
            for _ in range(3):
                transport.sendto(b"one", (NAME, ECHO_PORT))
            await asyncio.sleep(20)
        transport.close()
        assert modem.statistics.opens == 1
        assert (seen["parsed"], seen["encoded"]) == (3, 3)
