"""Answer the commands of the note's chapter 2, except sends and the network's services.

Layer: sim. Each handler prints its own answer, or raises :class:`Refused`.
"""

from __future__ import annotations

from collections.abc import Callable

from aiobc9x.sim.board import Board
from aiobc9x.sim.params import Arguments, Command, Form, Refused, maybe_ip, write_arguments
from aiobc9x.sim.slots import Socket
from aiobc9x.sim.sockets import Sockets
from aiobc9x.spec import (
    CONNECT_IDS,
    CONTEXT_IDS,
    DNS_ADDRESS_MAX_BYTES,
    DOMAIN_NAME_MAX_BYTES,
    ERR_TEXT,
    LOCAL_PORTS,
    OPEN_TIMES_S,
    PORTS,
    READ_LENGTHS,
    AccessMode,
    ConfigKey,
    DataFormat,
    Err,
    ProtocolType,
    QueryType,
    ServiceType,
    SocketState,
    ViewMode,
)

Handler = Callable[[Command], None]
"""Carries out one command: prints the answer, or raises :class:`Refused`."""

QIOPEN_TEST = (
    '+QIOPEN: (1-3),(0-5),"TCP/UDP/TCP LISTENER/UDP SERVICE",'
    '"<IP_address>/<domain_name>",<remote_port>[,<local_port>[,(0,1)[,(0,1)]]]'
)
"""The test answer of §2.2.1 with its brackets put right."""

QICFG_TEST = (
    '+QICFG: "dataformat",(0),(0,1)',
    '+QICFG: "viewmode",(0,1)',
    '+QICFG: "showlength",(0,1)',
    '+QICFG: "open_time",(1-36)',
)
"""The test answer of §2.2.11."""


