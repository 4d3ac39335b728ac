"""Exit codes, and errors as one line."""

import errno
import os
import re
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aiobc9x.cli import main as cli
from aiobc9x.cli import simulate
from aiobc9x.errors import LinkTimeout, WriteFailed
from aiobc9x.wire.framer import COMPILED
from tests.support.realtime import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version``, the package and its metadata agree; the framer's form stands behind it."""
    assert cli.main(["--version"]) == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    form = "compiled" if COMPILED else "pure Python"
    assert capsys.readouterr().out == f"aiobc9x {project['version']} ({form} framer)\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["hello"], "there is no command 'hello' (see 'aiobc9x --help')"),
        (["pingg"], "there is no command 'pingg'; did you mean 'ping'? (see 'aiobc9x --help')"),
        (["demo", "--unknown"], "--unknown"),
        (["ping"], "missing argument 'HOST' (see 'aiobc9x ping --help')"),
        (["--port", "x", "ping"], "--port"),
        (["ping", "a", "--baudrate", "fast"], "'fast' is no number of bits per second"),
        (["connect", "a", "http"], "invalid value for 'PORT': 'http' is not an integer"),
        (["ping", "a", "--count", "few"], "'few' is not an integer"),
        (["connect", "a", "7", "--linger", "long"], "'long' is not a number"),
        (["proxy", "--port", "sim://", "--listen", "0.0.0.0:1080"], "; give --allow-remote if"),
    ],
)
def test_bad_arguments_exit_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    """One line on stderr says what is wrong and where help is."""
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(rf"aiobc9x: .*{re.escape(line)}.*\n", captured.err), captured.err


def test_the_same_mistake_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    """By another call in the same process."""
    for _ in range(2):
        assert cli.main(["trace", "show", "none.jsonl"]) == 1
        assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Also without any argument; each command has one line."""
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    for name, summary in cli.COMMANDS.items():
        assert re.search(rf"^  {name} +{summary[:20]}", out, re.MULTILINE), name


def test_help_loads_no_command() -> None:
    """It comes at once: without asyncio, and without what commands need."""
    code = "import sys; from aiobc9x.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"asyncio", "rich", "serial", "aiobc9x.open", "aiobc9x.cli.demo"}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Its help is a sentence and its options; none takes the port in front of the command."""
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: aiobc9x {name} ")
    assert out.count("--help") == 1


def test_completion_comes_from_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``_AIOBC9X_COMPLETE=bash_source aiobc9x`` prints what a shell sources."""
    monkeypatch.setenv("_AIOBC9X_COMPLETE", "bash_source")
    assert cli.main([]) == 0
    assert "complete -o nosort" in capsys.readouterr().out
    monkeypatch.setenv("_AIOBC9X_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "aiobc9x re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert cli.main([]) == 0
    assert capsys.readouterr().out == "plain,resolve\n"


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    """The version is told all the same, by an installation that is there for its library."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no click', name='click')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    call = [sys.executable, "-m", "aiobc9x"]
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([*call, "ping"], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "aiobc9x: the command line needs some more packages: pip install 'aiobc9x[cli]'\n"
    )
    done = subprocess.run([*call, "--version"], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.startswith("aiobc9x ")


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
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
            1,
            r"aiobc9x: TLS failed: wrong version number; does the peer speak TLS at this port\?\n",
        ),
        (
            ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1006)"),
            1,
            "aiobc9x: TLS failed: no shared cipher\n",
        ),
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

    def fail(**_options: object) -> int:
        raise raised

    monkeypatch.setattr(simulate.command, "callback", fail)
    assert cli.main(["simulate"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(line, captured.err)


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
@pytest.mark.parametrize(
    ("arguments", "closed", "code", "shown"),
    [
        ("info --json", ">&-", 0, ""),
        ("ports", "<&- >&- 2>&-", 0, ""),
        ("at", "<&-", 0, ""),
        ("connect example.com 7", "<&- 2>&-", 1, ""),
        ("ping nowhere.example", "2>&-", 1, ""),
    ],
)
def test_standard_streams_may_be_closed(arguments: str, closed: str, code: int, shown: str) -> None:
    """As a daemon starts a program: it does what it does, and nothing is mistaken for them."""
    line = f"{sys.executable} -m aiobc9x {arguments} {closed}"
    env = os.environ | {"PYTHONPATH": str(ROOT), "AIOBC9X_PORT": "sim://"}
    run = ["sh", "-c", line]
    done = subprocess.run(
        run, capture_output=True, text=True, env=env, check=False, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (code, shown), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("closes_its_files")
def test_a_reader_that_has_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in ``| head``: nobody is there to be told, and what is still buffered goes nowhere."""

    def fail(**_options: object) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(simulate.command, "callback", fail)
    log = tmp_path / "stdout"
    with log.open("w") as stream:
        stream.write("buffered")
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["simulate"]) == 1
    assert log.read_text() == ""
