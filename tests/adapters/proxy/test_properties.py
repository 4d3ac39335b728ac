"""Whatever client and peer do, in whatever order: nothing is made up, lost in silence, or left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from aiobc9x.adapters.proxy.api import ProxyTimeouts
from aiobc9x.adapters.proxy.clients import ProxyClients
from aiobc9x.sim.memory import Peer
from tests.adapters.proxy.proxy_client import Client
from tests.support.bench import PORT, Bench
from tests.support.clock import run

ASK = b"\x05\x01\x00\x05\x01\x00\x01\xdc\x12\x27\x16" + PORT.to_bytes(2, "big")
GRANTED = b"\x05\x00\x05\x00\x00\x01" + bytes(6)

LINGER_S = 30.0

Action = tuple[str, int]

ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("says"), st.integers(1, 6000)),
    st.tuples(st.just("hears"), st.integers(1, 90000)),
    st.tuples(st.sampled_from(["stalls", "reads", "finishes", "ends"]), st.just(0)),
    st.tuples(st.just("waits"), st.sampled_from([0, 1, 5, 40])),
)


@dataclass
class Sent:
    """What each side has sent, and whether it has ended its direction."""

    up: bytes = b""
    down: bytes = b""
    client_ended: bool = False
    peer_ended: bool = False


def stream(start: int, size_bytes: int) -> bytes:
    """A piece of a stream in which no byte can be missing unnoticed."""
    return bytes((start + i) * 31 % 251 for i in range(size_bytes))


def act(action: Action, client: Client, peer: Peer | None, sent: Sent) -> None:
    """Let one side do one thing, if it still can."""
    match action:
        case ("says", size) if not sent.client_ended and client.is_reading_it:
            data = stream(len(sent.up), size)
            sent.up += data
            client.say(data)
        case ("hears", size) if peer is not None and not sent.peer_ended:
            data = stream(len(sent.down), size)
            sent.down += data
            peer.send(data)
        case ("ends", _) if peer is not None:
            sent.peer_ended = True
            peer.close()
        case ("finishes", _) if not sent.client_ended and client.is_reading_it:
            sent.client_ended = True
            client.finish()
        case ("stalls", _):
            client.stalls = True
        case ("reads", _):
            client.read()


async def play(actions: list[Action], latency: float) -> None:
    """Play a script on a bench and look at what came of it."""
    async with Bench(latency=latency) as bench:
        all_clients = ProxyClients(await bench.open(), ProxyTimeouts(10.0, LINGER_S, None))
        client, sent = Client(all_clients), Sent()
        client.say(ASK)
        for action in actions:
            if action[0] == "waits":
                await asyncio.sleep(action[1])
            elif not client.done.is_set():
                act(action, client, bench.network.peers[-1] if bench.network.peers else None, sent)
        client.read()
        await asyncio.sleep(LINGER_S + 200)  # time to send all, and to be silent
        check(client, bench.network.peers[-1] if bench.network.peers else None, sent)
        all_clients.close()
        await asyncio.wait_for(all_clients.wait_empty(), 200)
        await asyncio.sleep(200)
        assert bench.open_ids == []


def check(client: Client, peer: Peer | None, sent: Sent) -> None:
    """Both streams are what the other side has sent; an end in order means that it is all."""
    granted, received = client.received[: len(GRANTED)], bytes(client.received[len(GRANTED) :])
    assert GRANTED.startswith(granted)
    assert sent.down.startswith(received)
    if client.end == "FIN" and peer is not None:
        assert received == sent.down
        assert sent.peer_ended
    if peer is not None:
        assert sent.up.startswith(bytes(peer.received))
        if not sent.peer_ended:
            assert bytes(peer.received) == sent.up
    if sent.client_ended:
        assert client.done.is_set()


@settings(max_examples=40)
@given(actions=st.lists(ACTIONS, max_size=12), latency=st.sampled_from([0.0, 0.3]))
def test_streams_stay_true(actions: list[Action], latency: float) -> None:
    """Also with a client that stalls, a half-closed one, and one that talks too early."""
    run(play(actions, latency))
