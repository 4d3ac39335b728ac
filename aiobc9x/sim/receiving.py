"""Buffer, announce and push received data on their way to the host (§2.2.6, §2.3).

Layer: sim. A *node* is one TCP segment or one datagram in the buffer of a socket: one AT+QIRD
reads from one node (§2.2.6, note 3). A socket in push mode has no nodes.
"""

from __future__ import annotations

from collections.abc import Callable

from aiobc9x.sim.board import Board
from aiobc9x.sim.faults import FaultKind
from aiobc9x.sim.slots import Socket
from aiobc9x.spec import AccessMode, DataFormat, ViewMode


class Receiver:
    """Buffer, announce and push what the sockets of a module receive.

    Attributes:
        data_mode: Whether a send waits for its payload; set by the sends.
        rouse: Called when data arrive, to end deep sleep.

    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.data_mode: Callable[[], bool] = lambda: False
        self.rouse: Callable[[], None] = lambda: None

    def arrived(self, socket: Socket, data: bytes) -> None:
        """Take a TCP segment or a datagram."""
        self.rouse()
        self._board.statistics.received_bytes += len(data)
        if socket.access_mode == AccessMode.PUSH:
            if self._board.flooded and not socket.is_stream:
                self._board.statistics.lost_bytes += len(data)
                return
            self._push(socket, data)
            self.regulate(socket)
            return
        size = self._board.options.node_bytes if socket.is_stream else len(data)
        for start in range(0, len(data), size):
            self._enqueue(socket, data[start : start + size])
        self.regulate(socket)
        if socket.paused and self._is_full(socket):
            self._report_full(socket)

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
            socket.armed = self._board.options.rearm == "drained"
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
        if not socket.is_stream or not socket.attached:
            return
        hold = self._board.is_behind or (self._is_full(socket) and not self._drops())
        if hold and not socket.paused:
            socket.paused = True
            self._board.network.pause(socket.handle)
        elif socket.paused and not hold:
            socket.paused = False
            self._board.network.resume(socket.handle)

    def _enqueue(self, socket: Socket, node: bytes) -> None:
        if self._has_no_room(socket, len(node)) and (
            not socket.is_stream or self._strike(FaultKind.DROP_ON_FULL, socket)
        ):
            self._board.statistics.lost_bytes += len(node)
            self._report_full(socket)
            return
        was_empty = not socket.nodes
        socket.nodes.append(node)
        if not was_empty or not socket.armed:
            return
        socket.armed = False
        if self.data_mode() and self._strike(FaultKind.SWALLOW_RECV, socket):
            return
        length = f",{len(node)}" if self._board.nvram.show_length else ""
        self._board.urc(f'+QIURC: "recv",{socket.connect_id}{length}')

    def _strike(self, kind: FaultKind, socket: Socket) -> bool:
        return self._board.faults.strike((kind,), str(socket.connect_id)) is not None

    def _drops(self) -> bool:
        """Tell whether a fault lets the buffer overflow, so that the network isn't held back."""
        return self._board.faults.has(FaultKind.DROP_ON_FULL)

    def _has_no_room(self, socket: Socket, size: int) -> bool:
        options = self._board.options
        too_many = len(socket.nodes) >= options.buffer_nodes
        return too_many or socket.buffered + size > options.buffer_bytes

    def _is_full(self, socket: Socket) -> bool:
        """Tell whether another whole node might not fit."""
        options = self._board.options
        room = options.buffer_bytes - socket.buffered - socket.underway
        return room < min(options.node_bytes, options.buffer_bytes) or (
            len(socket.nodes) >= options.buffer_nodes
        )

    def _report_full(self, socket: Socket) -> None:
        if not socket.full:
            socket.full = True
            self._board.urc(f'+QIURC: "recv",{socket.connect_id},"buff full"')

    def _push(self, socket: Socket, data: bytes) -> None:
        """Say a push URC; a length precedes the data if ``showlength`` is on (§2.3.2)."""
        board, nvram = self._board, self._board.nvram
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
                end=b"\r\n" if board.options.push_end else b"",
            )

    def encoded(self, data: bytes) -> bytes:
        """Return received data as ``<recv_data_format>`` wants it (§2.2.11)."""
        if self._board.nvram.receive_format == DataFormat.HEX:
            return data.hex().upper().encode("ascii")
        return data
