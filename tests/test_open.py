"""open_modem: awaitable and a context manager; its arguments are checked at the call."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import re
import weakref
from pathlib import PurePosixPath
from typing import Any

import pytest

import aiobc9x
from aiobc9x.core.profile import ModuleProfile
from tests.support.bench import ADDRESS, HOST, PORT, Bench, Plug, plugged_in
from tests.support.clock import no_task_left, other_tasks, virtual
from tests.support.scripted import ScriptedDevice


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"context_id": 0}, "context_id is 0: use 1-3"),
        ({"context_id": 4}, "context_id"),
        ({"open_time": 0}, "open_time is 0: use 1-36"),
        ({"open_time": 37}, "open_time"),
        ({"sync_timeout": 0}, "sync_timeout"),
        ({"read_ahead_bytes": 0}, "read_ahead_bytes"),
        ({"baudrate": 0}, "baudrate"),
        ({"poll_interval": -1}, "negative"),
        ({"state_interval": -1}, "negative"),
        ({"port_quarantine": -1}, "port_quarantine is -1: use seconds"),
        ({"port_quarantine": math.nan}, "port_quarantine"),
        ({"sync_timeout": math.nan}, "sync_timeout"),
        ({"bytesize": 9}, "bytesize is 9: use 5-8"),
        ({"parity": "X"}, "parity"),
        ({"stopbits": 3}, "stopbits"),
        ({"pin": "1"}, "pin must have 4 to 8 digits"),
    ],
)
def test_arguments_are_checked_at_the_call(arguments: dict[str, Any], match: str) -> None:
    """A ValueError comes before anything is opened, and without a loop."""
    with pytest.raises(ValueError, match=match):
        aiobc9x.open_modem(ADDRESS, **arguments)


@pytest.mark.parametrize("address", ["", " "])
def test_an_address_that_names_nothing(address: str) -> None:
    """As of a setting that somebody has left out."""
    with pytest.raises(ValueError, match="address is empty"):
        aiobc9x.open_modem(address)


@pytest.mark.parametrize("name", inspect.signature(aiobc9x.open_modem).parameters)
def test_every_argument_is_named(name: str) -> None:
    """Whatever is of a wrong type is refused by its name."""
    arguments: dict[str, Any] = {"address": ADDRESS, name: object()}
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        aiobc9x.open_modem(**arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"address": PurePosixPath("/dev/ttyUSB0")},
            "address must be a str or a .*, not PurePosixPath",
        ),
        ({"address": ADDRESS, "profile": "BC65"}, "profile must be a ModuleProfile, not 'BC65'"),
    ],
)
def test_types_are_checked_at_the_call(arguments: dict[str, Any], match: str) -> None:
    """What would fail inside the tasks fails where it was written."""
    with pytest.raises(TypeError, match=match):
        aiobc9x.open_modem(**arguments)


@virtual
async def test_await_and_async_with() -> None:
    """Both forms give a Modem; leaving the context closes it."""
    async with Bench() as bench:
        before = other_tasks()
        with plugged_in(lambda _: Plug(bench)):
            modem = await aiobc9x.open_modem(ADDRESS)
            async with modem as same:
                assert same is modem
                assert repr(modem) == "<Modem sim://?link=memory open sockets=0>"
            assert "closed" in repr(modem)
            async with aiobc9x.open_modem(ADDRESS) as modem:
                transport, _ = await modem.create_connection(asyncio.Protocol, HOST, PORT)
                assert "sockets=1" in repr(modem)
            assert transport.is_closing()
        await no_task_left(before)
        assert bench.open_ids == []


def test_modem_that_nobody_closes(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the loop closes it; a warning and one line say what to do."""
    left: list[aiobc9x.Modem] = []

    async def forget() -> None:
        left.append(await aiobc9x.open_modem(ADDRESS))

    text = f"{ADDRESS} was still open when its event loop ended; use 'async with'"
    with pytest.warns(ResourceWarning, match=re.escape(text)):
        asyncio.run(forget())
    assert [record.message for record in caplog.records] == [f"! {text}"]


