"""Carry httpcore's connections over the modem, by a network backend.

Layer: adapters.

    async with httpcore.AsyncConnectionPool(network_backend=ModemBackend(modem)) as pool:
        response = await pool.request("GET", "https://example.com/")

HTTP/1.1, HTTP/2, proxies and upgrades are httpcore's own. TLS is anyio's, which can run inside
another TLS connection (through an HTTPS proxy), on asyncio's loop and on uvloop. For httpx see
:mod:`aiobc9x.adapters.httpx`.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

try:
    import httpcore
except ImportError as exc:
    raise ImportError(f"{exc}; install it with: pip install 'aiobc9x[http]'") from exc

from aiobc9x.adapters.anyio import ModemAttribute, connect_tcp
from aiobc9x.aio.dialer import Dialer

__all__ = ["ModemBackend", "ModemNetworkStream"]

WRITE_BYTES: Final = 4096
"""Bytes of each piece that a write is cut into; each piece has a timeout of its own."""

CLOSE_LIMIT_S: Final = 5.0
"""Seconds that a close waits until the module has taken what was written, and has closed."""

_FAMILIES: Final[dict[str | None, int]] = {
    None: 0,
    "0.0.0.0": socket.AF_INET,
    "::": socket.AF_INET6,
}


class ModemNetworkStream(httpcore.AsyncNetworkStream):
    """A connection through the modem, with TLS or without, as an httpcore stream."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._is_cut = False

    def __repr__(self) -> str:
        return f"<ModemNetworkStream on {self._stream!r}>"

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, or ``b""`` at the end.

        Args:
            max_bytes: The most bytes to return, 1 or more.
            timeout: Seconds until the first byte; ``None``: no limit.

        Raises:
            httpcore.ReadTimeout: No byte came in time; no byte is lost by the timeout.
            httpcore.ReadError: The connection or its TLS failed.

        Cancellation is safe, as for :meth:`~aiobc9x.adapters.anyio.ByteStream.receive`.

        """
        with _errors_as(httpcore.ReadTimeout, httpcore.ReadError):
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
            httpcore.WriteTimeout: The module took too long.
            httpcore.WriteError: The connection broke, or the peer closed it.

        After a cancellation or a timeout, a part of the bytes may have been sent, and the stream
        can only be closed.

        """
        self._is_cut = True
        with _errors_as(httpcore.WriteTimeout, httpcore.WriteError):
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
    ) -> ModemNetworkStream:
        """Start TLS on this connection, which may already be one with TLS.

        Args:
            ssl_context: The context.
            server_hostname: The host name that the server's certificate must have.
            timeout: Seconds for the handshake; ``None``: no limit.

        Raises:
            httpcore.ConnectTimeout: The handshake took too long.
            httpcore.ConnectError: The handshake failed; the cause says why.

        A failure or a cancellation closes the connection.

        """
        with _errors_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                with anyio.fail_after(timeout):
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
        return ModemNetworkStream(secured)

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


class ModemBackend(httpcore.AsyncNetworkBackend):
    """Open httpcore's connections on the module.

    Each connection holds one of the module's six connect IDs. Give httpcore's pool a
    ``max_connections`` of at most the free ones: then a further request waits in the pool,
    instead of failing with a ``ConnectError``.
    """

    def __init__(self, modem: Dialer) -> None:
        self._modem = modem

    def __repr__(self) -> str:
        return f"<ModemBackend on {self._modem!r}>"

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> ModemNetworkStream:
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
            httpcore.ConnectTimeout: Not connected in time.
            httpcore.ConnectError: Not connected, or an argument asks for what no module can do;
                the cause says why.

        Cancellation is safe, as for :func:`aiobc9x.adapters.anyio.connect_tcp`.

        """
        with _errors_as(httpcore.ConnectTimeout, httpcore.ConnectError):
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
        return ModemNetworkStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> ModemNetworkStream:
        """Raise ``ConnectError``, because a module has no Unix sockets.

        Raises:
            httpcore.ConnectError: Always.

        """
        raise httpcore.ConnectError(f"the module can't connect to the Unix socket {path!r}")

    async def sleep(self, seconds: float) -> None:
        """Wait between two of httpcore's tries to connect."""
        await anyio.sleep(seconds)


@contextmanager
def _errors_as(
    timed_out: Callable[[str], Exception], failed: Callable[[str], Exception]
) -> Iterator[None]:
    """Turn exceptions of the modem, anyio and TLS into httpcore's."""
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
