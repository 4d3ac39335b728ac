"""The local proxy with real clients over real sockets, and its life as a server."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import shutil
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import pytest
import trustme
import uvloop
from python_socks import ProxyError
from python_socks.async_.asyncio import Proxy
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import aiobc9x
from aiobc9x.adapters.proxy.api import Forward, ProxyServer
from aiobc9x.adapters.proxy.server import parse_forward
from aiobc9x.sim.peers import reserved_port
from tests.adapters.families import HTTPX
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.cancelling import Moment, cancel_at
from tests.support.clock import no_task_left, virtual
from tests.support.loopback import LOOPBACK, NAME, Setup, echo, server, setup
from tests.support.realtime import PATIENCE_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no ptys on Windows")


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its own head and body."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = [line.lower() for line in head.split(b"\r\n")]
            length = next((f[15:] for f in fields if f.startswith(b"content-length:")), b"0")
            body = head + await reader.readexactly(int(length))
            closes = b"connection: close" in fields
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body))
            writer.write(b"Connection: close\r\n\r\n" if closes else b"\r\n")
            writer.write(body)
            await writer.drain()
            if closes:
                return


@asynccontextmanager
async def proxied(parameters: str = "", **options: Any) -> AsyncIterator[tuple[Setup, ProxyServer]]:
    """A modem on the virtual module's pty, and a proxy on a port of its own."""
    async with setup(parameters) as module:
        async with await module.modem.serve_proxy(**{"port": 0, **options}) as proxy:
            yield module, proxy
        await until(lambda: not module.virtual.module.sockets.by_id)  # of failed opens too


@pytest.fixture
def own_port() -> Iterator[int]:
    """A port that nobody takes when the proxy leaves it."""
    with reserved_port() as port:
        yield port


other_port = own_port


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  (of whatever kind)
            await asyncio.sleep(0.01)


