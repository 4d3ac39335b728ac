"""Session: final results that may be pushed data, before anybody knows who pushes."""

import pytest

from aiobc9x.core.events import Finished, Job, Lane
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import Peer
from tests.support.words import ERROR, OK, announced, line, pushed

HEADERS = [announced(2, 6), line(b'+QIURC: "recv",2'), b'\r\n+QIURC: "recv",2,6,']


@pytest.fixture
def peer() -> Peer:
    """A session that is out of step, with a command in flight."""
    peer = Peer()
    peer.session.suspended = True
    peer.session.queue.add(Job(Qistate(), Lane.RECOVERY, explain=False))
    peer.expect(b"AT+QISTATE?\r")
    return peer


def results(peer: Peer) -> list[bool]:
    """Return what came of the commands that have ended."""
    return [event.answer.ok for event in peer.kept(Finished)]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(("last", "ok"), [(OK, True), (ERROR, False)])
def test_the_last_of_several_counts(peer: Peer, header: bytes, last: bytes, ok: bool) -> None:
    """The first may be data; a module answers once, within 0.3 s."""
    peer.say(header, OK)
    peer.expect()
    assert results(peer) == []
    peer.wait(0.2)
    peer.say(last)
    peer.wait(0.2)
    assert results(peer) == []
    peer.wait(2.0)
    assert results(peer) == [ok]


def test_the_only_one_counts_after_a_moment(peer: Peer) -> None:
    """It was the answer after all."""
    peer.say(announced(2, 6), OK)
    peer.wait(0.29)
    assert results(peer) == []
    peer.wait(0.02)
    assert results(peer) == [True]


def test_a_flood_does_not_put_it_off_for_ever(peer: Peer) -> None:
    """Two seconds, whatever comes."""
    for tick in range(60):
        peer.say(pushed(2, OK))
        assert (results(peer) == [True]) == (tick > 40), tick
        peer.wait(0.05)


@pytest.mark.parametrize(("seconds", "doubtful"), [(0.2, True), (0.4, False)])
def test_data_that_began_before_the_command(seconds: float, doubtful: bool) -> None:
    """Their end may come behind its first byte."""
    peer = Peer()
    peer.session.suspended = True
    peer.say(announced(2, 6))
    peer.wait(seconds)
    peer.session.queue.add(Job(Qistate(), Lane.RECOVERY, explain=False))
    peer.expect(b"AT+QISTATE?\r")
    peer.say(OK)
    assert results(peer) == ([] if doubtful else [True])


def test_in_step_nothing_is_doubtful() -> None:
    """It is known by then who pushes."""
    peer = Peer()
    peer.session.queue.add(Job(Qistate()))
    peer.turn(b"AT+QISTATE?", announced(2, 6), OK)
    assert results(peer) == [True]
