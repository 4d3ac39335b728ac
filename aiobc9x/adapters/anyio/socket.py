"""Share what an anyio stream of bytes and one of datagrams have in common.

Layer: adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from aiobc9x.adapters.anyio.flow import FlowProtocol
from aiobc9x.aio.dialer import Dialer
from aiobc9x.aio.transports.base import HIGH_WATER_BYTES
from aiobc9x.aio.transports.socket_view import SocketView
from aiobc9x.errors import LinkLost

Attributes: TypeAlias = Mapping[Any, Callable[[], Any]]
"""anyio's typed attributes (``Any``: their values are of all types)."""

UNSENT_LIMIT_BYTES: Final = HIGH_WATER_BYTES
"""Bytes that may wait for the module while a send still returns at once: two full AT+QISEND."""


class ModemAttribute(anyio.TypedAttributeSet):
    """Attributes of a stream beyond :class:`anyio.abc.SocketAttribute`, through TLS too.

    Attributes:
        modem: The modem, or another :class:`~aiobc9x.aio.dialer.Dialer`.
        connect_id: The connect ID of the module's socket, 0–5 (§2.2.1).
        is_readable: Whether a stream's ``receive()`` would return or raise at once.
        socket_view: Stands for a socket: has its options and addresses, but no file descriptor.

    """

    modem: Dialer = anyio.typed_attribute()
    connect_id: int = anyio.typed_attribute()
    is_readable: bool = anyio.typed_attribute()
    socket_view: SocketView = anyio.typed_attribute()


class ModuleSocket:
    """One socket of the module: its attributes, its waits, and its end."""

    def __init__(self, protocol: FlowProtocol) -> None:
        self._flow, self._transport = protocol, protocol.transport
        self._receiving = anyio.ResourceGuard("reading from")
        self._sending = anyio.ResourceGuard("writing to")
        self._is_closed = False
        self._has_told = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "broken" if self._flow.is_lost else "open"
        peer = self._transport.get_extra_info("peername")
        connect_id = self._transport.get_extra_info("connect_id")
        return f"<{type(self).__name__} id={connect_id} {state} peer={peer}>"

    @property
    def extra_attributes(self) -> Attributes:
        """The attributes of :class:`ModemAttribute` and ``SocketAttribute``, but ``raw_socket``."""
        info = self._transport.get_extra_info
        return {
            SocketAttribute.family: lambda: info("socket").family,
            SocketAttribute.local_address: lambda: info("sockname"),
            SocketAttribute.local_port: lambda: info("sockname")[1],
            SocketAttribute.remote_address: lambda: info("peername"),
            SocketAttribute.remote_port: lambda: info("peername")[1],
            ModemAttribute.modem: lambda: info("modem"),
            ModemAttribute.connect_id: lambda: info("connect_id"),
            ModemAttribute.is_readable: self._flow.readable.is_set,
            ModemAttribute.socket_view: lambda: info("socket"),
        }

    def _broken(self, cause: Exception | None = None) -> anyio.BrokenResourceError:
        """Make the error for a connection that has ended though the program didn't close it."""
        self._has_told = True
        cause = self._flow.error or cause or LinkLost("closed with its modem or its server")
        error = anyio.BrokenResourceError(str(cause))
        error.__cause__ = cause
        return error

    async def _readable(self) -> None:
        """Wait until there is something to receive, or the connection has ended."""
        if self._flow.readable.is_set():
            await checkpoint()
        else:
            await self._flow.readable.wait()
        if self._is_closed:
            raise anyio.ClosedResourceError

    async def _room(self) -> None:
        """If more than 2880 bytes wait for the module, wait until it has taken all of them."""
        if self._transport.get_write_buffer_size() > UNSENT_LIMIT_BYTES:
            await self._flow.room.wait()
        if self._is_closed:
            raise anyio.ClosedResourceError

    async def _close(self) -> None:
        """Send what waits, and close.

        If this is cancelled, what waits is dropped, and the modem closes the socket later.
        """
        self._is_closed = True
        self._flow.wake()
        self._transport.close()
        try:
            if self._flow.is_lost:
                await checkpoint()
            else:
                await self._flow.lost.wait()
        except BaseException:
            self._transport.abort()
            raise
