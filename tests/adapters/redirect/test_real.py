"""Existing software inside installed(), in real time over a pty, on asyncio's loop and uvloop.

The servers are on loopback; their names are known to the virtual module alone, so whoever
gets an answer has asked the module.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
import redis.asyncio
import trustme
import uvloop
import websockets.asyncio.client
import websockets.asyncio.server

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from tests.conftest import new_files, open_files
from tests.support.realtime import PATIENCE_S
from tests.support.recorders import DatagramRecorder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")

LOOPBACK, NAME, ADDRESS = "127.0.0.1", "server.example", "203.0.113.1"
SIM = SimOptions(
    hosts={NAME: Host((ADDRESS,)), ADDRESS: Host((LOOPBACK,))},
    listen_ports={8000: 0},
)

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Fail if the scenes leave file descriptors open."""
    for factory in LOOPS.values():  # the first loop of a kind opens pipes that it keeps
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.to_thread(int))
    before = open_files()
    yield
    gc.collect()
    assert not new_files(before), "the tests left file descriptors open"


@dataclass
class Site:
    """A module at work, its modem, and certificates for the servers that it reaches."""

    virtual: VirtualModule
    modem: aiobc9x.Modem
    authority: trustme.CA

    @property
    def opened(self) -> int:
        """How many sockets the modem has opened."""
        return self.modem.statistics.opens

    def server_tls(self) -> ssl.SSLContext:
        """A context for a server of that name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(NAME).configure_cert(context)
        return context

    def client_tls(self) -> ssl.SSLContext:
        """A context for a client that trusts it."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    async def upgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo over TLS, after a client has asked for it."""
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"READY\n")
        await writer.start_tls(self.server_tls())
        await echo(reader, writer)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A modem on a pty; at the end no socket may be open on the module."""
    async with VirtualModule(SIM) as virtual:
        async with aiobc9x.open_modem(await virtual.start_pty()) as modem:
            yield Site(virtual, modem, trustme.CA())
        assert sorted(virtual.module.sockets.by_id) == []


Scene = Callable[[Site], Awaitable[None]]


def on_each_loop(scene: Scene) -> Callable[[str], None]:
    """Make a scene a test that runs on each kind of loop."""

    async def main() -> None:
        async with asyncio.timeout(PATIENCE_S), site() as here:
            await scene(here)

    @pytest.mark.parametrize("kind", LOOPS)
    def test(kind: str) -> None:
        with asyncio.Runner(loop_factory=LOOPS[kind]) as runner:
            runner.run(main())

    test.__doc__ = scene.__doc__
    return test


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str | None = LOOPBACK, port: int = 0
) -> AsyncIterator[int]:
    """Serve until every client is gone; yield the port."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if handlers:
            await asyncio.wait(handlers, timeout=PATIENCE_S)
        await asyncio.sleep(0)  # a closed transport closes its socket in the next turn


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(4096):
        writer.write(data)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests with the Host they were for."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        host = head.lower().partition(b"host: ")[2].partition(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(host), host))


async def keys(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak as much of Redis as a client asks for: every value is its key."""
    while line := await reader.readline():
        words = [await word(reader) for _ in range(int(line[1:]))]
        if words[0].upper() == b"GET":
            writer.write(b"$%d\r\n%b\r\n" % (len(words[1]), words[1]))
        else:
            writer.write(b"-ERR unknown command\r\n" if words[0] == b"HELLO" else b"+OK\r\n")


async def word(reader: asyncio.StreamReader) -> bytes:
    """Read one argument of a command."""
    size = int((await reader.readline())[1:])
    return (await reader.readexactly(size + 2))[:-2]


@on_each_loop
async def test_streams(here: Site) -> None:
    """Plain, with TLS, upgraded to TLS, and TLS in TLS, by asyncio's own functions."""
    async with serving(echo) as plain, serving(echo, here.server_tls()) as secure:
        with here.modem.installed(strict=True):
            for port, tls in ((plain, None), (secure, here.client_tls())):
                reader, writer = await asyncio.open_connection(NAME, port, ssl=tls)
                assert writer.get_extra_info("modem") is here.modem
                writer.write(b"there and back")
                assert await reader.readexactly(14) == b"there and back"
                writer.close()
                await writer.wait_closed()
    assert here.opened == 2


@on_each_loop
async def test_start_tls(here: Site) -> None:
    """An upgrade by the stock StreamWriter, and by the loop, once more inside of TLS."""

    async with serving(here.upgrade) as port:
        with here.modem.installed(strict=True):
            reader, writer = await asyncio.open_connection(NAME, port)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"READY\n"
            await writer.start_tls(here.client_tls(), server_hostname=NAME)
            assert writer.get_extra_info("ssl_object") is not None
            writer.write(b"secret")
            assert await reader.readexactly(6) == b"secret"
            writer.close()
            await writer.wait_closed()


@on_each_loop
async def test_tls_in_tls(here: Site) -> None:
    """start_tls() on a connection that has TLS already, as through an HTTPS proxy."""

    async def unwrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, inner)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    tls = here.server_tls()
    async with serving(echo, tls) as inner, serving(unwrap, tls) as outer:
        with here.modem.installed(strict=True):
            reader, writer = await asyncio.open_connection(NAME, outer, ssl=here.client_tls())
            await writer.start_tls(here.client_tls(), server_hostname=NAME)
            writer.write(b"secret")
            assert await reader.readexactly(6) == b"secret"
            writer.close()
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                await writer.wait_closed()
        assert here.opened == 1


