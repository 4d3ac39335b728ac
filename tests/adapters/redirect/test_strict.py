"""installed(strict=True): what can't be routed raises, and says what was tried."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiobc9x.adapters.redirect import strict
from aiobc9x.adapters.redirect.route import Bypass, Route
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual
from tests.support.ordinary import nothing_leaves

REFUSED = "can't go through the modem; "


@asynccontextmanager
async def routed(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose modem is installed, where nothing may leave."""
    async with Bench() as bench:
        with (await bench.open()).installed(**options), nothing_leaves():
            yield bench


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A socket that is bound to nothing."""
    with socket.socket() as sock:
        sock.setblocking(False)
        yield sock


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A datagram socket that is bound to nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        yield sock


Call = Callable[[Any, socket.socket], Any]
"""Something done with a loop and a socket (``Any``: methods of all types)."""

ON_SOCKETS: list[Call] = [
    lambda loop, sock: loop.sock_recv(sock, 10),
    lambda loop, sock: loop.sock_recv_into(sock, bytearray(10)),
    lambda loop, sock: loop.sock_recvfrom(sock, 10),
    lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(10)),
    lambda loop, sock: loop.sock_sendall(sock, b"data"),
    lambda loop, sock: loop.sock_sendfile(sock, None),
    lambda loop, sock: loop.sock_accept(sock),
    lambda loop, sock: loop.connect_accepted_socket(asyncio.Protocol, sock),
    lambda loop, sock: loop.create_connection(asyncio.Protocol, sock=sock),
    lambda loop, sock: loop.create_server(asyncio.Protocol, sock=sock),
]
ON_DATAGRAMS: list[Call] = [
    lambda loop, sock: loop.sock_sendto(sock, b"data", (HOST, 53)),
    lambda loop, sock: loop.sock_connect(sock, (HOST, 53)),
    lambda loop, sock: loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock),
]
WATCHES: list[Call] = [
    lambda loop, sock: loop.add_reader(sock, print),
    lambda loop, sock: loop.add_writer(sock, print),
    lambda loop, sock: loop.add_reader(sock.fileno(), print),
    lambda loop, sock: loop.add_writer(sock.fileno(), print),
]


class TestSockets:
    """Sockets of the ordinary network."""

    @pytest.mark.parametrize("call", ON_SOCKETS)
    def test_streams(self, call: Call, tcp: socket.socket) -> None:
        """Every method that takes a socket refuses one that leads away."""

        @virtual
        async def check() -> None:
            async with routed(strict=True):
                with pytest.raises(OSError, match=REFUSED):
                    await call(running(), tcp)

        check()

    @pytest.mark.parametrize("call", ON_DATAGRAMS)
    def test_datagrams(self, call: Call, udp: socket.socket) -> None:
        """So do those of datagrams."""

        @virtual
        async def check() -> None:
            async with routed(strict=True):
                with pytest.raises(OSError, match=REFUSED):
                    await call(running(), udp)

        check()

    @pytest.mark.parametrize("call", WATCHES)
    def test_watched(self, call: Call, udp: socket.socket) -> None:
        """A library that reads its own socket is found out when it watches it."""

        @virtual
        async def check() -> None:
            async with routed(strict=True):
                with pytest.raises(OSError, match=r"add_(reader|writer)\(\) with .*" + REFUSED):
                    call(running(), udp)

        check()

    @virtual
    async def test_noted_sockets(self) -> None:
        """One that is to be connected through the modem is no socket to send on."""
        async with routed(strict=True):
            with socket.socket() as sock:
                await running().sock_connect(sock, (HOST, PORT))
                with pytest.raises(OSError, match=r"hand it to create_connection\(sock=…\)"):
                    await running().sock_sendall(sock, b"data")

    def test_local_ones(self) -> None:
        """Pipes, ptys, socket pairs and what is bound to this machine are nobody's business."""

        @virtual
        async def check() -> None:
            loop = running()
            one, other = socket.socketpair()
            read, write = os.pipe()
            with (
                one,
                other,
                socket.socket(type=socket.SOCK_DGRAM) as here,
                socket.socket(type=socket.SOCK_DGRAM) as there,
            ):
                here.bind(("127.0.0.1", 0))
                there.bind(("127.0.0.1", 0))
                async with Bench() as bench:
                    with (await bench.open()).installed(strict=True):
                        for sock in (one, here):
                            sock.setblocking(False)
                        await loop.sock_sendall(one, b"data")
                        assert other.recv(4) == b"data"
                        await loop.sock_sendto(here, b"data", there.getsockname())
                        assert there.recv(4) == b"data"
                        for watched in (one, here, read):
                            loop.add_reader(watched, print)
                            assert loop.remove_reader(watched)
            os.close(read)
            os.close(write)

        check()

    @virtual
    async def test_errors_of_the_loop_stay(self) -> None:
        """What is no socket at all is the loop's own complaint."""
        async with routed(strict=True):
            for descriptor in ("text", -1):
                with pytest.raises(ValueError, match=r"Invalid file (object|descriptor)"):
                    running().add_reader(descriptor, print)  # type: ignore[arg-type]

    @virtual
    async def test_only_strict_refuses(self) -> None:
        """Without ``strict``, and outside, sockets are not looked at."""
        async with Bench() as bench:
            modem = await bench.open()
            with modem.installed(strict=True):
                pass
            loop = running()
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.bind(("0.0.0.0", 0))
                loop.add_reader(sock, print)
                with modem.installed():
                    loop.add_writer(sock, print)
                loop.remove_writer(sock)
                loop.remove_reader(sock)


