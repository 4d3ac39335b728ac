"""Redirect the running loop's own calls through a modem, for existing asyncio software.

Layer: adapters.

The methods of the loop object are wrapped once, and stay wrapped. A wrapper looks for a route in
the context (:mod:`contextvars`) of its caller. A context that never was inside ``with
modem.installed()`` has no route, and its call goes to the loop's own method. The wrappers stay,
because tasks outlive the ``with`` block: a task that reconnects after its modem was closed must
fail, and must not reach the ordinary network.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from aiobc9x.adapters.redirect import datagrams, elsewhere, resolver, servers, streams, strict
from aiobc9x.adapters.redirect.route import (
    Bypass,
    BypassEntry,
    OwnAddresses,
    Route,
    enter,
    leave,
    route_on,
)
from aiobc9x.aio.dialer import Dialer

M = TypeVar("M", bound=Dialer)

_HANDLERS: Final[dict[str, Callable[..., Any]]] = {
    "create_connection": streams.create_connection,
    "create_datagram_endpoint": datagrams.create_datagram_endpoint,
    "create_server": servers.create_server,
    "getaddrinfo": resolver.getaddrinfo,
    "getnameinfo": resolver.getnameinfo,
    "sock_connect": streams.sock_connect,
}
"""The coroutine methods of a loop that go through the modem, and what is called instead.

Each is called with the route and the loop's own method, then with the caller's arguments.
"""


class Installation(Generic[M]):
    """Route the code inside ``with`` through a modem; ``Modem.installed()`` returns this.

    An installation may be entered several times, also while it is entered.

    Args:
        dialer: What opens connections: the modem.
        loop: The event loop of the modem.
        own_addresses: Asks which addresses are the module's own.
        strict: Whether what can't be routed raises.
        bypass: What stays on the ordinary network.

    Raises:
        TypeError: ``bypass`` holds something else.
        ValueError: A network of ``bypass`` can't be read.

    """

    def __init__(
        self,
        dialer: M,
        loop: asyncio.AbstractEventLoop,
        own_addresses: OwnAddresses,
        *,
        strict: bool = False,
        bypass: Iterable[BypassEntry],
    ) -> None:
        self._dialer = dialer
        self._route = Route(dialer, loop, strict, Bypass(bypass, loop.time), own_addresses)

    def __repr__(self) -> str:
        return f"<Installation of {self._dialer!r}>"

    def __enter__(self) -> M:
        """Route the running context, and the tasks that are started from it.

        Raises:
            RuntimeError: No loop runs, or another one than the modem's.

        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "installed() works on the running event loop, and none runs; enter it inside an"
                " async function"
            ) from None
        if running is not self._route.loop:
            raise RuntimeError(
                "installed() was entered in another event loop than the one the modem was opened"
                " in; open the modem in this one"
            )
        redirect(running)
        if self._route.strict:
            guard(running)
        enter(self._route)
        return self._dialer

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the route out of this context; the tasks started in the block keep it."""
        leave(self._route)


def redirect(loop: asyncio.AbstractEventLoop) -> None:
    """Wrap the methods of a loop that can go through a modem, unless they are wrapped."""
    elsewhere.refuse_elsewhere(loop)
    for name, handler in _HANDLERS.items():
        _wrap(loop, name, functools.partial(_redirected, handler))
    _wrap(loop, "start_tls", _start_tls)


def guard(loop: asyncio.AbstractEventLoop) -> None:
    """Wrap the methods that strict mode looks at, unless they are wrapped."""
    for name in strict.ON_SOCKETS:
        _wrap(loop, name, functools.partial(_guarded_socket, name))
    _wrap(loop, "sock_sendto", _guarded_sendto)
    _wrap(loop, "connect_accepted_socket", _guarded_accepted)
    for name in ("add_reader", "add_writer"):
        _wrap(loop, name, functools.partial(_guarded_descriptor, name))
    _wrap(loop, "run_in_executor", _guarded_function)


Wrapper = Callable[[asyncio.AbstractEventLoop, Callable[..., Any]], Callable[..., Any]]
"""Makes the method that replaces a loop's own one (``Any``: each has another signature)."""


def _wrap(loop: asyncio.AbstractEventLoop, name: str, make: Wrapper) -> None:
    original = getattr(loop, name)
    if getattr(original, "is_aiobc9x", False):
        return
    wrapped: Any = functools.wraps(original)(make(loop, original))
    wrapped.is_aiobc9x = True
    setattr(loop, name, wrapped)


def _redirected(
    handler: Callable[..., Any], loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    async def call(*args: Any, **options: Any) -> Any:
        route = route_on(loop)
        if route is None:
            return await original(*args, **options)
        return await handler(route, original, *args, **options)

    return call


def _start_tls(loop: asyncio.AbstractEventLoop, original: Callable[..., Any]) -> Callable[..., Any]:
    async def call(transport: Any, *args: Any, **options: Any) -> Any:
        return await streams.start_tls(loop, original, transport, *args, **options)

    return call


def _strict_route(loop: asyncio.AbstractEventLoop) -> Route | None:
    route = route_on(loop)
    return route if route is not None and route.strict else None


def _guarded_socket(
    name: str, loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    async def call(sock: Any, *args: Any, **options: Any) -> Any:
        if (route := _strict_route(loop)) is not None:
            strict.check_socket(route, name, sock)
        return await original(sock, *args, **options)

    return call


def _guarded_sendto(
    loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    async def call(sock: Any, data: Any, address: Any) -> Any:
        if (route := _strict_route(loop)) is not None:
            strict.check_sendto(route, sock, address)
        return await original(sock, data, address)

    return call


def _guarded_accepted(
    loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    async def call(protocol_factory: Any, sock: Any, **options: Any) -> Any:
        if (route := _strict_route(loop)) is not None:
            strict.check_socket(route, "connect_accepted_socket", sock)
        return await original(protocol_factory, sock, **options)

    return call


def _guarded_descriptor(
    name: str, loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    def call(fd: Any, callback: Any, *args: Any) -> Any:
        if (route := _strict_route(loop)) is not None:
            strict.check_descriptor(route, name, fd)
        return original(fd, callback, *args)

    return call


def _guarded_function(
    loop: asyncio.AbstractEventLoop, original: Callable[..., Any]
) -> Callable[..., Any]:
    def call(executor: Any, func: Any, *args: Any) -> Any:
        if (route := _strict_route(loop)) is not None:
            strict.check_function(route, func, args)
        return original(executor, func, *args)

    return call
