"""Session: bytes get lost on the line; who ends by it, who doesn't, and what is not obeyed."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    Damaged,
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Finished,
    Job,
    Lane,
    OutOfStep,
    Restarted,
    UnknownLine,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.core.trust import QUIET_S
from aiobc9x.errors import LinkTimeout
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.module import Identify
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import READ, Peer, ask
from tests.support.words import (
    EMPTY,
    ERROR,
    NEXT,
    OK,
    SEND_FAIL,
    SEND_OK,
    announced,
    closed,
    line,
    pushed,
    received,
)

PUSH, UDP = AccessMode.PUSH, ServiceType.UDP

TORN = [
    b'+QIUR: "recv",0,11',
    b'+QIURC: "recv",,11',
    b'+QIURC: "rev",0,11',
    b'+QIURC "recv",0,11',
    b'+QIURC: "recv"0,11',
    b'+QIURC: recv",0,11',
    b'QIURC: "recv",0,11',
    b'IURC: "recv",0,11',
    b'+QIURC: "recv",011',
]
"""Headers of pushed data that have lost a byte."""

TRAPS = [
    line(b"RDY"),
    closed(0),
    closed(1),
    announced(1, 99),
    SEND_OK,
    SEND_FAIL,
    OK,
    ERROR,
    line(b"+QIOPEN: 1,0"),
    line(b'+QIURC: "incoming",5,0,"1.2.3.4",80'),
    pushed(0, b"pushed"),
    b"+TEMP: 21.5",
]
"""What a peer may send that looks as if the module had said it."""

WORDS = [b"RING", b"Call Ready", b"SMS Ready", b"NO CARRIER", b"\x00\xff", b"+DBGINFO: 1"]


def got(peer: Peer, slot: Slot) -> bytes:
    """What a socket delivered."""
    return b"".join(event.data for event in peer.kept(DataReceived) if event.slot is slot)


def failures(peer: Peer) -> list[Slot]:
    """The sockets that have failed."""
    return [event.slot for event in peer.kept(Failed)]


def settled(peer: Peer) -> Peer:
    """Let what is held be delivered, if it is whole: the module says something, and is silent."""
    peer.say(NEXT)
    peer.wait(1.0)
    return peer


class TestTornHeader:
    """A header that lost a byte is never taken for a vendor's line."""

    @pytest.mark.parametrize("head", TORN)
    @pytest.mark.parametrize("body", [b"+TEMP: 21.5", b"\r\n", b"plain text.", b"\r\nRDY\r\n"])
    def test_a_stream_never_goes_on_with_a_hole(self, head: bytes, body: bytes) -> None:
        """It ends, with what came before the loss."""
        peer = Peer()
        slot = peer.open(access_mode=PUSH)
        peer.say(pushed(0, b"+TEMP: 20.0"), NEXT)
        peer.say(line(head), body, b"\r\n")
        peer.wait(1.0)
        peer.say(pushed(0, b"+TEMP: 22.0"))
        settled(peer)
        assert failures(peer) == [slot]
        assert got(peer, slot) == b"+TEMP: 20.0"
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.kept(Restarted) == []

    @pytest.mark.parametrize("trap", TRAPS)
    @pytest.mark.parametrize("head", TORN[:3])
    def test_no_line_behind_it_is_obeyed(self, head: bytes, trap: bytes) -> None:
        """Until the line has been silent: it may be what the peer has sent."""
        peer = Peer()
        slot, other, sender = peer.open(access_mode=PUSH), peer.open(), peer.open(wants_read=False)
        peer.session.write(sender, b"x")
        peer.turn(b'AT+QISEND=2,1,"x"', OK)
        peer.say(line(head), trap, b"\r\n")
        assert failures(peer) == [slot]
        assert peer.kept(Restarted) + peer.kept(Drained) + peer.kept(DataReceived) == []
        assert other.state is SlotState.OPEN
        assert other.announced == 0
        assert sender.unsent == 1
        assert peer.session.sockets.get(5) is None
        assert peer.session.stray_answers == 0
        peer.wait(QUIET_S + 0.01)
        peer.say(SEND_OK, closed(1))
        assert sender.unsent == 0
        assert not other.is_sendable

    def test_a_datagram_is_lost_alone(self) -> None:
        """Its socket goes on with the next one."""
        peer = Peer()
        slot = peer.open(UDP, PUSH)
        peer.say(line(TORN[0]), b"+TEMP: 21.5\r\n")
        assert len(peer.kept(DatagramLost)) == 1
        peer.wait(1.0)
        peer.say(pushed(0, b"next"))
        settled(peer)
        assert got(peer, slot) == b"next"
        assert failures(peer) == []

    def test_data_that_are_pushed_in_doubt_are_nobodys(self) -> None:
        """They may stand inside a payload: the socket that they name has a hole, or lies."""
        peer = Peer()
        first, second = peer.open(access_mode=PUSH), peer.open(UDP, PUSH)
        peer.say(line(TORN[0]), pushed(1, b"whose?"))
        peer.wait(1.0)
        settled(peer)
        assert failures(peer) == [first]
        assert peer.kept(DataReceived) == []
        assert {event.slot for event in peer.kept(DatagramLost)} == {second}

    def test_a_commands_answer_takes_no_rest_of_it(self) -> None:
        """A raw command claims any line, but the stream ends; its caller is told to ask again."""
        peer = Peer()
        slot = peer.open(access_mode=PUSH)
        peer.session.queue.add(ask("AT+CSQ"))
        peer.turn(b"AT+CSQ", line(TORN[0]), b"+TEMP: 21.5\r\nplain\r\n", line(b"+CSQ: 20,99"), OK)
        peer.wait(2.0)
        assert failures(peer) == [slot]
        (finished,) = peer.kept(Finished)
        assert b"+TEMP: 21.5" not in finished.answer.lines
        assert b"plain" not in finished.answer.lines

    def test_an_answer_that_may_have_lost_lines_to_it_is_none(self) -> None:
        """A command whose answer has no form of its own can't tell the peer's lines from them."""
        peer = Peer()
        slot = peer.open(access_mode=PUSH)
        peer.session.queue.add(Job(Identify()))
        peer.turn(b"ATI", line(TORN[0]), b"+TEMP: 21.5\r\n", line(b"Quectel"), OK)
        peer.wait(2.0)
        assert failures(peer) == [slot]
        (finished,) = peer.kept(Finished)
        assert isinstance(finished.answer.failure, LinkTimeout)
        assert "ask again" in str(finished.answer.failure)

    def test_the_end_of_a_command_may_stand_in_it(self) -> None:
        """So the last one within a moment counts."""
        peer = Peer()
        peer.open(access_mode=PUSH)
        peer.session.queue.add(Job(Qistate(), explain=False))
        peer.turn(b"AT+QISTATE?", line(TORN[0]), OK)
        assert peer.kept(Finished) == []
        peer.wait(0.1)
        peer.say(ERROR)
        peer.wait(2.0)
        assert [event.answer.ok for event in peer.kept(Finished)] == [False]

    def test_a_read_takes_no_answer_out_of_it(self) -> None:
        """A peer may send what looks like one."""
        peer = Peer()
        reading, pushing = peer.open(), peer.open(access_mode=PUSH)
        peer.say(announced(0, 5))
        trap = b"+QIRD: 2,0\r\nab\r\n\r\nOK\r\n"
        peer.turn(READ, line(b'+QIUR: "recv",1,25'), trap, b"\r\n", received(b"hello"))
        peer.wait(5.0)
        assert pushing.failed
        assert got(peer, reading) in (b"", b"hello")

    @pytest.mark.parametrize("head", TORN)
    def test_its_words_are_in_no_exception_or_reason(self, head: bytes) -> None:
        """What a peer has sent is nobody else's business."""
        peer = Peer()
        peer.open(access_mode=PUSH)
        reading = peer.open()
        peer.say(announced(1, 3))
        peer.expect(b"AT+QIRD=1,1024\r")
        peer.say(line(head), b"password=secret\r\n")
        peer.wait(20.0)
        peer.say(received(b"abc"))
        peer.wait(1.0)
        told = [str(event.error) for event in peer.kept(Failed)]
        told += [event.reason for event in peer.kept(OutOfStep)]
        told += [event.reason for event in peer.kept(DatagramLost)]
        told += [event.reason for event in peer.kept(Damaged)]
        told += [event.text.decode() for event in peer.kept(UnknownLine)]
        assert not [text for text in told if "secret" in text]
        assert reading.failed


