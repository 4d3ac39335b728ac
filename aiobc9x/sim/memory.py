"""A network in memory: scripted peers without sockets, tasks or a clock.

Layer: sim. For tests of the module by itself, and of programs under a virtual clock.

    network = MemoryNetwork()
    network.serve_tcp(7, lambda peer: peer.answer_with(peer.send))   # an echo server
    module = Module(SimOptions(), network)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from aiobc9x.sim.hosts import HostTable
from aiobc9x.sim.interface import NetworkEvents
from aiobc9x.sim.options import SimOptions
from aiobc9x.spec import Err

__all__ = ["MemoryNetwork", "Peer"]

OnConnect = Callable[["Peer"], None]
"""Called with each new peer of a server."""


class Peer:
    """The far end of one socket of the module.

    Attributes:
        received: What the module has sent.
        datagrams: The same in pieces, one for each send.
        closed: Whether the module has closed its end.
        accepts: While false the module's sends fail, as with a full send buffer.
        paused: Whether the module holds data back.
        on_close: Called when the module closes its end, or loses it.

    """

    def __init__(self, network: MemoryNetwork, handle: int, address: str, port: int) -> None:
        self._network = network
        self._handle = handle
        self._queue: deque[bytes] = deque()
        self._finished = False
        self._on_data: Callable[[bytes], None] = lambda _data: None
        self.address = address
        self.port = port
        self.received: bytearray = bytearray()
        self.datagrams: list[bytes] = []
        self.closed: bool = False
        self.accepts = True
        self.paused: bool = False
        self.on_close: Callable[[], None] = lambda: None

    def answer_with(self, on_data: Callable[[bytes], None]) -> None:
        """Call ``on_data`` with whatever the module sends."""
        self._on_data = on_data

    def send(self, data: bytes) -> None:
        """Send bytes, or a datagram, to the module."""
        if data and not self._finished:
            self._queue.append(data)
            self._flush()

    def close(self) -> None:
        """Close this end after what was sent."""
        self._finished = True
        self._flush()

    def take(self, data: bytes) -> None:
        """Take what the module sends."""
        self.received += data
        self.datagrams.append(data)
        self._on_data(data)

    def resume(self) -> None:
        """Go on where ``paused`` stopped."""
        self.paused = False
        self._flush()

    def _flush(self) -> None:
        while self._queue and not self.paused and not self.closed:
            self._network.report_received(self._handle, self._queue.popleft())
        if self._finished and not self._queue and not self.closed:
            self.closed = True
            self._network.report_closed(self._handle)


class MemoryNetwork:
    """Implements :class:`aiobc9x.sim.interface.Network` without any I/O.

    Attributes:
        peers: Every peer there has been, in order.

    """

    def __init__(self, options: SimOptions | None = None) -> None:
        self._options = options or SimOptions()
        self._table = HostTable(self._options)
        self._servers: dict[tuple[int, bool], OnConnect] = {}
        self._peers: dict[int, Peer] = {}
        self._listeners: dict[int, int] = {}
        self._next_port = 40000
        self.peers: list[Peer] = []

    def serve_tcp(self, port: int, on_connect: OnConnect = lambda _peer: None) -> None:
        """Accept TCP connections to ``port`` at any address that is no black hole."""
        self._servers[port, False] = on_connect

    def serve_udp(self, port: int, on_connect: OnConnect = lambda _peer: None) -> None:
        """Take datagrams to ``port``; others vanish."""
        self._servers[port, True] = on_connect

    def dial(self, port: int, address: str = "192.168.2.2") -> Peer | None:
        """Connect to a listener of the module; ``None`` if it turns the client away."""
        self._next_port += 1
        for listener, listening in self._listeners.items():
            if listening == port:
                handle = self._events.incoming(listener, address, self._next_port, self._clock())
                if handle is None:
                    return None
                return self._new_peer(handle, address, self._next_port)
        return None

    def _new_peer(self, handle: int, address: str, port: int) -> Peer:
        peer = Peer(self, handle, address, port)
        self._peers[handle] = peer
        self.peers.append(peer)
        return peer

    def report_received(self, handle: int, data: bytes) -> None:
        """Tell the module about data."""
        self._events.received(handle, data, self._clock())

    def report_closed(self, handle: int) -> None:
        """Tell the module that a peer has closed."""
        self._peers.pop(handle, None)
        self._events.closed(handle, self._clock())

    def attach(self, events: NetworkEvents, clock: Callable[[], float]) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.attach`."""
        self._events, self._clock = events, clock

    def resolve(self, ticket: int, name: str) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.resolve`."""
        self._events.resolved(ticket, self._table.lookup(name), self._clock())

    def connect(
        self, handle: int, address: str, port: int, *, udp: bool, local_port: int = 0
    ) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.connect`; an unserved TCP port refuses."""
        if self._table.is_black_hole(address) and not udp:
            return
        on_connect = self._servers.get((port, udp))
        if on_connect is None and not udp:
            self._events.opened(handle, Err.CONNECT_FAILED, self._clock())
            return
        peer = self._new_peer(handle, address, port)
        self._events.opened(handle, 0, self._clock())
        if on_connect is not None:
            on_connect(peer)

    def listen(self, handle: int, port: int) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.listen`."""
        self._listeners[handle] = port
        self._events.opened(handle, 0, self._clock())

    def send(self, handle: int, data: bytes) -> bool:
        """See :meth:`~aiobc9x.sim.interface.Network.send`."""
        peer = self._peers.get(handle)
        if peer is None or not peer.accepts:
            return False
        peer.take(data)
        return True

    def close(self, handle: int, *, abort: bool = False) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.close`."""
        self._listeners.pop(handle, None)
        peer = self._peers.pop(handle, None)
        if peer is not None:
            peer.closed = True
            peer.on_close()

    def pause(self, handle: int) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.pause`."""
        if handle in self._peers:
            self._peers[handle].paused = True

    def resume(self, handle: int) -> None:
        """See :meth:`~aiobc9x.sim.interface.Network.resume`."""
        if handle in self._peers:
            self._peers[handle].resume()

    def ping(self, address: str) -> float | None:
        """See :meth:`~aiobc9x.sim.interface.Network.ping`."""
        return self._table.ping(address)
