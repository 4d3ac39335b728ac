"""Any byte stream can carry a modem: ``open_modem(create)``."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

import aiobc9x
from aiobc9x.sim.links import VirtualModule, parse_address
from tests.support.bench import ADDRESS
from tests.support.clock import no_task_left, other_tasks, running, virtual
from tests.support.scripted import ScriptedDevice

Factory = Any  # a callable without arguments that makes the protocol


async def in_memory(module: VirtualModule, protocol_factory: Factory) -> tuple[Any, Any]:
    """Open a byte stream to the virtual module, as a library of another port would."""
    protocol = protocol_factory()
    return module.connect_memory(protocol), protocol


@virtual
async def test_a_stream_of_the_callers_own_carries_a_modem() -> None:
    """Commands, and the end of it, go over what ``create`` has opened."""
    module = VirtualModule(parse_address(ADDRESS))
    before = other_tasks()
    async with aiobc9x.open_modem(partial(in_memory, module)) as modem:
        assert repr(modem) == "<Modem in_memory() open sockets=0>"
        assert await modem.command("AT+CGMM") == ["BC65"]
    await module.aclose()
    await no_task_left(before)


async def test_asyncio_connections_carry_a_modem() -> None:
    """``loop.create_connection`` with its address bound is such a callable."""
    module = VirtualModule(parse_address(ADDRESS))
    lines: list[Any] = []

    class Near(asyncio.Protocol):
        """Glue between a loopback connection and the virtual module in memory."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            far: Any = transport

            class Far(asyncio.Protocol):
                def data_received(self, data: bytes) -> None:
                    far.write(data)

            lines.append(module.connect_memory(Far()))

        def data_received(self, data: bytes) -> None:
            lines[0].write(data)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Near, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with aiobc9x.open_modem(partial(loop.create_connection, host=host, port=port)) as modem:
        assert await modem.command("AT+CGMI") == ["Quectel"]
    server.close()
    await module.aclose()


@virtual
async def test_it_is_called_again_after_a_loss() -> None:
    """As often as the stream is lost; what it raises meanwhile is one more try in vain."""
    module = VirtualModule(parse_address(ADDRESS))
    lines: list[Any] = []
    refusals: list[Exception] = []

    async def create(protocol_factory: Factory) -> tuple[Any, Any]:
        if refusals:
            raise refusals.pop()
        lines.append(module.connect_memory(protocol_factory()))
        return lines[-1], None

    before = other_tasks()
    async with aiobc9x.open_modem(create) as modem:
        for losses in range(1, 6):
            refusals += [ConnectionRefusedError(111, "not yet")] * losses
            lines[-1].lose(None)
            await asyncio.sleep(0.01)
            assert modem.state is aiobc9x.ModemState.AWAY
            assert await modem.command("AT+CGMM") == ["BC65"]
            assert len(lines) == losses + 1
        assert modem.statistics.returns == 5
    await module.aclose()
    await no_task_left(before)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (FileNotFoundError(2, "no such tty"), aiobc9x.PortNotFound),
        (OSError(6, "no such device"), aiobc9x.PortNotFound),
        (PermissionError(13, "denied"), aiobc9x.PortDenied),
        (OSError(16, "busy"), aiobc9x.PortBusy),
        (aiobc9x.PortBusy("the other end is taken"), aiobc9x.PortBusy),
        (OSError("of no number"), aiobc9x.LinkLost),
        (TimeoutError(), aiobc9x.LinkLost),
    ],
)
@virtual
async def test_what_it_raises_is_told_apart(
    refusal: Exception, kind: type[aiobc9x.LinkLost]
) -> None:
    """As with a device that this package opens."""

    async def create(_protocol_factory: Factory) -> tuple[Any, Any]:
        raise refusal

    with pytest.raises(
        aiobc9x.LinkLost, match=str(refusal.args[-1]) if refusal.args else "TimeoutError"
    ) as told:
        await aiobc9x.open_modem(create)
    assert type(told.value) is kind


