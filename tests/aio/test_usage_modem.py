"""What is counted of a modem's work over the air, and what a spent budget refuses."""

from __future__ import annotations

import asyncio

import pytest

import aiobc9x
from aiobc9x import AirCount, BudgetExceeded, BudgetReached
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, NAME, UDP_PORT, Bench, echoed
from tests.support.clock import virtual
from tests.support.recorders import DatagramRecorder

HEADER, CONNECTION = 40, 7 * 40 + 2 * 4


class TestModem:
    """What is counted of a modem's work."""

    @virtual
    async def test_a_connection(self) -> None:
        """Its beginning and end, a payload each way, and an acknowledgement for each."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(b"x" * 100)
            await reader.readexactly(100)
            await asyncio.sleep(1)  # SEND OK comes behind the answer
            (one,) = modem.usage.connections
            assert (one.host, one.port, one.connect_id) == (HOST, ECHO_PORT, 0)
            expected = CONNECTION + 2 * (100 + 2 * HEADER)
            assert one.count.total_bytes == modem.usage.total.total_bytes == expected
            assert (one.count.payload_sent_bytes, one.count.payload_received_bytes) == (100, 100)
            writer.close()
            await writer.wait_closed()
            assert modem.usage.connections == []
            assert modem.usage.hosts == {HOST: modem.usage.total}

    @virtual
    async def test_datagrams(self) -> None:
        """28 bytes of headers each."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.network.serve_udp(UDP_PORT, lambda peer: peer.answer_with(peer.send))
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            transport.sendto(b"12345")
            await asyncio.sleep(5)
            assert protocol.received == [b"12345"]
            assert modem.usage.total == AirCount(33, 33, 5, 5, 1)

    @virtual
    async def test_names(self) -> None:
        """A name is asked for by AT+QIOPEN or AT+QIDNSGIP; the connection counts for it."""
        async with Bench(hosts={NAME: Host((HOST,))}) as bench:
            modem = await bench.open()
            await bench.streams(NAME, ECHO_PORT)
            await modem.resolve("SERVER.example")
            await modem.resolve(HOST)
            packet = 28 + 18 + len(NAME)
            dns = 2 * (2 * packet + 16)
            assert sum(each.total_bytes for each in modem.usage.hosts.values()) == CONNECTION + dns
            assert modem.usage.hosts[NAME].connections == 1

    @virtual
    async def test_a_long_name(self) -> None:
        """It is resolved first, and is still the host."""
        name = "a" * 50 + ".example"
        async with Bench(hosts={name: Host((HOST,))}) as bench:
            modem = await bench.open()
            await bench.streams(name, ECHO_PORT)
            assert [*modem.usage.hosts] == [name]

    @virtual
    async def test_a_refusal(self) -> None:
        """Two packets."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.ConnectRefused):
                await modem.open_connection(HOST, 9)
            assert modem.usage.total.total_bytes == 2 * HEADER + 4

    @virtual
    async def test_incoming_connections(self) -> None:
        """They count for the client; the listener costs nothing."""
        async with Bench() as bench:
            modem = await bench.open()
            server = await modem.create_server(asyncio.Protocol, port=LISTEN_PORT)
            assert modem.usage.total == AirCount()
            peer = bench.network.dial(LISTEN_PORT)
            assert peer is not None
            await asyncio.sleep(1)
            peer.send(b"hello")
            await asyncio.sleep(5)
            assert modem.usage.hosts[peer.address].total_bytes == CONNECTION + 5 + 2 * HEADER
            server.close()

    @virtual
    async def test_pings_and_the_time(self) -> None:
        """Answers that came count, questions in any case."""
        async with Bench(hosts={NAME: Host((HOST,))}) as bench:
            modem = await bench.open()
            report = await modem.ping(HOST, count=3, size_bytes=32)
            assert report.received == 3
            assert modem.usage.hosts[HOST].total_bytes == 6 * 60
            await modem.ntp_time(NAME)
            assert modem.usage.hosts[NAME].total_bytes == 2 * 76

    @virtual
    async def test_what_failed_is_counted_too(self) -> None:
        """A name that nobody knows was asked for."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.NameNotFound):
                await modem.resolve("nobody.invalid")
            assert modem.usage.hosts["nobody.invalid"].total_bytes > 0

    @virtual
    async def test_it_outlives_a_restart(self) -> None:
        """The books are the modem's, not the module's."""
        async with Bench() as bench:
            modem = await bench.open()
            await echoed(modem, b"x" * 100)
            before = modem.usage.total.total_bytes
            bench.add_fault(Fault(FaultKind.RESET, on="AT+QISTATE"))
            with pytest.raises(aiobc9x.ModuleReset):
                await modem.socket_states()
            await modem.available()
            assert modem.usage.total.total_bytes == before


