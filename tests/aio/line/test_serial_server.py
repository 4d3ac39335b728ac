"""A module behind a serial server: its words, and its end without a word."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

import aiobc9x
from aiobc9x.aio.line.serial_server import Greeting, keep_alive
from aiobc9x.errors import LinkLost, LinkTimeout, PortBusy
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from tests.support.bench import HOST, PORT, Bench, driver_of
from tests.support.clock import running, virtual
from tests.support.loopback import LOOPBACK, server

BUSY = b"Port already in use\r\n"
BANNER = b"\xff\xfb\x01Connected to /dev/ttyUSB0 [115200N81]\r\n"


def heard(*chunks: bytes) -> Greeting:
    """What a greeting makes of some bytes."""
    greeting = Greeting()
    for chunk in chunks:
        greeting.hear(chunk)
    return greeting


class TestWords:
    """What comes before the module's first line is the server's, if it is words."""

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (BUSY, "Port already in use"),
            (BANNER, "Connected to /dev/ttyUSB0 [115200N81]"),
            (b"Welcome\r\nto the gateway\r\n", "Welcome to the gateway"),
            (BANNER + b"AT\r\r\nOK\r\n", "Connected to /dev/ttyUSB0 [115200N81]"),
            (b"At your service\r\n", "At your service"),
            (b"\r\nOK\r\nQuectel_Ltd\r\n", ""),
            (b"AT\r\r\nERROR\r\n", ""),
            (b"\r\n+CEREG: 1\r\nQuectel\r\n", ""),
            (b"\x00\xf8x\x86\x9cK~\xfe", ""),
            (b"", ""),
        ],
    )
    def test_words(self, data: bytes, words: str) -> None:
        """However they come in pieces; telnet's bytes and noise are none."""
        assert heard(data).words == heard(*(bytes([byte]) for byte in data)).words == words

    @pytest.mark.parametrize(
        ("words", "busy"),
        [
            (BUSY, True),
            (b"Port's device already in use\r\n", True),
            (b"Device open failure: Device or resource busy\r\n", True),
            (b"the line is busy", True),
            (b"The serial port is being used by another client.", True),
            (b"ERROR: port already opened\r\n", True),
            (b"refused: locked by 10.0.0.2\r\n", True),
            (b"Sorry, too many connections\r\n", True),
            (BANNER, False),
            (b"Unable to open device: No such file or directory\r\n", False),
            (b"busybox telnetd\r\n", False),
        ],
    )
    def test_who_means_that_the_port_is_taken(self, words: bytes, busy: bool) -> None:
        """Several servers say it in several ways."""
        greeting = Greeting()
        assert (greeting.hear(words) is not None) is busy
        assert isinstance(greeting.explain(LinkLost("gone"), "socket://x:1"), PortBusy) is busy

    def test_once_the_module_has_answered_words_are_its_own(self) -> None:
        """A payload may hold any."""
        greeting = Greeting()
        greeting.end()
        assert greeting.hear(BUSY) is None
        assert greeting.last_words == ""

    def test_much_that_comes_first_is_not_kept(self) -> None:
        """A stranger that talks without end costs no memory."""
        assert len(heard(*[b"x" * 1000] * 100).words) == 512

    def test_whose_place_another_client_takes(self) -> None:
        """ser2net says so as it closes; nothing of a payload beside it is shown."""
        text = b"secret\r\nYou have been kicked off due to a new user\r\n"
        assert heard(text).last_words == "You have been kicked off due to a new user"

    @pytest.mark.parametrize(
        ("exc", "expected"),
        [
            (LinkLost("it closed"), "it closed; it said 'Connected"),
            (LinkTimeout("nothing came"), "nothing came; it said 'Connected"),
            (LinkLost("it closed; it said 'Connected to /dev/ttyUSB0 [115200N81]'"), "it closed"),
        ],
    )
    def test_a_failure_has_them_once(self, exc: LinkLost | LinkTimeout, expected: str) -> None:
        """With the class that it had."""
        told = heard(BANNER).explain(exc, "socket://x:1")
        assert type(told) is type(exc)
        text = str(told)
        assert expected in text
        assert text.count("Connected") == 1

    def test_other_failures_and_silence_are_left_as_they_are(self) -> None:
        """There is nothing to add."""
        assert heard(BANNER).explain(ValueError("x"), "socket://x:1") is None
        assert heard(b"").explain(LinkLost("x"), "socket://x:1") is None


@asynccontextmanager
async def speaking(words: bytes, *, closes: bool) -> AsyncIterator[str]:
    """A serial server without a module that speaks, and closes or not."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        if not closes:
            await reader.read()

    async with server(speak) as port:
        yield f"socket://{LOOPBACK}:{port}"


class TestOpening:
    """``socket://`` to a server that won't, or can't, connect the module."""

    @pytest.mark.parametrize("closes", [True, False])
    async def test_taken(self, closes: bool) -> None:
        """PortBusy whether it closes or not, without waiting for a module; the words are in it."""
        async with speaking(BUSY, closes=closes) as address:
            with pytest.raises(aiobc9x.PortBusy, match=r"in use by another.*'Port already in use'"):
                await aiobc9x.open_modem(address, sync_timeout=3600)

    async def test_closing_words(self) -> None:
        """They are in the error."""
        async with speaking(b"Device open failure: no such device\r\n", closes=True) as address:
            with pytest.raises(aiobc9x.LinkLost, match="it said 'Device open failure: no such"):
                await aiobc9x.open_modem(address)

    @virtual
    async def test_words_and_silence(self) -> None:
        """The server is there, the module is not."""
        async with Bench(Fault(FaultKind.STUCK, on="AT")) as bench:
            with pytest.raises(aiobc9x.LinkTimeout, match="it said 'Connected to /dev/ttyUSB0"):
                await over_a_network(bench, BANNER)

    @virtual
    async def test_a_banner_before_the_module_is_no_error(self) -> None:
        """Nor does it end up in an answer; on any stream, as the caller's own may be one."""
        async with Bench() as bench:
            modem = await over_a_network(bench, BANNER)
            assert await modem.command("AT+CGMM") == ["BC65"]
            await modem.aclose()

    @virtual
    async def test_kicked_off_later(self) -> None:
        """What ends then says why."""
        async with Bench() as bench:
            modem = await over_a_network(bench)
            assert bench.line is not None
            protocol: Any = bench.line.get_protocol()
            protocol.data_received(b"kicked off, new user is coming\r\n")
            bench.line.lose(None)
            await asyncio.sleep(0.1)
            with pytest.raises(aiobc9x.LinkLost, match="it said 'kicked off, new user is coming'"):
                await modem.command("AT")
            await modem.aclose()


