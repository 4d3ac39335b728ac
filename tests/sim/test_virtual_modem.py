"""A virtual module at hand, as tests of other projects use it."""

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.support.clock import virtual


@virtual
async def test_it_outlives_its_modems() -> None:
    """Settings stay on it; what was said stays in the dialogue."""
    async with VirtualModem(network=MemoryNetwork()) as module:
        for _ in range(2):
            async with aiobc9x.open_modem(module.create) as modem:
                await modem.command("AT+CGMM")
        assert module.commands.count("AT+CGMM") == 2
        assert ("<", "OK") in module.dialogue
        assert module.broken_rules == 0


@virtual
async def test_it_can_be_unplugged_and_silent() -> None:
    """Both are noticed, and both end."""
    async with (
        VirtualModem(network=MemoryNetwork()) as module,
        aiobc9x.open_modem(module.create) as modem,
    ):
        module.unplug()
        await asyncio.sleep(0.5)
        assert modem.state is aiobc9x.ModemState.AWAY
        await asyncio.sleep(60)
        assert modem.state is aiobc9x.ModemState.AWAY
        module.plug_in()
        await modem.available(timeout=5)
        module.silence()
        with pytest.raises((aiobc9x.LinkLost, aiobc9x.LinkTimeout)):
            await modem.command("AT")
        module.silence(False)
        await modem.available(timeout=30)


@virtual
async def test_opening_can_be_refused() -> None:
    """With any exception; how often it was tried is counted."""
    async with VirtualModem(network=MemoryNetwork()) as module:
        module.refusal = PermissionError(13, "Permission denied")
        with pytest.raises(PermissionError):
            await aiobc9x.open_modem(module.create)
        module.refusal = None
        async with aiobc9x.open_modem(module.create, reconnect=None) as modem:
            assert module.openings == 2
            module.cut()
            await asyncio.sleep(0.1)
            assert modem.state is aiobc9x.ModemState.CLOSED
        module.cut()  # nothing is open


@virtual
async def test_an_opening_that_is_cancelled_closes_its_line() -> None:
    """The module hears nobody then."""
    async with VirtualModem(network=MemoryNetwork()) as module:
        opening = asyncio.create_task(module.create(asyncio.Protocol))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert module.line is not None
        assert module.line.is_closing()


@virtual
async def test_lines_are_told_to_whoever_asked_for_them() -> None:
    """The options' own listener hears each, as without the kit."""
    heard: list[tuple[str, str]] = []
    options = SimOptions(on_line=lambda *line: heard.append(line))
    async with VirtualModem(options, MemoryNetwork(options)) as module:
        async with aiobc9x.open_modem(module.create):
            pass
        assert heard == module.dialogue != []


@virtual
async def test_faults_by_name_and_as_values() -> None:
    """As in an address, or as the class has them."""
    async with (
        VirtualModem(network=MemoryNetwork()) as module,
        aiobc9x.open_modem(module.create) as modem,
    ):
        module.add_fault("error;on=AT+CGMM")
        module.add_fault(Fault(FaultKind.ERROR, on="AT+CGSN"))
        for line in ("AT+CGMM", "AT+CGSN"):
            with pytest.raises(aiobc9x.CommandError):
                await modem.command(line)
            await modem.command(line)
        with pytest.raises(ValueError, match="unknown fault"):
            module.add_fault("gremlin")


@virtual
async def test_open_ids_are_the_modules() -> None:
    """For a test that wants to know what it has left there."""
    network = MemoryNetwork()
    network.serve_tcp(80)
    async with (
        VirtualModem(network=network) as module,
        aiobc9x.open_modem(module.create) as modem,
    ):
        _, writer = await modem.open_connection("10.0.0.1", 80)
        assert module.open_ids == [0]
        writer.close()
        await writer.wait_closed()
        assert module.open_ids == []
