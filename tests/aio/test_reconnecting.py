"""A modem comes back behind a lost link and a module that has stopped answering."""

from __future__ import annotations

import asyncio
import errno
import math
from typing import Any

import pytest

import aiobc9x
from aiobc9x import LinkDown, LinkLost, LinkUp, ModemState, Reconnect, Recovering
from tests.support.bench import HOST, LISTEN_PORT, PORT, Bench, echoed
from tests.support.clock import running, virtual
from tests.support.recorders import DatagramRecorder

UNPLUGGED = "Input/output error"


def unplug(bench: Bench) -> None:
    """Take the module's line away until :attr:`Bench.is_plugged_in` is set again."""
    bench.is_plugged_in = False
    bench.cut()


async def heard(subscription: Any, kind: type[Any]) -> Any:
    """Return the next event of a kind (``Any``: of that class)."""
    async with asyncio.timeout(3600):
        async for event in subscription:
            if isinstance(event, kind):
                return event
    raise AssertionError


class TestPolicy:
    """What can't be meant is refused at the call; delays are random below a doubling limit."""

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("first_delay", 0),
            ("first_delay", math.nan),
            ("first_delay", -1),
            ("first_delay", math.inf),
            ("max_delay", math.nan),
            ("max_delay", 0.5),
            ("max_delay", math.inf),
            ("give_up_after", 0),
            ("give_up_after", -1.0),
            ("give_up_after", math.nan),
            ("give_up_after", math.inf),
            ("resets_per_hour", -1),
            ("network_patience", -1),
            ("network_patience", math.nan),
            ("network_patience", math.inf),
        ],
    )
    def test_values(self, argument: str, value: float) -> None:
        """The argument is named."""
        settings: dict[str, Any] = {argument: value}
        with pytest.raises(ValueError, match=f"^{argument} is"):
            Reconnect(**settings)

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("first_delay", "1"),
            ("reset", "gpio"),
            ("resets_per_hour", 1.5),
            ("wait_for_device", "yes"),
            ("network_patience", None),
        ],
    )
    def test_types(self, argument: str, value: object) -> None:
        """The argument is named."""
        settings: dict[str, Any] = {argument: value}
        with pytest.raises(TypeError, match=f"^{argument} must be"):
            Reconnect(**settings)

    def test_something_else(self) -> None:
        """``True`` is no policy."""
        nonsense: Any = True
        with pytest.raises(TypeError, match="reconnect must be a Reconnect or None, not bool"):
            aiobc9x.open_modem("/dev/ttyUSB0", reconnect=nonsense)

    def test_delays(self) -> None:
        """1, 2, 4 … seconds at most, never more than the longest, also after years."""
        policy = Reconnect(first_delay=1.0, max_delay=60.0)
        longest = [policy.delay(attempt, lambda: 1.0) for attempt in (0, 1, 2, 5, 6, 10_000)]
        assert longest == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]
        assert policy.delay(3, lambda: 0.25) == 2.0


