"""Libraries at seconds a round trip: what their defaults do, and what our settings change.

Every client is the real one, routed through the virtual module by ``installed()``; the
servers are in memory and the clock is virtual. At 1.5 s an AT command a round trip takes a
program about 4 s: the send, the network, the read.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import aiocoap
import aiohttp
import aiomqtt
import asyncssh
import dns.asyncresolver
import gmqtt
import httpx
import pytest
import uvicorn
import websockets
from aiocoap.numbers.constants import TransportTuning
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from redis.asyncio import Redis as RedisClient
from redis.exceptions import RedisError

from aiobc9x.adapters.slow import SlowLink, settings_for
from aiobc9x.sim.options import Host
from aiobc9x.spec import NAME_RESOLUTION_S, OPEN_TIME_DEFAULT_S
from tests.adapters import slow_servers
from tests.adapters.families import HTTPX
from tests.support.bench import HOST, Bench
from tests.support.clock import virtual
from tests.support.versions import version

NAME = "server.example"


class Link(NamedTuple):
    """How slow a link is, in seconds.

    Attributes:
        latency: Of each AT command.
        network: From what the module sends to what it gets.
        round_trip: About what comes of it for a program.

    """

    latency: float
    network: float
    round_trip: float


USUAL = Link(1.5, 0.5, 4.0)

any_link = pytest.mark.parametrize("link", [Link(0.4, 0.1, 1.0), USUAL, Link(1.5, 6.5, 10.0)])


@asynccontextmanager
async def slow_link(link: Link) -> AsyncIterator[Bench]:
    """A modem that is installed and ready, and takes its time for each command."""
    async with Bench(latency=link.latency, hosts={NAME: Host((HOST,))}) as bench:
        modem = await bench.open()
        await modem.wait_ready()
        with modem.installed():
            yield bench


def sends(bench: Bench) -> int:
    """How many sends the module was given."""
    return sum(line.startswith("AT+QISEND") for line in bench.commands)


class TestHttpx:
    """A first request by HTTPS."""

    async def fetch(self, link: Link, **options: Any) -> tuple[int, int]:
        """Fetch a page; return how many requests came, and how many connections."""
        web = slow_servers.Web()
        tls = slow_servers.Tls(web.connected, NAME)
        async with slow_link(link) as bench:
            bench.network.serve_tcp(443, slow_servers.answering(tls.connected, link.network))
            async with httpx.AsyncClient(verify=tls.trusting, **options) as client:
                answer = await client.get(f"https://{NAME}/")
                assert answer.text == "ok"
            return web.requests, len(bench.network.peers)

    @virtual
    async def test_the_defaults_give_up(self) -> None:
        with pytest.raises(httpx.TimeoutException):
            await self.fetch(USUAL)

    @any_link
    @virtual
    async def test_the_settings_ask_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip)
        timeout, limits = httpx.Timeout(**slow.httpx), httpx.Limits(**slow.httpx_limits)
        assert await self.fetch(link, timeout=timeout, limits=limits) == (1, 1)


class TestAiohttp:
    """Eight requests by HTTPS at once."""

    async def fetch(self, link: Link, connector: dict[str, Any], **options: Any) -> tuple[int, int]:
        """Fetch a page eight times; return how many requests came, and how many connections."""
        web = slow_servers.Web()
        tls = slow_servers.Tls(web.connected, NAME)

        async def one(session: aiohttp.ClientSession) -> str:
            async with session.get(f"https://{NAME}/", ssl=tls.trusting) as answer:
                return await answer.text()

        async with slow_link(link) as bench:
            bench.network.serve_tcp(443, slow_servers.answering(tls.connected, link.network))
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(**connector), **options
            ) as session:
                pages = await asyncio.gather(
                    *(one(session) for _ in range(8)), return_exceptions=True
                )
            for error in pages:
                if isinstance(error, Exception):
                    raise error
            assert pages == ["ok"] * 8
            return web.requests, len(bench.network.peers)

    @virtual
    async def test_the_defaults_want_too_many_sockets(self) -> None:
        with pytest.raises(aiohttp.ClientConnectorError, match="all six connect IDs"):
            await self.fetch(USUAL, {})

    @any_link
    @virtual
    async def test_the_settings_ask_each_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip, sockets=3)
        timeout = aiohttp.ClientTimeout(**slow.aiohttp)
        assert await self.fetch(link, slow.aiohttp_connector, timeout=timeout) == (8, 3)


class TestRedis:
    """A command that must not be done twice."""

    @asynccontextmanager
    async def client(
        self, link: Link, **options: Any
    ) -> AsyncIterator[tuple[RedisClient, slow_servers.Redis, Bench]]:
        """A client, its server, and the bench."""
        server = slow_servers.Redis()
        async with slow_link(link) as bench:
            bench.network.serve_tcp(6379, slow_servers.answering(server.connected, link.network))
            client = RedisClient(host=NAME, **options)
            try:
                yield client, server, bench
            finally:
                await client.aclose()

    @pytest.mark.skipif(version("redis") < (8, 1), reason="before 8.1 it waits for ever")
    @virtual
    async def test_the_defaults_never_get_there(self) -> None:
        """They connect again and again; the command itself is never sent.

        Once in fifty times the random pauses between the tries would let one succeed.
        """
        async with self.client(USUAL) as (client, server, bench):
            with (
                patch("redis.backoff.random.random", return_value=0.5),
                pytest.raises((RedisError, TimeoutError)),
            ):
                await client.incr("count")
            assert b"INCRBY" not in server.commands
            assert len(bench.network.peers) > 6

    @any_link
    @virtual
    async def test_the_settings_do_it_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip)
        async with self.client(link, **slow.redis) as (client, server, bench):
            assert await client.incr("count")
            assert server.commands.count(b"INCRBY") == 1
            assert b"HELLO" not in server.commands
            assert len(bench.network.peers) == 1


class TestAiocoap:
    """Two requests, one after the other."""

    async def ask_twice(self, link: Link, **options: Any) -> tuple[list[int], int]:
        """Return the message IDs that came, and how many the module sent."""
        server = slow_servers.Coap()
        async with slow_link(link) as bench:
            bench.network.serve_udp(5683, slow_servers.answering(server.connected, link.network))
            context = await aiocoap.Context.create_client_context(transports=["simple6"])
            try:
                for _ in range(2):
                    request = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{NAME}/t", **options)
                    answer = await asyncio.wait_for(context.request(request).response, 300)
                    assert answer.payload == b"21.5"
                await asyncio.sleep(60)
            finally:
                await context.shutdown()
            return server.requests, sends(bench)

    @virtual
    async def test_the_defaults_send_everything_twice(self) -> None:
        ids, count = await self.ask_twice(USUAL)
        assert count == len(ids) >= 4
        assert len(set(ids)) == 2

    @any_link
    @virtual
    async def test_the_settings_send_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip)
        tuning = type("SlowTuning", (TransportTuning,), slow.aiocoap)
        ids, count = await self.ask_twice(link, transport_tuning=tuning())
        assert count == len(ids) == len(set(ids)) == 2


class TestPymodbus:
    """A write of one register."""

    async def write(self, link: Link, host: str, **options: Any) -> int:
        """Write; return how often the server was told to."""
        server = slow_servers.Modbus()
        async with slow_link(link) as bench:
            bench.network.serve_tcp(502, slow_servers.answering(server.connected, link.network))
            client = AsyncModbusTcpClient(host, **options)
            try:
                if await client.connect():
                    answer = await client.write_register(1, 7)
                    assert not answer.isError()
                    await asyncio.sleep(60)
            finally:
                client.close()
            return server.writes

    @virtual
    async def test_the_defaults_write_twice(self) -> None:
        """By address; by name they don't connect in time."""
        assert await self.write(USUAL, HOST) == 2
        assert await self.write(USUAL, NAME) == 0

    @virtual
    async def test_without_retries_the_default_time_is_too_short(self) -> None:
        """So that the register is written, and the program believes that it isn't."""
        with pytest.raises(ModbusIOException):
            await self.write(USUAL, HOST, retries=0)

    @any_link
    @virtual
    async def test_the_settings_write_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip)
        assert await self.write(link, NAME, **slow.pymodbus) == 1


