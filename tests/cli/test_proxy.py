"""``aiobc9x proxy`` as an operator runs it: a program, its clients, systemd and Prometheus."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError

import pytest

from tests.cli.test_piping import echo, serving
from tests.support.realtime import PATIENCE_S, ending

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs pseudo terminals")

ROOT = Path(__file__).resolve().parents[2]
NAME = "server.example"
ADDRESS = f"sim://?host={NAME}:127.0.0.1"


class Service:
    """A proxy that runs, and where it is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.proxy_port = self.status_port = 0

    @property
    def out(self) -> IO[str]:
        """What it prints."""
        assert self.process.stdout is not None
        return self.process.stdout

    def announced(self) -> None:
        """Read where it listens."""
        words = self.out.readline().split()
        if words[0] == "status":
            self.status_port = int(words[-1].rstrip("/").rpartition(":")[2])
            words = self.out.readline().split()
        assert words[:3] == ["SOCKS5", "and", "HTTP"]
        self.proxy_port = int(words[-1])

    def get(self, path: str, **options: Any) -> str:
        """Fetch a page of its status."""
        url = f"http://127.0.0.1:{self.status_port}{path}"
        request = urllib.request.Request(url, **options)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            text: str = response.read().decode()
            return text


@contextmanager
def service(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Service]:
    """Run the command until the block ends."""
    line = [sys.executable, "-m", "aiobc9x", "proxy", "--listen", "0", *arguments]
    if "--port" not in arguments:
        line += ["--port", ADDRESS]
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        line, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=os.environ | (env or {})
    )
    with ending(started) as process:
        yield Service(process)


def through_socks(proxy_port: int, host: str, port: int) -> socket.socket:
    """Connect as curl's --socks5-hostname does."""
    client = socket.create_connection(("127.0.0.1", proxy_port), PATIENCE_S)
    client.settimeout(PATIENCE_S)
    client.sendall(b"\x05\x01\x00")
    assert client.recv(2) == b"\x05\x00"
    name = host.encode()
    client.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
    assert client.recv(10)[:2] == b"\x05\x00"
    return client


def test_clients_connect_through_it() -> None:
    """Its counters tell; SIGTERM ends it as a service should end."""
    with serving(echo) as port, service("--metrics", "0") as made:
        made.announced()
        with through_socks(made.proxy_port, NAME, port) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            state = json.loads(made.get("/state.json"))
            assert state["proxy"]["connections"] == 1
            assert state["modems"][0]["sockets"] == 1
            assert state["modems"][0]["address"] == ADDRESS
        metrics = made.get("/metrics")
        assert "aiobc9x_opens_total{" in metrics
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(PATIENCE_S) == 0
        assert made.process.stderr is not None
        assert made.process.stderr.read() == ""


def test_the_page_for_people() -> None:
    """It may be framed by nobody and runs nothing; other paths and methods are refused."""
    with service("--metrics", "0") as made:
        made.announced()
        assert made.get("/").startswith("<!doctype html>")
        with pytest.raises(HTTPError, match="404"):
            made.get("/etc/passwd")
        with pytest.raises(HTTPError, match="405"):
            made.get("/", data=b"x", method="POST")
        url = f"http://127.0.0.1:{made.status_port}/"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_state_file(tmp_path: Path) -> None:
    """It is whole whenever somebody reads it."""
    path = tmp_path / "state.json"
    with service("--state-file", str(path)) as made:
        made.announced()
        while not path.exists():
            time.sleep(0.05)
        state = json.loads(path.read_text("utf-8"))
        assert state["proxy"]["port"] == made.proxy_port
        assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_ctrl_c() -> None:
    """No traceback; the code of an interrupted program."""
    with service() as made:
        made.announced()
        made.process.send_signal(signal.SIGINT)
        assert made.process.wait(PATIENCE_S) == 130
        assert made.process.stderr is not None
        assert made.process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--metrics", "0.0.0.0:0"), "can be reached by others"),
        (("--metrics", "nine"), "is no [HOST:]PORT"),
        (("--listen", "0.0.0.0:0"), "allow"),
        (("--forward", "nonsense"), "nonsense"),
    ],
)
def test_what_makes_no_sense_is_said(arguments: tuple[str, ...], words: str) -> None:
    """One line, exit code 2."""
    with service(*arguments) as made:
        _, err = made.process.communicate(timeout=PATIENCE_S)
    assert made.process.returncode == 2
    assert words in err
    assert err.count("\n") == 1


@contextmanager
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """The socket that systemd reads, and the environment that it gives a service."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(PATIENCE_S)
        yield sock, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}


def until(sock: socket.socket, word: str) -> str:
    """Read what is told until a word is among it."""
    while True:
        text = sock.recv(4096).decode()
        if word in text:
            return text


def test_systemd_is_told(tmp_path: Path) -> None:
    """READY when registered, STATUS in words, WATCHDOG while the module answers, then STOPPING."""
    with systemd(tmp_path) as (sock, env), service(env=env) as made:
        until(sock, "READY=1")
        assert "registered" in until(sock, "dBm")
        until(sock, "WATCHDOG=1")
        made.process.send_signal(signal.SIGTERM)
        until(sock, "STOPPING=1")
        assert made.process.wait(PATIENCE_S) == 0
