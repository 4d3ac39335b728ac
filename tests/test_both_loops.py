"""The public API in real time, on asyncio's own loop and on uvloop: ptys, servers, TLS."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.spec import AccessMode
from tests.conftest import new_files, open_files
from tests.support.bench import LISTEN_PORT
from tests.support.loopback import LOOPBACK, echo, exchange, server
from tests.support.realtime import PATIENCE_S
from tests.support.recorders import DatagramRecorder
from tests.support.tls import NAME, client_context, server_context

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys, no uvloop")


@dataclass
class Site:
    """A modem on a pty, and the module behind it."""

    modem: aiobc9x.Modem
    virtual: VirtualModule

    @property
    def real_port(self) -> int:
        """Where clients of :data:`LISTEN_PORT` connect."""
        assert isinstance(self.virtual.network, LoopbackNetwork)
        return self.virtual.network.port_map[LISTEN_PORT]


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A module that alone knows where :data:`~tests.support.tls.NAME` is."""
    options = SimOptions(hosts={NAME: Host((LOOPBACK,))}, listen_ports={LISTEN_PORT: 0})
    async with VirtualModule(options) as virtual:
        async with aiobc9x.open_modem(await virtual.start_pty()) as modem:
            yield Site(modem, virtual)
            assert sorted(virtual.module.sockets.by_id) == [], "connect IDs are open"
        assert virtual.module.statistics.broken_rules == 0


def loops(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop of one kind."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    uvloop.new_event_loop().close()  # it opens a pipe that it keeps for the life of the process
    return uvloop.new_event_loop


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Run a test on a loop of one kind; it may leave no file open."""

    async def limited(test: Callable[[Site], Awaitable[None]]) -> None:
        async with asyncio.timeout(PATIENCE_S), site() as it:
            await test(it)

    def run(test: Callable[[Site], Awaitable[None]]) -> None:
        make, files = loops(request.param), open_files()
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(limited(test))
        assert not new_files(files)

    return run


OnLoop = Callable[[Callable[[Site], Awaitable[None]]], None]


async def starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve in the clear until asked for TLS, then send back what comes in capitals."""
    assert await reader.readline() == b"STARTTLS\r\n"
    writer.write(b"go ahead\r\n")
    await writer.start_tls(server_context())
    writer.write((await reader.readline()).upper())
    await writer.drain()
    await reader.read()


async def asked_for_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Ask for TLS, go on with it, and return an answer that came through it."""
    writer.write(b"STARTTLS\r\n")
    assert await reader.readline() == b"go ahead\r\n"
    await writer.start_tls(client_context(), server_hostname=NAME)
    writer.write(b"secret\r\n")
    answer = await reader.readline()
    assert writer.get_extra_info("cipher") is not None
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("mode", list(AccessMode)[:2], ids=lambda mode: mode.name)
def test_streams(on_loop: OnLoop, mode: AccessMode) -> None:
    """Every byte both ways, on three connections at once."""

    async def test(it: Site) -> None:
        async with server(echo) as port:
            data = bytes(range(256)) * 40
            await asyncio.gather(*(exchange(it.modem, port, data) for _ in range(2)))
            reader, writer = await it.modem.open_connection(NAME, port, access_mode=mode)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            writer.close()
            await writer.wait_closed()

    on_loop(test)


def test_tls(on_loop: OnLoop) -> None:
    """A secured connection, then an upgraded one."""

    async def test(it: Site) -> None:
        async with server(echo, ssl=server_context()) as port:
            reader, writer = await it.modem.open_connection(NAME, port, ssl=client_context())
            writer.write(bytes(20_000))
            assert await reader.readexactly(20_000) == bytes(20_000)
            writer.close()
            await writer.wait_closed()
        async with server(starttls) as port:
            assert await asked_for_tls(*await it.modem.open_connection(NAME, port)) == b"SECRET\r\n"

    on_loop(test)


def test_tls_that_fails(on_loop: OnLoop) -> None:
    """Wrong names, from the start and in mid-stream; the sockets are closed."""

    async def test(it: Site) -> None:
        async with server(echo, ssl=server_context()) as port:
            with pytest.raises(ssl.SSLCertVerificationError):
                await it.modem.open_connection(
                    LOOPBACK, port, ssl=client_context(), server_hostname="other.example"
                )
        async with server(starttls) as port:
            reader, writer = await it.modem.open_connection(NAME, port)
            writer.write(b"STARTTLS\r\n")
            await reader.readline()
            with pytest.raises(ssl.SSLCertVerificationError):
                await writer.start_tls(client_context(), server_hostname="other.example")
            with pytest.raises(ssl.SSLCertVerificationError):
                await writer.wait_closed()
        while it.virtual.module.sockets.by_id:  # noqa: ASYNC110  # they are closed in the background
            await asyncio.sleep(0.01)

    on_loop(test)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_servers(on_loop: OnLoop, tls: bool) -> None:
    """Clients come in through the module; what they say comes back."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def test(it: Site) -> None:
        securing = server_context() if tls else None
        secured: dict[str, Any] = {"ssl": client_context(), "server_hostname": NAME} if tls else {}
        async with await it.modem.start_server(answer, LISTEN_PORT, ssl=securing):
            for _ in range(2):
                reader, writer = await asyncio.open_connection(LOOPBACK, it.real_port, **secured)
                writer.write(bytes(5000))
                assert await reader.readexactly(5000) == bytes(5000)
                writer.close()
                await writer.wait_closed()
            while len(it.virtual.module.sockets.by_id) > 1:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)

    on_loop(test)


