"""Start-up: from whatever an earlier program left to a module in step (rule 9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import aiobc9x
from aiobc9x.open import open_modem
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from aiobc9x.sim.nvram import Nvram
from tests.support.bench import ADDRESS, HOST, PORT, Bench, echoed, plugged_in
from tests.support.clock import running, virtual
from tests.support.scripted import Script, ScriptedDevice, agreeable, parrot, silence

STALE = f'AT+QIOPEN=1,{{}},"TCP","{HOST}",{PORT},0,{{}},0'
"""What an earlier program opened: a connect ID and an access mode."""


async def works(bench: Bench, modem: aiobc9x.Modem) -> None:
    """Show that commands and data get through, byte by byte."""
    assert await modem.command("AT+CSQ") == ["+CSQ: 20,0"]
    await echoed(modem)
    assert bench.open_ids == []


async def _chatter(bench: Bench) -> None:
    while True:
        bench.virtual.say("+CSCON: 1")
        await asyncio.sleep(0.1)


class TestDataMode:
    """A module that takes what it hears for payload."""

    @pytest.mark.parametrize("line", ["AT+QISEND=0", "AT+QISENDEX=0"])
    @virtual
    async def test_variable_length_is_left_by_escape(self, line: str) -> None:
        """Nothing that the earlier program had begun to send reaches its peer."""
        async with Bench() as bench:
            bench.earlier_program(STALE.format(0, 0), line, raw=b"half a mess")
            await works(bench, await bench.open())
            assert bench.network.peers[0].received == b""

    @pytest.mark.parametrize("length", [1, 64, 1000, 1440])
    @virtual
    async def test_fixed_length_is_filled_up(self, length: int) -> None:
        """Fixed length hears no escape; what is missing comes as carriage returns."""
        async with Bench() as bench:
            bench.earlier_program(STALE.format(0, 0), f"AT+QISEND=0,{length}")
            await works(bench, await bench.open())

    @virtual
    async def test_module_that_talks_meanwhile(self) -> None:
        """Lines that come all the time don't keep AT waiting for its answer."""
        async with Bench() as bench:
            bench.earlier_program(STALE.format(0, 0), "AT+QISEND=0,1000")
            chattering = asyncio.create_task(_chatter(bench))
            await works(bench, await bench.open())
            chattering.cancel()

    @virtual
    async def test_hexadecimal_of_the_longest_kind(self) -> None:
        """2880 digits are missing; the module refuses what it gets, and is in step."""
        async with Bench() as bench:
            bench.earlier_program(STALE.format(0, 0), "AT+QISENDEX=0,1440")
            await works(bench, await bench.open())


