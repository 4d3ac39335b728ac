"""Open listeners and hand incoming connections to them (§2.3.5).

Layer: aio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from aiobc9x.aio.connections.connecting import Connector, Stage, Tls, make_request
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.sockets.opening import OpenRequest
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import CommandError
from aiobc9x.spec import PORTS, ProtocolType, ServiceType
from aiobc9x.wire.commands.radio import Cgact
from aiobc9x.wire.params import integer
from aiobc9x.wire.urcs import Incoming, Urc

if TYPE_CHECKING:
    from aiobc9x.aio.sockets.lifetimes import SocketKeeper

logger = logging.getLogger("aiobc9x.aio")

_REMOTE_PORT: Final = 1
"""Means nothing for a listener; the note's example sends 1, and firmware refuses 0 (N7)."""

_LOOK_S: Final = 0.02
"""Between looks whether a listener that accepts already has been handed to its caller."""


_IGNORED: Final = frozenset(
    {"host", "family", "flags", "backlog", "reuse_address", "reuse_port", "keep_alive"}
)


def check_server_options(options: Mapping[str, object]) -> None:
    """Look at the keywords of asyncio's ``create_server`` that mean nothing here.

    Raises:
        TypeError: It has no such keyword.
        ValueError: The module can't do what is asked for.

    """
    for name, value in options.items():
        if name == "sock" and value is not None:
            raise ValueError("sock can't be used: the listening socket is the module's")
        if name == "start_serving" and not value:
            raise ValueError("start_serving=False can't be: the module accepts from the start")
        if name not in _IGNORED | {"sock", "start_serving"}:
            raise TypeError(f"create_server() got an unexpected keyword argument {name!r}")


class Acceptor:
    """Knows which listener an incoming connection belongs to."""

    def __init__(self, keeper: SocketKeeper, connector: Connector) -> None:
        self._keeper, self._connector = keeper, connector

    def request(self, address: str, port: int) -> OpenRequest:
        """Return what to open for a listener.

        Raises:
            ValueError: The port is out of range.

        """
        integer("port", port, PORTS)
        return make_request(ServiceType.TCP_LISTENER, address, _REMOTE_PORT, local_port=port)

    async def listen(
        self,
        port: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: Tls | None,
        stage: Stage,
        family: ProtocolType | None = None,
    ) -> Server:
        """Open a listener on the module's own address, of a family if it has one of it.

        Raises:
            ModemError: As :meth:`Connector.open`.

        Cancellation is safe.
        """
        await self._connector.await_network(stage)
        await self._activate_context()
        address = self._connector.own_address(family) or "0.0.0.0"
        slot, extra = await self._connector.open(self.request(address, port), stage)
        return Server(
            self._keeper,
            self._connector,
            slot,
            (address, port),
            protocol_factory,
            tls,
            extra["modem"],
        )

    async def _activate_context(self) -> None:
        """A listener wants its context activated (§4.3.1); the module may do so by itself."""
        driver, context_id = self._keeper.driver, self._keeper.context_id
        try:
            if not (await driver.run(Cgact())).get(context_id):
                await driver.run(Cgact(1, context_id))
        except CommandError as exc:
            logger.debug("! can't activate the context: %s", exc)

    def on_urc(self, urc: Urc) -> None:
        """Act on connections that come and on those that their peers end."""
        if isinstance(urc, Incoming):
            self.on_incoming(urc)

    def on_incoming(self, urc: Incoming) -> None:
        """Give a connection to its listener; one that nobody listens for is closed."""
        slot = self._keeper.session.sockets.get(urc.connect_id)
        listener = self._keeper.session.sockets.get(urc.server_id)
        server = owner_of(listener) if listener is not None else None
        if slot is None:
            return  # it has ended already
        if isinstance(server, Server) and server.is_serving():
            server.accept(slot, urc)
        elif server is None and listener is not None and listener.is_listener:
            self._keeper.driver.spawn(self._hand_over, slot, listener, urc)
        else:
            logger.info("! nobody listens on socket %d: %r is closed", urc.server_id, urc)
            self._keeper.close(slot)

    async def _hand_over(self, slot: Slot, listener: Slot, urc: Incoming) -> None:
        """Wait until the listener has its server, or won't get one."""
        under_way = {SlotState.OPENING, SlotState.OPEN}
        # Nothing tells when a caller that is between two awaits takes its socket.
        while owner_of(listener) is None and listener.state in under_way:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        server = owner_of(listener)
        if not slot.is_live:
            return
        if isinstance(server, Server) and server.is_serving():
            server.accept(slot, urc)
        else:
            self._keeper.close(slot)