class TestOwners:
    """Damage ends those whom it concerns, and nobody else."""

    def test_a_torn_header_of_pushed_data_spares_a_read(self) -> None:
        """Whose answer shows by itself whether it comes whole."""
        peer = Peer()
        reading, pushing = peer.open(), peer.open(access_mode=PUSH)
        peer.say(announced(0, 5))
        peer.turn(READ, line(b'+QIUR: "recv",1,5'), b"a: bc\r\n", received(b"hello"))
        peer.wait(2.0)
        assert failures(peer) == [pushing]
        assert got(peer, reading) == b"hello"

    def test_a_torn_header_of_a_read_spares_the_pushers(self) -> None:
        """Nothing of theirs is missing."""
        peer = Peer()
        reading, pushing = peer.open(), peer.open(access_mode=PUSH)
        peer.say(announced(0, 5))
        peer.turn(READ, b"\r\n+QIR: 5,0\r\nhello\r\n\r\nOK\r\n")
        peer.wait(2.0)
        assert failures(peer) == [reading]
        assert pushing.is_live

    def test_a_header_that_names_a_push_socket_ends_that_alone(self) -> None:
        """It is too long to be true, but says whose data follow."""
        peer = Peer()
        first, second = peer.open(access_mode=PUSH), peer.open(access_mode=PUSH)
        reading = peer.open()
        peer.say(announced(2, 5))
        peer.expect(b"AT+QIRD=2,1024\r")
        peer.say(line(b'+QIURC: "recv",1,9999'), received(b"hello"))
        peer.wait(2.0)
        assert failures(peer) == [second]
        assert first.is_live
        assert got(peer, reading) == b"hello"

    def test_damage_of_one_leaves_what_another_has_got_alone(self) -> None:
        """What stands before it is whole."""
        peer = Peer()
        first, second = peer.open(access_mode=PUSH), peer.open(access_mode=PUSH)
        peer.say(pushed(0, b"held"), line(b'+QIURC: "recv",1,9999'))
        peer.wait(2.0)
        assert failures(peer) == [second]
        assert got(peer, first) == b"held"

    def test_swallowed_bytes_are_those_of_who_pushed_last(self) -> None:
        """The others are whole, and the read is as well."""
        peer = Peer()
        first, second = peer.open(access_mode=PUSH), peer.open(access_mode=PUSH)
        peer.say(pushed(0, b"whole"), NEXT)
        whole = pushed(1, b"0123456789")
        peer.say(whole[:26] + whole[29:], NEXT)
        peer.wait(1.5)
        assert failures(peer) == [second]
        assert first.is_live

    @pytest.mark.parametrize("lost", range(8, 24))
    def test_a_header_that_was_swallowed_is_anothers_loss(self, lost: int) -> None:
        """Its payload is framed as lines; that stream must not go on without it."""
        peer = Peer()
        peer.open(UDP, PUSH)
        second = peer.open(access_mode=PUSH)
        peer.say(pushed(0, b"first"), NEXT)
        torn = pushed(0, b"x" * 30)[: -len(b"\r\n") - lost]
        peer.say(torn, b"\r\n", pushed(1, b"hello"), NEXT)
        for _ in range(5):
            peer.wait(1.0)
        assert got(peer, second) == b"hello" or second.failed

    @pytest.mark.parametrize("word", WORDS)
    def test_a_word_ends_nothing(self, word: bytes) -> None:
        """Neither a read whose answer comes whole, nor a push socket (quirk 63)."""
        peer = Peer()
        reading, pushing = peer.open(), peer.open(access_mode=PUSH)
        peer.say(announced(0, 5))
        peer.turn(READ, line(word), received(b"hello"))
        assert failures(peer) == []
        assert peer.kept(OutOfStep) == []
        assert got(peer, reading) == b"hello"
        assert pushing.is_live

    @pytest.mark.parametrize("where", range(4))
    def test_noise_anywhere_in_a_read_whose_data_are_whole(self, where: int) -> None:
        """NUL and 0xFF come as the module wakes up."""
        peer = Peer()
        slot = peer.open()
        parts = [line(b"+QIRD: 5,0")[:-2] + b"\r\nhello\r\n", OK]
        said = {
            0: [b"\x00", *parts],
            1: [b"\xff\r\n", *parts],
            2: [parts[0], b"\x00\xff\r\n", parts[1]],
            3: [*parts, b"\x00\r\n"],
        }[where]
        peer.say(announced(0, 5))
        peer.turn(READ, *said)
        assert failures(peer) == []
        assert got(peer, slot) == b"hello"

    @pytest.mark.parametrize("behind", [b"K\r\n", b"\nOK\r\n", b"+CSCON: 1\r\n", b"x\r\n"])
    def test_what_else_stands_behind_the_data_of_a_read_shows_a_loss(self, behind: bytes) -> None:
        """Two CRLFs belong there; the pushers are not concerned."""
        peer = Peer()
        reading, pushing = peer.open(), peer.open(access_mode=PUSH)
        peer.say(announced(0, 5))
        peer.turn(READ, b"\r\n+QIRD: 5,0\r\nhello\r\n", behind)
        peer.wait(1.0)
        peer.say(OK)
        peer.wait(11.0)
        assert got(peer, reading) in (b"", b"hello")
        assert reading.failed or got(peer, reading) == b"hello"
        assert pushing.is_live

    def test_noise_that_ends_in_nothing_is_no_loss(self) -> None:
        """What is given up when the line is brought back in step."""
        peer = Peer()
        slot = peer.open(access_mode=PUSH)
        peer.say(b"\x00\xff")
        peer.events += peer.session.resync()
        assert len(peer.kept(Damaged)) == 1
        assert slot.is_live
        assert peer.kept(OutOfStep) == []


