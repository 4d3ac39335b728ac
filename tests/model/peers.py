"""The other ends of connections, and what they do by themselves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.sock import Sock

Action = Callable[[], None]


class Peer:
    """The far end of one connection, or the far address of datagrams.

    Attributes:
        tcp: Whether it is a stream.
        sent: What it has sent, whether or not the module has taken it: a stream's bytes.
        nodes_sent: The same as segments or datagrams.
        outbox: Nodes that the module has not taken yet.
        received: What the module has delivered: a stream's bytes.
        nodes_received: The same by sends.
        fin: Whether it has closed, or will once the outbox is empty.
        dirty: Whether a send was damaged on the line, so that junk may be in ``received``.
        sock: The module's socket, once and as long as there is one.
        over: Whether the module has no socket for it any more.
        refused: Whether its connection was turned away.

    """

    def __init__(self, *, tcp: bool, host: str, port: int) -> None:
        self.tcp = tcp
        self.host = host
        self.port = port
        self.sent = bytearray()
        self.nodes_sent: list[bytes] = []
        self.outbox: deque[bytes] = deque()
        self.received = bytearray()
        self.nodes_received: list[bytes] = []
        self.fin = False
        self.dirty = False
        self.sock: Sock | None = None
        self.over = False
        self.refused = False
        self.open_error = 0
        self.on_data: Callable[[bytes], None] | None = None
        self.on_open: Callable[[], None] | None = None
        self.pull: Callable[[], None] = lambda: None

    def begin_anew(self) -> None:
        """Be the far end of another connection, which has carried nothing yet.

        The first one ended with a restart before the host knew of it, and the host has tried
        again. An endpoint for datagrams is the same for its program, which has got some already.
        """
        self.outbox.clear()
        self.over = False
        if self.tcp:
            self.sent.clear()
            self.nodes_sent.clear()
            self.received.clear()
            self.nodes_received.clear()

    def send(self, node: bytes) -> None:
        """Send a segment or a datagram."""
        if self.fin or self.over:
            return
        self.sent += node
        self.nodes_sent.append(node)
        self.outbox.append(node)
        self.pull()

    def close(self) -> None:
        """Close behind everything sent."""
        if not self.fin:
            self.fin = True
            self.pull()

    def take(self, data: bytes) -> None:
        """Get data from the module."""
        self.received += data
        self.nodes_received.append(data)
        if self.on_data is not None:
            self.on_data(data)


class Script:
    """Actions of a peer in a row, each some time after the last one, or sooner."""

    def __init__(self, running: list[Script], steps: list[tuple[float, Action]]) -> None:
        self._running = running
        self._steps = deque(steps)
        self._timer: asyncio.TimerHandle | None = None
        self.done = not steps

    def start(self) -> None:
        """Begin with the first action."""
        if self._steps:
            self._running.append(self)
            self._schedule()

    def stop(self) -> None:
        """Do nothing more."""
        self._leave()
        self._steps.clear()
        self.done = True
        if self._timer is not None:
            self._timer.cancel()

    def step(self) -> None:
        """Do the next action now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._steps:
            return
        _, action = self._steps.popleft()
        if self._steps:
            self._schedule()
        else:
            self._leave()
            self.done = True
        action()

    def _leave(self) -> None:
        if self in self._running:
            self._running.remove(self)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._steps[0][0], self.step)


ADVERSARIAL = (
    b"\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b'\r\n+QIURC: "closed",0\r\n',
    b'\r\n+QIURC: "recv",1,5\r\n',
    b'+QIURC: "recv",0,3\r\nabc\r\n',
    b"\r\n> ",
    b"\r\n>\r\n",
    b"\r\nRDY\r\n",
    b"RDY",
    b"\r",
    b"\r\n",
    b"\n",
    b"\x1a",
    b"\x1b",
    b"\x00",
    b"\xff",
    b'"',
    b",",
    b"\r\n+QIRD: 5,0\r\n",
    b"+QIRD: 0\r\n\r\nOK\r\n",
    b"\r\nSEND OK\r\n",
    b"\r\nSEND FAIL\r\n",
    b"\r\nCLOSE OK\r\n",
    b"AT+QICLOSE=0\r",
    b"AT\r",
    b"+QIOPEN: 0,0",
    b'+QISTATE: 0,"TCP","1.2.3.4",1,0,2,1,0\r\n',
)
"""Payloads that look like the line's own language."""

LETTERS = bytes(range(0x20, 0x7F)).replace(b'"', b"").replace(b",", b"")


def payload(rng: Random, size: int) -> bytes:
    """Return as many bytes: text, any bytes, or what looks like the line's own language."""
    kind = rng.random()
    if kind < 0.4:
        return bytes(rng.choices(LETTERS, k=size))
    if kind < 0.6:
        return rng.randbytes(size)
    made = bytearray()
    while len(made) < size:
        if rng.random() < 0.6:
            made += rng.choice(ADVERSARIAL)
        else:
            made += bytes(rng.choices(LETTERS, k=rng.randint(1, 20)))
    return bytes(made[:size])
