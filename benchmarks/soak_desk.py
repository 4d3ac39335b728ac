"""The simulated side of a soak: a virtual module, its line and its network, all in memory.

Everything runs by the loop's clock and by seeds, so a run can be repeated exactly.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiobc9x import AccessMode
from aiobc9x.sim.faults import LINE_KINDS, Fault, FaultKind, FaultPlan
from aiobc9x.sim.memory import MemoryNetwork, Peer
from aiobc9x.sim.options import BLACK_HOLE, Host, SimOptions
from aiobc9x.sim.virtual_modem import VirtualModem
from benchmarks.soak_peers import PIECE_BYTES, Peers
from benchmarks.soak_work import NOWHERE
from tests.support.bench import HOST, NAME, Streams

FAR: Final = Peers(echo=7, secure=0, source=19, cutter=20, datagrams=7)
"""The servers in memory; none has TLS, whose random numbers no seed gives."""

ECHOED: Final = 50
"""Datagrams that are remembered."""

CUT_OFF_S: Final = 0.02

_PUSH: Final = re.compile(r'\+QIURC: "recv",\d,\d')
"""The header of a push, or the announcement of data that waits."""


class CountedFaults(FaultPlan):
    """Faults that are counted by kind where they strike.

    A push that comes not at all, twice, late or for another socket can't be noticed by any host:
    pushes have no numbers and no checksums. So the line of a push is spared, as its header is;
    what is within its payload is not.

    Attributes:
        on_strike: Called with each fault that strikes.

    """

    def __init__(self, is_push: Callable[[int], bool], seed: int) -> None:
        super().__init__((), seed)
        self._is_push = is_push
        self.on_strike: Callable[[Fault], None] = lambda _fault: None

    def strike(self, kinds: Iterable[FaultKind], text: str) -> Fault | None:
        """See :meth:`FaultPlan.strike`."""
        if kinds is LINE_KINDS and _PUSH.match(text) and self._is_push(int(text[15])):
            return None
        fault = super().strike(kinds, text)
        if fault is not None:
            self.on_strike(fault)
        return fault


class _PeerTransport(asyncio.Transport):
    """Lets a peer in memory be used by asyncio's streams."""

    def __init__(self, peer: Peer, protocol: asyncio.StreamReaderProtocol) -> None:
        super().__init__()
        self._peer, self._protocol = peer, protocol
        self._is_closing = False
        peer.answer_with(protocol.data_received)
        peer.on_close = lambda: self._end(is_aborted=True)
        protocol.connection_made(self)

    def write(self, data: Any) -> None:  # Any: the stub's buffer type differs by version
        self._peer.send(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._peer.close()
        self._end(is_aborted=False)

    def abort(self) -> None:
        self.close()

    def _end(self, *, is_aborted: bool) -> None:
        if not self._is_closing:
            self._is_closing = True
            if is_aborted:
                self._protocol.eof_received()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


def streams_of(peer: Peer) -> Streams:
    """Return a peer in memory as asyncio's streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    return reader, asyncio.StreamWriter(_PeerTransport(peer, protocol), protocol, reader, loop)


def _sourcing(peer: Peer) -> None:
    asked = bytearray()

    def answer(data: bytes) -> None:
        asked.extend(data)
        if asked.endswith(b"\n"):
            seed, size = map(int, asked.split())
            whole = random.Random(seed).randbytes(size)
            for start in range(0, size, PIECE_BYTES):
                peer.send(whole[start : start + PIECE_BYTES])
            peer.close()

    peer.answer_with(answer)


def _cutting(peer: Peer) -> None:
    def answer(data: bytes) -> None:
        peer.answer_with(lambda _data: None)
        peer.send(data[: len(data) // 2 + 1])
        asyncio.get_running_loop().call_later(CUT_OFF_S, peer.close)

    peer.answer_with(answer)


class Desk(VirtualModem):
    """The test kit's virtual module, on a desk, whose line a modem opens again and again.

    Attributes:
        network: Its far side.
        faults: What is armed.

    """

    network: MemoryNetwork

    def __init__(self, rng: random.Random, on_line: Callable[[str, str], None]) -> None:
        def hear(direction: str, text: str) -> None:
            self.dialogue.clear()  # a day of it would look like memory that leaks
            on_line(direction, text)

        self.options = SimOptions(
            seed=rng.randrange(10**6),
            baud=rng.choice((9600, 57600, 115200, 460800)),
            latency=rng.choice((0.0, 0.005, 0.02)),
            chunk=rng.choice((0, 0, 7, "random")),
            boot_time=rng.choice((0.5, 2.0, 6.0)),
            wake_time=rng.choice((0.0, 0.3)),
            register_time=rng.choice((1.0, 5.0, 20.0)),
            attach_time=1.0,
            network_latency=rng.choice((0.05, 0.3, 1.5)),
            dns_time=0.5,
            send_time=rng.choice((0.002, 0.1)),
            close_time=rng.choice((0.02, 0.5)),
            incoming_id=rng.choice(("lowest", "highest")),
            failed_open=rng.choice(("keep", "free")),
            rearm=rng.choice(("empty_read", "drained")),
            hosts={NAME: Host((HOST,)), NOWHERE: Host((BLACK_HOLE,))},
            on_line=hear,
        )
        network = MemoryNetwork(self.options)
        network.serve_tcp(FAR.echo, lambda peer: self._serve(peer, self._echo))
        network.serve_udp(FAR.datagrams, lambda peer: self._serve(peer, self._mirror))
        network.serve_tcp(FAR.source, lambda peer: self._serve(peer, _sourcing))
        network.serve_tcp(FAR.cutter, lambda peer: self._serve(peer, _cutting))
        super().__init__(self.options, network)
        self.faults = CountedFaults(self._is_push, self.options.seed)
        self.virtual.module.board.faults = self.faults
        self._echoed: deque[bytes] = deque(maxlen=ECHOED)

    def _serve(self, peer: Peer, serve: Callable[[Peer], None]) -> None:
        self.network.peers.clear()  # it keeps every one there was
        serve(peer)

    def _echo(self, peer: Peer) -> None:
        def answer(data: bytes) -> None:
            peer.received.clear()
            peer.datagrams.clear()
            peer.send(data)

        peer.answer_with(answer)

    def _mirror(self, peer: Peer) -> None:
        def answer(data: bytes) -> None:
            self._echoed.append(data)
            peer.received.clear()
            peer.datagrams.clear()
            peer.send(data)

        peer.answer_with(answer)

    def has_echoed(self, data: bytes) -> bool:
        """Whether this is one of the last datagrams that were sent back."""
        return data in self._echoed

    def _is_push(self, connect_id: int) -> bool:
        socket = self.virtual.module.sockets.by_id.get(connect_id)
        return socket is not None and socket.access_mode == AccessMode.PUSH

    async def dial(self, port: int) -> Streams:
        """Connect to a listener of the module from outside.

        Raises:
            ConnectionRefusedError: Nobody listens, or no socket is free.

        Cancellation is safe.
        """
        await asyncio.sleep(self.options.network_latency)
        peer = self.network.dial(port)
        if peer is None:
            raise ConnectionRefusedError("the module does not listen, or is full")
        self.network.peers.clear()
        return streams_of(peer)

    def swallow(self) -> None:
        """Have the line carry nothing any more, without a word, until it is opened again."""
        if self.line is None:
            return
        line, driver = self.line, self.virtual._started()
        line.write = lambda data: None  # type: ignore[method-assign]
        driver.detach(line)
