"""Servers on a TCP listener: what asyncio's own promise, over the module."""

from __future__ import annotations

import asyncio
import contextvars
import ssl
from typing import Any

import pytest
import trustme

import aiobc9x
from aiobc9x.aio.connections.listening import Server
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from aiobc9x.wire.urcs import Incoming, IncomingFull
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, PORT, Bench
from tests.support.clock import take_errors, virtual
from tests.support.recorders import StreamRecorder


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back whatever comes, then close."""
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


class Room:
    """A server whose connections are kept for inspection."""

    def __init__(self) -> None:
        self.guests: list[StreamRecorder] = []

    def admit(self) -> StreamRecorder:
        self.guests.append(StreamRecorder())
        return self.guests[-1]


def dial(bench: Bench, address: str = "192.168.2.2") -> Peer:
    """Connect to the server; the module must let it in."""
    peer = bench.network.dial(LISTEN_PORT, address)
    assert peer is not None
    return peer


class TestStreams:
    """Incoming sockets are connections like any other."""

    @virtual
    async def test_echo(self) -> None:
        """§4.3: bytes go both ways, and the peer's end is an EOF."""
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(echo, LISTEN_PORT):
                peer = dial(bench)
                peer.send(bytes(range(256)) * 10)
                await asyncio.sleep(5)
                assert peer.received == bytes(range(256)) * 10
                peer.close()
                await asyncio.sleep(5)
                assert bench.open_ids == [0]
            assert bench.open_ids == []
            assert 'AT+QIOPEN=1,0,"TCP LISTENER","100.127.243.105",1,2020,0,0' in bench.commands

    @virtual
    async def test_extra_info(self) -> None:
        """A connection knows both ends; the server's sockets know where it listens."""
        room = Room()
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.create_server(room.admit, LISTEN_PORT) as server:
                assert isinstance(server, asyncio.AbstractServer)
                assert isinstance(server, Server)
                assert server.sockets[0].getsockname() == ("100.127.243.105", LISTEN_PORT)
                assert server.get_loop() is asyncio.get_running_loop()
                dial(bench, "192.168.2.7")
                await asyncio.sleep(1)
                transport = room.guests[0].transport
                assert transport is not None
                assert transport.get_extra_info("peername")[0] == "192.168.2.7"
                assert transport.get_extra_info("sockname") == ("100.127.243.105", LISTEN_PORT)
                assert transport.get_extra_info("modem") is modem
                assert "serving" in repr(server)
            assert server.sockets == ()
            assert "closed" in repr(server)

    @virtual
    async def test_data_right_behind_the_connection(self) -> None:
        """What a client says at once is not lost, even if it closes at once."""
        room = Room()
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.create_server(room.admit, LISTEN_PORT):
                peer = dial(bench)
                peer.send(b"hello")
                peer.close()
                await asyncio.sleep(5)
                assert room.guests[0].received == b"hello"
                assert room.guests[0].eof
                assert await room.guests[0].lost is None

    @virtual
    async def test_five_at_once(self) -> None:
        """A listener leaves five connect IDs; each connection gets its own bytes."""
        room = Room()
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.create_server(room.admit, LISTEN_PORT):
                peers = [dial(bench) for _ in range(5)]
                for number, peer in enumerate(peers):
                    peer.send(b"%d" % number * 2000)
                await asyncio.sleep(10)
                assert [bytes(g.received) for g in room.guests] == [
                    b"%d" % number * 2000 for number in range(5)
                ]
                assert bench.open_ids == [0, 1, 2, 3, 4, 5]

    @virtual
    async def test_callback_context(self) -> None:
        """Connections run in the context of whoever made the server."""
        where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")
        seen = []

        class Looks(StreamRecorder):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                seen.append(where.get())

            def data_received(self, data: bytes) -> None:
                seen.append(where.get())

        async with Bench() as bench:
            modem = await bench.open()
            where.set("here")
            async with await modem.create_server(Looks, LISTEN_PORT):
                where.set("elsewhere")
                dial(bench).send(b"x")
                await asyncio.sleep(1)
        assert seen == ["here", "here"]

    @virtual
    async def test_protocol_that_fails(self) -> None:
        """One that can't be made costs its own connection alone."""
        room = Room()

        def fails_first() -> StreamRecorder:
            if not room.guests:
                room.guests.append(StreamRecorder())
                raise ZeroDivisionError
            return room.admit()

        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.create_server(fails_first, LISTEN_PORT):
                first = dial(bench)
                await asyncio.sleep(1)
                assert first.closed
                assert [type(e["exception"]) for e in take_errors()] == [ZeroDivisionError]
                dial(bench).send(b"x")
                await asyncio.sleep(1)
                assert room.guests[1].received == b"x"


