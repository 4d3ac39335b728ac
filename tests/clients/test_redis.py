"""redis-py against redis-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.support.realtime import PATIENCE_S


@asynccontextmanager
async def client(port: int = 6379) -> AsyncIterator[Redis]:
    """A client that has patience, and repeats nothing."""
    redis = Redis(
        host="cache.example",
        port=port,
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield redis
    finally:
        await redis.aclose()


@pytest.mark.usefixtures("cache")
class TestInstalled:
    """Through ``installed()``: it calls ``asyncio.open_connection()``."""

    async def test_commands(self, modem: aiobc9x.Modem) -> None:
        """Values of any bytes, and a pipeline, on one connection."""
        value = bytes(range(256)) * 20
        with modem.installed(strict=True):
            async with client() as redis:
                assert await redis.ping()
                await redis.set("blob", value)
                assert await redis.get("blob") == value
                async with redis.pipeline() as pipe:
                    for _ in range(2):
                        pipe.incr("count")
                    pipe.get("none")
                    assert await pipe.execute() == [1, 2, None]
        assert modem.statistics.opens == 1

    async def test_subscription(self, modem: aiobc9x.Modem) -> None:
        """What one connection publishes reaches the other."""
        with modem.installed(strict=True):
            async with client() as redis, redis.pubsub() as inbox:
                await inbox.subscribe("news")
                assert (await inbox.get_message(timeout=PATIENCE_S))["type"] == "subscribe"
                await redis.publish("news", b"\r\nOK\r\n")
                message = await inbox.get_message(timeout=PATIENCE_S)
        assert (message["type"], message["data"]) == ("message", b"\r\nOK\r\n")
        assert modem.statistics.opens == 2

    async def test_nobody_listens(self, modem: aiobc9x.Modem) -> None:
        """A refusal is redis-py's own error; the next client is served."""
        with modem.installed(strict=True):
            async with client(9) as redis:
                with pytest.raises(NoConnection, match=r"cache\.example:9"):
                    await redis.ping()
            async with client() as redis:
                assert await asyncio.wait_for(redis.ping(), PATIENCE_S)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_program(site: Site, tmp_path: Path, loop: str) -> None:
    """docs/clients/redis.md: a pipeline, also on uvloop."""
    assert await output("redis", "Redis", site, tmp_path, loop=loop) == ["[True, b'21.5']"]
    assert site.virtual.statistics.opens == 1
