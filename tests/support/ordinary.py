"""The ordinary network as tests of redirection want it: watched, or replaced.

``nothing_leaves()`` fails a test that touches it, by the interpreter's audit events, which
tell of every connect, bind, send and question for a name, in whatever thread.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

METHODS = (
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "getaddrinfo",
    "getnameinfo",
    "sock_connect",
    "start_tls",
)

_WATCHED = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_QUESTIONS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}

_watchers: list[list[str]] = []
_is_hooked = False


def _audit(event: str, args: tuple[Any, ...]) -> None:  # Any: each event has its own
    if not _watchers or not event.startswith("socket."):
        return
    if event in _WATCHED and isinstance(args[1], tuple):  # other families have other addresses
        _watchers[-1].append(f"{event} {args[1]!r}")
    elif event in _QUESTIONS and args[0] is not None and not is_address(args[0]):
        _watchers[-1].append(f"{event} {args[0]!r}")


def is_address(host: str | bytes) -> bool:
    """Whether a host needs no DNS."""
    text = host.decode() if isinstance(host, bytes) else host
    try:
        return ":" in text or bool(socket.inet_aton(text))
    except OSError:
        return False


@contextmanager
def nothing_leaves() -> Iterator[list[str]]:
    """Fail if the ordinary network is touched inside; yield what was noted so far."""
    global _is_hooked  # noqa: PLW0603  (a hook can't be removed, so there is one for all)
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_audit)
    seen: list[str] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
    assert seen == [], "the ordinary network was touched"


class Ordinary:
    """Takes the place of a loop's own methods, and notes each call of them.

    Attributes:
        calls: ``(method, positional arguments)``, in order.

    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []  # Any: each method has its own
        loop = asyncio.get_running_loop()
        for name in METHODS:
            setattr(loop, name, self._method(name))

    def _method(self, name: str) -> Callable[..., Any]:
        async def method(*args: Any, **_options: Any) -> str:
            self.calls.append((name, args))
            return f"ordinary {name}"

        method.__name__ = name
        return method

    @property
    def names(self) -> list[str]:
        """The methods that were called."""
        return [name for name, _ in self.calls]
