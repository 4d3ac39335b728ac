"""Logs: one logger a layer, facts for programs in each record, no secret, one line if unset."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import pytest

import aiobc9x
from aiobc9x.aio.line.decisions import TOLD, UNTOLD
from aiobc9x.aio.line.subscriptions import Dropped, ModemEvent
from aiobc9x.logs import LAYERS, Facts, LastResort, Log, Logs
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, Bench, echoed
from tests.support.clock import virtual
from tests.support.realtime import PATIENCE_S

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = ROOT / "aiobc9x"

PIN, PASSWORD, DATA = "47110815", "s3cret-word", b"s3cret-data"

OF_LOGGING: Final = {*vars(logging.makeLogRecord({})), "message", "asctime"}

ALWAYS: Final = {"modem", "link"}

OTHERS: Final = {"aiobc9x/logs.py", "aiobc9x/sim/links.py"}
"""Who takes a logger from ``logging`` itself: the first for all, the second because the virtual
module imports nothing of the library. Beside them the command line sets the log up."""


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """What a record has beside what each of all programs has."""
    return {name: value for name, value in vars(record).items() if name not in OF_LOGGING}


def calls_of(path: Path) -> Iterator[tuple[str, str]]:
    """Each logger that a module names, and the function that names it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(what)), *_]):
                yield name, what
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=str(what)), *_]):
                yield name, what


class TestLoggers:
    """Whose logger writes what."""

    def test_each_module_has_the_logger_of_its_layer(self) -> None:
        """By :class:`Log`, so that no record lacks its facts."""
        seen = set()
        for path in PACKAGE.rglob("*.py"):
            layer = path.relative_to(PACKAGE).with_suffix("").parts[0]
            name = path.relative_to(ROOT).as_posix()
            for function, what in calls_of(path):
                if function == "Log":
                    assert what == layer, name
                    seen.add(what)
                if function == "getLogger" and name not in OTHERS:
                    assert (layer, what) == ("cli", "aiobc9x"), name
        assert seen == {"adapters", "pool", "trace", "cli"}

    def test_events_for_users_are_told_or_left_out_for_a_reason(self) -> None:
        """A new one is forgotten neither in the log nor in a trace."""
        events = {*get_args(ModemEvent)} - {Dropped}  # which is made for one subscriber
        assert {each for each in events if each not in TOLD} == set(UNTOLD)


