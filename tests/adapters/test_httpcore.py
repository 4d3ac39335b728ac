"""httpcore and httpcore2 over the modem: the network backend's contract, on virtual time."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import anyio
import httpcore
import pytest

import aiobc9x
from aiobc9x.adapters.anyio import create_listener
from aiobc9x.adapters.httpcore import ModemBackend, ModemNetworkStream
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from tests.adapters.families import FAMILIES, use
from tests.adapters.http import page, sends, sends_and_closes, serve
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual

NAME = "web.example"


@pytest.fixture(autouse=True, params=FAMILIES)
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with httpcore and with httpcore2."""
    suffix: str = request.param
    use(suffix, __name__, monkeypatch)
    return suffix


async def connected(bench: Bench, port: int = PORT, **options: Any) -> ModemNetworkStream:
    """Open a connection of the backend."""
    return await ModemBackend(await bench.modem()).connect_tcp(HOST, port, **options)


class TestConnect:
    """``connect_tcp()``."""

    @virtual
    async def test_extra_info(self) -> None:
        """What httpcore may ask for, and ``None`` for the rest."""
        async with Bench() as bench:
            stream = await connected(bench)
            assert stream.get_extra_info("server_addr") == (HOST, PORT)
            assert stream.get_extra_info("client_addr")[1] == 0
            assert stream.get_extra_info("socket").getpeername() == (HOST, PORT)
            assert stream.get_extra_info("ssl_object") is None
            assert stream.get_extra_info("is_readable") is False
            assert stream.get_extra_info("something") is None
            assert "ByteStream" in repr(stream)
            bench.peer.close()
            await anyio.sleep(1)
            assert stream.get_extra_info("is_readable") is True
            await stream.aclose()

    @virtual
    async def test_socket_options(self) -> None:
        """Harmless ones are taken; one that no module has is an error, and the socket closes."""
        async with Bench() as bench:
            nodelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = await connected(bench, socket_options=[nodelay])
            await stream.aclose()
            with pytest.raises(httpcore.ConnectError):
                await connected(bench, socket_options=[(socket.SOL_SOCKET, socket.SO_LINGER, 1)])
            await anyio.sleep(1)
            assert bench.open_ids == []

    @pytest.mark.parametrize(
        ("local_address", "family"), [(None, "IP"), ("0.0.0.0", "IP"), ("::", "IPV6")]
    )
    @virtual
    async def test_local_address_chooses_the_family(
        self, local_address: str | None, family: str
    ) -> None:
        """As httpcore's documentation has it; a name is asked for in that family."""
        async with Bench(hosts={NAME: Host((HOST, "2001:db8::1"))}) as bench:
            backend = ModemBackend(await bench.open())
            stream = await backend.connect_tcp(NAME, PORT, local_address=local_address)
            ipv6 = ":" in stream.get_extra_info("server_addr")[0]
            assert ipv6 is (family == "IPV6")
            await stream.aclose()

    @virtual
    async def test_another_local_address(self) -> None:
        """The module has no choice of them."""
        async with Bench() as bench:
            with pytest.raises(httpcore.ConnectError, match="the module chooses"):
                await connected(bench, local_address="10.0.0.1")
            assert not any("QIOPEN=" in line for line in bench.commands)

    @pytest.mark.parametrize(
        ("host", "port", "error", "cause"),
        [
            (HOST, 9, "ConnectError", ConnectionRefusedError),
            ("nowhere.example", 80, "ConnectError", socket.gaierror),
            ("192.0.2.1", 80, "ConnectTimeout", aiobc9x.StageTimeout),
            (f"{'x' * 250}.example", 80, "ConnectError", ValueError),
        ],
    )
    @virtual
    async def test_failures(self, host: str, port: int, error: str, cause: type[Exception]) -> None:
        """httpcore's errors, whose cause is what the modem raised."""
        async with Bench() as bench:
            backend = ModemBackend(await bench.open())
            expected: type[Exception] = getattr(httpcore, error)
            with pytest.raises(expected) as caught:
                await backend.connect_tcp(host, port, timeout=10)
            assert isinstance(caught.value.__cause__, cause)
            assert str(caught.value)

    @virtual
    async def test_the_module_may_time_out_first(self) -> None:
        """That is a ConnectTimeout as well."""
        async with Bench() as bench:
            backend = ModemBackend(await bench.open())
            with pytest.raises(httpcore.ConnectTimeout):
                await backend.connect_tcp("192.0.2.1", 80)

    @virtual
    async def test_no_unix_sockets(self) -> None:
        """A module has none."""
        async with Bench() as bench:
            backend = ModemBackend(await bench.open())
            assert "Modem" in repr(backend)
            with pytest.raises(httpcore.ConnectError, match=r"/run/x\.sock"):
                await backend.connect_unix_socket("/run/x.sock")

    @virtual
    async def test_sleep(self) -> None:
        """httpcore waits between its tries."""
        async with Bench() as bench:
            backend = ModemBackend(await bench.open())
            began = running().now
            await backend.sleep(2.5)
            assert running().now - began == pytest.approx(2.5)


