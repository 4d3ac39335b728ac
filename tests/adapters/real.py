"""A modem on a virtual module's pty, under ``anyio.run``, on asyncio's loop and on uvloop."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import anyio
import pytest

import aiobc9x
from aiobc9x.sim.links import VirtualModule
from aiobc9x.sim.options import Host, SimOptions
from tests.support.loopback import LOOPBACK
from tests.support.realtime import PATIENCE_S
from tests.support.tls import NAME, authority

LISTEN_PORT = 2020

Test = Callable[[aiobc9x.Modem, VirtualModule], Awaitable[None]]

BOTH_LOOPS = pytest.mark.parametrize("use_uvloop", [False, True], ids=["asyncio", "uvloop"])


def warm_up_uvloop() -> None:
    """Have uvloop open the pipe that it keeps for the life of the process."""
    import uvloop

    uvloop.new_event_loop().close()


def run(test: Test, use_uvloop: bool) -> None:
    """Run a test; at the end the module has seen no rule broken.

    The module alone knows where :data:`~tests.support.tls.NAME` is.
    """

    async def main() -> None:
        options = SimOptions(hosts={NAME: Host((LOOPBACK,))}, listen_ports={LISTEN_PORT: 0})
        async with VirtualModule(options) as virtual:
            async with aiobc9x.open_modem(await virtual.start_pty()) as modem:
                with anyio.fail_after(PATIENCE_S):
                    await test(modem, virtual)
            assert virtual.module.statistics.broken_rules == 0

    anyio.run(main, backend_options={"use_uvloop": use_uvloop})


def new_client_context() -> ssl.SSLContext:
    """A client that trusts the tests' authority; httpcore changes the one that it is given."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def new_server_context(name: str = NAME) -> ssl.SSLContext:
    """A server of that name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(name).configure_cert(context)
    return context
