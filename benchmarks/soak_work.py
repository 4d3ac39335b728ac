"""What a soak does with a modem, again and again: one coroutine per kind of operation.

Each ends when it has done what it meant to do, or with an exception. Every byte that
arrives is compared with what was sent.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from aiobc9x import AccessMode, ConnectFailed, Modem, ModemError, NoFreeSocket
from benchmarks.soak_peers import Peers
from benchmarks.soak_record import FilledUpError, Record, Tally, WrongBytesError, stack_of
from tests.support.loopback import LOOPBACK, Streams, echo, forgiving
from tests.support.tls import NAME, client_context, server_context

MOST_BYTES: Final = 20_000
DATAGRAM_S: Final = 10.0
TOLD_S: Final = 1.0
"""What the word that a client was turned away may take on a slow line; the client knows sooner."""

NOWHERE: Final = "nowhere.example"
"""A name whose server never answers."""

MODES: Final = (AccessMode.BUFFER, AccessMode.PUSH)


class Far(Protocol):
    """The far side of the module: servers, and clients of the module's own servers.

    Attributes:
        host: The address of the servers.
        peers: Their ports; one that is 0 is not there.

    """

    host: str
    peers: Peers

    def next_port(self) -> int:
        """Return a port for the module to listen on."""

    async def dial(self, port: int, *, is_secure: bool) -> Streams:
        """Connect from outside to a port that the module listens on.

        Raises:
            OSError: Nobody listens there, or no socket is free.

        """

    def has_echoed(self, data: bytes) -> bool:
        """Whether the far side has sent this datagram, which it may have got in this form."""


@dataclass
class Operation:
    """One operation.

    Attributes:
        modem: On what.
        far: With whom.
        kinds: What there is to do; a cancellation cancels one of them.
        rng: Chooses.
        patience_s: How long an open may take; left alone, the module may take 181 s to connect
            by name (§2.2.1, note 2), when a fault has hit that. A client of the module has as
            long: nobody tells it that the module's line was cut.
        moment_s: How long something goes on, on average, before it is broken off.
        tally: Counts.
        is_covered: Tells whether the module has had coverage all the time: a lost network
            looks like the peer's close.

    """

    modem: Modem
    far: Far
    kinds: Mapping[str, "Kind"]
    rng: random.Random
    patience_s: float
    moment_s: float
    tally: Tally
    is_covered: Callable[[], bool]

    def size(self) -> int:
        """Choose how many bytes, as telemetry has them: many small ones, few large ones."""
        return max(1, min(MOST_BYTES, int(self.rng.lognormvariate(6, 2))))

    async def converse(
        self, streams: Streams, size: int, *, may_end: bool = False, is_outside: bool = False
    ) -> None:
        """Send bytes, and compare what an echo sends back.

        Args:
            streams: The connection.
            size: How many bytes.
            may_end: Whether the stream may end early, as if the echo had closed.
            is_outside: Whether this is a client of a server on the module: its stream may end
                early, and what the module has sent at last may have suffered on the serial line.

        Raises:
            EOFError: The stream ended early, and may.
            FilledUpError: Outside, the last bytes were wrong.
            WrongBytesError: It ended early and may not, as a fault is no end of the stream; or
                bytes are wrong.

        """
        reader, writer = streams
        data = self.rng.randbytes(size)
        sending = asyncio.create_task(self._send(writer, data), name="soak send")
        try:
            for start in range(0, size, 3000):
                try:
                    await self._compare(reader, data[start : start + 3000], may_end or is_outside)
                except WrongBytesError as exc:
                    if not is_outside:
                        raise
                    raise FilledUpError(str(exc)) from exc
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _compare(self, reader: asyncio.StreamReader, piece: bytes, may_end: bool) -> None:
        try:
            self.tally.check(await reader.readexactly(len(piece)), piece)
        except asyncio.IncompleteReadError as exc:
            self.tally.check(exc.partial, piece[: len(exc.partial)])
            if may_end or not self.is_covered():
                raise
            raise WrongBytesError("a stream ended that nobody has closed") from exc

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            size = self.rng.randint(1, 3000)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]

    async def finish(self, streams: Streams) -> None:
        """Close, and wait until the module has closed."""
        streams[1].close()
        await streams[1].wait_closed()


Work = Callable[[Operation], Coroutine[Any, Any, None]]  # Any: as typeshed has it

Kind = tuple[Work, int]
"""A kind of operation, and how likely it is."""


class BusyError(OSError):
    """The module has no free socket, and another program than ours has to be told so."""


async def echoes(op: Operation) -> None:
    """Open, send, receive, close: sometimes by name, in either mode."""
    streams = await op.modem.open_connection(
        op.rng.choice((op.far.host, NAME)),
        op.far.peers.echo,
        access_mode=op.rng.choice(MODES),
        timeout=op.patience_s,
    )
    try:
        await op.converse(streams, op.size())
        await op.finish(streams)
    finally:
        streams[1].close()


async def secure(op: Operation) -> None:
    """The same with TLS."""
    streams = await op.modem.open_connection(
        NAME, op.far.peers.secure, ssl=client_context(), timeout=op.patience_s
    )
    try:
        await op.converse(streams, op.size())
        await op.finish(streams)
    finally:
        streams[1].close()


async def takes_all(op: Operation) -> None:
    """Receive from a peer that closes behind its last byte: the end comes behind that too."""
    streams = await op.modem.open_connection(
        op.far.host, op.far.peers.source, access_mode=op.rng.choice(MODES), timeout=op.patience_s
    )
    reader, writer = streams
    try:
        seed, size = op.rng.randrange(2**32), op.size()
        writer.write(b"%d %d\n" % (seed, size))
        data = await reader.read(-1)
        whole = random.Random(seed).randbytes(size)
        op.tally.check(data, whole[: len(data)])
        if len(data) < size:
            words = f"the stream ended after {len(data)} of {size} bytes"
            raise WrongBytesError(words) if op.is_covered() else EOFError(words)
        await op.finish(streams)
    finally:
        writer.close()


async def cut_off(op: Operation) -> None:
    """Talk to a peer that resets the connection: what came before is right."""
    streams = await op.modem.open_connection(
        op.far.host, op.far.peers.cutter, timeout=op.patience_s
    )
    reader, writer = streams
    data = op.rng.randbytes(op.size())
    try:
        writer.write(data)
        got = await reader.read(-1)
        op.tally.check(got, data[: len(got)])
        await op.finish(streams)
    except ConnectionError:
        pass  # that is how it should end, unless all was sent before
    finally:
        writer.close()


async def aborts(op: Operation) -> None:
    """Abort in the middle of a transfer."""
    streams = await op.modem.open_connection(op.far.host, op.far.peers.echo, timeout=op.patience_s)
    talk = op.converse(streams, MOST_BYTES, may_end=True)
    talking = asyncio.create_task(talk, name="soak talk")
    try:
        await asyncio.wait([talking], timeout=op.rng.random() * 2 * op.moment_s)
        streams[1].transport.abort()
        await asyncio.wait([talking])
        _expect(talking, OSError, EOFError)
    finally:
        talking.cancel()
        streams[1].transport.abort()


async def cancels(op: Operation) -> None:
    """Cancel another operation, wherever it is."""
    others = [work for work, _ in op.kinds.values() if work not in (aborts, cancels)]
    work = op.rng.choice(others)
    doing = asyncio.create_task(work(op), name="soak cancelled")
    try:
        await asyncio.wait([doing], timeout=op.rng.expovariate(1 / op.moment_s))
        doing.cancel()
        await asyncio.wait([doing])
        _expect(doing)
    finally:
        doing.cancel()


def _expect(task: asyncio.Task[None], *errors: type[BaseException]) -> None:
    """Raise what a task has raised, but for a cancellation and these."""
    if not task.cancelled() and not isinstance(task.exception(), errors):
        task.result()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # Any: as in typeshed
        self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.received.put_nowait(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.received.put_nowait(exc or EOFError("the endpoint was closed"))


async def datagrams(op: Operation) -> None:
    """Send datagrams, each when the one before has come back."""
    transport, protocol = await op.modem.create_datagram_endpoint(
        _Datagrams,
        remote_addr=(op.far.host, op.far.peers.datagrams),
        timeout=op.patience_s,
        access_mode=op.rng.choice(MODES),
    )
    try:
        for _ in range(op.rng.randint(1, 8)):
            data = op.rng.randbytes(op.rng.randint(1, 1440))
            transport.sendto(data)
            async with asyncio.timeout(DATAGRAM_S):
                got = await protocol.received.get()
            if isinstance(got, Exception):
                raise got
            if got != data and op.far.has_echoed(got):
                raise FilledUpError(f"the far side got {len(got)} other bytes")
            op.tally.check(got, data)
    finally:
        transport.close()


async def serves(op: Operation) -> None:
    """Listen on the module; a client from outside comes in, with TLS or without."""
    tls = bool(op.far.peers.secure) and op.rng.random() < 0.3
    port = op.far.next_port()
    server = await op.modem.start_server(
        forgiving(echo), port, ssl=server_context() if tls else None, timeout=op.patience_s
    )
    turned_away = op.modem.statistics.incoming_full
    try:
        streams = await op.far.dial(port, is_secure=tls)
        try:
            async with asyncio.timeout(op.patience_s):
                await op.converse(streams, op.size(), is_outside=True)
            await op.finish(streams)
        finally:
            streams[1].close()
    except (OSError, EOFError) as exc:
        await asyncio.sleep(TOLD_S)
        if op.modem.statistics.incoming_full > turned_away:
            raise BusyError("the module had no socket left for the client") from exc
        raise
    finally:
        server.close()
    await server.wait_closed()


async def proxies(op: Operation) -> None:
    """Have a client connect through a proxy, by SOCKS5 or HTTP."""
    proxy = await op.modem.serve_proxy(port=0, connect_timeout=op.patience_s)
    try:
        streams = await asyncio.open_connection(LOOPBACK, cast(int, proxy.port))
        try:
            await op.rng.choice((_ask_socks, _ask_http))(streams, op.far.peers.echo)
            await op.converse(streams, op.size(), may_end=True)
            await op.finish(streams)
        finally:
            streams[1].close()
    finally:
        proxy.close()
    await proxy.wait_closed()


async def _ask_socks(streams: Streams, port: int) -> None:
    reader, writer = streams
    writer.write(b"\x05\x01\x00")
    if await reader.readexactly(2) != b"\x05\x00":
        raise WrongBytesError("the proxy wants more than SOCKS5 without a password")
    writer.write(b"\x05\x01\x00\x03%c%b%b" % (len(NAME), NAME.encode(), port.to_bytes(2, "big")))
    answer = await reader.readexactly(10)
    if answer[1] == 1:  # a general failure; SOCKS has no word for "busy"
        raise BusyError("the proxy has no socket left")
    if answer[1]:
        raise ConnectionError(f"the proxy answers {answer[1]}")


async def _ask_http(streams: Streams, port: int) -> None:
    reader, writer = streams
    writer.write(b"CONNECT %b:%d HTTP/1.1\r\n\r\n" % (NAME.encode(), port))
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 503 " in answer:
        raise BusyError("the proxy has no socket left")
    if b" 200 " not in answer:
        raise ConnectionError(f"the proxy answers {answer!r}")


async def redirected(op: Operation) -> None:
    """Have asyncio's own call go through the modem."""
    with op.modem.installed(strict=True):
        async with asyncio.timeout(op.patience_s):
            streams = await asyncio.open_connection(NAME, op.far.peers.echo)
    try:
        await op.converse(streams, op.size())
        await op.finish(streams)
    finally:
        streams[1].close()


