"""The exceptions of this package, and the ``<err>`` to ``errno`` mapping.

Layer: errors. The module is long because the tree is one, and each class of it is short.
Each leaf is also what asyncio callers already catch, with a real errno::

    ModemError
    ├── LinkLost                 ConnectionAbortedError  the port closed or failed
    │   ├── PortNotFound         FileNotFoundError       no such device
    │   ├── PortDenied           PermissionError         the device may not be opened
    │   └── PortBusy             OSError, EBUSY          another program holds the port
    ├── WrongModule              OSError, ENODEV         another module answers
    ├── LinkTimeout              TimeoutError            no final result in time
    ├── StageTimeout             TimeoutError            a call as a whole took too long
    ├── ModuleReset              ConnectionResetError    the module restarted
    ├── NetworkLost              ConnectionResetError    the module lost the network
    ├── StreamBroken             ConnectionResetError    bytes are missing, or may be
    ├── NoFreeSocket             OSError, EMFILE         all six connect IDs are in use
    ├── BudgetExceeded           OSError, EDQUOT         a budget of bytes over the air is spent
    └── CommandError             OSError                 the module refused a command
        ├── UnexpectedAnswer     OSError, EPROTO         an answer that can't be read
        ├── SettingRefused       OSError, EOPNOTSUPP     nothing works without this setting
        ├── SimError             OSError, EIO            the SIM can't be used; waiting won't help
        │   ├── PinRequired      OSError, EACCES         it wants a PIN
        │   ├── PukRequired      PermissionError         it wants its PUK
        │   ├── SimLocked        PermissionError         the module is locked to other SIMs
        │   └── SimMissing       OSError, ENODEV         there is none
        ├── WriteFailed, …       one per built-in class that an ``<err>`` stands for
        └── ConnectFailed        OSError                 no connection, or no address
            └── ConnectRefused, NameNotFound, …          one per row of :data:`ERRNO_OF`
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from aiobc9x.masking import masked_command, shown_line
from aiobc9x.patterns import lazy_pattern
from aiobc9x.spec import CME_TEXT, ERR_TEXT, Err

__all__ = [
    "ERRNO_OF",
    "AcceptFailed",
    "AddressBusy",
    "BudgetExceeded",
    "CommandError",
    "ConnectAborted",
    "ConnectBlocked",
    "ConnectClosed",
    "ConnectFailed",
    "ConnectIdBusy",
    "ConnectNotAllowed",
    "ConnectReadFailed",
    "ConnectRefused",
    "ConnectTimedOut",
    "ConnectWriteFailed",
    "LinkLost",
    "LinkTimeout",
    "ModemError",
    "ModuleReset",
    "NameBusy",
    "NameNotFound",
    "NetworkDown",
    "NetworkLost",
    "NetworkUnreachable",
    "NoFreeSocket",
    "OperationBlocked",
    "OperationNotAllowed",
    "OperationTimedOut",
    "PinRequired",
    "PortBusy",
    "PortDenied",
    "PortNotFound",
    "PukRequired",
    "ReadFailed",
    "SettingRefused",
    "SimError",
    "SimLocked",
    "SimMissing",
    "SocketClosed",
    "StageTimeout",
    "StreamBroken",
    "UnexpectedAnswer",
    "WriteFailed",
    "WrongModule",
    "cme_code",
    "command_error",
    "connect_error",
    "table_2_err",
]

ERRNO_OF: Final[dict[int | None, int]] = {
    None: errno.EIO,
    Err.OK: errno.EIO,
    Err.UNKNOWN: errno.EIO,
    Err.BLOCKED: errno.EAGAIN,
    Err.INVALID_PARAMETERS: errno.EINVAL,
    Err.NO_MEMORY: errno.ENOBUFS,
    Err.CREATE_FAILED: errno.EMFILE,
    Err.NOT_SUPPORTED: errno.EOPNOTSUPP,
    Err.BIND_FAILED: errno.EADDRINUSE,
    Err.LISTEN_FAILED: errno.EADDRINUSE,
    Err.WRITE_FAILED: errno.EPIPE,
    Err.READ_FAILED: errno.ECONNRESET,
    Err.ACCEPT_FAILED: errno.ECONNABORTED,
    Err.OPEN_PDP_FAILED: errno.ENETUNREACH,
    Err.CLOSE_PDP_FAILED: errno.ENETDOWN,
    Err.IDENTITY_IN_USE: errno.EBUSY,
    Err.DNS_BUSY: socket.EAI_AGAIN,
    Err.DNS_FAILED: socket.EAI_NONAME,
    Err.CONNECT_FAILED: errno.ECONNREFUSED,
    Err.SOCKET_CLOSED: errno.ECONNRESET,
    Err.BUSY: errno.EBUSY,
    Err.TIMEOUT: errno.ETIMEDOUT,
    Err.PDP_BROKEN: errno.ENETDOWN,
    Err.SEND_CANCELLED: errno.ECANCELED,
    Err.NOT_ALLOWED: errno.EPERM,
    Err.NO_APN: errno.ENETUNREACH,
    Err.PORT_BUSY: errno.EADDRINUSE,
}
"""The errno of each ``<err>`` (table 2); ``None`` where the module gave no code.

