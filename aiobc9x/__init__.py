"""asyncio connections over a Quectel BC65/BC92 NB-IoT module.

    async with aiobc9x.open_modem("/dev/ttyUSB0", baudrate=115200) as modem:
        reader, writer = await modem.open_connection("example.com", 443, ssl=True)

The names below are resolved when they are first used, so that the sans-I/O layers
load without asyncio.
"""

from __future__ import annotations
