"""dnspython over datagram endpoints, against dnslib's server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.asyncbackend
import dns.asyncresolver
import dns.resolver
import pytest
from dnslib import AAAA, QTYPE, RR, SRV, TXT, A
from dnslib.server import BaseResolver, DNSServer

import aiobc9x
from tests.clients.conftest import DNS_SERVER, Site
from tests.clients.programs import output
from tests.clients.servers import LOOPBACK
from tests.support.recorders import DatagramRecorder

SERVER = (DNS_SERVER, 53)

LONG_TEXT = "x" * 250


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
        elif str(name) == "_mqtt._tcp.module.example." and kind == "SRV":
            service = SRV(port=8883, target="broker.example")
            reply.add_answer(RR(name, QTYPE.SRV, rdata=service, ttl=60))
        elif str(name) == "long.example." and kind == "TXT":
            texts = [LONG_TEXT.encode()] * 4 + [b"y" * 40]
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(texts), ttl=60))
        else:
            reply.header.rcode = 3
        return reply


@pytest.fixture
def names(site: Site) -> Iterator[None]:
    """The DNS server that the module knows."""
    server = DNSServer(Zone(), port=0, address=LOOPBACK)
    site.ports[53] = server.server.server_address[1]
    server.start_thread()
    yield
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

    def __init__(self, modem: aiobc9x.Modem) -> None:
        self._modem = modem
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
                DatagramRecorder, remote_addr=SERVER, family=af
            )
        )

    async def sleep(self, interval: float) -> None:
        """Wait before the next try."""
        await asyncio.sleep(interval)

    def datagram_connection_required(self) -> bool:
        """Say that our sockets are connected."""
        return True


@pytest.fixture
def resolver(names: None) -> dns.asyncresolver.Resolver:
    """A resolver that knows our server alone, and has patience on a busy machine."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [DNS_SERVER]
    resolver.timeout = resolver.lifetime = 20
    resolver.use_edns(0, payload=1440)
    return resolver


async def test_addresses(modem: aiobc9x.Modem, resolver: dns.asyncresolver.Resolver) -> None:
    """Queries and answers are whole datagrams, of more than one read too."""
    backend = Backend(modem)
    answer = await resolver.resolve("module.example", "A", backend=backend)
    assert sorted(str(record) for record in answer) == [f"192.168.2.{i}" for i in range(3)]
    answer = await resolver.resolve("module.example", "AAAA", backend=backend)
    assert [str(record) for record in answer] == ["2001:db8::1"]
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("none.example", "A", backend=backend)
    answer = await resolver.resolve("long.example", "TXT", backend=backend)
    assert len(answer.response.to_wire()) > 1024
    assert [len(text) for text in answer[0].strings] == [250] * 4 + [40]
    assert backend.made == modem.statistics.opens == 4


async def test_six_at_once(modem: aiobc9x.Modem, resolver: dns.asyncresolver.Resolver) -> None:
    """Each connect ID can be a query under way."""
    backend = Backend(modem)
    answers = await asyncio.gather(
        *(resolver.resolve("module.example", "A", backend=backend) for _ in range(6))
    )
    assert {len(answer) for answer in answers} == {3}


@pytest.mark.usefixtures("names")
async def test_program(site: Site, tmp_path: Path) -> None:
    """docs/clients/dns.md: dnspython over ``installed()``, one question and one answer."""
    assert await output("dns", "DNS", site, tmp_path) == ["broker.example. 8883"]
    assert site.virtual.statistics.sends == 1
