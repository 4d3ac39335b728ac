"""httpx and httpx2 over the modem: requests, limits, errors, cancellation, on virtual time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpcore
import httpx
import pytest

import aiobc9x
from aiobc9x.adapters.http.transport import EXCEPTIONS
from aiobc9x.adapters.httpx import LIMITS, TIMEOUT, ModemTransport
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.options import Host
from tests.adapters.families import FAMILIES, use
from tests.adapters.http import page, sends, sends_and_closes, serve
from tests.support.bench import HOST, Bench
from tests.support.clock import running, virtual

NAME = "web.example"
URL = f"http://{NAME}/"

CONTEXT = ssl.create_default_context()  # loading the authorities takes long enough once


@pytest.fixture(autouse=True, params=FAMILIES)
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with httpx and with httpx2."""
    suffix: str = request.param
    use(suffix, __name__, monkeypatch)
    return suffix


def bench_with_name(*faults: Fault, **options: Any) -> Bench:
    """A module that knows :data:`NAME`."""
    return Bench(*faults, hosts={NAME: Host((HOST,))}, **options)


@asynccontextmanager
async def client_of(bench: Bench, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client; at the end every connect ID is free."""
    transport = ModemTransport(await bench.modem(), verify=CONTEXT, **options)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT) as client:
        yield client
    await anyio.sleep(1)
    assert bench.open_ids == []


class TestRequests:
    """What comes and goes."""

    @virtual
    async def test_request_and_response(self) -> None:
        """Method, path, headers and body arrive; status, headers and body come back."""
        async with bench_with_name() as bench, client_of(bench) as client:
            peers = serve(bench, sends(page("hello", "X-Answer: yes")))
            response = await client.post(f"{URL}a/b?c=d", content=b"body", headers={"X-Ask": "1"})
            assert response.status_code == 200
            assert response.reason_phrase == "OK"
            assert response.http_version == "HTTP/1.1"
            assert response.headers["x-answer"] == "yes"
            assert response.text == "hello"
            await anyio.sleep(1)  # the server has answered before it had the body
            sent = bytes(peers[0].received)
            assert sent.startswith(b"POST /a/b?c=d HTTP/1.1\r\nHost: web.example\r\n")
            assert b"X-Ask: 1\r\n" in sent
            assert sent.endswith(b"\r\n\r\nbody")

    @virtual
    @pytest.mark.parametrize(
        "body", [{"content": b"21.5"}, {"files": {"a": b"1" * 100, "b": b"2" * 100}}]
    )
    async def test_a_small_request_is_one_send(self, body: dict[str, Any]) -> None:
        """httpcore writes the head and each piece of the body apart."""
        async with bench_with_name() as bench, client_of(bench) as client:
            peers = serve(bench, sends(page("hello")))
            assert (await client.post(URL, **body)).text == "hello"
            await anyio.sleep(1)
            assert len(peers[0].datagrams) == 1

    @virtual
    async def test_keep_alive(self) -> None:
        """A connection is used again while the server keeps it, and closed when it is old."""
        async with bench_with_name() as bench, client_of(bench) as client:
            peers = serve(bench, *[sends(page("hello"))] * 3)
            for _ in range(3):
                assert (await client.get(URL)).text == "hello"
            assert len(peers) == 1

    @virtual
    async def test_streaming(self) -> None:
        """A response is read as it comes, and a request is sent as it is made."""
        parts = [b"%" * 3000 for _ in range(4)]

        async def body() -> AsyncIterator[bytes]:
            for part in parts:
                await anyio.sleep(1)
                yield part

        async with bench_with_name() as bench, client_of(bench) as client:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
            peers = serve(bench, sends(head + b"01234"))
            async with client.stream("POST", URL, content=body()) as response:
                chunks = response.aiter_raw()
                assert await anext(chunks) == b"01234"
                peers[0].send(b"56789")
                assert await anext(chunks) == b"56789"
            assert bytes(peers[0].received).count(b"%") == 12000

    @virtual
    async def test_a_response_that_is_left(self) -> None:
        """Its connection is closed, and the client goes on with another."""
        async with bench_with_name() as bench, client_of(bench) as client:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
            peers = serve(bench, sends(head), sends(page("hello")))
            async with client.stream("GET", URL) as response:
                assert response.status_code == 200
            assert peers[0].closed
            assert (await client.get(URL)).text == "hello"

    @virtual
    async def test_redirects(self) -> None:
        """They are httpx's own, as are cookies and the rest."""
        async with bench_with_name() as bench, client_of(bench) as client:
            away = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
            peers = serve(bench, sends(away), sends(page("there")))
            response = await client.get(URL, follow_redirects=True)
            assert response.text == "there"
            assert b"GET /b HTTP/1.1" in peers[0].received

    @virtual
    async def test_as_context_manager(self) -> None:
        """The transport alone is one, too."""
        async with bench_with_name() as bench:
            serve(bench, sends(page("hello")))
            async with ModemTransport(await bench.open(), verify=CONTEXT) as transport:
                assert "ModemTransport" in repr(transport)
                response = await transport.handle_async_request(httpx.Request("GET", URL))
                assert await response.aread() == b"hello"
                await response.aclose()
            assert bench.open_ids == []


class TestLimits:
    """Six sockets."""

    @pytest.mark.parametrize(
        ("limits", "most"),
        [(None, 4), ({}, 6), ({"max_connections": 100}, 6)],
    )
    @virtual
    async def test_requests_wait_for_a_connection(
        self, limits: dict[str, int] | None, most: int
    ) -> None:
        """Ten at once use no more than there may be; none fails with EMFILE."""
        async with (
            bench_with_name(latency=0.02) as bench,
            client_of(bench, limits=LIMITS if limits is None else httpx.Limits(**limits)) as client,
        ):
            serve(bench, *[sends(page("hello"))] * 10)
            used = []

            async def get() -> None:
                response = await client.get(URL)
                assert response.text == "hello"
                used.append(len(bench.open_ids))

            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(get)
            assert len(used) == 10
            assert max(used) <= most

    @virtual
    async def test_pool_timeout(self) -> None:
        """Who won't wait for ever says so."""
        async with (
            bench_with_name() as bench,
            client_of(bench, limits=httpx.Limits(max_connections=1)) as client,
        ):
            serve(bench)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, URL)
                await anyio.sleep(1)
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(URL, timeout=httpx.Timeout(5, pool=2))
                tasks.cancel_scope.cancel()

    @virtual
    async def test_another_origin(self) -> None:
        """With all connections idle, one gives way, and its ID is free for the new one."""
        async with (
            bench_with_name() as bench,
            client_of(bench, limits=httpx.Limits(max_connections=1)) as client,
        ):
            serve(bench, sends(page("one")))
            serve(bench, sends(page("two")), port=81)
            assert (await client.get(URL)).text == "one"
            assert (await client.get(f"http://{NAME}:81/")).text == "two"
            assert len(bench.open_ids) == 1


