"""Session: the prompt of a send gets lost, and the module most likely waits for the data."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import DatagramLost, Failed, Finished, Job, OutOfStep, SendOver, Sent
from aiobc9x.core.sending import RESULT_LIMIT_S
from aiobc9x.core.session import ANSWER_TIMEOUT_S
from aiobc9x.errors import LinkTimeout
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.base import Raw
from tests.core.peer import Peer
from tests.support.words import ERROR, OK, PROMPT, SEND_OK, announced, explained

TCP, UDP = ServiceType.TCP, ServiceType.UDP

COMMAND_LIKE = [
    b"AT",
    b"at+cfun=0\r\n",
    b"x\rAT+QICLOSE=0",
    b"x\n at",
    b"\x00AT\x00",
    b"\xff\x7fAt",
    b"GET / HTTP/1.0\r\n\r\nATI",
]


def unprompted(service_type: ServiceType, data: bytes) -> Peer:
    """Let a send be begun by fixed length whose prompt doesn't come."""
    peer = Peer(send_form="fixed")
    slot = peer.open(service_type, wants_read=False)
    if slot.is_datagram:
        peer.session.send_datagram(slot, data)
    else:
        peer.session.write(slot, data)
    peer.expect(b"AT+QISEND=0,%d\r" % len(data))
    peer.wait(ANSWER_TIMEOUT_S + 0.3)
    return peer


@pytest.mark.parametrize("service_type", [TCP, UDP])
class TestData:
    """The data themselves are written: the peer gets right bytes."""

    def test_a_module_that_waits_for_them_takes_them(self, service_type: ServiceType) -> None:
        """And nothing has been lost but its prompt."""
        peer = unprompted(service_type, b"\x00\x01\x02")
        peer.expect(b"\x00\x01\x02")
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        assert [event.size_bytes for event in peer.kept(Sent)] == [3]
        assert peer.kept(Failed) + peer.kept(DatagramLost) + peer.kept(OutOfStep) == []
        assert peer.session.data_due == 0

    def test_a_prompt_that_comes_late_writes_them_once(self, service_type: ServiceType) -> None:
        """They are on their way already."""
        peer = unprompted(service_type, b"\x00\x01\x02")
        peer.expect(b"\x00\x01\x02")
        peer.say(PROMPT)
        peer.expect()
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        assert len(peer.kept(Sent)) == 1

    def test_a_module_that_missed_the_command_ends_the_send(
        self, service_type: ServiceType
    ) -> None:
        """It takes the data for nothing, or answers them with an ERROR."""
        peer = unprompted(service_type, b"\x00\x01\x02")
        peer.expect(b"\x00\x01\x02")
        peer.wait(RESULT_LIMIT_S + 1)
        lost = peer.kept(Failed) if service_type is TCP else peer.kept(DatagramLost)
        assert len(lost) == 1
        assert len(peer.kept(OutOfStep)) == 1
        assert len(peer.kept(SendOver)) == 1
        assert peer.session.data_due == 0
        assert peer.session.data_doubtful == 3
        peer.session.resume()
        assert peer.session.data_doubtful == 0

    @pytest.mark.parametrize("data", COMMAND_LIKE)
    def test_what_looks_like_a_command_is_not_written(
        self, service_type: ServiceType, data: bytes
    ) -> None:
        """A module that has missed AT+QISEND would obey it; how much it may wait for is kept."""
        peer = unprompted(service_type, data)
        peer.expect()
        lost = peer.kept(Failed) if service_type is TCP else peer.kept(DatagramLost)
        assert len(lost) == 1
        assert len(peer.kept(SendOver)) == 1
        assert peer.session.data_due == len(data)
        assert peer.session.suspended
        peer.session.resume()
        assert peer.session.data_due == 0

    @pytest.mark.parametrize("data", COMMAND_LIKE)
    def test_such_data_go_as_hex_where_they_may(
        self, service_type: ServiceType, data: bytes
    ) -> None:
        """Or inside quotes: then no prompt can get lost."""
        peer = Peer()
        slot = peer.open(service_type, wants_read=False)
        if slot.is_datagram:
            peer.session.send_datagram(slot, data)
        else:
            peer.session.write(slot, data)
        text = data if data.isascii() and data.isalnum() else data.hex().upper().encode()
        name = b"AT+QISEND" if text == data else b"AT+QISENDEX"
        peer.turn(b'%b=0,%d,"%b"' % (name, len(data), text), OK, SEND_OK)
        assert len(peer.kept(Sent)) == 1


class TestRefused:
    """ERROR, where the prompt was due."""

    def test_it_ends_the_wait(self) -> None:
        """The module waits for nothing."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.session.write(slot, b"\x00")
        peer.turn(b"AT+QISEND=0,1", ERROR)
        peer.turn(b"AT+QIGETERROR", explained(568))
        peer.wait(20)
        assert peer.kept(Failed) == []
        assert peer.session.data_due == 0

    def test_a_urc_meanwhile_changes_nothing(self) -> None:
        """The prompt is as overdue as before."""
        peer = Peer()
        slot = peer.open(wants_read=False)
        peer.session.write(slot, b"\x00")
        peer.expect(b"AT+QISEND=0,1\r")
        peer.say(announced(0, 5))
        peer.wait(ANSWER_TIMEOUT_S + 0.3)
        peer.expect(b"\x00")


class TestCallersOwn:
    """A command with a prompt that a caller has worded."""

    def test_its_data_are_written_alike(self) -> None:
        """After its own limit."""
        peer = Peer()
        job = Job(Raw("AT+QISEND=4,3", True), data=b"\x00\x01\x02", limit=3.0)
        peer.session.queue.add(job)
        peer.expect(b"AT+QISEND=4,3\r")
        peer.wait(3.3)
        peer.expect(b"\x00\x01\x02")
        peer.now += 0.1
        peer.say(OK, SEND_OK)
        assert [event.answer.ok for event in peer.kept(Finished)] == [True]

    def test_unless_they_look_like_a_command(self) -> None:
        """Then its caller gets a timeout."""
        peer = Peer()
        job = Job(Raw("AT+QISEND=4,3", True), data=b"ATI", limit=3.0)
        peer.session.queue.add(job)
        peer.expect(b"AT+QISEND=4,3\r")
        peer.wait(3.3)
        peer.expect()
        (finished,) = peer.kept(Finished)
        assert isinstance(finished.answer.failure, LinkTimeout)
        assert peer.session.data_due == 3
