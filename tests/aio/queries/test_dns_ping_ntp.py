"""resolve, ping and ntp_time: every shape of answer, and one operation at a time."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

import aiobc9x
from aiobc9x import errors
from aiobc9x.aio.queries.results import PingReply, Resolution
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from aiobc9x.spec import Err
from tests.support.bench import HOST, Bench, scripted
from tests.support.clock import other_tasks, running, take_errors, virtual

DNS, PING, NTP = '+QIURC: "dnsgip"', "+QPING", "+QNTP"


def asked(bench: Bench, command: str) -> int:
    """How often the module was given a command."""
    return sum(line.startswith(command) for line in bench.commands)


class TestResolve:
    """AT+QIDNSGIP (§2.2.10) in every shape that modules print (N35)."""

    @pytest.mark.parametrize(
        ("lines", "addresses", "ttl"),
        [
            ([f"{DNS},0,1,60", f'{DNS},"1.2.3.4"'], ["1.2.3.4"], 60),
            ([f"{DNS},0,1,60", f"{DNS},1.2.3.4"], ["1.2.3.4"], 60),
            (
                [f"{DNS},0,3,0", *(f'{DNS},"1.2.3.{i}"' for i in range(3))],
                ["1.2.3.0", "1.2.3.1", "1.2.3.2"],
                0,
            ),
            ([f"{DNS},0,1,0", f'{DNS},"1.2.3.4,5.6.7.8"'], ["1.2.3.4", "5.6.7.8"], 0),
            ([f"{DNS},0,2,0", f'{DNS},"1.2.3.4,5.6.7.8"'], ["1.2.3.4", "5.6.7.8"], 0),
            ([f"{DNS},0,2,9", f'{DNS},"1.2.3.4"', f'{DNS},"1.2.3.4"'], ["1.2.3.4"], 9),
            ([f"{DNS},0,4,9", f'{DNS},"1.2.3.4"'], ["1.2.3.4"], 9),
            ([f"{DNS},0,1,5", f'{DNS},"2001:db8::1"'], ["2001:db8::1"], 5),
            (['+QIURC:"dnsgip",0,1,5', "", '+QIURC:"dnsgip","1.2.3.4"'], ["1.2.3.4"], 5),
            ([f"{DNS},0,1,7", '+CEREG: 1,"1A2B"', f'{DNS},"1.2.3.4"'], ["1.2.3.4"], 7),
        ],
    )
    @virtual
    async def test_shape(self, lines: list[str], addresses: list[str], ttl: int) -> None:
        """Addresses come out once each, in the module's order."""
        async with scripted(DNS, *lines) as bench:
            modem = await bench.open()
            found = await modem.resolve("any.example")
            assert found == Resolution(tuple(addresses), ttl)

    @pytest.mark.parametrize("lost", [f'{DNS},"1.2.3.4"', f'{DNS},"5.6.7.8"'])
    @virtual
    async def test_line_that_got_lost(self, lost: str) -> None:
        """Fewer addresses than announced are asked for once more."""
        hosts = {"two.example": Host(("1.2.3.4", "5.6.7.8"))}
        async with Bench(Fault(FaultKind.DROP_LINE, on=lost), hosts=hosts) as bench:
            modem = await bench.open()
            assert (await modem.resolve("two.example")).addresses == ("1.2.3.4", "5.6.7.8")
            assert asked(bench, "AT+QIDNSGIP") == 2

    @pytest.mark.parametrize("count", [6, 7, 8])
    @virtual
    async def test_a_head_that_lost_its_end(self, count: int) -> None:
        """The count of the addresses may be missing, which does not mean that there is none."""
        hosts = {"one.example": Host(("1.2.3.4",), ttl_s=300)}
        fault = Fault(FaultKind.TRUNCATE_LINE, on=f"{DNS},0", count=count)
        async with Bench(fault, hosts=hosts, dns_time=0.3) as bench:
            modem = await bench.open()
            assert (await modem.resolve("one.example")).addresses == ("1.2.3.4",)

    @pytest.mark.parametrize("after", [f"{DNS},565", f"{DNS},0,2,60"])
    @virtual
    async def test_a_longer_answer_stands(self, after: str) -> None:
        """What the second answer lacks has come with the first."""
        hosts = {"two.example": Host(("1.2.3.4", "5.6.7.8"), ttl_s=60)}
        faults = [
            Fault(FaultKind.DROP_LINE, on=f'{DNS},"5.6.7.8"', times=None),
            Fault(FaultKind.REPLACE_LINE, on=f"{DNS},0", after=1, data=after.encode()),
            Fault(FaultKind.DROP_LINE, on=f'{DNS},"1.2.3.4"', after=1),
        ]
        async with Bench(*faults, hosts=hosts) as bench:
            modem = await bench.open()
            found = await modem.resolve("two.example")
            assert found == Resolution(("1.2.3.4",), 60)
            assert asked(bench, "AT+QIDNSGIP") == 2

    @virtual
    async def test_second_answer_that_never_comes(self) -> None:
        """It has what is left of the 145 s."""
        hosts = {"two.example": Host(("1.2.3.4", "5.6.7.8"))}
        faults = [
            Fault(FaultKind.DROP_LINE, on=f'{DNS},"5.6.7.8"'),
            Fault(FaultKind.DROP_LINE, on=DNS, after=2, times=None),
        ]
        async with Bench(*faults, hosts=hosts) as bench:
            modem = await bench.open()
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.resolve("two.example")
            assert 145 <= running().now - began < 146

    @pytest.mark.parametrize(
        "lines", [[f"{DNS},565"], [f"{DNS},565,0,0"], [f"{DNS},0,0,0"], [f"{DNS},0,2,60"]]
    )
    @virtual
    async def test_no_address(self, lines: list[str]) -> None:
        """An error, a count of 0 and addresses that never come are NameNotFound."""
        async with scripted(DNS, *lines) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.NameNotFound) as caught:
                await modem.resolve("any.example")
            assert isinstance(caught.value, socket.gaierror)
            assert caught.value.errno == socket.EAI_NONAME

    @pytest.mark.parametrize("err", [code for code in Err if code])
    @virtual
    async def test_every_code(self, err: Err) -> None:
        """Each ``<err>`` is a ConnectFailed that knows it."""
        async with scripted(DNS, f"{DNS},{int(err)}") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.ConnectFailed) as caught:
                await modem.resolve("any.example")
            assert caught.value.err == err

    @virtual
    async def test_answer_that_never_comes(self) -> None:
        """After 145 s it is a LinkTimeout; a late answer is not taken for the next one."""
        hosts = {"fast.example": Host(("5.6.7.8",))}
        async with Bench(Fault(FaultKind.DROP_LINE, on=DNS), hosts=hosts) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout, match="QIDNSGIP") as caught:
                await modem.resolve("silent.example")
            assert caught.value.__cause__ is not caught.value
            assert 145 <= running().now - began < 146
            bench.virtual.say(f"{DNS},0,1,60")
            bench.virtual.say(f'{DNS},"6.6.6.6"')
            await asyncio.sleep(0.1)
            assert (await modem.resolve("fast.example")).addresses == ("5.6.7.8",)

    @virtual
    async def test_refused(self) -> None:
        """ERROR to the command carries its code."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+QIDNSGIP")) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.ConnectFailed) as caught:
                await modem.resolve("any.example")
            assert caught.value.err == Err.UNKNOWN

    @virtual
    async def test_cache_holds_for_the_ttl(self) -> None:
        """An answer is remembered for its time to live, whatever the letters' case."""
        async with Bench(hosts={"a.example": Host(("1.2.3.4",), 60)}) as bench:
            modem = await bench.open()
            for _ in range(3):
                assert (await modem.resolve("a.example")).addresses == ("1.2.3.4",)
                assert (await modem.resolve(b"A.Example")).addresses == ("1.2.3.4",)
            assert asked(bench, "AT+QIDNSGIP") == 1
            await asyncio.sleep(59)
            await modem.resolve("a.example")
            assert asked(bench, "AT+QIDNSGIP") == 1
            await asyncio.sleep(1.1)
            await modem.resolve("a.example")
            assert asked(bench, "AT+QIDNSGIP") == 2

    @virtual
    async def test_cache_ignores_failures_and_a_ttl_of_zero(self) -> None:
        """What does not hold is asked again."""
        async with Bench(hosts={"a.example": Host(("1.2.3.4",), 0)}) as bench:
            modem = await bench.open()
            for _ in range(2):
                await modem.resolve("a.example")
                with pytest.raises(aiobc9x.NameNotFound):
                    await modem.resolve("none.example")
            assert asked(bench, "AT+QIDNSGIP") == 4

    @virtual
    async def test_cache_is_bounded(self) -> None:
        """Many names don't grow it for ever."""
        hosts = {f"h{i}.example": Host(("1.2.3.4",), 9999) for i in range(300)}
        async with Bench(hosts=hosts) as bench:
            modem = await bench.open()
            for name in hosts:
                await modem.resolve(name)
            await modem.resolve("h299.example")
            assert asked(bench, "AT+QIDNSGIP") == 300
            await modem.resolve("h0.example")  # had it been kept, 300 would be
            assert asked(bench, "AT+QIDNSGIP") == 301

    @virtual
    async def test_address_is_its_own_answer(self) -> None:
        """A literal costs no command."""
        async with Bench() as bench:
            modem = await bench.open()
            assert await modem.resolve("1.2.3.4") == Resolution(("1.2.3.4",), 0)
            assert await modem.resolve(b"::1") == Resolution(("::1",), 0)
            assert asked(bench, "AT+QIDNSGIP") == 0

    @virtual
    async def test_concurrent_lookups_are_serialized(self) -> None:
        """The answer names no request, so one is outstanding (C13): the module refuses two."""
        hosts = {f"{i}.example": Host((f"1.2.3.{i}", f"1.2.4.{i}")) for i in range(8)}
        async with Bench(hosts=hosts, dns_time=3) as bench:
            modem = await bench.open()
            found = await asyncio.gather(*(modem.resolve(name) for name in hosts))
            assert [r.addresses for r in found] == [h.addresses for h in hosts.values()]
            assert bench.virtual.statistics.errors == modem.statistics.errors

    @pytest.mark.parametrize("after", [0, 0.001, 1, 2.9999, 3.0001])
    @virtual
    async def test_cancelled_lookup_leaks_nothing(self, after: float) -> None:
        """Its lines are not taken for the next one's, whenever it was cancelled."""
        hosts = {"a.example": Host(("1.1.1.1", "1.1.1.2")), "b.example": Host(("2.2.2.2",))}
        async with Bench(hosts=hosts, dns_time=3) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            first = asyncio.create_task(modem.resolve("a.example"))
            await asyncio.sleep(after)
            first.cancel()
            assert (await modem.resolve("b.example")).addresses == ("2.2.2.2",)
            await asyncio.wait([first])
            assert first.cancelled() or first.result().addresses == ("1.1.1.1", "1.1.1.2")

    @virtual
    async def test_address_lines_too_many_leak_nothing(self) -> None:
        """A count that is too small leaves lines over, which are nobody's."""
        lines = [f"{DNS},0,1,0", *(f'{DNS},"6.6.6.{i}"' for i in range(3))]
        async with scripted(DNS, *lines, hosts={"b.example": Host(("2.2.2.2",))}) as bench:
            modem = await bench.open()
            assert (await modem.resolve("a.example")).addresses[0] == "6.6.6.0"
            assert (await modem.resolve("b.example")).addresses == ("2.2.2.2",)

    @virtual
    async def test_lines_of_before_are_dropped(self) -> None:
        """Stray addresses in front of the head belong to an earlier answer."""
        async with Bench(hosts={"b.example": Host(("2.2.2.2",))}, latency=0.5) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            lookup = asyncio.create_task(modem.resolve("b.example"))
            await asyncio.sleep(0.1)
            bench.virtual.say(f'{DNS},"6.6.6.6"')
            assert (await lookup).addresses == ("2.2.2.2",)


