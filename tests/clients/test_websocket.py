"""The clients of websockets and httpx2 against websockets' server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import LOOPBACK, Certificates
from tests.support.realtime import PATIENCE_S

"""For a handshake on a busy machine."""


async def echo(connection: ServerConnection) -> None:
    """Send each message back; end when asked to."""
    async for message in connection:
        if message == "go":
            await connection.close(1001, "as you wish")
        await connection.send(message)


@pytest.fixture
async def chat(site: Site, certificates: Certificates) -> AsyncIterator[None]:
    """A server as chat.example, ports 80 and 443."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.issue("chat.example"))
    async with (
        serve(echo, LOOPBACK, 0) as plain,
        serve(echo, LOOPBACK, 0, ssl=context) as secure,
    ):
        site.ports[80] = next(iter(plain.sockets)).getsockname()[1]
        site.ports[443] = next(iter(secure.sockets)).getsockname()[1]
        yield


@pytest.mark.usefixtures("chat")
class TestHttpx2:
    """The WebSocket client of httpx2."""

    @pytest.mark.parametrize("way", ["transport", "installed()"])
    async def test_messages(self, modem: aiobc9x.Modem, way: str) -> None:
        """Text and bytes come back as they were, by either way to the modem."""
        httpx2 = pytest.importorskip("httpx2")
        from aiobc9x.adapters.httpx2 import ModemTransport

        own = ModemTransport(modem) if way == "transport" else None
        redirected = modem.installed(strict=True) if own is None else contextlib.nullcontext()
        with redirected:
            async with (
                httpx2.AsyncClient(transport=own, timeout=PATIENCE_S) as client,
                client.websocket("ws://chat.example/") as connection,
            ):
                await connection.send_text("ä" * 2000)
                await connection.send_bytes(b"\x00\xff" * 10)
                assert await connection.receive_text() == "ä" * 2000
                assert await connection.receive_bytes() == b"\x00\xff" * 10


@pytest.mark.usefixtures("chat")
class TestInstalled:
    """Through ``installed()``: it calls ``loop.create_connection()``."""

    async def test_messages(self, modem: aiobc9x.Modem) -> None:
        """Text and bytes come back as they were; the server's goodbye tells its reason."""
        messages: list[str | bytes] = ["hello", b"\x00\xff" * 10, "ä" * 2000]
        with modem.installed(strict=True):
            async with connect("ws://chat.example", open_timeout=PATIENCE_S) as connection:
                for message in messages:
                    await connection.send(message)
                assert [await connection.recv() for _ in messages] == messages
                assert await asyncio.wait_for(await connection.ping(), PATIENCE_S) > 0
                await connection.send("go")
                with pytest.raises(websockets.ConnectionClosed, match="as you wish") as caught:
                    await connection.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
        assert modem.statistics.opens == 1

    @pytest.mark.usefixtures("trusting")
    async def test_over_tls(self, modem: aiobc9x.Modem) -> None:
        """The same over wss, the certificate checked."""
        with modem.installed(strict=True):
            async with connect("wss://chat.example", open_timeout=PATIENCE_S) as connection:
                await connection.send(bytes(5000))
                assert await connection.recv() == bytes(5000)


@pytest.mark.usefixtures("chat", "trusting")
async def test_program(site: Site, tmp_path: Path) -> None:
    """docs/clients/websocket.md: a message there and back."""
    assert await output("websocket", "WebSocket", site, tmp_path) == ["21.5"]
