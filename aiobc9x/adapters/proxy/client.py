"""One client of the local proxy and its connection through the module.

Layer: adapters.

Neither side is read while the other one's buffer is full, and no task waits for either: a
client that stands still stops its own socket of the module, and nothing else.

The module has no half-close. A client's EOF is therefore kept here: its bytes go out, the
answer comes in, and the connection ends with the peer, or when both sides have been silent
for a while, a shorter one if its socket is wanted for somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import math
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiobc9x.adapters.proxy.api import ProxyStatistics, ProxyTimeouts
from aiobc9x.adapters.proxy.handshake import Handshake, HandshakeStep, Request
from aiobc9x.adapters.proxy.http_connect import HttpHandshake
from aiobc9x.adapters.proxy.socks5 import VERSION, SocksHandshake
from aiobc9x.errors import NoFreeSocket

logger = logging.getLogger("aiobc9x.adapters")

EARLY_LIMIT_BYTES: Final = 16 * 1024
"""What a client may send before it is connected; it is not read further then."""

GRACE_S: Final = 5.0
"""Seconds of silence after which a connection whose client has ended makes room for another.

Nobody can tell a client that has closed from one that awaits the answer with one direction
closed, so it isn't done at once; who wants the place waits meanwhile."""

GRACE_ANSWERED_S: Final = 1.0
"""The same if the peer had the last word: then the client has most likely got its answer."""

CHUNK_BYTES: Final = 16 * 1024
"""The most that is taken from a client at once, so that it feels the line's pace."""

ENDING_TICK_S: Final = 5.0
"""Seconds between two looks at a client that is being given its last bytes, and how long it
may take to close once it has them all."""

STALL_LIMIT_S: Final = 60.0
"""Seconds after which a client that takes none of its last bytes is given up."""

HANDSHAKE_LIMIT: Final = 64
"""Clients that have not said yet where they want to be connected; one more, and the one that
has kept silent for longest goes: most say it with their first bytes."""

OPENING_LIMIT: Final = 64
"""Clients whose connections are being opened, or wait for a socket. Others are told no."""

ENDING_LIMIT: Final = 64
"""Clients that are being given their last bytes; one more, and the slowest goes."""

_Callback = Callable[[], object]

