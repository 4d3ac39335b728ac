"""synchronize: the module's speed is found, and a silent line is given up in time.

What an earlier program left is tested in test_startup.py.
"""

from __future__ import annotations

import asyncio
import re
from unittest.mock import patch

import pytest

import aiobc9x
from aiobc9x.aio.bringup import synchronize
from aiobc9x.sim.links import VirtualModule, parse_address
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import Bench, driver_of
from tests.support.clock import running, virtual


@pytest.mark.parametrize("speed", [115200, 9600])
async def test_speed_is_found(speed: int) -> None:
    """``baudrate=None`` tries the usual ones; at the wrong one only noise comes."""
    options = parse_address(f"sim://?baud={speed}&strict_baud=1")
    async with VirtualModule(options) as module:
        path = await module.start_pty()
        with patch.object(synchronize, "SCAN_S", 1.0):
            async with aiobc9x.open_modem(path, baudrate=None) as modem:
                assert driver_of(modem).link.baudrate == driver_of(modem).session.baudrate == speed
                assert await modem.command("AT+CGMM") == ["BC65"]


async def test_wrong_speed() -> None:
    """The error speaks of the speed."""
    async with VirtualModule(parse_address("sim://?baud=9600&strict_baud=1")) as module:
        path = await module.start_pty()
        with pytest.raises(
            aiobc9x.LinkTimeout, match=r"the speed \(baudrate=None tries the usual ones\)"
        ):
            await aiobc9x.open_modem(path, baudrate=115200, sync_timeout=1)


async def test_speed_that_is_not_found() -> None:
    """A scan ends in time, too."""
    async with VirtualModule(parse_address("sim://?baud=1200&strict_baud=1")) as module:
        path = await module.start_pty()
        with (
            patch.object(synchronize, "SCAN_S", 0.2),
            pytest.raises(aiobc9x.LinkTimeout, match=r"no answer to AT|nothing came"),
        ):
            await aiobc9x.open_modem(path, baudrate=None, sync_timeout=1)


@virtual
async def test_line_that_never_falls_silent() -> None:
    """``settle`` goes on after three seconds."""
    async with Bench() as bench:
        await bench.open()

        async def chatter() -> None:
            while True:
                bench.virtual.say("+CSCON: 1")
                await asyncio.sleep(0.1)

        chattering = asyncio.create_task(chatter())
        await asyncio.sleep(1)
        began = running().now
        await synchronize.settle(bench.driver)
        chattering.cancel()
        assert running().now - began == pytest.approx(synchronize.SETTLE_LIMIT_S, abs=0.3)


@virtual
async def test_silent_line_is_settled_at_once() -> None:
    """No time is lost where nothing comes."""
    async with Bench() as bench:
        await bench.open()
        await asyncio.sleep(1)
        began = running().now
        await synchronize.settle(bench.driver)
        assert running().now - began < 0.001


class TestResultsThatAnEarlierProgramLeft:
    """Numbers for words (ATV0), no results at all (ATQ1), echoes, in any mix."""

    @pytest.mark.parametrize("echo", [False, True])
    @pytest.mark.parametrize("quiet", [False, True])
    @pytest.mark.parametrize("numeric", [False, True])
    @pytest.mark.parametrize("compound", [False, True])
    @virtual
    async def test_they_are_undone(
        self, echo: bool, quiet: bool, numeric: bool, compound: bool
    ) -> None:
        """Also on a module that refuses two commands in one line."""
        module = LeftBehind(echo=echo, quiet=quiet, numeric=numeric, compound=compound)
        async with opened(module, sync_timeout=10) as modem:
            assert (module.echo, module.quiet, module.numeric) == (False, False, False)
            assert modem.identification[1] == "BC92"
            assert await modem.command("AT+CGMM") == ["BC92"]

    @virtual
    async def test_numbers_are_undone_while_a_scan_waits(self) -> None:
        """A scan gives each speed three seconds."""
        module = LeftBehind(echo=False, quiet=False, numeric=True, compound=True)
        heard: list[float] = []

        def listen(match: re.Match[str]) -> bytes:
            heard.append(running().now)
            return module.set(match)

        module.on("ATV1", listen)
        began = running().now
        async with opened(module):
            assert module.seen[:2] == ["AT", "ATV1"]
            assert heard[0] - began < synchronize.SCAN_S

    @virtual
    async def test_a_healthy_module_hears_nothing_of_it(self) -> None:
        """It answers AT."""
        module = AnsweringModule()
        async with opened(module):
            assert module.seen[:3] == ["AT", "ATE0", "ATV1"]
            assert "ATQ0" not in module.seen


class LeftBehind(AnsweringModule):
    """A module whose results are as somebody has left them."""

    def __init__(self, *, echo: bool, quiet: bool, numeric: bool, compound: bool) -> None:
        super().__init__()
        self.echo, self.quiet, self.numeric, self._compound = echo, quiet, numeric, compound
        self.on(r"AT([EQV]\d?)+", self.set)
        self.on(r"AT\+CGMM", b"BC92\nOK")

    def set(self, match: re.Match[str]) -> bytes:
        """Take what a line of settings says."""
        found = re.findall(r"([EQV])(\d?)", match[0][2:])
        if len(found) > 1 and not self._compound:
            return b"ERROR"
        for name, digit in found:
            on = digit == "1"
            if name == "E":
                self.echo = on
            elif name == "Q":
                self.quiet = on
            else:
                self.numeric = not on
        return b"OK"

    def _take(self, line: bytes) -> None:
        if self.echo:
            self.say(line + b"\r")
        super()._take(line)

    def say(self, data: bytes) -> None:
        """Say it as the settings have it now, that is behind the command."""
        for word, number in ((b"OK", b"0"), (b"ERROR", b"4")):
            result = b"\r\n%b\r\n" % word
            if self.quiet:
                data = data.replace(result, b"")
            elif self.numeric:
                data = data.replace(result, number + b"\r")
        super().say(data)
