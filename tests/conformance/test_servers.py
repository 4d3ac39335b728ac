"""Servers, and the connections that they accept."""

from __future__ import annotations

import asyncio
import contextvars
import random

import pytest

from tests.conformance.compare import conforms
from tests.conformance.nets import Net
from tests.conformance.recording import Buffered, Recorder, Stream
from tests.support.tls import NAME, client_context, server_context

DATA = random.Random(5).randbytes(20_000)


@pytest.mark.parametrize("kind", [Stream, Buffered], ids=lambda kind: kind.__name__)
@conforms()
async def test_accepted(net: Net, kind: type[Recorder]) -> object:
    """Each client gets a protocol; what each is told."""
    guests: list[Recorder] = []

    def factory() -> Recorder:
        guests.append(kind())
        return guests[-1]

    _, port = await net.serving(factory)
    for number in range(2):
        far = await net.dial(port)
        far.send(b"hello %d" % number)
        while len(guests) <= number:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0)
        await guests[-1].heard(7)
        guests[-1].transport.write(DATA)
        assert await far.hears(len(DATA)) == DATA
        far.close()
        await guests[-1].lost
    return [guest.trace for guest in guests]


@conforms()
async def test_server_closes_a_client(net: Net) -> object:
    """From within the callback; what was written arrives."""
    guests: list[Stream] = []

    def answer(protocol: Recorder) -> None:
        protocol.transport.write(b"answer")
        protocol.transport.close()

    def factory() -> Stream:
        guests.append(Stream(data=answer))
        return guests[-1]

    _, port = await net.serving(factory)
    far = await net.dial(port)
    far.send(b"question")
    heard = await far.hears_all()
    far.close()
    await guests[0].lost
    return heard, guests[0].trace


@conforms()
async def test_info_of_a_client(net: Net) -> object:
    """Addresses, the socket, TLS."""
    guests: list[Stream] = []

    def factory() -> Stream:
        guests.append(Stream())
        return guests[-1]

    _, port = await net.serving(factory)
    far = await net.dial(port)
    far.send(b"x")
    while not guests:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    await guests[0].heard(1)
    info = guests[0].transport.get_extra_info
    return (
        info("peername") == far.writer.get_extra_info("sockname"),
        [type(part) for part in info("sockname")],
        info("socket").getpeername() == info("peername"),
        info("sslcontext") is net.securing.get("ssl"),
        info("cipher") is None,
    )


@conforms()
async def test_life_of_a_server(net: Net) -> object:
    """Its states, and what closing it does to its clients."""
    guests: list[Stream] = []

    def factory() -> Stream:
        guests.append(Stream())
        return guests[-1]

    server, port = await net.serving(factory)
    states = [server.is_serving(), len(server.sockets), server.get_loop() is net.loop]
    await server.start_serving()
    far = await net.dial(port)
    far.send(b"one")
    while not guests:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    await guests[0].heard(3)
    server.close()
    server.close()
    states += [server.is_serving(), len(server.sockets)]
    far.send(b"two")
    await guests[0].heard(6)
    far.close()
    await guests[0].lost
    await server.wait_closed()
    with pytest.raises((RuntimeError, TypeError)):  # asyncio has no check of its own
        await server.start_serving()
    return states, guests[0].trace


@conforms(tls=False)
async def test_serving_forever(net: Net) -> object:
    """Cancellation closes the server; a second waiter is refused."""
    server, _ = await net.serving(Stream)
    forever = asyncio.ensure_future(server.serve_forever())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        await server.serve_forever()
    forever.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    return server.is_serving()


@conforms(tls=False)
async def test_server_as_a_context(net: Net) -> object:
    """``async with`` closes it."""
    server, _ = await net.serving(Stream)
    async with server as itself:
        assert itself is server
        states = [server.is_serving()]
    return [*states, server.is_serving(), len(server.sockets)]


@conforms()
async def test_streams_of_a_server(net: Net) -> object:
    """start_server(): a coroutine for each client."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(DATA)
        await writer.drain()
        heard.append(await reader.read())
        writer.close()
        await writer.wait_closed()
        heard.append(b"closed")

    _, port = await net.serving_streams(serve)
    far = await net.dial(port)
    far.send(b"question\n")
    assert await far.hears(len(DATA)) == DATA
    far.send(b"bye")
    far.close()
    while heard[-1:] != [b"closed"]:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    return heard


@conforms(tls=False)
async def test_exception_of_a_coroutine(net: Net) -> object:
    """It is reported, and the client is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise LookupError("broken")

    _, port = await net.serving_streams(serve)
    far = await net.dial(port)
    return await far.hears_all()


@conforms(tls=False)
async def test_upgrade_of_a_server(net: Net) -> object:
    """start_tls() on the side that accepted."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"go ahead\n")
        await writer.start_tls(server_context())
        heard.append(await reader.readline())
        writer.write(DATA)
        writer.close()
        await writer.wait_closed()

    _, port = await net.serving_streams(serve)
    far = await net.dial(port)
    far.send(b"starttls\n")
    assert await far.reader.readline() == b"go ahead\n"
    await far.writer.start_tls(client_context(), server_hostname=NAME)
    far.send(b"secret\n")
    return await far.hears_all() == DATA, heard


@conforms()
async def test_context_of_a_server(net: Net) -> object:
    """Clients' protocols are called in the context that the server was made in."""
    route = contextvars.ContextVar("route", default="none")
    seen: dict[str, str] = {}
    guests: list[Stream] = []

    def look(name: str) -> object:
        return lambda _protocol: seen.update({name: route.get()})

    def factory() -> Stream:
        seen["factory"] = route.get()
        names = ("made", "data", "eof", "lost")
        guests.append(Stream(**{name: look(name) for name in names}))  # type: ignore[arg-type]  # it is callable
        return guests[-1]

    route.set("inside")
    _, port = await net.serving(factory)
    route.set("outside")
    far = await net.dial(port)
    far.send(b"data")
    far.close()
    while "lost" not in seen:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    return seen


@conforms(tls=False)
async def test_client_that_fails_the_handshake(net: Net) -> object:
    """A client that speaks no TLS is turned away, and the next is served."""
    guests: list[Stream] = []

    def factory() -> Stream:
        guests.append(Stream())
        return guests[-1]

    server, port = await net.calls.create_server(factory, ssl=server_context())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        await reader.read()
    except ConnectionResetError:
        pass
    writer.close()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client_context(), server_hostname=NAME
    )
    writer.write(b"hello")
    while len(guests) < 2:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0)
    await guests[1].heard(5)
    writer.transport.abort()
    server.close()
    return [guest.trace for guest in guests]
