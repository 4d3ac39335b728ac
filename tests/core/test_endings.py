"""Endings: what the end of an exchange means for whoever wanted it."""

import pytest

from aiobc9x.core.endings import Explain
from aiobc9x.core.events import (
    Answer,
    DatagramLost,
    DataReceived,
    Drained,
    Failed,
    Finished,
    Job,
    OutOfStep,
    SendOver,
    SendStalled,
    Sent,
)
from aiobc9x.core.receiving import Read
from aiobc9x.core.sending import AFTERMATH_S, RESULT_LIMIT_S, Send, SendState
from aiobc9x.core.slots import SlotState
from aiobc9x.errors import LinkTimeout, StreamBroken
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.radio import At
from aiobc9x.wire.commands.tcpip import Qird, Qistate
from aiobc9x.wire.framer import Payload
from tests.core.desk import Desk, socket

ROW = b'+QISTATE: 0,"TCP","1.2.3.4",80,0,2,1,0'

UDP = ServiceType.UDP


@pytest.fixture
def desk() -> Desk:
    """Make a desk."""
    return Desk()


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

    @pytest.mark.parametrize("code", [b"550", b"563", b"566", b"568"])
    def test_a_code_of_the_note_behind_cme_error_is_one(self, desk: Desk, code: bytes) -> None:
        """Relatives print table 2 so; the error is the same as behind AT+QIGETERROR."""
        job = Job(Qistate())
        assert desk.answer(job.command, job, b"+CME ERROR: " + code) == [
            Finished(job, Answer(err=int(code), cme=code.decode()))
        ]

    @pytest.mark.parametrize("words", [b"SIM not inserted", b"30", b"5630", b"-563"])
    def test_anything_else_behind_it_is_none(self, desk: Desk, words: bytes) -> None:
        """Codes of 27.007 are below, words say it themselves."""
        job = Job(Qistate())
        assert desk.answer(job.command, job, b"+CME ERROR: " + words) == [
            Finished(job, Answer(cme=words.decode()))
        ]

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
        desk.accept()
        assert desk.answer(job.command, job, b"+QISEND: 1", b"OK") == []
        assert list(desk.endings.send_result(sent=True, now=11.0)) == [
            Finished(job, Answer(ok=True, lines=(b"+QISEND: 1", b"SEND OK")))
        ]
        assert desk.sender.outstanding is None

    def test_send_fail_is_told(self, desk: Desk) -> None:
        """In the module's words."""
        job = desk.begin_job()
        desk.accept()
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
        finished, over = desk.endings.lose_send(send, "too late", 10.0)
        assert isinstance(finished, Finished)
        assert isinstance(finished.answer.failure, StreamBroken)
        assert finished.job is job
        assert over == SendOver(send.slot)

    def test_its_place_is_kept_for_a_moment(self, desk: Desk) -> None:
        """A result that still comes names no socket, and must not count for another."""
        desk.begin_job()
        send = desk.sender.outstanding
        assert send is not None
        list(desk.endings.lose_send(send, "too late", 10.0))
        assert desk.sender.outstanding is send
        assert (send.state, send.deadline) == (SendState.LOST, 10.0 + AFTERMATH_S)

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
        desk.accept()
        assert desk.answer(send.command(), send, b"OK") == []
        assert send.deadline == 10.0 + RESULT_LIMIT_S
        assert desk.sender.outstanding is send

    @pytest.mark.parametrize(("sent", "kind"), [(True, Sent), (False, SendStalled)])
    def test_a_result_that_came_before_ok_counts(self, desk: Desk, sent: bool, kind: type) -> None:
        """Firmware prints them in either order."""
        send = desk.begin(socket())
        send.result = sent
        assert [type(event) for event in desk.answer(send.command(), send, b"OK")] == [
            kind,
            SendOver,
        ]

    def test_results_are_counted(self, desk: Desk) -> None:
        """Bytes only if they were taken."""
        slot = socket()
        desk.begin(slot)
        desk.sender.outstanding = Send(slot, b"abc", desk.begin(slot).form, SendState.WRITTEN)
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
        assert list(desk.endings.send_result(sent=True, now=1.0)) == [SendOver(slot)]
        assert desk.sender.outstanding is None

    @pytest.mark.parametrize("final", [b"OK", b"ERROR"])
    def test_a_final_result_before_the_data_loses_the_send(self, desk: Desk, final: bytes) -> None:
        """Its bytes are never sent again."""
        slot = socket()
        send = desk.begin(slot)
        failed, over, step = desk.answer(send.command(), send, final, lost=True)
        assert isinstance(failed, Failed)
        assert over == SendOver(slot)
        assert isinstance(step, OutOfStep)
        assert desk.sender.outstanding is send  # a late SEND OK must not count for another
        slot.move(SlotState.FREE)
        desk.sender.drop_dead(0.0)
        assert desk.sender.outstanding is None

    def test_silence_in_mid_send_ends_the_connection(self, desk: Desk) -> None:
        """Nobody knows what the module took."""
        slot = socket()
        send = desk.begin(slot)
        failed, over, step = desk.expire(send.command(), send)
        assert isinstance(failed, Failed)
        assert over == SendOver(slot)
        assert "sent bytes may be lost" in str(failed.error)
        assert isinstance(step, OutOfStep)

    def test_a_lost_datagram_is_not_sent_again(self, desk: Desk) -> None:
        """The socket goes on with the next one."""
        slot = socket(kind=UDP)
        send = desk.begin(slot, b"one")
        slot.queue_datagram(b"two")
        lost, over = desk.endings.lose_send(send, "too late", 10.0)
        assert isinstance(lost, DatagramLost)
        assert over == SendOver(slot)
        assert slot.next_quantum() == b"two"

    def test_a_lost_datagram_leaves_received_ones_alone(self, desk: Desk) -> None:
        """The half of another that has been read belongs to its rest."""
        slot = socket(kind=UDP)
        desk.read(slot, Payload(None, 2, b"ab"), b"OK")
        list(desk.endings.lose_send(desk.begin(slot), "too late", 10.0))
        assert desk.read(slot, Payload(None, 0, b"cd"), b"OK") == [DataReceived(slot, b"abcd")]

    def test_losing_the_send_of_a_socket_that_is_gone(self, desk: Desk) -> None:
        """Nobody is there to be told."""
        slot = socket()
        send = desk.begin(slot)
        slot.move(SlotState.CLOSING)
        assert list(desk.endings.lose_send(send, "too late", 10.0)) == [SendOver(slot)]

    def test_error_is_explained(self, desk: Desk) -> None:
        """The code decides whether to try again."""
        send = desk.begin(socket())
        (explain,) = desk.answer(send.command(), send, b"ERROR")
        assert isinstance(explain, Explain)
        assert explain.subject is send
