"""Redirection: which code goes through which modem, and for how long."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiobc9x
from aiobc9x.errors import LinkLost
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import run, virtual
from tests.support.ordinary import METHODS, Ordinary, nothing_leaves

TCP = "create_connection"


async def way() -> Any:
    """Connect, and say by which way: a modem, or the text of the stand-in (hence ``Any``)."""
    loop = asyncio.get_running_loop()
    made: Any = await loop.create_connection(asyncio.Protocol, HOST, PORT)
    if isinstance(made, str):
        return "ordinary"
    transport: asyncio.Transport = made[0]
    transport.close()
    return transport.get_extra_info("modem")


@asynccontextmanager
async def two_modems() -> AsyncIterator[tuple[aiobc9x.Modem, aiobc9x.Modem]]:
    """Two modules, each with its modem."""
    async with Bench() as one, Bench() as other:
        yield await one.open(), await other.open()


class TestContexts:
    """Each task has its own way."""

    @virtual
    async def test_inside_and_outside(self) -> None:
        """Inside the block is the modem's, before and behind it the loop's own."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            assert await way() == "ordinary"
            with modem.installed() as given, nothing_leaves():
                assert given is modem
                assert await way() is modem
            assert await way() == "ordinary"
            assert ordinary.names == [TCP, TCP]

    @virtual
    async def test_tasks_keep_their_own(self) -> None:
        """A task made before stays outside, one made inside goes by the modem, side by side."""
        async with Bench() as bench:
            modem, _ = await bench.open(), Ordinary()
            entered = asyncio.Event()

            async def later() -> Any:
                await entered.wait()
                return await way()

            outside = asyncio.create_task(later())
            with modem.installed():
                inside = asyncio.create_task(later())
                entered.set()
                assert [await outside, await inside] == ["ordinary", modem]

    @virtual
    async def test_two_modems_at_once(self) -> None:
        """Two tasks use two modems on one loop."""
        async with two_modems() as (one, other):

            async def by(modem: aiobc9x.Modem) -> bool:
                with modem.installed():
                    await asyncio.sleep(0)
                    return await way() is modem

            assert await asyncio.gather(*(by(each) for each in (one, other) * 3)) == [True] * 6

    @virtual
    async def test_nested(self) -> None:
        """The inner block counts, then the outer one again."""
        async with two_modems() as (one, other):
            Ordinary()
            again = one.installed()
            with again:
                with other.installed():
                    assert await way() is other
                    with again:
                        assert await way() is one
                    assert await way() is other
                assert await way() is one
            assert await way() == "ordinary"

    @virtual
    async def test_left_in_another_order(self) -> None:
        """A block that is left takes its own way out, whichever was entered first."""
        async with two_modems() as (one, other):
            Ordinary()
            first, second = one.installed(), other.installed()
            first.__enter__()
            second.__enter__()
            first.__exit__(None, None, None)
            assert await way() is other
            second.__exit__(None, None, None)
            assert await way() == "ordinary"

    @virtual
    async def test_entered_again(self) -> None:
        """One context manager may be used again, also inside itself."""
        async with Bench() as bench:
            modem, _ = await bench.open(), Ordinary()
            installed = modem.installed()
            with installed, installed:
                assert await way() is modem
            assert await way() == "ordinary"
            with installed:
                assert await way() is modem
            assert await way() == "ordinary"

    @virtual
    async def test_left_by_an_exception(self) -> None:
        """An exception goes through, and the way ends."""
        async with Bench() as bench:
            modem, _ = await bench.open(), Ordinary()
            with pytest.raises(KeyError), modem.installed():
                raise KeyError
            assert await way() == "ordinary"

    @virtual
    async def test_left_in_another_task(self) -> None:
        """Leaving elsewhere than where it was entered is no error; a fixture may do so."""
        async with Bench() as bench:
            modem, _ = await bench.open(), Ordinary()
            installed = modem.installed()

            async def leave() -> Any:
                installed.__exit__(None, None, None)
                return await way()

            before = asyncio.create_task(leave())  # has never seen it
            installed.__enter__()
            inherited = asyncio.create_task(leave())
            assert [await before, await inherited] == ["ordinary", "ordinary"]
            assert await way() is modem  # here it was not left
            installed.__exit__(None, None, None)
            assert await way() == "ordinary"

    @virtual
    async def test_an_async_generator_holds_it(self) -> None:
        """A generator that is a fixture gives its way to whoever runs in its context."""
        async with Bench() as bench:
            modem, _ = await bench.open(), Ordinary()

            async def fixture() -> AsyncIterator[None]:
                with modem.installed():
                    yield

            async def step() -> None:
                await anext(generator, None)

            context, loop = contextvars.copy_context(), asyncio.get_running_loop()
            generator = fixture()
            await loop.create_task(step(), context=context)
            assert await loop.create_task(way(), context=context) is modem
            await loop.create_task(step(), context=context)
            assert await loop.create_task(way(), context=context) == "ordinary"


