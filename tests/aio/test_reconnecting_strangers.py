"""What is plugged in again may be another modem, or none: it is named, and never waited for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import pytest

import aiobc9x
from aiobc9x import LinkUp, ModemState, Recovering
from tests.support.answering import AnsweringModule
from tests.support.bench import HOST, PORT
from tests.support.clock import running, virtual
from tests.support.scripted import ScriptedDevice, parrot, silence


def another_modem() -> AnsweringModule:
    """A modem of another maker."""
    module = AnsweringModule()
    module.on("ATI", b"SIM7000E R1529\nOK")
    return module


def gps_receiver() -> ScriptedDevice:
    """A device that talks by itself, and never of what it is asked."""
    device = ScriptedDevice(silence)

    def talk() -> None:
        if not device.is_closing():
            device.say(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n")
            asyncio.get_running_loop().call_later(0.2, talk)

    talk()
    return device


class Socket:
    """A place where a device may be plugged in, as ``create``.

    Attributes:
        device: Makes the device that is there at each opening.

    """

    def __init__(self) -> None:
        self.device: Callable[[], ScriptedDevice] = AnsweringModule
        self.plugged: list[ScriptedDevice] = []

    async def create(
        self, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        protocol = protocol_factory()
        self.plugged.append(self.device())
        return self.plugged[-1].connect_memory(protocol), protocol

    def exchange(self, device: Callable[[], ScriptedDevice]) -> None:
        """Pull the device out, and plug another one in."""
        self.device = device
        self.plugged[-1].lose(OSError(5, "Input/output error"))


@asynccontextmanager
async def exchanged(
    device: Callable[[], ScriptedDevice],
) -> AsyncIterator[tuple[aiobc9x.Modem, Socket]]:
    """Open a modem, then have another device in its place; at the end it closes in 5 s."""
    socket = Socket()
    modem = await aiobc9x.open_modem(socket.create)
    socket.exchange(device)
    yield modem, socket
    began = running().now
    await modem.aclose()
    assert running().now - began < 5
    assert all(each.is_closing() for each in socket.plugged)


Make: TypeAlias = Callable[[], ScriptedDevice]

STRANGERS: Final[dict[str, tuple[Make, str]]] = {
    "another modem": (another_modem, "SIM7000E answers on .*create.., not a BC65/BC92; profile="),
    "nothing that answers": (ScriptedDevice, "nothing came from .*create.. in 10 s"),
    "an echo": (
        lambda: ScriptedDevice(parrot),
        "bytes came from .*create.. in 10 s, but no",
    ),
    "a GPS receiver": (gps_receiver, "and that it is a modem"),
}


@pytest.mark.parametrize("what", STRANGERS)
class TestStranger:
    """It stands in the events and in the errors of calls that waited."""

    @virtual
    async def test_events_name_it(self, what: str) -> None:
        """Behind the loss of the first one; the modem is away, not closed."""
        device, text = STRANGERS[what]
        async with exchanged(device) as (modem, _):
            events = modem.subscribe()
            tries: list[Recovering] = []
            async with asyncio.timeout(60):
                while len(tries) < 3:
                    event = await anext(events)
                    tries += [event] if isinstance(event, Recovering) else []
            assert "Input/output error" in tries[0].reason
            assert all(re.search(f"^[^[].*{text}|^{text}", each.reason) for each in tries[1:])
            assert modem.state is ModemState.AWAY

    @virtual
    async def test_errors_name_it(self, what: str) -> None:
        """Calls of every kind wait within their timeouts, whatever is tried meanwhile."""
        device, text = STRANGERS[what]
        async with exchanged(device) as (modem, _):
            await asyncio.sleep(15)
            with pytest.raises(aiobc9x.StageTimeout, match=text):
                await modem.open_connection(HOST, PORT, timeout=25)
            with pytest.raises(aiobc9x.StageTimeout, match=text):
                await modem.available(timeout=25)
            with pytest.raises(aiobc9x.StageTimeout, match=text):
                await modem.wait_ready(timeout=25)
            with pytest.raises(aiobc9x.LinkTimeout, match=f"did not come back in 25 s: .*{text}"):
                await modem.command("AT+CSQ", timeout=25)
            assert modem.state is not ModemState.CLOSED

    @virtual
    async def test_the_right_one_is_used_again(self, what: str) -> None:
        """Calls that were made before wait for it."""
        device, _ = STRANGERS[what]
        async with exchanged(device) as (modem, socket):
            events = modem.subscribe()
            await asyncio.sleep(5)
            waiting = asyncio.create_task(modem.command("AT+CSQ"))
            await asyncio.sleep(30)
            socket.exchange(AnsweringModule)
            async with asyncio.timeout(61):
                while not isinstance(await anext(events), LinkUp):
                    pass
            assert await waiting == []


@virtual
async def test_closing_in_the_middle_of_a_try() -> None:
    """At any moment of it, with whatever is there: within five seconds."""
    for device, _ in STRANGERS.values():
        for after in (0.0, 0.5, 1.5, 6.0, 11.0):
            async with exchanged(device):
                await asyncio.sleep(after)


class TestReplugged:
    """Somebody sees that it is the wrong one, and plugs the right one in."""

    @virtual
    async def test_a_device_that_went_and_came_cuts_the_wait(self) -> None:
        """Which is the longest one by then: the wrong modem was refused several times."""
        async with exchanged(another_modem) as (modem, socket):
            is_there = True

            async def look() -> bool:
                return is_there

            modem._life._is_there = look
            await asyncio.sleep(10)
            tries = len(socket.plugged)
            await asyncio.sleep(10)
            assert len(socket.plugged) == tries
            is_there = False
            await asyncio.sleep(5)
            socket.device = AnsweringModule
            is_there = True
            await modem.available(timeout=4)


class TestTransportsOfOthers:
    """A stream from ``create`` may be of any quality."""

    @virtual
    async def test_an_end_that_is_never_reported(self) -> None:
        """Closing takes its limit, and no more."""
        socket = Socket()
        modem = await aiobc9x.open_modem(socket.create)
        device = socket.plugged[0]
        device.lose = lambda exc=None: None  # type: ignore[method-assign]
        began = running().now
        await modem.aclose()
        assert running().now - began < 5
