"""The gateway, and mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from aiobc9x.sim.peers import reserved_port
from tests.clients.conftest import Site
from tests.clients.servers import LOOPBACK, Certificates, mosquitto
from tests.examples.running import INTERRUPTED, example, interrupt
from tests.support.realtime import PATIENCE_S

PLAIN = ("--plain", "--mqtt-port", "1883")
OFTEN = ("--measure", "0.1", "--post", "0.3")


@contextlib.asynccontextmanager
async def subscribed(port: int) -> AsyncIterator[aiomqtt.Client]:
    """A client beside the module that hears what the gateway posts."""
    async with aiomqtt.Client(LOOPBACK, port) as client:
        await client.subscribe("meters/17", qos=1)
        yield client


async def times(client: aiomqtt.Client, until: float = 0.0, count: int = 1) -> list[float]:
    """Return the times of the readings that come, up to one behind ``until``."""
    found: list[float] = []
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        found += [reading["time"] for reading in json.loads(message.payload)]
        if len(found) >= count and found[-1] > until:
            break
    return found


def waiting(outbox: Path) -> list[float]:
    """The times of the readings in the outbox."""
    with contextlib.closing(sqlite3.connect(outbox)) as db:
        rows = db.execute("SELECT reading FROM outbox ORDER BY n").fetchall()
    return [json.loads(reading)["time"] for (reading,) in rows]


@pytest.mark.usefixtures("broker", "trusting")
async def test_posts_by_tls(site: Site, tmp_path: Path) -> None:
    """Readings come in order over one connection with TLS; Ctrl-C leaves no socket open."""
    async with (
        subscribed(site.ports[1883]) as client,
        example(
            "mqtt_gateway", "--port", site.device, "--apn", "internet", *OFTEN, folder=tmp_path
        ) as program,
    ):
        found = await times(client, count=10)
        await interrupt(program)
    assert found == sorted(found)
    assert site.virtual.statistics.opens == 1
    assert site.virtual.module.sockets.by_id == {}


async def test_nothing_is_lost(site: Site, tmp_path: Path, certificates: Certificates) -> None:
    """What was measured without a broker is posted by the next run, once there is one."""
    plain = ("--port", site.device, *PLAIN, *OFTEN)
    with reserved_port() as site.ports[1883]:
        async with example("mqtt_gateway", *plain, folder=tmp_path) as program:
            await program.line("not posted, next try in 5 s")
            await interrupt(program)
    before = waiting(tmp_path / "outbox.db")
    assert before
    async with mosquitto(tmp_path, certificates) as (port, _), subscribed(port) as client:
        site.ports[1883] = port
        async with example("mqtt_gateway", *plain, folder=tmp_path) as program:
            found = await times(client, until=before[-1])
            await interrupt(program)
    assert found[: len(before)] == before


async def test_goes_on_behind_an_outage(
    site: Site, tmp_path: Path, certificates: Certificates
) -> None:
    """A broker that goes away and comes back gets what was measured meanwhile."""
    outbox = tmp_path / "outbox.db"
    async with contextlib.AsyncExitStack() as stack:
        async with mosquitto(tmp_path, certificates) as (port, _):
            site.ports[1883] = port
            arguments = ("--port", site.device, *PLAIN, "--measure", "0.1", "--post", "1")
            program = await stack.enter_async_context(
                example("mqtt_gateway", *arguments, folder=tmp_path)
            )
            async with subscribed(port) as client:
                posted = await times(client)
                # Until the confirmation has arrived; it is the program's own process that knows.
                while posted[-1] in waiting(outbox):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        await program.line("not posted, next try in 5 s")
        lost = waiting(outbox)
        async with mosquitto(tmp_path, certificates) as (port, _), subscribed(port) as client:
            site.ports[1883] = port
            found = await times(client, until=lost[-1])
        await interrupt(program)
    assert set(lost) <= set(found)


@pytest.mark.usefixtures("broker")
async def test_keeps_to_its_budget(site: Site, tmp_path: Path) -> None:
    """When the day's bytes are spent, readings wait in the outbox."""
    arguments = ("--port", site.device, *PLAIN, *OFTEN, "--budget", "2000")
    async with (
        subscribed(site.ports[1883]) as client,
        example("mqtt_gateway", *arguments, folder=tmp_path) as program,
    ):
        found: list[float] = []
        with contextlib.suppress(TimeoutError):
            while True:  # a message takes 0.3 s, and two seconds of silence are an end
                found += await asyncio.wait_for(times(client), 2 if found else PATIENCE_S)
        assert found
        assert waiting(tmp_path / "outbox.db")[-1] > found[-1]
        program.process.send_signal(signal.SIGINT)  # aiomqtt has something to say of a cut publish
        await program.end()
        assert program.process.returncode == INTERRUPTED
    assert site.virtual.module.sockets.by_id == {}


@pytest.mark.usefixtures("broker")
async def test_tells_systemd(site: Site, tmp_path: Path) -> None:
    """It says when it is ready, and goes on to give signs of life."""
    path = tmp_path / "notify"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        arguments = ("--port", site.device, *PLAIN, *OFTEN)
        environment = {"NOTIFY_SOCKET": str(path)}
        async with example(
            "mqtt_gateway", *arguments, folder=tmp_path, environment=environment
        ) as program:
            for _ in range(2):
                assert await loop.sock_recv(systemd, 100) == b"READY=1\nWATCHDOG=1"
            await interrupt(program)
