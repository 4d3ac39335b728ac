"""What a gateway does with its modem all day: the work of a simulated soak.

A connection lasts as long as it can, a server and an endpoint for datagrams last all day, and
other operations come and go, with pauses between them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import aiobc9x
from aiobc9x import Modem, ModemError
from benchmarks.soak_desk import FAR, Desk
from benchmarks.soak_record import Record, WrongBytesError
from benchmarks.soak_trouble import Trouble, until
from benchmarks.soak_work import SIMULATED, Operation, Work, echoes, judged
from tests.support.bench import HOST, LISTEN_PORT, Streams
from tests.support.loopback import echo, forgiving

LIMIT_S: Final = 300.0
"""What lasts longer hangs, whatever has gone wrong. A command waits 180 s for a modem to come."""

PATIENCE_S: Final = 60.0
"""How long an open may take."""

MOMENT_S: Final = 2.0
"""After how long something is broken off, on average."""

REPLY_S: Final = 15.0
"""Seconds that a datagram and its echo may take."""

OUTSIDE_S: Final = 30.0
"""Seconds that a client from outside waits for its bytes: nobody tells it of a lost line."""

LASTING: Final = 3
"""Connect IDs of what lasts: a connection, a listener, an endpoint."""

LASTING_CONNECTION: Final = "lasting connection"


class Endpoint(asyncio.DatagramProtocol):
    """Sends one datagram after the other, and waits for each one's echo.

    Attributes:
        errors: What ``error_received`` was given, by class.
        wrong: Datagrams that the far side has not sent.

    """

    def __init__(self, desk: Desk, record: Record) -> None:
        self.errors: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._desk, self._record = desk, record
        self._waiting: dict[bytes, asyncio.Future[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as in typeshed
        """Compare a datagram with those that the far side has sent."""
        if not self._desk.has_echoed(data):
            self.wrong.append(f"a datagram of {len(data)} bytes that nobody has sent")
        waiting = self._waiting.pop(data, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """Count it."""
        self._record.heard("-", f"endpoint: {exc!r}")
        self.errors[type(exc).__name__] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it: the endpoint must not end before it is closed."""
        self._record.heard("-", f"endpoint ended: {exc!r}")

    async def exchange(self, data: bytes) -> None:
        """Send a datagram, and wait for its echo.

        Raises:
            TimeoutError: It has not come.

        Cancellation is safe.
        """
        waiting = self._waiting[data] = asyncio.get_running_loop().create_future()
        self.transport.sendto(data)
        try:
            async with asyncio.timeout(REPLY_S):
                await waiting
        finally:
            self._waiting.pop(data, None)


