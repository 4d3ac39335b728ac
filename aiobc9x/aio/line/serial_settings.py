"""Say how a serial port is opened: its speed, its frame, its lines.

Layer: aio.
"""

from __future__ import annotations

from typing import Literal

from aiobc9x.slotted import slotted


@slotted(frozen=True)
class SerialSettings:
    """How a serial device is opened; the names are pyserial's.

    Attributes:
        baudrate: Bits per second.
        bytesize: Data bits, 5–8.
        parity: ``"N"``, ``"E"``, ``"O"``, ``"M"`` or ``"S"``.
        stopbits: 1, 1.5 or 2.
        rtscts: Hardware flow control.
        xonxoff: Software flow control. It can't carry binary payloads.
        dsrdtr: Flow control by DSR and DTR.
        exclusive: Refuse a device that another program has locked.
        dtr: Level of DTR after opening, ``None`` for the system's.
        rts: Level of RTS after opening, ``None`` for the system's.

    """

    baudrate: int = 115200
    bytesize: int = 8
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    stopbits: float = 1
    rtscts: bool = False
    xonxoff: bool = False
    dsrdtr: bool = False
    exclusive: bool = True
    dtr: bool | None = None
    rts: bool | None = None

    def check(self) -> None:
        """Raise ``ValueError`` for what no port can be set to."""
        if self.baudrate < 1:
            raise ValueError(f"baudrate is {self.baudrate}: use bits per second, or None")
        if self.bytesize not in range(5, 9):
            raise ValueError(f"bytesize is {self.bytesize}: use 5-8")
        if self.parity not in ("N", "E", "O", "M", "S"):
            raise ValueError(f"parity is {self.parity!r}: use 'N', 'E', 'O', 'M' or 'S'")
        if self.stopbits not in (1, 1.5, 2):
            raise ValueError(f"stopbits is {self.stopbits}: use 1, 1.5 or 2")