async def questions(op: Operation) -> None:
    """Ask what isn't about connections."""
    asked = op.rng.randrange(4)
    if asked == 0:
        await op.modem.socket_states()
    elif asked == 1:
        await op.modem.ping(op.far.host, count=1)
    elif asked == 2:
        await op.modem.resolve(NAME)
    else:
        await op.modem.command("AT+CSQ")


async def unreached(op: Operation) -> None:
    """Open what can't be opened: a port that refuses, or a host that never answers."""
    host, port = op.rng.choice(((op.far.host, op.far.peers.closed), (NOWHERE, op.far.peers.echo)))
    try:
        _, writer = await op.modem.open_connection(host, port, timeout=op.patience_s)
    except (ConnectFailed, TimeoutError):
        return
    writer.close()
    raise WrongBytesError(f"{host}:{port} has answered")


KINDS: Final[dict[str, Kind]] = {
    "echo": (echoes, 6),
    "TLS": (secure, 3),
    "peer closes": (takes_all, 4),
    "peer resets": (cut_off, 2),
    "abort": (aborts, 2),
    "cancel": (cancels, 4),
    "UDP": (datagrams, 3),
    "server": (serves, 3),
    "proxy": (proxies, 3),
    "redirection": (redirected, 2),
    "question": (questions, 2),
}
"""The operations in real time, and how likely each is."""

