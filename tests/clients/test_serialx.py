"""serialx carries a modem, from a device and from an RFC 2217 server, and comes back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest

import aiobc9x
from aiobc9x import ModemState, Reconnect
from aiobc9x.aio.line.link import open_link
from aiobc9x.aio.line.serial_settings import SerialSettings
from aiobc9x.sim.links import VirtualModule
from tests.support.loopback import LOOPBACK, echo, exchange, server
from tests.support.realtime import PATIENCE_S

serialx = pytest.importorskip("serialx")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")

QUICK: Final = Reconnect(first_delay=0.1, max_delay=0.4)

DATA: Final = bytes(range(256)) * 40  # 255 is telnet's own

IAC, DO_NOT, DO, WILL_NOT, WILL, BEGIN, END = 255, 254, 253, 252, 251, 250, 240
BINARY, COM_PORT = 0, 44
SET_BAUDRATE, SET_DATASIZE, SET_PARITY = 1, 2, 3
ANSWER: Final = 100
"""What a server adds to the number of the command that it answers (RFC 2217, 3)."""


class Port(asyncio.Protocol):
    """One client of an RFC 2217 server, whose serial line ends at a module in memory.

    Attributes:
        settings: What the client has set: the number of the command, and its value.

    """

    def __init__(self, module: VirtualModule) -> None:
        self._module = module
        self._rest = b""
        self.settings: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client: Any = transport
        port = self

        class Line(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                port._client.write(data.replace(b"\xff", b"\xff\xff"))

        self._line = self._module.connect_memory(Line())

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        plain = bytearray()
        while data:
            taken = self._take(data, plain)
            if not taken:
                break
            data = data[taken:]
        self._rest = data
        if plain:
            self._line.write(bytes(plain))

    def _take(self, data: bytes, plain: bytearray) -> int:
        """Take one byte, or one command of telnet; 0 if that is not complete."""
        if data[0] != IAC:
            plain.append(data[0])
            return 1
        if len(data) > 1 and data[1] == IAC:
            plain.append(IAC)
            return 2
        if len(data) > 1 and data[1] == BEGIN:
            end = data.find(bytes((IAC, END)))
            if end > 0 and data[2] == COM_PORT:
                self.settings.append(data[3:end])
                answer = bytes((IAC, BEGIN, COM_PORT, data[3] + ANSWER)) + data[4:end]
                self._client.write(answer + bytes((IAC, END)))
            return end + 2 if end > 0 else 0
        if len(data) < 3:
            return 0
        knows = data[2] in {BINARY, COM_PORT}
        reply = {WILL: DO if knows else DO_NOT, DO: WILL if knows else WILL_NOT}.get(data[1])
        if reply is not None:
            self._client.write(bytes((IAC, reply, data[2])))
        return 3

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.close()

    def end(self) -> None:
        """Close the client's connection."""
        self._client.close()


@asynccontextmanager
async def rfc2217(
    module: VirtualModule, port: int = 0, ports: list[Port] | None = None
) -> AsyncIterator[int]:
    """Serve a module; give the port.

    Args:
        module: What the serial line ends at.
        port: Where to serve; 0 for any.
        ports: Gets the clients.

    """
    ports = [] if ports is None else ports

    def made() -> Port:
        ports.append(Port(module))
        return ports[-1]

    listener = await asyncio.get_running_loop().create_server(made, LOOPBACK, port)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for each in ports:
            each.end()
        await listener.wait_closed()


def create(url: str) -> Any:
    """What the page gives to ``open_modem()``."""
    loop = asyncio.get_running_loop()
    return partial(serialx.create_serial_connection, loop, url=url, baudrate=115200)


async def test_by_a_callable() -> None:
    """As any other library that opens a byte stream."""
    async with (
        VirtualModule() as module,
        server(echo) as port,
        aiobc9x.open_modem(create(await module.start_pty())) as modem,
    ):
        await exchange(modem, port, DATA)
        assert modem.statistics.damages == modem.statistics.recoveries == 0


async def test_settings_reach_the_distant_port() -> None:
    """Speed and frame when it opens, and each speed that is tried behind that."""
    ports: list[Port] = []
    async with VirtualModule() as module, rfc2217(module, ports=ports) as number:
        address = f"rfc2217://{LOOPBACK}:{number}"
        link = await open_link(address, SerialSettings(baudrate=9600, parity="E", bytesize=7))
        assert link.has_speed
        assert not link.hangs_up
        await link.set_baudrate(57600)
        await link.aclose()
    (port,) = ports
    speeds = [int.from_bytes(each[1:]) for each in port.settings if each[0] == SET_BAUDRATE]
    assert speeds == [9600, 57600]
    assert bytes((SET_DATASIZE, 7)) in port.settings
    assert bytes((SET_PARITY, 3)) in port.settings


async def test_a_server_that_restarts() -> None:
    """What was open ends, and the modem comes back."""
    async with VirtualModule() as module, server(echo) as port:
        async with rfc2217(module) as number:
            address = f"rfc2217://{LOOPBACK}:{number}"
            modem = await aiobc9x.open_modem(address, reconnect=QUICK)
            await exchange(modem, port, DATA)
        async with asyncio.timeout(PATIENCE_S):
            while modem.state is not ModemState.AWAY:  # noqa: ASYNC110  (nothing else tells)
                await asyncio.sleep(0.01)
        async with rfc2217(module, number):
            await exchange(modem, port, DATA)
            assert modem.statistics.returns == 1
            await modem.aclose()


async def test_nobody_serves_there() -> None:
    """The first opening says so."""
    async with VirtualModule() as module:
        async with rfc2217(module) as number:
            pass
        with pytest.raises(aiobc9x.LinkLost, match=r"can't connect to .*: Connection refused"):
            await aiobc9x.open_modem(f"rfc2217://{LOOPBACK}:{number}")
