"""Find out what a refusal, a silence or an end means for a connection.

Layer: aio. Plain coroutines over ``driver.run(command)``.
"""

from __future__ import annotations

import asyncio

from aiobc9x.aio.owners import owner_of
from aiobc9x.aio.sockets import GONE, SocketKeeper
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
from aiobc9x.wire.commands import Qistate
from aiobc9x.wire.network import Cgatt, Cgpaddr

_ENDING = frozenset({SocketState.CLOSING, SocketState.REMOTE_CLOSING})


class Examiner:
    """Compares what the module says about sockets with what we believe."""

    def __init__(self, keeper: SocketKeeper) -> None:
        self._keeper, self._driver = keeper, keeper.driver
        self._session = keeper.session
        self._network_check: asyncio.Future[Exception | None] | None = None

    async def examine(self, event: SendStalled | SendRefused | ReadRefused) -> None:
        """Find out what ``SEND FAIL`` or ``ERROR`` means for a connection, and act on it."""
        slot, err = event.slot, event.err
        try:
            row = await self._keeper.status(slot)
        except ModemError:
            if isinstance(event, SendStalled):
                self._retry(slot)  # the next send finds out
            raise
        owner = owner_of(slot)
        if not slot.is_live or owner is None:
            return
        if row is None or row.socket_state in GONE:
            owner.on_failed(_vanished(err))
        elif row.socket_state in _ENDING:
            self.note_remote_close(slot, drained=isinstance(event, ReadRefused))
        elif isinstance(event, SendRefused):
            owner.on_send_refused(command_error(f"AT+QISEND={slot.connect_id}", err))
        elif isinstance(event, SendStalled):
            self._retry(slot)
        else:  # a read that was refused for no visible reason: the next poll reads again
            slot.last_read = self._driver.time()

    def _retry(self, slot: Slot) -> None:
        slot.retry_send(self._driver.time())
        self._driver.kick()

    def note_remote_close(self, slot: Slot, *, drained: bool = False) -> None:
        """Note a ``"closed"`` whose URC got lost."""
        if slot.state is SlotState.OPEN:
            slot.move(SlotState.REMOTE_CLOSED)
        slot.readable = not drained
        owner = owner_of(slot)
        if owner is not None:
            owner.on_remote_closed()
            if drained or slot.access_mode is AccessMode.PUSH:
                owner.on_drained()
        self._driver.kick()

    async def compare(self, lane: Lane = Lane.COMMAND) -> bool:
        """Compare the module's table with ours (§2.2.3).

        A row that we miss is a connection that is gone; a row that says so is an end whose
        URC got lost.

        Returns:
            Whether the module has lost every socket, as after a restart.

        """
        ours = [slot for slot in self._session.sockets if slot.state is SlotState.OPEN]
        rows = {row.connect_id: row for row in await self._driver.run(Qistate(), lane=lane)}
        lost = bool(ours) and not rows
        for slot in ours:
            row = rows.get(slot.connect_id)
            if row is None and slot.service_type is ServiceType.TCP_INCOMING:
                row = await self._keeper.status(slot, lane)  # some firmware leaves these out
                lost = lost and row is None
            if slot.state is not SlotState.OPEN:
                continue
            if row is None or (row.socket_state in GONE and not slot.is_listener):
                self._end(slot, restarted=lost and lane is Lane.RECOVERY)
            elif row.socket_state in _ENDING:
                self.note_remote_close(slot)
        return lost

    def _end(self, slot: Slot, *, restarted: bool) -> None:
        owner = owner_of(slot)
        if owner is not None:
            lost = ModuleReset("the module has no socket any more: it must have restarted")
            owner.on_failed(lost if restarted else _vanished(None))

    async def why_closed(self) -> Exception | None:
        """Say why connections end: ``None`` for the peer, an error for a lost network."""
        if self._network_check is None:
            self._network_check = asyncio.get_running_loop().create_future()
            check = self._network_check
            error: ModemError | None = None
            try:
                error = await self._check_network()
            except ModemError as exc:
                error = exc if not self._driver.is_alive else None
            finally:
                self._network_check = None
                check.set_result(error)
            return error
        return await asyncio.shield(self._network_check)

    async def _check_network(self) -> NetworkLost | None:
        try:
            if not await self._driver.run(Cgatt()):
                return NetworkLost("the module is no longer attached to the network (CGATT)")
            contexts = await self._driver.run(Cgpaddr())
        except CommandError:
            return None  # it can't say: take the peer's word
        if not any(cid == self._keeper.context_id and addresses for cid, addresses in contexts):
            return NetworkLost("the module has no address any more (CGPADDR)")
        return None


def _vanished(err: int | None) -> StreamBroken:
    code = "" if err is None else f" (modem error {err})"
    return StreamBroken(f"the module has closed the connection without a word{code}")
