"""The monitor in a terminal, on a pipe and as JSON."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from aiobc9x.cli.main import main
from aiobc9x.cli.monitor import amount
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import SimOptions
from tests.support.terminals import COLUMNS, ended, in_terminal, without_codes

needs_pty = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")
in_virtual_time = pytest.mark.usefixtures("virtual_time")

SHORT = ["--interval", "0.1"]


@in_virtual_time
def test_one_line_a_look(capsys: pytest.CaptureFixture[str]) -> None:
    """As many as were asked for."""
    assert main(["monitor", *SHORT, "--count", "2", "--port", "sim://"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.match(
        r"\d\d:\d\d:\d\d  up  registered at home.*-73 dBm.*sockets 0  in 0 B/s", lines[0]
    )


@in_virtual_time
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with counters by their names."""
    assert main(["monitor", *SHORT, "--count", "2", "--json", "--port", "sim://"]) == 0
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [look["state"] for look in looks] == ["up", "up"]
    assert looks[0]["sockets"] == []
    assert looks[0]["signal"]["rssi_dbm"] == -73
    assert looks[1]["statistics"]["commands"] > looks[0]["statistics"]["commands"]
    assert looks[1]["received_bytes_per_s"] > 0
    assert looks[1]["usage"]["budgets"] == {}


@in_virtual_time
def test_without_a_sim_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """What keeps the module from a network is seen."""
    assert main(["monitor", *SHORT, "--count", "2", "--port", "sim://?sim=0"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("not searching  the module hears no network") == 2
    assert captured.err == ""


@COLUMNS
def test_a_table_that_changes_in_place(columns: int) -> None:
    """It stays when it ends, and fits."""
    child = in_terminal("monitor", *SHORT, "--count", "4", "--port", "sim://", columns=columns)
    assert ended(child) == 0
    lines = without_codes(str(child.before))
    assert max(map(len, lines)) <= columns
    last = [line.rstrip() for line in lines[-14:]]
    assert last[0] == "state         up"
    assert last[1] == "port          sim://"
    assert any(line == "over the air  about 0 B received, 0 B sent" for line in last)
    assert last[4] == "over time     ▆▆▆▆"
    assert last[-1].endswith("Ctrl-C ends this")


def test_control_c() -> None:
    """While it starts and while it shows: 130, no traceback."""
    child = in_terminal("monitor", "--port", "sim://")
    child.expect("registered")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before
    child = in_terminal("monitor", "-vv", "--port", "sim://?latency=0.2")
    child.expect("> AT")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before


@needs_pty
async def test_it_survives_an_unplug(tmp_path: Path) -> None:
    """State and reason are told, until the device is back."""
    device = tmp_path / "ttyUSB0"
    async with VirtualModule(SimOptions()) as module:
        device.symlink_to(await module.start_pty())
        child = await asyncio.to_thread(
            in_terminal, "monitor", *SHORT, "--json", "--port", str(device)
        )
        await asyncio.to_thread(child.expect, '"state": "up"')
        device.unlink()
        await module.aclose()
        # The one may be followed by the other within one look.
        reason = '"event": "[^"]*(away: the device is disconnected|waiting for the device: )'
        await asyncio.to_thread(child.expect, f'"state": "away"[^\\n]*{reason}')
    async with VirtualModule(SimOptions()) as module:
        device.symlink_to(await module.start_pty())
        await asyncio.to_thread(child.expect, '"state": "up".*back, with its settings')
        child.sendintr()
        assert await asyncio.to_thread(ended, child) == 130


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--interval", "0"], "is not in the range"), (["--count", "0"], "is not in the range")],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """One line on stderr."""
    assert main(["monitor", "--port", "sim://", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_amounts() -> None:
    """Three digits and a unit are enough."""
    assert [amount(n) for n in (0, 9999, 10_000, 10_000_000)] == [
        "0 B",
        "9999 B",
        "10.0 kB",
        "10.0 MB",
    ]
