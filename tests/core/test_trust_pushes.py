"""PushGate: pushed data are handed over once they are known to be whole."""

import pytest

from aiobc9x.core.events import DataReceived, Failed, Finished
from aiobc9x.core.slots import Slot
from aiobc9x.core.trust import PATIENCE_S, SILENCE_S, UNSURE_MAX_S
from aiobc9x.spec import AccessMode
from tests.core.peer import Peer, ask

LONG_S = PATIENCE_S + 0.2
"""How long a line end may stay away, with the time that a long frame takes on the line."""

OWN_END, NEXT = b"\r\n", b"\r\n+CSCON: 1\r\n"


def push(data: bytes, *, lost: int = 0) -> bytes:
    """A pushed payload whose last bytes got lost, without what follows it."""
    header = b'\r\n+QIURC: "recv",0,%d\r\n' % len(data)
    return header + data[: len(data) - lost]


def pushing() -> tuple[Peer, Slot]:
    """A session with one socket in push mode."""
    peer = Peer()
    return peer, peer.open(access_mode=AccessMode.PUSH)


def delivered(peer: Peer) -> list[bytes]:
    """What the socket got."""
    return [event.data for event in peer.kept(DataReceived)]


class TestWholeData:
    """§2.3.2: nothing behind the data says that they are complete."""

    def test_next_answer_hands_them_over(self) -> None:
        """It begins where it should."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        assert delivered(peer) == []
        peer.say(NEXT)
        assert delivered(peer) == [b"hello"]

    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_silence_hands_them_over(self, end: bytes) -> None:
        """Data that lost bytes would still wait for them."""
        peer, _ = pushing()
        for data in (b"first", b"second"):
            peer.say(push(data) + end)
            assert peer.session.deadline() is not None
            peer.wait(SILENCE_S)
        assert delivered(peer) == [b"first", b"second"]
        assert peer.kept(Failed) == []

    def test_own_line_end_may_be_late(self) -> None:
        """A module that prints one is waited for."""
        peer, _ = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second"))
        peer.wait(SILENCE_S)
        assert delivered(peer) == [b"first"]
        peer.say(OWN_END)
        peer.wait(LONG_S)
        assert delivered(peer) == [b"first", b"second"]

    def test_nothing_is_left_behind_a_reset(self) -> None:
        """The rest belongs to nobody."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        peer.say(b"\r\nRDY\r\n")
        peer.wait(1.0)
        assert delivered(peer) == [b"hello"]
        assert len(peer.kept(Failed)) == 1


