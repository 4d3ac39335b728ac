"""Cancelling any public call at any await leaves the line in step and leaks nothing.

Every call is cancelled at its first step, then, in a new run, at its second, and so on
until it ends before the cancellation comes: while it waits, and in the moment in which
what it waits for has come. The table of the calls is in ``calls.py`` beside this, and
``cancellation.py`` cancels them while something goes wrong. Some calls have more to be
looked at; those are here.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.options import Host
from tests.aio.calls import CALLS, public_calls
from tests.aio.cancellation import every_step, sample
from tests.support.bench import (
    ADDRESS,
    ECHO_PORT,
    HOST,
    NAME,
    PORT,
    Bench,
    Plug,
    echoed,
    left_waiting,
    plugged_in,
)
from tests.support.cancelling import BOTH_MOMENTS, Moment, cancel_at
from tests.support.clock import no_task_left, other_tasks, take_errors, virtual

MOST_STEPS = 300


async def is_in_step(bench: Bench, modem: aiobc9x.Modem) -> None:
    """Show that answers belong to their commands and that data gets through."""
    assert await modem.command("AT+CGMM") == ["BC65"]
    assert await modem.command("AT+CFUN?") == ["+CFUN: 1"]
    await echoed(modem)
    assert modem.statistics.recoveries == 0


async def try_every_step(
    call: Callable[[Bench, aiobc9x.Modem], Coroutine[Any, Any, object]],
    moment: Moment,
    *,
    prepare: Callable[[Bench, aiobc9x.Modem], Awaitable[object]] | None = None,
    least: int,
    **options: Any,
) -> None:
    """Cancel ``call`` at each of its steps, on a new modem each time."""
    for step in range(MOST_STEPS):
        async with Bench(hosts={NAME: Host((HOST,))}, latency=0.01, **options) as bench:
            modem = await bench.open()
            before = other_tasks()
            if prepare is not None:
                await prepare(bench, modem)
            cancelled = await cancel_at(call(bench, modem), step, moment)
            await check(bench, modem, before)
        if not cancelled:
            assert step >= least, "the call has fewer steps than it should have"
            return
    raise AssertionError(f"the call has more than {MOST_STEPS} steps")


async def check(bench: Bench, modem: aiobc9x.Modem, before: set[asyncio.Task[Any]]) -> None:
    """Show that a cancelled call has left nothing behind."""
    await is_in_step(bench, modem)
    for _, writer in bench.opened:
        writer.close()
    await asyncio.sleep(45)  # whatever was under way, open_time included, has ended
    assert bench.open_ids == [], "a connect ID is left on the module"
    assert left_waiting(bench.driver) == []
    await no_task_left(before)
    assert take_errors() == []


SEED = 0 if "CI" in os.environ else random.randrange(10**6)
"""Of the samples; a failure says how to do the same run again, which no seed changes."""

SHARE = 0.4
"""How many of the troubles a sample has."""


def test_no_call_is_left_out() -> None:
    """Every public call that waits has a row in the table."""
    assert public_calls() == CALLS.keys()


@BOTH_MOMENTS
@pytest.mark.parametrize("name", CALLS)
def test_call(name: str, moment: Moment) -> None:
    """Where nothing goes wrong, at each step."""
    every_step(name, "none", moment)


@pytest.mark.parametrize("name", CALLS)
def test_call_in_trouble(name: str) -> None:
    """Whatever goes wrong meanwhile, the same modem does a fresh round trip; a sample of it."""
    for trouble, moment, steps in sample(name, SEED, SHARE):
        every_step(name, trouble, moment, steps)


@BOTH_MOMENTS
@virtual
async def test_command_in_a_queue(moment: Moment) -> None:
    """One that waits for others is withdrawn; theirs are not disturbed."""
    others: list[asyncio.Task[list[str]]] = []

    async def queue(_: Bench, modem: aiobc9x.Modem) -> None:
        others[:] = [asyncio.create_task(modem.command("AT+CIMI")) for _ in range(3)]
        await asyncio.sleep(0)

    async def call(_: Bench, modem: aiobc9x.Modem) -> None:
        await modem.command("AT+CGATT?")

    await try_every_step(call, moment, prepare=queue, least=1)
    assert all(task.result() == ["460001234567890"] for task in others)


@BOTH_MOMENTS
@virtual
async def test_command_that_is_refused(moment: Moment) -> None:
    """The question for the reason belongs to the exchange."""

    async def call(_: Bench, modem: aiobc9x.Modem) -> None:
        with pytest.raises(aiobc9x.CommandError):
            await modem.command("AT+QICLOSE=5")

    await try_every_step(call, moment, least=1)


@BOTH_MOMENTS
@pytest.mark.parametrize("host", [HOST, NAME])
@virtual
async def test_open_connection(moment: Moment, host: str) -> None:
    """By address and by name; a connection that was opened all the same is closed."""
    await try_every_step(
        lambda bench, _: bench.streams(host, PORT), moment, least=5, network_latency=0.1
    )


@BOTH_MOMENTS
@virtual
async def test_create_connection_that_is_refused(moment: Moment) -> None:
    """A failed open leaves an ID that must be closed, too."""

    async def call(_: Bench, modem: aiobc9x.Modem) -> None:
        with pytest.raises(ConnectionRefusedError):
            await modem.create_connection(asyncio.Protocol, HOST, 1)

    await try_every_step(call, moment, least=5)


@BOTH_MOMENTS
@virtual
async def test_open_connection_with_a_handshake(moment: Moment) -> None:
    """A peer that never answers the handshake: the socket is aborted."""

    async def call(_: Bench, modem: aiobc9x.Modem) -> None:
        with pytest.raises(TimeoutError):
            await modem.open_connection(HOST, PORT, ssl=ssl.create_default_context(), timeout=30)

    await try_every_step(call, moment, least=6)


@BOTH_MOMENTS
@virtual
async def test_seventh_connection(moment: Moment) -> None:
    """One that waits for an ID takes none when it is cancelled."""

    async def fill(bench: Bench, _: aiobc9x.Modem) -> None:
        for _turn in range(6):
            await bench.streams(HOST, PORT)
        bench.opened[0][1].close()

    async def call(bench: Bench, _modem: aiobc9x.Modem) -> None:
        await bench.streams(HOST, PORT)

    # Six are open: the dialogue of the check needs a free one.
    async def free_some(bench: Bench, modem: aiobc9x.Modem) -> None:
        try:
            await call(bench, modem)
        finally:
            for _, writer in bench.opened:
                writer.close()

    await try_every_step(free_some, moment, prepare=fill, least=2, close_time=2.0)


async def connected(bench: Bench, _: aiobc9x.Modem) -> None:
    """Open a connection to an echo server."""
    await bench.streams(HOST, ECHO_PORT)


@BOTH_MOMENTS
@virtual
async def test_drain(moment: Moment) -> None:
    """What was written goes out, whether or not somebody waits."""
    received: list[int] = []

    async def call(bench: Bench, _modem: aiobc9x.Modem) -> None:
        _, writer = bench.opened[0]
        writer.write(bytes(9000))
        try:
            await writer.drain()
        finally:
            await asyncio.sleep(5)
            received.append(len(bench.network.peers[0].received))

    await try_every_step(call, moment, prepare=connected, least=1, send_time=0.2)
    assert set(received) == {9000}


@BOTH_MOMENTS
@virtual
async def test_wait_closed(moment: Moment) -> None:
    """The close goes on."""

    async def call(bench: Bench, _modem: aiobc9x.Modem) -> None:
        _, writer = bench.opened[0]
        writer.close()
        await writer.wait_closed()

    await try_every_step(call, moment, prepare=connected, least=1, close_time=1.0)


@BOTH_MOMENTS
@virtual
async def test_read(moment: Moment) -> None:
    """No byte is lost to a read that was cancelled."""

    async def call(bench: Bench, _modem: aiobc9x.Modem) -> None:
        reader, _ = bench.opened[0]
        peer = bench.network.peers[0]
        peer.send(b"0123456789")
        got = b""
        try:
            while len(got) < 10:
                got += await reader.read(3)
        finally:
            while len(got) < 10:
                got += await reader.read(3)
            assert got == b"0123456789"

    await try_every_step(call, moment, prepare=connected, least=1)


@BOTH_MOMENTS
@virtual
async def test_open_modem(moment: Moment) -> None:
    """Whatever step of start-up: nothing of ours is left, and the next start succeeds."""

    async def call(bench: Bench) -> None:
        with plugged_in(lambda _: Plug(bench)):
            modem = await aiobc9x.open_modem(ADDRESS)
        await modem.aclose()

    for step in range(MOST_STEPS):
        async with Bench(latency=0.01, close_time=0.5) as bench:
            bench.earlier_program(f'AT+QIOPEN=1,3,"TCP","{HOST}",{PORT},0,1,0')
            before = other_tasks()
            cancelled = await cancel_at(call(bench), step, moment)
            await no_task_left(before)
            assert bench.line is None or bench.line.is_closing()
            await is_in_step(bench, await bench.open())
            assert take_errors() == []
        if not cancelled:
            assert step > 25
            return
    raise AssertionError(f"open_modem() has more than {MOST_STEPS} steps")


@BOTH_MOMENTS
@virtual
async def test_aclose(moment: Moment) -> None:
    """It goes on in the background, and a second call waits for its end."""
    for step in range(MOST_STEPS):
        async with Bench(latency=0.01, close_time=1.0) as bench:
            before = other_tasks()
            modem = await bench.open()
            await bench.streams(HOST, PORT)
            writer = bench.opened[0][1]
            writer.write(bytes(3000))
            cancelled = await cancel_at(modem.aclose(), step, moment)
            await modem.aclose()
            assert bench.open_ids == []
            assert len(bench.network.peers[0].received) == 3000
            await no_task_left(before)
            assert bench.line is not None
            assert bench.line.is_closing()
        if not cancelled:
            assert step >= 1
            return
