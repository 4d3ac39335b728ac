"""Session: when a socket is read, and what is delivered."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    Answer,
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    Finished,
    Job,
    ReadRefused,
    UnknownLine,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.slots import SlotState
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import READ, Peer, of
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


class TestEdge:
    """Rule 5: ``recv`` is edge-triggered."""

    def test_a_socket_is_read_until_it_is_empty(self) -> None:
        """A remaining length of 0 is that of one node: only a hint."""
        peer = Peer()
        slot = peer.open()
        peer.expect()
        peer.say(announced(0, 2))
        peer.turn(READ, received(b"ab"))
        peer.turn(READ, received(b"cd", 5))
        peer.turn(READ, EMPTY)
        peer.expect()
        assert peer.kept(DataReceived) == [DataReceived(slot, b"ab"), DataReceived(slot, b"cd")]

    def test_data_behind_an_empty_answer_are_not_forgotten(self) -> None:
        """The module won't announce them again (N28)."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 2))
        peer.turn(READ, received(b"ab"))
        peer.turn(READ, line(b"+QIRD: 0"), announced(0, 2), OK)
        peer.turn(READ, received(b"cd"))
        peer.turn(READ, EMPTY)
        peer.expect()
        assert peer.kept(DataReceived)[-1] == DataReceived(slot, b"cd")

    def test_an_end_behind_an_empty_answer_is_read_up_to(self) -> None:
        """Data may have come in between; only the next ``+QIRD: 0`` is the end."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 2))
        assert not of(Drained, peer.turn(READ, line(b"+QIRD: 0"), closed(0), OK))
        peer.turn(READ, received(b"last"))
        peer.turn(READ, EMPTY)
        assert peer.events[-2:] == [DataReceived(slot, b"last"), Drained(slot)]


class TestLostUrcs:
    """Rule 5: what was announced may have got lost."""

    def test_sockets_are_read_after_data_mode(self) -> None:
        """100 ms after the last send of a burst, each once."""
        peer = Peer()
        slot, _other = peer.open(), peer.open()
        slot.outgoing += b"\x00"
        peer.prompted(slot, b"\x00")
        peer.say(OK, SEND_OK)
        peer.expect()
        assert peer.session.deadline() == pytest.approx(peer.now + 0.1)
        peer.wait(0.11)
        peer.turn(READ, EMPTY)
        peer.turn(b"AT+QIRD=1,1024", EMPTY)
        peer.expect()
        assert peer.session.deadline() is None

    def test_a_silent_socket_is_read_every_10_s(self) -> None:
        """While somebody waits for its data, and only then."""
        peer = Peer(poll_interval=10.0)
        peer.open()
        peer.open(wants_read=False)
        for _ in range(3):
            assert peer.session.deadline() == pytest.approx(peer.now + 10)
            peer.wait(9.9)
            peer.expect()
            peer.wait(0.2)
            peer.turn(READ, EMPTY)
            peer.expect()
        assert peer.session.statistics.empty_reads == 3

    def test_an_unreadable_line_makes_suspicious(self) -> None:
        """It may have been an announcement whose beginning got lost."""
        peer = Peer()
        peer.open()
        assert len(of(UnknownLine, peer.say(line(b'cv",0,5')))) == 1
        peer.turn(READ, EMPTY)

    def test_a_vendors_line_does_not(self) -> None:
        """Modules of the family say things that the note doesn't know."""
        peer = Peer()
        peer.open()
        peer.say(line(b"+DBGINFO: x"))
        peer.expect()
        assert peer.session.statistics.unknown_lines == 1

    def test_a_read_that_is_refused_is_looked_into(self) -> None:
        """Nothing is known to be lost."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        peer.turn(READ, ERROR)
        peer.turn(b"AT+QIGETERROR", explained(559))
        assert peer.kept(ReadRefused) == [ReadRefused(slot, 559)]
        peer.expect()

    def test_a_refused_read_of_known_bytes_ends_the_connection(self) -> None:
        """They were announced, and the module has lost them."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.turn(READ, ERROR)
        peer.turn(b"AT+QIGETERROR", explained(567))
        assert [event.slot for event in peer.kept(Failed)] == [slot]


