"""Base of the transports for streams and for datagrams.

Layer: aio.

A transport owns one socket of the module until the module has confirmed its close. An exception
that a protocol raises ends the connection of that transport, and nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import transports
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.transports.callbacks import CallbackContext
from aiobc9x.aio.transports.tls import is_only_goodbye, is_saying_goodbye, take_ciphertext
from aiobc9x.aio.transports.writers import lose
from aiobc9x.core.events import ReadRefused, SendOver, SendRefused, SendStalled
from aiobc9x.core.slots import Slot
from aiobc9x.errors import CommandError, ModemError, StreamBroken

HIGH_WATER_BYTES: Final = 2880
"""Default high water mark: two sends. 64 KiB would hide six seconds at 115200 baud."""

LOW_WATER_BYTES: Final = 1440
"""Default low water mark: one send."""

SEND_OVER_LIMIT_S: Final = 90.0
"""Seconds for which the end of a connection waits for the result of its last send.

The session ends each send sooner by itself; this bounds the wait if it should not.
"""


class ModuleTransport(transports._FlowControlMixin):
    """A socket of the module.

    Extra info: ``peername`` and ``sockname`` as ``(address, port)``, ``connect_id``,
    ``modem``, ``socket`` (a :class:`~aiobc9x.aio.transports.socket_view.SocketView`).

    """

    if TYPE_CHECKING:  # typeshed leaves these out of the private base
        _extra: dict[str, Any]
        _protocol_paused: bool
        _high_water: int
        _low_water: int

    def __init__(
        self,
        keeper: SocketKeeper,
        examiner: Examiner,
        slot: Slot,
        protocol: asyncio.BaseProtocol,
        extra: dict[str, Any],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(extra, loop)
        self._loop = loop
        self._keeper, self._examiner, self._slot = keeper, examiner, slot
        # A library that reconnects inside connection_lost() must do so in the context, and thus by
        # the redirection, of the caller who made this transport.
        self._callbacks = CallbackContext()
        self._is_ending = self._has_ended = False
        self._closing = False
        self._lost = False
        self._ignored_writes = 0
        self._replaced: tuple[Any, bool] | None = None
        self._protocol: Any = protocol  # which methods it has depends on its kind
        self.set_protocol(protocol)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        peer = self.get_extra_info("peername")
        return (
            f"<{type(self).__name__} id={self._slot.connect_id} {state} peer={peer} "
            f"{self._fill_level()}>"
        )

    def _fill_level(self) -> str:
        return f"unsent={self.get_write_buffer_size()}"

    @property
    def slot(self) -> Slot:
        """The socket of the module."""
        return self._slot

    def start(self) -> None:
        """Tell the protocol that it is connected, then let data come."""
        self._call("connection_made", self._protocol.connection_made, self)
        self._keeper.driver.adopt(self._slot, self)
        self._update_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Use another protocol from now on."""
        self._keeper.driver.home.check_thread()
        replaced, self._replaced = self._replaced, (self._protocol, self._protocol_paused)
        self._protocol = protocol
        if self._protocol_paused and replaced == (protocol, False):
            # loop.sendfile() puts the first protocol back while writing is paused. The protocol
            # does not know that yet.
            self._call_about_writing("pause_writing", self._protocol.pause_writing)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the module has not confirmed with ``SEND OK``."""
        return self._slot.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks in bytes; without arguments 2880 and 1440."""
        self._keeper.driver.home.check_thread()
        if high is None and low is None:
            high, low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        super().set_write_buffer_limits(high, low)

    def _set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None and low is None:
            high, low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        super()._set_write_buffer_limits(high, low)  # type: ignore[misc]  # as above

    def _maybe_pause_protocol(self) -> None:
        if not self._protocol_paused and self.get_write_buffer_size() > self._high_water:
            self._protocol_paused = True
            self._call_about_writing("pause_writing", self._protocol.pause_writing)

    def _maybe_resume_protocol(self) -> None:
        if self._protocol_paused and self.get_write_buffer_size() <= self._low_water:
            self._protocol_paused = False
            self._call_about_writing("resume_writing", self._protocol.resume_writing)

    def close(self) -> None:
        """Send what is queued, then close; ``connection_lost(None)`` follows ``CLOSE OK``."""
        self._keeper.driver.home.check_thread()
        if self._closing:
            return
        self._take_ciphertext()
        self._closing = True
        self._discard_received()
        if self._slot.unsent and self._slot.is_live and not self._has_ended:
            # Reading on, for nothing, is how an end from the other side is noticed. After
            # such an end, a send on its way may still be confirmed: _end() waits for that.
            self._keeper.want_reads(self._slot, True)
        else:
            self._close_socket(self._unsent_error())

    def abort(self) -> None:
        """Drop what is queued and close; ``connection_lost(None)`` follows at once."""
        self._keeper.driver.home.check_thread()
        self._force_close(None)

    def on_sent(self, size_bytes: int) -> None:
        """Note that the module has taken bytes."""
        self._maybe_resume_protocol()
        self._flushed()

    def on_remote_closed(self) -> None:
        """Do nothing: the end itself comes after the data."""

    def on_drained(self) -> None:
        """Find out whether the peer or the network has ended the connection."""
        if not self._lost and not self._is_ending:
            self._is_ending = True
            self._keeper.driver.spawn(self._end)

    def on_failed(self, error: Exception) -> None:
        """End the connection with the error that says why."""
        if isinstance(error, StreamBroken | CommandError) and not self._lost:
            self._take_ciphertext()
            if is_saying_goodbye(self._protocol, bytes(self._slot.outgoing)):
                self._force_close(None)  # the peer would not wait for our close_notify
                return
        self._end_by(error)

    def _end_by(self, error: Exception) -> None:
        """Act on an error behind which the module's socket is gone."""
        self._force_close(error)

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out whether the connection still stands."""
        self._keeper.driver.spawn(self._examiner.examine, event)

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream, or one datagram."""
        raise NotImplementedError

    def on_datagram_lost(self, reason: str) -> None:
        """Report a lost datagram."""
        raise NotImplementedError

    def on_send_refused(self, error: OSError) -> None:
        """End the connection: the module did not take its bytes."""
        self.on_failed(error)

    def _flushed(self) -> None:
        """Go on with a close that waited for the module to take everything."""
        if self._closing and not self._slot.unsent and not self._lost:
            self._close_socket(None)

    def _update_reading(self) -> None:
        raise NotImplementedError

    def _discard_received(self) -> None:
        """Drop what the protocol has not taken."""

    def _take_ciphertext(self) -> None:
        """Queue what TLS holds back, before the transport refuses it."""
        if pending := take_ciphertext(self._protocol):
            self._keeper.session.write(self._slot, pending)
            self._keeper.driver.kick()

    def _stop_reading(self) -> None:
        self._discard_received()
        self._keeper.want_reads(self._slot, False)

    def _on_peer_closed(self) -> None:
        """Act on the end of a connection that the peer has closed."""
        self._close_socket(self._unsent_error())

    async def _end(self) -> None:
        await self._send_over()
        error = await self._examiner.why_closed(self._slot)
        self._has_ended = True
        if error is not None:
            self._end_by(error)
        elif self._closing:  # nothing more can be sent
            self._close_socket(self._unsent_error())
        else:
            self._on_peer_closed()

    async def _send_over(self) -> None:
        """Wait for the end of the last send, whose result decides whether all bytes were sent."""
        if not self._keeper.session.is_sending(self._slot):
            return
        over = self._keeper.driver.expect_of(self._slot, SendOver)
        try:
            async with asyncio.timeout(SEND_OVER_LIMIT_S):
                await over
        except (TimeoutError, ModemError):
            self._keeper.driver.log.debug(
                "! the last send of %r is not over", self, connect_id=self._slot.connect_id
            )
        finally:
            over.cancel()

    def _unsent_error(self) -> Exception | None:
        unsent = self._slot.unsent
        if not unsent or is_only_goodbye(self._protocol, bytes(self._slot.outgoing)):
            return None
        return StreamBroken(f"the peer closed the connection with {unsent} bytes not sent")

    def _call(self, name: str, function: Callable[..., Any], *args: object) -> bool:
        """Call the protocol; an exception ends this connection, and nothing else."""
        try:
            self._callbacks.run(function, *args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._tell_of_failure(name, exc)
            self._force_close(exc if isinstance(exc, Exception) else None)
            return False
        return True

    def _call_about_writing(self, name: str, function: Callable[[], object]) -> None:
        """Call the protocol; an exception is reported and ends nothing, as with asyncio."""
        try:
            self._callbacks.run(function)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._tell_of_failure(name, exc)

    def _tell_of_failure(self, name: str, exc: BaseException) -> None:
        self._loop.call_exception_handler(
            {
                "message": f"protocol.{name}() failed",
                "exception": exc,
                "transport": self,
                "protocol": self._protocol,
            }
        )

    def _force_close(self, exc: Exception | None) -> None:
        """Drop everything and close; asyncio.sslproto calls it by this name."""
        if isinstance(exc, ssl.SSLError) and exc.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
            # The peer's data crossed our close_notify. What we have written must still be sent.
            self.close()
            return
        if self._lost:
            return
        self._closing = True
        self._stop_reading()
        self._keeper.close(self._slot)
        self._finish(exc)

    def _close_socket(self, exc: Exception | None) -> None:
        """Close on the module, then tell the protocol."""
        self._stop_reading()
        closed = self._keeper.close(self._slot)
        closed.add_done_callback(lambda _: self._finish(exc))

    def _finish(self, exc: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._call_connection_lost, exc)

    def _call_connection_lost(self, exc: Exception | None) -> None:
        self.get_extra_info("socket").end()
        why = "closed here, or by the peer" if exc is None else f"{type(exc).__name__}: {exc}"
        driver, slot = self._keeper.driver, self._slot
        driver.note("ConnectionEnded", slot, reason=why)
        text = "= the connection on socket %(connect_id)d has ended: %(reason)s"
        driver.log.debug(text, connect_id=slot.connect_id, generation=slot.generation, reason=why)
        self._call("connection_lost", lose, self._protocol, exc)
