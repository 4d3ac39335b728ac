"""Session: a switch to buffer mode before the one to push mode is complete (§2.2.7)."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import DataReceived, Failed, ModeSwitched
from aiobc9x.spec import AccessMode
from tests.core.peer import READ, Peer
from tests.core.switching import TO_BUFFER, TO_PUSH
from tests.support.words import EMPTY, ERROR, NEXT, OK, announced, explained, pushed, received


@pytest.mark.parametrize("left", [b"", b"one"])
def test_what_is_left_is_read_first(left: bytes) -> None:
    """It is older than what is held, or has been pushed: the announcement tells nothing."""
    peer = Peer()
    slot = peer.open()
    peer.session.switch_mode(slot, AccessMode.PUSH)
    peer.turn(READ, EMPTY)
    first = [] if left else [pushed(0, b"one")]
    peer.turn(TO_PUSH, announced(0, 3), OK, *first, pushed(0, b"two"), NEXT)
    peer.session.switch_mode(slot, AccessMode.BUFFER)
    if left:
        peer.turn(READ, received(left))
    peer.turn(READ, EMPTY)
    peer.turn(TO_BUFFER, OK)
    assert b"".join(event.data for event in peer.kept(DataReceived)) == b"onetwo"
    assert not peer.kept(Failed)
    assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
    assert slot.access_mode is AccessMode.BUFFER


@pytest.mark.parametrize("answer", [OK, ERROR])
def test_what_is_left_and_cannot_be_read_ends_a_stream(answer: bytes) -> None:
    """What is held has overtaken it, whatever becomes of the switch."""
    peer = Peer()
    slot = peer.open()
    peer.session.switch_mode(slot, AccessMode.PUSH)
    peer.turn(READ, EMPTY)
    peer.turn(TO_PUSH, announced(0, 3), OK, pushed(0, b"two"), NEXT)
    peer.turn(READ, ERROR)
    peer.turn(b"AT+QIGETERROR", explained(555))
    peer.turn(TO_BUFFER, answer)
    if answer == ERROR:
        peer.turn(b"AT+QIGETERROR", explained(555))
    assert [event.slot for event in peer.kept(Failed)] == [slot]
    assert not peer.kept(DataReceived)


@pytest.mark.parametrize("answer", [OK, ERROR])
def test_what_is_pushed_meanwhile_is_delivered(answer: bytes) -> None:
    """It was pushed before the module switched back, or refused to."""
    peer = Peer()
    slot = peer.open()
    peer.session.switch_mode(slot, AccessMode.PUSH)
    peer.turn(READ, EMPTY)
    peer.turn(TO_PUSH, OK)
    peer.session.switch_mode(slot, AccessMode.BUFFER)
    peer.turn(TO_BUFFER, pushed(0, b"two"), NEXT, answer)
    if answer == ERROR:
        peer.turn(b"AT+QIGETERROR", explained(568))
    assert peer.kept(DataReceived) == [DataReceived(slot, b"two")]
    assert not peer.kept(Failed)
