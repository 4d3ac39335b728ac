"""Give the virtual module a link: a pty, a TCP port, or a transport in memory.

Layer: sim; imports asyncio. ::

    async with VirtualModule(parse_address("sim://?latency=0.02")) as virtual:
        path = await virtual.start_pty()        # open it like any serial device
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections.abc import Callable
from typing import Any, Final, Literal, cast

from aiobc9x.sim.board import Statistics
from aiobc9x.sim.driver import IN_HIGH, Driver, Machine
from aiobc9x.sim.energy import Energy
from aiobc9x.sim.interface import Network
from aiobc9x.sim.module import Module
from aiobc9x.sim.network import LoopbackNetwork
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions, parse_address

try:
    import termios
    import tty
except ImportError:  # elsewhere than POSIX there are no ptys; the other links work
    termios = tty = None  # type: ignore[assignment]  # as the import would have

logger: Final = logging.getLogger("aiobc9x.sim")

__all__ = ["MemoryTransport", "SimOptions", "VirtualModule", "parse_address", "serve"]


class MemoryTransport(asyncio.Transport):
    """The host's end of a link in memory, with an asyncio transport's usual methods."""

    def __init__(self, driver: Driver, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        # The module runs in the context (contextvars) of the caller who connected it. In the
        # context of a writer, redirection could send the module's own sockets through the module.
        self._context = contextvars.copy_context()
        self._protocol = cast(asyncio.Protocol, protocol)
        self._outgoing = bytearray()
        self._reading = True
        self._closing = False
        self._lost = False
        self._held = False
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if not self._lost:
            self._protocol.connection_made(self)
            self._driver.attach(self)

    def write(self, data: Any) -> None:
        """Send bytes to the module (``Any``: the stub's buffer type differs by version)."""
        if self._closing or not data:
            return
        if not self._outgoing:
            self._loop.call_soon(self._deliver, context=self._context)
        self._outgoing += data

    def _deliver(self) -> None:
        data, self._outgoing = bytes(self._outgoing), bytearray()
        if data and not self._lost:
            self._driver.from_host(data)

    def hold(self, hold: bool) -> None:
        """See :meth:`aiobc9x.sim.driver.End.hold`."""
        if hold != self._held and not self._closing:
            self._held = hold
            if hold:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    def deliver(self, data: bytes) -> int:
        """Hand over bytes of the module."""
        if not self._reading or self._closing:
            return 0
        self._protocol.data_received(data)
        return len(data)

    def is_closing(self) -> bool:
        """Tell whether the transport is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Unplug the host; what was written before is still delivered."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Unplug the host at once."""
        self._outgoing.clear()
        self.close()

    def lose(self, exc: Exception | None) -> None:
        """Break the link, as pulling out the plug does."""
        self._closing = True
        self._loop.call_soon(self._lose, exc)

    def _lose(self, exc: Exception | None) -> None:
        if not self._lost:
            self._deliver()
            self._lost = True
            self._driver.detach(self)
            self._protocol.connection_lost(exc)

    def can_write_eof(self) -> bool:
        """Say no: a serial line has no half-close."""
        return False

    def pause_reading(self) -> None:
        """Hold back what the module says."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self._reading = True
        self._driver.schedule()

    def is_reading(self) -> bool:
        """Tell whether data is delivered."""
        return self._reading and not self._closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the module hasn't taken yet."""
        return len(self._outgoing) + self._driver.input_pending

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks at which ``pause_writing`` and ``resume_writing`` are called."""
        return IN_HIGH // 4, IN_HIGH

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the marks belong to the module's line."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        self._protocol = cast(asyncio.Protocol, protocol)


class _Pty:
    """A pseudo terminal; the host opens :attr:`path` like a serial device."""

    def __init__(self, driver: Driver, loop: asyncio.AbstractEventLoop) -> None:
        self._driver = driver
        self._loop = loop
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        # The slave stays open here: without it, the master fails with EIO as soon
        # as the host closes the device, and the device forgets its raw mode.
        self.path = os.ttyname(self._slave)
        loop.add_reader(self._master, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._driver.from_host(os.read(self._master, 4096))

    def deliver(self, data: bytes) -> int:
        written = 0
        with contextlib.suppress(BlockingIOError):
            written = os.write(self._master, data)
        if written < len(data):
            self._loop.add_writer(self._master, self._writable)
        return written

    def _writable(self) -> None:
        self._loop.remove_writer(self._master)
        self._driver.schedule()

    def hold(self, hold: bool) -> None:
        if hold:
            self._loop.remove_reader(self._master)
        else:
            self._loop.add_reader(self._master, self._readable)

    def baud(self) -> int | None:
        """Return the rate that the host has set, if it is one with a name."""
        speed = termios.tcgetattr(self._slave)[5]
        names = (name for name in dir(termios) if name.startswith("B") and name[1:].isdigit())
        return next((int(name[1:]) for name in names if getattr(termios, name) == speed), None)

    def hang_up(self, reason: str) -> None:
        """Close the device under its host, and say why where the host can't be told."""
        about = {"modem": "", "link": 0, "reason": reason}
        logger.warning("! the virtual module hangs up: %s", reason, extra=about)
        self._loop.call_soon(self.close)

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._slave)


