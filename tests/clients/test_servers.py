"""What becomes of a test whose server is missing, or doesn't start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients import servers


@pytest.mark.parametrize("cared_for", [False, True])
def test_missing_server(cared_for: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is left out and says what to install; where CI is set, it fails."""
    monkeypatch.setattr(servers, "CARED_FOR", cared_for)
    outcome = pytest.fail.Exception if cared_for else pytest.skip.Exception
    with pytest.raises(outcome, match=r"no nosuchd on this machine.*apt install nosuch-server"):
        servers.program("nosuch-server", "nosuchd", "nosuch")


async def never() -> bool:
    """Don't answer."""
    return False


async def test_server_that_ends(tmp_path: Path) -> None:
    """What it said is in the error."""
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    with pytest.raises(servers.StartFailed, match="ended: no such option"):
        async with servers.running(command, tmp_path, never):
            pytest.fail("it can't be ready")


async def test_server_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and ended."""
    monkeypatch.setattr(servers, "PATIENCE_S", 0.05)
    with pytest.raises(servers.StartFailed, match="doesn't answer"):
        async with servers.running(["sleep", "60"], tmp_path, never):
            pytest.fail("it can't be ready")
