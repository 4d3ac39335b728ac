"""asyncio's streams: what readers and writers give and raise."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import Far, Net
from tests.conformance.recording import kind
from tests.support.tls import NAME, client_context, server_context

DATA = random.Random(4).randbytes(30_000)


@conforms()
async def test_reading(net: Net) -> object:
    """Every way to read, up to the end and behind it."""
    reader, writer, far = await net.streams()
    far.send(b"line one\nline two\n" + bytes(5) + b"until;" + DATA)
    far.close()
    read: list[object] = [await reader.readline(), await reader.readuntil(b"two\n")]
    read += [await reader.readexactly(5), await reader.readuntil(b";")]
    read += [await reader.read(), reader.at_eof(), await reader.read(5), await reader.readline()]
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reader.readexactly(1)
    writer.close()
    await writer.wait_closed()
    return read, caught.value.partial


@conforms()
async def test_lines_of_a_reader(net: Net) -> object:
    """``async for``"""
    reader, writer, far = await net.streams()
    far.send(b"one\ntwo\nthree")
    far.close()
    lines = [line async for line in reader]
    writer.close()
    await writer.wait_closed()
    return lines


@conforms()
async def test_line_that_is_too_long(net: Net) -> object:
    """The reader's limit counts; the data can be read otherwise."""
    reader, writer, far = await net.streams(limit=100)
    line = b"x" * 30_000
    far.send(line + b"\n")
    with pytest.raises(asyncio.LimitOverrunError):
        await reader.readuntil()
    rest = await reader.readexactly(len(line))
    writer.close()
    far.close()
    await writer.wait_closed()
    return rest == line


@conforms()
async def test_slow_reader(net: Net) -> object:
    """It gets everything."""
    reader, writer, far = await net.streams(limit=1000)
    far.send(DATA)
    far.close()
    received = b""
    while data := await reader.read(100):
        received += data
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()
    return received == DATA


@conforms()
async def test_writing(net: Net) -> object:
    """write(), writelines(), drain(); close() sends the rest."""
    _, writer, far = await net.streams()
    listening = asyncio.ensure_future(far.hears_all())
    for _ in range(5):
        writer.write(DATA[:5000])
        await writer.drain()
    writer.writelines([b"one", bytearray(b"two")])
    writer.write(DATA)
    writer.close()
    states = [writer.is_closing()]
    heard = await listening
    far.close()
    await writer.wait_closed()
    return heard == DATA[:5000] * 5 + b"onetwo" + DATA, states


@conforms()
async def test_after_closing(net: Net) -> object:
    """What reading, writing and draining do when the connection is closed."""
    reader, writer, far = await net.streams()
    writer.close()
    far.close()
    await writer.wait_closed()
    results: list[object] = [await reader.read(), writer.is_closing()]
    try:
        writer.write(b"late")
    except RuntimeError:  # uvloop's own
        results.append("raised")
    with pytest.raises(ConnectionResetError):
        await writer.drain()
    await writer.wait_closed()
    return results


@conforms()
async def test_aborted(net: Net) -> object:
    """The reader sees an end."""
    reader, writer, _ = await net.streams()
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    writer.transport.abort()
    await writer.wait_closed()
    return await reading


@conforms(tls=False)
async def test_eof_of_a_writer(net: Net) -> object:
    """Whether one direction can be ended."""
    reader, writer, far = await net.streams()
    if not writer.can_write_eof():
        with pytest.raises(NotImplementedError):
            writer.write_eof()
        return "refused"
    writer.write_eof()
    assert await far.hears_all() == b""
    far.send(b"answer")
    return await reader.readexactly(6)


@conforms(tls=False)
async def test_peer_that_only_stops_sending(net: Net) -> object:
    """Whether it can still be answered."""
    reader, writer, far = await net.streams()
    far.send(b"question")
    far.end()
    assert await reader.read() == b"question"
    await asyncio.sleep(0)
    return writer.is_closing()


@conforms(tls=False)
async def test_upgrade_to_tls(net: Net) -> object:
    """start_tls() of a client; the far end upgrades by itself."""
    reader, writer, far = await net.streams()
    far.send(b"go ahead\n")
    results: list[object] = [await reader.readline()]
    serving = asyncio.ensure_future(far.writer.start_tls(server_context()))
    await secure(net, writer)
    await serving
    writer.write(b"secret\n")
    results.append(await far.reader.readline())
    far.send(DATA)
    far.close()
    results.append(await reader.read() == DATA)
    results.append(writer.get_extra_info("cipher") is not None)
    writer.close()
    await writer.wait_closed()
    return results


async def secure(net: Net, writer: asyncio.StreamWriter) -> None:
    """Upgrade a client; asyncio's own writers can't do it on every loop."""
    del net
    await writer.start_tls(client_context(), server_hostname=NAME)


@conforms(tls=False)
async def test_upgrade_that_fails(net: Net) -> object:
    """A wrong name: what start_tls() raises, then reading and waiting."""
    reader, writer, far = await net.streams()
    serving = asyncio.ensure_future(far.writer.start_tls(server_context()))
    results = []
    with pytest.raises(OSError) as caught:
        await writer.start_tls(client_context(), server_hostname="other.example")
    results.append(kind(caught.value))
    for waiting in (reader.read(), writer.wait_closed()):
        with pytest.raises(OSError) as caught:
            await waiting
        results.append(kind(caught.value))
    with pytest.raises(OSError):
        await serving
    return results


@conforms(tls=False)
async def test_handshake_that_fails(net: Net) -> object:
    """What open_connection() raises, from a wrong name to a peer that speaks no TLS."""
    results = []
    for name, speaks in ((NAME, False), ("other.example", True)):
        fars: list[Far] = []

        def accept(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fars: list[Far] = fars
        ) -> None:
            fars.append(Far(reader, writer))
            writer.write(b"220 no TLS here\r\n")

        options: dict[str, Any] = {"ssl": server_context()} if speaks else {}
        server = await asyncio.start_server(accept, "127.0.0.1", 0, **options)
        with pytest.raises(OSError) as caught:
            await net.calls.open_connection(
                *server.sockets[0].getsockname(), ssl=client_context(), server_hostname=name
            )
        results.append(type(caught.value).__name__)
        server.close()
        for far in fars:
            far.writer.transport.abort()
    return results
