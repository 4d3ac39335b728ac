"""A virtual module at hand, as tests of other projects use it."""

import asyncio

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import MemoryNetwork
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
