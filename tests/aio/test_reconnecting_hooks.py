"""What a program hands to ``Reconnect`` and ``open_modem()`` can't stop a modem's way back.

The reset hook and ``create`` are other people's code: they may raise, hang, be cancelled from
inside, ignore their own cancellation, and call the modem that waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import aiobc9x
from aiobc9x import LinkLost, ModemState, Reconnect
from tests.support.bench import Bench, echoed
from tests.support.clock import running, virtual


async def raises(_modem: aiobc9x.Modem) -> None:
    """A hook that fails."""
    raise ZeroDivisionError("no such pin")


async def hangs(_modem: aiobc9x.Modem) -> None:
    """A hook that never returns."""
    await asyncio.sleep(1e6)


async def is_cancelled(_modem: aiobc9x.Modem) -> None:
    """A hook whose own task is cancelled."""
    waits = asyncio.get_running_loop().create_future()
    waits.cancel()
    await waits


async def asks(modem: aiobc9x.Modem) -> None:
    """A hook that sends a command, for whose answer it would wait for ever."""
    await modem.command("AT+QRST=1")


async def waits(modem: aiobc9x.Modem) -> None:
    """A hook that waits for what comes behind it."""
    await modem.available()


def returns_at_once(_modem: aiobc9x.Modem) -> Any:  # as a type checker would not have it
    """A hook that is no coroutine function."""


HOOKS: dict[str, tuple[Any, type[Exception], str]] = {
    "raises": (raises, ZeroDivisionError, "no such pin"),
    "hangs": (hangs, TimeoutError, "it did not end in 60 s"),
    "is cancelled": (is_cancelled, RuntimeError, "it was cancelled from inside"),
    "asks": (asks, LinkLost, "the reset hook can't send commands"),
    "waits": (waits, TimeoutError, "it did not end in 60 s"),
    "returns at once": (returns_at_once, TypeError, "reset must be an async callable"),
}
"""Hooks that do what they should not, and what is reported."""


async def wedge(bench: Bench, modem: aiobc9x.Modem) -> None:
    """Have the module hear nothing any more, and the modem notice."""
    bench.silence(True)
    with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
        await modem.command("AT+CSQ")


class TestHook:
    """The reset hook of a module that hears nothing."""

    @pytest.mark.parametrize("fault", HOOKS)
    @virtual
    async def test_a_hook_that_fails(self, fault: str) -> None:
        """It is bounded, logged, reported and counted, and the ladder goes on."""
        async with Bench() as bench:
            seen: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _loop, c: seen.append(c))
            hook, error, text = HOOKS[fault]
            modem = await bench.open_lasting(reconnect=Reconnect(reset=hook))
            await wedge(bench, modem)
            await asyncio.sleep(1000)
            assert modem.statistics.reset_hooks == 6
            assert {type(each["exception"]) for each in seen} == {error}
            assert len(seen) == 6
            assert text in str(seen[0]["exception"])
            bench.silence(False)
            await modem.available(timeout=60)
            await echoed(modem)

    @virtual
    async def test_a_hook_that_ignores_its_end(self) -> None:
        """It is left behind, and not called again while that call runs."""
        async with Bench() as bench:
            seen: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _loop, c: seen.append(c))
            may_end = asyncio.Event()

            async def reset(_modem: aiobc9x.Modem) -> None:
                while not may_end.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await may_end.wait()

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            await wedge(bench, modem)
            await asyncio.sleep(1000)
            assert [str(each["exception"]) for each in seen] == [
                "it did not end in 60 s, and ignores its cancellation"
            ]
            assert modem.statistics.reset_hooks == 1
            may_end.set()
            await asyncio.sleep(300)
            assert modem.statistics.reset_hooks > 1  # it ended by itself, and may be called again
            may_end.clear()
            await asyncio.sleep(60)
            began = running().now
            await modem.aclose()
            assert running().now - began < 5.0
            may_end.set()

    @pytest.mark.parametrize("after", ["itself", "outside"])
    @virtual
    async def test_closing_it_while_the_hook_runs(self, after: str) -> None:
        """The hook is cancelled, also if it is what closes the modem; nothing is reported."""
        async with Bench() as bench:
            called, ended = asyncio.Event(), asyncio.Event()

            async def reset(modem: aiobc9x.Modem) -> None:
                called.set()
                try:
                    await (modem.aclose() if after == "itself" else asyncio.sleep(1e6))
                finally:
                    ended.set()

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            await wedge(bench, modem)
            await called.wait()
            began = running().now
            await modem.aclose()
            assert running().now - began < 5.0
            assert ended.is_set()
            assert str(modem.state) == "ModemState.CLOSED"


class TestCreate:
    """The callable that opens the byte stream."""

    @virtual
    async def test_what_create_raises(self) -> None:
        """It is a user's: reported to the loop, and tried again."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            seen: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _loop, c: seen.append(c))
            bench.refusal = ZeroDivisionError()
            bench.cut()
            await asyncio.sleep(10)
            bench.refusal = None
            await modem.available(timeout=90)
            assert {type(c["exception"]) for c in seen} == {ZeroDivisionError}

    @virtual
    async def test_create_that_is_cancelled_from_inside(self) -> None:
        """It is one more failure: the next try follows."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            bench.refusal = asyncio.CancelledError()
            bench.cut()
            await asyncio.sleep(10)
            bench.refusal = None
            await modem.available(timeout=90)
            await echoed(modem)

    @pytest.mark.parametrize("is_stubborn", [False, True])
    @virtual
    async def test_create_that_never_ends(self, is_stubborn: bool) -> None:
        """It is given up after a minute; a stream that it opens too late is closed."""
        async with Bench() as bench:
            calls, may_end = 0, asyncio.Event()

            async def create(factory: Any) -> Any:
                nonlocal calls
                calls += 1
                while calls == 2 and not may_end.is_set():
                    try:
                        await may_end.wait()
                    except asyncio.CancelledError:
                        if not is_stubborn:
                            raise
                return await bench.create(factory)

            modem = await aiobc9x.open_modem(create, reconnect=Reconnect())
            bench.cut()
            await asyncio.sleep(40)
            assert calls == 2
            assert modem.state is ModemState.AWAY
            await modem.available(timeout=60)
            await echoed(modem)
            assert calls == 3
            line, creations = bench.line, bench.openings
            may_end.set()
            calls = 3
            await asyncio.sleep(5)
            assert bench.openings - creations == is_stubborn
            assert line is not None
            assert not line.is_closing()
            assert bench.line is not None
            assert bench.line.is_closing() is is_stubborn
            await modem.aclose()


@pytest.mark.parametrize("held_up_by", ["hook", "create", "silence"])
@virtual
async def test_given_up_in_time(held_up_by: str) -> None:
    """``give_up_after`` counts from the loss, whatever is being tried when it is over."""
    async with Bench() as bench:
        is_open = False

        async def create(factory: Any) -> Any:
            nonlocal is_open
            if is_open and held_up_by == "create":
                await asyncio.sleep(1e6)
            is_open = True
            return await bench.create(factory)

        policy = Reconnect(give_up_after=25, reset=hangs if held_up_by == "hook" else None)
        modem = await aiobc9x.open_modem(create, reconnect=policy)
        events = modem.subscribe()
        bench.silence(True)
        with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
            await modem.command("AT+CSQ")
        lost = [running().now async for event in events if isinstance(event, aiobc9x.LinkDown)]
        assert modem.state is ModemState.CLOSED
        assert running().now - lost[0] == pytest.approx(25, abs=0.1)
        with pytest.raises(LinkLost, match="given up after 25 s"):
            await modem.command("AT")
