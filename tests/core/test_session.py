"""Session: one class per rule; more in the modules test_session_*."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    Answer,
    Damaged,
    DataReceived,
    Failed,
    Finished,
    Job,
    Lane,
    OutOfStep,
    Restarted,
    Sent,
)
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import AFTERMATH_S
from aiobc9x.core.session import Session
from aiobc9x.errors import LinkLost, ModuleReset
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.base import Raw, ReceiveHex, ShowLength
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import READ, Peer, ask, of
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


class TestOneInFlight:
    """Rule 4: no command line before the final result of the last."""

    def test_the_next_command_waits_for_the_final_result(self) -> None:
        """Not for its lines, nor for a URC in between."""
        peer = Peer()
        jobs = [ask("AT+A"), ask("AT+B")]
        for job in jobs:
            peer.session.queue.add(job)
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
        peer.session.queue.add(ask("AT+A"))
        peer.turn(b"AT+A", OK)
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        assert peer.session.is_sending(one)
        assert not peer.session.is_sending(two)
        peer.session.queue.add(ask("AT+B"))
        peer.turn(b"AT+B", OK)
        peer.expect()
        peer.say(SEND_OK)
        peer.turn(b'AT+QISEND=1,1,"b"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(one, 1), Sent(two, 1)]

    def test_a_refusal_is_explained_before_anything_else(self) -> None:
        """§2.2.12: the code is of the last command alone; even a close waits."""
        peer = Peer()
        job = Job(Qistate())
        peer.session.queue.add(job)
        peer.expect(b"AT+QISTATE?\r")
        peer.session.queue.add(ask("AT+QICLOSE=0", Lane.CLOSE))
        peer.say(ERROR)
        peer.turn(b"AT+QIGETERROR", explained(563))
        assert peer.kept(Finished) == [Finished(job, Answer(err=563))]
        peer.expect(b"AT+QICLOSE=0\r")

    def test_a_job_that_waits_can_be_taken_back(self) -> None:
        """One that has begun can't: its answer must be awaited."""
        peer = Peer()
        begun, waiting = ask("AT+A"), ask("AT+B")
        peer.session.queue.add(begun)
        peer.session.queue.add(waiting)
        peer.expect(b"AT+A\r")
        assert not peer.session.queue.withdraw(begun)
        assert peer.session.queue.withdraw(waiting)
        peer.say(OK)
        peer.expect()

    def test_a_worded_send_takes_the_place_for_sends(self) -> None:
        """And ends with its result; its prompt brings its data out."""
        peer = Peer()
        job = Job(Raw("AT+QISEND=4,3", True), data=b"\x00\x1a\x1b")
        peer.session.queue.add(job)
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
        session.queue.add(ask("AT+A"))
        session.queue.add(ask("AT", Lane.RECOVERY))
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

    @pytest.mark.parametrize(("limit", "end"), [(0.3, 2.0), (2.0, 2.3), (8.0, 8.3)])
    def test_what_a_module_prints_holds_no_question_up(self, limit: float, end: float) -> None:
        """An AT that got lost is given up in time, as whoever has sent it sends another one."""
        session = Session()
        probe = ask("AT", Lane.RECOVERY, limit=limit)
        session.queue.add(probe)
        session.next_output(0.0)
        ends: list[float] = []
        for tenth in range(100):
            now = tenth / 10
            events = [*session.feed(line(b"+CSCON: 1"), now), *session.advance(now)]
            ends += [now for _ in of(Finished, events)]
        assert ends == [pytest.approx(end, abs=0.3)]

    @pytest.mark.parametrize("stray", [OK, ERROR, line(b"+CME ERROR: 10"), line(b"+CMS ERROR: 10")])
    def test_a_stray_answer_loses_the_step(self, stray: bytes) -> None:
        """Commands and answers no longer match; it is said once."""
        peer = Peer()
        assert len(of(OutOfStep, peer.say(stray))) == 1
        assert of(OutOfStep, peer.say(stray)) == []
        peer.session.queue.add(ask())
        peer.expect()
        assert peer.session.statistics.recoveries == 1

    @pytest.mark.parametrize("header", [b"+QIRD: 100", b"+QIRD: 100,0"])
    def test_a_header_that_nobody_asked_for_frames_no_payload(self, header: bytes) -> None:
        """It would swallow the answers of other commands."""
        peer = Peer()
        job = ask("AT+CSQ")
        peer.session.queue.add(job)
        peer.turn(b"AT+CSQ", line(header), line(b"+CSQ: 20,0"), OK)
        assert peer.kept(Finished) == [Finished(job, Answer(ok=True, lines=(b"+CSQ: 20,0",)))]

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
        peer.session.queue.add(ask("ATE0"))
        peer.turn(b"ATE0", b"ATE0\r", OK)
        assert peer.kept(OutOfStep) == []
        assert not peer.session.echo_expected

    def test_an_echo_that_returns_loses_the_step(self) -> None:
        """The banner got lost; the answer itself counts."""
        peer = Peer()
        job = ask("AT+A")
        peer.session.queue.add(job)
        events = peer.turn(b"AT+A", b"AT+A\r", OK)
        assert len(of(OutOfStep, events)) == 1
        assert of(Finished, events) == [Finished(job, Answer(ok=True))]
        assert peer.session.echo_seen

    def test_switching_it_on_is_no_restart(self) -> None:
        """Somebody asked for it."""
        peer = Peer()
        for text in (b"ATE1", b"AT+A"):
            peer.session.queue.add(ask(text.decode()))
        peer.turn(b"ATE1", OK)
        peer.turn(b"AT+A", b"AT+A\r", OK)
        assert peer.kept(OutOfStep) == []


