"""Send httpx2's requests over the modem, by a transport.

Layer: adapters. ::

    transport = ModemTransport(modem)
    async with httpx2.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
        response = await client.get("https://example.com/")

httpx2 goes on from httpx. Everything is as in :mod:`aiobc9x.adapters.httpx`, with the other
library's classes and exceptions.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

try:
    import httpcore2
    import httpx2
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install httpx2") from _exc

from aiobc9x.adapters.http.transport import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_S,
    KEPT_CONNECTIONS,
    POOL_CONNECTIONS,
    TIMEOUT_S,
    HttpBody,
    HttpTransport,
)
from aiobc9x.adapters.httpcore2 import ModemBackend

__all__ = ["LIMITS", "TIMEOUT", "ModemTransport"]

LIMITS: Final = httpx2.Limits(
    max_connections=POOL_CONNECTIONS,
    max_keepalive_connections=KEPT_CONNECTIONS,
    keepalive_expiry=KEEPALIVE_S,
)
"""Limits that leave two of the module's six sockets free for other uses.

Connections are kept open for 60 s, because opening one is slow and costs data."""

TIMEOUT: Final = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None)
"""Timeouts for a slow line, on which a TLS handshake takes longer than httpx2's default of 5 s."""


class ModemBody(HttpBody, httpx2.AsyncByteStream):
    """The body of a response, in the pieces in which it arrives."""

    library: ModuleType = httpx2
    core: ModuleType = httpcore2


class ModemTransport(
    HttpTransport[httpx2.Request, httpx2.Response, httpx2.Limits, httpx2.Proxy | httpx2.URL],
    httpx2.AsyncBaseTransport,
):
    """A transport as :class:`httpx2.AsyncHTTPTransport`, over the modem.

    The arguments are those of :class:`~aiobc9x.adapters.http.transport.HttpTransport`.
    """

    library: ModuleType = httpx2
    core: ModuleType = httpcore2
    _backend_type, _body_type, _limits = ModemBackend, ModemBody, LIMITS
