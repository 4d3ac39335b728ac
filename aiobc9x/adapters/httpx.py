"""Send httpx's requests over the modem, by a transport.

Layer: adapters.

    transport = ModemTransport(modem)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
        response = await client.get("https://example.com/")

httpx's own transport has no argument for httpcore's network backend. The transport here does the
same and sets the backend, with public interfaces alone, and has defaults for six sockets and a
slow line.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, TypeAlias

try:
    import httpcore
    import httpx
except ImportError as exc:
    raise ImportError(f"{exc}; install it with: pip install 'aiobc9x[http]'") from exc

from aiobc9x.adapters.httpcore import ModemBackend
from aiobc9x.aio.dialer import Dialer
from aiobc9x.spec import CONNECT_IDS

__all__ = ["LIMITS", "TIMEOUT", "ModemTransport"]

LIMITS: Final = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=60)
"""Limits that leave two of the module's six sockets free for other uses.

Connections are kept open for 60 s, because opening one is slow and costs data."""

TIMEOUT: Final = httpx.Timeout(60, connect=120, pool=None)
"""Timeouts for a slow line, on which a TLS handshake takes longer than httpx's default of 5 s."""

MAX_CONNECTIONS: Final = len(CONNECT_IDS)

CertTypes: TypeAlias = str | tuple[str, str] | tuple[str, str, str]
"""httpx's ways to name a client's certificate."""

_EXCEPTIONS: Final = (  # subclasses before their base classes
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.TimeoutException, httpx.TimeoutException),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.ProtocolError, httpx.ProtocolError),
)


class ModemTransport(httpx.AsyncBaseTransport):
    """A transport as :class:`httpx.AsyncHTTPTransport`, over the modem.

    A client that is given a transport ignores its own ``verify=``, ``cert=``, ``http2=`` and
    ``limits=``: pass these, and ``proxy=``, to the transport. Close the client before the modem.

    Args:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        verify: ``True`` for the usual authorities, ``False`` for no check at all, or a context.
        cert: A client's certificate, as in httpx.
        trust_env: Whether to read ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; the proxies that the
            environment names are never used.
        http1: Whether HTTP/1.1 may be used.
        http2: Whether HTTP/2 may be used; needs ``pip install 'httpx[http2]'``.
        limits: How many connections there may be, and how long idle ones are kept; there are
            never more than six, the module's sockets. Further requests wait for a connection,
            at most for the client's ``pool`` timeout.
        proxy: An HTTP or SOCKS proxy to be reached through the modem.
        retries: How often a failed connect is tried again, 0 or more.

    Raises:
        ValueError: The proxy is of an unknown kind.
        ImportError: ``http2=True`` or a SOCKS proxy needs a package that is not installed.

    """

    def __init__(
        self,
        modem: Dialer,
        *,
        verify: ssl.SSLContext | bool = True,
        cert: CertTypes | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = LIMITS,
        proxy: httpx.Proxy | httpx.URL | str | None = None,
        retries: int = 0,
    ) -> None:
        context = httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        wanted = limits.max_connections
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=_proxy(proxy),
            max_connections=MAX_CONNECTIONS if wanted is None else min(wanted, MAX_CONNECTIONS),
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=http1,
            http2=http2,
            retries=retries,
            network_backend=ModemBackend(modem),
        )

    def __repr__(self) -> str:
        return f"<ModemTransport {self._pool!r}>"

    async def __aenter__(self) -> ModemTransport:
        """Return the transport itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Close the transport; see :meth:`aclose`."""
        await self.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, whose body is still to be read.

        Raises:
            httpx.TransportError: As :class:`httpx.AsyncHTTPTransport`; its chain of causes ends
                with what the modem raised.

        Cancellation closes the connection that the request was on.

        """
        assert isinstance(request.stream, httpx.AsyncByteStream)  # httpx has checked this
        with _errors_of_httpx():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=_url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        with _errors_of_httpx():
            await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response, in the pieces in which it arrives."""

    def __init__(self, response: httpcore.Response) -> None:
        assert isinstance(response.stream, AsyncIterable)  # the pool is an asynchronous one
        self._response, self._parts = response, response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for part in self._parts:
                yield part

    async def aclose(self) -> None:
        with _errors_of_httpx():
            await self._response.aclose()


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _proxy(proxy: httpx.Proxy | httpx.URL | str | None) -> httpcore.Proxy | None:
    if proxy is None:
        return None
    given = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    return httpcore.Proxy(
        url=_url(given.url),
        auth=given.raw_auth,
        headers=given.headers.raw,
        ssl_context=given.ssl_context,
    )


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Turn httpcore's exceptions into httpx's of the same name."""
    try:
        yield
    except Exception as exc:
        for theirs, ours in _EXCEPTIONS:
            if isinstance(exc, theirs):
                # httpcore's pool raises its errors "from None", which hides their cause.
                exc.__cause__ = exc.__cause__ or exc.__context__
                raise ours(str(exc)) from exc
        raise
