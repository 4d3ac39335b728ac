"""SocketTransport: sends and reads that fail, and those that fail in part."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import aiobc9x
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import running, virtual
from tests.support.recorders import recorded


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
        """A module whose prompt never came waits for the data: it gets them, and nothing else."""
        async with Bench() as bench:
            _, transport, peer = await recorded(bench)
            bench.add_fault(Fault(FaultKind.DROP_LINE, on=">"))
            transport.write(bytes(100))
            await asyncio.sleep(20)
            assert peer.received == bytes(100)
            assert not transport.is_closing()

    @virtual
    async def test_lost_prompt_of_what_looks_like_a_command(self) -> None:
        """Written without a prompt it might be one: the connection ends, the module comes back.

        Only a pinned form can need a prompt for such data at all. The peer gets carriage
        returns for them, and no command.
        """
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench, send_form="fixed")
            bench.add_fault(Fault(FaultKind.DROP_LINE, on=">"))
            transport.write(b"AT+CFUN=0\r" + bytes(90))
            assert isinstance(await protocol.lost, aiobc9x.StreamBroken)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(bytes(100))
            assert await reader.readexactly(100) == bytes(100)
            assert peer.received == b"\r" * 100

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
            protocol, transport, peer = await recorded(bench, send_form="fixed")
            bench.on_command = lambda line: peer.send(b"x") if "QISEND=" in line else None
            for turn in range(1, 11):
                transport.write(bytes(10))
                await asyncio.sleep(0.5)
                assert protocol.received == b"x" * turn
