"""Session: sends and their results."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    DataReceived,
    Failed,
    Finished,
    Job,
    Lane,
    OutOfStep,
    SendStalled,
    Sent,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import AFTERMATH_S, RESULT_LIMIT_S
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.spec import AccessMode
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.tcpip import Qisend, Qistate
from tests.core.peer import Peer, ask, of
from tests.support.words import (
    ERROR,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    announced,
    explained,
    received,
)

CROSSING_S = 0.01
"""Longer than a short command line takes on the line: before that no result can be its own."""


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
        slot.outgoing += b"\x00+CFUN=0\r\n"
        events = peer.turn(b"AT+QISEND=0,10", PROMPT, final)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1
        peer.expect()
        peer.session.resume()
        peer.expect()


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
            peer.expect(b'AT+QISEND=0,1,"a"\r')
            peer.now += CROSSING_S
            peer.say(SEND_OK)
            peer.session.queue.add(ask())
            peer.expect()
            peer.wait(delay)
            peer.turn(b"AT", OK)
        assert peer.kept(Sent) == [Sent(slot, 1)] * 2
        assert peer.kept(OutOfStep) == []

    def test_lines_that_come_all_the_time_do_not_prolong_that(self) -> None:
        """A module that talks a lot may omit OK as well."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.expect(b'AT+QISEND=0,1,"a"\r')
        peer.now += CROSSING_S
        peer.say(SEND_OK)
        for _ in range(5):
            peer.wait(0.15)
            peer.say(b"+CSCON: 1")
        assert peer.kept(Sent) == [Sent(slot, 1)]

    def test_ok_may_come_behind_send_ok(self) -> None:
        """Within the grace."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"a"
        peer.expect(b'AT+QISEND=0,1,"a"\r')
        peer.now += CROSSING_S
        peer.say(SEND_OK, OK)
        assert peer.kept(Sent) == [Sent(slot, 1)]

    @pytest.mark.parametrize("together", [True, False])
    def test_an_ok_that_comes_late_is_nobody_elses(self, *, together: bool) -> None:
        """An answer to AT+QIRD or AT+QIGETERROR has a line, and a prompt comes before OK."""
        peer = Peer()
        slot = peer.open()
        self.send_without_ok(peer, slot)
        peer.say(OK)  # nobody's
        self.send_without_ok(peer, slot)
        slot.readable = True
        peer.turn(b"AT+QIRD=0,1024", OK)  # a read's
        peer.say(received(b"ab"))
        slot.wants_read = False
        self.send_without_ok(peer, slot)
        job = Job(Qistate())
        peer.session.queue.add(job)
        peer.turn(b"AT+QISTATE?", ERROR)
        peer.turn(b"AT+QIGETERROR", OK)  # an explanation's
        peer.say(explained(552))
        self.send_without_ok(peer, slot)
        slot.outgoing += b"\x00"
        peer.expect(b"AT+QISEND=0,1\r")  # one that would come too early
        for data in [OK + PROMPT] if together else [OK, PROMPT]:
            peer.say(data)
        peer.expect(b"\x00")
        peer.say(OK, SEND_OK)
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]
        assert [event.answer.err for event in peer.kept(Finished)] == [552]
        assert peer.kept(OutOfStep) == []
        assert peer.kept(Failed) == []
        assert peer.kept(Sent) == [Sent(slot, 1)] * 5

    @pytest.mark.parametrize("seconds", [4.0, 6.0])
    def test_one_that_comes_much_later_is_a_stray(self, seconds: float) -> None:
        """The line must not be out of step for ever without anybody's notice."""
        peer = Peer()
        self.send_without_ok(peer, peer.open())
        peer.wait(seconds)
        peer.say(OK)
        peer.say(OK)
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.session.stray_answers == (1 if seconds == 4.0 else 2)

    def test_whoever_may_be_answered_by_ok_is(self) -> None:
        """The late one is the next then, and nobody misses it."""
        peer = Peer()
        self.send_without_ok(peer, peer.open())
        peer.session.queue.add(ask("AT+A"))
        peer.turn(b"AT+A", OK)
        peer.say(OK)
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]
        assert peer.kept(OutOfStep) == []

    @staticmethod
    def send_without_ok(peer: Peer, slot: Slot) -> None:
        """Let a send end with its result alone."""
        slot.outgoing += b"a"
        peer.expect(b'AT+QISEND=0,1,"a"\r')
        peer.now += CROSSING_S
        peer.say(SEND_OK)
        peer.wait(0.3)

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
        """The same bytes go again with a prompt, and so does all that comes later."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"abc"
        peer.turn(b'AT+QISEND=0,3,"abc"', ERROR)
        peer.turn(b"AT+QIGETERROR", explained(552))
        peer.prompted(slot, b"abc")
        peer.say(OK, SEND_OK)
        assert peer.session.profile.inline_limit_bytes == 0
        assert peer.kept(Sent) == [Sent(slot, 3)]

    def test_short_bytes_go_as_hex_where_turnarounds_are_dear(self) -> None:
        """The module's latency is known from its answers, ours from the prompts."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += bytes(8)
        peer.expect(b"AT+QISEND=0,8\r")
        peer.now += 0.1
        peer.say(PROMPT)
        peer.now += 0.03
        peer.expect(bytes(8))
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        line = peer.session.line
        assert line.bytes_per_s == 11520.0
        assert line.turnaround_s == pytest.approx(0.03)
        assert line.latency_s == pytest.approx(0.1 - 18 / 11520)
        slot.outgoing += bytes(1440)
        peer.turn(b'AT+QISENDEX=0,1440,"%b"' % (b"00" * 1440), OK, SEND_OK)
        counted = peer.session.statistics
        assert (counted.sends_inline, counted.sends_hex, counted.sends_fixed) == (0, 1, 1)

    def test_nothing_is_measured_out_of_step(self) -> None:
        """A module that is being waited for is late for other reasons."""
        peer = Peer()
        peer.session.suspended = True
        peer.session.queue.add(Job(Qistate(), Lane.RECOVERY))
        peer.expect(b"AT+QISTATE?\r")
        peer.now += 1.0
        peer.say(OK)
        peer.session.queue.add(Job(Qisend(5, 1), Lane.RECOVERY, data=b"a"))
        peer.expect(b"AT+QISEND=5,1\r")
        peer.now += 1.0
        peer.say(PROMPT)
        assert peer.session.line.latency_s == 0

    def test_error_behind_the_data_is_not_taken_for_a_refusal(self) -> None:
        """Unexplained, it may be another command's: sent again, the bytes could arrive twice."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.prompted(slot, b"\x00")
        peer.say(ERROR)
        peer.turn(b"AT+QIGETERROR", ERROR)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        peer.wait(60)
        peer.expect()

    @pytest.mark.parametrize("data", [b"\x00", b"text"])
    def test_error_that_is_never_explained(self, data: bytes) -> None:
        """The module may have taken AT+QIGETERROR for the payload that it waits for."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += data
        peer.written()
        peer.say(ERROR)
        peer.expect(b"AT+QIGETERROR\r")
        events = peer.wait(11)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert of(OutOfStep, events)

    def test_error_behind_the_data_that_is_explained_counts(self) -> None:
        """The module says that it took none."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        peer.prompted(slot, b"\x00")
        peer.say(ERROR)
        peer.turn(b"AT+QIGETERROR", explained(568))
        assert [event.slot for event in peer.kept(SendStalled)] == [slot]

    def test_ok_where_the_prompt_is_due_ends_the_connection(self) -> None:
        """Its bytes are never sent again, and the step is lost."""
        peer = Peer()
        slot = peer.open()
        slot.outgoing += b"\x00"
        events = peer.turn(b"AT+QISEND=0,1", OK)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert len(of(OutOfStep, events)) == 1

    def test_a_released_sockets_send_blocks_nobody_for_long(self) -> None:
        """Its ``SEND OK`` may still come, or never."""
        peer = Peer()
        gone, other = peer.open(), peer.open()
        gone.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        other.outgoing += b"b"
        gone.move(SlotState.CLOSING)
        peer.expect()
        peer.session.release(gone, peer.now)
        peer.expect()
        peer.wait(AFTERMATH_S)
        peer.turn(b'AT+QISEND=1,1,"b"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(other, 1)]
        assert not peer.kept(OutOfStep)

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


class TestWaking:
    """The session says when it must be called again, and no sooner."""

    def test_an_idle_session_needs_no_call(self) -> None:
        """Nothing is due after an exchange is over."""
        peer = Peer()
        peer.session.queue.add(Job(Raw("AT")))
        peer.turn(b"AT", OK)
        assert peer.session.deadline() is None

    def test_a_gap_between_commands_ends(self) -> None:
        """Some hosts needed a silence; nobody need wake up for it again."""
        peer = Peer(ModuleProfile(command_gap_ms=20))
        for _ in range(2):
            peer.session.queue.add(Job(Raw("AT")))
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


class TestLateResults:
    """``SEND OK`` names no socket (rule 4)."""

    def test_a_late_one_counts_for_no_other_socket(self) -> None:
        """The place stays taken until the module has closed the socket that timed out."""
        peer = Peer()
        late, other = peer.open(), peer.open()
        late.outgoing += b"late"
        peer.turn(b'AT+QISEND=0,4,"late"', OK)
        peer.wait(RESULT_LIMIT_S)
        assert [event.slot for event in peer.kept(Failed)] == [late]
        other.outgoing += b"other"
        peer.expect()
        peer.say(SEND_OK)
        assert other.unsent == 5
        peer.turn(b'AT+QISEND=1,5,"other"', OK)
        assert other.unsent == 5
        peer.say(SEND_OK)
        assert other.unsent == 0

    @pytest.mark.parametrize("result", [SEND_OK, SEND_FAIL])
    def test_one_behind_the_close_counts_for_no_other_socket(self, result: bytes) -> None:
        """A module that closes a socket may still say what became of its last send."""
        peer = Peer()
        late, other = peer.open(), peer.open()
        late.outgoing += b"late"
        peer.turn(b'AT+QISEND=0,4,"late"', OK)
        other.outgoing += b"other"
        late.move(SlotState.CLOSING)
        peer.session.release(late, peer.now)
        peer.wait(AFTERMATH_S / 2)
        peer.expect()
        peer.say(result)
        assert other.unsent == 5
        peer.turn(b'AT+QISEND=1,5,"other"', OK, SEND_OK)
        assert other.unsent == 0

    def test_a_socket_that_is_closed_after_the_limit_gives_its_place_up(self) -> None:
        """No result is waited for any more."""
        peer = Peer()
        late, other = peer.open(), peer.open()
        late.outgoing += b"late"
        peer.turn(b'AT+QISEND=0,4,"late"', OK)
        other.outgoing += b"other"
        peer.wait(RESULT_LIMIT_S)
        late.move(SlotState.CLOSING)
        peer.expect()
        peer.session.release(late, peer.now)
        peer.turn(b'AT+QISEND=1,5,"other"', OK, SEND_OK)
        assert other.unsent == 0

    def test_an_incoming_connection_shows_that_it_is_gone(self) -> None:
        """The module gives away only IDs that are free (§2.3.5)."""
        peer = Peer()
        late, other = peer.open(), peer.open()
        late.outgoing += b"late"
        peer.turn(b'AT+QISEND=0,4,"late"', OK)
        peer.say(b'\r\n+QIURC: "incoming",0,5,"192.168.2.2",36566\r\n')
        other.outgoing += b"other"
        peer.expect()
        peer.wait(AFTERMATH_S)
        peer.turn(b'AT+QISEND=1,5,"other"', OK, SEND_OK)
        assert other.unsent == 0


class TestPieces:
    """A message may be written in pieces."""

    def test_pieces_of_a_message_wait_for_its_end(self) -> None:
        """Other sockets don't wait for it."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        peer.session.write(slot, b"head ", more=True)
        peer.expect()
        peer.session.write(other, b"else")
        peer.turn(b'AT+QISEND=1,4,"else"', OK, SEND_OK)
        peer.session.write(slot, b"body", more=True)
        peer.expect()
        peer.session.flush(slot)
        peer.turn(b'AT+QISEND=0,9,"head body"', OK, SEND_OK)
        peer.expect()

    def test_a_piece_without_more_ends_the_message(self) -> None:
        """As if it had been flushed."""
        peer = Peer()
        slot = peer.open()
        peer.session.write(slot, b"head ", more=True)
        peer.session.write(slot, b"body")
        peer.turn(b'AT+QISEND=0,9,"head body"', OK, SEND_OK)

    def test_nothing_of_it_is_left_for_the_next_connection(self) -> None:
        """A socket that is cleared sends what its next owner writes."""
        slot = Peer().open()
        slot.is_gathering = True
        slot.clear()
        assert not slot.is_gathering
