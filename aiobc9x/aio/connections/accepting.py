"""Open listeners and hand incoming connections to them (§2.3.5).

Layer: aio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aiobc9x.aio.connections.connecting import (
    PROTOCOL_TYPES,
    Connector,
    Tls,
    make_request,
)
from aiobc9x.aio.connections.listening import Server
from aiobc9x.aio.line.slot_events import owner_of
from aiobc9x.aio.sockets.lifetimes import SocketKeeper
from aiobc9x.aio.sockets.opening import OpenRequest
from aiobc9x.aio.stages import Stage, timing
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import CommandError
from aiobc9x.spec import PORTS, ServiceType
from aiobc9x.wire.commands.radio import Cgact
from aiobc9x.wire.host import Host
from aiobc9x.wire.params import integer
from aiobc9x.wire.urcs import Incoming, Urc

_REMOTE_PORT: Final = 1
"""Means nothing for a listener; the note's example sends 1, and firmware refuses 0 (N7)."""

_LOOK_S: Final = 0.02
"""Between looks whether a listener that accepts already has been handed to its caller."""


_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})


def read_listener(
    address: tuple[object, ...], host: object, port: object
) -> tuple[Host | None, int]:
    """Read where to listen.

    Args:
        address: The port; the host; or host and port, as asyncio's order has it.
        host: The host, if it is not there.
        port: The port, if it is not there.

    Returns:
        The address that the module must have, ``None`` for whichever it has; and the port.

    Raises:
        TypeError: There is no port, one of them is there twice, or the host is no text.
        ValueError: The port is out of range, or the host can't be the module's own address.

    """
    given = [("port" if isinstance(each, int) else "host", each) for each in address]
    given += [(name, each) for name, each in (("host", host), ("port", port)) if each is not None]
    named = dict(given)
    if len(named) < len(given) or "port" not in named:
        told = tuple(each for _, each in given)
        raise TypeError(f"port must be given, alone or behind the host, not as {told}")
    host, port = named.get("host"), named["port"]
    if isinstance(host, list | tuple):
        if len(host) != 1:
            raise ValueError(f"host is {host!r}: a listener of the module has one address")
        host = host[0]
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an integer, 1-65535, not {port!r}")
    integer("port", port, PORTS)
    if isinstance(host, bytes):
        host = host.decode("ascii", "backslashreplace")
    if host is None or host in _WILDCARDS:
        return None, port
    if not isinstance(host, str):
        raise TypeError(f"host must be str or None, not {type(host).__name__}")
    read = Host.read(host)
    if read.address is None or read.address.is_loopback:
        raise ValueError(
            f"host is {host!r}: the module listens on its own address in the carrier's network,"
            " never on this machine; leave host out, or use asyncio.start_server()"
        )
    return read, port


def refuse_listener_options(sock: object, start_serving: bool) -> None:
    """Refuse options of ``create_server()`` that the module can't have.

    Raises:
        ValueError: There is a socket, or serving is to start later.

    """
    if sock is not None:
        raise ValueError("sock can't be used: the listening socket is the module's")
    if not start_serving:
        raise ValueError("start_serving=False can't be used: the module accepts from the start")


class Acceptor:
    """Open listeners, and give each incoming connection to its listener."""

    def __init__(self, keeper: SocketKeeper, connector: Connector) -> None:
        self._keeper, self._connector = keeper, connector

    def check(self, port: int) -> None:
        """Raise ``ValueError`` for a port that the module can't take; send nothing."""
        self._connector.check(self._request("127.0.0.1", port))

    def _request(self, address: str, port: int) -> OpenRequest:
        return make_request(ServiceType.TCP_LISTENER, address, _REMOTE_PORT, local_port=port)

    async def listen(
        self,
        host: Host | None,
        port: int,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        tls: Tls | None,
        family: int,
        timeout: float | None,
    ) -> Server:
        """Open a listener on the module's own address; see :meth:`Modem.create_server`.

        Args:
            host: The module's address to listen on, ``None`` for any.
            port: The port.
            protocol_factory: Makes a protocol for each connection.
            tls: How to secure each connection.
            family: ``AF_INET`` or ``AF_INET6``: the family of the module's address to use, if it
                has one of that family.
            timeout: Seconds for the whole call.

        Raises:
            OSError: EADDRNOTAVAIL: the module has no such address.
            ModemError: As :meth:`Connector.open`.

        Cancellation is safe.
        """

        async def opens(preferred: int) -> tuple[Slot, tuple[str, int]]:
            slot, address, _ = await self._listen(host, port, family, Stage(), preferred)
            return slot, address

        async with timing(timeout) as stage:
            slot, address, modem = await self._listen(host, port, family, stage)
        return Server(
            self._keeper, self._connector, slot, address, protocol_factory, tls, modem, opens
        )

    async def _listen(
        self,
        host: Host | None,
        port: int,
        family: int,
        stage: Stage,
        preferred: int | None = None,
    ) -> tuple[Slot, tuple[str, int], object]:
        await self._connector.await_network(stage)
        await self._activate_context()
        address = self._connector.own_address(PROTOCOL_TYPES.get(family)) or "0.0.0.0"
        if host is not None:
            address = self._connector.own_address_of(host)
        request = replace(self._request(address, port), preferred=preferred)
        slot, extra = await self._connector.open(request, stage)
        return slot, (address, port), extra["modem"]

    async def _activate_context(self) -> None:
        """Activate the context, which a listener needs (§4.3.1), unless it is active already."""
        driver, context_id = self._keeper.driver, self._keeper.context_id
        try:
            if not (await driver.run(Cgact())).get(context_id):
                await driver.run(Cgact(1, context_id))
        except CommandError as exc:
            driver.log.debug("! can't activate the context: %(reason)s", error=exc)

    def on_urc(self, urc: Urc) -> None:
        """Act on an ``"incoming"`` URC."""
        if isinstance(urc, Incoming):
            self.on_incoming(urc)

    def on_incoming(self, urc: Incoming) -> None:
        """Give a connection to its listener; close it if there is none any more."""
        slot = self._keeper.session.sockets.get(urc.connect_id)
        listener = self._keeper.session.sockets.get(urc.server_id)
        server = owner_of(listener) if listener is not None else None
        if slot is None:
            # The connection has ended already.
            return
        self._keeper.driver.ledger.accepted(slot)
        if isinstance(server, Server) and server.is_serving():
            server.accept(slot, urc)
        elif server is None and listener is not None and listener.is_listener:
            self._keeper.driver.spawn(self._hand_over, slot, listener, urc)
        else:
            self._keeper.driver.log.info(
                "! socket %d has no listener: closing %r",
                urc.server_id,
                urc,
                connect_id=urc.connect_id,
                host=urc.remote_ip,
                port=urc.remote_port,
            )
            self._keeper.close(slot)

    async def _hand_over(self, slot: Slot, listener: Slot, urc: Incoming) -> None:
        """Wait until the listener's socket has its server, then hand the connection over.

        The connection may arrive between the ``+QIOPEN`` of the listener and the moment when
        the caller who opens it gets the socket.
        """
        under_way = {SlotState.OPENING, SlotState.OPEN}
        # There is no event for that moment.
        while owner_of(listener) is None and listener.state in under_way:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        server = owner_of(listener)
        if not slot.is_live:
            return
        if isinstance(server, Server) and server.is_serving():
            server.accept(slot, urc)
        else:
            self._keeper.close(slot)
