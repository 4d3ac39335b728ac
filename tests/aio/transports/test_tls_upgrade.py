"""TLS in mid-stream: what is sent in the clear, what is not, and how it fails."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from aiobc9x.aio.transports.tls import start_tls
from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, Bench, Streams, echoed
from tests.support.clock import running, virtual
from tests.support.recorders import Recorder, recorded
from tests.support.tls import NAME, TlsPeer, client_context, server_context

PORT, LISTEN_PORT = 587, 2020
REQUEST, ANSWER = b"STARTTLS\r\n", b"220 go ahead\r\n"


class Willing:
    """A server that goes on with TLS when it is asked to.

    Attributes:
        far: The newest far end, once it speaks TLS.

    """

    def __init__(self, bench: Bench) -> None:
        self.far: TlsPeer
        bench.network.serve_tcp(PORT, lambda peer: peer.answer_with(self.listener(peer)))

    def listener(self, peer: Peer) -> Any:
        said = bytearray()

        def hear(data: bytes) -> None:
            said.extend(data)
            if said == REQUEST:
                self.far = TlsPeer(peer, first=ANSWER)

        return hear


async def asked(bench: Bench) -> tuple[Streams, Willing]:
    """A connection whose server waits for the handshake."""
    server = Willing(bench)
    streams = await bench.streams(HOST, PORT)
    streams[1].write(REQUEST)
    assert await streams[0].readline() == ANSWER
    return streams, server


class TestClient:
    """writer.start_tls() of a connection that we opened."""

    @virtual
    async def test_both_directions(self) -> None:
        """The same reader and writer go on, secured."""
        async with Bench() as bench:
            (reader, writer), server = await asked(bench)
            await writer.start_tls(client_context(), server_hostname=NAME)
            writer.write(b"secret" * 1000)
            await asyncio.sleep(5)
            assert server.far.received == b"secret" * 1000
            assert b"secret" not in server.far.peer.received
            server.far.send(b"answer")
            assert await reader.readexactly(6) == b"answer"
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            assert writer.get_extra_info("peername") == (HOST, PORT)
            writer.close()
            await writer.wait_closed()
            assert server.far.heard_goodbye
            assert bench.open_ids == []

    @virtual
    async def test_what_was_written_before_goes_in_the_clear(self) -> None:
        """It is sent first, however much it is."""
        async with Bench() as bench:
            server = Willing(bench)
            reader, writer = await bench.streams(HOST, PORT)
            writer.write(REQUEST)
            assert await reader.readline() == ANSWER
            upgrade = asyncio.create_task(writer.start_tls(client_context(), server_hostname=NAME))
            await upgrade
            assert server.far.peer.received.startswith(REQUEST)

    @virtual
    async def test_bytes_that_came_in_the_clear(self) -> None:
        """They could pass for secured ones, so they must be read first; nothing is lost."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect()
            peer.send(ANSWER + b"250 injected\r\n")
            assert await reader.readline() == ANSWER
            with pytest.raises(RuntimeError, match=r"start_tls\(\) with 14 bytes unread"):
                await writer.start_tls(client_context(), server_hostname=NAME)
            assert await reader.readline() == b"250 injected\r\n"
            assert not writer.is_closing()

    @virtual
    async def test_name_is_required(self) -> None:
        """asyncio would accept a certificate for any name."""
        async with Bench() as bench:
            (_, writer), server = await asked(bench)
            with pytest.raises(ValueError, match="needs server_hostname"):
                await writer.start_tls(client_context())
            context = client_context(check_hostname=False)
            await writer.start_tls(context)
            writer.write(b"secret")
            await asyncio.sleep(1)
            assert server.far.received == b"secret"

    @virtual
    async def test_full_reader_holds_the_peer_back(self) -> None:
        """Behind the upgrade too, and everything arrives."""
        async with Bench() as bench:
            server = Willing(bench)
            reader, writer = await bench.streams(HOST, PORT, limit=1000)
            writer.write(REQUEST)
            assert await reader.readline() == ANSWER
            await writer.start_tls(client_context(), server_hostname=NAME)
            await asyncio.sleep(1)
            data = bytes(range(256)) * 400
            server.far.send(data)
            server.far.close()
            await asyncio.sleep(60)
            assert await reader.read() == data
            writer.close()
            await writer.wait_closed()

    @virtual
    async def test_full_reader_does_not_keep_it_open(self) -> None:
        """The peer's goodbye is heard although nobody reads."""
        async with Bench() as bench:
            server = Willing(bench)
            reader, writer = await bench.streams(HOST, PORT, limit=100)
            writer.write(REQUEST)
            assert await reader.readline() == ANSWER
            await writer.start_tls(client_context(), server_hostname=NAME)
            await asyncio.sleep(1)
            server.far.send(bytes(5000))
            await asyncio.sleep(5)
            began = running().now
            writer.close()
            await writer.wait_closed()
            assert running().now - began < 5

    @virtual
    async def test_tls_within_tls(self) -> None:
        """As through a proxy that is spoken to by TLS."""
        async with Bench() as bench:
            (reader, writer), server = await asked(bench)
            await writer.start_tls(client_context(), server_hostname=NAME)
            await asyncio.sleep(1)
            inner = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = server_context().wrap_bio(*inner, server_side=True)
            upgrade = asyncio.create_task(writer.start_tls(client_context(), server_hostname=NAME))
            while not upgrade.done():
                await asyncio.sleep(0.1)
                inner[0].write(bytes(server.far.received))
                server.far.received.clear()
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                server.far.send(inner[1].read())
            await upgrade
            writer.write(b"twice secret")
            await asyncio.sleep(1)
            inner[0].write(bytes(server.far.received))
            if tls.version() is None:
                tls.do_handshake()
            assert tls.read(100) == b"twice secret"
            writer.transport.abort()
            await writer.wait_closed()
            del reader


