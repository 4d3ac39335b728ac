"""create_datagram_endpoint() inside installed(), with and without remote_addr."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

import aiobc9x
from aiobc9x.errors import NameNotFound
from tests.support.bench import HOST, PORT
from tests.support.clock import running, take_errors, virtual
from tests.support.ordinary import Ordinary, nothing_leaves
from tests.support.recorders import DatagramRecorder
from tests.support.udp import ECHO, LONG, NAME, bench_with_udp, endpoint, host, opens, routed


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
    async def test_names_on_a_context_with_ipv6_alone(self) -> None:
        """The wildcard address of IPv4, which programs bind by habit, asks for no family."""
        async with routed(ip="2001:db8::10"):
            transport, protocol = await endpoint()
            transport.sendto(b"name", ("six.example", ECHO))
            await protocol.until(received=1)
            assert protocol.senders[0][0] == "2001:db8::1"
            transport, protocol = await endpoint(family=socket.AF_INET)
            transport.sendto(b"none", ("six.example", ECHO))
            await protocol.until(errors=1)
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
    async def test_callbacks_keep_the_context(self) -> None:
        """What a callback starts goes the endpoint's way, whoever sent the datagram from where."""
        async with bench_with_udp() as bench:
            modem = await bench.open()
            Ordinary()
            began: asyncio.Future[asyncio.Task[Any]] = running().create_future()

            class Connecting(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: Any) -> None:
                    made = running().create_connection(asyncio.Protocol, HOST, PORT)
                    began.set_result(asyncio.create_task(made))

            with modem.installed():
                transport, _ = await running().create_datagram_endpoint(
                    Connecting, local_addr=("0.0.0.0", 0)
                )
            transport.sendto(b"x", (host(1), ECHO))
            connected, _ = await (await began)
            assert connected.get_extra_info("modem") is modem

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
async def test_the_ordinary_socket() -> None:
    """What it refuses is reported; it takes datagrams from hosts of the bypass alone."""
    async with bench_with_udp() as bench:
        modem, loop = await bench.open(), running()
        made: list[Any] = []  # the protocol of the one socket

        async def original(factory: Any, **options: Any) -> None:
            assert options == {"local_addr": ("0.0.0.0", 0)}
            made.append(factory())
            made[0].connection_made(Refusing())

        loop.create_datagram_endpoint = original  # type: ignore[assignment,method-assign]
        with modem.installed(), nothing_leaves():
            transport, protocol = await endpoint()
            transport.sendto(b"x", ("localhost", 9))
            transport.sendto(b"x", ("127.0.0.1", 9))
            await protocol.until(errors=1)
            assert isinstance(protocol.errors[0], ValueError)
            made[0].datagram_received(b"a stranger's", ("10.0.0.1", 9))
            made[0].datagram_received(b"an answer", ("127.0.0.1", 9))
            assert protocol.received == [b"an answer"]
            made[0].error_received(ConnectionRefusedError())
            await protocol.until(errors=2)
            transport.abort()
        assert len(made) == 1
