"""The two nets that are compared, and the far end, which is the same for both."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from itertools import count
from typing import Any, Protocol, TypeVar

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.conformance.recording import Recorder, Stream, kind
from tests.support.realtime import PATIENCE_S
from tests.support.tls import NAME, client_context, server_context

LOOPBACK = "127.0.0.1"
FIRST_PORT, LAST_PORT = 2001, 2200
"""Ports that servers listen on, on the module; it lets none be used again for 120 s."""

_DEBUG_ONLY = "Error on transport creation for incoming connection"
"""What asyncio reports of its own servers, and only in debug mode; the far end has one too."""

R = TypeVar("R", bound=Recorder)
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Far:
    """The far end of a connection: asyncio's own streams on loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def end(self) -> None:
        """Send the end of this direction; the other stays."""
        self.writer.write_eof()

    def close(self) -> None:
        """Close both directions."""
        self.writer.close()

    def abort(self) -> None:
        """End everything at once."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Have the connection reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    async def hears(self, size_bytes: int) -> bytes:
        """Return so many bytes."""
        return await self.reader.readexactly(size_bytes)

    async def hears_all(self) -> bytes:
        """Return what comes until the end, or until a reset."""
        heard = b""
        try:
            while data := await self.reader.read(65536):
                heard += data
        except ConnectionResetError:
            pass
        return heard


class Calls(Protocol):
    """What both nets can do; the names and arguments are asyncio's own."""

    async def create_connection(
        self, factory: Callable[[], Any], host: str, port: int, **options: Any
    ) -> tuple[Any, Any]: ...

    async def open_connection(
        self, host: str, port: int, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...

    async def create_datagram_endpoint(
        self, factory: Callable[[], Any], *, remote_addr: tuple[str, int], **options: Any
    ) -> tuple[Any, Any]: ...

    async def create_server(
        self, factory: Callable[[], Any], **options: Any
    ) -> tuple[Any, int]: ...

    async def start_server(self, connected: Connected, **options: Any) -> tuple[Any, int]: ...


class Native:
    """asyncio's own transports."""

    async def create_connection(
        self, factory: Callable[[], Any], host: str, port: int, **options: Any
    ) -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        return await loop.create_connection(factory, host, port, **options)

    async def open_connection(
        self, host: str, port: int, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port, **options)

    async def create_datagram_endpoint(
        self, factory: Callable[[], Any], *, remote_addr: tuple[str, int], **options: Any
    ) -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        return await loop.create_datagram_endpoint(factory, remote_addr=remote_addr, **options)

    async def create_server(self, factory: Callable[[], Any], **options: Any) -> tuple[Any, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, LOOPBACK, 0, **options)
        return server, server.sockets[0].getsockname()[1]

    async def start_server(self, connected: Connected, **options: Any) -> tuple[Any, int]:
        server = await asyncio.start_server(connected, LOOPBACK, 0, **options)
        return server, server.sockets[0].getsockname()[1]


class Module:
    """A modem on a virtual module, whose network is loopback."""

    def __init__(self, modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        self.modem, self.virtual = modem, virtual
        self._ports = count(FIRST_PORT)

    async def create_connection(
        self, factory: Callable[[], Any], host: str, port: int, **options: Any
    ) -> tuple[Any, Any]:
        return await self.modem.create_connection(factory, host, port, **options)

    async def open_connection(
        self, host: str, port: int, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.modem.open_connection(host, port, **options)

    async def create_datagram_endpoint(
        self, factory: Callable[[], Any], *, remote_addr: tuple[str, int], **options: Any
    ) -> tuple[Any, Any]:
        return await self.modem.create_datagram_endpoint(
            factory, remote_addr=remote_addr, **options
        )

    async def create_server(self, factory: Callable[[], Any], **options: Any) -> tuple[Any, int]:
        port = next(self._ports)
        return await self.modem.create_server(factory, port, **options), self._real_port(port)

    async def start_server(self, connected: Connected, **options: Any) -> tuple[Any, int]:
        port = next(self._ports)
        return await self.modem.start_server(connected, port, **options), self._real_port(port)

    def _real_port(self, port: int) -> int:
        assert isinstance(self.virtual.network, LoopbackNetwork)
        return self.virtual.network.port_map[port]

    async def is_idle(self) -> None:
        """Wait until every socket of the module but its servers' has been closed."""
        async with asyncio.timeout(PATIENCE_S):
            # The module closes in the background; nothing tells when it has.
            while self.virtual.module.sockets.by_id:  # noqa: ASYNC110
                await asyncio.sleep(0.002)


@asynccontextmanager
async def module() -> AsyncIterator[Module]:
    """A modem in real time, without a pty in between."""
    ports = dict.fromkeys(range(FIRST_PORT, LAST_PORT), 0)
    options = SimOptions(listen_ports=ports, close_time=0)
    async with VirtualModem(options) as kit, aiobc9x.open_modem(kit.create) as modem:
        yield Module(modem, kit.virtual)


class Net:
    """One of the two nets, for one scenario.

    Attributes:
        calls: asyncio's calls over this net.
        is_module: Whether it is the module's.
        tls: Whether streams are to be secured.
        reports: What went to the loop's exception handler.

    """

    def __init__(self, calls: Calls, *, tls: bool) -> None:
        self.calls, self.tls = calls, tls
        self.is_module = isinstance(calls, Module)
        self.reports: list[str | None] = []
        self._undo: list[Callable[[], Awaitable[object] | object]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs."""
        return asyncio.get_running_loop()

    @property
    def secured(self) -> dict[str, Any]:
        """The keywords of a client."""
        return {"ssl": client_context(), "server_hostname": NAME} if self.tls else {}

    @property
    def securing(self) -> dict[str, Any]:
        """The keywords of a server."""
        return {"ssl": server_context()} if self.tls else {}

    @asynccontextmanager
    async def _far_server(self) -> AsyncIterator[tuple[int, asyncio.Queue[Far]]]:
        fars: asyncio.Queue[Far] = asyncio.Queue()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far = Far(reader, writer)
            self._undo.append(far.abort)
            fars.put_nowait(far)

        server = await asyncio.start_server(accept, LOOPBACK, 0, **self.securing)
        try:
            yield server.sockets[0].getsockname()[1], fars
        finally:
            server.close()

    async def connected(
        self, factory: Callable[[], Any] = Stream, **options: Any
    ) -> tuple[Any, Far]:
        """Connect a protocol to a far end (``Any``: what the factory makes)."""
        async with self._far_server() as (port, fars):
            transport, protocol = await self.calls.create_connection(
                factory, LOOPBACK, port, **self.secured, **options
            )
            self._undo.append(transport.abort)
            return protocol, await fars.get()

    async def streams(
        self, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Far]:
        """Connect streams to a far end."""
        async with self._far_server() as (port, fars):
            reader, writer = await self.calls.open_connection(
                LOOPBACK, port, **self.secured, **options
            )
            self._undo.append(Far(reader, writer).abort)
            return reader, writer, await fars.get()

    async def dead_port(self) -> tuple[socket.socket, int]:
        """A port that nobody listens on, as long as the socket is kept."""
        sock = socket.socket()
        self._undo.append(sock.close)
        sock.bind((LOOPBACK, 0))
        return sock, sock.getsockname()[1]

    async def serving(self, factory: Callable[[], Any], **options: Any) -> tuple[Any, int]:
        """Serve; the server and the port that clients connect to."""
        server, port = await self.calls.create_server(factory, **self.securing, **options)
        self._undo.append(server.close)
        return server, port

    async def serving_streams(self, connected: Connected, **options: Any) -> tuple[Any, int]:
        """Serve with streams; the server and the port that clients connect to."""
        server, port = await self.calls.start_server(connected, **self.securing, **options)
        self._undo.append(server.close)
        return server, port

    async def dial(self, port: int) -> Far:
        """Connect a far end to a server."""
        far = Far(*await asyncio.open_connection(LOOPBACK, port, **self.secured))
        self._undo.append(far.abort)
        return far

    async def endpoint(self, factory: Callable[[], R], **options: Any) -> tuple[R, socket.socket]:
        """Connect an endpoint to a socket of the system."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._undo.append(sock.close)
        sock.setblocking(False)
        sock.bind((LOOPBACK, 0))
        transport, protocol = await self.calls.create_datagram_endpoint(
            factory, remote_addr=sock.getsockname(), **options
        )
        self._undo.append(transport.abort)
        return protocol, sock

    @contextmanager
    def _watching(self) -> Iterator[None]:
        loop = self.loop
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _loop, context: self._report(context))
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    def _report(self, context: dict[str, Any]) -> None:
        if context["message"] != _DEBUG_ONLY:
            self.reports.append(kind(context.get("exception")))

    async def run(self, scenario: Callable[[Net], Awaitable[object]]) -> object:
        """Run a scenario and leave nothing behind; what it returns, and what was reported."""
        with self._watching():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    # Before the rest is cleaned up, which protocols are told too.
                    result = deepcopy(await scenario(self))
            finally:
                for undo in reversed(self._undo):
                    undo()
                if isinstance(self.calls, Module):
                    await self.calls.is_idle()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        return result, self.reports