class TestServer:
    """writer.start_tls() of a connection that we accepted."""

    @pytest.mark.parametrize("at_once", [True, False])
    @virtual
    async def test_both_directions(self, at_once: bool) -> None:
        """The client's first words may come right behind what it says in the clear."""
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readline())
            await asyncio.sleep(1)  # whatever the client says now is in the reader
            await writer.start_tls(server_context())
            heard.append(await reader.readline())
            writer.write(b"answer\n")
            heard.append(await reader.read())
            writer.close()
            await writer.wait_closed()

        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(serve, LISTEN_PORT):
                peer = bench.network.dial(LISTEN_PORT)
                assert peer is not None
                hello = b"PROXY TCP4\r\n"
                if not at_once:
                    peer.send(hello)
                    hello = b""
                    await asyncio.sleep(0.5)
                far = TlsPeer(peer, server_side=False, first=hello)
                far.on_secured = lambda: far.send(b"request\n")
                await asyncio.sleep(5)
                assert far.received == b"answer\n"
                far.close()
                await asyncio.sleep(5)
                assert heard == [b"PROXY TCP4\r\n", b"request\n", b""]
                assert bench.open_ids == [0]

    @virtual
    async def test_reader_that_was_full(self) -> None:
        """A long first flight that has stopped the reader reaches TLS whole."""
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readline())
            await asyncio.sleep(5)
            await writer.start_tls(server_context())
            heard.append(await reader.readline())
            writer.transport.abort()

        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(serve, LISTEN_PORT, limit=16):
                peer = bench.network.dial(LISTEN_PORT)
                assert peer is not None
                far = TlsPeer(peer, server_side=False, first=b"hi\n")
                far.on_secured = lambda: far.send(b"request\n")
                await asyncio.sleep(10)
                assert heard == [b"hi\n", b"request\n"]


