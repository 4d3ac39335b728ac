"""The connectIDs: what is open, what is buffered, what the host is told (§1.2, §2.3).

Layer: sim. Gets network events, gives URCs; commands act on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from aiobc9x.sim.board import LOW_WATER, Board
from aiobc9x.sim.faults import FaultKind
from aiobc9x.sim.interface import Resolution
from aiobc9x.sim.params import maybe_ip
from aiobc9x.sim.timers import Timer
from aiobc9x.spec import (
    CONNECT_IDS,
    AccessMode,
    DataFormat,
    Err,
    ServiceType,
    SocketState,
    ViewMode,
)


@dataclass(slots=True, eq=False)
class Socket:
    """One row of AT+QISTATE and its receive buffer.

    Attributes:
        handle: Its number on the network, never used twice.
        local_port: As given to AT+QIOPEN; 0 if the module chose (§2.2.3).
        nodes: Received segments or datagrams; one AT+QIRD never crosses from one
            to the next (§2.2.6, note 3).
        underway: Bytes that the simulated latency still holds back.
        armed: Whether data that comes into the empty buffer is announced.
        full: Whether ``"buff full"`` was reported since the buffer was last empty.
        paused: Whether the network was told to hold data back.
        leaving: Whether AT+QICLOSE was answered and ``CLOSE OK`` is still to come.

    """

    connect_id: int
    handle: int
    service: ServiceType
    address: str
    remote_port: int
    local_port: int
    context_id: int
    access_mode: int
    state: int = int(SocketState.CONNECTING)
    nodes: deque[bytes] = field(default_factory=deque)
    underway: int = 0
    armed: bool = True
    full: bool = False
    paused: bool = False
    leaving: bool = False
    watchdog: Timer | None = None

    @property
    def buffered(self) -> int:
        """Bytes in the receive buffer."""
        return sum(map(len, self.nodes))

    @property
    def is_stream(self) -> bool:
        """Whether it carries TCP data."""
        return self.service in (ServiceType.TCP, ServiceType.TCP_INCOMING)

    @property
    def is_listener(self) -> bool:
        """Whether it accepts clients."""
        return self.service is ServiceType.TCP_LISTENER

    def row(self) -> str:
        """Write the information line of AT+QISTATE (§2.2.3)."""
        return (
            f'+QISTATE: {self.connect_id},"{self.service}","{self.address}",{self.remote_port},'
            f"{self.local_port},{self.state},{self.context_id},{self.access_mode}"
        )


class Sockets:
    """The six connectIDs; implements :class:`aiobc9x.sim.interface.NetworkEvents`.

    Attributes:
        data_mode: Whether a send waits for its payload; set by the sends.
        wake: Called after an event that came from the network.
        rouse: Called for data that comes in deep sleep.

    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.by_id: dict[int, Socket] = {}
        self.data_mode: Callable[[], bool] = lambda: False
        self.wake: Callable[[], None] = lambda: None
        self.rouse: Callable[[], None] = lambda: None
        self._by_handle: dict[int, Socket] = {}
        self._handles = count(1)
        self._tickets: dict[int, Callable[[Resolution | None], None]] = {}
        self._busy_ports: dict[int, float] = {}

    # -- what commands do ----------------------------------------------------

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
        """Begin a local close; the connectID stays taken until ``CLOSE OK`` (§2.2.2)."""
        self._cancel_watchdog(socket)
        self.board.network.close(socket.handle)
        self._by_handle.pop(socket.handle, None)
        socket.state = int(SocketState.CLOSING)
        socket.leaving = True
        socket.nodes.clear()
        if socket.local_port:
            free_at = self.board.now + self.board.options.port_quarantine
            self._busy_ports[socket.local_port] = free_at

    def remove(self, socket: Socket) -> None:
        """Free the connectID."""
        self.by_id.pop(socket.connect_id, None)
        self._by_handle.pop(socket.handle, None)

    def read(self, socket: Socket, most: int) -> tuple[bytes, int]:
        """Take at most ``most`` bytes of the first node; return them and what is left of it."""
        if not socket.nodes:
            socket.armed = True
            return b"", 0
        node = socket.nodes.popleft()
        data, rest = node[:most], node[most:]
        if rest:
            socket.nodes.appendleft(rest)
        elif not socket.nodes:
            socket.full = False
            socket.armed = self.board.options.rearm == "drained"
        self.regulate(socket)
        return data, len(rest)

    def switch(self, socket: Socket, access_mode: int) -> None:
        """Change the access mode; what is buffered is pushed out (§2.2.7 doesn't say)."""
        socket.access_mode = access_mode
        if access_mode == AccessMode.PUSH:
            while socket.nodes:
                self._push(socket, socket.nodes.popleft())
            socket.full, socket.armed = False, True
            self.regulate(socket)

    def regulate(self, socket: Socket) -> None:
        """Hold the network back while the buffer has no room, or the host doesn't read."""
        if not socket.is_stream or socket.handle not in self._by_handle:
            return
        hold = self.board.flooded or (self._is_full(socket) and not self._drops())
        if hold and not socket.paused:
            socket.paused = True
            self.board.network.pause(socket.handle)
        elif socket.paused and not hold:
            socket.paused = False
            self.board.network.resume(socket.handle)

    def regulate_all(self) -> None:
        """Look at every socket again after the host has read, or has not."""
        if self.board.flooded or len(self.board.output) <= LOW_WATER:
            for socket in self.by_id.values():
                self.regulate(socket)

    def lose(self, *, streams_only: bool) -> None:
        """Drop sockets without a word: a reset, or deep sleep (§2.2.1, note 3)."""
        for socket in list(self.by_id.values()):
            if not streams_only or socket.service is not ServiceType.UDP:
                self._cancel_watchdog(socket)
                self.board.network.close(socket.handle, abort=True)
                self.remove(socket)
        if not streams_only:
            self._tickets.clear()

    def network_lost(self) -> None:
        """Close every connected socket because coverage or the context is gone (§2.3.1)."""
        for socket in list(self.by_id.values()):
            if socket.state == SocketState.CONNECTED:
                self.board.network.close(socket.handle, abort=True)
                self._peer_closed(socket)
            elif socket.state == SocketState.CONNECTING:
                self._open_failed(socket, Err.PDP_BROKEN)

    # -- what the network reports ---------------------------------------------

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
        self.regulate(socket)

        def arrive() -> None:
            socket.underway -= len(data)
            self._arrived(socket, data)

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

    # -- inside ------------------------------------------------------------------

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
        self._by_handle.pop(socket.handle, None)
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
        self._by_handle.pop(socket.handle, None)
        self.board.urc(f'+QIURC: "closed",{socket.connect_id}')

    def _arrived(self, socket: Socket, data: bytes) -> None:
        self.rouse()
        self.board.statistics.received_bytes += len(data)
        if socket.access_mode == AccessMode.PUSH:
            if self.board.flooded and not socket.is_stream:
                self.board.statistics.lost_bytes += len(data)
                return
            self._push(socket, data)
            self.regulate(socket)
            return
        size = self.board.options.node_bytes if socket.is_stream else len(data)
        for start in range(0, len(data), size):
            self._enqueue(socket, data[start : start + size])
        self.regulate(socket)
        if socket.paused and self._is_full(socket):
            self._report_full(socket)

    def _enqueue(self, socket: Socket, node: bytes) -> None:
        if self._has_no_room(socket, len(node)) and (
            not socket.is_stream or self._strike(FaultKind.DROP_ON_FULL, socket)
        ):
            self.board.statistics.lost_bytes += len(node)
            self._report_full(socket)
            return
        was_empty = not socket.nodes
        socket.nodes.append(node)
        if not was_empty or not socket.armed:
            return
        socket.armed = False
        if self.data_mode() and self._strike(FaultKind.SWALLOW_RECV, socket):
            return
        length = f",{len(node)}" if self.board.nvram.show_length else ""
        self.board.urc(f'+QIURC: "recv",{socket.connect_id}{length}')

    def _strike(self, kind: FaultKind, socket: Socket) -> bool:
        return self.board.faults.strike((kind,), str(socket.connect_id)) is not None

    def _drops(self) -> bool:
        """Tell whether a fault lets the buffer overflow, so that the network isn't held back."""
        return self.board.faults.has(FaultKind.DROP_ON_FULL)

    def _has_no_room(self, socket: Socket, size: int) -> bool:
        options = self.board.options
        too_many = len(socket.nodes) >= options.buffer_nodes
        return too_many or socket.buffered + size > options.buffer_bytes

    def _is_full(self, socket: Socket) -> bool:
        """Tell whether another whole node might not fit."""
        options = self.board.options
        room = options.buffer_bytes - socket.buffered - socket.underway
        return room < min(options.node_bytes, options.buffer_bytes) or (
            len(socket.nodes) >= options.buffer_nodes
        )

    def _report_full(self, socket: Socket) -> None:
        if not socket.full:
            socket.full = True
            self.board.urc(f'+QIURC: "recv",{socket.connect_id},"buff full"')

    def _push(self, socket: Socket, data: bytes) -> None:
        """Say a push URC; a length precedes the data if ``showlength`` is on (§2.3.2)."""
        board, nvram = self.board, self.board.nvram
        if not socket.is_stream:
            pieces = [data]
        else:
            size = board.options.node_bytes
            pieces = [data[start : start + size] for start in range(0, len(data), size)]
        for piece in pieces:
            length = f",{len(piece)}" if nvram.show_length else ""
            separator = b"," if nvram.view_mode == ViewMode.COMMA else b"\r\n"
            if board.options.glued_push and not nvram.show_length:
                separator = b""
            board.statistics.urcs += 1
            board.line(
                f'+QIURC: "recv",{socket.connect_id}{length}',
                data=self.encoded(piece),
                separator=separator,
            )

    def encoded(self, data: bytes) -> bytes:
        """Return received data as ``<recv_data_format>`` wants it (§2.2.11)."""
        if self.board.nvram.receive_format == DataFormat.HEX:
            return data.hex().upper().encode("ascii")
        return data

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
