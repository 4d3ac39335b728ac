"""ModemPool: a call leaves a modem that falters in its middle, if another one could do it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from aiobc9x import LinkTimeout, ModemPool, ModemState
from aiobc9x.aio.reconnecting import FALTERS_S
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.options import Host
from tests.support.bench import ECHO_PORT, HOST, LISTEN_PORT, NAME, PORT, Bench, driver_of
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder
from tests.test_pool import KEPT, connected, modem_of, pooled, ready

A_SECOND_MORE = FALTERS_S + 1.0


class Eager(asyncio.Protocol):
    """Sends a request as soon as it is connected."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        KEPT.append((self, transport))
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"pay 100")


CALLS: Final[dict[str, Callable[[ModemPool], Awaitable[Any]]]] = {
    "open_connection": connected,
    "create_connection": lambda pool: pool.create_connection(asyncio.Protocol, HOST, PORT),
    "create_datagram_endpoint": lambda pool: pool.create_datagram_endpoint(
        DatagramRecorder, remote_addr=(HOST, PORT)
    ),
    "create_server": lambda pool: pool.create_server(asyncio.Protocol, port=LISTEN_PORT),
    "resolve": lambda pool: pool.resolve(NAME),
    "ping": lambda pool: pool.ping(HOST, count=1),
}


@pytest.mark.parametrize("name", CALLS)
@virtual
async def test_a_module_that_falls_silent(name: str) -> None:
    """The call goes on elsewhere after three seconds, and later ones go there at once."""
    a, b = (Bench(hosts={NAME: Host((HOST,))}) for _ in range(2))
    async with pooled(a, b) as pool:
        await ready(pool)
        a.silence(True)
        began = running().time()
        await CALLS[name](pool)
        assert FALTERS_S <= running().time() - began < A_SECOND_MORE
        for _ in range(3):
            began = running().time()
            assert modem_of(await connected(pool)) is pool.modems[1]
            assert running().time() - began < 1


@virtual
async def test_a_call_that_waits_for_a_line_out_of_step() -> None:
    """It doesn't wait for the end of the repair, which takes half a minute here."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await ready(pool)
        await asyncio.gather(*(connected(pool) for _ in range(2)))  # one on each
        a.silence(True)
        other = asyncio.create_task(pool.modems[0].command("AT+CSQ"))
        await asyncio.sleep(FALTERS_S - 0.6)
        call = asyncio.create_task(connected(pool))  # on the first one, behind that command
        await asyncio.sleep(0.1)
        assert pool._members[0].calls == 1
        began = running().time()
        assert modem_of(await call) is pool.modems[1]
        assert running().time() - began < 1.5
        with pytest.raises(LinkTimeout):
            await other


@virtual
async def test_a_line_that_gets_out_of_step() -> None:
    """The modem says so itself, so nothing is waited for."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await ready(pool)
        call = asyncio.create_task(pool.ping(HOST, count=4, timeout=30))
        await asyncio.sleep(0.05)
        assert pool._members[0].calls == 1
        driver = driver_of(pool.modems[0])
        a.silence(True)
        driver.dispatch(driver.session.feed(b"\r\nERROR\r\n", driver.time()))
        assert pool.modems[0].state is ModemState.RECOVERING
        began = running().time()
        assert (await call).received == 4
        assert running().time() - began < 5
        assert any(line.startswith("AT+QPING") for line in b.commands)


@virtual
async def test_a_modem_without_an_alternative_is_not_left() -> None:
    """A module that is slow, and no more than that, does the call in the end."""
    a, b = Bench(), Bench(register_time=1e6)
    async with pooled(a, b) as pool:
        await pool.modems[0].wait_ready()
        a.add_fault(Fault(FaultKind.DELAY_LINE, on="OK", delay_s=7))
        began = running().time()
        assert modem_of(await connected(pool)) is pool.modems[0]
        assert running().time() - began > 7


@virtual
async def test_an_alternative_that_comes_meanwhile() -> None:
    """It is taken at once."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await pool.modems[0].wait_ready()
        await ready(pool)
        b.cut()
        await asyncio.sleep(0)
        a.silence(True)
        began = running().time()
        assert modem_of(await connected(pool)) is pool.modems[1]
        assert b.openings == 2
        assert running().time() - began < 9  # less than the silent one's own limit


@virtual
async def test_the_one_that_was_left_is_tried_again() -> None:
    """If all others fail, and it takes commands by then."""
    gone = Fault(FaultKind.REPLACE_LINE, on="+QIOPEN:", data=b"+QIOPEN: 0,561")
    a, b = Bench(), Bench(gone, network_latency=30)
    async with pooled(a, b) as pool:
        await ready(pool)
        a.silence(True)
        asyncio.get_running_loop().call_later(5, a.silence, False)
        assert modem_of(await connected(pool)) is pool.modems[0]
        assert any(line.startswith("AT+QIOPEN") for line in b.commands)


@virtual
async def test_nothing_is_sent_twice() -> None:
    """A protocol is connected once; what a connection was given is not given to another."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await ready(pool)
        Eager.made = 0
        a.silence(True)
        transport, _ = await pool.create_connection(Eager, HOST, PORT)
        assert transport.get_extra_info("modem") is pool.modems[1]
        await asyncio.sleep(1)
        b.silence(True)  # its answers are lost from here on
        transport.write(b"pay 200")
        await asyncio.sleep(200)
        a.silence(False)
        b.silence(False)
        await asyncio.gather(*(each.available(300) for each in pool.modems))
        assert Eager.made == 1
        sent = [bytes(peer.received) for bench in (a, b) for peer in bench.network.peers]
        assert sent == [b"pay 100"]