class TestFailure:
    """The connection is closed, the caller and the protocol know, nobody else notices."""

    @virtual
    async def test_wrong_name(self) -> None:
        """An SSLCertVerificationError."""
        async with Bench() as bench:
            (reader, writer), _ = await asked(bench)
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                await writer.start_tls(client_context(), server_hostname="other.example")
            await ended(bench, reader, writer, ssl.SSLCertVerificationError)

    @virtual
    async def test_unknown_authority(self) -> None:
        """The same."""
        async with Bench() as bench:
            (reader, writer), _ = await asked(bench)
            with pytest.raises(ssl.SSLCertVerificationError):
                await writer.start_tls(ssl.create_default_context(), server_hostname=NAME)
            await ended(bench, reader, writer, ssl.SSLCertVerificationError)

    @virtual
    async def test_peer_that_speaks_no_tls(self) -> None:
        """An SSLError."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect()
            peer.answer_with(lambda _: peer.send(b"500 what?\r\n"))
            with pytest.raises(ssl.SSLError):
                await writer.start_tls(client_context(), server_hostname=NAME)
            await ended(bench, reader, writer, ssl.SSLError)

    @virtual
    async def test_peer_that_hangs_up(self) -> None:
        """A ConnectionResetError."""
        async with Bench() as bench:
            (reader, writer), peer = await bench.connect()
            peer.answer_with(lambda _: peer.close())
            with pytest.raises(ConnectionResetError):
                await writer.start_tls(client_context(), server_hostname=NAME)
            await ended(bench, reader, writer, ConnectionResetError)

    @pytest.mark.parametrize("seconds", [None, 7])
    @virtual
    async def test_peer_that_says_nothing(self, seconds: float | None) -> None:
        """A ConnectionAbortedError, after 180 s or what was asked for."""
        async with Bench() as bench:
            (reader, writer), _ = await bench.connect()
            began = running().now
            with pytest.raises(ConnectionAbortedError, match="taking longer"):
                await writer.start_tls(
                    client_context(), server_hostname=NAME, ssl_handshake_timeout=seconds
                )
            assert running().now - began == pytest.approx(seconds or 180, abs=1)
            await ended(bench, reader, writer, ConnectionAbortedError)

    @virtual
    async def test_cancellation(self) -> None:
        """It closes the connection; its end is no error."""
        async with Bench() as bench:
            (reader, writer), _ = await bench.connect()
            upgrade = asyncio.create_task(writer.start_tls(client_context(), server_hostname=NAME))
            await asyncio.sleep(2)
            upgrade.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upgrade
            await writer.wait_closed()
            assert await reader.read() == b""
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_abort_in_the_handshake(self) -> None:
        """It doesn't pass for a success."""
        async with Bench() as bench:
            (_, writer), _ = await bench.connect()
            raw = writer.transport
            upgrade = asyncio.create_task(writer.start_tls(client_context(), server_hostname=NAME))
            await asyncio.sleep(2)
            raw.abort()
            with pytest.raises(ConnectionAbortedError, match="in the TLS handshake"):
                await upgrade
            await writer.wait_closed()

    @virtual
    async def test_closed_connection(self) -> None:
        """A ConnectionResetError at once, not a handshake that nobody answers."""
        async with Bench() as bench:
            (_, writer), _ = await bench.connect()
            writer.close()
            await writer.wait_closed()
            with pytest.raises(ConnectionResetError):
                await writer.start_tls(client_context(), server_hostname=NAME)

    @virtual
    async def test_abort_in_the_handshake_of_a_new_connection(self) -> None:
        """Nor does it when the connection begins with TLS."""
        async with Bench() as bench:
            modem = await bench.open()
            opening = asyncio.create_task(
                modem.create_connection(
                    Recorder, HOST, 8062, ssl=client_context(), server_hostname=NAME
                )
            )
            await asyncio.sleep(5)
            (slot,) = bench.driver.session.sockets
            slot.owner.abort()  # type: ignore[attr-defined]  # it is a transport
            with pytest.raises(ConnectionAbortedError, match="in the TLS handshake"):
                await opening


async def ended(
    bench: Bench,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    error: type[Exception],
) -> None:
    """Check that a connection has ended with this error, and that another still works."""
    with pytest.raises(error):
        await writer.wait_closed()
    with pytest.raises(error):
        await reader.read()
    await asyncio.sleep(1)
    assert bench.open_ids == []
    await echoed(await bench.modem())


