"""Whatever happens to a byte stream, and whenever: nothing is lost in silence.

A client sends and receives, now and then cancelled, while its peer talks, closes, or the
module fails. What arrives is in order and without a hole at both ends, only the exceptions
of the ABC come out, and if none does, everything has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import anyio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiobc9x.adapters.anyio import ByteStream, connect_tcp
from aiobc9x.sim.faults import Fault, FaultKind
from aiobc9x.sim.memory import Peer
from tests.support.bench import HOST, PORT, Bench
from tests.support.clock import run, running

FROM_PEER: Final = bytes(range(256)) * 20

SIZES = st.integers(1, 6000)
PATIENCE = st.one_of(st.none(), st.floats(0, 1))
ACTIONS = st.one_of(
    st.tuples(st.just("send"), SIZES, PATIENCE),
    st.tuples(st.just("receive"), SIZES, st.floats(0, 1)),
    st.tuples(st.just("sleep"), st.just(0), st.floats(0, 1)),
)
EVENTS = st.tuples(
    st.sampled_from(["talk", "talk", "talk", "close", "reset", "cut", "refuse"]),
    st.floats(0, 2),
)
Action = tuple[str, int, float | None]
Event = tuple[str, float]


@dataclass
class Story:
    """What a client has done and seen.

    Attributes:
        completed: Numbers of the items whose send() returned.
        sizes: The sizes of all items, by number; item ``n`` is made of bytes ``n``.
        received: The bytes so far.
        has_ended: The peer's end was received.
        has_heard: A call has said that the connection broke.
        causes: Why, each time.

    """

    completed: list[int] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    received: bytearray = field(default_factory=bytearray)
    has_ended: bool = False
    has_heard: bool = False
    causes: list[BaseException | None] = field(default_factory=list)

    async def act(self, stream: ByteStream, action: Action) -> None:
        """Do one thing, for as long as its patience lasts."""
        kind, size, patience = action
        with anyio.move_on_after(patience):
            try:
                if kind == "send":
                    number = len(self.sizes) + 1
                    self.sizes[number] = size
                    await stream.send(bytes([number]) * size)
                    self.completed.append(number)
                elif kind == "receive":
                    self.received += await stream.receive(size)
                else:
                    await anyio.sleep_forever()
            except anyio.EndOfStream:
                self.has_ended = True
            except anyio.BrokenResourceError as exc:
                self.causes.append(exc.__cause__)
                self.has_heard = True

    async def close(self, stream: ByteStream) -> None:
        """Close and hear what was lost."""
        try:
            await stream.aclose()
        except anyio.BrokenResourceError:
            self.has_heard = True

    def check(self, peer: Peer, peer_closed: bool) -> None:
        """Compare both ends."""
        assert FROM_PEER.startswith(bytes(self.received))
        assert not self.has_ended or peer_closed
        assert all(isinstance(cause, OSError) for cause in self.causes)
        arrived = [(number, len(list(run))) for number, run in groupby(peer.received)]
        numbers = [number for number, _ in arrived]
        assert numbers == sorted(set(numbers)), "items arrived out of order"
        whole = [(number, self.sizes[number]) for number in numbers]
        assert arrived[:-1] == whole[:-1], "an item has a hole"
        if not self.has_heard:
            assert arrived == whole, "an item was cut, and nobody said so"
            assert set(self.completed) <= set(numbers), "an item was lost, and nobody said so"


async def play(events: list[Event], bench: Bench, peer: Peer, story: list[str]) -> None:
    """Have the far side, or fate, act."""
    left = FROM_PEER
    for kind, pause in events:
        await anyio.sleep(pause)
        story.append(kind)
        match kind:
            case "talk":
                peer.send(left[:700])
                left = left[700:]
            case "close":
                peer.close()
            case "reset":
                bench.virtual.module.reset(running().now)
            case "cut":
                bench.cut()
            case "refuse":
                bench.add_fault(Fault(FaultKind.SEND_FAIL, times=3))


@given(
    actions=st.lists(ACTIONS, min_size=1, max_size=20),
    events=st.lists(EVENTS, max_size=8),
    latency=st.sampled_from([0.0, 0.02, 0.3]),
)
@example(actions=[("send", 1, None), ("send", 6000, 0.0)], events=[("close", 0.0)], latency=0.02)
@example(actions=[("send", 1, None)], events=[("reset", 0.01)], latency=0.3)
@settings(max_examples=60)
def test_nothing_is_lost_in_silence(
    actions: list[Action], events: list[Event], latency: float
) -> None:
    """The promise of the module's docstring."""

    async def main() -> None:
        async with Bench(latency=latency) as bench:
            stream = await connect_tcp(await bench.open(), HOST, PORT)
            peer, story, happened = bench.peer, Story(), list[str]()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(play, events, bench, peer, happened)
                for action in actions:
                    await story.act(stream, action)
                await story.close(stream)
            story.check(peer, "close" in happened)

    run(main())