class TestRefusing:
    """What a modem doesn't begin any more."""

    @virtual
    async def test_new_connections(self) -> None:
        """They raise before anything is sent; servers and queries go on."""
        async with Bench() as bench:
            modem = await bench.open()
            events = modem.subscribe()
            modem.usage.budget(300, refuse=True)
            await echoed(modem, b"x")
            shares: list[float] = []
            while len(shares) < 2:
                event = await anext(events)
                shares += [event.share] if isinstance(event, BudgetReached) else []
            assert shares == [0.8, 1.0]
            sent = len(bench.commands)
            for _ in range(2):
                with pytest.raises(BudgetExceeded, match="the budget of 300 bytes"):
                    await modem.open_connection(HOST, ECHO_PORT)
            with pytest.raises(BudgetExceeded):
                await modem.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(HOST, UDP_PORT)
                )
            assert len(bench.commands) == sent
            server = await modem.create_server(asyncio.Protocol, port=LISTEN_PORT)
            server.close()
            modem.usage.budget(10_000, refuse=True)
            await echoed(modem, b"x")

    @virtual
    async def test_a_stream(self) -> None:
        """The next write ends it, with the reason."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            modem.usage.budget(300, refuse=True)
            writer.write(b"x" * 100)
            assert await reader.readexactly(100)
            writer.write(b"y")
            with pytest.raises(BudgetExceeded):
                await reader.read()
            await asyncio.sleep(5)
            assert bench.peer.received == b"x" * 100
            assert bench.open_ids == []

    @virtual
    async def test_datagrams(self) -> None:
        """error_received gets the reason, and the socket stays."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.network.serve_udp(UDP_PORT)
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            modem.usage.budget(30, refuse=True)
            transport.sendto(b"12345")
            await asyncio.sleep(5)
            transport.sendto(b"67890")
            await asyncio.sleep(5)
            assert bench.peer.datagrams == [b"12345"]
            assert [type(each) for each in protocol.errors] == [BudgetExceeded]
            modem.usage.remove_budget()
            transport.sendto(b"67890")
            await asyncio.sleep(5)
            assert bench.peer.datagrams == [b"12345", b"67890"]

    @virtual
    async def test_datagrams_after_a_restart(self) -> None:
        """A socket that was there before is opened again, and hears what is sent to it."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            bench.network.serve_udp(UDP_PORT)
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, UDP_PORT)
            )
            transport.sendto(b"12345")
            modem.usage.budget(1, refuse=True)
            bench.add_fault(Fault(FaultKind.RESET, on="AT+QISTATE"))
            with pytest.raises(aiobc9x.ModuleReset):
                await modem.socket_states()
            await modem.available()
            await asyncio.sleep(60)
            assert bench.open_ids == [0]
            bench.peer.send(b"hello")
            await asyncio.sleep(20)
            assert protocol.received == [b"hello"]


class TestPool:
    """Several modems."""

    @virtual
    async def test_each_and_all(self) -> None:
        """The sums, and each modem by its address."""
        a, b = Bench(), Bench()
        async with aiobc9x.open_pool([a.create, b.create]) as pool:
            for modem in pool.modems:
                await echoed(modem, b"x" * 100)
            one = pool.modems[0].usage.total
            assert pool.usage.total.total_bytes == 2 * one.total_bytes
            assert pool.usage.today == pool.usage.total
            assert [*pool.usage.days.values()] == [pool.usage.total]
            assert pool.usage.hosts == {HOST: pool.usage.total}
            assert [name for name, _ in pool.usage.modems] == ["create()"] * 2
            assert str(pool.usage.total.sent_bytes) in repr(pool.usage)
        await a.virtual.aclose()
        await b.virtual.aclose()

    @virtual
    async def test_a_spent_budget_has_the_next_modem_tried(self) -> None:
        """If all are spent, the call fails."""
        a, b = Bench(), Bench()
        async with aiobc9x.open_pool([a.create, b.create]) as pool:
            for modem in pool.modems:
                modem.usage.budget(300, refuse=True)
                reader, writer = await pool.open_connection(HOST, ECHO_PORT)
                writer.write(b"x" * 100)
                await reader.readexactly(100)
                await asyncio.sleep(1)
                writer.close()
                await writer.wait_closed()
            assert a.network.peers
            assert b.network.peers
            with pytest.raises(BudgetExceeded):
                await pool.open_connection(HOST, ECHO_PORT)
        await a.virtual.aclose()
        await b.virtual.aclose()