class TestFull:
    """Six sockets in all (§2.3.4)."""

    @virtual
    async def test_event_and_counter(self) -> None:
        """A sixth client is turned away by the module, which says so."""
        async with Bench() as bench:
            modem = await bench.open()
            events = modem.subscribe()
            async with await modem.create_server(Room().admit, LISTEN_PORT):
                for _ in range(5):
                    dial(bench)
                assert bench.network.dial(LISTEN_PORT) is None
                await asyncio.sleep(1)
                assert modem.statistics.incoming == 5
                assert modem.statistics.incoming_full == 1
                with pytest.raises(aiobc9x.NoFreeSocket):
                    await modem.open_connection(HOST, ECHO_PORT)
        seen = [event async for event in events]
        assert IncomingFull() in seen
        assert sum(isinstance(event, Incoming) for event in seen) == 5

    @virtual
    async def test_no_id_for_the_listener(self) -> None:
        """With six connections a listener can't be opened."""
        async with Bench() as bench:
            modem = await bench.open()
            kept = [await modem.open_connection(HOST, ECHO_PORT) for _ in range(6)]
            with pytest.raises(aiobc9x.NoFreeSocket):
                await modem.start_server(echo, LISTEN_PORT)
            for _, writer in kept:
                writer.close()


class TestClose:
    """Closing, serving for ever, and what is left behind."""

    @virtual
    async def test_accepted_connections_live_on(self) -> None:
        """Closing the server leaves them alone."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            peer = dial(bench)
            await asyncio.sleep(1)
            server.close()
            server.close()
            await server.wait_closed()
            assert not server.is_serving()
            assert bench.network.dial(LISTEN_PORT) is None
            peer.send(b"still here")
            await asyncio.sleep(1)
            assert peer.received == b"still here"
            with pytest.raises(RuntimeError, match="closed"):
                await server.start_serving()

    @pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
    @virtual
    async def test_clients_can_be_ended(self, how: str) -> None:
        """``close_clients()`` flushes each first, ``abort_clients()`` doesn't."""
        room = Room()
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.create_server(room.admit, LISTEN_PORT)
            peers = [dial(bench) for _ in range(3)]
            await asyncio.sleep(1)
            for guest in room.guests:
                assert guest.transport is not None
                guest.transport.write(b"last words")
            server.close()
            getattr(server, how)()
            assert [await guest.lost for guest in room.guests] == [None] * 3
            said = b"last words" if how == "close_clients" else b""
            assert [bytes(peer.received) for peer in peers] == [said] * 3
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_serve_forever(self) -> None:
        """It lasts until it is cancelled, which closes the server."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            with pytest.raises(RuntimeError, match="already"):
                await server.serve_forever()
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert not server.is_serving()
            await server.wait_closed()
            assert bench.open_ids == []
            with pytest.raises(RuntimeError, match="closed"):
                await server.serve_forever()

    @virtual
    async def test_close_ends_serve_forever(self) -> None:
        """As in asyncio, it is cancelled."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            server.close()
            with pytest.raises(asyncio.CancelledError):
                await serving

    @virtual
    async def test_port_can_be_used_again(self) -> None:
        """A fixed local port rests for 120 s after its close (§2.2.1, note 5)."""
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(echo, LISTEN_PORT):
                pass
            with pytest.raises(OSError, match="another 120 s") as caught:
                await modem.start_server(echo, LISTEN_PORT)
            assert caught.value.strerror
            await asyncio.sleep(120)
            async with await modem.start_server(echo, LISTEN_PORT):
                dial(bench)

    @virtual
    async def test_modem_that_closes(self) -> None:
        """Server and clients end with it."""
        room = Room()
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.create_server(room.admit, LISTEN_PORT)
            dial(bench)
            await asyncio.sleep(1)
            await modem.aclose()
            assert not server.is_serving()
            assert room.guests[0].lost.done()
            assert bench.open_ids == []


