"""Show, save and load settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aiobc9x.cli.main import main
from tests.support.terminals import COLUMNS, ended, in_terminal, screen

pytestmark = pytest.mark.usefixtures("virtual_time")


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What the command prints."""
    assert main(["config", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.fixture
def port(tmp_path: Path) -> list[str]:
    """The option for a module that remembers."""
    return ["--port", f"sim://?nvram={tmp_path / 'nvram'}"]


def test_a_module_is_set_as_another_one(
    capsys: pytest.CaptureFixture[str], port: list[str], tmp_path: Path
) -> None:
    """Saved, edited, compared, loaded, and there when it is opened again."""
    file = tmp_path / "settings.toml"
    assert output(capsys, "save", str(file), *port) == f"7 settings are in {file}\n"
    assert output(capsys, "show", str(file), *port) == f"the module is set as {file} says\n"
    text = file.read_text().replace("show_length = false", "show_length = true")
    file.write_text(text.replace('"crlf"', '"comma"'))
    rows = [line.split() for line in output(capsys, "show", str(file), *port).splitlines()]
    assert rows[0][:2] == ["setting", "module"]
    assert rows[1:] == [["view_mode", '"crlf"', '"comma"'], ["show_length", "false", "true"]]
    assert "would be made" in output(capsys, "load", str(file), "--dry-run", *port)
    told = json.loads(output(capsys, "show", str(file), "--json", *port))
    assert told["differences"] == {"view_mode": "comma", "show_length": True}
    told = json.loads(output(capsys, "load", str(file), "--json", *port))
    assert (told["changed"], told["not_made"]) == (["view_mode", "show_length"], {})
    assert json.loads(output(capsys, "show", "--json", *port))["view_mode"] == "comma"
    assert output(capsys, "load", str(file), *port) == f"the module is set as {file} says\n"


def test_the_dialogue_can_be_recorded(
    capsys: pytest.CaptureFixture[str],
    port: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the option or the variable, as of all commands that talk to a module."""
    output(capsys, "show", *port, "--trace", str(tmp_path / "option"))
    monkeypatch.setenv("AIOBC9X_TRACE", str(tmp_path / "variable"))
    output(capsys, "show", *port)
    assert "AT+QSCLK?" in (tmp_path / "option").read_text()
    assert "AT+QSCLK?" in (tmp_path / "variable").read_text()


def test_a_module_that_boots_as_its_port_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    """It is spoken to again behind its banner."""
    assert "show_length" in output(capsys, "show", "--port", "sim://?chunk=1")
    address = "sim://?fault=replace-line;on=OK;after=1;data=RDY"
    assert "show_length" in output(capsys, "show", "--port", address)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ('error;on=AT%2BQICFG="viewmode",1;times=9', "refused: the module refused"),
        ('replace-line;on=%2BQICFG: "viewmode",1;data=%2BQICFG: "viewmode",0;times=9', "but the"),
    ],
)
def test_what_is_not_made_is_told(
    capsys: pytest.CaptureFixture[str], port: list[str], tmp_path: Path, fault: str, words: str
) -> None:
    """Whether the module says no, or says yes and does not."""
    file = tmp_path / "settings.json"
    file.write_text('{"view_mode": "comma", "sleep": 1}')
    address = ["--port", f"{port[1]}&fault={fault}"]
    out = output(capsys, "load", str(file), *address, code=1)
    view, sleep = [line for line in out.splitlines()[1:] if re.match("view|sleep", line)]
    assert words in view
    assert sleep.endswith("made")
    told = json.loads(output(capsys, "load", str(file), "--json", *address, code=1))
    assert [*told["not_made"]] == ["view_mode"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["load", "nowhere.toml"], 1, "No such file or directory: nowhere.toml"),
        (["save"], 2, "missing argument 'FILE' (see 'aiobc9x config save --help')"),
        (["dance"], 2, "no such command 'dance'"),
        (["show", "--port", "/dev/ttyUSB99"], 1, "there is no serial device /dev/ttyUSB99"),
    ],
)
def test_what_fails_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    """With the exit code of its kind."""
    given = (
        arguments
        if "--port" in arguments or arguments == ["dance"]
        else [
            *arguments,
            "--port",
            "sim://",
        ]
    )
    assert main(["config", *given]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_alone_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """As aiobc9x alone does."""
    out = output(capsys)
    assert out.startswith("Usage: aiobc9x config ")
    assert {"show", "save", "load"} <= {*out.split()}


@COLUMNS
def test_it_fits_a_terminal(port: list[str], columns: int) -> None:
    """Names in one column, values in the other."""
    lines = screen("config", "show", *port, columns=columns)
    assert lines[0].split() == ["receive_format", '"text"']
    assert lines[-1].startswith("context_1 ")


@pytest.mark.parametrize("moment", ["> AT", r"> AT\+CPSMS\?", r'viewmode",1'])
def test_control_c(tmp_path: Path, moment: str) -> None:
    """130, no traceback; the next one finds a module in step."""
    file = tmp_path / "settings.json"
    file.write_text('{"view_mode": "comma", "sleep": 1}')
    # It never ends by itself: an interrupt that comes late would find nothing to interrupt.
    address = f"sim://?latency=0.1&fault=stuck;on=AT%2BQSCLK%3D&nvram={tmp_path / 'nvram'}"
    child: Any = in_terminal("config", "load", str(file), "-vv", "--port", address, columns=200)
    child.expect(moment)
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before