564 and 565, which are about names, have the EAI codes that a :class:`socket.gaierror` carries
instead of an errno.
"""

_REAL_ERRNO_OF: Final[dict[int | None, int]] = {
    Err.DNS_BUSY: errno.EBUSY,
    Err.DNS_FAILED: errno.EHOSTUNREACH,
}
"""The errno for the codes of names where the exception is no :class:`socket.gaierror`.

:data:`ERRNO_OF` has EAI codes for them, and an EAI code is not a valid errno.
"""

_REASON: Final[dict[int, tuple[str, str]]] = {
    Err.OK: ("the operation failed, although the module reports success", ""),
    Err.UNKNOWN: ("the module can't say why it failed", ""),
    Err.BLOCKED: ("the module is blocked by another operation", "try again later"),
    Err.INVALID_PARAMETERS: ("the module calls a parameter invalid", ""),
    Err.NO_MEMORY: ("the module is out of memory", "close a connection, or try again later"),
    Err.CREATE_FAILED: ("the module can't create another socket", "close a connection first"),
    Err.NOT_SUPPORTED: ("the module does not support this", ""),
    Err.BIND_FAILED: ("the local port can't be used", "choose another one, or 0"),
    Err.LISTEN_FAILED: ("the module can't listen on the local port", "choose another one"),
    Err.WRITE_FAILED: ("writing to the socket failed", ""),
    Err.READ_FAILED: ("reading from the socket failed", ""),
    Err.ACCEPT_FAILED: ("accepting a connection failed", ""),
    Err.OPEN_PDP_FAILED: ("no data connection to the network", "check registration and APN"),
    Err.CLOSE_PDP_FAILED: ("the data connection to the network could not be closed", ""),
    Err.IDENTITY_IN_USE: ("the connect ID is in use on the module", ""),
    Err.DNS_BUSY: ("the module is looking up another name", "try again later"),
    Err.DNS_FAILED: ("no such name", "check the spelling and the DNS servers"),
    Err.CONNECT_FAILED: ("connection refused", ""),
    Err.SOCKET_CLOSED: ("the socket is closed", ""),
    Err.BUSY: ("the module is busy", "try again later"),
    Err.TIMEOUT: ("the module's operation timed out", ""),
    Err.PDP_BROKEN: ("the data connection to the network broke down", "check the signal"),
    Err.SEND_CANCELLED: ("the send was cancelled", ""),
    Err.NOT_ALLOWED: ("the module does not allow this now", ""),
    Err.NO_APN: ("no APN is set", "set the APN of the SIM's operator"),
    Err.PORT_BUSY: (
        "the local port is in use",
        "choose another one, or 0; one that was closed is free again after two minutes",
    ),
}
"""Each ``<err>`` of table 2 in a reader's words, and what to do about it, if anything.