class TestLostBytes:
    """Rule 6: bytes missing inside a payload end the connection, and none is wrong."""

    @pytest.mark.parametrize("lost", range(1, 9))
    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_traces_come_at_once(self, lost: int, end: bytes) -> None:
        """However many are lost, what was swallowed is not delivered."""
        peer, slot = pushing()
        peer.say(push(b"first one") + end + push(b"second one", lost=lost) + end + NEXT + NEXT)
        peer.wait(LONG_S)
        assert delivered(peer) == [b"first one"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    def test_missing_line_end_is_a_trace(self) -> None:
        """The data swallowed the one that this module always prints."""
        peer, _ = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second", lost=2) + OWN_END)
        peer.wait(SILENCE_S)
        peer.wait(LONG_S)
        assert delivered(peer) == [b"first"]
        assert len(peer.kept(Failed)) == 1

    def test_a_loss_does_not_make_the_next_one_the_habit(self) -> None:
        """Three payloads have shown the habit; two that contradict it in a row end both sockets."""
        peer, first = pushing()
        second = peer.open(access_mode=AccessMode.PUSH)
        for data in (b"one", b"two", b"three"):
            peer.say(push(data) + OWN_END + NEXT)
        peer.say(push(b"four", lost=2) + OWN_END + NEXT)
        peer.wait(LONG_S)
        peer.session.resume()
        swallowing = push(b"five", lost=2).replace(b'recv",0', b'recv",1')
        peer.say(swallowing + OWN_END + NEXT)
        peer.wait(LONG_S)
        assert delivered(peer) == [b"one", b"two", b"three"]
        assert [event.slot for event in peer.kept(Failed)] == [first, second]

    @pytest.mark.parametrize("proofs", [1, 3])
    def test_a_habit_that_was_wrong_is_learned_again(self, proofs: int) -> None:
        """After one payload that contradicts, or after two if it seemed to be proven."""
        peer, _ = pushing()
        for _ in range(proofs):
            peer.say(push(b"learned", lost=2) + OWN_END + NEXT)
        for _ in range(2):
            peer.say(push(b"contradicts") + OWN_END + NEXT)
            peer.wait(LONG_S)
            peer.session.resume()
        peer.open(access_mode=AccessMode.PUSH)
        peer.say(push(b"right").replace(b'recv",0', b'recv",1') + OWN_END + NEXT)
        assert delivered(peer)[-1] == b"right"

    def test_a_trace_counts_though_the_next_frame_is_slow(self) -> None:
        """On a slow line a long payload may take seconds behind the trace."""
        peer, slot = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second", lost=2) + OWN_END)
        peer.wait(SILENCE_S)
        peer.say(push(b"third", lost=3))
        peer.wait(LONG_S)
        peer.say(b"ird" + OWN_END + NEXT)
        assert delivered(peer) == [b"first"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    @pytest.mark.parametrize("lost", [4, 5, 11, 12])
    def test_a_lone_line_end_is_a_trace(self, lost: int) -> None:
        """This module prints none of its own, so it is what is left of the next line."""
        peer, slot = pushing()
        peer.say(push(b"first") + NEXT)
        swallowed = b"\r\nOK\r\n" if lost < 6 else NEXT
        peer.say(push(b"second payload", lost=lost) + swallowed)
        for _ in range(4):
            peer.wait(LONG_S / 2)
        assert delivered(peer) == [b"first"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    def test_a_resync_between_data_and_their_end(self) -> None:
        """What comes first is judged without one; the next still by its own."""
        peer, slot = pushing()
        peer.say(push(b"first"))
        peer.events += peer.session.resync()
        peer.say(push(b"second") + b"x" + NEXT)
        peer.wait(LONG_S)
        assert delivered(peer) == [b"first"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]


class TestUnknownHabit:
    """While nobody knows whether a module ends pushed data by a line end of its own."""

    def test_they_wait_for_the_next_frame(self) -> None:
        """Silence can't tell; so the module is asked something, if nobody else asks."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        peer.wait(SILENCE_S)
        assert delivered(peer) == []
        peer.turn(b"AT", b"\r\nOK\r\n")
        assert delivered(peer) == [b"hello"]
        assert peer.kept(Finished) == []

    def test_somebody_elses_command_serves_as_well(self) -> None:
        """One answer is enough."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        peer.wait(SILENCE_S)
        peer.session.queue.add(ask("AT+CSQ"))
        peer.turn(b"AT+CSQ", b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
        peer.expect()
        assert delivered(peer) == [b"hello"]

    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_what_lost_bytes_is_found_out(self, end: bytes) -> None:
        """Also if it is the first that ever comes."""
        peer, slot = pushing()
        peer.say(push(b"hello world", lost=1) + end)
        peer.wait(SILENCE_S)
        peer.session.queue.add(ask())
        peer.turn(b"AT", b"\r\nOK\r\n")
        peer.wait(LONG_S + SILENCE_S)
        peer.wait(12.0)
        assert delivered(peer) == []
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    def test_not_for_ever(self) -> None:
        """A module that doesn't answer must not withhold what a peer has sent."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        for _ in range(3):
            peer.wait(UNSURE_MAX_S / 2)
            deadline = peer.session.deadline()
            assert deadline is None or deadline > peer.now
        assert delivered(peer) == [b"hello"]

    def test_it_is_known_after_one(self) -> None:
        """Nothing more is asked."""
        peer, _ = pushing()
        peer.say(push(b"first") + OWN_END + NEXT)
        peer.say(push(b"second") + OWN_END)
        peer.wait(SILENCE_S)
        peer.expect()
        assert delivered(peer) == [b"first", b"second"]

    def test_out_of_step_nothing_is_asked(self) -> None:
        """Whoever brings the line back in step asks anyway."""
        peer, _ = pushing()
        peer.session.suspended = True
        peer.say(push(b"hello"))
        peer.wait(SILENCE_S)
        peer.expect()
        peer.wait(UNSURE_MAX_S)
        assert delivered(peer) == [b"hello"]


class TestNoLineEndInFront:
    """Noise and echoed commands begin without a CRLF: nothing was swallowed."""

    @pytest.mark.parametrize("end", [b"", OWN_END])
    @pytest.mark.parametrize("learned", [True, False])
    def test_an_echo_behind_whole_data(self, end: bytes, *, learned: bool) -> None:
        """After ATE1, as soon as a command is written."""
        peer, _ = pushing()
        peer.session.echo_expected = True
        if learned:
            peer.say(push(b"first") + end + NEXT)
        peer.say(push(b"whole") + end)
        peer.session.queue.add(ask("AT+CSQ"))
        peer.turn(b"AT+CSQ", b"AT+CSQ\r", b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
        peer.wait(2.0)
        assert delivered(peer)[-1:] == [b"whole"]
        assert peer.kept(Failed) == []
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]

    @pytest.mark.parametrize("end", [b"", OWN_END])
    @pytest.mark.parametrize("noise", [b"\x00", b"\xff\x00", b"\x00\r\n"])
    def test_noise_behind_whole_data(self, end: bytes, noise: bytes) -> None:
        """A module makes some as it wakes up; it tells nothing of its habits."""
        peer, slot = pushing()
        peer.say(push(b"first") + end + NEXT)
        peer.say(push(b"second") + end)
        peer.wait(1.0)
        peer.say(noise + NEXT)
        peer.wait(1.0)
        peer.say(push(b"third") + end + NEXT)
        peer.wait(2.0)
        assert delivered(peer) == [b"first", b"second", b"third"]
        assert peer.kept(Failed) == []
        assert slot.is_live

    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_noise_right_behind_the_data(self, end: bytes) -> None:
        """In the same chunk, and then silence."""
        peer, _ = pushing()
        peer.say(push(b"first") + end + NEXT)
        peer.say(push(b"second") + end + b"\x00")
        for _ in range(6):
            peer.wait(0.5)
        peer.say(NEXT)
        assert delivered(peer) == [b"first", b"second"]
        assert peer.kept(Failed) == []
