"""Where does the time go, from the line to the application and back?

    python -m benchmarks stack          # a minute or two
    python -m benchmarks stack --smoke  # one round; CI runs this

The stack is all of it, from ``StreamWriter`` and ``StreamReader`` to the link, in memory;
at the far end is a script that answers from bytes made beforehand.

The first table compares a payload at a time with the same payload through a socket pair
and asyncio's streams at both ends. System calls are most of that, and the stack makes none
here, so the ratio says more on the machine that it comes from than elsewhere.
``core_percent_at_115200`` is how much of one core keeps a line of that speed busy with such
payloads, by the bytes that cross it for each.

The second says which layer the time of a payload, or of a command, goes to, by samples
(:mod:`benchmarks.sampling`). The third has what one more chunk, one more frame and one more
command cost up to each layer, as a multiple of the framer's share. The fourth compares with
:mod:`benchmarks.minimal`, a driver of a hundred lines that does the least, by time and by
calls of functions, those of asyncio included. The fifth has memory.

What is compared takes turns, and the least of each counts: whatever else the machine has to
do only adds to it.
"""

import asyncio
import gc
import random
import socket
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import aiobc9x
from aiobc9x import AccessMode
from benchmarks.harness import Options, Plot, Run, Table, in_turns, run
from benchmarks.layer_costs import COLUMNS as COST_COLUMNS
from benchmarks.layer_costs import rows as cost_rows
from benchmarks.minimal_costs import COLUMNS as MINIMAL_COLUMNS
from benchmarks.minimal_costs import rows as minimal_rows
from benchmarks.sampling import NAMES, sampled
from benchmarks.script import PAYLOADS, Script, open_modem

ROUNDS: Final = 101
TURN_S: Final = 0.0005  # shorter than the slices of a busy machine
SEND_SIZES_BYTES: Final = (16, 256, 1440)  # 1440 is the most that AT+QISEND takes (§2.2.4)
READ_SIZES_BYTES: Final = (16, 256, 1024)  # 1024 is the most that AT+QIRD gives (§2.2.6)
SAMPLED_SIZE_BYTES: Final = 256
SAMPLED_S: Final = 4.0
CONNECTIONS: Final = 6
BYTES_PER_S: Final = 11520  # 115200 baud, ten bits a byte
PLOTS: Final = (
    Plot(
        x="layer",
        y="us",
        series="way",
        x_label="",
        y_label="µs for each payload or command",
        title="Where the time goes",
        table=1,
    ),
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Stack:
    """A modem on a script, and one connection."""

    script: Script
    modem: aiobc9x.Modem
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, payload: bytes) -> None:
        """Write payloads; wait for each ``SEND OK``."""
        for _ in range(PAYLOADS):
            self.writer.write(payload)
            await self.writer.drain()

    async def read(self, payload: bytes) -> None:
        """Read payloads that the module keeps."""
        self.script.offer(payload)
        await self._receive(len(payload))

    async def take_pushed(self, payload: bytes) -> None:
        """Take payloads that the module pushes."""
        self.script.push(payload)
        await self._receive(len(payload))

    async def _receive(self, size: int) -> None:
        for _ in range(PAYLOADS):
            await self.reader.readexactly(size)

    async def command(self, _payload: bytes) -> None:
        """Send commands."""
        for _ in range(PAYLOADS):
            await self.modem.command("AT")

    def line_bytes(self) -> int:
        """Return how much has crossed the line."""
        return self.modem.statistics.bytes_sent + self.modem.statistics.bytes_received


async def open_stack(mode: AccessMode) -> Stack:
    """Open a modem and a connection on a script."""
    script = Script()
    modem = await open_modem(script)
    reader, writer = await modem.open_connection("192.0.2.1", 80, access_mode=mode)
    writer.transport.set_write_buffer_limits(0)  # so that drain() waits for each SEND OK
    return Stack(script, modem, reader, writer)


async def open_pair() -> tuple[Streams, Streams]:
    """Open asyncio's streams on both ends of a socket pair."""
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


async def cross(pair: tuple[Streams, Streams], payload: bytes) -> None:
    """Send payloads through the pair, one at a time."""
    (_, writer), (reader, _) = pair
    for _ in range(PAYLOADS):
        writer.write(payload)
        await writer.drain()
        await reader.readexactly(len(payload))


async def close_pair(pair: tuple[Streams, Streams]) -> None:
    """Close both ends."""
    for _, writer in pair:
        writer.close()
        await writer.wait_closed()


def some_text(size: int) -> bytes:
    """Make a payload that goes inline."""
    return b"a" * size


def some_bytes(size: int) -> bytes:
    """Make a payload that doesn't."""
    return random.Random(size).randbytes(size)


