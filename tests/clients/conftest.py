"""The virtual module on a pty at 20 ms, a modem on it, and the servers that it reaches."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import Host, SimOptions
from tests.clients import servers
from tests.support.realtime import PATIENCE_S

LATENCY_S = 0.02
"""What the module takes for each command."""

RAN = pytest.StashKey[bool]()
"""Whether a test got as far as its own code: no server was missing."""


def pytest_runtest_call(item: pytest.Item) -> None:
    """Note that the test runs; only then there is something to check behind it."""
    item.stash[RAN] = True


NAMES = ("broker", "web", "sensor", "chat", "plc", "shell", "cache")
"""Hosts of ``.example``, which only the module knows (RFC 2606 keeps all other resolvers out)."""

LISTEN_PORTS = (2020, 8080, 8443)
"""What programs listen on, on the module."""


DNS_SERVER = "114.114.114.114"
"""What a module that has restarted asks (§2.2.13)."""


def hosts() -> dict[str, Host]:
    """Names with addresses that are no loopback's, and where those lead."""
    table = {DNS_SERVER: Host((servers.LOOPBACK,))}
    for number, name in enumerate(NAMES, 1):
        address = f"203.0.113.{number}"  # RFC 5737 keeps it free of hosts
        table[f"{name}.example"] = Host((address,))
        table[address] = Host((servers.LOOPBACK,))
    return table


@dataclass
class Site:
    """A module at work, and what it can reach.

    Attributes:
        virtual: The module.
        device: The path of its pty.
        ports: The real port behind each port that programs connect to; servers enter theirs.

    """

    virtual: VirtualModule
    device: str
    ports: dict[int, int] = field(default_factory=dict)

    def listens_on(self, port: int) -> int:
        """Return the real port behind one that the module listens on."""
        assert isinstance(self.virtual.network, LoopbackNetwork)
        return self.virtual.network.port_map[port]


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A module that must see every byte and no broken rule."""
    if sys.platform == "win32":
        pytest.skip("no ptys on Windows")
    ports: dict[int, int] = {}
    options = SimOptions(
        latency=LATENCY_S,
        hosts=hosts(),
        remote_ports=ports,
        listen_ports=dict.fromkeys(LISTEN_PORTS, 0),
    )
    async with VirtualModule(options) as virtual:
        yield Site(virtual, await virtual.start_pty(), ports)
        if not request.node.stash.get(RAN, False):
            return
        counted = virtual.statistics
        assert counted.broken_rules == 0
        assert counted.lost_bytes == 0
        assert counted.opens > 0
        assert min(counted.sent_bytes, counted.received_bytes) > 0


@pytest.fixture
async def modem(request: pytest.FixtureRequest, site: Site) -> AsyncIterator[aiobc9x.Modem]:
    """A modem whose line stays in step and whose counters are those of the module."""
    async with aiobc9x.open_modem(site.device) as modem:
        yield modem
        if not request.node.stash.get(RAN, False):
            return
        async with asyncio.timeout(PATIENCE_S):
            while await modem.socket_states():  # some libraries don't wait for the close
                pass
        counted, there = modem.statistics, site.virtual.statistics
        assert counted.damages == counted.recoveries == counted.timeouts == counted.resets == 0
        assert counted.unknown_lines == counted.datagrams_lost == 0
        assert counted.payload_bytes_sent == there.sent_bytes
        # What a read brings for a connection that was aborted meanwhile is nobody's.
        assert 0 < counted.payload_bytes_received <= there.received_bytes


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> servers.Certificates:
    """A certificate authority for all tests."""
    return servers.Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusting(
    certificates: servers.Certificates, monkeypatch: pytest.MonkeyPatch
) -> servers.Certificates:
    """Have default TLS contexts, here and in child processes, trust the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    return certificates


@pytest.fixture
async def broker(
    site: Site, tmp_path: Path, certificates: servers.Certificates
) -> AsyncIterator[None]:
    """mosquitto as broker.example, ports 1883 and 8883 (TLS)."""
    async with servers.mosquitto(tmp_path, certificates) as (plain, secure):
        site.ports.update({1883: plain, 8883: secure})
        yield


@pytest.fixture
async def web(
    site: Site, tmp_path: Path, certificates: servers.Certificates
) -> AsyncIterator[servers.Nginx]:
    """nginx as web.example, ports 80 and 443."""
    async with servers.nginx(tmp_path, certificates) as nginx:
        site.ports.update({80: nginx.http, 443: nginx.https})
        yield nginx


@pytest.fixture
async def sensor(site: Site, tmp_path: Path) -> AsyncIterator[None]:
    """libcoap's server as sensor.example, port 5683."""
    async with servers.coap_server(tmp_path) as port:
        site.ports[5683] = port
        yield


@pytest.fixture
async def cache(site: Site, tmp_path: Path) -> AsyncIterator[None]:
    """Redis as cache.example, port 6379."""
    async with servers.redis_server(tmp_path) as port:
        site.ports[6379] = port
        yield
