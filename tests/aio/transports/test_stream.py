"""SocketTransport: asyncio's contract over the module's commands."""

from __future__ import annotations

import asyncio
import errno
import random
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import Recorder, held_bytes, reads, recorded

NODE_BYTES = 1360


class TestLife:
    """The order of calls."""

    @virtual
    async def test_close(self) -> None:
        """connection_lost(None) comes once, behind the module's CLOSE OK."""
        async with Bench(close_time=2) as bench:
            protocol, transport, _ = await recorded(bench)
            transport.close()
            transport.close()
            assert transport.is_closing()
            await asyncio.sleep(1.9)
            assert protocol.calls == ["made"]
            assert await protocol.lost is None
            assert bench.open_ids == []
            assert protocol.calls == ["made", "lost"]

    @virtual
    async def test_close_flushes(self) -> None:
        """What was written before the close arrives before it."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            data = random.Random(1).randbytes(20_000)
            transport.write(data)
            transport.close()
            assert await protocol.lost is None
            assert peer.received == data
            assert transport.get_write_buffer_size() == 0

    @virtual
    async def test_abort(self) -> None:
        """What was written is dropped; connection_lost comes in the loop's next turn."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.write(bytes(20_000))
            transport.abort()
            assert protocol.calls[-1] != "lost"
            await asyncio.sleep(0)
            assert protocol.calls[-1] == "lost"
            await asyncio.sleep(1)
            assert bench.open_ids == []
            assert len(peer.received) < 20_000

    @virtual
    async def test_abort_in_a_close(self) -> None:
        """An abort ends a close that takes long."""
        async with Bench(close_time=5) as bench:
            protocol, transport, _ = await recorded(bench)
            transport.close()
            await asyncio.sleep(1)
            transport.abort()
            await asyncio.sleep(0)
            assert protocol.calls == ["made", "lost"]
            await asyncio.sleep(5)
            assert protocol.calls == ["made", "lost"]
            assert bench.open_ids == []

    @virtual
    async def test_end_from_the_peer(self) -> None:
        """eof_received, then connection_lost: the module has no half-close."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            peer.send(b"last words")
            peer.close()
            assert await protocol.lost is None
            assert protocol.calls == ["made", "data", "eof", "lost"]
            assert protocol.received == b"last words"
            assert bench.open_ids == []
            assert not transport.is_reading()

    @virtual
    async def test_eof_waits_until_the_buffer_is_drained(self) -> None:
        """The module says "closed" before it has been read; all its bytes come first."""
        async with Bench(buffer_bytes=100_000, buffer_nodes=1000) as bench:
            protocol, _, peer = await recorded(bench)
            data = random.Random(2).randbytes(60_000)
            peer.send(data)
            peer.close()
            assert await protocol.lost is None
            assert protocol.received == data

    @virtual
    async def test_peer_that_sends_and_closes_at_once(self) -> None:
        """Bytes and end that come before the transport exists are not lost."""
        async with Bench() as bench:

            def greet(peer: Peer) -> None:
                peer.send(b"hello and goodbye")
                peer.close()

            bench.network.serve_tcp(99, greet)
            protocol, _, _ = await recorded(bench, port=99)
            assert await protocol.lost is None
            assert protocol.calls == ["made", "data", "eof", "lost"]

    @virtual
    async def test_peer_closes_with_bytes_unsent(self) -> None:
        """A clean end would be a lie about what the peer got."""
        async with Bench(send_time=1) as bench:
            protocol, transport, peer = await recorded(bench)
            transport.write(bytes(5000))
            await asyncio.sleep(0.5)
            peer.close()
            error = await protocol.lost
            assert isinstance(error, aiobc9x.StreamBroken)
            assert "bytes not sent" in str(error)

    @virtual
    async def test_peer_closes_while_a_close_flushes(self) -> None:
        """A flush that can't end any more ends as an error, and not never."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            peer.accepts = False
            transport.write(b"never taken")
            await asyncio.sleep(0.5)
            transport.close()
            await asyncio.sleep(0.5)
            peer.close()
            error = await asyncio.wait_for(protocol.lost, 10)
            assert isinstance(error, aiobc9x.StreamBroken)
            assert bench.open_ids == []

    @virtual
    async def test_close_after_a_paused_end(self) -> None:
        """The peer has closed, the reader has paused: a close with bytes unsent ends."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.pause_reading()
            peer.send(b"unread")
            peer.accepts = False
            transport.write(b"never taken")
            await asyncio.sleep(0.5)
            peer.close()
            await asyncio.sleep(20)
            assert "eof" not in protocol.calls
            transport.close()
            assert isinstance(await asyncio.wait_for(protocol.lost, 10), aiobc9x.StreamBroken)

    @virtual
    async def test_network_that_is_gone_is_no_eof(self) -> None:
        """After "closed" without a network, the end is an error."""
        async with Bench() as bench:
            protocol, _, _ = await recorded(bench)
            bench.virtual.set_coverage(False)
            error = await protocol.lost
            assert isinstance(error, aiobc9x.NetworkLost)
            assert isinstance(error, ConnectionResetError)
            assert "eof" not in protocol.calls

    @virtual
    async def test_lost_close_ok(self) -> None:
        """Without CLOSE OK the module is asked after 12 s; the ID is free then."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="CLOSE OK")) as bench:
            protocol, transport, _ = await recorded(bench)
            # The fault struck at start-up's closes only if there was one to strike at.
            began = running().now
            transport.close()
            assert await protocol.lost is None
            assert 12 <= running().now - began < 13
            assert bench.open_ids == []

    @virtual
    async def test_restart(self) -> None:
        """Every connection gets an exception, never an end."""
        async with Bench(boot_time=1) as bench:
            protocol, transport, _ = await recorded(bench)
            transport.write(bytes(5000))
            bench.virtual.reset()
            error = await protocol.lost
            assert isinstance(error, aiobc9x.ModuleReset)
            assert "eof" not in protocol.calls