class TestWebsockets:
    """A message to a server by TLS, and ten quiet minutes."""

    async def talk(self, link: Link, **options: Any) -> tuple[list[bytes], int, int]:
        """Return the messages that came, the connections, and the sends of the quiet time."""
        server = slow_servers.WebSocket()
        tls = slow_servers.Tls(server.connected, NAME)
        async with slow_link(link) as bench:
            bench.network.serve_tcp(443, slow_servers.answering(tls.connected, link.network))
            async with websockets.connect(
                f"wss://{NAME}/", ssl=tls.trusting, proxy=None, **options
            ) as connection:
                await connection.send("hello")
                assert await connection.recv() == "hello"
                before = sends(bench)
                await asyncio.sleep(600)
                quiet = sends(bench) - before
                await connection.send("still there")
                assert await connection.recv() == "still there"
            return server.messages, len(bench.network.peers), quiet

    @virtual
    async def test_the_defaults_give_up(self) -> None:
        with pytest.raises(TimeoutError, match="opening handshake"):
            await self.talk(USUAL)

    @virtual
    async def test_the_default_pings_keep_the_radio_busy(self) -> None:
        slow = settings_for(4.0)
        _, _, quiet = await self.talk(USUAL, open_timeout=slow.exchange_s)
        assert quiet >= 20

    @any_link
    @virtual
    async def test_the_settings_say_it_once(self, link: Link) -> None:
        slow = settings_for(link.round_trip)
        messages, connections, quiet = await self.talk(link, **slow.websockets)
        assert messages == [b"hello", b"still there"]
        assert connections == 1
        assert quiet <= 2


