"""Session: what gets lost of datagrams; unlike a stream's, their socket goes on."""

from __future__ import annotations

from aiobc9x.core.events import DatagramLost, DataReceived, Failed, OutOfStep
from aiobc9x.core.sending import AFTERMATH_S
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import READ, Peer, of
from tests.support.words import (
    EMPTY,
    OK,
    PROMPT,
    SEND_FAIL,
    SEND_OK,
    announced,
    line,
    pushed,
    received,
)


def reasons(peer: Peer) -> list[str]:
    """Why datagrams were lost so far; nothing else may have failed."""
    assert peer.kept(Failed) == []
    lost = [event.reason for event in peer.kept(DatagramLost)]
    assert peer.session.statistics.datagrams_lost == len(lost)
    return lost


def test_send_ok_that_never_comes() -> None:
    """Nobody knows about that datagram; it is not sent again, the next one is."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.session.send_datagram(slot, b"a")
    peer.session.send_datagram(slot, b"b")
    peer.turn(b'AT+QISEND=0,1,"a"', OK)
    peer.wait(15)
    assert reasons(peer) == ["sent bytes may be lost: SEND OK did not come in time"]
    peer.expect()  # a result that still comes must not count for the next
    peer.wait(AFTERMATH_S)
    peer.turn(b'AT+QISEND=0,1,"b"', OK, SEND_OK)
    assert slot.unsent == 0


def test_send_fail() -> None:
    """The module could not take it."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.session.send_datagram(slot, b"a")
    peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
    assert len(reasons(peer)) == 1


def test_ok_where_the_prompt_was_due() -> None:
    """The step is lost, and with it one datagram."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.session.send_datagram(slot, b"\0")
    events = peer.turn(b"AT+QISEND=0,1", OK)
    assert len(of(OutOfStep, events)) == 1
    assert len(reasons(peer)) == 1
    assert slot.unsent == 0


def test_read_that_is_never_answered() -> None:
    """Pieces of a datagram that waited for its end go too."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.say(announced(0, 1100))
    peer.turn(READ, received(bytes(1024), 76))
    peer.expect(READ + b"\r")
    peer.wait(30)
    assert len(reasons(peer)) == 1
    assert not slot.fragments
    assert slot.is_live


def test_damaged_read() -> None:
    """A datagram with a hole is never delivered."""
    peer = Peer()
    peer.open(ServiceType.UDP)
    peer.say(announced(0, 4))
    peer.turn(READ, b"\r\n+QIRD: 4,0\r\nabc\r\n\r\nOK\r\n")
    peer.wait(2.0)
    assert len(reasons(peer)) == 1
    assert peer.kept(DataReceived) == []


def test_the_end_of_a_datagram_whose_beginning_is_damaged() -> None:
    """It is no datagram of its own; the next one is whole again."""
    peer = Peer()
    peer.open(ServiceType.UDP)
    peer.say(announced(0, 1100))
    peer.turn(READ, b"\r\n+QIRD: 1024,76\r\n" + bytes(1000) + b"\r\n\r\nOK\r\n")
    peer.wait(30)
    peer.session.resync()
    peer.session.resume()
    peer.turn(READ, received(b"t" * 50, 26))
    peer.turn(READ, received(b"t" * 26))
    assert peer.kept(DataReceived) == []
    peer.turn(READ, received(b"whole"))
    assert [event.data for event in peer.kept(DataReceived)] == [b"whole"]
    assert len(reasons(peer)) == 2


def test_a_damaged_read_behind_which_nothing_is() -> None:
    """The next datagram is whole."""
    peer = Peer()
    peer.open(ServiceType.UDP)
    peer.say(announced(0, 4))
    peer.turn(READ, b"\r\n+QIRD: 4,0\r\nabc\r\n\r\nOK\r\n")
    peer.wait(1)
    peer.session.resync()
    peer.session.resume()
    peer.turn(READ, EMPTY)
    peer.say(announced(0, 5))
    peer.turn(READ, received(b"whole"))
    assert [event.data for event in peer.kept(DataReceived)] == [b"whole"]
    assert len(reasons(peer)) == 1


def test_the_end_of_a_datagram_that_never_came() -> None:
    """It is counted like any other loss."""
    peer = Peer()
    peer.open(ServiceType.UDP)
    peer.say(announced(0, 1100))
    peer.turn(READ, received(bytes(1024), 76))
    peer.turn(READ, EMPTY)
    assert len(reasons(peer)) == 1


def test_prompted_datagram_is_sent() -> None:
    """Binary datagrams go at the prompt."""
    peer = Peer()
    slot = peer.open(ServiceType.UDP)
    peer.session.send_datagram(slot, b"\0")
    peer.turn(b"AT+QISEND=0,1", PROMPT)
    peer.expect(b"\0")
    peer.say(OK, SEND_OK)
    assert reasons(peer) == []
    assert slot.unsent == 0


def test_garbage_beside_pushed_datagrams() -> None:
    """It may have been one; the endpoint goes on, where a pushing stream ends."""
    peer = Peer()
    udp = peer.open(ServiceType.UDP, AccessMode.PUSH)
    peer.say(line(b"\x80garbage"))
    assert len(reasons(peer)) == 1
    peer.session.resume()
    peer.say(pushed(0, b"next"))
    peer.wait(0.1)
    peer.turn(b"AT", OK)
    assert peer.kept(DataReceived) == [DataReceived(udp, b"next")]
    tcp = peer.open(ServiceType.TCP, AccessMode.PUSH)
    peer.say(line(b"\x80garbage"))
    assert [event.slot for event in peer.kept(Failed)] == [tcp]
