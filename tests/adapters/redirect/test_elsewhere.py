"""A loop of another thread, inside ``installed()``: refused, never by the ordinary network."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.ordinary import nothing_leaves

ELSEWHERE = "belongs to another event loop"


def new_loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    """What makes a loop, of each kind; uvloop has no Windows."""
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    import uvloop

    uvloop.new_event_loop().close()  # the first one opens a pipe for all
    return [asyncio.new_event_loop, uvloop.new_event_loop]


CALLS: dict[str, Callable[[], Awaitable[object]]] = {
    "open_connection": lambda: asyncio.open_connection(HOST, PORT),
    "start_server": lambda: asyncio.start_server(lambda _r, _w: None, "0.0.0.0", 0),
    "endpoint": lambda: asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(HOST, PORT)
    ),
    "getaddrinfo": lambda: asyncio.get_running_loop().getaddrinfo("server.example", 80),
    "getnameinfo": lambda: asyncio.get_running_loop().getnameinfo((HOST, 80)),
}


def run_elsewhere(
    new_loop: Callable[[], asyncio.AbstractEventLoop], call: Callable[[], Awaitable[object]]
) -> str:
    """Await something in a loop of this thread's own; return what it was refused with."""

    async def main() -> str:
        with pytest.raises(RuntimeError) as caught:
            await call()
        return str(caught.value)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the test."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("new_loop", new_loops(), ids=["asyncio", "uvloop"][: len(new_loops())])
@pytest.mark.parametrize("name", CALLS)
async def test_a_loop_in_a_thread(
    name: str, new_loop: Callable[[], asyncio.AbstractEventLoop], strict: bool
) -> None:
    """to_thread() takes the context along; nothing leaves by the ordinary network."""
    async with Bench() as bench:
        modem = await bench.open()
        with modem.installed(strict=strict), nothing_leaves():
            refused = await asyncio.to_thread(run_elsewhere, new_loop, CALLS[name])
        assert ELSEWHERE in refused
        assert repr(modem) in refused


@pytest.mark.parametrize("strict", [False, True])
async def test_a_loop_in_an_executor(strict: bool, executor: ThreadPoolExecutor) -> None:
    """run_in_executor() takes no context along, but the way all the same."""
    async with Bench() as bench:
        with (await bench.open()).installed(strict=strict), nothing_leaves():
            for threads in (None, executor):
                refused = await asyncio.get_running_loop().run_in_executor(
                    threads, run_elsewhere, asyncio.new_event_loop, CALLS["open_connection"]
                )
                assert ELSEWHERE in refused


async def test_a_thread_keeps_nothing(executor: ThreadPoolExecutor) -> None:
    """What runs there next, from outside the block, is free; so is a context of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        async def connect() -> str:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return "connected"

        def run() -> str:
            return asyncio.run(connect())

        in_thread = asyncio.get_running_loop().run_in_executor
        async with Bench() as bench:
            with (await bench.open()).installed():
                await in_thread(executor, int)
                free = functools.partial(contextvars.Context().run, run)
                assert (
                    await asyncio.get_running_loop().run_in_executor(executor, free) == "connected"
                )
            assert await asyncio.get_running_loop().run_in_executor(executor, run) == "connected"


async def test_local_sockets_are_of_no_network(tmp_path: Any) -> None:
    """A Unix socket reaches nobody else."""

    async def talk() -> bytes:
        path = str(tmp_path / "socket")

        def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_unix_server(greet, path):
            reader, writer = await asyncio.open_unix_connection(path)
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            return said

    async with Bench() as bench:
        with (await bench.open()).installed(strict=True):
            assert await asyncio.to_thread(asyncio.run, talk()) == b"hello"


async def test_the_modems_own_loop_goes_on() -> None:
    """Its class is one of those that refuse."""
    async with Bench() as bench:
        with (await bench.open()).installed(strict=True), nothing_leaves():
            reader, writer = await asyncio.open_connection(HOST, ECHO_PORT)
            writer.write(b"echo")
            assert await reader.readexactly(4) == b"echo"
