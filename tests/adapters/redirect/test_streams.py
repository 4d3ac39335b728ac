"""create_connection(), sock_connect() and start_tls() inside installed()."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x.errors import ConnectRefused, NameNotFound, NoFreeSocket
from aiobc9x.sim.options import Host
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import virtual
from tests.support.ordinary import Ordinary, nothing_leaves
from tests.support.recorders import StreamRecorder

NAME, LONG = "server.example", "x" * 60 + ".example"
LONG_IPV6 = "y" * 60 + ".example"

HOSTS = {
    NAME: Host((HOST,)),
    LONG: Host(("192.0.2.9", HOST)),  # the first one never answers
    LONG_IPV6: Host(("2001:db8::1",)),
    "xn--mnchen-3ya.example": Host((HOST,)),
}


@asynccontextmanager
async def routed(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave."""
    async with Bench(hosts=HOSTS) as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


async def connect(*args: Any, **options: Any) -> asyncio.Transport:
    """Connect by the running loop."""
    transport, protocol = await asyncio.get_running_loop().create_connection(
        StreamRecorder, *args, **options
    )
    assert protocol.transport is transport
    return transport


def opened(bench: Bench) -> list[str]:
    """The hosts that AT+QIOPEN was given."""
    return [line.split(",")[3].strip('"') for line in bench.commands if "QIOPEN" in line]


