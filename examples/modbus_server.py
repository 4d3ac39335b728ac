"""Let a control room read this machine's values by Modbus/TCP, through a listener on the module.

Holding registers, read by function 3 of unit 1:
    0-1  seconds since the start (high word first)
    2    load of the machine, in hundredths
    3    strength of the signal, in -dBm; 0 if unknown

The network must let somebody connect to the module: most do so only within an APN of your own, and
whoever reaches the module can read. Install: pip install pymodbus

Try it without a module; any Modbus client then finds the registers at 127.0.0.1, port 5020:
    python examples/modbus_server.py --port 'sim://?listen_port=502:5020'
"""

import argparse
import asyncio
import os
import time

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

import aiobc9x

UNIT = 1
MODBUS_PORT = 502
LOOK_S = 60.0  # between two questions for the signal
WORD = 0xFFFF


class Values:
    """What the registers say."""

    def __init__(self, modem: aiobc9x.Modem) -> None:
        self._modem = modem
        self._since = time.monotonic()
        self._signal = 0

    def registers(self) -> list[int]:
        """Take the values as they are now: your machine's come here."""
        seconds = int(time.monotonic() - self._since)
        load = int(os.getloadavg()[0] * 100)
        return [seconds >> 16 & WORD, seconds & WORD, min(load, WORD), self._signal]

    async def answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> None:
        """Renew the registers for whoever asks; pymodbus calls this before it answers."""
        registers[:] = self.registers()

    async def look(self) -> None:
        """Ask for the signal; not for each client that asks."""
        try:
            signal = await self._modem.signal()
            self._signal = -(signal.rsrp_dbm or signal.rssi_dbm or 0)
        except aiobc9x.ModemError as exc:  # it comes back by itself, and the listener too
            print(exc, flush=True)
            self._signal = 0


async def main(args: argparse.Namespace) -> None:
    async with aiobc9x.open_modem(args.port, pin=os.environ.get("AIOBC9X_PIN")) as modem:
        await modem.wait_ready()
        values = Values(modem)
        await values.look()
        block = SimData(0, values=values.registers(), datatype=DataType.REGISTERS)
        device = SimDevice(UNIT, simdata=[block], action=values.answer)
        with modem.installed():
            server = ModbusTcpServer(device, address=("0.0.0.0", MODBUS_PORT))
            await server.serve_forever(background=True)
            for _, addresses in await modem.addresses():
                print(f"listening at {', '.join(addresses)}, port {MODBUS_PORT}", flush=True)
            while True:
                await asyncio.sleep(LOOK_S)
                await values.look()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve this machine's values by Modbus/TCP.")
    parser.add_argument("--port", required=True, help="of the module: /dev/ttyUSB0, or sim://")
    try:
        asyncio.run(main(parser.parse_args()))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except aiobc9x.ModemError as exc:
        raise SystemExit(str(exc)) from None
