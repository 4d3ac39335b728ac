"""Devices that are no module: silent, noisy, or following a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from tests.support.words import OK

Script = Callable[["ScriptedDevice", bytes], None]
"""Called with each line that the host writes, without its ``<CR>``."""


def silence(_device: ScriptedDevice, _line: bytes) -> None:
    """Never answer."""


def agreeable(device: ScriptedDevice, _line: bytes) -> None:
    """Answer OK to anything."""
    device.say(OK)


def parrot(device: ScriptedDevice, line: bytes) -> None:
    """Echo and no more, as an open terminal does."""
    device.say(line + b"\r\n")


class Device(asyncio.Transport):
    """The host's end of a line in memory to something that is no virtual module.

    A subclass takes what the host writes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = None  # what the link gives
        self._closing = False

    def connect_memory(self, protocol: asyncio.BaseProtocol) -> Self:
        """Connect the host."""
        self._protocol = protocol
        self._protocol.connection_made(self)
        return self

    async def aclose(self) -> None:
        """Nothing is held."""

    def say(self, data: bytes) -> None:
        """Send bytes to the host, in the loop's next turn."""
        self._loop.call_soon(self.say_now, data)

    def say_now(self, data: bytes) -> None:
        """Have bytes arrive before this call returns."""
        if not self._closing:
            self._protocol.data_received(data)

    def is_closing(self) -> bool:
        """Tell whether the line is closed."""
        return self._closing

    def lose(self, exc: Exception | None = None) -> None:
        """Break the line."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, exc)

    def close(self) -> None:
        """Unplug the host."""
        self.lose()

    def abort(self) -> None:
        """Unplug the host."""
        self.lose()


class ScriptedDevice(Device):
    """A device that follows a script, called with each line.

    Attributes:
        written: All bytes that the host wrote.

    """

    def __init__(self, script: Script = silence) -> None:
        super().__init__()
        self.written = bytearray()
        self._script = script
        self._unread = bytearray()

    def write(self, data: Any) -> None:
        """Take bytes from the host."""
        self.written += data
        self._unread += data
        while (end := self._unread.find(b"\r")) >= 0:
            line = bytes(self._unread[:end])
            del self._unread[: end + 1]
            self._script(self, line)
