"""Session: bytes in, events and bytes out; one class per rule of the architecture."""

from __future__ import annotations

from typing import Any

import pytest

from aiobc9x.core.effects import ReceiveHex, ShowLength
from aiobc9x.core.events import (
    Answer,
    Damaged,
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    Finished,
    Job,
    Lane,
    OutOfStep,
    ReadRefused,
    Restarted,
    SendStalled,
    Sent,
    UnknownLine,
    UrcSeen,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.session import Session
from aiobc9x.core.sockets import SlotState
from aiobc9x.errors import LinkLost, LinkTimeout, ModuleReset
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.base import Raw
from aiobc9x.wire.commands import Qistate
from tests.core.peer import (
    EMPTY,
    ERROR,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    Peer,
    announced,
    closed,
    explained,
    line,
    of,
    pushed,
    received,
)

READ = b"AT+QIRD=0,1024"


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
        """The module won't announce them again (A28)."""
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
        assert not peer.turn(READ, line(b"+QIRD: 0"), closed(0), OK)[1:]
        peer.turn(READ, received(b"last"))
        peer.turn(READ, EMPTY)
        assert peer.events[-2:] == [DataReceived(slot, b"last"), Drained(slot)]


class TestWaking:
    """The session says when it must be called again, and no sooner."""

    def test_an_idle_session_needs_no_call(self) -> None:
        """Nothing is due after an exchange is over."""
        peer = Peer()
        peer.session.submit(Job(Raw("AT")))
        peer.turn(b"AT", OK)
        assert peer.session.deadline() is None

    def test_a_gap_between_commands_ends(self) -> None:
        """Some hosts needed a silence; nobody need wake up for it again."""
        peer = Peer(ModuleProfile(command_gap_ms=20))
        for _ in range(2):
            peer.session.submit(Job(Raw("AT")))
        peer.turn(b"AT", OK)
        peer.expect()
        assert peer.session.deadline() == pytest.approx(peer.now + 0.02)
        peer.wait(0.01)
        peer.expect()
        peer.wait(0.01)
        peer.turn(b"AT", OK)
        peer.wait(0.02)
        peer.expect()
        assert peer.session.deadline() is None

    def test_a_retry_that_must_wait_its_turn_wakes_nobody(self) -> None:
        """Its time has come, but another send is outstanding."""
        peer = Peer()
        stalled, other = peer.open(), peer.open()
        stalled.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
        peer.session.retry_send(stalled, peer.now)
        other.outgoing += b"b"
        peer.turn(b'AT+QISEND=1,1,"b"', OK)
        peer.wait(1.0)
        peer.expect()
        deadline = peer.session.deadline()
        assert deadline is not None
        assert deadline > peer.now
        peer.say(SEND_OK)
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK)
        assert peer.session.deadline() is None


class TestSendResults:
    """``SEND OK`` names no socket: it counts only where one can be due."""

    def test_a_result_during_the_question_why_is_not_this_sends(self) -> None:
        """The module refused it; the result is a late one of an earlier send."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', ERROR)
        events = peer.turn(b"AT+QIGETERROR", SEND_OK, explained(568))
        assert of(Sent, events) == []
        assert of(SendStalled, events) == [SendStalled(slot, 568)]
        assert slot.outgoing == b"a"

    def test_a_result_before_the_prompt_is_not_this_sends(self) -> None:
        """The module has not got the data yet."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", SEND_OK, PROMPT)
        peer.expect(b"\x00")
        peer.say(OK)
        assert peer.kept(Sent) == []
        peer.say(SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]

    def test_a_result_right_behind_the_prompt_is_not_this_sends(self) -> None:
        """The data are not even written."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", PROMPT, SEND_OK)
        peer.expect(b"\x00")
        peer.say(OK)
        assert peer.kept(Sent) == []
        peer.say(SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]

    @pytest.mark.parametrize("final", [OK, ERROR])
    def test_a_final_result_right_behind_the_prompt_is_out_of_step(self, final: bytes) -> None:
        """The data must not go to a module that awaits a command; nor ever again."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"AT+CFUN=0\r"
        events = peer.turn(b"AT+QISEND=0,10", PROMPT, final)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1
        peer.expect()
        peer.session.resume()
        peer.expect()


