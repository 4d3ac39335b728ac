"""Replaying: whole programs, and the words of vcrpy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import SimOptions
from aiobc9x.trace import Payloads, RecordMode, Trace, cassette, read_trace
from tests.support.bench import ADDRESS, ECHO_PORT, HOST, PORT, Bench, echoed
from tests.support.clock import running, virtual

Program = Callable[[aiobc9x.Modem], Awaitable[object]]


async def recorded(bench: Bench, path: Path, program: Program, **settings: Any) -> object:
    """What a program does with a module, while that is recorded."""
    modem = await bench.open(trace=path, **settings)
    try:
        return await program(modem)
    finally:
        await modem.aclose()


async def replayed(path: Path, program: Program, query: str = "", **settings: Any) -> object:
    """What it does when it gets the same answers."""
    settings.setdefault("reconnect", None)
    async with aiobc9x.open_modem(f"{ADDRESS}&replay={path}{query}", **settings) as modem:
        return await program(modem)


async def conversation(modem: aiobc9x.Modem) -> bytes:
    """Ask an echo server some things, with pauses."""
    reader, writer = await modem.open_connection(HOST, ECHO_PORT)
    heard = b""
    for number in range(5):
        data = b"%d\r\nOK\r\n" % number * 100
        writer.write(data)
        heard += await reader.readexactly(len(data))
        await asyncio.sleep(25)  # polls come in between
    writer.close()
    await writer.wait_closed()
    return heard


class TestPrograms:
    """Whole programs, on the whole library."""

    @pytest.mark.parametrize("form", ["auto", "inline", "hex", "fixed"])
    @pytest.mark.parametrize("query", ["", "&chunk=1", "&baud=9600&latency=0.1"])
    @virtual
    async def test_the_same_again(self, tmp_path: Path, form: Any, query: str) -> None:
        """By any form of sending, on a line of any speed."""
        path = tmp_path / "x"
        async with Bench(latency=0.02) as bench:
            heard = await recorded(bench, path, conversation)
        assert await replayed(path, conversation, query, send_form=form) == heard

    @virtual
    async def test_pushed_data(self, tmp_path: Path) -> None:
        """They come without being asked for."""
        path = tmp_path / "x"

        async def program(modem: aiobc9x.Modem) -> None:
            await echoed(modem, access_mode=aiobc9x.AccessMode.PUSH)

        async with Bench() as bench:
            await recorded(bench, path, program)
        await replayed(path, program)

    @virtual
    async def test_a_failure_of_the_field(self, tmp_path: Path) -> None:
        """The same exception, with the same words."""
        path, failures = tmp_path / "x", []

        async def program(modem: aiobc9x.Modem) -> None:
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            writer.write(bytes(range(256)))
            with pytest.raises(aiobc9x.StreamBroken) as caught:
                await reader.readexactly(256)
            failures.append(str(caught.value))

        lossy = Fault(FaultKind.LOSE_BYTES, count=2)
        async with Bench(lossy) as bench:
            await recorded(bench, path, program)
        await replayed(path, program)
        assert failures[0] == failures[1]

    @virtual
    async def test_a_refused_connection(self, tmp_path: Path) -> None:
        """An error of the module is one again."""
        path = tmp_path / "x"

        async def program(modem: aiobc9x.Modem) -> None:
            with pytest.raises(aiobc9x.ConnectRefused):
                await modem.open_connection(HOST, 9)

        async with Bench() as bench:
            await recorded(bench, path, program)
        await replayed(path, program)

    @virtual
    async def test_a_pin(self, tmp_path: Path) -> None:
        """It is not in the trace, and any will do."""
        path = tmp_path / "x"
        async with Bench(pin="4711") as bench:
            await recorded(bench, path, conversation, pin="4711")
        await replayed(path, conversation, pin="1234")

    @virtual
    async def test_a_lost_port(self, tmp_path: Path) -> None:
        """It is lost again, and comes back when it is opened again; a third time begins anew."""
        path = tmp_path / "x"

        async def back(modem: aiobc9x.Modem) -> None:
            async with modem.subscribe() as events:
                async for event in events:
                    if isinstance(event, aiobc9x.LinkUp):
                        return

        async with Bench() as bench:
            modem = await bench.open_lasting(trace=path)
            await echoed(modem, b"first")
            bench.cut()
            await back(modem)
            await echoed(modem, b"second")
            await modem.aclose()
        for _ in range(2):
            address = f"{ADDRESS}&replay={path}"
            async with aiobc9x.open_modem(address, reconnect=aiobc9x.Reconnect()) as modem:
                await echoed(modem, b"first")
                await back(modem)
                await echoed(modem, b"second")

    @virtual
    async def test_it_takes_no_time(self, tmp_path: Path) -> None:
        """Whatever the module took is not waited for."""
        path = tmp_path / "x"

        async def program(modem: aiobc9x.Modem) -> bytes:
            reader, writer = await modem.open_connection(HOST, PORT)
            heard = await reader.readexactly(5)
            writer.close()
            return heard

        async with Bench() as bench:
            task = asyncio.create_task(recorded(bench, path, program))
            await asyncio.sleep(600)
            bench.peer.send(b"hello")
            assert await task == b"hello"
        began = running().now
        assert await replayed(path, program) == b"hello"
        assert running().now - began < 60

    async def test_over_a_pty_and_over_tcp(self, tmp_path: Path) -> None:
        """For programs that are not ours; the log says why the line breaks."""
        path = tmp_path / "x"
        async with aiobc9x.open_modem(ADDRESS, trace=path, reconnect=None) as modem:
            await modem.command("AT+CGMM")
        options = SimOptions(replay=path)
        async with VirtualModule(options) as virtual_module:
            device = await virtual_module.start_pty()
            async with aiobc9x.open_modem(device, reconnect=None) as modem:
                assert await modem.command("AT+CGMM") == ["BC65"]
                with pytest.raises(aiobc9x.LinkLost):
                    await modem.command("AT+CGMR")
        async with VirtualModule(options) as virtual_module:
            port = await virtual_module.start_tcp()
            address = f"socket://127.0.0.1:{port}"
            async with aiobc9x.open_modem(address, reconnect=None) as modem:
                assert await modem.command("AT+CGMM") == ["BC65"]
                with pytest.raises(aiobc9x.LinkLost):
                    await modem.command("AT+CGMR")


class TestNewCommands:
    """Strictness, in the words of vcrpy."""

    @staticmethod
    async def asks(modem: aiobc9x.Modem) -> object:
        """Do something that the trace lacks."""
        return await modem.command("AT+CGMR")

    @pytest.mark.parametrize("mode", ["once", "none"])
    @virtual
    async def test_they_are_refused(self, tmp_path: Path, mode: str) -> None:
        """The exception names the command."""
        path = tmp_path / "x"
        async with Bench() as bench:
            await recorded(bench, path, conversation)
        with pytest.raises(aiobc9x.LinkLost, match=r"has no AT\+CGMR here"):
            await replayed(path, self.asks, f"&record={mode}")

    @virtual
    async def test_they_become_new_episodes(self, tmp_path: Path) -> None:
        """And are replayed from then on."""
        path = tmp_path / "x"
        async with Bench() as bench:
            heard = await recorded(bench, path, conversation)

        async def more(modem: aiobc9x.Modem) -> object:
            assert await self.asks(modem) == ["Revision: BC65VIRTUAL01"]
            return await conversation(modem)

        arguments = cassette(path, "new_episodes", address=ADDRESS)
        async with aiobc9x.open_modem(**arguments, reconnect=None) as modem:
            assert await more(modem) == heard
        assert await replayed(path, more, "&record=none") == heard

    @virtual
    async def test_the_other_module_goes_on(self, tmp_path: Path) -> None:
        """Behind a new socket it is alone."""
        path = tmp_path / "x"
        async with Bench() as bench:
            await recorded(bench, path, self.asks)
        async with aiobc9x.open_modem(
            f"{ADDRESS}&replay={path}&record=new_episodes", reconnect=None
        ) as modem:
            with pytest.raises(aiobc9x.ConnectFailed):
                await modem.open_connection("127.0.0.1", 9)
            assert await modem.command("AT+CGMM") == ["BC65"]

    @pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
    @virtual
    async def test_without_a_trace_the_virtual_module_answers(
        self, tmp_path: Path, mode: str
    ) -> None:
        """So that there is something to record."""
        assert await replayed(tmp_path / "x", self.asks, f"&record={mode}")

    @virtual
    async def test_all_replays_nothing(self, tmp_path: Path) -> None:
        """Even if there is a trace."""
        path = tmp_path / "x"
        async with Bench() as bench:
            await recorded(bench, path, conversation)
        assert await replayed(path, self.asks, "&record=all")

    async def test_none_wants_a_trace(self, tmp_path: Path) -> None:
        """Without one it fails at once."""
        with pytest.raises(FileNotFoundError):
            await replayed(tmp_path / "x", self.asks, "&record=none")


class TestCassettes:
    """Arguments for open_modem()."""

    @pytest.mark.parametrize("mode", RecordMode)
    def test_without_a_file(self, tmp_path: Path, mode: RecordMode) -> None:
        """It is recorded, or missing."""
        path = tmp_path / "x"
        if mode is RecordMode.NONE:
            with pytest.raises(FileNotFoundError, match="no trace to replay"):
                cassette(path, mode)
            return
        expected = {"address": "sim://?seed=1", "trace": Trace(path)}
        assert cassette(path, mode, address="sim://?seed=1") == expected

    def test_with_a_file(self, tmp_path: Path) -> None:
        """It is replayed, extended or replaced."""
        path = tmp_path / "a&b"
        path.write_text("x")
        query = f"replay={tmp_path}/a%26b&record="
        for mode in ("once", "none"):
            found = cassette(path, mode, address="/dev/ttyUSB0")
            assert found == {"address": f"sim://?{query}{mode}", "trace": False}
        assert cassette(path, "new_episodes") == {
            "address": f"sim://?{query}new_episodes",
            "trace": Trace(path),
        }
        assert cassette(path, "new_episodes", address="sim://?seed=1")["address"] == (
            f"sim://?seed=1&{query}new_episodes"
        )
        assert cassette(path, "all", address="COM3") == {"address": "COM3", "trace": Trace(path)}
        assert not path.exists()

    def test_what_makes_no_sense(self, tmp_path: Path) -> None:
        """An unknown word, and new episodes of a real module."""
        with pytest.raises(ValueError, match="twice"):
            cassette(tmp_path / "x", "twice")
        with pytest.raises(ValueError, match="virtual module"):
            cassette(tmp_path / "x", "new_episodes", address="COM3")

    async def test_a_trace_that_cannot_be_replayed(self, tmp_path: Path) -> None:
        """The message says why."""
        path = tmp_path / "x"
        async with aiobc9x.open_modem(ADDRESS, trace=Trace(path, Payloads.NONE), reconnect=None):
            pass
        assert len(list(read_trace(path))) > 20
        with pytest.raises(ValueError, match="without payloads"):
            await replayed(path, TestNewCommands.asks)
