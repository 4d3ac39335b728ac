"""AT+QISEND and AT+QISENDEX: inline, and the two data modes (§2.2.4, §2.2.5).

Layer: sim. While :attr:`Sends.in_data_mode`, the module's input goes to :meth:`Sends.take`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiobc9x.sim.board import Board
from aiobc9x.sim.faults import FaultKind
from aiobc9x.sim.options import PROMPTS
from aiobc9x.sim.params import Arguments, Command, Form, Refused
from aiobc9x.sim.slots import Socket
from aiobc9x.sim.sockets import Sockets
from aiobc9x.spec import CONNECT_IDS, CTRL_Z, ESC, SEND_LENGTHS, SEND_MAX_BYTES, Err, SocketState

_HEX_DIGITS = b"0123456789abcdefABCDEF"


@dataclass(slots=True)
class DataMode:
    """A send that waits for its payload.

    Attributes:
        name: ``+QISEND`` or ``+QISENDEX``.
        wanted: Characters that end a fixed-length payload; ``None`` for variable length.
        most: Characters at which a variable-length payload is sent without a Ctrl-Z.
        losing: Bytes that a fault still takes away.

    """

    name: str
    socket: Socket
    wanted: int | None
    most: int
    losing: int = 0
    payload: bytearray = field(default_factory=bytearray)

    @property
    def is_hex(self) -> bool:
        """Whether the payload comes as hex digits."""
        return self.name == "+QISENDEX"


class Sends:
    """The two send commands of a module.

    Attributes:
        pending: The connectIDs whose ``SEND OK`` is still to come. A further send is then an
            ``ERROR``, whatever its socket (§4.1.2), or of the same socket only.
        done: Called when the final result of a send after a prompt has been printed.

    """

    def __init__(self, board: Board, sockets: Sockets) -> None:
        self._board = board
        self._sockets = sockets
        self._mode: DataMode | None = None
        self.pending: set[int] = set()
        self.done: Callable[[], None] = lambda: None
        self.handlers: dict[str, Callable[[Command], None]] = {
            "+QISEND": self._send,
            "+QISENDEX": self._send,
        }

    @property
    def in_data_mode(self) -> bool:
        """Whether the next bytes of the host are payload."""
        return self._mode is not None

    def reset(self) -> None:
        """Forget a send in progress."""
        self._mode = None
        self.pending.clear()

    def _send(self, command: Command) -> None:
        is_hex = command.name == "+QISENDEX"
        if command.form is Form.TEST:
            what = "hex_string" if is_hex else "data"
            self._board.answer(f'{command.name}: (0-5),(1-1440),"<{what}>"')
            return
        if command.form is not Form.WRITE:
            raise Refused(Err.INVALID_PARAMETERS)
        given = Arguments(command.arguments, 1, 3)
        connect_id = given.number(0, CONNECT_IDS)
        length = given.number(1, SEND_LENGTHS) if len(given) > 1 else None
        data = self._inline(given, length, is_hex=is_hex) if len(given) == 3 else None
        socket = self._sendable(connect_id)
        if data is not None:
            self._board.line("OK")
            self._deliver(command.name, socket, data)
            return
        scale = 2 if is_hex else 1
        wanted = None if length is None else length * scale
        fault = self._board.faults.strike((FaultKind.LOSE_SENT,), f"AT{command.name}")
        losing = fault.count if fault is not None else 0
        self._mode = DataMode(command.name, socket, wanted, SEND_MAX_BYTES * scale, losing)
        self._board.raw(">", PROMPTS[self._board.options.prompt])

    def _inline(self, given: Arguments, length: int | None, *, is_hex: bool) -> bytes:
        data = given.text(2, most=2 * SEND_MAX_BYTES).encode("latin-1")
        if is_hex:
            data = _decoded(data)
        if len(data) != length:
            raise Refused(Err.INVALID_PARAMETERS)
        return data

    def _sendable(self, connect_id: int) -> Socket:
        socket = self._sockets.by_id.get(connect_id)
        if socket is None or socket.state != SocketState.CONNECTED:
            raise Refused(Err.SOCKET_CLOSED)
        if socket.is_listener:
            raise Refused(Err.NOT_ALLOWED)  # §2.2.4, note 3
        of_all = self._board.options.pending == "module"
        if self.pending if of_all else connect_id in self.pending:
            raise Refused(Err.BUSY)
        return socket

    def _deliver(self, name: str, socket: Socket, data: bytes) -> None:
        """Hand the payload to the network; ``SEND OK`` or ``SEND FAIL`` follows."""
        board = self._board
        kinds = (FaultKind.SEND_FAIL, FaultKind.SEND_FAIL_PART)
        fault = board.faults.strike(kinds, f"AT{name}")
        if fault is not None and fault.kind is FaultKind.SEND_FAIL_PART:
            board.network.send(socket.handle, data[: fault.count])
        sent = fault is None and board.network.send(socket.handle, data)
        board.statistics.sends += 1
        board.statistics.sent_bytes += len(data) if sent else 0
        board.energy.sent(board.options.send_time if sent else 0.0)
        board.on_air_at = board.now

        def finish() -> None:
            self.pending.discard(socket.connect_id)
            if not sent:
                board.last_error = Err.WRITE_FAILED
            board.urc("SEND OK" if sent else "SEND FAIL")

        # A module that has just restarted knows of no send.
        if board.later(board.options.send_time, finish) is not None:
            self.pending.add(socket.connect_id)

    def take(self, data: bytes) -> int:
        """Take payload from the front of ``data``; return how many bytes were used."""
        mode = self._mode
        if mode is None:
            return 0
        if mode.losing:
            lost = min(mode.losing, len(data))
            mode.losing -= lost
            return lost
        if mode.wanted is not None:
            used = min(len(data), mode.wanted - len(mode.payload))
            mode.payload += data[:used]
            if len(mode.payload) == mode.wanted:
                self._complete(mode)
            return used
        return self._take_variable(mode, data)

    def _take_variable(self, mode: DataMode, data: bytes) -> int:
        room = mode.most - len(mode.payload)
        ends = [at for at in (data.find(CTRL_Z), data.find(ESC)) if at >= 0]
        end = min(ends, default=len(data))
        if end >= room:
            # The note doesn't say what the 1441st byte does; relatives send at 1440.
            mode.payload += data[:room]
            self._complete(mode)
            return room
        mode.payload += data[:end]
        if end == len(data):
            return end
        if data[end : end + 1] == ESC:
            self._finish(mode, self._cancelled)
        elif not mode.payload:
            self._finish(mode, lambda: self._board.line("SEND FAIL"))  # note 4
        else:
            self._complete(mode)
        return end + 1

    def _cancelled(self) -> None:
        self._board.last_error = Err.SEND_CANCELLED
        self._board.line("OK")

    def _complete(self, mode: DataMode) -> None:
        self._finish(mode, lambda: self._completed(mode))

    def _completed(self, mode: DataMode) -> None:
        try:
            data = _decoded(bytes(mode.payload)) if mode.is_hex else bytes(mode.payload)
            if self._sendable(mode.socket.connect_id) is not mode.socket:
                raise Refused(Err.SOCKET_CLOSED)
        except Refused as refused:
            self._board.last_error = refused.err or Err.UNKNOWN
            self._board.line("ERROR")
            return
        self._board.line("OK")
        self._deliver(mode.name, mode.socket, data)

    def _finish(self, mode: DataMode, say: Callable[[], None]) -> None:
        """Leave data mode; the answer comes after the module's latency."""
        self._mode = None
        self._board.note(">", f"({len(mode.payload)} bytes)")
        if self._board.options.echo_data and self._board.settings.echo:
            self._board.echo(bytes(mode.payload))

        def answer() -> None:
            say()
            self.done()

        self._board.later(self._board.options.latency, answer)


def _decoded(digits: bytes) -> bytes:
    """Return the bytes that hex digits spell, or refuse anything else."""
    if len(digits) % 2 or digits.translate(None, _HEX_DIGITS):
        raise Refused(Err.INVALID_PARAMETERS)
    return bytes.fromhex(digits.decode("ascii"))