class TestReading:
    """Back pressure."""

    @virtual
    async def test_paused_reader_gets_nothing(self) -> None:
        """What arrives while it is paused comes when it resumes, in order."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.pause_reading()
            assert not transport.is_reading()
            peer.send(b"one")
            await asyncio.sleep(1)
            peer.send(b"two")
            await asyncio.sleep(1)
            assert protocol.calls == ["made"]
            transport.resume_reading()
            assert transport.is_reading()
            assert protocol.calls == ["made"]
            await asyncio.sleep(0)
            assert protocol.received == b"onetwo"

    @virtual
    @pytest.mark.parametrize("ends", [False, True])
    async def test_descriptor_tells_what_waits(self, ends: bool) -> None:
        """The socket's descriptor is -1 once data or the end wait for a paused reader."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.pause_reading()
            view = transport.get_extra_info("socket")
            assert view.fileno() >= 0
            if ends:
                peer.close()
            else:
                peer.send(b"news")
            await asyncio.sleep(5)
            assert view.fileno() == -1
            transport.resume_reading()
            await asyncio.sleep(5)
            assert (view.fileno() == -1) is ends
            transport.close()
            assert await protocol.lost is None
            assert view.fileno() == -1

    @virtual
    async def test_reads_stop_only_when_the_read_ahead_is_full(self) -> None:
        """A slow reader stops its own QIRDs, and no other socket's."""
        ahead = 8 * NODE_BYTES
        async with Bench() as bench:
            slow, slow_transport, slow_peer = await recorded(bench, read_ahead_bytes=ahead)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            slow_transport.pause_reading()
            slow_peer.send(bytes(range(256)) * 400)
            await asyncio.sleep(1)
            taken = held_bytes(slow_transport)
            assert ahead <= taken < ahead + 1024
            stopped_at = reads(bench, 0)
            for turn in range(50):
                writer.write(bytes([turn]) * 100)
                assert await reader.readexactly(100) == bytes([turn]) * 100
            assert reads(bench, 0) == stopped_at
            assert slow_peer.paused  # the module throttles
            slow_transport.resume_reading()
            await asyncio.sleep(5)
            assert slow.received == bytes(range(256)) * 400

    @virtual
    async def test_stream_reader_limit(self) -> None:
        """A StreamReader that is not read pauses at twice its limit, and loses nothing."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect(limit=1000)
            data = random.Random(3).randbytes(50_000)
            peer.send(data)
            await asyncio.sleep(2)
            assert not writer.transport.is_reading()  # type: ignore[attr-defined]  # a Transport
            assert await reader.readexactly(50_000) == data

    @virtual
    async def test_pausing_in_data_received(self) -> None:
        """A protocol may pause in the middle of a burst."""

        class Sip(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.transport.pause_reading()

        async with Bench() as bench:
            modem = await bench.open()
            transport, protocol = await modem.create_connection(Sip, HOST, PORT)
            for turn in range(5):
                bench.peer.send(bytes([turn]) * 10)
            await asyncio.sleep(1)
            for expected in range(1, 6):
                assert len(protocol.received) == 10 * expected
                transport.resume_reading()
                await asyncio.sleep(0.1)
            assert protocol.received == b"".join(bytes([turn]) * 10 for turn in range(5))

    @virtual
    async def test_read_calls_are_cancelled_safely(self) -> None:
        """A cancelled read loses no byte."""
        async with Bench() as bench:
            (reader, _), peer = await bench.connect()
            read = asyncio.create_task(reader.readexactly(4))
            await asyncio.sleep(1)
            peer.send(b"ab")
            await asyncio.sleep(1)
            read.cancel()
            await asyncio.sleep(0)
            peer.send(b"cd")
            assert await reader.readexactly(4) == b"abcd"


class TestWriting:
    """Coalescing, watermarks, any byte."""

    @virtual
    async def test_small_writes_are_coalesced(self) -> None:
        """Many writes in one turn of the loop become sends of at most 1440 bytes."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            for _ in range(288):
                transport.write(b"0123456789")
            transport.writelines([b"ab", bytearray(b"cd"), memoryview(b"ef")])
            transport.close()
            await protocol.lost
            assert [len(piece) for piece in peer.datagrams] == [1440, 1440, 6]

    @virtual
    async def test_any_byte_arrives(self) -> None:
        """Ctrl-Z, ESC, quotes, CR and NUL among them, in any length."""
        async with Bench(echo_data=True) as bench:
            protocol, transport, peer = await recorded(bench)
            chance = random.Random(4)
            pieces = [bytes(range(256)), b'"\r\n\x1a\x1b\0', *map(chance.randbytes, range(1, 60))]
            for piece in pieces:
                transport.write(piece)
                await asyncio.sleep(0.05)
            transport.close()
            await protocol.lost
            assert peer.received == b"".join(pieces)

    @virtual
    async def test_buffer_is_copied(self) -> None:
        """What the caller does to its buffer afterwards changes nothing."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            data = bytearray(b"before")
            transport.write(data)
            data[:] = b"after!"
            transport.close()
            await protocol.lost
            assert peer.received == b"before"

    @virtual
    async def test_watermarks(self) -> None:
        """pause_writing above the high mark, resume_writing at the low mark."""
        async with Bench(send_time=1) as bench:
            protocol, transport, _ = await recorded(bench)
            assert transport.get_write_buffer_limits() == (1440, 2880)
            transport.write(bytes(2880))
            assert "pause" not in protocol.calls
            transport.write(b"x")
            assert protocol.calls[-1] == "pause"
            await asyncio.sleep(1.1)
            assert protocol.calls[-1] == "pause"  # 1441 bytes are left
            await asyncio.sleep(1.1)
            assert protocol.calls[-1] == "resume"
            assert transport.get_write_buffer_size() == 1

    @virtual
    async def test_write_buffer_limits(self) -> None:
        """They can be changed, and the defaults are the module's."""
        async with Bench() as bench:
            _, transport, _ = await recorded(bench)
            transport.set_write_buffer_limits(high=100)
            assert transport.get_write_buffer_limits() == (25, 100)
            transport.set_write_buffer_limits()
            assert transport.get_write_buffer_limits() == (1440, 2880)
            with pytest.raises(ValueError, match="must be >="):
                transport.set_write_buffer_limits(high=1, low=2)

    @virtual
    async def test_drain_waits_for_send_ok(self) -> None:
        """At the watermark drain() waits until the module has taken the bytes."""
        async with Bench(send_time=1) as bench:
            (_, writer), peer = await bench.connect()
            began = running().now
            writer.write(bytes(5000))
            await writer.drain()
            assert running().now - began == pytest.approx(3, abs=0.2)
            assert len(peer.received) >= 5000 - 1440

    @virtual
    async def test_drain_that_is_cancelled(self) -> None:
        """The bytes go out all the same."""
        async with Bench(send_time=1) as bench:
            (_, writer), peer = await bench.connect()
            writer.write(bytes(5000))
            drain = asyncio.create_task(writer.drain())
            await asyncio.sleep(0.5)
            drain.cancel()
            await asyncio.sleep(10)
            assert len(peer.received) == 5000

    @virtual
    async def test_write_after_close(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is ignored, and said so in the log when it happens again and again."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.close()
            for _ in range(6):
                transport.write(b"late")
            await protocol.lost
            assert peer.received == b""
            assert [r.message for r in caplog.records if "closed connection" in r.message]

    @virtual
    async def test_writer_after_the_end(self) -> None:
        """drain() on a lost connection raises, wait_closed() returns."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect()
            peer.close()
            assert await reader.read() == b""
            await writer.wait_closed()
            writer.write(b"too late")
            with pytest.raises(ConnectionResetError):
                await writer.drain()

    @pytest.mark.parametrize("data", ["text", 5, None, [1]])
    @virtual
    async def test_only_bytes(self, data: Any) -> None:
        """Anything but bytes-like objects is a TypeError."""
        async with Bench() as bench:
            _, transport, _ = await recorded(bench)
            with pytest.raises(TypeError, match="bytes-like"):
                transport.write(data)

    @virtual
    async def test_no_half_close(self) -> None:
        """write_eof() is refused; asyncio's own users ask can_write_eof() first."""
        async with Bench() as bench:
            _, transport, _ = await recorded(bench)
            assert not transport.can_write_eof()
            with pytest.raises(NotImplementedError, match=r"close\(\)") as caught:
                transport.write_eof()
            # anyio before 4.16 doesn't ask, and ignores an OSError.
            assert isinstance(caught.value, OSError)
            assert caught.value.errno == errno.EOPNOTSUPP
