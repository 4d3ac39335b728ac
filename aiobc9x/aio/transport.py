"""A TCP socket of the module as an asyncio transport.

Layer: aio.

Written bytes are coalesced and sent one quantum at a time; received bytes are read
ahead until the read-ahead is full, whether or not the protocol has paused reading.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
import ssl
from asyncio import constants, transports
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.aio.socketview import SocketView
from aiobc9x.errors import StreamBroken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiobc9x.aio.examine import Examiner
    from aiobc9x.aio.sockets import SocketKeeper
    from aiobc9x.core.events import ReadRefused, SendRefused, SendStalled
    from aiobc9x.core.sockets import Slot

logger = logging.getLogger("aiobc9x.aio")

HIGH_WATER_BYTES: Final = 2880
"""Default high water mark: two sends. 64 KiB would hide six seconds at 115200 baud."""

LOW_WATER_BYTES: Final = 1440
"""Default low water mark: one send."""

_WARN_AFTER_WRITES: Final = 5


class SocketTransport(transports._FlowControlMixin, asyncio.Transport):
    """A connection through the module.

    Extra info: ``peername`` and ``sockname`` as ``(address, port)``, ``connect_id``,
    ``modem``, ``socket`` (a :class:`~aiobc9x.aio.socketview.SocketView`).
    """

    # asyncio's own start_tls() and sendfile() test for these names and for the base.
    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    if TYPE_CHECKING:  # typeshed leaves these out of the private base

        def _maybe_pause_protocol(self) -> None: ...
        def _maybe_resume_protocol(self) -> None: ...

    def __init__(
        self,
        keeper: SocketKeeper,
        examiner: Examiner,
        slot: Slot,
        protocol: asyncio.BaseProtocol,
        extra: dict[str, Any],
        read_ahead_bytes: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        extra["socket"] = SocketView(socket.SOCK_STREAM, extra["sockname"], extra["peername"])
        super().__init__(extra, loop)
        self._loop = loop
        self._keeper, self._examiner, self._slot = keeper, examiner, slot
        # A library that reconnects inside connection_lost() must keep its routing.
        self._context = contextvars.copy_context()
        self._ahead: deque[bytes] = deque()
        self._ahead_bytes = 0
        self._ahead_limit = read_ahead_bytes
        self._paused = False
        self._delivering = False
        self._eof = False
        self._is_ending = False
        self._send_settled = asyncio.Event()
        self._closing = False
        self._lost = False
        self._ignored_writes = 0
        self.set_protocol(protocol)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        peer = self.get_extra_info("peername")
        return (
            f"<SocketTransport id={self._slot.connect_id} {state} peer={peer} "
            f"unsent={self.get_write_buffer_size()} ahead={self._ahead_bytes}>"
        )

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
        """Hand all that comes from now on to another protocol."""
        self._protocol: Any = protocol  # which methods it has depends on its kind
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether received data go to the protocol at once."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Keep received data here; the module is read until the read-ahead is full."""
        self._paused = True

    def resume_reading(self) -> None:
        """Let received data go to the protocol again."""
        if self._paused:
            self._paused = False
            if not self._closing:
                self._loop.call_soon(self._deliver)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the module has not confirmed with ``SEND OK``."""
        return self._slot.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks in bytes; without arguments 2880 and 1440."""
        if high is None and low is None:
            high, low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        super().set_write_buffer_limits(high, low)

    def _set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None and low is None:
            high, low = HIGH_WATER_BYTES, LOW_WATER_BYTES
        super()._set_write_buffer_limits(high, low)  # type: ignore[misc]  # as above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes; they are copied at once.

        Raises:
            TypeError: Not a bytes-like object.

        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._closing:
            self._ignored_writes += 1
            if self._ignored_writes == _WARN_AFTER_WRITES:
                logger.warning("writes to a closed connection are ignored: %r", self)
            return
        if not data:
            return
        self._slot.outgoing += data
        self._keeper.driver.kick()
        self._maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Queue the concatenation of some bytes-like objects."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return ``False``: the module has no half-close."""
        return False

    def write_eof(self) -> None:
        """Raise ``NotImplementedError``: the module has no half-close."""
        raise NotImplementedError("the module can't close one direction alone; use close()")

    def close(self) -> None:
        """Send what is queued, then close; ``connection_lost(None)`` follows ``CLOSE OK``."""
        if self._closing:
            return
        self._closing = True
        self._stop_reading()
        if not self._slot.unsent:
            self._close_socket(None)

    def abort(self) -> None:
        """Drop what is queued and close; ``connection_lost(None)`` follows at once."""
        self._force_close(None)

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream."""
        if self._closing:
            return
        if self._paused or self._ahead or self._delivering:
            self._ahead.append(data)
            self._ahead_bytes += len(data)
            self._update_reading()
        else:
            self._hand_over(data)

    def on_sent(self, size_bytes: int) -> None:
        """Note that the module has taken bytes."""
        self._send_settled.set()
        self._maybe_resume_protocol()
        if self._closing and not self._slot.unsent and not self._lost:
            self._close_socket(None)

    def on_drained(self) -> None:
        """Find out whether the peer or the network has ended the connection."""
        if not self._lost and not self._is_ending:
            self._is_ending = True
            self._keeper.driver.spawn(self._end)

    def on_failed(self, error: Exception) -> None:
        """End the connection with the error that says why."""
        self._force_close(error)

    def on_refused(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out whether the connection still stands."""
        self._send_settled.set()
        self._keeper.driver.spawn(self._examiner.examine, event)

    def on_datagram_lost(self, reason: str) -> None:
        """Do nothing: streams have no datagrams."""

    async def _end(self) -> None:
        while self._keeper.session.is_sending(self._slot) and not self._lost:
            self._send_settled.clear()  # the result tells whether the peer got it all
            await self._send_settled.wait()
        error = await self._examiner.why_closed()
        if error is not None:
            self._force_close(error)
        elif self._closing:  # nothing more can be sent
            self._close_socket(self._unsent_error())
        else:
            self._eof = True
            self._deliver()

    def _unsent_error(self) -> Exception | None:
        unsent = self._slot.unsent
        if not unsent:
            return None
        return StreamBroken(f"the peer closed the connection with {unsent} bytes not sent")

    def _deliver(self) -> None:
        """Hand over what was read ahead, then the end of the stream."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._ahead and not self._paused and not self._closing:
                data = self._ahead.popleft()
                self._ahead_bytes -= len(data)
                self._hand_over(data)
        finally:
            self._delivering = False
        self._update_reading()
        if self._eof and not self._ahead and not self._paused and not self._closing:
            self._deliver_eof()

    def _deliver_eof(self) -> None:
        self._eof = False
        eof_received: Any = getattr(self._protocol, "eof_received", None)
        if eof_received is not None:
            self._call("eof_received", eof_received)
        # The module must close its side now (§2.3.1), whatever the protocol prefers.
        if not self._lost:
            self._closing = True
            self._close_socket(self._unsent_error())

    def _hand_over(self, data: bytes) -> None:
        if not self._is_buffered:
            self._call("data_received", self._protocol.data_received, data)
            return
        left = memoryview(data)
        while left and not self._closing:
            if self._paused or not self._is_buffered:  # changed its mind between two buffers
                self._ahead.appendleft(bytes(left))
                self._ahead_bytes += len(left)
                if not self._paused:
                    self._loop.call_soon(self._deliver)
                return
            taken = self._fill(left)
            if not taken:
                return
            left = left[taken:]

    def _fill(self, data: memoryview) -> int:
        """Copy into the protocol's buffer; return how much, 0 if it failed."""
        taken = 0

        def copy() -> None:
            nonlocal taken
            buffer = self._protocol.get_buffer(len(data))
            taken = min(len(buffer), len(data))
            if not taken:
                raise RuntimeError("get_buffer() returned an empty buffer")
            memoryview(buffer).cast("B")[:taken] = data[:taken]
            self._protocol.buffer_updated(taken)

        return taken if self._call("buffer_updated", copy) else 0

    def _update_reading(self) -> None:
        wants = not self._closing and self._ahead_bytes < self._ahead_limit
        self._keeper.want_reads(self._slot, wants)

    def _stop_reading(self) -> None:
        self._ahead.clear()
        self._ahead_bytes = 0
        self._eof = False
        self._keeper.want_reads(self._slot, False)

    def _call(self, name: str, function: Callable[..., Any], *args: object) -> bool:
        """Call the protocol; its exception ends this connection alone."""
        try:
            self._context.run(function, *args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": f"protocol.{name}() failed",
                    "exception": exc,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )
            self._force_close(exc if isinstance(exc, Exception) else None)
            return False
        return True

    def _force_close(self, exc: Exception | None) -> None:
        """Drop everything and close; asyncio.sslproto calls it by this name."""
        if isinstance(exc, ssl.SSLError) and exc.reason == "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
            exc = None  # the peer's data crossed our close_notify: no failure
        if self._lost:
            return
        self._send_settled.set()
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
        self._call("connection_lost", self._protocol.connection_lost, exc)
