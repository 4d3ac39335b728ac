"""A virtual module on a test bench: no socket, no device, no clock but the test's.

The module talks to a network in memory and to the library over the in-memory link. It
outlives the modems that are opened on it, as a real one outlives the programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import aiobc9x
from aiobc9x.aio.line.driver import Driver
from aiobc9x.sim import links
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import MemoryTransport
from aiobc9x.sim.memory import MemoryNetwork, Peer
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.support.chunks import pieces

ADDRESS = "sim://?link=memory"

HOST = "220.18.39.22"
"""A server that takes connections to :data:`PORT` and keeps what it is sent."""

PORT, ECHO_PORT = 8062, 7
UDP_PORT, LISTEN_PORT = 5683, 2020

NAME = "server.example"
"""A name of that server, where a test has it known."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def driver_of(modem: aiobc9x.Modem) -> Driver:
    """Return a modem's driver, for tests of what lies below a modem."""
    return modem._driver


def left_waiting(driver: Driver) -> list[str]:
    """Name what the library still waits for, or keeps, on behalf of a caller."""
    waiting = {
        "a command in the queue": bool(driver.session.queue.waiting),
        "an answer that comes by itself": len(driver._expected) > 0,
        "a connect ID in our table": len(driver.session.sockets) > 0,
    }
    return [what for what, waits in waiting.items() if waits]


@contextmanager
def plugged_in(device: Callable[[SimOptions], object]) -> Iterator[None]:
    """Have ``sim://`` connect to another device; ``device`` is called at each opening."""
    with patch.object(links, "VirtualModule", device):
        yield


class Plug:
    """One connection to a device that stays when the connection ends."""

    def __init__(self, virtual: VirtualModem) -> None:
        self._virtual = virtual

    def connect_memory(self, protocol: asyncio.BaseProtocol) -> MemoryTransport:
        self._virtual.line = self._virtual.virtual.connect_memory(protocol)
        return self._virtual.line

    async def aclose(self) -> None:
        """Leave the module alone."""


class Bench(VirtualModem):
    """The test kit's virtual module with a network in memory, and the modems opened on it.

    Attributes:
        on_command: Called with each command line that the module begins.
        network: The far side.
        opened: The streams of every connection, in order.

    """

    network: MemoryNetwork

    def __init__(self, *faults: Fault, nvram: Nvram | None = None, **options: Any) -> None:
        self.on_command: Callable[[str], None] = lambda _line: None
        sim = SimOptions(faults=faults, on_line=self._begun, **options)
        network = MemoryNetwork(sim)
        network.serve_tcp(PORT)
        network.serve_tcp(ECHO_PORT, lambda peer: peer.answer_with(peer.send))
        super().__init__(sim, network, nvram)
        self._modem: aiobc9x.Modem | None = None
        self.opened: list[Streams] = []

    def _begun(self, direction: str, text: str) -> None:
        if direction == ">":
            self.on_command(text)

    async def __aenter__(self) -> Bench:
        """Return the bench; the module is switched on with its first line."""
        return self

    async def aclose(self) -> None:
        """Close the modem, if one is open, and the module."""
        if self._modem is not None:
            await self._modem.aclose()
        await super().aclose()

    async def open(self, **settings: Any) -> aiobc9x.Modem:
        """Open a modem on the module by an address; the bench closes it.

        It ends with its link, unless ``reconnect=`` says otherwise: most tests of a lost line
        ask what becomes of the calls and connections of one link.
        """
        settings.setdefault("reconnect", None)
        with plugged_in(lambda _: Plug(self)):
            self._modem = await aiobc9x.open_modem(ADDRESS, **settings)
        return self._modem

    async def open_lasting(self, **settings: Any) -> aiobc9x.Modem:
        """Open a modem that comes back, if the line can be opened again."""
        settings.setdefault("reconnect", aiobc9x.Reconnect())
        self._modem = await aiobc9x.open_modem(self.create, **settings)
        return self._modem

    async def modem(self) -> aiobc9x.Modem:
        """Return the modem that is open; open one if none is."""
        return self._modem or await self.open()

    @property
    def current(self) -> aiobc9x.Modem:
        """The modem that is open."""
        assert self._modem is not None
        return self._modem

    @property
    def driver(self) -> Driver:
        """The driver of that modem."""
        return driver_of(self.current)

    def drop(self) -> None:
        """Forget the modem and its streams without closing them."""
        self.opened.clear()
        self._modem = None

    async def streams(self, host: str = HOST, port: int = PORT, **options: Any) -> Streams:
        """Open a connection, and a modem if none is; the streams live as long as the bench."""
        modem = await self.modem()
        streams = await modem.open_connection(host, port, **options)
        self.opened.append(streams)
        return streams

    async def connect(self, **options: Any) -> tuple[Streams, Peer]:
        """Open a connection; return its streams and its far end."""
        streams = await self.streams(**options)
        return streams, self.peer

    @property
    def peer(self) -> Peer:
        """The newest peer."""
        return self.network.peers[-1]

    def earlier_program(self, *lines: str, raw: bytes = b"") -> None:
        """Do on the module what a program before ours did, without hearing the answers."""
        self.virtual._started()
        now = asyncio.get_running_loop().time()
        for line in lines:
            self.virtual.module.feed(line.encode("ascii") + b"\r", now)
        if raw:
            self.virtual.module.feed(raw, now)
        self.virtual.module.take_output()


def roomy(*faults: Fault, **options: Any) -> Bench:
    """A module whose receive buffer never holds a peer up."""
    return Bench(*faults, buffer_bytes=1 << 20, buffer_nodes=1000, **options)


async def trickle(peer: Peer, data: bytes, size_bytes: int, every: float) -> None:
    """Have a peer send a piece every so many seconds."""
    for piece in pieces(data, size_bytes):
        peer.send(piece)
        await asyncio.sleep(every)


def scripted(prefix: str, *lines: str, **options: Any) -> Bench:
    """A module that gives these lines for its first answer to a question it can't answer."""
    data = "\r\n".join(lines).encode()
    return Bench(Fault(FaultKind.REPLACE_LINE, on=prefix, data=data), **options)


async def echoed(modem: aiobc9x.Modem, data: bytes = bytes(range(256)), **options: Any) -> None:
    """Show that a connection carries data both ways."""
    reader, writer = await modem.open_connection(HOST, ECHO_PORT, **options)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()