class TestLoss:
    """A listener comes back by itself; one that ends for good says so to serve_forever()."""

    @virtual
    async def test_restart(self) -> None:
        """It listens again, on the same connect ID, and serving goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            await bench.streams(HOST, PORT)  # so that ID 0 is another's
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            before = bench.open_ids[-1]
            bench.virtual.reset()
            await asyncio.sleep(30)
            assert bench.open_ids == [before]
            await self._serves(bench, server, serving)

    @pytest.mark.parametrize("faults", [(), (Fault(FaultKind.DROP_LINE, on='+QIURC: "closed"'),)])
    @virtual
    async def test_network(self, faults: tuple[Fault, ...]) -> None:
        """It listens again when there is a network again, though the end got lost."""
        async with Bench(*faults) as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            bench.virtual.set_coverage(False)
            await asyncio.sleep(300)
            assert bench.open_ids == []
            bench.virtual.set_coverage(True)
            await asyncio.sleep(90)
            await self._serves(bench, server, serving)

    async def _serves(
        self, bench: Bench, server: aiobc9x.Server, serving: asyncio.Task[None]
    ) -> None:
        assert server.is_serving()
        assert not serving.done()
        peer = bench.network.dial(LISTEN_PORT)
        assert peer is not None
        peer.send(b"hello")
        await asyncio.sleep(5)
        assert bytes(peer.received) == b"hello"
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await server.wait_closed()
        with pytest.raises(OSError, match="rests"):
            await bench.current.start_server(echo, LISTEN_PORT)

    @virtual
    async def test_closed_while_the_module_restarts(self) -> None:
        """Then nobody wants it any more."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            bench.virtual.reset()
            await asyncio.sleep(0.01)
            server.close()
            await server.wait_closed()
            await asyncio.sleep(60)
            assert bench.open_ids == []

    @virtual
    async def test_closed_by_the_module(self) -> None:
        """Though the network is there: it listens again too."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            bench.virtual.say('+QIURC: "closed",0')
            await asyncio.sleep(150)
            await self._serves(bench, server, serving)

    @virtual
    async def test_lost_line(self) -> None:
        """LinkLost."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT)
            serving = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(1)
            bench.cut()
            with pytest.raises(aiobc9x.LinkLost):
                await serving
            await server.wait_closed()


class TestTls:
    """A server's context secures what it accepts."""

    @staticmethod
    def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("module.example").configure_cert(server)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        return server, client

    @virtual
    async def test_conversation(self) -> None:
        """A client shakes hands with the server and gets its echo."""
        server_context, client_context = self.contexts()
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(echo, LISTEN_PORT, ssl=server_context):
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = client_context.wrap_bio(incoming, outgoing, server_hostname="module.example")
                peer = dial(bench)

                def deliver(data: bytes) -> None:
                    incoming.write(data)

                peer.answer_with(deliver)

                async def until_done(step: Any, *args: object) -> Any:  # Any: as ssl gives it
                    for _ in range(100):
                        try:
                            result = step(*args)
                        except ssl.SSLWantReadError:
                            peer.send(outgoing.read())
                            await asyncio.sleep(0.1)
                        else:
                            peer.send(outgoing.read())
                            return result
                    raise AssertionError("the other side stays silent")

                await until_done(tls.do_handshake)
                await until_done(tls.write, b"secret")
                assert await until_done(tls.read, 100) == b"secret"
                assert b"secret" not in peer.received

    @virtual
    async def test_handshake_that_fails(self) -> None:
        """Plain text ends that connection; the server goes on."""
        server_context, _ = self.contexts()
        async with Bench() as bench:
            modem = await bench.open()
            async with await modem.start_server(echo, LISTEN_PORT, ssl=server_context) as server:
                peer = dial(bench)
                peer.send(b"GET / HTTP/1.0\r\n\r\n")
                await asyncio.sleep(5)
                assert peer.closed
                assert server.is_serving()
                assert bench.open_ids == [0]

    @virtual
    async def test_client_in_the_handshake_can_be_ended(self) -> None:
        """``close_clients()`` spares none."""
        server_context, _ = self.contexts()
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.start_server(echo, LISTEN_PORT, ssl=server_context)
            peer = dial(bench)
            await asyncio.sleep(1)
            server.close()
            server.abort_clients()
            await asyncio.sleep(5)
            assert peer.closed
            assert bench.open_ids == []

    @virtual
    async def test_other_contexts_are_refused(self) -> None:
        """``ssl=True`` has no meaning for a server."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(TypeError, match="SSLContext"):
                await modem.start_server(echo, LISTEN_PORT, ssl=True)  # type: ignore[arg-type]  # on purpose
