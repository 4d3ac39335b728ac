"""Open sockets on the module (§2.2.1).

Layer: aio. An open runs in the supervisor and ends in a connection or in a closed
connect ID, whatever becomes of its caller.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from aiobc9x.aio.line.resting import rest
from aiobc9x.aio.sockets.lifetimes import ENDING, SocketKeeper
from aiobc9x.core.events import Opened, OpenRefused
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import (
    CommandError,
    ConnectFailed,
    ConnectTimedOut,
    LinkLost,
    LinkTimeout,
    ModemError,
    ModuleReset,
    connect_error,
)
from aiobc9x.slotted import slotted
from aiobc9x.spec import (
    DOMAIN_NAME_MAX_BYTES,
    NAME_RESOLUTION_S,
    OPEN_TIME_DEFAULT_S,
    AccessMode,
    Err,
    ProtocolType,
    ServiceType,
    SocketState,
)
from aiobc9x.wire.commands.tcpip import Qiopen
from aiobc9x.wire.host import Host

OPEN_MARGIN_S: Final = 5.0
"""Seconds added to the note's time for ``+QIOPEN`` (§2.2.1, note 2). Ours."""

RETRY_S: Final = (0.5, 1.0, 2.0)
"""Seconds before each retry of an open that a busy module has refused. Ours."""

INCOMING_WAIT_S: Final = 30.0
"""Seconds to wait for the ``"incoming"`` URC of an ID that is in use (563, F33). Ours."""

_SHORT_NAME: Final = Host.read("name")
"""Stands for a name that is resolved first, while the other arguments are checked."""

_BUSY: Final = {Err.BLOCKED, Err.BUSY, Err.DNS_BUSY}


@slotted(frozen=True)
class OpenRequest:
    """What to open (§2.2.1).

    Attributes:
        service_type: TCP, UDP or a listener.
        host: An address, or a name of at most 253 bytes: AT+QIOPEN takes 50.
        remote_port: Port of the far side.
        local_port: 0 lets the module choose.
        access_mode: How received data reach the host.
        protocol_type: The family; ``None`` for a name on whose family nobody has decided.
        preferred: The connect ID to use if it is free: that which the socket had before.
        asked: The name that the caller has given, where ``host`` is one of its addresses.

    """

    service_type: ServiceType
    host: Host
    remote_port: int
    local_port: int = 0
    access_mode: AccessMode = AccessMode.BUFFER
    protocol_type: ProtocolType | None = None
    preferred: int | None = None
    asked: Host | None = None

    def check(self, context_id: int) -> None:
        """Raise ``ValueError`` for what the module can't be asked for."""
        short = replace(self, host=_SHORT_NAME) if self.is_long else self
        short.command(context_id, 0)

    def command(self, context_id: int, connect_id: int) -> Qiopen:
        """Return the command line with every parameter: omitted ones are leftovers (N2)."""
        return Qiopen(
            context_id,
            connect_id,
            self.service_type,
            self.host,
            self.remote_port,
            self.local_port,
            self.access_mode,
            ProtocolType.IPV4 if self.protocol_type is None else self.protocol_type,
        )

    @property
    def target(self) -> tuple[str, int]:
        """What errors name: the far side, or where a listener would listen."""
        listens = self.service_type is ServiceType.TCP_LISTENER
        return self.host.text, self.local_port if listens else self.remote_port

    @property
    def is_named(self) -> bool:
        """Whether the module must resolve a name first."""
        return self.host.address is None

    @property
    def is_long(self) -> bool:
        """Whether AT+QIOPEN doesn't take the name."""
        return len(self.host.encoded) > DOMAIN_NAME_MAX_BYTES


class _Opening:
    """An open under way.

    Attributes:
        abandoned: The caller was cancelled.
        is_taken: Another connection has the slot's connect ID.

    """

    def __init__(self, request: OpenRequest, slot: Slot) -> None:
        self.request, self.slot = request, slot
        self.abandoned = False
        self.is_taken = False
        self.future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()


