"""Tell the writing side of a protocol that the peer has closed, without ending its reading.

Layer: aio.

When the peer of a module's socket closes, both directions have ended (§2.3.1), but received data
must still be read, and the reader may take its time. asyncio has one call for both ends,
``connection_lost()``, and after an error it makes a ``StreamReader`` raise instead of returning
its data. Inside, asyncio's streams have separate parts for the two ends; the private names that
are used here are the same in Python 3.11 to 3.14.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events, streams
from typing import Any


def tell_writer(protocol: asyncio.BaseProtocol, error: Exception) -> bool:
    """Make ``drain()`` and ``loop.sendfile()`` raise, now and later.

    Args:
        protocol: The protocol of the transport.
        error: The error for callers who wait.

    Returns:
        Whether the protocol has a way to be told.

    """
    if isinstance(protocol, base_events._SendfileFallbackProtocol):  # type: ignore[attr-defined]  # not in typeshed
        waiting: asyncio.Future[None] | None = protocol._write_ready_fut
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        return True
    if isinstance(protocol, streams.FlowControlMixin):
        streams.FlowControlMixin.connection_lost(protocol, error)
        return True
    return False


def lose(protocol: asyncio.BaseProtocol, exc: Exception | None) -> None:
    """Call ``connection_lost()``; a reader that has the whole stream stays readable."""
    reader = whole_reader(protocol) if exc is not None else None
    protocol.connection_lost(exc)
    if reader is not None:
        forgive(reader)


def whole_reader(protocol: asyncio.BaseProtocol | None) -> asyncio.StreamReader | None:
    """Return the protocol's reader if it has received the EOF, so that its data are complete."""
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return None
    reader: Any = protocol._stream_reader  # type: ignore[attr-defined]  # not in typeshed
    return reader if reader is not None and reader._eof else None


def forgive(reader: Any) -> None:
    """Remove a reader's exception, which was about writing (``Any``: the name is private)."""
    reader._exception = None
