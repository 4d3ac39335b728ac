"""pymodbus's TCP client against its server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

import aiobc9x
from tests.clients.conftest import Site
from tests.clients.programs import output
from tests.clients.servers import LOOPBACK
from tests.support.realtime import PATIENCE_S

UNIT = 1


@pytest.fixture
async def plc(site: Site) -> AsyncIterator[None]:
    """A controller with 200 registers, each holding its number, as plc.example, port 502."""
    registers = SimData(0, values=list(range(200)), datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(UNIT, simdata=[registers]), address=(LOOPBACK, 0))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    site.ports[502] = server.transport.sockets[0].getsockname()[1]
    yield
    await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus has it untyped


def client() -> AsyncModbusTcpClient:
    """A client; it takes the loop's methods when it is made, so make it inside ``installed()``."""
    return AsyncModbusTcpClient("plc.example", timeout=PATIENCE_S, retries=0)


@pytest.mark.usefixtures("plc")
class TestInstalled:
    """Through ``installed()``: it calls ``loop.create_connection()``."""

    async def test_registers(self, modem: aiobc9x.Modem, site: Site) -> None:
        """Read, write, read, and one the controller refuses; each request is sent once."""
        with modem.installed(strict=True):
            async with client() as plc:
                first = await plc.read_holding_registers(10, count=100, device_id=UNIT)
                await plc.write_registers(10, [7, 8, 9], device_id=UNIT)
                second = await plc.read_holding_registers(9, count=5, device_id=UNIT)
                refusal = await plc.read_holding_registers(900, count=1, device_id=UNIT)
        assert first.registers == list(range(10, 110))
        assert second.registers == [9, 7, 8, 9, 13]
        assert refusal.isError()
        assert refusal.exception_code == 2
        assert site.virtual.statistics.sends == 4


@pytest.mark.usefixtures("plc")
async def test_program(site: Site, tmp_path: Path) -> None:
    """docs/clients/modbus.md: five registers are read, one is written."""
    assert await output("modbus", "Modbus/TCP", site, tmp_path) == ["[10, 11, 12, 13, 14]"]
    assert site.virtual.statistics.sends == 2
