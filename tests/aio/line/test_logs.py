"""What the package writes into logs: enough to find a fault, and nobody's data."""

from __future__ import annotations

import logging

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ADDRESS, Bench, plugged_in
from tests.support.clock import virtual
from tests.support.scripted import ScriptedDevice, agreeable

SECRET = "s3cret"


@virtual
async def test_bytes_that_nobody_can_place_are_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They may be some connection's payload: the name of a line and its length must do."""
    device = ScriptedDevice(agreeable)
    caplog.set_level(logging.DEBUG, "aiobc9x")
    with plugged_in(lambda _: device):
        async with aiobc9x.open_modem(ADDRESS, poll_interval=0) as modem:
            events = modem.subscribe()
            device.say(b"+VENDOR: s3cret\r\ns3cret\r\n" + b"s3cret" * 1000 + b"\r\n")
            assert await anext(events) == aiobc9x.Unknown(b"+VENDOR: s3cret")
            assert await modem.command("AT") == []
    lines = [record.message for record in caplog.records]
    assert "! unknown line: +VENDOR: (15 bytes)" in lines
    assert "! unknown line: (6 bytes)" in lines
    assert [line for line in lines if "line exceeds" in line and line.endswith("size_bytes 4096")]
    assert SECRET not in str(lines)


@virtual
async def test_passwords_of_raw_commands_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log nor in the error, whose attribute has the line."""
    async with Bench() as bench:
        caplog.set_level(logging.DEBUG, "aiobc9x")
        modem = await bench.open()
        line = 'AT+CGAUTH=1,1,"user","s3cret"'
        bench.add_fault(Fault(FaultKind.ERROR, on="AT+CGAUTH", times=10))
        with pytest.raises(aiobc9x.CommandError) as caught:
            await modem.command(line)
        bench.add_fault(Fault(FaultKind.IGNORE, on="AT+CGAUTH"))
        with pytest.raises(aiobc9x.ModemError) as late:
            await modem.command(line, timeout=1)
        await modem.wait_ready()
    assert caught.value.command == line
    lines = [record.message for record in caplog.records]
    assert "> AT+CGAUTH=1,1,..." in lines
    assert SECRET not in f"{lines} {caught.value} {late.value}"


@virtual
async def test_a_payload_that_looks_like_a_command_is_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A program may talk to a modem at the far end."""
    async with Bench() as bench:
        caplog.set_level(logging.DEBUG, "aiobc9x")
        await bench.open(send_form="fixed")
        (_, writer), peer = await bench.connect()
        writer.write(b"AT+s3cret\r")
        await writer.drain()
    assert peer.received == b"AT+s3cret\r"
    lines = [record.message for record in caplog.records]
    assert "> (10 bytes)" in lines
    assert SECRET not in str(lines)


@virtual
async def test_a_module_that_is_switched_on_has_not_restarted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its banner during start-up is no news; a later one is a warning."""
    async with Bench(boot_time=0.5) as bench:
        caplog.set_level(logging.INFO, "aiobc9x")
        modem = await bench.open()
        lines = [record.message for record in caplog.records]
        assert "= the module has started: RDY" in lines
        assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
        events = modem.subscribe()
        bench.add_fault(Fault(FaultKind.RESET, on="AT+CGMM"))
        with pytest.raises(aiobc9x.ModuleReset):
            await modem.command("AT+CGMM")
        assert aiobc9x.Reset("RDY") in [await anext(events) for _ in range(2)]
    warnings = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert warnings == ["! the module has restarted: RDY"]
