"""From the cold port to an open connection, on modules that have something each."""

import asyncio
import fcntl
import json
import os
import re
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.cli import examination
from aiobc9x.cli.holders import Holder
from aiobc9x.cli.main import main
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import SimOptions
from tests.support.terminals import COLUMNS, ended, in_terminal, screen

needs_pty = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")
in_virtual_time = pytest.mark.usefixtures("virtual_time")

NUMBERS = ("866425033210987", "460001234567890", "89860012345678901234")


@pytest.fixture
def peer() -> Iterator[int]:
    """A port of loopback that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def examined(
    capsys: pytest.CaptureFixture[str], address: str, *arguments: str, code: int = 1
) -> dict[str, Any]:
    """The object that the command prints, its steps by their names."""
    assert main(["doctor", "--json", "--timeout", "50", "--port", address, *arguments]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    found: dict[str, Any] = json.loads(captured.out)
    assert found["ok"] is (code == 0)
    assert [step["name"] for step in found["steps"]] == [*examination.STEPS]
    assert not any(number in captured.out for number in NUMBERS)
    return {step["name"]: step for step in found["steps"]} | {"report": found["report"]}


def failed(found: dict[str, Any]) -> list[str]:
    """The names of the steps that did not go well."""
    return [name for name in examination.STEPS if found[name]["ok"] is False]


def test_all_is_well(capsys: pytest.CaptureFixture[str], peer: int) -> None:
    """Each step is told with what was found; the report has what a maintainer asks for first."""
    address = f"sim://?host=a.example:127.0.0.1&remote_port=7:{peer}"
    found = examined(capsys, address, "--to", "a.example:7", code=0)
    assert failed(found) == []
    assert found["registration"]["detail"].startswith("registered at home")
    assert found["attach"]["detail"] == "attached; the APN is internet"
    assert found["DNS"]["detail"] == "a.example is 127.0.0.1"
    report = found["report"]
    assert {"versions", "settings", "statistics", "dialogue"} <= report.keys()
    assert report["statistics"]["opens"] == report["statistics"]["closes"] == 1
    assert any("AT+QIOPEN" in line for line in report["dialogue"])


@in_virtual_time
def test_without_a_goal_the_last_steps_are_not_tried(capsys: pytest.CaptureFixture[str]) -> None:
    """That is no failure, and says how they would be."""
    found = examined(capsys, "sim://", code=0)
    assert found["connection"]["ok"] is None
    assert "--to HOST:PORT" in found["connection"]["detail"]


def test_a_module_that_searched_first_is_well(
    capsys: pytest.CaptureFixture[str], peer: int
) -> None:
    """It hears nothing until it has found its network; an address needs no name server."""
    address = f"sim://?register_time=0.5&remote_port=7:{peer}"
    found = examined(capsys, address, "--to", "127.0.0.1:7", code=0)
    assert failed(found) == []
    assert found["signal"]["detail"].startswith("-73 dBm")
    assert found["DNS"]["detail"].startswith("not needed for 127.0.0.1")


@in_virtual_time
def test_a_module_that_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Signal and registration fail together, in this order."""
    found = examined(capsys, "sim://?register_time=60")
    assert failed(found) == ["signal", "registration"]
    assert "antenna" in found["signal"]["advice"]


@in_virtual_time
@pytest.mark.parametrize(
    ("query", "step", "words", "advice"),
    [
        ("cfun=0&fault=ignore;on=AT%2BCFUN%3D1;times=9", "answer", "no", "power"),
        ("fault=error;on=AT%2BCFUN%3F;times=9", "radio", "AT+CFUN?", "AT+CFUN=1"),
        ("pin=1234", "SIM", "the SIM wants its PIN", "--pin"),
        ("sim=0", "SIM", "the SIM is not inserted", "put a SIM in"),
        ("register_time=60", "registration", "searching", "ask the operator"),
        ("reject_cause=11", "registration", "cause 11, PLMN not allowed", "ask the operator"),
        ("attach_time=60", "attach", "attach", "data plan"),
        ("ip=", "address", "no address", "check the APN"),
    ],
)
def test_the_step_that_fails_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
    query: str,
    step: str,
    words: str,
    advice: str,
) -> None:
    """The steps behind it are not reached."""
    found = examined(capsys, f"sim://?{query}")
    assert failed(found)[-1] == step
    assert words in found[step]["detail"]
    assert advice in found[step]["advice"]
    assert found["connection"]["detail"] == "not reached"


