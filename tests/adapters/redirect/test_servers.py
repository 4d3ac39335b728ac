"""create_server() inside installed(): whose port it is, and when it listens."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x.adapters.redirect.servers import FREE_PORTS, DeferredServer
from tests.support.bench import Bench, scripted
from tests.support.clock import virtual
from tests.support.ordinary import Ordinary, nothing_leaves
from tests.support.recorders import StreamRecorder

PORT = 8000
OWN = "100.127.243.105"


@asynccontextmanager
async def routed(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave."""
    async with Bench() as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say hello and hang up."""
    writer.write(b"hello")
    writer.close()


async def greeted(bench: Bench, port: int = PORT) -> bytes:
    """Connect to the module and return what it says."""
    peer = bench.network.dial(port)
    assert peer is not None, "nobody listens"
    await asyncio.sleep(5)
    assert peer.closed
    return bytes(peer.received)


def listeners(bench: Bench) -> list[str]:
    """The commands that opened listeners."""
    return [line for line in bench.commands if "TCP LISTENER" in line]


class TestHosts:
    """Wildcards are the module's, hosts of the bypass this machine's."""

    @pytest.mark.parametrize(
        "host", [None, "", "0.0.0.0", "::", b"0.0.0.0", ["0.0.0.0", "::"], (None,), OWN]
    )
    def test_the_modules(self, host: Any) -> None:
        """One listener of the module accepts."""

        @virtual
        async def check() -> None:
            async with routed() as bench:
                async with await asyncio.start_server(greet, host, PORT) as server:
                    assert isinstance(server, aiobc9x.Server)
                    assert server.sockets[0].getsockname() == (OWN, PORT)
                    assert await greeted(bench) == b"hello"
                assert len(listeners(bench)) == 1

        check()

    @virtual
    async def test_this_machines(self) -> None:
        """What is bypassed is served by the loop's own method, as it was asked for."""
        hosts: list[Any] = ["127.0.0.1", "localhost", b"::1", ["127.0.0.1", "::1"], []]
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            loop = asyncio.get_running_loop()
            with modem.installed():
                for host in hosts:
                    await loop.create_server(asyncio.Protocol, host, PORT)
                with socket.socket() as sock:
                    await loop.create_server(asyncio.Protocol, sock=sock)
                    assert ordinary.calls[-1][1][1:] == (None, None)
            assert [args[1] for _, args in ordinary.calls] == [*hosts, None]
            assert listeners(bench) == []

    @virtual
    async def test_neithers(self) -> None:
        """An address of something else is EADDRNOTAVAIL, and the text says what to do."""
        async with routed() as bench:
            for host in ("192.168.1.2", "my-machine", ["0.0.0.0", "192.168.1.2"]):
                with pytest.raises(OSError, match="bypass=") as raised:
                    await asyncio.start_server(greet, host, PORT)
                assert raised.value.errno == errno.EADDRNOTAVAIL
            assert listeners(bench) == []

    @virtual
    async def test_both(self) -> None:
        """One server can't be in two places."""
        async with routed():
            with pytest.raises(ValueError, match="one call for each"):
                await asyncio.start_server(greet, ["0.0.0.0", "127.0.0.1"], PORT)


class TestPorts:
    """Ports by number, by name, or by chance."""

    @virtual
    async def test_by_name(self) -> None:
        """A service stands for its port."""
        async with routed(), await asyncio.start_server(greet, None, "http") as server:
            assert server.sockets[0].getsockname()[1] == 80

    @pytest.mark.parametrize("port", [0, None])
    def test_by_chance(self, port: int | None) -> None:
        """Without a port, a free one is chosen; the server tells which."""

        @virtual
        async def check() -> None:
            async with routed() as bench, await asyncio.start_server(greet, None, port) as server:
                chosen = server.sockets[0].getsockname()[1]
                assert chosen in FREE_PORTS
                assert await greeted(bench, chosen) == b"hello"

        check()

    @virtual
    async def test_another_chance(self) -> None:
        """If the chosen port is busy, another one is tried."""
        async with scripted("+QIOPEN: 0,0", "+QIOPEN: 0,574") as bench:
            with (await bench.open()).installed():
                async with await asyncio.start_server(greet, None, 0) as server:
                    assert server.is_serving()
            assert len(listeners(bench)) == 2

    @virtual
    async def test_a_busy_port_that_was_asked_for(self) -> None:
        """Nothing else is tried."""
        async with scripted("+QIOPEN: 0,0", "+QIOPEN: 0,574") as bench:
            with (await bench.open()).installed():
                with pytest.raises(OSError, match="574") as raised:
                    await asyncio.start_server(greet, None, PORT)
                assert raised.value.errno == errno.EADDRINUSE


class TestDeferred:
    """``start_serving=False``."""

    async def deferred(self, port: int = PORT) -> DeferredServer:
        """A server that doesn't listen yet."""
        server: Any = await asyncio.start_server(greet, None, port, start_serving=False)
        assert isinstance(server, DeferredServer)
        return server

    @virtual
    async def test_it_listens_when_started(self) -> None:
        """Nothing is opened before; starting twice is harmless."""
        async with routed() as bench:
            server = await self.deferred()
            assert not server.is_serving()
            assert server.get_loop() is asyncio.get_running_loop()
            assert server.sockets[0].getsockname() == ("0.0.0.0", PORT)
            assert listeners(bench) == []
            async with server:
                await asyncio.gather(server.start_serving(), server.start_serving())
                assert server.is_serving()
                assert server.sockets[0].getsockname() == (OWN, PORT)
                assert await greeted(bench) == b"hello"
            assert server.sockets == ()
            assert len(listeners(bench)) == 1
            with pytest.raises(RuntimeError, match="is closed"):
                await server.start_serving()

    @virtual
    async def test_serve_forever(self) -> None:
        """It listens until it is cancelled."""
        async with routed() as bench:
            server = await self.deferred(0)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(5)
            assert await greeted(bench, server.sockets[0].getsockname()[1]) == b"hello"
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            await server.wait_closed()
            assert not server.is_serving()
            assert bench.open_ids == []

    @virtual
    async def test_closed_before_it_listens(self) -> None:
        """Nothing was opened; a start that is under way ends closed."""
        async with routed() as bench:
            never = await self.deferred()
            never.close()
            await never.wait_closed()
            never.close_clients()
            never.abort_clients()
            assert listeners(bench) == []
            server = await self.deferred()
            starting = asyncio.create_task(server.start_serving())
            await asyncio.sleep(0)
            server.close()
            await starting
            await server.wait_closed()
            assert not server.is_serving()
            assert bench.open_ids == []

    @virtual
    async def test_its_clients(self) -> None:
        """Accepted connections are closed or aborted at once, as on other servers."""
        async with routed() as bench:
            server: Any = await asyncio.get_running_loop().create_server(
                StreamRecorder, None, PORT, start_serving=False
            )
            await server.start_serving()
            for end in (server.close_clients, server.abort_clients):
                peer = bench.network.dial(PORT)
                assert peer is not None
                await asyncio.sleep(1)
                end()
                await asyncio.sleep(1)
                assert peer.closed
            server.close()
