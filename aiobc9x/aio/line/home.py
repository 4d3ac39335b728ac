"""Refuse calls from another event loop or thread than the modem's own.

Layer: aio.

A modem can't be used from two threads, and its futures can't wake a task of another loop. A
call from elsewhere is refused before it has changed anything.
"""

from __future__ import annotations

import asyncio
import threading


class HomeLoop:
    """The event loop that was running when this was made.

    Args:
        what: What belongs to that loop, for error messages.

    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def check_loop(self) -> None:
        """Raise unless this loop is running here, because only there a future can be awaited.

        Raises:
            RuntimeError: Another loop runs, or none, as under trio.

        """
        if asyncio._get_running_loop() is not self._loop:
            raise self._elsewhere()

    def check_thread(self) -> None:
        """Raise if another loop is running here, or if this is another thread.

        The loop need not be running: ``close()`` may be called after it has stopped.

        Raises:
            RuntimeError: Another loop is running here, or this is another thread.

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
