"""Modem: what has no test module of its own, over lines that cut and lose."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import running, virtual


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunk": 1},
        {"chunk": "random", "seed": 3},
        {"baud": 9600},
        {"latency": 0.3, "network_latency": 1.0, "send_time": 0.5},
        {"prompt": "crlf", "echo_data": True},
        {"rearm": "drained"},
        {"node_bytes": 1},
        {"node_bytes": 1024, "buffer_bytes": 1024, "buffer_nodes": 1},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
@virtual
async def test_every_line_carries_every_byte(options: dict[str, Any]) -> None:
    """Six connections at once, whatever the line and the module are like."""
    size = 300 if "node_bytes" in options else 4000
    async with Bench(**options) as bench:
        modem = await bench.open()
        chance = random.Random(1)

        async def exchange() -> None:
            data = chance.randbytes(size)
            reader, writer = await bench.streams(HOST, ECHO_PORT)
            writer.write(data)
            assert await reader.readexactly(size) == data
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(exchange() for _ in range(6)))
        assert bench.open_ids == []
        assert modem.statistics.recoveries == 0
        assert modem.statistics.opens == modem.statistics.closes == 6


@pytest.mark.parametrize("option", ["sock", "server_hostname", "family"])
@virtual
async def test_arguments_that_the_module_cannot_have(option: str) -> None:
    """A ValueError at once; nothing is sent."""
    values: dict[str, Any] = {"sock": object(), "server_hostname": "x", "family": 99}
    async with Bench() as bench:
        modem = await bench.open()
        bench.dialogue.clear()
        with pytest.raises(ValueError, match=option):
            await modem.create_connection(asyncio.Protocol, HOST, PORT, **{option: values[option]})
        assert bench.dialogue == []


@virtual
async def test_arguments_of_asyncio_that_mean_nothing_here() -> None:
    """They are accepted, so that calls can be left as they are."""
    async with Bench() as bench:
        await bench.streams(
            HOST,
            PORT,
            proto=6,
            flags=0,
            happy_eyeballs_delay=0.25,
            interleave=1,
            all_errors=True,
            local_addr=("0.0.0.0", 5000),
        )
        assert 'AT+QIOPEN=1,0,"TCP","220.18.39.22",8062,5000,0,0' in bench.commands


@virtual
async def test_host_as_bytes() -> None:
    """anyio and httpx pass hosts so."""
    async with Bench() as bench:
        modem = await bench.open()
        _, writer = await modem.open_connection(HOST.encode(), PORT)
        assert writer.get_extra_info("peername") == (HOST, PORT)
        writer.close()
        await writer.wait_closed()


@virtual
async def test_fair_turns() -> None:
    """A connection in full flow delays commands and other connections only a little."""
    async with Bench(latency=0.02) as bench:
        modem = await bench.open()
        (busy, _), flood = await bench.connect()
        reader, writer = await bench.streams(HOST, ECHO_PORT)
        flood.send(bytes(400_000))
        flowing = asyncio.create_task(busy.readexactly(400_000))
        slowest = 0.0
        for _ in range(20):
            began = running().now
            await modem.command("AT+CSQ")
            writer.write(b"ping")
            await reader.readexactly(4)
            slowest = max(slowest, running().now - began)
        assert not flowing.done()
        assert slowest < 0.5
        await flowing


@virtual
async def test_two_modems_in_one_program() -> None:
    """They share nothing."""
    async with Bench() as first, Bench() as second:
        await first.streams(HOST, PORT)
        await second.streams(HOST, PORT)
        first.virtual.reset()
        await asyncio.sleep(1)
        assert second.open_ids == [0]
        with pytest.raises(aiobc9x.ModuleReset):
            await first.opened[0][0].read()
        second.opened[0][1].write(b"x")
        await asyncio.sleep(1)
        assert second.peer.received == b"x"


OPEN_BY_HAND = f'AT+QIOPEN=1,4,"TCP","{HOST}",{PORT},0,0,0'


@virtual
async def test_socket_of_a_command_is_closed_too() -> None:
    """Closing the modem leaves nothing open on the module."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.command(OPEN_BY_HAND)
        await asyncio.sleep(1)
        assert bench.open_ids == [4]
        await modem.aclose()
        assert bench.open_ids == []


@virtual
async def test_close_that_the_module_hinders() -> None:
    """Closing raises nothing, or it would hide the exception that led to it."""
    async with Bench() as bench:
        modem = await bench.open()
        await modem.command(OPEN_BY_HAND)
        await asyncio.sleep(1)
        bench.add_fault(Fault(FaultKind.ERROR, on="AT+QISTATE", times=None))
        await modem.aclose()
        assert "closed" in repr(modem)


@pytest.mark.parametrize("unsent", [0, 10, 3000, 50_000])
@pytest.mark.parametrize("latency", [0.02, 0.3, 0.6, 1.0, 1.5])
@virtual
async def test_close_of_a_slow_module_leaves_nothing_open(latency: float, unsent: int) -> None:
    """What can't be sent in time is dropped in time: an open socket costs the module more."""
    async with Bench(latency=latency) as bench:
        modem = await bench.open()
        writers = [(await bench.streams(HOST, PORT))[1] for _ in range(6)]
        for writer in writers:
            writer.write(bytes(unsent))
        began = running().now
        await modem.aclose()
        assert bench.open_ids == []
        assert running().now - began < 15
        if latency <= 0.3 and unsent <= 3000:
            assert modem.statistics.payload_bytes_sent == 6 * unsent


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
@virtual
async def test_a_command_needs_time(timeout: float) -> None:
    """An answer in no time can't be: the argument is wrong, and nothing is sent."""
    async with Bench() as bench:
        modem = await bench.open()
        commands = len(bench.commands)
        with pytest.raises(ValueError, match="timeout is"):
            await modem.command("AT", timeout=timeout)
        assert len(bench.commands) == commands
