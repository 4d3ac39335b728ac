"""The anyio byte stream: what its ABC promises, over the modem."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from hypothesis import given, settings
from hypothesis import strategies as st

import aiobc9x
from aiobc9x.adapters.anyio import (
    ByteStream,
    ModemAttribute,
    connect_tcp,
)
from aiobc9x.adapters.anyio.flow import RECEIVE_LIMIT_BYTES
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, PORT, Bench
from tests.support.chunks import chunkings
from tests.support.clock import run, running, virtual

SERVER_PORT = 443


async def connected(bench: Bench, port: int = PORT, **settings: Any) -> tuple[ByteStream, Peer]:
    """Return a stream and its far end."""
    stream = await connect_tcp(await bench.open(**settings), HOST, port)
    return stream, bench.peer


class TestReceive:
    """``receive()``."""

    @virtual
    async def test_splits_what_came(self) -> None:
        """At most ``max_bytes`` come at once, the rest later."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.send(b"0123456789")
            assert await stream.receive(4) == b"0123"
            assert await stream.receive(1) == b"4"
            assert await stream.receive() == b"56789"
            await stream.aclose()

    @pytest.mark.parametrize("max_bytes", [0, -1])
    @virtual
    async def test_max_bytes_is_checked(self, max_bytes: int) -> None:
        """Less than 1 is a ValueError, and no byte goes."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.send(b"x")
            with pytest.raises(ValueError, match="max_bytes is"):
                await stream.receive(max_bytes)
            assert await stream.receive() == b"x"
            await stream.aclose()

    @virtual
    async def test_everything_comes_before_the_end(self) -> None:
        """EndOfStream only behind the last byte, and then always."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.send(bytes(5000))
            peer.close()
            await anyio.sleep(5)
            received = b"".join([chunk async for chunk in stream])
            assert received == bytes(5000)
            for _ in range(2):
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
            await stream.aclose()
            assert bench.open_ids == []

    @virtual
    async def test_what_came_before_a_failure_is_received(self) -> None:
        """Then BrokenResourceError, whose cause says why."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.send(b"kept")
            await anyio.sleep(1)
            bench.virtual.module.reset(running().now)
            await anyio.sleep(10)
            assert await stream.receive() == b"kept"
            for _ in range(2):
                with pytest.raises(anyio.BrokenResourceError, match="restart") as caught:
                    await stream.receive()
                assert isinstance(caught.value.__cause__, aiobc9x.ModuleReset)
            await stream.aclose()

    @virtual
    async def test_closing_the_modem_is_no_end(self) -> None:
        """The peer has not closed, so it is a BrokenResourceError."""
        async with Bench() as bench:
            stream, _ = await connected(bench)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon((await bench.modem()).aclose)
                with pytest.raises(anyio.BrokenResourceError) as caught:
                    await stream.receive()
            assert isinstance(caught.value.__cause__, OSError)
            await stream.aclose()

    @virtual
    async def test_a_slow_reader_stops_the_module(self) -> None:
        """Nothing is read beyond the stream's own limit and the read-ahead, and nothing lost."""
        ahead = 8192
        async with Bench() as bench:
            stream, peer = await connected(bench, read_ahead_bytes=ahead)
            data = bytes(range(256)) * 1024
            for start in range(0, len(data), 1024):
                peer.send(data[start : start + 1024])
            await anyio.sleep(300)
            held = (await bench.modem()).statistics.payload_bytes_received
            assert RECEIVE_LIMIT_BYTES + ahead <= held <= RECEIVE_LIMIT_BYTES + ahead + 4096
            reader = BufferedByteReceiveStream(stream)
            assert await reader.receive_exactly(len(data)) == data
            await stream.aclose()

    @virtual
    async def test_is_readable(self) -> None:
        """It says whether receive() would return, or raise, at once."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            assert not stream.extra(ModemAttribute.is_readable)
            peer.send(b"x")
            await anyio.sleep(1)
            assert stream.extra(ModemAttribute.is_readable)
            await stream.receive()
            assert not stream.extra(ModemAttribute.is_readable)
            peer.close()
            await anyio.sleep(1)
            assert stream.extra(ModemAttribute.is_readable)
            await stream.aclose()


class TestSend:
    """``send()``."""

    @virtual
    async def test_small_items_go_out_together(self) -> None:
        """While the module is busy they queue, and send() doesn't wait for them."""
        async with Bench(latency=0.1) as bench:
            stream, peer = await connected(bench)
            began = running().now
            for number in range(100):
                await stream.send(b"%04d" % number)
            assert running().now - began < 0.1
            await stream.aclose()
            assert peer.received == b"".join(b"%04d" % number for number in range(100))
            assert len(peer.datagrams) <= 3

    @virtual
    async def test_waits_for_the_module(self) -> None:
        """A large item returns when the module has it."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            await stream.send(bytes(20000))
            assert len(peer.received) == 20000
            await stream.aclose()

    @virtual
    async def test_nothing(self) -> None:
        """An empty item sends nothing."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            await stream.send(b"")
            await stream.aclose()
            assert peer.received == b""

    @virtual
    async def test_behind_the_end(self) -> None:
        """What the peer will never get is refused; the cause is a BrokenPipeError."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.close()
            await anyio.sleep(1)
            with pytest.raises(anyio.BrokenResourceError, match="peer has closed") as caught:
                await stream.send(b"x")
            assert isinstance(caught.value.__cause__, BrokenPipeError)
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            await stream.aclose()

    @virtual
    async def test_a_goodbye_behind_the_end(self) -> None:
        """A close_notify that nobody reads is no loss."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.close()
            await anyio.sleep(1)
            await stream.send(bytes([21, 3, 3, 0, 2, 1, 0]))
            await stream.aclose()

    @virtual
    async def test_a_goodbye_that_crosses_the_end(self) -> None:
        """Nor is one that waits when the peer closes."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, peer = await connected(bench)
            await stream.send(bytes([21, 3, 3, 0, 2, 1, 0]))
            peer.close()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            await stream.aclose()

    @virtual
    async def test_data_behind_which_the_peer_closes(self) -> None:
        """Unlike a goodbye they are a loss, though the peer's end is a clean one."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, peer = await connected(bench)
            await stream.send(b"data")
            peer.close()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            with pytest.raises(anyio.BrokenResourceError, match="4 bytes not sent"):
                await stream.aclose()

    @virtual
    async def test_to_a_peer_that_has_closed_while_nobody_receives(self) -> None:
        """It fails within seconds, and what has come is still there to be received."""
        data = bytes(range(256)) * 800
        async with Bench(buffer_bytes=1 << 20, buffer_nodes=1000) as bench:
            stream, peer = await connected(bench, read_ahead_bytes=4096)
            peer.send(data)
            await asyncio.sleep(30)
            peer.close()
            began = running().now

            async def send_on() -> None:
                while True:
                    await stream.send(bytes(1000))

            with pytest.raises(anyio.BrokenResourceError):
                await send_on()
            assert running().now - began < 10
            assert b"".join([part async for part in stream]) == data
            await stream.aclose()

    @virtual
    async def test_cancelled_before(self) -> None:
        """A scope that is cancelled already lets no byte out."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await stream.send(b"x")
            assert scope.cancelled_caught
            await stream.aclose()
            assert peer.received == b""

    @virtual
    async def test_cancelled_too_late(self) -> None:
        """Once the item is on its way, send() says so."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            has_sent = False
            with anyio.CancelScope() as scope:
                asyncio.get_running_loop().call_soon(scope.cancel)
                await stream.send(b"x")
                has_sent = True
            assert has_sent
            await stream.aclose()
            assert peer.received == b"x"

    @virtual
    async def test_a_failure_while_it_waits(self) -> None:
        """BrokenResourceError, whose cause says why."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, _ = await connected(bench)
            with pytest.raises(anyio.BrokenResourceError, match="no byte for 60 s") as caught:
                await stream.send(bytes(5000))
            assert isinstance(caught.value.__cause__, aiobc9x.StreamBroken)
            with pytest.raises(anyio.BrokenResourceError):
                await stream.send(b"x")
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()
            await stream.aclose()

    @virtual
    async def test_no_half_close(self) -> None:
        """send_eof() is what the module can't do."""
        async with Bench() as bench:
            stream, _ = await connected(bench)
            with pytest.raises(NotImplementedError, match="aclose"):
                await stream.send_eof()
            await stream.aclose()