class TestAfterwards:
    """What was started inside keeps its way."""

    @virtual
    async def test_a_task_goes_on_by_the_modem(self) -> None:
        """A late connection of an inherited task goes through the modem while it is open."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            left = asyncio.Event()

            async def late() -> Any:
                await left.wait()
                return await way()

            with modem.installed():
                task = asyncio.create_task(late())
            left.set()
            assert await task is modem
            assert ordinary.calls == []

    @virtual
    async def test_a_closed_modem_is_an_error(self) -> None:
        """Once the modem is closed, an inherited task fails; it takes no other way."""
        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            closed = asyncio.Event()
            loop = asyncio.get_running_loop()

            async def late() -> None:
                await closed.wait()
                with pytest.raises(LinkLost):
                    await way()
                with pytest.raises(LinkLost):
                    await loop.getaddrinfo("server.example", 80)
                with pytest.raises(LinkLost):
                    await loop.create_server(asyncio.Protocol, None, 80)
                with pytest.raises(LinkLost):
                    await loop.create_datagram_endpoint(
                        asyncio.DatagramProtocol, remote_addr=(HOST, 53)
                    )

            with modem.installed(), nothing_leaves():
                task = asyncio.create_task(late())
                await modem.aclose()
            closed.set()
            await task
            assert ordinary.calls == []

    @virtual
    async def test_reconnects_stay_on_the_modem(self) -> None:
        """What connection_lost() starts goes through the modem, also behind the block."""
        again: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        class Reconnecting(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                task = asyncio.get_running_loop().create_task(way())
                task.add_done_callback(lambda done: again.set_result(done.result()))

        async with Bench() as bench:
            modem, ordinary = await bench.open(), Ordinary()
            with modem.installed():
                await asyncio.get_running_loop().create_connection(Reconnecting, HOST, PORT)
            bench.peer.close()
            assert await again is modem
            assert ordinary.calls == []


class TestTheLoop:
    """What redirection does to the loop itself."""

    @virtual
    async def test_methods_keep_their_looks(self) -> None:
        """Wrapped methods are coroutine functions by the same names."""
        loop = asyncio.get_running_loop()
        before = {name: getattr(loop, name) for name in METHODS}
        async with Bench() as bench:
            with (await bench.open()).installed():
                pass
        for name, method in before.items():
            wrapped = getattr(loop, name)
            assert inspect.iscoroutinefunction(wrapped) is inspect.iscoroutinefunction(method)
            assert wrapped.__name__ == name
            assert wrapped.__doc__ == method.__doc__

    @virtual
    async def test_methods_are_wrapped_once(self) -> None:
        """However often it is installed, a call goes through one wrapper."""
        loop = asyncio.get_running_loop()
        async with two_modems() as (one, other):
            with one.installed():
                first = {name: getattr(loop, name) for name in METHODS}
                with other.installed(strict=True), one.installed(strict=True):
                    pass
            assert {name: getattr(loop, name) for name in METHODS} == first

    @virtual
    async def test_a_wrapper_of_somebody_else_stays(self) -> None:
        """What another library put on the loop is called beyond the block, and routed inside."""
        async with Bench() as bench:
            modem = await bench.open()
            with modem.installed():
                pass
            ordinary = Ordinary()  # takes the place of our wrappers too
            assert await way() == "ordinary"
            with modem.installed():
                assert await way() is modem
            assert ordinary.names == [TCP]

    @virtual
    async def test_strict_wrappers_come_with_strict(self) -> None:
        """Without ``strict`` the loop's busier methods are left alone."""
        loop = asyncio.get_running_loop()
        async with Bench() as bench:
            modem = await bench.open()
            with modem.installed():
                assert {"add_reader", "run_in_executor", "sock_sendall"}.isdisjoint(vars(loop))
            with modem.installed(strict=True):
                assert {"add_reader", "run_in_executor", "sock_sendall"} <= vars(loop).keys()


