"""Session: sockets that open, and connections that come in."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    Finished,
    Job,
    Opened,
    OpenRefused,
    Orphaned,
    OutOfStep,
    Restarted,
    UrcSeen,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.spec import AccessMode, Err, ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.tcpip import Qiopen
from aiobc9x.wire.urcs import Incoming
from tests.core.peer import Peer
from tests.support.words import (
    EMPTY,
    ERROR,
    NEXT,
    OK,
    announced,
    closed,
    explained,
    line,
    pushed,
    received,
)

PUSH, TCP, UDP = AccessMode.PUSH, ServiceType.TCP, ServiceType.UDP


def opening(
    peer: Peer, service_type: ServiceType = TCP, mode: AccessMode = PUSH, *answer: bytes
) -> Slot:
    """Write the AT+QIOPEN of the next ID, and answer it."""
    slot = peer.session.sockets.reserve(service_type, mode)
    assert slot is not None
    peer.session.want_reads(slot, True, peer.now)
    command = Qiopen(1, slot.connect_id, service_type, "10.0.0.1", 80, 0, mode, 0)
    peer.session.queue.add(Job(command))
    peer.turn(command.encode()[:-1], *answer)
    return slot


def got(peer: Peer, slot: Slot) -> bytes:
    """What a socket delivered."""
    return b"".join(event.data for event in peer.kept(DataReceived) if event.slot is slot)


class TestPushedDataProveIt:
    """A socket that gets data is open, whatever became of its ``+QIOPEN``."""

    @pytest.mark.parametrize("service_type", [TCP, UDP])
    def test_a_result_that_is_withheld_behind_a_read(self, service_type: ServiceType) -> None:
        """The server greets at once; not a byte is lost."""
        peer = Peer()
        peer.open()
        slot = opening(peer, service_type, PUSH, OK)
        peer.say(announced(0, 3))
        peer.expect(b"AT+QIRD=0,1024\r")
        peer.say(line(b"+QIOPEN: 1,0"), pushed(1, b"220 ready"))
        peer.say(received(b"abc"))
        assert got(peer, slot) == b"220 ready"
        assert peer.kept(Opened) == [Opened(slot)]
        assert peer.session.statistics.unowned_bytes == 0

    @pytest.mark.parametrize("answer", [OK, b"\r\nK\r\n"])
    def test_a_result_that_got_lost(self, answer: bytes) -> None:
        """So may the OK before it."""
        peer = Peer()
        slot = opening(peer, TCP, PUSH, answer)
        peer.say(pushed(0, b"220 ready"), NEXT)
        assert slot.state is SlotState.OPEN
        assert got(peer, slot) == b"220 ready"

    def test_a_torn_result_may_have_been_a_header(self) -> None:
        """Then the first bytes of the connection are gone: it ends, rather than lack them."""
        peer = Peer()
        slot = opening(peer, TCP, PUSH, OK)
        peer.say(line(b"+QIPEN: 0,0"))
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert len(peer.kept(OutOfStep)) == 1

    def test_no_line_of_them_is_obeyed(self) -> None:
        """Also if the OK of AT+QIOPEN got lost: framing begins when it is written."""
        peer = Peer()
        other = peer.open()
        slot = opening(peer, TCP, PUSH, b"\r\nK\r\n")
        peer.say(line(b"+QIOPEN: 1,0"), pushed(1, b"\r\nRDY\r\n"), NEXT)
        assert peer.kept(Restarted) == []
        assert other.is_live
        assert slot.failed or got(peer, slot) == b"\r\nRDY\r\n"

    def test_a_socket_that_qistate_shows_open_is_read(self) -> None:
        """What was announced behind a lost ``+QIOPEN`` may have got lost with it."""
        peer = Peer()
        slot = opening(peer, TCP, AccessMode.BUFFER, OK)
        peer.session.note_opened(slot)
        peer.turn(b"AT+QIRD=0,1024", received(b"220"))
        assert peer.session.take_events() == []
        assert got(peer, slot) == b"220"

    def test_it_is_said_once(self) -> None:
        """A result behind the data is no news."""
        peer = Peer()
        slot = opening(peer, TCP, PUSH, OK)
        peer.say(pushed(0, b"220"), line(b"+QIOPEN: 0,0"))
        peer.session.note_opened(slot)
        assert peer.kept(Opened) + peer.session.take_events() == [Opened(slot)]

    @pytest.mark.parametrize("mode", AccessMode)
    def test_an_end_proves_it_as_well(self, mode: AccessMode) -> None:
        """A peer that closes at once was connected."""
        peer = Peer()
        slot = opening(peer, TCP, mode, OK)
        peer.say(closed(0))
        assert peer.kept(Opened) == [Opened(slot)]
        if mode is AccessMode.BUFFER:
            peer.turn(b"AT+QIRD=0,1024", EMPTY)
        assert peer.kept(Drained) == [Drained(slot)]

    def test_one_that_can_not_be_connected(self) -> None:
        """§3."""
        peer = Peer()
        slot = opening(peer, TCP, PUSH, OK)
        peer.say(line(b"+QIOPEN: 0,566"))
        assert peer.kept(OpenRefused) == [OpenRefused(slot, 566)]
        assert slot.state is SlotState.OPENING


class TestFraming:
    """Push framing is registered when AT+QIOPEN is written, and taken back at its ``ERROR``."""

    def test_a_refused_open_takes_it_back(self) -> None:
        """What looks like a header is a line then, and frames no payload."""
        peer = Peer()
        opening(peer, TCP, PUSH, ERROR)
        peer.turn(b"AT+QIGETERROR", explained(563))
        peer.say(announced(0, 5), NEXT)
        assert [type(event) for event in peer.events[-2:]] == [UrcSeen, UrcSeen]

    def test_a_refused_open_of_an_id_that_pushed_before_takes_nothing_back(self) -> None:
        """The leftover of an earlier program pushes on until it is closed."""
        peer = Peer()
        peer.session.set_access_mode(0, PUSH)
        peer.session.queue.add(Job(Raw('AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,1'), explain=False))
        peer.written()
        peer.say(ERROR)
        peer.say(pushed(0, b"\r\nRDY\r\n"), NEXT)
        assert peer.kept(Restarted) == []

    @pytest.mark.parametrize("mode", [0, 1])
    @pytest.mark.parametrize("answer", [b"", ERROR])
    def test_one_that_is_in_use_pushes_on(self, mode: int, answer: bytes) -> None:
        """The module refuses to open it a second time (563)."""
        peer = Peer()
        slot, other = peer.open(access_mode=PUSH), peer.open()
        text = f'AT+QIOPEN=1,0,"TCP","10.0.0.1",80,0,{mode}'
        peer.session.queue.add(Job(Raw(text), explain=False))
        peer.turn(text.encode(), answer)
        peer.say(pushed(0, b"\r\nRDY\r\n"), NEXT)
        assert got(peer, slot) == b"\r\nRDY\r\n"
        assert other.is_live

    def test_an_open_in_buffer_mode_ends_the_pushing_of_the_id(self) -> None:
        """It begins afresh."""
        peer = Peer()
        peer.session.set_access_mode(0, PUSH)
        slot = opening(peer, TCP, AccessMode.BUFFER, OK, line(b"+QIOPEN: 0,0"))
        peer.say(announced(0, 5))
        peer.turn(b"AT+QIRD=0,1024", received(b"hello"))
        assert got(peer, slot) == b"hello"


class TestBesideAListener:
    """The module may give the ID that is being opened to an incoming connection instead."""

    def test_framing_begins_at_the_ok(self) -> None:
        """Announcements of the newcomer in the same chunk are no pushed data."""
        peer = Peer()
        listener = peer.open(ServiceType.TCP_LISTENER)
        slot = opening(peer, TCP, PUSH, OK, line(b"+QIOPEN: 1,0"), pushed(1, b"220"), NEXT)
        assert listener.is_live
        assert got(peer, slot) == b"220"

    def test_framing_begins_at_the_result_if_the_ok_got_lost(self) -> None:
        """The data come behind it, in the same chunk."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        slot = opening(peer, TCP, PUSH, b"\r\nK\r\n")
        peer.say(line(b"+QIOPEN: 1,0"), pushed(1, b"\r\nRDY\r\n"), NEXT)
        assert peer.kept(Restarted) == []
        assert got(peer, slot) == b"\r\nRDY\r\n"

    def test_what_is_announced_before_the_ok_is_of_an_unknown_newcomer(self) -> None:
        """Its ``"incoming"`` got lost, and the module refuses the open. Nobody else suffers."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        pushing = peer.open(access_mode=PUSH)
        slot = opening(peer, TCP, PUSH)
        peer.say(announced(2, 15), pushed(1, b"one"), ERROR)
        peer.say(pushed(1, b"two"), NEXT)
        assert got(peer, pushing) == b"onetwo"
        assert slot.state is SlotState.OPENING
        assert not peer.kept(Opened)

    @pytest.mark.parametrize("said", [announced(1, 3), closed(1)])
    def test_what_is_said_of_the_id_proves_nothing(self, said: bytes) -> None:
        """The open may have failed, and an incoming connection have its ID; both URCs got lost."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        slot = opening(peer, TCP, AccessMode.BUFFER, OK)
        peer.say(said)
        assert slot.state is SlotState.OPENING
        peer.say(line(b"+QIOPEN: 1,0"))
        assert peer.kept(Opened) == [Opened(slot)]

    def test_a_newcomer_that_takes_the_id_is_heard(self) -> None:
        """Its announcement is a line, and whoever opens tries another ID."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        slot = opening(peer, TCP, PUSH)
        peer.say(line(b'+QIURC: "incoming",1,0,"1.2.3.4",80'), announced(1, 3), ERROR)
        peer.turn(b"AT+QIGETERROR", explained(563))
        newcomer = peer.session.sockets.get(1)
        assert newcomer is not None
        assert newcomer is not slot
        assert newcomer.readable
        assert peer.kept(OpenRefused) == [OpenRefused(slot, Err.IDENTITY_IN_USE)]

    @pytest.mark.parametrize("service_type", [TCP, UDP])
    def test_an_ok_in_doubt_comes_too_late(self, service_type: ServiceType) -> None:
        """What was pushed before it was believed has been framed as lines."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        peer.open(access_mode=PUSH)
        slot = opening(peer, service_type, PUSH)
        peer.say(line(b'+QIUR: "recv",1,2'), OK, line(b"+QIOPEN: 2,0"), pushed(2, b"220"))
        peer.wait(3.0)
        lost = [event.slot for event in peer.kept(Failed)]
        lost += [event.slot for event in peer.kept(DatagramLost)]
        assert slot in lost
        assert got(peer, slot) == b""

    def test_a_refused_open_leaves_the_framing_alone(self) -> None:
        """Nothing was registered."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        pushing = peer.open(access_mode=PUSH)
        opening(peer, TCP, PUSH, ERROR)
        peer.turn(b"AT+QIGETERROR", explained(563))
        peer.say(pushed(1, b"data"), NEXT)
        assert got(peer, pushing) == b"data"


class TestIncoming:
    """§2.3.5."""

    URC = line(b'+QIURC: "incoming",5,0,"192.168.2.2",36566')

    def test_a_doubled_one_is_ignored(self) -> None:
        """The connection goes on, and nobody hears of a second one."""
        peer = Peer()
        peer.open(ServiceType.TCP_LISTENER)
        peer.say(self.URC)
        slot = peer.session.sockets.get(5)
        assert slot is not None
        peer.session.want_reads(slot, True, peer.now)
        peer.say(announced(5, 5))
        peer.turn(b"AT+QIRD=5,1024", received(b"hello"))
        peer.say(self.URC)
        assert peer.session.sockets.get(5) is slot
        assert peer.kept(Failed) == []
        assert len([e for e in peer.kept(UrcSeen) if isinstance(e.urc, Incoming)]) == 1
        assert peer.session.statistics.incoming == 1

    def test_one_from_another_port_is_another_connection(self) -> None:
        """The module has closed the old one; its owner hears of it."""
        peer = Peer()
        peer.say(self.URC)
        old = peer.session.sockets.get(5)
        peer.say(self.URC.replace(b"36566", b"36567"))
        assert [event.slot for event in peer.kept(Failed)] == [old]
        assert peer.session.sockets.get(5) is not old

    @pytest.mark.parametrize(
        "said", [announced(5, 3), closed(5), line(b'+QIURC: "recv",5,"buff full"')]
    )
    def test_a_lost_one_leaves_an_orphan(self, said: bytes) -> None:
        """Data or an end on an ID that nobody owns: whoever is above closes it."""
        peer = Peer()
        peer.say(said)
        assert peer.kept(Orphaned) == [Orphaned(5)]
        slot = peer.session.adopt_orphan(5)
        assert slot is not None
        assert slot.state is SlotState.OPEN
        assert peer.session.adopt_orphan(5) is None
        peer.session.begin_close(slot)
        peer.session.release(slot, peer.now)
        assert len(peer.session.sockets) == 0

    def test_pushed_data_for_nobody_leave_one_too(self) -> None:
        """An earlier program's connection goes on until it is closed."""
        peer = Peer()
        peer.session.set_access_mode(4, PUSH)
        peer.say(pushed(4, b"left"), NEXT)
        assert peer.kept(Orphaned) == [Orphaned(4)]
        assert peer.session.statistics.unowned_bytes == 4

    def test_an_open_whose_id_went_to_it_is_refused(self) -> None:
        """Written or not: another ID will do."""
        peer = Peer()
        slots = [peer.session.sockets.reserve(TCP) for _ in range(6)]
        slot = slots[5]
        assert slot is not None
        job = Job(Qiopen(1, 5, "TCP", "10.0.0.1", 80, 0, 0, 0), slot=slot)
        peer.session.suspended = True
        other = Job(Qiopen(1, 4, "TCP", "10.0.0.1", 80, 0, 0, 0), slot=slots[4])
        for waiting in (job, other, Job(Raw("AT+CSQ"))):
            peer.session.queue.add(waiting)
        peer.say(self.URC)
        assert peer.kept(OpenRefused) == [OpenRefused(slot, Err.IDENTITY_IN_USE)]
        assert [event.answer.err for event in peer.kept(Finished)] == [Err.IDENTITY_IN_USE]
        peer.session.resume()
        peer.expect(other.command.encode())
