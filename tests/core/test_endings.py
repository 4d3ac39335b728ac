"""Endings: what the end of an exchange means for whoever wanted it."""

import pytest

from aiobc9x.core.endings import Consequence, Endings, Explain, Purpose
from aiobc9x.core.events import (
    Answer,
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    Finished,
    Job,
    OutOfStep,
    ReadRefused,
    SendRefused,
    SendStalled,
    Sent,
)
from aiobc9x.core.exchange import Exchange
from aiobc9x.core.forms import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.receiving import Read
from aiobc9x.core.sending import RESULT_LIMIT_S, Send, Sender
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import LinkTimeout, StreamBroken
from aiobc9x.spec import Err, ServiceType
from aiobc9x.wire.base import Raw
from aiobc9x.wire.commands import Command, Qigeterror, Qird, Qistate
from aiobc9x.wire.framer import Payload
from aiobc9x.wire.network import At
from tests.core.peer import of

ROW = b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0'


class Desk:
    """Endings with all that they work on."""

    def __init__(self) -> None:
        self.sender, self.statistics = Sender(ModuleProfile()), Statistics()
        self.endings = Endings(self.sender, self.statistics)

    def answer(
        self,
        command: Command[object],
        purpose: Purpose,
        *lines: bytes | Payload,
        lost: bool = False,
        length_shown: bool = True,
    ) -> list[Consequence]:
        """End an exchange with an answer, at 10 s."""
        exchange = Exchange(command, purpose, 0.0, 2.0)
        for item in lines:
            if isinstance(item, Payload):
                exchange.on_payload(item)
            else:
                exchange.on_line(item)
        return list(self.endings.answered(exchange, 10.0, lost=lost, length_shown=length_shown))

    def expire(self, command: Command[object], purpose: Purpose) -> list[Consequence]:
        """End an exchange without one."""
        return list(self.endings.expired(Exchange(command, purpose, 0.0, 2.0), 10.0))

    def read(self, slot: Slot, *lines: bytes | Payload, shown: bool = True) -> list[Consequence]:
        """End a read."""
        return self.answer(Qird(2), Read(slot), *lines, length_shown=shown)

    def begin(self, slot: Slot, data: bytes = b"abc") -> Send:
        """Begin a send."""
        if slot.is_datagram:
            slot.datagrams.append(data)
        else:
            slot.outgoing += data
        return self.sender.begin(slot, LineTiming(11520.0))

    def begin_job(self) -> Job:
        """Begin a send that a caller has worded."""
        job = Job(Raw("AT+QISEND=0,3", True), data=b"abc")
        self.sender.begin_job(job)
        return job


@pytest.fixture
def desk() -> Desk:
    """Make a desk."""
    return Desk()


def socket(state: SlotState = SlotState.OPEN, kind: ServiceType = ServiceType.TCP) -> Slot:
    """Make a socket."""
    return Slot(2, 1, kind, state=state)


UDP = ServiceType.UDP


class TestJobs:
    """Commands that somebody awaits."""

    def test_ok_brings_the_lines(self, desk: Desk) -> None:
        """In order."""
        job = Job(Qistate())
        assert desk.answer(job.command, job, ROW, b"OK") == [
            Finished(job, Answer(ok=True, lines=(ROW,)))
        ]

    def test_error_is_explained_first(self, desk: Desk) -> None:
        """§2.2.12: AT+QIGETERROR tells of the last command alone."""
        job = Job(Qistate())
        (explain,) = desk.answer(job.command, job, b"ERROR")
        assert isinstance(explain, Explain)
        assert explain.subject is job

    @pytest.mark.parametrize(
        "job", [Job(Qistate(), explain=False), Job(At())], ids=["unwanted", "27.007"]
    )
    def test_error_that_nobody_can_explain_is_the_answer(self, desk: Desk, job: Job) -> None:
        """The code is of the TCP/IP commands, and asking costs a turn."""
        assert desk.answer(job.command, job, b"ERROR") == [Finished(job, Answer())]

    def test_a_27007_error_explains_itself(self, desk: Desk) -> None:
        """It carries the code."""
        job = Job(Qistate())
        assert desk.answer(job.command, job, b"+CME ERROR: 30") == [Finished(job, Answer(cme="30"))]

    def test_a_final_result_before_the_data_is_out_of_step(self, desk: Desk) -> None:
        """It belongs to something else."""
        job = Job(Raw("AT+X", True), data=b"abc")
        finished, step = desk.answer(job.command, job, b"OK", lost=True)
        assert isinstance(finished, Finished)
        assert isinstance(finished.answer.failure, StreamBroken)
        assert "answered OK to 'AT+X' before it had the data" in str(finished.answer.failure)
        assert isinstance(step, OutOfStep)

    def test_silence_is_a_timeout_and_out_of_step(self, desk: Desk) -> None:
        """The answer may still come, and then fits nothing."""
        job = Job(Qistate())
        finished, step = desk.expire(job.command, job)
        assert isinstance(finished, Finished)
        assert isinstance(finished.answer.failure, LinkTimeout)
        assert "AT+QISTATE?" in str(finished.answer.failure)
        assert isinstance(step, OutOfStep)

    @pytest.mark.parametrize(("remaining", "header"), [(4, b"+QIRD: 3,4"), (None, b"+QIRD: 3")])
    def test_a_callers_own_read_gets_its_payload(
        self, desk: Desk, remaining: int | None, header: bytes
    ) -> None:
        """As the lines that it came in."""
        job = Job(Raw("AT+QIRD=0,3"))
        assert desk.answer(job.command, job, Payload(None, remaining, b"abc"), b"OK") == [
            Finished(job, Answer(ok=True, lines=(header, b"abc")))
        ]


