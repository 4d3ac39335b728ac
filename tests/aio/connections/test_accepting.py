"""Listening, and finding the listener of an incoming connection."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode, ModuleProfile, errors
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, PORT, Bench
from tests.support.clock import virtual
from tests.support.recorders import StreamRecorder


class TestListen:
    """Opening a listener (§4.3.1)."""

    @virtual
    async def test_context_is_activated(self) -> None:
        """A context that is not active is activated first."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            await modem.command("AT+CGACT=0,1")
            async with await modem.create_server(StreamRecorder, LISTEN_PORT):
                at = [line.startswith("AT+QIOPEN") for line in bench.commands].index(True)
                assert "AT+CGACT=1,1" in bench.commands[:at]

    @virtual
    async def test_context_commands_may_be_missing(self) -> None:
        """A module that refuses AT+CGACT may activate by itself."""
        async with Bench(Fault(FaultKind.ERROR, on="AT+CGACT", times=None)) as bench:
            modem = await bench.open()
            async with await modem.create_server(StreamRecorder, LISTEN_PORT) as server:
                assert server.is_serving()

    @pytest.mark.parametrize("port", [0, -1, 65536])
    @virtual
    async def test_port_range(self, port: int) -> None:
        """A listener needs a port; nothing is sent without."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises(ValueError, match=r"^port must be"):
                await modem.create_server(StreamRecorder, port)
            assert bench.commands == []

    @virtual
    async def test_refused_port(self) -> None:
        """557 is AddressBusy with its errno; the connect ID is free again."""
        fault = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 0", data=b"+QIOPEN: 0,557")
        async with Bench(fault) as bench:
            modem = await bench.open()
            with pytest.raises(errors.AddressBusy):
                await modem.create_server(StreamRecorder, LISTEN_PORT)
            await asyncio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_timeout(self) -> None:
        """It names the stage."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="+QIOPEN")) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.StageTimeout, match="after 5 s"):
                await modem.create_server(StreamRecorder, LISTEN_PORT, timeout=5)


class TestIncoming:
    """A connection finds its listener, whatever its connect ID."""

    @pytest.mark.parametrize("incoming_id", ["lowest", "highest"])
    @virtual
    async def test_two_listeners(self, incoming_id: str) -> None:
        """Each server gets its own clients, IDs from above included."""
        made: dict[int, list[StreamRecorder]] = {2020: [], 2021: []}

        def factory(port: int) -> StreamRecorder:
            made[port].append(StreamRecorder())
            return made[port][-1]

        async with Bench(incoming_id=incoming_id) as bench:
            modem = await bench.open()
            await modem.create_server(lambda: factory(2020), 2020)
            await modem.create_server(lambda: factory(2021), 2021)
            for port in (2021, 2020, 2021):
                peer = bench.network.dial(port)
                assert peer is not None
                peer.send(b"%d" % port)
            await asyncio.sleep(2)
            assert [bytes(p.received) for p in made[2020]] == [b"2020"]
            assert [bytes(p.received) for p in made[2021]] == [b"2021"] * 2

    @virtual
    async def test_before_the_server_is_returned(self) -> None:
        """A client that connects while the listener is being opened is served."""
        made: list[StreamRecorder] = []

        def factory() -> StreamRecorder:
            made.append(StreamRecorder())
            return made[-1]

        async with Bench() as bench:
            modem = await bench.open()
            dial_at(bench, "+QIOPEN: 0,0", b"early")
            await modem.create_server(factory, LISTEN_PORT)
            await asyncio.sleep(1)
            assert [bytes(p.received) for p in made] == [b"early"]

    @virtual
    async def test_before_a_server_that_is_not_wanted(self) -> None:
        """If the caller has gone meanwhile, listener and client are closed."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            peers = dial_at(bench, "+QIOPEN: 0,0", b"early")
            creating = asyncio.create_task(modem.create_server(StreamRecorder, LISTEN_PORT))
            while not peers:  # noqa: ASYNC110  (each turn of the loop counts here)
                await asyncio.sleep(0)
            creating.cancel()
            with pytest.raises(asyncio.CancelledError):
                await creating
            await asyncio.sleep(2)
            assert bench.open_ids == []
            assert peers[0].closed

    @virtual
    async def test_unknown_listener(self) -> None:
        """A connection that nobody listens for is closed on the module (C11)."""
        async with Bench() as bench:
            await bench.open()
            bench.virtual.say('+QIURC: "incoming",3,5,"192.168.2.2",36566')
            await asyncio.sleep(1)
            assert "AT+QICLOSE=3" in bench.commands[bench.commands.index("AT+QISTATE?") + 8 :]
            assert len(bench.driver.session.sockets) == 0

    @virtual
    async def test_known_socket_that_is_no_listener(self) -> None:
        """The same if the ID is that of a connection, which goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            bench.virtual.say('+QIURC: "incoming",3,0,"192.168.2.2",36566')
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            await asyncio.sleep(1)
            assert len(bench.driver.session.sockets) == 1
            writer.close()

    @virtual
    async def test_after_the_server_has_closed(self) -> None:
        """A client that came just before is closed, not left hanging."""
        async with Bench(network_latency=0.2) as bench:
            modem = await bench.open()
            server = await modem.create_server(StreamRecorder, LISTEN_PORT)
            peer = bench.network.dial(LISTEN_PORT)
            assert peer is not None
            server.close()
            await server.wait_closed()
            await asyncio.sleep(5)
            assert bench.open_ids == []


