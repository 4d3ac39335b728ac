"""The log on stderr, as a command's options want it."""

import io
import logging
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import patch

import click
import pytest

import aiobc9x
from aiobc9x.cli import main as cli
from aiobc9x.cli.opening import Port, hush, is_journal, listen
from aiobc9x.logs import Logs
from tests.support.pages import ROOT
from tests.support.realtime import PATIENCE_S


@pytest.mark.parametrize(
    ("verbosity", "shown", "hushed"),
    [
        (0, ["lost"], []),
        (1, ["news", "lost"], ["news", "lost"]),
        (2, ["> AT", "news", "lost"], ["> AT", "news", "lost"]),
    ],
)
def test_a_command_that_tells_warnings_itself_hushes_them(
    capsys: pytest.CaptureFixture[str], verbosity: int, shown: list[str], hushed: list[str]
) -> None:
    """But not what -v asks for."""
    logger = logging.getLogger("aiobc9x.aio")
    for is_hushed, expected in ((False, shown), (True, hushed)):
        listen(verbosity)
        if is_hushed:
            hush()
        logger.debug("> AT")
        logger.info("news")
        logger.warning("lost")
        lines = capsys.readouterr().err.splitlines()
        start = " ms  " if verbosity else "aiobc9x: "
        assert [line.partition(start)[2] for line in lines] == expected


def test_of_several_modems_each_line_names_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of one would else be anybody's."""
    log = Logs("/dev/ttyUSB1").aio
    listen(0)
    log.warning("! lost")
    listen(1, named=True)
    log.info("= back")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "aiobc9x: /dev/ttyUSB1: lost"
    assert second.endswith(" ms  /dev/ttyUSB1  = back")


@pytest.mark.skipif(sys.platform == "win32", reason="systemd is of Linux")
def test_the_journal_has_its_own_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And learns the level, so that ``journalctl -p warning`` finds what it looks for."""
    here = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{here.st_dev}:{here.st_ino}")
    listen(2)
    log = Logs("/dev/ttyUSB1").aio
    log.warning("! lost")
    log.info("= back")
    log.debug("> AT")
    log.say(logging.CRITICAL, "! on fire")
    assert capsys.readouterr().err == "<4>! lost\n<6>= back\n<7>> AT\n<5>! on fire\n"
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")  # of another process: stderr leads elsewhere
    assert not is_journal()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lambda _: (_ for _ in ()).throw(OSError("closed")))
        assert not is_journal()


def test_the_log_goes_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt puts its own in place of it, so that lines appear above what is being typed."""
    listen(0)
    monkeypatch.setattr(sys, "stderr", above := io.StringIO())
    logging.getLogger("aiobc9x.aio").warning("lost")
    assert above.getvalue() == "aiobc9x: lost\n"


def test_a_port_is_named_without_its_parameters() -> None:
    """One of them may be a PIN."""
    assert Port("sim://?pin=1234", {}).name == "sim://"
    assert Port("/dev/ttyUSB0", {}).name == "/dev/ttyUSB0"


def test_a_failure_that_was_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A lost modem is told of by the log, and then by the command that needed it."""

    @click.command()
    def failing() -> None:
        listen(0)
        Logs("/dev/ttyUSB1").aio.warning("! /dev/ttyUSB1 is lost: unplugged")
        raise aiobc9x.LinkLost("/dev/ttyUSB1 is lost: unplugged")

    module = SimpleNamespace(command=failing)
    for _ in range(2):  # another call says it again
        with (
            patch.dict(cli.COMMANDS, {"failing": "fail"}),
            patch.dict(sys.modules, {"aiobc9x.cli.failing": module}),
        ):
            assert cli.main(["failing"]) == 1
        assert capsys.readouterr().err == "aiobc9x: /dev/ttyUSB1 is lost: unplugged\n"


COMMAND = """
import asyncio, sys
from aiobc9x.cli import opening
opening.AT_ONCE_S = float(sys.argv[1])

@opening.runs
async def command():
    print("open", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("closing", flush=True)
        await asyncio.sleep(float(sys.argv[2]))
        print("closed", flush=True)

try:
    command()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process on Windows")
@pytest.mark.parametrize(
    ("at_once", "takes", "count", "out", "err"),
    [
        ("0", "0", 1, "closed\n", ""),
        ("60", "0.2", 5, "closed\n", ""),
        ("0", "60", 3, "", "aiobc9x: closing what is open on the module; Ctrl-C once more .*\n"),
    ],
)
def test_control_c_closes_first(at_once: str, takes: str, count: int, out: str, err: str) -> None:
    """Pressed in a hurry it is one; the second one says what goes on, and the third one ends it."""
    pipe, env = subprocess.PIPE, os.environ | {"PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", COMMAND, at_once, takes]
    with subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "closing\n"
        said = ""
        for _ in range(count - 1):
            process.send_signal(signal.SIGINT)
            if err and not said:
                said = process.stderr.readline()
        assert process.wait(PATIENCE_S) == 130
        assert process.stdout.read() == out
        assert re.fullmatch(err, said + process.stderr.read())