class TestWordedSends:
    """A send that comes as a command ends with its result."""

    def test_ok_is_not_the_end(self, desk: Desk) -> None:
        """``SEND OK`` is."""
        job = desk.begin_job()
        assert desk.answer(job.command, job, b"+QISEND: 1", b"OK") == []
        assert list(desk.endings.send_result(sent=True, now=11.0)) == [
            Finished(job, Answer(ok=True, lines=(b"+QISEND: 1", b"SEND OK")))
        ]
        assert desk.sender.outstanding is None

    def test_send_fail_is_told(self, desk: Desk) -> None:
        """In the module's words."""
        job = desk.begin_job()
        desk.answer(job.command, job, b"OK")
        assert list(desk.endings.send_result(sent=False, now=11.0)) == [
            Finished(job, Answer(cme="SEND FAIL"))
        ]

    def test_a_result_may_come_before_ok(self, desk: Desk) -> None:
        """Relatives print it so."""
        job = desk.begin_job()
        assert desk.sender.outstanding is not None
        desk.sender.outstanding.result = True
        (finished,) = desk.answer(job.command, job, b"OK")
        assert isinstance(finished, Finished)
        assert finished.answer.ok

    def test_error_frees_the_place(self, desk: Desk) -> None:
        """No result will come."""
        job = desk.begin_job()
        (explain,) = desk.answer(job.command, job, b"ERROR")
        assert isinstance(explain, Explain)
        assert desk.sender.outstanding is None

    def test_silence_frees_the_place(self, desk: Desk) -> None:
        """The caller gets a timeout."""
        job = desk.begin_job()
        assert [type(event) for event in desk.expire(job.command, job)] == [Finished, OutOfStep]
        assert desk.sender.outstanding is None

    def test_a_result_that_never_comes_is_a_failure(self, desk: Desk) -> None:
        """Nobody knows what became of the bytes."""
        job = desk.begin_job()
        send = desk.sender.outstanding
        assert send is not None
        (finished,) = desk.endings.lose_send(send, "too late")
        assert isinstance(finished, Finished)
        assert isinstance(finished.answer.failure, StreamBroken)
        assert finished.job is job

    def test_another_job_leaves_it_alone(self, desk: Desk) -> None:
        """Commands run between OK and ``SEND OK``."""
        desk.begin_job()
        other = Job(At())
        assert desk.answer(other.command, other, b"OK") == [Finished(other, Answer(ok=True))]
        assert desk.sender.outstanding is not None