@on_each_loop
async def test_start_tls_beside_the_modem(here: Site) -> None:
    """Connections of the bypass are upgraded by the loop's own method."""

    async with serving(here.upgrade) as port:
        with here.modem.installed(strict=True):
            reader, writer = await asyncio.open_connection("localhost", port)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"READY\n"
            await writer.start_tls(here.client_tls(), server_hostname=NAME)
            writer.write(b"local")
            assert await reader.readexactly(5) == b"local"
            writer.close()
            await writer.wait_closed()
    assert here.opened == 0


@on_each_loop
async def test_httpx(here: Site) -> None:
    """httpx with its default transport, which is anyio's: HTTP and HTTPS."""
    async with serving(web) as plain, serving(web, here.server_tls()) as secure:
        with here.modem.installed(strict=True):
            async with httpx.AsyncClient(verify=here.client_tls(), trust_env=False) as client:
                for url in (f"http://{NAME}:{plain}", f"https://{NAME}:{secure}"):
                    assert (await client.get(url)).text == url.partition("//")[2]
    assert here.opened == 2


@on_each_loop
async def test_aiohttp(here: Site) -> None:
    """aiohttp's client with its own connector and resolver: HTTP and HTTPS."""
    async with serving(web) as plain, serving(web, here.server_tls()) as secure:
        with here.modem.installed(strict=True):
            connector = aiohttp.TCPConnector(ssl=here.client_tls())
            async with aiohttp.ClientSession(connector=connector) as session:
                for url in (f"http://{NAME}:{plain}", f"https://{NAME}:{secure}"):
                    async with session.get(url) as response:
                        assert await response.text() == url.partition("//")[2]
                with pytest.raises(aiohttp.ClientConnectorDNSError):
                    await session.get("http://nobody.example")
                with pytest.raises(aiohttp.ClientConnectorError, match="module error 566"):
                    await session.get(f"http://{NAME}:1")
    assert here.opened == 2


@on_each_loop
async def test_redis(here: Site) -> None:
    """redis-py connects, sets its socket options, and reads."""
    async with serving(keys) as port:
        with here.modem.installed(strict=True):
            client = redis.asyncio.Redis(host=NAME, port=port, protocol=2)
            assert await client.get("key") == b"key"
            await client.aclose()
    assert here.opened == 1


