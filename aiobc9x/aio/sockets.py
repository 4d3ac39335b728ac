"""Who holds which connect ID, from the reservation to the confirmed close.

Layer: aio. Closes run in the supervisor, so a caller that is cancelled never leaves a
connect ID behind.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import Final

from aiobc9x.aio.changes import Changes
from aiobc9x.aio.driver import Driver
from aiobc9x.aio.resting import rest
from aiobc9x.core.events import Lane
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import CommandError, LinkLost, LinkTimeout, ModemError, NoFreeSocket
from aiobc9x.spec import CLOSE_TIME_S, AccessMode, QueryType, ServiceType, SocketState
from aiobc9x.wire.commands import Qiclose, Qistate, SocketStatus
from aiobc9x.wire.urcs import CloseOk

logger = logging.getLogger("aiobc9x.aio")

CLOSE_LIMIT_S: Final = CLOSE_TIME_S + 2.0
"""Seconds until a missing ``CLOSE OK`` is looked into."""

CLOSE_RETRY_S: Final = 30.0
"""Between two rounds of closing a socket that the module keeps."""

GONE: Final = frozenset({SocketState.IDLE, SocketState.CLOSED})
"""States of a socket that no longer uses its ID (N8)."""


class SocketKeeper:
    """Reserves and closes the connect IDs of one modem.

    Attributes:
        driver: Runs the commands.
        context_id: ``<contextID>`` of every socket.
        freed: Tells whenever an ID becomes free, an open ends, or all have ended at once.
        is_closing: The modem is being closed, so no ID is given out.

    """

    def __init__(self, driver: Driver, context_id: int) -> None:
        self.driver = driver
        self.context_id = context_id
        self.freed = Changes()
        driver.on_sockets_lost = self.freed.tell
        self.is_closing = False
        self._closes: dict[Slot, asyncio.Future[None]] = {}
        self._one_close = asyncio.Lock()

    @property
    def session(self) -> Session:
        """The session that the sockets belong to."""
        return self.driver.session

    def want_reads(self, slot: Slot, wants: bool) -> None:
        """Let the session read a socket, or not."""
        if slot.wants_read is wants:
            return
        slot.wants_read = wants
        if wants:
            slot.last_read = slot.last_read or self.driver.time()
            self.driver.kick()

    async def status(self, slot: Slot, lane: Lane = Lane.COMMAND) -> SocketStatus | None:
        """Ask the module how a socket is; ``None`` if it has no such socket (§2.2.3)."""
        rows = await self.driver.run(Qistate(QueryType.CONNECT_ID, slot.connect_id), lane=lane)
        return next((row for row in rows if row.connect_id == slot.connect_id), None)

    async def reserve(
        self, service_type: ServiceType, access_mode: AccessMode, local_port: int
    ) -> Slot:
        """Reserve a connect ID; wait if none is free but one is closing.

        Raises:
            NoFreeSocket: All six are in use and none is closing.
            LinkLost: The link failed meanwhile.
            OSError: EADDRINUSE: the local port was in use less than 120 s ago.

        Cancellation is safe.
        """
        table = self.session.sockets
        wait = table.resting_s(local_port, self.driver.time()) if local_port else 0
        if wait > 0:
            text = f"the module can't use local port {local_port} for another {wait:.0f} s"
            raise OSError(errno.EADDRINUSE, f"{text} (§2.2.1, note 5); use 0 to let it choose")
        while True:
            self.driver.check()
            if self.is_closing:
                raise LinkLost("the modem is being closed")
            slot = table.reserve(service_type, access_mode, local_port)
            if slot is not None:
                return slot
            if not table.is_closing:
                raise NoFreeSocket
            await self.freed.wait()

    def close(self, slot: Slot) -> asyncio.Future[None]:
        """Close a socket in the background; the future is done when its ID is free."""
        self.driver.home.check_thread()
        if (under_way := self._closes.get(slot)) is not None:
            return under_way
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if slot.state is SlotState.FREE or not self.driver.is_alive:
            future.set_result(None)
            return future
        # Its AT+QIOPEN may still wait there, and must not come behind the close.
        lane = Lane.COMMAND if slot.state is SlotState.OPENING else Lane.CLOSE
        if slot.state is not SlotState.CLOSING:
            slot.move(SlotState.CLOSING)
        slot.clear()
        self._closes[slot] = future
        self.driver.spawn(self._close, slot, future, lane)
        return future

    async def _close(self, slot: Slot, future: asyncio.Future[None], lane: Lane) -> None:
        try:
            while slot.state is SlotState.CLOSING and self.driver.is_alive:
                if await self._close_thrice(slot, lane):
                    break
                logger.warning("! the module keeps socket %d open", slot.connect_id)
                await rest(self.driver, CLOSE_RETRY_S)  # a restart frees every socket
        finally:
            if slot.state is SlotState.CLOSING:
                self.session.release(slot, self.driver.time())
                self.session.statistics.closes += 1
            self._closes.pop(slot, None)
            if not future.done():
                future.set_result(None)
            self.driver.disown(slot)
            self.freed.tell()

    async def _close_thrice(self, slot: Slot, lane: Lane) -> bool:
        for _ in range(3):
            try:
                if await self._close_once(slot, lane) or slot.state is SlotState.FREE:
                    return True
            except LinkTimeout:
                continue  # the driver is bringing the line back in step
            except CommandError as exc:
                logger.debug("! can't ask for socket %d: %s", slot.connect_id, exc)
        return False

    async def _close_once(self, slot: Slot, lane: Lane) -> bool:
        """Close and wait for ``CLOSE OK``; without one, ask whether the socket is gone."""
        if await self.close_quietly(slot.connect_id, lane, slot):
            return True
        row = await self.status(slot, Lane.CLOSE)
        return row is None or row.socket_state in GONE

    async def close_quietly(
        self, connect_id: int, lane: Lane = Lane.CLOSE, slot: Slot | None = None
    ) -> bool:
        """Send AT+QICLOSE; return whether ``CLOSE OK`` came.

        A ``slot`` that is free by the time that it is its turn has nothing left to close:
        the module has restarted, and the ID may be somebody else's.
        """
        async with self._one_close:  # CLOSE OK names no socket (rule 4)
            if slot is not None and slot.state is SlotState.FREE:
                return True
            done = self.driver.expect(lambda urc: True if isinstance(urc, CloseOk) else None)
            try:
                command = Qiclose(connect_id)
                answer = await self.driver.ask(command, lane=lane, explain=False)
                if answer.ok:
                    async with asyncio.timeout(CLOSE_LIMIT_S):
                        return await done
            except TimeoutError as exc:
                if isinstance(exc, LinkTimeout):
                    raise
            finally:
                done.cancel()
        return False

    async def close_foreign(self) -> None:
        """Close the sockets that a caller opened by a command of his own, if that can be."""
        try:
            for row in await self.driver.run(Qistate(), lane=Lane.CLOSE):
                if self.session.sockets.get(row.connect_id) is None:
                    await self.close_quietly(row.connect_id)
        except ModemError as exc:  # the next start closes them
            logger.warning("! sockets opened by commands may be left open: %s", exc)
