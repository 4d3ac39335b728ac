"""A TCP listener of the module as an asyncio server (§2.2.1, §2.3.5).

Layer: aio.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Awaitable, Callable

from aiobc9x.aio.connections.connecting import Connector, Tls
from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.reopening import comes_back, open_again
from aiobc9x.aio.transports.base import ModuleTransport
from aiobc9x.aio.transports.socket_view import SocketView
from aiobc9x.core.events import ReadRefused, SendRefused, SendStalled
from aiobc9x.core.slots import Slot
from aiobc9x.errors import ModemError, StreamBroken
from aiobc9x.wire.urcs import Incoming


class Server(asyncio.AbstractServer):
    """Accept connections until it is closed; accepted connections go on after that.

    A server takes one of the module's six connect IDs, and each connection another one. As with
    asyncio's own server, ``async with`` closes it, and :meth:`serve_forever` closes it when
    cancelled. Unlike asyncio's since 3.12, :meth:`wait_closed` does not wait for connections.

    A listener that a restart of the module, a lost link or a lost network has ended is opened
    again by itself, and serving goes on. Until somebody has connected to it, its port need not
    rest when it is closed: a program may close it because of the restart, to listen anew.
    """

    def __init__(
        self,
        keeper: SocketKeeper,
        connector: Connector,
        slot: Slot,
        address: tuple[str, int],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: Tls | None,
        modem: object,
        opens: Callable[[int], Awaitable[tuple[Slot, tuple[str, int]]]],
    ) -> None:
        self._opens = opens
        self._keeper, self._connector, self._slot = keeper, connector, slot
        # So that the modem lives as long as clients may connect.
        self._modem = modem
        self._factory, self._tls, self._address = protocol_factory, tls, address
        self._loop = asyncio.get_running_loop()
        # As in asyncio, connections run in the context of the caller who made the server.
        self._context = contextvars.copy_context()
        self._accepting: set[asyncio.Task[None]] = set()
        self._accepted: list[Slot] = []
        self._closed: asyncio.Future[None] | None = None
        self._forever: asyncio.Future[None] | None = None
        self._is_away = self._is_back_unused = False
        keeper.driver.adopt(slot, self)

    def __repr__(self) -> str:
        state = "serving" if self.is_serving() else "closed"
        return f"<Server id={self._slot.connect_id} {state} at {self._address}>"

    @property
    def sockets(self) -> tuple[SocketView, ...]:
        """The listening socket, which has ``getsockname()``; empty when the server is closed."""
        if not self.is_serving():
            return ()
        return (SocketView(socket.SOCK_STREAM, self._address, None),)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the server belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether the server accepts connections."""
        return self._closed is None

    async def start_serving(self) -> None:
        """Do nothing, because the server accepts from the start.

        Raises:
            RuntimeError: The server is closed, or belongs to another event loop.

        """
        self._keeper.driver.home.check_loop()
        if not self.is_serving():
            raise RuntimeError(f"server {self!r} is closed")

    async def serve_forever(self) -> None:
        """Wait until cancelled, then close the server.

        Raises:
            RuntimeError: The server is closed, or belongs to another event loop, or another task
                waits in this call.
            ModemError: The module has ended the listener, or the link failed.

        """
        await self.start_serving()
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    def close(self) -> None:
        """Stop accepting; accepted connections go on."""
        self._stop(None)

    def _stop(self, error: Exception | None) -> None:
        """Close the listener on the module, and end :meth:`serve_forever`."""
        if self._closed is not None:
            return
        if error is not None:
            self._keeper.driver.log.warning(
                "! %r ended: %s", self, error, connect_id=self._slot.connect_id, error=error
            )
        # The 120 s of §2.2.1, note 5, are for what a connection leaves behind (N33).
        self._closed = self._keeper.close(self._slot, rests=not self._is_back_unused)
        if self._forever is None or self._forever.done():
            return
        if error is None:
            self._forever.cancel()
        else:
            self._forever.set_exception(error)

    async def wait_closed(self) -> None:
        """Wait until the module has closed the listener; cancellation is safe.

        Raises:
            RuntimeError: The server belongs to another event loop.

        """
        self._keeper.driver.home.check_loop()
        if self._closed is not None:
            await asyncio.shield(self._closed)

    def close_clients(self) -> None:
        """Close every accepted connection, flushing it."""
        for slot in self._clients():
            owner = owner_of(slot)
            if owner is None:
                self._keeper.close(slot)
            else:
                owner.close()

    def abort_clients(self) -> None:
        """Close every accepted connection at once."""
        for slot in self._clients():
            owner = owner_of(slot)
            if isinstance(owner, ModuleTransport):
                owner.abort()
            else:
                self._keeper.close(slot)

    def _clients(self) -> list[Slot]:
        """Return the accepted sockets that have not ended, also those in a TLS handshake."""
        return [slot for slot in self._accepted if slot.is_live]

    def accept(self, slot: Slot, incoming: Incoming) -> None:
        """Give an incoming connection its transport and its protocol."""
        self._accepted = [*self._clients(), slot]
        self._is_back_unused = False
        task = self._loop.create_task(
            self._accept(slot, (incoming.remote_ip, incoming.remote_port)), context=self._context
        )
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _accept(self, slot: Slot, peername: tuple[str, int]) -> None:
        extra = self._connector.extra(slot, peername, None)
        extra["sockname"] = self._address
        try:
            await self._connector.attach(slot, extra, self._factory, self._tls)
        except (OSError, ModemError, asyncio.CancelledError) as exc:
            text = "! connection from %(host)s, port %(port)d failed: %(reason)s"
            host, port = peername
            log = self._keeper.driver.log
            log.info(text, connect_id=slot.connect_id, host=host, port=port, error=exc)
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"accepting from {peername} failed", "exception": exc}
            )

    def on_failed(self, error: Exception) -> None:
        """Listen again behind a restart, or a lost link or network; stop if the modem does."""
        if self._closed is None and comes_back(self._keeper, error):
            if self._is_away:
                return  # the end of one listener may be told of more than once
            self._is_away = True
            self._keeper.driver.log.info(
                "! %r is opened again: %s",
                self,
                error,
                connect_id=self._slot.connect_id,
                error=error,
            )
            self._keeper.close(self._slot)  # the module may keep the ID of what has ended
            self._keeper.driver.spawn(self._listen_again)
        else:
            self._stop(error)

    async def _listen_again(self) -> None:
        before = self._slot.connect_id
        made = await open_again(
            self._keeper, self.is_serving, lambda: self._opens(before), self._stop
        )
        if made is None:
            return
        slot, address = made
        if not self.is_serving():
            self._keeper.close(slot, rests=False)
            return
        self._slot, self._address = slot, address
        self._is_away, self._is_back_unused = False, True
        self._keeper.driver.adopt(slot, self)

    def on_remote_closed(self) -> None:
        """Stop, because a listener is never read, so that no ``on_drained`` would follow."""
        self.on_drained()

    def on_drained(self) -> None:
        """Stop: the module, or the loss of the network, has closed the listener."""
        if self._closed is None:
            self._keeper.driver.spawn(self._end)

    async def _end(self) -> None:
        slot = self._slot
        error = await self._connector.why_closed(slot)
        if slot is self._slot:  # the listener may be open again already
            self.on_failed(error or StreamBroken("the module has closed the listener"))

    def on_data(self, data: bytes) -> None:
        """Do nothing: a listener has no data."""

    def on_sent(self, size_bytes: int) -> None:
        """Do nothing: a listener has no data."""

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Do nothing: a listener has no data."""

    def on_send_refused(self, error: OSError) -> None:
        """Do nothing: a listener has no data."""

    def on_datagram_lost(self, reason: str) -> None:
        """Do nothing: a listener has no data."""
