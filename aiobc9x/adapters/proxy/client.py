"""Relay bytes between one client of the local proxy and its connection through the module.

Layer: adapters.

While the buffer towards one side is full, the other side is not read. No task waits for either
side, so a client that stops reading holds up its own socket of the module, and no other.

The module can't close one direction alone (§2.2.2), so a client's EOF is not passed on: the
client's bytes go out, the answer comes in, and the connection ends when the peer closes it, or
when both sides have been silent for :attr:`ProxyTimeouts.linger` seconds. It ends sooner if
another client needs the socket (:data:`GRACE_S`).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiobc9x.adapters.proxy.api import HealthCheck, ProxyStatistics, ProxyTimeouts
from aiobc9x.adapters.proxy.handshake import Handshake, HandshakeStep, Request
from aiobc9x.adapters.proxy.http_connect import HttpHandshake
from aiobc9x.adapters.proxy.socks5 import VERSION, SocksHandshake
from aiobc9x.errors import NoFreeSocket
from aiobc9x.logs import Log

log: Final = Log("adapters")

EARLY_LIMIT_BYTES: Final = 16 * 1024
"""Bytes that a client may send before it is connected; after so many the client is not read."""

GRACE_S: Final = 5.0
"""Seconds of silence after which a connection whose client has sent EOF makes room for another.

The EOF of a client that has closed looks like the EOF of a client that still awaits its answer,
so the connection isn't ended at once; the client that needs the socket waits so long."""

GRACE_ANSWERED_S: Final = 1.0
"""Seconds as in :data:`GRACE_S`, if the last byte came from the peer.

The client has most likely got its whole answer then."""

CHUNK_BYTES: Final = 16 * 1024
"""Bytes read from a client at once: few, so that the client is slowed to the line's speed."""

ENDING_TICK_S: Final = 5.0
"""Seconds between two looks at a client that is being sent its last bytes.

The client also has so many seconds to close after it has received them all."""

STALL_LIMIT_S: Final = 60.0
"""Seconds after which a client that takes none of its last bytes is given up."""

HANDSHAKE_LIMIT: Final = 64
"""Clients that may be without a complete request at the same time.

If one more comes, the client that has been so for longest is reset: most clients send their
request with their first bytes."""

OPENING_LIMIT: Final = 64
"""Clients whose connections may be opening, or waiting for a socket, at the same time.

The requests of further clients are refused."""

ENDING_LIMIT: Final = 64
"""Clients that may be receiving their last bytes at the same time.

If one more begins, the client that began first is reset."""

_Callback = Callable[[], object]

