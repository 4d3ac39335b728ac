"""SocketKeeper: closes, and what comes in their way."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual


class TestClose:
    """AT+QICLOSE, CLOSE OK, and their absence."""

    @virtual
    async def test_one_close_at_a_time(self) -> None:
        """CLOSE OK names no socket, so closes go one after the other."""
        async with Bench(close_time=1) as bench:
            streams = [await bench.streams(HOST, PORT) for _ in range(3)]
            bench.dialogue.clear()
            for _, writer in streams:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in streams))
            said = [t for _, t in bench.dialogue if "CLOSE" in t]
            assert [t.startswith("AT") for t in said] == [True, False] * 3

    @virtual
    async def test_late_close_ok(self) -> None:
        """§4.3.4: ten seconds are allowed."""
        async with Bench(close_time=9.9) as bench:
            (_, writer), _ = await bench.connect()
            writer.close()
            await writer.wait_closed()
            assert bench.open_ids == []
            assert "AT+QISTATE=1,0" not in bench.commands

    @virtual
    async def test_refused_close(self) -> None:
        """ERROR: the module is asked, and the close tried again while it has the socket."""
        async with Bench() as bench:
            (_, writer), _ = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QICLOSE", times=2))
            writer.close()
            await writer.wait_closed()
            assert bench.open_ids == []

    @virtual
    async def test_socket_that_the_module_keeps(self) -> None:
        """The ID stays reserved, and the close is tried again later."""
        async with Bench() as bench:
            (_, writer), _ = await bench.connect()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QICLOSE", times=4))
            began = running().now
            writer.close()
            await writer.wait_closed()
            assert 30 <= running().now - began < 35
            assert bench.open_ids == []

    @virtual
    async def test_unanswered_close(self) -> None:
        """No answer at all: the line is brought back in step, then the close goes on."""
        async with Bench() as bench:
            (_, writer), _ = await bench.connect()
            bench.add_fault(Fault(FaultKind.IGNORE, on="AT+QICLOSE"))
            writer.close()
            await writer.wait_closed()
            assert bench.open_ids == []
            assert (await bench.modem()).statistics.recoveries == 1

    @virtual
    async def test_restart_ends_a_close(self) -> None:
        """There is nothing left to close; nobody knows what the peer got."""
        async with Bench(close_time=5, boot_time=1) as bench:
            (_, writer), _ = await bench.connect()
            writer.close()
            await asyncio.sleep(1)
            bench.virtual.reset()
            with pytest.raises(aiobc9x.ModuleReset):
                await asyncio.wait_for(writer.wait_closed(), 3)

    @virtual
    async def test_restart_ends_closes_that_wait_for_their_turn(self) -> None:
        """They don't reach the new owners of their IDs."""
        async with Bench(close_time=5, boot_time=1) as bench:
            writers = [(await bench.streams(HOST, PORT))[1] for _ in range(6)]
            for writer in reversed(writers):
                writer.transport.abort()
            await asyncio.sleep(1)
            bench.virtual.reset()
            await asyncio.sleep(0.5)
            streams = await asyncio.gather(*(bench.streams(HOST, ECHO_PORT) for _ in range(6)))
            await asyncio.sleep(20)
            for reader, writer in streams:
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"

    @pytest.mark.parametrize("event", ["a restart", "a lost line"])
    @virtual
    async def test_whoever_waits_for_an_id_that_the_module_keeps(self, event: str) -> None:
        """It hears at once of what frees every ID, also between two tries to close one."""
        async with Bench(boot_time=1) as bench:
            modem = await bench.open(state_interval=0)
            for _ in range(6):
                await bench.streams(HOST, PORT)
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+QICLOSE", times=None))
            bench.opened[0][1].close()
            waiting = asyncio.create_task(modem.open_connection(HOST, PORT))
            await asyncio.sleep(2)  # three tries have failed, and the next is 30 s away
            assert not waiting.done()
            began = running().now
            if event == "a restart":
                bench.virtual.reset()
                await waiting
                assert running().now - began < 10
            else:
                bench.cut()
                with pytest.raises(aiobc9x.LinkLost):
                    await waiting
                assert running().now - began < 0.1

    @virtual
    async def test_an_id_that_comes_free_is_given_out_at_once(self) -> None:
        """To those who have waited longest first."""
        async with Bench(close_time=3) as bench:
            await bench.open()
            streams = [await bench.streams(HOST, PORT) for _ in range(6)]
            opened: list[int] = []

            async def open_one(number: int) -> None:
                await bench.streams(HOST, PORT)
                opened.append(number)

            began = running().now
            streams[0][1].close()
            waiting = [asyncio.create_task(open_one(number)) for number in range(2)]
            await asyncio.sleep(1)
            streams[1][1].close()
            await asyncio.gather(*waiting)
            assert opened == [0, 1]
            assert running().now - began < 6.2

    @virtual
    async def test_late_urcs_of_the_last_owner(self) -> None:
        """What is said about an ID that is closing reaches nobody."""
        async with Bench(close_time=1) as bench:
            (_, writer), _ = await bench.connect()
            writer.close()
            await asyncio.sleep(0.5)
            bench.virtual.say('+QIURC: "recv",0,5')
            bench.virtual.say('+QIURC: "closed",0')
            await writer.wait_closed()
            (reader, writer), peer = await bench.connect()
            peer.send(b"for the new one")
            assert await reader.readexactly(15) == b"for the new one"