class TestReads:
    """AT+QIRD."""

    def test_data_are_delivered_and_counted(self, desk: Desk) -> None:
        """Once the final result has come."""
        slot = socket()
        assert desk.read(slot, Payload(None, 0, b"abc"), b"OK") == [DataReceived(slot, b"abc")]
        assert desk.statistics.payload_bytes_received == 3

    def test_nothing_is_no_event(self, desk: Desk) -> None:
        """But counted."""
        assert desk.read(socket(), b"+QIRD: 0", b"OK") == []
        assert desk.statistics.empty_reads == 1

    def test_nothing_after_the_end_is_the_end(self, desk: Desk) -> None:
        """§2.3.1."""
        slot = socket(SlotState.REMOTE_CLOSED)
        assert desk.read(slot, b"+QIRD: 0", b"OK") == [Drained(slot)]

    @pytest.mark.parametrize(
        "lines",
        [
            (b"OK",),
            (Payload(None, None, b"a"), b"OK"),
            (Payload(None, 0, b"a"), Payload(None, 0, b"a"), b"OK"),
            (Payload(None, 0, b"a"), b"+QIRD: 0", b"OK"),
            (Payload(None, 0, b"a"), b"ERROR"),
            (Payload(None, 0, b"a"), b"+CME ERROR: 1"),
        ],
    )
    def test_an_answer_that_can_not_be_trusted(
        self, desk: Desk, lines: tuple[bytes | Payload, ...]
    ) -> None:
        """Rule 6: it ends a stream, loses a datagram, and the step is lost."""
        slot = socket()
        failed, step = desk.read(slot, *lines)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, StreamBroken)
        assert isinstance(step, OutOfStep)
        assert step.reason in str(failed.error)
        lost, _ = desk.read(socket(kind=UDP), *lines)
        assert isinstance(lost, DatagramLost)

    def test_half_a_datagram_is_lost_with_the_rest(self, desk: Desk) -> None:
        """It doesn't stand in front of the next one."""
        slot = socket(kind=UDP)
        desk.read(slot, Payload(None, 2, b"ab"), b"OK")
        assert isinstance(desk.read(slot, b"OK")[0], DatagramLost)
        assert isinstance(desk.read(slot, Payload(None, 0, b"cd"), b"OK")[0], DatagramLost)
        assert desk.read(slot, Payload(None, 0, b"x"), b"OK") == [DataReceived(slot, b"x")]

    def test_error_alone_is_explained(self, desk: Desk) -> None:
        """What it means depends on the socket."""
        (explain,) = desk.read(socket(), b"ERROR")
        assert isinstance(explain, Explain)

    def test_silence_ends_the_connection(self, desk: Desk) -> None:
        """Its bytes may have been on their way; the error says so."""
        slot = socket()
        failed, step = desk.expire(Qird(2), Read(slot))
        assert isinstance(failed, Failed)
        assert "received bytes may be lost" in str(failed.error)
        assert isinstance(step, OutOfStep)

    def test_a_socket_that_is_closing_hears_nothing(self, desk: Desk) -> None:
        """Data, the end, damage or silence: nobody is there. The step is lost all the same."""
        slot = socket(SlotState.CLOSING)
        assert desk.read(slot, Payload(None, 0, b"abc"), b"OK") == []
        assert [type(event) for event in desk.read(slot, b"OK")] == [OutOfStep]
        assert [type(e) for e in desk.expire(Qird(2), Read(slot))] == [OutOfStep]


