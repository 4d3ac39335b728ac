"""Send the requests of an HTTP client over the modem, by its transport.

Layer: adapters.

httpx's own transport has no argument for httpcore's network backend. The transport here does the
same and sets the backend, with public interfaces alone, and has defaults for six sockets and a
slow line. httpx2, which goes on from httpx, is the same in this. All that the adapter does stands
here once; a class of a library names the library in its body, and derives from what the library
declares: :mod:`aiobc9x.adapters.httpx` and :mod:`aiobc9x.adapters.httpx2`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar

from aiobc9x.adapters.http.network import HttpBackend
from aiobc9x.aio.dialer import Dialer
from aiobc9x.spec import CONNECT_IDS

POOL_CONNECTIONS: Final = 4
"""Connections of a pool; they leave two of the module's six sockets free for other uses."""

KEPT_CONNECTIONS: Final = 2
"""Idle connections that are kept open."""

KEEPALIVE_S: Final = 60.0
"""Seconds that they are kept open, because opening one is slow and costs data."""

TIMEOUT_S: Final = 60.0
"""Seconds for each step of a request on a slow line; the libraries' default is 5 s."""

CONNECT_TIMEOUT_S: Final = 120.0
"""Seconds for a connection, and again for its TLS handshake."""

MAX_CONNECTIONS: Final = len(CONNECT_IDS)

CertTypes: TypeAlias = str | tuple[str, str] | tuple[str, str, str]
"""The libraries' ways to name a client's certificate."""

EXCEPTIONS: Final = (  # subclasses before their base classes
    "ConnectTimeout",
    "ReadTimeout",
    "WriteTimeout",
    "PoolTimeout",
    "ConnectError",
    "ReadError",
    "WriteError",
    "ProxyError",
    "UnsupportedProtocol",
    "LocalProtocolError",
    "RemoteProtocolError",
    "TimeoutException",
    "NetworkError",
    "ProtocolError",
)
"""Names that httpcore and httpx have in common."""


class LimitsLike(Protocol):
    """What is read of a library's ``Limits``."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


R = TypeVar("R")
A = TypeVar("A")
L = TypeVar("L", bound=LimitsLike)
Q = TypeVar("Q")


class HttpTransport(Generic[R, A, L, Q]):
    """A transport as a library's own, over the modem.

    A client that is given a transport ignores its own ``verify=``, ``cert=``, ``http2=`` and
    ``limits=``: pass these, and ``proxy=``, to the transport. Close the client before the modem.

    Args:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        verify: ``True`` for the usual authorities, ``False`` for no check at all, or a context.
        cert: A client's certificate, as in the library.
        trust_env: Whether to read ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; the proxies that the
            environment names are never used.
        http1: Whether HTTP/1.1 may be used.
        http2: Whether HTTP/2 may be used; needs the library's extra ``http2``.
        limits: How many connections there may be, and how long idle ones are kept; there are
            never more than six, the module's sockets. Further requests wait for a connection,
            at most for the client's ``pool`` timeout. ``None``: ``LIMITS``.
        proxy: An HTTP or SOCKS proxy to be reached through the modem.
        retries: How often a failed connect is tried again, 0 or more.

    Raises:
        ValueError: The proxy is of an unknown kind.
        ImportError: ``http2=True`` or a SOCKS proxy needs a package that is not installed.

    Attributes:
        library: httpx or httpx2.
        core: httpcore or httpcore2, which that one uses.

    """

    library: ModuleType
    core: ModuleType
    _backend_type: type[HttpBackend[Any]]  # Any: its stream's class
    _body_type: type[HttpBody]
    _limits: L

    def __init__(
        self,
        modem: Dialer,
        *,
        verify: ssl.SSLContext | bool = True,
        cert: CertTypes | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: L | None = None,
        proxy: Q | str | None = None,
        retries: int = 0,
    ) -> None:
        context = self.library.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        limits = self._limits if limits is None else limits
        wanted = limits.max_connections
        self._pool = self.core.AsyncConnectionPool(
            ssl_context=context,
            proxy=self._proxy(proxy),
            max_connections=MAX_CONNECTIONS if wanted is None else min(wanted, MAX_CONNECTIONS),
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=http1,
            http2=http2,
            retries=retries,
            network_backend=self._backend_type(modem),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._pool!r}>"

    async def __aenter__(self) -> Self:
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

    async def handle_async_request(self, request: R) -> A:
        """Send a request and return the response, whose body is still to be read.

        Raises:
            TransportError: The library's, as its own transport raises it; its chain of causes
                ends with what the modem raised.

        Cancellation closes the connection that the request was on.

        """
        asked: Any = request  # of the one library or the other
        with _errors_of(self.library, self.core):
            response = await self._pool.handle_async_request(
                self.core.Request(
                    method=asked.method,
                    url=self._url(asked.url),
                    headers=asked.headers.raw,
                    content=asked.stream,
                    extensions=asked.extensions,
                )
            )
        made: A = self.library.Response(
            status_code=response.status,
            headers=response.headers,
            stream=self._body_type(response),
            extensions=response.extensions,
        )
        return made

    async def aclose(self) -> None:
        """Close every connection."""
        with _errors_of(self.library, self.core):
            await self._pool.aclose()

    def _url(self, url: Any) -> Any:  # Any: of the library, of its core
        return self.core.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )

    def _proxy(self, proxy: Q | str | None) -> Any:
        if proxy is None:
            return None
        is_read = isinstance(proxy, self.library.Proxy)
        given: Any = proxy if is_read else self.library.Proxy(proxy)
        return self.core.Proxy(
            url=self._url(given.url),
            auth=given.raw_auth,
            headers=given.headers.raw,
            ssl_context=given.ssl_context,
        )


class HttpBody:
    """The body of a response, in the pieces in which it arrives.

    Attributes:
        library: httpx or httpx2.
        core: httpcore or httpcore2, which that one uses.

    """

    library: ModuleType
    core: ModuleType

    def __init__(self, response: Any) -> None:  # Any: of the one core or the other
        assert isinstance(response.stream, AsyncIterable)  # the pool is an asynchronous one
        self._response, self._parts = response, response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the pieces.

        Raises:
            TransportError: The library's: the connection failed, or ended early.

        Cancellation closes the connection.

        """
        with _errors_of(self.library, self.core):
            async for part in self._parts:
                yield part

    async def aclose(self) -> None:
        """Close the response, and its connection if the body was not read to its end."""
        with _errors_of(self.library, self.core):
            await self._response.aclose()


@contextmanager
def _errors_of(library: ModuleType, core: ModuleType) -> Iterator[None]:
    """Turn the exceptions of a core into the library's of the same name."""
    try:
        yield
    except Exception as exc:
        for name in EXCEPTIONS:
            if isinstance(exc, getattr(core, name)):
                # The core's pool raises its errors "from None", which hides their cause.
                exc.__cause__ = exc.__cause__ or exc.__context__
                raise getattr(library, name)(str(exc)) from exc
        raise
