"""``get`` brings a file whole, whatever interrupts it."""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aiobc9x import adapters
from aiobc9x.cli import get
from aiobc9x.cli.main import main
from tests.support.realtime import PATIENCE_S

BODY = random.Random(20).randbytes(30_000)


class Site(ThreadingHTTPServer):
    """A server of one file.

    Attributes:
        breaks: After how many bytes of its body each response ends, in order; then none does.
        ranges: Whether it has Range.
        headers: What it sends besides.
        asked: The Range of each request.
        agents: The clients that asked.
        body: The file.

    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []
        self.ranges = True
        self.headers = {"ETag": '"one"'}
        self.asked: list[str | None] = []
        self.agents: set[str | None] = set()
        self.body = BODY

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"http://127.0.0.1:{self.server_address[1]}/files/map.bin"


class Handler(BaseHTTPRequestHandler):
    """Answer with the file, or a part of it."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        site, asked = self.server, self.headers["Range"]
        site.asked.append(asked)
        site.agents.add(self.headers["User-Agent"])
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
        if self.headers["If-Range"] not in {None, site.headers.get("ETag")}:
            start = 0
        if self.path != "/files/map.bin":
            self.send_error(404)
            return
        body = site.body[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(site.body)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        for name, value in {**site.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        stop = site.breaks.pop(0) if site.breaks else len(body)
        self.wfile.write(body[:stop])
        self.close_connection = stop < len(body)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    """A server in a thread."""
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is never busy."""
    monkeypatch.setattr(get, "_PAUSE_S", 0.0)


def fetched(site: Site, path: Path, *options: str, code: int = 0, address: str = "sim://") -> None:
    """Call the command."""
    assert main(["get", site.url, "-o", str(path), "--port", address, *options]) == code


def leftovers(path: Path) -> list[str]:
    """What lies beside the file."""
    return sorted(each.name for each in path.parent.iterdir() if each != path)


def test_a_whole_file(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left beside it; the last line sums up."""
    path = tmp_path / "map.bin"
    fetched(site, path)
    assert path.read_bytes() == BODY
    assert leftovers(path) == []
    assert ": 30000 bytes, " in capsys.readouterr().out
    assert site.asked == [None]


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param((), marks=pytest.mark.skipif(not find_spec("httpx2"), reason="no httpx2")),
        ("httpx2",),
    ],
)
def test_either_library_will_do(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    """httpx2 where it is installed, else httpx; a connection that breaks is no end with either."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"aiobc9x.adapters.{name}", raising=False)
        monkeypatch.delattr(adapters, name, raising=False)
    site.breaks = [5000]
    fetched(site, tmp_path / "map.bin")
    assert (tmp_path / "map.bin").read_bytes() == BODY
    (agent,) = site.agents
    assert (agent or "").startswith("python-httpx/" if missing else "python-httpx2/")


def test_without_a_library(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to install."""
    for name in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"aiobc9x.adapters.{name}", raising=False)
        monkeypatch.delattr(adapters, name, raising=False)
    fetched(site, tmp_path / "map.bin", code=1)
    assert "pip install 'aiobc9x[cli,http]'" in capsys.readouterr().err
    assert site.asked == []


def test_it_goes_on_where_a_connection_broke(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each rest is asked for by a range, and said."""
    path = tmp_path / "map.bin"
    site.breaks = [5000, 7000]
    fetched(site, path, "--json")
    assert path.read_bytes() == BODY
    assert site.asked == [None, "bytes=5000-", "bytes=12000-"]
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["bytes"], told["received"], told["resumed"]) == (30000, 30000, 2)
    assert "resumed at 12000 of 30000 bytes" in captured.err


def test_it_goes_on_after_a_restart_of_the_module(site: Site, tmp_path: Path) -> None:
    """The connection ends with the module's; the modem comes back by itself."""
    path = tmp_path / "map.bin"
    fetched(site, path, address="sim://?fault=reset;on=AT%2BQIRD;after=12")
    assert path.read_bytes() == BODY
    assert len(site.asked) == 2


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {}, {"ETag": 'W/"weak"'}])
def test_a_server_without_ranges_begins_again(
    site: Site, tmp_path: Path, headers: dict[str, str]
) -> None:
    """What came before it doesn't count twice."""
    path = tmp_path / "map.bin"
    site.ranges, site.breaks, site.headers = False, [9000], headers
    fetched(site, path)
    assert path.read_bytes() == BODY
    assert site.asked == [None, "bytes=9000-"]