class TestModemClose:
    """``aclose()``."""

    @virtual
    async def test_flushes_every_connection(self) -> None:
        """What was written reaches the peers before the port closes."""
        async with Bench() as bench:
            modem = await bench.open()
            for _ in range(6):
                _, writer = await bench.streams(HOST, PORT)
                writer.write(bytes(5000))
            await modem.aclose()
            assert [len(peer.received) for peer in bench.network.peers] == [5000] * 6
            assert bench.open_ids == []
            await modem.aclose()

    @virtual
    async def test_takes_15_seconds_at_most(self) -> None:
        """A module that can't flush doesn't hold the program up."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, PORT)
            writer.write(b"never taken")
            began = running().now
            await modem.aclose()
            assert running().now - began < 15
            with pytest.raises(aiobc9x.LinkLost, match="the modem was closed"):
                await reader.read()
            assert bench.open_ids == []

    @virtual
    async def test_line_that_breaks_meanwhile(self) -> None:
        """A cut line ends the wait for sockets that can't be closed any more."""
        async with Bench(close_time=8) as bench:
            modem = await bench.open()
            await bench.streams(HOST, PORT)
            closing = asyncio.create_task(modem.aclose())
            await asyncio.sleep(1)
            bench.cut()
            await asyncio.wait_for(closing, 1)

    @virtual
    async def test_nothing_works_afterwards(self) -> None:
        """Every call says that the modem was closed."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await modem.aclose()
            gone = pytest.raises(aiobc9x.LinkLost, match="the modem was closed")
            with gone:
                await modem.command("AT")
            with gone:
                await modem.wait_ready()
            with gone:
                await modem.open_connection(HOST, PORT)
            with gone:
                await modem.create_connection(asyncio.Protocol, HOST, PORT)


@virtual
async def test_an_id_stays_taken_while_its_close_is_not_confirmed() -> None:
    """ERROR to every question about the socket is no confirmation."""
    refused = Fault(FaultKind.ERROR, on="AT+QISTATE=1", times=3)
    async with Bench(Fault(FaultKind.DROP_LINE, on="CLOSE OK", times=3), refused) as bench:
        modem = await bench.open()
        _, writer = await modem.open_connection(HOST, PORT)
        writer.close()
        await writer.wait_closed()
        assert bench.open_ids == []
        assert sum(line.startswith("AT+QISTATE=1") for line in bench.commands) >= 3


@virtual
async def test_no_id_is_given_out_while_the_modem_is_being_closed() -> None:
    """It would only be closed again."""
    async with Bench() as bench:
        modem = await bench.open()
        _, writer = await modem.open_connection(HOST, PORT)
        writer.write(b"still to be sent")
        closing = asyncio.create_task(modem.aclose())
        for _ in range(3):  # until the task has begun
            await asyncio.sleep(0)
        with pytest.raises(aiobc9x.LinkLost, match="being closed"):
            await modem.open_connection(HOST, PORT)
        await closing