def reset_later(bench: Bench, peer: Peer) -> None:
    """Begin a response, and have the module restart within it."""
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
    later = running().now + 2
    running().call_at(later, lambda: bench.virtual.module.reset(later))


class TestErrors:
    """httpx's exceptions, whose causes lead to what the modem raised."""

    @staticmethod
    def causes(error: BaseException) -> list[type[BaseException]]:
        """The types of the exceptions behind one."""
        found, cause = [], error.__cause__
        while cause is not None:
            found.append(type(cause))
            cause = cause.__cause__
        return found

    @pytest.mark.parametrize(
        ("url", "error", "behind"),
        [
            (f"http://{NAME}:9/", "ConnectError", aiobc9x.ConnectRefused),
            ("http://nowhere.example/", "ConnectError", aiobc9x.NameNotFound),
            ("http://192.0.2.1/", "ConnectTimeout", aiobc9x.ConnectTimedOut),
        ],
    )
    @virtual
    async def test_connect(self, url: str, error: str, behind: type[Exception]) -> None:
        """Refused, unknown, unanswered."""
        async with bench_with_name() as bench, client_of(bench) as client:
            expected: type[httpx.TransportError] = getattr(httpx, error)
            with pytest.raises(expected) as caught:
                await client.get(url)
            assert behind in self.causes(caught.value)
            assert caught.value.request.url == url

    @virtual
    async def test_retries(self) -> None:
        """A connect that fails may be tried again."""
        refused = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 0", data=b"+QIOPEN: 0,566")
        async with bench_with_name(refused) as bench, client_of(bench, retries=1) as client:
            serve(bench, sends(page("hello")))
            assert (await client.get(URL)).text == "hello"

    @virtual
    async def test_connect_timeout(self) -> None:
        """The client's own."""
        async with bench_with_name() as bench, client_of(bench) as client:
            began = running().now
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("http://192.0.2.1/", timeout=7)
            assert running().now - began == pytest.approx(7, abs=0.5)
            await anyio.sleep(60)

    @virtual
    async def test_read_timeout(self) -> None:
        """No answer in time."""
        async with bench_with_name() as bench, client_of(bench) as client:
            serve(bench)
            began = running().now
            with pytest.raises(httpx.ReadTimeout):
                await client.get(URL)
            assert running().now - began == pytest.approx(60, abs=1)

    @virtual
    async def test_write_timeout(self) -> None:
        """The module takes nothing."""
        fault = Fault(FaultKind.SEND_FAIL, times=None)
        async with bench_with_name(fault) as bench, client_of(bench) as client:
            serve(bench)
            with pytest.raises(httpx.WriteTimeout):
                await client.post(URL, content=bytes(20000), timeout=9)

    @virtual
    async def test_closed_without_an_answer(self) -> None:
        """A RemoteProtocolError, as ever."""
        async with bench_with_name() as bench, client_of(bench) as client:
            serve(bench, sends_and_closes())
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(URL)

    @virtual
    async def test_closed_within_the_body(self) -> None:
        """What is missing is no secret."""
        async with bench_with_name() as bench, client_of(bench) as client:
            serve(bench, sends_and_closes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"))
            async with client.stream("GET", URL) as response:
                with pytest.raises(httpx.RemoteProtocolError):
                    await response.aread()

    @virtual
    async def test_broken_within_the_body(self) -> None:
        """A restart of the module is a ReadError."""
        async with bench_with_name() as bench, client_of(bench) as client:
            serve(bench, lambda peer: reset_later(bench, peer))
            async with client.stream("GET", URL) as response:
                with pytest.raises(httpx.ReadError, match="restart") as caught:
                    await response.aread()
                assert aiobc9x.ModuleReset in self.causes(caught.value)

    @virtual
    async def test_no_url_of_http(self) -> None:
        """Errors of httpcore's that concern no network."""
        async with bench_with_name() as bench, client_of(bench) as client:
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("gopher://web.example/")

    @virtual
    async def test_what_is_no_error_of_http_goes_through(self) -> None:
        """A mistake in a request's body stays what it is."""

        async def body() -> AsyncIterator[bytes]:
            yield b"x"
            raise LookupError("mine")

        async with bench_with_name() as bench, client_of(bench) as client:
            serve(bench)
            with pytest.raises(LookupError, match="mine"):
                await client.post(URL, content=body())

    def test_every_exception_has_its_namesake(self) -> None:
        """httpcore has none that would reach a caller of httpx unchanged."""
        internal = {httpcore.ConnectionNotAvailable}
        theirs = {
            kind
            for kind in vars(httpcore).values()
            if isinstance(kind, type) and issubclass(kind, Exception)
        } - internal
        assert set(EXCEPTIONS) == {kind.__name__ for kind in theirs}
        assert all(issubclass(getattr(httpx, name), httpx.TransportError) for name in EXCEPTIONS)
        # Each stands before what it derives from, which would be found in its place.
        kinds = [getattr(httpcore, name) for name in EXCEPTIONS]
        assert not any(
            issubclass(late, early) for i, early in enumerate(kinds) for late in kinds[i + 1 :]
        )


@virtual
async def test_cancelled_requests_free_their_sockets() -> None:
    """At any moment: nothing is left on the module, and the client goes on."""
    async with bench_with_name(latency=0.05) as bench, client_of(bench) as client:
        for tenths in range(12):
            serve(bench)
            with anyio.move_on_after(tenths / 10) as scope:
                await client.post(URL, content=bytes(3000))
            assert scope.cancelled_caught
        await anyio.sleep(10)
        assert bench.open_ids == []
        serve(bench, sends(page("hello")))
        assert (await client.get(URL)).text == "hello"


@virtual
async def test_proxy() -> None:
    """A forward proxy, by name and with a password, reached through the module."""
    async with bench_with_name() as bench:
        proxy = httpx.Proxy(f"http://user:secret@{NAME}:3128", headers={"X-Proxy": "1"})
        async with client_of(bench, proxy=proxy) as client:
            peers = serve(bench, sends(page("hello")), port=3128)
            assert (await client.get("http://inside.example/x")).text == "hello"
            sent = bytes(peers[0].received)
            assert sent.startswith(b"GET http://inside.example/x HTTP/1.1\r\n")
            assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in sent
            assert b"X-Proxy: 1" in sent


@virtual
async def test_proxies() -> None:
    """Text will do; what is no proxy is refused; a proxy that refuses is a ProxyError."""
    async with bench_with_name() as bench:
        with pytest.raises(ValueError, match="Unknown scheme"):
            ModemTransport(await bench.open(), verify=CONTEXT, proxy="ftp://web.example")
        async with client_of(bench, proxy=f"http://{NAME}:3128") as client:
            serve(bench, sends(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), port=3128)
            with pytest.raises(httpx.ProxyError):
                await client.get("https://inside.example/")


@virtual
async def test_socks() -> None:
    """A SOCKS proxy behind the module resolves the name."""
    answers = [b"\x05\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", page("hello")]

    def connected(peer: Peer) -> None:
        peer.answer_with(lambda _: peer.send(answers.pop(0)))

    async with bench_with_name() as bench:
        bench.network.serve_tcp(1080, connected)
        async with client_of(bench, proxy=f"socks5h://{NAME}:1080") as client:
            assert (await client.get("http://inside.example/x")).text == "hello"
            assert b"\x0einside.example" in bench.peer.received


@virtual
async def test_a_socket_option_reaches_nobody() -> None:
    """The view of a socket is what a response's network stream has to show."""
    async with bench_with_name() as bench, client_of(bench) as client:
        serve(bench, sends(page("hello")))
        async with client.stream("GET", URL) as response:
            stream = response.extensions["network_stream"]
            assert stream.get_extra_info("server_addr") == (HOST, 80)
            assert stream.get_extra_info("socket").family == socket.AF_INET
            await response.aread()
