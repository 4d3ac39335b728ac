"""The whole way in real time: real ptys, real sockets, the virtual module between them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import socket
import ssl
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h11
import pytest
import trustme

import aiobc9x
from aiobc9x.sim import links
from aiobc9x.sim.links import VirtualModule
from tests.conftest import new_tasks

LOOPBACK = "127.0.0.1"
NAME = "server.example"
MIB = 1024 * 1024
NOBODY = 65534

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Setup:
    """An open modem and the virtual module behind it."""

    modem: aiobc9x.Modem
    virtual: VirtualModule


@asynccontextmanager
async def setup(parameters: str = "", **settings: Any) -> AsyncIterator[Setup]:
    """Open ``sim://``; at the end no connect ID may be open on the module."""
    made: list[VirtualModule] = []

    def make(*args: Any, **kwargs: Any) -> VirtualModule:
        made.append(VirtualModule(*args, **kwargs))
        return made[-1]

    address = f"sim://?host={NAME}:{LOOPBACK}&{parameters}".rstrip("&")
    with patch.object(links, "VirtualModule", make):
        modem = await aiobc9x.open_modem(address, **settings)
    async with modem:
        yield Setup(modem, made[0])
        open_ids = sorted(made[0].module.sockets.by_id)
        assert open_ids == [], "connect IDs are open on the module"
        assert await modem.socket_states() == ()


