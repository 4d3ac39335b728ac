"""Connect the module's sockets to real ones, on loopback unless the options say otherwise.

Layer: sim; imports asyncio. Names come from the host table, pings from a table or
the seed; connections, listeners and datagrams are real.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import cast

from aiobc9x.sim.hosts import HostTable
from aiobc9x.sim.interface import NetworkEvents, Resolution
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.params import maybe_ip
from aiobc9x.spec import Err

LOOPBACK = "127.0.0.1"


class _TcpEnd(asyncio.BufferedProtocol):
    """A TCP connection of the module; reads one node at a time so that it can stop."""

    transport: asyncio.Transport

    def __init__(self, network: LoopbackNetwork, handle: int | None, listener: int = 0) -> None:
        self._network = network
        self._buffer = memoryview(bytearray(network.node_bytes))
        self._listener = listener
        self.handle = handle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.handle is None:
            self.handle = self._network.accepted(self._listener, self)
        else:
            self._network.connected(self)
        if self.handle is None:
            self.transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.handle is not None:
            self._network.report_received(self.handle, bytes(self._buffer[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._network.lost(self)


class _UdpEnd(asyncio.DatagramProtocol):
    """A connected datagram socket of the module."""

    transport: asyncio.DatagramTransport

    def __init__(self, network: LoopbackNetwork, handle: int) -> None:
        self._network = network
        self.handle: int | None = handle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self._network.connected(self)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        if self.handle is not None and data:
            self._network.report_received(self.handle, data)

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP: a datagram that nobody wants is lost in silence."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._network.lost(self)


_End = _TcpEnd | _UdpEnd


class LoopbackNetwork:
    """Implements :class:`aiobc9x.sim.interface.Network` on the running loop.

    Attributes:
        port_map: The real port behind each port that the module listens on.

    """

    def __init__(self, options: SimOptions) -> None:
        self._options = options
        self._table = HostTable(options)
        self._ends: dict[int, _End] = {}
        self._alive: set[_End] = set()
        self._servers: dict[int, tuple[asyncio.Server, int]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._void: set[int] = set()
        self._paused: set[int] = set()
        self._all_lost: asyncio.Event | None = None
        self._is_closed = False
        self.node_bytes: int = options.node_bytes
        self.port_map: dict[int, int] = {}

    def attach(self, events: NetworkEvents, clock: Callable[[], float]) -> None:
        """See :meth:`Network.attach`."""
        self._events, self._clock = events, clock

    async def aclose(self) -> None:
        """Release every socket and task; not cancellable without leaks."""
        self._is_closed = True
        for handle in (*self._tasks, *self._ends, *self._servers):
            self.close(handle, abort=True)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for end in self._alive:
            end.transport.abort()
        if self._alive:
            self._all_lost = asyncio.Event()
            await self._all_lost.wait()

    def resolve(self, ticket: int, name: str) -> None:
        """See :meth:`Network.resolve`."""
        found = self._table.lookup(name)
        if found is None and self._options.system_dns:
            self._run(ticket, self._ask_system(ticket, name))
        else:
            self._events.resolved(ticket, found, self._clock())

    def connect(
        self, handle: int, address: str, port: int, *, udp: bool, local_port: int = 0
    ) -> None:
        """See :meth:`Network.connect`; the real local port is any free one."""
        lost = self._table.is_black_hole(address)
        if lost and not udp:
            return
        if lost or not self._table.is_reachable(address):
            # Datagrams need no answer: the socket opens, and what it sends vanishes.
            self._void |= {handle} if udp else set()
            self._events.opened(handle, 0 if udp else Err.CONNECT_FAILED, self._clock())
            return
        real_port = self._options.remote_ports.get(port, port)
        self._run(handle, self._open(handle, self._table.target(address), real_port, udp=udp))

    def listen(self, handle: int, port: int) -> None:
        """See :meth:`Network.listen`."""
        self._run(handle, self._serve(handle, port))

    def send(self, handle: int, data: bytes) -> bool:
        """See :meth:`Network.send`."""
        end = self._ends.get(handle)
        if handle in self._void:
            return True
        if isinstance(end, _UdpEnd):
            end.transport.sendto(data)
            return True
        if end is None or end.transport.is_closing():
            return False
        if end.transport.get_write_buffer_size() + len(data) > self._options.send_buffer:
            return False
        end.transport.write(data)
        return True

    def close(self, handle: int, *, abort: bool = False) -> None:
        """See :meth:`Network.close`."""
        self._void.discard(handle)
        self._paused.discard(handle)
        task = self._tasks.get(handle)
        if task is not None:
            task.cancel()
        if handle in self._servers:
            server, port = self._servers.pop(handle)
            server.close()
            self.port_map.pop(port, None)
        end = self._ends.pop(handle, None)
        if end is not None:
            end.handle = None
            if abort:
                end.transport.abort()
            else:
                end.transport.close()

    def pause(self, handle: int) -> None:
        """See :meth:`Network.pause`; a connection that is still to come is held back too."""
        self._paused.add(handle)
        end = self._ends.get(handle)
        if isinstance(end, _TcpEnd):
            end.transport.pause_reading()

    def resume(self, handle: int) -> None:
        """See :meth:`Network.resume`."""
        self._paused.discard(handle)
        end = self._ends.get(handle)
        if isinstance(end, _TcpEnd):
            end.transport.resume_reading()

    def ping(self, address: str) -> float | None:
        """See :meth:`Network.ping`."""
        return self._table.ping(address)

    def connected(self, end: _End) -> None:
        """Note that a socket of the module is open."""
        self._alive.add(end)
        if self._is_closed:
            end.transport.abort()  # it was under way when everything else was closed
        elif end.handle is not None:
            self._ends[end.handle] = end
            if end.handle in self._paused:
                self.pause(end.handle)
            self._events.opened(end.handle, 0, self._clock())

    def lost(self, end: _End) -> None:
        """Note the end of a connection."""
        self._alive.discard(end)
        if self._all_lost is not None and not self._alive:
            self._all_lost.set()
        if end.handle is not None and self._ends.pop(end.handle, None) is not None:
            self._events.closed(end.handle, self._clock())

    def accepted(self, listener: int, end: _TcpEnd) -> int | None:
        """Ask the module for a socket for a client of one of its listeners."""
        self._alive.add(end)
        if self._is_closed:
            return None
        address, port = end.transport.get_extra_info("peername")[:2]
        handle = self._events.incoming(listener, address, port, self._clock())
        if handle is not None:
            self._ends[handle] = end
        return handle

    def report_received(self, handle: int, data: bytes) -> None:
        """Tell the module about data."""
        self._events.received(handle, data, self._clock())

    def _run(self, handle: int, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[handle] = task
        task.add_done_callback(lambda _task: self._tasks.pop(handle, None))

    async def _ask_system(self, ticket: int, name: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
        usable = tuple(text for text in addresses if maybe_ip(text) is not None)
        resolution = Resolution(usable, 60) if usable else None
        self._events.resolved(ticket, resolution, self._clock())

    async def _open(self, handle: int, address: str, port: int, *, udp: bool) -> None:
        loop = asyncio.get_running_loop()
        try:
            if udp:
                await loop.create_datagram_endpoint(
                    lambda: _UdpEnd(self, handle), remote_addr=(address, port)
                )
            else:
                await loop.create_connection(lambda: _TcpEnd(self, handle), address, port)
        except OSError:
            self._events.opened(handle, Err.CONNECT_FAILED, self._clock())

    async def _serve(self, handle: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        real_port = self._options.listen_ports.get(port, port + self._options.listen_offset)
        try:
            server = await loop.create_server(
                lambda: _TcpEnd(self, None, handle), LOOPBACK, real_port
            )
        except (OSError, OverflowError):
            self._events.opened(handle, Err.BIND_FAILED, self._clock())
            return
        self._servers[handle] = server, port
        self.port_map[port] = server.sockets[0].getsockname()[1]
        self._events.opened(handle, 0, self._clock())
