"""PowerSaver: PSM, eDRX, and sleep at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import aiobc9x
from aiobc9x import PowerSaving
from aiobc9x.aio.queries.power import GRANT_S
from aiobc9x.aio.queries.results import PowerSavingStatus
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.wire.commands.power import EdrxSetting
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import HOST, Bench, echoed
from tests.support.clock import running, virtual

UDP_PORT = 9


def lacks(*names: str) -> list[Fault]:
    """A module that doesn't know these commands."""
    return [Fault(FaultKind.ERROR, on=f"AT+{name}", times=None) for name in names]


class Received(asyncio.DatagramProtocol):
    """Keeps what comes, and how it ends."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.errors: list[Exception] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep a datagram."""
        self.datagrams.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """Keep an error."""
        self.errors.append(exc)


class TestStatus:
    """What was asked for, and what is granted."""

    @virtual
    async def test_off(self) -> None:
        """As start-up leaves it."""
        async with Bench() as bench:
            modem = await bench.open()
            found = await modem.power_saving()
            assert found == PowerSavingStatus(False, 36000, 10, ())
            assert (found.requested, found.edrx_s) == (None, None)

    @virtual
    async def test_somebody_else_has_set_it(self) -> None:
        """T3412 00000101 is 50 min, T3324 00000101 is 10 s (24.008)."""
        async with Bench(granted_edrx="0101") as bench:
            modem = await bench.open()
            await modem.command('AT+CPSMS=1,,,"00000101","00000101"')
            await modem.command('AT+CEDRXS=1,5,"0011"')
            found = await modem.power_saving()
            assert (found.enabled, found.periodic_tau_s, found.active_time_s) == (True, 3000, 10)
            assert found.edrx == (EdrxSetting(5, "0011"),)
            assert found.requested == found.granted == PowerSaving(10, 3000)
            assert (found.edrx_s, found.granted_edrx_s) == (40.96, 81.92)

    @virtual
    async def test_missing(self) -> None:
        """A module that lacks it says nothing."""
        names = ("CPSMS", "CEDRXS", "CEREG", "CGREG", "CREG")
        async with Bench(*lacks(*names)) as bench:
            modem = await bench.open()
            assert await modem.power_saving() == PowerSavingStatus(None, None, None, ())

    @pytest.mark.parametrize(("seconds", "error"), [("5", TypeError), (None, TypeError)])
    def test_what_is_no_time(self, seconds: Any, error: type[Exception]) -> None:
        """It is named at once."""
        with pytest.raises(error, match="active_s"):
            PowerSaving(seconds, 3600)
        with pytest.raises(error, match="period_s"):
            PowerSaving(10, seconds)


class TestSet:
    """set_power_saving()."""

    @virtual
    async def test_granted_as_asked(self) -> None:
        """Rounded up to what can be written; the module may sleep, and nothing polls."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            found = await modem.set_power_saving(PowerSaving(9, 3601), edrx_s=30)
            assert running().now - began < 1
            assert found.requested == found.granted == PowerSaving(10, 4200)
            assert found.edrx_s == found.granted_edrx_s == 40.96
            bench.dialogue.clear()
            await asyncio.sleep(300)
            assert bench.commands == []
            assert bench.virtual.module.asleep
            await echoed(modem)
            assert modem.statistics.recoveries == 0

    @pytest.mark.parametrize(
        ("active", "tau", "granted", "seconds"),
        [
            ("00100010", "00000001", PowerSaving(120, 600), 0),
            ("11100000", "00000001", None, GRANT_S),
            ("00000101", "00000001", PowerSaving(10, 600), 0),
        ],
    )
    @virtual
    async def test_granted_otherwise(
        self, active: str, tau: str, granted: PowerSaving | None, seconds: float
    ) -> None:
        """The network has the last word; a word that doesn't come is waited for."""
        async with Bench(granted_active=active, granted_tau=tau) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            began = running().now
            found = await modem.set_power_saving(PowerSaving(10, 3600))
            assert running().now - began == pytest.approx(seconds, abs=0.6)
            assert (found.requested, found.granted) == (PowerSaving(10, 3600), granted)

    @virtual
    async def test_no_network(self) -> None:
        """There is nothing to wait for."""
        async with Bench(register_time=900) as bench:
            modem = await bench.open()
            began = running().now
            found = await modem.set_power_saving(PowerSaving(10, 3600))
            assert running().now - began < 1
            assert found.granted is None

    @virtual
    async def test_off_again(self) -> None:
        """The module stays awake, and is asked again from time to time."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.set_power_saving(PowerSaving(10, 3600), edrx_s=20)
            await asyncio.sleep(60)
            found = await modem.set_power_saving()
            assert (found.enabled, found.edrx) == (False, ())
            _, (_, _) = await bench.connect(), await bench.streams()
            bench.dialogue.clear()
            await asyncio.sleep(100)
            assert not bench.virtual.module.asleep
            assert "AT+QISTATE?" in bench.commands
            assert any(c.startswith("AT+QIRD") for c in bench.commands)

    @virtual
    async def test_restart(self) -> None:
        """The module is told again, in place of being kept awake."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.set_power_saving(PowerSaving(10, 3600), edrx_s=20)
            bench.dialogue.clear()
            bench.virtual.reset()
            await asyncio.sleep(5)
            psm = 'AT+CPSMS=1,,,"00000110","00000101"'
            assert [c for c in bench.commands if "CPSMS=" in c or "QSCLK" in c] == [
                psm,
                "AT+QSCLK=1",
            ]
            assert (await modem.power_saving()).enabled

    @pytest.mark.parametrize("name", ["CPSMS=1", "CEDRXS=1"])
    @virtual
    async def test_a_module_that_lacks_it(self, name: str) -> None:
        """It is the caller's to know; what is to be off may be missing."""
        async with Bench(*lacks(name)) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.CommandError):
                await modem.set_power_saving(PowerSaving(10, 3600), edrx_s=20)
            await modem.set_power_saving()

    @virtual
    async def test_a_module_that_lacks_all(self) -> None:
        """Switching off what is not there is no error, and neither is AT+QSCLK."""
        async with Bench(*lacks("CPSMS", "CEDRXS", "QSCLK")) as bench:
            modem = await bench.open()
            assert (await modem.set_power_saving()).enabled is None
            await modem.sleep()

    @virtual
    async def test_a_busy_module(self) -> None:
        """That is no missing command."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on(r"AT\+QSCLK=1", b"+CME ERROR: 14")
            with pytest.raises(aiobc9x.CommandError):
                await modem.sleep()

    @pytest.mark.parametrize(
        ("psm", "edrx_s", "error", "match"),
        [
            (5, None, TypeError, "psm must be a PowerSaving"),
            (PowerSaving(3600, 60), None, ValueError, "active_s is 3600"),
            (PowerSaving(20000, 60000), None, ValueError, "active_s must be 0 to 11160 s"),
            (PowerSaving(10, 1e9), None, ValueError, "period_s must be"),
            (None, 0, ValueError, "edrx_s must be"),
            (None, "20", TypeError, "edrx_s"),
        ],
    )
    @virtual
    async def test_nonsense(
        self, psm: Any, edrx_s: Any, error: type[Exception], match: str
    ) -> None:
        """Nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(error, match=match):
                await modem.set_power_saving(psm, edrx_s=edrx_s)
            assert bench.commands == []