SIMULATED: Final[dict[str, Kind]] = {
    "echo": (echoes, 6),
    "peer closes": (takes_all, 4),
    "peer resets": (cut_off, 2),
    "abort": (aborts, 2),
    "cancel": (cancels, 4),
    "UDP": (datagrams, 3),
    "server": (serves, 3),
    "redirection": (redirected, 2),
    "question": (questions, 2),
    "unreached": (unreached, 1),
}
"""Those under a virtual clock: without TLS, whose random numbers no seed gives, and without real
sockets, which know no virtual clock."""


async def judged(
    kind: str,
    work: Work,
    op: Operation,
    record: Record,
    *,
    limit_s: float | None,
    is_calm: Callable[[], bool],
) -> None:
    """Do one operation, and judge how it ends.

    Args:
        kind: Its name.
        work: What is done.
        op: With what.
        record: Counts.
        limit_s: What lasts longer hangs; ``None``: it knows itself what does.
        is_calm: Whether nothing has gone wrong since before it began.

    Cancellation cancels the operation too.

    """
    op.tally.begun += 1
    record.heard("+", kind)
    doing = asyncio.create_task(work(op), name=f"soak {kind}")
    try:
        await asyncio.wait([doing], timeout=limit_s)
    except asyncio.CancelledError:
        doing.cancel()
        raise
    if not doing.done():
        record.breach(f"{kind} hangs:\n{stack_of(doing)}")
        doing.cancel()
        await asyncio.wait([doing], timeout=limit_s)
        return
    exc = doing.exception()
    record.heard("-", f"{kind} {exc!r}" if exc else kind)
    if exc is None:
        op.tally.done += 1
    elif isinstance(exc, NoFreeSocket | BusyError):
        op.tally.busy += 1
    elif isinstance(exc, WrongBytesError) and exc.has_swallowed and not is_calm():
        record.unnoticed += 1
    elif not isinstance(exc, OSError | EOFError | ModemError):
        record.breach(f"{kind}: {exc!r}")
    elif is_calm():
        record.breach(f"{kind} ended without a fault: {exc!r}")
    else:
        op.tally.ended += 1
        record.endings[type(exc).__name__] += 1