def test_modem_that_nobody_keeps(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does anything keep it when the loop ends at once."""

    async def forget() -> None:
        await aiobc9x.open_modem(ADDRESS)

    with pytest.warns(ResourceWarning, match="unclosed modem <Modem sim") as caught:
        asyncio.run(forget())
    assert len(caught) == 1
    assert [record.message for record in caplog.records] == [
        f"! {ADDRESS} was still open when its event loop ended; use 'async with'"
    ]


@virtual
async def test_modem_that_is_dropped_while_the_loop_goes_on() -> None:
    """A warning says so, and the port is closed for whoever wants it next."""
    async with Bench() as bench:
        before = other_tasks()
        await bench.open()
        with pytest.warns(ResourceWarning, match="unclosed modem <Modem sim"):
            bench.drop()
        await asyncio.sleep(2)
        assert bench.line is not None
        assert bench.line.is_closing()
        await no_task_left(before)


@pytest.mark.parametrize("holder", ["connection", "endpoint", "server", "events"])
@virtual
async def test_a_modem_lives_as_long_as_what_it_gave(holder: str) -> None:
    """Whoever holds only that holds the modem too."""
    async with Bench() as bench:
        bench.network.serve_udp(PORT)
        modem = await bench.open()
        kept: object = None
        match holder:
            case "connection":
                kept = await modem.create_connection(asyncio.Protocol, HOST, PORT)
            case "endpoint":
                kept = await modem.create_datagram_endpoint(
                    asyncio.DatagramProtocol, remote_addr=(HOST, PORT)
                )
            case "server":
                kept = await modem.create_server(asyncio.Protocol, PORT)
            case _:
                kept = modem.subscribe()
        known = weakref.ref(modem)
        bench.drop()
        del modem
        gc.collect()
        await asyncio.sleep(5)
        left = known()
        assert left is not None
        assert bench.line is not None
        assert not bench.line.is_closing()
        await left.aclose()
        del kept


@virtual
async def test_exception_in_the_body_closes_the_modem() -> None:
    """It passes unchanged, and nothing is left."""
    async with Bench() as bench:
        with plugged_in(lambda _: Plug(bench)), pytest.raises(KeyError, match="mine"):
            async with aiobc9x.open_modem(ADDRESS):
                raise KeyError("mine")
        assert bench.line is not None
        assert bench.line.is_closing()


@virtual
async def test_cancellation_of_the_body_closes_the_modem() -> None:
    """No cancel scope of ours spans user code: a native cancellation works."""
    async with Bench() as bench:

        async def use() -> None:
            with plugged_in(lambda _: Plug(bench)):
                async with aiobc9x.open_modem(ADDRESS) as modem:
                    await modem.create_connection(asyncio.Protocol, HOST, PORT)
                    await asyncio.sleep(1000)

        task = asyncio.create_task(use())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.open_ids == []
        assert bench.line is not None
        assert bench.line.is_closing()


@virtual
async def test_opened_and_closed_in_different_tasks() -> None:
    """A fixture or a framework may do so."""
    async with Bench() as bench:
        modem = await asyncio.create_task(bench.open())
        await asyncio.create_task(modem.command("AT"))
        await asyncio.create_task(modem.aclose())


@virtual
async def test_profile_is_chosen_by_what_the_module_says() -> None:
    """The virtual module throttles and says who it is; a given profile has precedence."""
    async with Bench() as bench:
        assert (await bench.open()).profile.on_buffer_full == "continue"
    async with Bench() as bench:
        mine = ModuleProfile(command_gap_ms=20)
        modem = await bench.open(profile=mine)
        assert modem.profile == mine
        assert await modem.command("AT+CGMM") == ["BC65"]


@virtual
async def test_a_gap_between_commands_counts_from_the_first() -> None:
    """A module that needs one would not hear the second command of a start (F31)."""
    async with Bench(deaf_time=0.015) as bench:
        modem = await bench.open(profile=ModuleProfile(command_gap_ms=20))
        assert await modem.command("AT+CGMM") == ["BC65"]


@virtual
async def test_sleep_settings_may_be_left_alone() -> None:
    """``allow_sleep=True`` sends none of the commands that forbid it."""
    async with Bench() as bench:
        await bench.open(allow_sleep=True)
        assert not [c for c in bench.commands if "QSCLK" in c or "PSMS" in c or "EDRX" in c]


@virtual
async def test_no_scope_spans_user_code() -> None:
    """A modem may be opened, used and closed in three tasks, as pytest fixtures do."""
    async with Bench() as bench:
        modem = await asyncio.create_task(bench.open())
        _, writer = await asyncio.create_task(modem.open_connection(HOST, PORT))
        writer.write(b"one task")
        await asyncio.create_task(writer.drain())
        await asyncio.create_task(modem.aclose())
        assert bench.open_ids == []


@virtual
async def test_a_cancelled_user_cancels_nothing_else() -> None:
    """Nor does what ends inside the modem cancel the task that opened it."""
    async with Bench() as bench:
        modem = await bench.open()
        async with asyncio.timeout(1e6):
            bench.cut()
            await asyncio.sleep(60)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(aiobc9x.LinkLost):
            await modem.command("AT")


class TestOpening:
    """What ``open_modem()`` returns, taken for a modem."""

    def test_an_attribute_says_what_is_missing(self) -> None:
        """``await`` or ``async with``: the most frequent slip."""
        opening: Any = aiobc9x.open_modem(ADDRESS)
        match = r"no 'open_connection': write 'async with open_modem\(\.\.\.\) as modem:' or"
        with pytest.raises(AttributeError, match=match):
            opening.open_connection("example.com", 80)
        assert not hasattr(opening, "statistics")

    def test_with_needs_async(self) -> None:
        """Python itself would speak of protocols."""
        opening: Any = aiobc9x.open_modem(ADDRESS)
        match = r"'with' can't open a modem: write 'async with"
        with pytest.raises(TypeError, match=match), opening:
            pytest.fail("entered")

    def test_repr(self) -> None:
        """It says what it is, and keeps the PIN."""
        shown = repr(aiobc9x.open_modem(ADDRESS, pin="1234"))
        assert shown.startswith(f"<ModemOpening {ADDRESS}: not a modem yet; write 'async with")
        assert "1234" not in shown
        assert "create()" in repr(aiobc9x.open_modem(print))  # type: ignore[arg-type]  # never called

    @virtual
    async def test_one_modem_at_a_time(self) -> None:
        """A second one would never be closed."""
        async with Bench() as bench:
            with plugged_in(lambda _: Plug(bench)):
                opening = aiobc9x.open_modem(ADDRESS)
                async with opening as modem:
                    with pytest.raises(RuntimeError, match="is in use; call open_modem"):
                        await opening.__aenter__()
                    assert await modem.command("AT+CGMM") == ["BC65"]
                async with opening as modem:
                    assert await modem.command("AT+CGMM") == ["BC65"]

    @virtual
    async def test_a_closed_modem_is_not_entered(self) -> None:
        """It would fail at its first use, far from the mistake."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.aclose()
            with pytest.raises(aiobc9x.LinkLost, match=r"is closed; open it again with open_modem"):
                async with modem:
                    pytest.fail("entered")


class TestTimeout:
    """``timeout=`` covers the whole opening."""

    @virtual
    async def test_a_silent_device(self) -> None:
        """The stage is named, and what to check."""
        device = ScriptedDevice()
        before, began = other_tasks(), asyncio.get_running_loop().time()
        match = (
            r"timed out after 5 s, synchronizing with the module: nothing came from"
            rf" {re.escape(ADDRESS)}; check that the module is powered"
        )
        silent = plugged_in(lambda _: device)
        with silent, pytest.raises(aiobc9x.StageTimeout, match=match) as caught:
            await aiobc9x.open_modem(ADDRESS, timeout=5)
        assert caught.value.stage == "synchronizing with the module"
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)
        assert device.is_closing()
        await no_task_left(before)

    @virtual
    async def test_a_slow_module(self) -> None:
        """Configuring counts too."""
        async with Bench(latency=1.0) as bench:
            match = r"^\[Errno \d+\] timed out after 6 s, configuring the module$"
            with pytest.raises(aiobc9x.StageTimeout, match=match):
                await bench.open(timeout=6)

    @virtual
    async def test_a_port_that_does_not_open(self) -> None:
        """Neither does a driver that hangs."""

        async def hang(_factory: object) -> Any:
            await asyncio.sleep(3600)

        with pytest.raises(aiobc9x.StageTimeout, match="after 2 s, opening the port"):
            async with aiobc9x.open_modem(hang, timeout=2):
                pytest.fail("entered")

    @virtual
    async def test_the_shorter_limit_counts(self) -> None:
        """``sync_timeout`` has its own words."""
        silent = plugged_in(lambda _: ScriptedDevice())
        with silent, pytest.raises(aiobc9x.LinkTimeout, match="in 1 s"):
            await aiobc9x.open_modem(ADDRESS, sync_timeout=1, timeout=60)

    @virtual
    async def test_enough_time(self) -> None:
        """It ends with the opening."""
        async with Bench() as bench:
            modem = await bench.open(timeout=30)
            await asyncio.sleep(60)
            assert await modem.command("AT+CGMM") == ["BC65"]