class TestSocketsInShort:
    """Sends, reads and doubts; the modules test_session_* have them rule by rule."""

    def test_a_send_ends_in_every_order(self) -> None:
        """``SEND OK`` behind OK, alone, or never; ``SEND FAIL`` goes again."""
        peer = Peer(ModuleProfile(command_gap_ms=10))
        slot, other = peer.open(), peer.open(wants_read=False)
        slot.outgoing += b"\x00"
        peer.turn(b"AT+QISEND=0,1", SEND_OK, PROMPT)
        peer.expect(b"\x00")
        peer.say(OK, SEND_FAIL, SEND_FAIL)
        peer.wait(0.1)  # what data mode swallowed is read
        peer.turn(READ, EMPTY)
        peer.session.retry_send(slot, peer.now)
        peer.wait(0.005)
        assert peer.session.deadline() == pytest.approx(peer.now + 0.005)
        peer.wait(0.1)
        peer.turn(b"AT+QISEND=0,1", PROMPT)
        peer.expect(b"\x00")
        peer.now += 0.25  # the byte crosses the line
        peer.say(SEND_OK)
        peer.wait(15.1)  # this module has printed OK before
        assert peer.kept(Sent) == [Sent(slot, 1)]
        peer.wait(0.2)
        peer.turn(READ, EMPTY)
        other.outgoing += b"a"
        peer.wait(0.01)
        peer.turn(b'AT+QISEND=1,1,"a"', OK)
        peer.wait(1.0)
        assert peer.session.deadline() == pytest.approx(peer.now + 14.0)
        peer.wait(14.1)
        assert [event.slot for event in peer.kept(Failed)] == [other]

    def test_a_refused_send_has_no_result(self) -> None:
        """One that comes is of the send before."""
        peer = Peer()
        peer.open().outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', ERROR)
        peer.turn(b"AT+QIGETERROR", SEND_OK, explained(552))
        assert peer.kept(Sent) == []

    def test_a_release_ends_the_sockets_own_send_alone(self) -> None:
        """And not at once: its result may still come. A second release changes nothing."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        slot.outgoing += b"a"
        peer.turn(b'AT+QISEND=0,1,"a"', OK)
        for gone in (other, other, slot):
            assert peer.session.is_sending(slot)
            peer.session.release(gone, peer.now)
        peer.wait(AFTERMATH_S)
        assert not peer.session.is_sending(slot)

    def test_a_silent_socket_is_polled_and_a_damaged_read_distrusted(self) -> None:
        """A URC or a banner in it is none, nor are lines behind it."""
        peer = Peer(poll_interval=10.0)
        slot, other = peer.open(), peer.open(wants_read=False)
        peer.wait(10.0)
        peer.turn(READ, closed(1), b"\r\nQIRD: 9,0\r\n", closed(1), line(b"RDY"), closed(1))
        assert other.is_live
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.kept(Restarted) == []

    def test_pushed_data_that_swallow_their_line_end_are_damage(self) -> None:
        """Two bytes of them got lost; the module has always printed one."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        peer.say(pushed(0, b"whole"), line(b"+CEREG: 1"))
        peer.say(pushed(0, b"whole").replace(b"ol", b""), line(b"+CEREG: 1"))
        peer.wait(1.0)
        assert peer.kept(DataReceived) == [DataReceived(slot, b"whole")]
        assert [event.slot for event in peer.kept(Failed)] == [slot]


