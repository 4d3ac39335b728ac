"""Inboxes, and operations that outlive their callers."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x.aio.line.urc_inbox import Inbox, detached
from aiobc9x.wire.urcs import Closed, CloseOk, DnsAnswer, Urc
from tests.support.bench import Bench, left_waiting
from tests.support.clock import running, take_errors, virtual


class TestInbox:
    """URCs of some kinds, from the moment it is made."""

    @virtual
    async def test_order_and_kinds(self) -> None:
        """It keeps its kinds, in order, and leaves the others alone."""
        async with Bench() as bench:
            await bench.open()
            bench.virtual.say('+QIURC: "closed",0')
            await asyncio.sleep(0.1)
            inbox: Inbox[Urc] = Inbox(bench.driver, Closed, CloseOk)
            for line in ('+QIURC: "closed",1', '+QIURC: "dnsgip",565', "CLOSE OK"):
                bench.virtual.say(line)
            assert await inbox.get(1, "AT") == Closed(1)
            assert await inbox.get(1, "AT") == CloseOk()
            inbox.close()

    @virtual
    async def test_timeout(self) -> None:
        """It names the command; what comes later is kept."""
        async with Bench() as bench:
            await bench.open()
            inbox = Inbox(bench.driver, Closed)
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout, match=r"AT\+X.* in 3 s"):
                await inbox.get(3, "AT+X")
            assert running().now - began == pytest.approx(3)
            bench.virtual.say('+QIURC: "closed",4')
            assert await inbox.get(1, "AT+X") == Closed(4)
            inbox.close()

    @virtual
    async def test_closed_inbox_collects_nothing(self) -> None:
        """Nothing is left with the driver."""
        async with Bench() as bench:
            await bench.open()
            inbox = Inbox(bench.driver, Closed)
            inbox.close()
            await asyncio.sleep(0)
            assert left_waiting(bench.driver) == []

    @virtual
    async def test_skip(self) -> None:
        """Items at the front that aren't wanted go, those behind a wanted one stay."""
        async with Bench() as bench:
            await bench.open()
            inbox = Inbox(bench.driver, DnsAnswer)
            for line in ('"1.1.1.1"', "0,1,0", '"2.2.2.2"'):
                bench.virtual.say(f'+QIURC: "dnsgip",{line}')
            await asyncio.sleep(0.1)
            inbox.skip(lambda answer: answer.err is None)
            assert (await inbox.get(1, "AT")).count == 1
            assert (await inbox.get(1, "AT")).addresses == ("2.2.2.2",)
            inbox.close()

    @virtual
    async def test_lost_link(self) -> None:
        """Whoever waits is told why; what had come is still given."""
        async with Bench() as bench:
            await bench.open()
            inbox = Inbox(bench.driver, Closed)
            bench.virtual.say('+QIURC: "closed",4')
            await asyncio.sleep(0.1)
            bench.cut()
            await asyncio.sleep(0.1)
            assert await inbox.get(1, "AT") == Closed(4)
            with pytest.raises(aiobc9x.LinkLost):
                await inbox.get(1, "AT")
            with pytest.raises(aiobc9x.LinkLost):
                await Inbox(bench.driver, Closed).get(1, "AT")


class TestDetached:
    """Operations that go on when their caller doesn't."""

    @virtual
    async def test_result_and_error(self) -> None:
        """Both reach the caller."""

        async def divide(one: int, other: int) -> float:
            return one / other

        async with Bench() as bench:
            await bench.open()
            assert await detached(bench.driver, divide, 6, 3) == 2
            with pytest.raises(ZeroDivisionError):
                await detached(bench.driver, divide, 1, 0)

    @virtual
    async def test_goes_on_when_the_caller_is_cancelled(self) -> None:
        """Its result, and its error, are dropped in silence."""
        done = []

        async def work(fails: bool) -> None:
            await asyncio.sleep(5)
            done.append(fails)
            if fails:
                raise ZeroDivisionError

        async with Bench() as bench:
            await bench.open()
            for fails in (False, True):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1):
                        await detached(bench.driver, work, fails)
            await asyncio.sleep(5)
            assert done == [False, True]
            assert take_errors() == []

    @virtual
    async def test_ends_with_the_modem(self) -> None:
        """Closing ends the operation, and tells its caller; a closed modem begins none."""

        async def forever() -> None:
            await asyncio.Event().wait()

        async with Bench() as bench:
            modem = await bench.open()
            waiting = asyncio.create_task(detached(bench.driver, forever))
            await asyncio.sleep(1)
            await modem.aclose()
            with pytest.raises(aiobc9x.LinkLost, match="closed"):
                await waiting
            with pytest.raises(aiobc9x.LinkLost, match="closed"):
                await detached(bench.driver, forever)