class SocketCommands:
    """AT+QIOPEN, QICLOSE, QISTATE, QIRD, QISWTMD, QICFG, QIGETERROR and QIDNSCFG."""

    def __init__(self, board: Board, sockets: Sockets, has_context: Callable[[int], bool]) -> None:
        self._board = board
        self._sockets = sockets
        self._has_context = has_context
        self.handlers: dict[str, Handler] = {
            "+QIOPEN": self._qiopen,
            "+QICLOSE": self._qiclose,
            "+QISTATE": self._qistate,
            "+QIRD": self._qird,
            "+QISWTMD": self._qiswtmd,
            "+QICFG": self._qicfg,
            "+QIGETERROR": self._qigeterror,
            "+QIDNSCFG": self._qidnscfg,
        }

    def _open_socket(self, connect_id: int) -> Socket:
        socket = self._sockets.by_id.get(connect_id)
        if socket is None or socket.leaving:
            raise Refused(Err.SOCKET_CLOSED)
        return socket

    def _qiopen(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(QIOPEN_TEST)
            return
        socket, name, protocol_type = self._new_socket(write_arguments(command, 5, 8))
        self._sockets.add(socket)
        self._board.nvram.access_mode = socket.access_mode
        self._board.nvram.save()
        self._board.statistics.opens += 1
        self._board.answer()
        if socket.is_listener:
            self._board.network.listen(socket.handle, socket.local_port)
        else:
            self._sockets.connect(socket, name, protocol_type)

    def _new_socket(self, given: Arguments) -> tuple[Socket, str, int]:
        """Check the parameters of AT+QIOPEN; return the socket, its peer's name and family."""
        context_id, connect_id = given.number(0, CONTEXT_IDS), given.number(1, CONNECT_IDS)
        service = _service_type(given.text(2))
        name = given.text(3, most=DOMAIN_NAME_MAX_BYTES)
        listens = service is ServiceType.TCP_LISTENER
        # The listener of §4.3.1 passes 1; the parameter means nothing there (§2.2.1).
        remote_port = given.number(4, LOCAL_PORTS if listens else PORTS)
        local_port = given.number(5, PORTS if listens else LOCAL_PORTS, -1 if listens else 0)
        if local_port < 0:
            raise Refused(Err.INVALID_PARAMETERS)
        access_mode = given.number(6, tuple(AccessMode), self._board.nvram.access_mode)
        protocol_type = given.number(7, tuple(ProtocolType), int(ProtocolType.IPV4))
        literal = maybe_ip(name)
        if literal is not None and (literal.version == 6) != bool(protocol_type):
            raise Refused(Err.INVALID_PARAMETERS)
        if connect_id in self._sockets.by_id:
            raise Refused(Err.IDENTITY_IN_USE)
        if local_port and self._sockets.port_is_busy(local_port):
            raise Refused(Err.PORT_BUSY)
        if not self._has_context(context_id):
            raise Refused(Err.OPEN_PDP_FAILED)
        socket = Socket(
            connect_id,
            self._sockets.new_handle(),
            service,
            name,
            remote_port,
            local_port,
            context_id,
            access_mode,
        )
        return socket, name, protocol_type

    def _qiclose(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+QICLOSE: (0-5)")
            return
        given = write_arguments(command, 1, 1)
        socket = self._open_socket(given.number(0, CONNECT_IDS))
        self._sockets.close(socket)
        self._board.statistics.closes += 1
        self._board.answer()

        def closed() -> None:
            self._sockets.remove(socket)
            self._board.urc("CLOSE OK")

        self._board.later(self._board.options.close_time, closed)

    def _qistate(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer()
            return
        rows = [self._sockets.by_id[number] for number in sorted(self._sockets.by_id)]
        if command.form is not Form.READ:
            given = write_arguments(command, 2, 2)
            by_context = given.number(0, tuple(QueryType)) == QueryType.CONTEXT_ID
            number = given.number(1, CONTEXT_IDS if by_context else CONNECT_IDS)
            rows = [s for s in rows if number == (s.context_id if by_context else s.connect_id)]
        if not self._board.options.incoming_rows:
            rows = [s for s in rows if s.service is not ServiceType.TCP_INCOMING]
        self._board.answer(*(socket.row() for socket in rows))

    def _qird(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+QIRD: (0-5),(1-1024)")
            return
        given = write_arguments(command, 2, 2)
        socket = self._open_socket(given.number(0, CONNECT_IDS))
        most = given.number(1, READ_LENGTHS)
        if socket.is_listener:
            raise Refused(Err.NOT_ALLOWED)
        if socket.state not in (SocketState.CONNECTED, SocketState.CLOSING):
            raise Refused(Err.SOCKET_CLOSED)
        data, remaining = self._sockets.receiver.read(socket, most)
        self._board.statistics.reads += 1
        if not data:
            self._board.answer("+QIRD: 0")
            return
        nvram = self._board.nvram
        self._board.line(
            f"+QIRD: {len(data)}" + (f",{remaining}" if nvram.show_length else ""),
            data=self._sockets.receiver.encoded(data),
            separator=b"," if nvram.view_mode == ViewMode.COMMA else b"\r\n",
        )
        self._board.line("OK")

    def _qiswtmd(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+QISWTMD: (0-5),(0,1)")
            return
        if command.form is Form.READ:
            self._board.answer()
            return
        given = write_arguments(command, 2, 2)
        socket = self._open_socket(given.number(0, CONNECT_IDS))
        access_mode = given.number(1, tuple(AccessMode))
        if socket.is_listener:
            raise Refused(Err.NOT_ALLOWED)
        self._board.nvram.access_mode = access_mode
        self._board.nvram.save()
        self._board.answer()
        self._sockets.receiver.switch(socket, access_mode)

    def _qicfg(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(*QICFG_TEST)
            return
        given = write_arguments(command, 1, 3)
        nvram, settings = self._board.nvram, self._board.settings
        match given.text(0):
            case ConfigKey.DATA_FORMAT if len(given) != 2:
                if len(given) == 3:
                    # Only text can be sent; hex strings are for AT+QISENDEX (note 1).
                    nvram.send_format = given.number(1, (DataFormat.TEXT,))
                    nvram.receive_format = given.number(2, tuple(DataFormat))
                shown = f'"dataformat",{nvram.send_format},{nvram.receive_format}'
            case ConfigKey.VIEW_MODE if len(given) < 3:
                if len(given) == 2:
                    nvram.view_mode = given.number(1, tuple(ViewMode))
                shown = f'"viewmode",{nvram.view_mode}'
            case ConfigKey.SHOW_LENGTH if len(given) < 3:
                if len(given) == 2:
                    nvram.show_length = given.number(1, (0, 1))
                shown = f'"showlength",{nvram.show_length}'
            case ConfigKey.OPEN_TIME if len(given) < 3:
                if len(given) == 2:
                    settings.open_time = given.number(1, OPEN_TIMES_S)
                shown = f'"open_time",{settings.open_time}'
            case _:
                raise Refused(Err.INVALID_PARAMETERS)
        nvram.save()
        self._board.answer(f"+QICFG: {shown}")

    def _qigeterror(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer()
            return
        if command.form is not Form.EXEC:
            raise Refused(Err.INVALID_PARAMETERS)
        err = int(self._board.last_error)
        # The example of §4.6 prints table 2 in lower case.
        self._board.answer(f"+QIGETERROR: {err},{ERR_TEXT[err].lower()}")

    def _qidnscfg(self, command: Command) -> None:
        settings = self._board.settings
        if command.form is Form.TEST:
            self._board.answer("+QIDNSCFG: <PrimaryDNS>[,<SecondaryDNS>]")
            return
        if command.form is Form.READ:
            self._board.answer("+QIDNSCFG: " + ",".join(f'"{text}"' for text in settings.dns))
            return
        given = write_arguments(command, 1, 2)
        servers = [given.text(0, most=DNS_ADDRESS_MAX_BYTES)]
        if len(given) == 2:
            servers.append(given.text(1, most=DNS_ADDRESS_MAX_BYTES))
        if any(maybe_ip(server) is None for server in servers):
            raise Refused(Err.INVALID_PARAMETERS)
        if not self._has_context(1):
            raise Refused(Err.NOT_ALLOWED)  # not before registration (§2.2.13, note)
        settings.dns[: len(servers)] = servers
        self._board.answer()


def _service_type(text: str) -> ServiceType:
    try:
        service = ServiceType(text)
    except ValueError as error:
        raise Refused(Err.INVALID_PARAMETERS) from error
    if service is ServiceType.UDP_SERVICE:
        raise Refused(Err.NOT_SUPPORTED)  # §2.2.1, note 1
    if service is ServiceType.TCP_INCOMING:
        raise Refused(Err.INVALID_PARAMETERS)
    return service
