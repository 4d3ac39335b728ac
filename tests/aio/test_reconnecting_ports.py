"""Ports that go and come again, on real ptys: a symbolic link stands for the device's name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from serial.tools import list_ports

import aiobc9x
from aiobc9x import LinkLost, ModemState, PortNotFound, Reconnect
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.peers import reserved_port
from tests.support.loopback import LOOPBACK, echo, server
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ptys are POSIX's")

QUICK = Reconnect(first_delay=0.1)


class Socket:
    """A place to plug modules in.

    Attributes:
        device: The name that a module's device has while it is plugged in.

    """

    def __init__(self, folder: Path) -> None:
        self.device = folder / "ttyUSB0"
        self.module: VirtualModule | None = None

    async def plug(self) -> None:
        """Plug a module in; it has just been switched on."""
        self.module = VirtualModule()
        self.device.symlink_to(await self.module.start_pty())

    async def unplug(self) -> None:
        """Pull it out."""
        assert self.module is not None
        self.device.unlink()
        await self.module.aclose()


async def test_the_same_path_again(tmp_path: Path) -> None:
    """The port tells at once; the modem is in use when the device is back."""
    socket = Socket(tmp_path)
    await socket.plug()
    async with (
        server(echo) as port,
        aiobc9x.open_modem(str(socket.device), reconnect=QUICK) as modem,
    ):
        for _ in range(2):
            reader, writer = await modem.open_connection(LOOPBACK, port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            await socket.unplug()
            with pytest.raises(LinkLost, match="is lost"):
                await reader.read()
            assert modem.state is ModemState.AWAY
            with pytest.raises(aiobc9x.LinkTimeout, match="did not come back"):
                await modem.command("AT", timeout=0.7)
            await socket.plug()
            await modem.available(timeout=PATIENCE_S)
    await socket.unplug()


async def test_the_first_opening_waits_for_a_device(tmp_path: Path) -> None:
    """Only if it is asked to; else it fails at once."""
    socket = Socket(tmp_path)
    with pytest.raises(PortNotFound):
        await aiobc9x.open_modem(str(socket.device))
    waits = Reconnect(wait_for_device=True)

    async def opening() -> aiobc9x.Modem:
        return await aiobc9x.open_modem(str(socket.device), reconnect=waits)

    task = asyncio.create_task(opening())
    await asyncio.sleep(0.2)
    await socket.plug()
    async with await task as modem:
        assert modem.state.value == "up"
    await socket.unplug()
    with pytest.raises(TimeoutError, match="port"):
        await aiobc9x.open_modem(str(socket.device), reconnect=waits, timeout=0.3)


async def test_a_usb_device_by_its_numbers(tmp_path: Path) -> None:
    """Whatever name the system gives it this time."""
    first, second = Socket(tmp_path), Socket(tmp_path)
    second.device = tmp_path / "ttyUSB1"
    here: list[Any] = []

    def device(socket: Socket, serial: str) -> Any:
        name = str(socket.device)
        return SimpleNamespace(device=name, vid=0x2C7C, pid=0x0700, serial_number=serial)

    with patch.object(list_ports, "comports", lambda: here):
        with pytest.raises(PortNotFound, match="usb:2c7c:0700:B"):
            await aiobc9x.open_modem("usb:2c7c:0700:B")
        await first.plug()
        here[:] = [device(second, "A"), device(first, "B")]
        async with aiobc9x.open_modem("usb:2C7C:0700:B", reconnect=QUICK) as modem:
            here.clear()
            await first.unplug()
            await second.plug()
            here[:] = [device(second, "B")]
            await modem.available(timeout=PATIENCE_S)
        await second.unplug()


@pytest.mark.parametrize("address", ["usb:", "usb:2c7c", "usb:xyzw:0700", "usb:12345:0700"])
async def test_addresses_that_name_no_usb_device(address: str) -> None:
    """The message says how one is written."""
    with pytest.raises(ValueError, match="usb:VID:PID"):
        await aiobc9x.open_modem(address)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a serial server, which nobody takes while it is away."""
    with reserved_port() as found:
        yield found


async def test_a_serial_server_that_restarts(tmp_path: Path, port: int) -> None:
    """The modem connects to it again."""
    async with VirtualModule() as module:
        socket = Socket(tmp_path)
        socket.device.symlink_to(await module.start_pty())
        held: list[asyncio.StreamWriter] = []

        async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            inner_reader, inner_writer = await open_device(str(socket.device))
            await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

        listener = await asyncio.start_server(bridge, LOOPBACK, port)
        address = f"socket://{LOOPBACK}:{port}"
        async with aiobc9x.open_modem(address, reconnect=QUICK) as modem:
            listener.close()
            for writer in held:
                writer.close()
            while modem.state is ModemState.UP:  # noqa: ASYNC110  (nothing else tells)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            listener = await asyncio.start_server(bridge, LOOPBACK, port)
            await modem.available(timeout=PATIENCE_S)
        listener.close()
        for writer in held:
            writer.close()


async def open_device(device: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a device as a serial server does."""
    import serial_asyncio

    return await serial_asyncio.open_serial_connection(url=device)  # type: ignore[no-any-return]


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes over until either side ends."""
    try:
        while data := await reader.read(4096):
            writer.write(data)
    except (OSError, ConnectionError):
        pass
    finally:
        writer.close()
