"""TLS of servers: clients that fail the handshake trouble nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from aiobc9x.aio.connections.listening import Server
from aiobc9x.sim.memory import Peer
from tests.support.bench import Bench
from tests.support.clock import virtual
from tests.support.recorders import Recorder
from tests.support.tls import TlsPeer, server_context

LISTEN_PORT = 8443


@dataclass
class Site:
    """A server with TLS.

    Attributes:
        bench: The module.
        server: The server.
        guests: The protocols made so far.

    """

    bench: Bench
    server: Server
    guests: list[Recorder] = field(default_factory=list)

    def dial(self) -> Peer:
        """Let a client in, which says nothing yet."""
        peer = self.bench.network.dial(LISTEN_PORT)
        assert peer is not None
        return peer


@asynccontextmanager
async def site(handshake_timeout: float | None = None) -> AsyncIterator[Site]:
    """Serve; a client that speaks TLS is served before and after."""
    guests: list[Recorder] = []

    def admit() -> Recorder:
        guests.append(Recorder())
        return guests[-1]

    async with Bench() as bench:
        modem = await bench.open()
        async with await modem.create_server(
            admit, LISTEN_PORT, ssl=server_context(), ssl_handshake_timeout=handshake_timeout
        ) as server:
            it = Site(bench, server, guests)
            good = TlsPeer(it.dial(), server_side=False)
            await asyncio.sleep(2)
            assert guests[0].calls == ["made"]
            yield it
            if server.is_serving():
                good.send(b"still here")
                await asyncio.sleep(2)
                assert guests[0].received == b"still here"
                later = TlsPeer(it.dial(), server_side=False)
                await asyncio.sleep(2)
                assert later.is_secured
                server.abort_clients()
            await asyncio.sleep(1)


@pytest.mark.parametrize("seconds", [None, 7])
@virtual
async def test_client_that_says_nothing(seconds: float | None) -> None:
    """It is closed after 180 s, or what was asked for; its protocol was never told of it."""
    async with site(seconds) as it:
        it.dial()
        await asyncio.sleep((seconds or 180) - 1)
        assert it.bench.open_ids == [0, 1, 2]
        await asyncio.sleep(2)
        assert it.bench.open_ids == [0, 1]
        assert it.guests[1].calls == []


@pytest.mark.parametrize(
    "act",
    [Peer.close, lambda peer: peer.send(b"GET / HTTP/1.0\r\n\r\n")],
    ids=["hangs up", "speaks no TLS"],
)
@virtual
async def test_client_that_fails(act: Callable[[Peer], None]) -> None:
    """It is closed at once."""
    async with site() as it:
        act(it.dial())
        await asyncio.sleep(2)
        assert it.bench.open_ids == [0, 1]
        assert it.guests[1].calls == []


@pytest.mark.parametrize("end", [Server.close_clients, Server.abort_clients])
@virtual
async def test_clients_are_ended_in_the_handshake(end: Callable[[Server], None]) -> None:
    """Those that are not secured yet count too."""
    async with site() as it:
        it.dial()
        await asyncio.sleep(1)
        it.server.close()
        end(it.server)
        await asyncio.sleep(70)  # a client that says no goodbye is waited for
        assert it.bench.open_ids == []
        assert it.guests[1].calls == []


@virtual
async def test_server_that_closes_in_a_handshake() -> None:
    """The client is served nevertheless: it was accepted."""
    async with site() as it:
        peer = it.dial()
        await asyncio.sleep(1)
        it.server.close()
        far = TlsPeer(peer, server_side=False)
        await asyncio.sleep(2)
        far.send(b"hello")
        await asyncio.sleep(1)
        assert it.guests[1].received == b"hello"
        it.server.abort_clients()