class TestLeftovers:
    """Sockets and settings of a program that crashed."""

    @virtual
    async def test_six_stale_sockets_are_closed(self) -> None:
        """All connect IDs are free once the modem is open."""
        async with Bench() as bench:
            bench.earlier_program(*(STALE.format(i, i % 2) for i in range(6)))
            modem = await bench.open()
            assert bench.open_ids == []
            await works(bench, modem)

    @pytest.mark.parametrize("shown", [0, 1])
    @pytest.mark.parametrize("view", [0, 1])
    @virtual
    async def test_stale_sockets_that_push(self, shown: int, view: int) -> None:
        """Pushed payloads that hold final results don't disturb the start."""
        async with Bench(nvram=Nvram(show_length=shown, view_mode=view)) as bench:
            bench.network.serve_tcp(PORT, lambda peer: stream(peer.send))
            bench.earlier_program(STALE.format(2, 1), STALE.format(3, 1))
            await works(bench, await bench.open())

    @pytest.mark.parametrize("latency", [0.02, 0.1, 0.2])
    @pytest.mark.parametrize("shown", [0, 1])
    @pytest.mark.parametrize("view", [0, 1])
    @virtual
    async def test_pushed_final_results_end_no_command(
        self, latency: float, shown: int, view: int
    ) -> None:
        """Nothing is written while the module is busy with the command before (rule 4)."""
        nvram = Nvram(show_length=shown, view_mode=view)
        async with Bench(nvram=nvram, latency=latency) as bench:
            bench.network.serve_tcp(PORT, lambda peer: stream(peer.send, b"\r\nOK\r\n", 0.07, 300))
            bench.earlier_program(STALE.format(2, 1), STALE.format(3, 1))
            first = bench.virtual.statistics.broken_rules + 1  # that program's last is in flight
            began = running().now
            modem = await bench.open()
            assert bench.virtual.statistics.broken_rules <= first
            assert running().now - began < 30  # while they push on
            await works(bench, modem)

    @virtual
    async def test_connection_to_a_stale_listener(self) -> None:
        """A client that takes an ID behind its close, before the listener is closed, goes."""
        async with Bench() as bench:
            listener = f'AT+QIOPEN=1,5,"TCP LISTENER","127.0.0.1",1,{PORT},0,0'
            bench.earlier_program(STALE.format(0, 0), listener)
            dialled: list[Peer | None] = []

            def dial(line: str) -> None:
                if line == "AT+QICLOSE=5" and not dialled:
                    dialled.append(bench.network.dial(PORT))

            bench.on_command = dial
            modem = await bench.open()
            await asyncio.sleep(1)
            assert dialled != [None]
            assert bench.open_ids == []
            await works(bench, modem)

    @virtual
    async def test_hex_receive_and_hidden_lengths_are_undone(self) -> None:
        """What the last owner wrote to NVRAM doesn't decide how we read."""
        nvram = Nvram(receive_format=1, view_mode=1, show_length=0)
        async with Bench(nvram=nvram) as bench:
            await works(bench, await bench.open())
            assert (nvram.receive_format, nvram.view_mode, nvram.show_length) == (0, 0, 1)

    @virtual
    async def test_nothing_is_written_that_is_right_already(self) -> None:
        """NVRAM is flash: a second start writes none of it."""
        async with Bench() as bench:
            await bench.open()
            await bench.current.aclose()
            bench.dialogue.clear()
            modem = await bench.open()
            writes = [c for c in bench.commands if c.startswith("AT+QICFG=") and c.count(",")]
            assert writes == []
            assert modem.statistics.nvram_writes == 0

    @virtual
    async def test_receive_hex_is_configured_and_read(self) -> None:
        """``receive_hex=True`` asks for digits, and the same bytes come out."""
        async with Bench() as bench:
            await works(bench, await bench.open(receive_hex=True))
            assert bench.virtual.module.nvram.receive_format == 1


def stream(
    send: Any,  # a bound method of a peer
    data: bytes = b"\r\nOK\r\n\r\n+CME ERROR: 1\r\n> ",
    gap: float = 1 / 40,
    times: int = 40,
) -> None:
    """Send now and then for a while, each time something that looks like an answer."""
    loop = asyncio.get_running_loop()
    for turn in range(times):
        loop.call_later(turn * gap, send, data)


class TestUnwillingModules:
    """Echo, sleep, lost answers, restarts."""

    @virtual
    async def test_echo_is_switched_off(self) -> None:
        """A module boots with echo on."""
        async with Bench() as bench:
            await works(bench, await bench.open())
            assert not bench.virtual.module.board.settings.echo

    @virtual
    async def test_first_command_only_wakes_the_module(self) -> None:
        """A module in deep sleep eats one line."""
        async with Bench(wake_time=0.2) as bench:
            bench.virtual.deep_sleep()
            await works(bench, await bench.open())

    @pytest.mark.parametrize("lost", range(12))
    @virtual
    async def test_one_lost_answer_is_survived_or_reported(self, lost: int) -> None:
        """A final result that never comes ends in a module in step, or in LinkTimeout."""
        async with Bench(Fault(FaultKind.DROP_LINE, on="OK", after=lost)) as bench:
            try:
                modem = await bench.open()
            except aiobc9x.LinkTimeout:
                modem = await bench.open()
            await works(bench, modem)

    @virtual
    async def test_late_answers_do_not_shift_the_dialogue(self) -> None:
        """Two answers to AT that come late are not taken for those to later commands."""
        fault = Fault(FaultKind.DELAY_LINE, on="OK", times=2, delay_s=0.35)
        async with Bench(fault) as bench:
            modem = await bench.open()
            assert modem.identification[0] == "Quectel"
            await works(bench, modem)

    @pytest.mark.parametrize("after", [0, 3, 8, 15, 23])
    @virtual
    async def test_restart_in_the_middle_starts_over(self, after: int) -> None:
        """Whatever command the module restarts at, it ends up configured."""
        fault = Fault(FaultKind.RESET, on="AT", after=after)
        async with Bench(fault, boot_time=2.0) as bench:
            modem = await bench.open()
            assert bench.virtual.statistics.resets == 1
            assert not bench.virtual.module.board.settings.echo
            await works(bench, modem)

    @virtual
    async def test_module_that_keeps_restarting(self) -> None:
        """The error names the power supply."""
        async with Bench(Fault(FaultKind.RESET, on="ATI", times=None), boot_time=1.0) as bench:
            with pytest.raises(aiobc9x.ModuleReset, match="power supply"):
                await bench.open()

    @virtual
    async def test_radio_is_switched_on(self) -> None:
        """CFUN is set to 1 only if it is not 1 already."""
        async with Bench(cfun=0) as bench:
            modem = await bench.open()
            assert bench.commands.count("AT+CFUN=1") == 1
            await works(bench, modem)
        async with Bench() as bench:
            await bench.open()
            assert "AT+CFUN=1" not in bench.commands

    @virtual
    async def test_vendor_commands_may_be_missing(self) -> None:
        """A module that knows none of the settings can still be opened."""
        refuse = [
            Fault(FaultKind.ERROR, on=f"AT+{name}", times=None)
            for name in ("QSCLK", "CPSMS", "CEDRXS", "CSCON", "QNBIOTEVENT", "QATWAKEUP", "CMEE")
        ]
        async with Bench(*refuse) as bench:
            await works(bench, await bench.open())


