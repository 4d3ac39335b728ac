"""simcard: what the SIM waits for, and a PIN that is never wasted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import aiobc9x
from tests.support.answering import Answer, AnsweringModule, late, opened
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import running, virtual

PIN = r'AT\+CPIN="\d+"'
ASK = r"AT\+CPIN\?"


def wanting(*states: bytes) -> AnsweringModule:
    """A module whose SIM says these one after the other, the last one from then on."""
    module = AnsweringModule()
    module.on(ASK, states[-1])
    for state in reversed(states[:-1]):
        module.on(ASK, state, times=1)
    return module


async def trouble(module: AnsweringModule, kind: type[aiobc9x.SimError], limit: float) -> str:
    """Show that both calls fail so, in time; return the words, and that no PIN was sent."""
    async with opened(module, pin="1234") as modem:
        began = running().now
        with pytest.raises(kind) as caught:
            await modem.wait_ready(60)
        assert running().now - began < limit
        began = running().now
        with pytest.raises(kind):
            await modem.open_connection("192.0.2.1", 80, timeout=60)
        assert running().now - began < 1  # nothing more is waited for
        with pytest.raises(kind):
            await modem.set_pin("1234")
    assert module.told("AT+CPIN=") == []
    return str(caught.value)


class TestTrouble:
    """What waiting can't mend ends the wait, with what to do."""

    @pytest.mark.parametrize("said", [b"+CPIN: SIM PUK\nOK", b"+CPIN: SIM PUK,3\nOK"])
    @virtual
    async def test_puk(self, said: bytes) -> None:
        """No PIN goes to a SIM that counts PUKs."""
        text = await trouble(wanting(said), aiobc9x.PukRequired, 1)
        assert "PUK" in text
        assert "unblock_sim(puk, new_pin)" in text

    @pytest.mark.parametrize("said", [b"+CME ERROR: 12", b"+CME ERROR: SIM PUK required"])
    @virtual
    async def test_puk_by_its_code(self, said: bytes) -> None:
        """As a number or in words."""
        await trouble(wanting(said), aiobc9x.PukRequired, 1)

    @pytest.mark.parametrize("said", [b"+CPIN: PH-NET PIN\nOK", b"+CME ERROR: 5"])
    @virtual
    async def test_locked(self, said: bytes) -> None:
        """The module wants other SIMs."""
        assert "locked to SIMs of another operator" in await trouble(
            wanting(said), aiobc9x.SimLocked, 1
        )

    @pytest.mark.parametrize("said", [b"+CME ERROR: 10", b"+CPIN: NOT INSERTED\nOK"])
    @virtual
    async def test_missing(self, said: bytes) -> None:
        """It is believed after some seconds."""
        assert "insert one" in await trouble(wanting(said), aiobc9x.SimMissing, 8)

    @pytest.mark.parametrize("said", [b"+CME ERROR: 13", b"+CME ERROR: SIM wrong"])
    @virtual
    async def test_failed(self, said: bytes) -> None:
        """So is a SIM that can't be read."""
        assert "try another" in await trouble(wanting(said), aiobc9x.SimError, 8)


class TestWaiting:
    """What may pass is waited for."""

    @virtual
    async def test_a_sim_that_seems_missing_at_first(self) -> None:
        """An EC21 says 10, 10, 14 and READY within 0.3 s of its boot."""
        busy = b"+CME ERROR: 14"
        module = wanting(*[b"+CME ERROR: 10"] * 2, busy, busy, b"+CPIN: READY\nOK")
        async with opened(module) as modem:
            await modem.wait_ready(30)

    @pytest.mark.parametrize("said", [b"+CPIN: NOT READY\nOK", b"+CME ERROR: 14"])
    @virtual
    async def test_a_sim_that_takes_long(self, said: bytes) -> None:
        """As long as the wait may take."""
        module = wanting(said)
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.StageTimeout, match="waiting for the SIM"):
                await modem.wait_ready(30)

    @virtual
    async def test_second_pin(self) -> None:
        """It is for services that no connection needs."""
        async with opened(wanting(b"+CPIN: SIM PIN2\nOK")) as modem:
            await modem.wait_ready(10)

    @virtual
    async def test_answer_after_four_seconds(self) -> None:
        """The manuals allow the SIM five."""
        module = AnsweringModule()
        module.on(ASK, late(module, 4, b"+CPIN: READY\nOK"))
        async with opened(module) as modem:
            await modem.wait_ready(60)
            assert modem.statistics.recoveries == 0


