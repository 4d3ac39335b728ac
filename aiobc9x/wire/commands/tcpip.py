"""Define the commands of the note, one class each (chapter 2).

Layer: wire. Does no I/O, reads no clock.

Fields stand in the order of the note; ``None`` leaves an optional parameter out. The module
then takes the parameter's previous value or its default (§2.1.1). The previous value of some
parameters is in NVRAM, where the last user of the module left it, so this package always
passes every parameter (N2). Each class raises ``ValueError`` when it is made with a value
outside the note's ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import ClassVar, Final

from aiobc9x import spec
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import AccessMode, ConfigKey, QueryType, ServiceType, SocketState
from aiobc9x.wire.commands.base import (
    PLAIN,
    READ,
    SEND,
    CloseSocket,
    Command,
    Effect,
    Meaning,
    OpenSocket,
    Order,
    Raw,
    ReceiveHex,
    ShowLength,
    SwitchMode,
    TestForm,
)
from aiobc9x.wire.host import NAME_MAX_BYTES, Host, address, host
from aiobc9x.wire.params import (
    command_line,
    hex_text,
    inline_text_ok,
    int_or_none,
    integer,
    ip_or_none,
    maybe_integer,
    split_params,
    unquote,
)

__all__ = [
    "Command",
    "Order",
    "Qicfg",
    "Qiclose",
    "Qidnscfg",
    "Qidnsgip",
    "Qigeterror",
    "Qiopen",
    "Qird",
    "Qisend",
    "Qisendex",
    "Qistate",
    "Qiswtmd",
    "Qntp",
    "Qping",
    "Raw",
    "SocketStatus",
    "TestForm",
]

_SWITCH: Final = range(2)
# "*" and not \s*: a CR inside the line shows that bytes got lost, so it is no empty read (F5).
_READ_EMPTY: Final = lazy_pattern(rb"\+QIRD: *0(?:, *-?[0-9]*)? *")


@slotted(frozen=True)
class Qiopen(Order):
    """Open a socket (§2.2.1); the result comes as ``+QIOPEN``.

    For a listener, ``host`` is the module's own address, ``remote_port`` has no meaning but
    must not be 0, which relatives of the module refuse (N7), and ``local_port`` is required.
    """

    context_id: int
    connect_id: int
    service_type: ServiceType | str
    host: str | bytes | Host
    remote_port: int
    local_port: int | None = None
    access_mode: int | None = None
    protocol_type: int | None = None

    @property
    def meaning(self) -> Meaning:
        """The access mode of the socket, which holds from when the command is written."""
        if self.access_mode is None:
            # The mode is then the one that the last user of the module left in NVRAM (N2), which
            # is not known here.
            return PLAIN
        return Meaning(OpenSocket(self.connect_id, AccessMode(self.access_mode)))

    def _build(self) -> bytes:
        service_type = _openable(self.service_type)
        local_ports = spec.LOCAL_PORTS
        if service_type is ServiceType.TCP_LISTENER:
            # The note demands a fixed port for a listener, 1 to 65535 (§2.2.1).
            local_ports = spec.PORTS
            if self.local_port is None:
                raise ValueError("local_port is needed to listen, 1 to 65535 (§2.2.1)")
        return command_line(
            "+QIOPEN",
            context_id=integer("context_id", self.context_id, spec.CONTEXT_IDS),
            connect_id=integer("connect_id", self.connect_id, spec.CONNECT_IDS),
            # Not quoted(): it is a value of our own enum.
            service_type=f'"{service_type}"',
            host=host("host", self.host),
            remote_port=integer("remote_port", self.remote_port, spec.PORTS),
            local_port=maybe_integer("local_port", self.local_port, local_ports),
            access_mode=maybe_integer("access_mode", self.access_mode, _SWITCH),
            protocol_type=maybe_integer("protocol_type", self.protocol_type, _SWITCH),
        )


def _openable(value: str) -> ServiceType:
    """Return the service type that AT+QIOPEN can open; raise ``ValueError`` for others."""
    # The test answer lists UDP SERVICE, and note 1 says that it isn't supported (N31).
    if value == ServiceType.UDP_SERVICE:
        raise ValueError(
            'service_type "UDP SERVICE" is not supported by the module (§2.2.1, note 1);'
            ' open "UDP" towards each peer'
        )
    if value == ServiceType.TCP_INCOMING:
        raise ValueError(
            'service_type "TCP INCOMING" is what a listener accepts (§2.3.5); open "TCP LISTENER"'
        )
    try:
        return ServiceType(value)
    except ValueError:
        raise ValueError(
            f'service_type must be "TCP", "UDP" or "TCP LISTENER", not {value!r}'
        ) from None


@slotted(frozen=True)
class Qiclose(Order):
    """Close a socket (§2.2.2); ``CLOSE OK`` comes after the final result."""

    connect_id: int

    @property
    def meaning(self) -> Meaning:
        """The end of the socket's data, which ``CLOSE OK`` marks."""
        return Meaning(CloseSocket(self.connect_id))

    def _build(self) -> bytes:
        connect_id = integer("connect_id", self.connect_id, spec.CONNECT_IDS)
        return command_line("+QICLOSE", connect_id=connect_id)


