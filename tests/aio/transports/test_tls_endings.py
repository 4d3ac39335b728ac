"""TLS: connections end cleanly, in whatever order both sides say goodbye, and lose nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from aiobc9x.errors import ModuleReset, StreamBroken
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import HOST, Bench
from tests.support.clock import running, virtual
from tests.support.tls import NAME, TLS_PORT, client_context, secured, served


def noise(size_bytes: int) -> bytes:
    """Bytes that look like nothing."""
    return random.Random(size_bytes).randbytes(size_bytes)


class TestWeCloseFirst:
    """close() says goodbye and waits for the answer."""

    @virtual
    async def test_peer_answers(self) -> None:
        """All that was written arrives, then our goodbye."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            writer.write(noise(20_000))
            writer.close()
            await writer.wait_closed()
            assert far.received == noise(20_000)
            assert far.heard_goodbye
            assert bench.open_ids == []

    @pytest.mark.parametrize("size", [1, 1000, 10_000])
    @pytest.mark.parametrize("pieces", [0, 1, 5])
    @virtual
    async def test_data_of_the_peer_cross_our_goodbye(self, size: int, pieces: int) -> None:
        """They are dropped, as after any close(); what we wrote arrives nevertheless."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            for number in range(pieces):
                writer.write(noise(3000 + number))
            far.send(noise(size))
            writer.close()
            await writer.wait_closed()
            assert far.received == b"".join(noise(3000 + number) for number in range(pieces))
            assert far.heard_goodbye
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_data_come_all_the_while(self) -> None:
        """A peer that doesn't stop talking doesn't keep the connection open."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)

            async def talk() -> None:
                while not far.peer.closed:
                    far.send(noise(500))
                    await asyncio.sleep(0.02)

            talking = asyncio.create_task(talk())
            await asyncio.sleep(1)
            writer.write(noise(8000))
            writer.close()
            await writer.wait_closed()
            await talking
            assert far.received == noise(8000)

    @virtual
    async def test_reader_is_full(self) -> None:
        """What nobody read is dropped."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench, limit=100)
            far.send(noise(5000))
            await asyncio.sleep(2)
            writer.write(b"bye")
            writer.close()
            await writer.wait_closed()
            assert far.received == b"bye"

    @virtual
    async def test_twice(self) -> None:
        """The second time changes nothing: what was read can be had, and who the peer was."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench, limit=100)
            far.send(bytes(3000))
            await asyncio.sleep(1)
            writer.close()
            writer.close()
            await writer.wait_closed()
            assert await reader.readexactly(3000) == bytes(3000)
            assert writer.get_extra_info("peername") is None
            assert writer.get_extra_info("cipher") is not None

    @virtual
    async def test_peer_closes_without_a_goodbye(self) -> None:
        """Many do; it is no error."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            far.on_goodbye = far.peer.close
            writer.write(b"bye")
            writer.close()
            await writer.wait_closed()
            assert far.received == b"bye"

    @virtual
    async def test_peer_never_answers(self) -> None:
        """After 60 s asyncio's TimeoutError; the socket is closed."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            far.on_goodbye = lambda: None
            began = running().now
            writer.close()
            with pytest.raises(TimeoutError, match="SSL shutdown timed out"):
                await writer.wait_closed()
            assert running().now - began == pytest.approx(60, abs=1)
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_shutdown_timeout(self) -> None:
        """It can be chosen."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench, ssl_shutdown_timeout=5)
            far.on_goodbye = lambda: None
            began = running().now
            writer.close()
            with pytest.raises(TimeoutError):
                await writer.wait_closed()
            assert running().now - began == pytest.approx(5, abs=1)

    @virtual
    async def test_abort(self) -> None:
        """Nothing is said, and nothing is an error."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            writer.transport.abort()
            await writer.wait_closed()
            await asyncio.sleep(1)
            assert not far.heard_goodbye
            assert bench.open_ids == []


