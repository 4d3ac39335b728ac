"""What protocols raise, and connections that fail."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import LOOPBACK, Net
from tests.conformance.recording import Buffered, Paced, Recorder, Stream, kind

DATA = random.Random(3).randbytes(30_000)


def fail(_protocol: Recorder) -> None:
    """Be a protocol with a mistake in it."""
    raise LookupError("broken")


@conforms(tls=False, loops=("asyncio",))  # uvloop's own create_connection() never returns
async def test_exception_in_connection_made(net: Net) -> object:
    """It is reported."""
    protocol, far = await net.connected(lambda: Stream(made=fail))
    far.send(b"data")
    far.close()
    await protocol.lost
    return protocol.trace


@pytest.mark.parametrize("where", ["data", "eof", "lost"])
@conforms()
async def test_exception(net: Net, where: str) -> object:
    """It is reported; in most places it ends the connection."""
    protocol, far = await net.connected(lambda: Stream(**{where: fail}))
    far.send(b"data")
    far.close()
    await protocol.lost
    await asyncio.sleep(0)
    return protocol.trace


@conforms(tls=False)
async def test_exception_in_pause_writing(net: Net) -> object:
    """It is reported; the connection goes on."""
    protocol, far = await net.connected(lambda: Paced(pause=fail, resume=fail))
    protocol.transport.set_write_buffer_limits(high=0)
    block = bytes(1 << 20)
    protocol.transport.write(block * 8 if not net.is_module else block[: 1 << 14])
    reading = asyncio.ensure_future(far.hears_all())
    await protocol.told("resume")
    protocol.transport.close()
    await protocol.lost
    await reading
    return protocol.trace


@conforms(tls=False)
async def test_empty_buffer(net: Net) -> object:
    """A buffer of no bytes is the protocol's mistake."""

    class Empty(Buffered):
        def get_buffer(self, sizehint: int) -> memoryview:
            return memoryview(b"")

    protocol, far = await net.connected(Empty)
    far.send(b"data")
    await protocol.lost
    return protocol.trace


@conforms(tls=False)
async def test_refused(net: Net) -> object:
    """Nobody listens there."""
    server, port = await net.dead_port()
    del server
    with pytest.raises(OSError) as caught:
        await net.calls.create_connection(Stream, LOOPBACK, port)
    return kind(caught.value), caught.value.errno


@pytest.mark.parametrize(
    "options",
    [
        {"server_hostname": "name"},
        {"ssl_handshake_timeout": 5},
        {"ssl_shutdown_timeout": 5},
        {"no_such": 1},
    ],
    ids=str,
)
@conforms(tls=False)
async def test_arguments(net: Net, options: dict[str, Any]) -> object:
    """What makes no sense is refused alike."""
    with pytest.raises((ValueError, TypeError)) as caught:
        await net.connected(**options)
    return kind(caught.value)


@conforms(tls=False)
async def test_made_before_the_return(net: Net) -> object:
    """connection_made() has been called, once."""
    protocol, _ = await net.connected()
    return protocol.trace
