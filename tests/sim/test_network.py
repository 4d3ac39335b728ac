"""LoopbackNetwork: real sockets behind the module."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast
from unittest.mock import Mock

import pytest

from aiobc9x.sim.interface import Resolution
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.network import LoopbackNetwork, _TcpEnd
from aiobc9x.sim.options import Host, SimOptions
from tests.conftest import new_files, open_files
from tests.sim.desk import lines
from tests.sim.host import Host as Terminal
from tests.sim.host import turns_until
from tests.support.words import CLOSE_OK, OK


class Bench:
    """A module on real sockets, and a terminal in memory."""

    def __init__(self, options: SimOptions) -> None:
        self.network = LoopbackNetwork(options)
        self.virtual = VirtualModule(options, network=self.network)
        self.terminal = Terminal()
        self.transport = self.virtual.connect_memory(self.terminal)

    async def run(self, line: str, end: bytes) -> bytes:
        """Write a line and wait for the end of what the module says."""
        self.terminal.forget()
        self.transport.write(line.encode() + b"\r")
        return await self.terminal.until(end)

    async def hear(self, end: bytes) -> bytes:
        """Wait for something that the module says by itself."""
        return await self.terminal.until(end)

    async def open(self, port: int, service: str = "TCP", mode: int = 0) -> None:
        line = f'AT+QIOPEN=1,0,"{service}","127.0.0.1",{port},0,{mode}'
        await self.run(line, lines("+QIOPEN: 0,0"))


@contextlib.asynccontextmanager
async def bench(options: SimOptions | None = None) -> AsyncIterator[Bench]:
    made = Bench(replace(options or SimOptions(), close_time=0.0))
    try:
        await made.run("ATE0", OK)
        yield made
    finally:
        await made.virtual.aclose()


class Server:
    """A TCP server that keeps its last connection."""

    def __init__(self) -> None:
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.connected: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.connected.put_nowait((reader, writer))


class Told:
    """What a network has told, in place of a module.

    Attributes:
        opened_with: Handles and how their opening ended.
        data: Handles and what came for them.

    """

    def __init__(self) -> None:
        self.opened_with: list[tuple[int, int]] = []
        self.data: list[tuple[int, bytes]] = []

    def opened(self, handle: int, err: int, now: float) -> None:
        self.opened_with.append((handle, err))

    def received(self, handle: int, data: bytes, now: float) -> None:
        self.data.append((handle, data))

    def closed(self, handle: int, now: float) -> None:
        raise AssertionError(f"{handle} was closed")

    def incoming(self, listener: int, address: str, port: int, now: float) -> int | None:
        raise AssertionError(f"{address} came in")

    def resolved(self, ticket: int, resolution: Resolution | None, now: float) -> None:
        raise AssertionError(f"nobody has asked for {ticket}")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class TestTcp:
    async def test_both_ways_and_a_local_close(self) -> None:
        """The peer sees the data, then the end."""
        async with serving() as server, bench() as desk:
            await desk.open(server.port)
            reader, writer = await server.connected.get()
            await desk.run('AT+QISEND=0,5,"hello"', lines("SEND OK"))
            assert await reader.readexactly(5) == b"hello"
            desk.terminal.forget()
            writer.write(b"world")
            await desk.hear(lines('+QIURC: "recv",0'))
            assert await desk.run("AT+QIRD=0,100", OK) == lines("+QIRD: 5", "world") + OK
            await desk.run("AT+QICLOSE=0", CLOSE_OK)
            assert await reader.read() == b""

    async def test_the_peer_closes(self) -> None:
        async with serving() as server, bench() as desk:
            await desk.open(server.port)
            _, writer = await server.connected.get()
            writer.write(b"bye")
            writer.close()
            await desk.hear(lines('+QIURC: "closed",0'))
            assert await desk.run("AT+QIRD=0,100", OK) == lines("+QIRD: 3", "bye") + OK

    async def test_the_peer_resets(self) -> None:
        async with serving() as server, bench() as desk:
            await desk.open(server.port)
            _, writer = await server.connected.get()
            writer.transport.abort()
            await desk.hear(lines('+QIURC: "closed",0'))

    async def test_flow_control_reaches_the_peer(self) -> None:
        """A module whose buffer is full takes no more; later every byte comes, in order."""
        async with serving() as server, bench() as desk:
            await desk.open(server.port)
            _, writer = await server.connected.get()
            stream = b"".join(index.to_bytes(2, "big") for index in range(20_000))
            writer.write(stream)
            await desk.hear(lines('+QIURC: "recv",0,"buff full"'))
            socket = desk.virtual.module.sockets.by_id[0]
            assert socket.paused
            assert socket.buffered <= 4096
            got = bytearray()
            while len(got) < len(stream):
                said = await desk.run("AT+QIRD=0,1024", b"\r\n" + OK)
                answer = said[said.index(b"+QIRD: ") :]
                header, _, rest = answer.partition(b"\r\n")
                got += rest[: int(header.split()[1])]
            assert bytes(got) == stream

    async def test_connection_that_comes_while_data_are_held_back(self) -> None:
        """A module that can't take more when the connection opens isn't flooded by it."""
        async with serving() as server:
            network, events = LoopbackNetwork(SimOptions()), Told()
            network.attach(events, asyncio.get_running_loop().time)
            network.connect(7, "127.0.0.1", server.port, udp=False)
            network.pause(7)
            _, writer = await server.connected.get()
            await turns_until(lambda: bool(events.opened_with))
            writer.write(b"early")
            await writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)
            assert events.data == []
            network.resume(7)
            await turns_until(lambda: bool(events.data))
            assert events.data == [(7, b"early")]
            await network.aclose()

    async def test_refused(self) -> None:
        """566, at once."""
        async with serving() as server:
            free = server.port
        async with bench() as desk:
            await desk.run(f'AT+QIOPEN=1,0,"TCP","127.0.0.1",{free}', lines("+QIOPEN: 0,566"))

    async def test_full_send_buffer(self) -> None:
        """More than fits is SEND FAIL, and nothing of it is sent."""
        async with serving() as server, bench(SimOptions(send_buffer=1000)) as desk:
            await desk.open(server.port)
            reader, _ = await server.connected.get()
            await desk.run(f'AT+QISEND=0,1440,"{"x" * 1440}"', lines("SEND FAIL"))
            await desk.run('AT+QISEND=0,2,"hi"', lines("SEND OK"))
            await desk.run("AT+QICLOSE=0", CLOSE_OK)
            assert await reader.read() == b"hi"


class TestNames:
    async def test_host_table(self) -> None:
        hosts = {"name.example": Host(("127.0.0.1",))}
        async with serving() as server, bench(SimOptions(hosts=hosts)) as desk:
            line = f'AT+QIOPEN=1,0,"TCP","name.example",{server.port}'
            await desk.run(line, lines("+QIOPEN: 0,0"))

    async def test_addresses_and_ports_can_be_redirected(self) -> None:
        """The examples' own address works on loopback."""
        async with serving() as server:
            options = SimOptions(
                hosts={"220.18.39.22": Host(("127.0.0.1",))}, remote_ports={8062: server.port}
            )
            async with bench(options) as desk:
                await desk.run('AT+QIOPEN=1,0,"TCP","220.18.39.22",8062', lines("+QIOPEN: 0,0"))
                row = '+QISTATE: 0,"TCP","220.18.39.22",8062,0,2,1,0'
                assert await desk.run("AT+QISTATE?", OK) == lines(row) + OK

    async def test_the_outside_is_out_of_reach(self) -> None:
        async with bench() as desk:
            await desk.run('AT+QIOPEN=1,0,"TCP","198.51.100.1",80', lines("+QIOPEN: 0,566"))

    async def test_black_hole(self) -> None:
        hosts = {"dead.example": Host(("192.0.2.1",))}
        async with bench(SimOptions(hosts=hosts)) as desk:
            await desk.run('AT+QIOPEN=1,0,"TCP","dead.example",80', OK)
            assert b",1,1,0\r\n" in await desk.run("AT+QISTATE?", OK)

    @pytest.mark.parametrize("system_dns", [False, True])
    async def test_unknown_name(self, system_dns: bool) -> None:
        """Also for the system's resolver, which refuses an empty label."""
        async with bench(SimOptions(system_dns=system_dns)) as desk:
            await desk.run('AT+QIDNSGIP=1,"a..b"', lines('+QIURC: "dnsgip",565'))


