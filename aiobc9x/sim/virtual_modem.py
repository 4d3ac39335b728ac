"""A virtual module at hand: its line, its network and its dialogue, without a device.

Layer: sim; imports asyncio. What the fixture ``virtual_modem`` of :mod:`aiobc9x.pytest_plugin`
gives; good for other test frameworks, too::

    async with VirtualModem() as virtual:
        async with aiobc9x.open_modem(virtual.create) as modem:
            ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from aiobc9x.sim.faults import Fault, parse_fault
from aiobc9x.sim.interface import Network
from aiobc9x.sim.links import MemoryTransport, VirtualModule
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions

__all__ = ["VirtualModem"]


class VirtualModem:
    """A virtual module whose line can be opened again and again, and pulled out.

    It outlives the modems that are opened on it, as a real module outlives programs.

    Args:
        options: How the module behaves; see docs/virtual-module.md.
        network: The far side of its sockets: a :class:`~aiobc9x.sim.memory.MemoryNetwork` under
            virtual time. Real sockets on loopback if left out.
        nvram: What it remembers from before; nothing if left out.

    Attributes:
        network: The far side of its sockets.
        dialogue: Every line of the dialogue: ``(">", text)`` to the module, ``("<", text)`` from
            it.
        line: The host's end of the line that was opened last; ``None`` before.
        is_plugged_in: Whether the line can be opened; :meth:`unplug` and :meth:`plug_in` set it.
        refusal: What opening the line raises, as ``PermissionError(13, "…")``; ``None`` if it does
            not.
        openings: How often it was tried to open the line.

    """

    def __init__(
        self,
        options: SimOptions | None = None,
        network: Network | None = None,
        nvram: Nvram | None = None,
    ) -> None:
        self.dialogue: list[tuple[str, str]] = []
        given = options or SimOptions()
        self._on_line = given.on_line
        self._real_ports = {**given.remote_ports}
        watched = replace(given, on_line=self._note, remote_ports=self._real_ports)
        self._virtual = VirtualModule(watched, network=network, nvram=nvram)
        self.network: Network = self._virtual.network
        self.line: MemoryTransport | None = None
        self.is_plugged_in: bool = True
        self.refusal: BaseException | None = None
        self.openings: int = 0
        self._is_silent = False

    async def __aenter__(self) -> VirtualModem:
        """Return this object; power comes on when it is opened first."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release everything."""
        await self.aclose()

    @property
    def virtual(self) -> VirtualModule:
        """The module itself, for inspection."""
        return self._virtual

    @property
    def commands(self) -> list[str]:
        """Every command line that the module was given, and every payload's size."""
        return [text for direction, text in self.dialogue if direction == ">"]

    @property
    def open_ids(self) -> list[int]:
        """The connect IDs that are in use on the module."""
        return sorted(self._virtual.module.sockets.by_id)

    @property
    def broken_rules(self) -> int:
        """How many rules of the note the host has broken, as by two commands at once."""
        return self._virtual.statistics.broken_rules

    def lead(self, port: int, real_port: int) -> None:
        """Have connections to a port go to another one of this machine, from now on.

        Args:
            port: What the host names.
            real_port: Where it leads; without effect on a network in memory.

        """
        self._real_ports[port] = real_port

    async def create(
        self, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Open the line: what :func:`aiobc9x.open_modem` takes as its address.

        Raises:
            FileNotFoundError: The module is unplugged, as the device of a real one is gone then.
            BaseException: :attr:`refusal`, if there is one.

        Cancellation closes the line.
        """
        self.openings += 1
        if self.refusal is not None:
            raise self.refusal
        if not self.is_plugged_in:
            raise FileNotFoundError(2, "the virtual module is unplugged")
        protocol = protocol_factory()
        self.line = self._virtual.connect_memory(protocol)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.line.close()
            raise
        self._hush()
        return self.line, protocol

    def add_fault(self, fault: Fault | str) -> None:
        """Have something go wrong from here on.

        Args:
            fault: A :class:`~aiobc9x.sim.faults.Fault`, or its text as in an address:
                ``"reset;on=AT+QIRD;after=2"``.

        Raises:
            ValueError: The text names no fault.

        """
        read = parse_fault(fault) if isinstance(fault, str) else fault
        self._virtual.module.board.faults.add(read)

    def unplug(self) -> None:
        """Pull the line out: the modem loses it now, and can't open it again."""
        self.is_plugged_in = False
        self.cut()

    def cut(self) -> None:
        """Break the line that is open; it can be opened again."""
        if self.line is not None and not self.line.is_closing():
            self.line.lose(OSError(5, "Input/output error"))

    def plug_in(self) -> None:
        """Put the line back."""
        self.is_plugged_in = True

    def silence(self, is_silent: bool = True) -> None:
        """Have the module hear nothing, as one that hangs; or let it hear again."""
        self._is_silent = is_silent
        self._hush()

    async def aclose(self) -> None:
        """Release the line and the network."""
        await self._virtual.aclose()

    def _hush(self) -> None:
        if self.line is None:
            return
        if self._is_silent:
            self.line.write = lambda data: None  # type: ignore[method-assign]
        else:
            self.line.__dict__.pop("write", None)

    def _note(self, direction: str, text: str) -> None:
        self.dialogue.append((direction, text))
        if self._on_line is not None:
            self._on_line(direction, text)