async def run(*arguments: str) -> str:
    """Run a program; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaints = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, complaints.decode()
    return output.decode()


async def connect_socks(port: int | None, target: int, host: str = NAME) -> socket.socket:
    """Connect through the proxy with a SOCKS library."""
    proxy = Proxy.from_url(f"socks5://{LOOPBACK}:{port}", rdns=True)
    sock: socket.socket = await proxy.connect(host, target, timeout=PATIENCE_S)
    return sock


async def exchange(port: int | None, target: int, data: bytes) -> bytes:
    """Send bytes to an echo server through the proxy and read as many."""
    reader, writer = await asyncio.open_connection(sock=await connect_socks(port, target))
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


class TestClients:
    """Programs that know nothing of the module reach a name that only the module knows."""

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    @pytest.mark.parametrize(
        "how",
        [
            ["--socks5-hostname", "{}"],
            ["--proxy", "http://{}"],
            ["--proxytunnel", "--proxy", "http://{}"],
        ],
        ids=["SOCKS5", "HTTP", "CONNECT"],
    )
    async def test_curl(self, how: list[str]) -> None:
        async with server(web) as port, proxied() as (module, proxy):
            options = [option.format(f"{LOOPBACK}:{proxy.port}") for option in how]
            url = f"http://{NAME}:{port}/path?query"
            page = await run("curl", "-sS", "--data", "body", *options, url)
            assert page.startswith("POST /path?query HTTP/1.1\r\n")
            assert f"Host: {NAME}:{port}\r\n" in page
            assert page.endswith("\r\n\r\nbody")
            assert module.modem.statistics.opens == proxy.statistics.opened == 1

    @pytest.mark.parametrize("library", HTTPX)
    @pytest.mark.parametrize("scheme", ["socks5h", "http"])
    async def test_httpx(self, scheme: str, library: ModuleType) -> None:
        async with server(web) as port, proxied() as (_, proxy):
            url = f"{scheme}://{LOOPBACK}:{proxy.port}"
            async with library.AsyncClient(proxy=url, timeout=PATIENCE_S) as client:
                for number in range(2):
                    answer = await client.post(f"http://{NAME}:{port}/{number}", content=b"body")
                    assert answer.text.startswith(f"POST /{number} ")
                    assert answer.text.endswith("\r\n\r\nbody")

    async def test_httpx_with_tls(self) -> None:
        """Through CONNECT; the proxy never sees the plain text."""
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(NAME).configure_cert(context)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with server(web, ssl=context) as port, proxied() as (_, proxy):
            url = f"http://{LOOPBACK}:{proxy.port}"
            async with httpx.AsyncClient(proxy=url, verify=trusting, timeout=PATIENCE_S) as client:
                answer = await client.get(f"https://{NAME}:{port}/secret")
                assert answer.text.startswith("GET /secret ")

    async def test_aiohttp(self) -> None:
        async with server(web) as port, proxied() as (_, proxy):
            url = f"http://{LOOPBACK}:{proxy.port}"
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://{NAME}:{port}/x", proxy=url, data=b"body") as answer,
            ):
                assert (await answer.text()).endswith("body")

    @pytest.mark.parametrize("scheme", ["socks5h", "http"])
    async def test_websockets(self, scheme: str) -> None:
        async def send_back(connection: ServerConnection) -> None:
            async for message in connection:
                await connection.send(message)

        async with serve(send_back, LOOPBACK, 0) as sockets, proxied() as (_, proxy):
            port = next(iter(sockets.sockets)).getsockname()[1]
            url = f"{scheme}://{LOOPBACK}:{proxy.port}"
            async with connect(f"ws://{NAME}:{port}/", proxy=url) as connection:
                await connection.send("ping")
                assert await connection.recv() == "ping"

    async def test_a_synchronous_program_in_a_thread(self) -> None:
        async with server(web) as port, proxied() as (_, proxy):

            def fetch() -> bytes:
                connection = http.client.HTTPConnection(LOOPBACK, proxy.port, timeout=PATIENCE_S)
                connection.set_tunnel(NAME, port)
                connection.request("GET", "/from/a/thread")
                with contextlib.closing(connection):
                    return connection.getresponse().read()

            page = await asyncio.to_thread(fetch)
            assert page.startswith(b"GET /from/a/thread ")

    async def test_bytes_one_at_a_time(self) -> None:
        async with server(echo) as port, proxied() as (_, proxy):
            reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
            name = NAME.encode()
            request = b"\x05\x01\x00\x05\x01\x00\x03" + bytes((len(name),)) + name
            for byte in request + port.to_bytes(2, "big") + b"ping":
                writer.write(bytes((byte,)))
                await writer.drain()
            assert await reader.readexactly(16) == b"\x05\x00\x05\x00\x00\x01" + bytes(6) + b"ping"
            writer.close()
            await writer.wait_closed()

    async def test_much_both_ways_and_six_at_once(self) -> None:
        """Every byte, whichever side is faster."""
        data = bytes(range(256)) * 120
        async with server(echo) as port, proxied() as (_, proxy):
            answers = await asyncio.gather(*(exchange(proxy.port, port, data) for _ in range(6)))
            assert answers == [data] * 6
            assert proxy.statistics.bytes_up == proxy.statistics.bytes_down == 6 * len(data)


class TestErrors:
    """What clients are told."""

    @pytest.mark.parametrize(
        ("host", "code", "text"),
        [("nosuch.example", 4, "unreachable"), (NAME, 5, "refused")],
    )
    async def test_socks_says_what_went_wrong(self, host: str, code: int, text: str) -> None:
        async with proxied() as (_, proxy):
            with pytest.raises(ProxyError, match=f"(?i){text}") as caught:
                await connect_socks(proxy.port, 9, host)
            assert caught.value.error_code == code

    async def test_http_says_what_went_wrong(self) -> None:
        async with proxied() as (_, proxy):
            url = f"http://{LOOPBACK}:{proxy.port}"
            async with httpx.AsyncClient(proxy=url, timeout=PATIENCE_S) as client:
                answer = await client.get("http://nosuch.example/")
                assert answer.status_code == 502
                assert "(module error 565); check the spelling" in answer.text

    async def test_the_seventh_is_told_at_once(self) -> None:
        async with server(echo) as port, proxied() as (_, proxy):
            six = [await connect_socks(proxy.port, port) for _ in range(6)]
            with pytest.raises(ProxyError) as caught:
                await connect_socks(proxy.port, port)
            assert caught.value.error_code == 1
            for sock in six:
                sock.close()

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test_a_truncated_answer_is_a_reset(self, loop: Any) -> None:
        """Bytes lost on the line never look like the end of a whole answer."""

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * 100)
            await writer.drain()

        async def main() -> None:
            fault = "fault=lose-bytes;on=%2BQIRD%3A 100;count=3"
            async with server(tell) as port, proxied(fault) as (_, proxy):
                sock = await connect_socks(proxy.port, port)
                reader, writer = await asyncio.open_connection(sock=sock)
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(reader.read(), PATIENCE_S)
                writer.close()

        in_loop(loop, main())

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test_both_loops_serve(self, loop: Any) -> None:
        """Answers, refusals behind what the client still sends, and a half-closed client."""

        async def tell_at_eof(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(8)
            writer.write(b"answer")

        async def main() -> None:
            async with (
                server(tell_at_eof) as port,
                proxied(forwards={0: (NAME, port)}) as (_, proxy),
            ):
                _, _, answer = await converse(proxy.forwards[0].local_port, b"question")
                assert answer == b"answer"
                _, _, answer = await converse(proxy.port, b"GET / HTTP/1.1\r\n\r\n" + bytes(9000))
                assert answer.startswith(b"HTTP/1.1 400 ")

        in_loop(loop, main())


def in_loop(make: Any, main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a loop of some kind."""
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main)


