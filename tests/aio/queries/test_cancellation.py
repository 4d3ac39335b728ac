"""Cancelling the rest of the public calls at any await, as test_cancellation does it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

import aiobc9x
from aiobc9x import AccessMode
from tests.aio.test_cancellation import try_every_step
from tests.support.bench import HOST, NAME, PORT, Bench
from tests.support.cancelling import BOTH_MOMENTS, Moment
from tests.support.clock import virtual

Call = Callable[[Bench, aiobc9x.Modem], Coroutine[Any, Any, object]]


async def ping_replies(_: Bench, modem: aiobc9x.Modem) -> None:
    """Read the replies one by one."""
    replies: AsyncIterator[aiobc9x.PingReply]
    async with aclosing(modem.ping_replies(HOST, count=2)) as replies:
        async for _reply in replies:
            pass


async def endpoint(_: Bench, modem: aiobc9x.Modem) -> None:
    """Open an endpoint, and close it if it was opened."""
    transport, _protocol = await modem.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(HOST, PORT)
    )
    transport.close()


async def server(_: Bench, modem: aiobc9x.Modem) -> None:
    """Listen, serve, close."""
    async with await modem.start_server(lambda _reader, _writer: None, PORT):
        pass


async def switch(bench: Bench, modem: aiobc9x.Modem) -> None:
    """Switch a connection to push mode."""
    _, writer = await bench.streams()
    await modem.set_access_mode(writer.transport, AccessMode.PUSH)


CALLS: dict[str, Call] = {
    "resolve": lambda _, modem: modem.resolve(NAME),
    "ping": lambda _, modem: modem.ping(HOST, count=2),
    "ping_replies": ping_replies,
    "ntp_time": lambda _, modem: modem.ntp_time(HOST),
    "create_datagram_endpoint": endpoint,
    "start_server": server,
    "set_access_mode": switch,
    "socket_states": lambda _, modem: modem.socket_states(),
    "settings": lambda _, modem: modem.settings(),
    "configure": lambda _, modem: modem.configure(receive_hex=True, open_time=20),
    "capabilities": lambda _, modem: modem.capabilities(),
    "dns_servers": lambda _, modem: modem.dns_servers(),
    "set_dns_servers": lambda _, modem: modem.set_dns_servers("10.0.0.1"),
    "last_error": lambda _, modem: modem.last_error(),
    "registration": lambda _, modem: modem.registration(),
    "signal": lambda _, modem: modem.signal(),
    "identity": lambda _, modem: modem.identity(),
    "addresses": lambda _, modem: modem.addresses(),
    "power_saving": lambda _, modem: modem.power_saving(),
    "set_power_saving": lambda _, modem: modem.set_power_saving(aiobc9x.PowerSaving(10, 3600)),
    "sleep": lambda _, modem: modem.sleep(),
    "attach": lambda _, modem: modem.attach(),
    "detach": lambda _, modem: modem.detach(),
    "apn": lambda _, modem: modem.apn(),
    "set_apn": lambda _, modem: modem.set_apn("a.example"),
}


@BOTH_MOMENTS
@pytest.mark.parametrize("name", CALLS)
@virtual
async def test_call(name: str, moment: Moment) -> None:
    """The line stays in step and no connect ID is left, whatever it was doing."""
    await try_every_step(CALLS[name], moment, least=1)


def test_no_call_is_left_out() -> None:
    """Every public coroutine is here, in test_cancellation, test_reconnecting or the proxy's."""
    elsewhere = {"aclose", "command", "wait_ready", "open_connection", "create_connection"}
    elsewhere |= {"serve_proxy", "available"}
    below = {"create_server", "set_pin", "unblock_sim"}  # start_server(); the others are commands
    public = {
        name
        for name in dir(aiobc9x.Modem)
        if not name.startswith("_") and inspect.iscoroutinefunction(getattr(aiobc9x.Modem, name))
    }
    generator = {"ping_replies"}  # no coroutine, but here all the same
    assert public == {*CALLS, *elsewhere, *below} - generator
