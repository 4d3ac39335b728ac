"""Speak the server's side of SOCKS5 (RFC 1928).

Layer: adapters. Does no I/O, reads no clock.

Only CONNECT without authentication is supported. Names are resolved by the module. No message is
longer than 262 bytes, so the buffer needs no limit.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from aiobc9x.adapters.proxy.handshake import (
    Failure,
    Handshake,
    HandshakeStep,
    Malformed,
    Request,
    failure_of,
)
from aiobc9x.wire.host import Host

VERSION: Final = 5

_NO_AUTHENTICATION: Final = 0
_NONE_ACCEPTABLE: Final = bytes((VERSION, 0xFF))
_CONNECT: Final = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4

GENERAL_FAILURE: Final = 1
COMMAND_NOT_SUPPORTED: Final = 7
ADDRESS_TYPE_NOT_SUPPORTED: Final = 8

_CODE_OF: Final = {
    Failure.FULL: GENERAL_FAILURE,
    Failure.NO_NETWORK: 3,
    Failure.NO_HOST: 4,
    Failure.REFUSED: 5,
    Failure.TIMEOUT: 6,
    Failure.BAD_TARGET: GENERAL_FAILURE,
    Failure.OTHER: GENERAL_FAILURE,
}


def reply(code: int) -> bytes:
    """Return a reply; its address is 0.0.0.0:0, because a client can't use the module's."""
    return bytes((VERSION, code, 0, _IPV4)) + bytes(6)


class SocksHandshake(Handshake):
    """Read a greeting and answer it, then read a request and answer it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_greeted = False

    def granted(self) -> bytes:
        """Return the reply 0, which means that the client is connected."""
        return reply(0)

    def refused(self, exc: BaseException) -> bytes:
        """Return the reply that fits the exception best."""
        return reply(_CODE_OF[failure_of(exc)])

    def _advance(self) -> HandshakeStep:
        answer = b""
        if not self._is_greeted:
            if not self._take_greeting():
                return HandshakeStep()
            answer = bytes((VERSION, _NO_AUTHENTICATION))
        try:
            return HandshakeStep(answer, self._take_request())
        except Malformed as exc:
            raise Malformed(answer + exc.reply) from exc

    def _take_greeting(self) -> bool:
        data = self._received
        if data[:1] and data[0] != VERSION:
            raise Malformed(_NONE_ACCEPTABLE)
        if len(data) < 2 or len(data) < 2 + data[1]:
            return False
        end = 2 + data[1]
        if _NO_AUTHENTICATION not in data[2:end]:
            raise Malformed(_NONE_ACCEPTABLE)
        del data[:end]
        self._is_greeted = True
        return True

    def _take_request(self) -> Request | None:
        data = self._received
        if data[:1] and data[0] != VERSION:
            raise Malformed(reply(GENERAL_FAILURE))
        if len(data) > 1 and data[1] != _CONNECT:
            raise Malformed(reply(COMMAND_NOT_SUPPORTED))
        if len(data) > 3 and data[3] not in {_IPV4, _NAME, _IPV6}:
            raise Malformed(reply(ADDRESS_TYPE_NOT_SUPPORTED))
        if len(data) < 5:
            return None
        start = 5 if data[3] == _NAME else 4
        end = start + {_IPV4: 4, _IPV6: 16, _NAME: data[4]}[data[3]]
        if len(data) < end + 2:
            return None
        host = _host(data[3], bytes(data[start:end]))
        port = int.from_bytes(data[end : end + 2], "big")
        if not host or not port:
            raise Malformed(reply(GENERAL_FAILURE))
        return Request(Host.read(host), port, bytes(data[end + 2 :]))


def _host(kind: int, data: bytes) -> str:
    if kind == _NAME:
        # Bytes that are no UTF-8 come out as text that is no host name, which is refused later.
        return data.decode("utf-8", "backslashreplace")
    return str(ipaddress.ip_address(data))
