"""Transfers over a paced virtual line, under the virtual clock of the tests.

The module answers after its latency, each byte takes its ten bits, and the host's own
computations take no time: what these runs show is the protocol's share of the line alone,
the same on every machine. benchmarks/bench_throughput.py has what the host adds.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from aiobc9x.core.sending import SendForm
from aiobc9x.core.statistics import Statistics
from aiobc9x.spec import AccessMode
from benchmarks.line_model import Line, push_s, reads_s, sends_s
from tests.support.bench import Bench, Streams
from tests.support.clock import run

TEXT_FORMS: Final = (SendForm.INLINE,)
BINARY_FORMS: Final = (SendForm.HEX, SendForm.FIXED)


class Transfer(NamedTuple):
    """What came of a transfer.

    Attributes:
        bytes_per_s: Of payload.
        possible_bytes_per_s: What the model of the line allows.
        statistics: The modem's counters afterwards.

    """

    bytes_per_s: float
    possible_bytes_per_s: float
    statistics: Statistics

    @property
    def share(self) -> float:
        """Of what is possible; above 1 if small writes were joined."""
        return self.bytes_per_s / self.possible_bytes_per_s


def send(
    line: Line, size_bytes: int, seed: int, *, writers: int = 1, text: bool = False,
    joined: bool = False, count: int = 60, send_form: str = "auto",
) -> Transfer:  # fmt: skip
    """Send some writes of a size, spread over some connections.

    Args:
        line: The line.
        size_bytes: Of each write, 1–1440.
        seed: For the payload.
        writers: Connections, 1–6.
        text: Printable ASCII, which may go inline.
        joined: Write on while a send is outstanding; else wait for each ``SEND OK``.
        count: Writes in all.
        send_form: The modem's parameter.

    """
    chance = random.Random(seed)
    data = b"a" * size_bytes if text else chance.randbytes(size_bytes - 1) + b"\0"
    each = max(count // writers, 1)

    async def write(streams: Streams) -> None:
        writer = streams[1]
        if not joined:
            writer.transport.set_write_buffer_limits(0)
        for _ in range(each):
            writer.write(data)
            await writer.drain()
        writer.transport.set_write_buffer_limits(0)
        await writer.drain()

    async def work() -> tuple[float, Statistics]:
        async with _bench(line) as bench:
            modem = await bench.open(baudrate=line.baudrate, send_form=send_form)
            streams = [await bench.streams() for _ in range(writers)]
            took = await _timed(lambda: asyncio.gather(*map(write, streams)))
            for peer in bench.network.peers:
                assert peer.received == data * each, "the wrong bytes have arrived"
            return took, modem.statistics

    took, statistics = run(work())
    forms = TEXT_FORMS if text else BINARY_FORMS
    possible = size_bytes / sends_s(line, size_bytes, forms, writers)
    return Transfer(each * writers * size_bytes / took, possible, statistics)


def receive(
    line: Line, node_bytes: int, seed: int, *, mode: AccessMode, count: int = 60
) -> Transfer:
    """Receive some nodes: what the module got from the network in one piece.

    Args:
        line: The line.
        node_bytes: Of each, 1–1440.
        seed: For the payload.
        mode: How they reach the host.
        count: Nodes in all.

    """
    data = random.Random(seed).randbytes(node_bytes * count)

    async def work() -> tuple[float, Statistics]:
        async with _bench(line, node_bytes=node_bytes, buffer_bytes=8 * node_bytes) as bench:
            modem = await bench.open(baudrate=line.baudrate)
            (reader, _), peer = await bench.connect(access_mode=mode)

            async def transfer() -> None:
                for start in range(0, len(data), node_bytes):
                    peer.send(data[start : start + node_bytes])
                assert await reader.readexactly(len(data)) == data, "the wrong bytes have come"

            return await _timed(transfer), modem.statistics

    took, statistics = run(work())
    pushed = mode is AccessMode.PUSH
    each = push_s(line, node_bytes) if pushed else reads_s(line, node_bytes)
    return Transfer(len(data) / took, node_bytes / each, statistics)


def _bench(line: Line, **options: Any) -> Bench:  # Any: the simulator's options
    return Bench(baud=line.baudrate, latency=line.latency_s, send_time=0.0, **options)


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await work()
    return loop.time() - start
