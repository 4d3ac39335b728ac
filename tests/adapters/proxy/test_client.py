"""One client of the proxy, step by step: both sides in memory, under the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from unittest.mock import patch

import pytest

from aiobc9x.adapters.proxy.api import ProxyTimeouts
from aiobc9x.adapters.proxy.client import EARLY_LIMIT_BYTES, GRACE_ANSWERED_S, GRACE_S
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.adapters.proxy.handshake import Request
from aiobc9x.errors import StreamBroken
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from aiobc9x.wire.host import Host
from tests.adapters.proxy.proxy_client import Client
from tests.support.bench import ECHO_PORT, HOST, PORT, Bench
from tests.support.clock import take_errors, virtual

ASK = b"\x05\x01\x00\x05\x01\x00\x01\xdc\x12\x27\x16"
"""SOCKS5 for :data:`HOST`, without the port."""

GRANTED = b"\x05\x00\x05\x00\x00\x01" + bytes(6)

LINGER_S = 30.0
HANDSHAKE_S = 10.0


@asynccontextmanager
async def started(*faults: Fault, **options: Any) -> AsyncIterator[tuple[Bench, ProxyClients]]:
    """A bench with a modem and a proxy's clients; everything must be free again at the end."""
    async with Bench(*faults, **options) as bench:
        all_clients = ProxyClients(await bench.open(), ProxyTimeouts(HANDSHAKE_S, LINGER_S, None))
        yield bench, all_clients
        all_clients.close()
        await asyncio.wait_for(all_clients.wait_empty(), 200)
        assert len(all_clients) == 0
        await until(lambda: not bench.open_ids)  # of failed opens too


async def connected(all_clients: ProxyClients, port: int = PORT) -> Client:
    """A client that has been granted its connection."""
    client = Client(all_clients)
    client.say(ASK + port.to_bytes(2, "big"))
    await until(lambda: client.received == GRANTED)
    client.received.clear()
    return client