class TestCollisions:
    """The module chooses the connect IDs of incoming connections."""

    @pytest.mark.parametrize("mode", list(AccessMode))
    @virtual
    async def test_with_an_open_in_flight(self, mode: AccessMode) -> None:
        """The module refuses the ID with 563, and the open takes another."""
        guest = StreamRecorder()
        async with Bench() as bench:
            modem = await bench.open()
            await modem.create_server(lambda: guest, LISTEN_PORT)
            dial_at(bench, ">", b"from the client", command='AT+QIOPEN=1,1,"TCP"')
            reader, writer = await modem.open_connection(HOST, ECHO_PORT, access_mode=mode)
            assert writer.get_extra_info("connect_id") == 2
            writer.write(b"from the host")
            assert await reader.readexactly(13) == b"from the host"
            assert await guest.until(15) == b"from the client"
            assert guest.transport is not None
            assert guest.transport.get_extra_info("connect_id") == 1

    @pytest.mark.parametrize("mode", list(AccessMode))
    @virtual
    async def test_with_an_open_that_waits_its_turn(self, mode: AccessMode) -> None:
        """An ID that was only reserved goes to the client, who is read as a client is."""
        guest = StreamRecorder()
        profile = ModuleProfile(concurrent_opens=1)
        async with Bench(network_latency=1) as bench:
            modem = await bench.open(profile=profile)
            await modem.create_server(lambda: guest, LISTEN_PORT)
            first = asyncio.create_task(modem.open_connection(HOST, PORT))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(modem.open_connection(HOST, ECHO_PORT, access_mode=mode))
            await asyncio.sleep(0.1)  # it holds ID 2, of which the module knows nothing
            client = bench.network.dial(LISTEN_PORT)
            assert client is not None
            client.send(b"from the client")
            (_, one), (reader, two) = await first, await second
            assert two.get_extra_info("connect_id") == 3
            assert await guest.until(15) == b"from the client"
            client.send(b"more")
            await guest.until(19)
            two.write(b"from the host")
            assert await reader.readexactly(13) == b"from the host"
            one.close()

    @virtual
    async def test_with_the_last_free_id(self) -> None:
        """The open fails for want of an ID; the client keeps its own."""
        guest = StreamRecorder()
        async with Bench(network_latency=1) as bench:
            modem = await bench.open()
            await modem.create_server(lambda: guest, LISTEN_PORT)
            kept = [await modem.open_connection(HOST, PORT) for _ in range(4)]
            client = bench.network.dial(LISTEN_PORT)
            assert client is not None
            with pytest.raises(aiobc9x.NoFreeSocket):
                await modem.open_connection(HOST, ECHO_PORT)
            client.send(b"still here")
            assert await guest.until(10) == b"still here"
            for _, writer in kept:
                writer.close()

    @virtual
    async def test_with_a_client_whose_urc_got_lost(self) -> None:
        """Nobody will ever own it: its ID is closed after half a minute."""
        lost = Fault(FaultKind.DROP_LINE, on='+QIURC: "incoming"')
        async with Bench(lost) as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, LISTEN_PORT)
            client = bench.network.dial(LISTEN_PORT)
            assert client is not None
            _, writer = await modem.open_connection(HOST, ECHO_PORT)
            await asyncio.sleep(29)
            assert bench.open_ids == [0, 1, 2]
            await asyncio.sleep(5)
            assert bench.open_ids == [0, 2]
            assert client.closed
            writer.close()

    @virtual
    async def test_with_such_a_client_when_the_modem_is_closed(self) -> None:
        """Nobody accepts it any more, so its ID is closed without a question."""
        lost = Fault(FaultKind.DROP_LINE, on='+QIURC: "incoming"')
        async with Bench(lost) as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, LISTEN_PORT)
            bench.network.dial(LISTEN_PORT)
            await bench.streams(HOST, ECHO_PORT)
            bench.dialogue.clear()
            await modem.aclose()
            assert "AT+QICLOSE=1" in bench.commands
            assert "AT+QISTATE=1,1" not in bench.commands
            assert bench.open_ids == []

    @pytest.mark.parametrize("err", [566, 568])
    @virtual
    async def test_with_a_failed_open_whose_id_is_free(self, err: int) -> None:
        """Its close must not end the connection that has got the ID meanwhile."""
        guest = StreamRecorder()
        faults = [
            Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 1,566", data=b"+QIOPEN: 1,%d" % err),
            Fault(FaultKind.DELAY_LINE, on='+QIURC: "incoming"', delay_s=0.05),
        ]
        async with Bench(*faults, failed_open="free") as bench:
            modem = await bench.open()
            await modem.create_server(lambda: guest, LISTEN_PORT)
            clients = dial_at(bench, f"+QIOPEN: 1,{err}", b"from the client")
            with pytest.raises(aiobc9x.ConnectFailed):
                await modem.open_connection(HOST, 9)
            assert await guest.until(15) == b"from the client"
            assert not clients[0].closed
            assert bench.open_ids == [0, 1]

    @pytest.mark.parametrize("answer", [None, FaultKind.ERROR])
    @virtual
    async def test_with_a_failed_open_whose_id_is_kept(self, answer: FaultKind | None) -> None:
        """It is closed, also if the module can't say so."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.create_server(StreamRecorder, LISTEN_PORT)
            if answer is not None:
                bench.add_fault(Fault(answer, on="AT+QISTATE"))
            with pytest.raises(aiobc9x.ConnectRefused):
                await modem.open_connection(HOST, 9)
            await asyncio.sleep(1)
            assert "AT+QICLOSE=1" in bench.commands[-2:]
            assert bench.open_ids == [0]

    @virtual
    async def test_with_a_retry(self) -> None:
        """While a busy module is given time, an incoming connection may take the ID."""
        guest = StreamRecorder()
        busy = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 1", data=b"+QIOPEN: 1,568")
        async with Bench(busy) as bench:
            modem = await bench.open()
            await modem.create_server(lambda: guest, LISTEN_PORT)
            opening = asyncio.create_task(
                modem.open_connection(HOST, ECHO_PORT, access_mode=AccessMode.PUSH)
            )
            await asyncio.sleep(0.3)  # the ID is closed; the next try comes after 0.5 s
            client = bench.network.dial(LISTEN_PORT)
            assert client is not None
            reader, writer = await opening
            client.send(b"from the client")
            writer.write(b"from the host")
            assert await reader.readexactly(13) == b"from the host"
            assert await guest.until(15) == b"from the client"
            assert not client.closed

    @virtual
    async def test_with_a_connection_of_ours(self) -> None:
        """A module that gives away an ID in use has lost that connection."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await modem.open_connection(HOST, PORT)
            bench.virtual.say('+QIURC: "incoming",0,5,"192.168.2.2",36566')
            with pytest.raises(aiobc9x.StreamBroken, match="incoming"):
                await reader.read()
            writer.close()