class TestNoHole:
    """Rule 6: a connection that has failed never goes on."""

    def test_nothing_is_delivered_behind_a_failure(self) -> None:
        """Not even what stands in the same chunk."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        events = peer.say(
            pushed(0, b"whole"),
            b'\r\n+QIURC: "recv",0,9999\r\n',
            pushed(0, b"behind"),
        )
        assert of(DataReceived, events) == [DataReceived(slot, b"whole")]
        assert [event.slot for event in of(Failed, events)] == [slot]
        peer.wait(0.1)
        assert peer.session.statistics.unowned_bytes == 6

    def test_nothing_is_sent_or_read_behind_a_failure(self) -> None:
        """Until its owner closes it."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        slot.outgoing += b"a"
        peer.turn(READ, OK)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        peer.session.resume()
        peer.say(announced(0, 5))
        peer.expect()
        assert slot.failed

    @pytest.mark.parametrize(
        "answer",
        [
            received(b"abc")[: -len(OK)] + ERROR,
            b"\r\nQIRD: 3,0\r\nabc\r\n\r\nERROR\r\n",
            b"\r\n+QIRD: 3,0\r\nab\r\n\r\nERROR\r\n",
        ],
    )
    def test_error_behind_data_loses_them(self, answer: bytes) -> None:
        """Nothing was announced, but bytes did come, or parts of them."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        events = peer.turn(READ, answer)
        assert of(DataReceived, events) == []
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1

    def test_a_negative_remaining_length_is_no_loss(self) -> None:
        """Relatives print one; each read is judged by its own header."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.turn(READ, received(b"ab", -2))
        peer.turn(READ, received(b"cd", -512))
        peer.turn(READ, received(b"ef", 3))
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab", b"cd", b"ef"]
        events = peer.turn(READ, received(b"gh", None))
        assert of(DataReceived, events) == []
        assert [event.slot for event in of(Failed, events)] == [slot]


class TestDamagedPayload:
    """Rule 6: lines inside a damaged payload are never acted on."""

    @pytest.mark.parametrize(
        ("header", "first"),
        [
            (b"QIRD: 400,0\r\n", b""),  # lost its first byte
            (b"+QIRD: 4,0\r\n", b""),  # lost digits
            (b"+QIRD 400,0\r\n", b""),
            (b"+QIR: 400,0\r\n", OK),
            (b"+QIRD: 4,0\r\n", ERROR),
            (b"+QID: 400,0\r\n", ERROR),
        ],
    )
    @pytest.mark.parametrize("banner", [b"", line(b"RDY"), line(b"POWERED DOWN")])
    def test_the_lines_in_it_are_no_lines(self, header: bytes, first: bytes, banner: bytes) -> None:
        """Whatever got lost of the header, and whatever ends the read too early."""
        self.check(b"\r\n" + header + first + banner)

    @pytest.mark.parametrize("header", [b"+QIRE: 400,0\r\n", b""])
    @pytest.mark.parametrize("first", [b"", OK])
    def test_neither_are_those_behind_a_header_that_is_gone(
        self, header: bytes, first: bytes
    ) -> None:
        """A URC in a read counts only once the read has its data."""
        self.check(b"\r\n" + header + first)

    def check(self, start: bytes) -> None:
        """Read data that look like URCs of another socket, which is sending."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        other.outgoing += b"x"
        peer.turn(b'AT+QISEND=1,1,"x"', OK)
        slot.readable = True
        peer.expect(READ + b"\r")
        traps = (
            closed(1)
            + line(b'+QIURC: "recv",1,"buff full"')
            + line(b'+QIURC: "incoming",4,0,"1.2.3.4",80')
            + SEND_FAIL
        )
        peer.say(start, traps, b"\r\n", OK)
        assert other.state is SlotState.OPEN
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.kept(Restarted) == []
        assert peer.kept(SendStalled) == []
        assert peer.session.sockets.get(4) is None
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.kept(UrcSeen) == []

    def test_a_urc_between_command_and_answer_counts(self) -> None:
        """As soon as the answer shows that it was one."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.readable = True
        peer.turn(READ, closed(1))
        peer.say(received(b"ab")[: -len(OK)])
        assert other.state is SlotState.REMOTE_CLOSED
        peer.say(OK)
        assert peer.kept(DataReceived) == [DataReceived(slot, b"ab")]

    @pytest.mark.parametrize("final", [line(b"+QIRD: 0"), ERROR])
    def test_a_urc_before_an_empty_answer_counts_too(self, final: bytes) -> None:
        """Also before a refusal."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.readable = True
        peer.turn(READ, closed(1), final)
        assert other.state is SlotState.REMOTE_CLOSED

    def test_a_urc_before_silence_counts(self) -> None:
        """Nothing says that it was part of anything."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.readable = True
        peer.turn(READ, closed(1))
        peer.wait(30.0)
        assert other.state is SlotState.REMOTE_CLOSED
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    def test_lines_count_again_once_the_line_is_clean(self) -> None:
        """What was missed meanwhile is found by asking for the states."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.readable = True
        peer.turn(READ, b"\r\nQIRD: 400,0\r\n", OK, closed(1))
        assert other.is_sendable
        peer.session.resync()
        peer.say(closed(1))
        assert not other.is_sendable

    def test_a_restart_inside_a_damaged_read_is_checked(self) -> None:
        """The line is brought back in step at once, which finds out what it was."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        events = peer.turn(READ, b"\r\n\xf8\xf0 0000\r\n", line(b"RDY"))
        assert len(of(OutOfStep, events)) == 1
        assert [event.slot for event in of(Failed, events)] == [slot]