def takes(function: Callable[..., Any]) -> Callable[..., None]:
    """Make a check that a function takes keywords."""

    def check(**keywords: Any) -> None:
        parameters = inspect.signature(function).parameters
        assert set(keywords) <= set(parameters), keywords

    return check


def check_attributes(**attributes: Any) -> None:
    """A resolver has these attributes."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    assert all(hasattr(resolver, name) for name in attributes)


def check_tuning(**attributes: Any) -> None:
    """What CoAP works out of the attributes is in proportion (RFC 7252, 4.8.2)."""
    tuning = type("SlowTuning", (TransportTuning,), attributes)()
    assert set(attributes) <= set(dir(TransportTuning))
    assert pytest.approx(10.5 * attributes["ACK_TIMEOUT"]) == tuning.MAX_TRANSMIT_WAIT


def check_uvicorn(**keywords: Any) -> None:
    """A server can be configured so."""
    uvicorn.Config(lambda: None, log_config=None, **keywords)


USERS: dict[str, Callable[..., object]] = {
    "aiocoap": check_tuning,
    "aiohttp": aiohttp.ClientTimeout,
    "aiohttp_connector": takes(aiohttp.TCPConnector),
    "aiomqtt": takes(aiomqtt.Client),
    "asyncio": takes(asyncio.BaseEventLoop.create_connection),
    "asyncssh": lambda **keywords: asyncssh.SSHClientConnectionOptions(config=[], **keywords),
    "dnspython": check_attributes,
    "gmqtt": takes(gmqtt.Client.connect),
    "httpx": lambda **keywords: [each.Timeout(**keywords) for each in HTTPX],
    "httpx_limits": lambda **keywords: [each.Limits(**keywords) for each in HTTPX],
    "pymodbus": takes(AsyncModbusTcpClient),
    "redis": RedisClient,
    "uvicorn": check_uvicorn,
    "websockets": takes(websockets.connect),
}
"""What takes the keywords of each library."""

TIMES = {"answer_s", "connect_s", "tls_s", "exchange_s", "keepalive_s", "ack_s"}


def properties() -> set[str]:
    """The names of all that is worked out."""
    return {name for name, value in vars(SlowLink).items() if isinstance(value, property)}


@pytest.mark.parametrize("name", USERS)
def test_libraries_take_their_settings(name: str) -> None:
    """Also the installed versions: a keyword that is gone is found here."""
    USERS[name](**getattr(settings_for(), name))


def test_nothing_is_left_out() -> None:
    """Each library is tried above, and stands on the page with its numbers."""
    assert properties() == {*USERS, *TIMES}
    page = (Path(__file__).parents[2] / "docs/slow-links.md").read_text("utf-8")
    assert set(re.findall(r"slow\.(\w+)", page)) >= set(USERS)
    slow = settings_for()
    rows = re.findall(r"^\| `(\w+_s)` \|(?:[^|]*\|){1} ([\d.]+) \|", page, re.MULTILINE)
    assert {name: float(value) for name, value in rows} == {n: getattr(slow, n) for n in TIMES}


@given(round_trip_s=st.floats(0.1, 60))
def test_the_times_are_in_proportion(round_trip_s: float) -> None:
    """Whatever the link: the module's own deadlines come first, and parts before the whole."""
    slow = settings_for(round_trip_s)
    assert slow.connect_s > NAME_RESOLUTION_S + OPEN_TIME_DEFAULT_S
    assert slow.answer_s > 2 * slow.ack_s > 6 * round_trip_s
    assert slow.exchange_s > max(slow.connect_s, slow.tls_s, slow.answer_s)
    assert slow.keepalive_s > 2 * slow.answer_s


@pytest.mark.parametrize("round_trip_s", [0, 0.09, 61, -1, float("nan"), float("inf")])
def test_a_round_trip_that_is_none(round_trip_s: float) -> None:
    with pytest.raises(ValueError, match="round_trip_s"):
        settings_for(round_trip_s)


def test_a_round_trip_that_is_no_number() -> None:
    text: Any = "4"
    with pytest.raises(TypeError, match=r"^round_trip_s must be a number of seconds, not '4'$"):
        settings_for(text)


@pytest.mark.parametrize("sockets", [0, 7])
def test_a_number_of_sockets_that_no_module_has(sockets: int) -> None:
    with pytest.raises(ValueError, match="sockets"):
        settings_for(sockets=sockets)
