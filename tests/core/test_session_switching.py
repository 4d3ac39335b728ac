"""Session: the access mode of a socket is switched while it lives (§2.2.7)."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    DataReceived,
    Drained,
    Failed,
    ModeSwitched,
    OutOfStep,
    SwitchRefused,
)
from aiobc9x.core.slots import Slot
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import READ, Peer, of
from tests.core.switching import (
    BUFFER,
    EXPLAIN,
    PUSH,
    TO_BUFFER,
    TO_PUSH,
    got,
    switching,
)
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


class TestToPush:
    """The buffer is read empty first, and once more behind the switch."""

    def test_the_switch_follows_the_empty_answer_at_once(self) -> None:
        """Nothing may come between the two, whoever waits."""
        peer, slot = switching(PUSH)
        other = peer.open()
        peer.session.write(other, b"x")
        other.readable = True
        peer.turn(READ, received(b"one"))
        peer.turn(b"AT+QIRD=1,1024", EMPTY)
        peer.turn(b'AT+QISEND=1,1,"x"', OK)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK)
        peer.turn(READ, EMPTY)
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
        assert slot.access_mode is PUSH
        assert got(peer, slot) == b"one"

    def test_what_came_between_the_two_is_read_before_what_is_pushed(self) -> None:
        """It is older; nothing is left behind in the module."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3), OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, received(b"one"))
        assert got(peer, slot) == b"one"
        assert peer.kept(ModeSwitched) == []
        peer.say(pushed(0, b"three"), NEXT)
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"onetwothree"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
        peer.say(pushed(0, b"four"), NEXT)
        assert got(peer, slot) == b"onetwothreefour"

    def test_it_does_not_wait_for_room(self) -> None:
        """What the module holds is little, and a full reader would wait for ever."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.session.switch_mode(slot, PUSH)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK)
        peer.turn(READ, EMPTY)
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]

    @pytest.mark.parametrize("err", [551, 553, 568])
    def test_a_busy_module_is_asked_again_for_what_is_left(self, err: int) -> None:
        """Its ``ERROR`` says nothing of the buffer, which has what is older than the push."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, ERROR)
        peer.turn(EXPLAIN, explained(err))
        assert peer.kept(ModeSwitched) == []
        peer.session.retry_read(slot, peer.now)
        peer.wait(1.0)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"onetwo"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]

    def test_a_socket_that_is_drained_is_refused_at_once(self) -> None:
        """The peer has closed: no read and no AT+QISWTMD would ever follow."""
        peer = Peer()
        slot = peer.open()
        peer.say(closed(0))
        peer.turn(READ, EMPTY)
        assert slot.is_drained
        peer.session.want_reads(slot, False, peer.now)
        peer.session.switch_mode(slot, PUSH)
        peer.wait(0.0)
        assert [event.err for event in peer.kept(SwitchRefused)] == [None]

    def test_an_announcement_behind_the_empty_answer_is_read_first(self) -> None:
        """The buffer is no longer empty."""
        peer, slot = switching(PUSH)
        peer.turn(READ, line(b"+QIRD: 0"), announced(0, 3), OK)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK)
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"one"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]

    def test_datagrams_keep_their_boundaries(self) -> None:
        """Pushed or read."""
        peer, slot = switching(PUSH, ServiceType.UDP)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        assert peer.kept(DataReceived) == [DataReceived(slot, b"one"), DataReceived(slot, b"two")]

    @pytest.mark.parametrize("err", [None, 550, 552, 565])
    def test_a_module_that_reads_no_push_socket_has_nothing_left(self, err: int | None) -> None:
        """Unless it has announced something."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, ERROR)
        peer.turn(EXPLAIN, explained(err) if err else ERROR)
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
        assert got(peer, slot) == b"two"

    def test_a_rest_that_no_read_gives_is_fetched_in_buffer_mode(self) -> None:
        """The switch is refused, and taken back; not a byte is lost or out of order."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3), OK)
        peer.turn(READ, ERROR)
        peer.turn(EXPLAIN, explained(550))
        assert peer.kept(SwitchRefused) == [SwitchRefused(slot, 550)]
        peer.turn(TO_BUFFER, OK)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"one"
        assert slot.access_mode is BUFFER

    def test_pushed_data_that_overtook_such_a_rest_end_the_stream(self) -> None:
        """They can't be put behind it: nobody knows where it ends."""
        peer, slot = self.with_a_rest()
        peer.turn(TO_BUFFER, OK)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert got(peer, slot) == b""

    def test_a_rest_that_no_mode_gives_ends_the_stream(self) -> None:
        """And nothing is delivered behind its hole."""
        peer, slot = self.with_a_rest()
        peer.turn(TO_BUFFER, ERROR)
        peer.turn(EXPLAIN, explained(550))
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert got(peer, slot) == b""

    @staticmethod
    def with_a_rest() -> tuple[Peer, Slot]:
        """Leave something announced that no read gives, and something pushed behind it."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3), OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, ERROR)
        peer.turn(EXPLAIN, explained(550))
        return peer, slot

    @pytest.mark.parametrize("answer", [OK, ERROR])
    def test_whoever_changes_his_mind_in_mid_switch_loses_nothing(self, answer: bytes) -> None:
        """What is held was pushed before the switch back."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.session.switch_mode(slot, BUFFER)
        peer.turn(READ, EMPTY)
        peer.turn(TO_BUFFER, answer)
        if answer == ERROR:
            peer.turn(EXPLAIN, explained(568))
        assert got(peer, slot) == b"two"
        assert slot.access_mode is (BUFFER if answer == OK else PUSH)
        assert peer.kept(Failed) == []