class TestNoModule:
    """Something else is on the line, or nothing."""

    @staticmethod
    async def refused(script: Script, match: str, noise: bytes = b"") -> ScriptedDevice:
        device = ScriptedDevice(script)
        began = running().now
        if noise:
            chatter = asyncio.create_task(repeat(device, noise))
        with (
            plugged_in(lambda _: device),
            pytest.raises(aiobc9x.LinkTimeout, match=match) as caught,
        ):
            await open_modem(ADDRESS, sync_timeout=10)
        assert 10 <= running().now - began < 13
        assert isinstance(caught.value, TimeoutError)
        assert device.is_closing()
        if noise:
            chatter.cancel()
        return device

    @virtual
    async def test_silence(self) -> None:
        """The error says that nothing came, and what to check."""
        await self.refused(silence, r"nothing came from .* in 10 s; check .* powered")

    @virtual
    async def test_garbage(self) -> None:
        """Noise is told from silence: the speed may be wrong."""
        noise = bytes(range(128, 256))
        await self.refused(silence, r"\d+ bytes came .* no answer to AT; check the speed", noise)

    @virtual
    async def test_endless_line(self) -> None:
        """A line that never ends takes no memory and is no answer."""
        await self.refused(silence, r"\d+ bytes came", b"x" * 4000)

    @virtual
    async def test_echo_alone_is_no_answer(self) -> None:
        """A terminal that echoes is no modem."""
        await self.refused(parrot, r"bytes came from .* but no answer to AT")

    @virtual
    async def test_modem_that_says_ok_to_anything(self) -> None:
        """Another kind of modem is opened: it has no sockets, which is found out later."""
        device = ScriptedDevice(agreeable)
        with plugged_in(lambda _: device):
            async with open_modem(ADDRESS) as modem:
                assert modem.identification == ()

    @virtual
    async def test_line_that_breaks_at_once(self) -> None:
        """A broken line is reported as that, not as silence."""

        def break_off(device: ScriptedDevice, _line: bytes) -> None:
            device.lose(OSError(5, "Input/output error"))

        device = ScriptedDevice(break_off)
        began = running().now
        with plugged_in(lambda _: device), pytest.raises(aiobc9x.LinkLost, match="Input/output"):
            await open_modem(ADDRESS)
        assert running().now - began < 3

    @pytest.mark.parametrize("after", range(0, 24, 3))
    @virtual
    async def test_line_that_breaks_later(self, after: int) -> None:
        """Whatever start-up is doing, a lost line ends it with LinkLost alone."""
        async with Bench() as bench:

            def cut(_line: str) -> None:
                if len(bench.commands) > after:
                    bench.cut()

            bench.on_command = cut
            with pytest.raises(aiobc9x.LinkLost):
                await bench.open()


async def repeat(device: ScriptedDevice, noise: bytes) -> None:
    """Make noise every 100 ms."""
    while True:
        device.say(noise)
        await asyncio.sleep(0.1)
