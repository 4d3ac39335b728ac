"""Session: an ID that goes from a socket in push mode to an incoming connection."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    Damaged,
    DataReceived,
    Drained,
    Failed,
    ModeSwitched,
    OutOfStep,
)
from aiobc9x.core.slots import Slot
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.tcpip import Qiclose
from tests.core.peer import Peer, ask
from tests.support.chunks import bytewise
from tests.support.words import CLOSE_OK, OK, announced, line, received

LISTENER = ServiceType.TCP_LISTENER
INCOMING = line(b'+QIURC: "incoming",1,0,"192.168.2.2",36566')


def closing() -> tuple[Peer, Slot]:
    """A listener, and a socket in push mode that is being closed."""
    peer = Peer()
    peer.open(LISTENER)
    slot = peer.open(access_mode=AccessMode.PUSH)
    peer.session.begin_close(slot)
    job = ask()
    job.command = Qiclose(slot.connect_id)
    peer.session.queue.add(job)
    peer.turn(b"AT+QICLOSE=1", OK)
    return peer, slot


class TestReuse:
    """What is announced for the newcomer is no pushed data, however the line cuts it."""

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_the_newcomer_is_read(self, size: int) -> None:
        """Its announcement comes right behind, in the same chunk or not."""
        peer, _ = closing()
        talk = CLOSE_OK + INCOMING + announced(1, 5)
        for start in range(0, len(talk), size):
            peer.say(talk[start : start + size])
        newcomer = peer.session.sockets.get(1)
        assert newcomer is not None
        newcomer.wants_read = True
        peer.turn(b"AT+QIRD=1,1024", received(b"hello"))
        assert peer.kept(DataReceived) == [DataReceived(newcomer, b"hello")]
        assert [peer.kept(kind) for kind in (Failed, Damaged, OutOfStep)] == [[], [], []]

    @pytest.mark.parametrize("said", [CLOSE_OK, INCOMING], ids=["close", "incoming"])
    def test_either_word_alone_ends_the_framing(self, said: bytes) -> None:
        """The other got lost, and a read is in flight: it is of a socket that is gone."""
        peer, _ = closing()
        other = peer.open()
        peer.say(announced(other.connect_id, 3))
        peer.expect(b"AT+QIRD=2,1024\r")
        peer.say(said, announced(1, 5), received(b"abc"))
        assert peer.kept(DataReceived) == [DataReceived(other, b"abc")]
        assert peer.kept(Failed) == []

    def test_a_chunk_that_ends_within_the_line(self) -> None:
        """The rest is awaited."""
        peer, _ = closing()
        for byte in bytewise(CLOSE_OK + INCOMING[:-1]):
            peer.say(byte)
        peer.say(INCOMING[-1:] + announced(1, 5))
        newcomer = peer.session.sockets.get(1)
        assert newcomer is not None
        assert newcomer.announced == 5


def unanswered_switch() -> tuple[Peer, Slot]:
    """A socket in push mode that was to be switched back; the module did not answer."""
    peer = Peer()
    slot = peer.open(access_mode=AccessMode.PUSH)
    peer.session.switch_mode(slot, AccessMode.BUFFER)
    peer.expect(b"AT+QISWTMD=0,0\r")
    peer.wait(30)
    return peer, slot


class TestDoubtfulMode:
    """AT+QISWTMD got no answer; QISTATE says what became of it."""

    @pytest.mark.parametrize("again", [True, False])
    def test_the_mode_that_is_found(self, *, again: bool) -> None:
        """Whoever has asked for it again meanwhile hears that it is so."""
        peer, slot = unanswered_switch()
        assert slot.is_mode_doubtful
        if again:
            peer.session.switch_mode(slot, AccessMode.BUFFER)
        peer.session.note_mode(slot, AccessMode.BUFFER)
        assert slot.access_mode is AccessMode.BUFFER
        assert peer.session.take_events() == ([ModeSwitched(slot)] if again else [])
        peer.session.note_mode(slot, AccessMode.PUSH)  # nobody doubts it any more
        assert slot.access_mode is AccessMode.BUFFER

    @pytest.mark.parametrize("found", AccessMode)
    def test_the_mode_that_it_had_is_asked_for(self, found: AccessMode) -> None:
        """It may have changed: what is found says whether there is anything to do."""
        peer, slot = unanswered_switch()
        peer.session.switch_mode(slot, AccessMode.PUSH)
        assert peer.kept(ModeSwitched) == peer.session.take_events() == []
        peer.session.note_mode(slot, found)
        peer.session.resume()
        if found is AccessMode.BUFFER:
            peer.turn(b"AT+QIRD=0,1024", line(b"+QIRD: 0") + OK)
            peer.turn(b"AT+QISWTMD=0,1", OK)
            peer.turn(b"AT+QIRD=0,1024", line(b"+QIRD: 0") + OK)
        peer.wait(0)
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
        assert slot.access_mode is AccessMode.PUSH

    def test_a_wish_that_is_withdrawn_before_it_is_written(self) -> None:
        """The socket stays as it is, and nothing is written."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        peer.session.switch_mode(slot, AccessMode.BUFFER)
        peer.session.switch_mode(slot, AccessMode.PUSH)
        assert peer.session.take_events() == [ModeSwitched(slot)]
        peer.expect()

    def test_the_end_of_a_peer_that_has_waited_for_a_withdrawn_wish(self) -> None:
        """What was to be read in buffer mode first is nothing in push mode."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        peer.session.switch_mode(slot, AccessMode.BUFFER)
        peer.say(line(b'+QIURC: "closed",0'))
        assert peer.kept(Drained) == []
        peer.session.switch_mode(slot, AccessMode.PUSH)
        peer.session.switch_mode(slot, AccessMode.PUSH)
        peer.wait(0)
        assert peer.kept(Drained) == [Drained(slot)]

    @pytest.mark.parametrize("mode", AccessMode)
    def test_a_peer_that_closes_meanwhile(self, mode: AccessMode) -> None:
        """Its end is told when the mode is known: a buffer may hold something."""
        peer, slot = unanswered_switch()
        peer.say(line(b'+QIURC: "closed",0'))
        assert peer.kept(Drained) == []
        peer.session.note_mode(slot, mode)
        peer.session.resume()
        peer.wait(0)
        if mode is AccessMode.BUFFER:
            peer.turn(b"AT+QIRD=0,1024", received(b"abc"))
            peer.turn(b"AT+QIRD=0,1024", line(b"+QIRD: 0") + OK)
            assert peer.kept(DataReceived) == [DataReceived(slot, b"abc")]
        assert peer.kept(Drained) == [Drained(slot)]

    def test_a_peer_that_closes_before_the_switch_is_tried_again(self) -> None:
        """Its end waits for what the buffer may hold."""
        peer, slot = unanswered_switch()
        peer.say(line(b'+QIURC: "closed",0'))
        peer.session.switch_mode(slot, AccessMode.BUFFER)
        peer.session.note_mode(slot, AccessMode.PUSH)
        peer.session.resume()
        assert peer.kept(Drained) == []
        peer.turn(b"AT+QISWTMD=0,0", OK)
        peer.turn(b"AT+QIRD=0,1024", line(b"+QIRD: 0") + OK)
        assert peer.kept(Drained) == [Drained(slot)]


@pytest.mark.parametrize("service", [ServiceType.TCP, ServiceType.UDP])
def test_a_payload_that_can_not_be_read_makes_the_format_doubtful(service: ServiceType) -> None:
    """Another program may have changed it."""
    peer = Peer()
    slot = peer.open(service)
    peer.say(announced(slot.connect_id, 5))
    assert not peer.session.is_format_doubtful
    peer.turn(b"AT+QIRD=0,1024", line(b"+QIRD: 5,0"), line(b"68656C6C6F"), OK)
    assert peer.session.is_format_doubtful
    assert peer.session.suspended


def test_a_lost_answer_of_a_setting_makes_the_format_doubtful() -> None:
    """Whoever brings the line back in step must ask before anything is read."""
    peer = Peer()
    peer.session.queue.add(ask('AT+QICFG="dataformat",0,1'))
    peer.written()
    peer.wait(30)
    assert peer.session.is_format_doubtful
