"""An unconnected datagram endpoint, made of one connected socket for each destination.

Layer: adapters.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio import transports
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.adapters.redirect.destination import (
    QUEUE_DATAGRAMS,
    Destination,
    DestinationState,
    Key,
    check_castable,
    full_address,
    key_of,
)
from aiobc9x.adapters.redirect.hosts import read_host
from aiobc9x.adapters.redirect.resolver import Original
from aiobc9x.adapters.redirect.route import Route
from aiobc9x.adapters.redirect.streams import family_for
from aiobc9x.aio.line.home import HomeLoop
from aiobc9x.aio.transports.base import HIGH_WATER_BYTES, LOW_WATER_BYTES
from aiobc9x.aio.transports.callbacks import CallbackContext
from aiobc9x.aio.transports.socket_view import SocketView
from aiobc9x.errors import LinkLost, NoFreeSocket
from aiobc9x.spec import SEND_MAX_BYTES
from aiobc9x.wire.host import Host

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

WAITING_DESTINATIONS: Final = 32
"""Destinations that wait at most for a socket of the module."""


class _View(SocketView):
    """An unconnected socket."""

    def getpeername(self) -> tuple[str, int]:
        """Raise ``OSError``, because the socket is not connected."""
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))


class Endpoint(transports._FlowControlMixin, asyncio.DatagramTransport):
    """Datagrams to and from any address, through one socket of the module for each.

    When no socket is free, the endpoint's own least recently used one is closed; one
    that waits for an answer is spared for ten seconds. If it has none, the datagrams for
    the new destination are dropped, and ``error_received()`` gets an ``OSError(EMFILE)``.

    A destination of the bypass is reached by a socket of this machine.
    """

    if TYPE_CHECKING:  # typeshed leaves this out of the private base
        _protocol_paused: bool

    def __init__(
        self,
        route: Route,
        original: Original,
        protocol: asyncio.DatagramProtocol,
        sockname: tuple[str, int],
        family: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        wildcard = (sockname[0], 0)
        extra = {
            "sockname": sockname,
            "socket": _View(socket.SOCK_DGRAM, sockname, wildcard),
            "modem": route.dialer,
        }
        super().__init__(extra, loop)
        self._loop, self._route, self._original = loop, route, original
        self._protocol: asyncio.BaseProtocol = protocol
        self._sockname, self._family = sockname, family
        self._callbacks, self._home = CallbackContext(), HomeLoop("the endpoint")
        self._current: dict[Key, Destination] = {}
        self._alive: set[Destination] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._closing = self._lost = False
        self.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<Endpoint {state} destinations={len(self._current)}>"

    async def start(self) -> None:
        """Tell the protocol that it may send; cancellation closes the endpoint."""
        self._loop.call_soon(self._callbacks.run, self._protocol.connection_made, self)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.abort()
            raise

    def time(self) -> float:
        """Return the loop's clock."""
        return self._loop.time()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand all that comes from now on to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether the endpoint is closing or closed."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Return the bytes that no socket has sent yet."""
        return sum(destination.unsent for destination in self._alive)

    def _maybe_pause_protocol(self) -> None:
        if not self._protocol_paused:
            self._callbacks.run(super()._maybe_pause_protocol)  # type: ignore[misc]  # as above

    def _maybe_resume_protocol(self) -> None:
        if self._protocol_paused:
            self._callbacks.run(super()._maybe_resume_protocol)  # type: ignore[misc]  # as above

    def sendto(
        self,
        data: bytes | bytearray | memoryview,
        addr: tuple[Any, ...] | str | Buffer | None = None,
    ) -> None:
        """Send one datagram; it is copied at once.

        A datagram of the right types that can't be sent is reported to ``error_received()``.

        Args:
            data: 1–1440 bytes.
            addr: Host and port (``Any``: an IPv6 address may have more fields). A name is
                resolved by the module.

        Raises:
            TypeError: Not a bytes-like object.
            ValueError: The address is not a host and a port.
            RuntimeError: It is called from another thread or event loop; nothing is sent.

        """
        self._home.check_thread()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if not isinstance(addr, tuple) or len(addr) < 2:
            raise ValueError(f"address must be (host, port), not {addr!r}: nothing is connected")
        if self._closing:
            return
        try:
            self._send(bytes(data), addr)
        except OSError as exc:
            self.on_error(exc)
        self._maybe_pause_protocol()

    def _send(self, data: bytes, addr: tuple[Any, ...]) -> None:
        host = read_host(addr[0])
        key = key_of(self._route.bypass, host, addr[1], self._sockname[0])
        if not key.is_ordinary:
            self._check(data, host, addr)
        destination = self._current.get(key)
        if destination is None:
            destination = self._add(key, host, addr)
        if not destination.send(data, addr):
            raise _os_error(
                errno.ENOBUFS,
                f"{QUEUE_DATAGRAMS} datagrams wait for the socket to {addr} already",
            )

    def _check(self, data: bytes, host: Host, addr: tuple[Any, ...]) -> None:
        check_castable(host)
        if not data:
            raise _os_error(errno.EINVAL, "the module can't send an empty datagram")
        if len(data) > SEND_MAX_BYTES:
            raise _os_error(errno.EMSGSIZE, f"{len(data)} bytes, the module sends {SEND_MAX_BYTES}")
        if not isinstance(addr[1], int) or not 0 < addr[1] < 65536:
            raise _os_error(errno.EINVAL, f"port {addr[1]!r}")

    def _add(self, key: Key, host: Host, addr: tuple[Any, ...]) -> Destination:
        if (
            sum(each.state is DestinationState.WAITING for each in self._alive)
            >= WAITING_DESTINATIONS
        ):
            raise _os_error(
                errno.ENOBUFS, f"{WAITING_DESTINATIONS} destinations wait for a socket already"
            )
        source = None if key.is_ordinary else _source(host, addr[1])
        destination = Destination(self, key, host, source)
        self._current[key] = destination
        self._alive.add(destination)
        # Not by the loop's factory: with asyncio.eager_task_factory the socket would be opened,
        # or refused, inside sendto(), before the datagram is here.
        task = asyncio.Task(
            self._open(destination), loop=self._loop, context=self._callbacks.copy()
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return destination

    async def _open(self, destination: Destination) -> None:
        try:
            if destination.key.is_ordinary:
                local = (destination.key.host, 0)
                await self._original(lambda: destination, local_addr=local)
            else:
                await self._open_on_module(destination)
        except (OSError, ValueError) as exc:
            destination.abort()
            error = exc if isinstance(exc, OSError) else _os_error(errno.EINVAL, str(exc))
            self.on_closed(destination, error)
        except asyncio.CancelledError:
            destination.abort()
            self.on_closed(destination, None)
            raise

    async def _open_on_module(self, destination: Destination) -> None:
        host = destination.host.folded()
        # What was written to reach an address says which family it is of.
        family = family_for(host, 0 if host.address is not None else self._family)
        port = self._sockname[1]
        while True:
            destination.state = DestinationState.OPENING
            # Only one of several sockets can have the requested port.
            is_taken = any(each.local_port == port for each in self._alive - {destination})
            destination.local_port = 0 if is_taken else port
            try:
                await self._route.dialer.create_datagram_endpoint(
                    lambda: destination,
                    remote_addr=(host, destination.key.port),
                    local_port=destination.local_port,
                    family=family,
                )
            except NoFreeSocket:
                destination.state = DestinationState.WAITING
                if not await self._make_room(destination):
                    raise
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE or not destination.local_port:
                    raise
                port = 0  # the port rests (§2.2.1, note 5), or is busy on the module
            else:
                return

    async def _make_room(self, asking: Destination) -> bool:
        """Free a socket or wait for one; return ``False`` if this endpoint has none to free."""
        others = [each for each in self._alive if each is not asking and not each.key.is_ordinary]
        if all(each.state is DestinationState.WAITING for each in others):
            return False
        patience = None
        candidates = [
            each for each in others if each.state is DestinationState.OPEN and not each.unsent
        ]
        if candidates:
            now = self.time()
            victim = min(candidates, key=lambda each: (each.patience(now) > 0, each.last_used))
            patience = victim.patience(now)
            if patience <= 0:
                self._forget(victim)
                victim.close()
                return True  # the next open waits until this socket is closed
        await self._change(patience)
        return True

    async def _change(self, timeout: float | None) -> None:
        """Wait until a socket is opened, idle, answered or closed, or the time is over."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _forget(self, destination: Destination) -> None:
        """Let the next datagram to a destination open a new socket."""
        if self._current.get(destination.key) is destination:
            del self._current[destination.key]

    def takes_from(self, host: str) -> bool:
        """Whether datagrams that reach this machine's socket from a host are wanted."""
        return self._route.bypass.covers(read_host(host))

    def on_opened(self, destination: Destination) -> None:
        """Wake those that wait for a socket; close this socket if the endpoint is closing."""
        self._changed.set()
        if self._closing:
            destination.close()

    def on_datagram(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Give the protocol a datagram."""
        self._changed.set()
        if self._closing:
            return
        try:
            protocol: Any = self._protocol  # a datagram protocol, unless somebody changed it
            self._callbacks.run(protocol.datagram_received, data, addr)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": "protocol.datagram_received() failed",
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )

    def on_error(self, exc: Exception) -> None:
        """Report an error in the loop's next turn: the protocol may be in ``sendto()`` now."""
        if not self._lost:
            self._loop.call_soon(self._report, exc)

    def _report(self, exc: Exception) -> None:
        if not self._lost:
            protocol: Any = self._protocol  # as in on_datagram()
            self._callbacks.run(protocol.error_received, exc)

    def on_progress(self) -> None:
        """Let the protocol send on, if it was paused and little enough is left."""
        self._changed.set()
        self._maybe_resume_protocol()

    def on_closed(self, destination: Destination, exc: Exception | None) -> None:
        """Note that a socket is closed; end the endpoint if the link to the module is lost."""
        self._forget(destination)
        self._alive.discard(destination)
        self._changed.set()
        if isinstance(exc, LinkLost):
            self._end(exc)
        elif exc is not None:
            self.on_error(exc)
        self._maybe_resume_protocol()
        if self._closing and not self._alive:
            self._finish(None)

    def close(self) -> None:
        """Send the waiting datagrams, then close; ``connection_lost(None)`` follows."""
        self._home.check_thread()
        if self._closing:
            return
        self._closing = True
        for destination in tuple(self._alive):
            destination.close()
        if not self._alive:
            self._finish(None)

    def abort(self) -> None:
        """Drop the waiting datagrams and close; ``connection_lost(None)`` follows at once."""
        self._home.check_thread()
        self._end(None)

    def _end(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._closing = True
        for task in self._tasks:
            task.cancel()
        self._finish(exc)
        for destination in tuple(self._alive):
            destination.abort()

    def _finish(self, exc: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._callbacks.run, self._protocol.connection_lost, exc)


def _source(host: Host, port: int) -> tuple[Any, ...] | None:
    """Return the address that the program sent to, which answers are reported to come from."""
    # Answers from a named host are reported with the address that the name resolved to.
    return None if host.address is None else full_address(host.written, port)


def _os_error(code: int, text: str) -> OSError:
    return OSError(code, f"{os.strerror(code)}: {text}")
