"""Refuse calls that would reach the ordinary network, for ``installed(strict=True)``.

Layer: adapters.

A call of the loop that is given a socket can be judged by that socket, and a function of
:mod:`socket` that is to run in a thread by its arguments. What any other function does in a
thread can't be known.
"""

from __future__ import annotations

import contextvars
import functools
import os
import socket
import stat
import urllib.request
from typing import Any, Final

from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.adapters.redirect.route import Route, refusal
from aiobc9x.adapters.redirect.streams import is_noted

ON_SOCKETS: Final = (
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_accept",
)
"""Coroutine methods of a loop whose first argument is a socket."""

_FIX: Final = "use create_connection() or create_datagram_endpoint(), or add its address to bypass="

_RESOLVERS: Final = (
    socket.getaddrinfo,
    socket.gethostbyname,
    socket.gethostbyname_ex,
    socket.gethostbyaddr,
)
_NETWORKERS: Final = (socket.create_connection, socket.getfqdn, urllib.request.urlopen)


def check_socket(route: Route, name: str, sock: Any) -> None:
    """Refuse a method on a socket (``Any``: the loop's own method says what is wrong).

    Raises:
        OSError: EOPNOTSUPP.

    """
    if is_noted(sock):
        fix = "hand it to create_connection(sock=…) or open_connection(sock=…) first"
        raise refusal(f"{name}() with {sock!r}, which is to be connected through it,", fix)
    if isinstance(sock, socket.socket):
        route.check(sock, f"{name}()", _FIX)


def check_sendto(route: Route, sock: Any, address: Any) -> None:
    """Refuse a datagram to somewhere else (``Any``: as in :func:`check_socket`).

    Raises:
        OSError: EOPNOTSUPP.

    """
    if isinstance(address, tuple) and not route.bypass.covers(read_host(address[0])):
        raise refusal(f"sock_sendto() to {address!r}", _FIX)


def check_descriptor(route: Route, name: str, descriptor: Any) -> None:
    """Refuse to watch a socket (``Any``: a number, or something with ``fileno()``).

    Raises:
        OSError: EOPNOTSUPP.

    """
    if isinstance(descriptor, socket.socket):
        check_socket(route, name, descriptor)
        return
    try:
        number = descriptor if isinstance(descriptor, int) else int(descriptor.fileno())
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return
        sock = socket.socket(fileno=os.dup(number))
    except (AttributeError, OSError, TypeError, ValueError):
        return  # the loop's own method says what is wrong with it
    with sock:
        check_socket(route, name, sock)


def check_function(route: Route, function: Any, arguments: tuple[Any, ...]) -> None:
    """Refuse functions of :mod:`socket` that would ask the network from a thread.

    ``functools.partial`` and :func:`asyncio.to_thread` are looked through (``Any``: it
    may be called with anything).

    Raises:
        OSError: EOPNOTSUPP.

    """
    while True:
        if isinstance(function, functools.partial):
            function, arguments = function.func, (*function.args, *arguments)
        elif _is_context_run(function) and arguments:
            function, arguments = arguments[0], arguments[1:]
        else:
            break
    name = getattr(function, "__qualname__", repr(function))
    if function in _NETWORKERS:
        raise refusal(f"{name}() in a thread", "use the loop's own calls, or the modem's proxy")
    if function in _RESOLVERS and arguments and arguments[0]:
        host = read_host(arguments[0])
        numeric = host.address is not None and function != socket.gethostbyaddr
        if not numeric and not route.bypass.covers(host):
            raise refusal(
                f"{name}({arguments[0]!r}) in a thread", "use the loop's getaddrinfo(), or bypass="
            )


def _is_context_run(function: Any) -> bool:
    """Whether it is ``run`` of a context, by which to_thread() calls a function."""
    owner = getattr(function, "__self__", None)
    return isinstance(owner, contextvars.Context) and function == owner.run
