"""The least that carries a connection: a hundred lines, one bytearray, futures.

It is what a program writes that talks to its modem by hand, and it is right for one socket,
one task and a line that loses nothing: no deadline, no queue, no URC but two, no doubt, no
second connection, no transport for asyncio's streams.
"""

import asyncio
from collections import deque
from typing import Final

_PUSHED: Final = b'+QIURC: "recv",'
_READ: Final = b"+QIRD: "


class MinimalDriver(asyncio.Protocol):
    """Talks to a module by hand.

    Args:
        pushes: Data come with their announcement, not by AT+QIRD.

    """

    def __init__(self, *, pushes: bool = False) -> None:
        self._pushes = pushes
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._due = 0
        self._awaited = b""
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        self._payloads: deque[bytes] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._announced = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the link."""
        assert isinstance(transport, asyncio.WriteTransport | asyncio.Transport)
        self._link: asyncio.WriteTransport = transport

    def data_received(self, data: bytes) -> None:
        """Take lines and payloads off the buffer."""
        buffer = self._buffer
        buffer += data
        while buffer:
            if self._due:
                if len(buffer) < self._due:
                    return
                self._payloads.append(bytes(buffer[: self._due]))
                del buffer[: self._due]
                self._due = 0
                self._arrived()
                continue
            if self._awaited == b">" and buffer.startswith(b"\r\n> "):
                del buffer[:4]
                self._resolve(b">")
                continue
            end = buffer.find(b"\r\n")
            if end < 0:
                return
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            if line:
                self._on_line(line)

    def _on_line(self, line: bytes) -> None:
        if line == self._awaited:
            self._resolve(line)
        elif line in {b"ERROR", b"SEND FAIL"}:
            self._answer.set_exception(OSError(line.decode()))
        elif line.startswith(_PUSHED):
            if self._pushes:
                self._due = int(line.rpartition(b",")[2])
            else:
                self._announced = True
                self._arrived()
        elif line.startswith(_READ):
            self._due = int(line[len(_READ) :].partition(b",")[0])

    def _resolve(self, line: bytes) -> None:
        self._awaited = b""
        if not self._answer.done():
            self._answer.set_result(line)

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def ask(self, data: bytes, until: bytes = b"OK") -> bytes:
        """Write a command or a payload; wait for a line."""
        self._awaited, self._answer = until, self._loop.create_future()
        self._link.write(data)
        return await self._answer

    async def send_text(self, payload: bytes) -> None:
        """Send a payload on the command line (§2.2.4)."""
        line = b'AT+QISEND=0,%d,"%b"\r' % (len(payload), payload)
        await self.ask(line, until=b"SEND OK")

    async def send_bytes(self, payload: bytes) -> None:
        """Send a payload behind the prompt (§2.2.4)."""
        await self.ask(b"AT+QISEND=0,%d\r" % len(payload), until=b">")
        await self.ask(payload, until=b"SEND OK")

    async def receive(self) -> bytes:
        """Wait for a payload; read it if it is only announced (§2.2.6)."""
        while not self._payloads:
            if self._announced:
                await self.ask(b"AT+QIRD=0,1024\r")
                self._announced = bool(self._payloads)
            else:
                self._arrival = self._loop.create_future()
                await self._arrival
        return self._payloads.popleft()