class TestHosts:
    """Whatever way of naming a host asyncio takes."""

    @pytest.mark.parametrize(
        ("host", "sent"),
        [
            (NAME, NAME),
            (NAME.encode(), NAME),
            ("münchen.example", "xn--mnchen-3ya.example"),
            (HOST, HOST),
            (HOST.encode(), HOST),
            (f"::ffff:{HOST}", HOST),
            ("2001:db8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("10.1", "10.0.0.1"),
        ],
    )
    def test_the_module_is_given_the_host(self, host: str | bytes, sent: str) -> None:
        """Names go to the module as names, addresses in their usual spelling."""

        @virtual
        async def check() -> None:
            async with routed() as bench:
                transport = await connect(host, PORT)
                assert isinstance(transport, aiobc9x.SocketTransport)
                assert opened(bench) == [sent]

        check()

    @virtual
    async def test_long_names_are_resolved(self) -> None:
        """A name that AT+QIOPEN can't take is resolved; its addresses are tried in turn."""
        async with routed() as bench:
            transport = await connect(LONG, PORT)
            assert transport.get_extra_info("peername") == (HOST, PORT)
            assert opened(bench) == ["192.0.2.9", HOST]
            with pytest.raises(socket.gaierror):
                await connect(LONG_IPV6, PORT, family=socket.AF_INET)

    @virtual
    async def test_services(self) -> None:
        """Ports may be text, or the name of a service."""
        async with routed() as bench:
            bench.network.serve_tcp(80)
            assert (await connect(HOST, "80")).get_extra_info("peername") == (HOST, 80)
            assert (await connect(HOST, b"http")).get_extra_info("peername") == (HOST, 80)
            with pytest.raises(socket.gaierror) as raised:
                await connect(HOST, "nosuchservice")
            assert raised.value.errno == socket.EAI_SERVICE
            with pytest.raises(OverflowError, match="port must be 0-65535"):
                await connect(HOST, 65536)
            with pytest.raises(ConnectionRefusedError, match="port 0"):
                await connect(HOST, 0)

    @virtual
    async def test_families(self) -> None:
        """An address of another family than asked for is EAI_ADDRFAMILY, as elsewhere."""
        async with routed() as bench:
            await connect(f"::ffff:{HOST}", PORT, family=socket.AF_INET6)
            await connect(HOST, PORT, family=socket.AF_INET)
            for host, family in ((HOST, socket.AF_INET6), ("::2", socket.AF_INET)):
                with pytest.raises(socket.gaierror) as raised:
                    await connect(host, PORT, family=family)
                assert raised.value.errno == socket.EAI_ADDRFAMILY
            assert opened(bench) == [HOST, HOST]

    @virtual
    async def test_rows_of_getaddrinfo(self) -> None:
        """What resolves first and connects then, as many libraries do, gets there."""
        async with routed() as bench:
            loop = asyncio.get_running_loop()
            family, _, proto, _, address = (await loop.getaddrinfo(NAME, PORT))[0]
            await connect(*address, family=family, proto=proto, flags=socket.AI_NUMERICHOST)
            assert opened(bench) == [HOST]

    @virtual
    async def test_the_keywords_of_asyncio(self) -> None:
        """What means nothing on a module is taken all the same; a local port is used."""
        async with routed() as bench:
            transport = await connect(
                host=NAME,
                port=PORT,
                ssl=None,
                proto=0,
                flags=0,
                local_addr=("0.0.0.0", 2000),
                happy_eyeballs_delay=0.25,
                interleave=1,
                all_errors=True,
                ssl_handshake_timeout=None,
                ssl_shutdown_timeout=None,
            )
            assert transport.get_extra_info("sockname")[1] == 2000
            assert bench.open_ids == [0]
            with pytest.raises(TypeError, match="nonsense"):
                await connect(NAME, PORT, nonsense=1)


class TestErrors:
    """What fails, fails as asyncio's own call does."""

    @virtual
    async def test_refused_and_unknown(self) -> None:
        """Errors of the module are the builtin ones."""
        async with routed():
            with pytest.raises(ConnectRefused):
                await connect(HOST, 1)
            with pytest.raises(NameNotFound):
                await connect("nobody.example", PORT)
            for host in ("two words", "ü" * 80, ""):
                with pytest.raises(socket.gaierror):
                    await connect(host or "a..b", PORT)

    @virtual
    async def test_all_errors(self) -> None:
        """``all_errors=True`` asks for a group, of one error for each address."""
        async with routed():
            with pytest.raises(ExceptionGroup) as raised:
                await connect(LONG, 1, all_errors=True)
            assert len(raised.value.exceptions) == 2
            assert all(isinstance(each, OSError) for each in raised.value.exceptions)

    @virtual
    async def test_full(self) -> None:
        """A seventh connection is EMFILE at once."""
        async with routed():
            for _ in range(6):
                await connect(HOST, PORT)
            with pytest.raises(NoFreeSocket):
                await connect(HOST, PORT)

    @virtual
    async def test_wrong_arguments(self) -> None:
        """asyncio's own complaints about arguments stay."""
        async with routed():
            with a_socket() as sock, pytest.raises(ValueError, match="at the same time"):
                await connect(HOST, PORT, sock=sock)
            with pytest.raises(ValueError, match="host and port was not specified"):
                await connect()


class TestBypass:
    """What is bypassed is the loop's own business."""

    @virtual
    async def test_bypassed_hosts(self) -> None:
        """Names and addresses of the bypass go to the loop's own method, as they are."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            loop = asyncio.get_running_loop()
            hosts: list[Any] = ["localhost", b"localhost", "127.0.0.1", "::1", "10.1.2.3", "a.lan"]
            with modem.installed(bypass=("localhost", "127.0.0.0/8", "::1", "10.0.0.0/8", ".lan")):
                for host in hosts:
                    await loop.create_connection(asyncio.Protocol, host, PORT)
            assert [args[1] for _, args in ordinary.calls] == hosts
            assert opened(bench) == []

    @virtual
    async def test_no_bypass(self) -> None:
        """An empty bypass sends even this machine's names to the module."""
        async with Bench() as bench:
            modem = await bench.open()
            with modem.installed(bypass=()), nothing_leaves():
                await connect("127.0.0.1", PORT)
                await connect("localhost", PORT)
            assert opened(bench) == ["127.0.0.1", "localhost"]

    @virtual
    async def test_sockets_of_other_kinds(self) -> None:
        """A socket pair, which was never connected by the loop, is used as it is."""
        async with routed(strict=True) as bench:
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=ours)
            theirs.send(b"local")
            assert await reader.readexactly(5) == b"local"
            writer.close()
            await writer.wait_closed()
            theirs.close()
            assert opened(bench) == []