async def over_a_network(bench: Bench, banner: bytes = b"", **settings: Any) -> aiobc9x.Modem:
    """Open a modem over a stream of the caller's own, whose far side can vanish."""

    settings.setdefault("reconnect", None)

    async def create(protocol_factory: Callable[[], asyncio.Protocol]) -> tuple[Any, Any]:
        protocol = protocol_factory()
        bench.line = bench.virtual.connect_memory(protocol)
        if banner:
            protocol.data_received(banner)
        return bench.line, protocol

    return await aiobc9x.open_modem(create, **settings)


class TestSilence:
    """A far side that vanishes without a word is noticed within a minute."""

    @virtual
    async def test_nobody_asks_anything(self) -> None:
        """A subscriber's iteration ends."""
        async with Bench() as bench:
            modem = await over_a_network(bench)
            await modem.wait_ready()
            await asyncio.sleep(100)
            bench.add_fault(Fault(FaultKind.STUCK, on="AT"))
            began = running().now
            async for _ in modem.subscribe():
                pass
            assert running().now - began < 60
            with pytest.raises(aiobc9x.LinkLost, match="stopped answering"):
                await modem.command("AT")
            await modem.aclose()

    @pytest.mark.parametrize("mode", ["reader", "listener"])
    @virtual
    async def test_somebody_waits_for_a_socket(self, mode: str) -> None:
        """The same with the looks at the sockets, whatever their phase."""
        for phase in (0, 7, 15, 29):
            async with Bench() as bench:
                modem = await over_a_network(bench, poll_interval=0)
                if mode == "reader":
                    reader, _writer = await modem.open_connection(HOST, PORT)
                    waiting = asyncio.ensure_future(reader.read())
                else:
                    server = await modem.start_server(lambda _r, w: w.close(), 2020)
                    waiting = asyncio.ensure_future(server.serve_forever())  # type: ignore[arg-type]
                await asyncio.sleep(100 + phase)
                bench.add_fault(Fault(FaultKind.STUCK, on="AT"))
                began = running().now
                with pytest.raises(aiobc9x.LinkLost):
                    await waiting
                assert running().now - began < 60
                await modem.aclose()

    @virtual
    async def test_a_silent_line_is_asked(self) -> None:
        """Every ``state_interval``, and no more often than that; traffic makes it needless."""
        async with Bench() as bench:
            modem = await over_a_network(bench)
            await modem.wait_ready()
            bench.dialogue.clear()
            await asyncio.sleep(301)
            assert bench.commands == ["AT"] * 10
            bench.dialogue.clear()
            for _ in range(20):
                await asyncio.sleep(10)
                await modem.command("AT+CSQ")
            assert bench.commands == ["AT+CSQ"] * 20
            await modem.aclose()

    @pytest.mark.parametrize("settings", [{"state_interval": 0}, {"allow_sleep": True}])
    @virtual
    async def test_where_it_is_left_alone(self, settings: dict[str, Any]) -> None:
        """If nobody wants to know, or the module may sleep."""
        async with Bench() as bench:
            modem = await over_a_network(bench, **settings)
            await modem.wait_ready()
            bench.dialogue.clear()
            await asyncio.sleep(300)
            assert bench.commands == []
            await modem.aclose()

    @virtual
    async def test_a_slow_answer_is_no_end(self) -> None:
        """A module that says nothing for ten seconds is brought back in step."""
        async with Bench() as bench:
            modem = await over_a_network(bench)
            await modem.wait_ready()
            bench.add_fault(Fault(FaultKind.SILENCE, on="AT", delay_s=10))
            await asyncio.sleep(100)
            assert modem.statistics.recoveries == 1
            assert await modem.command("AT+CGMM") == ["BC65"]
            await modem.aclose()


class TestKeepAlive:
    """TCP itself asks whether the server is still there."""

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def test_socket_links_have_it(self, loop: Any) -> None:
        """On asyncio's loops and uvloop."""

        async def main() -> None:
            async with VirtualModule() as module:
                address = f"socket://{LOOPBACK}:{await module.start_tcp()}"
                async with aiobc9x.open_modem(address) as modem:
                    driver = driver_of(modem)
                    assert not driver.link.hangs_up
                    sock = driver.link._transport.get_extra_info("socket")
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    if hasattr(socket, "TCP_KEEPIDLE"):
                        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())

    def test_systems_that_lack_the_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What there is gets set."""
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_USER_TIMEOUT"):
            monkeypatch.delattr(socket, name, raising=False)
        with socket.socket() as sock:
            keep_alive(sock)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        keep_alive(sock)  # it is closed: nothing is left to be set
