"""Data on their way out, and files."""

from __future__ import annotations

import array
import asyncio
import io
import random
from typing import Any

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import Net
from tests.conformance.recording import Paced, Trace

DATA = random.Random(3).randbytes(30_000)


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        memoryview(array.array("I", [1, 2, 3])),
        memoryview(b"abcdef")[1:4],
        b"",
    ],
    ids=["bytes", "bytearray", "memoryview", "items", "slice", "empty"],
)
@conforms()
async def test_kinds(net: Net, data: Any) -> object:
    """Every kind of bytes is sent."""
    protocol, far = await net.connected()
    protocol.transport.write(data)
    protocol.transport.write(data)
    protocol.transport.close()
    return await far.hears_all()


@conforms()
async def test_copy(net: Net) -> object:
    """What is changed after write() is sent unchanged."""
    protocol, far = await net.connected()
    data = bytearray(b"before")
    protocol.transport.write(data)
    data[:] = b"behind"
    return await far.hears(6)


@pytest.mark.parametrize("data", ["text", 5, [1]], ids=str)
@conforms()
async def test_anything_else(net: Net, data: Any) -> object:
    """A TypeError, and the connection stands."""
    protocol, far = await net.connected()
    with pytest.raises(TypeError):
        protocol.transport.write(data)
    protocol.transport.write(b"fine")
    return await far.hears(4)


@conforms()
async def test_writelines(net: Net) -> object:
    """Any iterable will do, an empty one too."""
    protocol, far = await net.connected()
    protocol.transport.writelines([])
    protocol.transport.writelines([b"one", b"", memoryview(b"two"), bytearray(b"three")])
    protocol.transport.writelines(iter([b"four"]))
    return await far.hears(15)


@conforms()
async def test_after_the_end(net: Net) -> Trace:
    """Nothing is sent, nothing raised."""
    protocol, far = await net.connected()
    protocol.transport.close()
    far.close()
    await protocol.lost
    try:
        for _ in range(10):
            protocol.transport.write(b"late")
    except RuntimeError:
        protocol.note("raised")
    assert await far.hears_all() == b""
    return protocol.trace


@conforms(tls=False)
async def test_flow_control(net: Net) -> Trace:
    """Above the high mark writing is paused, at the low mark resumed; once each."""
    protocol, far = await net.connected(Paced)
    protocol.transport.set_write_buffer_limits(high=0)
    # More than the system takes at once, or asyncio would never have to wait.
    block = bytes(1 << 20)
    protocol.transport.write(block * 8 if not net.is_module else block[: 1 << 14])
    protocol.note("written")
    reading = asyncio.ensure_future(far.hears_all())
    await protocol.told("resume")
    protocol.transport.close()
    await protocol.lost
    assert set(await reading) == {0}
    return protocol.trace


@conforms(tls=False)
async def test_buffer_size(net: Net) -> object:
    """Nothing is left at the end."""
    protocol, far = await net.connected()
    protocol.transport.write(DATA)
    assert await far.hears(len(DATA)) == DATA
    while protocol.transport.get_write_buffer_size():  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    return protocol.trace


@conforms()
async def test_sendfile(net: Net) -> object:
    """The loop copies the file through the transport, or says that it can't."""
    protocol, far = await net.connected()
    reading = asyncio.ensure_future(far.hears(len(DATA)))
    try:
        sent = await net.loop.sendfile(protocol.transport, io.BytesIO(DATA))
    except NotImplementedError:
        reading.cancel()
        return "not implemented"
    return sent, await reading == DATA, protocol.trace


@conforms()
async def test_without_fallback(net: Net) -> object:
    """What the system could do itself it can't do here."""
    protocol, _ = await net.connected()
    with pytest.raises((NotImplementedError, RuntimeError, asyncio.SendfileNotAvailableError)):
        await net.loop.sendfile(protocol.transport, io.BytesIO(DATA), fallback=False)
    return protocol.trace
