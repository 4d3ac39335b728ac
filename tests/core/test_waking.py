"""waking: a module that may sleep is woken before it is told anything."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import Failed, Finished, OutOfStep, UrcSeen, Woken
from aiobc9x.core.slots import SlotState
from aiobc9x.spec import ServiceType
from tests.core.peer import Peer, ask, of
from tests.support.words import OK, line

CSQ, AT, QUESTION = b"AT+CSQ", b"AT", b"AT+CFUN?"
FULL = line(b"+CFUN: 1") + OK
FIRST_S, SECOND_S, THIRD_S = 0.45, 0.6, 0.8  # of a module whose latency is unknown
SLACK_S = 0.01  # for the bytes on the line
EXITS = [b'+QNBIOTEVENT: "EXIT DEEPSLEEP"', b"+QATWAKEUP"]


def sleeper(*, idle_s: float = 9.0) -> Peer:
    """A peer that has been silent, whose session has a command to send."""
    peer = Peer()
    peer.session.idle_limit = 8.0
    peer.say(line(b"+CSCON: 1"))
    peer.wait(idle_s)
    peer.session.queue.add(ask("AT+CSQ"))
    return peer


class TestAwake:
    """It answers AT at once, and nothing else happens."""

    def test_after_silence(self) -> None:
        """One round trip more, no event, no repair."""
        peer = sleeper()
        peer.turn(AT, OK)
        peer.turn(CSQ, line(b"+CSQ: 20,0"), OK)
        assert [type(event) for event in peer.events] == [UrcSeen, Finished]
        assert (peer.session.statistics.wakes, peer.session.statistics.recoveries) == (0, 0)

    def test_no_silence(self) -> None:
        """It is not asked."""
        sleeper(idle_s=7.0).turn(CSQ, line(b"+CSQ: 20,0"), OK)

    def test_an_error_is_an_answer(self) -> None:
        """The rest of a line that was cut off before."""
        peer = sleeper()
        peer.turn(AT, line(b"ERROR"))
        peer.turn(CSQ, line(b"+CSQ: 20,0"), OK)

    def test_it_may_say_that_it_falls_asleep(self) -> None:
        """Then there is no need to wait."""
        peer = sleeper(idle_s=1.0)
        peer.say(line(b'+QNBIOTEVENT: "ENTER PSM"'))
        peer.expect(AT + b"\r")

    def test_a_submitted_job_waits(self) -> None:
        """Its line does not go first."""
        peer = sleeper()
        assert peer.session.submit(ask("AT+CGMM"), peer.now) is None
        peer.turn(AT, OK)
        peer.expect(CSQ + b"\r")

    def test_nobody_wants_the_line_any_more(self) -> None:
        """It is left asleep, and woken anew by whoever comes next."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        job = next(iter(peer.session.queue))
        peer.session.queue.withdraw(job)
        peer.wait(FIRST_S + SLACK_S)
        peer.expect()
        assert peer.session.deadline() is None
        peer.session.queue.add(ask("AT+CSQ"))
        peer.turn(QUESTION, FULL)
        peer.expect(CSQ + b"\r")


class TestAsleep:
    """The first line is lost on it; the second one has an answer that can be told apart."""

    def test_the_second_line(self) -> None:
        """Whoever waits is served, and told that a sleep may have ended TCP."""
        peer = sleeper()
        slot = peer.open(ServiceType.UDP)
        slot.readable = False
        peer.expect(AT + b"\r")
        deadline = peer.session.deadline()
        assert deadline == pytest.approx(peer.now + FIRST_S, abs=SLACK_S)
        peer.wait(FIRST_S + SLACK_S)
        peer.turn(QUESTION, FULL)
        assert peer.events[-1] == Woken(1)
        assert slot.readable  # what it announced in its sleep may be lost
        assert peer.written()[0] in (CSQ + b"\r", b"AT+QIRD=0,1024\r")
        assert (peer.session.statistics.wakes, peer.session.statistics.timeouts) == (1, 0)

    @pytest.mark.parametrize("final", [b"ERROR", b"+CME ERROR: 3"])
    def test_a_refusal_is_an_answer(self, final: bytes) -> None:
        """AT is never refused so."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.wait(FIRST_S + SLACK_S)
        peer.turn(QUESTION, line(final))
        peer.expect(CSQ + b"\r")

    def test_a_late_answer_to_the_first_line(self) -> None:
        """It ends nothing: the question's own has a line."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.wait(FIRST_S + SLACK_S)
        peer.turn(QUESTION, OK)
        peer.expect()
        peer.say(FULL)
        peer.turn(CSQ, line(b"+CSQ: 20,0"), OK)
        assert of(OutOfStep, peer.events) == []

    def test_later_lines(self) -> None:
        """Late answers to the questions before are let pass, then it goes on."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        for seconds in (FIRST_S, SECOND_S, THIRD_S):
            peer.wait(seconds + SLACK_S)
            peer.expect(QUESTION + b"\r")
        peer.say(FULL)
        peer.expect()
        peer.wait(0.1)
        peer.say(FULL)
        peer.expect()
        due = peer.session.deadline()
        assert due is not None
        peer.wait(due - peer.now)
        peer.turn(CSQ, line(b"+CSQ: 20,0"), OK)
        assert of(OutOfStep, peer.events) == []
        peer.say(OK)  # too late for that
        assert len(of(OutOfStep, peer.events)) == 1

    def test_it_does_not_wake_up(self) -> None:
        """After the last line the step is lost, and the repair goes on from there."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        began, questions = peer.now, 0
        while not of(OutOfStep, peer.events):
            due = peer.session.deadline()
            assert due is not None
            peer.wait(due - peer.now)
            questions += peer.written() == [QUESTION + b"\r"]
        assert questions == 7
        assert 8 < peer.now - began < 9
        assert peer.session.suspended
        peer.session.resume()
        peer.expect(CSQ + b"\r")  # what came in the repair shows that it is awake

    def test_bytes_give_no_more_time(self) -> None:
        """Noise and URCs of its waking are no answer."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.wait(FIRST_S)
        peer.say(b"\x00\xff", line(b"+CSCON: 1"))
        peer.wait(SLACK_S)
        peer.turn(QUESTION, FULL)
        peer.expect(CSQ + b"\r")

    def test_a_restart_meanwhile(self) -> None:
        """It has fallen asleep for good, and the next sleep begins with AT again."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.wait(FIRST_S + SLACK_S)
        peer.expect(QUESTION + b"\r")
        peer.say(line(b"RDY"))
        peer.session.resume()
        peer.session.queue.add(ask("AT+CSQ"))
        peer.wait(9.0)
        peer.expect(AT + b"\r")


