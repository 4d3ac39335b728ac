"""Standard input and output beside asyncio, whatever they are: terminals, pipes or files.

Layer: cli. A thread of its own does each blocking call, because the system's event queues take
no files, and asyncio would make a terminal non-blocking for all programs that share it. Nobody
waits for such a thread at the end, as a read from a terminal may last for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

T = TypeVar("T")

_PIECE_BYTES: Final = 16384


async def apart(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own.

    Cancellation leaves the thread to itself; what the call gives is then lost.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # a T where there is no error

    def run() -> None:
        try:
            value, error = call(), None
        except Exception as exc:
            value, error = None, exc
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="aiobc9x stdio", daemon=True).start()
    return await result


async def pieces() -> AsyncIterator[bytes]:
    """Yield what comes from stdin, as it comes, until it ends."""
    source = sys.stdin.fileno()
    while piece := await apart(lambda: os.read(source, _PIECE_BYTES)):
        yield piece


async def put(data: bytes) -> None:
    """Write to stdout, and return once it is taken: a slow reader slows the sender.

    Raises:
        BrokenPipeError: The reader has gone.

    """

    def write() -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    await apart(write)
