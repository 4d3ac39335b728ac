"""The state machine of one send: each row of its table, and any order of what may happen."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiobc9x.core.events import Failed, OutOfStep, SendOver, Sent
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import (
    ANY_FORM,
    TRANSITIONS,
    Send,
    Sender,
    SendForm,
    SendState,
    SendStep,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import LinkLost
from aiobc9x.spec import ServiceType
from tests.core.peer import Peer
from tests.support.words import ERROR, OK, PROMPT, SEND_FAIL, SEND_OK, explained

S, P = SendState, SendStep

ROWS = [
    (S.ASKED, P.PROMPT, S.PROMPTED),
    (S.PROMPTED, P.WRITE, S.WRITTEN),
    (S.WRITTEN, P.ACCEPT, S.ACCEPTED),
    (S.WRITTEN, P.RESULT, S.SETTLED),
    (S.ACCEPTED, P.RESULT, S.OVER),
    (S.SETTLED, P.RESULT, S.SETTLED),
    (S.SETTLED, P.ACCEPT, S.OVER),
    (S.SETTLED, P.DISTRUST, S.ACCEPTED),
    (S.SETTLED, P.EXPIRE, S.OVER),
    *((state, P.REFUSE, S.OVER) for state in S if state not in {S.LOST, S.OVER}),
    *((state, P.LOSE, S.LOST) for state in S if state is not S.OVER),
    (S.LOST, P.EXPIRE, S.OVER),
]


def send(state: SendState, form: SendForm = SendForm.INLINE) -> Send:
    """Make a send in a state."""
    slot = Slot(0, 1, ServiceType.TCP, state=SlotState.OPEN)
    return Send(slot, b"abc", form, state=state)


class TestTable:
    """What a step makes of a state."""

    @pytest.mark.parametrize(("state", "step", "after"), ROWS)
    def test_each_row(self, state: SendState, step: SendStep, after: SendState) -> None:
        """As the docstring draws it."""
        made = send(state)
        assert made.step(step)
        assert made.state is after

    @pytest.mark.parametrize(
        ("state", "step"), sorted(set(product(S, P)) - {row[:2] for row in ROWS}, key=str)
    )
    def test_what_the_table_lacks_changes_nothing(self, state: SendState, step: SendStep) -> None:
        """Late, doubled, or of another send."""
        made = send(state)
        assert not made.step(step)
        assert made.state is state

    def test_there_are_no_other_rows(self) -> None:
        """The table is the whole truth."""
        assert {(state, step): after for state, step, after in ROWS} == TRANSITIONS

    @pytest.mark.parametrize(
        ("payload", "first"), [(b"text", S.WRITTEN), (b"\nAT", S.WRITTEN), (b"\xff" * 99, S.ASKED)]
    )
    def test_data_on_the_line_are_written_with_it(self, payload: bytes, first: SendState) -> None:
        """At the prompt it is too early for a result: the module has no data yet."""
        sender = Sender(ModuleProfile(), ANY_FORM)
        slot = Slot(0, 1, ServiceType.TCP, state=SlotState.OPEN, outgoing=bytearray(payload))
        assert sender.begin(slot, LineTiming(11520.0), 0.0).state is first

    def test_over_is_the_end(self) -> None:
        """Nothing leads out of it."""
        assert not [state for state, _ in TRANSITIONS if state is S.OVER]

    @pytest.mark.parametrize("state", S)
    def test_it_waits_or_keeps_its_place_in_one_state_each(self, state: SendState) -> None:
        """Between OK and the result others may run."""
        assert send(state).is_waiting == (state is S.ACCEPTED)
        assert send(state).is_lost == (state is S.LOST)


SAID = {"prompt": PROMPT, "ok": OK, "send ok": SEND_OK, "send fail": SEND_FAIL, "error": ERROR}

orders = st.lists(st.sampled_from([*SAID, "a moment", "a second", "a long time"]), max_size=8)

PAYLOADS = {"inline": b"text", "fixed": b"\x00\xff"}


class Dialogue:
    """A socket that sends once, and a module that says anything in any order."""

    def __init__(self, service_type: ServiceType, data: bytes) -> None:
        self.peer = Peer()
        self.slot = self.peer.open(service_type, wants_read=False)
        if self.slot.is_datagram:
            self.peer.session.send_datagram(self.slot, data)
        else:
            self.peer.session.write(self.slot, data)
        self.written: list[bytes] = []
        self.begun = 0

    def write(self) -> None:
        """Let the session write; a refusal is explained at once as one that may pass."""
        for data in iter(lambda: self.peer.session.next_output(self.peer.now), None):
            self.written.append(data)
            self.begun += data.startswith(b"AT+QISEND")
            if data == b"AT+QIGETERROR\r":
                self.peer.say(explained(568))

    def act(self, what: str) -> None:
        """Let one thing happen."""
        match what:
            case "a moment":
                self.peer.wait(0.4)
            case "a second":
                self.peer.wait(1.1)
            case "a long time":
                self.peer.wait(16.0)
            case _:
                self.peer.now += 0.2
                self.peer.say(SAID[what])
        self.write()
        self.check()

    def check(self) -> None:
        """Check what holds at any time."""
        session = self.peer.session
        if session.is_sending(self.slot):
            assert session.deadline() is not None, "nothing would ever end this send"
        confirmed = [event for event in self.peer.kept(Sent) if event.slot is self.slot]
        assert len(confirmed) <= 1, "the same bytes twice"

    def finish(self) -> None:
        """Let time pass until the send is over, or has been retried for long enough."""
        for _ in range(12):
            self.peer.wait(16.0)
            self.write()
            self.check()


def played(kind: ServiceType, data: bytes, order: list[str]) -> Dialogue:
    """Play a dialogue to its end; each AT+QISEND in it has one."""
    dialogue = Dialogue(kind, data)
    dialogue.write()
    for what in order:
        dialogue.act(what)
    dialogue.finish()
    assert not dialogue.peer.session.is_sending(dialogue.slot)
    assert len(dialogue.peer.kept(SendOver)) == dialogue.begun
    return dialogue


@given(order=orders, kind=st.sampled_from(list(PAYLOADS)))
@settings(max_examples=300)
def test_whatever_comes_in_whatever_order_ends_a_streams_send_once(
    order: list[str], kind: str
) -> None:
    """Each AT+QISEND has one end, its bytes count once at most, and nothing hangs."""
    data = PAYLOADS[kind]
    dialogue = played(ServiceType.TCP, data, order)
    peer = dialogue.peer
    sent = peer.kept(Sent)
    assert sent in ([], [Sent(dialogue.slot, len(data))])
    failed = [event.slot for event in peer.kept(Failed)]
    assert failed in ([], [dialogue.slot])
    assert not (sent and failed), "confirmed bytes of a connection that failed"
    assert dialogue.slot.unsent == (0 if sent else len(data))


@given(order=orders, kind=st.sampled_from(list(PAYLOADS)))
@settings(max_examples=200)
def test_whatever_comes_in_whatever_order_ends_a_datagrams_send_once(
    order: list[str], kind: str
) -> None:
    """It is sent once at most, and its socket goes on with the next one."""
    dialogue = played(ServiceType.UDP, PAYLOADS[kind], order)
    peer = dialogue.peer
    assert peer.kept(Failed) == []
    assert dialogue.slot.unsent == 0 or peer.session.suspended


@given(order=orders)
@settings(max_examples=100)
def test_the_next_send_waits_for_the_end_of_the_last(order: list[str]) -> None:
    """``SEND OK`` names no socket, so two sends never wait for one (§4.1.2)."""
    dialogue = Dialogue(ServiceType.TCP, b"text")
    other = dialogue.peer.open(wants_read=False)
    dialogue.write()
    dialogue.peer.session.write(other, b"more")
    for what in order:
        before = dialogue.begun
        dialogue.act(what)
        over = len(dialogue.peer.kept(SendOver))
        assert dialogue.begun - before <= 1 or dialogue.peer.kept(OutOfStep)
        assert dialogue.begun <= over + 1


@pytest.mark.parametrize("kind", list(PAYLOADS))
@pytest.mark.parametrize("order", [(), ("ok",), ("prompt",), ("prompt", "ok"), ("send ok",)])
def test_a_lost_link_ends_it_too(kind: str, order: tuple[str, ...]) -> None:
    """Whoever waits for its end hears of it."""
    dialogue = Dialogue(ServiceType.TCP, PAYLOADS[kind])
    dialogue.write()
    for what in order:
        dialogue.act(what)
    session, peer = dialogue.peer.session, dialogue.peer
    peer.events += session.fail(lambda: LinkLost("unplugged"), peer.now)
    assert len(peer.kept(SendOver)) == dialogue.begun == 1
    assert not session.is_sending(dialogue.slot)
