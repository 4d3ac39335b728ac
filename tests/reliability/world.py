"""A modem with a listener and a datagram endpoint, and the program that uses it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import aiobc9x
from aiobc9x.sim.faults import Fault
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host
from tests.support.bench import (
    ECHO_PORT,
    HOST,
    LISTEN_PORT,
    NAME,
    UDP_PORT,
    Bench,
)
from tests.support.clock import running

PATIENCE_S: Final = 7200.0
"""Virtual seconds after which a run has failed: something never comes back."""

LOOK_S: Final = 0.1
"""Seconds between two looks at what the far side has got."""

CHUNKS: Final[tuple[int | str, ...]] = (0, 0, 7, "random")
"""How the module's bytes are cut."""

BAUDS: Final = (0, 0, 0, 0, 0, 0, 0, 9600, 9600, 115200)
"""Rates of the line. Pacing costs most of a run's time, so most lines have none."""


PAUSE_S: Final = 0.5
"""Seconds between two tries of a program that got an error."""

ANSWER_S: Final = 10.0
"""Seconds after which a client of the listener, or a datagram's sender, tries again."""


async def until(is_so: Callable[[], bool], most_s: float = math.inf) -> None:
    """Wait until something is so, or so many seconds are over."""
    end = running().now + most_s
    while not is_so() and running().now < end:  # noqa: ASYNC110  (the far side tells nobody)
        await asyncio.sleep(LOOK_S)


class Broken(AssertionError):
    """A promise that holds always: no wrong byte, no hole, no end that wasn't one."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a run draws: how the line and the module are.

    Attributes:
        latency: Seconds until the module answers.
        baud: Bits a second; 0 for a line that takes no time.
        chunk: How the module's bytes are cut.
        boot_time: Seconds that a restart takes.
        banner: What the module prints then.
        wake_time: Seconds that it takes to wake up.
        register_time: Seconds from coverage to registration.

    """

    latency: float
    baud: int
    chunk: int | str
    boot_time: float
    banner: str
    wake_time: float
    register_time: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Line:
        """Draw one; most are as real ones are."""
        return cls(
            latency=rng.choice([0.0, 0.02, 0.1]),
            baud=rng.choice(BAUDS),
            chunk=rng.choice(CHUNKS),
            boot_time=rng.choice([0.0, 1.0, 5.0]),
            banner=rng.choice(["RDY", "RDY", ""]),
            wake_time=rng.choice([0.0, 0.1, 0.5]),
            register_time=rng.choice([0.0, 2.0]),
        )


class Datagrams(asyncio.DatagramProtocol):
    """Keep what comes, and what is said to be lost."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.errors: list[Exception] = []

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.received.append(data)

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)


@dataclass(slots=True)
class Connection:
    """A connection of the program, and what its peer has sent so far."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: Peer
    sent: bytearray
    written: bytearray = field(default_factory=bytearray)
    got: int = 0

    async def echo(self, data: bytes) -> None:
        """Write, and read everything that the peer has sent then."""
        self.writer.write(data)
        self.written += data
        await self.writer.drain()
        await self.read(len(data))
        if self.peer.received != self.written:
            raise Broken(f"the peer got other bytes, and nobody was told: {self.peer.received!r}")

    async def read(self, size_bytes: int) -> None:
        """Read at least so many bytes, and all that the peer has sent by then.

        Raises:
            Broken: Others came, or the stream ended as if its peer had closed it.

        """
        least = self.got + size_bytes
        while self.got < max(least, len(self.sent)):
            piece = await self.reader.read(512)
            if not piece:
                raise Broken(f"the stream ended after {self.got} of {len(self.sent)} bytes")
            if not self.sent.startswith(piece, self.got):
                raise Broken(f"wrong bytes after {self.got}: {piece[:60]!r}")
            self.got += len(piece)