class _TcpLink(asyncio.Protocol):
    """One host on the TCP port; while it is there, others are turned away."""

    transport: asyncio.Transport

    def __init__(self, virtual: VirtualModule, driver: Driver) -> None:
        self._virtual = virtual
        self._driver = driver
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._virtual.tcp_link is not None:
            self.transport.abort()
            return
        self._virtual.tcp_link = self
        self._driver.attach(self)

    def data_received(self, data: bytes) -> None:
        if self._virtual.tcp_link is self:
            self._driver.from_host(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._virtual.tcp_link is self:
            self._virtual.tcp_link = None
            self._driver.detach(self)

    def deliver(self, data: bytes) -> int:
        if not self._writable:
            return 0
        self.transport.write(data)
        return len(data)

    def hold(self, hold: bool) -> None:
        if hold:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._driver.schedule()


class VirtualModule:
    """A virtual module with a link to its host; belongs to the loop it is started on.

    Power comes on with the first link. One host is connected at a time.

    Args:
        options: How it behaves; see docs/virtual-module.md.
        network: The far side of the module's sockets; real sockets on loopback if left out.
        nvram: The settings that survive a restart; pass another module's to restart that one.

    Attributes:
        module: The module itself, for inspection.
        network: The far side of its sockets.

    """

    def __init__(
        self,
        options: SimOptions | None = None,
        *,
        network: Network | None = None,
        nvram: Nvram | None = None,
    ) -> None:
        self.options: SimOptions = options or SimOptions()
        self.network: Network = network or LoopbackNetwork(self.options)
        self.module: Module = Module(self.options, self.network, nvram)
        self.tcp_link: _TcpLink | None = None
        self._driver: Driver | None = None
        self._pty: _Pty | None = None
        self._memory: list[MemoryTransport] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> VirtualModule:
        """Return this object; nothing is started."""
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Release everything."""
        await self.aclose()

    @property
    def statistics(self) -> Statistics:
        """Counters since the module was made."""
        return self.module.statistics

    @property
    def energy(self) -> Energy:
        """Seconds awake, asleep and sending since power-on."""
        return self.module.energy(asyncio.get_running_loop().time())

    def _started(self) -> Driver:
        if self._driver is None:
            loop = asyncio.get_running_loop()
            self.network.attach(self.module.sockets, loop.time)
            machine = self._replayed() or self.module
            self._driver = Driver(machine, self.options, loop)
            machine.power_on(loop.time())
        return self._driver

    def _replayed(self) -> Machine | None:
        """Return what replays a trace, if one is to be replayed."""
        if self.options.replay is None:
            return None
        from aiobc9x.trace.replaying import open_player  # noqa: PLC0415  (loaded on demand)

        player = open_player(self.options.replay, self.options.record, self.module)
        if player is not None:
            player.on_end = self._lose_line
        return player

    def _lose_line(self, reason: str) -> None:
        """Have the host see the line break."""
        for transport in self._memory:
            transport.lose(ConnectionAbortedError(reason))
        if self.tcp_link is not None:
            self.tcp_link.transport.abort()
        if self._pty is not None:
            pty, self._pty = self._pty, None
            pty.hang_up(reason)

    async def start_pty(self) -> str:
        """Open a pseudo terminal and return the path of its device.

        Raises:
            OSError: There is none left.
            NotImplementedError: The system has none (Windows).

        It waits for nothing, so cancellation can't interrupt it.
        """
        if termios is None:
            raise NotImplementedError("no pseudo terminals here; use link=memory or TCP")
        driver = self._started()
        self._pty = pty = _Pty(driver, asyncio.get_running_loop())
        if self.options.strict_baud:
            driver.garble = lambda: pty.baud() not in (self.module.board.baud or 115200, None)
        driver.attach(pty)
        return pty.path

    def connect_memory(self, protocol: asyncio.BaseProtocol) -> MemoryTransport:
        """Connect a protocol in this process; ``connection_made`` comes in the next turn."""
        transport = MemoryTransport(self._started(), protocol)
        # Without those that have ended: a modem that comes back a thousand times leaves as many.
        self._memory = [*(each for each in self._memory if not each.is_closing()), transport]
        return transport

    async def start_tcp(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen for a host on TCP, as a serial server does, and return the port.

        Raises:
            OSError: The port is taken.

        Cancellation is safe: nothing listens then.
        """
        driver = self._started()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _TcpLink(self, driver), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Release every socket, device and task; the host sees the link break.

        Idempotent; if cancelled, call it again.
        """
        if self._driver is not None:
            self._driver.stop()
        for transport in self._memory:
            if not transport.is_closing():
                transport.lose(None)
        self._memory.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self.tcp_link is not None:
            self.tcp_link.transport.abort()
        if self._pty is not None:
            self._pty.close()
            self._pty = None
        if isinstance(self.network, LoopbackNetwork):
            await self.network.aclose()
        # An aborted transport closes its socket in the second turn of the loop.
        for _turn in range(2):
            await asyncio.sleep(0)

    def _act(self, action: Callable[[float], None]) -> None:
        driver = self._started()
        action(asyncio.get_running_loop().time())
        driver.schedule()

    def reset(self) -> None:
        """Reset the module, as its RESET pin does."""
        self._act(self.module.reset)

    def deep_sleep(self) -> None:
        """Send the module into deep sleep, whatever AT+QSCLK says."""
        self._act(self.module.deep_sleep)

    def set_coverage(self, covered: bool) -> None:
        """Take the network away, which closes every socket, or give it back."""
        self._act(lambda now: self.module.set_coverage(covered, now))

    def deny(self, cause: int) -> None:
        """Have the network deny registration for a cause of 24.301, or take it again with 0."""
        self._act(lambda now: self.module.deny(cause, now))

    def say(self, line: str) -> None:
        """Print a line that nobody asked for."""
        self._act(lambda now: self.module.say(line, now))


async def serve(
    options: SimOptions,
    *,
    link: Literal["pty", "tcp"] = "pty",
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Run a virtual module until cancelled.

    Args:
        options: How it behaves.
        link: The kind of link.
        host: For ``tcp``, the address to listen on.
        port: For ``tcp``, the port; 0 for any.
        on_ready: Called once with the device's path, or ``socket://host:port``.

    Raises:
        OSError: The link can't be opened.

    Cancellation is how it ends; everything is released.

    """
    async with VirtualModule(options) as virtual:
        if link == "pty":
            on_ready(await virtual.start_pty())
        else:
            real_port = await virtual.start_tcp(host, port)
            on_ready(f"socket://{f'[{host}]' if ':' in host else host}:{real_port}")
        await asyncio.get_running_loop().create_future()