class TestFunction:
    """start_tls() as the loop's own."""

    @virtual
    async def test_protocol_goes_on(self) -> None:
        """It is told nothing of a new connection, and gets what comes decrypted."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            far = TlsPeer(peer)
            upgraded = await start_tls(
                running(), transport, protocol, client_context(), server_hostname=NAME
            )
            await asyncio.sleep(1)
            far.send(b"answer")
            await asyncio.sleep(1)
            upgraded.close()
            assert await protocol.lost is None
            assert protocol.calls == ["made", "data", "eof", "lost"]
            assert protocol.received == b"answer"

    @virtual
    async def test_while_writing_is_paused(self) -> None:
        """What was written goes out in the clear; the protocol hears when it may go on."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            transport.write(bytes(20_000))
            assert protocol.calls == ["made", "pause"]

            def hear(_data: bytes) -> None:
                if len(peer.received) >= 20_000:
                    TlsPeer(peer).take(bytes(peer.received[20_000:]))

            peer.answer_with(hear)
            upgraded = await start_tls(
                running(), transport, protocol, client_context(), server_hostname=NAME
            )
            assert protocol.calls == ["made", "pause", "resume"]
            upgraded.close()
            assert await protocol.lost is None

    @virtual
    async def test_asyncio_has_it_too(self) -> None:
        """loop.start_tls() of the standard library takes our transports."""
        async with Bench() as bench:
            protocol, transport, peer = await recorded(bench)
            far = TlsPeer(peer)
            upgraded = await running().start_tls(
                transport, protocol, client_context(), server_hostname=NAME
            )
            assert upgraded is not None
            upgraded.write(b"secret")
            await asyncio.sleep(1)
            assert far.received == b"secret"
            upgraded.pause_reading()
            far.send(b"answer")
            far.close()
            await asyncio.sleep(5)
            upgraded.close()  # asyncio's TLS could not end a connection that waits like this
            assert await protocol.lost is None

    @virtual
    async def test_arguments(self) -> None:
        """asyncio's own errors; the connection goes on."""
        async with Bench() as bench:
            protocol, transport, _ = await recorded(bench)
            wrong: Any = "context"
            with pytest.raises(TypeError, match="sslcontext is expected"):
                await start_tls(running(), transport, protocol, wrong)
            with pytest.raises(TypeError, match="not supported by start_tls"):
                await start_tls(running(), asyncio.Transport(), protocol, client_context())
            with pytest.raises(ValueError, match="ssl_handshake_timeout should be a positive"):
                await start_tls(
                    running(), transport, protocol, client_context(),
                    server_hostname=NAME, ssl_handshake_timeout=0,
                )  # fmt: skip
            assert not transport.is_closing()
            assert transport.get_protocol() is protocol


class TestArguments:
    """What is wrong with TLS's arguments is said before anything is sent."""

    @pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
    @virtual
    async def test_timeouts(self, name: str) -> None:
        """They must be above 0, and mean nothing without TLS."""
        async with Bench() as bench:
            modem = await bench.open()
            before = len(bench.commands)
            for wrong in (0, -1):
                given: dict[str, Any] = {name: wrong}
                with pytest.raises(ValueError, match=f"{name} should be a positive number"):
                    await modem.open_connection(HOST, PORT, ssl=True, **given)
                with pytest.raises(ValueError, match=f"{name} should be a positive number"):
                    await modem.create_server(Recorder, LISTEN_PORT, ssl=server_context(), **given)
            given = {name: 5}
            with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
                await modem.open_connection(HOST, PORT, **given)
            with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
                await modem.create_server(Recorder, LISTEN_PORT, **given)
            assert len(bench.commands) == before

    @virtual
    async def test_name_that_can_not_be_checked(self) -> None:
        """It shows only when the socket is open, which is then closed."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.network.serve_tcp(443)
            with pytest.raises(ValueError, match="label empty"):
                await modem.open_connection(
                    HOST, 443, ssl=client_context(), server_hostname=".example"
                )
            await asyncio.sleep(1)
            assert bench.open_ids == []
