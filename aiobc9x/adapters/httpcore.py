"""Carry httpcore's connections over the modem, by a network backend.

Layer: adapters.

    async with httpcore.AsyncConnectionPool(network_backend=ModemBackend(modem)) as pool:
        response = await pool.request("GET", "https://example.com/")

For httpx see :mod:`aiobc9x.adapters.httpx`.
"""

from __future__ import annotations

from types import ModuleType

try:
    import httpcore
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install 'aiobc9x[http]'") from _exc

from aiobc9x.adapters.http.network import HttpBackend, HttpStream

__all__ = ["ModemBackend", "ModemNetworkStream"]


class ModemNetworkStream(HttpStream, httpcore.AsyncNetworkStream):
    """A connection through the modem, with TLS or without, as a stream of httpcore."""

    library: ModuleType = httpcore


class ModemBackend(HttpBackend[ModemNetworkStream], httpcore.AsyncNetworkBackend):
    """Open httpcore's connections on the module.

    Each connection holds one of the module's six connect IDs. Give httpcore's pool a
    ``max_connections`` of at most the free ones: then a further request waits in the pool,
    instead of failing with a ``ConnectError``.
    """

    library: ModuleType = httpcore
    stream_type = ModemNetworkStream
