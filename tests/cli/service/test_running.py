"""A service and its modems over time: what systemd is told, second by second."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aiobc9x import open_pool
from aiobc9x.cli.service.running import Plan, Service, write_state
from tests.support.bench import Bench
from tests.support.clock import running, virtual

pytestmark = pytest.mark.skipif(os.name != "posix", reason="systemd is of Linux")


class Systemd:
    """Reads what a service tells, as systemd does."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def next(self) -> str:
        """What was told next; nothing if it has all been read."""
        try:
            return self._sock.recv(4096).decode()
        except BlockingIOError:
            return ""

    def heard(self, word: str) -> bool:
        """Read the rest; was something among it?"""
        return word in "".join(iter(self.next, ""))

    async def until(self, word: str) -> None:
        """Wait until something is told, and read as far as that."""
        async with asyncio.timeout(60):
            while word not in (told := self.next()):
                if not told:
                    await asyncio.sleep(0.1)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """A service manager whose watchdog bites after three seconds without a word."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.setblocking(False)
        yield Systemd(sock)


@contextlib.asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[None]:
    """Run a proxy over the module of a bench."""
    service = Service(Plan("127.0.0.1", 0, (), False, None))
    async with open_pool([bench.create]) as pool:
        task = asyncio.create_task(service.run(pool))
        yield
        task.cancel()
        await asyncio.wait([task])


@virtual
async def test_a_silent_module_starves_the_watchdog(systemd: Systemd) -> None:
    """Within 20 s, though the service itself is well; it is fed again once the module answers."""
    async with Bench() as bench, serving(bench):
        await systemd.until("READY=1")
        for _ in range(60):
            await asyncio.sleep(1.1)
            assert systemd.heard("WATCHDOG=1")
        bench.silence(True)
        began = fed = running().now
        while running().now < began + 60:
            await asyncio.sleep(0.1)
            if systemd.heard("WATCHDOG=1"):
                fed = running().now
        assert fed < began + 20
        bench.silence(False)
        await systemd.until("WATCHDOG=1")


@virtual
async def test_the_state_is_told_in_words(systemd: Systemd) -> None:
    """When it changes, and not again and again."""
    async with Bench() as bench, serving(bench):
        await systemd.until(" dBm, 0 of 6 sockets in use")
        await asyncio.sleep(60)
        assert not systemd.heard("STATUS=")
        bench.silence(True)
        await systemd.until(" recovering")


def test_a_state_file_that_is_no_file_is_written_to(tmp_path: Path) -> None:
    """Root could else put a file in the place of a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_state(pipe, "{}")
        assert os.read(reader, 100) == b"{}"
    finally:
        os.close(reader)
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]
    write_state(tmp_path / "file", "{}")
    assert (tmp_path / "file").read_text("utf-8") == "{}"
    assert len([*tmp_path.iterdir()]) == 2