class TestSettings:
    """Rule 3: what an OK changes is changed for the bytes behind it."""

    def test_lengths_are_hidden_from_the_ok_on(self) -> None:
        """Also in the same chunk; flash writes are counted."""
        peer = Peer()
        peer.open().readable = True
        peer.session.queue.add(ask('AT+QICFG="showlength",0'))
        peer.turn(b'AT+QICFG="showlength",0', OK)
        assert not peer.session.length_shown
        peer.turn(READ, received(b"ab", None))
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]
        assert peer.session.statistics.nvram_writes == 1

    def test_hex_is_decoded_from_the_ok_on(self) -> None:
        """§2.2.11."""
        peer = Peer()
        peer.open().readable = True
        peer.session.queue.add(ask('AT+QICFG="dataformat",0,1'))
        peer.turn(b'AT+QICFG="dataformat",0,1', OK)
        peer.turn(READ, b"\r\n+QIRD: 2,0\r\n6162\r\n\r\nOK\r\n")
        assert [event.data for event in peer.kept(DataReceived)] == [b"ab"]

    def test_push_begins_right_behind_the_ok(self) -> None:
        """§2.2.7: the first pushed data may stand in the same chunk."""
        peer = Peer()
        slot = peer.open()
        peer.session.queue.add(ask("AT+QISWTMD=0,1"))
        peer.turn(b"AT+QISWTMD=0,1", announced(0, 5), OK, pushed(0, b"hello"), line(b"+X: 1"))
        assert peer.kept(DataReceived) == [DataReceived(slot, b"hello")]
        assert slot.access_mode is AccessMode.PUSH

    def test_a_refused_setting_changes_nothing(self) -> None:
        """Nor is it a flash write."""
        peer = Peer()
        peer.session.queue.add(ask("AT+QISWTMD=4,1", explain=False))
        peer.turn(b"AT+QISWTMD=4,1", ERROR)
        assert peer.kept(DataReceived) == []
        assert peer.session.statistics.nvram_writes == 0
        assert peer.session.statistics.errors == 1

    def test_a_mode_may_be_noted_for_a_socket_of_nobody(self) -> None:
        """Leftovers of an earlier program push until they are closed."""
        peer = Peer()
        peer.session.set_access_mode(4, AccessMode.PUSH)
        peer.say(pushed(4, b"leftover"), line(b"+X: 1"))
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
        peer.session.queue.add(ask())
        peer.session.queue.add(ask())
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
            peer.session.queue.add(job)
        peer.expect(b"AT+A\r")
        peer.session.queue.add(jobs[2])
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
            peer.session.queue.add(job)
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
            peer.session.queue.add(job)
            peer.turn(b'AT+QISEND=4,1,"a"', answer)
            peer.say(line(b"RDY"))
            assert [event.job for event in peer.kept(Finished)] == [job]

    def test_a_lost_link_fails_everything_alike(self) -> None:
        """But is no restart."""
        peer = Peer()
        slot = peer.open()
        job = ask()
        peer.session.queue.add(job)
        events = peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
        assert [event.job for event in of(Finished, events)] == [job]
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert of(Restarted, events) == []