class TestReceiving:
    """Buffer and push mode."""

    def test_data_may_hold_anything(self) -> None:
        """Rule 2: counted payloads are never scanned."""
        peer = Peer()
        slot = peer.open()
        trap = OK + ERROR + closed(0) + SEND_OK + PROMPT + line(b"RDY") + b"\x00\x1a\x1b"
        peer.say(announced(0, len(trap)))
        peer.turn(READ, received(trap))
        assert peer.kept(DataReceived) == [DataReceived(slot, trap)]
        assert slot.state is SlotState.OPEN

    def test_the_end_comes_behind_the_data(self) -> None:
        """§2.3.1: they can still be read."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 3), closed(0))
        peer.turn(READ, received(b"abc"))
        peer.turn(READ, EMPTY)
        assert peer.events[-1] == Drained(slot)
        assert peer.kept(DataReceived) == [DataReceived(slot, b"abc")]
        peer.expect()

    def test_a_full_reader_is_not_read_for(self) -> None:
        """The module keeps the bytes until there is room."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.say(announced(0, 3))
        peer.expect()
        slot.wants_read = True
        peer.expect(READ + b"\r")

    def test_a_datagram_over_two_reads_is_one(self) -> None:
        """§2.2.6, note 3."""
        peer = Peer()
        slot = peer.open(ServiceType.UDP)
        peer.say(announced(0, 1200))
        peer.turn(READ, received(b"a" * 1024, 176))
        peer.turn(READ, received(b"b" * 176))
        peer.turn(READ, received(b"c"))
        whole = b"a" * 1024 + b"b" * 176
        assert peer.kept(DataReceived) == [DataReceived(slot, whole), DataReceived(slot, b"c")]

    def test_pushed_data_need_no_reading(self) -> None:
        """They may come at any time, in mid-command too, and hold anything."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        job = Job(Qistate())
        peer.session.queue.add(job)
        peer.turn(b"AT+QISTATE?", pushed(0, OK), OK, pushed(0, b"more"), closed(0))
        assert peer.kept(DataReceived) == [DataReceived(slot, OK), DataReceived(slot, b"more")]
        assert peer.events[-2] == Drained(slot)
        assert peer.kept(Finished) == [Finished(job, Answer(ok=True))]
        assert peer.session.statistics.payload_bytes_received == len(OK) + 4
        peer.expect()

    def test_buff_full_ends_a_stream(self) -> None:
        """Unless the profile says that the module throttles."""
        full = line(b'+QIURC: "recv",0,"buff full"')
        peer = Peer()
        peer.open()
        assert len(of(Failed, peer.say(full))) == 1
        patient = Peer(ModuleProfile(on_buffer_full="continue"))
        patient.open()
        assert of(Failed, patient.say(full)) == []
        patient.expect(READ + b"\r")

    def test_a_lost_datagram_is_counted(self) -> None:
        """Whatever lost it."""
        peer = Peer()
        slot = peer.open(ServiceType.UDP)
        peer.say(line(b'+QIURC: "recv",0,"buff full"'))
        peer.turn(READ, EMPTY)
        peer.session.send_datagram(slot, b"a")
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
        assert peer.session.statistics.datagrams_lost == 2
        assert len(peer.kept(DatagramLost)) == 2


class TestOldOwners:
    """Rule 7: what belongs to an old owner can't reach the new one."""

    def test_late_urcs_of_the_old_owner(self) -> None:
        """While the ID is being opened again, it has no data and no end."""
        peer = Peer()
        for _ in range(6):
            slot = peer.open()
        peer.session.release(slot, peer.now)
        new = peer.session.sockets.reserve(ServiceType.TCP)
        assert new is not None
        assert new.connect_id == slot.connect_id
        peer.say(announced(5, 7), closed(5))
        assert not new.holds_data
        peer.say(line(b"+QIOPEN: 5,0"))
        assert new.is_sendable

    def test_a_read_of_the_old_owner(self) -> None:
        """Its data go to nobody."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        peer.expect(READ + b"\r")
        slot.move(SlotState.CLOSING)
        peer.say(received(b"late"))
        assert peer.kept(DataReceived) == []
