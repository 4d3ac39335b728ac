"""Refuse calls from another event loop or thread than the modem's own.

Layer: aio.

A modem can't be used from two threads, and its futures can't wake a task of another loop. A
call from elsewhere is refused before it has changed anything.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Final

ON_ASYNCIO: Final = (
    "works with asyncio alone, and trio runs here: start the program by asyncio.run(), or by"
    " anyio.run() with its asyncio backend"
)
"""What to tell a program that runs under trio."""


def under_trio() -> bool:
    """Whether a task of trio is running here, beside asyncio's loop too (trio's guest mode)."""
    trio = sys.modules.get("trio")  # who runs it has imported it
    return trio is not None and trio.lowlevel.in_trio_task()


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
            RuntimeError: Another loop runs, or none, or trio does.

        """
        check_loop(self._what, self._loop)

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
            raise _refusal(self._what)


def check_loop(what: str, loop: asyncio.AbstractEventLoop) -> None:
    """Raise unless a loop is running here; see :meth:`HomeLoop.check_loop`.

    Args:
        what: What belongs to that loop, for the message.
        loop: The loop.

    Raises:
        RuntimeError: Another loop runs, or none, or trio does.

    """
    if asyncio._get_running_loop() is not loop or under_trio():
        raise _refusal(what)


def _refusal(what: str) -> RuntimeError:
    if under_trio():
        return RuntimeError(f"{what} {ON_ASYNCIO}")
    return RuntimeError(
        f"{what} belongs to another event loop than the one that runs here, if any does;"
        " use it there, from another thread by asyncio.run_coroutine_threadsafe() or"
        " loop.call_soon_threadsafe()"
    )
