"""Real libraries and programs as peers, in real time, over a pty and loopback sockets.

A resolver library asks a DNS server through a datagram endpoint, and curl asks an HTTP
server library that listens on the module.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import dns.asyncbackend
import dns.asyncresolver
import dns.resolver
import pytest
from aiohttp import web
from dnslib import AAAA, QTYPE, RR, TXT, A
from dnslib.server import BaseResolver, DNSServer

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import SimOptions
from tests.support.recorders import DatagramRecorder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")

WEB_PORT = 8080
LONG_TEXT = "x" * 250


@pytest.fixture
async def module() -> AsyncIterator[VirtualModule]:
    """A virtual module whose network is this machine's loopback."""
    async with VirtualModule(SimOptions(listen_ports={WEB_PORT: 0})) as virtual:
        yield virtual


@pytest.fixture
async def modem(module: VirtualModule) -> AsyncIterator[aiobc9x.Modem]:
    """A modem on the module's pty."""
    async with aiobc9x.open_modem(await module.start_pty()) as modem:
        yield modem


class Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """A few records."""

    def resolve(self, request: Any, handler: Any) -> Any:  # Any: dnslib has no types
        reply, name = request.reply(), request.q.qname
        kind = QTYPE[request.q.qtype]
        if str(name) == "module.example." and kind == "A":
            for last in range(3):
                reply.add_answer(RR(name, QTYPE.A, rdata=A(f"192.168.2.{last}"), ttl=60))
        elif str(name) == "module.example." and kind == "AAAA":
            reply.add_answer(RR(name, QTYPE.AAAA, rdata=AAAA("2001:db8::1"), ttl=60))
        elif str(name) == "long.example." and kind == "TXT":
            texts = [LONG_TEXT.encode()] * 4 + [b"y" * 40]
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(texts), ttl=60))
        else:
            reply.header.rcode = 3
        return reply


@pytest.fixture
def dns_port() -> Iterator[int]:
    """A DNS server on loopback."""
    server = DNSServer(Zone(), port=0, address="127.0.0.1")
    port = server.server.server_address[1]
    server.start_thread()
    yield port
    server.stop()
    server.server.server_close()
    server.thread.join()


class Socket(dns.asyncbackend.DatagramSocket):  # type: ignore[name-defined,misc]  # re-exported
    """A datagram endpoint of the module, as the resolver library wants one."""

    def __init__(self, transport: asyncio.DatagramTransport, protocol: DatagramRecorder) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self._transport, self._protocol = transport, protocol

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        """Send a query."""
        self._transport.sendto(what, destination)
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        """Wait for an answer."""
        await self._protocol.until(received=1, timeout=timeout or 5)
        return self._protocol.received.pop(0), self._protocol.senders.pop(0)

    async def close(self) -> None:
        """Free the connect ID."""
        self._transport.close()
        await self._protocol.lost

    async def getpeername(self) -> tuple[str, int]:
        """Return the server's address."""
        peer: tuple[str, int] = self._transport.get_extra_info("peername")
        return peer

    async def getsockname(self) -> tuple[str, int]:
        """Return the module's address."""
        name: tuple[str, int] = self._transport.get_extra_info("sockname")
        return name


class Backend(dns.asyncbackend.Backend):  # type: ignore[name-defined,misc]  # re-exported
    """Gives the resolver library sockets of the module."""

    def __init__(self, modem: aiobc9x.Modem, server: tuple[str, int]) -> None:
        self._modem, self._server = modem, server
        self.made = 0

    def name(self) -> str:
        """Return the name by which the library knows its loop."""
        return "asyncio"

    async def make_socket(self, af: int, socktype: int, *args: Any, **options: Any) -> Socket:
        """Open a datagram endpoint (``Any``: the library has more parameters than we use)."""
        assert socktype == socket.SOCK_DGRAM
        self.made += 1
        return Socket(
            *await self._modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=self._server, family=af
            )
        )

    async def sleep(self, interval: float) -> None:
        """Wait before the next try."""
        await asyncio.sleep(interval)

    def datagram_connection_required(self) -> bool:
        """Say that our sockets are connected."""
        return True


