"""What a proxy's client and the proxy say to each other before bytes flow.

Layer: adapters. Does no I/O, reads no clock.

The first byte tells the protocols apart: SOCKS5 begins with its version, HTTP with a letter.
"""

from __future__ import annotations

import abc
import enum
import errno
import re
import socket
from dataclasses import dataclass
from typing import Final, NoReturn

from aiobc9x.errors import NoFreeSocket
from aiobc9x.spec import PORTS
from aiobc9x.wire.host import Host


class Failure(enum.Enum):
    """Why a request can't be served, in the terms that the protocols share."""

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
    if isinstance(exc, socket.gaierror):  # its errno is no errno
        return Failure.NO_HOST
    if isinstance(exc, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(exc, OSError):
        return _FAILURE_OF_ERRNO.get(exc.errno or 0, Failure.OTHER)
    return Failure.BAD_TARGET if isinstance(exc, ValueError) else Failure.OTHER


@dataclass(frozen=True, slots=True)
class Request:
    """Where a client wants to be connected.

    Attributes:
        host: A name or an address, or what the module can't be given.
        port: 1–65535.
        first: What the peer gets first: bytes that came behind the request, or the request.
        body_bytes: How many bytes may follow ``first``; ``None`` for any number.

    """

    host: Host
    port: int
    first: bytes = b""
    body_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class HandshakeStep:
    """What to do next.

    Attributes:
        reply: Bytes for the client.
        request: What the client wants, once it has said so.
        is_over: Whether the client is to be turned away behind ``reply``.

    """

    reply: bytes = b""
    request: Request | None = None
    is_over: bool = False


class Malformed(Exception):
    """A client breaks the protocol, or wants what the proxy doesn't do."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


class Handshake(abc.ABC):
    """The proxy's side of one protocol, up to the request and the answer to it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_over = False

    def feed(self, data: bytes) -> HandshakeStep:
        """Take bytes from the client; never raises.

        Behind a request, or behind the end, bytes are ignored.
        """
        if self._is_over:
            return HandshakeStep()
        self._received += data
        try:
            step = self._advance()
        except Malformed as exc:
            step = HandshakeStep(exc.reply, is_over=True)
        self._is_over = step.is_over or step.request is not None
        return step

    @abc.abstractmethod
    def _advance(self) -> HandshakeStep:
        """Go on as far as the bytes received allow, or raise :class:`Malformed`."""

    @abc.abstractmethod
    def granted(self) -> bytes:
        """Return what tells the client that it is connected."""

    @abc.abstractmethod
    def refused(self, exc: BaseException) -> bytes:
        """Return what tells the client why it can't be connected."""


_AUTHORITY: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:@/?#\\]+))(?::([0-9]{1,5}))?")


def split_authority(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port``.

    Args:
        text: The authority.
        default_port: What a missing port stands for; ``None`` to insist on one.

    Raises:
        ValueError: It isn't of this form, or the port is not in 1–65535.

    """
    match = _AUTHORITY.fullmatch(text)
    port = default_port if match is None or match[3] is None else int(match[3])
    if match is None or port is None or port not in PORTS:
        _complain(text, default_port)
    return match[1] or match[2], port


def _complain(text: str, default_port: int | None) -> NoReturn:
    form = "host:port" if default_port is None else "host or host:port"
    raise ValueError(f"{text!r} is not {form}, with a port of 1–65535")
