"""The Modbus server, asked by pymodbus's client."""

from __future__ import annotations

from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from aiobc9x.sim.peers import reserved_port
from tests.clients.servers import LOOPBACK
from tests.examples.running import example, interrupt


async def test_registers(tmp_path: Path) -> None:
    """A control room reads how the machine is; a register more than there are is refused."""
    with reserved_port() as real:
        await check(real, tmp_path)


async def check(real: int, folder: Path) -> None:
    """Ask the server at the port that stands for the module's."""
    port = f"sim://?listen_port=502:{real}&rssi=20"
    async with example("modbus_server", "--port", port, folder=folder) as program:
        await program.line("listening at 100.127.243.105, port 502")
        async with AsyncModbusTcpClient(LOOPBACK, port=real, timeout=20) as client:
            high, low, load, signal = (await client.read_holding_registers(0, count=4)).registers
            refusal = await client.read_holding_registers(4, count=1)
        await interrupt(program)
    assert (high, low) < (0, 60)
    assert 0 <= load < 0xFFFF
    assert 40 <= signal <= 140
    assert refusal.isError()
