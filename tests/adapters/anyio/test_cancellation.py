"""anyio's streams, cancelled at each of their steps, lose no byte and no connect ID."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.abc
import pytest

import aiobc9x
from aiobc9x.adapters.anyio import (
    ByteStream,
    ByteStreamConnectable,
    connect_tcp,
    connect_udp,
    create_listener,
)
from aiobc9x.sim.options import Host
from tests.support.bench import HOST, PORT, Bench
from tests.support.cancelling import Moment, cancel_at
from tests.support.clock import no_task_left, other_tasks, virtual

MOST_STEPS = 200
NAME = "server.example"

BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name.lower())

Opening = Callable[[aiobc9x.Modem], Coroutine[Any, Any, Any]]


@BOTH_MOMENTS
@pytest.mark.parametrize(
    ("opening", "least"),
    [
        (lambda modem: connect_tcp(modem, NAME, PORT), 3),
        (lambda modem: ByteStreamConnectable(modem, NAME, PORT).connect(), 3),
        (lambda modem: connect_udp(modem, NAME, PORT), 3),
        (lambda modem: create_listener(modem, PORT), 3),
    ],
    ids=["connect_tcp", "connectable", "connect_udp", "create_listener"],
)
@virtual
async def test_opening(opening: Opening, least: int, moment: Moment) -> None:
    """Whatever was opened is closed, and no task is left."""
    for step in range(MOST_STEPS):
        async with Bench(hosts={NAME: Host((HOST,))}, latency=0.01) as bench:
            bench.network.serve_udp(PORT)
            modem = await bench.open()
            before = other_tasks()

            opened: list[anyio.abc.AsyncResource] = []

            async def keep(modem: aiobc9x.Modem = modem, to: list[Any] = opened) -> None:
                to.append(await opening(modem))

            cancelled = await cancel_at(keep(), step, moment)
            for resource in opened:
                await resource.aclose()
            await anyio.sleep(45)
            assert bench.open_ids == []
            await no_task_left(before)
            assert await modem.command("AT+CGMM") == ["BC65"]
        if not cancelled:
            assert step >= least
            return
    raise AssertionError(f"more than {MOST_STEPS} steps")


async def stream_to_peer(bench: Bench) -> ByteStream:
    """Return a stream to a peer that keeps what it gets."""
    return await connect_tcp(await bench.open(), HOST, PORT)


@BOTH_MOMENTS
@virtual
async def test_receive(moment: Moment) -> None:
    """The bytes are there for the next call, whenever this one was cancelled."""
    for step in range(MOST_STEPS):
        async with Bench(latency=0.01) as bench:
            stream = await stream_to_peer(bench)
            bench.peer.send(b"whole")
            received: list[bytes] = []

            async def receive(stream: ByteStream = stream, to: list[bytes] = received) -> None:
                to.append(await stream.receive(2))
                to.append(await stream.receive(2))

            cancelled = await cancel_at(receive(), step, moment)
            while len(b"".join(received)) < 5:
                received.append(await stream.receive())
            assert b"".join(received) == b"whole"
            await stream.aclose()
        if not cancelled:
            assert step >= 2
            return
    raise AssertionError(f"more than {MOST_STEPS} steps")


@BOTH_MOMENTS
@pytest.mark.parametrize("size_bytes", [10, 6000])
@virtual
async def test_send(size_bytes: int, moment: Moment) -> None:
    """The whole item goes out or nothing, and the stream goes on."""
    for step in range(MOST_STEPS):
        async with Bench(latency=0.01) as bench:
            stream = await stream_to_peer(bench)
            cancelled = await cancel_at(stream.send(b"x" * size_bytes), step, moment)
            await stream.send(b"end")
            await stream.aclose()
            assert bytes(bench.peer.received) in {b"end", b"x" * size_bytes + b"end"}
        if not cancelled:
            assert step >= 1
            return
    raise AssertionError(f"more than {MOST_STEPS} steps")


@BOTH_MOMENTS
@virtual
async def test_aclose(moment: Moment) -> None:
    """The connect ID becomes free all the same, and nothing is sent twice or in parts."""
    for step in range(MOST_STEPS):
        async with Bench(latency=0.01) as bench:
            stream = await stream_to_peer(bench)
            await stream.send(b"x" * 2000)
            cancelled = await cancel_at(stream.aclose(), step, moment)
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()
            await anyio.sleep(2)
            assert bench.open_ids == []
            assert len(bench.peer.received) in {0, 1440, 2000}
        if not cancelled:
            assert step >= 1
            return
    raise AssertionError(f"more than {MOST_STEPS} steps")