@virtual
async def test_what_it_does_not_find_is_waited_for() -> None:
    """From the beginning, and after a loss: used soon after it is there, told of once."""
    module = VirtualModule(parse_address(ADDRESS))
    lines: list[Any] = []
    is_there = False

    async def create(protocol_factory: Factory) -> tuple[Any, Any]:
        if not is_there:
            raise FileNotFoundError(2, "no such tty")
        lines.append(module.connect_memory(protocol_factory()))
        return lines[-1], None

    async def appears(after: float) -> None:
        nonlocal is_there
        await asyncio.sleep(after)
        is_there = True

    began, plug = running().now, asyncio.create_task(appears(300))
    policy = aiobc9x.Reconnect(wait_for_device=True)
    async with aiobc9x.open_modem(create, reconnect=policy) as modem:
        assert running().now - began - 300 < 4
        for away_s in (1, 10, 600):
            async with modem.subscribe() as events:
                is_there, began = False, running().now
                lines[-1].lose(OSError(5, "gone"))
                plug = asyncio.create_task(appears(away_s))
                told: list[Any] = []
                async for event in events:
                    told += [event.rung] if isinstance(event, aiobc9x.Recovering) else []
                    if isinstance(event, aiobc9x.LinkUp):
                        break
            assert running().now - began - away_s < 4
            assert told.count("device") == 1
            assert len(told) <= 2
    await plug
    await module.aclose()


class Alien:
    """A transport of a library that derives nothing from asyncio's."""

    def __init__(self, line: Any) -> None:
        self._line = line

    def write(self, data: bytes) -> None:
        self._line.write(data)

    def is_closing(self) -> bool:
        return bool(self._line.is_closing())

    def close(self) -> None:
        self._line.close()

    def abort(self) -> None:
        self._line.abort()


@virtual
async def test_a_transport_needs_four_methods() -> None:
    """Those of asyncssh's channels, for one, are no asyncio.Transport."""
    module = VirtualModule(parse_address(ADDRESS))

    async def create(protocol_factory: Factory) -> tuple[Alien, object]:
        return Alien(module.connect_memory(protocol_factory())), None

    async with aiobc9x.open_modem(create) as modem:
        assert await modem.command("AT+CGMM") == ["BC65"]
    await module.aclose()


@virtual
async def test_an_oserror_is_a_lost_link() -> None:
    """It says what could not be opened, and keeps its cause."""

    async def refused(_: Factory) -> tuple[Any, Any]:
        raise ConnectionRefusedError(111, "nobody listens there")

    with pytest.raises(aiobc9x.LinkLost, match=r"can.t open .*nobody listens") as caught:
        await aiobc9x.open_modem(refused)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@virtual
async def test_other_errors_pass() -> None:
    """They are the callable's own, and no task is left."""

    async def broken(_: Factory) -> tuple[Any, Any]:
        raise KeyError("mine")

    before = other_tasks()
    with pytest.raises(KeyError, match="mine"):
        await aiobc9x.open_modem(broken)
    await no_task_left(before)


@pytest.mark.parametrize("made", [None, (1, 2), (asyncio.ReadTransport(), None)])
@virtual
async def test_something_else_than_a_transport_is_named(made: Any) -> None:
    """The message says what the callable should have returned."""

    async def odd(protocol_factory: Factory) -> Any:
        protocol_factory()
        return made

    with pytest.raises(TypeError, match=r"must return \(transport, protocol\)"):
        await aiobc9x.open_modem(odd)


def test_an_address_that_is_neither_is_a_type_error() -> None:
    """At the call, before anything is opened."""
    with pytest.raises(TypeError, match=r"a str or a callable create\(protocol_factory\), not int"):
        aiobc9x.open_modem(7)  # type: ignore[arg-type]


@virtual
async def test_cancelling_the_open_closes_the_stream() -> None:
    """What was opened is closed before the cancellation goes on."""
    device = ScriptedDevice()

    async def create(protocol_factory: Factory) -> tuple[Any, Any]:
        protocol = protocol_factory()
        return device.connect_memory(protocol), protocol

    opening = asyncio.ensure_future(aiobc9x.open_modem(create)._open())
    await asyncio.sleep(1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert device.is_closing()
