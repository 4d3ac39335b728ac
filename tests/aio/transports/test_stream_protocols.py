"""SocketTransport: protocols of every kind, and asyncio's own streams."""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket

import pytest

import aiobc9x
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, take_errors, virtual
from tests.support.recorders import Recorder, recorded


class TestProtocols:
    """Callbacks, buffers, replacements."""

    @pytest.mark.parametrize("where", ["connection_made", "data_received", "eof_received"])
    @virtual
    async def test_exception_ends_only_that_connection(self, where: str) -> None:
        """It goes to the loop's exception handler; the others never notice."""

        class Fragile(Recorder):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                if where == "connection_made":
                    raise RuntimeError("broken")

            def data_received(self, data: bytes) -> None:
                if where == "data_received":
                    raise RuntimeError("broken")

            def eof_received(self) -> bool | None:
                raise RuntimeError("broken")

        async with Bench() as bench:
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            modem = await bench.modem()
            _, protocol = await modem.create_connection(Fragile, HOST, PORT)
            bench.peer.send(b"data")
            bench.peer.close()
            error = await protocol.lost
            assert str(error) == "broken"
            (report,) = take_errors()
            assert report["message"] == f"protocol.{where}() failed"
            assert report["exception"] is error
            assert report["protocol"] is protocol
            writer.write(b"fine")
            assert await reader.readexactly(4) == b"fine"
            await asyncio.sleep(1)
            assert bench.open_ids == [0]

    @virtual
    async def test_exception_in_connection_lost(self) -> None:
        """The last callback may fail too."""

        class Fragile(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                raise RuntimeError("broken")

        async with Bench() as bench:
            modem = await bench.open()
            transport, _ = await modem.create_connection(Fragile, HOST, PORT)
            transport.close()
            await asyncio.sleep(1)
            (report,) = take_errors()
            assert report["message"] == "protocol.connection_lost() failed"
            assert bench.open_ids == []

    @pytest.mark.parametrize("size", [1, 7, 100_000])
    @virtual
    async def test_buffered_protocol(self, size: int) -> None:
        """Its buffer is filled as often as it takes."""

        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.buffer = bytearray(size)
                self.received = bytearray()

            def get_buffer(self, sizehint: int) -> bytearray:
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                self.received += self.buffer[:nbytes]

        async with Bench() as bench:
            modem = await bench.open()
            _, protocol = await modem.create_connection(Buffered, HOST, PORT)
            data = random.Random(6).randbytes(3000)
            bench.peer.send(data)
            await asyncio.sleep(1)
            assert protocol.received == data

    @virtual
    async def test_buffered_protocol_without_a_buffer(self) -> None:
        """An empty buffer is the protocol's mistake, and ends its connection."""

        class Empty(asyncio.BufferedProtocol):
            def get_buffer(self, sizehint: int) -> bytearray:
                return bytearray()

        async with Bench() as bench:
            modem = await bench.open()
            await modem.create_connection(Empty, HOST, PORT)
            bench.peer.send(b"data")
            await asyncio.sleep(1)
            (report,) = take_errors()
            assert "empty buffer" in str(report["exception"])
            assert bench.open_ids == []

    @virtual
    async def test_buffered_protocol_that_pauses(self) -> None:
        """A pause between two buffers holds the rest back, in order."""

        class Buffered(asyncio.BufferedProtocol):
            transport: asyncio.Transport

            def __init__(self) -> None:
                self.buffer = bytearray(10)
                self.received = bytearray()

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport

            def get_buffer(self, sizehint: int) -> bytearray:
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                self.received += self.buffer[:nbytes]
                self.transport.pause_reading()

        async with Bench() as bench:
            modem = await bench.open()
            transport, protocol = await modem.create_connection(Buffered, HOST, PORT)
            bench.peer.send(bytes(range(35)))
            await asyncio.sleep(1)
            for expected in (10, 20, 30, 35):
                assert len(protocol.received) == expected
                transport.resume_reading()
                await asyncio.sleep(0)
            assert protocol.received == bytes(range(35))

    @virtual
    async def test_set_protocol(self) -> None:
        """What comes from then on goes to the other protocol, of either kind."""
        async with Bench() as bench:
            first, transport, peer = await recorded(bench)
            peer.send(b"one")
            await asyncio.sleep(1)
            second = Recorder()
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            peer.send(b"two")
            await asyncio.sleep(1)
            transport.close()
            await second.lost
            assert (first.received, second.received) == (bytearray(b"one"), bytearray(b"two"))
            assert second.calls == ["data", "lost"]

    @virtual
    async def test_callbacks_run_in_the_context_of_the_connection(self) -> None:
        """A library that reconnects in connection_lost() keeps its context variables."""
        route = contextvars.ContextVar("route", default="none")
        seen: list[str] = []

        class Watcher(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                seen.append(route.get())

            def connection_lost(self, exc: Exception | None) -> None:
                seen.append(route.get())

        async with Bench() as bench:
            modem = await bench.open()
            route.set("modem")
            transport, _ = await modem.create_connection(Watcher, HOST, PORT)
            route.set("other")
            bench.peer.send(b"x")
            await asyncio.sleep(1)
            transport.close()
            await asyncio.sleep(1)
            assert seen == ["modem", "modem"]

    @virtual
    async def test_extra_info(self) -> None:
        """Addresses, the socket and the modem; anything else is the default."""
        async with Bench() as bench:
            _, transport, _ = await recorded(bench)
            assert transport.get_extra_info("peername") == (HOST, PORT)
            assert transport.get_extra_info("sockname") == ("100.127.243.105", 0)
            assert transport.get_extra_info("connect_id") == 0
            assert transport.get_extra_info("modem") is await bench.modem()
            assert transport.get_extra_info("socket").type == socket.SOCK_STREAM
            assert transport.get_extra_info("sslcontext", 5) == 5
            assert "open" in repr(transport)
            assert HOST in repr(transport)
            transport.close()
            assert "closing" in repr(transport)
            await asyncio.sleep(1)
            assert "closed" in repr(transport)


class TestStreams:
    """asyncio's streams over the transport."""

    @virtual
    async def test_lines(self) -> None:
        """readuntil and readline work across reads of the module."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            peer.send(b"first\r\nsec")
            await asyncio.sleep(1)
            peer.send(b"ond\r\nrest")
            peer.close()
            assert await reader.readuntil(b"\r\n") == b"first\r\n"
            assert await reader.readline() == b"second\r\n"
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await reader.readuntil(b"\r\n")
            assert caught.value.partial == b"rest"

    @virtual
    async def test_line_over_the_limit(self) -> None:
        """The reader's limit counts, and the line can still be read otherwise."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect(limit=100)
            peer.send(bytes(1000))
            with pytest.raises(asyncio.LimitOverrunError):
                await reader.readuntil(b"\n")
            assert await reader.readexactly(1000) == bytes(1000)

    @virtual
    async def test_wait_closed_waits_for_close_ok(self) -> None:
        """The module has closed the socket when wait_closed() returns."""
        async with Bench(close_time=3) as bench:
            (_, writer), _ = await bench.connect()
            began = running().now
            writer.close()
            await writer.wait_closed()
            assert running().now - began == pytest.approx(3, abs=0.1)
            assert bench.open_ids == []

    @virtual
    async def test_broken_stream_raises_where_it_is_read_and_drained(self) -> None:
        """Reader and writer both say why."""
        async with Bench(boot_time=1) as bench:
            (reader, writer), _ = await bench.connect()
            reading = asyncio.create_task(reader.read(1))
            await asyncio.sleep(1)
            bench.virtual.reset()
            with pytest.raises(aiobc9x.ModuleReset):
                await reading
            with pytest.raises(aiobc9x.ModuleReset):
                await writer.drain()
            with pytest.raises(aiobc9x.ModuleReset):
                await writer.wait_closed()
