"""A watch keeps what was seen, and asks the module seldom."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import aiobc9x
from aiobc9x.adapters.watching import MOST_EVENTS, Watch, worded
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import Bench
from tests.support.clock import virtual


@asynccontextmanager
async def watching(bench: Bench, **settings: object) -> AsyncIterator[Watch]:
    """A modem that is watched for as long as the block runs."""
    modem = await bench.open_lasting(**settings)
    await modem.wait_ready()  # which has cells reported too
    watch = Watch(modem, interval=60)
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(1)
        yield watch
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@virtual
async def test_it_looks_once_a_minute() -> None:
    """Each look is a sample of signal, cell and registration."""
    async with Bench() as bench, watching(bench) as watch:
        await asyncio.sleep(10 * 60)
        assert len(watch.samples) == 11
        assert watch.latest is not None
        assert watch.latest.stat == 1
        assert watch.latest.cell == "01A2B3C4"
        assert watch.latest.rsrp_dbm is not None
        assert len([line for line in bench.commands if line == "AT+CSQ"]) == 11


@virtual
async def test_it_is_named_without_a_pin() -> None:
    """What it is named by gets around: into metrics, the status page and the log."""
    async with aiobc9x.open_modem("sim://?link=memory&pin=1234&rssi=20", pin="1234") as modem:
        assert Watch(modem).name == "sim://?link=memory&pin=...&rssi=20"


@virtual
async def test_it_keeps_a_day() -> None:
    """And no more, however long it runs."""
    async with Bench() as bench, watching(bench) as watch:
        await asyncio.sleep(26 * 3600)
        assert len(watch.samples) == 24 * 60


@virtual
async def test_a_loss_and_the_way_back_are_noted() -> None:
    """While the modem is away nothing is asked, and a gap stays in the samples."""
    async with Bench() as bench, watching(bench) as watch:
        bench.is_plugged_in = False
        bench.cut()
        await asyncio.sleep(30 * 60)
        seen = len(watch.samples)
        bench.is_plugged_in = True
        await asyncio.sleep(5 * 60)
        assert seen <= 2
        assert len(watch.samples) > seen
        texts = [event.text for event in watch.events]
        assert texts[0].startswith("away: ")
        assert texts[-1] == "back"
        assert len(texts) < 10  # not one for each try


@virtual
async def test_another_cell_is_noted() -> None:
    """By the sample that finds it."""
    async with Bench() as bench, watching(bench) as watch:
        line = b'+CEREG: 2,1,"00AB","0000CAFE",9'
        bench.add_fault(Fault(FaultKind.REPLACE_LINE, on="+CEREG:", data=line, times=None))
        await asyncio.sleep(120)
        assert [event.text for event in watch.events] == ["now in cell 0000CAFE of area 00AB"]


@virtual
async def test_it_ends_with_the_modem() -> None:
    """Nobody has to cancel it then."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        task = asyncio.create_task(Watch(modem).run())
        await asyncio.sleep(5)
        await modem.aclose()
        await asyncio.wait_for(task, 5)


@virtual
async def test_events_have_a_limit() -> None:
    """The oldest go first."""
    async with Bench() as bench, watching(bench) as watch:
        for _ in range(MOST_EVENTS):
            bench.cut()
            await asyncio.sleep(30)
        assert len(watch.events) == MOST_EVENTS
        assert watch.events[0].time > 0


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (aiobc9x.Reset("RDY"), "the module has restarted: RDY"),
        (aiobc9x.Reset(""), "the module has restarted"),
        (aiobc9x.Recovering("port", 2, 1.0, "no answer"), ""),
        (aiobc9x.Recovering("hook", 2, 0.0, "no answer"), "recovering by hook: no answer"),
        (
            aiobc9x.BudgetReached(0.8, 810, 1000, "day"),
            "80% of the budget of 1000 bytes for this day is used up",
        ),
        (aiobc9x.StepRegained(), "answers match commands again"),
        (aiobc9x.Progress("attaching"), ""),
    ],
)
def test_events_in_words(event: aiobc9x.ModemEvent, text: str) -> None:
    """Those of a modem's life have words; others are none of a watch's business."""
    assert worded(event) == text
