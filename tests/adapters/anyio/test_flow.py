"""What the protocols beneath anyio's streams note, where the order of calls is a rare one."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import create_autospec

import anyio
import pytest

import aiobc9x
from aiobc9x.adapters.anyio import connect_tcp, create_listener
from aiobc9x.adapters.anyio.flow import Arrivals, StreamProtocol
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import virtual


@virtual
async def test_a_late_confirmation_hides_no_loss() -> None:
    """Once the connection has ended, what was unsent stays unsent."""
    protocol = StreamProtocol()
    protocol.connection_made(create_autospec(asyncio.Transport, instance=True))
    protocol.pause_writing()
    protocol.connection_lost(None)
    protocol.resume_writing()
    assert not protocol.is_drained


@virtual
async def test_arrivals_behind_the_close() -> None:
    """Nobody will accept them, so they are ended."""
    arrivals = Arrivals()
    arrivals.close()
    transport = create_autospec(asyncio.Transport, instance=True)
    arrivals.new_protocol().connection_made(transport)
    transport.abort.assert_called_once_with()
    assert not arrivals.waiting


@virtual
async def test_a_listener_that_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none."""
    async with Bench() as bench:
        modem = await bench.open()
        server = await modem.create_server(asyncio.Protocol, PORT)
        server.close()
        await server.wait_closed()

        async def create_server(*_args: Any, **_options: Any) -> aiobc9x.Server:
            return server

        monkeypatch.setattr(modem, "create_server", create_server)
        with pytest.raises(aiobc9x.LinkLost):
            await create_listener(modem, PORT)


@virtual
async def test_a_timeout_without_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is all there is to hand on."""
    async with Bench() as bench:
        modem = await bench.open()

        async def create_connection(*_args: Any, **_options: Any) -> None:
            raise TimeoutError("too late")

        monkeypatch.setattr(modem, "create_connection", create_connection)
        with pytest.raises(anyio.ConnectionFailed, match=r"^too late$") as caught:
            await connect_tcp(modem, HOST, PORT)
        assert caught.value.errno is None
