"""A host in memory, and waiting without a clock."""

import asyncio
from collections.abc import Callable

from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.memory import MemoryNetwork
from aiobc9x.sim.options import SimOptions
from tests.support.words import OK


class Host(asyncio.Protocol):
    """Collects what the module says, with times."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.calls: list[str] = []
        self._more = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.chunks.append((asyncio.get_running_loop().time(), data))
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    @property
    def said(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    @property
    def last_time(self) -> float:
        return self.chunks[-1][0]

    def forget(self) -> None:
        self.chunks.clear()

    async def until(self, end: bytes) -> bytes:
        """Wait until the module has said ``end``, and return what it said."""
        while not self.said.endswith(end):
            self._more.clear()
            await self._more.wait()
        return self.said


async def connected(
    options: SimOptions, network: MemoryNetwork | None = None
) -> tuple[VirtualModule, Host]:
    """A module and a host in memory, past the banner and the echo."""
    virtual = VirtualModule(options, network=network or MemoryNetwork(options))
    host = Host()
    virtual.connect_memory(host)
    await asyncio.sleep(1)
    host.transport.write(b"ATE0\r")
    await host.until(OK)
    await asyncio.sleep(1)
    host.forget()
    return virtual, host


async def turns_until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds; a test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110  # the state is the module's, it sets no event
        await asyncio.sleep(0)