class TestOwnPin:
    """``pin=`` of open_modem()."""

    @virtual
    async def test_it_may_take_effect_a_moment_later(self) -> None:
        """Accepted, and still asked for: it is not sent again, and no error."""
        asks = b"+CPIN: SIM PIN\nOK"
        module = wanting(asks, asks, asks, b"+CME ERROR: 14", b"+CPIN: READY\nOK")
        async with opened(module, pin="1234") as modem:
            await modem.wait_ready(20)
        assert module.told("AT+CPIN=") == ['AT+CPIN="1234"']

    @virtual
    async def test_it_is_accepted_and_asked_for_for_ever(self) -> None:
        """Then it was another PIN that was wanted."""
        module = wanting(b"+CPIN: SIM PIN\nOK")
        async with opened(module, pin="1234") as modem:
            began = running().now
            with pytest.raises(aiobc9x.PinRequired):
                await modem.wait_ready(60)
            assert running().now - began < 8
        assert len(module.told("AT+CPIN=")) == 1

    @virtual
    async def test_a_busy_sim_has_not_looked_at_it(self) -> None:
        """It is given again."""
        module = wanting(b"+CPIN: SIM PIN\nOK", b"+CPIN: SIM PIN\nOK", b"+CPIN: READY\nOK")
        module.on(PIN, b"+CME ERROR: 14", times=1)
        async with opened(module, pin="1234") as modem:
            await modem.wait_ready(20)
        assert len(module.told("AT+CPIN=")) == 2

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (b"+CME ERROR: 16", aiobc9x.PinRequired),
            (b"ERROR", aiobc9x.PinRequired),
            (b"+CME ERROR: 12", aiobc9x.PukRequired),
        ],
    )
    @virtual
    async def test_a_wrong_one(self, answer: bytes, kind: type[aiobc9x.SimError]) -> None:
        """The last of three wrong ones brings the PUK up; it is never sent again."""
        module = wanting(b"+CPIN: SIM PIN\nOK")
        module.on(PIN, answer)
        async with opened(module, pin="1234") as modem:
            with pytest.raises(kind):
                await modem.wait_ready(20)
            with pytest.raises(aiobc9x.PinRequired):
                await modem.wait_ready(20)
        assert len(module.told("AT+CPIN=")) == 1


class TestSetPin:
    """``set_pin()`` asks first."""

    @virtual
    async def test_a_ready_sim_gets_nothing(self) -> None:
        """It would count as a wrong one on some."""
        module = AnsweringModule()
        async with opened(module) as modem:
            await modem.set_pin("1234")
        assert module.told("AT+CPIN") == ["AT+CPIN?"]

    @virtual
    async def test_a_busy_sim_is_waited_for(self) -> None:
        """A moment."""
        module = wanting(b"+CME ERROR: 14", b"+CME ERROR: 10", b"+CPIN: SIM PIN\nOK")
        async with opened(module) as modem:
            await modem.set_pin("1234")
        assert module.told("AT+CPIN=") == ['AT+CPIN="1234"']

    @pytest.mark.parametrize("said", [b"+CME ERROR: 14", b"ERROR"])
    @virtual
    async def test_a_sim_that_does_not_say(self, said: bytes) -> None:
        """Nothing is sent to it."""
        module = wanting(said)
        async with opened(module) as modem:
            began = running().now
            with pytest.raises(aiobc9x.CommandError):
                await modem.set_pin("1234")
            assert running().now - began < 8
        assert module.told("AT+CPIN=") == []

    @virtual
    async def test_a_wrong_one(self) -> None:
        """The error is that of a PIN."""
        module = wanting(b"+CPIN: SIM PIN\nOK")
        module.on(PIN, b"+CME ERROR: 16")
        async with opened(module) as modem:
            with pytest.raises(
                aiobc9x.PinRequired, match="refused the PIN: the password or PIN is wrong"
            ):
                await modem.set_pin("1234")


