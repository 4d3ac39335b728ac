"""The telemetry, and libcoap's server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import Site
from tests.examples.running import example, interrupt


@pytest.mark.usefixtures("sensor")
async def test_sends_and_sleeps(site: Site, tmp_path: Path) -> None:
    """Each reading is put, over one socket, and the module is let sleep behind it."""
    arguments = ("--port", site.device, "--every", "0.2")
    async with example("coap_telemetry", *arguments, folder=tmp_path) as program:
        await program.line("the network grants PowerSaving(active_s=10, period_s=86400)")
        await program.line("1 sent: 2.01 Created")
        await program.line("1 sent: 2.04 Changed")
        await program.line("1 sent: 2.04 Changed")
        await interrupt(program)
    assert site.virtual.statistics.opens == 1
    assert site.virtual.module.sockets.by_id == {}


@pytest.mark.usefixtures("sensor")
async def test_keeps_what_was_not_taken(site: Site, tmp_path: Path) -> None:
    """A reading that the server refuses goes out again with the next one."""
    uri = "coap://sensor.example/.well-known/core"
    arguments = ("--port", site.device, "--every", "0.2", "--uri", uri)
    async with example("coap_telemetry", *arguments, folder=tmp_path) as program:
        await program.line("1 sent: 4.0")
        await program.line("2 sent: 4.0")
        await interrupt(program)