The table's own words are in :data:`~aiobc9x.spec.ERR_TEXT`: "DNS parse failed" is a name
that does not exist.
"""

_CONNECT_REASON: Final[dict[int, tuple[str, str]]] = {
    Err.WRITE_FAILED: ("the connection failed while it was being opened", ""),
    Err.READ_FAILED: ("the connection was reset while it was being opened", ""),
    Err.SOCKET_CLOSED: ("the connection was closed while it was being opened", ""),
    Err.TIMEOUT: ("connection timed out", ""),
}
"""What :data:`_REASON` words differently where a connection was being opened."""

_CME_REASON: Final[dict[int, str]] = {
    3: "the module does not allow this now",
    4: "the module does not support this",
    10: "the SIM is not inserted",
    11: "the SIM wants its PIN",
    12: "the SIM wants its PUK",
    13: "the SIM has failed",
    14: "the SIM is busy",
    15: "the SIM is the wrong one",
    16: "the password or PIN is wrong",
    17: "the SIM wants its PIN2",
    18: "the SIM wants its PUK2",
    30: "there is no network service",
    31: "the network did not answer in time",
    50: "the module calls a parameter incorrect",
    148: "the network refused, without a reason",
    262: "the SIM is blocked",
}
"""What a ``+CME ERROR`` means in a reader's words; for others 27.007's own words must do."""

_LOOKUP: Final = lazy_pattern(r'AT\+Q(?:IDNSGIP|PING|NTP)=\d+,"([^"]*)"', re.IGNORECASE)
"""A command that asks about a host: messages show that host instead of the command."""

_OF_THE_NOTE: Final = lazy_pattern(r"AT\+Q(?:I|PING|NTP)", re.IGNORECASE)
"""The note's own commands; their error codes are those of table 2 (§2.2.12)."""

_SHOWN_CHARACTERS: Final = 120

_E = TypeVar("_E", bound=BaseException)


def _restore(cls: type[_E], args: tuple[Any, ...], facts: dict[str, Any]) -> _E:
    """Rebuild a pickled exception without its constructor."""
    exc = cls.__new__(cls, *args)
    if isinstance(exc, OSError):
        OSError.__init__(exc, *args)
    exc.__dict__.update(facts)
    return exc


class ModemError(Exception):
    """Base class; catch it to handle any failure of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes, whatever the constructor takes."""
        return _restore, (type(self), self.args, self.__dict__.copy())


class LinkLost(ModemError, ConnectionAbortedError):
    """The port closed or failed, or could not be opened."""

    _errno = errno.ECONNABORTED

    def __init__(self, reason: str) -> None:
        OSError.__init__(self, self._errno, reason)


class PortNotFound(LinkLost, FileNotFoundError):
    """There is no such serial device."""

    _errno = errno.ENOENT


class PortDenied(LinkLost, PermissionError):
    """The serial device may not be opened by this user."""

    _errno = errno.EACCES


class PortBusy(LinkLost):
    """Another program holds the serial device, or another client of the serial server has it."""

    _errno = errno.EBUSY


class WrongModule(ModemError, OSError):
    """The module is of another kind, so its commands are not those of the note.

    "The note" is Quectel's BC65&BC92 TCP/IP application note, which this package follows.

    Attributes:
        model: The name that the module gives itself.

    """

    def __init__(self, model: str, address: str) -> None:
        text = f"{model} answers on {address}, not a BC65/BC92; profile= overrides"
        OSError.__init__(self, errno.ENODEV, text)
        self.model = model


class LinkTimeout(ModemError, TimeoutError):
    """The module gave no final result in time."""

    def __init__(self, reason: str) -> None:
        OSError.__init__(self, errno.ETIMEDOUT, reason)


class StageTimeout(ModemError, TimeoutError):
    """A call that consists of stages took longer than its timeout.

    Attributes:
        stage: What the call was waiting for when its time was over.
        timeout: Seconds that the whole call had.

    """

    stage: str
    timeout: float

    def __init__(self, stage: str, timeout: float, hint: str = "") -> None:
        text = f"timed out after {timeout:g} s, {stage}"
        OSError.__init__(self, errno.ETIMEDOUT, f"{text}: {hint}" if hint else text)
        self.stage, self.timeout = stage, timeout


