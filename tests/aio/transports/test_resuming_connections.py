"""Resumed TLS sessions over real sockets, and over the modem."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

import aiobc9x
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host, SimOptions
from aiobc9x.sim.virtual_modem import VirtualModem
from tests.aio.transports.test_resuming import OTHER_NAME, V12, V13, VERSIONS, client, server
from tests.support.bench import HOST, Bench
from tests.support.clock import virtual
from tests.support.tls import NAME, TLS_PORT, TlsPeer


class Server:
    """A server on loopback that greets, in a thread.

    Attributes:
        breaks: Whether bytes follow that are no record of TLS.

    """

    breaks = False

    def __init__(self, far: ssl.SSLContext) -> None:
        self._far, self._ends = far, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._ends:
                sock.close()
                return
            try:
                with self._far.wrap_socket(sock, server_side=True) as secured:
                    secured.sendall(b"hello")
                    if self.breaks:
                        os.write(secured.fileno(), bytes((23, 3, 3, 0, 19)) + bytes(19))
                    secured.recv(1)
                    secured.unwrap()
            except OSError:
                pass

    def end(self) -> None:
        """Stop it."""
        self._ends = True
        self.dial().close()
        self._thread.join()
        self._listener.close()

    def dial(self) -> socket.socket:
        """Connect, in the clear."""
        return socket.create_connection(("127.0.0.1", self.port))


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def greeter(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of one version."""
    server_ = Server(server(request.param))
    yield server_
    server_.end()


class TestSockets:
    """wrap_socket(), as clients with threads use it."""

    @pytest.mark.parametrize("at_once", [True, False])
    @pytest.mark.parametrize("end", ["close", "unwrap", "shutdown"])
    def test_resumes(self, greeter: Server, at_once: bool, end: str) -> None:
        """A socket gives its session at its end, whichever that is."""
        context, resumed = client(), []
        for _ in range(3):
            near = context.wrap_socket(
                greeter.dial(), server_hostname=NAME, do_handshake_on_connect=at_once
            )
            if not at_once:
                near.do_handshake()
            assert near.recv(5) == b"hello"
            resumed.append(near.session_reused)
            if end == "unwrap":
                near.unwrap().close()
            elif end == "shutdown":
                near.shutdown(socket.SHUT_RDWR)
            near.close()
        assert resumed == [False, True, True]

    def test_a_broken_connection(self, greeter: Server) -> None:
        """It gives no session."""
        context, resumed = client(), []
        for greeter.breaks in (True, False, False):
            near = context.wrap_socket(greeter.dial(), server_hostname=NAME)
            assert near.recv(5) == b"hello"
            resumed.append(near.session_reused)
            if greeter.breaks:
                with pytest.raises(ssl.SSLError):
                    near.recv(1)
            near.close()
        assert resumed == [False, False, True]

    def test_a_socket_that_connects_later(self, greeter: Server) -> None:
        """It works, and doesn't take part."""
        context = client()
        for _ in range(2):
            near = context.wrap_socket(socket.socket(), server_hostname=NAME)
            near.connect(("127.0.0.1", greeter.port))
            assert near.recv(5) == b"hello"
            assert not near.session_reused
            near.close()

    def test_failures_close_the_socket(self, greeter: Server) -> None:
        """As ssl's own do: a wrong name, and a socket that can't wait."""
        context = client()
        sock = greeter.dial()
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname=OTHER_NAME)
        assert sock.fileno() == -1
        sock = greeter.dial()
        sock.setblocking(False)
        with pytest.raises(ValueError, match="non-blocking"):
            context.wrap_socket(sock, server_hostname=NAME)
        assert sock.fileno() == -1


def serve(bench: Bench, far: ssl.SSLContext, port: int = TLS_PORT) -> list[TlsPeer]:
    """Have a server that greets; its connections, in order."""
    peers: list[TlsPeer] = []

    def accept(peer: Peer) -> None:
        made = TlsPeer(peer, context=far)
        made.on_secured = lambda: made.send(b"hello")
        peers.append(made)

    bench.network.serve_tcp(port, accept)
    return peers


