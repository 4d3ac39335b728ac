"""Session: how long it waits for an answer, and whom it wakes after a silence."""

from __future__ import annotations

from aiobc9x.core.events import (
    Damaged,
    DataReceived,
    Failed,
    Finished,
    Job,
    OutOfStep,
)
from aiobc9x.errors import LinkTimeout
from aiobc9x.wire.commands import Qistate
from tests.core.peer import (
    OK,
    Peer,
    ask,
    line,
    of,
    received,
)

READ = b"AT+QIRD=0,1024"


class TestDeadlines:
    """An answer has 2 s, and a little more while bytes arrive."""

    def test_silence_for_two_seconds_is_a_timeout(self) -> None:
        """The note's 300 ms are too little on real links (N4)."""
        peer = Peer()
        job = Job(Qistate())
        peer.session.queue.add(job)
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(2.0)
        assert peer.kept(Finished) == []
        peer.wait(0.2)
        assert isinstance(peer.kept(Finished)[0].answer.failure, LinkTimeout)
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.session.statistics.timeouts == 1

    def test_a_late_answer_is_swallowed(self) -> None:
        """Its caller has gone; the line is being brought back in step."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(3.0)
        assert peer.say(OK) == []

    def test_bytes_that_arrive_put_it_off_but_not_for_ever(self) -> None:
        """A module that babbles without an answer is late as well."""
        peer = Peer()
        peer.session.queue.add(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        started = peer.now
        while not peer.kept(Finished) and peer.now < started + 60:
            peer.say(line(b"+DBGINFO: x"))
            peer.wait(0.5)
        assert 20 <= peer.now - started < 25

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

    def test_silence_before_the_prompt_ends_the_connection(self) -> None:
        """The module may be in data mode, or not."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.expect(b"AT+QISEND=0,1\r")
        events = peer.wait(3.0)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1
        peer.session.resume()
        assert b"AT+QISEND=0,1\r" not in peer.written()


class TestIdle:
    """A module that may sleep must be woken before it is told anything."""

    def test_silence_counts_as_a_lost_step(self) -> None:
        """Whoever brings it back in step wakes it."""
        peer = Peer()
        peer.session.idle_limit = 8.0
        peer.say(b"\r\n+CSCON: 1\r\n")
        peer.wait(9.0)
        peer.session.queue.add(ask("AT+CSQ"))
        peer.expect()
        assert [type(event) for event in peer.session.take_events()] == [OutOfStep]
        peer.say(b"\r\n+CSCON: 1\r\n")
        peer.session.resume()
        peer.expect(b"AT+CSQ\r")

    def test_the_module_may_say_that_it_falls_asleep(self) -> None:
        """Then there is no need to wait."""
        peer = Peer()
        peer.session.idle_limit = 8.0
        peer.say(b'\r\n+QNBIOTEVENT: "ENTER PSM"\r\n')
        peer.session.queue.add(ask("AT+CSQ"))
        peer.expect()
        assert peer.session.take_events() == [OutOfStep("the module may be asleep", is_sleep=True)]
