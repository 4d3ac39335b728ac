"""Who holds which connect ID, from the reservation to the confirmed close.

Layer: aio. Closes run in the supervisor, so a caller that is cancelled never leaves a
connect ID after.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Final

from aiobc9x.aio.line.driver import Driver
from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.sockets.changes import Changes
from aiobc9x.aio.sockets.close_ok import CloseResult, close_and_wait
from aiobc9x.core.events import Lane
from aiobc9x.core.session import Session
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import CommandError, LinkLost, LinkTimeout, ModemError, NoFreeSocket
from aiobc9x.slotted import slotted
from aiobc9x.spec import (
    LOCAL_PORT_QUARANTINE_S,
    AccessMode,
    QueryType,
    ServiceType,
    SocketState,
)
from aiobc9x.wire.commands.tcpip import Qistate, SocketStatus

CLOSE_RETRY_S: Final = 30.0
"""Seconds between two rounds of closing a socket that the module keeps."""

GONE: Final = frozenset({SocketState.IDLE, SocketState.CLOSED})
"""States of a socket that no longer uses its ID (N8)."""

ENDING: Final = frozenset({SocketState.CLOSING, SocketState.REMOTE_CLOSING})
"""States of a socket that was connected, and whose peer has closed (N8)."""


@slotted(eq=False)
class _Close:
    """A close under way.

    Attributes:
        slot: The socket.
        lane: The lane of AT+QICLOSE.
        future: Done when the connect ID is free.
        rests: Whether the local port rests afterwards. It need not if, as far as is known, the
            module, the peer or the network has ended the socket before AT+QICLOSE could.
        whoever: Whether the ID is to be freed even if another connection has it.
        is_refused: The last AT+QICLOSE was answered by ``ERROR``.
        is_doubtful: An AT+QICLOSE got no answer, so it may have been carried out; a later
            ``ERROR`` then proves nothing.

    """

    slot: Slot
    lane: Lane
    future: asyncio.Future[None]
    rests: bool
    whoever: bool
    is_refused: bool = False
    is_doubtful: bool = False


class SocketKeeper:
    """Reserve and close the connect IDs of one modem.

    Attributes:
        driver: Runs the commands.
        context_id: ``<contextID>`` of every socket.
        freed: Wakes waiting tasks when an ID becomes free, an open ends, or all sockets end.
        is_closing: The modem is being closed, so no ID is given out.
        has_listened: A listener has been opened, so incoming connections whose URC got lost
            are possible.
        has_foreign_sockets: The program has opened sockets by its own AT+QIOPEN commands.

    """

    has_listened: bool

    def __init__(
        self,
        driver: Driver,
        context_id: int,
        port_quarantine: float = LOCAL_PORT_QUARANTINE_S,
    ) -> None:
        self.driver = driver
        self.context_id = context_id
        self._port_quarantine = port_quarantine
        self.freed: Changes = Changes()
        driver.on_sockets_lost = self.freed.tell
        self.is_closing = self.has_foreign_sockets = self.has_listened = False
        self._closes: dict[Slot, asyncio.Future[None]] = {}
        self._one_close = asyncio.Lock()

    @property
    def session(self) -> Session:
        """The session that the sockets belong to."""
        return self.driver.session

    def want_reads(self, slot: Slot, wants: bool) -> None:
        """Set whether the session may read a socket."""
        if slot.wants_read is wants:
            return
        self.session.want_reads(slot, wants, self.driver.time())
        if wants:
            self.driver.kick()

    async def status(self, slot: Slot, lane: Lane = Lane.COMMAND) -> SocketStatus | None:
        """Ask for the module's row of a socket; ``None`` if it has no such socket (§2.2.3)."""
        rows = await self.driver.run(Qistate(QueryType.CONNECT_ID, slot.connect_id), lane=lane)
        return next((row for row in rows if row.connect_id == slot.connect_id), None)

    async def reserve(
        self,
        service_type: ServiceType,
        access_mode: AccessMode,
        local_port: int,
        preferred: int | None = None,
    ) -> Slot:
        """Reserve a connect ID.

        If no ID is free, or the local port is in use, wait for a close that is under way. A
        fixed local port that AT+QICLOSE has freed rests for a while, as the note recommends
        (§2.2.1, note 5). The module itself refuses other ports that are in use.

        Raises:
            NoFreeSocket: All six are in use and none is closing.
            LinkLost: The link failed meanwhile.
            OSError: EADDRINUSE: the local port rests.

        Cancellation is safe.
        """
        table = self.session.sockets
        self.has_listened |= service_type is ServiceType.TCP_LISTENER
        while True:
            self.driver.check()
            if self.is_closing:
                raise LinkLost("the modem is being closed")
            if not self._is_being_closed(local_port):
                self._check_rest(local_port)
                slot = table.reserve(service_type, access_mode, local_port, preferred)
                if slot is not None:
                    return slot
                if not table.is_closing:
                    raise NoFreeSocket
            await self.freed.wait()

    def _is_being_closed(self, local_port: int) -> bool:
        """Whether the socket that uses a fixed local port is being closed."""
        closing = (s for s in self.session.sockets if s.state is SlotState.CLOSING)
        return bool(local_port) and any(slot.local_port == local_port for slot in closing)

    def _check_rest(self, local_port: int) -> None:
        """Raise ``OSError`` if a fixed local port rests."""
        wait = self.session.sockets.resting_s(local_port, self.driver.time())
        if wait > 0:
            text = f"local port {local_port} rests for another {wait:.0f} s after its close"
            fix = "use 0 to let the module choose, or open_modem(port_quarantine=0) to try"
            raise OSError(errno.EADDRINUSE, f"{text} (§2.2.1, note 5); {fix}")

    def close(
        self, slot: Slot, *, whoever: bool = False, rests: bool = True
    ) -> asyncio.Future[None]:
        """Close a socket in the background; the future is done when its ID is free.

        Args:
            slot: The socket.
            whoever: Close the ID even if another connection has it.
            rests: Leave its fixed local port alone for a while, as the note recommends.

        """
        self.driver.home.check_thread()
        if (under_way := self._closes.get(slot)) is not None:
            return under_way
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if slot.state is SlotState.FREE or not self.driver.is_alive:
            future.set_result(None)
            return future
        # AT+QIOPEN of an opening socket may still wait in the command lane. The close must come
        # after it.
        lane = Lane.COMMAND if slot.state is SlotState.OPENING else Lane.CLOSE
        whoever |= slot.state is not SlotState.OPENING
        close = _Close(slot, lane, future, rests and slot.state is SlotState.OPEN, whoever)
        self.session.begin_close(slot)
        self._closes[slot] = future
        self.driver.spawn(self._close, close)
        return future

    async def _close(self, close: _Close) -> None:
        slot, future = close.slot, close.future
        try:
            while slot.state is SlotState.CLOSING and self.driver.is_alive:
                if await self._close_thrice(close):
                    break
                text = "! the module keeps socket %(connect_id)d open"
                self.driver.log.warning(text, connect_id=slot.connect_id)
                # Ends early at a restart, which frees every socket.
                await rest(self.driver, CLOSE_RETRY_S)
        finally:
            if slot.state is SlotState.CLOSING:
                rest_s = self._port_quarantine if close.rests else 0.0
                self.session.release(slot, self.driver.time(), rest_s)
                self.session.statistics.closes += 1
            self._closes.pop(slot, None)
            if not future.done():
                future.set_result(None)
            self.driver.disown(slot)
            self.freed.tell()

    async def _close_thrice(self, close: _Close) -> bool:
        for _ in range(3):
            try:
                if await self._close_once(close) or close.slot.state is SlotState.FREE:
                    return True
            except LinkTimeout:  # the driver is bringing the line back in step
                close.is_doubtful = True
            except CommandError as exc:
                text = "! can't ask for socket %(connect_id)d: %(reason)s"
                self.driver.log.debug(text, connect_id=close.slot.connect_id, error=exc)
        return False

    async def _close_once(self, close: _Close) -> bool:
        """Close and wait for ``CLOSE OK``; without one, ask whether the socket is gone."""
        if not (close.whoever or await self._is_kept(close.slot, close.lane)):
            return True
        result = await self._close_id(close.slot.connect_id, close.lane, close.slot)
        if result is CloseResult.CONFIRMED:
            return True
        close.is_refused = result is CloseResult.REFUSED
        row = await self.status(close.slot, Lane.CLOSE)
        is_gone = row is None or row.socket_state in GONE
        if is_gone and close.is_refused and not close.is_doubtful:
            close.rests = False
        return is_gone

    async def close_failed(self, slot: Slot) -> None:
        """Close the remains of an open that has failed (F37); the ID stays reserved."""
        if await self._is_kept(slot, Lane.CLOSE):
            await self._close_id(slot.connect_id)

    async def _is_kept(self, slot: Slot, lane: Lane) -> bool:
        """Whether the module may still have a socket whose open has failed (F37).

        Some modules free its ID at once, others at AT+QICLOSE only. Beside a listener, a freed
        ID may belong to an incoming connection by now, which AT+QICLOSE would end. So
        AT+QISTATE is asked first; the ``"incoming"`` URC arrives before its answer.
        """
        if not self.session.sockets.listeners:
            return True
        try:
            row = await self.status(slot, lane)
        except CommandError:
            return True
        return row is not None and row.service_type == slot.service_type

    async def _close_id(
        self, connect_id: int, lane: Lane = Lane.CLOSE, slot: Slot | None = None
    ) -> CloseResult:
        """Close what has a connect ID, when no other close is under way.

        If the slot is free when its turn comes, nothing is sent: the module has restarted, and
        the ID may belong to another connection.
        """
        # CLOSE OK names no socket, so one close is under way at a time (F39).
        async with self._one_close:
            if slot is not None and slot.state is SlotState.FREE:
                return CloseResult.CONFIRMED
            return await close_and_wait(self.driver, connect_id, lane=lane, slot=slot)

    def close_orphan(self, connect_id: int) -> None:
        """Close a connection without an owner: its ``"incoming"`` URC got lost (§2.3.5, F35).

        Do nothing if the program has opened sockets by its own commands, because this may be
        one of those.
        """
        if self.has_foreign_sockets:
            return
        slot = self.session.adopt_orphan(connect_id)
        if slot is not None:
            text = "! closing the connection on socket %(connect_id)d, which has no owner"
            self.driver.log.info(text, connect_id=connect_id)
            self.close(slot)

    async def close_foreign(self) -> None:
        """Close the sockets that have no owner here, if possible.

        The program has opened them by its own commands, or their ``"incoming"`` got lost.
        """
        try:
            for row in await self.driver.run(Qistate(), lane=Lane.CLOSE):
                if self.session.sockets.get(row.connect_id) is None:
                    await self._close_id(row.connect_id)
        except ModemError as exc:  # the next start closes them
            text = "! sockets without an owner may stay open on the module: %(reason)s"
            self.driver.log.warning(text, error=exc)