class TestUdp:
    async def test_datagrams_keep_their_edges(self) -> None:
        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast(asyncio.DatagramTransport, transport)

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                for byte in data:
                    self.transport.sendto(bytes([byte]) * 3, addr)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        async with bench() as desk:
            await desk.open(transport.get_extra_info("sockname")[1], "UDP", mode=1)
            desk.transport.write(b'AT+QISEND=0,2,"ab"\r')
            # The echo may come in one chunk with the result of the send.
            awaited = [lines('+QIURC: "recv",0', letter * 3) for letter in "ab"]
            awaited.append(lines("SEND OK"))
            await turns_until(lambda: all(each in desk.terminal.said for each in awaited))
        transport.close()

    async def test_nobody_there(self) -> None:
        """A datagram that nobody wants is no error."""
        async with serving() as server, bench() as desk:
            await desk.open(server.port, "UDP")
            for _ in range(3):
                await desk.run('AT+QISEND=0,1,"x"', lines("SEND OK"))

    @pytest.mark.parametrize("address", ["198.51.100.1", "192.0.2.1"])
    async def test_no_datagram_leaves_the_machine(self, address: str) -> None:
        """Unless ``outside`` allows it; the module notices nothing, and no socket exists."""
        async with bench() as desk:
            before = open_files()
            line = f'AT+QIOPEN=1,0,"UDP","{address}",5683'
            await desk.run(line, lines("+QIOPEN: 0,0"))
            await desk.run('AT+QISEND=0,1,"x"', lines("SEND OK"))
            assert new_files(before) == []
            await desk.run("AT+QICLOSE=0", CLOSE_OK)