class ModuleReset(ModemError, ConnectionResetError):
    """The module restarted; everything that was open on it is gone."""

    def __init__(self, reason: str) -> None:
        OSError.__init__(self, errno.ECONNRESET, reason)


class NetworkLost(ModemError, ConnectionResetError):
    """The module is no longer attached, or has no address."""

    def __init__(self, reason: str) -> None:
        OSError.__init__(self, errno.ECONNRESET, reason)


class StreamBroken(ModemError, ConnectionResetError):
    """Bytes of a connection are missing, or may be, so it can't go on."""

    def __init__(self, reason: str) -> None:
        OSError.__init__(self, errno.ECONNRESET, reason)


class NoFreeSocket(ModemError, OSError):
    """All six connect IDs are in use (§2.2.1)."""

    def __init__(
        self, reason: str = "all six connect IDs of the module are in use; close a connection first"
    ) -> None:
        OSError.__init__(self, errno.EMFILE, reason)


class BudgetExceeded(ModemError, OSError):
    """A budget of bytes over the air is spent, and it refuses what is new.

    Attributes:
        limit_bytes: The budget.
        per: ``"hour"``, ``"day"`` or ``"month"``, in UTC.
        spent_bytes: What was used in this period, as estimated.

    """

    limit_bytes: int
    per: str
    spent_bytes: int

    def __init__(self, limit_bytes: int, per: str, spent_bytes: int) -> None:
        text = (
            f"the budget of {limit_bytes} bytes for this {per} is spent (about {spent_bytes} bytes"
            f" over the air): wait for the next {per}, or set another one by modem.usage.budget()"
        )
        OSError.__init__(self, errno.EDQUOT, text)
        self.limit_bytes, self.per, self.spent_bytes = limit_bytes, per, spent_bytes


class CommandError(ModemError, OSError):
    """The module refused a command.

    Attributes:
        command: The command line as sent, without its ``<CR>``.
        err: The ``<err>`` code (§3), or ``None`` if the module gave none.
        cme: What followed ``+CME ERROR:`` or ``+CMS ERROR:`` (27.007), or ``None``.

    """

    command: str
    err: int | None
    cme: str | None

    def __init__(self, command: str, err: int | None = None, cme: str | None = None) -> None:
        OSError.__init__(self, _errno_of(self, err), _sentence(command, err, cme))
        self._about(command, err, cme)

    def _about(self, command: str, err: int | None = None, cme: str | None = None) -> None:
        """Keep what the module refused, and how."""
        self.command, self.err, self.cme = command, err, cme


def _errno_of(exc: CommandError, err: int | None) -> int:
    if not isinstance(exc, socket.gaierror) and err in _REAL_ERRNO_OF:
        return _REAL_ERRNO_OF[err]
    return ERRNO_OF.get(err, errno.EIO)


def quoted_command(command: str) -> str:
    """Quote a command line for a message, cut before its first secret or payload."""
    shown = masked_command(command)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
    return repr(shown)


def _sentence(command: str, err: int | None, cme: str | None) -> str:
    lookup = _LOOKUP.match(command)
    what = quoted_command(command) if lookup is None else lookup[1]
    if err is not None:
        return _worded(_REASON.get(err), what, err)
    return _refusal(f"the module refused {quoted_command(command)}", cme)


def _toward(target: tuple[str, int], err: int | None, cme: str | None) -> str:
    where = _endpoint(target)
    if err is None:
        return _refusal(f"the module refused to connect to {where}", cme)
    # A name does not exist whatever port was asked for.
    what = target[0] if err in _REAL_ERRNO_OF else where
    return _worded(_CONNECT_REASON.get(err, _REASON.get(err)), what, err)


