"""aiocoap against libcoap's server, with blockwise transfer (RFC 7959)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiocoap
import pytest
from aiocoap.numbers.constants import TransportTuning

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.support.realtime import PATIENCE_S

SERVER = "coap://sensor.example"


class Patient(TransportTuning):  # type: ignore[misc]  # aiocoap has no types
    """No repetition on a busy machine, so that messages can be counted."""

    ACK_TIMEOUT = PATIENCE_S


@asynccontextmanager
async def client(transport: str = "simple6") -> AsyncIterator[aiocoap.Context]:
    """A context with one transport; aiocoap's default one has sockets of its own."""
    context = await aiocoap.Context.create_client_context(transports=[transport])
    try:
        yield context
    finally:
        await context.shutdown()


async def ask(
    context: aiocoap.Context, code: aiocoap.Code, path: str, payload: bytes = b""
) -> aiocoap.Message:
    """Make a request, and wait for its answer."""
    request = aiocoap.Message(
        code=code, uri=f"{SERVER}/{path}", payload=payload, transport_tuning=Patient()
    )
    return await asyncio.wait_for(context.request(request).response, PATIENCE_S)


@pytest.mark.usefixtures("sensor")
class TestUdp:
    """Through ``installed()``: ``simple6`` makes connected datagram endpoints."""

    async def test_get(self, modem: aiobc9x.Modem, site: Site) -> None:
        """One message each way; a refusal is an answer too."""
        with modem.installed(strict=True):
            async with client() as context:
                answer = await ask(context, aiocoap.GET, "")
                refusal = await ask(context, aiocoap.GET, "nothing/here")
        assert answer.code == aiocoap.CONTENT
        assert answer.payload.startswith(b"This is a test server made with libcoap")
        assert refusal.code == aiocoap.NOT_FOUND
        assert site.virtual.statistics.sends == 2

    async def test_blockwise(self, modem: aiobc9x.Modem, site: Site) -> None:
        """What is too long for a datagram goes in blocks, both ways, each of them once."""
        content = bytes(range(256)) * 8
        with modem.installed(strict=True):
            async with client() as context:
                stored = await ask(context, aiocoap.PUT, "log", content)
                answer = await ask(context, aiocoap.GET, "log")
        assert stored.code == aiocoap.CREATED
        assert answer.payload == content
        assert site.virtual.statistics.sends == 2 + 2
        assert modem.statistics.datagrams_lost == 0

    async def test_observation(self, modem: aiobc9x.Modem) -> None:
        """The server's own messages reach the client until it loses interest."""
        with modem.installed(strict=True):
            async with client() as context:
                await ask(context, aiocoap.PUT, "valve", b"shut")
                request = aiocoap.Message(
                    code=aiocoap.GET, uri=f"{SERVER}/valve", observe=0, transport_tuning=Patient()
                )
                watching = context.request(request)
                assert (await asyncio.wait_for(watching.response, PATIENCE_S)).payload == b"shut"
                await ask(context, aiocoap.PUT, "valve", b"open")
                notice = await asyncio.wait_for(anext(aiter(watching.observation)), PATIENCE_S)
                watching.observation.cancel()
        assert notice.payload == b"open"


@pytest.mark.usefixtures("sensor")
async def test_program(site: Site, tmp_path: Path) -> None:
    """docs/clients/coap.md: a log of two blocks there, and back in two."""
    said = await output("coap", "CoAP", site, tmp_path)
    # aiocoap logs that libcoap's server doesn't repeat the block option in its last answer.
    assert said[-2:] == ["2.01 Created", "2.05 Content 2016"]
    assert site.virtual.statistics.sends == 4


@pytest.mark.usefixtures("sensor")
async def test_telemetry(site: Site, tmp_path: Path) -> None:
    """docs/clients/coap.md: three readings through one endpoint, and deep sleep between them."""
    said = await output("coap", "Telemetry through deep sleep", site, tmp_path)
    assert said[0] == "PowerSaving(active_s=2, period_s=86400)"
    assert [line[:4] for line in said[1:]] == ["2.01", "2.04", "2.04"]
    assert site.virtual.statistics.sends == 3
    assert site.virtual.statistics.opens == 1
    assert site.virtual.energy.asleep_s > 2
