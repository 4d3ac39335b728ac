"""steps: a refused setting is repeated, left for later, or the end, as it is needed."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest

import aiobc9x
from tests.support.answering import AnsweringModule, late, loses_network, opened
from tests.support.clock import running, virtual

SETTINGS = (
    "ATE0",
    "AT+CMEE=1",
    "AT+QSCLK=0",
    "AT+CPSMS=0",
    "AT+CEDRXS=0",
    "AT+CSCON=1",
    "AT+QNBIOTEVENT=1,1",
    "AT+QATWAKEUP=1",
    "AT+CFUN=1",
    'AT+QICFG="showlength",1',
    'AT+QICFG="viewmode",0',
)
"""What a start sets on a module that :func:`left_wrong`."""


def left_wrong(module: AnsweringModule) -> set[str]:
    """Have a program before have left everything wrong; return the settings that get right."""
    right: set[str] = set()

    def accept(match: re.Match[str]) -> bytes:
        right.add(match[0])
        return b"OK"

    module.on(r"AT\+CFUN\?", b"+CFUN: 0\nOK")
    module.on(r"AT\+CPSMS\?", b"+CPSMS: 1\nOK")
    module.on(r'AT\+QICFG="viewmode"', b'+QICFG: "viewmode",1\nOK')
    module.on(r'AT\+QICFG="showlength"', b'+QICFG: "showlength",0\nOK')
    module.on(r"ATE0|AT\+(?!QICLOSE)[A-Z]+=.*", accept)
    return right


def booting(module: AnsweringModule, answer: bytes, seconds: float, lines: str = "AT.+") -> None:
    """Have it refuse these lines for a while from now on."""
    module.on(lines, answer, seconds=seconds)


class TestBoot:
    """A module that has just been switched on."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"+CME ERROR: 14",
            b"ERROR",
            b"+CME ERROR: SIM busy",
            b"+CME ERROR: 515",
            b"+CME ERROR: 10",
            b"+CME ERROR: 3",
            b"+CME ERROR: 100",
        ],
    )
    @virtual
    async def test_everything_is_refused_for_seconds(self, answer: bytes) -> None:
        """The start takes as long, and everything is set in the end."""
        module = AnsweringModule()
        right = left_wrong(module)
        booting(module, answer, 3)
        began = running().now
        async with opened(module) as modem:
            assert 3 < running().now - began < 6
            assert right >= set(SETTINGS)
            assert modem.identification[1] == "BC92"

    @pytest.mark.parametrize("answer", [b"+CME ERROR: 14", b"ERROR"])
    @virtual
    async def test_settings_alone_are_refused(self, answer: bytes) -> None:
        """ATE0 and ATI work already; whoever waits for the network has all that was left."""
        module = AnsweringModule()
        right = left_wrong(module)
        booting(module, answer, 8, r"AT\+(?!QI).*")
        async with opened(module) as modem:
            await modem.wait_ready(30)
            assert right >= set(SETTINGS) - {"AT+CFUN=1"}

    @virtual
    async def test_one_refusal_behind_the_banner(self) -> None:
        """It costs the start nothing, and is made up for."""
        module = AnsweringModule()
        module.on(r"AT\+QSCLK=0", b"ERROR", times=1)
        async with opened(module) as modem:
            assert len(module.told("AT+QSCLK")) == 1
            await modem.wait_ready()
            assert len(module.told("AT+QSCLK")) == 2
            await loses_network(module)
            await modem.wait_ready()
            assert len(module.told("AT+QSCLK")) == 2

    @virtual
    async def test_radio_that_is_switched_on_later(self) -> None:
        """Before the SIM is asked for: without the radio there may be none."""
        module = AnsweringModule()
        module.on(r"AT\+CFUN\?", b"+CFUN: 0\nOK")
        module.on(r"AT\+CFUN=1", b"ERROR", times=1)
        async with opened(module) as modem:
            module.seen.clear()
            await modem.wait_ready()
            assert module.seen[:2] == ["AT+CFUN=1", "AT+CPIN?"]

    @virtual
    async def test_several_banners_of_one_boot(self) -> None:
        """A module that says much while it starts doesn't restart again and again."""
        module = AnsweringModule()
        began = running().now
        module.on(".*", lambda _: None, seconds=6)
        for at, banner in enumerate(
            [b"F1: 0000 0000", b"Leaving the BROM", b"RDY", b"*MATREADY: 1"]
        ):
            asyncio.get_running_loop().call_later(1 + at, module.say, b"\r\n%b\r\n" % banner)
        async with opened(module) as modem:
            assert 6 < running().now - began < 12
            assert modem.statistics.resets == 0  # it was switched on, no more

    @virtual
    async def test_boot_that_never_ends(self) -> None:
        """The error names the power supply."""
        module = AnsweringModule()
        module.on(".*", lambda _: module.say(b"\r\nRDY\r\n"))
        began = running().now
        with pytest.raises(aiobc9x.ModuleReset, match="power supply"):
            async with opened(module, sync_timeout=5):
                pass
        assert 9 < running().now - began < 12

    @virtual
    async def test_never_answered(self) -> None:
        """What is left is not asked for ever: each time would cost the step."""
        module = AnsweringModule()
        module.on(r"AT\+QSCLK=0", b"ERROR", times=1)
        async with opened(module) as modem:
            module.on(r"AT\+QSCLK=0", lambda _: None)
            for _ in range(6):
                await modem.wait_ready()
            assert len(module.told("AT+QSCLK")) < 8
            assert modem.statistics.recoveries < 7

    @virtual
    async def test_refused_for_ever_as_if_it_would_pass(self) -> None:
        """It is tried at each of the next three waits, and no more."""
        module = AnsweringModule()
        module.on(r"AT\+CEDRXS=0", b"+CME ERROR: 30")
        async with opened(module) as modem:
            for _ in range(5):
                await loses_network(module)
                await modem.wait_ready()
            seen = len(module.told("AT+CEDRXS"))
            await modem.wait_ready()
            assert seen == len(module.told("AT+CEDRXS")) < 8

    @virtual
    async def test_after_a_restart(self) -> None:
        """The same holds there."""
        module = AnsweringModule()
        right = left_wrong(module)
        async with opened(module) as modem:
            right.clear()
            booting(module, b"+CME ERROR: 14", 3)
            module.say(b"\r\nRDY\r\n")
            await asyncio.sleep(10)
            assert right >= set(SETTINGS)
            assert await modem.command("AT+CSQ") == []


