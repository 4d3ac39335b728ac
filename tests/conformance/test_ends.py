"""How connections end, and the context that protocols are told in."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import Net
from tests.conformance.recording import Holding, Recorder, Stream, Trace

DATA = random.Random(3).randbytes(30_000)


@conforms()
async def test_we_close(net: Net) -> Trace:
    """Lost without an error, after everything was sent."""
    protocol, far = await net.connected()
    protocol.transport.write(DATA)
    protocol.transport.close()
    assert await far.hears_all() == DATA
    far.close()
    await protocol.lost
    return protocol.trace


@conforms()
async def test_we_abort(net: Net) -> Trace:
    """Lost without an error."""
    protocol, far = await net.connected()
    protocol.transport.write(DATA)
    protocol.transport.abort()
    await protocol.lost
    await far.hears_all()
    return protocol.trace


@conforms()
async def test_peer_closes(net: Net) -> Trace:
    """Data, the end, lost."""
    protocol, far = await net.connected()
    far.send(DATA)
    far.close()
    await protocol.lost
    return protocol.trace


@conforms()
async def test_peer_closes_at_once(net: Net) -> Trace:
    """The end alone."""
    protocol, far = await net.connected()
    far.close()
    await protocol.lost
    return protocol.trace


@conforms(tls=False)
async def test_peer_ends_one_direction(net: Net) -> Trace:
    """A protocol that doesn't ask for more is closed."""
    protocol, far = await net.connected()
    far.send(b"last")
    far.end()
    await protocol.lost
    assert await far.hears_all() == b""
    return protocol.trace


@conforms(tls=False)
async def test_protocol_that_holds_on(net: Net) -> object:
    """One that does can still write."""
    protocol, far = await net.connected(Holding)
    far.send(b"last")
    far.end()
    await protocol.told("eof")
    protocol.transport.write(b"answer")
    heard = b"" if net.is_module else await far.hears(6)
    protocol.transport.close()
    await protocol.lost
    return protocol.trace, heard


@conforms(tls=False)
async def test_peer_resets(net: Net) -> Trace:
    """A reset is an error."""
    protocol, far = await net.connected()
    far.send(b"data")
    await protocol.heard(4)
    far.reset()
    await protocol.lost
    return protocol.trace


@pytest.mark.parametrize(
    ("where", "how"),
    [("made", "close"), *((where, how) for where in ("data", "eof") for how in ("close", "abort"))],
)
@conforms()
async def test_end_in_a_callback(net: Net, where: str, how: str) -> Trace:
    """Nothing comes behind it but the loss."""
    end: dict[str, Callable[[Recorder], object]] = {
        where: lambda protocol: getattr(protocol.transport, how)()
    }
    protocol, far = await net.connected(lambda: Stream(**end))
    far.send(b"data")
    far.close()
    await protocol.lost
    return protocol.trace


@conforms(tls=False)
async def test_abort_in_connection_made(net: Net) -> Trace:
    """With TLS the far end would not even notice."""
    protocol, _ = await net.connected(lambda: Stream(made=lambda p: p.transport.abort()))
    await protocol.lost
    return protocol.trace


@conforms()
async def test_any_order_of_ends(net: Net) -> list[Trace]:
    """Any of them may be called again, in any order."""
    traces = []
    for first in ("close", "abort"):
        for second in ("close", "abort"):
            protocol, far = await net.connected()
            getattr(protocol.transport, first)()
            getattr(protocol.transport, second)()
            far.close()
            await protocol.lost
            getattr(protocol.transport, first)()
            getattr(protocol.transport, second)()
            traces.append(protocol.trace)
    return traces


@conforms()
async def test_abort_while_flushing(net: Net) -> Trace:
    """It doesn't wait any longer."""
    protocol, far = await net.connected()
    protocol.transport.write(DATA * 100)
    protocol.transport.close()
    protocol.transport.abort()
    await protocol.lost
    await far.hears_all()
    return protocol.trace


@conforms()
async def test_lost_comes_later(net: Net) -> Trace:
    """Not from within close() or abort()."""
    protocol, _ = await net.connected()
    protocol.transport.abort()
    protocol.note("returned")
    await protocol.lost
    return protocol.trace


@conforms()
async def test_callbacks(net: Net) -> object:
    """All of them."""
    route = contextvars.ContextVar("route", default="none")
    seen: dict[str, str] = {}

    def look(name: str) -> Callable[[Recorder], object]:
        return lambda _protocol: seen.update({name: route.get()})

    names = ("made", "data", "eof", "lost")
    route.set("inside")
    protocol, far = await net.connected(lambda: Stream(**{n: look(n) for n in names}))
    route.set("outside")
    far.send(b"data")
    far.close()
    await protocol.lost
    return seen


async def write_to_a_peer_that_closes(net: Net) -> asyncio.StreamReader:
    """Write until it raises; return the reader, which is full, so that nothing else tells."""
    reader, writer, far = await net.streams(limit=1000)
    far.send(DATA)
    await asyncio.sleep(0.1)
    far.close()

    async def write_on() -> None:
        while True:
            if not writer.transport.is_closing():  # uvloop before 0.22 takes nothing then
                writer.write(DATA)
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await write_on()
    return reader


@conforms(tls=False)
async def test_writing_to_a_peer_that_has_closed(net: Net) -> object:
    """drain() raises. With TLS asyncio's own drops in silence what is written."""
    await write_to_a_peer_that_closes(net)
    return "told"


@conforms(tls=False)
async def test_reading_behind_a_writer_that_failed(net: Net) -> object:
    """What has come may still be read."""
    reader = await write_to_a_peer_that_closes(net)
    try:
        return await reader.read(-1) == DATA
    except ConnectionError:
        return "forgotten"