class TestAnswersThatGotLost:
    """Pushed data that lost bytes may have swallowed them."""

    def test_a_command_that_timed_out_ends_who_got_data_since(self) -> None:
        """Six of 16 bytes are lost, and swallow ``OK``: its caller is told, and the stream ends."""
        peer = Peer()
        slot, quiet = peer.open(access_mode=PUSH), peer.open(access_mode=PUSH)
        peer.say(pushed(0, b"first"), pushed(1, b"quiet"), NEXT)
        peer.wait(1.0)
        peer.session.queue.add(ask("AT+CSQ", limit=2.0))
        peer.expect(b"AT+CSQ\r")
        peer.say(line(b"+CSQ: 20,99"))
        whole = pushed(0, b"0123456789abcdef")
        peer.say(whole[:30] + whole[36:], OK)
        for _ in range(100):
            peer.wait(0.1)
        assert failures(peer) == [slot]
        assert quiet.is_live
        (finished,) = peer.kept(Finished)
        assert isinstance(finished.answer.failure, LinkTimeout)

    def test_bringing_the_line_back_in_step_ends_nobody(self) -> None:
        """A module that sleeps answers nothing, and has lost nothing."""
        peer = Peer()
        slot = peer.open(access_mode=PUSH)
        peer.say(ERROR)
        peer.session.queue.add(ask("AT", Lane.RECOVERY, limit=2.0))
        peer.expect(b"AT\r")
        peer.say(pushed(0, b"data"))
        peer.wait(11.0)
        assert [event.answer.ok for event in peer.kept(Finished)] == [False]
        assert slot.is_live


