"""Call a protocol in the context (contextvars) of the caller who made its transport.

Layer: aio.

asyncio's own transports do the same. A task that a callback starts inherits that context, and
with it the redirection of :meth:`Modem.installed`, which is per context. If ``resume_writing()``
ran in another context, the tasks that it starts would connect by the ordinary network.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class CallbackContext:
    """The context that was current when this was made; callbacks run in it.

    A callback may cause another one: ``write()`` calls ``pause_writing()``. A context can't be
    entered twice, so the inner callback runs in a copy. It sees the same values, and values
    that it sets are lost.
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
