"""The whole way in real time: real ptys, real sockets, the virtual module between them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import pytest

from tests.support.loopback import (
    LOOPBACK,
    NAME,
    Streams,
    echo,
    exchange,
    server,
    setup,
)
from tests.support.tls import client_context, server_context

MIB = 1024 * 1024


class TestEveryByte:
    """Random bytes each way, on several connections at once."""

    @pytest.mark.parametrize(
        ("parameters", "size_bytes", "connections"),
        [
            pytest.param("", MIB, 6, id="mebibytes"),
            pytest.param("chunk=1", 2048, 6, id="byte-by-byte"),
            pytest.param("chunk=random&seed=7", 10 * 1024, 6, id="random-chunks"),
            pytest.param("baud=115200", 1024, 6, id="115200-baud"),
            pytest.param("baud=9600", 256, 2, id="9600-baud"),
        ],
    )
    async def test_echo(self, parameters: str, size_bytes: int, connections: int) -> None:
        """Every byte is right and no connect ID is left open."""
        chance = random.Random(size_bytes)
        async with server(echo) as port, setup(parameters) as it:
            await asyncio.gather(
                *(
                    exchange(it.modem, port, chance.randbytes(size_bytes))
                    for _ in range(connections)
                )
            )
            assert it.modem.statistics.payload_bytes_received == size_bytes * connections
            assert it.modem.statistics.payload_bytes_sent == size_bytes * connections
            assert it.modem.statistics.recoveries == 0


async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve pages over HTTP/1.1: ``/n`` is a page of n bytes."""
    connection = h11.Connection(h11.SERVER)
    while True:
        event = await next_event(connection, reader)
        if isinstance(event, h11.ConnectionClosed):
            return
        if isinstance(event, h11.Request):
            body = page(int(event.target.decode().strip("/")))
        if isinstance(event, h11.EndOfMessage):
            headers = [("content-length", str(len(body)))]
            response = h11.Response(status_code=200, headers=headers)
            for part in (response, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(part) or b"")
            await writer.drain()
            connection.start_next_cycle()


def page(size_bytes: int) -> bytes:
    """A page whose every part differs."""
    return random.Random(size_bytes).randbytes(size_bytes)


async def next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """Return the next event of an h11 connection (``Any``: h11 has no common base)."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(65536))
    return event


async def fetch(connection: h11.Connection, streams: Streams, target: str) -> bytes:
    """Fetch one page with a client that knows nothing of modems."""
    reader, writer = streams
    request = h11.Request(method="GET", target=target, headers=[("host", NAME)])
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    body = b""
    while not isinstance(event := await next_event(connection, reader), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            assert event.status_code == 200
        elif isinstance(event, h11.Data):
            body += event.data
    connection.start_next_cycle()
    return body


class TestThirdParty:
    """Libraries that know nothing of modems."""

    async def test_h11_over_the_streams(self) -> None:
        """Pages of all sizes over one connection that is kept alive."""
        async with server(pages) as port, setup() as it:
            streams = await it.modem.open_connection(NAME, port)
            client = h11.Connection(h11.CLIENT)
            for size in (0, 1, 1439, 1440, 1441, 20_000):
                assert await fetch(client, streams, f"/{size}") == page(size)
            streams[1].close()
            await streams[1].wait_closed()

    async def test_tls_over_open_connection(self) -> None:
        """``ssl=`` does all of it; the certificate is checked against the name."""
        async with server(pages, ssl=server_context()) as port, setup() as it:
            streams = await it.modem.open_connection(NAME, port, ssl=client_context())
            certificate = streams[1].get_extra_info("peercert")
            assert ("DNS", NAME) in certificate["subjectAltName"]
            assert streams[1].get_extra_info("connect_id") == 0
            client = h11.Connection(h11.CLIENT)
            assert await fetch(client, streams, "/5000") == page(5000)
            streams[1].close()
            await streams[1].wait_closed()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_tls_server_that_says_goodbye_and_goes(self, version: ssl.TLSVersion) -> None:
        """Its close_notify and its FIN come together; that is an end, and no error."""
        with socket.create_server((LOOPBACK, 0)) as listening:
            serving = asyncio.create_task(
                asyncio.to_thread(answer_and_go, listening, server_context())
            )
            async with setup() as it:
                port = listening.getsockname()[1]
                streams = await it.modem.open_connection(
                    NAME, port, ssl=client_context(version=version)
                )
                streams[0]._limit = 100  # type: ignore[attr-defined]  # so that it has to pause
                assert await streams[0].read() == page(5000)
                streams[1].close()
                await streams[1].wait_closed()
            await serving

    async def test_tls_with_the_wrong_name(self) -> None:
        """The handshake fails, and the socket is closed."""
        async with server(pages, ssl=server_context()) as port, setup() as it:
            with pytest.raises(ssl.SSLCertVerificationError):
                await it.modem.open_connection(LOOPBACK, port, ssl=client_context())
            await until(lambda: not it.virtual.module.sockets.by_id)

    async def test_start_tls(self) -> None:
        """A stream in use can be secured, as SMTP and others do."""

        async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\r\n"
            writer.write(b"220 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(server_context())
            writer.write(await reader.readexactly(3000))
            await writer.drain()

        async with server(upgrade) as port, setup() as it:
            reader, writer = await it.modem.open_connection(NAME, port)
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go ahead\r\n"
            await writer.start_tls(client_context(), server_hostname=NAME)
            data = random.Random(3).randbytes(3000)
            writer.write(data)
            assert await reader.readexactly(3000) == data
            writer.close()
            await writer.wait_closed()

    async def test_sendfile(self, tmp_path: Path) -> None:
        """``loop.sendfile`` falls back to writes, as it does for TLS."""
        path = tmp_path / "file"
        path.write_bytes(page(9000))
        received = bytearray()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read(-1))

        async with server(take) as port, setup() as it:
            transport, _ = await it.modem.create_connection(asyncio.Protocol, LOOPBACK, port)
            with path.open("rb") as file:
                await asyncio.get_running_loop().sendfile(transport, file)
            transport.close()
            await until(lambda: len(received) == 9000)
            assert received == page(9000)
            await until(lambda: not it.virtual.module.sockets.by_id)


def answer_and_go(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one client as many servers do: don't wait for its close_notify."""
    plain, _ = listening.accept()
    with context.wrap_socket(plain, server_side=True) as secured:
        secured.sendall(page(5000))
        secured.settimeout(0.001)
        with contextlib.suppress(OSError):
            secured.unwrap()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():  # noqa: ASYNC110  (whatever it is)
        await asyncio.sleep(0.005)