def a_socket(kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket as a library makes it."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


class TestSocketsOfLibraries:
    """Libraries that connect a socket of their own first."""

    @virtual
    async def test_the_socket_is_replaced(self) -> None:
        """The connection is the module's; the socket is closed and has sent nothing."""
        async with routed() as bench:
            loop, sock = asyncio.get_running_loop(), a_socket()
            await loop.sock_connect(sock, (HOST, ECHO_PORT))
            assert opened(bench) == []
            reader, writer = await asyncio.open_connection(sock=sock)
            assert sock.fileno() == -1
            assert opened(bench) == [HOST]
            writer.write(b"echo")
            assert await reader.readexactly(4) == b"echo"

    @virtual
    async def test_by_service_name(self) -> None:
        """The address may have a name and a service, and the fields of IPv6."""
        async with routed() as bench:
            bench.network.serve_tcp(80)
            loop = asyncio.get_running_loop()
            for address in ((NAME, "http"), ("2001:db8::1", 80, 0, 0)):
                sock = a_socket()
                await loop.sock_connect(sock, address)
                await connect(sock=sock)
            assert opened(bench) == [NAME, "2001:db8::1"]

    @virtual
    async def test_tls_needs_a_name(self) -> None:
        """As elsewhere, TLS on a socket needs server_hostname; the socket stays usable."""
        async with routed() as bench:
            loop, sock = asyncio.get_running_loop(), a_socket()
            await loop.sock_connect(sock, (HOST, PORT))
            with pytest.raises(ValueError, match="You must set server_hostname"):
                await connect(sock=sock, ssl=True)
            assert sock.fileno() >= 0
            await connect(sock=sock)
            assert opened(bench) == [HOST]

    @virtual
    async def test_a_refused_connection_closes_the_socket(self) -> None:
        """The error comes when the connection is made."""
        async with routed():
            loop, sock = asyncio.get_running_loop(), a_socket()
            await loop.sock_connect(sock, (HOST, 1))
            with pytest.raises(ConnectionRefusedError):
                await connect(sock=sock)
            assert sock.fileno() == -1

    @virtual
    async def test_a_socket_is_used_once(self) -> None:
        """The closed socket is no way to a second connection."""
        async with routed() as bench:
            loop, sock = asyncio.get_running_loop(), a_socket()
            await loop.sock_connect(sock, (HOST, PORT))
            await connect(sock=sock)
            with pytest.raises(OSError, match="Bad file descriptor"):
                await connect(sock=sock)
            assert opened(bench) == [HOST]

    @virtual
    async def test_an_unused_socket_is_forgotten(self) -> None:
        """One that loses the race and is dropped leaves nothing behind."""
        async with routed():
            sock = a_socket()
            await asyncio.get_running_loop().sock_connect(sock, (HOST, PORT))
            gone = weakref.ref(sock)
            sock.close()
            del sock
            gc.collect()
            assert gone() is None

    @virtual
    async def test_used_directly_it_sends_nothing(self) -> None:
        """Whoever uses the socket itself gets an error: it is not connected to anything."""
        async with routed():
            loop = asyncio.get_running_loop()
            with a_socket() as sock:
                await loop.sock_connect(sock, (HOST, PORT))
                with pytest.raises(OSError, match="Broken pipe"):
                    await loop.sock_sendall(sock, b"data")
                with pytest.raises(OSError, match="not connected"):
                    await loop.sock_recv(sock, 1)

    @virtual
    async def test_datagrams(self) -> None:
        """A datagram socket can't be replaced, and is refused with what to use instead."""
        async with routed():
            loop, udp = asyncio.get_running_loop(), a_socket(socket.SOCK_DGRAM)
            with udp, pytest.raises(OSError, match="use create_datagram_endpoint"):
                await loop.sock_connect(udp, (HOST, 53))

    @virtual
    async def test_bypassed_and_other_families(self) -> None:
        """What the bypass covers, and what is no IP, is connected as usual."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            loop = asyncio.get_running_loop()
            with modem.installed(), a_socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
                await loop.sock_connect(tcp, ("127.0.0.1", 80))
                await loop.sock_connect(unix, "/run/some.socket")
                made: Any = await loop.create_connection(asyncio.Protocol, sock=tcp)
                assert made == "ordinary create_connection"
            assert ordinary.names == ["sock_connect", "sock_connect", "create_connection"]
            assert opened(bench) == []


@virtual
async def test_start_tls_of_other_transports() -> None:
    """A transport that is not the module's goes to the loop's own method."""
    async with Bench() as bench:
        modem, ordinary = await bench.open(), Ordinary()
        loop: Any = asyncio.get_running_loop()
        with modem.installed():
            await loop.start_tls(asyncio.Transport(), None, None)
            await loop.start_tls(None, None, None)
        assert ordinary.names == ["start_tls", "start_tls"]
