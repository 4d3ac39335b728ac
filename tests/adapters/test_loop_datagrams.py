"""create_datagram_endpoint() inside installed(), with and without remote_addr."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x.adapters.destinations import ANSWER_WAIT_S, QUEUE_DATAGRAMS
from aiobc9x.adapters.endpoint import WAITING_DESTINATIONS, Endpoint
from aiobc9x.errors import LinkLost, NameNotFound
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, take_errors, virtual
from tests.support.ordinary import Ordinary, nothing_leaves
from tests.support.recorders import DatagramRecorder

ECHO, SINK = 7, 9

NAME, LONG = "server.example", "x" * 60 + ".example"

HOSTS = {NAME: Host((HOST,)), LONG: Host((HOST,)), "six.example": Host(("2001:db8::1",))}


def echo(peer: Peer) -> None:
    """Answer each datagram with itself."""
    peer.answer_with(peer.send)


def bench_with_udp(**options: Any) -> Bench:
    """A bench with an echo port and one that never answers, at any address."""
    bench = Bench(hosts=HOSTS, **options)
    bench.network.serve_udp(ECHO, echo)
    bench.network.serve_udp(SINK)
    return bench


@asynccontextmanager
async def routed(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave."""
    async with bench_with_udp() as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


async def endpoint(**options: Any) -> tuple[Endpoint, DatagramRecorder]:
    """An endpoint without remote_addr."""
    options = options or {"local_addr": ("0.0.0.0", 0)}
    transport, protocol = await running().create_datagram_endpoint(DatagramRecorder, **options)
    assert isinstance(transport, Endpoint)
    assert protocol.transport is transport
    return transport, protocol


def opens(bench: Bench) -> list[str]:
    """The AT+QIOPEN lines so far."""
    return [line for line in bench.commands if "QIOPEN" in line]


def host(number: int) -> str:
    """One address of many."""
    return f"10.0.0.{number}"


class TestConnected:
    """With ``remote_addr`` it is a socket of the module."""

    @virtual
    async def test_there_and_back(self) -> None:
        """Names, long names, addresses and services, and the local port."""
        async with routed() as bench:
            make: Any = running().create_datagram_endpoint  # takes more than its stub says
            for address, port in ((NAME, 0), (LONG.encode(), 0), (HOST, "2000")):
                transport, protocol = await make(
                    DatagramRecorder,
                    remote_addr=(address, "echo"),
                    local_addr=("0.0.0.0", port),
                    reuse_port=True,
                )
                assert isinstance(transport, aiobc9x.DatagramTransport)
                transport.sendto(b"ping")
                await protocol.until(received=1)
                assert protocol.received == [b"ping"]
                transport.close()
                await protocol.lost
            assert [line.split(",")[5] for line in opens(bench)] == ["0", "0", "2000"]

    @virtual
    async def test_many_at_once_are_refused(self) -> None:
        """The module neither broadcasts nor knows groups; port 0 is nobody's."""
        async with routed() as bench:
            make: Any = running().create_datagram_endpoint  # takes more than its stub says
            for address, code in (
                (("255.255.255.255", 67), errno.EACCES),
                (("224.0.0.251", 5353), errno.ENETUNREACH),
                (("ff02::fb", 5353, 0, 0), errno.ENETUNREACH),
                ((HOST, 0), errno.EINVAL),
            ):
                with pytest.raises(OSError) as raised:
                    await make(DatagramRecorder, remote_addr=address)
                assert raised.value.errno == code
            assert opens(bench) == []

    @virtual
    async def test_unknown_names(self) -> None:
        """The error is the module's."""
        async with routed():
            with pytest.raises(NameNotFound):
                await running().create_datagram_endpoint(
                    DatagramRecorder, remote_addr=("nobody.example", 7)
                )

    @virtual
    async def test_ordinary_ones(self) -> None:
        """What is bypassed, local, or a socket already, is the loop's own business."""
        async with bench_with_udp() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            with modem.installed(), socket.socket(type=socket.SOCK_DGRAM) as sock:
                make: Any = running().create_datagram_endpoint
                for options in (
                    {"remote_addr": ("127.0.0.1", 7)},
                    {"remote_addr": ("localhost", 7), "local_addr": ("0.0.0.0", 0)},
                    {"local_addr": ("127.0.0.1", 0)},
                    {"local_addr": "/run/some.socket", "family": socket.AF_UNIX},
                    {"sock": sock},
                    {},
                ):
                    assert await make(DatagramRecorder, **options) == (
                        "ordinary create_datagram_endpoint"
                    )
            assert len(ordinary.calls) == 6
            assert opens(bench) == []

    @virtual
    async def test_a_local_address_of_neither(self) -> None:
        """An address that the module hasn't is EADDRNOTAVAIL, and the text says what to do."""
        async with routed():
            with pytest.raises(OSError, match="bypass=") as raised:
                await endpoint(local_addr=("192.168.1.2", 0))
            assert raised.value.errno == errno.EADDRNOTAVAIL


