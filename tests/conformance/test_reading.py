"""Data on their way to protocols, of either kind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.conformance.compare import conforms
from tests.conformance.nets import Net
from tests.conformance.recording import Buffered, Stream, Trace

DATA = random.Random(3).randbytes(30_000)


@conforms()
async def test_pause_in_data_received(net: Net) -> object:
    """Nothing comes until it resumes, then everything, in order."""
    protocol, far = await net.connected(lambda: Stream(data=lambda p: p.transport.pause_reading()))
    far.send(b"first")
    await protocol.told("data")
    far.send(b"second")
    before = protocol.received
    protocol.then.clear()
    protocol.transport.resume_reading()
    await protocol.heard(11)
    return before, protocol.trace


@conforms()
async def test_end_behind_a_pause(net: Net) -> Trace:
    """It waits behind the data."""
    protocol, far = await net.connected()
    protocol.transport.pause_reading()
    far.send(DATA)
    far.close()
    await asyncio.sleep(0)
    protocol.note("resumed")
    protocol.transport.resume_reading()
    await protocol.lost
    return protocol.trace


@conforms(tls=False)
async def test_pause_in_connection_made(net: Net) -> Trace:
    """Even the first data wait."""
    protocol, far = await net.connected(lambda: Stream(made=lambda p: p.transport.pause_reading()))
    far.send(b"data")
    for _ in range(200):  # turns of the loop; the data are there at once
        await asyncio.sleep(0)
    protocol.note("resumed")
    protocol.transport.resume_reading()
    await protocol.told("data")
    return protocol.trace


@conforms(tls=False)
async def test_pausing_twice(net: Net) -> object:
    """Neither twice is an error."""
    protocol, _ = await net.connected()
    transport = protocol.transport
    transport.pause_reading()
    transport.pause_reading()
    states = [transport.is_reading()]
    transport.resume_reading()
    transport.resume_reading()
    return [*states, transport.is_reading()]


@conforms()
async def test_buffered(net: Net) -> Trace:
    """A small buffer is filled as often as it takes."""
    protocol, far = await net.connected(Buffered)
    far.send(DATA[:500])
    await protocol.heard(500)
    far.close()
    await protocol.lost
    return protocol.trace


@conforms()
async def test_protocols_of_both_kinds_in_turn(net: Net) -> object:
    """set_protocol() from within a callback counts for the next data."""
    protocol, far = await net.connected()
    traces: list[Trace] = []
    transport = protocol.transport
    kinds: list[Callable[[], Any]] = [Buffered, Stream, Buffered, Buffered, Stream]
    current: Any = protocol
    for number, make in enumerate(kinds):
        after = make()
        current.then["data"] = lambda _p, after=after: transport.set_protocol(after)
        far.send(b"%d" % number)
        await current.told("data")
        assert transport.get_protocol() is after
        traces.append(current.trace)
        current = after
    transport.close()
    far.close()
    await current.lost
    return [*traces, current.trace]
