"""Session: what the layers above read, and what they may ask of a socket."""

from __future__ import annotations

import math

import pytest

from aiobc9x.core import sockets
from aiobc9x.core.events import Failed, Finished, Job, SwitchRefused
from aiobc9x.core.session import Session
from aiobc9x.core.slots import TRANSITIONS, Slot, SlotState, SocketTable
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import AccessMode, ServiceType
from aiobc9x.wire.commands.base import Raw, ReceiveHex
from tests.core.peer import READ, Peer
from tests.support.words import EMPTY, OK, PROMPT, announced, closed, line, received


class TestAsked:
    """Only the session writes a slot; what is above asks for it."""

    def test_an_owner_is_kept(self) -> None:
        """And never looked at."""
        peer, owner = Peer(), object()
        slot = peer.open()
        peer.session.own(slot, owner)
        assert slot.owner is owner

    def test_bytes_and_datagrams_are_queued(self) -> None:
        """Whatever kind of buffer they come in."""
        peer = Peer()
        stream, datagrams = peer.open(), peer.open(ServiceType.UDP)
        for data in (b"ab", bytearray(b"cd"), memoryview(b"ef")):
            peer.session.write(stream, data)
        peer.session.send_datagram(datagrams, b"abc")
        assert bytes(stream.outgoing) == b"abcdef"
        assert (stream.unsent, datagrams.unsent) == (6, 3)

    def test_reads_are_wanted_or_not(self) -> None:
        """The first wish starts the time after which a silent socket is polled."""
        peer = Peer(poll_interval=10.0)
        slot = peer.open(wants_read=False)
        slot.last_read = 0.0
        peer.session.want_reads(slot, False, peer.now)
        assert peer.session.deadline() is None
        peer.session.want_reads(slot, True, peer.now)
        assert peer.session.deadline() == peer.now + 10.0
        peer.session.want_reads(slot, True, peer.now + 5.0)
        assert peer.session.deadline() == peer.now + 10.0

    def test_what_finds_a_hole_by_itself_goes_on_after_buff_full(self) -> None:
        """TLS."""
        peer = Peer()
        slot = peer.open()
        peer.session.mark_checked(slot)
        peer.say(line(b'+QIURC: "recv",0,"buff full"'))
        peer.turn(READ, received(b"ab"))
        assert peer.kept(Failed) == []

    def test_an_abandoned_open_is_closing_in_a_way(self) -> None:
        """Its ID will be free soon."""
        peer = Peer()
        slot = peer.session.sockets.reserve(ServiceType.TCP)
        assert slot is not None
        assert not peer.session.sockets.is_closing
        peer.session.abandon(slot)
        assert peer.session.sockets.is_closing

    def test_a_close_drops_what_was_to_be_sent_or_read(self) -> None:
        """Once and again; nobody waits for a switch that wasn't wanted."""
        peer = Peer()
        slot = peer.open()
        peer.session.write(slot, b"ab")
        peer.say(announced(0, 3))
        for _ in range(2):
            peer.session.begin_close(slot)
        assert slot.state is SlotState.CLOSING
        assert slot.unsent == 0
        peer.expect()
        assert [e for e in peer.session.take_events() if isinstance(e, SwitchRefused)] == []

    def test_a_connection_may_be_broken_off(self) -> None:
        """Once; a socket that is free has none."""
        peer = Peer()
        slot = peer.open()
        for _ in range(2):
            peer.session.break_off(slot, StreamBroken("QISTATE has no row"))
        assert [type(event) for event in peer.session.take_events()] == [Failed]
        gone = peer.open()
        peer.session.release(gone, peer.now)
        peer.session.break_off(gone, StreamBroken("too late"))
        assert peer.session.take_events() == []

    def test_one_that_the_peer_has_closed_may_be_broken_off_too(self) -> None:
        """A restart whose banner got lost has taken what was still to be read."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 3), closed(0))
        peer.session.break_off(slot, StreamBroken("QISTATE has no row"))
        assert [type(event) for event in peer.session.take_events()] == [Failed]
        peer.wait(30.0)
        peer.expect()
        assert peer.session.deadline() is None

    @pytest.mark.parametrize("mode", AccessMode)
    def test_a_socket_that_is_no_longer_opening_is_not_opened(self, mode: AccessMode) -> None:
        """Its owner has given it up."""
        peer = Peer()
        slot = peer.open(access_mode=mode)
        peer.session.begin_close(slot)
        peer.session.note_opened(slot)
        assert peer.session.take_events() == []
        peer.expect()


class TestRead:
    """What it tells."""

    def test_how_payloads_are_framed(self) -> None:
        """For whoever shows the dialogue."""
        peer = Peer()
        peer.open()
        pushing = peer.open(access_mode=AccessMode.PUSH)
        assert peer.session.framing() == (frozenset({pushing.connect_id}), False)
        peer.session.apply(ReceiveHex(True))
        assert peer.session.framing() == (frozenset({pushing.connect_id}), True)

    def test_where_data_seem_to_be_pushed(self) -> None:
        """Only while nobody knows which sockets push."""
        peer = Peer()
        assert peer.session.pushed_at == -math.inf
        peer.say(OK)
        peer.say(announced(2, 6))
        assert peer.session.pushed_at == peer.now

    @pytest.mark.parametrize("text", ["AT+QFUPL", "AT+X"])
    def test_a_prompt_that_is_no_sends(self, text: str) -> None:
        """Its data go out alike; no result follows."""
        peer = Peer()
        job = Job(Raw(text, True), data=b"abc")
        peer.session.queue.add(job)
        peer.turn(text.encode(), PROMPT)
        peer.expect(b"abc")
        peer.say(OK)
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]

    def test_what_is_written_is_a_command_or_its_data(self) -> None:
        """Data may look like a command; where they stand tells."""
        peer = Peer()
        session = peer.session
        assert not session.awaits_prompt
        assert not session.is_prompted
        session.queue.add(Job(Raw("AT+X", True), data=b"AT+Y\r"))
        peer.expect(b"AT+X\r")
        assert session.awaits_prompt
        assert not session.is_prompted
        peer.say(PROMPT)
        peer.expect(b"AT+Y\r")
        assert not session.awaits_prompt
        assert session.is_prompted

    def test_boots_count_every_banner_and_resets_those_in_step(self) -> None:
        """A module that was just switched on has not been reset."""
        session = Session()
        session.feed(line(b"RDY"), 0.0)
        assert (session.boots, session.statistics.resets) == (1, 0)
        session.resume()
        session.feed(line(b"RDY"), 1.0)
        assert (session.boots, session.statistics.resets) == (2, 1)


def test_sockets_have_their_former_name_too() -> None:
    """Scripts import them from there."""
    former = (sockets.TRANSITIONS, sockets.Slot, sockets.SlotState, sockets.SocketTable)
    assert former == (TRANSITIONS, Slot, SlotState, SocketTable)


@pytest.mark.parametrize("answer", [EMPTY, received(b"late")])
def test_a_read_of_a_socket_that_has_failed_meanwhile(answer: bytes) -> None:
    """Nobody is there any more."""
    peer = Peer()
    slot = peer.open()
    peer.say(announced(0, 4))
    peer.expect(READ + b"\r")
    peer.session.break_off(slot, StreamBroken("gone"))
    events = peer.say(answer)
    assert [type(event) for event in events] == [Failed]
