"""Session: bytes get lost while the access mode of a socket is switched (§2.2.7)."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import (
    DatagramLost,
    Failed,
    ModeSwitched,
)
from aiobc9x.spec import ServiceType
from tests.core.peer import READ
from tests.core.switching import (
    PUSH,
    TO_PUSH,
    got,
    switching,
)
from tests.support.words import EMPTY, ERROR, NEXT, OK, announced, line, pushed, received


class TestLosses:
    """Nothing is out of order and no hole is left."""

    def test_a_damaged_read_behind_the_switch_ends_a_stream(self) -> None:
        """Its bytes stood before what is held."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, b"\r\n+QIRD: 3,0\r\non\r\n\r\nOK\r\n")
        peer.wait(2.0)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert got(peer, slot) == b""

    @pytest.mark.parametrize("service_type", [ServiceType.TCP, ServiceType.UDP])
    @pytest.mark.parametrize("answer", [OK, b""])
    def test_a_doubt_during_the_switch_loses_what_was_pushed(
        self, service_type: ServiceType, answer: bytes
    ) -> None:
        """Nobody knows when its ``OK`` came: data behind it may have been framed as lines."""
        peer, slot = switching(PUSH, service_type)
        other = peer.open(access_mode=PUSH)
        peer.turn(READ, EMPTY)
        peer.expect(TO_PUSH + b"\r")
        peer.say(line(b'+QIUR: "recv",1,2'), answer, pushed(0, b"hello"), NEXT)
        peer.wait(12.0)
        lost = peer.kept(Failed) if service_type is ServiceType.TCP else peer.kept(DatagramLost)
        assert slot in [event.slot for event in lost]
        assert other.failed

    @pytest.mark.parametrize("result", [OK, ERROR])
    def test_data_may_hold_a_result_where_the_ok_got_lost(self, result: bytes) -> None:
        """They are pushed already, and framed as an announcement and lines."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH)
        peer.say(pushed(0, b"half a line"), pushed(0, result), pushed(0, b"rest"), NEXT)
        peer.wait(1.0)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert got(peer, slot) == b""

    @pytest.mark.parametrize("other", [b"RING", b"+DBGINFO:task 3", b"\x00"])
    def test_what_a_module_says_of_its_own_accord_is_no_data(self, other: bytes) -> None:
        """Also behind an announcement of what came before the switch."""
        peer, slot = switching(PUSH)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, announced(0, 3), line(other), OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, received(b"one"))
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"onetwo"

    def test_it_loses_a_datagram_alone(self) -> None:
        """The socket goes on, and its switch is completed."""
        peer, slot = switching(PUSH, ServiceType.UDP)
        peer.turn(READ, EMPTY)
        peer.turn(TO_PUSH, OK, pushed(0, b"two"), NEXT)
        peer.turn(READ, b"\r\n+QIRD: 3,0\r\non\r\n\r\nOK\r\n")
        peer.wait(2.0)
        assert len(peer.kept(DatagramLost)) == 1
        peer.session.resync()
        peer.session.resume()
        peer.turn(READ, EMPTY)
        assert got(peer, slot) == b"two"
        assert peer.kept(ModeSwitched) == [ModeSwitched(slot)]