class TestRecords:
    """What a formatter finds in each record."""

    def test_facts(self, caplog: pytest.LogCaptureFixture) -> None:
        """Of the modem, of the call, of an exception; and the place of the caller."""
        logs = Logs("sim://?pin=1234&baud=9600&apn_login=me:word")
        logs.link = 3
        exc = aiobc9x.CommandError(f'AT+CPIN="{PIN}"', 549)
        logs.aio.warning("! socket %(connect_id)d: %(reason)s", connect_id=2, error=exc)
        Log("trace").warning("! %s: 100 %%", "half")
        first, second = caplog.records
        assert facts_of(first) == {
            "modem": "sim://?pin=...&baud=9600&apn_login=...",
            "link": 3,
            "connect_id": 2,
            "error": "CommandError",
            "reason": str(exc),
            "command": "AT+CPIN=...",
            "err": 549,
        }
        assert first.getMessage() == f"! socket 2: {exc}"
        assert (first.name, first.filename) == ("aiobc9x.aio", Path(__file__).name)
        assert second.getMessage() == "! half: 100 %"
        assert facts_of(second) == {"modem": "", "link": 0}

    def test_nothing_is_made_for_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        """A level that is off costs a look."""
        caplog.set_level(logging.WARNING, "aiobc9x")
        log = Log("cli")
        log.debug("%d", "no number")
        assert not log.shows(logging.INFO)
        assert caplog.records == []

    def test_each_record_of_a_hard_life(self, caplog: pytest.LogCaptureFixture) -> None:
        """It has what the documentation names, as plain values, and nobody's secret."""
        caplog.set_level(logging.DEBUG, "aiobc9x")
        hard_life()
        records = [record for record in caplog.records if record.name.startswith("aiobc9x")]
        for record in records:
            facts = facts_of(record)
            assert ALWAYS <= facts.keys() <= ALWAYS | Facts.__annotations__.keys(), record.msg
            told = json.dumps(facts) + record.getMessage()
            assert not [each for each in (PIN, PASSWORD, DATA.decode()) if each in told], told
        assert {record.name for record in records} == {
            "aiobc9x.wire",
            "aiobc9x.core",
            "aiobc9x.aio",
        }
        levels = {record.levelno for record in records}
        assert levels == {logging.DEBUG, logging.INFO, logging.WARNING}
        seen = {name: value for each in records for name, value in facts_of(each).items()}
        assert {"command", "connect_id", "reason", "rung", "stage", "banner"} <= seen.keys()
        assert {vars(each)["link"] for each in records} == {1, 2}

    def test_the_documentation_has_every_fact(self) -> None:
        """And no other, with the loggers."""
        text = (ROOT / "docs" / "logging.md").read_text("utf-8")
        rows = re.findall(r"^\| (`[^|]+?) \|", text, re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
        loggers = {f"aiobc9x.{layer}" for layer in LAYERS}
        assert named == loggers | ALWAYS | Facts.__annotations__.keys()

    def test_the_formatter_of_the_documentation(self) -> None:
        """It writes what the page prints."""
        text = (ROOT / "docs" / "logging.md").read_text("utf-8")
        (program,) = [each for each in code(text, "python") if "class AsJson" in each]
        (line,) = code(text, "json")
        say = 'Logs("/dev/ttyUSB0").core.warning("! the module has restarted: RDY", banner="RDY")'
        shown = json.loads(told(f"from aiobc9x.logs import Logs\n{program}\n{say}"))
        assert {**json.loads(line), "time": shown["time"], "link": 0} == shown

    def test_how_the_documentation_shows_the_dialogue(self) -> None:
        """And nothing else."""
        text = (ROOT / "docs" / "logging.md").read_text("utf-8")
        (setup,) = [each for each in code(text, "python") if "aiobc9x.wire" in each]
        lines = told(f"{HEAD}\n{setup}\nasyncio.run(main())").splitlines()
        assert "DEBUG:aiobc9x.wire:> AT" in lines
        assert {line.split(":")[1] for line in lines} == {"aiobc9x.wire", "aiobc9x.aio"}
        assert next(line for line in lines if "aiobc9x.wire" not in line).startswith("WARNING")


def code(page: str, language: str) -> list[str]:
    """The blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@virtual
async def hard_life() -> None:
    """Live through all that a modem logs of: a PIN, refusals, a restart, lost bytes and links."""
    async with Bench(pin=PIN, chunk=1) as bench:
        modem = await bench.open_lasting(pin=PIN)
        await modem.command("ATE1")
        await echoed(modem, DATA)
        bench.add_fault(Fault(FaultKind.ERROR, on="AT+CGAUTH", times=10))
        with pytest.raises(aiobc9x.CommandError):
            await modem.command(f'AT+CGAUTH=1,1,"me","{PASSWORD}"')
        with pytest.raises(aiobc9x.CommandError):
            await modem.command(f'AT+CPIN="{PIN}"')
        reader, writer = await modem.open_connection(HOST, ECHO_PORT)
        bench.virtual.reset()
        with pytest.raises(aiobc9x.ModuleReset):
            await reader.read()
        writer.close()
        await modem.available()
        bench.cut()
        async with modem.subscribe() as events:
            async for event in events:
                if isinstance(event, aiobc9x.LinkUp):
                    break
        await echoed(modem, DATA)
        await modem.aclose()


HEAD: Final = """
import asyncio, logging, sys
import aiobc9x
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.virtual_modem import VirtualModem

async def main():
    async with VirtualModem(network=MemoryNetwork()) as virtual:
        async with aiobc9x.open_modem(virtual.create, reconnect=None) as modem:
            virtual.unplug()
            try:
                await modem.command("AT")
            except aiobc9x.LinkLost:
                pass
"""


def told(program: str) -> str:
    """What a fresh process writes to stderr."""
    run = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return done.stderr


class TestWithoutLogging:
    """A program that has not set up any logging."""

    def test_a_lost_modem_is_one_line(self) -> None:
        """With the name of the library, of the modem, and the reason."""
        text = told(f"{HEAD}\nasyncio.run(main())")
        assert re.fullmatch(r"aiobc9x: VirtualModem\.create\(\) is lost: .+\n", text)

    def test_a_first_boot_is_none(self) -> None:
        """The banner of a module that is switched on while it is opened is no news."""
        program = f"""
            import asyncio, aiobc9x
            async def main():
                async with aiobc9x.open_modem("{ADDRESS}&boot_time=0.2") as modem:
                    await modem.wait_ready()
            asyncio.run(main())
        """
        assert told(program) == ""

    @pytest.mark.parametrize(
        ("setup", "shown"),
        [
            ("logging.basicConfig(format='%(modem)s|%(link)d')", "VirtualModem.create()|1\n"),
            ("logging.getLogger('aiobc9x').addHandler(logging.NullHandler())", ""),
            ("logging.getLogger('aiobc9x.aio').addHandler(logging.NullHandler())", ""),
            ("logging.lastResort = None", ""),
            ("logging.getLogger('aiobc9x').setLevel(logging.ERROR)", ""),
            ("sys.stderr = None", ""),
        ],
    )
    def test_a_program_that_has_is_told_by_its_own(self, setup: str, shown: str) -> None:
        """Whatever handler a record reaches, no line comes beside it."""
        assert told(f"{HEAD}\n{setup}\nasyncio.run(main())") == shown

    def test_a_line_is_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Whatever stands in the text, and without a traceback."""
        record = logging.makeLogRecord({"name": "elsewhere", "msg": "! two\r\nlines", "modem": "A"})
        logger = logging.getLogger("elsewhere")
        logger.propagate = False
        try:
            raise ValueError("a\nbug")
        except ValueError:
            record.exc_info = sys.exc_info()
        LastResort().emit(record)
        logger.propagate = True
        assert capsys.readouterr().err == "aiobc9x: A: two lines: ValueError: a bug\n"
