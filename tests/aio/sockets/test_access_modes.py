"""Direct push mode: by choice, while running, and under backpressure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode
from aiobc9x.aio.sockets.access_modes import SWITCH_BACK_INTERVAL_S
from aiobc9x.aio.transports.stream import OVERRUN_BYTES
from aiobc9x.core.events import ModeSwitched
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.nvram import Nvram
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench, trickle
from tests.support.clock import running, virtual
from tests.support.recorders import StreamRecorder, held_bytes

PUSH, BUFFER = AccessMode.PUSH, AccessMode.BUFFER
READ_AHEAD = 8192


def stream(size_bytes: int) -> bytes:
    """Bytes of which no stretch repeats soon, with answers among them."""
    words = (b'%d\r\nOK\r\n+QIURC: "closed",0\r\n' % n for n in itertools.count())
    data = bytearray()
    while len(data) < size_bytes:
        data += next(words)
    return bytes(data[:size_bytes])


def switches(bench: Bench) -> list[str]:
    """The AT+QISWTMD so far."""
    return [line for line in bench.commands if line.startswith("AT+QISWTMD")]


async def pushing(bench: Bench, **options: Any) -> tuple[asyncio.Transport, StreamRecorder]:
    """Open a modem and a connection in push mode; ``options`` are the modem's."""
    modem = await bench.open(**options)
    return await modem.create_connection(StreamRecorder, HOST, PORT, access_mode=PUSH)


