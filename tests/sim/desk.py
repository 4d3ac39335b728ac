"""A module on a desk: type lines, see bytes, let time pass; no I/O, no clock."""

from aiobc9x.sim.faults import Fault
from aiobc9x.sim.memory import MemoryNetwork, Peer
from aiobc9x.sim.module import Module
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from tests.support.words import OK

PORT = 8062
"""A TCP and a UDP server listen here on the desk's network."""


def lines(*texts: str) -> bytes:
    """What the module prints for the information lines of one answer, without its OK."""
    return b"\r\n" + "\r\n".join(texts).encode() + b"\r\n"


class Desk:
    """A module, a network in memory and a clock that only the test moves."""

    def __init__(
        self,
        options: SimOptions | None = None,
        *faults: Fault,
        nvram: Nvram | None = None,
        echo: bool = False,
    ) -> None:
        self.now = 0.0
        self.options = options or SimOptions()
        self.network = MemoryNetwork(self.options)
        self.network.serve_tcp(PORT)
        self.network.serve_udp(PORT)
        self.module = Module(self.options, self.network, nvram)
        self.network.attach(self.module.sockets, lambda: self.now)
        self.module.power_on(self.now)
        if not echo:
            self.module.board.settings.echo = False
        for fault in faults:
            self.module.board.faults.add(fault)
        self.boot = self.output()

    def output(self) -> bytes:
        """Everything the module has said since the last look."""
        self.module.tick(self.now)
        found = b""
        while more := self.module.take_output():
            found += more
        return found

    def feed(self, data: bytes) -> bytes:
        """Write bytes and return what the module says at once."""
        self.module.feed(data, self.now)
        return self.output()

    def type(self, line: str) -> bytes:
        """Write a command line and return what the module says at once."""
        return self.feed(line.encode("latin-1") + b"\r")

    def wait(self, seconds: float) -> bytes:
        """Let time pass, deadline by deadline, and return what the module says meanwhile."""
        until, said = self.now + seconds, b""
        while (due := self.module.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            said += self.output()
        self.now = until
        return said + self.output()

    def run(self, line: str, seconds: float = 1.0) -> bytes:
        """Write a command line, let time pass, and return all the module says."""
        return self.type(line) + self.wait(seconds)

    @property
    def peer(self) -> Peer:
        """The newest peer."""
        return self.network.peers[-1]

    def open(
        self, connect_id: int = 0, service: str = "TCP", mode: int = 0, *, port: int = PORT
    ) -> Peer:
        """Open a client socket and return its peer."""
        said = self.run(f'AT+QIOPEN=1,{connect_id},"{service}","220.18.39.22",{port},0,{mode}')
        assert said == OK + lines(f"+QIOPEN: {connect_id},0")
        return self.peer

    def hear(self, peer: Peer, data: bytes) -> bytes:
        """Let a peer send and return what the module says about it."""
        peer.send(data)
        return self.output()

    def drain(self, connect_id: int = 0) -> bytes:
        """Read a socket to ``+QIRD: 0`` and return everything that was said."""
        said = b""
        while not said.endswith(b"\r\n+QIRD: 0\r\n" + OK):
            said += self.type(f"AT+QIRD={connect_id},1024")
        return said
