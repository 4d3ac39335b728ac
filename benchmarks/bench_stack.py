"""What a payload costs through the whole stack, as a multiple of asyncio's own streams.

    python -m benchmarks.bench_stack          # one TSV row per way and payload size
    python -m benchmarks.bench_stack --smoke  # one round; CI runs this

The stack is all of it, from ``StreamWriter`` and ``StreamReader`` to the link, in memory;
at the far end is a script that answers from bytes made beforehand, so that 3 % of the
time or less is the module's. The floor is the same payload through a socket pair, one at
a time, with asyncio's streams at both ends. System calls are most of that, and the stack
makes none here, so the ratio says more on the machine that it comes from than elsewhere.

``core_percent_at_115200`` is how much of one core keeps a line of that speed busy with
such payloads, by the bytes that cross it for each. A second table has the memory.
"""

import asyncio
import gc
import random
import socket
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest.mock import patch

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.sim import links
from benchmarks.harness import paired, print_tsv, rounds_from_command_line

SEND_SIZES_BYTES = (16, 256, 1440)  # 1440 is the most that AT+QISEND takes (§2.2.4)
READ_SIZES_BYTES = (16, 256, 1024)  # 1024 is the most that AT+QIRD gives (§2.2.6)
PAYLOADS = 32
CONNECTIONS = 6
BYTES_PER_S = 11520  # 115200 baud, ten bits a byte

OK = b"\r\nOK\r\n"
SENT = b"\r\nOK\r\n\r\nSEND OK\r\n"
PROMPT = b"\r\n> "
NOTHING = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
CLOSED = b"\r\nOK\r\n\r\nCLOSE OK\r\n"
IDLE = b"\r\n+CSCON: 0\r\n"
ANSWERS = {
    b"ATI\r": b"\r\nScript\r\n" + OK,
    b"AT+CFUN?\r": b"\r\n+CFUN: 1\r\n" + OK,
    b"AT+CPSMS?\r": b"\r\n+CPSMS: 0\r\n" + OK,
    b'AT+QICFG="dataformat"\r': b'\r\n+QICFG: "dataformat",0,0\r\n' + OK,
    b'AT+QICFG="viewmode"\r': b'\r\n+QICFG: "viewmode",0\r\n' + OK,
    b'AT+QICFG="showlength"\r': b'\r\n+QICFG: "showlength",1\r\n' + OK,
    b'AT+QICFG="open_time"\r': b'\r\n+QICFG: "open_time",36\r\n' + OK,
    b"AT+CPIN?\r": b"\r\n+CPIN: READY\r\n" + OK,
    b"AT+CEREG?\r": b"\r\n+CEREG: 1,1\r\n" + OK,
    b"AT+CGATT?\r": b"\r\n+CGATT: 1\r\n" + OK,
    b"AT+CGPADDR?\r": b'\r\n+CGPADDR: 1,"10.0.0.1"\r\n' + OK,
}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Script(asyncio.Transport):
    """Stands in for a virtual module: says what it was told to say, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._payload_left = 0
        self._reads_left = 0
        self._read = b""

    # What the link expects of a virtual module.

    def connect_memory(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        self._protocol = protocol
        protocol.connection_made(self)
        return self

    async def aclose(self) -> None:
        """Do nothing."""

    # What the link expects of a transport.

    def write(self, data: Any) -> None:  # Any: typeshed's buffer type is private
        if self._payload_left:
            self._payload_left -= len(data)
            if not self._payload_left:
                self._say(SENT)
        elif data.startswith(b"AT+QIRD"):
            self._say(self._read if self._reads_left else NOTHING)
            self._reads_left = max(0, self._reads_left - 1)
        elif data.startswith(b"AT+QISEND"):
            self._on_send(data)
        elif data.startswith(b"AT+QIOPEN"):
            self._say(b"\r\nOK\r\n\r\n+QIOPEN: %b,0\r\n" % data[12:13])
        else:
            self._say(CLOSED if data.startswith(b"AT+QICLOSE") else ANSWERS.get(data, OK))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self._loop.call_soon(self._protocol.connection_lost, None)

    # What the benchmark has it do.

    def offer(self, payload: bytes) -> None:
        """Have so many reads find the payload."""
        self._read = b"\r\n+QIRD: %d,0\r\n%b\r\n\r\nOK\r\n" % (len(payload), payload)
        self._reads_left = PAYLOADS
        self._say(b'\r\n+QIURC: "recv",0,%d\r\n' % len(payload))

    def push(self, payload: bytes) -> None:
        """Push it so many times; the line behind the last shows that it is whole."""
        urc = b'\r\n+QIURC: "recv",0,%d\r\n%b\r\n' % (len(payload), payload)
        self._push(urc, PAYLOADS)

    def _push(self, urc: bytes, left: int) -> None:
        self._protocol.data_received(urc if left else IDLE)
        if left:
            self._loop.call_soon(self._push, urc, left - 1)

    def _on_send(self, line: bytes) -> None:
        if b'"' in line:
            self._say(SENT)
        else:
            self._payload_left = int(line[:-1].partition(b",")[2])
            self._say(PROMPT)

    def _say(self, data: bytes) -> None:
        self._loop.call_soon(self._protocol.data_received, data)


@dataclass
class Stack:
    """A modem on a script, and one connection."""

    script: Script
    modem: aiobc9x.Modem
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, payload: bytes) -> None:
        for _ in range(PAYLOADS):
            self.writer.write(payload)
            await self.writer.drain()

    async def read(self, payload: bytes) -> None:
        self.script.offer(payload)
        await self._receive(len(payload))

    async def take_pushed(self, payload: bytes) -> None:
        self.script.push(payload)
        await self._receive(len(payload))

    async def _receive(self, size: int) -> None:
        for _ in range(PAYLOADS):
            await self.reader.readexactly(size)

    def line_bytes(self) -> int:
        return self.modem.statistics.bytes_sent + self.modem.statistics.bytes_received


@contextmanager
def scripted(script: Script) -> Iterator[None]:
    """Have ``sim://`` connect to the script."""
    with patch.object(links, "VirtualModule", lambda _options: script):
        yield