class TestUnplugged:
    """The port goes, and comes again."""

    @virtual
    async def test_the_same_modem_goes_on(self) -> None:
        """Connections and calls in flight end at once; new ones work when it is back."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            events = modem.subscribe()
            reader, writer = await bench.streams()
            call = asyncio.create_task(modem.ping(HOST))
            await asyncio.sleep(0.1)
            unplug(bench)
            with pytest.raises(LinkLost, match=UNPLUGGED):
                await asyncio.wait_for(reader.read(), 1)
            with pytest.raises(LinkLost):
                await asyncio.wait_for(call, 1)
            assert modem.state is ModemState.AWAY
            assert UNPLUGGED in (await heard(events, LinkDown)).reason
            bench.is_plugged_in = True
            await heard(events, LinkUp)
            assert str(modem.state) == "ModemState.UP"
            await echoed(modem)
            writer.close()
            assert (modem.statistics.link_losses, modem.statistics.returns) == (1, 1)

    @virtual
    async def test_it_is_in_use_soon(self) -> None:
        """Within the first delay and three seconds, if nothing was ever away for long."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            for _ in range(20):
                bench.cut()
                began = running().now
                await modem.available()
                assert running().now - began < 4.0

    @virtual
    async def test_ended_in_order_again_and_again(self) -> None:
        """As by a serial server that two clients take from each other: the waits grow.

        After a while of peace the next loss is the first one again.
        """
        async with Bench() as bench:
            modem = await bench.open_lasting()
            began = running().now
            for _ in range(12):
                assert bench.line is not None
                bench.line.lose(None)
                await asyncio.sleep(0.01)
                await modem.available()
            assert running().now - began > 60
            await asyncio.sleep(100)
            began = running().now
            assert bench.line is not None
            bench.line.lose(None)
            await asyncio.sleep(0.01)
            await modem.available()
            assert running().now - began < 4.0

    @virtual
    async def test_hours_without_it(self) -> None:
        """It is tried at most once a minute on average, for ever."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            bench.refusal = OSError(5, "Input/output error")
            bench.cut()
            await asyncio.sleep(7200)
            assert 60 < bench.openings < 600
            assert modem.state is ModemState.AWAY
            bench.refusal = None
            await modem.available(timeout=90)
            await echoed(modem)

    @virtual
    async def test_new_calls_wait(self) -> None:
        """Until it is back; or within their timeout, whose message says so."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            unplug(bench)
            await asyncio.sleep(1)
            with pytest.raises(TimeoutError, match=r"network|come back"):
                await modem.open_connection(HOST, PORT, timeout=5)
            with pytest.raises(aiobc9x.LinkTimeout, match=r"did not come back in 5 s: .*Input"):
                await modem.command("AT+CSQ", timeout=5)
            with pytest.raises(TimeoutError, match="come back"):
                await modem.available(timeout=5)
            waiting = asyncio.create_task(modem.command("AT+CSQ"))
            opening = asyncio.create_task(modem.open_connection(HOST, PORT))
            await asyncio.sleep(60)
            bench.is_plugged_in = True
            assert await waiting
            _, writer = await opening
            writer.close()
            await writer.wait_closed()

    @virtual
    async def test_whoever_waits_may_be_cancelled(self) -> None:
        """Nothing is left of it."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            unplug(bench)
            await asyncio.sleep(0.1)
            waiting = [asyncio.create_task(modem.available()) for _ in range(3)]
            waiting.append(asyncio.create_task(modem.signal()))  # type: ignore[arg-type]
            await asyncio.sleep(1)
            for task in waiting:
                task.cancel()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(each) for each in done} == {asyncio.CancelledError}
            bench.is_plugged_in = True
            await modem.available()
            await echoed(modem)

    @virtual
    async def test_a_wait_may_be_cancelled_as_it_ends(self) -> None:
        """In the very turn of the loop in which the time for the command is over."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            unplug(bench)
            await asyncio.sleep(0.1)
            call = asyncio.create_task(modem.command("AT+CSQ", timeout=5))
            running().call_later(5, call.cancel)
            with pytest.raises(asyncio.CancelledError):
                await call
            bench.is_plugged_in = True
            await modem.available()

    @virtual
    async def test_listeners_and_datagrams_come_back(self) -> None:
        """By themselves, and what was lost is told of."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, PORT), local_port=5683
            )
            async with await modem.start_server(lambda _r, w: w.close(), LISTEN_PORT):
                unplug(bench)
                await protocol.until(errors=1)
                assert isinstance(protocol.errors[0], LinkLost)
                await asyncio.sleep(100)
                bench.is_plugged_in = True
                await modem.available()
                await asyncio.sleep(160)  # the module keeps a port for 120 s behind its close
                assert bench.network.dial(LISTEN_PORT) is not None
                transport.sendto(b"again")
                await asyncio.sleep(5)
                assert any(b"again" in peer.datagrams for peer in bench.network.peers)
            transport.close()

    @virtual
    async def test_given_up(self) -> None:
        """Then it is closed for good, and says why."""
        async with Bench() as bench:
            modem = await bench.open_lasting(reconnect=Reconnect(give_up_after=300))
            events = modem.subscribe()
            unplug(bench)
            began = running().now
            told = [type(event) async for event in events]
            assert told[0] is LinkDown
            assert running().now - began == pytest.approx(300, abs=1)
            assert modem.state is ModemState.CLOSED
            with pytest.raises(LinkLost, match="given up after 300 s"):
                await modem.command("AT")
            with pytest.raises(LinkLost):
                await modem.available()

    @virtual
    async def test_without_a_policy(self) -> None:
        """It ends with its link."""
        async with Bench() as bench:
            modem = await bench.open_lasting(reconnect=None)
            bench.cut()
            await asyncio.sleep(0.01)
            assert modem.state is ModemState.CLOSED
            with pytest.raises(LinkLost):
                await modem.command("AT")

    @pytest.mark.parametrize("after", [0.0, 0.3, 2.0, 11.0])
    @virtual
    async def test_closing_it_while_it_is_away(self, after: float) -> None:
        """Whatever is being tried: within five seconds."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            unplug(bench)
            bench.is_plugged_in = after > 10
            if after > 10:
                bench.silence(True)
            await asyncio.sleep(after)
            began = running().now
            await modem.aclose()
            assert running().now - began < 5.0
            assert modem.state is ModemState.CLOSED
            bench.silence(False)

    @virtual
    async def test_cut_again_while_it_comes_back(self) -> None:
        """At any moment of the start: it comes back from that too."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            for step in range(40):
                bench.cut()
                await asyncio.sleep(0.05 * step)
            await modem.available(timeout=120)
            await echoed(modem)


class TestWedged:
    """The port is there, and the module does not answer."""

    @virtual
    async def test_the_hook_is_called_in_time(self) -> None:
        """Within a minute of the first unanswered command; in use 5 s after it answers."""
        async with Bench() as bench:
            calls: list[float] = []

            async def reset(modem: aiobc9x.Modem) -> None:
                assert modem is bench.current
                calls.append(running().now)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            await modem.wait_ready()
            bench.silence(True)
            began = running().now
            with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
                await modem.command("AT+CSQ")
            await asyncio.sleep(120)
            assert 0 < calls[0] - began < 60
            await asyncio.sleep(300)
            bench.silence(False)
            began = running().now
            await modem.available()
            assert running().now - began < 5.0
            assert modem.statistics.reset_hooks == len(calls) <= 6

    @pytest.mark.parametrize("after", [1.0, 11.0, 25.0, 45.0])
    @virtual
    async def test_new_calls_wait_whatever_is_tried(self, after: float) -> None:
        """While the answer is overdue, the line out of step, and the modem away."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            await modem.wait_ready()
            bench.silence(True)
            with pytest.raises(aiobc9x.LinkTimeout):
                await modem.command("AT+CSQ")
            await asyncio.sleep(after)
            began = running().now
            for limit in (3, 20):
                with pytest.raises(aiobc9x.LinkTimeout, match=f"in {limit} s: "):
                    await modem.command("AT+CSQ", timeout=limit)
            assert running().now - began == pytest.approx(23, abs=0.1)
            opening = asyncio.create_task(modem.open_connection(HOST, PORT))
            calls = asyncio.gather(modem.command("AT+CGMM"), modem.ping(HOST), modem.available())
            await asyncio.sleep(100)
            assert not opening.done()
            assert not calls.done()
            bench.silence(False)
            await calls
            _, writer = await opening
            writer.close()

    @pytest.mark.parametrize("form", ["hex", "fixed"])
    @virtual
    async def test_the_hook_is_called_in_time_for_a_send(self, form: str) -> None:
        """Though a send waits for its prompt, and then for its result, before it is given up."""
        async with Bench() as bench:
            calls: list[float] = []

            async def reset(_modem: aiobc9x.Modem) -> None:
                calls.append(running().now)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset), send_form=form)
            _, writer = await bench.streams()
            bench.silence(True)
            began = running().now
            writer.write(b"unanswered")
            await asyncio.sleep(120)
            assert calls[0] - began < 60
            bench.silence(False)
            await modem.available()

    @pytest.mark.parametrize("boot_s", [1.0, 2.0, 5.0])
    @virtual
    async def test_a_module_that_boots_behind_its_plug_is_not_reset(self, boot_s: float) -> None:
        """Its banner comes while it is asked for its first answer, which is no boot loop."""
        async with Bench(boot_time=boot_s) as bench:
            calls: list[float] = []

            async def reset(_modem: aiobc9x.Modem) -> None:
                calls.append(running().now)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            for _ in range(10):
                bench.virtual.reset()
                bench.cut()
                await asyncio.sleep(0)
                began = running().now
                await modem.available()
                assert running().now - began < boot_s + 4.0
                await asyncio.sleep(1)
            assert calls == []

    @virtual
    async def test_a_boot_loop_is_reset(self) -> None:
        """A module that restarts again and again answers, and nothing is of use."""
        async with Bench(boot_time=1.0, latency=0.05) as bench:
            calls: list[float] = []

            async def reset(_modem: aiobc9x.Modem) -> None:
                calls.append(running().now)
                looping.cancel()

            async def loop() -> None:
                while True:
                    bench.virtual.reset()
                    await asyncio.sleep(1.5)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            began = running().now
            looping = asyncio.create_task(loop())
            await asyncio.sleep(3)
            bench.cut()
            await asyncio.sleep(0)
            await modem.available()
            assert len(calls) == 1
            assert calls[0] - began < 60

    @pytest.mark.parametrize("boot_s", [5.0, 12.0, 25.0])
    @virtual
    async def test_a_module_that_boots_slowly_is_not_reset(self, boot_s: float) -> None:
        """It is silent behind its plug, as it has just been switched on."""
        async with Bench() as bench:
            calls: list[float] = []

            async def reset(_modem: aiobc9x.Modem) -> None:
                calls.append(running().now)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            bench.silence(True)
            bench.cut()
            await asyncio.sleep(boot_s)
            bench.silence(False)
            await modem.available(timeout=30)
            assert calls == []

    @virtual
    async def test_the_hook_has_a_budget(self) -> None:
        """So many calls in an hour, though the module stays silent for three."""
        async with Bench() as bench:
            calls: list[float] = []

            async def reset(_modem: aiobc9x.Modem) -> None:
                calls.append(running().now)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset, resets_per_hour=2))
            bench.silence(True)
            with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
                await modem.command("AT+CSQ")
            await asyncio.sleep(3 * 3600)
            assert 4 <= len(calls) <= 8
            assert all(b - a > 3600 for a, b in zip(calls, calls[2:], strict=False))
            bench.silence(False)

    @virtual
    async def test_events_tell_of_each_rung(self) -> None:
        """With the number of the try, the wait and the reason."""
        async with Bench() as bench:

            async def reset(_modem: aiobc9x.Modem) -> None:
                bench.silence(False)

            modem = await bench.open_lasting(reconnect=Reconnect(reset=reset))
            events = modem.subscribe()
            bench.silence(True)
            with pytest.raises((aiobc9x.LinkTimeout, LinkLost)):
                await modem.command("AT+CSQ")
            await modem.available()
            modem_events: list[Any] = []
            while not (modem_events and isinstance(modem_events[-1], LinkUp)):
                modem_events.append(await anext(events))
            rungs = [(e.rung, e.attempt) for e in modem_events if isinstance(e, Recovering)]
            assert rungs == [("port", 1), ("hook", 1), ("port", 2)]