@slotted(frozen=True)
class SocketStatus:
    """One row of AT+QISTATE (§2.2.3).

    Values that the note doesn't list are kept as they came.
    """

    connect_id: int
    service_type: ServiceType | str
    ip_address: str
    remote_port: int
    local_port: int
    socket_state: SocketState | int
    context_id: int
    access_mode: AccessMode | int


@slotted(frozen=True)
class Qistate(Command[tuple[SocketStatus, ...]]):
    """Ask for the state of all sockets, of one context's, or of one (§2.2.3)."""

    prefix: ClassVar[bytes] = b"+QISTATE:"

    query_type: QueryType | int | None = None
    value: int | None = None

    def _build(self) -> bytes:
        if self.query_type is None and self.value is None:
            return command_line("+QISTATE?")
        if self.query_type is None or self.value is None:
            raise ValueError("query_type and value belong together; give both or none")
        query_type = integer("query_type", self.query_type, _SWITCH)
        by_context = self.query_type == QueryType.CONTEXT_ID
        allowed = spec.CONTEXT_IDS if by_context else spec.CONNECT_IDS
        value = integer("value", self.value, allowed)
        return command_line("+QISTATE", query_type=query_type, value=value)

    def parse(self, lines: Sequence[bytes]) -> tuple[SocketStatus, ...]:
        """Give a row per socket; a socket that is not in use has none."""
        # Any number of rows, also for one connect ID: the note prints it as repeated (N34).
        rows = [_socket_status(split_params(self._params(line))) for line in lines]
        found = tuple(row for row in rows if row is not None)
        # A row that is left out would read as "this socket is closed", so none may be.
        if len(found) != len(rows):
            raise self._unexpected(lines, "a row is damaged")
        return found


def _socket_status(fields: Sequence[bytes]) -> SocketStatus | None:
    # Relatives print ten fields: a server ID before the access mode, and the AT port behind it.
    mode_at = 8 if len(fields) >= 10 else 7
    numbers = [int_or_none(part) for part in (*fields[:1], *fields[3:7], *fields[mode_at:])][:6]
    values = [number for number in numbers if number is not None and number >= 0]
    if len(values) != 6 or values[0] not in spec.CONNECT_IDS:
        return None
    connect_id, remote_port, local_port, state, context_id, mode = values
    # §4.3.2 spells "TCP incoming", so the case must not matter (N29).
    service_type = unquote(fields[1])
    known = service_type.upper()
    return SocketStatus(
        connect_id=connect_id,
        service_type=ServiceType(known) if known in list(ServiceType) else service_type,
        # A spelling that ipaddress doesn't know is kept: the row as a whole is still good.
        ip_address=ip_or_none(fields[2]) or unquote(fields[2]),
        remote_port=remote_port,
        local_port=local_port,
        # Families number the states differently; one that is unknown here is shown as it is.
        socket_state=SocketState(state) if state in list(SocketState) else state,
        context_id=context_id,
        access_mode=AccessMode(mode) if mode in list(AccessMode) else mode,
    )