@on_each_loop
async def test_websockets(here: Site) -> None:
    """websockets, with TLS."""

    async def answer(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    tls = here.server_tls()
    async with websockets.asyncio.server.serve(answer, LOOPBACK, 0, ssl=tls) as server:
        (sock,) = server.sockets
        url = f"wss://{NAME}:{sock.getsockname()[1]}"
        with here.modem.installed(strict=True):
            async with websockets.asyncio.client.connect(
                url, ssl=here.client_tls(), proxy=None
            ) as connection:
                await connection.send("message")
                assert await connection.recv() == "message"
    assert here.opened == 1


class UdpEcho(asyncio.DatagramProtocol):
    """Send datagrams back."""

    def connection_made(self, transport: Any) -> None:  # Any: a datagram transport
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as in typeshed
        self.transport.sendto(data, addr)


@asynccontextmanager
async def udp_echo() -> AsyncIterator[int]:
    """Echo datagrams on loopback; yield the port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        UdpEcho, local_addr=(LOOPBACK, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@on_each_loop
async def test_anyio(here: Site) -> None:
    """anyio's TCP, connected UDP and unconnected UDP."""
    async with serving(echo) as tcp, udp_echo() as udp:
        with here.modem.installed(strict=True):
            async with await anyio.connect_tcp(NAME, tcp) as stream:
                await stream.send(b"stream")
                assert await stream.receive() == b"stream"
                remote = stream.extra(anyio.abc.SocketAttribute.remote_address)
                assert remote == (ADDRESS, tcp)
            async with await anyio.create_connected_udp_socket(NAME, udp) as connected:
                await connected.send(b"datagram")
                assert await connected.receive() == b"datagram"
            async with await anyio.create_udp_socket(local_host="0.0.0.0") as unconnected:
                await unconnected.sendto(b"datagram", ADDRESS, udp)
                assert await unconnected.receive() == (b"datagram", (ADDRESS, udp))
    assert here.opened == 3


@on_each_loop
async def test_datagrams_beside_the_modem(here: Site) -> None:
    """One endpoint reaches this machine by its own socket, and all else by the modem."""
    loop = asyncio.get_running_loop()
    async with udp_echo() as udp:
        with here.modem.installed(strict=True):
            transport, protocol = await loop.create_datagram_endpoint(
                DatagramRecorder, local_addr=("0.0.0.0", 0)
            )
            for host in (LOOPBACK, ADDRESS):
                transport.sendto(b"datagram", (host, udp))
                await protocol.until(received=1)
                assert protocol.received.pop() == b"datagram"
                assert protocol.senders.pop() == (host, udp)
            transport.close()
            await protocol.lost
            assert protocol.errors == []
    assert here.opened == 1


@on_each_loop
async def test_servers(here: Site) -> None:
    """A server of a wildcard is the module's, one of loopback this machine's."""

    async def fetch(port: int) -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
        return answer

    with here.modem.installed(strict=True):
        async with serving(echo) as port:
            assert await fetch(port) == b"hello"
        assert here.opened == 0
        async with serving(echo, host=None, port=8000):
            network: Any = here.virtual.network  # the one with real sockets
            assert await fetch(network.port_map[8000]) == b"hello"
    assert here.modem.statistics.incoming == 1


@on_each_loop
async def test_a_modem_behind_a_serial_server(here: Site) -> None:
    """The link of a second modem, opened inside, doesn't go through the first one."""
    async with VirtualModule(SIM) as other, serving(echo) as port:
        link = f"socket://{LOOPBACK}:{await other.start_tcp()}"
        with here.modem.installed(strict=True, bypass=()):
            sim = f"sim://?host={NAME}:{LOOPBACK}"
            for address in (link, sim, f"{sim}&link=memory"):
                async with aiobc9x.open_modem(address) as second:
                    reader, writer = await second.open_connection(NAME, port)
                    writer.write(b"second")
                    assert await reader.readexactly(6) == b"second"
                    writer.close()
                    await writer.wait_closed()
    assert here.opened == 0


@on_each_loop
async def test_two_modems_side_by_side(here: Site) -> None:
    """Two tasks use two modules at once, and a third one none."""
    async with (
        VirtualModule(SIM) as other,
        serving(echo) as port,
        aiobc9x.open_modem(await other.start_pty()) as second,
    ):

        async def ask(modem: aiobc9x.Modem | None, host: str) -> bool:
            with contextlib.nullcontext() if modem is None else modem.installed():
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                writer.close()
                await writer.wait_closed()
            return writer.get_extra_info("modem") is modem

        ways = [ask(here.modem, NAME), ask(second, NAME), ask(None, LOOPBACK)]
        assert await asyncio.gather(*ways) == [True, True, True]


@pytest.fixture
async def routed_port() -> AsyncIterator[int]:
    """A fixture that holds the block, as a test of somebody's software may; an echo port."""
    async with serving(echo) as port, site() as here:
        with here.modem.installed(strict=True):
            yield port


async def test_a_fixture_holds_the_block(routed_port: int) -> None:
    """Set-up, test and teardown are different tasks of one context."""
    reader, writer = await asyncio.open_connection(NAME, routed_port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert isinstance(writer.get_extra_info("modem"), aiobc9x.Modem)
    writer.close()
    await writer.wait_closed()
