"""Endpoints without remote_addr: six sockets for any number of destinations, and the end."""

from __future__ import annotations

import asyncio
import errno

import pytest

from aiobc9x.adapters.redirect.destination import ANSWER_WAIT_S, QUEUE_DATAGRAMS
from aiobc9x.adapters.redirect.endpoint import WAITING_DESTINATIONS
from aiobc9x.errors import LinkLost
from tests.support.bench import HOST, PORT
from tests.support.clock import running, virtual
from tests.support.ordinary import nothing_leaves
from tests.support.recorders import DatagramRecorder
from tests.support.udp import ECHO, SINK, bench_with_udp, endpoint, host, opens, routed


class TestSockets:
    """Six sockets, and more destinations."""

    @virtual
    async def test_the_least_recently_used_goes(self) -> None:
        """With all six in use, the one that was idle longest makes room, at once if answered."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            for number in (0, 1, 2, 3, 4, 5):
                transport.sendto(b"x", (host(number), ECHO))
                await protocol.until(received=number + 1)
            transport.sendto(b"x", (host(0), ECHO))
            await protocol.until(received=7)
            started = running().now
            transport.sendto(b"x", (host(6), ECHO))
            await protocol.until(received=8)
            assert running().now - started < 1
            live = {peer.address for peer in bench.network.peers if not peer.closed}
            assert live == {host(number) for number in (0, 2, 3, 4, 5, 6)}
            assert protocol.errors == []

    @virtual
    async def test_answers_are_waited_for(self) -> None:
        """A socket whose answer is due is spared for ten seconds."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            for number in range(6):
                transport.sendto(b"x", (host(number), SINK))
            await asyncio.sleep(1)
            started = running().now
            transport.sendto(b"x", (host(6), ECHO))
            await asyncio.sleep(5)
            bench.network.peers[3].send(b"late answer")
            await protocol.until(received=2)
            assert protocol.received == [b"late answer", b"x"]
            assert 5 <= running().now - started < 6  # number 3 was answered, and made room
            transport.sendto(b"x", (host(7), ECHO))
            await protocol.until(received=3)
            assert running().now - started < 6  # so was number 6
            for number in (8, 9):
                transport.sendto(b"x", (host(number), SINK))
            await asyncio.sleep(ANSWER_WAIT_S)
            live = {peer.address for peer in bench.network.peers if not peer.closed}
            assert {host(8), host(9)} <= live
            assert len(live) == 6
            assert protocol.errors == []

    @virtual
    async def test_a_destination_whose_socket_goes(self) -> None:
        """A datagram to it takes a new socket; it is not written to the old one."""
        async with bench_with_udp(close_time=3) as bench:
            with (await bench.open()).installed(), nothing_leaves():
                transport, protocol = await endpoint()
                for number in range(6):
                    transport.sendto(b"x", (host(number), ECHO))
                    await protocol.until(received=number + 1)
                transport.sendto(b"new", (host(6), ECHO))
                await asyncio.sleep(1)
                transport.sendto(b"again", (host(0), ECHO))
                await protocol.until(received=8)
                assert sorted(protocol.received[6:]) == [b"again", b"new"]
                assert [peer.address for peer in bench.network.peers].count(host(0)) == 2

    @virtual
    async def test_what_is_being_sent_is_not_held_up(self) -> None:
        """A socket makes room once it has sent everything, and one is enough for one."""
        async with bench_with_udp(send_time=2) as bench:
            with (await bench.open()).installed(), nothing_leaves():
                transport, protocol = await endpoint()
                for number in range(6):
                    transport.sendto(b"x", (host(number), ECHO))
                await protocol.until(received=6)
                started = running().now
                for number in range(6):
                    transport.sendto(b"slow", (host(number), ECHO))
                    bench.network.peers[number].send(b"unasked")
                await protocol.until(received=12)
                transport.sendto(b"new", (host(6), ECHO))
                while b"new" not in protocol.received:
                    await protocol.until(received=len(protocol.received) + 1)
                assert 4 < running().now - started < 20  # the first sends take 2 s each
                await asyncio.sleep(20)
                assert protocol.received.count(b"slow") == 6
                assert sum(peer.closed for peer in bench.network.peers) == 1
                assert protocol.errors == []

    @virtual
    async def test_more_destinations_at_once_than_sockets(self) -> None:
        """Twenty questions at once are all answered."""
        async with routed():
            transport, protocol = await endpoint()
            for number in range(20):
                transport.sendto(b"x%d" % number, (host(number), ECHO))
            await protocol.until(received=20)
            assert sorted(protocol.received) == sorted(b"x%d" % number for number in range(20))
            assert protocol.errors == []

    @virtual
    async def test_sockets_of_others_are_not_taken(self) -> None:
        """Without a socket of its own, an endpoint reports EMFILE; later it works."""
        async with routed() as bench:
            writers = [(await asyncio.open_connection(HOST, PORT))[1] for _ in range(6)]
            transport, protocol = await endpoint()
            for number in range(3):
                transport.sendto(b"x", (host(number), ECHO))
            await protocol.until(errors=3)
            assert {getattr(error, "errno", None) for error in protocol.errors} == {errno.EMFILE}
            assert not any(peer.closed for peer in bench.network.peers)
            writers[0].close()
            await writers[0].wait_closed()
            transport.sendto(b"now", (host(1), ECHO))
            await protocol.until(received=1)
            transport.sendto(b"another", (host(2), ECHO))  # its own one makes room
            await protocol.until(received=2)

    @virtual
    async def test_queues_are_bounded(self) -> None:
        """While a socket is being opened, so many datagrams wait; more are ENOBUFS."""
        async with routed():
            transport, protocol = await endpoint()
            for number in range(QUEUE_DATAGRAMS + 2):
                transport.sendto(b"%d" % number, (host(1), ECHO))
            await protocol.until(received=QUEUE_DATAGRAMS, errors=2)
            assert protocol.received == [b"%d" % number for number in range(QUEUE_DATAGRAMS)]
            assert {getattr(each, "errno", None) for each in protocol.errors} == {errno.ENOBUFS}

    @virtual
    async def test_waiting_destinations_are_bounded(self) -> None:
        """So many destinations wait for a socket; more are ENOBUFS at once."""
        async with routed():
            transport, protocol = await endpoint()
            for number in range(6 + WAITING_DESTINATIONS):
                transport.sendto(b"x", (host(number), SINK))
            await asyncio.sleep(1)
            assert protocol.errors == []
            transport.sendto(b"x", (host(200), SINK))
            await protocol.until(errors=1)
            assert getattr(protocol.errors[0], "errno", None) == errno.ENOBUFS
            transport.abort()

    @virtual
    async def test_the_local_port(self) -> None:
        """The first destination gets it; the module gives others a port of its own."""
        async with routed() as bench:
            transport, protocol = await endpoint(local_addr=("0.0.0.0", 3000))
            for number in range(2):
                transport.sendto(b"x", (host(number), ECHO))
            await protocol.until(received=2)
            assert [line.split(",")[5] for line in opens(bench)] == ["3000", "0"]
            transport.close()
            await protocol.lost
            again, protocol = await endpoint(local_addr=("0.0.0.0", 3000))
            again.sendto(b"x", (host(1), ECHO))  # the port rests, so any will do
            await protocol.until(received=1)
            assert opens(bench)[2].split(",")[5] == "0"
            assert protocol.errors == []

    @virtual
    async def test_writing_pauses(self) -> None:
        """The protocol is paused while too much waits, and resumed when it has gone out."""
        async with routed():
            transport, protocol = await endpoint()
            for number in range(3):
                transport.sendto(b"x" * 1000, (host(number), ECHO))
            assert transport.get_write_buffer_size() == 3000
            assert protocol.calls == ["pause"]
            await protocol.until(received=3)
            await asyncio.sleep(1)  # an answer may overtake the last SEND OK
            assert protocol.calls == ["pause", "resume"]
            assert transport.get_write_buffer_size() == 0