def dial_at(bench: Bench, line: str, data: bytes, *, command: str = "") -> list[Peer]:
    """Have a client connect and speak as the module prints a line or takes a command."""
    peers: list[Peer] = []
    note = bench.virtual.module.board.options.on_line
    assert note is not None

    def watch(direction: str, text: str) -> None:
        note(direction, text)
        due = text.startswith(command) if direction == ">" and command else text == line
        if due and not peers:
            peer = bench.network.dial(LISTEN_PORT)
            assert peer is not None
            peers.append(peer)
            peer.send(data)

    object.__setattr__(bench.virtual.module.board.options, "on_line", watch)
    return peers


class TestOptions:
    """asyncio's keywords are known; what the module can't do is refused."""

    @virtual
    async def test_what_means_nothing_is_ignored(self) -> None:
        """A program for asyncio's own servers runs as it is."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.create_server(
                asyncio.Protocol, 2020, host=None, backlog=5, reuse_address=True, start_serving=True
            )
            assert server.is_serving()

    @virtual
    async def test_what_cannot_be_is_refused(self) -> None:
        """Nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            commands = len(bench.commands)
            with socket.socket() as sock, pytest.raises(ValueError, match="sock"):
                await modem.create_server(asyncio.Protocol, 2020, sock=sock)
            with pytest.raises(ValueError, match="start_serving"):
                await modem.start_server(lambda _r, _w: None, 2020, start_serving=False)
            for name in ("create_server", "start_server"):
                with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected .* 'hots'"):
                    await getattr(modem, name)(asyncio.Protocol, 2020, hots="")
            assert len(bench.commands) == commands

    @virtual
    async def test_asyncios_order_is_taken_too(self) -> None:
        """Host and port, by position or by name; the port alone is enough."""
        async with Bench() as bench:
            modem = await bench.open()
            own = (await modem.addresses())[0][1][0]
            ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
                ((2020,), {}),
                ((None, 2020), {}),
                (("0.0.0.0", 2020), {}),
                (([""], 2020), {}),
                ((own, 2020), {}),
                ((own.encode(), 2020), {}),
                ((), {"host": "::", "port": 2020}),
                (("",), {"port": 2020}),
            ]
            for args, keywords in ways:
                made = await modem.create_server(asyncio.Protocol, *args, **keywords)
                assert made.is_serving()
                made.close()
                await made.wait_closed()
                await asyncio.sleep(130.0)  # the port rests
            made = await modem.start_server(lambda _r, _w: None, "", 2020)
            assert made.is_serving()

    @virtual
    async def test_an_address_of_another_machine_is_refused(self) -> None:
        """127.0.0.1 would be the carrier's network without a word; nothing is sent."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            commands = len(bench.commands)
            for host in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", ["127.0.0.1"], ["", ""]):
                with pytest.raises(ValueError, match="host is"):
                    await modem.create_server(asyncio.Protocol, host, 2020)
                with pytest.raises(ValueError, match="host is"):
                    await modem.start_server(lambda _r, _w: None, host=host, port=2020)
            for args in ((), ("",), (2020, 2021), ("", 2020, 1), (True,), (2.5, 2020)):
                with pytest.raises(TypeError, match=r"port|host"):
                    await modem.create_server(asyncio.Protocol, *args)
            assert len(bench.commands) == commands
            with pytest.raises(OSError, match=r"no address 10\.9\.9\.9") as caught:
                await modem.create_server(asyncio.Protocol, "10.9.9.9", 2020)
            assert caught.value.errno == errno.EADDRNOTAVAIL