def route(*bypass: str) -> Route:
    """A strict route of no modem."""
    nothing: Any = None
    return Route(nothing, nothing, True, Bypass(bypass), nothing)


FUNCTIONS: list[tuple[Any, tuple[Any, ...], bool]] = [
    (socket.getaddrinfo, ("server.example", 80), True),
    (socket.getaddrinfo, (b"server.example", 80), True),
    (socket.getaddrinfo, ("10.0.0.1", 80), False),
    (socket.getaddrinfo, ("nas", 80), False),
    (socket.getaddrinfo, (None, 80), False),
    (socket.gethostbyname, ("server.example",), True),
    (socket.gethostbyname_ex, ("server.example",), True),
    (socket.gethostbyaddr, ("10.0.0.1",), True),
    (socket.create_connection, (("10.0.0.1", 80),), True),
    (socket.getfqdn, (), True),
    (urllib.request.urlopen, ("http://server.example",), True),
    (functools.partial(socket.getaddrinfo, "server.example"), (80,), True),
    (functools.partial(functools.partial(socket.getaddrinfo, "nas"), 80), (), False),
    (contextvars.copy_context().run, (socket.gethostbyname, "server.example"), True),
    (contextvars.copy_context().run, (), False),
    (print, ("server.example",), False),
    ([].append, (1,), False),
    ("not callable", (), False),
]


class TestThreads:
    """run_in_executor() is judged by the function, as far as it is known."""

    @pytest.mark.parametrize(("function", "arguments", "refused"), FUNCTIONS)
    def test_functions(self, function: Any, arguments: tuple[Any, ...], refused: bool) -> None:
        """The resolver's functions are refused for names; others pass."""
        if refused:
            with pytest.raises(OSError, match=r"in a thread " + REFUSED):
                strict.check_function(route("nas"), function, arguments)
        else:
            strict.check_function(route("nas"), function, arguments)

    @virtual
    async def test_both_ways_into_a_thread(self) -> None:
        """run_in_executor() and to_thread() are the same here."""
        async with routed(strict=True):
            with pytest.raises(OSError, match=REFUSED):
                await running().run_in_executor(None, socket.gethostbyname, "server.example")
            with pytest.raises(OSError, match=r"gethostbyname\('server.example'\) in a thread"):
                await asyncio.to_thread(socket.gethostbyname, "server.example")