@slotted(frozen=True)
class Qisend(Order):
    """Send bytes as they are (§2.2.4); ``SEND OK`` or ``SEND FAIL`` comes later.

    There are three forms. With ``data``, the bytes stand on the command line: printable ASCII
    without a double quote. With ``send_length`` alone, the module prompts and then takes
    exactly that many bytes. With neither, it prompts and takes bytes up to Ctrl-Z, so that
    form can't carry binary data (N37).
    """

    connect_id: int
    send_length: int | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def meaning(self) -> Meaning:
        """``SEND OK`` or ``SEND FAIL`` follows."""
        return SEND

    def _build(self) -> bytes:
        if self.data is not None and not inline_text_ok(self.data):
            raise ValueError(
                "data must be printable ASCII without a double quote to stand on the line;"
                " send it after the prompt, or with Qisendex"
            )
        # In quotes, because what a comma in bare data does is documented nowhere (F29).
        text = None if self.data is None else f'"{self.data.decode("ascii")}"'
        return _send_line("+QISEND", self.connect_id, self.send_length, self.data, text)

    @property
    def needs_prompt(self) -> bool:
        """Whether the data follow the prompt."""
        return self.data is None


@slotted(frozen=True)
class Qisendex(Order):
    """Send bytes as hex digits (§2.2.5); ``SEND OK`` or ``SEND FAIL`` comes later.

    The forms are those of :class:`Qisend`; ``data`` are the bytes themselves, and
    ``send_length`` counts bytes, not digits (example 4.1.2).
    """

    connect_id: int
    send_length: int | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def meaning(self) -> Meaning:
        """``SEND OK`` or ``SEND FAIL`` follows."""
        return SEND

    def _build(self) -> bytes:
        # Hex digits can stand on the line whatever the bytes are, even a CR or Ctrl-Z.
        text = None if self.data is None else hex_text(self.data)
        return _send_line("+QISENDEX", self.connect_id, self.send_length, self.data, text)

    @property
    def needs_prompt(self) -> bool:
        """Whether the data follow the prompt."""
        return self.data is None


def _send_line(
    name: str, connect_id: int, send_length: int | None, data: bytes | None, text: str | None
) -> bytes:
    connect = integer("connect_id", connect_id, spec.CONNECT_IDS)
    if data is None:
        length = maybe_integer("send_length", send_length, spec.SEND_LENGTHS)
        return command_line(name, connect_id=connect, send_length=length)
    size = len(data)
    # No empty send: relatives answer length 0 with counters of the socket (§2.2.4, note 4).
    if size not in spec.SEND_LENGTHS:
        raise ValueError(f"data has {size} bytes; one send takes 1 to 1440 (§2.2.4)")
    if send_length is not None and send_length != size:
        raise ValueError(f"send_length is {send_length}, but data has {size} bytes")
    # Not command_line(): this is the hot path of a send, and the parameters are all there.
    return f"AT{name}={connect},{size},{text}\r".encode("ascii")


@slotted(frozen=True)
class Qird(Command[int]):
    """Read received data (§2.2.6).

    Data arrive as a :class:`~aiobc9x.wire.frames.Payload`, not as a line. An answer without
    data has the line ``+QIRD: 0``.
    """

    prefix: ClassVar[bytes] = b"+QIRD:"

    connect_id: int
    read_length: int = spec.READ_MAX_BYTES

    @property
    def meaning(self) -> Meaning:
        """The answer may be a counted payload."""
        return READ

    def _build(self) -> bytes:
        return command_line(
            "+QIRD",
            connect_id=integer("connect_id", self.connect_id, spec.CONNECT_IDS),
            read_length=integer("read_length", self.read_length, spec.READ_LENGTHS),
        )

    def claims(self, text: bytes) -> bool:
        """Claim ``+QIRD: 0``."""
        return _READ_EMPTY.fullmatch(text) is not None

    def parse(self, lines: Sequence[bytes]) -> int:
        """Give 0 if there was nothing to read.

        Raises:
            UnexpectedAnswer: The answer lacks ``+QIRD: 0``. Where it had no payload either,
                bytes were lost on the link (F17).

        """
        if not any(self.claims(line) for line in lines):
            raise self._unexpected(lines, "neither data nor '+QIRD: 0'")
        return 0