def ask(text: str = "AT", lane: Lane = Lane.COMMAND, **more: Any) -> Job:
    """Make a job of a plain command (``Any``: the fields of :class:`Job`)."""
    return Job(Raw(text), lane, **more)


class TestOneInFlight:
    """Rule 4: no command line before the final result of the last."""

    def test_the_next_command_waits_for_the_final_result(self) -> None:
        """Not for its lines, nor for a URC in between."""
        peer = Peer()
        jobs = [ask("AT+A"), ask("AT+B")]
        for job in jobs:
            peer.session.submit(job)
        peer.expect(b"AT+A\r")
        peer.say(line(b"+A: 1"), closed(5))
        peer.expect()
        peer.say(OK)
        peer.turn(b"AT+B", OK)
        assert [event.job for event in peer.kept(Finished)] == jobs
        assert peer.kept(Finished)[0].answer.lines == (b"+A: 1",)

    def test_others_may_run_before_send_ok(self) -> None:
        """It is deferred; but no second send."""
        peer = Peer()
        one, two = peer.open(), peer.open()
        one.outgoing += b"a"
        two.outgoing += b"b"
        peer.session.submit(ask("AT+A"))
        peer.turn(b"AT+A", OK)
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        assert peer.session.is_sending(one)
        assert not peer.session.is_sending(two)
        peer.session.submit(ask("AT+B"))
        peer.turn(b"AT+B", OK)
        peer.expect()
        peer.say(SEND_OK)
        peer.turn(b'AT+QISEND=1,1,"b"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(one, 1), Sent(two, 1)]

    def test_a_refusal_is_explained_before_anything_else(self) -> None:
        """§2.2.12: the code is of the last command alone; even a close waits."""
        peer = Peer()
        job = Job(Qistate())
        peer.session.submit(job)
        peer.expect(b"AT+QISTATE?\r")
        peer.session.submit(ask("AT+QICLOSE=0", Lane.CLOSE))
        peer.say(ERROR)
        peer.turn(b"AT+QIGETERROR", explained(563))
        assert peer.kept(Finished) == [Finished(job, Answer(err=563))]
        peer.expect(b"AT+QICLOSE=0\r")

    def test_a_job_that_waits_can_be_taken_back(self) -> None:
        """One that has begun can't: its answer must be awaited."""
        peer = Peer()
        begun, waiting = ask("AT+A"), ask("AT+B")
        peer.session.submit(begun)
        peer.session.submit(waiting)
        peer.expect(b"AT+A\r")
        assert not peer.session.withdraw(begun)
        assert peer.session.withdraw(waiting)
        peer.say(OK)
        peer.expect()

    def test_a_worded_send_takes_the_place_for_sends(self) -> None:
        """And ends with its result; its prompt brings its data out."""
        peer = Peer()
        job = Job(Raw("AT+QISEND=4,3", True), data=b"\x00\x1a\x1b")
        peer.session.submit(job)
        peer.turn(b"AT+QISEND=4,3", PROMPT)
        peer.expect(b"\x00\x1a\x1b")
        slot = peer.open()
        slot.outgoing += b"a"
        peer.say(OK)
        peer.expect()
        peer.say(SEND_OK)
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]
        peer.expect(b'AT+QISEND=0,1,"a"\r')


