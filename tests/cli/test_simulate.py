"""The virtual module as a command, from outside, as a program in any language sees it."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aiobc9x.cli.main import main
from aiobc9x.cli.simulate import host_and_port
from tests.support.realtime import PATIENCE_S, ending

ROOT = Path(__file__).resolve().parents[2]

needs_pty = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")


def simulation(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run the command until the block ends."""
    return running(sys.executable, "-m", "aiobc9x", "simulate", *arguments)


def running(*line: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run a program until the block ends."""
    pipe = subprocess.PIPE
    return ending(subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, cwd=ROOT))


def first_line(process: subprocess.Popen[str]) -> str:
    """The device that the command prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answer(device: int, command: bytes) -> bytes:
    """What the device says to a command, up to its OK."""
    os.write(device, command + b"\r")
    said = b""
    while not said.endswith(b"\r\nOK\r\n"):
        said += os.read(device, 1000)
    return said


@needs_pty
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_pty_until_a_signal(number: signal.Signals, code: int) -> None:
    """The first line is a device that answers; Ctrl-C is told as by any program."""
    with simulation("--ip", "10.1.2.3") as process:
        device = os.open(first_line(process), os.O_RDWR | os.O_NOCTTY)
        try:
            assert b'+CGPADDR: 1,"10.1.2.3"' in answer(device, b"AT+CGPADDR?")
        finally:
            os.close(device)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert out == ""
    assert err == "Open this device as a serial port. Ctrl-C ends the module.\n"


@needs_pty
@pytest.mark.parametrize("command", [["simulate"], ["demo", "--latency", "1"]])
def test_ctrl_c_while_modules_load(command: list[str]) -> None:
    """That takes a quarter of a second, and nobody wants to see what was being loaded."""
    with running(sys.executable, "-X", "importtime", "-m", "aiobc9x", *command) as process:
        assert process.stderr is not None
        said = [next(row for row in process.stderr if row.rstrip().endswith(" click"))]
        process.send_signal(signal.SIGINT)
        said += process.stderr.readlines()
        assert process.wait(PATIENCE_S) == 130
    assert [row for row in said if not row.startswith("import time:")] == []


@needs_pty
def test_ctrl_c_that_is_ignored() -> None:
    """As a shell starts programs in the background: the signal is none of its business."""
    ignoring = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    code = ignoring + "os.execv(sys.executable, [sys.executable, '-m', 'aiobc9x', 'simulate'])"
    with running(sys.executable, "-c", code) as process:
        device = os.open(first_line(process), os.O_RDWR | os.O_NOCTTY)
        try:
            process.send_signal(signal.SIGINT)
            assert b"OK" in answer(device, b"AT")
        finally:
            os.close(device)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


@needs_pty
def test_tcp_and_the_dialogue() -> None:
    """``--verbose`` shows each line both ways, behind the address."""
    with simulation("sim://?banner=HELLO", "--tcp", "0", "--verbose") as process:
        scheme, _, port = first_line(process).rpartition(":")
        assert scheme == "socket://127.0.0.1"
        with socket.create_connection(("127.0.0.1", int(port))) as link:
            assert b"OK" in answer(link.fileno(), b"AT+CGATT?")
        process.send_signal(signal.SIGINT)
        # communicate() would pass by what came with the first line and is buffered here.
        assert process.stdout is not None
        out = process.stdout.read()
        assert process.stderr is not None
        words = process.stderr.read()
    assert words.startswith("This is the module's serial line, raw bytes over TCP")
    assert "no web server" in words
    texts = [row[8:].split("  ")[0].strip() for row in out.splitlines()]
    assert texts == ["← HELLO", "→ AT+CGATT?", "← +CGATT: 1", "← OK"]


@needs_pty
@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_ipv6_address_is_printed_as_it_is_opened() -> None:
    """In brackets."""
    with simulation("--tcp", "[::1]:0") as process:
        assert re.fullmatch(r"socket://\[::1\]:[0-9]+", first_line(process))


@needs_pty
def test_a_reader_that_goes_away_ends_it() -> None:
    """As in ``| head -1``: no traceback, and nothing left running."""
    with simulation("--verbose") as process:
        device = os.open(first_line(process), os.O_RDWR | os.O_NOCTTY)
        try:
            assert process.stdout is not None
            process.stdout.close()
            os.write(device, b"AT\r")
            assert process.wait(PATIENCE_S) == 1
        finally:
            os.close(device)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", ("127.0.0.1", 0)),
        ("2000", ("127.0.0.1", 2000)),
        ("0.0.0.0:2000", ("0.0.0.0", 2000)),
        ("[::1]:2000", ("::1", 2000)),
        (":2000", ("127.0.0.1", 2000)),
    ],
)
def test_addresses_to_listen_on(text: str, expected: tuple[str, int]) -> None:
    """Loopback unless a host is named."""
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "65536", "-1", "1.2.3.4:x"])
def test_bad_addresses_to_listen_on(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """The message quotes what was given."""
    assert main(["simulate", f"--tcp={text}"]) == 2
    assert repr(text) in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed as a device then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["simulate", "--tcp", str(port)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("aiobc9x: ")
    assert captured.err.count("\n") == 1


def test_a_host_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The system's words alone don't say what isn't known."""
    assert main(["simulate", "--tcp", "300.1.1.1:7000"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("aiobc9x: --tcp: '300.1.1.1' is no address of this machine: ")
    assert captured.err.count("\n") == 1


def test_a_bad_parameter_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It names the parameter."""
    assert main(["simulate", "--prompt", "long"]) == 2
    assert "prompt='long'" in capsys.readouterr().err
