"""Keep the connectIDs in use: opening, closing, and the URCs about them (§1.2, §2.3).

Layer: sim. Gets network events, gives URCs; commands act on it.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from itertools import count

from aiobc9x.sim.board import LOW_WATER, Board
from aiobc9x.sim.interface import Resolution
from aiobc9x.sim.params import maybe_ip
from aiobc9x.sim.receiving import Receiver
from aiobc9x.sim.slots import Socket
from aiobc9x.spec import (
    CONNECT_IDS,
    AccessMode,
    Err,
    ServiceType,
    SocketState,
)


class Sockets:
    """The six connectIDs; implements :class:`aiobc9x.sim.interface.NetworkEvents`.

    Attributes:
        by_id: The connectIDs in use.
        receiver: What becomes of received data.
        wake: Called after an event that came from the network.

    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.receiver: Receiver = Receiver(board)
        self.by_id: dict[int, Socket] = {}
        self.wake: Callable[[], None] = lambda: None
        self._by_handle: dict[int, Socket] = {}
        self._handles = count(1)
        self._tickets: dict[int, Callable[[Resolution | None], None]] = {}
        self._busy_ports: dict[int, float] = {}

    def add(self, socket: Socket) -> None:
        """Take a connectID into use."""
        self.by_id[socket.connect_id] = socket
        self._by_handle[socket.handle] = socket

    def new_handle(self) -> int:
        """Return a number that no socket or lookup had before."""
        return next(self._handles)

    def resolve(self, name: str, then: Callable[[Resolution | None], None]) -> None:
        """Look up a name; ``then`` gets the addresses, unless the module restarts."""
        ticket = self.new_handle()
        self._tickets[ticket] = then
        self.board.network.resolve(ticket, name)

    def connect(self, socket: Socket, name: str, protocol_type: int) -> None:
        """Start to open a client socket; ends in ``+QIOPEN`` (§2.2.1)."""
        board = self.board
        limit = float(board.settings.open_time)

        def found(resolution: Resolution | None) -> None:
            if self._by_handle.get(socket.handle) is not socket:
                return
            address = _first_of_family(resolution, protocol_type)
            if address is None:
                self._open_failed(socket, Err.DNS_FAILED)
                return
            if maybe_ip(name) is None:
                socket.address = address  # AT+QISTATE shows an address (§2.2.3)
            timed_out = board.options.timeout_err
            socket.watchdog = board.later(limit, lambda: self._open_failed(socket, timed_out))
            udp = socket.service is ServiceType.UDP
            board.network.connect(
                socket.handle, address, socket.remote_port, udp=udp, local_port=socket.local_port
            )

        self.resolve(name, found)

    def port_is_busy(self, port: int) -> bool:
        """Tell whether a fixed local port is in use or was, too recently (§2.2.1, note 5)."""
        if any(port == other.local_port for other in self.by_id.values() if other.local_port):
            return True
        return self._busy_ports.get(port, self.board.now) > self.board.now

    def close(self, socket: Socket) -> None:
        """Begin a local close; the connectID stays in use until ``CLOSE OK`` (§2.2.2).

        The local port rests only if this side closes first (§2.2.1, note 5). If the peer or
        the network has ended the connection, the port is free at once.
        """
        self._cancel_watchdog(socket)
        if socket.local_port and socket.state == SocketState.CONNECTED:
            free_at = self.board.now + self.board.options.port_quarantine
            self._busy_ports[socket.local_port] = free_at
        self.board.network.close(socket.handle)
        self._unhook(socket)
        socket.state = int(SocketState.CLOSING)
        socket.leaving = True
        socket.nodes.clear()

    def remove(self, socket: Socket) -> None:
        """Free the connectID."""
        self.by_id.pop(socket.connect_id, None)
        self._unhook(socket)

    def regulate_all(self) -> None:
        """Hold each socket's peer back, or let it go on, by how much output waits."""
        if self.board.is_behind or len(self.board.output) <= LOW_WATER:
            for socket in self.by_id.values():
                self.receiver.regulate(socket)

    def lose(self, *, streams_only: bool) -> None:
        """Drop sockets without a URC, as a reset or deep sleep does (§2.2.1, note 3).

        Args:
            streams_only: Keep UDP sockets, as deep sleep does.

        """
        for socket in list(self.by_id.values()):
            if not streams_only or socket.service is not ServiceType.UDP:
                self._cancel_watchdog(socket)
                self.board.network.close(socket.handle, abort=True)
                self.remove(socket)
        if not streams_only:
            self._tickets.clear()
            self._busy_ports.clear()

    def network_lost(self, contexts: Set[int]) -> None:
        """Close every connected socket of contexts that are gone (§2.3.1)."""
        for socket in list(self.by_id.values()):
            if socket.context_id not in contexts:
                continue
            if socket.state == SocketState.CONNECTED:
                self.board.network.close(socket.handle, abort=True)
                self._peer_closed(socket)
            elif socket.state == SocketState.CONNECTING:
                self._open_failed(socket, Err.PDP_BROKEN)

    def opened(self, handle: int, err: int, now: float) -> None:
        """See :meth:`NetworkEvents.opened`."""
        socket = self._of(handle, now)
        if socket is not None and socket.state == SocketState.CONNECTING:
            act = (
                (lambda: self._open_failed(socket, err))
                if err
                else (lambda: self._connected(socket))
            )
            self._soon(socket, act)

    def received(self, handle: int, data: bytes, now: float) -> None:
        """See :meth:`NetworkEvents.received`."""
        socket = self._of(handle, now)
        if socket is None:
            return
        socket.underway += len(data)
        self.receiver.regulate(socket)

        def arrive() -> None:
            socket.underway -= len(data)
            self.board.on_air_at = self.board.now
            self.receiver.arrived(socket, data)

        self._soon(socket, arrive)

    def closed(self, handle: int, now: float) -> None:
        """See :meth:`NetworkEvents.closed`."""
        socket = self._of(handle, now)
        if socket is not None:
            self._soon(socket, lambda: self._peer_closed(socket))

    def incoming(self, listener: int, address: str, port: int, now: float) -> int | None:
        """See :meth:`NetworkEvents.incoming`."""
        server = self._of(listener, now)
        if server is None:
            return None
        free = [number for number in CONNECT_IDS if number not in self.by_id]
        if not free:
            self._soon(server, lambda: self.board.urc('+QIURC: "incoming full"'))
            return None
        connect_id = free[0 if self.board.options.incoming_id == "lowest" else -1]
        socket = Socket(
            connect_id,
            self.new_handle(),
            ServiceType.TCP_INCOMING,
            address,
            port,
            server.local_port,
            server.context_id,
            int(AccessMode.BUFFER),  # whatever the listener's is (§2.3.5)
        )
        self.add(socket)
        self._soon(socket, lambda: self._accepted(socket, server.connect_id))
        return socket.handle

    def resolved(self, ticket: int, resolution: Resolution | None, now: float) -> None:
        """See :meth:`NetworkEvents.resolved`."""
        self.board.now = max(self.board.now, now)
        then = self._tickets.pop(ticket, None)
        if then is not None:
            self.board.later(self.board.options.dns_time, lambda: then(resolution))
            self.wake()

    def _of(self, handle: int, now: float) -> Socket | None:
        self.board.now = max(self.board.now, now)
        return self._by_handle.get(handle)

    def _soon(self, socket: Socket, callback: Callable[[], None]) -> None:
        """Run ``callback`` after the latency, in order, if the socket is still there."""

        def run() -> None:
            if self._by_handle.get(socket.handle) is socket:
                callback()

        self.board.later(self.board.options.network_latency, run)
        self.wake()

    def _connected(self, socket: Socket) -> None:
        if socket.state == SocketState.CONNECTING:
            self._cancel_watchdog(socket)
            socket.state = int(SocketState.CONNECTED)
            self.board.urc(f"+QIOPEN: {socket.connect_id},0")

    def _open_failed(self, socket: Socket, err: int) -> None:
        if socket.state != SocketState.CONNECTING:
            return
        self._cancel_watchdog(socket)
        self.board.network.close(socket.handle, abort=True)
        self._unhook(socket)
        socket.state = int(SocketState.IDLE)
        if self.board.options.failed_open == "free":
            self.remove(socket)
        self.board.last_error = err
        self.board.urc(f"+QIOPEN: {socket.connect_id},{int(err)}")

    def _accepted(self, socket: Socket, server_id: int) -> None:
        socket.state = int(SocketState.CONNECTED)
        self.board.urc(
            f'+QIURC: "incoming",{socket.connect_id},{server_id},"{socket.address}",'
            f"{socket.remote_port}"
        )

    def _peer_closed(self, socket: Socket) -> None:
        if socket.state != SocketState.CONNECTED:
            return
        socket.state = int(SocketState.CLOSING)
        self._unhook(socket)
        if self.board.options.unread == "freed":  # as relatives do, with what nobody has read
            self.board.statistics.lost_bytes += socket.buffered
            self.remove(socket)
        self.board.urc(f'+QIURC: "closed",{socket.connect_id}')

    def _unhook(self, socket: Socket) -> None:
        """Hear nothing of it from the network any more."""
        self._by_handle.pop(socket.handle, None)
        socket.attached = False

    def _cancel_watchdog(self, socket: Socket) -> None:
        if socket.watchdog is not None:
            socket.watchdog.cancel()
            socket.watchdog = None


def _first_of_family(resolution: Resolution | None, protocol_type: int) -> str | None:
    """Return the first address of the family (``<protocol_type>``), if there is one."""
    for address in resolution.addresses if resolution is not None else ():
        if (":" in address) == bool(protocol_type):
            return address
    return None
