"""Carry httpcore2's connections over the modem, by a network backend.

Layer: adapters. ::

    async with httpcore2.AsyncConnectionPool(network_backend=ModemBackend(modem)) as pool:
        response = await pool.request("GET", "https://example.com/")


httpcore2 goes on from httpcore. Everything is as in :mod:`aiobc9x.adapters.httpcore`, with the
other library's classes and exceptions.
"""

from __future__ import annotations

from types import ModuleType

try:
    import httpcore2
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install httpcore2") from _exc

from aiobc9x.adapters.http.network import HttpBackend, HttpStream

__all__ = ["ModemBackend", "ModemNetworkStream"]


class ModemNetworkStream(HttpStream, httpcore2.AsyncNetworkStream):
    """A connection through the modem, with TLS or without, as a stream of httpcore2."""

    library: ModuleType = httpcore2


class ModemBackend(HttpBackend[ModemNetworkStream], httpcore2.AsyncNetworkBackend):
    """Open httpcore2's connections on the module.

    Each connection holds one of the module's six connect IDs. Give httpcore2's pool a
    ``max_connections`` of at most the free ones: then a further request waits in the pool,
    instead of failing with a ``ConnectError``.
    """

    library: ModuleType = httpcore2
    stream_type = ModemNetworkStream
