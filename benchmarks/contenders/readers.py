"""Readers of AT modems that are on PyPI, fed as they would read a port.

Each is optional: ``pip install python-gsmmodem-new pyatcommand async-gsm-modem``. They
are imported by name, as none has types. All of them look for line ends and know nothing
of counted payloads.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from importlib import import_module, util
from typing import Any


class _Port:
    """As much of a pyserial port as the readers need; it has some bytes and then no more."""

    def __init__(self, data: bytes, when_empty: Callable[[], None]) -> None:
        self._data = data
        self._at = 0
        self._when_empty = when_empty

    @property
    def in_waiting(self) -> int:
        """How many bytes are left; none ends the reader's loop."""
        left = len(self._data) - self._at
        if not left:
            self._when_empty()
        return left

    def inWaiting(self) -> int:  # noqa: N802  # pyserial's old name
        """The same, by its old name."""
        return 0

    def read(self, size: int = 1) -> bytes:
        """Give up to so many bytes."""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        if not data:
            self._when_empty()
        return data

    def read_until(self, expected: bytes) -> bytes:
        """Give bytes up to and with some others."""
        found = self._data.find(expected, self._at)
        return self.read((found + len(expected) if found >= 0 else len(self._data)) - self._at)

    def close(self) -> None:
        """Do nothing."""


def gsmmodem(chunks: Sequence[bytes]) -> list[bytes]:
    """python-gsmmodem-new: one byte at a time; bytes that are no UTF-8 end its thread."""
    comms = import_module("gsmmodem.serial_comms").SerialComms("")
    lines: list[bytes] = []
    comms.notifyCallback = lambda texts: lines.extend(text.encode() for text in texts)
    comms.fatalErrorCallback = lambda _: None
    comms.serial = _Port(b"".join(chunks), lambda: setattr(comms, "alive", False))
    comms.alive = True
    comms._readLoop()  # what its thread runs
    return lines


def pyatcommand(chunks: Sequence[bytes]) -> list[bytes]:
    """pyatcommand: lines of a URC queue; bytes that are no UTF-8 are left out."""
    client = import_module("pyatcommand").AtClient()
    client._serial = _Port(b"".join(chunks), lambda: setattr(client, "_rx_running", False))
    client._wait_no_rx_data = 0
    client._rx_running = True
    client._listen()  # what its thread runs
    queue = client._unsolicited_queue
    texts = [queue.get_nowait() for _ in range(queue.qsize())]
    return [line for text in texts if (line := text.strip("\r\n").encode())]


def async_gsm_modem(chunks: Sequence[bytes]) -> list[bytes]:
    """async-gsm-modem: a task and a timeout for each line."""
    return asyncio.run(_read_all(b"".join(chunks)))


async def _read_all(data: bytes) -> list[bytes]:
    modem = import_module("async_gsm_modem.base.modem").ATModem("", 0)
    modem.reader = asyncio.StreamReader(limit=2**24)
    modem.reader.feed_data(data)
    modem.reader.feed_eof()
    lines = []
    while not modem.reader.at_eof():
        if line := await modem.read():
            lines.append(line)
    return lines


READERS: dict[str, tuple[str, Callable[[Sequence[bytes]], list[bytes]]]] = {
    "python-gsmmodem-new": ("gsmmodem", gsmmodem),
    "pyatcommand": ("pyatcommand", pyatcommand),
    "async-gsm-modem": ("async_gsm_modem", async_gsm_modem),
}
"""By their names on PyPI: the module to import, and how to read with it."""


def is_installed(module: str) -> bool:
    """Tell whether a reader can be imported."""
    return util.find_spec(module) is not None


def quiet() -> Any:  # Any: logging's own type of a level
    """Keep the readers from logging what they think of the bytes; return the level before."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    return before
