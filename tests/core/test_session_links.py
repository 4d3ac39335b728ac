"""Session: another link in place of one that was lost."""

from __future__ import annotations

from aiobc9x.core.events import Failed, Finished, Job
from aiobc9x.errors import LinkLost
from aiobc9x.wire.commands.base import Raw
from tests.core.peer import Peer
from tests.support.words import OK, line


def test_another_link_begins_anew() -> None:
    """What was half received is nobody's; jobs wait; echoes are normal; the rate is another."""
    peer = Peer()
    slot = peer.open()
    peer.say(b"\r\n+QIURC: half a line")
    peer.events += peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
    assert [event.slot for event in peer.kept(Failed)] == [slot]
    damages = peer.session.statistics.damages
    peer.session.begin_anew(9600)
    assert peer.session.statistics.damages == damages + 1
    assert peer.session.baudrate == 9600
    job = Job(Raw("AT+CSQ"))
    assert peer.session.submit(job, peer.now) is None
    peer.expect()
    peer.say(line(b"OK"))
    peer.session.resume()
    peer.expect(b"AT+CSQ\r")
    peer.say(b"AT+CSQ\r", OK)
    assert [event.job for event in peer.kept(Finished)] == [job]
    assert peer.session.echo_expected