@slotted(frozen=True)
class Qiswtmd(Order):
    """Switch how received data reach the host (§2.2.7)."""

    connect_id: int
    access_mode: AccessMode | int

    @property
    def meaning(self) -> Meaning:
        """The access mode of the socket from the ``OK`` on, which the module keeps in NVRAM."""
        effect = SwitchMode(self.connect_id, AccessMode(self.access_mode))
        return Meaning(effect, writes_nvram=True)

    def _build(self) -> bytes:
        return command_line(
            "+QISWTMD",
            connect_id=integer("connect_id", self.connect_id, spec.CONNECT_IDS),
            access_mode=integer("access_mode", self.access_mode, _SWITCH),
        )


@slotted(frozen=True)
class Qping(Order):
    """Ping a host (§2.2.8); the results come as ``+QPING``.

    ``timeout`` is in seconds, for each request.
    """

    context_id: int
    host: str | bytes | Host
    timeout: int | None = None
    count: int | None = None
    size_bytes: int | None = None

    def _build(self) -> bytes:
        return command_line(
            "+QPING",
            context_id=integer("context_id", self.context_id, spec.CONTEXT_IDS),
            # §2.2.8 states no limit; the 50 bytes of §2.2.1 are AT+QIOPEN's.
            host=host("host", self.host, NAME_MAX_BYTES),
            timeout=maybe_integer("timeout", self.timeout, spec.PING_TIMEOUTS_S),
            count=maybe_integer("count", self.count, spec.PING_COUNTS),
            size_bytes=maybe_integer("size_bytes", self.size_bytes, spec.PING_SIZES),
        )


@slotted(frozen=True)
class Qntp(Order):
    """Ask a time server (§2.2.9); the result comes as ``+QNTP``.

    The body of the note says QNTF, its contents and example QNTP (N11).
    """

    context_id: int
    server: str | bytes
    port: int | None = None
    auto_set_time: int | None = None

    def _build(self) -> bytes:
        # QNTP is the name that relatives know; +QNTF is accepted as an answer (N11).
        return command_line(
            "+QNTP",
            context_id=integer("context_id", self.context_id, spec.CONTEXT_IDS),
            server=host("server", self.server, NAME_MAX_BYTES),
            port=maybe_integer("port", self.port, spec.PORTS),
            auto_set_time=maybe_integer("auto_set_time", self.auto_set_time, _SWITCH),
        )


@slotted(frozen=True)
class Qidnsgip(Order):
    """Look a name up (§2.2.10); the addresses come as ``"dnsgip"``."""

    context_id: int
    host: str | bytes | Host

    def _build(self) -> bytes:
        return command_line(
            "+QIDNSGIP",
            context_id=integer("context_id", self.context_id, spec.CONTEXT_IDS),
            # §2.2.10 states no limit, so this is the way to use names of over 50 bytes.
            host=host("host", self.host, NAME_MAX_BYTES),
        )


_CONFIG_VALUES: Final[dict[ConfigKey, tuple[range, ...]]] = {
    # The format for sending can only be 0 (§2.2.11, note 1).
    ConfigKey.DATA_FORMAT: (range(1), _SWITCH),
    ConfigKey.VIEW_MODE: (_SWITCH,),
    ConfigKey.SHOW_LENGTH: (_SWITCH,),
    ConfigKey.OPEN_TIME: (spec.OPEN_TIMES_S,),
}


