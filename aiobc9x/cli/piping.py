"""Join a connection to standard input and output, as netcat does.

Layer: cli.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

from aiobc9x.cli.stdio import pieces, put

_PIECE_BYTES: Final = 65536

Send = Callable[[bytes], Awaitable[object]]
"""Sends a piece, and returns once the module has taken it."""

Receive = Callable[[], Awaitable[bytes]]
"""Waits for bytes; gives none when the peer has ended."""


async def pipe(send: Send, receive: Receive, linger: float) -> None:
    """Send stdin and print what comes, until the peer ends or nothing is left to say.

    The module can't end one direction alone (§2.2.2), so the end of stdin can't be told to the
    peer while its answer is awaited: this returns once nothing has come for a while.

    Args:
        send: Sends to the peer.
        receive: Receives from it.
        linger: Seconds without a byte, after stdin has ended and all of it is sent.

    Raises:
        OSError: The connection fails, or stdout can't be written.

    """
    traffic = _Traffic()
    async with (
        _beside(_send_all(send, traffic)) as sending,
        _beside(_receive_all(receive, traffic)) as receiving,
    ):
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            sending.result()
            await traffic.silence(receiving, linger)
        if receiving.done():
            receiving.result()


async def pipe_streams(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, linger: float
) -> None:
    """Do the same with a connection; close it then.

    Raises:
        OSError: As :func:`pipe`.

    """

    async def send(piece: bytes) -> None:
        writer.write(piece)
        await writer.drain()

    writer.transport.set_write_buffer_limits(high=0)  # drain() returns when all is sent
    try:
        await pipe(send, lambda: reader.read(_PIECE_BYTES), linger)
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # it was raised above
            await writer.wait_closed()


class _Traffic:
    """When a byte has last gone either way."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._last = self._time()

    def seen(self) -> None:
        self._last = self._time()

    async def silence(self, receiving: asyncio.Task[None], seconds: float) -> None:
        """Return once nothing has come for so long, or the peer has ended."""
        while (left := self._last + seconds - self._time()) > 0 and not receiving.done():
            await asyncio.wait({receiving}, timeout=left)


async def _send_all(send: Send, traffic: _Traffic) -> None:
    async for piece in pieces():
        await send(piece)
    traffic.seen()


async def _receive_all(receive: Receive, traffic: _Traffic) -> None:
    while data := await receive():
        await put(data)
        traffic.seen()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Have something run beside the body, and no longer."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
