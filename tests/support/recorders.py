"""Protocols that note what they are told."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from aiobc9x.aio.transports.stream import SocketTransport
from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, PORT, Bench


class DatagramRecorder(asyncio.DatagramProtocol):
    """Notes datagrams, errors and the end of an endpoint.

    Attributes:
        received: The datagrams, in order.
        senders: The address that came with each.
        errors: What ``error_received`` was given.
        calls: ``"pause"`` and ``"resume"``, in order.
        lost: Done with what ``connection_lost`` was given.

    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.senders: list[tuple[str, int]] = []
        self.errors: list[Exception] = []
        self.calls: list[str] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.DatagramTransport | None = None
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as in typeshed
        self.received.append(data)
        self.senders.append(addr)
        self._arrived.set()

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)
        self._arrived.set()

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self._arrived.set()

    async def until(self, *, received: int = 0, errors: int = 0, timeout: float = 120) -> None:
        """Wait until so much has come."""
        async with asyncio.timeout(timeout):
            while len(self.received) < received or len(self.errors) < errors:
                self._arrived.clear()
                await self._arrived.wait()


class StreamRecorder(asyncio.Protocol):
    """Notes what a stream's protocol is told.

    Attributes:
        received: The bytes so far.
        eof: Whether the end of the stream came.
        lost: Done with what ``connection_lost`` was given.

    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.eof = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._arrived.set()

    def eof_received(self) -> None:
        self.eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def until(self, size_bytes: int, timeout: float = 120) -> bytes:
        """Wait for so many bytes and return what has come."""
        async with asyncio.timeout(timeout):
            while len(self.received) < size_bytes:
                self._arrived.clear()
                await self._arrived.wait()
        return bytes(self.received)


class Recorder(asyncio.Protocol):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")
        self.received += data

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


async def recorded(
    bench: Bench, port: int = PORT, **settings: Any
) -> tuple[Recorder, SocketTransport, Peer]:
    """Connect a recorder."""
    modem = await bench.open(**settings)
    transport, protocol = await modem.create_connection(Recorder, HOST, port)
    assert isinstance(transport, SocketTransport)
    return protocol, transport, bench.peer


def held_bytes(transport: asyncio.Transport) -> int:
    """How much a transport holds for a reader that has stopped, as it says itself."""
    said = re.search(r"ahead=(\d+)", repr(transport))
    assert said is not None
    return int(said[1])


def reads(bench: Bench, connect_id: int = 0) -> int:
    """How often a socket has been read."""
    return sum(line.startswith(f"AT+QIRD={connect_id}") for line in bench.commands)
