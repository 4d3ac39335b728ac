"""Modem.command(): its answer is the lines that belong to it; those of nobody go elsewhere."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import aiobc9x
from tests.support.answering import AnsweringModule, late, opened
from tests.support.bench import Bench, echoed
from tests.support.clock import virtual


@pytest.mark.parametrize(
    ("line", "said", "answer", "strangers"),
    [
        (
            "AT+CSQ",
            b'+QUSIM: 1\n+QIND: SMS DONE\n+CSQ: 20,0\n+CTZV: "+08"\nOK\nCall Ready',
            ["+CSQ: 20,0"],
            [b"+QUSIM: 1", b"+QIND: SMS DONE", b'+CTZV: "+08"', b"Call Ready"],
        ),
        (
            "AT+CGMM",
            b'RING\n+DBGINFO: x\nBC92\n+CTZEU: "+8",1\nNO CARRIER\nOK',
            ["BC92"],
            [b"RING", b"+DBGINFO: x", b'+CTZEU: "+8",1', b"NO CARRIER"],
        ),
        ("AT+CEREG?", b'+CEREG: 5,"1A2B","0012",9\n+CEREG: 2,5\nOK', ["+CEREG: 2,5"], []),
        ("AT+QCCID", b"+QIND: 1\n+QCCID: 8986001\nOK", ["+QCCID: 8986001"], [b"+QIND: 1"]),
        ("AT+CGSN", b"+NPSMR: 0\n866425033210987\nOK", ["866425033210987"], [b"+NPSMR: 0"]),
        ("AT+CSCON=1", b"+QIND: 1\nOK", [], [b"+QIND: 1"]),
    ],
)
@virtual
async def test_lines_of_nobody(
    line: str, said: bytes, answer: list[str], strangers: list[bytes]
) -> None:
    """They go to subscribe(), whether they come before, within or behind an answer."""
    module = AnsweringModule()
    async with opened(module) as modem:
        module.on(line.replace("+", r"\+").replace("?", r"\?"), said)
        events = modem.subscribe()
        assert await modem.command(line) == answer
        unknown = []
        with contextlib.suppress(TimeoutError):
            while True:
                event = await asyncio.wait_for(anext(events), 1)
                if isinstance(event, aiobc9x.Unknown):
                    unknown.append(event.text)
        assert unknown == strangers


@pytest.mark.parametrize(
    ("line", "seconds"), [("AT+CFUN=1", 60), ("AT+COPS=?", 150), ("AT+CGATT=1", 120)]
)
@virtual
async def test_slow_answers(line: str, seconds: float) -> None:
    """What waits for radio or network is awaited, with no timeout given."""
    module = AnsweringModule()
    module.on(line.replace("+", r"\+").replace("?", r"\?"), late(module, seconds, b"OK"))
    async with opened(module) as modem:
        assert await modem.command(line) == []
        assert modem.statistics.recoveries == 0


@virtual
async def test_restart_by_command() -> None:
    """What a refused AT&F advises: the module restarts, and is configured anew."""
    async with Bench(boot_time=2) as bench:
        modem = await bench.open()
        assert await modem.command("AT+CFUN=1,1") == []
        await asyncio.sleep(10)
        assert modem.statistics.resets >= 1
        assert not bench.virtual.module.board.settings.echo
        await echoed(modem)