async def greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Read the greeting and close; tell whether the session was resumed."""
    assert await reader.readexactly(5) == b"hello"
    resumed: bool = writer.get_extra_info("ssl_object").session_reused
    writer.close()
    await writer.wait_closed()
    return resumed


class TestOverTheModem:
    """open_connection(ssl=) and start_tls()."""

    @VERSIONS
    @virtual
    async def test_the_next_connection_costs_less(self, version: ssl.TLSVersion) -> None:
        """Two thirds of the bytes on the line: this server has but one small certificate."""
        async with Bench() as bench:
            serve(bench, server(version))
            modem, context, costs = await bench.open(), client(), []
            # The key exchange is no matter of resuming, and since OpenSSL 3.5 larger than the rest.
            context.set_ecdh_curve("prime256v1")
            for expected in (False, True, True):
                before = modem.statistics.traffic_bytes
                streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
                assert await greeted(*streams) is expected
                costs.append(modem.statistics.traffic_bytes - before)
            assert max(costs[1:]) < 0.67 * costs[0]

    @virtual
    async def test_ports_are_told_apart(self) -> None:
        """The transport says which it is connected to."""
        async with Bench() as bench:
            far, context = server(), client()
            serve(bench, far)
            serve(bench, far, 8883)
            for port, expected in ((443, False), (8883, False), (443, True), (8883, True)):
                streams = await bench.streams(HOST, port, ssl=context, server_hostname=NAME)
                assert await greeted(*streams) is expected
            assert {place.port for place in context._memory._kept} == {443, 8883}

    @virtual
    async def test_in_mid_stream(self) -> None:
        """writer.start_tls() resumes what open_connection() has begun, and the other way round."""
        async with Bench() as bench:
            serve(bench, server())
            context = client()
            for expected in (False, True):
                reader, writer = await bench.streams(HOST, TLS_PORT)
                await writer.start_tls(context, server_hostname=NAME)
                assert await greeted(reader, writer) is expected
            streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
            assert await greeted(*streams)

    @virtual
    async def test_a_server_that_hangs_on_resumption(self) -> None:
        """One connection fails, and the next has a full handshake."""
        async with Bench() as bench:
            far = server()
            serve(bench, far)
            context = client()
            streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
            assert not await greeted(*streams)
            bench.network.serve_tcp(TLS_PORT, lambda peer: peer.answer_with(lambda _: peer.close()))
            with pytest.raises(OSError):
                await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
            serve(bench, far)
            for expected in (False, True):
                streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
                assert await greeted(*streams) is expected

    @virtual
    async def test_cancelled_in_the_handshake(self) -> None:
        """The session is gone with it, and nothing else."""
        async with Bench() as bench:
            far = server()
            serve(bench, far)
            context = client()
            streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
            assert not await greeted(*streams)
            bench.network.serve_tcp(TLS_PORT)  # it takes everything and says nothing
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
            serve(bench, far)
            for expected in (False, True):
                streams = await bench.streams(HOST, TLS_PORT, ssl=context, server_hostname=NAME)
                assert await greeted(*streams) is expected


def test_one_context_on_several_loops(greeter: Server) -> None:
    """asyncio's and uvloop's, one after the other; with our own calls and with asyncio's."""

    async def connect_twice() -> list[bool]:
        options = SimOptions(hosts={NAME: Host(("127.0.0.1",))})
        async with (
            VirtualModem(options) as virtual,
            aiobc9x.open_modem(virtual.create) as modem,
        ):
            opened = await modem.open_connection(NAME, greeter.port, ssl=context)
            found = [await greeted(*opened)]
            with modem.installed(strict=True):
                opened = await asyncio.open_connection(NAME, greeter.port, ssl=context)
                found.append(await greeted(*opened))
            return found

    context, resumed = client(), []
    uvloop = pytest.importorskip("uvloop")  # there is none for Windows
    for factory in (asyncio.SelectorEventLoop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            resumed += runner.run(connect_twice())
    assert resumed == [False, True, True, True]