class TestPing:
    """AT+QPING (§2.2.8)."""

    @virtual
    async def test_example(self) -> None:
        """§4.4: four replies and a summary."""
        table = {HOST: (0.192, 0.240, 0.241, 0.479)}
        async with Bench(ping_table=table) as bench:
            modem = await bench.open()
            report = await modem.ping(HOST)
            assert [r.time_ms for r in report.replies] == [192, 240, 241, 479]
            assert report.replies[0] == PingReply(HOST, 32, 192, 255)
            assert (report.sent, report.received, report.lost) == (4, 4, 0)
            assert (report.min_ms, report.max_ms, report.avg_ms) == (192, 479, 288)
            assert f'AT+QPING=1,"{HOST}",4,4,32' in bench.commands

    @virtual
    async def test_losses_are_in_the_report(self) -> None:
        """Requests without an answer raise nothing, not even if there are no others."""
        table: dict[str, tuple[float | None, ...]] = {HOST: (0.1, None, 0.3), "1.1.1.1": (None,)}
        async with Bench(ping_table=table) as bench:
            modem = await bench.open()
            report = await modem.ping(HOST, count=3, timeout=2, size_bytes=200)
            assert [r.timed_out for r in report.replies] == [False, True, False]
            assert (report.sent, report.received, report.lost) == (3, 2, 1)
            report = await modem.ping("1.1.1.1", count=10, timeout=30)
            assert (report.sent, report.received, report.lost) == (10, 0, 10)
            assert (report.min_ms, report.max_ms, report.avg_ms) == (None, None, None)

    @pytest.mark.parametrize(
        ("lines", "counts", "times"),
        [
            ([f'{PING}: 0,"1.2.3.4",32,50,64', f"{PING}: 2,1,1,0,50,50,50"], (1, 1, 0), (50,)),
            ([f"{PING}: 0,1.2.3.4,32,50,64", f"{PING}: 2"], (1, 1, 0), (50,)),
            ([f"{PING}: 0,1.2.3.4,32,9,64", f"{PING}: 1", f"{PING}: 2"], (2, 1, 1), (9, None)),
            ([f"{PING}: 1", f"{PING}: 1", f"{PING}: 1,2,0,2,0,0,0"], (2, 0, 2), (None, None)),
            ([f"{PING}: 1,1.2.3.4,32,0,0", f"{PING}: 2,1,0,1,0,0,0"], (1, 0, 1), (None,)),
            ([f"{PING}: 0,1.2.3.4,32,9,64"] * 4 + [f"{PING}: 1"], (4, 4, 0), (9,) * 4),
            ([f"{PING}: 0,1.2.3.4,32,9,64"] * 4, (4, 4, 0), (9,) * 4),
            ([f"{PING}: 2,4,4,0,192,479,287"], (4, 4, 0), ()),
        ],
    )
    @virtual
    async def test_shape(
        self, lines: list[str], counts: tuple[int, ...], times: tuple[int | None, ...]
    ) -> None:
        """Fewer lines than requests, a code alone at the end, a summary that got lost."""
        async with scripted(PING, *lines) as bench:
            modem = await bench.open()
            report = await modem.ping("any.example")
            assert (report.sent, report.received, report.lost) == counts
            assert tuple(r.time_ms for r in report.replies) == times

    @pytest.mark.parametrize(
        ("code", "err"),
        [(3, Err.UNKNOWN), (4, Err.DNS_FAILED), (5, Err.OPEN_PDP_FAILED)]
        + [(int(e), e) for e in Err if e],
    )
    @virtual
    async def test_every_code(self, code: int, err: Err) -> None:
        """Both number spaces end a ping with an error that knows its ``<err>`` (N16)."""
        async with scripted(PING, f"{PING}: {code}") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.ConnectFailed) as caught:
                await modem.ping("any.example")
            assert caught.value.err == err
            assert await modem.command("AT+CSQ")

    @virtual
    async def test_error_in_the_middle(self) -> None:
        """Replies that came before it don't hide it."""
        lines = [f"{PING}: 0,1.2.3.4,32,9,64", f"{PING}: 570"]
        async with scripted(PING, *lines) as bench:
            modem = await bench.open()
            with pytest.raises(errors.NetworkDown):
                await modem.ping("any.example")

    @virtual
    async def test_module_that_never_finishes(self) -> None:
        """The note's time with margin, then LinkTimeout."""
        async with Bench(Fault(FaultKind.DROP_LINE, on=PING)) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.LinkTimeout, match="QPING"):
                await modem.ping("none.example")

    @virtual
    async def test_replies_come_one_by_one(self) -> None:
        """Each outcome is yielded when it comes."""
        async with Bench(ping_table={HOST: (0.5, None, 0.25)}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began, seen = running().now, []
            async for reply in modem.ping_replies(HOST, count=3, timeout=2):
                seen.append((reply.time_ms, round(running().now - began, 1)))
            assert seen == [(500, 0.5), (None, 2.5), (250, 2.8)]

    @virtual
    async def test_leaving_early_leaks_nothing(self) -> None:
        """The module finishes by itself; the next ping gets its own lines alone."""
        table = {HOST: (0.5,), "1.1.1.1": (0.1,)}
        async with Bench(ping_table=table) as bench:
            modem = await bench.open()
            async with aclosing(modem.ping_replies(HOST, count=4)) as replies:
                async for reply in replies:
                    assert reply.time_ms == 500
                    break
            report = await modem.ping("1.1.1.1", count=2)
            assert [r.time_ms for r in report.replies] == [100, 100]

    @virtual
    async def test_cancelled_ping_leaks_nothing(self) -> None:
        """As with leaving early."""
        table = {HOST: (0.5,), "1.1.1.1": (0.1,)}
        async with Bench(ping_table=table) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            for after in (0, 0.2, 0.6, 2.2):
                ping = asyncio.create_task(modem.ping(HOST))
                await asyncio.sleep(after)
                ping.cancel()
                report = await modem.ping("1.1.1.1", count=1)
                assert [r.time_ms for r in report.replies] == [100]
                await asyncio.wait([ping])

    @virtual
    async def test_two_at_once_are_serialized(self) -> None:
        """The lines name no request; the module would refuse the second."""
        table = {HOST: (0.5,), "1.1.1.1": (0.1,)}
        async with Bench(ping_table=table) as bench:
            modem = await bench.open()
            one, two = await asyncio.gather(modem.ping(HOST), modem.ping("1.1.1.1"))
            assert {r.time_ms for r in one.replies} == {500}
            assert {r.time_ms for r in two.replies} == {100}

    @virtual
    async def test_replies_end_with_the_modem(self) -> None:
        """On a modem that is closed, or closes, the iteration raises and doesn't hang."""
        async with Bench(ping_table={HOST: (0.5,)}) as bench:
            modem = await bench.open()
            seen = []

            async def ping_and_pull_the_plug() -> None:
                async for reply in modem.ping_replies(HOST):
                    seen.append(reply)
                    bench.cut()

            for _ in range(2):
                with pytest.raises(aiobc9x.LinkLost):
                    await ping_and_pull_the_plug()
            assert len(seen) == 1

    @virtual
    async def test_failure_that_nobody_waits_for(self) -> None:
        """Leaving the iteration when the ping has failed meanwhile reports nothing."""
        lines = [f"{PING}: 0,1.2.3.4,32,9,64", f"{PING}: 570"]
        async with scripted(PING, *lines) as bench:
            modem = await bench.open()
            async with aclosing(modem.ping_replies("any.example")) as replies:
                async for _ in replies:
                    await asyncio.sleep(5)
                    break
            gc.collect()
            await asyncio.sleep(0)
            assert take_errors() == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"timeout": 0},
            {"timeout": 256},
            {"count": 0},
            {"count": 11},
            {"size_bytes": 31},
            {"size_bytes": 201},
        ],
    )
    @virtual
    async def test_ranges(self, wrong: dict[str, int]) -> None:
        """Out of range is a ValueError, and nothing is sent (C1)."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match=r"§|range|to"):
                await modem.ping(HOST, **wrong)
            assert bench.commands == []


Question = Callable[[aiobc9x.Modem], Coroutine[Any, Any, object]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda modem: modem.resolve("slow.example"),
        lambda modem: modem.ping(HOST),
        lambda modem: modem.ntp_time(HOST),
    ],
    ids=["resolve", "ping", "ntp_time"],
)
class TestInterruptions:
    """What happens to an operation that the module has begun."""

    @virtual
    async def test_restart(self, ask: Question) -> None:
        """A restart ends it, and the next one works."""
        hosts = {"slow.example": Host(("1.2.3.4",))}
        async with Bench(dns_time=5, ntp_time=5, hosts=hosts, ping_table={HOST: (2,)}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            question = asyncio.create_task(ask(modem))
            await asyncio.sleep(1)
            bench.virtual.reset()
            with pytest.raises(aiobc9x.ModuleReset):
                await question
            assert await ask(modem)

    @virtual
    async def test_lost_line(self, ask: Question) -> None:
        """A lost line ends it with LinkLost."""
        async with Bench(dns_time=5, ntp_time=5, ping_table={HOST: (2,)}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            question = asyncio.create_task(ask(modem))
            await asyncio.sleep(1)
            bench.cut()
            with pytest.raises(aiobc9x.LinkLost):
                await question
            with pytest.raises(aiobc9x.LinkLost):
                await ask(modem)

    @virtual
    async def test_closed_modem(self, ask: Question) -> None:
        """Closing the modem ends it, and leaves no task behind."""
        before = other_tasks()
        async with Bench(dns_time=5, ntp_time=5, ping_table={HOST: (2,)}) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            question = asyncio.create_task(ask(modem))
            await asyncio.sleep(1)
            await modem.aclose()
            with pytest.raises(aiobc9x.LinkLost, match="closed"):
                await question
            assert other_tasks() <= before
