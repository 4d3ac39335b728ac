"""Session: bytes in, events and bytes out; one class per rule of the architecture."""

from __future__ import annotations

from aiobc9x.core.events import DataReceived, Drained
from tests.core.peer import EMPTY, OK, Peer, announced, closed, line, received

READ = b"AT+QIRD=0,1024"


class TestEdge:
    """Rule 5: ``recv`` is edge-triggered."""

    def test_a_socket_is_read_until_it_is_empty(self) -> None:
        """A remaining length of 0 is that of one node: only a hint."""
        peer = Peer()
        slot = peer.open()
        peer.expect()
        peer.say(announced(0, 2))
        peer.turn(READ, received(b"ab"))
        peer.turn(READ, received(b"cd", 5))
        peer.turn(READ, EMPTY)
        peer.expect()
        assert peer.kept(DataReceived) == [DataReceived(slot, b"ab"), DataReceived(slot, b"cd")]

    def test_data_behind_an_empty_answer_are_not_forgotten(self) -> None:
        """The module won't announce them again (A28)."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 2))
        peer.turn(READ, received(b"ab"))
        peer.turn(READ, line(b"+QIRD: 0"), announced(0, 2), OK)
        peer.turn(READ, received(b"cd"))
        peer.turn(READ, EMPTY)
        peer.expect()
        assert peer.kept(DataReceived)[-1] == DataReceived(slot, b"cd")

    def test_an_end_behind_an_empty_answer_is_read_up_to(self) -> None:
        """Data may have come in between; only the next ``+QIRD: 0`` is the end."""
        peer = Peer()
        slot = peer.open()
        peer.say(announced(0, 2))
        assert not peer.turn(READ, line(b"+QIRD: 0"), closed(0), OK)[1:]
        peer.turn(READ, received(b"last"))
        peer.turn(READ, EMPTY)
        assert peer.events[-2:] == [DataReceived(slot, b"last"), Drained(slot)]
