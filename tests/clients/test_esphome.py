"""A module behind an ESPHome board: the board's side is played here, in ESPHome's own messages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

import aiobc9x
from aiobc9x import ModemState, Reconnect
from aiobc9x.sim.links import VirtualModule
from tests.support.loopback import LOOPBACK, echo, exchange, server
from tests.support.realtime import PATIENCE_S

pytest.importorskip("serialx")
api: Any = pytest.importorskip("aioesphomeapi.api_pb2")  # generated, without types

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="not tried on Windows")

QUICK: Final = Reconnect(first_delay=0.1, max_delay=0.4)

DATA: Final = bytes(range(256)) * 40

NUMBERS: Final = {
    "HelloRequest": 1,
    "HelloResponse": 2,
    "DisconnectRequest": 5,
    "DisconnectResponse": 6,
    "PingRequest": 7,
    "PingResponse": 8,
    "DeviceInfoRequest": 9,
    "DeviceInfoResponse": 10,
    "SerialProxyConfigureRequest": 138,
    "SerialProxyDataReceived": 139,
    "SerialProxyWriteRequest": 140,
    "SerialProxyRequest": 144,
    "SerialProxyRequestResponse": 147,
}
"""The messages that matter here, by their numbers in ESPHome's ``api.proto``."""

KINDS: Final = {number: name for name, number in NUMBERS.items()}


def varint(value: int) -> bytes:
    """Write a number in pieces of seven bits, as protocol buffers do."""
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


class Board(asyncio.Protocol):
    """One client of a board with one serial port, whose line ends at a module in memory.

    Attributes:
        configured: What the client has set the port to.

    """

    def __init__(self, module: VirtualModule) -> None:
        self._module, self._data = module, b""
        self.configured: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client: Any = transport
        board = self

        class Line(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                board.say(api.SerialProxyDataReceived(instance=0, data=data))

        self._line = self._module.connect_memory(Line())

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.close()

    def say(self, message: Any) -> None:
        """Send a message: a zero, its length, its number, itself."""
        data = message.SerializeToString()
        number = NUMBERS[type(message).__name__]
        self._client.write(b"\0" + varint(len(data)) + varint(number) + data)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (taken := self._take()) > 0:
            self._data = self._data[taken:]

    def _take(self) -> int:
        """Answer one message; return its length, 0 if it is not complete."""
        values, at = [], 1
        for _ in range(2):
            value = shift = 0
            while True:
                if at >= len(self._data):
                    return 0
                piece = self._data[at]
                value |= (piece & 0x7F) << shift
                at, shift = at + 1, shift + 7
                if piece < 0x80:
                    break
            values.append(value)
        size, number = values
        if len(self._data) < at + size:
            return 0
        if (kind := KINDS.get(number)) is not None:
            self._answer(getattr(api, kind).FromString(self._data[at : at + size]))
        return at + size

    def _answer(self, message: Any) -> None:
        match type(message).__name__:
            case "HelloRequest":
                # 1.16 is the first version that acknowledges settings, and has no modes yet.
                self.say(api.HelloResponse(api_version_major=1, api_version_minor=16, name="board"))
            case "DeviceInfoRequest":
                ports = [api.SerialProxyInfo(name="modem")]
                self.say(api.DeviceInfoResponse(name="board", serial_proxies=ports))
            case "PingRequest":
                self.say(api.PingResponse())
            case "DisconnectRequest":
                self.say(api.DisconnectResponse())
                self._client.close()
            case "SerialProxyConfigureRequest":
                self.configured.append(message)
                self.say(
                    api.SerialProxyRequestResponse(type=api.SERIAL_PROXY_REQUEST_TYPE_CONFIGURE)
                )
            case "SerialProxyRequest":
                self.say(api.SerialProxyRequestResponse(type=message.type))
            case "SerialProxyWriteRequest":
                self._line.write(message.data)

    def end(self) -> None:
        """Lose the client, as a board that loses its power does."""
        self._client.abort()


@asynccontextmanager
async def board_of(module: VirtualModule, boards: list[Board], port: int = 0) -> AsyncIterator[int]:
    """Play a board; give its port. Its clients are entered in ``boards``."""

    def made() -> Board:
        boards.append(Board(module))
        return boards[-1]

    listener = await asyncio.get_running_loop().create_server(made, LOOPBACK, port)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for each in boards:
            each.end()
        await listener.wait_closed()


async def test_transfer() -> None:
    """Every byte value, both ways; the board's port has the speed that was asked for."""
    boards: list[Board] = []
    async with VirtualModule() as module, server(echo) as port, board_of(module, boards) as number:
        address = f"esphome://{LOOPBACK}:{number}/?port_name=modem"
        async with aiobc9x.open_modem(address, baudrate=57600) as modem:
            await exchange(modem, port, DATA)
            assert modem.statistics.damages == modem.statistics.recoveries == 0
    assert [each.baudrate for each in boards[0].configured] == [57600]


async def test_a_board_that_restarts() -> None:
    """What was open ends, and the modem comes back when the board is there again."""
    boards: list[Board] = []
    async with VirtualModule() as module, server(echo) as port:
        async with board_of(module, boards) as number:
            address = f"esphome://{LOOPBACK}:{number}/?port_name=modem"
            modem = await aiobc9x.open_modem(address, reconnect=QUICK)
            await exchange(modem, port, DATA)
        async with asyncio.timeout(PATIENCE_S):
            while modem.state is not ModemState.AWAY:  # noqa: ASYNC110  (nothing else tells)
                await asyncio.sleep(0.01)
        async with board_of(module, boards, number):
            await exchange(modem, port, DATA)
            assert modem.statistics.returns == 1
            await modem.aclose()


async def test_no_port_of_that_name() -> None:
    """The caller's mistake, in serialx's words."""
    async with VirtualModule() as module, board_of(module, []) as number:
        with pytest.raises(ValueError, match="'other' does not exist"):
            await aiobc9x.open_modem(f"esphome://{LOOPBACK}:{number}/?port_name=other")


async def test_nobody_is_there() -> None:
    """The first opening says so."""
    async with VirtualModule() as module:
        async with board_of(module, []) as number:
            pass
        with pytest.raises(aiobc9x.LinkLost, match=r"can't connect to esphome://.*: Error con"):
            await aiobc9x.open_modem(f"esphome://{LOOPBACK}:{number}/?port_name=modem")