class TestSuspended:
    """Out of step only the recovery lane runs."""

    def test_a_session_starts_so(self) -> None:
        """Nobody knows what state the module is in."""
        session = Session()
        session.submit(ask("AT+A"))
        session.submit(ask("AT", Lane.RECOVERY))
        assert session.next_output(0.0) == b"AT\r"
        assert session.next_output(0.0) is None
        session.feed(b"\r\nOK\r\n", 0.0)
        assert session.next_output(0.0) is None
        session.resume()
        assert session.next_output(0.0) == b"AT+A\r"

    def test_regaining_step_makes_up_for_lost_announcements(self) -> None:
        """Every open socket in buffer mode is read."""
        peer = Peer()
        peer.open()
        peer.open(access_mode=AccessMode.PUSH)
        peer.expect()
        peer.session.resume()
        peer.turn(READ, EMPTY)
        peer.expect()

    def test_raw_bytes_go_out_at_once(self) -> None:
        """They end a data mode that an earlier program left behind."""
        session = Session()
        session.write_raw(b"\x1b")
        session.write_raw(b"\r")
        assert session.next_output(0.0) == b"\x1b\r"
        assert session.statistics.bytes_sent == 2

    @pytest.mark.parametrize(
        "stray", [OK, ERROR, line(b"+CME ERROR: 10"), received(b"ab")[: -len(OK)]]
    )
    def test_a_stray_answer_loses_the_step(self, stray: bytes) -> None:
        """Commands and answers no longer match; it is said once."""
        peer = Peer()
        assert len(of(OutOfStep, peer.say(stray))) == 1
        assert of(OutOfStep, peer.say(stray)) == []
        peer.session.submit(ask())
        peer.expect()
        assert peer.session.statistics.recoveries == 1

    def test_a_payload_in_another_answer_loses_the_step(self) -> None:
        """Nobody asked for it."""
        peer = Peer()
        peer.session.submit(Job(Qistate()))
        events = peer.turn(b"AT+QISTATE?", received(b"ab"))
        assert len(of(OutOfStep, events)) == 1

    def test_what_is_in_progress_can_be_given_up(self) -> None:
        """Half a line is damage; then lines begin afresh."""
        peer = Peer()
        peer.say(b"half a li")
        assert [event.data for event in of(Damaged, peer.session.resync())] == [b"half a li"]
        assert peer.session.resync() == []


class TestEcho:
    """After ATE0 an echo shows that the module has restarted."""

    def test_an_echo_is_normal_at_first(self) -> None:
        """A module echoes after boot."""
        peer = Peer()
        peer.session.echo_expected = True
        peer.session.submit(ask("ATE0"))
        peer.turn(b"ATE0", b"ATE0\r", OK)
        assert peer.kept(OutOfStep) == []
        assert not peer.session.echo_expected

    def test_an_echo_that_returns_loses_the_step(self) -> None:
        """The banner got lost; the answer itself counts."""
        peer = Peer()
        job = ask("AT+A")
        peer.session.submit(job)
        events = peer.turn(b"AT+A", b"AT+A\r", OK)
        assert len(of(OutOfStep, events)) == 1
        assert of(Finished, events) == [Finished(job, Answer(ok=True))]
        assert peer.session.echo_seen

    def test_switching_it_on_is_no_restart(self) -> None:
        """Somebody asked for it."""
        peer = Peer()
        for text in (b"ATE1", b"AT+A"):
            peer.session.submit(ask(text.decode()))
        peer.turn(b"ATE1", OK)
        peer.turn(b"AT+A", b"AT+A\r", OK)
        assert peer.kept(OutOfStep) == []