async def converse(
    port: int | None, data: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send bytes and EOF; read to the end."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
    writer.close()
    return reader, writer, answer


class TestForwards:
    """Local ports that lead to one place each."""

    async def test_mappings_strings_and_later_ones(self) -> None:
        async with server(echo) as port, proxied(forwards={0: (NAME, port)}) as (module, proxy):
            first = proxy.forwards[0]
            assert (first.local_host, first.host, first.port) == (LOOPBACK, NAME, port)
            second = await proxy.add_forward(0, NAME, port)
            assert proxy.forwards == (first, second)
            text = f"0:{NAME}:{port}"
            async with await module.modem.serve_proxy(port=None, forwards=[text]) as other:
                assert other.port is None
                for forward in (first, second, *other.forwards):
                    await run_echo(forward.local_port)

    @pytest.mark.parametrize(
        ("text", "forward"),
        [
            ("1883:broker.example:8883", Forward("::1", 1883, "broker.example", 8883)),
            ("127.0.0.2:0:a.example:1", Forward("127.0.0.2", 0, "a.example", 1)),
            ("localhost:1:[2001:db8::1]:2", Forward("localhost", 1, "2001:db8::1", 2)),
            ("[::1]:1:192.0.2.1:2", Forward("::1", 1, "192.0.2.1", 2)),
        ],
    )
    def test_strings_are_as_for_ssh(self, text: str, forward: Forward) -> None:
        assert parse_forward(text, "::1") == forward

    @pytest.mark.parametrize(
        "text",
        ["", "1883", "1883:a", "a:1883", "x:a:1", "65536:a:1", "1:a:0", "1:a:65536", "1:::1:2"],
    )
    def test_strings_that_are_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            parse_forward(text, LOOPBACK)


async def run_echo(port: int | None) -> None:
    """Show that a port leads to an echo server."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"ping")
    assert await asyncio.wait_for(reader.readexactly(4), PATIENCE_S) == b"ping"
    writer.close()
    await writer.wait_closed()


def is_free(port: int | None) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_server((LOOPBACK, port or 0)).close()
    except OSError:
        return False
    return True


class TestLife:
    """From its start to its end."""

    async def test_closing_ends_its_connections_and_its_ports(
        self, own_port: int, other_port: int
    ) -> None:
        async with (
            server(echo) as port,
            proxied(port=own_port, forwards={other_port: (NAME, port)}) as (module, proxy),
        ):
            sock = await connect_socks(proxy.port, port)
            reader, writer = await asyncio.open_connection(sock=sock)
            assert proxy.is_serving()
            assert proxy.connections == 1
            assert repr(proxy) == f"<ProxyServer 127.0.0.1:{proxy.port} forwards=1 clients=1>"
            proxy.close()
            proxy.close()
            await proxy.wait_closed()
            assert not proxy.is_serving()
            assert (proxy.port, proxy.forwards, proxy.connections) == (None, (), 0)
            assert repr(proxy) == "<ProxyServer closed forwards=0 clients=0>"
            assert await module.modem.socket_states() == ()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            assert is_free(own_port)
            assert is_free(other_port)
            with pytest.raises(RuntimeError, match="closed"):
                await proxy.add_forward(0, NAME, port)

    @virtual
    async def test_a_forward_that_comes_too_late_is_closed(self, own_port: int) -> None:
        async with Bench() as bench:
            proxy = await (await bench.open()).serve_proxy(port=0)
            adding = asyncio.create_task(proxy.add_forward(own_port, NAME, 1))
            await asyncio.sleep(0)
            proxy.close()
            with pytest.raises(RuntimeError, match="closed"):
                await adding
            assert is_free(own_port)

    @pytest.mark.parametrize("strict", [False, True])
    async def test_routing_leaves_its_sockets_alone(self, strict: bool) -> None:
        """Inside ``installed()`` its ports are this machine's, not the module's."""
        async with server(echo) as port, setup() as module:
            with module.modem.installed(strict=strict, bypass=()):
                proxy = await module.modem.serve_proxy(port=0, forwards={0: (NAME, port)})
                later = await proxy.add_forward(0, NAME, port)
            async with proxy:
                assert await exchange(proxy.port, port, b"ping") == b"ping"
                await run_echo(proxy.forwards[0].local_port)
                await run_echo(later.local_port)

    async def test_it_ends_with_the_modem(self, own_port: int) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            proxy = await modem.serve_proxy(port=own_port)
            sock = await connect_socks(own_port, ECHO_PORT, HOST)
            opening = asyncio.create_task(connect_socks(own_port, 9, "192.0.2.1"))
            await until(lambda: proxy.connections == 2)
            await modem.aclose()
            await proxy.wait_closed()
            assert is_free(own_port)
            assert not proxy.is_serving()
            with pytest.raises((ProxyError, OSError)):
                await opening
            sock.close()
            with pytest.raises(aiobc9x.LinkLost):
                await modem.serve_proxy(port=0)

    @virtual
    async def test_a_busy_port_leaves_nothing_open(self) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            with socket.create_server((LOOPBACK, 0)) as busy:
                port = busy.getsockname()[1]
                with pytest.raises(OSError, match="address already in use"):
                    await modem.serve_proxy(port=0, forwards={port: (NAME, 1)})
            with socket.create_server((LOOPBACK, 0)) as freed:
                assert freed.getsockname()[1]

    async def test_it_listens_on_ipv6_too(self) -> None:
        if not socket.has_ipv6:
            pytest.skip("no IPv6 here")
        async with Bench() as bench, await (await bench.open()).serve_proxy("::1", 0) as proxy:
            _, writer = await asyncio.open_connection("::1", proxy.port)
            writer.close()

    @pytest.mark.parametrize("path", ["/health", "/-/fit"])
    async def test_its_health(self, path: str) -> None:
        """A balancer that asks uses no socket of the module, and is no client turned away."""
        async with proxied(health_path=path) as (module, proxy):
            assert proxy.port is not None
            assert await health(proxy.port, path) == (503, b"down\n"), "nobody knows yet"
            await module.modem.wait_ready()
            for _ in range(200):  # more than may be in any state at once
                assert await health(proxy.port, path) == (200, b"up\n")
            assert (await health(proxy.port, "/other"))[0] == 400
            counted = proxy.statistics
            assert (counted.health_checks, counted.turned_away) == (201, 1)
            assert (counted.opened, module.virtual.statistics.opens) == (0, 0)

    async def test_its_health_is_nobodys_business(self) -> None:
        """With ``health_path=None``."""
        async with proxied(health_path=None) as (_, proxy):
            assert proxy.port is not None
            assert (await health(proxy.port, "/health"))[0] == 400

    @pytest.mark.parametrize(
        "options",
        [
            {"host": "0.0.0.0"},
            {"host": "192.0.2.1"},
            {"host": "a.example"},
            {"forwards": ["0.0.0.0:0:a.example:1"]},
        ],
    )
    @virtual
    async def test_other_machines_are_let_in_on_demand_only(self, options: Any) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(ValueError, match="allow_remote=True"):
                await modem.serve_proxy(**{"port": 0, **options})

    @virtual
    async def test_other_machines_can_be_let_in(self) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            proxy = await modem.serve_proxy("0.0.0.0", 0, allow_remote=True)
            async with proxy:
                assert not is_free(proxy.port)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"port": 65536}, ValueError),
            ({"port": None}, ValueError),
            ({"forwards": {-1: ("a", 1)}}, ValueError),
            ({"forwards": {0: ("a", 0)}}, ValueError),
            ({"forwards": {0: ("http://a", 80)}}, ValueError),
            ({"forwards": {0: ("a:80", 80)}}, ValueError),
            ({"forwards": ["a"]}, ValueError),
            ({"forwards": "1:a:1"}, TypeError),
            ({"linger": 0}, ValueError),
            ({"health_path": ""}, ValueError),
            ({"health_path": "health"}, ValueError),
            ({"health_path": "/a b"}, ValueError),
        ],
    )
    @virtual
    async def test_bad_arguments(self, options: Any, error: type[Exception]) -> None:
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(error):
                await modem.serve_proxy(**{"port": 0, **options})

    @pytest.mark.parametrize("moment", Moment)
    @virtual
    async def test_a_start_can_be_cancelled_at_any_step(
        self, moment: Moment, own_port: int
    ) -> None:
        """Nothing listens then."""
        async with Bench() as bench:
            modem = await bench.open()
            tasks = asyncio.all_tasks()
            for step in range(50):
                start = modem.serve_proxy(port=own_port, forwards={0: (NAME, 1)})
                if not await cancel_at(start, step, moment):
                    assert not is_free(own_port)
                    break
                await no_task_left(tasks)
                assert is_free(own_port)
            else:
                pytest.fail("it never ended")
            assert step


async def health(port: int, path: str) -> tuple[int, bytes]:
    """Ask a proxy for its health, as a balancer does; return the status and the body."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


async def test_wait_closed_waits_until_it_is_closed() -> None:
    """So that a program can wait for the end of its proxy, and its own."""
    async with proxied() as (_, proxy):
        waiting = asyncio.create_task(proxy.wait_closed())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        proxy.close()
        await asyncio.wait_for(waiting, PATIENCE_S)
