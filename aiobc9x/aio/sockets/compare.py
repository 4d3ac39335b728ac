"""Find out by AT+QISTATE what a refusal, a silence or an end means for a connection.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable
from typing import Final

from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.sockets.lifetimes import ENDING, GONE, SocketKeeper
from aiobc9x.core.events import Lane, ReadRefused, SendRefused, SendStalled
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import (
    CommandError,
    ModemError,
    ModuleReset,
    NetworkLost,
    StreamBroken,
    command_error,
)
from aiobc9x.spec import AccessMode, ServiceType, SocketState
from aiobc9x.wire.commands.radio import Cgatt, Cgpaddr
from aiobc9x.wire.commands.tcpip import Qistate, SocketStatus

_OWNED = frozenset({ServiceType.TCP_INCOMING, ServiceType.TCP_LISTENER})
"""The kinds of sockets that nobody may be left with: a client, and a listener, which would let
clients in that nobody serves, and keep its port from the listener that is opened in its place."""

_IN_USE = frozenset({SlotState.OPENING, SlotState.OPEN, SlotState.REMOTE_CLOSED})

LAST_WORDS_S: Final = 1.0
"""Seconds in which a module has ended every socket of a context that it calls over. Ours."""

_INCOMING_S: Final = 2.0
"""Seconds in which the ``"incoming"`` of a connection comes that AT+QISTATE shows. Ours."""

_CONTEXT_ENDED: Final = (
    "the module's connection to the network has ended: so have sockets that no peer can close"
)
_RESTARTED: Final = "the module has restarted: it has lost all sockets"


class Examiner:
    """Compare the module's table of sockets with ours.

    Attributes:
        on_network_lost: Called when connections turn out to have ended with the network.
        context_id: ``<contextID>`` of every socket.

    """

    context_id: int

    def __init__(self, keeper: SocketKeeper) -> None:
        self.on_network_lost: Callable[[], None] = lambda: None
        self._keeper, self._driver = keeper, keeper.driver
        self._session, self.context_id = keeper.session, keeper.context_id
        self._network_check: asyncio.Future[ModemError | None] | None = None
        self._reason: NetworkLost | ModuleReset | None = None
        self._survived_at = -math.inf
        self._reason_for: set[int] = set()  # generations of the sockets of then
        self._opening_then: set[int] = set()

    async def examine(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out what ``SEND FAIL`` or ``ERROR`` means for a connection, and act on it."""
        slot, err = event.slot, event.err
        try:
            row = await self._keeper.status(slot)
        except ModemError:
            # The next try of the same read or send asks again.
            if isinstance(event, SendStalled):
                self._session.retry_send(slot, self._driver.time())
            elif isinstance(event, ReadRefused):
                self._session.retry_read(slot, self._driver.time())
            raise
        owner = owner_of(slot)
        if not slot.is_live or owner is None:
            return
        if row is None or row.socket_state in GONE:
            self._end_vanished(slot, err)
            return
        if row.socket_state in ENDING:
            # The whole table, because the other sockets tell whether the context has ended.
            await self.compare()
            self._session.note_remote_closed(slot)
        if isinstance(event, ReadRefused):
            self._session.retry_read(slot, self._driver.time())
        elif row.socket_state in ENDING:
            # The peer has closed, so nothing more can be sent.
            pass
        elif isinstance(event, SendRefused):
            owner.on_send_refused(command_error(f"AT+QISEND={slot.connect_id}", err))
        else:
            self._session.retry_send(slot, self._driver.time())
        self._driver.kick()

    def _end_vanished(self, slot: Slot, err: int | None, reason: ModemError | None = None) -> None:
        """End a connection whose socket the module does not have any more; unread data are lost.

        Some modules free a socket, and its unread data, as soon as the peer closes (F21). On
        such a module, a socket whose last read found nothing has lost nothing: that is an EOF.
        """
        closed = slot.state is SlotState.REMOTE_CLOSED
        if closed and not self._session.profile.keeps_unread and slot.found_empty:
            self._session.note_drained(slot)
        else:
            known = copy.copy(reason) or self._known_reason(slot)
            self._session.break_off(slot, known or _vanished(slot, err))
        self._driver.kick()

    def expect_ends(
        self, error: NetworkLost | ModuleReset, *, within_s: float = LAST_WORDS_S
    ) -> None:
        """Note why sockets are gone from now on: the network has ended, or a deep sleep.

        With the network a ``"closed"`` comes, which is no word of a peer. A socket that opens
        after this, or that is still connected a while after, ends for a reason of its own.
        However late the end is seen, as behind a recovery, it keeps this reason.

        Args:
            error: The reason.
            within_s: Seconds in which the module may still show such a socket as connected.

        """
        self._reason, self._survived_at = error, self._driver.time() + within_s
        # An opening socket may open on the next context. If it has opened on this one instead, and
        # its +QIOPEN got lost, the module's table shows it as ending.
        sockets = list(self._session.sockets)
        opening = {slot.generation for slot in sockets if slot.state is SlotState.OPENING}
        self._reason_for = {slot.generation for slot in sockets} - opening
        self._opening_then = opening

    def _known_reason(self, slot: Slot) -> NetworkLost | ModuleReset | None:
        return copy.copy(self._reason) if slot.generation in self._reason_for else None

    async def compare(self, lane: Lane = Lane.COMMAND, *, reason: ModemError | None = None) -> bool:
        """Compare the module's table with ours (§2.2.3).

        A socket of ours without a row is gone. A row in an ending state is an end whose URC got
        lost. A connected row of an opening socket is an open whose URC got lost (F32). A row
        without a socket of ours is an incoming connection whose URC got lost (F35), or a listener
        whose close the module has not heard.

        Args:
            lane: The lane of the commands.
            reason: Why connections end, if that is known.

        Returns:
            Whether the module has lost every socket, as after a restart.

        """
        ours = [slot for slot in self._session.sockets if slot.state in _IN_USE]
        # An opening socket may get its AT+QIOPEN after this question, and then has no row.
        known = [slot for slot in ours if slot.state is not SlotState.OPENING]
        is_late = self._driver.time() >= self._survived_at
        rows = {row.connect_id: row for row in await self._driver.run(Qistate(), lane=lane)}
        self._note_context_end(ours, rows)
        for slot in ours:
            if (row := rows.get(slot.connect_id)) is not None:
                # At once, because the commands below take time, and the row grows old.
                self._match(slot, row, reason)
                if is_late and row.socket_state == SocketState.CONNECTED:
                    self._reason_for.discard(slot.generation)
        missing = [slot for slot in known if slot.connect_id not in rows]
        lost = not rows and any(self._has_row(slot) for slot in missing)
        for slot in missing:
            found: SocketStatus | None = None
            if slot.service_type is ServiceType.TCP_INCOMING:
                # Some firmware leaves incoming connections out of the whole list (F36).
                found = await self._keeper.status(slot, lane)
                lost = lost and found is None
            restarted = lost and lane is Lane.RECOVERY
            self._match(slot, found, ModuleReset(_RESTARTED) if restarted else reason)
        for connect_id, row in rows.items():
            if row.service_type in _OWNED and self._session.sockets.get(connect_id) is None:
                self._driver.spawn(self._end_orphan, connect_id)
        self._driver.kick()
        return lost

    async def _end_orphan(self, connect_id: int) -> None:
        """Have an incoming connection closed if its URC does not come after all (F35).

        The module may have printed the row first: its URC waits behind the answer, or the
        connection was still being set up.
        """
        boots, link = self._session.boots, self._driver.link
        await asyncio.sleep(_INCOMING_S)
        is_same = self._session.boots == boots and self._driver.link is link
        if is_same and self._session.sockets.get(connect_id) is None:
            self._driver.on_orphaned(connect_id)

    def _note_context_end(self, ours: list[Slot], rows: dict[int, SocketStatus]) -> None:
        """Note that a context has ended of which nothing was said.

        No peer can end a listener or a datagram socket. If one has ended, so has the context, and
        what else is ending now has ended with it, and not by its peer.
        """
        # A close of ours may have overtaken the question, and its socket be ending by that.
        states = ((slot, rows.get(slot.connect_id)) for slot in ours if slot.state in _IN_USE)
        ending = [slot for slot, row in states if row is not None and row.socket_state in ENDING]
        telling = [slot for slot in ending if slot.is_listener or slot.is_datagram]
        if any(self._known_reason(slot) is None for slot in telling):
            self.expect_ends(NetworkLost(_CONTEXT_ENDED))
            self._reason_for |= {slot.generation for slot in ending}

    def _has_row(self, slot: Slot) -> bool:
        """Whether a module that has not restarted would have a row for this socket."""
        closed = slot.state is SlotState.REMOTE_CLOSED and self._session.profile.keeps_unread
        return slot.state is SlotState.OPEN or closed

    def _match(self, slot: Slot, row: SocketStatus | None, reason: ModemError | None) -> None:
        if slot.state is SlotState.OPENING:
            own = row is not None and row.service_type == slot.service_type
            if row is not None and own and row.socket_state in {SocketState.CONNECTED, *ENDING}:
                self._session.note_opened(slot)
                if row.socket_state in ENDING:
                    self._reason_for |= self._opening_then & {slot.generation}
                    self._session.note_remote_closed(slot)
        elif slot.state in {SlotState.OPEN, SlotState.REMOTE_CLOSED}:
            if row is None or (row.socket_state in GONE and not slot.is_listener):
                if isinstance(reason, ModuleReset):
                    self._session.break_off(slot, reason)
                else:
                    self._end_vanished(slot, None, reason)
                return
            if row.access_mode in list(AccessMode):
                self._session.note_mode(slot, AccessMode(row.access_mode))
            if row.socket_state in ENDING:
                self._session.note_remote_closed(slot)

    async def why_closed(self, slot: Slot) -> ModemError | None:
        """Find out why a connection ended: ``None`` for the peer, or how the network went (F40).

        Six connections that end at once share one check.
        """
        if isinstance(known := self._known_reason(slot), NetworkLost):
            return known  # the network may be there again already
        if (under_way := self._network_check) is not None:
            error = await asyncio.shield(under_way)
            if error is not None:
                return error
        # That check may have begun before this connection ended, so its good news proves nothing:
        # wait for the next check, or begin one.
        if (under_way := self._network_check) is not None:
            return await asyncio.shield(under_way)
        check = self._network_check = asyncio.get_running_loop().create_future()
        error = None
        try:
            error = await self._check_network()
            if error is not None:
                self.on_network_lost()
        except ModemError as exc:
            error = exc if not self._driver.is_alive else None
        finally:
            self._network_check = None
            check.set_result(error)
        return error

    async def _check_network(self) -> NetworkLost | None:
        try:
            if not await self._driver.run(Cgatt()):
                return NetworkLost("the module is no longer attached to the network (CGATT)")
            contexts = await self._driver.run(Cgpaddr())
        except CommandError:
            # The module lacks the command, so the "closed" is believed.
            return None
        if not any(cid == self.context_id and addresses for cid, addresses in contexts):
            return NetworkLost("the module has no address any more (CGPADDR)")
        return None


def _vanished(slot: Slot, err: int | None) -> StreamBroken:
    code = "" if err is None else f" (module error {err})"
    if slot.state is SlotState.REMOTE_CLOSED:
        text = "the peer closed the connection, and the module dropped unread data"
        return StreamBroken(f"{text}{code}")
    return StreamBroken(f"the module has closed the connection without reporting it{code}")
