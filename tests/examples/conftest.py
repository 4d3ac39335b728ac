"""The virtual module and the servers are those of tests/clients."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients import servers
from tests.clients.conftest import (
    broker,
    certificates,
    pytest_runtest_call,
    sensor,
    site,
    trusting,
)

__all__ = ["broker", "certificates", "pytest_runtest_call", "sensor", "site", "trusting"]


@pytest.fixture
async def web(tmp_path: Path, certificates: servers.Certificates) -> AsyncIterator[servers.Nginx]:
    """nginx, for programs that have a virtual module of their own."""
    async with servers.nginx(tmp_path, certificates) as nginx:
        yield nginx
