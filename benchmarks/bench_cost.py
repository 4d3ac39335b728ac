"""What does a small message cost over the air, by protocol?

    python -m benchmarks cost                              # one row per protocol and way to use it
    python -m benchmarks cost --plot docs/pictures/cost.svg    # and the picture of docs/cost.md
    python -m benchmarks cost --smoke                      # the same

A reading of 20 bytes goes to a server on loopback, by the usual client library, through the virtual
module, and an answer comes back: httpx, gmqtt and aiocoap, and asyncio for a bare datagram. Every
connection is made by name, so that each new one asks for an address. ``air_bytes`` are those that
``modem.usage`` estimates, ``payload_bytes`` went through the socket, ``line_bytes`` over the serial
line, for which ``line_s`` is what they take at 9600 baud. TLS is 1.3, with a chain of two
certificates.
MQTT is left out where mosquitto is not installed.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiocoap
import aiocoap.resource
import gmqtt
import httpx

import aiobc9x
from aiobc9x.adapters.httpx import ModemTransport
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.peers import ModemPeer
from aiobc9x.sim.virtual_modem import VirtualModem
from aiobc9x.spec import CONNECT_IDS
from benchmarks.bench_resuming import VERSIONS, client_context, server_context
from benchmarks.harness import Options, Plot, Table, run
from tests.support.bench import NAME

READING: Final = b'{"t":21.53,"rh":48}\n'
ANSWER: Final = (
    b"HTTP/1.1 204 No Content\r\nServer: nginx\r\nDate: Sun, 29 Nov 2026 12:00:00 GMT\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
LOOPBACK: Final = "127.0.0.1"
COAP_PORT: Final = 5683
BITS_PER_S: Final = 9600
LIMIT_S: Final = 120.0
KEPT, NEW = "open already", "of its own"
COLUMNS: Final = (
    "request",
    "connection",
    "payload_bytes",
    "air_sent_bytes",
    "air_received_bytes",
    "air_bytes",
    "line_bytes",
    "line_s",
)
PLOTS: Final = tuple(
    Plot(
        x="request",
        y=("air_sent_bytes", "air_received_bytes"),
        x_label="",
        y_label="bytes over the air",
        title=title,
        only={"connection": connection},
        names={"air_sent_bytes": "sent", "air_received_bytes": "received"},
    )
    for title, connection in (
        ("20 bytes, on a connection that is open", KEPT),
        ("20 bytes, with a connection of their own", NEW),
    )
)


class Cost(NamedTuple):
    """What was counted so far, or between two moments."""

    payload: int
    sent: int
    received: int
    line: int

    @classmethod
    def of(cls, modem: aiobc9x.Modem) -> "Cost":
        """Return what a modem has counted."""
        usage, line = modem.usage.total, modem.statistics.traffic_bytes
        payload = usage.payload_sent_bytes + usage.payload_received_bytes
        return cls(payload, usage.sent_bytes, usage.received_bytes, line)

    def since(self, before: "Cost") -> "Cost":
        """Return the difference."""
        return Cost(*(now - then for now, then in zip(self, before, strict=True)))


class Site:
    """A modem, the servers that it reaches, and what their requests have cost."""

    def __init__(self, modem: aiobc9x.Modem, peer: ModemPeer) -> None:
        self.modem, self.peer = modem, peer
        self.found: list[tuple[str, str, Cost]] = []

    async def idle(self) -> None:
        """Wait until everything sent is confirmed, and nothing more comes."""
        before = None
        # There is no event for "nothing more comes".
        while before != (before := Cost.of(self.modem)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    async def closed(self) -> None:
        """Wait until every socket is free."""
        while self.modem.free_sockets < len(CONNECT_IDS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.idle()

    async def measure(self, name: str, connection: str, act: Callable[[], Awaitable[Any]]) -> None:
        """Note what a request costs (``Any``: its result is of no interest)."""
        await self.idle()
        before = Cost.of(self.modem)
        await act()
        await (self.closed() if connection is NEW else self.idle())
        self.found.append((name, connection, Cost.of(self.modem).since(before)))


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take requests until the client closes."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(READING))
            writer.write(ANSWER)
    writer.close()


class Sink(aiocoap.resource.Resource):  # type: ignore[misc]  # aiocoap has no types
    """Takes readings by CoAP."""

    async def render_put(self, _request: aiocoap.Message) -> aiocoap.Message:
        """Answer 2.04."""
        return aiocoap.Message(code=aiocoap.CHANGED)


async def datagrams(site: Site) -> None:
    """A bare datagram each way."""
    port = await site.peer.echo()
    heard = asyncio.Event()

    class Hears(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
            heard.set()

    transport, _ = await site.modem.create_datagram_endpoint(Hears, remote_addr=(NAME, port))

    async def ask() -> None:
        transport.sendto(READING)
        await heard.wait()

    await site.measure("UDP", KEPT, ask)
    transport.close()
    await site.closed()


async def coap(site: Site) -> None:
    """PUT, confirmable."""
    root = aiocoap.resource.Site()
    root.add_resource(["t"], Sink())
    server = await aiocoap.Context.create_server_context(
        root, bind=(LOOPBACK, COAP_PORT), transports=["simplesocketserver"]
    )
    with site.modem.installed(strict=True):
        client = await aiocoap.Context.create_client_context(transports=["simple6"])

        async def ask() -> None:
            request = aiocoap.Message(code=aiocoap.PUT, uri=f"coap://{NAME}/t", payload=READING)
            assert (await client.request(request).response).code == aiocoap.CHANGED

        await ask()  # it opens the socket, and asks for the address
        await site.measure("CoAP", KEPT, ask)
        await client.shutdown()
    await server.shutdown()
    await site.closed()


async def mqtt(site: Site) -> None:
    """Publish with QoS 0 and 1, and connect for one reading."""
    try:
        port = await site.peer.mqtt()
    except FileNotFoundError as exc:
        print(f"# MQTT is left out: {exc}", file=sys.stderr)
        return
    with site.modem.installed(strict=True):

        async def connected() -> gmqtt.Client:
            client = gmqtt.Client("gateway1")
            await client.connect(NAME, port, keepalive=600)
            return client

        async def once() -> None:
            client = await connected()
            client.publish("site/t", READING, qos=1)
            await site.idle()
            await client.disconnect()

        client = await connected()
        for qos in (0, 1):

            async def publish(qos: int = qos) -> None:
                client.publish("site/t", READING, qos=qos)

            await site.measure(f"MQTT QoS {qos}", KEPT, publish)
        await client.disconnect()
        await site.closed()
        await site.measure("MQTT", NEW, once)


async def http(site: Site) -> None:
    """POST by HTTP/1.1, in the clear, with TLS, and with a session that is resumed."""
    tls = server_context()
    plain = await asyncio.start_server(answer_http, LOOPBACK, 0)
    secure = await asyncio.start_server(answer_http, LOOPBACK, 0, ssl=tls)
    ports = [each.sockets[0].getsockname()[1] for each in (plain, secure)]
    urls = [f"http://{NAME}:{ports[0]}/t", f"https://{NAME}:{ports[1]}/t"]
    context = client_context(VERSIONS["1.3"])

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=ModemTransport(site.modem, verify=context))

    async def post(over: httpx.AsyncClient, url: str) -> None:
        assert (await over.post(url, content=READING)).status_code == 204

    async def once(url: str) -> None:
        async with client() as over:
            await post(over, url)

    await site.measure("HTTP", NEW, partial(once, urls[0]))
    await site.measure("HTTPS", NEW, partial(once, urls[1]))
    await site.measure("HTTPS resumed", NEW, partial(once, urls[1]))
    for name, url in zip(("HTTP", "HTTPS"), urls, strict=True):
        async with client() as over:
            await post(over, url)
            await site.measure(name, KEPT, partial(post, over, url))
        await site.closed()
    for server in (plain, secure):
        server.close()


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Site]:
    """A modem on a virtual module that knows the server's name."""
    options = SimOptions(hosts={NAME: Host((LOOPBACK,))}, send_time=0.0)
    with tempfile.TemporaryDirectory() as folder:
        async with VirtualModem(options) as virtual:
            peer = ModemPeer(virtual, Path(folder))
            try:
                async with aiobc9x.open_modem(virtual.create) as modem:
                    yield Site(modem, peer)
            finally:
                await peer.aclose()


async def measured() -> list[tuple[str, str, Cost]]:
    """Make every request once."""
    async with asyncio.timeout(LIMIT_S), opened() as site:
        for protocol in (datagrams, coap, mqtt, http):
            await protocol(site)
        return site.found


def rows(_options: Options) -> Iterator[Sequence[object]]:
    """One row for each request, the cheapest first."""
    found = asyncio.run(measured())
    order = {KEPT: 0, NEW: 1}
    for name, connection, cost in sorted(
        found, key=lambda row: (order[row[1]], row[2].sent + row[2].received)
    ):
        air = cost.sent + cost.received
        seconds = cost.line * 10 / BITS_PER_S
        yield (
            name, connection, cost.payload, cost.sent, cost.received, air, cost.line, seconds
        )  # fmt: skip


def tables(options: Options) -> Iterator[Table]:
    """The one table."""
    yield Table(COLUMNS, rows(options))


if __name__ == "__main__":
    run(__name__)
