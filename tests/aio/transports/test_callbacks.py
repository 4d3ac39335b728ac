"""Where a protocol's callbacks run, and what they may call."""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections.abc import Callable
from typing import Any

import pytest

from aiobc9x.aio.transports.callbacks import CallbackContext
from aiobc9x.sim.memory import Peer
from tests.support.bench import ECHO_PORT, HOST, PORT, UDP_PORT, Bench
from tests.support.clock import take_errors, virtual
from tests.support.recorders import DatagramRecorder, Recorder

WAY: contextvars.ContextVar[str] = contextvars.ContextVar("way", default="none")


def taken_by(function: Callable[[], object], *, way: str) -> None:
    """Call a function in a context that goes another way."""
    context = contextvars.copy_context()
    context.run(WAY.set, way)
    context.run(function)


class Traveller(Recorder):
    """Notes the way of each callback."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: dict[str, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.ways["made"] = WAY.get()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.ways["data"] = WAY.get()
        super().data_received(data)

    def pause_writing(self) -> None:
        self.ways["pause"] = WAY.get()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.ways["resume"] = WAY.get()
        super().resume_writing()

    def eof_received(self) -> bool | None:
        self.ways["eof"] = WAY.get()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ways["lost"] = WAY.get()
        super().connection_lost(exc)


class TestContext:
    """The callbacks run in one context, which a callback may find entered already."""

    def test_values_are_those_of_the_maker(self) -> None:
        """Whoever calls, and whatever has changed since."""
        WAY.set("maker")
        context = CallbackContext()
        WAY.set("changed")
        seen: list[str] = []
        taken_by(lambda: seen.append(context.run(WAY.get)), way="caller")
        assert seen == ["maker"]
        assert context.copy().run(WAY.get) == "maker"

    def test_a_callback_may_call_back(self) -> None:
        """A context can't be entered twice; the inner call sees the same values."""
        WAY.set("maker")
        context = CallbackContext()
        assert context.run(lambda: context.run(lambda: context.run(WAY.get))) == "maker"
        assert context.run(WAY.get) == "maker"

    def test_what_is_raised_passes(self) -> None:
        """And the context can be entered again."""
        context = CallbackContext()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                context.run(lambda: 1 // 0)


class TestStreams:
    """SocketTransport."""

    @virtual
    async def test_every_callback_runs_in_the_context_of_the_transport(self) -> None:
        """``pause_writing()`` too, which write() calls, and ``resume_writing()``."""
        async with Bench() as bench:
            modem = await bench.open()
            WAY.set("maker")
            transport, protocol = await modem.create_connection(Traveller, HOST, PORT)
            WAY.set("changed")
            taken_by(lambda: transport.write(bytes(10_000)), way="writer")
            bench.peer.send(b"data")
            await asyncio.sleep(10)
            bench.peer.close()
            await protocol.lost
            names = ("made", "data", "pause", "resume", "eof", "lost")
            assert protocol.ways == dict.fromkeys(names, "maker")

    @virtual
    async def test_new_limits_call_back_in_the_same_context(self) -> None:
        """Lower limits may pause a protocol at once."""
        async with Bench() as bench:
            modem = await bench.open()
            WAY.set("maker")
            transport, protocol = await modem.create_connection(Traveller, HOST, PORT)
            transport.write(bytes(1000))
            taken_by(lambda: transport.set_write_buffer_limits(0), way="other")
            assert protocol.ways["pause"] == "maker"

    @virtual
    async def test_a_write_may_pause_inside_a_callback(self) -> None:
        """The connection goes on, in both directions."""

        class Eager(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if len(self.received) == 4:
                    self.transport.write(bytes(5000))

        async with Bench() as bench:
            modem = await bench.open()
            _, protocol = await modem.create_connection(Eager, HOST, ECHO_PORT)
            protocol.transport.write(b"echo")
            await asyncio.sleep(30)
            assert protocol.received == b"echo" + bytes(5000)
            assert [call for call in protocol.calls if call != "data"] == [
                "made",
                "pause",
                "resume",
            ]

    @virtual
    async def test_a_paused_protocol_may_be_put_back_inside_a_callback(self) -> None:
        """loop.sendfile() does so; the protocol hears that writing is paused."""

        class Swapping(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.transport.set_protocol(Recorder())
                self.transport.write(bytes(5000))
                self.transport.set_protocol(self)

        async with Bench() as bench:
            modem = await bench.open()
            _, protocol = await modem.create_connection(Swapping, HOST, PORT)
            bench.peer.send(b"x")
            await asyncio.sleep(30)
            assert protocol.calls == ["made", "data", "pause", "resume"]
            assert bench.peer.received == bytes(5000)

    @pytest.mark.parametrize("name", ["pause_writing", "resume_writing"])
    @virtual
    async def test_an_exception_in_flow_control_ends_nothing(self, name: str) -> None:
        """As in asyncio it is reported, and the connection goes on."""
        async with Bench() as bench:
            modem = await bench.open()
            transport, protocol = await modem.create_connection(Recorder, HOST, PORT)

            def fail() -> None:
                raise LookupError("broken")

            setattr(protocol, name, fail)
            transport.write(bytes(5000))
            await asyncio.sleep(30)
            (report,) = take_errors()
            assert report["message"] == f"protocol.{name}() failed"
            assert bench.peer.received == bytes(5000)
            assert not transport.is_closing()


class TestDatagrams:
    """DatagramTransport."""

    @virtual
    async def test_a_callback_may_send_what_is_too_long(self) -> None:
        """``error_received()`` comes inside ``datagram_received()``; the endpoint goes on."""

        class Talkative(DatagramRecorder):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                super().datagram_received(data, addr)
                assert self.transport is not None
                self.transport.sendto(bytes(1441))

        def echo(peer: Peer) -> None:
            peer.answer_with(peer.send)

        async with Bench() as bench:
            bench.network.serve_udp(UDP_PORT, echo)
            modem = await bench.open()
            transport, protocol = await modem.create_datagram_endpoint(
                Talkative, remote_addr=(HOST, UDP_PORT)
            )
            transport.sendto(b"one")
            await protocol.until(received=1, errors=1)
            transport.sendto(b"two")
            await protocol.until(received=2, errors=2)
            assert protocol.received == [b"one", b"two"]
            codes = [error.errno for error in protocol.errors if isinstance(error, OSError)]
            assert codes == [errno.EMSGSIZE] * 2
