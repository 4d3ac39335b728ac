"""gmqtt and aiomqtt against mosquitto, plain and over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt
import pytest
import socks

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import LOOPBACK, Certificates
from tests.support.realtime import PATIENCE_S

"""For what should come within a second, on a busy machine."""


class Client:
    """gmqtt's client, and what it was told."""

    def __init__(self, name: str) -> None:
        self.inbox: asyncio.Queue[tuple[str, bytes, int]] = asyncio.Queue()
        self.granted = asyncio.Event()
        self.gone = asyncio.Event()
        self.back = asyncio.Event()
        self.gmqtt = gmqtt.Client(name)
        self.gmqtt.set_config({"reconnect_delay": 0, "reconnect_retries": 3})
        self.gmqtt.on_message = self._message
        self.gmqtt.on_subscribe = lambda *_: self.granted.set()
        self.gmqtt.on_disconnect = lambda *_: self.gone.set()
        self.gmqtt.on_connect = lambda *_: self.back.set()

    def _message(self, _client: Any, topic: str, payload: bytes, qos: int, _properties: Any) -> int:
        self.inbox.put_nowait((topic, payload, qos))
        return 0

    async def subscribe(self, topic: str) -> None:
        """Subscribe, and wait until the broker has agreed."""
        self.gmqtt.subscribe(topic, qos=1)
        await asyncio.wait_for(self.granted.wait(), PATIENCE_S)

    async def message(self) -> tuple[str, bytes, int]:
        """Wait for the next message."""
        return await asyncio.wait_for(self.inbox.get(), PATIENCE_S)


@asynccontextmanager
async def connected(name: str, port: int = 1883, **options: Any) -> AsyncIterator[Client]:
    """A client of the broker."""
    client = Client(name)
    await asyncio.wait_for(client.gmqtt.connect("broker.example", port, **options), PATIENCE_S)
    try:
        yield client
    finally:
        await client.gmqtt.disconnect()


@pytest.mark.usefixtures("broker")
class TestGmqtt:
    """Through ``installed()``: it calls ``loop.create_connection()``."""

    async def test_messages(self, modem: aiobc9x.Modem, site: Site) -> None:
        """From one client to the other, in order, at each quality of service."""
        with modem.installed(strict=True):
            async with connected("a") as sender, connected("b") as receiver:
                await receiver.subscribe("plant/#")
                for qos in (0, 1, 2):
                    sender.gmqtt.publish("plant/valve", f"turn {qos}", qos=qos)
                found = [await receiver.message() for _ in range(3)]
        assert found == [("plant/valve", f"turn {qos}".encode(), min(qos, 1)) for qos in (0, 1, 2)]
        assert site.virtual.statistics.opens == 2

    async def test_over_tls(self, modem: aiobc9x.Modem, certificates: Certificates) -> None:
        """A message of 5,000 bytes crosses TLS both ways, with a broker to be trusted."""
        payload = bytes(range(250)) * 20
        with modem.installed(strict=True):
            with pytest.raises(ssl.SSLCertVerificationError):
                await gmqtt.Client("a").connect("broker.example", 8883, ssl=True)
            context = ssl.create_default_context(cafile=str(certificates.authority))
            async with connected("a", 8883, ssl=context) as client:
                await client.subscribe("echo")
                client.gmqtt.publish("echo", payload, qos=1)
                assert await client.message() == ("echo", payload, 1)

    async def test_reconnects_over_the_modem(self, modem: aiobc9x.Modem, site: Site) -> None:
        """What the library starts when its connection is lost goes over the modem too."""
        with modem.installed(strict=True):
            async with connected("a") as client:
                client.back.clear()
                site.virtual.set_coverage(False)
                await asyncio.wait_for(client.gone.wait(), PATIENCE_S)
                site.virtual.set_coverage(True)
                await asyncio.wait_for(client.back.wait(), PATIENCE_S)
                client.granted.clear()
                await client.subscribe("echo")
                client.gmqtt.publish("echo", "still here", qos=1)
                assert (await client.message())[1] == b"still here"
        assert site.virtual.statistics.opens >= 2


@asynccontextmanager
async def paho(
    modem: aiobc9x.Modem, port: int = 1883, **options: Any
) -> AsyncIterator[aiomqtt.Client]:
    """A client whose thread and socket reach the broker through the proxy."""
    async with await modem.serve_proxy(port=0) as proxy:
        way = aiomqtt.ProxySettings(
            proxy_type=socks.SOCKS5, proxy_addr=LOOPBACK, proxy_port=proxy.port
        )
        async with aiomqtt.Client(
            "broker.example", port, proxy=way, timeout=PATIENCE_S, **options
        ) as client:
            yield client


@pytest.mark.usefixtures("broker")
class TestAiomqtt:
    """Through ``serve_proxy()``: paho connects in a thread and wants a real socket."""

    async def test_messages(self, modem: aiobc9x.Modem, site: Site) -> None:
        """In order, at each quality of service."""
        async with paho(modem) as client:
            await client.subscribe("plant/#", qos=2)
            for qos in (0, 1, 2):
                await client.publish("plant/valve", f"turn {qos}", qos=qos)
            found = [(await anext(client.messages)).payload for _ in range(3)]
        assert found == [b"turn 0", b"turn 1", b"turn 2"]
        assert site.virtual.statistics.opens == 1

    async def test_over_tls(self, modem: aiobc9x.Modem, certificates: Certificates) -> None:
        """A message of 5,000 bytes crosses TLS both ways; the certificate is checked."""
        payload = bytes(range(250)) * 20
        context = ssl.create_default_context(cafile=str(certificates.authority))
        async with paho(modem, 8883, tls_context=context) as client:
            await client.subscribe("echo", qos=1)
            await client.publish("echo", payload, qos=1)
            assert (await anext(client.messages)).payload == payload

    async def test_nobody_listens(self, modem: aiobc9x.Modem) -> None:
        """The proxy says that the broker refuses; the next client is served."""
        with pytest.raises(aiomqtt.MqttError, match="refused"):
            async with paho(modem, 9):
                pytest.fail("there is no broker")
        async with paho(modem) as client:
            await client.publish("plant/valve", "shut", qos=1)


@pytest.mark.usefixtures("broker", "trusting")
class TestPrograms:
    """docs/clients/mqtt.md."""

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    async def test_gmqtt(self, site: Site, tmp_path: Path, loop: str) -> None:
        """It hears its own message, also on uvloop."""
        assert await output("mqtt", "gmqtt", site, tmp_path, loop=loop) == ["b'21.5'"]

    async def test_aiomqtt(self, site: Site, tmp_path: Path) -> None:
        """The same through the proxy."""
        assert await output("mqtt", "aiomqtt 2", site, tmp_path) == ["b'21.5'"]