class TestSends:
    """AT+QISEND of a socket."""

    def test_ok_starts_the_wait_for_the_result(self, desk: Desk) -> None:
        """Other commands may run meanwhile."""
        slot = socket()
        send = desk.begin(slot)
        assert desk.answer(send.command(), send, b"OK") == []
        assert send.deadline == 10.0 + RESULT_LIMIT_S
        assert desk.sender.outstanding is send

    @pytest.mark.parametrize(("sent", "kind"), [(True, Sent), (False, SendStalled)])
    def test_a_result_that_came_before_ok_counts(self, desk: Desk, sent: bool, kind: type) -> None:
        """Firmware prints them in either order."""
        send = desk.begin(socket())
        send.result = sent
        assert [type(event) for event in desk.answer(send.command(), send, b"OK")] == [kind]

    def test_results_are_counted(self, desk: Desk) -> None:
        """Bytes only if they were taken."""
        slot = socket()
        desk.begin(slot)
        desk.sender.outstanding = Send(slot, b"abc", desk.begin(slot).form)
        list(desk.endings.send_result(sent=True, now=1.0))
        desk.begin(slot)
        list(desk.endings.send_result(sent=False, now=2.0))
        counted = desk.statistics
        assert (counted.sends, counted.payload_bytes_sent, counted.send_failures) == (1, 3, 1)

    def test_a_result_for_a_socket_that_is_gone(self, desk: Desk) -> None:
        """Frees the place, and that is all."""
        slot = socket()
        desk.begin(slot)
        slot.move(SlotState.CLOSING)
        assert list(desk.endings.send_result(sent=True, now=1.0)) == []

    @pytest.mark.parametrize("final", [b"OK", b"ERROR"])
    def test_a_final_result_before_the_data_loses_the_send(self, desk: Desk, final: bytes) -> None:
        """Its bytes are never sent again."""
        slot = socket()
        send = desk.begin(slot)
        failed, step = desk.answer(send.command(), send, final, lost=True)
        assert isinstance(failed, Failed)
        assert isinstance(step, OutOfStep)
        assert desk.sender.outstanding is send  # a late SEND OK must not count for another
        slot.move(SlotState.FREE)
        desk.sender.drop_dead(0.0)
        assert desk.sender.outstanding is None

    def test_silence_in_mid_send_ends_the_connection(self, desk: Desk) -> None:
        """Nobody knows what the module took."""
        slot = socket()
        send = desk.begin(slot)
        failed, step = desk.expire(send.command(), send)
        assert isinstance(failed, Failed)
        assert "sent bytes may be lost" in str(failed.error)
        assert isinstance(step, OutOfStep)

    def test_a_lost_datagram_is_not_sent_again(self, desk: Desk) -> None:
        """The socket goes on with the next one."""
        slot = socket(kind=UDP)
        send = desk.begin(slot, b"one")
        slot.datagrams.append(b"two")
        (lost,) = desk.endings.lose_send(send, "too late")
        assert isinstance(lost, DatagramLost)
        assert slot.next_quantum() == b"two"

    def test_losing_the_send_of_a_socket_that_is_gone(self, desk: Desk) -> None:
        """Nobody is there to be told."""
        slot = socket()
        send = desk.begin(slot)
        slot.move(SlotState.CLOSING)
        assert list(desk.endings.lose_send(send, "too late")) == []

    def test_error_is_explained(self, desk: Desk) -> None:
        """The code decides whether to try again."""
        send = desk.begin(socket())
        (explain,) = desk.answer(send.command(), send, b"ERROR")
        assert isinstance(explain, Explain)
        assert explain.subject is send


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
        assert events == [SendRefused(slot, Err.SOCKET_CLOSED)]

    def test_an_inline_refusal_says_nothing(self, desk: Desk) -> None:
        """The bytes go again, by the other form."""
        send = desk.begin(socket())
        assert desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 552,x", b"OK") == []

    def test_success_explains_no_refusal(self, desk: Desk) -> None:
        """The module doesn't count what it doesn't know as a TCP/IP command (§2.2.12)."""
        for data in (b"abc", b"\x00"):
            send = desk.begin(socket(), data)
            events = desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 0,x", b"OK")
            assert [type(event) for event in events] == ([SendStalled] if data[0] == 0 else [])
        job = Job(Qistate())
        events = desk.answer(Qigeterror(), Explain(job), b"+QIGETERROR: 0,x", b"OK")
        assert events == [Finished(job, Answer(err=None))]

    def test_a_send_that_was_settled_meanwhile_is_left_alone(self, desk: Desk) -> None:
        """Its socket may be gone."""
        send = desk.begin(socket())
        desk.sender.outstanding = None
        assert desk.answer(Qigeterror(), Explain(send), b"+QIGETERROR: 567,x", b"OK") == []

    def test_a_read_is_judged_by_its_socket(self, desk: Desk) -> None:
        """Bytes that it is known to hold are lost; else it is looked into, or at its end."""
        answer = (b"+QIGETERROR: 567,x", b"OK")
        plain, ended, holding = socket(), socket(SlotState.REMOTE_CLOSED), socket()
        holding.announced = 5
        command = Qigeterror()
        got = [
            desk.answer(command, Explain(Read(slot)), *answer)[0]
            for slot in (plain, ended, holding)
        ]
        assert got[:2] == [ReadRefused(plain, 567), Drained(ended)]
        assert [event.slot for event in of(Failed, got)] == [holding]

    def test_a_read_of_a_socket_that_is_gone(self, desk: Desk) -> None:
        """Nobody wants to know."""
        read = Read(socket(SlotState.CLOSING))
        assert desk.answer(Qigeterror(), Explain(read), b"OK") == []
        assert desk.answer(Qigeterror(), Explain(read), b"+QIGETERROR: 567,x", b"OK") == []
