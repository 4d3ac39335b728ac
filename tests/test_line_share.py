"""What a connection makes of the line, and who waits how long for it.

Paced virtual lines under the virtual clock: every figure is the protocol's own, to the
microsecond, on any machine.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aiobc9x.spec import AccessMode
from benchmarks.line_model import Line, sends_s
from benchmarks.line_runs import BINARY_FORMS, receive, send
from tests.support.bench import Bench, Streams
from tests.support.clock import running, virtual

LINE = Line(115200, 0.005)

CROSSOVER = 56
"""The longest payload that goes as hex on that line: n < B(L + h) - 1."""


class TestShare:
    """Of what is possible at 115200 baud with a module that answers in 5 ms."""

    @pytest.mark.parametrize("writers", [1, 6])
    @pytest.mark.parametrize("text", [True, False], ids=["text", "bytes"])
    def test_full_sends(self, text: bool, writers: int) -> None:
        """Nothing is waited for but the module; reads that rule 5 demands are counted in."""
        made = send(LINE, 1440, 1, text=text, writers=writers)
        assert 0.97 <= made.share <= 1.06

    @pytest.mark.parametrize("size", [16, 64, 256])
    @pytest.mark.parametrize("text", [True, False], ids=["text", "bytes"])
    def test_small_sends(self, size: int, text: bool) -> None:
        """The cheapest form each time."""
        made = send(LINE, size, 1, text=text)
        assert 0.97 <= made.share <= 1.06
        counted = made.statistics
        forms = (counted.sends_inline, counted.sends_hex, counted.sends_fixed)
        assert forms == ((60, 0, 0) if text else (0, 60, 0) if size <= CROSSOVER else (0, 0, 60))

    def test_reading(self) -> None:
        """One AT+QIRD after the other, as long as there are data."""
        assert 0.97 <= receive(LINE, 1024, 1, mode=AccessMode.BUFFER).share <= 1.01

    def test_being_pushed_to(self) -> None:
        """The end of a burst is held back for 30 ms, the rest not at all."""
        assert 0.97 <= receive(LINE, 1440, 1, mode=AccessMode.PUSH, count=120).share <= 1.01

    @pytest.mark.parametrize("baudrate", [9600, 921600])
    @pytest.mark.parametrize("latency_ms", [0, 20, 100])
    def test_other_lines(self, baudrate: int, latency_ms: int) -> None:
        """Slow or fast, near or far."""
        line, count = Line(baudrate, latency_ms / 1000), 60 if baudrate > 9600 else 12
        assert send(line, 1440, 1, count=count).share >= 0.9
        assert receive(line, 1024, 1, mode=AccessMode.BUFFER, count=count).share >= 0.9
        assert receive(line, 1440, 1, mode=AccessMode.PUSH, count=count).share >= 0.9

    @pytest.mark.parametrize("form", ["inline", "hex", "fixed"])
    def test_no_pinned_form_is_faster(self, form: str) -> None:
        """Whatever the size; 1 % for what it takes to find out."""
        for size in (16, CROSSOVER, CROSSOVER + 1, 256, 1440):
            chosen = send(LINE, size, 1, count=30).bytes_per_s
            assert chosen * 1.01 >= send(LINE, size, 1, count=30, send_form=form).bytes_per_s


class TestJoining:
    """Small writes share a send while another is outstanding."""

    def test_messages_of_16_bytes(self) -> None:
        """Six times as many as one send each would carry."""
        one, joined = send(LINE, 16, 1), send(LINE, 16, 1, count=1200, joined=True)
        assert joined.bytes_per_s > 6 * one.bytes_per_s
        assert joined.statistics.sends <= 1200 * 16 / 1440 + 2

    @virtual
    async def test_datagrams_never_join(self) -> None:
        """Each is a send of its own."""
        async with Bench(baud=115200, latency=0.005) as bench:
            bench.network.serve_udp(5000)
            modem = await bench.open()
            transport, _ = await modem.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("192.0.2.7", 5000)
            )
            for number in range(20):
                transport.sendto(bytes([number]) * 16)
            transport.close()
            await asyncio.sleep(5)
            assert bench.peer.datagrams == [bytes([number]) * 16 for number in range(20)]


QUANTUM_S = sends_s(LINE, 1440, BINARY_FORMS, 0)
"""What one bulk send takes, reads not counted in."""


@asynccontextmanager
async def flood(writers: list[Streams]) -> AsyncIterator[None]:
    """Write on some connections all the time."""

    async def write(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(1440))
            await writer.drain()

    tasks = [asyncio.create_task(write(writer)) for _, writer in writers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class TestFairness:
    """Five bulk writers, and somebody else."""

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("pause_s", [0.0, 0.05, 1.0])
    @virtual
    async def test_a_short_message_waits_for_two_quanta_at_most(
        self, pause_s: float, seed: int
    ) -> None:
        """Whenever it comes, also if one follows the other at once."""
        chance = random.Random(seed)
        async with Bench(baud=115200, latency=0.005, send_time=0.0) as bench:
            await bench.open(poll_interval=0, state_interval=0)
            bulk = [await bench.streams() for _ in range(5)]
            _, writer = await bench.streams()
            writer.transport.set_write_buffer_limits(0)
            waits = []
            async with flood(bulk):
                await asyncio.sleep(chance.uniform(0.5, 2))
                for _ in range(25):
                    start = running().time()
                    writer.write(chance.randbytes(16))
                    await writer.drain()
                    waits.append(running().time() - start)
                    await asyncio.sleep(chance.uniform(0, pause_s))
            reads_s = 6 * (34 / LINE.bytes_per_s + LINE.latency_s)
            assert max(waits) < 2 * QUANTUM_S + reads_s

    @virtual
    async def test_bulk_writers_share_the_line(self) -> None:
        """None gets more than one quantum ahead of another."""
        async with Bench(baud=115200, latency=0.005) as bench:
            bulk = [await bench.streams() for _ in range(6)]
            async with flood(bulk):
                await asyncio.sleep(15)
                sent = [len(peer.received) for peer in bench.network.peers]
            assert max(sent) - min(sent) <= 1440
            assert min(sent) > 10 * 1440

    @virtual
    async def test_what_arrives_during_a_bulk_send_is_read_next(self) -> None:
        """Behind the send that is under way, whoever has more to send."""
        async with Bench(baud=115200, latency=0.005) as bench:
            await bench.open(poll_interval=0, state_interval=0)
            bulk = [await bench.streams() for _ in range(5)]
            (reader, _), peer = await bench.connect()
            async with flood(bulk):
                for _ in range(20):
                    await asyncio.sleep(0.31)
                    bench.dialogue.clear()
                    peer.send(b"now")
                    assert await reader.readexactly(3) == b"now"
                    # A send whose command crosses the announcement is under way already.
                    begun = [text for text in bench.commands if text.startswith("AT")]
                    assert "AT+QIRD=5,1024" in begun[:2], bench.dialogue
