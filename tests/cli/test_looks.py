"""How a modem is, again and again."""

import asyncio
import json

import pytest

import aiobc9x
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.cli.looks import Looker, sparkline
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import Bench
from tests.support.clock import running, virtual


@pytest.mark.parametrize(
    ("strengths", "columns", "unicode", "drawn"),
    [
        ([-113, -105, -82, -51], 10, True, "▁▂▅█"),
        ([-113, None, -51], 10, True, "▁ █"),
        ([-140, -30], 10, True, "▁█"),
        ([-113, -105, -82, -51], 2, True, "▅█"),
        ([-113, -82, -51], 10, False, "158"),
        ([], 10, True, ""),
    ],
)
def test_sparkline(strengths: list[int | None], columns: int, unicode: bool, drawn: str) -> None:
    """The last looks, in blocks or digits; what is unknown is a gap."""
    assert sparkline(strengths, columns, unicode=unicode) == drawn


@virtual
async def test_rates_are_those_between_two_looks() -> None:
    """In bytes a second of the line; at the first look there is none before."""
    async with Bench(latency=0.01) as bench:
        modem = await bench.open(poll_interval=0)
        looker = Looker(modem)
        first = await looker.look()
        assert (first.received_bytes_per_s, first.sent_bytes_per_s) == (0.0, 0.0)
        assert first.state is ModemState.UP
        assert first.network == "registered at home"
        before = modem.statistics.bytes_received
        await modem.command("AT+CGMM")
        await asyncio.sleep(10)
        second = await looker.look()
        received = modem.statistics.bytes_received - before
        assert second.received_bytes_per_s == pytest.approx(received / 10, rel=0.05)
        assert [*looker.strengths] == [-73, -73]
        assert json.loads(json.dumps(second.as_json()))["network"] == second.network


@virtual
async def test_what_does_not_answer_is_not_known() -> None:
    """And a look ends in time."""
    async with Bench() as bench:
        modem = await bench.open()
        looker = Looker(modem)
        bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CEREG", times=100))
        began = running().now
        look = await looker.look()
        assert running().now - began == pytest.approx(5, abs=0.1)
        assert (look.registration, look.signal, look.sockets) == (None, None, None)
        assert look.network == "no answer"


@virtual
async def test_a_modem_that_is_away_is_not_asked() -> None:
    """The last thing that has happened says why."""
    async with Bench() as bench:
        modem = await bench.open(reconnect=aiobc9x.Reconnect(first_delay=60))
        looker = Looker(modem)
        listening = asyncio.create_task(looker.listen())
        await asyncio.sleep(0)
        modem._driver.lose_link("unplugged")
        await asyncio.sleep(0.01)
        look = await looker.look()
        assert look.state is ModemState.AWAY
        assert look.network == "-"
        assert look.event is not None
        assert "unplugged" in look.event
        assert [*looker.strengths] == [None]
        await modem.aclose()
        await listening
        assert (await looker.look()).state is aiobc9x.ModemState.CLOSED