_RESET_ON_CLOSE: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER with a time of 0: at close the system sends RST in place of FIN."""


class ClientState(enum.Enum):
    """How far a client has come, from its request to its end."""

    ASKING = "asking"
    OPENING = "opening"
    OPEN = "open"
    ENDING = "ending"
    CLOSED = "closed"


class RelayOwner(Protocol):
    """The proxy as the relay of one of its clients sees it.

    Attributes:
        timeouts: Limits for the parts of a connection.
        statistics: Counters of the whole proxy.
        health: What a load balancer is told.

    """

    timeouts: ProxyTimeouts
    statistics: ProxyStatistics
    health: HealthCheck

    def admit(self, relay: Relay) -> bool:
        """Take in a client; return ``False`` if the proxy takes no more."""

    def on_moved(self, relay: Relay) -> None:
        """Note that a client is in another state than before."""

    def may_open(self) -> bool:
        """Return whether the client that asks may begin to open its connection."""

    async def connect(self, far: Far, request: Request) -> None:
        """Connect through the module.

        Raises:
            OSError: The connection could not be opened.
            ValueError: The request's host or port can't be right.

        Cancellation is safe.
        """

    def forget_if_done(self, relay: Relay) -> None:
        """Forget a client if both sides of its connection have ended."""


class Far(asyncio.Protocol):
    """The module's side of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and tell the relay that it is connected."""
        self.transport = cast(asyncio.Transport, transport)
        self._relay.on_connected(self.transport)

    def data_received(self, data: bytes) -> None:
        """Pass the peer's bytes to the client."""
        self._relay.on_peer_data(data)

    def pause_writing(self) -> None:
        """Stop reading from the client, because the module can't take more."""
        self._relay.hold_client(True)

    def resume_writing(self) -> None:
        """Read from the client again, because the module can take more."""
        self._relay.hold_client(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the client's connection as the module's has ended: in order, or by a reset."""
        self.transport = None
        self._relay.on_peer_lost(exc)


class Relay(asyncio.BufferedProtocol):
    """The client's side of a relay, from the client's first byte to its last."""

    def __init__(self, owner: RelayOwner, request: Request | None = None) -> None:
        self._owner = owner
        self._fixed = request
        self._handshake: Handshake | None = None
        self._state = ClientState.ASKING
        self._is_cut = False
        self._client: asyncio.Transport
        self._far = Far(self)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray(CHUNK_BYTES)
        self._early = bytearray()
        self._body_left = math.inf
        self._has_eof = False
        self._last_traffic = 0.0
        self._is_answered = False

    def __repr__(self) -> str:
        return f"<Relay {self._state.value} eof={self._has_eof}>"

    @property
    def state(self) -> ClientState:
        """How far the client has come; a client that is being reset counts as closed."""
        return ClientState.CLOSED if self._is_cut else self._state

    @property
    def is_done(self) -> bool:
        """Whether both sides have ended, and no connection is being opened."""
        return (
            self._state is ClientState.CLOSED and self._far.transport is None and self._task is None
        )

    @property
    def free_from(self) -> float | None:
        """When another client may have this one's socket; ``None`` if the socket is in use."""
        if self._quiet_since is None:
            return None
        return self._quiet_since + (GRACE_ANSWERED_S if self._is_answered else GRACE_S)

    @property
    def _quiet_since(self) -> float | None:
        """When the last byte passed, if the client has sent EOF; else ``None``."""
        far = self._far.transport
        if self._state is not ClientState.OPEN or not self._has_eof or far is None:
            return None
        if far.get_write_buffer_size():  # bytes are still on their way to the module
            return asyncio.get_running_loop().time()
        return self._last_traffic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the connection of a forwarded port at once; else wait for the client's request."""
        self._client = cast(asyncio.Transport, transport)
        if not self._owner.admit(self):
            self.turn_away()
        elif self._fixed is not None:
            self._begin_opening(self._fixed)
        else:
            self._start_timer(self._owner.timeouts.handshake_timeout, self.turn_away)
            self._owner.on_moved(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return the buffer that the client's bytes are read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the client: a request, or bytes for the peer."""
        data = bytes(memoryview(self._buffer)[:nbytes])
        if self._state is ClientState.ASKING:
            self._ask(data)
        elif self._state is ClientState.OPENING:
            self._early += data
            if len(self._early) >= EARLY_LIMIT_BYTES:
                self._client.pause_reading()
        elif self._state is ClientState.OPEN:
            self._send_up(data)

    def eof_received(self) -> bool:
        """Keep the connection for the answer, unless the client sent nothing to be answered."""
        self._has_eof = True
        if self._state is ClientState.OPENING:
            return bool(self._early) or self._fixed is not None or self._give_up()
        if self._state is ClientState.OPEN:
            self._start_linger()
            return True
        return False

    def pause_writing(self) -> None:
        """Stop reading from the module, because the client takes no more."""
        if self._far.transport is not None:
            self._far.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the module again, because the client takes more."""
        if self._far.transport is not None:
            self._far.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the module's socket after the client's bytes have gone out."""
        self._stop_timer()
        self._move(ClientState.CLOSED)
        self._end_far()
        self._owner.forget_if_done(self)

    def shut_down(self) -> None:
        """Close the module's socket, and reset the client, so that the client notices."""
        self._end_far()
        if self._state is not ClientState.CLOSED:
            self._reset_client(at_once=True)

    def turn_away(self) -> None:
        """Reset a client that has no connection, or is being sent its last bytes."""
        self._owner.statistics.turned_away += 1
        self._reset_client(at_once=True)

    def release(self) -> None:
        """Close the module's socket although the peer has not closed the connection.

        The client gets a reset, because after a FIN it would take a cut answer for a whole one.
        """
        self._end_far()
        self._reset_client()

    def hold_client(self, holds: bool) -> None:
        """Stop reading from the client, or go on."""
        if self._state is not ClientState.OPEN or self._has_eof or self._client.is_closing():
            return  # after an EOF, asyncio would report the EOF once more
        if holds:
            self._client.pause_reading()
        else:
            self._client.resume_reading()

    def on_connected(self, transport: asyncio.Transport) -> None:
        """Tell the client that it is connected; send the peer what the client has sent already."""
        self._stop_timer()
        if self._state is not ClientState.OPENING:
            transport.abort()
            return
        self._move(ClientState.OPEN)
        self._owner.statistics.opened += 1
        self._touch()
        if self._handshake is not None and (granted := self._handshake.granted()):
            self._client.write(granted)
        early, self._early = bytes(self._early), bytearray()
        self.hold_client(False)
        if early:
            self._send_up(early)
        if self._has_eof:
            self._start_linger()

    def on_peer_data(self, data: bytes) -> None:
        """Send the peer's bytes to the client."""
        if self._state is ClientState.OPEN and not self._client.is_closing():
            self._touch()
            self._is_answered = True
            self._owner.statistics.bytes_down += len(data)
            self._client.write(data)

    def on_peer_lost(self, exc: Exception | None) -> None:
        """End the client's connection as the peer's has ended: in order, or by a reset.

        Args:
            exc: Why the peer's connection failed; ``None`` if the peer closed it in order.

        """
        if self._state is ClientState.OPEN:
            if exc is None:
                self._end_client()
            else:
                log.debug("! a connection of the proxy failed: %(reason)s", error=exc)
                self._reset_client()
        self._owner.forget_if_done(self)

    def _move(self, state: ClientState) -> None:
        self._state = state
        self._owner.on_moved(self)

    def _ask(self, data: bytes) -> None:
        if self._handshake is None:
            is_socks = data[0] == VERSION
            self._handshake = SocksHandshake() if is_socks else HttpHandshake(self._owner.health)
        step = self._handshake.feed(data)
        if step.reply:
            self._client.write(step.reply)
        self._act_on(step)

    def _act_on(self, step: HandshakeStep) -> None:
        if step.is_over or step.is_checked:
            self._owner.statistics.turned_away += step.is_over
            self._owner.statistics.health_checks += step.is_checked
            self._end_client()
        elif step.request is not None:
            self._begin_opening(step.request)

    def _begin_opening(self, request: Request) -> None:
        self._stop_timer()
        self._move(ClientState.OPENING)
        if not self._owner.may_open():
            self._owner.statistics.turned_away += 1
            text = f"{OPENING_LIMIT} clients wait for a connection of the module already"
            self._refuse(NoFreeSocket(text))
            return
        self._early += request.first
        if request.body_bytes is not None:
            self._body_left = len(request.first) + request.body_bytes
        if len(self._early) >= EARLY_LIMIT_BYTES:
            self._client.pause_reading()
        self._task = asyncio.create_task(self._open(request), name="aiobc9x proxy open")
        # A callback, and no finally in the coroutine: a task that is cancelled before its first
        # step never runs its coroutine.
        self._task.add_done_callback(self._on_open_over)

    async def _open(self, request: Request) -> None:
        host, port = request.host.text, request.port
        log.debug("= the proxy connects to %(host)r:%(port)d", host=host, port=port)
        try:
            await self._owner.connect(self._far, request)
        except asyncio.CancelledError:
            raise
        except Exception as exc:
            self._on_failed(request, exc)

    def _on_open_over(self, _: asyncio.Task[None]) -> None:
        self._task = None
        self._owner.forget_if_done(self)

    def _on_failed(self, request: Request, exc: Exception) -> None:
        self._owner.statistics.failed += 1
        host, port = request.host.text, request.port
        text = "! the proxy can't connect to %(host)r:%(port)d: %(reason)s"
        log.info(text, host=host, port=port, error=exc)
        if not isinstance(exc, OSError | ValueError):
            context = {"message": "the proxy failed to connect", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(context)
        if self._state is ClientState.OPENING:
            self._refuse(exc)

    def _refuse(self, exc: Exception) -> None:
        if self._handshake is None:
            self._reset_client()
        else:
            self._client.write(self._handshake.refused(exc))
            self._end_client()

    def _send_up(self, data: bytes) -> None:
        data = data[: int(min(self._body_left, len(data)))]
        self._body_left -= len(data)
        far = self._far.transport
        if data and far is not None and not far.is_closing():
            self._touch()
            self._is_answered = False
            self._owner.statistics.bytes_up += len(data)
            far.write(data)

    def _touch(self) -> None:
        self._last_traffic = asyncio.get_running_loop().time()

    def _start_linger(self) -> None:
        """Start the timer after which the connection may have been silent for long enough."""
        self._touch()
        self._start_timer(self._owner.timeouts.linger, self._check_linger)

    def _check_linger(self) -> None:
        if self._quiet_since is None:
            return  # the connection is ending already
        left = self._quiet_since + self._owner.timeouts.linger - asyncio.get_running_loop().time()
        if left > 0:
            self._start_timer(left, self._check_linger)
        else:
            self.release()

    def _give_up(self) -> bool:
        """Stop opening for a client that has gone; return ``False``, which closes its transport."""
        self._end_far()
        return False

    def _end_far(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._far.transport is not None:
            self._far.transport.close()

    def _end_client(self) -> None:
        """Send the client what is buffered, then FIN; discard what the client still sends.

        If the proxy closed with unread bytes, the system would send RST, and the client might
        lose the end of the answer.
        """
        self._move(ClientState.ENDING)
        if self._client.is_closing():
            return
        if self._has_eof:
            self._client.close()
        else:
            with contextlib.suppress(OSError):  # the client has gone this very moment
                self._client.write_eof()
            self._client.resume_reading()
        self._watch_ending()

    def _reset_client(self, *, at_once: bool = False) -> None:
        """Send the client what is buffered, then RST.

        Args:
            at_once: Drop what is buffered, and send RST now.

        """
        self._is_cut = at_once or not self._client.get_write_buffer_size()
        self._move(ClientState.ENDING)
        sock = self._client.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client has gone this very moment
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._is_cut:
            self._client.abort()
        elif not self._client.is_closing():
            self._client.close()
            self._watch_ending()

    def _watch_ending(self, last_size: float = math.inf, stalled_s: float = 0.0) -> None:
        self._stop_timer()
        size = self._client.get_write_buffer_size()
        stalled_s = stalled_s + ENDING_TICK_S if size == last_size else 0.0
        if not size and last_size == 0:
            self._client.abort()  # the client has everything, and has not closed in time
            return
        if stalled_s >= STALL_LIMIT_S:
            self._reset_client(at_once=True)
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(ENDING_TICK_S, self._watch_ending, size, stalled_s)

    def _start_timer(self, delay: float, function: _Callback) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(delay, function)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
