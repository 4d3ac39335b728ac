"""resuming_context() with client libraries and real servers: who resumes is seen in the library."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import aiomqtt
import gmqtt
import httpx
import pytest
import socks

import aiobc9x
from aiobc9x.adapters.httpx import ModemTransport
from tests.clients.conftest import Site
from tests.clients.servers import LOOPBACK, Certificates
from tests.clients.test_http import PATIENCE, SECURE, TIMEOUT_S
from tests.clients.test_mqtt import connected
from tests.support.realtime import PATIENCE_S

RESUMED = [False, True, True]

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def context(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext:
    """A context that trusts the servers, and speaks one version."""
    made = ssl.create_default_context(cafile=str(certificates.authority))
    made.minimum_version = made.maximum_version = request.param
    return aiobc9x.resuming_context(made)


async def http_connections(make: Callable[[], httpx.AsyncClient]) -> list[bool]:
    """Fetch a page by one client after the other."""
    found = []
    for _ in RESUMED:
        async with make() as client:
            answer = await client.get(f"{SECURE}/hello.txt")
            assert answer.text == "hello from nginx\n"
            stream = answer.extensions["network_stream"]
            found.append(stream.get_extra_info("ssl_object").session_reused)
    return found


@pytest.mark.usefixtures("web")
class TestHttp:
    """nginx, one connection for each request."""

    async def test_httpx_installed(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """Through ``installed()``."""
        with modem.installed(strict=True):
            found = await http_connections(
                lambda: httpx.AsyncClient(verify=context, timeout=TIMEOUT_S)
            )
        assert found == RESUMED

    async def test_httpx_adapter(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """Through ``ModemTransport``, which tells the port."""
        found = await http_connections(
            lambda: httpx.AsyncClient(transport=ModemTransport(modem, verify=context))
        )
        assert found == RESUMED
        assert isinstance(context, aiobc9x.ResumingContext)
        assert [place.port for place in context._memory._kept] == [443]

    async def test_httpx_http2(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """ALPN is agreed on anew."""
        with modem.installed(strict=True):
            found = await http_connections(
                lambda: httpx.AsyncClient(verify=context, timeout=TIMEOUT_S, http2=True)
            )
        assert found == RESUMED

    async def test_aiohttp(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """Through ``installed()``, with a connection closed behind each request."""
        found = []
        with modem.installed(strict=True):
            connector = aiohttp.TCPConnector(ssl=context, force_close=True)
            async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
                for _ in RESUMED:
                    async with session.get(f"{SECURE}/big.bin") as answer:
                        assert answer.connection is not None
                        transport = answer.connection.transport
                        assert transport is not None
                        found.append(transport.get_extra_info("ssl_object").session_reused)
                        assert len(await answer.read()) == 20_000
        assert found == RESUMED

    async def test_streams(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """``open_connection(ssl=)``."""
        found = []
        for _ in RESUMED:
            reader, writer = await modem.open_connection("web.example", 443, ssl=context)
            writer.write(b"GET /hello.txt HTTP/1.0\r\nHost: web.example\r\n\r\n")
            assert (await reader.read()).endswith(b"hello from nginx\n")
            found.append(writer.get_extra_info("ssl_object").session_reused)
            writer.close()
            await writer.wait_closed()
        assert found == RESUMED


def session_reused(client: gmqtt.Client) -> Any:
    """Look into gmqtt (``Any``: it has no types)."""
    return client._connection._transport.get_extra_info("ssl_object").session_reused


@pytest.mark.usefixtures("broker")
class TestMqtt:
    """mosquitto."""

    async def test_gmqtt(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """Through ``installed()``."""
        found = []
        with modem.installed(strict=True):
            for _ in RESUMED:
                async with connected("a", 8883, ssl=context) as client:
                    await client.subscribe("echo")
                    client.gmqtt.publish("echo", "hello", qos=1)
                    assert (await client.message())[1] == b"hello"
                    found.append(session_reused(client.gmqtt))
        assert found == RESUMED

    async def test_gmqtt_reconnects(
        self, modem: aiobc9x.Modem, site: Site, context: ssl.SSLContext
    ) -> None:
        """A connection that broke without a goodbye is resumed, too."""
        with modem.installed(strict=True):
            async with connected("a", 8883, ssl=context) as client:
                await client.subscribe("echo")
                assert not session_reused(client.gmqtt)
                client.back.clear()
                site.virtual.set_coverage(False)
                await asyncio.wait_for(client.gone.wait(), PATIENCE_S)
                site.virtual.set_coverage(True)
                await asyncio.wait_for(client.back.wait(), PATIENCE_S)
                assert session_reused(client.gmqtt)

    async def test_aiomqtt(self, modem: aiobc9x.Modem, context: ssl.SSLContext) -> None:
        """Through ``serve_proxy()``: a real socket, in a thread."""
        found = []
        async with await modem.serve_proxy(port=0) as proxy:
            way = aiomqtt.ProxySettings(
                proxy_type=socks.SOCKS5, proxy_addr=LOOPBACK, proxy_port=proxy.port
            )
            for _ in RESUMED:
                async with aiomqtt.Client(
                    "broker.example", 8883, proxy=way, timeout=PATIENCE_S, tls_context=context
                ) as client:
                    await client.subscribe("echo", qos=1)
                    await client.publish("echo", "hello", qos=1)
                    assert (await anext(client.messages)).payload == b"hello"
                    sock = client._client.socket()
                    assert isinstance(sock, ssl.SSLSocket)
                    found.append(sock.session_reused)
        assert found == RESUMED
