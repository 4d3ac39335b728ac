"""Stands in for the virtual module where only our side is to be measured.

It answers in the next turn of the loop, from bytes made beforehand, so that next to none of
the time is its own.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import aiobc9x
from aiobc9x.sim import links
from benchmarks.answers import answer

PAYLOADS = 32
"""How many payloads are offered or pushed at once."""

SENT = b"\r\nOK\r\n\r\nSEND OK\r\n"
PROMPT = b"\r\n> "
NOTHING = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
IDLE = b"\r\n+CSCON: 0\r\n"


class Script(asyncio.Transport):
    """Stands in for a virtual module: says what it was told to say, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._payload_left = 0
        self._reads_left = 0
        self._read = b""

    # What the link expects of a virtual module.

    def connect_memory(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        self._protocol = protocol
        protocol.connection_made(self)
        return self

    async def aclose(self) -> None:
        """Do nothing."""

    # What the link expects of a transport.

    def write(self, data: Any) -> None:  # Any: typeshed's buffer type is private
        if self._payload_left:
            self._payload_left -= len(data)
            if not self._payload_left:
                self._say(SENT)
        elif data.startswith(b"AT+QIRD"):
            self._say(self._read if self._reads_left else NOTHING)
            self._reads_left = max(0, self._reads_left - 1)
        elif data.startswith(b"AT+QISEND"):
            self._on_send(data)
        elif data.startswith(b"AT+QIOPEN"):
            self._say(b"\r\nOK\r\n\r\n+QIOPEN: %b,0\r\n" % data[12:13])
        else:
            self._say(answer(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self._loop.call_soon(self._protocol.connection_lost, None)

    # What the benchmark has it do.

    def offer(self, payload: bytes) -> None:
        """Have so many reads find the payload."""
        self._read = b"\r\n+QIRD: %d,0\r\n%b\r\n\r\nOK\r\n" % (len(payload), payload)
        self._reads_left = PAYLOADS
        self._say(b'\r\n+QIURC: "recv",0,%d\r\n' % len(payload))

    def push(self, payload: bytes) -> None:
        """Push it so many times; the line behind the last shows that it is whole."""
        urc = b'\r\n+QIURC: "recv",0,%d\r\n%b\r\n' % (len(payload), payload)
        self._push(urc, PAYLOADS)

    def deliver(self, data: bytes) -> None:
        """Have bytes arrive now."""
        self._protocol.data_received(data)

    def _push(self, urc: bytes, left: int) -> None:
        self._protocol.data_received(urc if left else IDLE)
        if left:
            self._loop.call_soon(self._push, urc, left - 1)

    def _on_send(self, line: bytes) -> None:
        if b'"' in line:
            self._say(SENT)
        else:
            self._payload_left = int(line[:-1].partition(b",")[2])
            self._say(PROMPT)

    def _say(self, data: bytes) -> None:
        self._loop.call_soon(self._protocol.data_received, data)


@contextmanager
def scripted(script: Script) -> Iterator[None]:
    """Have ``sim://`` connect to the script."""
    with patch.object(links, "VirtualModule", lambda _options: script):
        yield


async def open_modem(script: Script) -> aiobc9x.Modem:
    """Open a modem on a script: text goes inline, other bytes by fixed length."""
    with scripted(script):
        return await aiobc9x.open_modem(
            "sim://?link=memory", poll_interval=0, state_interval=0, send_form="inline"
        )
