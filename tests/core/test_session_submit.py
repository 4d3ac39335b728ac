"""Session: a job that goes out at once, because nobody else wants the line."""

from collections.abc import Callable

import pytest

from aiobc9x.core.events import Finished, Job, Lane
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.wire.commands.radio import Cgatt
from aiobc9x.wire.commands.tcpip import Qistate
from tests.core.peer import PROMPT, Peer, ask
from tests.support.words import ERROR, OK, SEND_FAIL, closed, line


def at_rest(peer: Peer) -> None:
    """Do nothing."""


def socket_at_rest(peer: Peer) -> None:
    """Open a socket that has nothing to read or to send."""
    peer.open()


def socket_that_is_full(peer: Peer) -> None:
    """Open a socket that may hold data that nobody has room for."""
    slot = peer.open()
    slot.readable, slot.wants_read = True, False


def socket_to_read(peer: Peer) -> None:
    """Open a socket that may hold data."""
    peer.open().readable = True


def socket_to_send(peer: Peer) -> None:
    """Open a socket that has something to send."""
    peer.open().outgoing += b"a"


def command_and_socket(peer: Peer) -> None:
    """Let a command have its turn while a socket waits for its own."""
    peer.session.queue.add(ask("AT+FIRST"))
    peer.turn(b"AT+FIRST", OK)
    socket_to_read(peer)


def stalled(peer: Peer) -> None:
    """Let a send be refused for the time being."""
    slot = peer.open()
    slot.outgoing += b"a"
    peer.turn(b'AT+QISEND=0,1,"a"', OK, SEND_FAIL)
    peer.session.retry_send(slot, peer.now)


def sending(peer: Peer) -> None:
    """Leave the result of a send outstanding."""
    peer.open().outgoing += b"a"
    peer.turn(b'AT+QISEND=0,1,"a"', OK)


def in_flight(peer: Peer) -> None:
    """Leave a command without its answer."""
    peer.session.queue.add(ask("AT+FIRST"))
    peer.expect(b"AT+FIRST\r")


def queued(peer: Peer) -> None:
    """Let another command wait."""
    peer.session.queue.add(ask("AT+FIRST"))


def closing(peer: Peer) -> None:
    """Let a close wait."""
    peer.session.queue.add(ask("AT+QICLOSE=5", Lane.CLOSE))


def refused(peer: Peer) -> None:
    """Let a refusal wait to be explained."""
    peer.session.queue.add(Job(Qistate()))
    peer.turn(b"AT+QISTATE?", ERROR)


def out_of_step(peer: Peer) -> None:
    """Suspend the session."""
    peer.say(OK)
    assert peer.session.suspended


def stuck(peer: Peer) -> None:
    """Let bytes wait that end a data mode."""
    peer.session.write_raw(b"\x1b\r")


def asleep(peer: Peer) -> None:
    """Let the module sleep."""
    peer.session.idle_limit = 8.0
    peer.say(b'\r\n+QNBIOTEVENT: "ENTER PSM"\r\n')


def in_a_gap(peer: Peer) -> None:
    """Come too soon behind a final result."""
    peer.session.profile = ModuleProfile(command_gap_ms=20)
    in_flight(peer)
    peer.say(OK)


def outcome(
    prepare: Callable[[Peer], None], lane: Lane, submit: bool
) -> tuple[list[bytes], object, float | None, object]:
    """Return all that a session says of one job more, submitted or just queued."""
    peer = Peer()
    prepare(peer)
    job = Job(Qistate(), lane)
    if submit:
        first = peer.session.submit(job, peer.now)
        written = [first] if first is not None else []
        written += peer.written()
    else:
        peer.session.queue.add(job)
        written = peer.written()
    events = [type(event) for event in peer.session.take_events()]
    return written, events, peer.session.deadline(), peer.session.statistics