class TestDeadlines:
    """An answer has 2 s, and a little more while bytes arrive."""

    def test_silence_for_two_seconds_is_a_timeout(self) -> None:
        """The note's 300 ms are too little on real links (A4)."""
        peer = Peer()
        job = Job(Qistate())
        peer.session.submit(job)
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
        peer.session.submit(Job(Qistate()))
        peer.expect(b"AT+QISTATE?\r")
        peer.wait(3.0)
        assert peer.say(OK) == []

    def test_bytes_that_arrive_put_it_off_but_not_for_ever(self) -> None:
        """A module that babbles without an answer is late as well."""
        peer = Peer()
        peer.session.submit(Job(Qistate()))
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
        peer.session.submit(ask(limit=75.0))
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


class TestSending:
    """§2.2.4: prompt, data, OK, SEND OK, in whatever order the module likes."""

    def test_data_follow_the_prompt_exactly(self) -> None:
        """Every byte, and no CRLF or Ctrl-Z behind them."""
        peer = Peer()
        slot = peer.open()
        data = bytes(range(256)) + PROMPT + OK
        slot.outgoing += data
        peer.prompted(slot, data)
        peer.say(OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, len(data))]
        assert peer.session.statistics.payload_bytes_sent == len(data)

    def test_a_urc_may_come_before_the_prompt(self) -> None:
        """And is acted on."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", announced(1, 5), PROMPT)
        peer.expect(b"\x00")
        assert other.readable

    def test_send_ok_without_ok_ends_the_command_too(self) -> None:
        """Relatives omit it: at first it is awaited for 0.3 s, then no more."""
        peer = Peer()
        slot = peer.open()
        for delay in (0.3, 0.0):
            slot.outgoing += b"a"
            peer.turn(b'AT+QISEND=0,1,"a"', SEND_OK)
            peer.session.submit(ask())
            peer.expect()
            peer.wait(delay)
            peer.turn(b"AT", OK)
        assert peer.kept(Sent) == [Sent(slot, 1)] * 2
        assert peer.kept(OutOfStep) == []

    def test_ok_may_come_behind_send_ok(self) -> None:
        """Within the grace."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', SEND_OK, OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]

    @pytest.mark.parametrize("doubled", [SEND_OK, SEND_FAIL])
    def test_a_result_for_nobody_is_nobodys(self, doubled: bytes) -> None:
        """Late or doubled ones concern no later send whose prompt is due."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK, doubled)
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", doubled, PROMPT)
        peer.expect(b"\x00")
        peer.say(OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1), Sent(slot, 1)]
        assert peer.kept(SendStalled) == []

    def test_a_result_that_never_comes_ends_the_connection(self) -> None:
        """After 15 s; the step is not lost."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        assert peer.session.deadline() == peer.now + 15
        peer.wait(15.0)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.kept(OutOfStep) == []

    def test_send_fail_is_tried_again_with_back_off(self) -> None:
        """Once the owner has found that the socket stands."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        for backoff in (0.1, 0.2, 0.4):
            peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
            peer.wait(100 * backoff)
            peer.expect()
            peer.session.retry_send(slot, peer.now)
            peer.wait(backoff * 0.9)
            peer.expect()
            assert peer.session.deadline() == pytest.approx(peer.now + backoff * 0.1)
            peer.wait(backoff * 0.1 + 0.001)
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]
        assert peer.session.statistics.send_failures == 3

    def test_an_inline_refusal_is_learned(self) -> None:
        """The same bytes go again with a prompt, and so do all that are as long."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"abc"
        peer.turn(b'AT+QISEND=0,3,"abc"', ERROR)
        peer.turn(b"AT+QIGETERROR", explained(552))
        peer.prompted(slot, b"abc")
        peer.say(OK, SEND_OK)
        assert peer.session.profile.inline_limit_bytes == 2
        assert peer.kept(Sent) == [Sent(slot, 3)]

    def test_ok_where_the_prompt_is_due_ends_the_connection(self) -> None:
        """Its bytes are never sent again, and the step is lost."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        events = peer.turn(b"AT+QISEND=0,1", OK)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1

    def test_a_released_sockets_send_blocks_nobody(self) -> None:
        """Its ``SEND OK`` won't come any more."""
        peer = Peer()
        gone, other = peer.open(), peer.open()
        gone.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        other.outgoing += b"b"
        gone.move(SlotState.CLOSING)
        peer.expect()
        peer.session.release(gone, peer.now)
        peer.turn(b'AT+QISEND=1,1,"b"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(other, 1)]

    def test_releasing_a_socket_leaves_the_others_sends_alone(self) -> None:
        """And a second release changes nothing."""
        peer = Peer()
        gone, other = peer.open(access_mode=AccessMode.PUSH), peer.open()
        other.outgoing += b"b"
        peer.turn(b'AT+QISEND=1,1,"b"', OK)
        for _ in range(2):
            peer.session.release(gone, peer.now)
        assert peer.session.is_sending(other)
        assert len(peer.session.sockets) == 1


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
        peer.session.submit(job)
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
        slot.datagrams.append(b"a")
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
        assert peer.session.statistics.datagrams_lost == 2
        assert len(peer.kept(DatagramLost)) == 2


class TestSettings:
    """Rule 3: what an OK changes is changed for the bytes behind it."""

    def test_lengths_are_hidden_from_the_ok_on(self) -> None:
        """Also in the same chunk; flash writes are counted."""
        peer = Peer()
        peer.open().readable = True
        peer.session.submit(ask('AT+QICFG="showlength",0'))
        peer.turn(b'AT+QICFG="showlength",0', OK)
        assert not peer.session.length_shown
        peer.turn(READ, received(b"ab", None))
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]
        assert peer.session.statistics.nvram_writes == 1

    def test_hex_is_decoded_from_the_ok_on(self) -> None:
        """§2.2.11."""
        peer = Peer()
        peer.open().readable = True
        peer.session.submit(ask('AT+QICFG="dataformat",0,1'))
        peer.turn(b'AT+QICFG="dataformat",0,1', OK)
        peer.turn(READ, b"\r\n+QIRD: 2,0\r\n6162\r\n\r\nOK\r\n")
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]

    def test_push_begins_right_behind_the_ok(self) -> None:
        """§2.2.7: the first pushed data may stand in the same chunk."""
        peer = Peer()
        slot = peer.open()
        peer.session.submit(ask("AT+QISWTMD=0,1"))
        peer.turn(b"AT+QISWTMD=0,1", announced(0, 5), OK, pushed(0, b"hello"))
        peer.wait(0.1)
        assert peer.kept(DataReceived) == [DataReceived(slot, b"hello")]
        assert slot.access_mode is AccessMode.PUSH

    def test_a_refused_setting_changes_nothing(self) -> None:
        """Nor is it a flash write."""
        peer = Peer()
        peer.session.submit(ask("AT+QISWTMD=4,1", explain=False))
        peer.turn(b"AT+QISWTMD=4,1", ERROR)
        assert peer.kept(DataReceived) == []
        assert peer.session.statistics.nvram_writes == 0
        assert peer.session.statistics.errors == 1

    def test_a_mode_may_be_noted_for_a_socket_of_nobody(self) -> None:
        """Leftovers of an earlier program push until they are closed."""
        peer = Peer()
        peer.session.set_access_mode(4, AccessMode.PUSH)
        peer.say(pushed(4, b"leftover"))
        peer.wait(0.1)
        assert peer.session.statistics.unowned_bytes == 8
        peer.session.set_access_mode(4, AccessMode.BUFFER)
        assert peer.say(pushed(4, b"left"))
        assert peer.session.statistics.unowned_bytes == 8

    def test_start_up_notes_what_the_last_owner_left(self) -> None:
        """They survive in NVRAM."""
        peer = Peer()
        peer.open().readable = True
        peer.session.apply(ReceiveHex(True))
        peer.session.apply(ShowLength(False))
        peer.turn(READ, b"\r\n+QIRD: 2\r\n6162\r\n\r\nOK\r\n")
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]

    def test_the_profile_can_be_changed(self) -> None:
        """ATI comes after the first commands."""
        peer = Peer()
        peer.session.profile = ModuleProfile(command_gap_ms=50)
        peer.session.submit(ask())
        peer.session.submit(ask())
        peer.turn(b"AT", OK)
        peer.expect()
        peer.wait(0.05)
        peer.expect(b"AT\r")