class TestToBuffer:
    """At once: what is pushed before the ``OK`` is delivered."""

    def test_the_buffer_is_read_from_then_on(self) -> None:
        """A byte may have come without a word."""
        peer, slot = switching(BUFFER)
        peer.turn(TO_BUFFER, pushed(0, b"one"), OK)
        peer.turn(READ, received(b"two"))
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"onetwo"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
        assert slot.access_mode is BUFFER

    def test_going_back_after_a_reader_has_caught_up_leaves_nothing(self) -> None:
        """Whatever the module has buffered meanwhile, it is read before the next push."""
        peer, slot = switching(BUFFER)
        peer.turn(TO_BUFFER, OK)
        peer.turn(READ, received(b"one"))
        peer.session.switch_mode(slot, PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3), OK)
        peer.turn(READ, received(b"two"))
        peer.turn(READ, EMPTY)
        peer.say(pushed(0, b"three"), NEXT)
        assert got(peer, slot) == b"onetwothree"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)] * 2


class TestRefused:
    """§3: the mode stays what it was."""

    @pytest.mark.parametrize("mode", AccessMode)
    def test_it_says_so(self, mode: AccessMode) -> None:
        """With the code; the socket goes on."""
        peer, slot = switching(mode)
        if mode is PUSH:
            peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH if mode is PUSH else TO_BUFFER, ERROR)
        peer.turn(EXPLAIN, explained(568))
        assert peer.kept(SwitchRefused) == [SwitchRefused(slot, 568)]
        assert slot.access_mode is not mode
        assert slot.is_live
        peer.expect()

    @pytest.mark.parametrize("mode", AccessMode)
    @pytest.mark.parametrize("found", AccessMode)
    def test_silence_leaves_nobody_knowing(self, mode: AccessMode, found: AccessMode) -> None:
        """Until QISTATE gives the mode; nothing has come meanwhile, so the socket goes on."""
        peer, slot = switching(mode)
        if mode is PUSH:
            peer.turn(READ, EMPTY)
        peer.written()
        peer.wait(11.0)
        assert peer.kept(Failed) == []
        assert len(peer.kept(SwitchRefused)) == 1
        assert len(peer.kept(OutOfStep)) == 1
        assert slot.is_mode_doubtful
        peer.session.note_mode(slot, found)
        peer.session.resume()
        assert slot.access_mode is found
        if found is BUFFER:
            peer.turn(READ, received(b"one"))
        else:
            peer.say(pushed(0, b"one"), NEXT)
        assert got(peer, slot) == b"one"

    def test_a_mode_that_is_known_is_not_found_otherwise(self) -> None:
        """A row may have been printed before the switch."""
        peer = Peer()
        slot = peer.open()
        peer.session.note_mode(slot, PUSH)
        assert slot.access_mode is BUFFER

    def test_what_was_announced_in_that_silence_may_be_lost(self) -> None:
        """It may have been pushed, and framed as lines."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3))
        peer.wait(11.0)
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    @pytest.mark.parametrize("mode", AccessMode)
    def test_a_newer_wish_counts(self, mode: AccessMode) -> None:
        """It comes while the switch is in flight; what is said to be switched is."""
        peer, slot = switching(mode)
        if mode is PUSH:
            peer.turn(READ, EMPTY)
        peer.expect((TO_PUSH if mode is PUSH else TO_BUFFER) + b"\r")
        newer = AccessMode(1 - mode)
        peer.session.switch_mode(slot, newer)
        peer.say(OK)
        for _ in range(10):
            for command in peer.written():
                peer.say(EMPTY if command.startswith(b"AT+QIRD") else OK)
        assert slot.access_mode is newer
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]

    def test_a_newer_wish_while_the_buffers_rest_is_read(self) -> None:
        """The switch to push mode is complete then, and the newer one begins."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK)
        peer.expect(READ + b"\r")
        peer.session.switch_mode(slot, BUFFER)
        peer.say(EMPTY)
        assert peer.kept(ModeSwitched) == []
        peer.turn(TO_BUFFER, OK)
        assert slot.access_mode is BUFFER
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]

    @pytest.mark.parametrize("mode", AccessMode)
    def test_a_newer_wish_for_the_old_mode_is_fulfilled_by_a_refusal(
        self, mode: AccessMode
    ) -> None:
        """Nothing is left to be switched, and nobody waits for ever."""
        peer, slot = switching(mode)
        if mode is PUSH:
            peer.turn(READ, EMPTY)
        peer.expect((TO_PUSH if mode is PUSH else TO_BUFFER) + b"\r")
        peer.session.switch_mode(slot, AccessMode(1 - mode))
        peer.say(ERROR)
        peer.turn(EXPLAIN, explained(568))
        for _ in range(10):
            for command in peer.written():
                peer.say(EMPTY if command.startswith(b"AT+QIRD") else OK)
        assert slot.access_mode is AccessMode(1 - mode)
        assert slot.wanted_mode is None
        assert peer.kept(ModeSwitched) + peer.kept(SwitchRefused)

    def test_one_that_is_there_already_is_done(self) -> None:
        """Nothing is written."""
        peer = Peer()
        slot = peer.open()
        peer.session.switch_mode(slot, BUFFER)
        assert peer.session.take_events() == [ModeSwitched(slot)]
        peer.expect()

    @pytest.mark.parametrize("mode", AccessMode)
    def test_a_close_ends_it(self, mode: AccessMode) -> None:
        """Whoever waits for the switch hears of it."""
        peer, slot = switching(mode)
        peer.session.begin_close(slot)
        (event,) = peer.session.take_events()
        assert isinstance(event, SwitchRefused)
        assert "closed" in event.reason
        peer.expect()

    @pytest.mark.parametrize("step", range(3))
    def test_a_close_in_mid_switch_delivers_nothing_more(self, step: int) -> None:
        """Nobody is there: before the read, before AT+QISWTMD, before its result."""
        peer, slot = switching(PUSH)
        for command, answer in [(READ, EMPTY), (TO_PUSH, OK)][:step]:
            peer.turn(command, answer)
        written = peer.written()
        peer.session.begin_close(slot)
        peer.say(EMPTY if written[0].startswith(b"AT+QIRD") else OK)
        peer.say(pushed(0, b"late"), NEXT)
        assert got(peer, slot) == b""
        assert peer.kept(ModeSwitched) == []

    @pytest.mark.parametrize("mode", AccessMode)
    @pytest.mark.parametrize("silent", [True, False])
    def test_a_refusal_behind_a_close_tells_nobody_anything(
        self, mode: AccessMode, *, silent: bool
    ) -> None:
        """Whoever waited has been told."""
        peer, slot = switching(mode)
        if mode is PUSH:
            peer.turn(READ, EMPTY)
        peer.written()
        peer.session.begin_close(slot)
        assert len(of(SwitchRefused, peer.session.take_events())) == 1
        if silent:
            peer.wait(11.0)
        else:
            peer.say(ERROR)
            peer.turn(EXPLAIN, explained(568))
        assert peer.kept(ModeSwitched) + peer.kept(SwitchRefused) + peer.kept(Failed) == []


