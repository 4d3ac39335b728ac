"""Protocols that note every call with its arguments, in a form that can be compared."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from typing import Any, TypeAlias

Call: TypeAlias = tuple[str, object]
Trace: TypeAlias = Any  # a list of calls; scenarios get it from protocols of any kind


def kind(exc: BaseException | None) -> str | None:
    """Name the first builtin class of an exception: what code that knows no modem catches."""
    if exc is None:
        return None
    return next(c.__name__ for c in type(exc).__mro__ if c.__module__ == builtins.__name__)


class Recorder(asyncio.BaseProtocol):
    """Notes calls; data that were cut differently compare equal.

    When writing is paused depends on the buffers, so only :class:`Paced` notes that.

    Attributes:
        trace: The calls, each with its argument.
        lost: Done when the connection is lost.
        transport: The transport.
        then: What to do in each callback, by its name; called with the recorder.

    """

    def __init__(self, **then: Callable[[Any], object]) -> None:
        self.trace: list[Call] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None  # of either kind
        self.then = then
        self.is_paused = False
        self._changed = asyncio.Event()

    def note(self, name: str, argument: object = None) -> object:
        """Note a call and do what was asked for."""
        if name == "data" and self.trace and self.trace[-1][0] == "data":
            argument = bytes(self.trace.pop()[1]) + bytes(argument)  # type: ignore[call-overload]  # both are bytes
        self.trace.append((name, argument))
        self._changed.set()
        action = self.then.get(name)
        return None if action is None else action(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("made")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self.note("lost", kind(exc))

    def pause_writing(self) -> None:
        assert not self.is_paused, "paused twice"
        self.is_paused = True

    def resume_writing(self) -> None:
        assert self.is_paused, "resumed without a pause"
        self.is_paused = False

    @property
    def received(self) -> bytes:
        """All data so far."""
        return b"".join(bytes(c[1]) for c in self.trace if c[0] == "data")  # type: ignore[call-overload]  # as above

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until a condition holds after a call."""
        while not done():
            self._changed.clear()
            await self._changed.wait()

    async def heard(self, size_bytes: int) -> None:
        """Wait for so many bytes."""
        await self.until(lambda: len(self.received) >= size_bytes)

    async def told(self, name: str) -> None:
        """Wait for a call."""
        await self.until(lambda: any(call[0] == name for call in self.trace))


class Stream(Recorder, asyncio.Protocol):
    """A stream's protocol; ``keeps_open`` is what it answers to an end."""

    keeps_open: bool | None = None

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes, "data come as bytes"
        assert data, "data are never empty"
        self.note("data", data)

    def eof_received(self) -> bool | None:
        self.note("eof")
        return self.keeps_open


class Holding(Stream):
    """Asks for the connection to be kept open after an end."""

    keeps_open = True


class Paced(Stream):
    """Notes when it is to pause writing."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self.note("pause")

    def resume_writing(self) -> None:
        super().resume_writing()
        self.note("resume")


class Buffered(Recorder, asyncio.BufferedProtocol):
    """Gives a buffer of ``size_bytes``, which is small."""

    size_bytes = 7

    def __init__(self, **then: Callable[[Any], object]) -> None:
        super().__init__(**then)
        self.buffer = bytearray(self.size_bytes)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= self.size_bytes
        self.note("data", bytes(self.buffer[:nbytes]))

    def eof_received(self) -> None:
        self.note("eof")


class Datagrams(Recorder, asyncio.DatagramProtocol):
    """An endpoint's protocol."""

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.note("datagram", (data, addr))

    def error_received(self, exc: Exception) -> None:
        self.note("error", kind(exc))
