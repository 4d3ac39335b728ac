"""Every adapter runs on a dialer that has four calls and nothing else of a modem."""

from __future__ import annotations

import asyncio
from typing import Any

import httpcore
import pytest

from aiobc9x import Modem
from aiobc9x.adapters.anyio import ModemAttribute, connect_tcp, connect_udp, create_listener
from aiobc9x.adapters.httpcore import ModemBackend
from aiobc9x.adapters.proxy.api import ProxyTimeouts
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.adapters.redirect.installation import Installation
from aiobc9x.aio.dialer import Dialer
from aiobc9x.sim.options import Host
from aiobc9x.wire.host import Host as ReadHost
from tests.adapters.proxy.proxy_client import Client
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import running, virtual

NAME = "server.example"


class FourCalls:
    """A modem of which nothing else can be reached."""

    __slots__ = ("create_connection", "create_datagram_endpoint", "create_server", "resolve")

    def __init__(self, modem: Modem) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(modem, name))


async def four_calls(bench: Bench) -> Dialer:
    """Return such a dialer (``Any`` on the way: its methods are those of a modem)."""
    made: Any = FourCalls(await bench.open())
    dialer: Dialer = made
    return dialer


@virtual
async def test_anyio() -> None:
    """Streams, datagrams and listeners."""
    async with Bench(hosts={NAME: Host((HOST,))}) as bench:
        dialer = await four_calls(bench)
        async with await connect_tcp(dialer, NAME, ECHO_PORT) as stream:
            await stream.send(b"stream")
            assert await stream.receive() == b"stream"
            assert stream.extra(ModemAttribute.modem) is await bench.modem()
        async with await connect_udp(dialer, NAME, ECHO_PORT) as datagrams:
            bench.peer.send(b"datagram")
            assert await datagrams.receive() == b"datagram"
        async with await create_listener(dialer, 7000) as listener:
            assert "7000" in repr(listener)


@virtual
async def test_httpcore() -> None:
    """Its network backend, and with it httpx's transport."""
    async with Bench(hosts={NAME: Host((HOST,))}) as bench:
        stream: httpcore.AsyncNetworkStream = await ModemBackend(
            await four_calls(bench)
        ).connect_tcp(NAME, ECHO_PORT)
        await stream.write(b"stream")
        assert await stream.read(100) == b"stream"
        await stream.aclose()


@virtual
async def test_the_proxy() -> None:
    """A client's connection, and what its end leaves."""
    async with Bench(hosts={NAME: Host((HOST,))}) as bench:
        all_clients = ProxyClients(await four_calls(bench), ProxyTimeouts(30, 30, None))
        client = Client(all_clients, Request(ReadHost.read(NAME), ECHO_PORT))
        client.say(b"stream")
        async with asyncio.timeout(100):
            while client.received != b"stream":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        all_clients.close()
        await all_clients.wait_empty()


@virtual
async def test_the_redirection() -> None:
    """All four calls by the loop's own methods; the module's addresses are handed in."""
    async with Bench(hosts={NAME: Host((HOST,))}) as bench:
        dialer = await four_calls(bench)
        own = (await bench.modem()).addresses
        way = Installation(dialer, running(), own, strict=True, bypass=())
        with way as entered:
            assert entered is dialer
            reader, writer = await asyncio.open_connection(NAME, ECHO_PORT)
            writer.write(b"stream")
            assert await reader.readexactly(6) == b"stream"
            writer.close()
            await writer.wait_closed()
            rows = await running().getaddrinfo(NAME, 80)
            assert {row[4] for row in rows} == {(HOST, 80)}
            ip = dict(await own())[1][0]
            server = await asyncio.start_server(lambda reader, writer: None, ip, 7000)
            server.close()
            await server.wait_closed()
            transport, _ = await running().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(NAME, ECHO_PORT)
            )
            transport.close()
            await asyncio.sleep(5)


def test_such_a_dialer_has_nothing_else() -> None:
    """Otherwise the tests above would show nothing."""
    made = object.__new__(FourCalls)
    for name in ("_driver", "addresses", "statistics"):
        with pytest.raises(AttributeError):
            getattr(made, name)