class TestEnds:
    """A peer that closes while the mode is being switched."""

    @pytest.mark.parametrize("mode", AccessMode)
    @pytest.mark.parametrize("when", range(4))
    @pytest.mark.parametrize("answer", [OK, ERROR])
    def test_it_comes_to_its_end(self, mode: AccessMode, when: int, answer: bytes) -> None:
        """Whenever ``"closed"`` comes and whatever the module answers; the switch has one end."""
        peer, slot = switching(mode)
        for turn in range(60):
            if turn == when:
                peer.say(closed(0))
            written = peer.written()
            if not written:
                peer.wait(1.0)
                continue
            (command,) = written
            if command.startswith(b"AT+QIRD"):
                peer.say(EMPTY)
            elif command.startswith(b"AT+QISWTMD"):
                peer.say(answer)
            else:
                peer.say(explained(567) if command.startswith(EXPLAIN) else OK)
        assert peer.kept(Drained) == [Drained(slot)]
        assert len(peer.kept(ModeSwitched)) + len(peer.kept(SwitchRefused)) == 1
        assert peer.kept(Failed) == []
        assert peer.session.deadline() is None

    def test_what_was_buffered_before_is_read_first(self) -> None:
        """Then the end comes, and the switch is off."""
        peer, slot = switching(PUSH)
        peer.turn(READ, received(b"one"))
        peer.say(closed(0))
        peer.turn(READ, received(b"two"))
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"onetwo"
        assert peer.kept(Drained) == [Drained(slot)]
        (refused,) = peer.kept(SwitchRefused)
        assert "peer has closed" in refused.reason

    def test_held_data_come_before_the_end(self) -> None:
        """They were pushed while the buffer's rest was being read."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), closed(0))
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        peer.wait(5.0)
        for command in peer.written():
            assert command == READ + b"\r"
            peer.say(EMPTY)
        assert got(peer, slot) == b"onetwo"
        assert peer.kept(Drained) == [Drained(slot)]
