"""A modem on the virtual module, and servers on loopback, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import aiobc9x
from aiobc9x.sim import links
from aiobc9x.sim.links import VirtualModule
from tests.support.bench import NAME as NAME  # noqa: PLC0414  (exported from here too)
from tests.support.bench import Streams as Streams  # noqa: PLC0414  (exported from here too)
from tests.support.realtime import PATIENCE_S

LOOPBACK = "127.0.0.1"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Setup:
    """An open modem and the virtual module behind it."""

    modem: aiobc9x.Modem
    virtual: VirtualModule


@asynccontextmanager
async def setup(parameters: str = "", **settings: Any) -> AsyncIterator[Setup]:
    """Open ``sim://``; at the end no connect ID may be open on the module."""
    made: list[VirtualModule] = []

    def make(*args: Any, **kwargs: Any) -> VirtualModule:
        made.append(VirtualModule(*args, **kwargs))
        return made[-1]

    address = f"sim://?host={NAME}:{LOOPBACK}&{parameters}".rstrip("&")
    with patch.object(links, "VirtualModule", make):
        modem = await aiobc9x.open_modem(address, **settings)
    async with modem:
        yield Setup(modem, made[0])
        open_ids = sorted(made[0].module.sockets.by_id)
        assert open_ids == [], "connect IDs are open on the module"
        assert await modem.socket_states() == ()


def forgiving(handler: Handler) -> Handler:
    """Let the other side go away, which is its right, and close in the end."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    return handle


@asynccontextmanager
async def server(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Serve on loopback; yield the port."""
    handling: set[asyncio.Task[object]] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        try:
            await forgiving(handler)(reader, writer)
        finally:
            handling.discard(task)

    listening = await asyncio.start_server(noted, LOOPBACK, 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        if handling:
            await asyncio.wait(handling, timeout=PATIENCE_S)
        await asyncio.sleep(0)  # uvloop closes its listeners in the next turn


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def exchange(modem: aiobc9x.Modem, port: int, data: bytes) -> None:
    """Send ``data`` to an echo server and compare what comes back, byte by byte."""
    reader, writer = await modem.open_connection(LOOPBACK, port)

    async def send() -> None:
        for start in range(0, len(data), 4096):
            writer.write(data[start : start + 4096])
            await writer.drain()

    sending = asyncio.create_task(send())
    received = await reader.readexactly(len(data))
    await sending
    assert received == data
    writer.close()
    await writer.wait_closed()