class TestDns:
    """dnspython over ``create_datagram_endpoint``, against dnslib's server."""

    @pytest.fixture
    def resolver(self, dns_port: int) -> dns.asyncresolver.Resolver:
        """A resolver that knows our server alone."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], dns_port
        resolver.use_edns(0, payload=1440)
        return resolver

    async def test_addresses(
        self, modem: aiobc9x.Modem, resolver: dns.asyncresolver.Resolver, dns_port: int
    ) -> None:
        """Queries and answers are whole datagrams, however many go one after the other."""
        backend = Backend(modem, ("127.0.0.1", dns_port))
        answer = await resolver.resolve("module.example", "A", backend=backend)
        assert sorted(str(record) for record in answer) == [f"192.168.2.{i}" for i in range(3)]
        answer = await resolver.resolve("module.example", "AAAA", backend=backend)
        assert [str(record) for record in answer] == ["2001:db8::1"]
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve("none.example", "A", backend=backend)
        assert backend.made == 3
        assert modem.statistics.datagrams_lost == 0
        assert await modem.socket_states() == ()

    async def test_answer_of_two_reads(
        self, modem: aiobc9x.Modem, resolver: dns.asyncresolver.Resolver, dns_port: int
    ) -> None:
        """An answer of more than 1024 bytes comes as one datagram."""
        backend = Backend(modem, ("127.0.0.1", dns_port))
        answer = await resolver.resolve("long.example", "TXT", backend=backend)
        assert answer.response.time > 0
        assert len(answer.response.to_wire()) > 1024
        assert [len(text) for text in answer[0].strings] == [250] * 4 + [40]

    async def test_six_at_once(
        self, modem: aiobc9x.Modem, resolver: dns.asyncresolver.Resolver, dns_port: int
    ) -> None:
        """Each connect ID can be a query under way."""
        backend = Backend(modem, ("127.0.0.1", dns_port))
        answers = await asyncio.gather(
            *(resolver.resolve("module.example", "A", backend=backend) for _ in range(6))
        )
        assert {len(answer) for answer in answers} == {3}


async def hello(request: web.Request) -> web.Response:
    """Say who asked for what."""
    return web.Response(text=f"{request.method} {request.path} {request.remote}")


async def size(request: web.Request) -> web.Response:
    """Say how much was uploaded, and the sum of it."""
    body = await request.read()
    return web.Response(text=f"{len(body)} {sum(body)}")


async def download(request: web.Request) -> web.StreamResponse:
    """Send 10,000 bytes in chunks."""
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(10):
        await response.write(bytes([number]) * 1000)
    await response.write_eof()
    return response


@pytest.fixture
async def url(module: VirtualModule, modem: aiobc9x.Modem) -> AsyncIterator[str]:
    """aiohttp's server on a listener of the module; the URL that curl reaches it by."""
    app = web.Application()
    app.add_routes([web.get("/hello", hello), web.post("/size", size), web.get("/get", download)])
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    async with await modem.create_server(runner.server, WEB_PORT) as server:
        assert isinstance(module.network, LoopbackNetwork)
        yield f"http://127.0.0.1:{module.network.port_map[WEB_PORT]}"
        server.close_clients()
    await runner.cleanup()


async def curl(*args: str) -> bytes:
    """Run curl; what it prints."""
    program = shutil.which("curl")
    assert program is not None, "curl is needed: it is the real client of this test"
    process = await asyncio.create_subprocess_exec(
        program, "--silent", "--show-error", "--fail", "--max-time", "20", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


class TestHttp:
    """aiohttp's server accepts requests of curl through TCP LISTENER."""

    async def test_request(self, url: str) -> None:
        """A request is answered; the server knows the client's address."""
        assert await curl(f"{url}/hello") == b"GET /hello 127.0.0.1"

    async def test_keep_alive(self, url: str, modem: aiobc9x.Modem) -> None:
        """Two requests of one curl come over one connection."""
        assert await curl(f"{url}/hello", f"{url}/hello") == b"GET /hello 127.0.0.1" * 2
        assert modem.statistics.incoming == 1

    async def test_upload(self, url: str, tmp_path: Path) -> None:
        """A body longer than the module's buffer arrives whole."""
        body = bytes(range(256)) * 40
        file = tmp_path / "body"
        file.write_bytes(body)
        said = await curl("--data-binary", f"@{file}", f"{url}/size")
        assert said == f"{len(body)} {sum(body)}".encode()

    async def test_download(self, url: str) -> None:
        """A chunked answer of many sends arrives whole."""
        assert await curl(f"{url}/get") == b"".join(bytes([n]) * 1000 for n in range(10))

    async def test_three_at_once(self, url: str) -> None:
        """Clients are served side by side."""
        answers = await asyncio.gather(*(curl(f"{url}/get") for _ in range(3)))
        assert {len(answer) for answer in answers} == {10000}
