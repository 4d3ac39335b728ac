"""SIM, network and power through the module (27.007)."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

import aiobc9x
from aiobc9x.aio.queries.results import Identity, Signal
from aiobc9x.sim.faults import Fault, FaultKind
from tests.support.answering import AnsweringModule, opened
from tests.support.bench import ECHO_PORT, HOST, Bench
from tests.support.clock import virtual


def refuse(*names: str) -> list[Fault]:
    """A module that doesn't know these commands."""
    return [Fault(FaultKind.ERROR, on=f"AT+{name}", times=None) for name in names]


def says(prefix: str, line: str) -> Fault:
    """A module that words a line so."""
    return Fault(FaultKind.REPLACE_LINE, on=prefix, times=None, data=line.encode())


class TestRegistration:
    """CEREG, with CGREG and CREG where the module lacks it."""

    @pytest.mark.parametrize(
        ("missing", "asked"),
        [
            ((), ["AT+CEREG?"]),
            (("CEREG",), ["AT+CEREG?", "AT+CGREG?"]),
            (("CEREG", "CGREG"), ["AT+CEREG?", "AT+CGREG?", "AT+CREG?"]),
        ],
    )
    @virtual
    async def test_fallback(self, missing: tuple[str, ...], asked: list[str]) -> None:
        """The first that is known answers."""
        async with Bench(*refuse(*missing)) as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            status = await modem.registration()
            assert status.registered
            assert bench.commands == asked

    @virtual
    async def test_none_is_known(self) -> None:
        """The first refusal is reported."""
        async with Bench(*refuse("CEREG", "CGREG", "CREG")) as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.CommandError, match="CEREG"):
                await modem.registration()

    @virtual
    async def test_on_the_way(self) -> None:
        """Before the network is found it says so."""
        async with Bench(register_time=60) as bench:
            modem = await bench.open()
            assert not (await modem.registration()).registered
            await modem.wait_ready()
            assert (await modem.registration()).registered


class TestSignal:
    """CSQ and CESQ in dBm and dB."""

    @virtual
    async def test_values(self) -> None:
        """-113 + 2·20 dBm; 60 is -81 dBm, 20 is -10 dB."""
        async with Bench() as bench:
            modem = await bench.open()
            await modem.wait_ready()
            assert await modem.signal() == Signal(-73, 0, -81, -10.0)

    @virtual
    async def test_unknown(self) -> None:
        """99 and 255 mean unknown."""
        async with Bench(says("+CSQ", "+CSQ: 99,99")) as bench:
            modem = await bench.open()
            bench.add_fault(says("+CESQ", "+CESQ: 99,99,255,255,255,255"))
            assert await modem.signal() == Signal(None, None, None, None)

    @virtual
    async def test_missing(self) -> None:
        """A module that lacks one command gives what it has."""
        async with Bench(*refuse("CESQ")) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            assert await modem.signal() == Signal(-73, 0, None, None)
        async with Bench(*refuse("CSQ", "CESQ")) as bench:
            modem = await bench.open()
            assert await modem.signal() == Signal(None, None, None, None)


class TestIdentity:
    """Who the module and its SIM are."""

    @virtual
    async def test_all(self) -> None:
        """Six answers."""
        async with Bench() as bench:
            modem = await bench.open()
            found = await modem.identity()
            assert (found.manufacturer, found.model) == ("Quectel", "BC65")
            assert found.revision == "Revision: BC65VIRTUAL01"
            for digits in (found.imei, found.imsi, found.iccid):
                assert digits is not None
                assert digits.isdigit()

    @virtual
    async def test_nothing(self) -> None:
        """Commands that are missing give ``None``."""
        names = ("CGMI", "CGMM", "CGMR", "CGSN", "CIMI", "QCCID")
        async with Bench(*refuse(*names)) as bench:
            modem = await bench.open()
            assert await modem.identity() == Identity(None, None, None, None, None, None)