@pytest.mark.parametrize(
    ("to", "step", "words"),
    [
        ("nobody.example:80", "DNS", "no such name"),
        ("a.example:9", "connection", "connection refused"),
    ],
)
def test_the_goal_that_can_not_be_reached(
    capsys: pytest.CaptureFixture[str], to: str, step: str, words: str
) -> None:
    """Up to there all is well."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unused = closed.getsockname()[1]
        address = f"sim://?host=a.example:127.0.0.1&remote_port=9:{unused}"
        found = examined(capsys, address, "--to", to)
    assert failed(found) == [step]
    assert words in found[step]["detail"]


@in_virtual_time
def test_a_wrong_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something answers, and it is named."""
    monkeypatch.setattr("aiobc9x.aio.bringup.identity._OURS", re.compile("nothing"))
    monkeypatch.setattr("aiobc9x.aio.bringup.identity._OTHERS", re.compile("BC65"))
    found = examined(capsys, "sim://")
    assert failed(found) == ["module"]
    assert "BC65 answers on sim://" in found["module"]["detail"]


class TestPort:
    """What can be wrong before anything answers."""

    def test_missing(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        found = examined(capsys, str(tmp_path / "ttyUSB9"))
        assert failed(found) == ["port"]
        assert "ttyUSB9" in found["port"]["detail"]
        assert "aiobc9x ports" in found["port"]["advice"]

    def test_missing_on_usb(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = examined(capsys, "usb:0001:0002")
        assert failed(found) == ["port"]

    def test_not_allowed(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The group that may is named, and how to join it."""
        device = tmp_path / "ttyUSB0"
        device.touch()
        device.chmod(0o660)
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr(examination, "group_of", lambda _: "dialout")
        monkeypatch.setenv("USER", "me")
        found = examined(capsys, str(device))
        assert failed(found) == ["access"]
        assert "sudo usermod -aG dialout me" in found["access"]["advice"]

    @pytest.mark.parametrize(("group", "mode"), [("root", 0o660), ("dialout", 0o600)])
    def test_not_allowed_to_a_group_either(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        group: str,
        mode: int,
    ) -> None:
        """Nobody is told to join root, or a group that may not either."""
        device = tmp_path / "ttyUSB0"
        device.touch()
        device.chmod(mode)
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr(examination, "group_of", lambda _: group)
        advice = examined(capsys, str(device))["access"]["advice"]
        assert "udev" in advice
        assert "usermod" not in advice

    def test_held_by_a_program(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is named, and how to stop it."""
        device = tmp_path / "ttyUSB0"
        device.touch()
        holder = Holder(7, "ModemManager")
        monkeypatch.setattr(examination, "holders", lambda _: [holder])
        found = examined(capsys, str(device))
        assert failed(found) == ["access"]
        assert "ModemManager (process 7)" in found["access"]["detail"]
        assert found["access"]["advice"] == "sudo systemctl stop ModemManager"

    @needs_pty
    async def test_locked_by_a_program(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A real one, which nothing but /proc could name."""
        code = (
            "import fcntl, sys; f = open(sys.argv[1], 'r+b', buffering=0)\n"
            "fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
        )
        async with VirtualModule(SimOptions()) as module:
            device = await module.start_pty()
            rival = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, device, stdin=PIPE, stdout=PIPE
            )
            assert rival.stdout is not None
            await rival.stdout.readline()
            found = await asyncio.to_thread(examined, capsys, device)
            await rival.communicate(b"")
        assert failed(found) == ["access"]
        assert device in found["access"]["detail"]
        if sys.platform == "linux":
            assert f"(process {rival.pid})" in found["access"]["detail"]

    async def test_a_serial_server_that_is_taken(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It says so itself; each step is told once."""

        async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"Port already in use\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            address = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            found = await asyncio.to_thread(examined, capsys, address)
        assert failed(found) == ["answer"]
        assert "Port already in use" in found["answer"]["detail"]
        assert found["answer"]["advice"] == "end the other client of the serial server"

    async def test_a_serial_server_that_is_not_there(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The step is the answer, as there is no device."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"socket://127.0.0.1:{unused.getsockname()[1]}"
            found = await asyncio.to_thread(examined, capsys, address)
        assert failed(found) == ["answer"]

    @needs_pty
    async def test_locked_by_a_program_that_is_not_seen(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one of root: the one that is known to take ports is named, with how to stop it."""
        monkeypatch.setattr(examination, "holders", lambda _: [])
        monkeypatch.setattr(examination, "managers", lambda: ["ModemManager"])
        async with VirtualModule(SimOptions()) as module:
            device = await module.start_pty()
            rival = os.open(device, os.O_RDWR | os.O_NOCTTY)
            try:
                fcntl.flock(rival, fcntl.LOCK_EX)
                found = await asyncio.to_thread(examined, capsys, device)
            finally:
                os.close(rival)
        assert failed(found) == ["access"]
        assert "sudo systemctl stop ModemManager" in found["access"]["advice"]

    def test_no_serial_port(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()
        found = examined(capsys, str(file))
        assert failed(found) == ["access"]
        assert "can't open" in found["access"]["detail"]

    @needs_pty
    async def test_another_speed(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one that the module has is found and told, and the examination goes on."""
        monkeypatch.setattr(examination, "_SYNC_S", 1.0)
        async with VirtualModule(SimOptions(baud=9600, strict_baud=True)) as module:
            device = await module.start_pty()
            found = await asyncio.to_thread(examined, capsys, device)
        assert failed(found) == ["answer"]
        assert found["answer"]["detail"].startswith("at 9600 bit/s")
        assert "--baudrate 9600" in found["answer"]["advice"]
        assert found["registration"]["ok"] is True

    @needs_pty
    async def test_silence(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At every speed."""
        monkeypatch.setattr(examination, "_SYNC_S", 0.2)
        monkeypatch.setattr(examination, "_SCAN_S", 0.5)
        other, device = os.openpty()
        found = await asyncio.to_thread(examined, capsys, os.ttyname(device))
        os.close(other)
        os.close(device)
        assert failed(found) == ["answer"]
        assert "nothing came" in found["answer"]["detail"]


@needs_pty
async def test_a_link_that_goes_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    """The step that it happened in is told, and no traceback."""
    seen = asyncio.Event()
    options = SimOptions(
        attach_time=60, on_line=lambda _, text: seen.set() if "CGATT" in text else None
    )
    async with VirtualModule(options) as module:
        device = await module.start_pty()
        examining = asyncio.create_task(asyncio.to_thread(examined, capsys, device))
        await seen.wait()
        await module.aclose()
        found = await examining
    (step,) = failed(found)  # the one that asked just then
    assert "is lost" in found[step]["detail"]
    assert found["connection"]["detail"] == "not reached"


@COLUMNS
def test_it_fits_a_terminal(columns: int, tmp_path: Path) -> None:
    """Marks, names and details stand in columns; the report is in the file that was asked for."""
    file = tmp_path / "report"
    arguments = ["doctor", "--port", "sim://?sim=0", "--timeout", "0.2", "-o", str(file)]
    lines = screen(*arguments, columns=columns, code=1)
    assert any(line.endswith("✓ radio         is on") for line in lines)
    assert any("✗ SIM           timed out" in line for line in lines)
    assert any("What to do: put a SIM in" in line for line in lines)
    assert lines[-1] == "Not well: SIM; what to do stands at the step."
    assert "> AT+CPIN?" in file.read_text("utf-8")


@in_virtual_time
def test_the_report_ends_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file; the last line says what it all comes to."""
    assert main(["doctor", "--port", "sim://"]) == 0
    out = capsys.readouterr().out
    assert "── Report, to attach to an issue ─" in out
    assert "> AT+CEREG?" in out
    assert out.endswith("All is well, as far as it was tried.\n")
    assert not any(number in out for number in NUMBERS)


@pytest.mark.parametrize("moment", ["trying|waiting for an answer", "registering on the network"])
def test_control_c(moment: str) -> None:
    """130, and no traceback."""
    child = in_terminal("doctor", "--port", "sim://?register_time=60&latency=0.05")
    child.expect(moment)
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before


@pytest.mark.parametrize("to", ["example.com", "example.com:0", ":80", "example.com:http"])
def test_a_goal_that_can_not_be_read(capsys: pytest.CaptureFixture[str], to: str) -> None:
    """One line, before anything is opened."""
    assert main(["doctor", "--port", "sim://", "--to", to]) == 2
    captured = capsys.readouterr()
    assert f"{to!r} is not HOST:PORT" in captured.err
    assert captured.out == ""
