"""Session: how long it waits for an answer, and whom it wakes after a silence."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    Damaged,
    DataReceived,
    Failed,
    Finished,
    Job,
    OutOfStep,
)
from aiobc9x.core.sending import RESULT_LIMIT_S
from aiobc9x.core.session import ANSWER_TIMEOUT_S
from aiobc9x.errors import LinkTimeout
from aiobc9x.wire.commands.radio import Cgatt
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import READ, Peer, ask, of
from tests.support.words import OK, announced, line, received


class TestDeadlines:
    """An answer has 10 s to begin, 2 s to end, and a little more while bytes arrive."""

    def test_silence_for_ten_seconds_is_a_timeout(self) -> None:
        """The note's 300 ms are too little: a module writes flash, or searches a cell (N4)."""
        peer = Peer()
        job = Job(Qistate())
        peer.session.queue.add(job)
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(10.0)
        assert peer.kept(Finished) == []
        peer.wait(0.5)
        assert isinstance(peer.kept(Finished)[0].answer.failure, LinkTimeout)
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.session.statistics.timeouts == 1

    def test_a_late_answer_is_swallowed(self) -> None:
        """Its caller has gone; the line is being brought back in step."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(11.0)
        assert peer.say(OK) == []

    def test_whoever_opens_the_modem_may_allow_less(self) -> None:
        """Or more: ``answer_timeout``."""
        peer = Peer()
        peer.session.answer_timeout = 3.0
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(3.0)
        assert peer.kept(Finished) == []
        peer.wait(0.5)
        assert len(peer.kept(Finished)) == 1

    def test_an_answer_may_be_waited_for_no_longer(self) -> None:
        """By whoever is closing the modem; a limit that is sooner already stays."""
        peer = Peer()
        peer.session.hasten(peer.now)
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.session.hasten(peer.now + 1.0)
        peer.session.hasten(peer.now + 5.0)
        peer.wait(0.9)
        assert peer.kept(Finished) == []
        peer.wait(0.2)
        assert len(peer.kept(Finished)) == 1
        assert len(peer.kept(OutOfStep)) == 1

    def test_what_the_note_gives_more_is_never_cut(self) -> None:
        """A short limit of ours is for commands that the module answers by itself."""
        peer = Peer()
        peer.session.answer_timeout = 3.0
        peer.session.queue.add(Job(Cgatt(1)))
        peer.expect(b"AT+CGATT=1\r")
        peer.wait(60.0)
        assert peer.kept(Finished) == []

    @pytest.mark.parametrize("part", [line(b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0'), b"\r\n+QI"])
    def test_once_a_part_has_come_the_rest_is_not_far(self, part: bytes) -> None:
        """Two seconds, and its time on the line, behind a line of it or half of one."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(5.0)
        peer.say(part)
        peer.wait(2.0)
        assert peer.kept(Finished) == []
        peer.wait(0.3)
        assert isinstance(peer.kept(Finished)[0].answer.failure, LinkTimeout)

    def test_each_part_gives_the_next_one_its_time(self) -> None:
        """A long answer may come in pieces."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        for _ in range(4):
            peer.say(line(b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0'))
            peer.wait(1.9)
        peer.say(OK)
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]

    def test_a_part_of_what_waits_for_the_network_shows_nothing(self) -> None:
        """AT+CGATT may echo at once, and attach for minutes."""
        peer = Peer()
        peer.session.echo_expected = True
        peer.session.queue.add(Job(Cgatt(1)))
        peer.turn(b"AT+CGATT=1", b"AT+CGATT=1\r")
        peer.wait(60.0)
        assert peer.kept(Finished) == []

    @pytest.mark.parametrize("seconds", [2.5, 9.9])
    def test_a_read_that_is_answered_late_gives_its_data(self, seconds: float) -> None:
        """Nothing else is in flight, so nothing can have got lost."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.expect(READ + b"\r")
        peer.wait(seconds)
        peer.say(received(b"hello"))
        assert peer.kept(DataReceived) == [DataReceived(slot, b"hello")]
        assert peer.kept(Failed) == []

    @pytest.mark.parametrize("part", [b"\r\n", b"\r\n+QIRD: 5,0\r\nhel"])
    def test_half_a_read_shows_that_the_rest_got_lost(self, part: bytes) -> None:
        """After two seconds; a line end alone is no part of it."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.turn(READ, part)
        peer.wait(2.3)
        lost = [event.slot for event in peer.kept(Failed)]
        assert lost == ([] if part == b"\r\n" else [slot])

    def test_bytes_that_arrive_put_it_off_but_not_for_ever(self) -> None:
        """A module that babbles without an answer is late as well."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        started = peer.now
        while not peer.kept(Finished) and peer.now < started + 60:
            peer.say(line(b"+DBGINFO: x"))
            peer.wait(0.5)
        assert 30 <= peer.now - started < 35

    def test_a_slow_line_has_more_time(self) -> None:
        """A payload of 1024 bytes takes a second at 9600 bits per second."""
        peer = Peer()
        peer.session.baudrate = 9600
        peer.open().readable = True
        peer.expect(READ + b"\r")
        peer.wait(4.0)
        assert peer.kept(Failed) == []
        peer.say(received(b"ab"))
        assert len(peer.kept(DataReceived)) == 1

    def test_a_caller_may_allow_more(self) -> None:
        """Some commands of 27.007 take long."""
        peer = Peer()
        peer.session.queue.add(ask(limit=75.0))
        peer.expect(b"AT\r")
        peer.wait(75.0)
        assert peer.kept(Finished) == []
        peer.wait(0.5)
        assert len(peer.kept(Finished)) == 1

    def test_half_a_read_ends_its_connection(self) -> None:
        """The rest never came; what is in progress is given up."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        peer.turn(READ, b"\r\n+QIRD: 100,0\r\nonly so much")
        events = peer.wait(30.0)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert [event.data for event in of(Damaged, events)] == [b"only so much"]
        assert len(of(OutOfStep, events)) == 1


class TestUnanswered:
    """For how long a module has owed an answer, once it is known that none comes."""

    def test_from_the_command_on(self) -> None:
        """The silence before it was no debt."""
        peer = Peer()
        peer.now += 100.0
        asked = peer.now
        peer.session.queue.add(ask("AT+CSQ"))
        peer.expect(b"AT+CSQ\r")
        peer.wait(20.0)
        assert peer.session.unanswered_from == asked

    def test_a_prompt_and_data_are_one_command(self) -> None:
        """The data are written while the module owes the prompt already."""
        peer = Peer(send_form="fixed")
        slot = peer.open(wants_read=False)
        peer.session.write(slot, b"\x00")
        asked = peer.now
        peer.expect(b"AT+QISEND=0,1\r")
        peer.wait(ANSWER_TIMEOUT_S + 0.3)
        peer.expect(b"\x00")
        peer.wait(RESULT_LIMIT_S + 1)
        assert peer.session.unanswered_from == asked

    def test_from_the_last_bytes_on(self) -> None:
        """A module that says anything is there."""
        peer = Peer()
        peer.session.queue.add(ask("AT+CSQ"))
        peer.expect(b"AT+CSQ\r")
        peer.now += 1.0
        peer.say(line(b"+CSCON: 1"))
        said = peer.now
        peer.wait(20.0)
        assert peer.session.unanswered_from == said
