"""What systemd is told, and by which rules."""

import os
import socket
from pathlib import Path

import pytest

from aiobc9x.cli.service.systemd import notify, watchdog_s
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(os.name != "posix", reason="systemd is of Linux")


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a person starts the command."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_socket_that_has_gone_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The service goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize("name", ["{path}/notify", "@aiobc9x-{pid}"])
def test_assignments_go_as_one_datagram(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """To a path, or to a name of the abstract namespace."""
    address = name.format(path=tmp_path, pid=os.getpid())
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        sock.settimeout(PATIENCE_S)
        notify("READY=1", "STATUS=well")
        assert sock.recv(100) == b"READY=1\nSTATUS=well"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("3000000", "", 3.0),
        ("3000000", "ours", 3.0),
        ("3000000", "1", None),  # of another process
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdogs_time(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    """It is in the environment, and may be meant for another process."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid.replace("ours", str(os.getpid())))
    assert watchdog_s() == seconds