class TestTwoTasks:
    """One direction belongs to one task."""

    @virtual
    async def test_busy(self) -> None:
        """The second task gets BusyResourceError; the other direction is free."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=4)) as bench:
            stream, peer = await connected(bench)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.receive)
                tasks.start_soon(stream.send, bytes(5000))
                await anyio.sleep(0.1)
                with pytest.raises(anyio.BusyResourceError, match="reading from"):
                    await stream.receive()
                with pytest.raises(anyio.BusyResourceError, match="writing to"):
                    await stream.send(b"x")
                peer.send(b"x")
            assert peer.received == bytes(5000)
            await stream.aclose()

    @virtual
    async def test_closing_wakes_both(self) -> None:
        """A task that waits in the other direction hears of it."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=3)) as bench:
            stream, peer = await connected(bench)
            closed = []

            async def told(*args: Any) -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await args[0](*args[1:])
                closed.append(args[0].__name__)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(told, stream.receive)
                tasks.start_soon(told, stream.send, bytes(5000))
                await anyio.sleep(0.1)
                await stream.aclose()
            assert sorted(closed) == ["receive", "send"]
            assert peer.received == bytes(5000)


class TestClose:
    """``aclose()``."""

    @virtual
    async def test_sends_what_waits(self) -> None:
        """The peer gets everything, and the connect ID is free."""
        async with Bench(latency=0.1) as bench:
            stream, peer = await connected(bench)
            await stream.send(bytes(2000))
            await stream.aclose()
            assert peer.received == bytes(2000)
            assert bench.open_ids == []

    @virtual
    async def test_afterwards(self) -> None:
        """Everything is ClosedResourceError, whatever has come; closing again is fine."""
        async with Bench() as bench:
            stream, peer = await connected(bench)
            peer.send(b"unread")
            await anyio.sleep(1)
            await stream.aclose()
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()
            with pytest.raises(anyio.ClosedResourceError):
                await stream.send(b"x")
            await stream.aclose()

    @virtual
    async def test_says_what_was_lost(self) -> None:
        """Bytes that send() took and that never got out are no secret; it is told once."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, _ = await connected(bench)
            await stream.send(b"lost")
            with pytest.raises(anyio.BrokenResourceError, match="no byte for 60 s"):
                await stream.aclose()
            await stream.aclose()

    @virtual
    async def test_says_what_was_lost_before(self) -> None:
        """The connection may have broken before."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, _ = await connected(bench)
            await stream.send(b"lost")
            await anyio.sleep(100)
            with pytest.raises(anyio.BrokenResourceError, match="no byte for 60 s"):
                await stream.aclose()

    @virtual
    async def test_a_broken_connection_without_loss(self) -> None:
        """Nothing waited, so there is nothing to say."""
        async with Bench() as bench:
            stream, _ = await connected(bench)
            await stream.send(b"sent")
            await anyio.sleep(1)
            bench.virtual.module.reset(running().now)
            await anyio.sleep(10)
            await stream.aclose()

    @virtual
    async def test_forcefully(self) -> None:
        """What waits is dropped at once; the socket is closed in the background."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, _ = await connected(bench)
            await stream.send(b"dropped")
            began = running().now
            await anyio.aclose_forcefully(stream)
            assert running().now - began < 0.01
            await anyio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_cancelled(self) -> None:
        """The cancellation goes on, and the socket is closed all the same."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream, _ = await connected(bench)
            await stream.send(b"dropped")
            with anyio.move_on_after(1) as scope:
                await stream.aclose()
            assert scope.cancelled_caught
            await anyio.sleep(1)
            assert bench.open_ids == []