class World:
    """One run: a bench, its modem, and what has been seen.

    Attributes:
        rng: Draws everything that is random in this run.
        line: How line and module are.
        send_form: By which form payloads go.
        struck_at: When the fault struck for the first time; ``None`` before.
        hook_calls: When the reset hook was called.
        serving: The task that serves the listener for ever.
        client_errors: How the connections of the listener have ended, in order.
        resets_by_hook: Whether that resets the module.
        unanswered_at: When a silent module was given the first command that it did not answer.
        fire: Lets the fault strike; a position calls it, or has it called by :meth:`fire_at`.

    """

    def __init__(self, seed: str, *, send_form: str, **settings: Any) -> None:
        self.rng = random.Random(seed)
        self.line = line = Line.drawn(self.rng)
        self.send_form = send_form
        self._settings = settings
        self.bench = Bench(
            seed=self.rng.randrange(1 << 30),
            latency=line.latency,
            baud=line.baud,
            chunk=line.chunk,
            boot_time=line.boot_time,
            banner=line.banner,
            wake_time=line.wake_time,
            register_time=line.register_time,
            hosts={NAME: Host((HOST,))},
            dns_time=0.3,
            network_latency=self.rng.choice([0.0, 0.5]),
        )
        self.struck_at: float | None = None
        self._over_at, self._pending = 0.0, 0
        self.hook_calls: list[float] = []
        self.fire: Callable[[], None] = lambda: None
        self.resets_by_hook = False
        self.unanswered_at: float | None = None
        self._sent: dict[Peer, bytearray] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self.client_errors: list[OSError | None] = []
        self._fired = False

    async def __aenter__(self) -> World:
        """Open the modem, the listener and the endpoint."""
        bench = self.bench
        bench.network.serve_tcp(ECHO_PORT, self._echo_peer)
        bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
        self._watch_faults()
        self.modem = await bench.open_lasting(
            send_form=self.send_form,
            **self._settings,
            reconnect=aiobc9x.Reconnect(reset=self._reset),
        )
        if self._settings.get("allow_sleep"):
            await self.modem.command("AT+QSCLK=1")
        await self.modem.wait_ready()
        self.server = await self.modem.start_server(self._serve, LISTEN_PORT)
        self.serving = self.spawn(self.server.serve_forever())
        self.endpoint, self.datagrams = await self.modem.create_datagram_endpoint(
            Datagrams, remote_addr=(HOST, UDP_PORT)
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything, however the run went."""
        for task in self._tasks:
            task.cancel()
        await self.bench.__aexit__(exc_type, exc, traceback)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def spawn(self, call: Awaitable[object]) -> asyncio.Task[object]:
        """Run something beside the program."""
        task: asyncio.Task[object] = asyncio.ensure_future(call)
        self._tasks.add(task)
        return task

    # The fault.

    def _watch_faults(self) -> None:
        """Note when a fault of the virtual module strikes: it waits for its line or command."""
        plan = self.bench.virtual.module.board.faults
        strike = plan.strike

        def noted(kinds: object, text: str) -> Fault | None:
            fault = strike(kinds, text)  # type: ignore[arg-type]  # as it was given
            if fault is not None:
                self.note_strike()
            return fault

        plan.strike = noted  # type: ignore[method-assign]

    @property
    def over_at(self) -> float:
        """When the fault is over; the time until the next good byte counts from then."""
        return math.inf if self._pending else self._over_at

    def note_strike(self, lasting_s: float = 0.0) -> None:
        """Note that the fault strikes now, and for how long it lasts."""
        if self.struck_at is None:
            self.struck_at = running().now
        self._over_at = max(self._over_at, running().now + lasting_s)

    def begin_trouble(self) -> None:
        """Note that the fault strikes now, and lasts until :meth:`end_trouble`."""
        self._pending += 1
        self.note_strike()

    def end_trouble(self, lasting_s: float = 0.0) -> None:
        """Note that the fault is over, or will be in so many seconds."""
        self._pending -= 1
        self.note_strike(lasting_s)

    def fire_at(self, command: str) -> None:
        """Let the fault strike when the module begins a command that begins so, or just after."""

        def begun(line: str) -> None:
            if line.startswith(command):
                self.fire_once()

        self.bench.on_command = begun

    def fire_once(self) -> None:
        """Let the fault strike; once in a run."""
        if not self._fired:
            self._fired = True
            delay = self.rng.choice([0.0, 0.0, 0.01, 0.1])
            if delay:
                running().call_later(delay, self.fire)
            else:
                self.fire()

    async def _reset(self, _modem: aiobc9x.Modem) -> None:
        """Be the user's reset hook: a GPIO at the RESET pin, where the fault wants one."""
        self.hook_calls.append(running().now)
        await asyncio.sleep(0.5)
        if self.resets_by_hook:
            self.resets_by_hook = False
            self.bench.virtual.reset()
            self.end_trouble(self.line.boot_time)

    # The program.

    def _echo_peer(self, peer: Peer) -> None:
        """Be an echo server, and remember what it sends."""
        self._sent[peer] = bytearray()
        peer.answer_with(lambda data: self.send(peer, data))

    def send(self, peer: Peer, data: bytes) -> None:
        """Have a peer send."""
        self._sent[peer] += data
        peer.send(data)

    def burst(self, size_bytes: int) -> None:
        """Have every peer of a stream send so much at once."""
        for peer in self._sent:
            if not peer.closed:
                for _ in range(size_bytes // 1000):
                    self.send(peer, self.rng.randbytes(1000))

    async def connect(self) -> Connection:
        """Open a connection to the echo server."""
        reader, writer = await self.modem.open_connection(HOST, ECHO_PORT)
        peer = next(peer for peer in reversed(self.bench.network.peers) if peer.port == ECHO_PORT)
        return Connection(reader, writer, peer, self._sent[peer])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo what a client of the listener sends."""
        try:
            while data := await reader.read(512):
                writer.write(data)
                await writer.drain()
        except OSError as exc:
            self.client_errors.append(exc)
        else:
            self.client_errors.append(None)
        finally:
            writer.close()

    async def good_byte(self) -> float:
        """Return when a fresh connection has carried bytes both ways."""
        while True:
            try:
                connection = await self.connect()
                await connection.echo(self.rng.randbytes(200))
            except (OSError, aiobc9x.ModemError):
                await asyncio.sleep(PAUSE_S)
                continue
            connection.writer.close()
            return running().now

    async def good_client(self) -> float:
        """Return when a client of the listener has been served."""
        while True:
            if await self.served(self.rng.randbytes(150)):
                return running().now
            await asyncio.sleep(PAUSE_S)

    async def served(self, data: bytes) -> bool:
        """Have a client connect to the listener; return whether it got its bytes back."""
        if (peer := self.dial()) is None:
            return False
        ended = len(self.client_errors)
        self.send(peer, data)
        await until(lambda: self.has_all(peer) or peer.closed, ANSWER_S)
        is_served = self.has_all(peer)
        await self.end_of_client(peer, ended)
        return is_served

    async def end_of_client(self, peer: Peer, before: int) -> None:
        """End a client, and see that the program was told if it got wrong bytes.

        Args:
            peer: The client.
            before: How many clients had ended when it came.

        """
        if self._sent[peer].startswith(peer.received):
            peer.close()
            return
        await until(lambda: len(self.client_errors) > before)
        if self.client_errors[before] is None:
            raise Broken("a client got wrong bytes, and nobody was told")

    def dial(self) -> Peer | None:
        """Have a client connect to the listener; ``None`` if nobody listens."""
        if (peer := self.bench.network.dial(LISTEN_PORT)) is not None:
            self._sent[peer] = bytearray()
        return peer

    def has_all(self, peer: Peer) -> bool:
        """Whether a client of the listener has got back all that it has sent."""
        return peer.received == self._sent[peer]

    async def dialled(self) -> Peer:
        """Have a client connect to the listener, as soon as it listens."""
        while True:
            if (peer := self.dial()) is not None:
                return peer
            await asyncio.sleep(PAUSE_S)

    async def good_datagram(self) -> float:
        """Return when a datagram has come back."""
        while True:
            data = self.rng.randbytes(40)
            self.endpoint.sendto(data)
            await until(lambda: data in self.datagrams.received, ANSWER_S)  # noqa: B023  (of now)
            if data in self.datagrams.received:
                return running().now
