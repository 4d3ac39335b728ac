"""What does a modem cost, and does a modem more cost more than the one before?

    python -m benchmarks modems          # 1, 8 and 64 modems; three minutes
    python -m benchmarks modems --smoke  # 1 and 2, briefly; CI runs this

All modems are in one process, each with a connection to an echo; the virtual modules are in
two other processes, each behind its own pty. Idle means that nobody sends: what is left is
the poll of each connection and the look at the sockets (see "Power" in
docs/performance.md). Under load each modem has 100 bytes echoed once a second. Each number
of modems has a process of its own, and one more for the memory of its Python objects.
"""

import asyncio
import gc
import multiprocessing
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import aiobc9x
from benchmarks.children import Child
from benchmarks.harness import Options, Plot, Table, run

MODEMS: Final = (1, 8, 64)
SMOKE_MODEMS: Final = (1, 2)
PROCESSES: Final = 2
SECONDS: Final = 30.0  # the look at the sockets comes that often
SMOKE_SECONDS: Final = 0.3
PERIOD_S: Final = 1.0
MESSAGE: Final = bytes(100)
LIMIT_S: Final = 150.0
COLUMNS: Final = (
    "modems",
    "start_s",
    "memory_KB_per_modem",
    "idle_core_percent_per_modem",
    "load_core_percent_per_modem",
    "cpu_us_per_echo",
)
PLOTS: Final = (
    Plot(
        x="modems",
        y=("idle_core_percent_per_modem", "load_core_percent_per_modem"),
        x_label="modems in one process",
        y_label="percent of a core for each",
        title="Processor time",
        log="x",
        names={
            "idle_core_percent_per_modem": "idle",
            "load_core_percent_per_modem": "100 bytes echoed once a second",
        },
    ),
    Plot(
        x="modems",
        y="memory_KB_per_modem",
        x_label="modems in one process",
        y_label="KB for each, with one connection",
        title="Memory",
        log="x",
    ),
)

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Figures(NamedTuple):
    """What some modems took."""

    start_s: float
    idle_cpu: float
    load_cpu: float
    echoes: int


async def echo(streams: Streams, seconds: float) -> int:
    """Have a message echoed once in a period; return how often."""
    reader, writer = streams
    loop = asyncio.get_running_loop()
    end, echoes = loop.time() + seconds, 0
    while (left := end - loop.time()) > 0:
        writer.write(MESSAGE)
        await reader.readexactly(len(MESSAGE))
        echoes += 1
        await asyncio.sleep(min(PERIOD_S, left))
    return echoes


@asynccontextmanager
async def opened(devices: Sequence[str], port: int) -> AsyncIterator[Sequence[Streams]]:
    """Open a modem on each device, with a connection; close them again."""
    async with asyncio.timeout(LIMIT_S), AsyncExitStack() as stack:

        async def connect(device: str) -> Streams:
            modem = await stack.enter_async_context(aiobc9x.open_modem(device))
            return await modem.open_connection("127.0.0.1", port)

        yield await asyncio.gather(*map(connect, devices))


async def use(devices: Sequence[str], port: int, seconds: float) -> Figures:
    """Be idle with a modem on each device, then work."""
    began = time.perf_counter()
    async with opened(devices, port) as connections:
        start_s = time.perf_counter() - began
        cpu = time.process_time()
        await asyncio.sleep(seconds)
        idle_cpu = time.process_time() - cpu
        cpu = time.process_time()
        echoes = await asyncio.gather(*(echo(streams, seconds) for streams in connections))
        return Figures(start_s, idle_cpu, time.process_time() - cpu, sum(echoes))


async def hold(devices: Sequence[str], port: int) -> int:
    """Return the bytes that a modem on each device, with a connection, holds."""
    async with opened(devices[:1], port):
        pass  # what is loaded once counts for nobody
    tracemalloc.start()
    async with opened(devices, port):
        await asyncio.sleep(0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]


def with_modules(count: int, run: Callable[[Sequence[str], int], Coroutine[Any, Any, T]]) -> T:
    """Run something with so many virtual modules, which are in other processes."""
    shares = [len(range(index, count, PROCESSES)) for index in range(PROCESSES)]
    with ExitStack() as stack:
        children = [stack.enter_context(Child("modules", str(n))) for n in shares if n]
        devices = [device for child in children for device in child.devices]
        # A port of one child serves the modules of all.
        return asyncio.run(run(devices, children[0].ports["echo"]))


def measure(count: int, seconds: float) -> Figures:
    """Measure times."""
    return with_modules(count, lambda devices, port: use(devices, port, seconds))


def measure_memory(count: int) -> int:
    """Measure memory: what tells how much there is would take the others' time."""
    return with_modules(count, hold)


def rows(options: Options) -> Iterator[Sequence[object]]:
    """One row per number of modems."""
    seconds = SMOKE_SECONDS if options.smoke else SECONDS
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for count in SMOKE_MODEMS if options.smoke else MODEMS:
            took = pool.submit(measure, count, seconds).result(timeout=2 * LIMIT_S)
            memory = pool.submit(measure_memory, count).result(timeout=2 * LIMIT_S)
            yield (
                count,
                took.start_s,
                memory / count / 1000,
                100 * took.idle_cpu / seconds / count,
                100 * took.load_cpu / seconds / count,
                (took.load_cpu - took.idle_cpu) / took.echoes * 1e6,
            )


def tables(options: Options) -> Iterator[Table]:
    """The one table."""
    yield Table(COLUMNS, rows(options))


if __name__ == "__main__":
    run(__name__)
