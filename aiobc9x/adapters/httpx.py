"""Send httpx's requests over the modem, by a transport.

Layer: adapters. ::

    transport = ModemTransport(modem)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
        response = await client.get("https://example.com/")

"""

from __future__ import annotations

from types import ModuleType
from typing import Final

try:
    import httpcore
    import httpx
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install 'aiobc9x[http]'") from _exc

from aiobc9x.adapters.http.transport import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_S,
    KEPT_CONNECTIONS,
    POOL_CONNECTIONS,
    TIMEOUT_S,
    HttpBody,
    HttpTransport,
)
from aiobc9x.adapters.httpcore import ModemBackend

__all__ = ["LIMITS", "TIMEOUT", "ModemTransport"]

LIMITS: Final = httpx.Limits(
    max_connections=POOL_CONNECTIONS,
    max_keepalive_connections=KEPT_CONNECTIONS,
    keepalive_expiry=KEEPALIVE_S,
)
"""Limits that leave two of the module's six sockets free for other uses.

Connections are kept open for 60 s, because opening one is slow and costs data."""

TIMEOUT: Final = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None)
"""Timeouts for a slow line, on which a TLS handshake takes longer than httpx's default of 5 s."""


class ModemBody(HttpBody, httpx.AsyncByteStream):
    """The body of a response, in the pieces in which it arrives."""

    library: ModuleType = httpx
    core: ModuleType = httpcore


class ModemTransport(
    HttpTransport[httpx.Request, httpx.Response, httpx.Limits, httpx.Proxy | httpx.URL],
    httpx.AsyncBaseTransport,
):
    """A transport as :class:`httpx.AsyncHTTPTransport`, over the modem.

    The arguments are those of :class:`~aiobc9x.adapters.http.transport.HttpTransport`.
    """

    library: ModuleType = httpx
    core: ModuleType = httpcore
    _backend_type, _body_type, _limits = ModemBackend, ModemBody, LIMITS