class TestAttach:
    """CGATT, addresses, APN and PIN."""

    @virtual
    async def test_detach_and_attach(self) -> None:
        """Detaching ends connections; the next open attaches again by itself."""
        async with Bench() as bench:
            modem = await bench.open()
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            await modem.detach()
            with pytest.raises(aiobc9x.NetworkLost):
                await asyncio.wait_for(reader.read(), 60)
            writer.close()
            assert await modem.addresses() == ((1, ()),)
            await modem.attach()
            reader, writer = await modem.open_connection(HOST, ECHO_PORT)
            assert await modem.addresses() == ((1, ("100.127.243.105",)),)
            writer.close()

    @virtual
    async def test_address_forms(self) -> None:
        """Without quotes, with two families, and by context where the bare form is refused."""
        bare = Fault(FaultKind.ERROR, on="AT+CGPADDR?", times=None)
        async with Bench(bare) as bench:
            modem = await bench.open()
            await modem.wait_ready()
            assert await modem.addresses() == ((1, ("100.127.243.105",)),)
            bench.add_fault(says("+CGPADDR", "+CGPADDR: 1,10.1.2.3,2001:db8::1"))
            assert await modem.addresses() == ((1, ("10.1.2.3", "2001:db8::1")),)

    @virtual
    async def test_apn(self) -> None:
        """It is that of the modem's context."""
        async with Bench(apn="first.example") as bench:
            modem = await bench.open()
            assert await modem.apn() == "first.example"
            await modem.set_apn("second.example", pdp_type="IPV4V6")
            assert await modem.apn() == "second.example"
            with pytest.raises(ValueError, match="apn"):
                await modem.set_apn('"; AT+CFUN=0')
            with pytest.raises(ValueError, match="pdp_type is 'PPP': use 'IP'"):
                await modem.set_apn("third.example", pdp_type="PPP")

    @pytest.mark.parametrize("missing", [False, True])
    @virtual
    async def test_login(self, missing: bool, caplog: pytest.LogCaptureFixture) -> None:
        """The network lets nobody in without it; the vendor's command stands in for CGAUTH."""
        caplog.set_level(logging.DEBUG, "aiobc9x")
        faults = refuse("CGAUTH") if missing else []
        async with Bench(*faults, apn_login="me:s3cret") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.StageTimeout, match="attaching"):
                await modem.wait_ready(10)
            await modem.set_apn("private.example", user="me", password="s3cret", auth="chap")
            await modem.wait_ready(10)
            assert await modem.apn() == "private.example"
            logins = [line for line in bench.commands if "s3cret" in line]
            assert logins[-1] == (
                'AT+QCGDEFCONT="IP","private.example","me","s3cret"'
                if missing
                else 'AT+CGAUTH=1,2,"me","s3cret"'
            )
            assert ("AT+CFUN=0" in bench.commands) is missing
            await modem.set_apn("private.example")  # which takes the login back
            assert bench.commands[-1] == "AT+CGAUTH=1,0"
        assert "s3cret" not in caplog.text
        assert "me" not in re.findall(r'"(\w+)"', caplog.text)

    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("loss", ["restart", "link"])
    @virtual
    async def test_login_outlives_the_modules_memory(self, missing: bool, loss: str) -> None:
        """A gateway comes back by itself: a module that has forgotten the APN is told it again."""
        faults = refuse("CGAUTH") if missing else []
        async with Bench(*faults, apn_login="me:s3cret") as bench:
            modem = await bench.open_lasting()
            await modem.set_apn("private.example", user="me", password="s3cret", auth="chap")
            await modem.wait_ready(30)
            bench.dialogue.clear()
            if loss == "restart":
                await modem.command("AT+QRST=1")
            bench.cut()
            await asyncio.sleep(5)
            await modem.available(60)
            assert await modem.apn() == "private.example"
            told = [line for line in bench.commands if "private.example" in line]
            # Where the vendor's command has been used, the module keeps it.
            assert len(told) == (loss == "restart" and not missing)
            assert ('AT+CGAUTH=1,2,"me","s3cret"' in bench.commands) is not missing
            await modem.set_apn("other.example")
            bench.dialogue.clear()
            bench.cut()
            await asyncio.sleep(5)
            assert "s3cret" not in str(bench.commands), "the last word counts"

    @virtual
    async def test_a_refused_apn_is_not_told_again(self) -> None:
        """The module's own stays."""
        async with Bench(apn="first.example") as bench:
            modem = await bench.open_lasting()
            bench.add_fault(Fault(FaultKind.ERROR, on="AT+CGDCONT="))
            with pytest.raises(aiobc9x.CommandError):
                await modem.set_apn("second.example")
            bench.dialogue.clear()
            bench.cut()
            await asyncio.sleep(5)
            assert await modem.apn() == "first.example"
            assert "second.example" not in str(bench.commands)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"password": "s3cret"}, "need a user"),
            ({"auth": "pap"}, "need a user"),
            ({"user": ""}, "user is empty"),
            ({"user": "me", "auth": "eap"}, "auth is 'eap': use 'pap' or 'chap'"),
            ({"user": "me", "password": 's3cret"'}, "password holds"),
            ({"user": 5}, "user must be"),
            ({"user": "me", "password": b"s3cret"}, "password must be"),
        ],
    )
    @virtual
    async def test_wrong_logins(self, arguments: dict[str, Any], match: str) -> None:
        """They are refused before anything is sent, and not shown."""
        async with Bench() as bench:
            modem = await bench.open()
            bench.dialogue.clear()
            with pytest.raises((ValueError, TypeError), match=match) as caught:
                await modem.set_apn("internet", **arguments)
            assert "s3cret" not in str(caught.value)
            assert bench.commands == []

    @pytest.mark.parametrize("answer", [b"+CME ERROR: 3", b"+CME ERROR: 14", None])
    @virtual
    async def test_refused_login(self, answer: bytes | None) -> None:
        """The error has no password, and the radio is on again."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on(r"AT\+CGAUTH=.*", b"+CME ERROR: 14" if answer is None else b"ERROR")
            module.on(r"AT\+QCGDEFCONT=.*", answer or b"OK")
            with pytest.raises(aiobc9x.CommandError) as caught:
                await modem.set_apn("internet", user="me", password="s3cret")
            assert "s3cret" not in f"{caught.value}{caught.value.command}{caught.value.__context__}"
            switched = module.told("AT+CFUN=")
            assert switched == ([] if answer is None else ["AT+CFUN=0", "AT+CFUN=1"])

    @virtual
    async def test_cancelled_login(self) -> None:
        """A radio that is off is switched on again."""
        module = AnsweringModule()
        async with opened(module) as modem:
            module.on(r"AT\+CGAUTH=.*", b"ERROR")
            module.on(r"AT\+QCGDEFCONT=.*", lambda _: None)
            task = asyncio.create_task(modem.set_apn("internet", user="me", password="s3cret"))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(30)
            assert module.told("AT+CFUN=") == ["AT+CFUN=0", "AT+CFUN=1"]

    @virtual
    async def test_context_without_apn(self) -> None:
        """``None``."""
        async with Bench() as bench:
            modem = await bench.open(context_id=3)
            assert await modem.apn() is None

    @virtual
    async def test_pin(self) -> None:
        """The right one unlocks the SIM, a wrong one is refused, others are not sent."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.PinRequired):
                await modem.wait_ready()
            bench.dialogue.clear()
            wrong: Any
            for wrong in ("12", "123456789", "12a4", ""):
                with pytest.raises(ValueError, match="pin"):
                    await modem.set_pin(wrong)
            assert bench.commands == []
            with pytest.raises(aiobc9x.CommandError):
                await modem.set_pin("4321")
            await modem.set_pin("1234")
            await modem.wait_ready()