class TestSleep:
    """sleep(): at once, and the next command wakes it."""

    @virtual
    async def test_at_once(self) -> None:
        """No ten seconds of waiting, and no lost step on the way back."""
        async with Bench(wake_time=0.2) as bench:
            modem = await bench.open()
            events = modem.subscribe()
            for _ in range(3):
                await modem.sleep()
                await asyncio.sleep(0.1)
                assert bench.virtual.module.asleep
                await asyncio.sleep(600)
                assert bench.virtual.module.asleep
                began = running().now
                assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]
                assert running().now - began < 1
            assert modem.statistics.wakes == 3
            assert modem.statistics.recoveries == 0
            events.close()
            assert not [e async for e in events if isinstance(e, aiobc9x.StepLost)]

    @virtual
    async def test_right_before_a_command(self) -> None:
        """It is woken though it was spoken to a moment ago."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.sleep()
            assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]

    @virtual
    async def test_what_was_written_is_sent_first(self) -> None:
        """To the last byte."""
        async with Bench(send_time=1.0) as bench:
            (_, writer), peer = await bench.connect()
            writer.write(bytes(10000))
            await (await bench.modem()).sleep()
            assert len(peer.received) == 10000

    @virtual
    async def test_datagrams_through_deep_sleep(self) -> None:
        """One endpoint, a reading each quarter of an hour, and a module that sleeps between."""
        async with Bench(send_time=1.5, wake_time=0.3) as bench:
            bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
            modem = await bench.open()
            await modem.set_power_saving(PowerSaving(active_s=4, period_s=86400))
            transport, protocol = await modem.create_datagram_endpoint(
                Received, remote_addr=(HOST, UDP_PORT)
            )
            before = bench.virtual.energy
            for number in range(24 * 4):
                transport.sendto(b"reading %d" % number)
                assert await protocol.datagrams.get() == b"reading %d" % number
                await modem.sleep()
                await asyncio.sleep(900)
            spent = bench.virtual.energy
            assert protocol.errors == []
            assert modem.statistics.recoveries == 0
            assert modem.statistics.wakes == 24 * 4 - 1
            assert spent.sending_s - before.sending_s == pytest.approx(24 * 4 * 1.5)
            awake = spent.awake_s - before.awake_s
            asleep = spent.asleep_s - before.asleep_s
            assert awake + asleep == pytest.approx(24 * 3600, rel=0.01)
            assert awake / (awake + asleep) < 0.01

    @virtual
    async def test_cancelled(self) -> None:
        """The line stays in step."""
        async with Bench(send_time=1.0) as bench:
            (_, writer), _ = await bench.connect()
            writer.write(bytes(10000))
            modem = await bench.modem()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(modem.sleep(), 2)
            await echoed(modem)
