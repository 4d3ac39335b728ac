"""TLS under random orders of events: whoever says what when, the end is right."""

from __future__ import annotations

import asyncio
import random

import pytest

from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode
from tests.support.bench import HOST, Bench, Streams
from tests.support.clock import take_errors, virtual
from tests.support.tls import NAME, TLS_PORT, TlsPeer, client_context, served

SEEDS = 30


class Ours:
    """What our side does and sees."""

    def __init__(self, streams: Streams, chance: random.Random) -> None:
        self.reader, self.writer = streams
        self.chance = chance
        self.written = bytearray()
        self.read = bytearray()
        self.has_closed = False

    async def act(self) -> None:
        """Write, wait and read by chance, then close."""
        for _ in range(self.chance.randrange(6)):
            if self.writer.is_closing():
                break
            if self.chance.random() < 0.6:
                data = self.chance.randbytes(self.chance.choice([1, 100, 3000, 9000]))
                self.writer.write(data)
                self.written += data
            if self.chance.random() < 0.3:
                self.read += await self.reader.read(self.chance.choice([1, 500, 100_000]))
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.03, 0.2, 1]))
        if self.chance.random() < 0.5:  # wait for the peer's end first
            while data := await self.reader.read(5000):
                self.read += data
        else:
            self.has_closed = not self.writer.is_closing()
        self.writer.close()


class Theirs:
    """What the far side does."""

    def __init__(self, far: TlsPeer, chance: random.Random) -> None:
        self.far, self.chance = far, chance
        self.sent = bytearray()
        self.hung_up = False
        if chance.random() < 0.3:
            far.on_goodbye = self.hang_up

    def hang_up(self) -> None:
        """Close without a word."""
        self.hung_up = True
        self.far.peer.close()

    async def act(self) -> None:
        """Send and wait by chance, then say goodbye, and perhaps close at once."""
        for _ in range(self.chance.randrange(6)):
            if self.far.heard_goodbye or self.far.peer.closed:
                return
            if self.chance.random() < 0.6:
                data = self.chance.randbytes(self.chance.choice([1, 100, 2000, 8000]))
                self.far.send(data)
                self.sent += data
            await asyncio.sleep(self.chance.choice([0, 0.001, 0.03, 0.2, 1]))
        if self.far.heard_goodbye or self.far.peer.closed:
            return
        self.far.say_goodbye()
        if self.chance.random() < 0.5:
            await asyncio.sleep(self.chance.choice([0, 0.01, 0.5]))
            self.hang_up()


@pytest.mark.parametrize("seed", range(SEEDS))
@virtual
async def test_any_order(seed: int) -> None:
    """Nothing is lost without an error, nothing is an error without a loss, nothing stays open."""
    chance = random.Random(seed)
    latency, limit = chance.choice([0, 0.01, 0.1]), chance.choice([100, 65536])
    mode = chance.choice([AccessMode.BUFFER, AccessMode.PUSH])
    async with Bench(latency=latency) as bench:
        peers = served(bench)
        securing = {"ssl": client_context(), "server_hostname": NAME}
        streams = await bench.streams(HOST, TLS_PORT, limit=limit, access_mode=mode, **securing)
        await asyncio.sleep(2)
        (far,) = peers
        ours, theirs = Ours(streams, chance), Theirs(far, chance)
        failed = False
        try:
            async with asyncio.timeout(50):  # less than TLS would wait for a goodbye
                acts = await asyncio.gather(ours.act(), theirs.act(), return_exceptions=True)
                await ours.writer.wait_closed()
                for raised in acts:
                    if raised is not None:
                        raise raised
        except StreamBroken:
            failed = True
        assert bytes(ours.written).startswith(bytes(far.received))
        assert bytes(theirs.sent).startswith(bytes(ours.read))
        if failed:
            assert theirs.hung_up, "only a peer that hangs up makes us lose what we wrote"
            assert far.received != ours.written
        else:
            assert far.received == ours.written, "what we wrote is lost without an error"
            if not ours.has_closed:
                ours.read += await ours.reader.read()
                assert ours.read == theirs.sent, "what came is lost without an error"
        await asyncio.sleep(1)
        assert bench.open_ids == []
        assert take_errors() == []
