"""Another loop, another thread, another library: refused, and the owner never notices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

import aiobc9x
from aiobc9x.aio.line.home import HomeLoop
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, PORT, UDP_PORT, Bench, echoed
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder, Recorder

ELSEWHERE = "belongs to another event loop"


def in_a_thread(function: Callable[[], object]) -> BaseException | None:
    """Call a function in a thread of its own; return what it raised."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def in_another_loop(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await something in a loop of another thread; return what it raised."""

    async def main() -> None:
        await call()

    return in_a_thread(lambda: asyncio.run(main()))


def without_asyncio(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await something as another library does, whose futures are not asyncio's."""

    def step() -> None:
        awaiting = call().__await__()
        next(cast(Any, awaiting))  # a generator in truth

    return in_a_thread(step)


PLACES = pytest.mark.parametrize("elsewhere", [in_another_loop, without_asyncio])

CALLS: dict[str, Callable[[aiobc9x.Modem], Awaitable[object]]] = {
    "aclose": lambda modem: modem.aclose(),
    "command": lambda modem: modem.command("AT+CFUN?"),
    "open_connection": lambda modem: modem.open_connection(HOST, PORT),
    "create_connection": lambda modem: modem.create_connection(asyncio.Protocol, HOST, PORT),
    "create_datagram_endpoint": lambda modem: modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(HOST, PORT)
    ),
    "create_server": lambda modem: modem.create_server(asyncio.Protocol, PORT),
    "start_server": lambda modem: modem.start_server(lambda _r, _w: None, PORT),
    "serve_proxy": lambda modem: modem.serve_proxy(port=0),
    "wait_ready": lambda modem: modem.wait_ready(),
    "resolve": lambda modem: modem.resolve("server.example"),
    "ping": lambda modem: modem.ping(HOST),
    "registration": lambda modem: modem.registration(),
    "settings": lambda modem: modem.settings(),
    "async with": lambda modem: modem.__aexit__(None, None, None),
}


class TestModem:
    """Its coroutines can be awaited in its own loop alone."""

    @PLACES
    @pytest.mark.parametrize("name", CALLS)
    @virtual
    async def test_call_from_elsewhere(
        self, name: str, elsewhere: Callable[[Callable[[], Awaitable[object]]], BaseException]
    ) -> None:
        """A RuntimeError says where to use it; nothing was sent, and the modem goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            before = len(bench.commands)
            error = elsewhere(lambda: CALLS[name](modem))
            assert isinstance(error, RuntimeError)
            assert ELSEWHERE in str(error)
            assert len(bench.commands) == before
            await echoed(modem)

    @virtual
    async def test_events_from_elsewhere(self) -> None:
        """Subscribing and listening alike; the owner's own subscription hears on."""
        async with Bench() as bench:
            modem = await bench.open()
            events = modem.subscribe()
            assert ELSEWHERE in str(in_a_thread(modem.subscribe))
            assert ELSEWHERE in str(in_another_loop(lambda: anext(events)))
            bench.virtual.say("+XYZ: 1")
            assert await anext(events) == aiobc9x.Unknown(b"+XYZ: 1")

    def test_opening_without_asyncio(self) -> None:
        """open_modem() says what it needs, before it has opened anything."""
        error = without_asyncio(lambda: aiobc9x.open_modem(ADDRESS))
        assert isinstance(error, RuntimeError)
        assert "needs asyncio's event loop" in str(error)


class TestTransports:
    """What can be called without await is refused too, before it has changed anything."""

    @pytest.mark.parametrize("debug", [False, True])
    @virtual
    async def test_stream(self, debug: bool) -> None:
        """Nothing is written or closed, and no other connection is held up."""
        running().set_debug(debug)
        async with Bench() as bench:
            modem = await bench.open()
            transport, protocol = await modem.create_connection(Recorder, HOST, ECHO_PORT)
            transport.pause_reading()
            for call in (
                lambda: transport.write(b"lost"),
                lambda: transport.writelines([b"lost"]),
                transport.close,
                transport.abort,
                transport.pause_reading,
                transport.resume_reading,
                lambda: transport.set_protocol(asyncio.Protocol()),
                lambda: transport.set_write_buffer_limits(0),
            ):
                assert ELSEWHERE in str(in_a_thread(call))
            await echoed(modem)
            transport.resume_reading()
            transport.write(b"mine")
            await asyncio.sleep(5)
            assert protocol.received == b"mine"

    @virtual
    async def test_writer_in_another_loop(self) -> None:
        """A task of another loop finds the writer refused."""
        async with Bench() as bench:
            reader, writer = await bench.streams(HOST, ECHO_PORT)

            async def write() -> None:
                writer.write(b"lost")

            assert ELSEWHERE in str(in_another_loop(write))
            writer.write(b"mine")
            assert await reader.readexactly(4) == b"mine"

    @virtual
    async def test_datagrams_and_servers(self) -> None:
        """Likewise."""
        async with Bench() as bench:
            bench.network.serve_udp(UDP_PORT)
            modem = await bench.open()
            transport, _ = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            server = await modem.start_server(lambda _reader, _writer: None, PORT)
            assert ELSEWHERE in str(in_a_thread(lambda: transport.sendto(b"lost")))
            assert ELSEWHERE in str(
                in_a_thread(lambda: transport.set_protocol(asyncio.DatagramProtocol()))
            )
            assert ELSEWHERE in str(in_a_thread(transport.abort))
            assert ELSEWHERE in str(in_a_thread(server.close))
            assert server.is_serving()
            transport.sendto(b"mine")
            await asyncio.sleep(1)
            assert bench.peer.datagrams == [b"mine"]


def test_while_the_loop_rests() -> None:
    """Between two runs of its loop, the owner's thread may write; no other thread may."""
    loop = asyncio.new_event_loop()

    async def make() -> HomeLoop:
        return HomeLoop("it")

    home = loop.run_until_complete(make())
    home.check_thread()
    with pytest.raises(RuntimeError, match=ELSEWHERE):
        home.check_loop()
    assert ELSEWHERE in str(in_a_thread(home.check_thread))
    loop.close()