@asynccontextmanager
async def server(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Serve on loopback; yield the port."""
    handlers: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which is its right
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, LOOPBACK, 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        if handlers:
            await asyncio.wait(handlers, timeout=5)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def exchange(modem: aiobc9x.Modem, port: int, data: bytes) -> None:
    """Send ``data`` to an echo server and compare what comes back, byte by byte."""
    reader, writer = await modem.open_connection(LOOPBACK, port)

    async def send() -> None:
        for start in range(0, len(data), 4096):
            writer.write(data[start : start + 4096])
            await writer.drain()

    sending = asyncio.create_task(send())
    received = await reader.readexactly(len(data))
    await sending
    assert received == data
    writer.close()
    await writer.wait_closed()


class TestEveryByte:
    """Random bytes each way, on several connections at once."""

    @pytest.mark.parametrize(
        ("parameters", "size_bytes", "connections"),
        [
            pytest.param("", MIB, 6, id="mebibytes"),
            pytest.param("chunk=1", 2048, 6, id="byte-by-byte"),
            pytest.param("chunk=random&seed=7", 10 * 1024, 6, id="random-chunks"),
            pytest.param("baud=115200", 1024, 6, id="115200-baud"),
            pytest.param("baud=9600", 256, 2, id="9600-baud"),
        ],
    )
    async def test_echo(self, parameters: str, size_bytes: int, connections: int) -> None:
        """Every byte is right and no connect ID is left open."""
        chance = random.Random(size_bytes)
        async with server(echo) as port, setup(parameters) as it:
            await asyncio.gather(
                *(
                    exchange(it.modem, port, chance.randbytes(size_bytes))
                    for _ in range(connections)
                )
            )
            assert it.modem.statistics.payload_bytes_received == size_bytes * connections
            assert it.modem.statistics.payload_bytes_sent == size_bytes * connections
            assert it.modem.statistics.recoveries == 0


async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve pages over HTTP/1.1: ``/n`` is a page of n bytes."""
    connection = h11.Connection(h11.SERVER)
    while True:
        event = await next_event(connection, reader)
        if isinstance(event, h11.ConnectionClosed):
            return
        if isinstance(event, h11.Request):
            body = page(int(event.target.decode().strip("/")))
        if isinstance(event, h11.EndOfMessage):
            headers = [("content-length", str(len(body)))]
            response = h11.Response(status_code=200, headers=headers)
            for part in (response, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(part) or b"")
            await writer.drain()
            connection.start_next_cycle()


def page(size_bytes: int) -> bytes:
    """A page whose every part differs."""
    return random.Random(size_bytes).randbytes(size_bytes)


async def next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """Return the next event of an h11 connection (``Any``: h11 has no common base)."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(65536))
    return event


async def fetch(connection: h11.Connection, streams: Streams, target: str) -> bytes:
    """Fetch one page with a client that knows nothing of modems."""
    reader, writer = streams
    request = h11.Request(method="GET", target=target, headers=[("host", NAME)])
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    body = b""
    while not isinstance(event := await next_event(connection, reader), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            assert event.status_code == 200
        elif isinstance(event, h11.Data):
            body += event.data
    connection.start_next_cycle()
    return body


class TestThirdParty:
    """Libraries that know nothing of modems."""

    async def test_h11_over_the_streams(self) -> None:
        """Pages of all sizes over one connection that is kept alive."""
        async with server(pages) as port, setup() as it:
            streams = await it.modem.open_connection(NAME, port)
            client = h11.Connection(h11.CLIENT)
            for size in (0, 1, 1439, 1440, 1441, 20_000):
                assert await fetch(client, streams, f"/{size}") == page(size)
            streams[1].close()
            await streams[1].wait_closed()

    async def test_tls_over_open_connection(self, authority: Authority) -> None:
        """``ssl=`` does all of it; the certificate is checked against the name."""
        async with server(pages, ssl=authority.server) as port, setup() as it:
            streams = await it.modem.open_connection(NAME, port, ssl=authority.client)
            certificate = streams[1].get_extra_info("peercert")
            assert ("DNS", NAME) in certificate["subjectAltName"]
            assert streams[1].get_extra_info("connect_id") == 0
            client = h11.Connection(h11.CLIENT)
            assert await fetch(client, streams, "/5000") == page(5000)
            streams[1].close()
            await streams[1].wait_closed()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_tls_server_that_says_goodbye_and_goes(
        self, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        """Its close_notify and its FIN come together; that is an end, and no error."""
        authority.client.minimum_version = authority.client.maximum_version = version
        with socket.create_server((LOOPBACK, 0)) as listening:
            serving = asyncio.create_task(
                asyncio.to_thread(answer_and_go, listening, authority.server)
            )
            async with setup() as it:
                port = listening.getsockname()[1]
                streams = await it.modem.open_connection(NAME, port, ssl=authority.client)
                streams[0]._limit = 100  # type: ignore[attr-defined]  # so that it has to pause
                assert await streams[0].read() == page(5000)
                streams[1].close()
                await streams[1].wait_closed()
            await serving

    async def test_tls_with_the_wrong_name(self, authority: Authority) -> None:
        """The handshake fails, and the socket is closed."""
        async with server(pages, ssl=authority.server) as port, setup() as it:
            with pytest.raises(ssl.SSLCertVerificationError):
                await it.modem.open_connection(LOOPBACK, port, ssl=authority.client)
            await until(lambda: not it.virtual.module.sockets.by_id)

    async def test_start_tls(self, authority: Authority) -> None:
        """A stream in use can be secured, as SMTP and others do."""

        async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\r\n"
            writer.write(b"220 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(authority.server)
            writer.write(await reader.readexactly(3000))
            await writer.drain()

        async with server(upgrade) as port, setup() as it:
            reader, writer = await it.modem.open_connection(NAME, port)
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go ahead\r\n"
            await writer.start_tls(authority.client, server_hostname=NAME)
            data = random.Random(3).randbytes(3000)
            writer.write(data)
            assert await reader.readexactly(3000) == data
            writer.close()
            await writer.wait_closed()

    async def test_sendfile(self, tmp_path: Path) -> None:
        """``loop.sendfile`` falls back to writes, as it does for TLS."""
        path = tmp_path / "file"
        path.write_bytes(page(9000))
        received = bytearray()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read(-1))

        async with server(take) as port, setup() as it:
            transport, _ = await it.modem.create_connection(asyncio.Protocol, LOOPBACK, port)
            with path.open("rb") as file:
                await asyncio.get_running_loop().sendfile(transport, file)
            transport.close()
            await until(lambda: len(received) == 9000)
            assert received == page(9000)
            await until(lambda: not it.virtual.module.sockets.by_id)


def answer_and_go(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one client as many servers do: don't wait for its close_notify."""
    plain, _ = listening.accept()
    with context.wrap_socket(plain, server_side=True) as secured:
        secured.sendall(page(5000))
        secured.settimeout(0.001)
        with contextlib.suppress(OSError):
            secured.unwrap()


async def until(condition: Callable[[], bool], timeout: float = 5) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.005)