STATES = [
    at_rest,
    socket_at_rest,
    socket_that_is_full,
    socket_to_read,
    socket_to_send,
    command_and_socket,
    stalled,
    sending,
    in_flight,
    queued,
    closing,
    refused,
    out_of_step,
    stuck,
    asleep,
    in_a_gap,
]


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("prepare", STATES, ids=lambda state: str(state.__name__))
def test_a_job_goes_when_it_would_have_gone(prepare: Callable[[Peer], None], lane: Lane) -> None:
    """At once or in its turn: the same is written, reported, awaited and counted."""
    assert outcome(prepare, lane, submit=True) == outcome(prepare, lane, submit=False)


@pytest.mark.parametrize("prepare", STATES, ids=lambda state: str(state.__name__))
def test_it_goes_at_once_only_if_nobody_wants_the_line(prepare: Callable[[Peer], None]) -> None:
    """Whoever waits already is not overtaken."""
    peer = Peer()
    prepare(peer)
    went = peer.session.submit(Job(Qistate()), peer.now) is not None
    assert went == (prepare in {at_rest, socket_at_rest, socket_that_is_full})
    assert peer.session.queue.waiting == (not went) + (prepare in {queued, closing})


def test_it_has_had_its_turn() -> None:
    """A socket that wants the line meanwhile goes before the next command."""
    peer = Peer()
    slot = peer.open()
    assert peer.session.submit(ask("AT+A"), peer.now) == b"AT+A\r"
    assert (due := peer.session.deadline()) == peer.session.answer_due
    assert peer.session.deadline(before=due + 1.0) == due
    assert peer.session.deadline(before=due) is None, "it is called then anyway"
    peer.session.queue.add(ask("AT+B"))
    slot.readable = True
    peer.say(OK)
    peer.expect(b"AT+QIRD=0,1024\r")
    assert [event.answer.ok for event in peer.kept(Finished)] == [True]


def test_one_may_go_behind_the_other() -> None:
    """As long as nobody else wants the line."""
    peer = Peer()
    for _ in range(3):
        assert peer.session.submit(ask("AT+A"), peer.now) == b"AT+A\r"
        peer.say(OK)
    assert [event.answer.ok for event in peer.kept(Finished)] == [True] * 3


def test_no_answer_is_due_if_nothing_is_in_flight() -> None:
    """Not even if something else is."""
    peer = Peer()
    peer.open()
    peer.session.poll_interval = 10.0
    assert peer.session.deadline() is not None
    assert peer.session.answer_due == float("inf")


def test_silence_is_counted_from_the_end_of_the_line() -> None:
    """While an answer is owed alone; any byte of the module ends it, the data's own time too."""
    peer = Peer()
    assert peer.session.silence(peer.now + 60.0) == 0.0, "nothing is owed"
    assert peer.session.submit(ask("AT+A"), peer.now) == b"AT+A\r"
    assert peer.session.silence(peer.now + 0.001) == 0.0, "it may still be on the way"
    peer.wait(3.0)
    assert peer.session.silence(peer.now) == pytest.approx(3.0, abs=0.01)
    peer.say(closed(5))
    assert peer.session.silence(peer.now) == 0.0
    peer.say(OK)
    assert peer.session.silence(peer.now + 60.0) == 0.0
    slot = peer.open()
    peer.session.write(slot, bytes(960))
    (command,) = peer.written()
    assert command == b"AT+QISEND=0,960\r"
    peer.say(PROMPT)
    peer.written()
    assert peer.session.silence(peer.now + 1.5) == pytest.approx(0.5, abs=0.05), "at 9600 bit/s"


def test_what_waits_for_the_network_tells_nothing_of_the_line() -> None:
    """Attaching may take minutes; latency is told by commands that the module answers itself."""
    peer = Peer()
    peer.session.queue.add(Job(Cgatt(1)))
    peer.expect(b"AT+CGATT=1\r")
    peer.wait(10.0)
    peer.say(OK)
    assert peer.session.line.latency_s == 0
    peer.session.queue.add(Job(Qistate()))
    peer.expect(b"AT+QISTATE?\r")
    peer.wait(0.1)
    peer.say(line(b"+QIURC: x"), closed(5), OK)
    assert peer.session.line.latency_s == pytest.approx(0.1, rel=0.1)