async def until(condition: Any) -> None:
    """Wait, in virtual time."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  (of whatever kind)
            await asyncio.sleep(0.1)


class TestBytes:
    """What flows, and when it must not."""

    @virtual
    async def test_bytes_go_both_ways(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients, ECHO_PORT)
            client.say(bytes(range(256)))
            await until(lambda: client.received == bytes(range(256)))
            assert bench.peer.received == client.received
            statistics = all_clients.statistics
            assert (statistics.bytes_up, statistics.bytes_down, statistics.opened) == (256, 256, 1)

    @virtual
    async def test_what_comes_with_the_request_is_sent(self) -> None:
        """Behind the request, and while the connection is being opened."""
        async with started(latency=0.5) as (bench, all_clients):
            client = Client(all_clients)
            client.say(ASK + PORT.to_bytes(2, "big") + b"behind it, ")
            await asyncio.sleep(0.2)
            client.say(b"and before the answer")
            await until(lambda: bench.network.peers and len(bench.peer.received) == 32)
            assert bench.peer.received == b"behind it, and before the answer"

    @virtual
    async def test_a_client_in_a_hurry_is_held_back(self) -> None:
        """Only so much is kept before there is a connection; none of it is lost."""
        async with started(latency=0.5) as (bench, all_clients):
            client = Client(all_clients)
            client.say(ASK + PORT.to_bytes(2, "big"))
            client.say(bytes(EARLY_LIMIT_BYTES))
            assert not client.is_reading_it
            await until(lambda: bench.network.peers)
            await until(lambda: len(bench.peer.received) == EARLY_LIMIT_BYTES)
            assert client.is_reading_it

    @virtual
    async def test_a_client_is_read_at_the_pace_of_the_line(self) -> None:
        async with started(send_time=0.5) as (bench, all_clients):
            client = await connected(all_clients)
            client.say(bytes(3000))
            assert not client.is_reading_it
            await until(lambda: len(bench.peer.received) == 3000)
            assert client.is_reading_it

    @virtual
    async def test_a_client_that_stands_still_stops_its_own_socket_alone(self) -> None:
        """What waits for it is bounded; the other one goes on."""
        async with started() as (bench, all_clients):
            slow = await connected(all_clients)
            source = bench.peer
            slow.stalls = True
            for _ in range(1000):
                source.send(bytes(1000))
            other = await connected(all_clients, ECHO_PORT)
            await asyncio.sleep(60)
            other.say(b"ping")
            await until(lambda: other.received == b"ping")
            assert slow.get_write_buffer_size() < 65536 + 1500
            assert source.paused
            slow.read()
            await until(lambda: len(slow.received) == 1_000_000)


class TestEnds:
    """Who ends, and what the other one sees."""

    @virtual
    async def test_the_end_of_the_peer_is_fin_behind_all_data(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            bench.peer.send(bytes(5000))
            bench.peer.close()
            await until(lambda: client.end)
            assert client.outcome == (bytes(5000), "FIN")
            await client.done.wait()

    @virtual
    async def test_a_slow_reader_gets_everything_behind_the_end(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            client.stalls = True
            bench.peer.send(bytes(5000))
            bench.peer.close()
            await asyncio.sleep(40)
            assert client.end is None
            assert bench.open_ids == []
            client.read()
            assert client.outcome == (bytes(5000), "FIN")

    @virtual
    async def test_what_a_client_sends_behind_the_end_is_discarded(self) -> None:
        """Closing with unread bytes would be a reset, and could overtake the answer."""
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            bench.peer.close()
            await until(lambda: client.end == "FIN")
            client.say(b"too late")
            assert client.is_reading_it
            assert not client.done.is_set()
            client.finish()
            assert client.done.is_set()

    @virtual
    async def test_a_client_that_never_reads_its_end_is_given_up(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            client.stalls = True
            bench.peer.send(b"unread")
            bench.peer.close()
            await asyncio.sleep(100)
            assert client.end == "RST"
            assert len(all_clients) == 0

    @virtual
    async def test_lost_bytes_are_a_reset(self) -> None:
        """A truncated answer must not look like a whole one."""
        fault = Fault(FaultKind.LOSE_BYTES, on="+QIRD: 100", count=3)
        async with started(fault) as (bench, all_clients):
            client = await connected(all_clients)
            bench.peer.send(bytes(100))
            await until(client.done.is_set)
            assert client.end == "RST"

    @virtual
    async def test_what_came_before_a_failure_is_delivered(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            client.stalls = True
            bench.peer.send(b"whole")
            await asyncio.sleep(1)
            client.relay.on_peer_lost(StreamBroken("as from the modem"))
            assert not client.done.is_set()
            client.read()
            assert client.outcome == (b"whole", "RST")

    @virtual
    async def test_a_client_that_breaks_off_still_has_its_bytes_sent(self) -> None:
        async with started(latency=0.2) as (bench, all_clients):
            client = await connected(all_clients)
            client.say(b"the last words")
            client.break_off()
            await until(lambda: bench.peer.closed)
            assert bench.peer.received == b"the last words"
            await all_clients.wait_empty()


class TestHalfClose:
    """The module can't close one direction; EOF of a client stays here."""

    @virtual
    async def test_the_answer_comes_behind_a_clients_eof(self) -> None:
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            client.say(b"question")
            client.finish()
            await asyncio.sleep(LINGER_S - 5)
            bench.peer.send(b"answer, ")
            await asyncio.sleep(LINGER_S - 5)
            bench.peer.send(b"slowly")
            bench.peer.close()
            await client.done.wait()
            assert bench.peer.received == b"question"
            assert client.outcome == (b"answer, slowly", "FIN")

    @virtual
    async def test_silence_ends_it_visibly(self) -> None:
        """The rest of an answer may be missing, so the client gets no FIN."""
        async with started() as (bench, all_clients):
            client = await connected(all_clients)
            client.say(b"question")
            client.finish()
            await asyncio.sleep(LINGER_S - 1)
            assert not client.done.is_set()
            await asyncio.sleep(2)
            assert client.end == "RST"
            await all_clients.wait_empty()
            assert bench.peer.closed

    @virtual
    async def test_silence_counts_once_everything_is_sent(self) -> None:
        async with started(send_time=12.0) as (bench, all_clients):
            client = await connected(all_clients)
            client.say(bytes(4 * 1440))
            client.finish()
            await asyncio.sleep(LINGER_S + 15)
            assert not client.done.is_set()
            await until(client.done.is_set)
            assert len(bench.peer.received) == 4 * 1440

    @virtual
    async def test_a_connection_that_lingers_makes_room(self) -> None:
        """The one that has been silent for longest, and none that is in use."""
        async with started() as (bench, all_clients):
            clients = [await connected(all_clients) for _ in range(6)]
            for number in (3, 1):
                bench.network.peers[number].send(b"answer")
                await asyncio.sleep(1)
                clients[number].finish()
            start = asyncio.get_running_loop().time()
            seventh = await connected(all_clients, ECHO_PORT)
            assert asyncio.get_running_loop().time() - start <= GRACE_ANSWERED_S
            assert [client.end for client in clients] == [None, None, None, "RST", None, None]
            seventh.say(b"ping")
            await until(lambda: seventh.received == b"ping")
            assert len(bench.open_ids) == 6

    @virtual
    async def test_no_room_is_made_while_the_answer_comes(self) -> None:
        """Who wants the place waits until the connection has been silent for a while."""
        async with started() as (bench, all_clients):
            clients = [await connected(all_clients) for _ in range(6)]
            answering = bench.network.peers[0]
            clients[0].say(b"question")
            clients[0].finish()
            seventh = Client(all_clients)
            seventh.say(ASK + ECHO_PORT.to_bytes(2, "big"))
            await asyncio.sleep(GRACE_S - 0.5)
            for _ in range(5):
                answering.send(b"answer")
                await asyncio.sleep(GRACE_ANSWERED_S - 0.5)
            answering.close()
            await until(lambda: seventh.received == GRANTED)
            assert clients[0].outcome == (b"answer" * 5, "FIN")

    @virtual
    async def test_a_forward_waits_for_a_banner_after_eof(self) -> None:
        def tell(peer: Peer) -> None:
            peer.send(b"noon")
            peer.close()

        async with started(latency=0.2) as (bench, all_clients):
            bench.network.serve_tcp(13, tell)
            client = Client(all_clients, Request(Host.read(HOST), 13))
            client.finish()
            await client.done.wait()
            assert client.outcome == (b"noon", "FIN")


