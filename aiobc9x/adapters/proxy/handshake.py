"""Find out from a proxy's client where it wants to be connected, and answer it.

Layer: adapters. Does no I/O, reads no clock.

The client's first byte tells which protocol it speaks: 5 is SOCKS5, and a letter is HTTP.
"""

from __future__ import annotations

import abc
import enum
import errno
import socket
from typing import Final, NoReturn

from aiobc9x.errors import NoFreeSocket
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import PORTS
from aiobc9x.wire.host import Host


class Failure(enum.Enum):
    """Why a request can't be served, in terms that SOCKS5 and HTTP share."""

    FULL = "all sockets of the module are in use"
    REFUSED = "refused"
    NO_HOST = "no such host, or it can't be reached"
    NO_NETWORK = "no network"
    TIMEOUT = "timeout"
    BAD_TARGET = "not an address that the module can connect to"
    OTHER = "failed"


_FAILURE_OF_ERRNO: Final = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.EHOSTUNREACH: Failure.NO_HOST,
    errno.ENETUNREACH: Failure.NO_NETWORK,
    errno.ENETDOWN: Failure.NO_NETWORK,
    errno.ETIMEDOUT: Failure.TIMEOUT,
}


def failure_of(exc: BaseException) -> Failure:
    """Classify what :meth:`Modem.create_connection` raised."""
    if isinstance(exc, NoFreeSocket):
        return Failure.FULL
    if isinstance(exc, socket.gaierror):  # its errno is a code of getaddrinfo(), such as EAI_NONAME
        return Failure.NO_HOST
    if isinstance(exc, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(exc, OSError):
        return _FAILURE_OF_ERRNO.get(exc.errno or 0, Failure.OTHER)
    return Failure.BAD_TARGET if isinstance(exc, ValueError) else Failure.OTHER


@slotted(frozen=True)
class Request:
    """Where a client wants to be connected.

    Attributes:
        host: A name or an address, not yet checked: it may be one that the module can't take.
        port: Remote port, 1–65535.
        first: Bytes that the peer gets first: those that the client sent after its request, or,
            for an HTTP request that is forwarded, the request itself.
        body_bytes: How many bytes of the client may follow ``first``; ``None`` for any number.

    """

    host: Host
    port: int
    first: bytes = b""
    body_bytes: int | None = None


@slotted(frozen=True)
class HandshakeStep:
    """What the proxy has to do next for a client.

    Attributes:
        reply: Bytes to send to the client.
        request: The client's request, once all of it has arrived.
        is_over: Whether the client is to be turned away after ``reply``.
        is_checked: Whether ``reply`` is all that the client wants, because it has asked for the
            proxy's health.

    """

    reply: bytes = b""
    request: Request | None = None
    is_over: bool = False
    is_checked: bool = False


class Malformed(Exception):
    """A client broke the protocol, or requested what the proxy doesn't support."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


class Handshake(abc.ABC):
    """The proxy's side of one protocol, up to the request and the answer to it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_over = False

    def feed(self, data: bytes) -> HandshakeStep:
        """Take bytes from the client; return what to do, and never raise.

        Bytes are ignored after the request is complete, or after the client was turned away.
        """
        if self._is_over:
            return HandshakeStep()
        self._received += data
        try:
            step = self._advance()
        except Malformed as exc:
            step = HandshakeStep(exc.reply, is_over=True)
        self._is_over = step.is_over or step.is_checked or step.request is not None
        return step

    @abc.abstractmethod
    def _advance(self) -> HandshakeStep:
        """Read as much of the handshake as has arrived; raise :class:`Malformed` if it is wrong."""

    @abc.abstractmethod
    def granted(self) -> bytes:
        """Return the bytes that tell the client that it is connected."""

    @abc.abstractmethod
    def refused(self, exc: BaseException) -> bytes:
        """Return the bytes that tell the client why it can't be connected."""


_AUTHORITY: Final = lazy_pattern(r"(?:\[([^\[\]]+)\]|([^\[\]:@/?#\\]+))(?::([0-9]{1,5}))?")


def split_authority(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port``.

    Args:
        text: The authority.
        default_port: The port if ``text`` has none; ``None`` if ``text`` must have one.

    Raises:
        ValueError: The text isn't of this form, or the port is not in 1–65535.

    """
    match = _AUTHORITY.fullmatch(text)
    port = default_port if match is None or match[3] is None else int(match[3])
    if match is None or port is None or port not in PORTS:
        _complain(text, default_port)
    return match[1] or match[2], port


def _complain(text: str, default_port: int | None) -> NoReturn:
    form = "host:port" if default_port is None else "host or host:port"
    raise ValueError(f"{text!r} is not {form}, with a port of 1–65535")
