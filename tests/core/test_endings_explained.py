"""Endings: what AT+QIGETERROR says on behalf of what was refused."""

import pytest

from aiobc9x.core.endings import Explain
from aiobc9x.core.events import (
    Answer,
    Failed,
    Finished,
    Job,
    OutOfStep,
    ReadRefused,
    SendOver,
    SendRefused,
    SendStalled,
)
from aiobc9x.core.receiving import Read
from aiobc9x.core.slots import SlotState
from aiobc9x.spec import Err
from aiobc9x.wire.commands.tcpip import Qigeterror, Qistate
from tests.core.desk import Desk, socket
from tests.core.peer import of


@pytest.fixture
def desk() -> Desk:
    """Make a desk."""
    return Desk()


class TestExplanations:
    """AT+QIGETERROR on behalf of what was refused."""

    @pytest.mark.parametrize(
        ("lines", "err"),
        [
            ((b"+QIGETERROR: 563,Socket identity has been used", b"OK"), 563),
            ((b"+QIGETERROR: what", b"OK"), None),
            ((b"OK",), None),
            ((b"+QIGETERROR: 563,x", b"ERROR"), None),
        ],
    )
    def test_a_job_gets_the_code(
        self, desk: Desk, lines: tuple[bytes, ...], err: int | None
    ) -> None:
        """If the module gave one."""
        job = Job(Qistate())
        assert desk.answer(Qigeterror(), Explain(job), *lines) == [Finished(job, Answer(err=err))]

    def test_silence_is_no_code(self, desk: Desk) -> None:
        """The job is done, and the step is lost."""
        job = Job(Qistate())
        finished, step = desk.expire(Qigeterror(), Explain(job))
        assert finished == Finished(job, Answer())
        assert isinstance(step, OutOfStep)

    def test_a_send_is_judged_by_its_code(self, desk: Desk) -> None:
        """Tried again, or refused for good."""
        slot = socket()
        send = desk.begin(slot, b"\x00")
        events = desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 567,x", b"OK")
        assert events == [SendRefused(slot, Err.SOCKET_CLOSED), SendOver(slot)]

    def test_an_inline_refusal_says_nothing(self, desk: Desk) -> None:
        """The bytes go again, by the other form."""
        slot = socket()
        send = desk.begin(slot)
        events = desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 552,x", b"OK")
        assert events == [SendOver(slot)]
        assert slot.outgoing == b"abc"

    def test_success_explains_no_refusal(self, desk: Desk) -> None:
        """The module doesn't count what it doesn't know as a TCP/IP command (§2.2.12)."""
        for data in (b"abc", b"\x00"):
            send = desk.begin(socket(), data)
            events = desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 0,x", b"OK")
            stalled = [SendStalled] if data[0] == 0 else []
            assert [type(event) for event in events] == [*stalled, SendOver]
        job = Job(Qistate())
        events = desk.answer(Qigeterror(), Explain(job), b"+QIGETERROR: 0,x", b"OK")
        assert events == [Finished(job, Answer(err=None))]

    def test_a_send_that_was_settled_meanwhile_is_left_alone(self, desk: Desk) -> None:
        """Its socket may be gone."""
        send = desk.begin(socket())
        desk.sender.outstanding = None
        assert desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 567,x", b"OK") == []

    def test_a_read_is_judged_by_its_socket(self, desk: Desk) -> None:
        """Bytes that it is known to hold are lost; else it is looked into, also at its end."""
        answer = (b"+QIGETERROR: 567,x", b"OK")
        plain, ended, holding = socket(), socket(SlotState.REMOTE_CLOSED), socket()
        holding.announced = 5
        command = Qigeterror()
        got = [
            desk.answer(command, Explain(Read(slot)), *answer)[0]
            for slot in (plain, ended, holding)
        ]
        assert got[:2] == [ReadRefused(plain, 567), ReadRefused(ended, 567)]
        assert [event.slot for event in of(Failed, got)] == [holding]

    def test_a_read_of_a_socket_that_is_gone(self, desk: Desk) -> None:
        """Nobody wants to know."""
        read = Read(socket(SlotState.CLOSING))
        assert desk.answer(Qigeterror(), Explain(read), b"OK") == []
        assert desk.answer(Qigeterror(), Explain(read), b"+QIGETERROR: 567,x", b"OK") == []
