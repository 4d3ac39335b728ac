"""Session: what holds for any interleaving of jobs, reads, writes and URCs, cut anywhere."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Finished,
    Job,
    Lane,
    OutOfStep,
    Restarted,
    SendOver,
    Sent,
    SwitchRefused,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import LinkLost
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import Line, Peer
from tests.support.words import (
    EMPTY,
    ERROR,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    announced,
    closed,
    explained,
    line,
    pushed,
    received,
)

KINDS = (
    (ServiceType.TCP, AccessMode.BUFFER),
    (ServiceType.UDP, AccessMode.BUFFER),
    (ServiceType.TCP, AccessMode.PUSH),
    (ServiceType.TCP, AccessMode.BUFFER),
    (ServiceType.UDP, AccessMode.PUSH),
)

TRAPS = (closed(3), SEND_OK, SEND_FAIL, line(b"RDY"), OK, ERROR, PROMPT, received(b"ab"))

payloads = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([*TRAPS, b"plain text", b"\x1a", bytes(1440), b"long " * 400]),
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 4), payloads),
        st.tuples(st.just("write"), st.integers(0, 4), payloads),
        st.tuples(st.just("switch"), st.integers(0, 4), st.just(b"")),
        st.tuples(st.just("deliver"), st.integers(1, 60), st.just(b"")),
        st.tuples(st.sampled_from(["submit", "answer", "wait", "pause"]), st.just(0), st.just(b"")),
    ),
    max_size=60,
)


class World:
    """A session, the line, and the module at its other end."""

    def __init__(self) -> None:
        self.peer, self.module = Peer(), Line()
        self.slots = [self.peer.open(*kind) for kind in KINDS]
        self.module.push |= {2, 4}
        self.modes = [mode for _, mode in KINDS]
        self.jobs: list[Job] = []
        self.arrived: list[list[bytes]] = [[] for _ in KINDS]
        self.written: list[list[bytes]] = [[] for _ in KINDS]

    def act(self, kind: str, number: int, data: bytes) -> None:
        """Let one thing happen, then let the session write, as the driver does."""
        match kind:
            case "arrive":
                self.arrived[number].append(data)
                self.module.arrive(number, data)
            case "write":
                self.write(self.slots[number], data[:1440])
            case "deliver":
                self.deliver(number)
            case "switch":
                if self.slots[number].wanted_mode is None:
                    self.modes[number] = AccessMode(1 - self.modes[number])
                    self.peer.session.switch_mode(self.slots[number], self.modes[number])
            case "submit":
                self.jobs.append(Job(Raw("AT+X"), Lane.COMMAND))
                self.peer.session.queue.add(self.jobs[-1])
            case "answer":
                self.module.answer()
            case "wait":
                self.peer.wait(0.02)
            case _:
                slot = self.slots[0]
                self.peer.session.want_reads(slot, not slot.wants_read, self.peer.now)
        self.check_quiet()
        self.pump()
        self.check_quiet()

    def check_quiet(self) -> None:
        """Check that no socket wants the line where the session remembers that none does."""
        turns = self.peer.session._turns
        assert not (turns.is_quiet and turns._sockets_wait())

    def write(self, slot: Slot, data: bytes) -> None:
        """Write to a socket as a transport does."""
        self.written[slot.connect_id].append(data)
        if slot.is_datagram:
            self.peer.session.send_datagram(slot, data)
        else:
            self.peer.session.write(slot, data)

    def deliver(self, size: int) -> None:
        """Let some bytes of the module arrive."""
        data = bytes(self.module.talk[:size])
        del self.module.talk[:size]
        if data:
            self.peer.say(data)

    def pump(self) -> None:
        """Let the session write; the module checks that it may."""
        for data in self.peer.written():
            self.module.receive(data)

    def finish(self) -> None:
        """Let everything come to its end."""
        self.peer.session.want_reads(self.slots[0], True, self.peer.now)
        for _ in range(4):  # a silence delivers what was pushed, and ends a burst of sends
            for _ in range(2000):
                self.pump()
                if not self.module.is_busy:
                    break
                self.module.answer()
                self.deliver(4096)
            self.peer.wait(0.2)

    def got(self, number: int) -> list[bytes]:
        """What a socket delivered."""
        events = self.peer.kept(DataReceived)
        return [event.data for event in events if event.slot is self.slots[number]]


@given(script=actions)
@settings(max_examples=150)
def test_everything_arrives_once_in_order(script: list[tuple[str, int, bytes]]) -> None:
    """At most one line is outstanding, whatever happens meanwhile and however it is cut.

    Every job finishes once, each stream delivers what its peer sent, the module takes
    what was written, and datagrams keep their boundaries.
    """
    world = World()
    for action in script:
        world.act(*action)
    world.finish()
    peer = world.peer
    assert not world.module.is_busy
    assert [event.job for event in peer.kept(Finished)] == world.jobs
    assert all(event.answer.ok for event in peer.kept(Finished))
    for number, slot in enumerate(world.slots):
        if slot.is_datagram:
            assert world.got(number) == world.arrived[number]
            assert world.module.taken[number] == world.written[number]
        else:
            assert b"".join(world.got(number)) == b"".join(world.arrived[number])
            assert b"".join(world.module.taken[number]) == b"".join(world.written[number])
        confirmed = sum(event.size_bytes for event in peer.kept(Sent) if event.slot is slot)
        assert confirmed == sum(map(len, world.written[number]))
        assert slot.unsent == 0
        assert slot.access_mode is world.modes[number]
        assert (number in world.module.push) == (slot.access_mode is AccessMode.PUSH)
    bad = (Failed, OutOfStep, Drained, DatagramLost, SwitchRefused)
    assert [peer.kept(kind) for kind in bad] == [[]] * len(bad)
    assert peer.session.deadline() is None


# The one loss that can't be told: +QIRD: 20,0 without its 2 says that there is nothing.
trapped = st.lists(st.sampled_from([*TRAPS[:6], b"x", b"plain"]), min_size=1, max_size=3).map(
    lambda parts: b"x".join(parts) + b"y" * (len(b"x".join(parts)) % 10 == 0)
)


@given(
    chunks=st.lists(trapped, min_size=1, max_size=4),
    lost=st.integers(0, 400),
    size=st.integers(1, 80),
)
@settings(max_examples=150)
def test_a_lost_byte_never_makes_a_hole(chunks: list[bytes], lost: int, size: int) -> None:
    """Rule 6: either everything is delivered, or the connection fails without a hole.

    Nothing that stands inside the data is ever acted on.
    """
    world, seen = World(), 0
    world.peer.session.poll_interval = 10.0
    for data in chunks:
        world.act("arrive", 0, data)
    for _ in range(120):
        if not world.module.is_busy:  # silence: the safety poll, and recovery from a loss
            world.peer.wait(12.0)
            world.peer.session.resync()
            world.peer.session.resume()
        world.pump()
        world.module.answer()
        talk = world.module.talk
        if seen <= lost < seen + len(talk):
            del talk[lost - seen]
            lost = -1
        seen += len(talk)
        while talk:
            world.deliver(size)
    peer, sent = world.peer, b"".join(chunks)
    delivered = b"".join(world.got(0))
    assert sent.startswith(delivered)
    assert delivered == sent or world.slots[0].failed
    assert peer.kept(Restarted) == []
    assert peer.kept(Drained) == []
    assert world.slots[3].state is SlotState.OPEN


NOISE = [
    *TRAPS,
    EMPTY,
    announced(0, 5),
    announced(1, 2000),
    pushed(2, b"data"),
    pushed(5, b"data"),
    received(b"data")[:-20],
    received(b"data", 7),
    received(b"data", None),
    explained(568),
    line(b'+QIURC: "recv",0,"buff full"'),
    line(b'+QIURC: "recv",1,"buff full"'),
    line(b'+QIURC: "incoming",5,3,"1.2.3.4",80'),
    line(b"+QIOPEN: 4,0"),
    line(b"AT+QISTATE?"),
    line(b"+CME ERROR: 3"),
    b"\x00\xff",
    b"\r\n+QIRD: ",
    b"\r\n",
    b'"\r\n',
]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.sampled_from(NOISE)),
        st.tuples(st.just("hear"), st.binary(max_size=20)),
        st.tuples(
            st.sampled_from(["submit", "write", "wait", "expire", "resume", "resync", "retry"]),
            st.just(b""),
        ),
    ),
    max_size=40,
)


@given(script=steps)
@settings(max_examples=250)
def test_no_bytes_raise(script: list[tuple[str, bytes]]) -> None:
    """Whatever a module says whenever, every promise to the layer above is kept.

    A job finishes once, behind a failure a socket says nothing more, and the session
    never asks to be called at a time that has passed.
    """
    peer = Peer(poll_interval=10.0)
    slots = [peer.open(*kind) for kind in KINDS]
    peer.session.sockets.reserve(ServiceType.TCP)
    jobs: list[Job] = []
    for kind, data in script:
        match kind:
            case "hear":
                peer.say(data)
            case "submit":
                jobs.append(Job(Qistate()))
                peer.session.queue.add(jobs[-1])
            case "write":
                slots[0].outgoing += b"\x00"
                peer.session.send_datagram(slots[1], b"text")
            case "wait":
                peer.wait(0.1)
            case "expire":
                peer.wait(30.0)
            case "resume":
                peer.session.resume()
            case "resync":
                peer.events += peer.session.resync()
            case _:
                peer.session.retry_send(slots[0], peer.now)
        peer.written()
        peer.wait(0.0)
        deadline = peer.session.deadline()
        assert deadline is None or deadline > peer.now
    peer.events += peer.session.fail(lambda: LinkLost("unplugged"), peer.now, for_good=True)
    finished = Counter(event.job for event in peer.kept(Finished))
    assert finished == Counter(jobs)
    assert_silent_behind_failure(peer.events, slots)


def assert_silent_behind_failure(events: list[Event], slots: list[Slot]) -> None:
    """Check that the failure of a socket is the last that is heard of it, but for its send."""
    for slot in slots:
        own = [
            event
            for event in events
            if getattr(event, "slot", None) is slot and not isinstance(event, SendOver)
        ]
        failures = [at for at, event in enumerate(own) if isinstance(event, Failed)]
        if failures:
            # A link that is lost later fails what is left, this slot once more.
            assert own[failures[0] + 1 :] in ([], own[-1:])
            assert isinstance(own[-1], Failed)