@dataclass
class Authority:
    """Contexts of a client and a server that trust each other."""

    client: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture
def authority() -> Authority:
    """Make a certificate authority, and a certificate for one server."""
    ca = trustme.CA()
    client = ssl.create_default_context()
    ca.configure_trust(client)
    contexts = Authority(client, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    ca.issue_cert(NAME).configure_cert(contexts.server)
    return contexts


class Pty:
    """A pseudo terminal without a module; the master's end is ours."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def close(self) -> None:
        """Close both ends."""
        for fd in (self.master, self._slave):
            os.close(fd)

    def __enter__(self) -> Pty:
        """Return the pty itself."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close both ends."""
        self.close()


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may open no device: root, who may open any, steps down for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


class TestBadInput:
    """One clear exception, in bounded time, and nothing left behind.

    That no task and no file descriptor is left is checked behind each test here, as
    behind every asynchronous test.
    """

    async def refused(
        self, address: str, error: type[Exception], match: str, within: float = 2, **settings: Any
    ) -> None:
        """Show that opening fails as it should, and leaves no task even for a moment."""
        before, began = asyncio.all_tasks(), time.monotonic()
        with pytest.raises(error, match=match) as caught:
            await aiobc9x.open_modem(address, **settings)
        assert time.monotonic() - began < within
        assert isinstance(caught.value, aiobc9x.ModemError | ValueError)
        assert not new_tasks(before)

    async def test_missing_device(self) -> None:
        """The device is named, and the plug."""
        match = r"no serial device /dev/ttyNONE7; is the module plugged in\?"
        await self.refused("/dev/ttyNONE7", aiobc9x.PortNotFound, match)
        await self.refused("/dev/ttyNONE7", FileNotFoundError, match)

    async def test_file_that_is_no_device(self, tmp_path: Path) -> None:
        """A regular file is no serial port."""
        path = tmp_path / "file"
        path.touch()
        await self.refused(str(path), aiobc9x.LinkLost, "can't open .* as a serial port")
        await self.refused(str(tmp_path), aiobc9x.LinkLost, "can't open .* as a serial port")

    async def test_silent_device(self) -> None:
        """A device that never answers."""
        with Pty() as pty:
            match = "nothing came from .*; check that the module is powered"
            await self.refused(pty.path, aiobc9x.LinkTimeout, match, sync_timeout=1)

    async def test_noisy_device(self) -> None:
        """A device that says something, but nothing that a modem would."""
        with Pty() as pty:
            loop = asyncio.get_running_loop()

            def answer() -> None:
                os.read(pty.master, 4096)
                os.write(pty.master, bytes(range(128, 200)) + b"\r\n")

            loop.add_reader(pty.master, answer)
            match = "bytes came from .*, but no answer to AT; check the speed"
            await self.refused(pty.path, aiobc9x.LinkTimeout, match, within=4, sync_timeout=1)
            loop.remove_reader(pty.master)

    async def test_busy_port(self) -> None:
        """Another program has locked the device."""
        with Pty() as pty:
            fd = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            match = f"{pty.path} is in use by another program; close that one first"
            await self.refused(pty.path, aiobc9x.PortBusy, match)
            os.close(fd)

    async def test_second_modem_on_one_port(self) -> None:
        """Our own lock keeps others out, and goes with the modem."""
        async with VirtualModule() as virtual:
            path = await virtual.start_pty()
            async with aiobc9x.open_modem(path) as modem:
                await self.refused(path, aiobc9x.PortBusy, "in use by another program")
                assert await modem.command("AT+CGMM") == ["BC65"]
            async with aiobc9x.open_modem(path) as modem:
                assert await modem.command("AT+CGMM") == ["BC65"]

    async def test_no_permission(self) -> None:
        """The device's group is the cure."""
        with Pty() as pty:
            await asyncio.to_thread(os.chmod, pty.path, 0)
            with nobody():
                await self.refused(pty.path, aiobc9x.PortDenied, "no permission .* dialout")

    async def test_no_network_in_time(self) -> None:
        """The stage is named, and what to check."""
        async with setup("register_time=60") as it:
            began = time.monotonic()
            match = r"registering on the network: .*searching; check SIM, antenna, coverage"
            with pytest.raises(aiobc9x.StageTimeout, match=match):
                await it.modem.wait_ready(0.5)
            with pytest.raises(aiobc9x.StageTimeout, match="the network"):
                await it.modem.open_connection(LOOPBACK, 9, timeout=0.5)
            assert time.monotonic() - began < 2

    async def test_port_closed_in_mid_transfer(self) -> None:
        """A pulled plug ends every connection and every call, at once."""
        async with server(echo) as port, VirtualModule() as virtual:
            path = await virtual.start_pty()
            async with aiobc9x.open_modem(path) as modem:
                reader, writer = await modem.open_connection(LOOPBACK, port)
                writer.write(bytes(200_000))
                await reader.readexactly(1000)
                pending = asyncio.create_task(modem.wait_ready())
                reading = asyncio.create_task(reader.read())
                assert virtual._pty is not None
                virtual._pty.close()
                virtual._pty = None
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await asyncio.wait_for(reading, 2)
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await writer.drain()
                with pytest.raises(aiobc9x.LinkLost, match="is lost"):
                    await modem.command("AT")
                await asyncio.wait([pending])
                began = time.monotonic()
            assert time.monotonic() - began < 3

    async def test_dead_serial_server(self) -> None:
        """``socket://`` to a port where nobody listens."""
        with socket.socket() as bound:
            bound.bind((LOOPBACK, 0))
            address = f"socket://{LOOPBACK}:{bound.getsockname()[1]}"
            match = f"can't connect to the serial server {address}"
            await self.refused(address, aiobc9x.LinkLost, match)

    async def test_serial_server_that_hangs_up(self) -> None:
        """``socket://`` to something that closes at once."""

        async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            """Do nothing; the server closes then."""

        async with server(hang_up) as port:
            address = f"socket://{LOOPBACK}:{port}"
            await self.refused(address, aiobc9x.LinkLost, "the other end closed it")

    @pytest.mark.parametrize(
        ("address", "match"),
        [
            ("socket://", "lacks a host or a port; write socket://host:port"),
            ("socket://host", "lacks a host or a port"),
            ("socket://host:port", "write socket://host:port"),
            ("socket://host:99999", "write socket://host:port"),
            ("http://host:1", r"the scheme http:// is not supported; use a device"),
            ("rfc2217://host:1", "not supported"),
            ("sim://?latency=x", "bad parameter latency='x'"),
            ("sim://?colour=blue", "bad parameter colour='blue'.*known:.*latency"),
            ("sim://host", "expected sim://"),
            ("", "address"),
        ],
    )
    async def test_malformed_addresses(self, address: str, match: str) -> None:
        """A ValueError says what an address looks like."""
        await self.refused(address, ValueError, match)

    async def test_serial_server(self) -> None:
        """``socket://`` to a serial server works as a device does."""
        async with server(echo) as port, VirtualModule() as virtual:
            address = f"socket://{LOOPBACK}:{await virtual.start_tcp()}"
            async with aiobc9x.open_modem(address) as modem:
                await exchange(modem, port, random.Random(5).randbytes(5000))