@virtual
async def test_every_call_is_a_checkpoint() -> None:
    """Another task gets its turn in each call, also in those that have nothing to wait for."""
    async with Bench() as bench:
        stream, peer = await connected(bench)
        peer.send(b"ab")
        await anyio.sleep(1)
        for call in (
            lambda: stream.receive(1),
            lambda: stream.send(b""),
            stream.send_eof,
            stream.aclose,
            stream.aclose,
        ):
            turn = asyncio.get_running_loop().create_future()
            turn.get_loop().call_soon(turn.set_result, None)
            try:
                await call()
            except NotImplementedError:
                pass
            assert turn.done()


PATIENCE = st.one_of(st.none(), st.floats(0, 0.3))


@given(
    chunks=chunkings(bytes(range(256)) * 12),
    gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=5),
    reads=st.lists(st.tuples(st.integers(1, 3000), PATIENCE), min_size=1, max_size=8),
)
@settings(max_examples=25)
def test_cancelled_receives_lose_nothing(
    chunks: list[bytes], gaps: list[float], reads: list[tuple[int, float | None]]
) -> None:
    """However the data come and whenever receive() is cancelled, the stream is whole."""

    async def main() -> bytes:
        async with Bench(latency=0.01) as bench:
            stream, peer = await connected(bench)

            async def feed() -> None:
                for number, chunk in enumerate(chunks[:64]):
                    await asyncio.sleep(gaps[number % len(gaps)])
                    peer.send(chunk)
                peer.send(b"".join(chunks[64:]))
                peer.close()

            received = bytearray()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed)
                number = 0
                while True:
                    max_bytes, patience = reads[number % len(reads)]
                    # A patience of 0 for ever would never let a byte through.
                    limit = None if patience is None or number > 200 else patience
                    number += 1
                    try:
                        with anyio.move_on_after(limit):
                            received += await stream.receive(max_bytes)
                    except anyio.EndOfStream:
                        break
            await stream.aclose()
            return bytes(received)

    assert run(main()) == bytes(range(256)) * 12
