"""SocketTransport: asyncio's contract over the module's commands."""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.transport import SocketTransport
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, take_errors, virtual

NODE_BYTES = 1360


class Recorder(asyncio.Protocol):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")
        self.received += data

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


async def recorded(
    bench: Bench, port: int = PORT, **settings: Any
) -> tuple[Recorder, SocketTransport, Peer]:
    """Connect a recorder."""
    modem = await bench.open(**settings)
    transport, protocol = await modem.create_connection(Recorder, HOST, port)
    assert isinstance(transport, SocketTransport)
    return protocol, transport, bench.peer


def reads(bench: Bench, connect_id: int = 0) -> int:
    """How often a socket has been read."""
    return sum(line.startswith(f"AT+QIRD={connect_id}") for line in bench.commands)


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
    async def test_reads_stop_only_when_the_read_ahead_is_full(self) -> None:
        """A slow reader stops its own QIRDs, and no other socket's."""
        ahead = 8 * NODE_BYTES
        async with Bench() as bench:
            slow, slow_transport, slow_peer = await recorded(bench, read_ahead_bytes=ahead)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            slow_transport.pause_reading()
            slow_peer.send(bytes(range(256)) * 400)
            await asyncio.sleep(1)
            taken = slow_transport._ahead_bytes
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
            with pytest.raises(NotImplementedError, match=r"close\(\)"):
                transport.write_eof()


