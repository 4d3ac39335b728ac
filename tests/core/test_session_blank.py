"""Session: received data that are line ends or noise alone, whose header has lost its length."""

from __future__ import annotations

import pytest

from aiobc9x.core.events import Damaged, DataReceived, Failed
from aiobc9x.core.trust import NO_EMPTY_END
from aiobc9x.spec import AccessMode, ServiceType
from tests.core.peer import READ, Peer
from tests.support.words import EMPTY, OK, announced, line, pushed, received

HEADERS = [b"+QIRD: 0", b"+QIRD:0", b"+QIRD: 0,0"]
BLANK = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\x00", b"\xff\x00", b"\x00\r\n"]


def answer(peer: Peer, answer: bytes, *, cut: bool) -> None:
    """Let the session read, and answer, whole or byte by byte."""
    peer.say(announced(0, 1))
    peer.expect(READ + b"\r")
    for at in range(len(answer)):
        if cut:
            peer.say(answer[at : at + 1])
    if not cut:
        peer.say(answer)


@pytest.mark.parametrize("cut", [False, True])
class TestBlankData:
    """``+QIRD: 1,0`` without ``1,`` looks like an empty answer; only its line ends tell."""

    @pytest.mark.parametrize("listens", [False, True])
    @pytest.mark.parametrize("data", BLANK)
    @pytest.mark.parametrize("header", HEADERS)
    def test_they_are_lost(self, header: bytes, data: bytes, *, listens: bool, cut: bool) -> None:
        """The stream ends: it must not go on without them."""
        peer = Peer()
        slot = peer.open()
        if listens:
            peer.open(ServiceType.TCP_LISTENER)
        answer(peer, EMPTY, cut=cut)
        assert not peer.kept(Failed)
        answer(peer, line(header) + data + b"\r\n" + OK, cut=cut)
        assert [event.slot for event in peer.kept(Failed)] == [slot]
        assert [event.reason for event in peer.kept(Damaged)] == [NO_EMPTY_END]
        assert not peer.kept(DataReceived)

    @pytest.mark.parametrize("data", BLANK)
    def test_they_arrive_if_their_header_is_whole(self, data: bytes, *, cut: bool) -> None:
        """Whatever stands in front of them."""
        peer = Peer()
        slot = peer.open()
        answer(peer, EMPTY, cut=cut)
        answer(peer, received(data), cut=cut)
        assert peer.kept(DataReceived) == [DataReceived(slot, data)]
        assert not peer.kept(Failed)

    @pytest.mark.parametrize(
        "between",
        [
            b"\x00",
            b"\xff\x00",
            line(b"RING"),
            line(b"+CSCON: 1"),
            pushed(2, b"+QIRD: 0\r\n\r\n\r\n\r\nOK\r\n"),
        ],
    )
    def test_what_else_may_stand_there(self, between: bytes, *, cut: bool) -> None:
        """Noise, and what comes unasked: the socket is empty."""
        peer = Peer()
        peer.open()
        peer.open(wants_read=False)
        peer.open(access_mode=AccessMode.PUSH)
        for _ in range(2):
            answer(peer, EMPTY, cut=cut)
            answer(peer, line(b"+QIRD: 0") + between + OK, cut=cut)
            peer.wait(1)
        assert not peer.kept(Failed)
        assert not peer.kept(Damaged)

    def test_module_that_prints_more_blank_lines(self, *, cut: bool) -> None:
        """As nobody has seen one print just one behind +QIRD: 0, they are its way."""
        peer = Peer()
        peer.open()
        for _ in range(3):
            answer(peer, line(b"+QIRD: 0") + b"\r\n" + OK, cut=cut)
        assert not peer.kept(Failed)
        assert not peer.kept(Damaged)