async def open_modem(script: Script) -> aiobc9x.Modem:
    with scripted(script):
        return await aiobc9x.open_modem("sim://?link=memory", poll_interval=0, state_interval=0)


async def open_stack(mode: AccessMode) -> Stack:
    script = Script()
    modem = await open_modem(script)
    reader, writer = await modem.open_connection("192.0.2.1", 80, access_mode=mode)
    writer.transport.set_write_buffer_limits(0)  # so that drain() waits for each SEND OK
    return Stack(script, modem, reader, writer)


async def open_pair() -> tuple[Streams, Streams]:
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


async def cross(pair: tuple[Streams, Streams], payload: bytes) -> None:
    (_, writer), (reader, _) = pair
    for _ in range(PAYLOADS):
        writer.write(payload)
        await writer.drain()
        await reader.readexactly(len(payload))


async def close_pair(pair: tuple[Streams, Streams]) -> None:
    for _, writer in pair:
        writer.close()
        await writer.wait_closed()


def some_text(size: int) -> bytes:
    return b"a" * size


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


class Way(NamedTuple):
    name: str
    run: Callable[[Stack, bytes], Awaitable[None]]
    make: Callable[[int], bytes]
    sizes_bytes: tuple[int, ...]
    mode: AccessMode = AccessMode.BUFFER


WAYS = (
    Way("send text, inline", Stack.send, some_text, SEND_SIZES_BYTES),
    Way("send bytes, fixed length", Stack.send, some_bytes, SEND_SIZES_BYTES),
    Way("read, buffer mode", Stack.read, some_bytes, READ_SIZES_BYTES),
    Way("receive, push mode", Stack.take_pushed, some_bytes, READ_SIZES_BYTES, AccessMode.PUSH),
)


def rows(rounds: int) -> Iterator[tuple[object, ...]]:
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
) -> tuple[object, ...]:
    payload = way.make(size)
    before = stack.line_bytes()
    loop.run_until_complete(way.run(stack, payload))
    line_bytes = (stack.line_bytes() - before) / PAYLOADS
    times = paired(
        lambda: loop.run_until_complete(way.run(stack, payload)),
        lambda: loop.run_until_complete(cross(pair, payload)),
        rounds=rounds,
    )
    each = times.seconds / PAYLOADS
    return (
        round(line_bytes),
        each * 1e6,
        round(each * 1e9 / size),
        100 * each * BYTES_PER_S / line_bytes,
        times.floor_seconds / PAYLOADS * 1e6,
        times.ratio,
    )


async def memory_rows() -> list[tuple[str, int]]:
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


def main() -> None:
    rounds = rounds_from_command_line(__doc__, default=9)
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
    print_tsv(columns, rows(rounds))
    print()
    print_tsv(("object", "memory_bytes"), asyncio.run(memory_rows()))


if __name__ == "__main__":
    main()
