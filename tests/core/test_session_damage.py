"""Session: nothing is lost in silence, and no line of a damaged payload counts."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    DatagramLost,
    DataReceived,
    Failed,
    OutOfStep,
    ReadRefused,
    Restarted,
    SendStalled,
    UrcSeen,
)
from aiobc9x.core.slots import SlotState
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import READ, Peer, of
from tests.support.words import (
    EMPTY,
    ERROR,
    OK,
    SEND_FAIL,
    announced,
    closed,
    explained,
    line,
    pushed,
    received,
)


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
        assert peer.kept(DataReceived) == [DataReceived(slot, b"whole")]

    @pytest.mark.parametrize("left", [-7, 0, 4, 12])
    def test_a_read_that_has_swallowed_what_another_socket_was_pushed(self, left: int) -> None:
        """Its own OK is gone, so nobody knows what else its lost bytes were made up from."""
        peer = Peer()
        slot, other = peer.open(), peer.open(access_mode=AccessMode.PUSH)
        slot.readable = True
        whole, behind = received(b"x" * 200), pushed(1, b"abcdef") + closed(1)
        lost = len(whole) - whole.rindex(b"x") - 1 + len(behind) - left
        peer.turn(READ, whole.replace(b"x" * lost, b"", 1), behind)
        peer.wait(12)
        assert {event.slot for event in peer.kept(Failed)} == {slot, other}

    @pytest.mark.parametrize("service", [ServiceType.TCP, ServiceType.UDP])
    def test_data_behind_a_stray_error_belong_to_the_last_read(self, service: ServiceType) -> None:
        """The ERROR was another command's; a stream can't go on without them."""
        peer = Peer()
        other, slot = peer.open(), peer.open(service)
        peer.say(announced(1, 5))
        peer.turn(b"AT+QIRD=1,1024", ERROR)
        peer.expect(b"AT+QIGETERROR\r")
        events = peer.say(received(b"12345"))
        assert of(OutOfStep, events) == [
            OutOfStep("received data came when no AT+QIRD was in flight")
        ]
        lost = of(Failed, events) if service is ServiceType.TCP else of(DatagramLost, events)
        assert [event.slot for event in lost] == [slot]
        assert other.is_live

    def test_a_read_with_two_ends(self) -> None:
        """The ERROR stood for its data, or was another command's: they are lost."""
        peer = Peer()
        other, slot = peer.open(), peer.open()
        peer.say(announced(1, 5))
        peer.turn(b"AT+QIRD=1,1024", received(b"12345"))
        peer.expect(b"AT+QIRD=1,1024\r")
        events = peer.say(ERROR, OK)
        assert [event.slot for event in of(Failed, events)] == [slot]
        assert of(OutOfStep, events) == [OutOfStep("OK came when no command was in flight")]
        assert other.is_live

    def test_a_read_whose_second_end_comes_late(self) -> None:
        """It is taken for the answer to AT+QIGETERROR, which it can't be."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.turn(READ, received(b"12345"))
        peer.turn(READ, ERROR)
        peer.expect(b"AT+QIGETERROR\r")
        events = peer.say(OK)
        assert [event.slot for event in of(Failed, events)] == [slot]

    def test_a_refused_read_that_is_explained(self) -> None:
        """A module that is busy has lost nothing."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        peer.turn(READ, received(b"12345"))
        peer.turn(READ, ERROR)
        peer.turn(b"AT+QIGETERROR", explained(568))
        assert peer.kept(ReadRefused) == [ReadRefused(slot, 568)]
        assert peer.kept(Failed) == []

    def test_data_that_no_read_of_ours_can_have_asked_for(self) -> None:
        """Somebody else reads: the step is lost, and nobody knows out of which socket."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        datagrams = peer.open(service_type=ServiceType.UDP)
        listener = peer.open(service_type=ServiceType.TCP_LISTENER)
        events = peer.say(received(b"secret"))
        assert of(OutOfStep, events)
        assert [event.slot for event in of(Failed, events)] == [slot, other]
        assert [event.slot for event in of(DatagramLost, events)] == [datagrams]
        assert datagrams.is_live
        assert listener.is_live
        assert "secret" not in repr(events)

    def test_such_data_behind_a_loss_may_be_a_peers_text(self) -> None:
        """Or the answer to a read that was given up: nobody suffers for it."""
        peer = Peer()
        slot = peer.open()
        peer.say(ERROR)
        assert peer.session.suspended
        peer.say(received(b"12345"))
        assert slot.is_live

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
        events = peer.turn(READ, answer) + peer.wait(2.0)
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
        peer.wait(2.0)
        assert other.state is SlotState.OPEN
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.kept(Restarted) == []
        assert peer.kept(SendStalled) == []
        assert peer.session.sockets.get(4) is None
        assert len(peer.kept(OutOfStep)) == 1
        assert peer.kept(UrcSeen) == []

    @pytest.mark.parametrize(
        "header", [b"+QIRD: 0,0", b"+QIRD:0", b"+Q\xffIRD: 10,0", b"+QIRD: \x0010"]
    )
    def test_a_banner_in_a_read_without_data_is_checked(self, header: bytes) -> None:
        """Its header has lost a byte, or has one too many: what follows may be its data."""
        peer = Peer()
        slot, other = peer.open(), peer.open()
        peer.say(announced(0, 10))
        peer.turn(READ, line(header), line(b"RDY"), b"abc\r\n", OK)
        peer.wait(11.0)
        assert peer.kept(Restarted) == []
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert len(peer.kept(OutOfStep)) == 1
        assert other.is_live

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

    @pytest.mark.parametrize("final", [EMPTY, ERROR])
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
        peer.wait(2.0)
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
