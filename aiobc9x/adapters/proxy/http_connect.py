"""Read HTTP/1.1 as a proxy gets it: CONNECT, and requests for a whole ``http://`` address.

Layer: adapters. Does no I/O, reads no clock.

A request for a whole address is sent to its server with the path alone. Each connection carries
one such request, because the client's next request may be for another server. The body is
counted by its Content-Length, so that the client's next request doesn't reach this server. A
chunked body has no such length, so it is refused.

One path of the proxy's own tells a load balancer whether clients can be served.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from aiobc9x.adapters.proxy.api import NO_CHECK, HealthCheck
from aiobc9x.adapters.proxy.handshake import (
    Failure,
    Handshake,
    HandshakeStep,
    Malformed,
    Request,
    failure_of,
    split_authority,
)
from aiobc9x.patterns import lazy_pattern
from aiobc9x.wire.host import Host

HEAD_LIMIT_BYTES: Final = 16 * 1024
"""Bytes of the longest request line and header fields, without the body."""

_HTTP_PORT: Final = 80

_STATUS_OF: Final = {
    Failure.FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    Failure.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    Failure.BAD_TARGET: HTTPStatus.BAD_REQUEST,
}
"""The status of each failure; the status of all other failures is 502, Bad Gateway."""

_HEAD_END: Final = lazy_pattern(rb"\r?\n\r?\n")
_REQUEST_LINE: Final = lazy_pattern(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
_FIELD: Final = lazy_pattern(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_ADDRESS: Final = lazy_pattern(r"http://(?:[^/?#]*@)?([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_LENGTH: Final = lazy_pattern("[0-9]{1,15}")

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "host",  # a Host field is made from the request's address (RFC 9112, 3.2.2)
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
    }
)

_WHAT_TO_USE: Final = "use CONNECT host:port, or a request for a whole http:// address"


def response(status: HTTPStatus, text: str) -> bytes:
    """Return a response whose body is one line, and after which the connection closes."""
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status:d} {status.phrase}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _tell_health(method: str, is_well: bool) -> bytes:
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    told = response(status, "up" if is_well else "down")
    return told if method == "GET" else told[: told.index(b"\r\n\r\n") + 4]


def _fail(status: HTTPStatus, text: str) -> Malformed:
    return Malformed(response(status, f"aiobc9x proxy: {text}"))


class HttpHandshake(Handshake):
    """Read one HTTP request, and answer it.

    Args:
        health: Which path asks for the proxy's health, and what is answered.

    """

    def __init__(self, health: HealthCheck = NO_CHECK) -> None:
        super().__init__()
        self._health = health
        self._scanned = 0
        self._is_connect = True

    def granted(self) -> bytes:
        """Return 200 to a CONNECT, and nothing to other requests, which the server answers."""
        return b"HTTP/1.1 200 Connection established\r\n\r\n" if self._is_connect else b""

    def refused(self, exc: BaseException) -> bytes:
        """Return a response with the status that fits the exception best, and its text."""
        status = _STATUS_OF.get(failure_of(exc), HTTPStatus.BAD_GATEWAY)
        text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
        return response(status, f"aiobc9x proxy: {text}")

    def _advance(self) -> HandshakeStep:
        self._check_beginning()
        # The empty line that ends the head may have begun in the last three bytes already scanned.
        end = _HEAD_END.search(self._received, max(0, self._scanned - 3))
        self._scanned = len(self._received)
        if (end.end() if end else self._scanned) > HEAD_LIMIT_BYTES:
            text = f"the request is longer than {HEAD_LIMIT_BYTES} bytes without its body"
            raise _fail(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        if end is None:
            return HandshakeStep()
        head = self._received[: end.start()].decode("latin-1")
        return self._read(head, bytes(self._received[end.end() :]))

    def _check_beginning(self) -> None:
        """Refuse what is no HTTP at its first byte.

        A client of another protocol may send no line end, and would wait for ever.
        """
        if self._received and not 0x21 <= self._received[0] <= 0x7E:
            raise _fail(HTTPStatus.BAD_REQUEST, "this is neither SOCKS5 nor HTTP")

    def _read(self, head: str, rest: bytes) -> HandshakeStep:
        line, *fields = re.split("\r?\n", head)
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            raise _fail(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")
        headers = _headers(fields)
        method, target, minor = match.groups()
        if method == "CONNECT":
            return HandshakeStep(request=_connect(target, rest))
        if method in {"GET", "HEAD"} and target == self._health.path:
            return HandshakeStep(_tell_health(method, self._health.is_well()), is_checked=True)
        self._is_connect = False
        return HandshakeStep(request=_forward(method, target, minor, headers, rest))


def _headers(fields: list[str]) -> list[tuple[str, str]]:
    found = []
    for field in fields:
        match = _FIELD.fullmatch(field)
        if match is None or re.search("[\0\r\n]", field):
            raise _fail(HTTPStatus.BAD_REQUEST, f"this is no header field: {field[:80]!r}")
        found.append((match[1], match[2]))
    return found


def _connect(target: str, rest: bytes) -> Request:
    try:
        host, port = split_authority(target)
    except ValueError as exc:
        raise _fail(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    return Request(Host.read(host), port, rest)


def _forward(
    method: str, target: str, minor: str, headers: list[tuple[str, str]], rest: bytes
) -> Request:
    match = _ADDRESS.fullmatch(target)
    if match is None:
        is_other = re.match("[A-Za-z][A-Za-z0-9+.-]*://", target) is not None
        status = HTTPStatus.NOT_IMPLEMENTED if is_other else HTTPStatus.BAD_REQUEST
        raise _fail(status, f"this is a proxy: {_WHAT_TO_USE}")
    authority, path = match.groups()
    try:
        host, port = split_authority(authority, _HTTP_PORT)
    except ValueError as exc:
        raise _fail(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    length = _body_length(headers)
    if not path:
        path = "*" if method == "OPTIONS" else "/"
    elif path.startswith("?"):
        path = f"/{path}"
    lines = [f"{method} {path} HTTP/1.{minor}", f"Host: {authority}", *_kept(headers)]
    first = "".join(f"{line}\r\n" for line in (*lines, "Connection: close", ""))
    body = rest[:length]
    return Request(Host.read(host), port, first.encode("latin-1") + body, length - len(body))


def _body_length(headers: list[tuple[str, str]]) -> int:
    values = {name.lower(): value for name, value in headers}
    if "transfer-encoding" in values:
        text = f"a chunked request needs a Content-Length here, or CONNECT: {_WHAT_TO_USE}"
        raise _fail(HTTPStatus.LENGTH_REQUIRED, text)
    lengths = {value for name, value in headers if name.lower() == "content-length"} or {"0"}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise _fail(HTTPStatus.BAD_REQUEST, "Content-Length is no number, or there are two")
    return int(length)


def _kept(headers: list[tuple[str, str]]) -> list[str]:
    named = ",".join(value for name, value in headers if name.lower() == "connection")
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in named.split(",")}
    dropped -= {"content-length"}  # without it the server would take the body for another request
    return [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
