"""Every public call, awaited from another loop, from no loop and from trio, at any moment.

The table of the calls is ``tests/aio/calls.py``. Whatever is refused has changed nothing: what its
owner does meanwhile goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aiobc9x
from aiobc9x.adapters.anyio import connect_tcp, connect_udp, create_listener
from tests.aio.calls import CALLS, Call, Scene
from tests.aio.line.test_home import (
    ELSEWHERE,
    in_a_thread,
    in_another_loop,
    without_asyncio,
)
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, PORT, Bench, echoed
from tests.support.clock import run as run_virtually
from tests.support.clock import virtual

ALONE: Final = "works with asyncio alone, and trio runs here"

OF_ASYNCIO: Final = frozenset(name for name in CALLS if name.startswith("StreamReader."))
"""asyncio's own reader, which refuses a wait from another loop in its own words."""

LASTING: Final = aiobc9x.Reconnect()


# Beforehand: a test that leaves in its midst leaves what it has opened, too.
needs_trio = pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")


def under_trio(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await something in a task of trio; return what it raised."""
    trio = import_module("trio")

    async def main() -> None:
        await call()

    return in_a_thread(lambda: trio.run(main))


PLACES: Final[dict[str, Callable[[Callable[[], Awaitable[object]]], BaseException | None]]] = {
    "another loop": in_another_loop,
    "no loop": without_asyncio,
    "trio": under_trio,
}


def assert_refused(error: BaseException | None, place: str, name: str) -> None:
    """It is a RuntimeError of one sentence that says what to do."""
    assert isinstance(error, RuntimeError), f"{name} from {place}: {error!r}"
    says = str(error)
    assert ALONE in says if place == "trio" else ELSEWHERE in says, f"{name} from {place}: {says}"


REFUSED: Final = {
    name: call
    for name, call in CALLS.items()
    if call.opening is not None and name not in OF_ASYNCIO
}


@pytest.mark.parametrize(
    "place", ["another loop", "no loop", pytest.param("trio", marks=needs_trio)]
)
@pytest.mark.parametrize("name", REFUSED)
def test_every_call(name: str, place: str) -> None:
    """It is refused, nothing is sent, and the modem goes on."""
    call = REFUSED[name]
    if place == "trio":
        pytest.importorskip("trio")  # before anything is open that a skipped test would leave so

    async def main() -> None:
        async with Bench(**call.options) as bench:
            await refused(bench, call, name, place)

    run_virtually(main())


async def refused(bench: Bench, call: Call, name: str, place: str) -> None:
    """Make a call elsewhere, and show that its owner can use what it was made on."""
    scene = Scene(bench, LASTING, {})
    assert call.opening is not None
    await call.opening(scene)
    if call.prepare is not None:
        await call.prepare(scene)
    before = len(bench.commands)
    assert_refused(PLACES[place](lambda: call.run(scene)), place, name)
    assert len(bench.commands) == before
    if call.after is not None:
        await call.after(scene)
    await scene.modem.wait_ready()
    await echoed(scene.modem)
    assert scene.modem.statistics.recoveries == 0
    await scene.end()
    if scene.pool is not None:
        await scene.pool.aclose()


THERE: Final = [name for name in PLACES if name != "trio" or find_spec("trio")]

FOREIGN: Final = [
    "Modem.aclose",
    "Modem.command",
    "Modem.open_connection",
    "Modem.create_server",
    "Modem.wait_ready",
    "Modem.subscribe",
    "transport.write",
    "transport.close",
    "transport.abort",
]
"""What may be tried from elsewhere at any moment: calls that wait, and calls that don't."""


@settings(max_examples=40, deadline=None)
@given(
    tries=st.lists(
        st.tuples(st.floats(0, 0.4), st.sampled_from(FOREIGN), st.sampled_from(THERE)),
        max_size=12,
    ),
    latency=st.sampled_from([0.0, 0.02, 0.2]),
)
def test_at_any_moment(tries: list[tuple[float, str, str]], latency: float) -> None:
    """Between any two steps of the owner's work: its bytes arrive, in order, and all of them."""
    data = bytes(range(256)) * 12

    async def main() -> None:
        async with Bench(latency=latency) as bench:
            modem = await bench.open()
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            work = asyncio.create_task(exchange(reader, writer, data))
            for pause, name, place in tries:
                await asyncio.sleep(pause)
                try_elsewhere(modem, writer, name, place)
            await work
            await echoed(modem)
            assert modem.statistics.damages == modem.statistics.recoveries == 0

    run_virtually(main())


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send in pieces to the echo server, read all of it, and close."""
    for start in range(0, len(data), 500):
        writer.write(data[start : start + 500])
        await writer.drain()
    assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()


def try_elsewhere(
    modem: aiobc9x.Modem, writer: asyncio.StreamWriter, name: str, place: str
) -> None:
    """Make one call elsewhere; it must be refused."""
    transport: Any = writer.transport

    async def plain(call: Callable[[], object]) -> None:
        call()

    if name.startswith("transport.") and transport.is_closing():
        return
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "Modem.aclose": modem.aclose,
        "Modem.command": lambda: modem.command("AT+CFUN?"),
        "Modem.open_connection": lambda: modem.open_connection(HOST, PORT),
        "Modem.create_server": lambda: modem.create_server(asyncio.Protocol, PORT),
        "Modem.wait_ready": modem.wait_ready,
        "Modem.subscribe": lambda: plain(modem.subscribe),
        "transport.write": lambda: plain(lambda: transport.write(b"not mine")),
        "transport.close": lambda: plain(transport.close),
        "transport.abort": lambda: plain(transport.abort),
    }
    assert_refused(PLACES[place](calls[name]), place, name)


@needs_trio
class TestTrio:
    """What a program under trio is told, by whichever door it comes."""

    @pytest.mark.parametrize("open_it", [aiobc9x.open_modem, lambda a: aiobc9x.open_pool([a])])
    def test_opening(self, open_it: Callable[[str], Awaitable[object]]) -> None:
        """Before anything is opened."""
        error = under_trio(lambda: open_it(ADDRESS))
        assert ALONE in str(error)
        assert "anyio.run()" in str(error)

    def test_opening_under_anyio(self) -> None:
        """anyio with its trio backend is trio."""

        async def main() -> None:
            await aiobc9x.open_modem(ADDRESS)

        error = in_a_thread(lambda: anyio.run(main, backend="trio"))
        assert ALONE in str(error)

    @pytest.mark.parametrize(
        "call",
        [
            lambda modem: connect_tcp(modem, HOST, PORT),
            lambda modem: connect_udp(modem, HOST, PORT),
            lambda modem: create_listener(modem, PORT),
        ],
        ids=["connect_tcp", "connect_udp", "create_listener"],
    )
    @virtual
    async def test_anyio_adapters(self, call: Callable[[aiobc9x.Modem], Awaitable[object]]) -> None:
        """The adapters for anyio say it too, and the modem goes on in its own loop."""
        async with Bench() as bench:
            modem = await bench.open()
            assert ALONE in str(under_trio(lambda: call(modem)))
            await echoed(modem)