@virtual
async def test_the_timeout_is_the_whole_calls() -> None:
    """Also of one that has left a modem."""
    a, b = Bench(), Bench(network_latency=1e4)
    async with pooled(a, b) as pool:
        await ready(pool)
        a.silence(True)
        began = running().time()
        with pytest.raises(TimeoutError, match="connecting"):
            await connected(pool, timeout=10)
        assert running().time() - began == pytest.approx(10)


@virtual
async def test_cancelled_while_it_leaves() -> None:
    """At whatever moment: the cancellation passes, and nothing is left on either module."""
    for step in range(40):
        a, b = Bench(network_latency=0.3), Bench(network_latency=0.3)
        async with pooled(a, b) as pool:
            await ready(pool)
            a.silence(True)
            call = asyncio.create_task(connected(pool))
            await asyncio.sleep(FALTERS_S - 0.1 + 0.03 * step)
            call.cancel()
            if await is_cancelled(call):
                await asyncio.sleep(60)
                assert b.open_ids == []
            a.silence(False)
            assert [each.calls for each in pool._members] == [0, 0]
            assert not pool._changes._listeners


async def is_cancelled(call: asyncio.Task[Any]) -> bool:
    await asyncio.wait([call])
    return call.cancelled()


@virtual
async def test_existing_programs() -> None:
    """asyncio's own calls have the same."""
    a, b = Bench(), Bench()
    async with pooled(a, b) as pool:
        await ready(pool)
        a.silence(True)
        began = running().time()
        with pool.installed():
            reader, writer = await asyncio.open_connection(HOST, ECHO_PORT)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert running().time() - began < A_SECOND_MORE
        writer.close()


NO_REQUESTS = {"aclose", "installed", "serve_proxy", "modems", "usage"}


def test_a_pool_watches_every_call() -> None:
    """Calls that open or ask something are all of the kind that may be repeated."""
    assert CALLS.keys() | {"start_server"} == {
        name for name in vars(ModemPool) if not name.startswith("_") and name not in NO_REQUESTS
    }


class Trouble:
    """Breaks one of two modules at a time, in every way that there is, and heals it again."""

    def __init__(self, benches: tuple[Bench, Bench], seed: int) -> None:
        self._benches, self._random = benches, random.Random(seed)
        self.kinds: set[str] = set()

    async def make(self) -> None:
        """Go on until cancelled."""
        while True:
            bench = self._random.choice(self._benches)
            kind = self._random.choice(["silent", "unplugged", "no network", "reset", "deaf"])
            self.kinds.add(kind)
            self._break(bench, kind)
            await asyncio.sleep(self._random.uniform(20, 200))
            self._heal(bench, kind)
            await asyncio.sleep(120)  # until it is back, so that it is only one at a time

    def _break(self, bench: Bench, kind: str) -> None:
        match kind:
            case "silent":
                bench.silence(True)
            case "unplugged":
                bench.is_plugged_in = False
                bench.cut()
            case "no network":
                bench.virtual.set_coverage(False)
            case "reset":
                bench.add_fault(Fault(FaultKind.RESET, on="AT"))
            case _:
                bench.add_fault(Fault(FaultKind.SILENCE, on="AT", delay_s=60))

    def _heal(self, bench: Bench, kind: str) -> None:
        bench.is_plugged_in = True
        if kind == "silent":
            bench.silence(False)
        elif kind == "no network":
            bench.virtual.set_coverage(True)


@pytest.mark.parametrize("seed", range(2))
@virtual
async def test_one_dead_modem_never_stops_it(seed: int) -> None:
    """Whatever happens to either of two: no call fails, and none takes long."""
    a, b = Bench(network_latency=0.5), Bench(network_latency=0.5)
    async with pooled(a, b) as pool:
        await ready(pool)
        trouble = Trouble((a, b), seed)
        making = asyncio.create_task(trouble.make())
        longest, calls = 0.0, 0
        end = running().time() + 6000
        while running().time() < end:
            began = running().time()
            writer = await connected(pool)
            longest, calls = max(longest, running().time() - began), calls + 1
            writer.close()
            KEPT.clear()
            await asyncio.sleep(2.9)
        making.cancel()
        await asyncio.wait([making])
        for bench in (a, b):
            bench.silence(False)
        assert len(trouble.kinds) == 5
        assert calls > 1000
        assert longest < FALTERS_S + 2.0