class Gateway:
    """The work.

    Attributes:
        host: As in :class:`benchmarks.soak_work.Far`.
        peers: The same.
        is_open: Whether operations may begin.
        is_over: Whether none is to begin any more.
        busy: How many are under way.
        endpoint: The protocol of the datagrams.

    """

    def __init__(
        self, modem: Modem, desk: Desk, trouble: Trouble, record: Record, seed: int
    ) -> None:
        self.host, self.peers = HOST, FAR
        self._modem, self._desk, self._trouble, self._record = modem, desk, trouble, record
        self._rng = random.Random(f"work {seed}")
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.is_over = False
        self.busy = self._ports = 0
        self.endpoint = Endpoint(desk, record)

    def next_port(self) -> int:
        """See :class:`benchmarks.soak_work.Far`."""
        self._ports += 1
        return 20_000 + self._ports % 12_000

    async def dial(self, port: int, *, is_secure: bool) -> Streams:
        """See :class:`benchmarks.soak_work.Far`."""
        if is_secure:
            raise NotImplementedError("there is no TLS in memory")
        return await self._desk.dial(port)

    def has_echoed(self, data: bytes) -> bool:
        """See :class:`benchmarks.soak_work.Far`."""
        return self._desk.has_echoed(data)

    async def begin(self) -> None:
        """Open what lasts all day.

        Raises:
            ModemError: It can't be opened.

        """
        self._transport, _ = await self._modem.create_datagram_endpoint(
            lambda: self.endpoint, remote_addr=(HOST, FAR.datagrams), local_port=5683
        )
        self._server = await self._modem.start_server(forgiving(echo), LISTEN_PORT)

    async def end(self) -> None:
        """Close it."""
        self._server.close()
        await self._server.wait_closed()
        self._transport.close()

    def work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return all that is done side by side, by name."""
        return {
            LASTING_CONNECTION: self._lasting_connection(),
            "telemetry": self._again("telemetry", echoes, 120.0),
            "client from outside": self._again("client from outside", self.client, 90.0),
            "CoAP": self._again("CoAP", self.datagram, 60.0),
            "the rest": self._mixed(20.0),
        }

    def operation(self, kind: str) -> Operation:
        """Prepare an operation."""
        blackouts = self._trouble.blackouts
        return Operation(
            self._modem,
            self,
            SIMULATED,
            random.Random(self._rng.random()),
            PATIENCE_S,
            MOMENT_S,
            self._record.tally(kind),
            lambda: self._trouble.blackouts == blackouts,
        )

    async def _again(self, kind: str, work: Work, pause: float) -> None:
        while await self._may_go_on(pause):
            await self._perform(kind, work)

    async def _mixed(self, pause: float) -> None:
        kinds, weights = [*SIMULATED], [weight for _, weight in SIMULATED.values()]
        while await self._may_go_on(pause):
            (kind,) = self._rng.choices(kinds, weights)
            await self._perform(kind, SIMULATED[kind][0])

    async def _may_go_on(self, pause: float) -> bool:
        """Wait a while, until operations may begin; return whether there is to be one more."""
        await until(lambda: self.is_over, self._rng.expovariate(1 / pause), every=10.0)
        await self.is_open.wait()
        return not self.is_over

    async def _perform(self, kind: str, work: Work) -> None:
        op, is_calm = self.operation(kind), self._calm_so_far()
        self.busy += 1
        try:
            await judged(kind, work, op, self._record, limit_s=LIMIT_S, is_calm=is_calm)
        finally:
            self.busy -= 1

    def _calm_so_far(self) -> Callable[[], bool]:
        """Return a function that tells whether all has been calm from now until its call."""
        was_calm, number = self._trouble.is_calm, self._trouble.number
        return lambda: was_calm and number == self._trouble.number

    async def _lasting_connection(self) -> None:
        """Keep a connection for as long as it lasts, then open another one."""
        while not self.is_over:
            op, is_calm = self.operation(LASTING_CONNECTION), self._calm_so_far()
            await judged(
                LASTING_CONNECTION,
                self._talk_on,
                op,
                self._record,
                limit_s=None,
                is_calm=is_calm,
            )
            await asyncio.sleep(self._rng.uniform(1, 5))

    async def _talk_on(self, op: Operation) -> None:
        streams = reader, writer = await self._modem.open_connection(
            HOST, FAR.echo, timeout=PATIENCE_S, access_mode=op.rng.choice([*aiobc9x.AccessMode])
        )
        try:
            while not self.is_over:
                op.is_covered = self.operation(LASTING_CONNECTION).is_covered
                try:
                    async with asyncio.timeout(LIMIT_S) as limit:
                        await op.converse(streams, op.size())
                except TimeoutError:
                    if limit.expired():
                        self._record.breach("the lasting connection hangs")
                    raise
                try:
                    async with asyncio.timeout(op.rng.uniform(20, 90)):
                        data = await reader.read(1)
                except TimeoutError:
                    continue
                if data or op.is_covered():
                    raise WrongBytesError(f"{data!r} came, and nothing was sent")
                raise EOFError("the network was lost")
            await op.finish(streams)
        finally:
            writer.close()

    async def client(self, op: Operation) -> None:
        """Connect from outside to the server that is always there."""
        turned_away = self._modem.statistics.incoming_full
        try:
            streams = await self._desk.dial(LISTEN_PORT)
        except ConnectionRefusedError:
            await asyncio.sleep(1)
            if self._modem.statistics.incoming_full > turned_away:
                return
            raise
        try:
            async with asyncio.timeout(OUTSIDE_S):
                await op.converse(streams, min(op.size(), 2000), is_outside=True)
            await op.finish(streams)
        finally:
            streams[1].close()

    async def datagram(self, op: Operation) -> None:
        """Send a datagram through the endpoint that is always there."""
        data = op.rng.randbytes(min(op.size(), 1400) + 8)
        await self.endpoint.exchange(data)
        op.tally.check(data, data)

    async def failure(self, on_connection: Callable[[], None]) -> str:
        """Try everything that lasts, and a new connection; return what fails, if anything.

        Args:
            on_connection: Called when the new connection has worked.

        """
        op = self.operation("probe")
        for what, work in (
            ("a new connection", echoes),
            ("the endpoint", self.datagram),
            ("the server", self.client),
        ):
            try:
                async with asyncio.timeout(LIMIT_S):
                    await work(op)
            except (OSError, EOFError, ModemError) as exc:
                return f"{what}: {exc!r}"
            except WrongBytesError as exc:
                if not exc.has_swallowed:
                    self._record.breach(f"{what}: {exc!r}")
                return f"{what}: {exc!r}"
            if work is echoes:
                on_connection()
        return ""
