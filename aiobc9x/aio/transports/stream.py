"""A TCP socket of the module as an asyncio transport.

Layer: aio.

Written bytes are joined, also over a few rounds of the loop, and sent in pieces of at most 1440
bytes. Received bytes are read from the module until the read-ahead is full, even while the
protocol has paused reading.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from asyncio import constants
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from aiobc9x.aio.sockets.access_modes import ModeSwitcher
from aiobc9x.aio.sockets.compare import Examiner
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.transports.base import ModuleTransport
from aiobc9x.aio.transports.gathering import Gathering
from aiobc9x.aio.transports.socket_view import SocketView
from aiobc9x.aio.transports.tls import force_reading, improve, innermost, is_only_goodbye, is_tls
from aiobc9x.aio.transports.writers import tell_writer
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import SEND_MAX_BYTES, AccessMode

OVERRUN_BYTES: Final = 64 * 1024
"""Bytes that may still be pushed while a full socket is switched to buffer mode. Ours."""

STUCK_S: Final = 1.0
"""Seconds for which a protocol may keep reading paused after the peer has closed and while it
waits to write."""

_BYTES_LIKE: Final = (bytes, bytearray, memoryview)

_WARN_AFTER_WRITES: Final = 5


class _NoHalfCloseError(OSError, NotImplementedError):
    """The error of ``write_eof()``: asyncio's transports raise ``NotImplementedError``.

    It is an ``OSError`` too, because anyio before 4.16 calls ``write_eof()`` at each close
    without asking ``can_write_eof()``, and ignores only an ``OSError``.
    """


class SocketTransport(ModuleTransport, asyncio.Transport):
    """A connection through the module."""

    # asyncio's own start_tls() and sendfile() test for these names and for the base.
    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    def __init__(
        self,
        keeper: SocketKeeper,
        examiner: Examiner,
        modes: ModeSwitcher,
        slot: Slot,
        protocol: asyncio.BaseProtocol,
        extra: dict[str, Any],
        read_ahead_bytes: int,
    ) -> None:
        self._ahead: deque[bytes] = deque()
        self._ahead_bytes = 0
        self._ahead_limit = read_ahead_bytes
        self._modes = modes
        self._relieved = False
        self._paused = False
        self._delivering = False
        self._eof = self._is_held_open = False
        self._refused_bytes = 0
        self._stuck: asyncio.TimerHandle | None = None
        self._is_forced = False
        self._gathering = Gathering(asyncio.get_running_loop(), self._send)
        names = extra["sockname"], extra["peername"]
        extra["socket"] = SocketView(socket.SOCK_STREAM, *names, self._is_quiet)
        super().__init__(keeper, examiner, slot, protocol, extra)

    def _fill_level(self) -> str:
        return f"{super()._fill_level()} ahead={self._ahead_bytes}"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Use another protocol from now on."""
        self._keeper.driver.home.check_thread()
        improve(protocol)
        super().set_protocol(protocol)
        # TLS detects missing bytes by itself, so "buff full" need not end the connection (F20).
        if is_tls(protocol):
            self._keeper.session.mark_checked(self._slot)
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._check_writer()

    def _is_quiet(self) -> bool:
        """Whether the connection is open and there are no data that wait for the protocol."""
        return not (self._closing or self._ahead or self._eof)

    def is_reading(self) -> bool:
        """Whether received data go to the protocol at once."""
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        """Keep received data here; the module is read until the read-ahead is full."""
        self._keeper.driver.home.check_thread()
        self._paused = not self._is_forced

    def resume_reading(self) -> None:
        """Let received data go to the protocol again."""
        self._keeper.driver.home.check_thread()
        if self._paused:
            self._paused = False
            if not self._closing:
                self._loop.call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes; they are copied at once.

        Raises:
            TypeError: Not a bytes-like object.
            RuntimeError: It is called from another thread or event loop; nothing is written.

        """
        self._keeper.driver.home.check_thread()
        if not isinstance(data, _BYTES_LIKE):
            raise TypeError(
                f"data argument must be a bytes-like object, not {type(data).__name__!r}"
            )
        if self._closing:
            self._ignored_writes += 1
            if self._ignored_writes == _WARN_AFTER_WRITES:
                self._keeper.driver.log.warning(
                    "! writes to a closed connection are ignored: %r",
                    self,
                    connect_id=self._slot.connect_id,
                )
            return
        if not data:
            return
        if self._has_ended:
            self._refuse(data)
            return
        refusal = self._keeper.driver.ledger.refusal()
        if refusal is not None and not is_only_goodbye(self._protocol, bytes(data)):
            self.on_failed(refusal)
            return
        is_short = self._slot.unsent + memoryview(data).nbytes < SEND_MAX_BYTES
        self._keeper.session.write(self._slot, data, more=is_short)
        if is_short:
            self._gathering.add()
        else:
            self._gathering.end()
            self._keeper.driver.kick()
        self._maybe_pause_protocol()

    def _send(self) -> None:
        self._keeper.session.flush(self._slot)
        self._keeper.driver.pump()

    def _refuse(self, data: bytes | bytearray | memoryview) -> None:
        """Count bytes that can't be sent: the peer has closed, as the protocol will learn later."""
        if not is_only_goodbye(self._protocol, bytes(data)):
            self._refused_bytes += len(data)
            self._maybe_pause_protocol()
            self._check_writer()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the module has not confirmed with ``SEND OK``."""
        return super().get_write_buffer_size() + self._refused_bytes

    def _unsent_error(self) -> Exception | None:
        if not self._refused_bytes:
            return super()._unsent_error()
        unsent = self.get_write_buffer_size()
        return StreamBroken(f"the peer closed the connection with {unsent} bytes not sent")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Queue the concatenation of some bytes-like objects."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return ``False``: the module has no half-close."""
        return False

    def write_eof(self) -> None:
        """Raise ``NotImplementedError``, an ``OSError`` too: the module has no half-close."""
        raise _NoHalfCloseError(
            errno.EOPNOTSUPP, "the module can't close one direction alone; use close()"
        )

    def on_data(self, data: bytes) -> None:
        """Take bytes of the stream."""
        if self._closing:
            return
        if self._paused or self._ahead or self._delivering:
            self._ahead.append(data)
            self._ahead_bytes += len(data)
            self._update_reading()
            self._relieve()
        else:
            self._hand_over(data)

    def _relieve(self) -> None:
        """Keep the read-ahead bounded in push mode, in which the module can't be paused (§1.2)."""
        if self._slot.access_mode is AccessMode.BUFFER or self._ahead_bytes < self._ahead_limit:
            return
        if self._ahead_bytes >= self._ahead_limit + OVERRUN_BYTES:
            text = "the module pushes data faster than the program reads them"
            self._force_close(StreamBroken(f"{text}; read faster, or use buffer mode"))
        elif not self._relieved:
            self._relieved = True
            self._keeper.driver.spawn(self._be_relieved)

    async def _be_relieved(self) -> None:
        await self._modes.relieve(self._slot)
        self._relieved = False

    def on_datagram_lost(self, reason: str) -> None:
        """Do nothing: streams have no datagrams."""

    def _deliver(self) -> None:
        """Hand the protocol what was read ahead, then the end of the stream."""
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
        if not self._closing:
            self._update_reading()
        if self._eof and not self._ahead and not self._paused and not self._closing:
            self._deliver_eof()

    def _deliver_eof(self) -> None:
        self._eof = False
        if self._call("eof_received", self._tell_eof) and self._is_held_open:
            return
        # The module must close its side now (§2.3.1), whatever the protocol prefers.
        if not self._lost:
            self._closing = True
            self._close_socket(self._unsent_error())

    def _tell_eof(self) -> None:
        eof_received: Any = getattr(self._protocol, "eof_received", None)
        keeps_open = eof_received is not None and eof_received()
        # Only TLS may keep the connection open: it holds data for a reader that has paused, and
        # closes after them.
        self._is_held_open = bool(keeps_open) and is_tls(self._protocol)

    def _hand_over(self, data: bytes) -> None:
        if not self._is_buffered:
            self._call("data_received", self._protocol.data_received, data)
            return
        left = memoryview(data)
        while left and not self._closing:
            # The protocol has paused, or was replaced, between two buffers.
            if self._paused or not self._is_buffered:
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

    def on_remote_closed(self) -> None:
        """Have the rest read, even beyond the read-ahead limit: the module's buffer is small."""
        if not self._closing:
            self._update_reading()

    def _update_reading(self) -> None:
        is_ending = self._slot.state is SlotState.REMOTE_CLOSED
        wants = is_ending or self._ahead_bytes < self._ahead_limit
        self._keeper.want_reads(self._slot, wants)

    def _discard_received(self) -> None:
        self._ahead.clear()
        self._ahead_bytes = 0
        self._eof = False
        if self._stuck is not None:
            self._stuck.cancel()

    def _on_peer_closed(self) -> None:
        self._eof = True
        self._deliver()
        self._check_writer()

    def _check_writer(self) -> None:
        """Tell the writing side that the peer has closed, if it has written bytes after that.

        A protocol without a way to be told this learns it by ``connection_lost()``, which must
        come after all received data. If such a protocol has paused reading until it can write,
        neither would ever happen, so its pause is ended after :data:`STUCK_S`.
        """
        if not self._has_ended or self._closing:
            return
        error = self._unsent_error()
        if error is None or tell_writer(innermost(self._protocol), error):
            return
        if self._protocol_paused and self._stuck is None:
            self._stuck = self._loop.call_later(STUCK_S, self._force)

    def _force(self) -> None:
        """Hand over the received data in spite of the pause, so that the end can follow."""
        self._is_forced, self._paused = True, False
        self._deliver()
        force_reading(self._protocol)
