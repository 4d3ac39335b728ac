"""How much goes through a line without a speed of its own, and what does it cost?

    python -m benchmarks throughput          # one row per direction, mode and connections
    python -m benchmarks throughput --smoke  # a few kilobytes each

The virtual module runs in a process of its own behind a pty, with real TCP peers; it
answers at once. So the limit is our process, the module's or the system, whichever is the
slowest; ``host_busy`` and ``module_busy`` tell, as shares of a core, and a profile of ours
is in :mod:`benchmarks.bench_stack`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

import aiobc9x
from aiobc9x import AccessMode, Modem
from benchmarks.children import Child
from benchmarks.harness import Options, Plot, Table, run

ROUNDS: Final = 5
COLUMNS: Final = (
    "way",
    "connections",
    "MB_per_s",
    "host_cpu_s_per_MB",
    "module_cpu_s_per_MB",
    "host_busy",
    "module_busy",
)
PLOTS: Final = (
    Plot(
        x="way",
        y="MB_per_s",
        series="connections",
        x_label="",
        y_label="MB/s",
        title="Throughput over a pty, unpaced",
        names={"1": "one connection", "6": "six connections"},
    ),
    Plot(
        x="way",
        y=("host_cpu_s_per_MB", "module_cpu_s_per_MB"),
        x_label="",
        y_label="processor seconds per MB",
        title="What it costs, one connection",
        only={"connections": 1},
        names={"host_cpu_s_per_MB": "our process", "module_cpu_s_per_MB": "the virtual module"},
    ),
)

TOTAL_BYTES: Final = 4_000_000
SMOKE_BYTES: Final = 60_000
LIMIT_S: Final = 120.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TEXT: Final = b"0123456789abcdef" * 90
BINARY: Final = bytes(range(256)) * 6


class Way(NamedTuple):
    """One direction.

    Attributes:
        name: What to call it.
        peer: The kind of peer.
        move: Moves so many bytes on one connection.
        mode: How received data arrive.

    """

    name: str
    peer: str
    move: Callable[[Streams, int], Awaitable[None]]
    mode: AccessMode = AccessMode.BUFFER


async def send_text(streams: Streams, size: int) -> None:
    """Send what may go inline; the module has taken it at the end."""
    await _send(streams[1], TEXT, size)


async def send_bytes(streams: Streams, size: int) -> None:
    """Send what may not."""
    await _send(streams[1], BINARY[:1440], size)


async def _send(writer: asyncio.StreamWriter, quantum: bytes, size: int) -> None:
    for _ in range(0, size, len(quantum)):
        writer.write(quantum)
        await writer.drain()
    writer.transport.set_write_buffer_limits(0)
    await writer.drain()
    writer.transport.set_write_buffer_limits()


async def receive(streams: Streams, size: int) -> None:
    """Take what the peer sends."""
    while size > 0:
        data = await streams[0].read(65536)
        if not data:
            raise EOFError("the connection ended early")
        size -= len(data)


WAYS: Final = (
    Way("send text", "sink", send_text),
    Way("send bytes", "sink", send_bytes),
    Way("receive, buffer", "source", receive),
    Way("receive, push", "source", receive, AccessMode.PUSH),
)
CONNECTIONS: Final = (1, 6)


class Figures(NamedTuple):
    """What one transfer took."""

    seconds: float
    host_cpu: float
    module_cpu: float


async def transfer(child: Child, modem: Modem, way: Way, connections: int, size: int) -> Figures:
    """Open connections, move bytes on all of them at once, and close them."""
    host, port = "127.0.0.1", child.ports[way.peer]
    opened = [
        await modem.open_connection(host, port, access_mode=way.mode) for _ in range(connections)
    ]
    module_cpu, host_cpu, began = child.cpu_seconds(), time.process_time(), time.perf_counter()
    await asyncio.gather(*(way.move(streams, size // connections) for streams in opened))
    took = Figures(
        time.perf_counter() - began,
        time.process_time() - host_cpu,
        child.cpu_seconds() - module_cpu,
    )
    for _, writer in opened:
        writer.transport.abort()
    return took


async def measure(way: Way, connections: int, size: int, rounds: int) -> Figures:
    """Transfer some times on a module of its own; return the quickest."""
    with Child("modules", "1", "send_time=0") as child:
        async with (
            asyncio.timeout(LIMIT_S),
            aiobc9x.open_modem(child.devices[0]) as modem,
        ):
            return min(
                [await transfer(child, modem, way, connections, size) for _ in range(rounds)]
            )


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per way and number of connections."""
    size = SMOKE_BYTES if options.smoke else TOTAL_BYTES
    for way in WAYS:
        for connections in CONNECTIONS:
            took = asyncio.run(measure(way, connections, size, options.rounds))
            megabytes = size / 1e6
            yield (
                way.name,
                connections,
                megabytes / took.seconds,
                took.host_cpu / megabytes,
                took.module_cpu / megabytes,
                took.host_cpu / took.seconds,
                took.module_cpu / took.seconds,
            )


def tables(options: Options) -> Iterator[Table]:
    """The one table."""
    yield Table(COLUMNS, rows(options))


if __name__ == "__main__":
    run(__name__)
