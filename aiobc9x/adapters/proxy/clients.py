"""Keep the clients of one local proxy, and share the module's sockets among them.

Layer: adapters.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiobc9x.adapters.proxy.api import NO_CHECK, HealthCheck, ProxyStatistics, ProxyTimeouts
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
from aiobc9x.logs import Log

log: Final = Log("adapters")

_OLDEST_GOES: Final = {ClientState.ASKING: HANDSHAKE_LIMIT, ClientState.ENDING: ENDING_LIMIT}

_LOOK_AGAIN_S: Final = 0.5


class ProxyClients:
    """Admit clients and connect them.

    Attributes:
        timeouts: Limits for the parts of a connection.
        statistics: Counters of the whole proxy.
        health: What a load balancer is told.

    """

    timeouts: ProxyTimeouts
    statistics: ProxyStatistics
    health: HealthCheck

    def __init__(
        self, dialer: Dialer, timeouts: ProxyTimeouts, health: HealthCheck = NO_CHECK
    ) -> None:
        self.timeouts, self.statistics, self.health = timeouts, ProxyStatistics(), health
        self._dialer = dialer
        self._relays: dict[Relay, None] = {}  # in the order in which they came to their state
        self._closing = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def __len__(self) -> int:
        """Return the number of clients, those included that are being sent their last bytes."""
        return len(self._relays)

    @property
    def is_closing(self) -> bool:
        """Whether the proxy admits no more clients."""
        return self._closing.is_set()

    def admit(self, relay: Relay) -> bool:
        """Take in a client; return ``False`` if the proxy is closing."""
        if self.is_closing:
            return False
        self.statistics.clients += 1
        self._relays[relay] = None
        self._emptied.clear()
        return True

    def on_moved(self, relay: Relay) -> None:
        """Note that a client is in a new state; turn the oldest there away if there are too many.

        Each state has a limit of its own, so that clients that stay in one state can't shut
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
            log.debug("! too many clients of the proxy: %r is turned away", crowd[0])
            crowd[0].turn_away()

    def may_open(self) -> bool:
        """Return whether the client that asks, which counts as opening, is within the limit."""
        opening = sum(relay.state is ClientState.OPENING for relay in self._relays)
        return opening <= OPENING_LIMIT

    def forget_if_done(self, relay: Relay) -> None:
        """Forget a client if both sides of its connection have ended."""
        if relay.is_done:
            self._relays.pop(relay, None)
            if not self._relays:
                self._emptied.set()

    async def connect(self, far: Far, request: Request) -> None:
        """Connect through the module; if no socket is free, release a connection that lingers.

        A connection lingers when its client has sent EOF and no byte passes.

        Raises:
            NoFreeSocket: All sockets are in use, and no connection lingers.
            ModemError: As :meth:`Modem.create_connection`.
            ValueError: The request's host or port can't be right.

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
        """Release a connection that has lingered for long enough, if there is one.

        Returns:
            Seconds to wait before the next try; ``None`` if no connection lingers.

        """
        lingering = [(r.free_from, r) for r in self._relays if r.free_from is not None]
        if not lingering:
            return None
        free_from, relay = min(lingering, key=lambda pair: pair[0])
        left = free_from - asyncio.get_running_loop().time()
        if left > 0:
            return min(left, _LOOK_AGAIN_S)
        log.debug("= %r makes room for another client", relay)
        relay.release()
        return 0.0

    def close(self) -> None:
        """Admit no more clients, and end all connections."""
        self._closing.set()
        for relay in tuple(self._relays):
            relay.shut_down()

    async def wait_closed(self) -> None:
        """Wait until this is closed and no client is left. Cancellation is safe."""
        await self._closing.wait()
        await self.wait_empty()

    async def wait_empty(self) -> None:
        """Wait until no client is left. Cancellation is safe."""
        await self._emptied.wait()
