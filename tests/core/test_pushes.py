"""PushGate: pushed data are handed over once they are known to be whole."""

import pytest

from aiobc9x.core.events import DataReceived, Failed
from aiobc9x.core.pushes import PATIENCE_S, SILENCE_S
from aiobc9x.core.slots import Slot
from aiobc9x.spec import AccessMode
from tests.core.peer import Peer

OWN_END, NEXT = b"\r\n", b"\r\n+CSCON: 1\r\n"


def push(data: bytes, *, lost: int = 0) -> bytes:
    """A pushed payload whose last bytes got lost, without what follows it."""
    header = b'\r\n+QIURC: "recv",0,%d\r\n' % len(data)
    return header + data[: len(data) - lost]


def pushing() -> tuple[Peer, Slot]:
    """A session with one socket in push mode."""
    peer = Peer()
    return peer, peer.open(access_mode=AccessMode.PUSH)


def delivered(peer: Peer) -> list[bytes]:
    """What the socket got."""
    return [event.data for event in peer.kept(DataReceived)]


class TestWholeData:
    """§2.3.2: nothing behind the data says that they are complete."""

    def test_next_answer_hands_them_over(self) -> None:
        """It begins where it should."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        assert delivered(peer) == []
        peer.say(NEXT)
        assert delivered(peer) == [b"hello"]

    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_silence_hands_them_over(self, end: bytes) -> None:
        """Data that lost bytes would still wait for them."""
        peer, _ = pushing()
        for data in (b"first", b"second"):
            peer.say(push(data) + end)
            assert peer.session.deadline() is not None
            peer.wait(SILENCE_S)
        assert delivered(peer) == [b"first", b"second"]
        assert peer.kept(Failed) == []

    def test_own_line_end_may_be_late(self) -> None:
        """A module that prints one is waited for."""
        peer, _ = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second"))
        peer.wait(SILENCE_S)
        assert delivered(peer) == [b"first"]
        peer.say(OWN_END)
        peer.wait(PATIENCE_S)
        assert delivered(peer) == [b"first", b"second"]

    def test_nothing_is_left_behind_a_reset(self) -> None:
        """The rest belongs to nobody."""
        peer, _ = pushing()
        peer.say(push(b"hello"))
        peer.say(b"\r\nRDY\r\n")
        peer.wait(1.0)
        assert delivered(peer) == [b"hello"]
        assert len(peer.kept(Failed)) == 1


class TestLostBytes:
    """Rule 6: bytes missing inside a payload end the connection, and none is wrong."""

    @pytest.mark.parametrize("lost", range(1, 9))
    @pytest.mark.parametrize("end", [b"", OWN_END])
    def test_traces_come_at_once(self, lost: int, end: bytes) -> None:
        """However many are lost, what was swallowed is not delivered."""
        peer, slot = pushing()
        peer.say(push(b"first one") + end + push(b"second one", lost=lost) + end + NEXT + NEXT)
        peer.wait(PATIENCE_S)
        assert delivered(peer) == [b"first one"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]

    def test_missing_line_end_is_a_trace(self) -> None:
        """The data swallowed the one that this module always prints."""
        peer, _ = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second", lost=2) + OWN_END)
        peer.wait(SILENCE_S)
        peer.wait(PATIENCE_S)
        assert delivered(peer) == [b"first"]
        assert len(peer.kept(Failed)) == 1

    def test_a_trace_counts_though_the_next_frame_is_slow(self) -> None:
        """On a slow line a long payload may take seconds behind the trace."""
        peer, slot = pushing()
        peer.say(push(b"first") + OWN_END + push(b"second", lost=2) + OWN_END)
        peer.wait(SILENCE_S)
        peer.say(push(b"third", lost=3))
        peer.wait(PATIENCE_S)
        peer.say(b"ird" + OWN_END + NEXT)
        assert delivered(peer) == [b"first"]
        assert [event.slot for event in peer.kept(Failed)] == [slot]