def test_server_that_upgrades(on_loop: OnLoop) -> None:
    """start_tls() on the module's side of an accepted connection."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await starttls(reader, writer)
        writer.close()
        await writer.wait_closed()
        ended.set()

    async def test(it: Site) -> None:
        async with await it.modem.start_server(serve, LISTEN_PORT):
            streams = await asyncio.open_connection(LOOPBACK, it.real_port)
            assert await asked_for_tls(*streams) == b"SECRET\r\n"
            await ended.wait()

    on_loop(test)


def test_datagrams(on_loop: OnLoop) -> None:
    """Both ways, with their boundaries."""

    class Mirror(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
            self.transport.sendto(data, addr)

    async def test(it: Site) -> None:
        loop = asyncio.get_running_loop()
        mirror, _ = await loop.create_datagram_endpoint(Mirror, local_addr=(LOOPBACK, 0))
        transport, protocol = await it.modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=mirror.get_extra_info("sockname")
        )
        for size in (1, 1024, 1440):
            transport.sendto(bytes(size))
            await protocol.until(received=1)
            assert protocol.received.pop() == bytes(size)
        transport.close()
        await protocol.lost
        mirror.close()

    on_loop(test)


def test_questions(on_loop: OnLoop) -> None:
    """Queries, commands, events, a cancelled call, and a restart."""

    async def test(it: Site) -> None:
        modem = it.modem
        assert (await modem.resolve(NAME)).addresses == (LOOPBACK,)
        assert (await modem.ping(LOOPBACK, count=1)).sent == 1
        assert await modem.command("AT+CGMI")
        events = modem.subscribe()
        opening = asyncio.create_task(modem.open_connection(NAME, 9))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with server(echo) as port:
            _, writer = await modem.open_connection(NAME, port)
            it.virtual.reset()
            with pytest.raises(aiobc9x.ModuleReset):
                await writer.wait_closed()
            await exchange(modem, port, b"again")
        assert await anext(events) is not None

    on_loop(test)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_other_lines(kind: str) -> None:
    """A serial server, and the module in memory."""

    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S), server(echo) as port:
            async with VirtualModule(SimOptions()) as virtual:
                address = f"socket://{LOOPBACK}:{await virtual.start_tcp()}"
                async with aiobc9x.open_modem(address) as modem:
                    await exchange(modem, port, bytes(3000))
            async with aiobc9x.open_modem("sim://?link=memory") as modem:
                await exchange(modem, port, bytes(3000))

    with asyncio.Runner(loop_factory=loops(kind)) as runner:
        runner.run(main())
