"""Tell those who write that the peer has gone, and leave those who read alone.

Layer: aio.

A module's peer that closes ends both directions (§2.3.1), but what it sent before is still
to be read, and a reader may take its time. asyncio has one call for the end of both,
``connection_lost()``, which makes a ``StreamReader`` forget what it holds. Its streams know
the two ends apart inside, by names that are the same in Python 3.11 to 3.14.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events, streams
from typing import Any


def tell_writer(protocol: asyncio.BaseProtocol, error: Exception) -> bool:
    """Have ``drain()`` or ``loop.sendfile()`` raise, now and from now on.

    Args:
        protocol: What they write to.
        error: What those get that wait.

    Returns:
        Whether the protocol has a way to be told so.

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
    """Call ``connection_lost()``; a reader that has the whole stream keeps it."""
    reader = whole_reader(protocol) if exc is not None else None
    protocol.connection_lost(exc)
    if reader is not None:
        forgive(reader)


def whole_reader(protocol: asyncio.BaseProtocol | None) -> asyncio.StreamReader | None:
    """Return the reader of a stream whose end has come: all that the peer sent is there."""
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return None
    reader: Any = protocol._stream_reader  # type: ignore[attr-defined]  # not in typeshed
    return reader if reader is not None and reader._eof else None


def forgive(reader: Any) -> None:
    """Take back an exception that concerns what was written (``Any``: it is private)."""
    reader._exception = None
