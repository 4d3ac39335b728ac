"""The serial ports of this machine."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from aiobc9x.cli import ports
from aiobc9x.cli.main import main
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import SimOptions
from tests.support.terminals import COLUMNS, ended, program_in_terminal, screen

needs_pty = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")


class Machine:
    """Has the ports that a test plugs in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.plugged = folder, list[ListPortInfo]()
        self.since: dict[str, float] = {}

    def plug_in(self, name: str, *, since: float, usb: bool = True) -> Path:
        device = self.folder / name
        device.touch()
        self.add(str(device), usb=usb)
        self.since[str(device)] = since
        return device

    def add(self, device: str, *, usb: bool = False) -> None:
        info = ListPortInfo(device)
        if usb:
            info.vid, info.pid, info.serial_number = 0x1A86, 0x7523, "A1"
            info.location, info.description = "1-1.4", "USB Serial"
        self.plugged.append(info)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without ports."""
    found = Machine(tmp_path)
    monkeypatch.setattr(list_ports, "comports", lambda: found.plugged)
    monkeypatch.setattr(ports, "_since", found.since.get)
    monkeypatch.setattr(ports, "BY_ID", tmp_path / "by-id")
    monkeypatch.setattr(ports, "BY_PATH", tmp_path / "by-path")
    return found


def test_newest_last_with_the_names_that_stay(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """By id, by path, by USB path and by the address that open_modem() takes."""
    machine.plug_in("ttyUSB1", since=300)
    old = machine.plug_in("ttyUSB0", since=100)
    (machine.folder / "by-id").mkdir()
    name = machine.folder / "by-id" / "usb-1a86-A1"
    name.symlink_to(old)
    assert main(["ports", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["ports"]
    assert first["device"] == str(old)
    assert second["device"].endswith("ttyUSB1")
    assert first["by_id"] == str(name)
    assert second["by_id"] is None
    assert first["usb"] == "usb:1A86:7523:A1"
    assert first["topology"] == "1-1.4"
    assert first["answers"] is None
    assert main(["ports"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(old)
    assert lines[1].split() == ["what", "USB", "Serial"]


def test_no_port_at_all(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and how to go on without."""
    assert machine.plugged == []
    assert main(["ports"]) == 0
    assert "this machine has no serial port; --port sim://" in capsys.readouterr().out
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ports": []}


def test_no_port_is_opened_without_probe(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening one alone would move its control lines."""

    async def fail(*_arguments: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(ports, "open_link_apart", fail)
    machine.plug_in("ttyUSB0", since=1)
    assert main(["ports"]) == 0
    assert "answers" not in capsys.readouterr().out


@needs_pty
async def test_probe_finds_the_module(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it is; a port that is silent and one that is none are told apart."""
    silent, device = os.openpty()
    async with VirtualModule(SimOptions()) as module:
        machine.add(await module.start_pty())
        machine.add(os.ttyname(device))
        machine.plug_in("file", since=9, usb=False)
        assert await asyncio.to_thread(main, ["ports", "--probe", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["ports"]
        assert await asyncio.to_thread(main, ["ports", "--probe"]) == 0
        text = capsys.readouterr().out
    os.close(device)
    os.close(silent)
    told = {each["device"]: (each["answers"], each["why_not"]) for each in found}
    assert told[machine.plugged[0].device] == (["Quectel", "BC65", "Revision: BC65VIRTUAL01"], None)
    assert told[machine.plugged[1].device] == ([], None)
    assert "can't open" in told[machine.plugged[2].device][1]
    assert "answers  Quectel, BC65, Revision: BC65VIRTUAL01" in text
    assert "answers  nothing to AT" in text


@needs_pty
async def test_a_port_in_use_is_left_alone(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes from here would come into the dialogue of another program."""
    monkeypatch.setattr(ports, "holders", lambda _device: ["minicom (process 12)"])
    async with VirtualModule(SimOptions()) as module:
        machine.add(await module.start_pty())
        assert await asyncio.to_thread(main, ["ports", "--probe"]) == 0
    out = capsys.readouterr().out
    assert "in use by  minicom (process 12)" in out
    assert "answers    not asked, because it is in use" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--baudrate", "0"], "0 is not in the range"), (["--port", "x"], "--port")],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """One line on stderr."""
    assert main(["ports", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


@COLUMNS
def test_it_fits_a_terminal(columns: int) -> None:
    """Whatever this machine has."""
    assert screen("ports", columns=columns)


def test_control_c_while_it_probes() -> None:
    """130 and no traceback; the port is closed. The port is one that never answers."""
    code = (
        "import asyncio, os, sys\n"
        "from serial.tools import list_ports, list_ports_common\n"
        "from aiobc9x.cli import ports\n"
        "from aiobc9x.cli.main import main\n"
        "other, device = os.openpty()\n"
        "name = os.ttyname(device)\n"
        "list_ports.comports = lambda: [list_ports_common.ListPortInfo(name)]\n"
        "ports.ANSWER_S, ask = 60.0, ports._ask\n"
        "def asking(*arguments):\n"
        "    print('asking', flush=True)\n"
        "    return ask(*arguments)\n"
        "ports._ask = asking\n"
        "sys.exit(main(['ports', '--probe']))"
    )
    child = program_in_terminal("-c", code)
    child.expect("asking")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in str(child.before)