class TestOpening:
    """Before there is a connection."""

    @virtual
    async def test_six_are_in_use_and_the_seventh_is_told_at_once(self) -> None:
        async with started(latency=0.5) as (_, all_clients):
            for _ in range(6):
                await connected(all_clients)
            socks, web = Client(all_clients), Client(all_clients)
            start = asyncio.get_running_loop().time()
            socks.say(ASK + PORT.to_bytes(2, "big"))
            web.say(b"CONNECT 220.18.39.22:80 HTTP/1.1\r\n\r\n")
            await until(lambda: socks.end and web.end)
            assert asyncio.get_running_loop().time() - start < 0.4
            assert socks.received[2:4] == b"\x05\x01"
            assert web.received.startswith(b"HTTP/1.1 503 ")
            assert (socks.end, web.end) == ("FIN", "FIN")
            assert all_clients.statistics.failed == 2

    @virtual
    async def test_a_client_that_leaves_stops_the_opening(self) -> None:
        async with started(hosts={}) as (bench, all_clients):
            for leave in (Client.finish, Client.break_off):
                client = Client(all_clients)
                client.say(ASK[:7] + b"\xc0\x00\x02\x01" + b"\0\x50")  # never answers
                await asyncio.sleep(1)
                assert len(bench.open_ids) == 1
                leave(client)
                await all_clients.wait_empty()
                await until(lambda: not bench.open_ids)
            assert all_clients.statistics.failed == 0

    @virtual
    async def test_a_client_that_leaves_at_once_is_forgotten(self) -> None:
        """Its opening is cancelled before it has begun."""
        async with started() as (bench, all_clients):
            client = Client(all_clients)
            client.say(ASK + PORT.to_bytes(2, "big"))
            client.finish()
            await asyncio.wait_for(all_clients.wait_empty(), 10)
            assert not bench.network.peers

    @virtual
    async def test_closing_ends_what_is_being_opened(self) -> None:
        async with started() as (_, all_clients):
            client = Client(all_clients)
            client.say(ASK[:7] + b"\xc0\x00\x02\x01" + b"\0\x50")
            await asyncio.sleep(1)
            all_clients.close()
            await all_clients.wait_empty()
            assert client.end == "RST"

    @virtual
    async def test_a_refused_forward_is_a_reset(self) -> None:
        """There are no words for it."""
        async with started() as (_, all_clients):
            client = Client(all_clients, Request(Host.read(HOST), 9))
            await client.done.wait()
            assert client.end == "RST"

    @virtual
    async def test_an_idle_client_is_turned_away(self) -> None:
        """It holds nothing of the module, and not for long."""
        async with started() as (bench, all_clients):
            silent, slow = Client(all_clients), Client(all_clients)
            slow.say(b"\x05\x01")
            await asyncio.sleep(HANDSHAKE_S - 1)
            assert len(all_clients) == 2
            await asyncio.sleep(2)
            assert (silent.end, slow.end) == ("RST", "RST")
            assert all_clients.statistics.turned_away == 2
            assert not any(line.startswith("AT+QIOPEN") for line in bench.commands)

    @virtual
    async def test_a_malformed_request_is_answered_and_ended(self) -> None:
        async with started() as (_, all_clients):
            client = Client(all_clients)
            client.say(b"\x16\x03\x01 hello")
            assert client.received.startswith(b"HTTP/1.1 400 ")
            client.say(b"what it still sends is nobody's")
            client.finish()
            assert client.end == "FIN"
            assert all_clients.statistics.turned_away == 1

    @virtual
    async def test_a_body_is_sent_and_nothing_behind_it(self) -> None:
        async with started() as (bench, all_clients):
            bench.network.serve_tcp(80)
            client = Client(all_clients)
            client.say(b"PUT http://220.18.39.22/ HTTP/1.1\r\nContent-Length: 6\r\n\r\n123")
            await until(lambda: bench.network.peers)
            client.say(b"456GET http://other.example/ HTTP/1.1\r\n\r\n")
            await until(lambda: bench.peer.received.endswith(b"456"))
            await asyncio.sleep(5)
            assert bench.peer.received.endswith(b"\r\n\r\n123456")
            assert b"other.example" not in bench.peer.received

    @virtual
    async def test_a_long_request_is_no_loss(self) -> None:
        """What comes with it is kept up to a limit, and what is behind that waits outside."""
        async with started(latency=0.2) as (bench, all_clients):
            bench.network.serve_tcp(80)
            client = Client(all_clients)
            body = bytes(EARLY_LIMIT_BYTES)
            head = b"PUT http://220.18.39.22/ HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            client.say(head + b"X" * (EARLY_LIMIT_BYTES - len(head)))
            assert not client.is_reading_it
            await until(lambda: client.is_reading_it)
            client.say(b"X" * len(head))
            await until(lambda: bench.peer.received.count(b"X") == len(body))

    @virtual
    async def test_a_defect_of_ours_is_reported_and_answered(self) -> None:
        async with started() as (_, all_clients):
            client = Client(all_clients)
            with patch.object(all_clients, "connect", side_effect=RuntimeError("a defect")):
                client.say(ASK + PORT.to_bytes(2, "big"))
                await until(lambda: client.end)
            assert client.received[2:4] == b"\x05\x01"
            assert [str(error["exception"]) for error in take_errors()] == ["a defect"]

    @virtual
    async def test_a_connection_that_comes_too_late_is_given_back(self) -> None:
        async with started() as (_, all_clients):
            client, late = await connected(all_clients), Client(all_clients)
            client.break_off()
            await asyncio.sleep(0)
            client.relay.on_connected(late)
            assert late.done.is_set()


@virtual
async def test_a_lost_line_resets_all_clients() -> None:
    """And those who come later are told."""
    async with started() as (bench, all_clients):
        client = await connected(all_clients)
        bench.cut()
        await client.done.wait()
        assert client.end == "RST"
        late = Client(all_clients)
        late.say(ASK + PORT.to_bytes(2, "big"))
        await until(lambda: late.end)
        assert late.received[2:4] == b"\x05\x01"
        await bench.virtual.aclose()
        bench.virtual.module.sockets.by_id.clear()


@pytest.mark.parametrize("name", ["handshake_timeout", "linger", "connect_timeout"])
def test_times_are_above_0(name: str) -> None:
    times: dict[str, float | None] = dict.fromkeys(
        ("handshake_timeout", "linger", "connect_timeout"), 1.0
    )
    times[name] = 0.0
    with pytest.raises(ValueError, match=name):
        ProxyTimeouts(**cast(Any, times))  # by name