class TestNetwork:
    """A module that answers, and has no network for long."""

    @virtual
    async def test_the_radio_then_the_module(self) -> None:
        """Off and on after the patience, then restarts with growing pauses."""
        async with Bench() as bench:
            modem = await bench.open_lasting(reconnect=Reconnect(network_patience=900))
            await modem.wait_ready()
            bench.virtual.set_coverage(False)
            await asyncio.sleep(6 * 3600)
            told = [line for line in bench.commands if line in {"AT+CFUN=0", "AT+QRST=1"}]
            assert told[0] == "AT+CFUN=0"
            assert 2 <= len(told) <= 6
            bench.virtual.set_coverage(True)
            await modem.available(timeout=600)
            await echoed(modem)


class TestLeaks:
    """A hundred losses leave nothing behind."""

    @virtual
    async def test_nothing_grows(self) -> None:
        """Neither tasks nor connect IDs."""
        async with Bench() as bench:
            modem = await bench.open_lasting()
            server = await modem.start_server(lambda _r, w: w.close(), LISTEN_PORT)
            transport, protocol = await modem.create_datagram_endpoint(
                DatagramRecorder, remote_addr=(HOST, PORT)
            )
            await asyncio.sleep(60)
            tasks = len(asyncio.all_tasks())
            for _ in range(100):
                bench.cut()
                await modem.available()
                await asyncio.sleep(160)
                assert len(bench.open_ids) == 2
            assert len(asyncio.all_tasks()) <= tasks
            assert len(protocol.errors) == 100
            assert server.is_serving()
            transport.close()
            server.close()


@virtual
async def test_error_numbers_of_what_is_lost() -> None:
    """A datagram that is sent while the modem is away is told of with ENETDOWN."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        transport, protocol = await modem.create_datagram_endpoint(
            DatagramRecorder, remote_addr=(HOST, PORT)
        )
        unplug(bench)
        await protocol.until(errors=1)
        transport.sendto(b"x")
        assert [getattr(e, "errno", None) for e in protocol.errors[1:]] == [errno.ENETDOWN]
        bench.is_plugged_in = True