class TestListener:
    async def test_incoming(self) -> None:
        """Any free port will do behind the module's."""
        async with bench(SimOptions(listen_ports={2020: 0})) as desk:
            line = 'AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,2020'
            await desk.run(line, lines("+QIOPEN: 0,0"))
            desk.terminal.forget()
            reader, writer = await asyncio.open_connection("127.0.0.1", desk.network.port_map[2020])
            port = writer.get_extra_info("sockname")[1]
            await desk.hear(lines(f'+QIURC: "incoming",1,0,"127.0.0.1",{port}'))
            writer.write(b"test")
            await desk.hear(lines('+QIURC: "recv",1'))
            await desk.run('AT+QISEND=1,2,"hi"', lines("SEND OK"))
            assert await reader.readexactly(2) == b"hi"
            await desk.run("AT+QICLOSE=0", CLOSE_OK)
            assert desk.network.port_map == {}
            await desk.run("AT+QICLOSE=1", CLOSE_OK)
            assert await reader.read() == b""
            writer.close()

    async def test_full(self) -> None:
        """The sixth client is cut off."""
        async with bench(SimOptions(listen_ports={2020: 0})) as desk:
            line = 'AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,2020'
            await desk.run(line, lines("+QIOPEN: 0,0"))
            port = desk.network.port_map[2020]
            clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
            await desk.hear(lines('+QIURC: "incoming full"'))
            with contextlib.suppress(ConnectionError):
                assert await clients[-1][0].read() == b""
            for _, writer in clients:
                writer.close()

    async def test_port_taken(self) -> None:
        """556."""
        async with serving() as server, bench() as desk:
            line = f'AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,{server.port}'
            await desk.run(line, lines("+QIOPEN: 0,556"))

    async def test_offset(self) -> None:
        """``listen_offset`` moves all ports."""
        async with serving() as server:
            free = server.port
        async with bench(SimOptions(listen_offset=free - 80)) as desk:
            line = 'AT+QIOPEN=1,0,"TCP LISTENER","127.0.0.1",1,80'
            await desk.run(line, lines("+QIOPEN: 0,0"))
            assert desk.network.port_map == {80: free}


async def test_aclose_releases_everything() -> None:
    """With connections up, connecting, listening, resolving; checked by the fixture too."""
    before = asyncio.all_tasks()
    async with serving() as server:
        options = SimOptions(listen_ports={2020: 0}, system_dns=True)
        async with bench(options) as desk:
            await desk.open(server.port)
            reader, _ = await server.connected.get()
            await desk.run('AT+QIOPEN=1,1,"TCP LISTENER","127.0.0.1",1,2020', lines("+QIOPEN: 1,0"))
            await desk.run(f'AT+QIOPEN=1,2,"UDP","127.0.0.1",{server.port}', OK)
            await desk.run(f'AT+QIOPEN=1,3,"TCP","127.0.0.1",{server.port}', OK)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert asyncio.all_tasks() == before


class TestClosing:
    """What was under way when the network is closed."""

    @pytest.mark.parametrize("handle", [None, 2], ids=["a client", "an opened socket"])
    async def test_a_connection_that_comes_late(self, handle: int | None) -> None:
        """It is closed too, and closing waits for it alone."""
        network = LoopbackNetwork(SimOptions())
        early, late = _TcpEnd(network, None), _TcpEnd(network, handle)
        early.transport, transport = Mock(), Mock()
        network._alive.add(early)
        closing = asyncio.create_task(network.aclose())
        await asyncio.sleep(0)
        late.connection_made(transport)
        transport.abort.assert_called_once_with()
        early.connection_lost(None)
        late.connection_lost(None)
        await closing
