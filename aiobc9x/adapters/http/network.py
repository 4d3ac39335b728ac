"""Carry an HTTP library's connections over the modem, by its network backend.

Layer: adapters.

httpcore and httpcore2, which goes on from it, have the same interface under two names. All that
the adapter does stands here once. A class of a library names the library in its body, and
derives from what the library declares: :mod:`aiobc9x.adapters.httpcore` and
:mod:`aiobc9x.adapters.httpcore2`.

HTTP/1.1, HTTP/2, proxies and upgrades are the library's own. TLS is anyio's, which can run inside
another TLS connection (through an HTTPS proxy), on asyncio's loop and on uvloop.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from aiobc9x.adapters.anyio import ModemAttribute, connect_tcp
from aiobc9x.aio.dialer import Dialer
from aiobc9x.aio.transports.resuming import connecting_to

WRITE_BYTES: Final = 4096
"""Bytes of each piece that a write is cut into; each piece has a timeout of its own."""

CLOSE_LIMIT_S: Final = 5.0
"""Seconds that a close waits until the module has taken what was written, and has closed."""

SocketOption: TypeAlias = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)
"""The arguments of :meth:`socket.socket.setsockopt`."""

S = TypeVar("S", bound="HttpStream")

_FAMILIES: Final[dict[str | None, int]] = {
    None: 0,
    "0.0.0.0": socket.AF_INET,
    "::": socket.AF_INET6,
}


class HttpStream:
    """A connection through the modem, with TLS or without, as a network stream of a library.

    Attributes:
        library: httpcore or httpcore2, whose exceptions are raised.

    """

    library: ModuleType

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._is_cut = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._stream!r}>"

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, or ``b""`` at the end.

        Args:
            max_bytes: The most bytes to return, 1 or more.
            timeout: Seconds until the first byte; ``None``: no limit.

        Raises:
            ReadTimeout: No byte came in time; no byte is lost by the timeout.
            ReadError: The connection or its TLS failed.

        Cancellation is safe, as for :meth:`~aiobc9x.adapters.anyio.ByteStream.receive`.

        """
        with _errors_as(self.library.ReadTimeout, self.library.ReadError):
            try:
                with anyio.fail_after(timeout):
                    return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes.

        Args:
            buffer: Any number of bytes.
            timeout: Seconds for each 4096 bytes, so that a large body may take as long as
                the line needs; ``None``: no limit.

        Raises:
            WriteTimeout: The module took too long.
            WriteError: The connection broke, or the peer closed it.

        After a cancellation or a timeout, a part of the bytes may have been sent, and the stream
        can only be closed.

        """
        self._is_cut = True
        with _errors_as(self.library.WriteTimeout, self.library.WriteError):
            for start in range(0, len(buffer), WRITE_BYTES):
                with anyio.fail_after(timeout):
                    await self._stream.send(buffer[start : start + WRITE_BYTES])
        self._is_cut = False

    async def aclose(self) -> None:
        """Close the connection, after up to 5 s in which the module takes what was written.

        If a write was cut short, what waits is dropped at once. A broken connection raises
        nothing. After a cancellation, and after the 5 s, the socket is closed in the background.
        """
        with anyio.move_on_after(0 if self._is_cut else CLOSE_LIMIT_S):
            try:
                await self._stream.aclose()
            except anyio.BrokenResourceError:
                pass  # if bytes were lost, the response has shown it: it is missing or cut

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Start TLS on this connection, which may already be one with TLS.

        Args:
            ssl_context: The context.
            server_hostname: The host name that the server's certificate must have.
            timeout: Seconds for the handshake; ``None``: no limit.

        Raises:
            ConnectTimeout: The handshake took too long.
            ConnectError: The handshake failed; the cause says why.

        A failure or a cancellation closes the connection.

        """
        with _errors_as(self.library.ConnectTimeout, self.library.ConnectError):
            try:
                port = self._stream.extra(SocketAttribute.remote_port, None)
                with anyio.fail_after(timeout), connecting_to(port):
                    secured = await TLSStream.wrap(
                        self._stream,
                        server_side=False,
                        hostname=server_hostname,
                        ssl_context=ssl_context,
                        standard_compatible=False,
                    )
            except BaseException:
                await anyio.aclose_forcefully(self._stream)
                raise
        return type(self)(secured)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the connection (``Any``: of all types); ``None`` if it is unknown.

        Args:
            info: ``"ssl_object"``, ``"client_addr"``, ``"server_addr"``, ``"socket"`` (a
                :class:`~aiobc9x.aio.transports.socket_view.SocketView`), or ``"is_readable"``:
                whether :meth:`read` would return, or raise, at once.

        """
        attributes: dict[str, Any] = {  # Any: anyio declares each attribute as its value's type
            "ssl_object": TLSAttribute.ssl_object,
            "client_addr": SocketAttribute.local_address,
            "server_addr": SocketAttribute.remote_address,
            "socket": ModemAttribute.socket_view,
            "is_readable": ModemAttribute.is_readable,
        }
        return self._stream.extra(attributes[info], None) if info in attributes else None


class HttpBackend(Generic[S]):
    """Open a library's connections on the module.

    Attributes:
        library: httpcore or httpcore2, whose exceptions are raised.
        stream_type: What a connection is returned as.

    """

    library: ModuleType
    stream_type: type[S]

    def __init__(self, modem: Dialer) -> None:
        self._modem = modem

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._modem!r}>"

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> S:
        """Connect a TCP socket through the module, which resolves the name.

        Args:
            host: IP literal, or a domain name of at most 253 bytes.
            port: Remote port.
            timeout: Seconds for the whole call, waiting for the network included; ``None``:
                as :meth:`aiobc9x.Modem.create_connection`.
            local_address: ``"0.0.0.0"`` for IPv4, ``"::"`` for IPv6; another address can't be
                chosen.
            socket_options: Options that change no byte, such as TCP_NODELAY, do nothing; others
                are an error.

        Raises:
            ConnectTimeout: Not connected in time.
            ConnectError: Not connected, or an argument asks for what no module can do;
                the cause says why.

        Cancellation is safe, as for :func:`aiobc9x.adapters.anyio.connect_tcp`.

        """
        with _errors_as(self.library.ConnectTimeout, self.library.ConnectError):
            if local_address not in _FAMILIES:
                text = f"{os.strerror(errno.EADDRNOTAVAIL)}: {local_address!r}"
                raise OSError(errno.EADDRNOTAVAIL, f"{text}; the module chooses")
            stream = await connect_tcp(
                self._modem, host, port, family=_FAMILIES[local_address], timeout=timeout
            )
            try:
                for option in socket_options or ():
                    stream.extra(ModemAttribute.socket_view).setsockopt(*option)
            except OSError:
                await anyio.aclose_forcefully(stream)
                raise
        return self.stream_type(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> S:
        """Raise ``ConnectError``, because a module has no Unix sockets.

        Raises:
            ConnectError: Always.

        """
        raise self.library.ConnectError(f"the module can't connect to the Unix socket {path!r}")

    async def sleep(self, seconds: float) -> None:
        """Wait between two of the library's tries to connect."""
        await anyio.sleep(seconds)


@contextmanager
def _errors_as(
    timed_out: Callable[[str], Exception], failed: Callable[[str], Exception]
) -> Iterator[None]:
    """Turn exceptions of the modem, anyio and TLS into the library's."""
    try:
        yield
    except anyio.ConnectionFailed as exc:
        was_timeout = isinstance(exc.__cause__, TimeoutError)
        raise (timed_out if was_timeout else failed)(str(exc)) from exc.__cause__
    except TimeoutError as exc:
        raise timed_out(str(exc) or "timed out") from exc
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream) as exc:
        raise failed(str(exc) or type(exc).__name__) from exc
    except (OSError, ValueError) as exc:  # a host that can't be a name is a ValueError
        raise failed(str(exc)) from exc