class TestTries:
    """How many are left is in the error, where the module tells."""

    @pytest.mark.parametrize(
        ("pattern", "answer", "left"),
        [
            (r"AT\+CPINR", b"+CPINR: SIM PIN,0,3\n+CPINR: SIM PUK,9,10\nOK", 9),
            (r"AT\+QPINC\?", b'+QPINC: "SC",0,1\nOK', 1),
            (r"AT\+(CPINR|QPINC\?)", b"ERROR", None),
            (r"AT\+(CPINR|QPINC\?)", lambda _: None, None),
        ],
    )
    @virtual
    async def test_puk(self, pattern: str, answer: Answer, left: int | None) -> None:
        """27.007's command first, then the vendor's; neither is needed."""
        module = wanting(b"+CPIN: SIM PUK\nOK")
        module.on(pattern, answer)
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.PukRequired) as caught:
                await modem.wait_ready(60)
        assert caught.value.tries_left == left
        words = {9: "9 tries of the PUK are left", 1: "1 try of the PUK is left"}
        assert words.get(left or 0, "ten wrong PUKs destroy it") in str(caught.value)

    @virtual
    async def test_pin(self) -> None:
        """Before and behind a refusal."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open()
            with pytest.raises(aiobc9x.PinRequired, match="3 tries of the PIN are left"):
                await modem.wait_ready()
            with pytest.raises(aiobc9x.PinRequired, match=r"refused.*2 tries") as caught:
                await modem.set_pin("4321")
            assert caught.value.tries_left == 2


class TestUnblock:
    """unblock_sim(): a PUK and a new PIN."""

    @virtual
    async def test_from_three_wrong_pins_to_the_network(self) -> None:
        """Each error says what to do; the new PIN is the modem's own from then on."""
        async with Bench(pin="1234", puk="87654321") as bench:
            modem = await bench.open(pin="1111")
            for error in (aiobc9x.PinRequired, aiobc9x.PinRequired, aiobc9x.PukRequired):
                with pytest.raises(error):
                    await modem.set_pin("4321")
            with pytest.raises(aiobc9x.PukRequired, match="10 tries of the PUK are left"):
                await modem.open_connection(HOST, PORT, timeout=20)
            with pytest.raises(aiobc9x.PukRequired, match="9 tries of the PUK are left"):
                await modem.unblock_sim("11111111", "2468")
            await modem.unblock_sim("87654321", "2468")
            await modem.wait_ready()
            await modem.unblock_sim("87654321", "9999")  # it is ready: nothing is sent
            assert [c for c in bench.commands if "9999" in c] == []
            bench.virtual.reset()
            await asyncio.sleep(1)
            await modem.wait_ready()
            assert bench.commands.count('AT+CPIN="2468"') == 1
            assert 'AT+CPIN="1111"' not in bench.commands

    @virtual
    async def test_destroyed(self) -> None:
        """Ten wrong PUKs leave a SIM that has failed."""
        async with Bench(pin="1234") as bench:
            modem = await bench.open()
            for _ in range(3):
                with pytest.raises(aiobc9x.SimError):
                    await modem.set_pin("4321")
            for left in range(9, 0, -1):
                with pytest.raises(aiobc9x.PukRequired) as caught:
                    await modem.unblock_sim("11111111", "2468")
                assert caught.value.tries_left == left
            for _ in range(2):
                with pytest.raises(aiobc9x.SimError, match="the SIM is blocked") as dead:
                    await modem.unblock_sim("11111111", "2468")
                assert not isinstance(dead.value, aiobc9x.PukRequired)

    @virtual
    async def test_a_sim_that_wants_its_pin(self) -> None:
        """It is not locked, and gets no PUK."""
        module = wanting(b"+CPIN: SIM PIN\nOK")
        async with opened(module) as modem:
            with pytest.raises(aiobc9x.PinRequired):
                await modem.unblock_sim("12345678", "1234")
        assert module.told("AT+CPIN=") == []

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (b"+CME ERROR: 14", aiobc9x.CommandError),
            (b"+CME ERROR: 11", aiobc9x.PukRequired),
            (b"ERROR", aiobc9x.PukRequired),
        ],
    )
    @virtual
    async def test_refusals(self, answer: bytes, kind: type[aiobc9x.CommandError]) -> None:
        """A busy SIM has not looked at it; neither is shown."""
        module = wanting(b"+CPIN: SIM PUK\nOK")
        module.on(r"AT\+CPIN=.*", answer)
        async with opened(module) as modem:
            with pytest.raises(kind) as caught:
                await modem.unblock_sim("12345678", "2468")
        assert type(caught.value) is kind
        assert "2468" not in f"{caught.value}{caught.value.__cause__}{caught.value.command}"

    @pytest.mark.parametrize(
        ("puk", "pin", "error"),
        [("123", "1234", ValueError), (12345678, "1234", TypeError), ("12345678", None, TypeError)],
    )
    @virtual
    async def test_nonsense(self, puk: Any, pin: Any, error: type[Exception]) -> None:
        """Nothing is sent."""
        module = wanting(b"+CPIN: SIM PUK\nOK")
        async with opened(module) as modem:
            module.seen.clear()
            with pytest.raises(error):
                await modem.unblock_sim(puk, pin)
            assert module.seen == []