class TestRestart:
    """Rule 10: a reset is seen at once."""

    @pytest.mark.parametrize("banner", [b"RDY", b"F1: 0000 0000", b"NORMAL POWER DOWN"])
    def test_a_banner_fails_everything(self, banner: bytes) -> None:
        """Each waiter gets its own exception, each socket is gone."""
        peer = Peer()
        slots = [peer.open(), peer.open(access_mode=AccessMode.PUSH)]
        peer.session.sockets.reserve(ServiceType.TCP)
        slots[0].outgoing += b"\x00"
        jobs = [ask("AT+A"), ask("AT+B"), ask("AT+C", Lane.CLOSE)]
        for job in jobs[:2]:
            peer.session.submit(job)
        peer.expect(b"AT+A\r")
        peer.session.submit(jobs[2])
        events = peer.say(line(banner), OK)
        assert {event.job for event in of(Finished, events)} == set(jobs)
        failures = [event.answer.failure for event in of(Finished, events)]
        failures += [event.error for event in of(Failed, events)]
        assert len({id(error) for error in failures}) == 6
        assert all(isinstance(error, ModuleReset) for error in failures)
        assert len(peer.session.sockets) == 0
        assert of(Restarted, events) == [Restarted(banner.decode())]
        assert of(OutOfStep, events) == []
        peer.expect()
        assert peer.session.statistics.resets == 1

    def test_what_came_before_the_banner_counts(self) -> None:
        """In the same chunk, and before the failures."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        events = peer.say(pushed(0, b"last"), line(b"RDY"), pushed(0, b"??"))
        assert events[0] == DataReceived(slot, b"last")
        assert len(of(DataReceived, events)) == 1

    def test_a_job_that_is_being_explained_fails_too(self) -> None:
        """Whether AT+QIGETERROR is written or not; a prompt has no meaning any more."""
        for begun in (False, True):
            peer = Peer()
            job = Job(Qistate())
            peer.session.submit(job)
            peer.turn(b"AT+QISTATE?", ERROR)
            if begun:
                peer.expect(b"AT+QIGETERROR\r")
            peer.say(line(b"RDY"))
            assert [event.job for event in peer.kept(Finished)] == [job]

    def test_a_prompt_behind_the_banner_brings_nothing_out(self) -> None:
        """The send has failed."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", line(b"RDY"), PROMPT)
        peer.expect()

    def test_a_worded_send_fails_once(self) -> None:
        """In flight, or waiting for its result."""
        for answer in (b"", OK):
            peer = Peer()
            job = ask('AT+QISEND=4,1,"a"')
            peer.session.submit(job)
            peer.turn(b'AT+QISEND=4,1,"a"', answer)
            peer.say(line(b"RDY"))
            assert [event.job for event in peer.kept(Finished)] == [job]

    def test_a_lost_link_fails_everything_alike(self) -> None:
        """But is no restart."""
        peer = Peer()
        slot = peer.open()
        job = ask()
        peer.session.submit(job)
        events = peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
        assert [event.job for event in of(Finished, events)] == [job]
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert of(Restarted, events) == []


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