def _worded(words: tuple[str, str] | None, what: str, err: int) -> str:
    """Say what happened, to what, the module's code, and then what to do."""
    reason, advice = words or ("the module failed with a code that its manual does not list", "")
    return f"{reason}: {what} (module error {err})" + (f"; {advice}" if advice else "")


def _refusal(refused: str, cme: str | None) -> str:
    """Word a refusal without an ``<err>``; a known ``+CME ERROR`` says why, so it comes first."""
    if cme is None:
        return f"{refused} (ERROR, without a reason)"
    code = cme_code(cme)
    known = code in _CME_REASON or code in CME_TEXT
    return f"{_meaning(cme)}: {refused}" if known else f"{refused} ({cme})"


def _endpoint(target: tuple[str, int]) -> str:
    host, port = target
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _meaning(cme: str) -> str:
    """Word what follows ``+CME ERROR:``: a number with AT+CMEE=1, words with AT+CMEE=2."""
    code = cme_code(cme)
    if code is None or (known := _CME_REASON.get(code, CME_TEXT.get(code))) is None:
        return cme
    return f"{known} ({_source(cme)})"


def _source(said: str) -> str:
    """Quote the module: a code of 27.007 with its name, other words as they came."""
    return said if cme_code(said) is None else f"+CME ERROR: {said.strip()}"


_CME_CODES: Final = {text.lower(): code for code, text in CME_TEXT.items()}


def cme_code(cme: str | None) -> int | None:
    """Return the number of what followed ``+CME ERROR:``, which is words with AT+CMEE=2.

    Args:
        cme: The number, or 27.007's words for it, in any capitals and with ``(U)SIM`` for SIM.

    Returns:
        The number, ``None`` for words that nobody knows.

    """
    text = (cme or "").strip().lower().replace("(u)sim", "sim")
    if text.isdecimal():
        return int(text[:9])
    return _CME_CODES.get(text)


class UnexpectedAnswer(CommandError):
    """The answer to a command can't be read.

    Attributes:
        lines: The information lines of the answer.

    """

    lines: tuple[bytes, ...]

    def __init__(self, command: str, lines: Sequence[bytes], reason: str) -> None:
        shown = [shown_line(line) for line in lines]
        text = f"the answer to {quoted_command(command)} can't be read: {reason}; got {shown!r}"
        OSError.__init__(self, errno.EPROTO, text)
        self._about(command)
        self.lines = tuple(lines)


class SettingRefused(CommandError):
    """The module kept refusing a setting of start-up that nothing works without."""

    def __init__(self, command: str, purpose: str, cme: str | None, seconds: float) -> None:
        said = "ERROR, without a reason" if cme is None else _meaning(cme)
        text = (
            f"the module refused {quoted_command(command)} for {seconds:.0f} s: {said}; without"
            f" this setting {purpose}; restart the module, or check that it is a BC65 or BC92"
        )
        OSError.__init__(self, errno.EOPNOTSUPP, text)
        self._about(command, cme=cme)


class SimError(CommandError):
    """The SIM can't be used, and waiting won't help: it has failed, or is blocked for good."""

    _errno = errno.EIO
    _advice = "the SIM can't be used: {meaning}; take it out and put it in again, or try another"

    def __init__(self, command: str, said: str) -> None:
        OSError.__init__(
            self, self._errno, self._advice.format(meaning=_meaning(said), code=_source(said))
        )
        self._about(command, cme=said)


class PukRequired(SimError, PermissionError):
    """The SIM wants its PUK, because wrong PINs have locked it, or has refused one.

    Attributes:
        tries_left: How many PUKs the SIM still takes; ``None`` if the module doesn't tell.

    """

    tries_left: int | None

    def __init__(self, command: str, said: str, tries_left: int | None = None) -> None:
        left = "ten wrong PUKs destroy it" if tries_left is None else _left(tries_left, "PUK")
        text = (
            f"wrong PINs have locked the SIM, which wants its PUK ({_source(said)}); unlock it by"
            f" unblock_sim(puk, new_pin), or in a phone; {left}"
        )
        OSError.__init__(self, errno.EACCES, text)
        self._about(command, cme=said)
        self.tries_left = tries_left