class TestPeerClosesFirst:
    """Its goodbye is an end of the stream."""

    @virtual
    async def test_goodbye_and_close(self) -> None:
        """The reader gets all, then the end."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench)
            far.send(noise(5000))
            far.close()
            assert await reader.read() == noise(5000)
            writer.close()
            await writer.wait_closed()
            assert bench.open_ids == []

    @virtual
    async def test_goodbye_without_close(self) -> None:
        """Ours answers it, and the socket is closed."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench)
            far.say_goodbye()
            assert await reader.read() == b""
            await writer.wait_closed()
            assert far.heard_goodbye
            assert bench.open_ids == []

    @virtual
    async def test_goodbye_while_we_write(self) -> None:
        """A peer that only stops talking still hears everything."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench)
            for number in range(5):
                writer.write(noise(3000 + number))
            far.say_goodbye()
            assert await reader.read() == b""
            await writer.wait_closed()
            assert far.received == b"".join(noise(3000 + number) for number in range(5))
            assert far.heard_goodbye

    @virtual
    async def test_close_while_we_write(self) -> None:
        """What it can't hear any more is an error, as without TLS."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench)
            for number in range(5):
                writer.write(noise(3000 + number))
            far.close()
            with pytest.raises(StreamBroken, match="bytes not sent"):
                await writer.wait_closed()
            del reader

    @virtual
    async def test_close_without_a_goodbye(self) -> None:
        """asyncio takes it for an end."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench)
            far.send(b"all")
            far.peer.close()
            assert await reader.read() == b"all"
            await writer.wait_closed()

    @pytest.mark.parametrize("goodbye", [True, False])
    @virtual
    async def test_reader_that_is_full(self, goodbye: bool) -> None:
        """It still gets everything, in its own time, then the end."""
        async with Bench() as bench:
            (reader, writer), far = await secured(bench, limit=100)
            far.send(noise(30_000))
            if goodbye:
                far.close()
            else:
                far.peer.close()
            await asyncio.sleep(30)
            received = bytearray()
            while data := await reader.read(100):
                received += data
                await asyncio.sleep(0.1)
            assert received == noise(30_000)
            writer.close()
            await writer.wait_closed()
            assert bench.open_ids == []

    @pytest.mark.parametrize("goodbye", [True, False])
    @virtual
    async def test_reader_that_stays_full(self, goodbye: bool) -> None:
        """Who has had enough can close."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench, limit=100)
            far.send(noise(3000))
            if goodbye:
                far.close()
            else:
                far.peer.close()
            await asyncio.sleep(5)
            assert not writer.is_closing()
            began = running().now
            writer.close()
            await writer.wait_closed()
            assert running().now - began < 5
            assert bench.open_ids == []

    @virtual
    async def test_words_to_a_peer_that_has_gone(self) -> None:
        """Who has not read that it has gone still learns that they are lost."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench, limit=100)
            far.send(noise(3000))
            far.close()
            await asyncio.sleep(5)
            writer.write(b"important")
            writer.close()
            with pytest.raises(StreamBroken, match="9 bytes not sent"):
                await writer.wait_closed()

    @pytest.mark.parametrize("pause", [False, True])
    @virtual
    async def test_buffered_protocol(self, pause: bool) -> None:
        """Small buffers are filled until nothing is left."""
        received = bytearray()
        ends: list[str] = []

        class Buffered(asyncio.BufferedProtocol):
            transport: asyncio.Transport

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport
                self.buffer = bytearray(10)
                if pause:
                    transport.pause_reading()

            def get_buffer(self, sizehint: int) -> memoryview:
                return memoryview(self.buffer)

            def buffer_updated(self, nbytes: int) -> None:
                received.extend(self.buffer[:nbytes])

            def eof_received(self) -> None:
                ends.append("eof")

            def connection_lost(self, exc: Exception | None) -> None:
                ends.append("lost")
                assert exc is None

        async with Bench() as bench:
            peers = served(bench)
            modem = await bench.open()
            transport, _ = await modem.create_connection(
                Buffered, HOST, TLS_PORT, ssl=client_context(), server_hostname=NAME
            )
            await asyncio.sleep(1)
            peers[0].send(noise(5000))
            peers[0].peer.close()
            await asyncio.sleep(10)
            transport.resume_reading()
            await asyncio.sleep(10)
            assert received == noise(5000)
            assert ends == ["eof", "lost"]


class TestBothAtOnce:
    """Goodbyes that cross."""

    @pytest.mark.parametrize("delay", [0, 0.001, 0.01, 0.1, 1])
    @pytest.mark.parametrize("we_first", [True, False])
    @virtual
    async def test_goodbyes_cross(self, delay: float, we_first: bool) -> None:
        """Neither is in the other's way."""
        async with Bench(latency=0.05) as bench:
            (_, writer), far = await secured(bench)
            writer.write(b"last words")
            await asyncio.sleep(1)
            ends: list[Callable[[], None]] = [writer.close, far.close]
            for end in ends if we_first else reversed(ends):
                end()
                await asyncio.sleep(delay)
            await writer.wait_closed()
            assert far.received == b"last words"
            assert bench.open_ids == []


class TestReset:
    """A peer that has said goodbye doesn't wait for ours."""

    @virtual
    async def test_module_has_lost_the_socket(self) -> None:
        """The module refuses our goodbye, and has no such socket any more."""
        async with Bench() as bench:
            (_, writer), far = await secured(bench)
            far.on_goodbye = lambda: None
            vanish_at_next_send(bench)
            far.say_goodbye()
            await writer.wait_closed()

    @virtual
    async def test_our_goodbye_is_refused(self) -> None:
        """The same if we are first."""
        async with Bench() as bench:
            (_, writer), _ = await secured(bench)
            vanish_at_next_send(bench)
            writer.close()
            await writer.wait_closed()

    @virtual
    async def test_words_before_the_goodbye_are_refused(self) -> None:
        """They are lost, which is an error."""
        async with Bench() as bench:
            (_, writer), _ = await secured(bench)
            vanish_at_next_send(bench)
            writer.write(b"important")
            writer.close()
            with pytest.raises(StreamBroken):
                await writer.wait_closed()

    @virtual
    async def test_restart_is_no_clean_end(self) -> None:
        """The module's own trouble stays an error."""
        async with Bench(boot_time=1) as bench:
            (_, writer), far = await secured(bench)
            far.on_goodbye = lambda: None
            writer.close()
            await asyncio.sleep(1)
            bench.virtual.reset()
            with pytest.raises(ModuleReset):
                await writer.wait_closed()


def vanish_at_next_send(bench: Bench) -> None:
    """Have the module forget its sockets as soon as it is to send, and refuse that."""

    def watch(line: str) -> None:
        if line.startswith("AT+QISEND"):
            bench.on_command = lambda _line: None
            bench.virtual.module.sockets.by_id.clear()

    bench.on_command = watch
    bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISEND"))