class TestMisuse:
    """Loops that don't fit."""

    def test_without_a_loop(self) -> None:
        """Entering outside a running loop is an error that says where to."""

        async def opened() -> Any:
            async with Bench() as bench:
                return (await bench.open()).installed()

        installed = run(opened())
        with pytest.raises(RuntimeError, match="enter it inside an async function"):
            installed.__enter__()

    def test_in_another_loop(self) -> None:
        """A modem serves the loop that it was opened in."""

        async def opened() -> Any:
            async with Bench() as bench:
                return (await bench.open()).installed()

        async def enter(installed: Any) -> None:
            with pytest.raises(RuntimeError, match="open the modem in this one"):
                installed.__enter__()

        run(enter(run(opened())))

    def test_a_context_from_another_loop(self) -> None:
        """A context that was routed on another loop fails here; it takes no other way."""

        async def inside() -> contextvars.Context:
            async with Bench() as bench:
                with (await bench.open()).installed():
                    return contextvars.copy_context()

        async def use(context: contextvars.Context) -> None:
            async with Bench() as bench:
                modem, ordinary = await bench.open(), Ordinary()
                with modem.installed():
                    pass
                task = asyncio.get_running_loop().create_task(way(), context=context)
                with pytest.raises(RuntimeError, match="belongs to another event loop"):
                    await task
                assert ordinary.calls == []

        run(use(run(inside())))

    @virtual
    async def test_bad_bypass(self) -> None:
        """What can't be read as a host is refused at the call."""
        async with Bench() as bench:
            modem = await bench.open()
            with pytest.raises(TypeError, match="several entries"):
                modem.installed(bypass="localhost")
            with pytest.raises(ValueError, match="does not appear to be"):
                modem.installed(bypass=("10.0.0.0/99",))
            with pytest.raises(ValueError, match="empty name"):
                modem.installed(bypass=("",))
            with pytest.raises(TypeError, match="names, addresses and networks"):
                modem.installed(bypass=(b"localhost",))  # type: ignore[arg-type]  # on purpose


def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say hello and hang up."""
    writer.write(b"hello")
    writer.close()


@virtual
async def test_streams_and_servers_of_asyncio_follow() -> None:
    """asyncio's own functions call the loop, so they need no other change."""
    async with Bench() as bench:
        with (await bench.open()).installed(), nothing_leaves():
            reader, writer = await asyncio.open_connection(HOST, ECHO_PORT)
            writer.write(b"there and back")
            assert await reader.readexactly(14) == b"there and back"
            writer.close()
            await writer.wait_closed()
            async with await asyncio.start_server(greet, port=8000):
                peer = bench.network.dial(8000)
                assert peer is not None
                await asyncio.sleep(1)
                assert peer.received == b"hello"