class TestEndpoint:
    """Without ``remote_addr`` each destination has a socket of its own."""

    @virtual
    async def test_answers_come_from_where_they_were_sent(self) -> None:
        """Two destinations, two sockets; the source is the address that the caller used."""
        async with routed() as bench:
            transport, protocol = await endpoint()
            transport.sendto(b"one", (host(1), ECHO))
            transport.sendto(bytearray(b"two"), (host(2), ECHO))
            transport.sendto(memoryview(b"three"), (host(1), ECHO))
            await protocol.until(received=3)
            assert sorted(zip(protocol.senders, protocol.received, strict=True)) == [
                ((host(1), ECHO), b"one"),
                ((host(1), ECHO), b"three"),
                ((host(2), ECHO), b"two"),
            ]
            assert len(opens(bench)) == 2
            assert protocol.errors == []

    @virtual
    async def test_ipv6(self) -> None:
        """IPv6 addresses have four fields, as elsewhere."""
        async with routed():
            transport, protocol = await endpoint(family=socket.AF_INET6)
            transport.sendto(b"six", ("2001:db8::1", ECHO, 0, 0))
            transport.sendto(b"by name", ("six.example", ECHO))
            await protocol.until(received=2)
            assert {*map(tuple, protocol.senders)} == {("2001:db8::1", ECHO, 0, 0)}
            assert transport.get_extra_info("sockname") == ("::", 0)

    @virtual
    async def test_names(self) -> None:
        """The module resolves a name; the answer comes from its address."""
        async with routed():
            transport, protocol = await endpoint()
            transport.sendto(b"name", (NAME, ECHO))
            transport.sendto(b"long", (LONG, ECHO))
            transport.sendto(b"none", ("nobody.example", ECHO))
            await protocol.until(received=2, errors=1)
            assert protocol.senders == [(HOST, ECHO)] * 2
            assert isinstance(protocol.errors[0], NameNotFound)

    @virtual
    async def test_what_it_is(self) -> None:
        """It has what libraries ask a datagram transport for."""
        async with routed() as bench:
            transport, protocol = await endpoint(local_addr=("0.0.0.0", 3000))
            sock = transport.get_extra_info("socket")
            assert sock.family == socket.AF_INET
            assert sock.type == socket.SOCK_DGRAM
            assert sock.getsockname() == transport.get_extra_info("sockname") == ("0.0.0.0", 3000)
            with pytest.raises(OSError) as raised:
                sock.getpeername()
            assert raised.value.errno == errno.ENOTCONN
            assert transport.get_extra_info("peername") is None
            assert transport.get_protocol() is protocol
            assert repr(transport) == "<Endpoint open destinations=0>"
            assert opens(bench) == []  # nothing is opened before something is sent

    @virtual
    async def test_the_protocol_may_change(self) -> None:
        """What comes after set_protocol() goes to the new one."""
        async with routed():
            transport, _ = await endpoint()
            other = DatagramRecorder()
            transport.set_protocol(other)
            transport.sendto(b"ping", (host(1), ECHO))
            await other.until(received=1)

    @virtual
    async def test_a_failing_protocol(self) -> None:
        """What the protocol raises goes to the loop's handler; the endpoint goes on."""
        async with routed():
            transport, protocol = await endpoint()

            def fail(data: bytes, addr: Any) -> None:
                del protocol.datagram_received
                raise KeyError("on purpose")

            protocol.datagram_received = fail  # type: ignore[method-assign]
            transport.sendto(b"one", (host(1), ECHO))
            await asyncio.sleep(5)
            transport.sendto(b"two", (host(1), ECHO))
            await protocol.until(received=1)
            (report,) = take_errors()
            assert isinstance(report["exception"], KeyError)

    @virtual
    async def test_sending_from_a_callback(self) -> None:
        """A protocol may send, and be told of an error, from within a callback."""
        async with routed():
            transport, protocol = await endpoint()
            sent = asyncio.Event()

            def again(data: bytes, addr: Any) -> None:
                transport.sendto(b"too long" * 200, addr)
                assert protocol.errors == []
                sent.set()

            protocol.datagram_received = again  # type: ignore[method-assign]
            transport.sendto(b"one", (host(1), ECHO))
            await sent.wait()
            await protocol.until(errors=1)

    @virtual
    async def test_misuse_raises(self) -> None:
        """Types are checked at the call."""
        async with routed():
            transport, _ = await endpoint()
            with pytest.raises(TypeError, match="bytes-like"):
                transport.sendto("text", (host(1), ECHO))  # type: ignore[arg-type]
            for addr in (None, "10.0.0.1", (host(1),)):
                with pytest.raises(ValueError, match="nothing is connected"):
                    transport.sendto(b"data", addr)

    @virtual
    async def test_what_no_module_sends(self) -> None:
        """Datagrams that can't go out are reported, and open nothing."""
        async with routed() as bench:
            transport, protocol = await endpoint(local_addr=("0.0.0.0", 0), allow_broadcast=True)
            for data, addr, code in (
                (b"", (host(1), ECHO), errno.EINVAL),
                (b"x" * 1441, (host(1), ECHO), errno.EMSGSIZE),
                (b"x", (host(1), 0), errno.EINVAL),
                (b"x", (host(1), "echo"), errno.EINVAL),
                (b"x", ("255.255.255.255", 67), errno.EACCES),
                (b"x", ("239.1.2.3", 1900), errno.ENETUNREACH),
            ):
                transport.sendto(data, addr)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                error = protocol.errors.pop()
                assert isinstance(error, OSError)
                assert error.errno == code
            assert opens(bench) == []


class Refusing(asyncio.DatagramTransport):
    """A transport that takes no names, as uvloop's."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not addr[0][0].isdecimal():
            raise ValueError("a DNS lookup is required")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def get_write_buffer_size(self) -> int:
        """Nothing is ever buffered."""
        return 0

    def abort(self) -> None:
        """Nothing is held."""


@virtual
async def test_what_an_ordinary_socket_refuses() -> None:
    """It is reported, and what waited behind it is sent."""
    async with bench_with_udp() as bench:
        modem, loop = await bench.open(), running()
        made: list[tuple[Any, ...]] = []

        async def original(factory: Any, *args: Any, **options: Any) -> None:
            made.append((args, options))
            factory().connection_made(Refusing())

        loop.create_datagram_endpoint = original  # type: ignore[assignment,method-assign]
        with modem.installed(), nothing_leaves():
            transport, protocol = await endpoint()
            transport.sendto(b"x", ("localhost", 9))
            transport.sendto(b"x", ("127.0.0.1", 9))
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], ValueError)
            transport.abort()
        assert made == [((), {"local_addr": ("0.0.0.0", 0)})]


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
            bench.cut_line()
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