class Opener:
    """Opens sockets.

    Attributes:
        open_time: ``<open_time>`` as configured, in seconds.

    """

    def __init__(self, keeper: SocketKeeper) -> None:
        self.open_time = OPEN_TIME_DEFAULT_S
        self._keeper, self._driver = keeper, keeper.driver
        self._session = keeper.session
        self._under_way = 0

    def open_limit(self, request: OpenRequest) -> float:
        """Return the seconds that an open may take, with margin (§2.2.1, note 2)."""
        return self.open_time + OPEN_MARGIN_S + (NAME_RESOLUTION_S if request.is_named else 0)

    async def open(self, request: OpenRequest) -> Slot:
        """Open a socket.

        Raises:
            NoFreeSocket: All six IDs are in use and none is closing.
            ConnectFailed: The module could not connect; see its subclasses.
            ModemError: The link, the module or the network failed meanwhile.

        Cancellation is safe: the ID stays reserved until the module has answered, then
        it is closed.
        """
        request.command(self._keeper.context_id, 0)  # a wrong argument is a ValueError here
        slot = await self._reserve(request)
        opening = _Opening(request, slot)
        self._driver.spawn(self._open, opening)
        try:
            return await opening.future
        except asyncio.CancelledError:
            opening.abandoned = True
            self._session.abandon(opening.slot)
            if opening.future.done() and opening.future.exception() is None:
                self._keeper.close(opening.future.result())
            raise

    async def _open(self, opening: _Opening) -> None:
        try:
            await self._take_turn()
            try:
                await self._connect(opening)
            finally:
                self._under_way -= 1
                self._keeper.freed.tell()
        except BaseException as exc:
            self._session.statistics.open_failures += 1
            if not opening.is_taken:
                self._keeper.close(opening.slot)
            if not opening.future.done():
                ended = isinstance(exc, asyncio.CancelledError)
                opening.future.set_exception(self._ended() if ended else exc)
                # Marked as retrieved, so that asyncio logs nothing if the caller has gone.
                opening.future.exception()
            if not isinstance(exc, ModemError | OSError):
                raise
            return
        self._session.statistics.opens += 1
        if opening.abandoned or opening.future.done():
            self._keeper.close(opening.slot)
        else:
            opening.future.set_result(opening.slot)

    def _ended(self) -> ModemError:
        return LinkLost(f"{self._driver.reason} while the connection was being opened")

    async def _reserve(self, request: OpenRequest) -> Slot:
        return await self._keeper.reserve(
            request.service_type, request.access_mode, request.local_port, request.preferred
        )

    async def _take_turn(self) -> None:
        while self._under_way >= self._session.profile.concurrent_opens:
            await self._keeper.freed.wait()
        self._under_way += 1

    async def _connect(self, opening: _Opening) -> None:
        for delay in (*RETRY_S, None):
            await self._check_id(opening)
            try:
                await self._try_connect(opening)
            except ConnectFailed as exc:
                if delay is None or opening.abandoned:
                    raise
                if exc.err == Err.IDENTITY_IN_USE:
                    await self._change_id(opening)
                elif exc.err in _BUSY:
                    await self._keeper.close_failed(opening.slot)
                    await rest(self._driver, delay)
                else:
                    raise
            else:
                return

    async def _check_id(self, opening: _Opening) -> None:
        """Check that the module has not given the reserved ID away while this open waited.

        The module may give any ID that is free there to an incoming connection (§2.3.5, F34).
        Take another ID if it has.
        """
        slot = opening.slot
        holder = self._session.sockets.get(slot.connect_id)
        if slot.state is SlotState.OPENING:
            return
        if holder is None and not slot.is_usurped:
            self._driver.check_link()
            raise ModuleReset("the module restarted while the connection was being opened")
        if holder is slot:
            raise self._ended()
        await self._change_id(opening)

    async def _change_id(self, opening: _Opening) -> None:
        """Take another ID, because the module uses this one already (F33).

        Without a listener, a socket of an earlier program has the ID, and is closed. Beside a
        listener, an incoming connection may have it, whose URC is on its way; a close would
        end that connection, so it waits.
        """
        slot, opening.is_taken = opening.slot, True
        if any(other.is_listener for other in self._session.sockets):
            self._driver.spawn(self._close_later, slot)
        else:
            self._keeper.close(slot)
        opening.slot, opening.is_taken = await self._reserve(opening.request), False

    async def _close_later(self, slot: Slot) -> None:
        await asyncio.sleep(INCOMING_WAIT_S)
        if slot.state is SlotState.OPENING:
            self._keeper.close(slot, whoever=True)

    async def _try_connect(self, opening: _Opening) -> None:
        request, slot = opening.request, opening.slot
        command = request.command(self._keeper.context_id, slot.connect_id)
        target = request.target
        self._account(request, slot)
        opened = self._driver.expect_of(slot, Opened, OpenRefused)
        started = self._driver.time()
        try:
            await self._driver.run(command, slot=slot)
            async with asyncio.timeout(self.open_limit(request)):
                event = await opened
            err = event.err if isinstance(event, OpenRefused) else 0
        except CommandError as exc:
            raise connect_error(command.text, exc.err, exc.cme, target) from exc
        except TimeoutError as exc:
            if isinstance(exc, LinkTimeout):
                raise
            if not await self._was_connected(slot):
                raise ConnectTimedOut(command.text, None, None, target) from exc
            err = 0
        finally:
            opened.cancel()
        ledger = self._driver.ledger
        if not slot.is_listener:
            (ledger.refused if err else ledger.opened)(slot)
        if request.is_named:
            ledger.resolved(request.host.text, 0 if err == Err.DNS_FAILED else 1)
        if err:
            waited = self._driver.time() - started
            late = err == Err.CONNECT_FAILED and waited >= self.open_time - 1
            make = ConnectTimedOut if late else connect_error
            raise make(command.text, err, None, target)

    def _account(self, request: OpenRequest, slot: Slot) -> None:
        """Begin the account of a socket, before its first data can come."""
        host, is_ipv6 = request.asked or request.host, request.protocol_type is ProtocolType.IPV6
        if not slot.is_listener:
            self._driver.ledger.open(slot, host.text, request.remote_port, is_ipv6=is_ipv6)

    async def _was_connected(self, slot: Slot) -> bool:
        """Ask whether a socket whose ``+QIOPEN`` got lost is connected, or was (F32)."""
        row = await self._keeper.status(slot)
        if row is None or row.socket_state not in {SocketState.CONNECTED, *ENDING}:
            return False
        if row.service_type != slot.service_type:
            # The open has failed, and an incoming connection has the ID (F34).
            return False
        self._session.note_opened(slot)
        if row.socket_state in ENDING:
            self._session.note_remote_closed(slot)
        return True