class TestPush:
    """§1.2, §2.3.2: data come by themselves."""

    @pytest.mark.parametrize("view", [0, 1])
    @pytest.mark.parametrize("shown", [0, 1])
    @virtual
    async def test_length_is_shown_whatever_was_before(self, shown: int, view: int) -> None:
        """Start-up sees to ``showlength``; without it pushed data have no end."""
        nvram = Nvram(show_length=shown, view_mode=view)
        async with Bench(nvram=nvram) as bench:
            _, protocol = await pushing(bench)
            bench.peer.send(stream(5000))
            assert await protocol.until(5000) == stream(5000)
            assert nvram.show_length == 1

    @virtual
    async def test_costs_no_reads(self) -> None:
        """Nothing is asked for."""
        async with Bench() as bench:
            _, protocol = await pushing(bench)
            bench.peer.send(stream(20000))
            await protocol.until(20000)
            await asyncio.sleep(60)
            assert not any(line.startswith("AT+QIRD") for line in bench.commands)

    @virtual
    async def test_end_of_the_stream(self) -> None:
        """What was pushed before ``"closed"`` comes first."""
        async with Bench() as bench:
            _, protocol = await pushing(bench)
            bench.peer.send(stream(3000))
            bench.peer.close()
            assert await protocol.lost is None
            assert bytes(protocol.received) == stream(3000)
            assert protocol.eof

    @pytest.mark.parametrize("chunk", [1, 7, "random"])
    @virtual
    async def test_pieces_of_any_size(self, chunk: Any) -> None:
        """However the line cuts them, the bytes are the same."""
        async with Bench(chunk=chunk) as bench:
            _, protocol = await pushing(bench)
            bench.peer.send(stream(3000))
            assert await protocol.until(3000) == stream(3000)

    @virtual
    async def test_all_six_at_once(self) -> None:
        """Each connection gets its own."""
        async with Bench() as bench:
            modem = await bench.open()
            made = []
            for number in range(6):
                _, protocol = await modem.create_connection(
                    StreamRecorder, HOST, ECHO_PORT, access_mode=AccessMode(number % 2)
                )
                made.append(protocol)
            for number, protocol in enumerate(made):
                assert protocol.transport is not None
                protocol.transport.write(b"%d" % number * 3000)
            for number, protocol in enumerate(made):
                assert await protocol.until(3000) == b"%d" % number * 3000

    @virtual
    async def test_refused_without_lengths(self) -> None:
        """Once they are hidden, push mode and UDP are a ValueError; nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.configure(show_length=False)
            transport, protocol = await modem.create_connection(StreamRecorder, HOST, ECHO_PORT)
            bench.dialogue.clear()
            with pytest.raises(ValueError, match="show_length"):
                await modem.open_connection(HOST, PORT, access_mode=PUSH)
            with pytest.raises(ValueError, match="show_length"):
                await modem.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(HOST, 53)
                )
            with pytest.raises(ValueError, match="show_length"):
                await modem.set_access_mode(transport, PUSH)
            assert bench.commands == []
            transport.write(stream(3000))
            assert await protocol.until(3000) == stream(3000)


class TestSwitch:
    """AT+QISWTMD (§2.2.7) while data flow."""

    @virtual
    async def test_to_and_fro(self) -> None:
        """No byte is lost or out of order over twenty switches in a stream."""
        data = stream(60000)
        async with Bench(baud=115200) as bench:
            modem = await bench.open()
            transport, protocol = await modem.create_connection(StreamRecorder, HOST, PORT)
            talking = asyncio.create_task(trickle(bench.peer, data, 500, 0.045))
            for turn in range(20):
                await asyncio.sleep(0.25)
                await modem.set_access_mode(transport, AccessMode(1 - turn % 2))
            await talking
            assert await protocol.until(len(data)) == data
            assert len(switches(bench)) == modem.statistics.nvram_writes - 1 == 20

    @virtual
    async def test_only_if_it_changes_something(self) -> None:
        """The mode that it has costs no flash write."""
        async with Bench() as bench:
            transport, _ = await pushing(bench)
            await bench.current.set_access_mode(transport, PUSH)
            assert switches(bench) == []

    @virtual
    async def test_refusal(self) -> None:
        """The socket stays as it was."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+QISWTMD")) as bench:
            transport, protocol = await pushing(bench)
            with pytest.raises(aiobc9x.CommandError):
                await bench.current.set_access_mode(transport, BUFFER)
            bench.peer.send(b"pushed")
            assert await protocol.until(6) == b"pushed"

    @pytest.mark.parametrize("pause", [0, 0.05])
    @virtual
    async def test_a_later_call_decides(self, pause: float) -> None:
        """The earlier one says so: withdrawn before it was written, or overtaken behind that."""
        async with Bench(latency=0.2) as bench:
            transport, protocol = await pushing(bench)
            modem = bench.current
            first = asyncio.create_task(modem.set_access_mode(transport, BUFFER))
            await asyncio.sleep(pause)
            await modem.set_access_mode(transport, PUSH)
            with pytest.raises(RuntimeError, match="not in BUFFER mode: a later call"):
                await first
            assert len(switches(bench)) == (2 if pause else 0)
            bench.peer.send(b"pushed")
            assert await protocol.until(6) == b"pushed"

    @virtual
    async def test_a_close_right_behind_it(self) -> None:
        """It was switched before; nobody has chosen otherwise."""
        async with Bench() as bench:
            transport, _ = await pushing(bench)
            (slot,) = bench.driver.session.sockets
            switched = bench.driver.expect_of(slot, ModeSwitched)  # who hears of it first
            switched.add_done_callback(lambda _: transport.abort())
            await bench.current.set_access_mode(transport, BUFFER)
            assert switches(bench) == ["AT+QISWTMD=0,0"]

    @virtual
    async def test_three_calls_at_once(self) -> None:
        """Those that have chosen what the last one has are done when it is."""
        async with Bench() as bench:
            transport, _ = await pushing(bench)
            modem = bench.current
            calls = [modem.set_access_mode(transport, mode) for mode in (BUFFER, PUSH, BUFFER)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(one) for one in found] == [type(None), RuntimeError, type(None)]
            assert switches(bench) == ["AT+QISWTMD=0,0"]

    @virtual
    async def test_a_refusal_of_what_was_overtaken(self) -> None:
        """The later call has what it wanted: the mode that the socket had."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+QISWTMD"), latency=0.2) as bench:
            transport, _ = await pushing(bench)
            modem = bench.current
            first = asyncio.create_task(modem.set_access_mode(transport, BUFFER))
            await asyncio.sleep(0.01)
            await modem.set_access_mode(transport, PUSH)
            with pytest.raises(aiobc9x.CommandError):
                await first

    @virtual
    async def test_wrong_transports(self) -> None:
        """Closed ones, and those of others, are a ValueError."""
        async with Bench() as bench:
            transport, _ = await pushing(bench)
            modem = bench.current
            transport.close()
            with pytest.raises(ValueError, match="not an open connection"):
                await modem.set_access_mode(transport, BUFFER)
            with pytest.raises(ValueError, match="not an open connection"):
                await modem.set_access_mode(asyncio.Transport(), BUFFER)


class TestBackpressure:
    """A reader that falls behind: buffer mode, then back, few flash writes."""

    @asynccontextmanager
    async def stalled(
        self, size_bytes: int
    ) -> AsyncIterator[tuple[Bench, asyncio.Transport, StreamRecorder]]:
        """Have the peer send so much to a reader that has stopped."""
        async with Bench(baud=115200) as bench:
            transport, protocol = await pushing(bench, read_ahead_bytes=READ_AHEAD)
            transport.pause_reading()
            await trickle(bench.peer, stream(size_bytes), 1000, 0.1)
            yield bench, transport, protocol

    @virtual
    async def test_there_and_back(self) -> None:
        """The queue stays bounded, nothing is lost, and push mode comes back."""
        data = stream(60000)
        async with self.stalled(len(data)) as (bench, transport, protocol):
            held = held_bytes(transport)
            assert READ_AHEAD <= held < READ_AHEAD + OVERRUN_BYTES / 4
            assert switches(bench) == ["AT+QISWTMD=0,0"]
            transport.resume_reading()
            assert await protocol.until(len(data)) == data
            await asyncio.sleep(5)
            assert switches(bench) == ["AT+QISWTMD=0,0", "AT+QISWTMD=0,1"]
            bench.peer.send(b"pushed again")
            await protocol.until(len(data) + 12)

    @virtual
    async def test_flash_writes_are_rare(self) -> None:
        """However often the reader stalls, push mode comes back once in a minute."""
        async with Bench(baud=115200) as bench:
            transport, protocol = await pushing(bench, read_ahead_bytes=READ_AHEAD)
            modem = bench.current
            before, began, sent = modem.statistics.nvram_writes, running().now, 0
            while running().now - began < 200:
                transport.pause_reading()
                await trickle(bench.peer, stream(15000), 1000, 0.1)
                transport.resume_reading()
                sent += 15000
                await protocol.until(sent)
            minutes = 200 / SWITCH_BACK_INTERVAL_S
            assert modem.statistics.nvram_writes - before <= 2 * minutes + 4
            assert switches(bench).count("AT+QISWTMD=0,1") >= 3

    @virtual
    async def test_peer_that_closes_meanwhile(self) -> None:
        """Everything that it sent is delivered, then the EOF."""
        data = stream(30000)
        async with self.stalled(len(data)) as (bench, transport, protocol):
            bench.peer.close()
            await asyncio.sleep(5)
            assert not protocol.lost.done()
            transport.resume_reading()
            assert await protocol.lost is None
            assert bytes(protocol.received) == data

    @virtual
    async def test_owner_who_decides_for_buffer_mode(self) -> None:
        """Who switches it meanwhile has the last word: it doesn't return by itself."""
        async with self.stalled(15000) as (bench, transport, protocol):
            await bench.current.set_access_mode(transport, BUFFER)
            transport.resume_reading()
            await protocol.until(15000)
            await asyncio.sleep(200)
            assert switches(bench) == ["AT+QISWTMD=0,0"]

    @virtual
    async def test_lengths_that_are_hidden_meanwhile(self) -> None:
        """It stays in buffer mode until they are shown again."""
        async with self.stalled(15000) as (bench, transport, protocol):
            modem = bench.current
            await modem.configure(show_length=False)
            transport.resume_reading()
            await protocol.until(15000)
            await asyncio.sleep(100)
            assert switches(bench) == ["AT+QISWTMD=0,0"]
            await modem.configure(show_length=True)
            await asyncio.sleep(100)
            assert switches(bench) == ["AT+QISWTMD=0,0", "AT+QISWTMD=0,1"]
            bench.peer.send(b"pushed again")
            await protocol.until(15012)

    @virtual
    async def test_module_that_refuses(self) -> None:
        """What can't be held back is at last too much: the stream ends with a reason."""
        fault = Fault(FaultKind.ERROR, on="AT+QISWTMD", times=None)
        async with Bench(fault) as bench:
            transport, protocol = await pushing(bench, read_ahead_bytes=READ_AHEAD)
            transport.pause_reading()
            for _ in range(100):
                bench.peer.send(stream(1000))
                await asyncio.sleep(0.01)
            error = await asyncio.wait_for(protocol.lost, 60)
            assert isinstance(error, aiobc9x.StreamBroken)
            assert "read faster" in str(error)

    @virtual
    async def test_switch_that_is_not_answered(self) -> None:
        """The answer may stand inside what was pushed meanwhile: the connection ends."""
        fault = Fault(FaultKind.IGNORE, on="AT+QISWTMD")
        async with Bench(fault, baud=115200) as bench:
            transport, protocol = await pushing(bench, read_ahead_bytes=READ_AHEAD)
            transport.pause_reading()
            await trickle(bench.peer, stream(50000), 1000, 1)
            assert switches(bench) == ["AT+QISWTMD=0,0"]
            assert isinstance(await protocol.lost, aiobc9x.StreamBroken)