_RESET_ON_CLOSE: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER with no time: the system sends RST in place of FIN."""


class ClientState(enum.Enum):
    """How far a client has come."""

    ASKING = "asking"
    OPENING = "opening"
    OPEN = "open"
    ENDING = "ending"
    CLOSED = "closed"


class RelayOwner(Protocol):
    """What a client asks of, and tells, the proxy that it is connected to.

    Attributes:
        timeouts: For the parts of a connection.
        statistics: Counters, live.

    """

    timeouts: ProxyTimeouts
    statistics: ProxyStatistics

    def admit(self, relay: Relay) -> bool:
        """Take in a client; ``False`` if no more are wanted."""

    def on_moved(self, relay: Relay) -> None:
        """Note that a client has got to another state."""

    def may_open(self) -> bool:
        """Whether one more connection may be begun."""

    async def connect(self, far: Far, request: Request) -> None:
        """Connect through the module.

        Raises:
            OSError: Not connected.
            ValueError: The target can't be right.

        Cancellation is safe.
        """

    def forget_if_done(self, relay: Relay) -> None:
        """Forget a client of whom nothing is left."""


class Far(asyncio.Protocol):
    """The side of the module."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self._relay.on_connected(self.transport)

    def data_received(self, data: bytes) -> None:
        """Give bytes to the client."""
        self._relay.on_peer_data(data)

    def pause_writing(self) -> None:
        """Stop reading the client: the module can't take more."""
        self._relay.hold_client(True)

    def resume_writing(self) -> None:
        """Read the client again."""
        self._relay.hold_client(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the client's connection in the same way."""
        self.transport = None
        self._relay.on_peer_lost(exc)


class Relay(asyncio.BufferedProtocol):
    """The side of the client, from its first byte to its last."""

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
        """How far the client has come; one that is being cut off counts as closed."""
        return ClientState.CLOSED if self._is_cut else self._state

    @property
    def is_done(self) -> bool:
        """Whether neither side is left."""
        return (
            self._state is ClientState.CLOSED and self._far.transport is None and self._task is None
        )

    @property
    def free_from(self) -> float | None:
        """When another client may have the module's socket; ``None`` if it is in use."""
        if self._quiet_since is None:
            return None
        return self._quiet_since + (GRACE_ANSWERED_S if self._is_answered else GRACE_S)

    @property
    def _quiet_since(self) -> float | None:
        """When the last byte flowed, if the client will send no more; else ``None``."""
        far = self._far.transport
        if self._state is not ClientState.OPEN or not self._has_eof or far is None:
            return None
        if far.get_write_buffer_size():  # bytes are still on their way to the module
            return asyncio.get_running_loop().time()
        return self._last_traffic

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request, if this is no forward."""
        self._client = cast(asyncio.Transport, transport)
        if not self._owner.admit(self):
            self.turn_away()
        elif self._fixed is not None:
            self._begin_opening(self._fixed)
        else:
            self._start_timer(self._owner.timeouts.handshake_timeout, self.turn_away)
            self._owner.on_moved(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return where the client's bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes of the client."""
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
        """Keep the connection for the answer, unless nobody can want one."""
        self._has_eof = True
        if self._state is ClientState.OPENING:
            return bool(self._early) or self._fixed is not None or self._give_up()
        if self._state is ClientState.OPEN:
            self._start_linger()
            return True
        return False

    def pause_writing(self) -> None:
        """Stop reading from the module: the client takes no more."""
        if self._far.transport is not None:
            self._far.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the module again."""
        if self._far.transport is not None:
            self._far.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the module's socket, behind what the client has sent."""
        self._stop_timer()
        self._move(ClientState.CLOSED)
        self._end_far()
        self._owner.forget_if_done(self)

    def shut_down(self) -> None:
        """End the connection, visibly for the client."""
        self._end_far()
        if self._state is not ClientState.CLOSED:
            self._reset_client(at_once=True)

    def turn_away(self) -> None:
        """Reset a client that has no connection, or is being given its last bytes."""
        self._owner.statistics.turned_away += 1
        self._reset_client(at_once=True)

    def release(self) -> None:
        """Let go of the module's socket though the peer has not ended.

        What the client has not had of the answer would pass for the whole without a reset.
        """
        self._end_far()
        self._reset_client()

    def hold_client(self, holds: bool) -> None:
        """Stop or go on reading the client."""
        if self._state is not ClientState.OPEN or self._has_eof or self._client.is_closing():
            return  # asyncio would report its EOF once more
        if holds:
            self._client.pause_reading()
        else:
            self._client.resume_reading()

    def on_connected(self, transport: asyncio.Transport) -> None:
        """Tell the client; send what it has sent already."""
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
        """Give bytes to the client."""
        if self._state is ClientState.OPEN and not self._client.is_closing():
            self._touch()
            self._is_answered = True
            self._owner.statistics.bytes_down += len(data)
            self._client.write(data)

    def on_peer_lost(self, exc: Exception | None) -> None:
        """End the client's connection as the peer's has ended: in order, or by a reset."""
        if self._state is ClientState.OPEN:
            if exc is None:
                self._end_client()
            else:
                logger.debug("! a connection of the proxy failed: %s", exc)
                self._reset_client()
        self._owner.forget_if_done(self)

    def _move(self, state: ClientState) -> None:
        self._state = state
        self._owner.on_moved(self)

    def _ask(self, data: bytes) -> None:
        if self._handshake is None:
            self._handshake = SocksHandshake() if data[0] == VERSION else HttpHandshake()
        step = self._handshake.feed(data)
        if step.reply:
            self._client.write(step.reply)
        self._act_on(step)

    def _act_on(self, step: HandshakeStep) -> None:
        if step.is_over:
            self._owner.statistics.turned_away += 1
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
        # No finally in the coroutine: one that is cancelled at once never begins.
        self._task.add_done_callback(self._on_open_over)

    async def _open(self, request: Request) -> None:
        logger.debug("= the proxy connects to %r:%d", request.host.text, request.port)
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
        logger.info("! the proxy can't connect to %r:%d: %s", request.host.text, request.port, exc)
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
        """Look again when the connection may have been silent for long enough."""
        self._touch()
        self._start_timer(self._owner.timeouts.linger, self._check_linger)

    def _check_linger(self) -> None:
        if self._quiet_since is None:
            return  # it is ending already
        left = self._quiet_since + self._owner.timeouts.linger - asyncio.get_running_loop().time()
        if left > 0:
            self._start_timer(left, self._check_linger)
        else:
            self.release()

    def _give_up(self) -> bool:
        """Stop opening for a client that has gone; return that nothing is to be kept."""
        self._end_far()
        return False

    def _end_far(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._far.transport is not None:
            self._far.transport.close()

    def _end_client(self) -> None:
        """Deliver what is buffered, then FIN, then discard what the client still sends.

        Closing with unread bytes would send RST, which can overtake the answer.
        """
        self._move(ClientState.ENDING)
        if self._client.is_closing():
            return
        if self._has_eof:
            self._client.close()
        else:
            with contextlib.suppress(OSError):  # it went this very moment
                self._client.write_eof()
            self._client.resume_reading()
        self._watch_ending()

    def _reset_client(self, *, at_once: bool = False) -> None:
        """Deliver what is buffered, or not even that, then RST."""
        self._is_cut = at_once or not self._client.get_write_buffer_size()
        self._move(ClientState.ENDING)
        sock = self._client.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it went this very moment
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
            self._client.abort()  # it has everything
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
