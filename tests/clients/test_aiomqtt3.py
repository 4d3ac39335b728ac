"""aiomqtt 3 against mosquitto, through ``installed()`` and no proxy.

There are only pre-releases of it, so it has an environment of its own: ``make check-aiomqtt``.
"""

from __future__ import annotations

import asyncio
import ssl
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import Certificates

IS_NEW = version("aiomqtt").startswith("3.")

pytestmark = [
    pytest.mark.skipif(not IS_NEW, reason="aiomqtt 3 is not installed; see make check-aiomqtt"),
    pytest.mark.usefixtures("broker"),
]

QOS: Any = getattr(aiomqtt, "QoS", None)  # aiomqtt 2 has none

WAIT_S = 30.0
"""For what should come within a second, on a busy machine."""


def client_of(port: int = 1883, **options: Any) -> Any:
    """A client of the broker (``Any``: what is installed may be aiomqtt 2)."""
    from aiobc9x.adapters.aiomqtt import ModemClient

    return ModemClient(hostname="broker.example", port=port, **options)


async def echoed(client: Any, payload: bytes) -> bytes:
    """Publish to a topic that the client has subscribed; return what comes back."""
    await client.subscribe("echo", max_qos=QOS.AT_LEAST_ONCE)
    messages = client.messages()
    hears = asyncio.create_task(anext(messages))
    await client.publish("echo", payload, qos=QOS.AT_LEAST_ONCE, packet_id=next(client.packet_ids))
    message = await asyncio.wait_for(hears, WAIT_S)
    await client.puback(message.packet_id)
    await messages.aclose()
    received: bytes = message.payload
    return received


async def test_messages(modem: aiobc9x.Modem, site: Site) -> None:
    """By a name that the module alone knows, over one socket of it."""
    with modem.installed(strict=True):
        async with client_of() as client:
            assert await echoed(client, b"21.5") == b"21.5"
    assert site.virtual.statistics.opens == 1


async def test_over_tls(modem: aiobc9x.Modem, certificates: Certificates) -> None:
    """A message of 5,000 bytes crosses TLS both ways; the certificate is checked."""
    payload = bytes(range(250)) * 20
    trusting = ssl.create_default_context(cafile=str(certificates.authority))
    with modem.installed(strict=True):
        with pytest.raises(ssl.SSLCertVerificationError):
            async with client_of(8883, ssl_context=ssl.create_default_context()):
                pytest.fail("the broker is not to be trusted")
        async with client_of(8883, ssl_context=trusting) as client:
            assert await echoed(client, payload) == payload


async def test_nobody_listens(modem: aiobc9x.Modem) -> None:
    """The module's refusal is a ConnectionRefusedError; the next client is served."""
    with modem.installed(strict=True):
        with pytest.raises(ConnectionRefusedError):
            async with client_of(9):
                pytest.fail("there is no broker")
        async with client_of() as client:
            assert await echoed(client, b"21.5") == b"21.5"


async def test_a_network_that_goes(modem: aiobc9x.Modem, site: Site) -> None:
    """It ends the client, in this version, and the next client waits for the network."""
    with modem.installed(strict=True):
        client = client_of(reconnect=True)
        await client.__aenter__()
        site.virtual.set_coverage(False)
        await asyncio.wait([client._tasks], timeout=WAIT_S)
        with pytest.raises(ExceptionGroup) as caught:
            await client.__aexit__(None, None, None)
        assert caught.group_contains(aiobc9x.NetworkLost)
        site.virtual.set_coverage(True)
        async with client_of() as client:
            assert await echoed(client, b"still here") == b"still here"


async def test_the_ordinary_network(site: Site, modem: aiobc9x.Modem) -> None:
    """Outside of the block, and to hosts of the bypass, it connects as ever."""
    from aiobc9x.adapters.aiomqtt import ModemClient

    made: Any = ModemClient
    async with made(hostname="127.0.0.1", port=site.ports[1883]) as client:
        assert await echoed(client, b"here") == b"here"
    with modem.installed():
        async with made(hostname="127.0.0.1", port=site.ports[1883]) as client:
            assert await echoed(client, b"here") == b"here"
        assert modem.statistics.opens == 0
        async with client_of() as client:
            assert await echoed(client, b"there") == b"there"


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_program(site: Site, tmp_path: Path, loop: str) -> None:
    """docs/clients/mqtt.md."""
    assert await output("mqtt", "aiomqtt 3", site, tmp_path, loop=loop) == ["b'21.5'"]