def _left(tries: int, what: str) -> str:
    return f"1 try of the {what} is left" if tries == 1 else f"{tries} tries of the {what} are left"


class SimLocked(SimError, PermissionError):
    """The module is locked to SIMs of one network or vendor, and this is another one."""

    _errno = errno.EACCES
    _advice = (
        "the module is locked to SIMs of another operator ({code});"
        " use such a SIM, or ask the seller of the module to unlock it"
    )


class SimMissing(SimError):
    """There is no SIM."""

    _errno = errno.ENODEV
    _advice = (
        "the SIM is not inserted ({code}); insert one, check its holder, and restart the module"
    )


class PinRequired(SimError):
    """The SIM wants a PIN, or has refused the one it was given.

    Attributes:
        tries_left: How many PINs the SIM still takes; ``None`` if the module doesn't tell.

    """

    tries_left: int | None

    def __init__(
        self, command: str, refused: str | None = None, tries_left: int | None = None
    ) -> None:
        if refused is None:
            text = "the SIM wants its PIN; pass pin=… to open_modem()"
        else:
            said = _meaning(refused)
            text = f"the SIM refused the PIN: {said}; pass the right pin=… to open_modem()"
        left = "" if tries_left is None else f"; {_left(tries_left, 'PIN')}"
        OSError.__init__(self, errno.EACCES, text + left)
        self._about(command, cme=refused)
        self.tries_left = tries_left


class OperationBlocked(CommandError, BlockingIOError):
    """551: the module is blocked by another operation."""


class WriteFailed(CommandError, BrokenPipeError):
    """558: the module could not write to the socket."""


class ReadFailed(CommandError, ConnectionResetError):
    """559: the module could not read from the socket."""


class AcceptFailed(CommandError, ConnectionAbortedError):
    """560: the module could not accept a connection."""


class SocketClosed(CommandError, ConnectionResetError):
    """567: the socket has been closed."""


class OperationTimedOut(CommandError, TimeoutError):
    """569: an operation of the module timed out."""


class OperationNotAllowed(CommandError, PermissionError):
    """572: the module does not allow this now."""


class ConnectFailed(CommandError):
    """No connection could be made, or no address found.

    Attributes:
        target: ``(host, port)`` where one was asked for, else ``None``.

    """

    target: tuple[str, int] | None

    def __init__(
        self,
        command: str,
        err: int | None = None,
        cme: str | None = None,
        target: tuple[str, int] | None = None,
    ) -> None:
        text = _sentence(command, err, cme) if target is None else _toward(target, err, cme)
        OSError.__init__(self, _errno_of(self, err), text)
        self._about(command, err, cme)
        self._aimed_at(target)

    def _aimed_at(self, target: tuple[str, int] | None) -> None:
        """Keep where the connection should have gone."""
        self.target = target


class ConnectBlocked(ConnectFailed, BlockingIOError):
    """551: the module is blocked by another operation."""


class AddressBusy(ConnectFailed):
    """556, 557 or 574: the local port can't be bound or listened on."""


class ConnectWriteFailed(ConnectFailed, BrokenPipeError):
    """558: the socket failed while connecting."""


class ConnectReadFailed(ConnectFailed, ConnectionResetError):
    """559: the socket failed while connecting."""


class ConnectAborted(ConnectFailed, ConnectionAbortedError):
    """560: accepting failed."""


class NetworkUnreachable(ConnectFailed):
    """561 or 573: there is no PDP context; check registration and APN."""


class NetworkDown(ConnectFailed):
    """562 or 570: the PDP context broke down."""


class ConnectIdBusy(ConnectFailed):
    """563: the connect ID is in use on the module."""


class NameBusy(ConnectFailed, socket.gaierror):
    """564: the module is busy with another name."""


class NameNotFound(ConnectFailed, socket.gaierror):
    """565: the name has no address."""


class ConnectRefused(ConnectFailed, ConnectionRefusedError):
    """566 well before ``open_time`` (§2.2.1, §3): nobody listens there."""


