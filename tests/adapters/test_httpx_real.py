"""httpx and httpx2 over the modem against real HTTP servers, over a pty, on both loops."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

import aiobc9x
from aiobc9x.adapters.httpx import TIMEOUT, ModemTransport
from aiobc9x.sim.links import VirtualModule
from tests.adapters.families import FAMILIES, use
from tests.adapters.http import http2_server, web_server
from tests.adapters.real import (
    BOTH_LOOPS,
    new_client_context,
    new_server_context,
    run,
    warm_up_uvloop,
)
from tests.support.loopback import LOOPBACK, server
from tests.support.tls import NAME

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows"),
    pytest.mark.usefixtures("closes_its_files"),
]


@pytest.fixture(scope="module", autouse=True)
def ready() -> None:
    """Leave no file open that a test would be blamed for."""
    warm_up_uvloop()


@pytest.fixture(autouse=True, params=FAMILIES)
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with httpx and with httpx2."""
    suffix: str = request.param
    use(suffix, __name__, monkeypatch)
    return suffix


@asynccontextmanager
async def client_of(modem: aiobc9x.Modem, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client that trusts the tests' authority."""
    transport = ModemTransport(modem, verify=new_client_context(), **options)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
        yield client


@BOTH_LOOPS
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_requests(secure: bool, use_uvloop: bool) -> None:
    """By a name that the module alone knows; its counters have the bytes, on one connection."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with web_server(new_server_context() if secure else None) as port:
            url = f"{'https' if secure else 'http'}://{NAME}:{port}"
            async with client_of(modem) as client:
                response = await client.get(f"{url}/")
                assert response.text == f"hello from {NAME}:{port}"
                data = bytes(range(256)) * 100
                assert (await client.post(f"{url}/echo", content=data)).content == data
                assert (await client.get(f"{url}/bytes?n=30000")).content == bytes(30000)
            assert modem.statistics.opens == 1
            assert modem.statistics.payload_bytes_sent > len(data)
            assert modem.statistics.payload_bytes_received > len(data) + 30000

    run(test, use_uvloop)


@BOTH_LOOPS
def test_streaming_both_ways(use_uvloop: bool) -> None:
    """A body that is made on the way comes back whole, read in pieces."""

    async def body() -> AsyncIterator[bytes]:
        for number in range(20):
            yield bytes([number]) * 1500
            await anyio.lowlevel.checkpoint()

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with web_server() as port, client_of(modem) as client:
            url = f"http://{NAME}:{port}/echo"
            received = b""
            async with client.stream("POST", url, content=body()) as response:
                async for chunk in response.aiter_bytes():
                    received += chunk
            assert received == b"".join([chunk async for chunk in body()])

    run(test, use_uvloop)


@BOTH_LOOPS
def test_http2(use_uvloop: bool) -> None:
    """Eight requests at once share one connection, chosen in the handshake."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with (
            http2_server(new_server_context()) as port,
            client_of(modem, http2=True) as client,
        ):
            answers: dict[int, httpx.Response] = {}

            async def post(number: int) -> None:
                url = f"https://{NAME}:{port}/{number}"
                answers[number] = await client.post(url, content=b"%d" % number * 1000)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(post, number)
            for number, response in answers.items():
                assert response.http_version == "HTTP/2"
                assert response.content == b"/%d:" % number + b"%d" % number * 1000
            assert modem.statistics.opens == 1

    run(test, use_uvloop)


@BOTH_LOOPS
def test_certificate_of_another(use_uvloop: bool) -> None:
    """A ConnectError that says so, and its connect ID is free."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with (
            web_server(new_server_context("other.example")) as port,
            client_of(modem, limits=httpx.Limits(max_connections=1)) as client,
        ):
            for _ in range(8):
                with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                    await client.get(f"https://{NAME}:{port}/")

    run(test, use_uvloop)


async def connect_proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Relay one CONNECT to the port that it names, on loopback."""
    request = await reader.readuntil(b"\r\n\r\n")
    assert request.startswith(b"CONNECT ")
    port = int(request.split()[1].partition(b":")[2])
    there = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            to.write(data)
        to.close()

    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))


@BOTH_LOOPS
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_tunnel(secure: bool, use_uvloop: bool) -> None:
    """HTTPS through a proxy, and through one that speaks TLS itself."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        options = {"ssl": new_server_context()} if secure else {}
        async with (
            web_server(new_server_context("inside.example")) as port,
            server(connect_proxy, **options) as proxy_port,
        ):
            proxy = httpx.Proxy(
                f"{'https' if secure else 'http'}://{NAME}:{proxy_port}",
                ssl_context=new_client_context() if secure else None,
            )
            async with client_of(modem, proxy=proxy) as client:
                response = await client.get(f"https://inside.example:{port}/")
                assert response.text == f"hello from inside.example:{port}"

    run(test, use_uvloop)


def test_default_verification() -> None:
    """Without a context, the usual authorities count, and ours is none of them."""

    async def test(modem: aiobc9x.Modem, virtual: VirtualModule) -> None:
        async with web_server(new_server_context()) as port:
            async with httpx.AsyncClient(transport=ModemTransport(modem)) as client:
                with pytest.raises(httpx.ConnectError, match="certificate verify failed") as error:
                    await client.get(f"https://{NAME}:{port}/")
            causes = [error.value.__cause__]
            while (cause := causes[-1]) is not None:
                causes.append(cause.__cause__)
            assert any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)

    run(test, use_uvloop=False)
