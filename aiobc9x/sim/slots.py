"""One connectID in use: its row of AT+QISTATE and its receive buffer (§2.2.3).

Layer: sim.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from aiobc9x.sim.timers import Timer
from aiobc9x.spec import ServiceType, SocketState


@dataclass(slots=True, eq=False)
class Socket:
    """One row of AT+QISTATE and its receive buffer.

    Attributes:
        handle: Its number on the network, never used twice.
        local_port: As given to AT+QIOPEN; 0 if the module chose (§2.2.3).
        nodes: Received segments or datagrams; one AT+QIRD never crosses from one
            to the next (§2.2.6, note 3).
        underway: Bytes that the simulated latency still holds back.
        armed: Whether data that comes into the empty buffer is announced.
        full: Whether ``"buff full"`` was reported since the buffer was last empty.
        paused: Whether the network was told to hold data back.
        attached: Whether the network still knows it.
        leaving: Whether AT+QICLOSE was answered and ``CLOSE OK`` is still to come.

    """

    connect_id: int
    handle: int
    service: ServiceType
    address: str
    remote_port: int
    local_port: int
    context_id: int
    access_mode: int
    state: int = int(SocketState.CONNECTING)
    nodes: deque[bytes] = field(default_factory=deque)
    underway: int = 0
    armed: bool = True
    full: bool = False
    paused: bool = False
    attached: bool = True
    leaving: bool = False
    watchdog: Timer | None = None

    @property
    def buffered(self) -> int:
        """Bytes in the receive buffer."""
        return sum(map(len, self.nodes))

    @property
    def is_stream(self) -> bool:
        """Whether it carries TCP data."""
        return self.service in (ServiceType.TCP, ServiceType.TCP_INCOMING)

    @property
    def is_listener(self) -> bool:
        """Whether it accepts clients."""
        return self.service is ServiceType.TCP_LISTENER

    def row(self) -> str:
        """Write the information line of AT+QISTATE (§2.2.3)."""
        return (
            f'+QISTATE: {self.connect_id},"{self.service}","{self.address}",{self.remote_port},'
            f"{self.local_port},{self.state},{self.context_id},{self.access_mode}"
        )
