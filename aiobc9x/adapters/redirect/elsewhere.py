"""Refuse contexts that are routed through a modem in the event loops of other threads.

Layer: adapters.

:func:`asyncio.to_thread` runs a function in a thread, in the caller's context. If the function
runs an event loop of its own, no method of that loop is wrapped, and its connections would go by
the ordinary network. So the methods of the loop classes refuse such a context.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiobc9x.adapters.redirect.route import IP_FAMILIES, carried, route_on

REFUSING: Final = (
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "getaddrinfo",
    "getnameinfo",
    "sock_connect",
)
"""Coroutine methods that touch a network."""


def refuse_elsewhere(loop: asyncio.AbstractEventLoop) -> None:
    """Have every class of loops refuse what is routed through a modem of another loop.

    Args:
        loop: A loop of the modem; its class is one of them.

    """
    for kind in _kinds(loop):
        for name in REFUSING:
            _refuse(kind, name)
        _carry(kind)


def _kinds(loop: asyncio.AbstractEventLoop) -> Iterator[type]:
    yield from (asyncio.SelectorEventLoop, type(loop))
    for module, name in (("asyncio", "ProactorEventLoop"), ("uvloop", "Loop")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None:
            yield kind


def _refuse(kind: type, name: str) -> None:
    original: Any = getattr(kind, name)  # each method has its own signature
    if getattr(original, "refuses_elsewhere", False):
        return

    async def method(self: asyncio.AbstractEventLoop, *args: Any, **options: Any) -> Any:
        if not _is_local(args):
            route_on(self)  # raises if the route belongs to another loop
        return await original(self, *args, **options)

    _replace(kind, name, method)


def _carry(kind: type) -> None:
    """Have functions that a loop hands to threads keep the caller's route."""
    original: Any = getattr(kind, "run_in_executor")  # noqa: B009  # a type has no such attribute
    if getattr(original, "refuses_elsewhere", False):
        return

    def method(self: asyncio.AbstractEventLoop, executor: Any, func: Any, *args: Any) -> Any:
        # Other executors may use other processes, which have no modem.
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            func = carried(func)
        return original(self, executor, func, *args)

    _replace(kind, "run_in_executor", method)


def _replace(kind: type, name: str, method: Any) -> None:
    """Put a method in the place of a class's own (``Any``: each has its own signature)."""
    replacement: Any = functools.wraps(getattr(kind, name))(method)
    replacement.refuses_elsewhere = True
    setattr(kind, name, replacement)


def _is_local(args: tuple[Any, ...]) -> bool:
    """Whether a method was called with a socket that reaches no network, such as a Unix one."""
    sock = args[0] if args else None
    return isinstance(sock, socket.socket) and sock.family not in IP_FAMILIES