class TestMissing:
    """A module that doesn't know all that a start sets."""

    @pytest.mark.parametrize(
        "answer", [b"ERROR", b"+CME ERROR: 3", b"+CME ERROR: 4", b"+CME ERROR: 100"]
    )
    @virtual
    async def test_it_costs_no_time(self, answer: bytes) -> None:
        """Nothing is waited for, and after one more try nothing is asked again."""
        began = running().now
        async with opened(AnsweringModule()):
            healthy = running().now - began
        assert healthy < 1
        module = AnsweringModule()
        vendors = r"AT\+(?:QSCLK|CPSMS|CEDRXS|CSCON|QNBIOTEVENT|QATWAKEUP|CMEE)\b.*"
        module.on(vendors, answer)
        began = running().now
        async with opened(module) as modem:
            assert running().now - began < healthy + 0.1
            await modem.wait_ready()
            module.seen.clear()
            await loses_network(module)
            await modem.wait_ready()
            assert not any(re.fullmatch(vendors, line) for line in module.seen)

    @virtual
    async def test_no_sim(self) -> None:
        """What a module refuses for want of one holds nothing up."""
        module = AnsweringModule()
        module.on(r"AT\+C(?:PSMS|EDRXS).*", b"+CME ERROR: 10")
        began = running().now
        async with opened(module):
            assert running().now - began < 1

    @virtual
    async def test_busy_for_ever(self) -> None:
        """What works worse without it is waited for a moment, all in all."""
        module = AnsweringModule()
        module.on(r"AT\+(?:CMEE|QSCLK|CPSMS|CFUN).*", b"+CME ERROR: 14")
        began = running().now
        async with opened(module):
            assert 4 < running().now - began < 6


