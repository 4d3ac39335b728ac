"""Session: ``SEND OK`` and ``SEND FAIL``, late, early, doubled, or behind other traffic."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import DatagramLost, Failed, OutOfStep, SendOver, SendStalled, Sent
from aiobc9x.core.sending import (
    AFTERMATH_S,
    RESULT_LIMIT_S,
    RESULT_SLACK_S,
    SECOND_RESULT_S,
)
from aiobc9x.core.slots import Slot
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import Peer, ask
from tests.support.words import (
    EMPTY,
    NEXT,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    announced,
    closed,
    line,
    pushed,
    received,
)

PUSH = AccessMode.PUSH


def begin(peer: Peer, slot: Slot, data: bytes = b"a") -> None:
    """Write something that goes inline, and let it cross the line."""
    peer.session.write(slot, data)
    peer.expect(b'AT+QISEND=%d,%d,"%b"\r' % (slot.connect_id, len(data), data))
    peer.now += 0.01


def usual(peer: Peer, slot: Slot) -> None:
    """Let a send end as the note has it, so that the session knows that this module does so."""
    begin(peer, slot)
    peer.say(OK, SEND_OK)


class TestDoubled:
    """A doubled result never counts for the next send."""

    @pytest.mark.parametrize("doubled", [SEND_OK, SEND_FAIL])
    def test_one_that_comes_before_the_next_is_written(self, doubled: bytes) -> None:
        """Nobody is waiting."""
        peer = Peer()
        slot = peer.open()
        begin(peer, slot)
        peer.say(OK, SEND_OK, doubled)
        assert peer.kept(Sent) == [Sent(slot, 1)]
        assert peer.kept(SendStalled) == []

    @pytest.mark.parametrize("doubled", [SEND_OK, SEND_FAIL])
    @pytest.mark.parametrize("result", [SEND_OK, SEND_FAIL])
    @pytest.mark.parametrize("delay", [0.0, 0.2])
    def test_one_that_comes_before_the_next_ok(
        self, doubled: bytes, result: bytes, delay: float
    ) -> None:
        """This module prints OK first; what counts is the last."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        usual(peer, slot)
        peer.session.write(other, b"b")
        peer.expect(b'AT+QISEND=1,1,"b"\r')
        peer.now += delay
        peer.say(doubled, OK)
        assert [event.slot for event in peer.kept(Sent)] == [slot]
        peer.wait(SECOND_RESULT_S / 2)
        peer.say(result)
        assert [event.slot for event in peer.kept(Sent)[1:]] == [other] * (result == SEND_OK)
        assert len(peer.kept(SendStalled)) == (result == SEND_FAIL)
        assert other.unsent == (result == SEND_FAIL)

    @pytest.mark.parametrize("release", [False, True])
    def test_send_ok_behind_send_fail_ends_the_connection(self, release: bool) -> None:
        """The peer may have the bytes, and would get them twice."""
        peer = Peer()
        slot = peer.open()
        begin(peer, slot)
        peer.say(OK, SEND_FAIL)
        if release:
            peer.session.begin_close(slot)
        peer.say(SEND_OK)
        assert [event.slot for event in peer.kept(Failed)] == [slot] * (not release)
        peer.say(SEND_OK)
        assert len(peer.kept(Failed)) == (not release)
        peer.wait(10)
        peer.expect()

    def test_one_that_was_its_own_after_all(self) -> None:
        """No other comes within two seconds: the module has changed its order."""
        peer = Peer()
        slot = peer.open()
        usual(peer, slot)
        begin(peer, slot, b"b")
        peer.say(SEND_OK, OK)
        peer.wait(SECOND_RESULT_S + 0.1)
        assert peer.kept(Sent) == [Sent(slot, 1)] * 2
        begin(peer, slot, b"c")
        peer.say(SEND_OK, OK)
        assert peer.kept(Sent) == [Sent(slot, 1)] * 3

    @pytest.mark.parametrize("doubled", [SEND_OK, SEND_FAIL])
    def test_one_at_the_prompt_is_anothers(self, doubled: bytes) -> None:
        """The module has no data yet."""
        peer = Peer()
        slot = peer.open()
        peer.session.write(slot, b"\x00")
        peer.turn(b"AT+QISEND=0,1", doubled, PROMPT, doubled)
        peer.expect(b"\x00")
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]

    def test_of_two_results_of_a_module_that_omits_ok_the_last_counts(self) -> None:
        """The first came sooner than the bytes can have crossed the line."""
        peer = Peer()
        peer.session.baudrate = 9600
        slot, other = peer.open(), peer.open()
        begin(peer, slot)
        peer.wait(0.1)
        peer.say(SEND_OK)
        peer.wait(0.4)
        assert peer.kept(Sent) == [Sent(slot, 1)]
        peer.session.write(other, b"b" * 100)
        peer.expect(b'AT+QISEND=1,100,"%b"\r' % (b"b" * 100))
        peer.say(SEND_OK)
        peer.wait(0.2)
        assert peer.kept(SendStalled) == []
        peer.say(SEND_FAIL)
        peer.wait(0.1)
        assert peer.kept(SendStalled) == [SendStalled(other, 558)]
        assert peer.kept(Sent) == [Sent(slot, 1)]

    @pytest.mark.parametrize("data", [b"x" * 600, bytes(600)])
    def test_a_module_that_omits_ok_is_given_the_time_that_the_data_take(self, data: bytes) -> None:
        """On the line, inline or at the prompt; a result later than that is its own at once."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        begin(peer, slot)
        peer.say(SEND_OK)
        peer.wait(0.4)
        for delay, waits in ((0.0, True), (1.0, False)):
            peer.session.write(slot, data)
            if data[0]:
                peer.expect(b'AT+QISEND=0,600,"%b"\r' % data)
            else:
                peer.turn(b"AT+QISEND=0,600", PROMPT)
                peer.expect(data)
            peer.now += delay
            peer.say(SEND_OK)
            peer.wait(0.0)
            assert peer.session.is_sending(slot) == waits
            peer.wait(2.1)
            assert not peer.session.is_sending(slot)
        assert [event.size_bytes for event in peer.kept(Sent)] == [1, 600, 600]


class TestLate:
    """A result that names no socket must not count for another."""

    @staticmethod
    def unanswered() -> tuple[Peer, Slot]:
        """Two datagrams, the first of which has no result when its time is over."""
        peer = Peer()
        slot = peer.open(ServiceType.UDP)
        for data in (b"one", b"two"):
            peer.session.send_datagram(slot, data)
        peer.turn(b'AT+QISEND=0,3,"one"', OK)
        peer.wait(RESULT_LIMIT_S)
        return peer, slot

    def test_a_lost_datagrams_result(self) -> None:
        """Its send keeps its place for a moment; the next one is not taken for it."""
        peer, slot = self.unanswered()
        assert len(peer.kept(DatagramLost)) == 1
        peer.expect()
        peer.say(SEND_FAIL)
        assert len(peer.kept(DatagramLost)) == 1
        peer.turn(b'AT+QISEND=0,3,"two"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 3)]

    def test_one_that_never_comes(self) -> None:
        """Nobody waits for ever."""
        peer, _ = self.unanswered()
        assert peer.session.deadline() == peer.now + AFTERMATH_S
        peer.wait(AFTERMATH_S)
        peer.turn(b'AT+QISEND=0,3,"two"', OK, SEND_OK)
        assert len(peer.kept(SendOver)) == 2

    def test_a_released_socket_ends_nobody_else(self) -> None:
        """A module that closes a socket may not print the result of its last send."""
        peer = Peer()
        gone, pushing = peer.open(), peer.open(access_mode=PUSH)
        begin(peer, gone)
        peer.say(OK)
        peer.say(pushed(1, b"data"), NEXT)
        peer.session.begin_close(gone)
        peer.session.release(gone, peer.now)
        peer.events += peer.session.take_events()
        peer.wait(2 * AFTERMATH_S)
        assert peer.kept(SendOver) == [SendOver(gone)]
        assert peer.kept(Failed) == []
        assert pushing.is_live
        assert peer.session.deadline() is None


class TestBehindTraffic:
    """The result stands behind what the module says meanwhile."""

    def test_a_line_that_is_never_silent(self) -> None:
        """16 s of pushed data on a slow line, and then the result."""
        peer = Peer()
        pushing, slot = peer.open(access_mode=PUSH), peer.open()
        begin(peer, slot)
        peer.say(OK)
        for _ in range(160):
            peer.say(pushed(0, b"x" * 60))
            peer.wait(0.1)
        peer.say(SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]
        assert peer.kept(Failed) == []
        assert pushing.is_live

    def test_not_for_ever(self) -> None:
        """A module that talks all the time and forgets the result is late as well."""
        peer = Peer()
        slot = peer.open()
        begin(peer, slot)
        peer.say(OK)
        started = peer.now
        while not peer.kept(Failed) and peer.now < started + 200:
            peer.say(line(b"+CSCON: 1"))
            peer.wait(0.5)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.now - started <= RESULT_LIMIT_S + RESULT_SLACK_S + 1
        assert len(peer.kept(SendOver)) == 1

    def test_a_read_in_flight_may_withhold_it(self) -> None:
        """It counts as soon as the read has its data, and nobody is woken for nothing."""
        peer = Peer()
        slot, reading = peer.open(), peer.open()
        begin(peer, slot)
        peer.say(OK)
        peer.wait(RESULT_LIMIT_S - 1)
        peer.say(announced(1, 3))
        peer.expect(b"AT+QIRD=1,1024\r")
        peer.say(SEND_OK)
        peer.wait(3.0)
        deadline = peer.session.deadline()
        assert deadline is not None
        assert deadline > peer.now
        assert peer.kept(Failed) == []
        peer.say(received(b"abc"))
        assert peer.kept(Sent) == [Sent(slot, 1)]
        assert reading.is_live

    def test_one_that_is_overdue_ends_the_pushers_that_may_have_swallowed_it(self) -> None:
        """Those that got data since; the others are as whole as before."""
        peer = Peer()
        early, late, slot = (peer.open(access_mode=PUSH) for _ in range(3))
        peer.say(pushed(0, b"early"), NEXT)
        peer.wait(1.0)
        begin(peer, slot)
        peer.say(OK, pushed(1, b"late"), NEXT)
        peer.wait(RESULT_LIMIT_S + 1)
        assert [event.slot for event in peer.kept(Failed)] == [slot, late]
        assert early.is_live
        assert peer.kept(OutOfStep) == []


def test_a_closed_socket_hears_of_its_end_though_its_send_is_out() -> None:
    """UDP that hears ``"closed"`` while a send is out: it is read up to its end."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.session.send_datagram(slot, b"one")
    peer.turn(b'AT+QISEND=0,3,"one"', OK)
    peer.say(closed(0))
    peer.turn(b"AT+QIRD=0,1024", EMPTY)
    assert slot.is_drained
    peer.wait(RESULT_LIMIT_S)
    assert peer.kept(SendOver) == [SendOver(slot)]
    peer.session.begin_close(slot)
    peer.session.release(slot, peer.now)
    assert not peer.session.is_sending(slot)
    peer.session.queue.add(ask())
    peer.turn(b"AT", OK)
    peer.wait(AFTERMATH_S)
    assert peer.session.deadline() is None
