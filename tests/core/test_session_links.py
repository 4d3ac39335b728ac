"""Session: another link in place of one that was lost."""

from __future__ import annotations

from aiobc9x.core.events import Failed, Finished, Job, Lane
from aiobc9x.errors import LinkLost
from aiobc9x.wire.commands.base import Raw
from tests.core.peer import Peer
from tests.support.words import OK, line


def test_what_was_asked_for_meanwhile_waits_on() -> None:
    """A link that is lost again before the line was in step has carried nothing of it."""
    peer = Peer()
    slot = peer.open()
    before, meanwhile = Job(Raw("AT+CSQ")), Job(Raw("AT+CGSN"))
    peer.session.queue.add(before)
    peer.events += peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
    peer.session.begin_anew(9600)
    of_the_link = Job(Raw("AT"), Lane.RECOVERY)
    of_the_socket = Job(Raw("AT+QISTATE=1,0"), slot=slot)
    of_nobody = Job(Raw("AT+QICLOSE=3"), Lane.CLOSE)
    for job in (meanwhile, of_the_link, of_the_socket, of_nobody):
        peer.session.queue.add(job)
    peer.events += peer.session.fail(lambda: LinkLost("again"), peer.now)
    failed = [(event.job, str(event.answer.failure)) for event in peer.kept(Finished)]
    assert failed[0] == (before, "[Errno 103] unplugged")
    assert {job for job, _ in failed[1:]} == {of_the_link, of_the_socket, of_nobody}
    peer.session.begin_anew(9600)
    peer.session.resume()
    peer.turn(b"AT+CGSN", line(b"123456789012345"), OK)
    assert peer.kept(Finished)[-1].job is meanwhile
    # In step in between: what waits now was asked for before this loss.
    peer.session.queue.add(last := Job(Raw("AT+CSQ")))
    peer.events += peer.session.fail(lambda: LinkLost("once more"), peer.now)
    assert peer.kept(Finished)[-1].job is last


def test_what_was_asked_for_while_out_of_step_waits_on() -> None:
    """It was never written: a link that is lost then has carried nothing of it."""
    peer = Peer()
    peer.session.queue.add(before := Job(Raw("AT+CSQ")))
    peer.say(line(b"ERROR"))
    assert peer.session.suspended
    peer.session.queue.add(Job(Raw("AT+CGSN")))
    peer.events += peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
    assert [event.job for event in peer.kept(Finished)] == [before]


def test_nothing_waits_for_a_link_that_never_comes() -> None:
    """The modem is closed: whatever was asked for meanwhile fails too."""
    peer = Peer()
    peer.events += peer.session.fail(lambda: LinkLost("unplugged"), peer.now)
    peer.session.queue.add(job := Job(Raw("AT+CSQ")))
    peer.events += peer.session.fail(lambda: LinkLost("closed"), peer.now, for_good=True)
    assert [event.job for event in peer.kept(Finished)] == [job]
    assert not peer.session.queue.waiting


def test_a_second_banner_spares_what_waits_for_the_boot() -> None:
    """One boot prints several (F43): calls made between two of them go on waiting."""
    peer = Peer()
    peer.say(line(b"RDY"))
    peer.session.queue.add(job := Job(Raw("AT+CSQ")))
    peer.say(line(b"RDY"))
    assert peer.kept(Finished) == []
    peer.session.resume()
    peer.turn(b"AT+CSQ", line(b"+CSQ: 20,0"), OK)
    assert [event.job for event in peer.kept(Finished)] == [job]


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
