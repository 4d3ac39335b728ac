"""The context in which a protocol is called.

Layer: aio.

asyncio's own transports call a protocol in the context of whoever made the transport. A
task that a callback starts inherits that context, and with it the way that
:meth:`Modem.installed` has given it: called from anywhere else, ``resume_writing()`` would
start tasks that connect by the ordinary network.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class CallbackContext:
    """The context that was current when this was made; callbacks run in it.

    A callback may call something that calls back, such as ``write()``, which calls
    ``pause_writing()``. A context can't be entered twice, so the inner callback runs in a
    copy: it sees the same values, and what it sets is forgotten.
    """

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._is_entered = False

    def run(self, function: Callable[..., T], *args: object) -> T:
        """Call a function in this context; what it raises passes."""
        if self._is_entered:
            return self._context.copy().run(function, *args)
        self._is_entered = True
        try:
            return self._context.run(function, *args)
        finally:
            self._is_entered = False

    def copy(self) -> contextvars.Context:
        """Return a context with the same values, for a task: each task needs one of its own."""
        return self._context.copy()
