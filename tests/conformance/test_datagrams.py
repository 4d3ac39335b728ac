"""Datagram endpoints that are connected to one address."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import Any

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import LOOPBACK, Net
from tests.conformance.recording import Datagrams, Recorder, Trace


async def came(net: Net, sock: socket.socket) -> tuple[bytes, Any]:
    """Return the next datagram at the far end, and where it came from."""
    readable = asyncio.Event()
    net.loop.add_reader(sock, readable.set)  # uvloop has no sock_recvfrom()
    try:
        await readable.wait()
    finally:
        net.loop.remove_reader(sock)
    return sock.recvfrom(65536)


async def heard(net: Net, sock: socket.socket) -> bytes:
    """Return the next datagram at the far end."""
    return (await came(net, sock))[0]


async def answering(net: Net, protocol: Any, sock: socket.socket) -> tuple[str, int]:
    """Have the far end learn where its answers go."""
    protocol.transport.sendto(b"hello")
    data, address = await came(net, sock)
    assert data == b"hello"
    where: tuple[str, int] = address
    return where


def told(trace: list[tuple[str, Any]], sock: socket.socket) -> Trace:
    """Leave the far end's port, which changes, out of what a protocol was told."""
    here = sock.getsockname()
    return [(n, (a[0], a[1] == here)) if n == "datagram" else (n, a) for n, a in trace]


@conforms(tls=False)
async def test_both_ways(net: Net) -> object:
    """One send is one datagram, and one datagram one call, with the sender's address."""
    protocol, sock = await net.endpoint(Datagrams)
    where = await answering(net, protocol, sock)
    for size in (1, 2, 512, 1024, 1440):
        sock.sendto(bytes([size % 256]) * size, where)
    await protocol.until(lambda: len(protocol.trace) >= 6)
    protocol.transport.close()
    await protocol.lost
    return told(protocol.trace, sock)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview], ids=lambda k: k.__name__)
@conforms(tls=False)
async def test_sending(net: Net, kind: type) -> object:
    """Every kind of bytes, with the address or without."""
    protocol, sock = await net.endpoint(Datagrams)
    protocol.transport.sendto(kind(b"one"))
    protocol.transport.sendto(kind(b"two"), None)
    protocol.transport.sendto(kind(b"three"), sock.getsockname())
    return [await heard(net, sock) for _ in range(3)]


@conforms(tls=False)
async def test_datagrams_are_copied(net: Net) -> object:
    """What is changed after sendto() is sent unchanged."""
    protocol, sock = await net.endpoint(Datagrams)
    data = bytearray(b"before")
    protocol.transport.sendto(data)
    data[:] = b"behind"
    return await heard(net, sock)


@conforms(tls=False)
async def test_other_address(net: Net) -> object:
    """A ValueError: the endpoint is connected."""
    protocol, _ = await net.endpoint(Datagrams)
    with pytest.raises(ValueError):
        protocol.transport.sendto(b"data", (LOOPBACK, 9))
    return protocol.trace


@pytest.mark.parametrize("data", ["text", 5], ids=str)
@conforms(tls=False)
async def test_no_bytes(net: Net, data: Any) -> object:
    """A TypeError."""
    protocol, _ = await net.endpoint(Datagrams)
    with pytest.raises(TypeError):
        protocol.transport.sendto(data)
    return protocol.trace


@conforms(tls=False)
async def test_empty_datagram(net: Net) -> object:
    """Whether one can be sent."""
    protocol, _ = await net.endpoint(Datagrams)
    try:
        protocol.transport.sendto(b"")
    except ValueError:
        return "refused"
    return "sent"


@conforms(tls=False)
async def test_too_long(net: Net) -> object:
    """It goes to error_received(), and the endpoint goes on."""
    protocol, sock = await net.endpoint(Datagrams)
    protocol.transport.sendto(bytes(70_000))
    await protocol.told("error")
    protocol.transport.sendto(b"fine")
    return await heard(net, sock), protocol.trace


@conforms(tls=False)
async def test_nobody_there(net: Net) -> object:
    """Whether an endpoint hears that nobody listens."""
    protocol, sock = await net.endpoint(Datagrams)
    sock.close()
    protocol.transport.sendto(b"data")
    if not net.is_module:
        await protocol.told("error")
    protocol.transport.close()
    await protocol.lost
    return ("error", "ConnectionRefusedError") in protocol.trace


@pytest.mark.parametrize("how", ["close", "abort"])
@conforms(tls=False)
async def test_end_of_an_endpoint(net: Net, how: str) -> Trace:
    """Lost without an error, once; what is called later does nothing."""
    protocol, _ = await net.endpoint(Datagrams)
    transport = protocol.transport
    protocol.note("closing", transport.is_closing())
    getattr(transport, how)()
    protocol.note("closing", transport.is_closing())
    await protocol.lost
    transport.abort()
    transport.close()
    protocol.note("closing", transport.is_closing())
    return protocol.trace


@conforms(tls=False)
async def test_close_sends_what_is_queued(net: Net) -> object:
    """All of it."""
    protocol, sock = await net.endpoint(Datagrams)
    for number in range(5):
        protocol.transport.sendto(b"%d" % number)
    protocol.transport.close()
    await protocol.lost
    return [await heard(net, sock) for _ in range(5)]


@conforms(tls=False)
async def test_sending_after_the_end(net: Net) -> Trace:
    """Nothing happens."""
    protocol, _ = await net.endpoint(Datagrams)
    protocol.transport.close()
    await protocol.lost
    try:
        protocol.transport.sendto(b"late")
    except (RuntimeError, AttributeError):
        protocol.note("raised")
    return protocol.trace


@conforms(tls=False)
async def test_exception_in_datagram_received(net: Net) -> object:
    """It is reported."""

    def fail(_protocol: Recorder) -> None:
        raise LookupError("broken")

    protocol, sock = await net.endpoint(lambda: Datagrams(datagram=fail))
    where = await answering(net, protocol, sock)
    sock.sendto(b"data", where)
    await protocol.told("datagram")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return protocol.transport.is_closing()


@conforms(tls=False)
async def test_info_of_an_endpoint(net: Net) -> object:
    """Addresses and the socket."""
    protocol, sock = await net.endpoint(Datagrams)
    info = protocol.transport.get_extra_info
    view = info("socket")
    return (
        *(info("peername") == sock.getsockname(), [type(part) for part in info("sockname")]),
        *(view.family, view.type, view.getpeername() == sock.getsockname(), info("no", 5)),
    )


@conforms(tls=False)
async def test_limits_of_an_endpoint(net: Net) -> object:
    """anyio sets them to 0."""
    protocol, sock = await net.endpoint(Datagrams)
    transport = protocol.transport
    transport.set_write_buffer_limits(0)
    transport.sendto(b"data")
    return await heard(net, sock), transport.get_write_buffer_limits()


@conforms(tls=False)
async def test_context_of_an_endpoint(net: Net) -> object:
    """Callbacks run in the context that it was made in."""
    route = contextvars.ContextVar("route", default="none")
    route.set("inside")
    seen: list[str] = []
    protocol, sock = await net.endpoint(
        lambda: Datagrams(datagram=lambda _: seen.append(route.get()))
    )
    route.set("outside")
    where = await answering(net, protocol, sock)
    sock.sendto(b"data", where)
    await protocol.told("datagram")
    return seen


@conforms(tls=False)
async def test_unknown_keyword(net: Net) -> object:
    """A TypeError."""
    with pytest.raises(TypeError):
        await net.endpoint(Datagrams, no_such=1)
    return None
