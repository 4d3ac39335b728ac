"""Session: ``ERROR`` to a read, which proves nothing; forms of sends that are refused."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import DataReceived, Drained, Failed, ReadRefused, SendStalled, Sent
from aiobc9x.core.receiving import REFUSALS_MAX, REFUSED_WAIT_S
from aiobc9x.core.sending import FORM_REST_S
from aiobc9x.core.slots import CLOSED_POLL_S, Slot
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import READ, Peer
from tests.support.words import (
    EMPTY,
    ERROR,
    OK,
    PROMPT,
    SEND_OK,
    announced,
    closed,
    explained,
    line,
    received,
)

CODES = [None, 550, 551, 552, 553, 555, 559, 567, 568]


def refused(peer: Peer, err: int | None) -> None:
    """Refuse a read, and explain it."""
    peer.turn(READ, ERROR)
    peer.turn(b"AT+QIGETERROR", explained(err) if err else ERROR)


def ended(peer: Peer, slot: Slot) -> bool:
    """Whether a socket has come to an end, of either kind."""
    ends = [event.slot for event in peer.kept(Drained)]
    return slot in ends + [event.slot for event in peer.kept(Failed)]


class TestEmptiness:
    """Only ``+QIRD: 0`` is the end of a stream."""

    @pytest.mark.parametrize("err", CODES)
    @pytest.mark.parametrize("service_type", [ServiceType.TCP, ServiceType.UDP])
    def test_a_closed_socket_is_looked_into_and_read_again(
        self, err: int | None, service_type: ServiceType
    ) -> None:
        """The module may have got AT+QIRD garbled: what it holds is not lost."""
        peer = Peer()
        slot = peer.open(service_type)
        peer.say(announced(0, 5))
        peer.turn(READ, received(b"hello"))
        peer.say(closed(0))
        refused(peer, err)
        assert peer.kept(ReadRefused) == [ReadRefused(slot, err)]
        assert not ended(peer, slot)
        peer.session.retry_read(slot, peer.now)  # QISTATE has shown its row
        peer.expect()
        peer.wait(REFUSED_WAIT_S[0])
        peer.turn(READ, received(b"last"))
        peer.turn(READ, EMPTY)
        assert [event.data for event in peer.kept(DataReceived)] == [b"hello", b"last"]
        assert peer.kept(Drained) == [Drained(slot)]

    @pytest.mark.parametrize("err", [551, 553, 568])
    def test_a_busy_module_has_lost_nothing_of_what_it_announced(self, err: int) -> None:
        """The read is tried again a little later."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        for wait in (0.5, 1.0, 2.0):
            refused(peer, err)
            peer.session.retry_read(slot, peer.now)
            peer.wait(wait * 0.9)
            peer.expect()
            assert peer.session.deadline() == pytest.approx(peer.now + wait * 0.1)
            peer.wait(wait * 0.1 + 0.001)
        peer.turn(READ, received(b"hello"))
        assert peer.kept(DataReceived) == [DataReceived(slot, b"hello")]
        assert peer.kept(Failed) == []

    def test_a_module_that_never_reads_it_again_ends_it(self) -> None:
        """Within a minute, with an error."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 5))
        started = peer.now
        for _ in range(REFUSALS_MAX + 1):
            refused(peer, 568)
            peer.session.retry_read(slot, peer.now)
            peer.wait(REFUSED_WAIT_S[1])
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert peer.now - started < 60

    def test_a_socket_that_qistate_shows_gone_and_empty_is_drained_by_its_owner(self) -> None:
        """No ``+QIRD: 0`` can say so any more."""
        peer = Peer()
        slot = peer.open()
        peer.session.note_remote_closed(slot)
        refused(peer, 567)
        peer.session.note_drained(slot)
        assert peer.session.take_events() == [Drained(slot)]
        peer.wait(60)
        peer.expect()
        assert peer.session.deadline() is None

    @pytest.mark.parametrize("error", [ERROR, line(b"+CME ERROR: 50")])
    def test_an_open_socket_that_is_refused_goes_on(self, error: bytes) -> None:
        """It is read when something is announced, or at the next poll."""
        peer = Peer(poll_interval=10.0)
        slot = peer.open()
        peer.wait(10.0)
        peer.turn(READ, error)
        peer.turn(b"AT+QIGETERROR", explained(552))
        assert peer.kept(ReadRefused) == [ReadRefused(slot, 552)]
        peer.say(announced(0, 5))
        peer.turn(READ, received(b"hello"))
        assert peer.kept(DataReceived) == [DataReceived(slot, b"hello")]


class TestClosedSockets:
    """Whatever gets lost, a socket that the peer has closed comes to its end."""

    @pytest.mark.parametrize("service_type", [ServiceType.TCP, ServiceType.UDP])
    def test_it_is_read_until_it_is_empty(self, service_type: ServiceType) -> None:
        """With polling switched off as well."""
        peer = Peer(poll_interval=0)
        slot = peer.open(service_type)
        peer.say(closed(0))
        peer.turn(READ, OK)  # damaged: there is no line
        if service_type is ServiceType.TCP:
            assert [event.slot for event in peer.kept(Failed)] == [slot]
            return
        peer.wait(1.0)
        peer.session.resync()
        peer.session.resume()
        peer.wait(CLOSED_POLL_S)
        peer.turn(READ, EMPTY)
        assert peer.kept(Drained) == [Drained(slot)]

    @pytest.mark.parametrize("err", [None, 550, 552, 553, 555])
    def test_a_push_socket_that_is_refused_a_send_while_the_peer_closes(
        self, err: int | None
    ) -> None:
        """Its end is said by ``"closed"``, whatever the refusal meant."""
        peer = Peer()
        slot = peer.open(access_mode=AccessMode.PUSH)
        peer.session.write(slot, b"\x00")
        peer.turn(b"AT+QISEND=0,1", ERROR)
        peer.expect(b"AT+QIGETERROR\r")
        peer.say(closed(0), explained(err) if err else ERROR)
        assert peer.kept(Drained) == [Drained(slot)]
        assert not peer.session.is_sending(slot)
        peer.wait(30.0)
        peer.expect()

    def test_a_lost_closed_that_qistate_shows(self) -> None:
        """The owner notes it, and the buffer is read up to the end."""
        peer = Peer()
        slot = peer.open()
        peer.session.note_remote_closed(slot)
        peer.turn(READ, received(b"last"))
        peer.turn(READ, EMPTY)
        assert peer.kept(Drained) == [Drained(slot)]


class TestForms:
    """A form that was refused is not tried for a while."""

    @pytest.mark.parametrize("err", [None, 550, 552, 553, 555])
    def test_a_passing_refusal_is_forgotten(self, err: int | None) -> None:
        """A busy module may refuse a form that it knows."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.session.write(slot, b"hello")
        peer.turn(b'AT+QISEND=0,5,"hello"', ERROR)
        peer.turn(b"AT+QIGETERROR", explained(err) if err else ERROR)
        self.by_prompt(peer, b"hello")
        assert peer.session.profile.inline_limit_bytes == 0
        peer.wait(FORM_REST_S[0] + 1)
        assert peer.session.profile.inline_limit_bytes == 1440
        peer.session.write(slot, b"again")
        peer.turn(b'AT+QISEND=0,5,"again"', OK, SEND_OK)
        assert peer.kept(Sent) == [Sent(slot, 5)] * 2
        assert peer.kept(SendStalled) == []

    def test_each_refusal_in_a_row_counts_for_longer(self) -> None:
        """A module that doesn't know a form is asked once a day in the end."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        rest = FORM_REST_S[0]
        for _ in range(3):
            peer.session.write(slot, b"hello")
            peer.turn(b'AT+QISEND=0,5,"hello"', ERROR)
            peer.turn(b"AT+QIGETERROR", explained(550))
            self.by_prompt(peer, b"hello")
            peer.wait(rest - 1)
            peer.session.write(slot, b"hello")
            self.by_prompt(peer, b"hello")
            peer.wait(2)
            rest *= 2

    def test_one_that_works_again_is_trusted_again(self) -> None:
        """The next refusal counts as briefly as the first."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        for _ in range(3):
            peer.session.write(slot, b"hello")
            peer.turn(b'AT+QISEND=0,5,"hello"', ERROR)
            peer.turn(b"AT+QIGETERROR", explained(550))
            self.by_prompt(peer, b"hello")
            peer.wait(FORM_REST_S[0] + 1)
            peer.session.write(slot, b"a")
            peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK)
            peer.session.write(slot, b"hello")
            peer.turn(b'AT+QISEND=0,5,"hello"', OK, SEND_OK)

    def test_a_shorter_one_tells_nothing_of_the_length_that_was_refused(self) -> None:
        """The next refusal in a row counts for longer all the same."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.session.write(slot, b"a")
        peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK)
        for rest in (FORM_REST_S[0], 2 * FORM_REST_S[0]):
            peer.session.write(slot, b"hello")
            peer.turn(b'AT+QISEND=0,5,"hello"', ERROR)
            peer.turn(b"AT+QIGETERROR", explained(550))
            self.by_prompt(peer, b"hello")
            peer.session.write(slot, b"a")
            peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_OK)
            peer.wait(rest - 2)
            peer.session.write(slot, b"hello")
            self.by_prompt(peer, b"hello")
            peer.wait(3)

    @staticmethod
    def by_prompt(peer: Peer, data: bytes) -> None:
        """Let a send go by fixed length."""
        peer.turn(b"AT+QISEND=0,%d" % len(data), PROMPT)
        peer.expect(data)
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        peer.wait(0.2)
        peer.expect()
