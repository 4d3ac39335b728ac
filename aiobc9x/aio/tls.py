"""TLS over a transport of the module.

Layer: aio.

asyncio's own SSLProtocol does the work. It is used directly, because the loops of
uvloop refuse ``start_tls()`` on a transport that they did not make.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from typing import Any, Final

HANDSHAKE_TIMEOUT_S: Final = 180.0
"""asyncio allows 60 s; over NB-IoT that is not always enough."""

SHUTDOWN_TIMEOUT_S: Final = 60.0
"""asyncio allows 30 s."""

_RECORD_HEADER_BYTES: Final = 5
_ALERT, _APPLICATION_DATA = 21, 23
_HIDDEN_ALERT_BYTES: Final = 19
"""An alert, its hidden type and its tag: what TLS 1.3 sends as application data."""


def make_context(
    ssl_argument: ssl.SSLContext | bool | None, server_hostname: str | None
) -> ssl.SSLContext | None:
    """Return the context that ``ssl=`` stands for, as asyncio reads it.

    Raises:
        ValueError: ``server_hostname`` without ``ssl``.
        TypeError: ``ssl`` is neither a context nor a bool.

    """
    if ssl_argument is None or ssl_argument is False:
        if server_hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        return None
    if ssl_argument is True:
        return ssl.create_default_context()
    if not isinstance(ssl_argument, ssl.SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext or a bool, not {ssl_argument!r}")
    return ssl_argument


def wrap_protocol(
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None = None,
    server_side: bool = False,
    handshake_timeout: float | None = None,
    shutdown_timeout: float | None = None,
) -> tuple[Any, asyncio.Future[None]]:
    """Put TLS between a transport and a protocol.

    Returns:
        The protocol for the transport (``Any``: it is private to asyncio), and a future
        that is done after the handshake.

    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    secured: Any = sslproto.SSLProtocol(
        loop,
        protocol,
        context,
        waiter,
        server_side,
        server_hostname,
        ssl_handshake_timeout=handshake_timeout or HANDSHAKE_TIMEOUT_S,  # type: ignore[arg-type]
        ssl_shutdown_timeout=shutdown_timeout or SHUTDOWN_TIMEOUT_S,
    )
    return secured, waiter


def is_only_goodbye(protocol: asyncio.BaseProtocol, unsent: bytes) -> bool:
    """Whether all that could not be sent is the ``close_notify`` of TLS.

    A server may close at once behind its own; nobody is there to read ours, and nothing
    is lost with it.
    """
    if not isinstance(protocol, sslproto.SSLProtocol) or len(unsent) <= _RECORD_HEADER_BYTES:
        return False
    kind, length = unsent[0], int.from_bytes(unsent[3:_RECORD_HEADER_BYTES], "big")
    if len(unsent) != _RECORD_HEADER_BYTES + length:
        return False
    return kind == _ALERT or (kind == _APPLICATION_DATA and length == _HIDDEN_ALERT_BYTES)