def test_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    """The part is kept when it is given up, with the name of its version."""
    path = tmp_path / "map.bin"
    site.breaks = [8000, *[0] * 20]
    fetched(site, path, code=1)
    assert leftovers(path) == ["map.bin.part", "map.bin.part.json"]
    site.breaks, site.asked = [], []
    fetched(site, path)
    assert path.read_bytes() == BODY
    assert site.asked == ["bytes=8000-"]
    assert leftovers(path) == []


def test_another_version_begins_again(site: Site, tmp_path: Path) -> None:
    """Two halves of two files are no file."""
    path = tmp_path / "map.bin"
    site.breaks = [8000, *[0] * 20]
    fetched(site, path, code=1)
    site.breaks, site.body, site.headers = [], BODY[::-1], {"ETag": '"two"'}
    fetched(site, path)
    assert path.read_bytes() == BODY[::-1]


def test_what_the_server_lacks_is_said(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its status, in one line."""
    url = site.url.replace("map", "other")
    assert main(["get", url, "-o", str(tmp_path / "x"), "--port", "sim://"]) == 1
    assert "the server answers 404 Not Found" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("url", ["example.com/map.bin", "ftp://example.com/x", "http:///x"])
def test_what_is_no_url(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """It is the argument that is wrong."""
    assert main(["get", url, "--port", "sim://"]) == 2
    assert "is no URL of HTTP" in capsys.readouterr().err


def test_a_host_that_is_not_there_is_asked_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Trying again would not change it."""
    url = "http://nobody.example/x"
    assert main(["get", url, "-o", str(tmp_path / "x"), "--port", "sim://"]) == 1
    text = capsys.readouterr().err
    assert "no such name: nobody.example" in text
    assert text.count("\n") == 1


class TestStreams:
    """What is written to is no file."""

    def test_stdout(self, site: Site, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """The file alone goes there, whole also behind an interruption; what is said doesn't."""
        site.breaks = [12_000]
        assert main(["get", site.url, "-o", "-", "--port", "sim://"]) == 0
        captured = capfdbinary.readouterr()
        assert captured.out == BODY
        assert b"resumed once" in captured.err

    @pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in a folder on Windows")
    def test_what_is_there_is_not_replaced(self, site: Site, tmp_path: Path) -> None:
        """A pipe, as a device, is written to: root could else have a file in its place."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        came: list[bytes] = []
        reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
        reader.start()
        assert main(["get", site.url, "-o", str(pipe), "--port", "sim://"]) == 0
        reader.join(PATIENCE_S)
        assert came == [BODY]
        assert pipe.is_fifo()
        assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_server_without_tls_is_asked_once(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It will not have learned it by the next try."""
    url = site.url.replace("http:", "https:")
    assert main(["get", url, "-o", str(tmp_path / "x"), "--port", "sim://"]) == 1
    line = "aiobc9x: TLS failed: .*; does the peer speak TLS at this port\\?\n"
    assert re.fullmatch(line, capsys.readouterr().err)
    assert [*tmp_path.iterdir()] == []


def test_nobody_is_told_a_number_of_the_system(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client takes over the text of our errors, and their numbers with it."""
    url = site.url.replace(str(site.server_address[1]), "1")
    assert main(["get", url, "-o", str(tmp_path / "x"), "--port", "sim://"]) == 1
    assert capsys.readouterr().err.startswith("aiobc9x: connection refused: 127.0.0.1:1")
