"""The clients of one local proxy, and their share of the module's sockets.

Layer: adapters.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiobc9x.adapters.proxy.api import ProxyStatistics, ProxyTimeouts
from aiobc9x.adapters.proxy.client import (
    ENDING_LIMIT,
    HANDSHAKE_LIMIT,
    OPENING_LIMIT,
    ClientState,
    Far,
    Relay,
)
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.aio.dialer import Dialer
from aiobc9x.errors import NoFreeSocket

logger = logging.getLogger("aiobc9x.adapters")

_OLDEST_GOES: Final = {ClientState.ASKING: HANDSHAKE_LIMIT, ClientState.ENDING: ENDING_LIMIT}

_LOOK_AGAIN_S: Final = 0.5


class ProxyClients:
    """Admits clients and connects them.

    Attributes:
        timeouts: For the parts of a connection.
        statistics: Counters, live.

    """

    def __init__(self, dialer: Dialer, timeouts: ProxyTimeouts) -> None:
        self.timeouts, self.statistics = timeouts, ProxyStatistics()
        self._dialer = dialer
        self._relays: dict[Relay, None] = {}  # by when they got where they are
        self._is_closing = False
        self._emptied = asyncio.Event()
        self._emptied.set()

    def __len__(self) -> int:
        """How many clients there are, those included whose last bytes are on their way."""
        return len(self._relays)

    @property
    def is_closing(self) -> bool:
        """Whether no more clients are admitted."""
        return self._is_closing

    def admit(self, relay: Relay) -> bool:
        """Take in a client; ``False`` if no more are wanted."""
        if self._is_closing:
            return False
        self.statistics.clients += 1
        self._relays[relay] = None
        self._emptied.clear()
        return True

    def on_moved(self, relay: Relay) -> None:
        """Note that a client has got to another state; too many there turn the oldest away.

        Each state has a limit of its own, so that clients who only sit there can't shut
        others out.
        """
        if relay not in self._relays:
            return
        del self._relays[relay]
        self._relays[relay] = None
        limit = _OLDEST_GOES.get(relay.state)
        if limit is None:
            return
        crowd = [other for other in self._relays if other.state is relay.state]
        if len(crowd) > limit:
            logger.debug("! too many clients of the proxy: %r is turned away", crowd[0])
            crowd[0].turn_away()

    def may_open(self) -> bool:
        """Whether one more connection may be begun, that of the client which asks counted."""
        opening = sum(relay.state is ClientState.OPENING for relay in self._relays)
        return opening <= OPENING_LIMIT

    def forget_if_done(self, relay: Relay) -> None:
        """Forget a client of whom nothing is left."""
        if relay.is_done:
            self._relays.pop(relay, None)
            if not self._relays:
                self._emptied.set()

    async def connect(self, far: Far, request: Request) -> None:
        """Connect through the module; with no free socket, take one that only lingers.

        Raises:
            NoFreeSocket: All are in use by clients that have not ended.
            ModemError: As :meth:`Modem.create_connection`.
            ValueError: The target can't be right.

        Cancellation is safe.
        """
        timeout = self.timeouts.connect_timeout
        while True:
            try:
                await self._dialer.create_connection(
                    lambda: far, request.host, request.port, timeout=timeout
                )
            except NoFreeSocket:
                wait = self._make_room()
                if wait is None:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    def _make_room(self) -> float | None:
        """Release a connection that lingers; return when to try again, ``None`` if none does."""
        lingering = [(r.free_from, r) for r in self._relays if r.free_from is not None]
        if not lingering:
            return None
        free_from, relay = min(lingering, key=lambda pair: pair[0])
        left = free_from - asyncio.get_running_loop().time()
        if left > 0:
            return min(left, _LOOK_AGAIN_S)
        logger.debug("= %r makes room for another client", relay)
        relay.release()
        return 0.0

    def close(self) -> None:
        """Admit nobody any more, and end all connections."""
        self._is_closing = True
        for relay in tuple(self._relays):
            relay.shut_down()

    async def wait_empty(self) -> None:
        """Return when no client is left. Cancellation is safe."""
        await self._emptied.wait()
