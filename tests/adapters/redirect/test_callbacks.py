"""What callbacks inside ``installed()`` start stays inside, and may call anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.bench import ECHO_PORT, HOST, PORT
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder, Recorder
from tests.support.udp import ECHO, bench_with_udp, endpoint, host, routed

eager_task_factory: Any = getattr(asyncio, "eager_task_factory", None)  # from 3.12 on

needs_eager_tasks = pytest.mark.skipif(
    eager_task_factory is None, reason="Python 3.12 brought eager tasks"
)


class Reconnecting(Recorder):
    """Opens one more connection from ``resume_writing()``, as a pool may do.

    Attributes:
        task: It.

    """

    task: asyncio.Task[tuple[asyncio.Transport, Recorder]] | None = None

    def resume_writing(self) -> None:
        super().resume_writing()
        connecting = running().create_connection(Recorder, HOST, PORT)
        self.task = running().create_task(connecting)


@virtual
async def test_a_task_that_resume_writing_starts_goes_through_the_modem() -> None:
    """The driver calls ``resume_writing()``, and its context has no route."""
    async with routed() as bench:
        transport, protocol = await running().create_connection(Reconnecting, HOST, PORT)
        transport.write(bytes(5000))
        await asyncio.sleep(30)
        assert protocol.task is not None
        second, _ = await protocol.task
        assert second.get_extra_info("modem") is await bench.modem()


@virtual
async def test_flow_control_of_an_endpoint_keeps_the_way() -> None:
    """``resume_writing()`` of an endpoint that is not connected starts such tasks too."""

    class Endless(DatagramRecorder):
        task: asyncio.Task[Any] | None = None

        def resume_writing(self) -> None:
            super().resume_writing()
            connecting = running().create_connection(Recorder, HOST, PORT)
            self.task = running().create_task(connecting)

    async with routed() as bench:
        transport, protocol = await running().create_datagram_endpoint(
            Endless, local_addr=("0.0.0.0", 0)
        )
        for _ in range(4):
            transport.sendto(bytes(1440), (host(1), ECHO))
        await asyncio.sleep(30)
        assert protocol.calls == ["pause", "resume"]
        assert protocol.task is not None
        second, _ = await protocol.task
        assert second.get_extra_info("modem") is await bench.modem()


@virtual
async def test_a_datagram_to_a_new_destination_from_a_callback() -> None:
    """``error_received()`` may send to where nothing was sent yet."""

    class Persistent(DatagramRecorder):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            assert self.transport is not None
            self.transport.sendto(b"again", (host(2), ECHO))

    async with routed():
        transport, protocol = await running().create_datagram_endpoint(
            Persistent, local_addr=("0.0.0.0", 0)
        )
        transport.sendto(bytes(1441), (host(1), ECHO))
        await protocol.until(errors=1, received=1)
        assert protocol.received == [b"again"]


@virtual
async def test_another_thread_is_refused() -> None:
    """The endpoint goes on."""
    refused: list[str] = []

    def misuse() -> None:
        calls: list[Callable[[], None]] = [
            lambda: transport.sendto(b"x", (host(1), ECHO)),
            transport.close,
        ]
        for call in calls:
            try:
                call()
            except RuntimeError as exc:
                refused.append(str(exc))

    async with routed():
        transport, protocol = await endpoint()
        thread = threading.Thread(target=misuse)
        thread.start()
        thread.join()
        assert len(refused) == 2
        assert "belongs to another event loop" in refused[0]
        transport.sendto(b"mine", (host(1), ECHO))
        await protocol.until(received=1)
        assert protocol.received == [b"mine"]


@needs_eager_tasks
@virtual
async def test_eager_tasks_and_a_datagram_in_connection_made() -> None:
    """The socket is opened behind the callback, whatever makes the tasks of the loop."""

    class Greeting(DatagramRecorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport is not None
            self.transport.sendto(b"hello", (host(1), ECHO))

    async with routed():
        running().set_task_factory(eager_task_factory)
        async with asyncio.timeout(60):
            _, protocol = await running().create_datagram_endpoint(
                Greeting, local_addr=("0.0.0.0", 0)
            )
        await protocol.until(received=1)
        assert protocol.received == [b"hello"]
        running().set_task_factory(None)


@needs_eager_tasks
@virtual
async def test_eager_tasks_from_every_callback_of_an_endpoint() -> None:
    """A program may send from a task that it starts in a callback."""

    class Relay(DatagramRecorder):
        tasks: list[asyncio.Task[None]]

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.tasks = []

        async def _send(self, number: int) -> None:
            assert self.transport is not None
            self.transport.sendto(b"%d" % number, (host(number), ECHO))

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if (number := int(data) + 1) < 4:
                self.tasks.append(running().create_task(self._send(number)))

    async with routed():
        running().set_task_factory(eager_task_factory)
        transport, protocol = await running().create_datagram_endpoint(
            Relay, local_addr=("0.0.0.0", 0)
        )
        transport.sendto(b"0", (host(0), ECHO))
        await protocol.until(received=4)
        assert protocol.received == [b"0", b"1", b"2", b"3"]
        running().set_task_factory(None)


@needs_eager_tasks
@virtual
async def test_eager_tasks_and_streams_of_a_modem() -> None:
    """A modem is opened, used and closed by eager tasks."""
    async with bench_with_udp() as bench:
        running().set_task_factory(eager_task_factory)
        modem = await bench.open()
        with modem.installed():
            reader, writer = await asyncio.open_connection(HOST, ECHO_PORT)
            writer.write(b"echo")
            assert await reader.readexactly(4) == b"echo"
            _, protocol = await endpoint()
            assert protocol.transport is not None
            protocol.transport.sendto(b"x", (host(1), ECHO))
            await protocol.until(received=1)
        await modem.aclose()
        assert bench.open_ids == []
        running().set_task_factory(None)