class Way(NamedTuple):
    """One direction.

    Attributes:
        name: What to call it.
        run: Moves :data:`PAYLOADS` payloads.
        make: Makes one of so many bytes.
        sizes_bytes: To be measured.
        mode: How received data arrive.

    """

    name: str
    run: Callable[[Stack, bytes], Awaitable[None]]
    make: Callable[[int], bytes]
    sizes_bytes: tuple[int, ...]
    mode: AccessMode = AccessMode.BUFFER


WAYS: Final = (
    Way("send text, inline", Stack.send, some_text, SEND_SIZES_BYTES),
    Way("send bytes, fixed length", Stack.send, some_bytes, SEND_SIZES_BYTES),
    Way("read, buffer mode", Stack.read, some_bytes, READ_SIZES_BYTES),
    Way("receive, push mode", Stack.take_pushed, some_bytes, READ_SIZES_BYTES, AccessMode.PUSH),
)
COMMAND: Final = Way("a command", Stack.command, some_text, ())


def way_rows(rounds: int) -> Iterator[Sequence[object]]:
    """One row per way and payload size."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        pair = loop.run_until_complete(open_pair())
        for way in WAYS:
            stack = loop.run_until_complete(open_stack(way.mode))
            for size in way.sizes_bytes:
                yield way.name, size, *figures(loop, way, stack, pair, size, rounds)
            loop.run_until_complete(stack.modem.aclose())
        loop.run_until_complete(close_pair(pair))


def figures(
    loop: asyncio.AbstractEventLoop,
    way: Way,
    stack: Stack,
    pair: tuple[Streams, Streams],
    size: int,
    rounds: int,
) -> Sequence[object]:
    """Measure one payload size."""
    payload = way.make(size)
    before = stack.line_bytes()
    loop.run_until_complete(way.run(stack, payload))
    line_bytes = (stack.line_bytes() - before) / PAYLOADS
    runs: dict[str, Run] = {
        "stack": lambda: loop.run_until_complete(way.run(stack, payload)),
        "pair": lambda: loop.run_until_complete(cross(pair, payload)),
    }
    times = in_turns(runs, rounds=rounds, round_seconds=TURN_S)
    each, floor = min(times["stack"]) / PAYLOADS, min(times["pair"]) / PAYLOADS
    return (
        round(line_bytes),
        each * 1e6,
        round(each * 1e9 / size),
        100 * each * BYTES_PER_S / line_bytes,
        floor * 1e6,
        each / floor,
    )


def layer_rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per way and layer."""
    with asyncio.Runner() as runner:
        for way in (*WAYS, COMMAND):
            stack = runner.run(open_stack(way.mode))
            payload = way.make(SAMPLED_SIZE_BYTES)
            end = time.process_time() + (0.1 if options.smoke else SAMPLED_S)
            took: list[float] = []
            with sampled() as counts:
                while time.process_time() < end:
                    began = time.perf_counter()
                    runner.run(way.run(stack, payload))  # type: ignore[arg-type]  # a coroutine
                    took.append(time.perf_counter() - began)
            each_us = min(took) / PAYLOADS * 1e6
            total = sum(counts[name] for name in NAMES) or 1
            for name in NAMES:
                share = counts[name] / total
                yield way.name, name, share * each_us, 100 * share
            runner.run(stack.modem.aclose())


async def memory_rows() -> list[Sequence[object]]:
    """Measure what a modem and a connection hold."""

    async def traced() -> int:
        await asyncio.sleep(0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    await (await open_modem(Script())).aclose()  # what is loaded once counts for nobody
    tracemalloc.start()
    empty = await traced()
    async with await open_modem(Script()) as modem:
        await modem.wait_ready()
        idle = await traced()
        streams = [await modem.open_connection("192.0.2.1", 80) for _ in range(CONNECTIONS)]
        full = await traced()
        assert len(streams) == CONNECTIONS
    tracemalloc.stop()
    return [("modem", idle - empty), ("idle connection", (full - idle) // CONNECTIONS)]


def tables(options: Options) -> Iterator[Table]:
    """The five tables."""
    columns = (
        "way",
        "payload_bytes",
        "line_bytes",
        "us_per_payload",
        "ns_per_byte",
        "core_percent_at_115200",
        "streams_us_per_payload",
        "times_streams",
    )
    yield Table(columns, way_rows(options.rounds), "a payload, against asyncio's own streams")
    title = f"by layer, {SAMPLED_SIZE_BYTES} bytes each"
    yield Table(("way", "layer", "us", "percent"), layer_rows(options), title)
    yield Table(COST_COLUMNS, cost_rows(options), "one more chunk, frame and command")
    yield Table(MINIMAL_COLUMNS, minimal_rows(options), "256 bytes, against a minimal driver")
    yield Table(("object", "memory_bytes"), asyncio.run(memory_rows()), "memory")


if __name__ == "__main__":
    run(__name__)
