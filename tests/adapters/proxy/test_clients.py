"""Clients of the proxy who only sit there, and what they write into its log."""

from __future__ import annotations

import logging

import pytest

from aiobc9x.adapters.proxy.client import ENDING_LIMIT, HANDSHAKE_LIMIT, OPENING_LIMIT
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.wire.host import Host
from tests.adapters.proxy.proxy_client import Client
from tests.adapters.proxy.test_client import ASK, connected, started, until
from tests.support.bench import HOST, PORT
from tests.support.clock import virtual


@virtual
async def test_idle_clients_shut_nobody_out() -> None:
    """However many say nothing, the next one is served; the oldest of them goes."""
    async with started() as (_, all_clients):
        idle = [Client(all_clients) for _ in range(HANDSHAKE_LIMIT + 3)]
        await connected(all_clients)
        assert [client.end for client in idle] == ["RST"] * 4 + [None] * (HANDSHAKE_LIMIT - 1)
        assert all_clients.statistics.turned_away == 4


@virtual
async def test_a_byte_now_and_then_is_no_request() -> None:
    """Who begins to speak stays as old as he is."""
    async with started() as (_, all_clients):
        slow = Client(all_clients)
        slow.say(b"\x05")
        idle = [Client(all_clients) for _ in range(HANDSHAKE_LIMIT - 1)]
        slow.say(b"\x01")
        Client(all_clients)
        assert (slow.end, idle[0].end) == ("RST", None)


@virtual
async def test_only_so_many_wait_for_a_connection() -> None:
    """The first come first; who is too many is told so, or reset where there are no words."""
    async with started(register_time=10) as (_, all_clients):
        waiting = [
            Client(all_clients, Request(Host.read(HOST), PORT)) for _ in range(OPENING_LIMIT)
        ]
        late, forward = Client(all_clients), Client(all_clients, Request(Host.read(HOST), PORT))
        late.say(ASK + PORT.to_bytes(2, "big"))
        assert late.outcome == (b"\x05\x00\x05\x01\x00\x01" + bytes(6), "FIN")
        assert forward.end == "RST"
        assert [client.end for client in waiting] == [None] * OPENING_LIMIT
        assert (all_clients.statistics.turned_away, all_clients.statistics.failed) == (2, 0)


@virtual
async def test_slow_ends_shut_nobody_out() -> None:
    """Who doesn't take his last bytes is cut off when there are too many like him."""
    async with started() as (_, all_clients):
        slow = [Client(all_clients) for _ in range(ENDING_LIMIT + 2)]
        for client in slow:
            client.stalls = True
            client.say(b"\x16")
        assert [client.end for client in slow] == ["RST"] * 2 + [None] * ENDING_LIMIT
        await connected(all_clients)


@virtual
async def test_a_name_cannot_write_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It comes from whoever can connect."""
    caplog.set_level(logging.DEBUG, "aiobc9x.adapters")
    async with started() as (_, all_clients):
        client = Client(all_clients)
        client.say(b"\x05\x01\x00\x05\x01\x00\x03\x09a\n! faked\x00\x50")
        await until(lambda: client.received.startswith(b"\x05\x00\x05\x01"))
        client.finish()
    lines = [record.getMessage() for record in caplog.records]
    assert "= the proxy connects to 'a\\n! faked':80" in lines
    assert not [line for line in lines if "\n" in line]