class TestStream:
    """``read()``, ``write()``, ``aclose()``."""

    @virtual
    async def test_read_and_write(self) -> None:
        """Bytes both ways, and ``b""`` at the end."""
        async with Bench() as bench:
            stream = await connected(bench, ECHO_PORT)
            await stream.write(bytes(10000))
            received = b""
            while len(received) < 10000:
                received += await stream.read(4000)
            assert received == bytes(10000)
            await stream.write(b"")
            bench.peer.close()
            assert await stream.read(1) == b""
            await stream.aclose()

    @virtual
    async def test_read_timeout(self) -> None:
        """ReadTimeout; what comes later is not lost."""
        async with Bench() as bench:
            stream = await connected(bench)
            with pytest.raises(httpcore.ReadTimeout):
                await stream.read(100, timeout=2)
            bench.peer.send(b"late")
            assert await stream.read(100, timeout=2) == b"late"
            await stream.aclose()

    @virtual
    async def test_read_error(self) -> None:
        """The cause says why."""
        async with Bench() as bench:
            stream = await connected(bench)
            bench.virtual.module.reset(running().now)
            with pytest.raises(httpcore.ReadError, match="restart") as caught:
                await stream.read(100)
            assert isinstance(caught.value.__cause__, anyio.BrokenResourceError)
            assert isinstance(caught.value.__cause__.__cause__, aiobc9x.ModuleReset)
            with pytest.raises(httpcore.WriteError, match="restart"):
                await stream.write(b"x")
            await stream.aclose()
            with pytest.raises(httpcore.ReadError, match="ClosedResourceError"):
                await stream.read(100)

    @virtual
    async def test_a_timeout_is_for_a_piece(self) -> None:
        """A body that takes 17 s is no WriteTimeout at 8 s."""
        async with Bench(baud=9600) as bench:
            stream = await connected(bench)
            began = running().now
            await stream.write(b"x" * 16384, timeout=8)
            assert running().now - began > 16
            await stream.aclose()

    @virtual
    async def test_write_timeout(self) -> None:
        """The module takes nothing; closing doesn't wait for it then."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream = await connected(bench)
            with pytest.raises(httpcore.WriteTimeout):
                await stream.write(bytes(10000), timeout=5)
            began = running().now
            await stream.aclose()
            assert running().now - began < 0.1
            await anyio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_close_sends_what_was_written(self) -> None:
        """A last frame of an upgraded connection is not dropped."""
        async with Bench(latency=0.2) as bench:
            stream = await connected(bench)
            await stream.write(b"goodbye")
            await stream.aclose()
            assert bench.peer.received == b"goodbye"

    @virtual
    async def test_close_has_a_limit(self) -> None:
        """5 s; then what waits is dropped, and nobody complains."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream = await connected(bench)
            await stream.write(b"x")
            began = running().now
            await stream.aclose()
            assert running().now - began == pytest.approx(5, abs=0.1)
            await anyio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_close_of_a_broken_one(self) -> None:
        """Nobody complains of what was lost, either."""
        async with Bench(Fault(FaultKind.SEND_FAIL, times=None)) as bench:
            stream = await connected(bench)
            await stream.write(b"x")
            await anyio.sleep(100)
            await stream.aclose()


class TestTls:
    """``start_tls()``, where it fails; tests/adapters/test_httpx_real.py has the rest."""

    @virtual
    async def test_timeout(self) -> None:
        """A ConnectTimeout, and the socket is closed."""
        async with Bench() as bench:
            stream = await connected(bench)
            with pytest.raises(httpcore.ConnectTimeout):
                await stream.start_tls(ssl.create_default_context(), NAME, timeout=10)
            await anyio.sleep(1)
            assert bench.open_ids == []

    @pytest.mark.parametrize("answer", [b"220 smtp.example ready\r\n", b""])
    @virtual
    async def test_a_peer_that_speaks_no_tls(self, answer: bytes) -> None:
        """A ConnectError, and the socket is closed."""
        async with Bench() as bench:
            bench.network.serve_tcp(443, sends_and_closes(answer))
            stream = await connected(bench, 443)
            with pytest.raises(httpcore.ConnectError) as caught:
                await stream.start_tls(ssl.create_default_context(), NAME)
            assert str(caught.value)
            await anyio.sleep(1)
            assert bench.open_ids == []

    @virtual
    async def test_cancelled(self) -> None:
        """httpcore doesn't close the stream then, so start_tls() does."""
        async with Bench() as bench:
            stream = await connected(bench)
            with anyio.move_on_after(1):
                await stream.start_tls(ssl.create_default_context(), NAME)
            await anyio.sleep(1)
            assert bench.open_ids == []


class TestPool:
    """httpcore's own pool on the backend."""

    @virtual
    async def test_keep_alive(self) -> None:
        """Requests share a connection; one that the server has closed is not used again."""
        async with Bench() as bench:
            peers = serve(bench, sends(page("one")), sends(page("two")), sends(page("three")))
            backend = ModemBackend(await bench.open())
            async with httpcore.AsyncConnectionPool(network_backend=backend) as pool:
                for text in (b"one", b"two"):
                    response = await pool.request("GET", f"http://{HOST}/")
                    assert response.content == text
                assert len(peers) == 1
                peers[0].close()
                await anyio.sleep(1)
                response = await pool.request("GET", f"http://{HOST}/")
                assert response.content == b"three"
                assert len(peers) == 2
            assert bench.open_ids == []

    @virtual
    async def test_retries(self) -> None:
        """A connect that fails is tried again, behind the backend's sleep."""
        refused = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN: 0", data=b"+QIOPEN: 0,566")
        async with Bench(refused) as bench:
            serve(bench, sends(page("hello")))
            backend = ModemBackend(await bench.open())
            async with httpcore.AsyncConnectionPool(network_backend=backend, retries=1) as pool:
                response = await pool.request("GET", f"http://{HOST}/")
            assert response.content == b"hello"

    @virtual
    async def test_all_sockets_in_use(self) -> None:
        """Others may hold them; then there is none for the pool, and it says so."""
        async with Bench() as bench:
            modem = await bench.open()
            held = [await create_listener(modem, 2000 + number) for number in range(6)]
            pool = httpcore.AsyncConnectionPool(network_backend=ModemBackend(modem))
            with pytest.raises(httpcore.ConnectError, match="all six connect IDs"):
                await pool.request("GET", f"http://{HOST}/")
            for listener in held:
                await listener.aclose()