class TestRequired:
    """What nothing works without."""

    @pytest.mark.parametrize(
        ("pattern", "match"),
        [
            ("ATE0", "'ATE0' for \\d+ s: the SIM is busy"),
            (r'AT\+QICFG="showlength".*', '"showlength",1\' for \\d+ s: the SIM is busy'),
            (r'AT\+QICFG="dataformat".*', '"dataformat",0,0\' for \\d+ s: the SIM is busy'),
        ],
    )
    @virtual
    async def test_the_error_names_it(self, pattern: str, match: str) -> None:
        """It comes when the time is up; nothing waits for ever."""
        module = AnsweringModule()
        module.on(pattern, b"+CME ERROR: 14")
        began = running().now
        with pytest.raises(aiobc9x.SettingRefused, match=match) as caught:
            async with opened(module, sync_timeout=10):
                pass
        assert 8 < running().now - began < 12
        assert isinstance(caught.value, aiobc9x.CommandError)
        assert module.is_closing()

    @virtual
    async def test_who_passes_a_profile_may_do_without(self) -> None:
        """A relative without such settings: its headers show the length of the data alone."""
        module = AnsweringModule()
        module.on(r"AT\+Q.*", b"ERROR")
        began = running().now
        async with opened(module, profile=aiobc9x.ModuleProfile()) as modem:
            assert running().now - began < 8
            endpoint = partial(
                modem.create_datagram_endpoint,
                asyncio.DatagramProtocol,
                remote_addr=("192.0.2.1", 7),
            )
            with pytest.raises(ValueError, match="show_length"):
                await endpoint()
            module.on(r'AT\+QICFG="showlength",1', b"OK")
            module.on(r"AT\+QIOPEN=.*", b"OK\n+QIOPEN: 0,0")
            await modem.wait_ready()
            transport, _ = await endpoint()
            transport.abort()

    @pytest.mark.parametrize("silent", [r"AT\+CFUN=1", r'AT\+QICFG="showlength"'])
    @virtual
    async def test_silence_has_an_end_too(self, silent: str) -> None:
        """However long a command may take by itself."""
        module = AnsweringModule()
        module.on(r"AT\+CFUN\?", b"+CFUN: 0\nOK")
        module.on(silent, lambda _: None)
        began = running().now
        with pytest.raises(aiobc9x.LinkTimeout):
            async with opened(module, sync_timeout=10):
                pass
        assert running().now - began < 40

    @virtual
    async def test_radio_that_takes_twelve_seconds(self) -> None:
        """It is waited for."""
        module = AnsweringModule()
        module.on(r"AT\+CFUN\?", b"+CFUN: 0\nOK")
        module.on(r"AT\+CFUN=1", late(module, 12, b"OK"))
        async with opened(module):
            assert len(module.told("AT+CFUN=1")) == 1

    @virtual
    async def test_lengths_that_can_only_be_set(self) -> None:
        """A module that can't be asked is told."""
        module = AnsweringModule()
        module.on(r'AT\+QICFG="(?:showlength|dataformat)"', b"ERROR")
        async with opened(module):
            assert 'AT+QICFG="showlength",1' in module.seen
            assert 'AT+QICFG="dataformat",0,0' in module.seen

    @virtual
    async def test_hex_is_read_where_it_can_not_be_switched_off(self) -> None:
        """It is known to come, which is enough; digits that are wanted are a must."""
        module = AnsweringModule()
        module.on(r'AT\+QICFG="dataformat"', b'+QICFG: "dataformat",0,1\nOK')
        module.on(r'AT\+QICFG="dataformat",.*', b"ERROR")
        async with opened(module):
            pass
        module = AnsweringModule()
        module.on(r'AT\+QICFG="dataformat",.*', b"ERROR")
        with pytest.raises(aiobc9x.SettingRefused, match="dataformat"):
            async with opened(module, sync_timeout=3, receive_hex=True):
                pass