class TestTheEnd:
    """Close, abort, and what ends from below."""

    @virtual
    async def test_close_sends_what_waits(self) -> None:
        """A datagram that was sent before close() goes out, open or not."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            transport.sendto(b"a", (host(1), ECHO))
            await protocol.until(received=1)
            transport.sendto(b"b", (host(1), ECHO))
            transport.sendto(b"c", (host(2), SINK))
            transport.close()
            transport.close()
            assert transport.is_closing()
            transport.sendto(b"too late", (host(3), SINK))
            assert await protocol.lost is None
            assert [peer.datagrams for peer in bench.network.peers] == [[b"a", b"b"], [b"c"]]
            assert protocol.received == [b"a"]
            assert bench.open_ids == []
            assert repr(transport) == "<Endpoint closed destinations=0>"

    @virtual
    async def test_close_of_an_idle_one(self) -> None:
        """Without sockets it is closed at once."""
        async with routed():
            transport, protocol = await endpoint()
            transport.close()
            assert await protocol.lost is None

    @virtual
    async def test_abort_drops_what_waits(self) -> None:
        """abort() ends it at once; sockets that are being opened are closed then."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            transport.sendto(b"a", (host(1), ECHO))
            await protocol.until(received=1)
            transport.sendto(b"b", (host(2), SINK))
            transport.abort()
            transport.abort()
            transport.close()
            assert await protocol.lost is None
            await asyncio.sleep(5)
            assert not any(b"b" in peer.datagrams for peer in bench.network.peers)
            assert bench.open_ids == []

    @virtual
    async def test_a_lost_link_ends_it(self) -> None:
        """Without a link nothing can come any more: connection_lost() says why."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            transport.sendto(b"a", (host(1), ECHO))
            await protocol.until(received=1)
            bench.cut()
            assert isinstance(await protocol.lost, LinkLost)
            assert transport.is_closing()

    @virtual
    async def test_a_closed_modem_ends_it(self) -> None:
        """An idle endpoint hears of it when it next sends."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            await (await bench.modem()).aclose()
            transport.sendto(b"a", (host(1), ECHO))
            assert isinstance(await protocol.lost, LinkLost)
            assert protocol.errors == []

    @virtual
    async def test_a_restart_of_the_module(self) -> None:
        """The sockets are gone and the protocol is told; the next datagram opens a new one."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            transport.sendto(b"a", (host(1), ECHO))
            await protocol.until(received=1)
            bench.virtual.reset()
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], ConnectionResetError)
            assert not transport.is_closing()
            await asyncio.sleep(60)
            transport.sendto(b"b", (host(1), ECHO))
            await protocol.until(received=2)

    @virtual
    async def test_cancelled_while_it_is_made(self) -> None:
        """Nothing is left, and the protocol hears of the end."""
        async with routed():
            made: list[DatagramRecorder] = []

            def factory() -> DatagramRecorder:
                made.append(DatagramRecorder())
                return made[0]

            task = asyncio.create_task(
                running().create_datagram_endpoint(factory, local_addr=("0.0.0.0", 0))
            )
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await made[0].lost is None
