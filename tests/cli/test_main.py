"""Exit codes, and errors as one line."""

import argparse
import errno
import re
import sys
import tomllib
from pathlib import Path

import pytest

from aiobc9x.cli import main as cli
from aiobc9x.cli import simulate
from aiobc9x.errors import LinkTimeout, WriteFailed
from aiobc9x.wire.framer import COMPILED

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version``, the package and its metadata agree; the framer's form stands behind it."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert ended.value.code == 0
    form = "compiled" if COMPILED else "pure Python"
    assert capsys.readouterr().out == f"aiobc9x {project['version']} ({form} framer)\n"


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--unknown"]])
def test_bad_arguments_exit_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """The usage and one line on stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (LinkTimeout("no answer to AT"), 1, "aiobc9x: no answer to AT\n"),
        (WriteFailed("AT+QISEND", 558), 1, r"aiobc9x: .*module error 558.*\n"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "x.nv"),
            1,
            "aiobc9x: No such file: x.nv\n",
        ),
        (OSError(), 1, "aiobc9x: OSError\n"),
        (ValueError("baud is -1"), 2, "aiobc9x: baud is -1\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    line: str,
) -> None:
    """No traceback, whatever goes wrong."""

    def fail(arguments: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr(simulate, "run", fail)
    assert cli.main(["simulate"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(line, captured.err)


@pytest.mark.usefixtures("closes_its_files")
def test_a_reader_that_has_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in ``| head``: nobody is there to be told, and what is still buffered goes nowhere."""

    def fail(arguments: argparse.Namespace) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(simulate, "run", fail)
    log = tmp_path / "stdout"
    with log.open("w") as stream:
        stream.write("buffered")
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["simulate"]) == 1
    assert log.read_text() == ""