@slotted(frozen=True)
class Qicfg(Command[tuple[int, ...]]):
    """Read or set one option (§2.2.11); without a value it is read.

    ``dataformat`` has two values, for sending and for receiving.
    """

    prefix: ClassVar[bytes] = b"+QICFG:"

    key: ConfigKey | str
    value: int | None = None
    value2: int | None = None

    @property
    def meaning(self) -> Meaning:
        """How payloads are framed from the ``OK`` on; ``open_time`` changes nothing there."""
        # open_time is lost in deep sleep (§2.2.11), so it is not in NVRAM.
        if self.value is None or self.key == ConfigKey.OPEN_TIME:
            return PLAIN
        effect: Effect | None = None
        if self.key == ConfigKey.DATA_FORMAT and self.value2 is not None:
            effect = ReceiveHex(self.value2 == 1)
        elif self.key == ConfigKey.SHOW_LENGTH:
            effect = ShowLength(self.value == 1)
        return Meaning(effect, writes_nvram=True)

    def _build(self) -> bytes:
        if self.key not in list(ConfigKey):
            raise ValueError(f"key must be one of {', '.join(ConfigKey)}, not {self.key!r}")
        # All values of a key, or none, because an omitted one keeps what was before (N2).
        values = (self.value, self.value2)
        ranges = _CONFIG_VALUES[ConfigKey(self.key)]
        given = len(ranges) if values != (None, None) else 0
        if any((value is not None) != (at < given) for at, value in enumerate(values)):
            raise ValueError(
                f"value and value2 don't fit: {self.key} takes {len(ranges)}, or none to read"
            )
        encoded = {
            name: integer(name, value, allowed)
            for name, value, allowed in zip(("value", "value2"), values, ranges, strict=False)
            if value is not None
        }
        return command_line("+QICFG", key=f'"{ConfigKey(self.key)}"', **encoded)

    def parse(self, lines: Sequence[bytes]) -> tuple[int, ...]:
        """Give the values of the key; none for a bare ``OK``, as relatives answer a write."""
        # The note's examples repeat the setting before the OK, as if it had been read.
        for line in lines:
            key, *fields = split_params(self._params(line))
            if unquote(key).lower() == self.key:
                values = tuple(n for n in map(int_or_none, fields) if n is not None)
                if len(values) == len(fields) > 0:
                    return values
        if lines:
            raise self._unexpected(lines, f"no value of {self.key}")
        return ()


@slotted(frozen=True)
class Qigeterror(Command[tuple[int, str]]):
    """Ask why the last TCP/IP command failed (§2.2.12)."""

    prefix: ClassVar[bytes] = b"+QIGETERROR:"

    def _build(self) -> bytes:
        return command_line("+QIGETERROR")

    def parse(self, lines: Sequence[bytes]) -> tuple[int, str]:
        """Give the ``<err>`` code and the module's words for it, which vary (N36)."""
        for line in lines:
            # Not split_params(): the text is not quoted, and may hold a comma.
            code, _, text = self._params(line).partition(b",")
            err = int_or_none(code.strip())
            if err is not None:
                return err, unquote(text.strip())
        raise self._unexpected(lines, "no error code")


@slotted(frozen=True)
class Qidnscfg(Command[tuple[str, ...]]):
    """Read or set the DNS servers (§2.2.13); without addresses, read them.

    The module refuses to set them before it is registered.
    """

    prefix: ClassVar[bytes] = b"+QIDNSCFG:"

    primary: str | None = None
    secondary: str | None = None

    def _build(self) -> bytes:
        size = spec.DNS_ADDRESS_MAX_BYTES
        given = {"primary": self.primary, "secondary": self.secondary}
        if self.primary is None and self.secondary is None:
            return command_line("+QIDNSCFG?")
        encoded = {k: None if v is None else address(k, v, size) for k, v in given.items()}
        return command_line("+QIDNSCFG", **encoded)

    def parse(self, lines: Sequence[bytes]) -> tuple[str, ...]:
        """Give the addresses in order; none after a write."""
        # The note prints both on one line (§2.2.13); a line for each is read as well.
        fields = [part for line in lines for part in split_params(self._params(line))]
        return tuple(filter(None, map(unquote, fields)))
