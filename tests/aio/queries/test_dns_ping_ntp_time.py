"""ntp_time: both forms of the year, quarter-hour zones, every code."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

import aiobc9x
from aiobc9x import errors
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from aiobc9x.spec import Err
from tests.support.bench import HOST, Bench, scripted
from tests.support.clock import running, virtual

NTP = "+QNTP"


class TestTime:
    """AT+QNTP (§2.2.9)."""

    @pytest.mark.parametrize(
        ("line", "time", "minutes"),
        [
            (f'{NTP}: 0,"2018/04/20,11:08:20+32"', datetime(2018, 4, 20, 11, 8, 20), 480),
            (f'{NTP}: 0,"18/04/20,11:08:20+32"', datetime(2018, 4, 20, 11, 8, 20), 480),
            (f'{NTP}: 0,"18/04/20,11:08:20+8"', datetime(2018, 4, 20, 11, 8, 20), 120),
            (f'{NTP}: 0,"2018/04/20, 11:08:20 - 14"', datetime(2018, 4, 20, 11, 8, 20), -210),
            (f'{NTP}: 0,"2018/04/20,11:08:20+00"', datetime(2018, 4, 20, 11, 8, 20), 0),
            (f'{NTP}: 0,"2018/04/20,11:08:20+56"', datetime(2018, 4, 20, 11, 8, 20), 840),
            (f'{NTP}: 0,"2018/04/20,11:08:20-48"', datetime(2018, 4, 20, 11, 8, 20), -720),
            ('+QNTF: 0,"2018/04/20,11:08:20+21"', datetime(2018, 4, 20, 11, 8, 20), 315),
            (f"{NTP}: 0,2018/04/20,11:08:20+32", datetime(2018, 4, 20, 11, 8, 20), 480),
        ],
    )
    @virtual
    async def test_form(self, line: str, time: datetime, minutes: int) -> None:
        """The digits are local time at an offset of quarter hours; years have 2 or 4 digits."""
        async with scripted(NTP, line) as bench:
            modem = await bench.open()
            found = await modem.ntp_time("none.example")
            assert found.replace(tzinfo=None) == time
            assert found.utcoffset() == timedelta(minutes=minutes)

    @virtual
    async def test_example(self) -> None:
        """§4.5, and the module's own clock is set if asked."""
        clock = datetime(2018, 4, 20, 11, 8, 20, tzinfo=timezone(timedelta(hours=8)))
        hosts = {"ntp5.aliyun.com": Host((HOST,))}
        async with Bench(clock=clock, hosts=hosts) as bench:
            modem = await bench.open()
            found = await modem.ntp_time("ntp5.aliyun.com", set_clock=True)
            assert timedelta() <= found - clock < timedelta(seconds=5)
            assert 'AT+QNTP=1,"ntp5.aliyun.com",123,1' in bench.commands

    @pytest.mark.parametrize(
        ("code", "kind", "err"),
        [
            (1, aiobc9x.ConnectFailed, Err.UNKNOWN),
            (2, aiobc9x.ConnectTimedOut, Err.TIMEOUT),
            (3, aiobc9x.ConnectFailed, Err.BUSY),
            (4, aiobc9x.NameNotFound, Err.DNS_FAILED),
            (5, errors.NetworkUnreachable, Err.OPEN_PDP_FAILED),
            (565, aiobc9x.NameNotFound, Err.DNS_FAILED),
            (569, aiobc9x.ConnectTimedOut, Err.TIMEOUT),
        ],
    )
    @virtual
    async def test_every_code(self, code: int, kind: type[aiobc9x.ConnectFailed], err: Err) -> None:
        """Table 4, and codes of table 2 that relatives give; without a time (N12)."""
        async with scripted(NTP, f"{NTP}: {code}") as bench:
            modem = await bench.open()
            with pytest.raises(kind) as caught:
                await modem.ntp_time("none.example")
            assert caught.value.err == err

    @pytest.mark.parametrize(
        "line",
        [
            f"{NTP}: 0",
            f'{NTP}: 0,""',
            f'{NTP}: 0,"2018/13/20,11:08:20+32"',
            f'{NTP}: 0,"2018/04/20,11:08:20+57"',
            f'{NTP}: 0,"2018/04/20,11:08:20"',
            f'{NTP}: 0,"soon"',
        ],
    )
    @virtual
    async def test_time_that_can_not_be_read(self, line: str) -> None:
        """It is an UnexpectedAnswer that shows it."""
        async with scripted(NTP, line) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.UnexpectedAnswer, match="QNTP"):
                await modem.ntp_time("none.example")

    @virtual
    async def test_no_result(self) -> None:
        """After 125 s it is a LinkTimeout."""
        async with Bench(Fault(FaultKind.DROP_LINE, on=NTP)) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            with pytest.raises(aiobc9x.LinkTimeout, match="QNTP"):
                await modem.ntp_time("none.example")
            assert 125 <= running().now - began < 126

    @virtual
    async def test_command_that_is_not_answered(self) -> None:
        """The timeout of the command itself passes through, and is not its own cause."""
        async with Bench(Fault(FaultKind.IGNORE, on="AT+QNTP")) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.LinkTimeout) as caught:
                await modem.ntp_time(HOST)
            assert caught.value.__cause__ is not caught.value

    @virtual
    async def test_two_at_once_are_serialized(self) -> None:
        """The result names no request."""
        async with Bench(ntp_time=2) as bench:
            modem = await bench.open()
            one, two = await asyncio.gather(modem.ntp_time(HOST), modem.ntp_time(HOST))
            assert timedelta(seconds=1) <= two - one <= timedelta(seconds=3)
