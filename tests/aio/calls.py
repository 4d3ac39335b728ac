"""Every public call that waits, as something that can be run on a bench and cancelled.

:func:`public_calls` reads the names from the package, and a test compares them with
:data:`CALLS`: a new method without a row here fails it.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import aiobc9x
from aiobc9x import AccessMode, ModemPool, ProxyServer, Reconnect, Server
from aiobc9x.aio.connections.reader_writer import ModuleStreamWriter
from aiobc9x.aio.line.subscriptions import Subscription
from aiobc9x.sim.faults import FaultPlan
from tests.support.bench import (
    ECHO_PORT,
    HOST,
    LISTEN_PORT,
    NAME,
    PORT,
    UDP_PORT,
    Bench,
)

HANDED_OUT = (asyncio.StreamReader, ModuleStreamWriter, Subscription)
"""Classes of what methods return that are no names of the package itself."""

OPENINGS = ("open_modem", "open_pool")
"""Functions whose result is awaited or entered."""

PIN, PUK = "1234", "12345678"


def public_calls() -> set[str]:
    """Name everything public that a program awaits or iterates over."""
    classes = [getattr(aiobc9x, name) for name in dir(aiobc9x) if not name.startswith("_")]
    found = {
        f"{each.__name__}.{name}"
        for each in (*classes, *HANDED_OUT)
        if isinstance(each, type)
        for name in dir(each)
        # __aenter__ and __aexit__ call what is here by its name.
        if (not name.startswith("_") or name == "__anext__") and _waits(getattr(each, name))
    }
    return found.union(OPENINGS)


def _waits(member: object) -> bool:
    returned = str(getattr(member, "__annotations__", {}).get("return", ""))
    return (
        inspect.iscoroutinefunction(member)
        or inspect.isasyncgenfunction(member)
        or returned.startswith(("Async", "Await"))
    )


class Scene:
    """What a call is made on.

    Attributes:
        bench: The virtual module.
        policy: How modems come back.
        settings: Further arguments of ``open_modem()``.
        server: A listener, where a call is one of a listener.
        proxy: A proxy, where a call is one of a proxy.
        events: A subscription, where a call reads one.
        pool: A pool, where a call is one of a pool.
        got: What a call has read.
        disarm: Keeps trouble that has not come yet from coming.

    """

    def __init__(self, bench: Bench, policy: Reconnect, settings: dict[str, Any]) -> None:
        self.bench, self.policy, self.settings = bench, policy, settings
        self.server: Server | None = None
        self.proxy: ProxyServer | None = None
        self.events: Subscription | None = None
        self.pool: ModemPool | None = None
        self.got = b""
        self.disarm: Callable[[], object] = lambda: None

    @property
    def modem(self) -> aiobc9x.Modem:
        """The modem that is open."""
        return self.bench.current

    @property
    def reader(self) -> asyncio.StreamReader:
        """The reader of the first connection."""
        return self.bench.opened[0][0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        """The writer of the first connection."""
        return self.bench.opened[0][1]

    async def open(self) -> None:
        """Open the modem."""
        await self.bench.open_lasting(reconnect=self.policy, **self.settings)

    async def open_pool(self) -> None:
        """Open the modem in a pool that has no other."""
        self.pool = await aiobc9x.open_pool(
            [self.bench.create], reconnect=self.policy, **self.settings
        )
        self.bench._modem = self.pool.modems[0]

    def calm(self) -> None:
        """See that nothing more goes wrong; what is going wrong already goes on."""
        self.disarm()
        self.bench.on_command = lambda _line: None
        self.bench.virtual.module.board.faults = FaultPlan()

    async def end(self) -> None:
        """Close whatever a call has opened, as its program would."""
        for each in (self.server, self.proxy):
            if each is not None:
                each.close()
        for _, writer in self.bench.opened:
            writer.close()
        if self.events is not None:
            self.events.close()


Run = Callable[[Scene], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Call:
    """One public call.

    Attributes:
        run: Makes it.
        prepare: What must be there first.
        after: What puts the module back, so that a connection can be opened on it.
        opening: How the modem is opened; ``None`` if the call itself does that.
        least: The fewest steps it has if nothing goes wrong.
        ends: Whether it ends by itself.
        succeeds: Whether it succeeds if nothing goes wrong.
        options: Those of the virtual module.

    """

    run: Run
    prepare: Callable[[Scene], Awaitable[object]] | None = None
    after: Callable[[Scene], Awaitable[object]] | None = None
    opening: Callable[[Scene], Awaitable[object]] | None = Scene.open
    least: int = 1
    ends: bool = True
    succeeds: bool = True
    options: dict[str, Any] = field(default_factory=dict)


async def connected(scene: Scene) -> None:
    """Open a connection to an echo server."""
    streams = await scene.modem.open_connection(HOST, ECHO_PORT)
    scene.bench.opened.append(streams)


async def spoken_to(scene: Scene) -> None:
    """Open a connection whose peer says two lines, the second one soon."""
    await connected(scene)
    peer = scene.bench.peer
    peer.send(b"one\n")
    asyncio.get_running_loop().call_later(0.5, peer.send, b"two\n")


def reading(read: Callable[[asyncio.StreamReader], Coroutine[Any, Any, bytes]]) -> Call:
    """Read both lines."""

    async def run(scene: Scene) -> None:
        while len(scene.got) < 8:
            data = await read(scene.reader)
            assert data, "the stream ended without an error"
            scene.got += data
            assert b"one\ntwo\n".startswith(scene.got)

    return Call(run, spoken_to)


async def lines(reader: asyncio.StreamReader) -> bytes:
    """Read a line by iterating."""
    return await anext(reader)


async def written(scene: Scene) -> None:
    """Open a connection and give it more than the module takes at once."""
    await connected(scene)
    scene.writer.write(bytes(9000))


async def closing(scene: Scene) -> None:
    """Begin to close a connection that has something to say."""
    await written(scene)
    scene.writer.close()


async def upgrade(scene: Scene) -> None:
    """Ask a peer for TLS that never answers."""
    await scene.writer.start_tls(
        ssl.create_default_context(), server_hostname=NAME, ssl_handshake_timeout=10
    )


async def connection(scene: Scene) -> None:
    """Open a connection by a name; keep its protocol from complaining of its end."""
    transport, _ = await scene.modem.create_connection(asyncio.Protocol, NAME, PORT)
    transport.close()


async def streams(scene: Scene) -> None:
    """Open a connection by a name."""
    scene.bench.opened.append(await scene.modem.open_connection(NAME, PORT))


async def endpoint(scene: Scene) -> None:
    """Open an endpoint, send, and close it if it was opened."""
    transport, _ = await scene.modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(HOST, UDP_PORT)
    )
    transport.sendto(b"a datagram")
    transport.close()


async def listener(scene: Scene) -> None:
    """Listen with a protocol."""
    scene.server = await scene.modem.create_server(asyncio.Protocol, port=LISTEN_PORT)


async def stream_listener(scene: Scene) -> None:
    """Listen, serve, close."""
    async with await scene.modem.start_server(lambda _reader, _writer: None, LISTEN_PORT):
        pass


async def serve(scene: Scene) -> None:
    """Serve until something ends it."""
    assert scene.server is not None
    await scene.server.serve_forever()


async def start_serving(scene: Scene) -> None:
    """Say what is so already."""
    assert scene.server is not None
    await scene.server.start_serving()


async def server_closed(scene: Scene) -> None:
    """Close a listener and wait."""
    assert scene.server is not None
    scene.server.close()
    await scene.server.wait_closed()


async def switch(scene: Scene) -> None:
    """Switch a connection to push mode."""
    await scene.modem.set_access_mode(scene.writer.transport, AccessMode.PUSH)


async def ping_replies(scene: Scene) -> None:
    """Read the replies one by one."""
    replies: AsyncIterator[aiobc9x.PingReply]
    async with aclosing(scene.modem.ping_replies(HOST, count=2)) as replies:
        async for _reply in replies:
            pass


async def subscribed(scene: Scene) -> None:
    """Listen to events."""
    scene.events = scene.modem.subscribe()


async def hear(scene: Scene) -> None:
    """Hear events until the end."""
    assert scene.events is not None
    with suppress(StopAsyncIteration):
        while True:
            await anext(scene.events)


async def unlocked(scene: Scene) -> None:
    """Give the PIN again: the call may have been cancelled before."""
    with suppress(aiobc9x.CommandError):
        await scene.modem.set_pin(PIN)


async def locked(scene: Scene) -> None:
    """Try three wrong PINs."""
    for _ in range(3):
        with suppress(aiobc9x.ModemError):
            await scene.modem.set_pin("9999")


async def unblocked(scene: Scene) -> None:
    """Give the PUK again."""
    with suppress(aiobc9x.CommandError):
        await scene.modem.unblock_sim(PUK, PIN)


async def proxied(scene: Scene) -> None:
    """Serve other programs."""
    scene.proxy = await (scene.pool or scene.modem).serve_proxy(port=0)


async def forward(scene: Scene) -> None:
    """Forward one port more."""
    assert scene.proxy is not None
    await scene.proxy.add_forward(0, NAME, 1)


async def proxy_closed(scene: Scene) -> None:
    """Close a proxy and wait."""
    assert scene.proxy is not None
    scene.proxy.close()
    await scene.proxy.wait_closed()


async def open_and_close(scene: Scene) -> None:
    """Open a modem and close it."""
    modem = await aiobc9x.open_modem(scene.bench.create, reconnect=scene.policy, **scene.settings)
    await modem.aclose()


async def open_and_close_pool(scene: Scene) -> None:
    """Open a pool and close it."""
    pool = await aiobc9x.open_pool([scene.bench.create], reconnect=scene.policy, **scene.settings)
    await pool.aclose()


def pool_of(scene: Scene) -> ModemPool:
    """Return the pool of a scene."""
    assert scene.pool is not None
    return scene.pool


async def pool_connection(scene: Scene) -> None:
    """As :func:`connection`."""
    transport, _ = await pool_of(scene).create_connection(asyncio.Protocol, NAME, PORT)
    transport.close()


async def pool_streams(scene: Scene) -> None:
    """As :func:`streams`."""
    scene.bench.opened.append(await pool_of(scene).open_connection(NAME, PORT))


async def pool_endpoint(scene: Scene) -> None:
    """As :func:`endpoint`."""
    transport, _ = await pool_of(scene).create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(HOST, UDP_PORT)
    )
    transport.close()


async def pool_listener(scene: Scene) -> None:
    """As :func:`listener`."""
    scene.server = await pool_of(scene).create_server(asyncio.Protocol, port=LISTEN_PORT)


async def pool_stream_listener(scene: Scene) -> None:
    """As :func:`stream_listener`."""
    async with await pool_of(scene).start_server(lambda _reader, _writer: None, LISTEN_PORT):
        pass


LOCKED = {"pin": PIN}
OF_POOL: dict[str, Any] = {"opening": Scene.open_pool}

CALLS: dict[str, Call] = {
    "open_modem": Call(open_and_close, opening=None, least=25),
    "open_pool": Call(open_and_close_pool, opening=None, least=2),
    "Modem.aclose": Call(lambda scene: scene.modem.aclose(), written),
    "Modem.addresses": Call(lambda scene: scene.modem.addresses()),
    "Modem.apn": Call(lambda scene: scene.modem.apn()),
    "Modem.attach": Call(lambda scene: scene.modem.attach()),
    "Modem.available": Call(
        lambda scene: scene.modem.available(), options={"register_time": 3.0, "attach_time": 1.0}
    ),
    "Modem.capabilities": Call(lambda scene: scene.modem.capabilities()),
    "Modem.command": Call(lambda scene: scene.modem.command("AT+CGATT?")),
    "Modem.configure": Call(lambda scene: scene.modem.configure(receive_hex=True, open_time=20)),
    "Modem.create_connection": Call(connection, least=5),
    "Modem.create_datagram_endpoint": Call(endpoint),
    "Modem.create_server": Call(listener),
    "Modem.detach": Call(lambda scene: scene.modem.detach()),
    "Modem.dns_servers": Call(lambda scene: scene.modem.dns_servers()),
    "Modem.identity": Call(lambda scene: scene.modem.identity()),
    "Modem.last_error": Call(lambda scene: scene.modem.last_error()),
    "Modem.ntp_time": Call(lambda scene: scene.modem.ntp_time(HOST)),
    "Modem.open_connection": Call(streams, least=5, options={"network_latency": 0.1}),
    "Modem.ping": Call(lambda scene: scene.modem.ping(HOST, count=2)),
    "Modem.ping_replies": Call(ping_replies),
    "Modem.power_saving": Call(lambda scene: scene.modem.power_saving()),
    "Modem.registration": Call(lambda scene: scene.modem.registration()),
    "Modem.resolve": Call(lambda scene: scene.modem.resolve(NAME)),
    "Modem.serve_proxy": Call(proxied),
    "Modem.set_access_mode": Call(switch, connected),
    "Modem.set_apn": Call(lambda scene: scene.modem.set_apn("a.example", user="u", password="p")),
    "Modem.set_dns_servers": Call(lambda scene: scene.modem.set_dns_servers("10.0.0.1")),
    "Modem.set_pin": Call(lambda scene: scene.modem.set_pin(PIN), after=unlocked, options=LOCKED),
    "Modem.set_power_saving": Call(
        lambda scene: scene.modem.set_power_saving(aiobc9x.PowerSaving(10, 3600))
    ),
    "Modem.settings": Call(lambda scene: scene.modem.settings()),
    "Modem.signal": Call(lambda scene: scene.modem.signal()),
    "Modem.sleep": Call(lambda scene: scene.modem.sleep()),
    "Modem.socket_states": Call(lambda scene: scene.modem.socket_states()),
    "Modem.start_server": Call(stream_listener),
    "Modem.unblock_sim": Call(
        lambda scene: scene.modem.unblock_sim(PUK, PIN), locked, unblocked, options=LOCKED
    ),
    "Modem.wait_ready": Call(
        lambda scene: scene.modem.wait_ready(),
        least=12,
        options={"register_time": 3.0, "attach_time": 1.0},
    ),
    "ModemPool.aclose": Call(lambda scene: pool_of(scene).aclose(), written, **OF_POOL),
    "ModemPool.create_connection": Call(pool_connection, **OF_POOL),
    "ModemPool.create_datagram_endpoint": Call(pool_endpoint, **OF_POOL),
    "ModemPool.create_server": Call(pool_listener, **OF_POOL),
    "ModemPool.open_connection": Call(pool_streams, **OF_POOL),
    "ModemPool.ping": Call(lambda scene: pool_of(scene).ping(HOST, count=2), **OF_POOL),
    "ModemPool.resolve": Call(lambda scene: pool_of(scene).resolve(NAME), **OF_POOL),
    "ModemPool.serve_proxy": Call(proxied, **OF_POOL),
    "ModemPool.start_server": Call(pool_stream_listener, **OF_POOL),
    "ProxyServer.add_forward": Call(forward, proxied),
    "ProxyServer.wait_closed": Call(proxy_closed, proxied, least=0),
    "Server.serve_forever": Call(serve, listener, least=0, ends=False),
    "Server.start_serving": Call(start_serving, listener, least=0),
    "Server.wait_closed": Call(server_closed, listener),
    "Subscription.__anext__": Call(hear, subscribed, least=0, ends=False),
    "StreamReader.__anext__": reading(lines),
    "StreamReader.read": reading(lambda reader: reader.read(3)),
    "StreamReader.readexactly": reading(lambda reader: reader.readexactly(4)),
    "StreamReader.readline": reading(lambda reader: reader.readline()),
    "StreamReader.readuntil": reading(lambda reader: reader.readuntil(b"\n")),
    "ModuleStreamWriter.drain": Call(
        lambda scene: scene.writer.drain(), written, options={"send_time": 0.2}
    ),
    "ModuleStreamWriter.start_tls": Call(upgrade, connected, succeeds=False),
    "ModuleStreamWriter.wait_closed": Call(
        lambda scene: scene.writer.wait_closed(), closing, options={"close_time": 1.0}
    ),
}
"""Every public call, by the name of what it is a method of."""
