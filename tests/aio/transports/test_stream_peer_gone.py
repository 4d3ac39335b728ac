"""A peer that closes while nobody reads: writers hear of it, and readers lose nothing."""

from __future__ import annotations

import asyncio
import io
import random

import pytest

import aiobc9x
from aiobc9x.aio.transports.stream import SocketTransport
from tests.support.bench import HOST, PORT, Bench, Streams, roomy
from tests.support.clock import running, virtual
from tests.support.recorders import Recorder
from tests.support.tls import NAME, TLS_PORT, TlsPeer, client_context, secured, served

DATA = random.Random(7).randbytes(40_000)
LIMIT = 1024


async def full_reader(bench: Bench, *, end: bool = True) -> Streams:
    """Streams whose reader is full, and whose peer has closed."""
    await bench.open(read_ahead_bytes=4096)
    reader, writer = await bench.streams(HOST, PORT, limit=LIMIT)
    bench.peer.send(DATA)
    await asyncio.sleep(30)
    if end:
        bench.peer.close()
    return reader, writer


async def write_on(writer: asyncio.StreamWriter) -> None:
    """Write for ever, as a program does that never looks at what it is told."""
    async with asyncio.timeout(60):
        while True:
            writer.write(bytes(500))
            await writer.drain()


async def writer_hears_of_it(
    bench: Bench, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> None:
    """Show that ``drain()`` raises within seconds, and that nothing is lost to the reader."""
    began = running().now
    with pytest.raises(ConnectionResetError):
        await write_on(writer)
    assert running().now - began < 5
    assert await reader.read(-1) == data
    assert reader.at_eof()
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    writer.close()
    with pytest.raises(aiobc9x.StreamBroken, match="bytes not sent"):
        await writer.wait_closed()
    assert bench.open_ids == []


class TestStreams:
    """asyncio's own streams."""

    @virtual
    async def test_drain_raises_and_the_reader_gets_all(self) -> None:
        """Within seconds, though nobody reads; what has come is still there to be read."""
        async with roomy() as bench:
            reader, writer = await full_reader(bench)
            await writer_hears_of_it(bench, reader, writer, DATA)

    @virtual
    async def test_a_drain_that_waits_already(self) -> None:
        """The peer closes while the module takes nothing more."""
        async with roomy() as bench:
            reader, writer = await full_reader(bench, end=False)
            writing = asyncio.create_task(write_on(writer))
            await asyncio.sleep(1)
            bench.peer.close()
            began = running().now
            with pytest.raises(ConnectionResetError):
                await writing
            assert running().now - began < 5
            assert await reader.read(-1) == DATA

    @virtual
    async def test_nothing_to_write(self) -> None:
        """Without a byte that can't go there is no error at all."""
        async with roomy() as bench:
            reader, writer = await full_reader(bench)
            await asyncio.sleep(60)
            await writer.drain()
            assert await reader.read(-1) == DATA
            writer.close()
            await writer.wait_closed()

    @virtual
    async def test_written_behind_the_end(self) -> None:
        """Also what is written long after the module has told of the end."""
        async with roomy() as bench:
            reader, writer = await full_reader(bench)
            await asyncio.sleep(60)
            writer.write(b"late")
            with pytest.raises(ConnectionResetError):
                await writer.drain()
            assert await reader.read(-1) == DATA

    @virtual
    async def test_a_reader_that_is_not_full(self) -> None:
        """It keeps what it holds, whatever could not be sent."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect()
            peer.send(b"last words")
            peer.close()
            writer.write(bytes(5000))
            with pytest.raises(ConnectionResetError):
                await writer.drain()
            await asyncio.sleep(10)
            assert await reader.read(-1) == b"last words"
            with pytest.raises(aiobc9x.StreamBroken, match="bytes not sent"):
                await writer.wait_closed()

    @virtual
    async def test_closing_without_reading(self) -> None:
        """The socket is free soon after close()."""
        async with roomy() as bench:
            _, writer = await full_reader(bench)
            with pytest.raises(ConnectionResetError):
                await write_on(writer)
            writer.close()
            with pytest.raises(aiobc9x.StreamBroken):
                await writer.wait_closed()
            assert bench.open_ids == []


class Paused(Recorder):
    """Pauses reading when it is told of anything, and notes whether it was told all the same."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()


class TestProtocols:
    """Protocols of any kind: only ``connection_lost()`` can tell them."""

    @virtual
    async def test_paused_in_both_directions(self) -> None:
        """It gets the rest although it has paused, then the end and the reason."""
        async with roomy() as bench:
            modem = await bench.open(read_ahead_bytes=4096)
            transport, protocol = await modem.create_connection(Paused, HOST, PORT)
            assert isinstance(transport, SocketTransport)
            bench.peer.send(DATA)
            bench.peer.close()
            transport.write(bytes(10_000))
            began = running().now
            error = await asyncio.wait_for(protocol.lost, 60)
            assert running().now - began < 10
            assert isinstance(error, aiobc9x.StreamBroken)
            assert protocol.received == DATA
            assert "resume" not in protocol.calls
            assert protocol.calls[-2:] == ["eof", "lost"]

    @virtual
    async def test_paused_in_one_direction(self) -> None:
        """Who doesn't wait to write is left in peace, and gets all when it resumes."""
        async with roomy() as bench:
            modem = await bench.open(read_ahead_bytes=4096)
            transport, protocol = await modem.create_connection(Paused, HOST, PORT)
            bench.peer.send(DATA)
            bench.peer.close()
            await asyncio.sleep(60)
            assert protocol.calls == ["made"]
            transport.resume_reading()
            assert await protocol.lost is None
            assert protocol.received == DATA

    @virtual
    async def test_resumed_in_time(self) -> None:
        """A pause of a moment is kept to, as ever."""
        async with roomy() as bench:
            modem = await bench.open(read_ahead_bytes=4096)
            transport, protocol = await modem.create_connection(Paused, HOST, PORT)
            transport.write(bytes(10_000))
            bench.peer.close()
            await asyncio.sleep(0.5)
            transport.resume_reading()
            assert isinstance(await protocol.lost, aiobc9x.StreamBroken)


async def behind_tls(bench: Bench, data: bytes) -> tuple[Streams, TlsPeer]:
    """Streams over TLS whose reader is full."""
    await bench.open(read_ahead_bytes=4096)
    streams, far = await secured(bench, limit=LIMIT)
    far.send(data)
    await asyncio.sleep(30)
    return streams, far


class PausedStream(Paused):
    """Pauses reading again and again."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()


@pytest.mark.parametrize("size", [20_000, 400_000])
class TestTls:
    """TLS holds 256 KiB of its own; what is beyond waits in the transport."""

    @virtual
    async def test_drain_raises_and_the_reader_gets_all(self, size: int) -> None:
        """As in the clear."""
        data = random.Random(size).randbytes(size)
        async with roomy() as bench:
            (reader, writer), far = await behind_tls(bench, data)
            far.close()
            await writer_hears_of_it(bench, reader, writer, data)

    @virtual
    async def test_a_drain_that_waits_already(self, size: int) -> None:
        """TLS gathers half a megabyte before ``drain()`` waits."""
        data = random.Random(size).randbytes(size)
        async with roomy() as bench:
            (reader, writer), far = await behind_tls(bench, data)
            far.peer.accepts = False
            writer.write(bytes(10_000))
            writer.write(bytes(600_000))
            draining = asyncio.create_task(writer.drain())
            await asyncio.sleep(5)
            assert not draining.done()
            far.close()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(draining, 30)
            assert await reader.read(-1) == data

    @virtual
    async def test_written_behind_the_end(self, size: int) -> None:
        """Also what is written long after the module has told of the end."""
        data = random.Random(size).randbytes(size)
        async with roomy() as bench:
            (reader, writer), far = await behind_tls(bench, data)
            far.close()
            await asyncio.sleep(60)
            writer.write(b"late")
            with pytest.raises(ConnectionResetError):
                await writer.drain()
            assert await reader.read(-1) == data

    @virtual
    async def test_a_protocol_that_pauses_both_directions(self, size: int) -> None:
        """It gets the rest, the end and the reason, however often it pauses."""
        data = random.Random(size).randbytes(size)
        async with roomy() as bench:
            peers = served(bench)
            modem = await bench.open(read_ahead_bytes=4096)
            transport, protocol = await modem.create_connection(
                PausedStream, HOST, TLS_PORT, ssl=client_context(), server_hostname=NAME
            )
            await asyncio.sleep(1)
            peers[0].send(data)
            peers[0].close()
            transport.write(bytes(20_000))
            error = await asyncio.wait_for(protocol.lost, 60)
            assert isinstance(error, aiobc9x.StreamBroken)
            assert protocol.received == data
            assert protocol.calls[-2:] == ["eof", "lost"]


async def test_sendfile() -> None:
    """loop.sendfile() fails, and the reader goes on; in real time, for it reads in a thread."""
    async with Bench() as bench:
        await bench.open()
        reader, writer = await bench.streams(HOST, PORT, limit=LIMIT)
        bench.peer.send(DATA[:3000])
        bench.peer.send(DATA[3000:4000])
        await asyncio.sleep(0.5)
        bench.peer.close()
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):
                await asyncio.get_running_loop().sendfile(
                    writer.transport, io.BytesIO(bytes(100_000))
                )
            assert await reader.read(-1) == DATA[:4000]
            with pytest.raises(ConnectionError):
                await write_on(writer)