class TestTroubleWithSends:
    """SEND FAIL, late and lost results."""

    @virtual
    async def test_send_fail_is_tried_again(self) -> None:
        """A full send buffer delays, and nothing is lost or doubled."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=5)) as bench:
            protocol, transport, peer = await recorded(bench)
            data = random.Random(5).randbytes(5000)
            transport.write(data)
            transport.close()
            assert await protocol.lost is None
            assert peer.received == data
            assert running().now - 1000 > 3  # 0.1 + 0.2 + 0.4 + 0.8 + 1.6

    @virtual
    async def test_send_fail_without_end(self) -> None:
        """After 60 s without progress the connection ends."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            protocol, transport, _ = await recorded(bench)
            began = running().now
            transport.write(b"x")
            error = await protocol.lost
            assert isinstance(error, aiobc9x.StreamBroken)
            assert "no byte for 60 s" in str(error)
            assert 60 <= running().now - began < 70

    @virtual
    async def test_send_fail_that_is_not_atomic(self) -> None:
        """By profile: nobody knows what was sent, so the connection ends."""
        async with Bench(Fault(FaultKind.SEND_FAIL)) as bench:
            profile = ModuleProfile(send_fail_is_atomic=False)
            protocol, transport, _ = await recorded(bench, profile=profile)
            transport.write(b"x")
            assert isinstance(await protocol.lost, BrokenPipeError)

    @virtual
    async def test_late_send_ok(self) -> None:
        """Ten seconds are not too late."""
        late = Fault(FaultKind.DELAY_LINE, on="SEND OK", delay_s=10)
        async with Bench(late) as bench:
            protocol, transport, peer = await recorded(bench)
            transport.write(b"a")
            await asyncio.sleep(1)
            transport.write(b"b")
            transport.close()
            assert await protocol.lost is None
            assert peer.received == b"ab"

    @virtual
    async def test_lost_send_ok(self) -> None:
        """Without a result nobody knows what was sent: that connection ends, no other."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="SEND OK")) as bench:
            protocol, transport, _ = await recorded(bench)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            transport.write(b"x")
            error = await protocol.lost
            assert isinstance(error, aiobc9x.StreamBroken)
            assert "sent bytes may be lost" in str(error)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_lost_prompt(self) -> None:
        """A prompt that never comes leaves the module in data mode; it is brought back."""
        async with Bench() as bench:
            protocol, transport, _ = await recorded(bench)
            bench.add_fault(Fault(FaultKind.DROP_LINE, on=">"))
            transport.write(bytes(100))
            assert isinstance(await protocol.lost, aiobc9x.StreamBroken)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(bytes(100))
            assert await reader.readexactly(100) == bytes(100)

    @pytest.mark.parametrize("prompt", ["space", "bare", "crlf"])
    @virtual
    async def test_every_spelling_of_the_prompt(self, prompt: Any) -> None:
        """§2.2.4 says only ``>``."""
        async with Bench(prompt=prompt) as bench:
            protocol, transport, peer = await recorded(bench)
            transport.write(bytes(range(256)))
            transport.close()
            await protocol.lost
            assert peer.received == bytes(range(256))

    @virtual
    async def test_restart_at_the_prompt(self) -> None:
        """A reset where the payload was due ends the connection with the reset."""
        async with Bench(boot_time=1) as bench:
            protocol, transport, _ = await recorded(bench)
            bench.add_fault(Fault(FaultKind.RESET_AT_LINE, on=">"))
            transport.write(bytes(100))
            assert isinstance(await protocol.lost, aiobc9x.ModuleReset)


class TestTroubleWithReads:
    """A stream never goes on with a hole."""

    @pytest.mark.parametrize("count", [1, 2, 30])
    @virtual
    async def test_bytes_missing_in_a_payload(self, count: int) -> None:
        """That connection ends; the line is brought back in step for the others."""
        async with Bench() as bench:
            protocol, _, peer = await recorded(bench)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            bench.add_fault(Fault(FaultKind.LOSE_BYTES, count=count))
            peer.send(bytes(100))
            assert isinstance(await protocol.lost, aiobc9x.StreamBroken)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"

    @virtual
    async def test_restart_inside_a_payload(self) -> None:
        """The reset is seen, and not taken for payload for ever."""
        async with Bench(boot_time=1) as bench:
            protocol, _, peer = await recorded(bench)
            bench.add_fault(Fault(FaultKind.RESET_IN_PAYLOAD, count=10))
            peer.send(bytes(100))
            assert isinstance(await protocol.lost, ConnectionResetError)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"

    @virtual
    async def test_buff_full_where_bytes_are_dropped(self) -> None:
        """The default profile ends the connection, and names the way out."""
        async with Bench(Fault(FaultKind.DROP_ON_FULL, times=None)) as bench:
            protocol, transport, peer = await recorded(
                bench, profile=ModuleProfile(), read_ahead_bytes=2000
            )
            transport.pause_reading()
            peer.send(bytes(20_000))
            error = await protocol.lost
            assert isinstance(error, aiobc9x.StreamBroken)
            assert "AccessMode.PUSH" in str(error)
            assert "on_buffer_full" in str(error)

    @virtual
    async def test_lost_recv(self) -> None:
        """A recv URC that got lost costs time, not data."""
        async with Bench() as bench:
            protocol, _, peer = await recorded(bench)
            bench.add_fault(Fault(FaultKind.DROP_LINE, on='+QIURC: "recv"'))
            peer.send(b"unannounced")
            await asyncio.sleep(11)
            assert protocol.received == b"unannounced"

    @virtual
    async def test_lost_closed(self) -> None:
        """A closed URC that got lost is found out within 30 s."""
        async with Bench() as bench:
            protocol, _, peer = await recorded(bench)
            bench.add_fault(Fault(FaultKind.DROP_LINE, on='+QIURC: "closed"'))
            peer.send(b"the last")
            peer.close()
            assert await asyncio.wait_for(protocol.lost, 45) is None
            assert protocol.calls == ["made", "data", "eof", "lost"]

    @virtual
    async def test_swallowed_recv(self) -> None:
        """What a data-mode send swallows is read a moment after it."""
        async with Bench(Fault(FaultKind.SWALLOW_RECV, times=None), latency=0.05) as bench:
            protocol, transport, peer = await recorded(bench)
            bench.on_command = lambda line: peer.send(b"x") if "QISEND=" in line else None
            for turn in range(1, 11):
                transport.write(bytes(10))
                await asyncio.sleep(0.5)
                assert protocol.received == b"x" * turn


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
