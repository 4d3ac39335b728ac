"""The event loop and the thread that a modem belongs to.

Layer: aio.

Nothing of a modem can be used from two threads, and its futures wake nobody in another
loop. A call from elsewhere is refused before it has touched anything.
"""

from __future__ import annotations

import asyncio
import threading


class HomeLoop:
    """The loop that ran when this was made.

    Args:
        what: What belongs to it, for messages.

    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def check_loop(self) -> None:
        """Raise unless the loop runs here: only there can anything be awaited.

        Raises:
            RuntimeError: Another loop runs, or none, as under trio.

        """
        if asyncio._get_running_loop() is not self._loop:
            raise self._elsewhere()

    def check_thread(self) -> None:
        """Raise where another loop runs, or in another thread; the loop itself may rest.

        Raises:
            RuntimeError: It is so.

        """
        running = asyncio._get_running_loop()
        if running is self._loop:
            return
        if running is not None or threading.get_ident() != self._thread:
            raise self._elsewhere()

    def _elsewhere(self) -> RuntimeError:
        return RuntimeError(
            f"{self._what} belongs to another event loop than the one that runs here, if any does;"
            " use it there, from another thread by asyncio.run_coroutine_threadsafe() or"
            " loop.call_soon_threadsafe()"
        )