class ConnectClosed(ConnectFailed, ConnectionResetError):
    """567: the socket was closed while connecting."""


class ConnectTimedOut(ConnectFailed, TimeoutError):
    """569, or 566 about ``open_time`` after AT+QIOPEN, or no result at all."""

    def __init__(
        self,
        command: str,
        err: int | None = None,
        cme: str | None = None,
        target: tuple[str, int] | None = None,
    ) -> None:
        code = "the module gave no result" if err is None else f"module error {err}"
        where = quoted_command(command) if target is None else _endpoint(target)
        text = f"connection timed out: {where} ({code})"
        OSError.__init__(self, errno.ETIMEDOUT, text)
        self._about(command, err, cme)
        self._aimed_at(target)


class ConnectNotAllowed(ConnectFailed, PermissionError):
    """572: the module does not allow this connection."""


_COMMAND_CLASS: Final[dict[int | None, type[CommandError]]] = {
    Err.BLOCKED: OperationBlocked,
    Err.WRITE_FAILED: WriteFailed,
    Err.READ_FAILED: ReadFailed,
    Err.ACCEPT_FAILED: AcceptFailed,
    Err.SOCKET_CLOSED: SocketClosed,
    Err.TIMEOUT: OperationTimedOut,
    Err.NOT_ALLOWED: OperationNotAllowed,
}

_CONNECT_CLASS: Final[dict[int | None, type[ConnectFailed]]] = {
    Err.BLOCKED: ConnectBlocked,
    Err.BIND_FAILED: AddressBusy,
    Err.LISTEN_FAILED: AddressBusy,
    Err.PORT_BUSY: AddressBusy,
    Err.WRITE_FAILED: ConnectWriteFailed,
    Err.READ_FAILED: ConnectReadFailed,
    Err.ACCEPT_FAILED: ConnectAborted,
    Err.OPEN_PDP_FAILED: NetworkUnreachable,
    Err.NO_APN: NetworkUnreachable,
    Err.CLOSE_PDP_FAILED: NetworkDown,
    Err.PDP_BROKEN: NetworkDown,
    Err.IDENTITY_IN_USE: ConnectIdBusy,
    Err.DNS_BUSY: NameBusy,
    Err.DNS_FAILED: NameNotFound,
    Err.CONNECT_FAILED: ConnectRefused,
    Err.SOCKET_CLOSED: ConnectClosed,
    Err.TIMEOUT: ConnectTimedOut,
    Err.NOT_ALLOWED: ConnectNotAllowed,
}


def table_2_err(command: str, cme: str | None) -> int | None:
    """Return the ``<err>`` that a module gives after ``+CME ERROR:`` at once, if it does.

    Some firmwares say ``+CME ERROR: 563`` where the note has ``ERROR`` and AT+QIGETERROR
    (§2.2.12). The codes of 27.007 end below 550.

    Args:
        command: The command line; table 2 is for those of the note alone.
        cme: What followed ``+CME ERROR:``, if that was the answer.

    """
    if cme is None or not _OF_THE_NOTE.match(command) or not cme.strip().isdecimal():
        return None
    code = int(cme.strip()[:4])
    return code if code in ERR_TEXT and code != Err.OK else None


def command_error(command: str, err: int | None = None, cme: str | None = None) -> CommandError:
    """Make the exception for a refused command.

    Args:
        command: The command line, without its ``<CR>``.
        err: The ``<err>`` code (§3), if known.
        cme: The text of ``+CME ERROR`` or ``+CMS ERROR``, if that was the answer.

    """
    err = table_2_err(command, cme) if err is None else err
    return _COMMAND_CLASS.get(err, CommandError)(command, err, cme)


def connect_error(
    command: str,
    err: int | None = None,
    cme: str | None = None,
    target: tuple[str, int] | None = None,
) -> ConnectFailed:
    """Make the exception for a connection or a name that failed; see :func:`command_error`."""
    err = table_2_err(command, cme) if err is None else err
    return _CONNECT_CLASS.get(err, ConnectFailed)(command, err, cme, target)