class TestDamagedPolls:
    """A read that finds nothing may be damaged as well."""

    @pytest.mark.parametrize("torn", [b"+QIRD:0", b"QIRD: 0", b"+QRD: 0", b"+QI: 0", b"+QIRD 0"])
    def test_an_idle_socket_is_read_once_more(self, torn: bytes) -> None:
        """It said that there is nothing: nothing can have got lost."""
        peer = Peer()
        slot = peer.open()
        slot.readable = True
        peer.turn(READ, line(torn), OK)
        assert failures(peer) == []
        peer.wait(1.0)
        peer.session.resync()
        peer.session.resume()
        peer.turn(READ, EMPTY)
        peer.expect()
        assert slot.is_live

    @pytest.mark.parametrize("data", [b"plain text", b"x" * 30, b"12345 7890", b"OK then"])
    @pytest.mark.parametrize(
        "header", [b"+QIRD: 0,0", b"+QIRD: 0", b"+QIRD:0", b"+QIRD", b"QIRD: 0"]
    )
    def test_data_behind_an_empty_answer_show_that_it_was_none(
        self, header: bytes, data: bytes
    ) -> None:
        """The header has lost its length: the stream must not go on without them."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, len(data)))
        peer.turn(READ, line(header), data, b"\r\n", OK)
        peer.wait(1.0)
        assert failures(peer) == [slot]
        assert got(peer, slot) == b""

    @pytest.mark.parametrize("service_type", [ServiceType.TCP, UDP])
    def test_one_that_the_peer_has_closed_comes_to_its_end(self, service_type: ServiceType) -> None:
        """It is read again until the module says that nothing is left."""
        peer = Peer()
        slot = peer.open(service_type)
        peer.say(closed(0))
        peer.turn(READ, line(b"+QIR: 0"), OK)
        self.settle(peer)
        assert peer.kept(Drained) == [Drained(slot)]

    def test_a_datagram_socket_that_is_closed_and_has_a_damaged_read(self) -> None:
        """One datagram is lost, and the end comes in bounded time."""
        peer = Peer()
        slot = peer.open(UDP)
        peer.say(announced(0, 5), closed(0))
        peer.turn(READ, b"\r\n+QIRD: 5,0\r\nhell\r\n\r\nOK\r\n")
        self.settle(peer)
        assert len(peer.kept(DatagramLost)) == 1
        assert peer.kept(Drained) == [Drained(slot)]

    @staticmethod
    def settle(peer: Peer) -> list[Event]:
        """Bring the line back in step, and answer each read with nothing, for ten seconds."""
        peer.wait(1.0)
        peer.session.resync()
        peer.session.resume()
        for _ in range(10):
            peer.wait(1.0)
            for command in peer.written():
                assert command == READ + b"\r"
                peer.say(EMPTY)
        return peer.events