class TestAnnounced:
    """It says that it leaves its sleep, and is deaf to the line that woke it."""

    @pytest.mark.parametrize("said", EXITS)
    def test_it_is_asked_at_once(self, said: bytes) -> None:
        """The URC tells the rest."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.say(line(said))
        peer.turn(QUESTION, FULL)
        peer.expect(CSQ + b"\r")
        assert of(Woken, peer.events) == []
        assert peer.session.statistics.wakes == 1

    def test_all_that_it_says(self) -> None:
        """Two lines for one sleep are two reasons to ask, and one answer is enough."""
        peer = sleeper()
        peer.expect(AT + b"\r")
        peer.say(*map(line, EXITS))
        peer.expect(QUESTION + b"\r")
        peer.say(FULL)
        peer.expect(CSQ + b"\r")

    def test_an_earlier_sleep(self) -> None:
        """What it said then says nothing of this one."""
        peer = sleeper(idle_s=1.0)
        peer.say(line(EXITS[0]))
        peer.wait(9.0)
        peer.expect(AT + b"\r")
        peer.wait(FIRST_S + SLACK_S)
        peer.turn(QUESTION, FULL)
        assert len(of(Woken, peer.events)) == 1

    def test_nobody_is_being_woken(self) -> None:
        """It has woken by itself."""
        peer = sleeper(idle_s=1.0)
        peer.say(line(EXITS[0]))
        peer.expect(CSQ + b"\r")

    def test_a_lost_link(self) -> None:
        """The sockets fail as ever."""
        peer = sleeper()
        slot = peer.open()
        peer.expect(AT + b"\r")
        peer.say(line(b"RDY"))
        assert [event.slot for event in of(Failed, peer.events)] == [slot]
        assert slot.state is SlotState.FREE


class TestDozing:
    """It was told to sleep: what it says on the way shows nothing."""

    def test_until_it_has_been_woken(self) -> None:
        """A URC behind it is no sign of life, an answer is."""
        peer = sleeper(idle_s=1.0)
        peer.session.doze()
        peer.say(line(b"+CSCON: 0"))
        assert peer.session.submit(ask("AT+CGMM"), peer.now) is None
        peer.turn(AT, OK)
        peer.turn(CSQ, line(b"+CSQ: 20,0"), OK)

    def test_it_wakes_by_itself(self) -> None:
        """And says so."""
        peer = sleeper(idle_s=1.0)
        peer.session.doze()
        peer.say(line(EXITS[0]))
        peer.expect(CSQ + b"\r")

    def test_a_module_that_must_not_sleep(self) -> None:
        """Nobody wakes it."""
        peer = Peer()
        peer.session.queue.add(ask("AT+CSQ"))
        peer.session.doze()
        peer.expect(CSQ + b"\r")


class TestSlowModule:
    """One that takes its time when it is awake has it when it is woken, too."""

    def test_measured(self) -> None:
        """Twice what its answers have taken."""
        peer = sleeper(idle_s=1.0)
        for _ in range(20):
            peer.session.queue.add(ask("AT+CGMM"))
        for _ in range(21):
            peer.written()
            peer.wait(0.25)
            peer.say(OK)
        peer.wait(9.0)
        peer.session.queue.add(ask("AT+CSQ"))
        peer.expect(AT + b"\r")
        due = peer.session.deadline()
        assert due is not None
        assert 0.4 < due - peer.now < 0.15 + 2 * 0.25 + SLACK_S
        assert due - peer.now > 0.15 + peer.session.line.latency_s
