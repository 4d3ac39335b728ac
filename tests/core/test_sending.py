"""Sending: the one send that may be outstanding."""

import pytest

from aiobc9x.core.events import DatagramLost, Failed, Job, SendRefused, SendStalled, Sent
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.sending import (
    BACKOFF_S,
    RESULT_LIMIT_S,
    STALL_LIMIT_S,
    Sender,
    SendForm,
    permitted_forms,
)
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken
from aiobc9x.spec import Err, ServiceType
from aiobc9x.wire.commands.base import Raw

LINE = LineTiming(11520.0)
"""A line without any latency: hex never pays."""

FAR = LineTiming(11520.0, latency_s=1.0)
"""One where it pays for everything but full quanta."""


def stream(data: bytes = b"abc") -> Slot:
    """Make an open socket with something to send."""
    slot = Slot(3, 1, ServiceType.TCP, state=SlotState.OPEN)
    slot.outgoing += data
    return slot


def datagrams(*data: bytes) -> Slot:
    """Make an open UDP socket with something to send."""
    slot = Slot(3, 1, ServiceType.UDP, state=SlotState.OPEN)
    for datagram in data:
        slot.queue_datagram(datagram)
    return slot


def sender(profile: ModuleProfile | None = None) -> Sender:
    """Make a sender."""
    return Sender(profile or ModuleProfile())


class TestForms:
    """§2.2.4."""

    @pytest.mark.parametrize(
        ("data", "form", "command"),
        [
            (b"abc", SendForm.INLINE, 'AT+QISEND=3,3,"abc"'),
            (b"a\x00\x1a", SendForm.FIXED, "AT+QISEND=3,3"),
            (b"a\x00\x1a\xff", SendForm.HEX, 'AT+QISENDEX=3,4,"61001AFF"'),
        ],
    )
    def test_the_line_fits_the_form(self, data: bytes, form: SendForm, command: str) -> None:
        """Data inside quotes, or a length alone."""
        line = FAR if form is SendForm.HEX else LINE
        send = sender().begin(stream(data), line, 0.0)
        assert (send.data, send.form) == (data, form)
        assert send.command().text == command

    def test_a_send_takes_what_waits_then(self) -> None:
        """What is written meanwhile goes with the next one."""
        made, slot = sender(), stream()
        send = made.begin(slot, LINE, 0.0)
        slot.outgoing += b"later"
        made.finish(sent=True, now=0.0)
        assert send.data == b"abc"
        assert slot.outgoing == b"later"


class TestResults:
    """``SEND OK`` and ``SEND FAIL``."""

    def test_send_ok_confirms(self) -> None:
        """The module has the bytes; the place is free."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        assert made.finish(sent=True, now=0.0) == Sent(slot, 3)
        assert slot.unsent == 0
        assert made.outstanding is None

    def test_send_fail_keeps_the_bytes(self) -> None:
        """§2.2.4: nothing was taken. The owner finds out whether the socket stands."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        assert made.finish(sent=False, now=5.0) == SendStalled(slot, Err.WRITE_FAILED)
        assert slot.outgoing == b"abc"
        assert slot.retry_at == float("inf")

    def test_each_wait_is_twice_the_last_within_limits(self) -> None:
        """0.1 s at first, 5 s at most."""
        made, slot, waits = sender(), stream(), []
        for _ in range(8):
            made.begin(slot, LINE, 0.0)
            made.finish(sent=False, now=0.0)
            waits.append(slot.backoff)
        assert (waits[0], waits[-1]) == BACKOFF_S
        assert waits[1:4] == [0.2, 0.4, 0.8]

    def test_a_minute_without_progress_is_too_long(self) -> None:
        """From the first failure of the run; the error says so."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        made.finish(sent=False, now=100.0)
        made.begin(slot, LINE, 0.0)
        assert made.finish(sent=False, now=99.9 + STALL_LIMIT_S) == SendStalled(slot, 558)
        made.begin(slot, LINE, 0.0)
        event = made.finish(sent=False, now=100.0 + STALL_LIMIT_S)
        assert isinstance(event, Failed)
        assert isinstance(event.error, StreamBroken)
        assert "took no byte for 60 s" in str(event.error)

    def test_progress_starts_the_minute_anew(self) -> None:
        """A slow module is no dead one."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        made.finish(sent=False, now=100.0)
        made.begin(slot, LINE, 0.0)
        made.finish(sent=True, now=150.0)
        slot.outgoing += b"more"
        made.begin(slot, LINE, 0.0)
        assert isinstance(made.finish(sent=False, now=170.0), SendStalled)

    def test_a_module_that_may_have_taken_some_ends_the_connection(self) -> None:
        """The profile says so; sending again might double bytes."""
        made, slot = sender(ModuleProfile(send_fail_is_atomic=False)), stream()
        made.begin(slot, LINE, 0.0)
        event = made.finish(sent=False, now=0.0)
        assert isinstance(event, Failed)
        assert isinstance(event.error, BrokenPipeError)

    def test_send_fail_loses_a_datagram(self) -> None:
        """It is not sent again; the next one is."""
        made, slot = sender(), datagrams(b"one", b"two")
        made.begin(slot, LINE, 0.0)
        assert isinstance(made.finish(sent=False, now=0.0), DatagramLost)
        assert made.begin(slot, LINE, 0.0).data == b"two"

    @pytest.mark.parametrize("sent", [True, False])
    def test_a_socket_that_is_gone_hears_nothing(self, sent: bool) -> None:
        """The place is free all the same."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        slot.move(SlotState.CLOSING)
        assert made.finish(sent=sent, now=0.0) is None
        assert made.outstanding is None

    def test_the_result_has_a_deadline_once_the_command_has_ended(self) -> None:
        """The note states none."""
        send = sender().begin(stream(), LINE, 0.0)
        assert send.deadline is None
        send.await_result(10.0)
        assert send.deadline == 10.0 + RESULT_LIMIT_S


class TestRefusals:
    """``ERROR`` to a send: no byte was taken."""

    @pytest.mark.parametrize("err", [None, 550, 552, 553, 555])
    @pytest.mark.parametrize(("form", "byte"), [(SendForm.INLINE, b"x"), (SendForm.HEX, b"\x00")])
    def test_a_refused_line_is_learned(self, form: SendForm, byte: bytes, err: int | None) -> None:
        """The bytes go by fixed length; the form is not tried again, not even shorter."""
        made = Sender(ModuleProfile(), {form, SendForm.FIXED})
        slot = stream(byte * 100)
        assert made.begin(slot, FAR, 0.0).form is form
        assert made.refused(err, 0.0) is None
        assert made.begin(slot, FAR, 0.0).form is SendForm.FIXED
        slot.outgoing[:] = byte
        assert made.begin(slot, FAR, 0.0).form is SendForm.FIXED

    def test_what_the_module_has_taken_before_it_takes_again(self) -> None:
        """A refusal of a longer line tells nothing of a shorter one that has worked."""
        made, slot = sender(), stream(b"x" * 50)
        made.begin(slot, LINE, 0.0)
        made.finish(sent=True, now=0.0)
        slot.outgoing += b"x" * 100
        made.begin(slot, LINE, 0.0)
        made.refused(None, 0.0)
        assert made.profile.inline_limit_bytes == 50
        assert made.profile.hex_inline_limit_bytes == 1440
        slot.outgoing[:] = b"x" * 50
        assert made.begin(slot, LINE, 0.0).form is SendForm.INLINE

    def test_a_form_that_worked_and_is_refused_is_not_tried_at_that_length(self) -> None:
        """It may have changed its mind; the bytes go all the same."""
        made, slot = sender(), stream(b"x" * 50)
        made.begin(slot, LINE, 0.0)
        made.finish(sent=True, now=0.0)
        slot.outgoing += b"x" * 50
        made.begin(slot, LINE, 0.0)
        made.refused(None, 0.0)
        assert made.profile.inline_limit_bytes == 49
        assert made.begin(slot, LINE, 0.0).form is SendForm.FIXED

    def test_what_was_learned_outlives_a_restart(self) -> None:
        """The module is asked again who it is, and gets its profile anew."""
        made, slot = sender(), stream(b"x" * 50)
        made.begin(slot, LINE, 0.0)
        made.refused(None, 0.0)
        made.use(ModuleProfile())
        assert made.profile == ModuleProfile(inline_limit_bytes=0)

    def test_a_pinned_form_that_is_refused_gives_way(self) -> None:
        """The bytes go by fixed length rather than never."""
        made = Sender(ModuleProfile(), permitted_forms("hex"))
        slot = stream(b"abc")
        assert made.begin(slot, LINE, 0.0).form is SendForm.HEX
        made.refused(Err.INVALID_PARAMETERS, 0.0)
        assert made.begin(slot, LINE, 0.0).form is SendForm.FIXED

    @pytest.mark.parametrize("err", [None, Err.BLOCKED, Err.BUSY, Err.NO_MEMORY])
    def test_a_refusal_that_may_pass_is_tried_again(self, err: int | None) -> None:
        """With the same back-off as SEND FAIL."""
        made, slot = sender(), stream(b"\x00")
        made.begin(slot, LINE, 0.0)
        assert made.refused(err, 0.0) == SendStalled(slot, err)
        assert slot.backoff == BACKOFF_S[0]

    @pytest.mark.parametrize("err", [Err.SOCKET_CLOSED, Err.NOT_ALLOWED, 4711])
    def test_any_other_refusal_is_for_good(self, err: int) -> None:
        """What was received before is still to be read, so nothing has failed yet."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        assert made.refused(err, 0.0) == SendRefused(slot, err)
        assert slot.unsent == 3

    @pytest.mark.parametrize("err", [Err.BUSY, Err.NOT_ALLOWED])
    def test_a_refused_datagram_is_not_sent_again(self, err: int) -> None:
        """Its sender is told."""
        made, slot = sender(), datagrams(b"\x00one", b"\x00two")
        made.begin(slot, LINE, 0.0)
        assert made.refused(err, 0.0) == SendRefused(slot, err)
        assert slot.next_quantum() == b"\x00two"

    def test_a_socket_that_is_gone_is_refused_nothing(self) -> None:
        """The place is free all the same."""
        made, slot = sender(), stream()
        made.begin(slot, LINE, 0.0)
        slot.move(SlotState.CLOSING)
        assert made.refused(Err.BUSY, 0.0) is None
        assert made.outstanding is None


class TestSuspicion:
    """Rule 5: data mode may swallow ``"recv"``."""

    @staticmethod
    def sends(made: Sender, *times: float, data: bytes = b"\x00") -> None:
        """Send once at each of the times."""
        for now in times:
            made.begin(stream(data), LINE, 0.0)
            made.finish(sent=True, now=now)

    def test_sockets_are_suspect_100_ms_after_the_last_send(self) -> None:
        """Not after each: that would cost a third of the line."""
        made = sender()
        self.sends(made, 10.0, 10.05, 10.1)
        assert made.reads_due == pytest.approx(10.2)
        assert not made.end_burst(10.19)
        assert made.end_burst(10.2)
        assert made.reads_due is None
        assert not made.end_burst(20.0)

    def test_a_send_under_way_goes_on_with_the_burst(self) -> None:
        """A full quantum takes longer than 100 ms, and would else be followed by a read."""
        made = sender()
        self.sends(made, 10.0)
        made.begin(stream(b"\x00"), LINE, 0.0)
        assert made.reads_due == pytest.approx(11.0)
        assert not made.end_burst(10.14)
        made.finish(sent=True, now=10.15)
        assert made.reads_due == pytest.approx(10.25)

    def test_sends_that_wait_go_on_with_the_burst(self) -> None:
        """The reads of six sockets may take longer than 100 ms."""
        made = sender()
        self.sends(made, 10.0)
        assert not made.end_burst(10.1, sends_wait=True)
        assert made.reads_due == pytest.approx(11.0)
        assert made.end_burst(11.0, sends_wait=True)

    def test_an_inline_send_does_not_put_it_off(self) -> None:
        """It is no part of the burst."""
        made = sender()
        self.sends(made, 10.0)
        made.begin(stream(b"text"), LINE, 0.0)
        assert made.reads_due == pytest.approx(10.1)

    def test_a_long_burst_is_interrupted_once_a_second(self) -> None:
        """Else a peer that answers could wait for its end."""
        made, looked = sender(), []
        for now in [10 + tick / 20 for tick in range(100)]:
            self.sends(made, now)
            if made.end_burst(now):
                looked.append(now)
        assert looked == pytest.approx([11.0, 12.05, 13.1, 14.15])

    def test_the_reads_cover_a_send_under_way(self) -> None:
        """They wait for the end of its data mode, so it begins no new burst."""
        made = sender()
        self.sends(made, 10.0)
        made.begin(stream(b"\x00"), LINE, 0.0)
        assert made.end_burst(11.0)
        made.finish(sent=True, now=11.1)
        assert made.reads_due is None
        self.sends(made, 11.2)
        assert made.reads_due == pytest.approx(11.3)

    def test_inline_sends_are_not_suspect(self) -> None:
        """They have no data mode."""
        made = sender()
        self.sends(made, 10.0, data=b"text")
        assert made.reads_due is None

    def test_a_module_may_be_known_to_swallow_nothing(self) -> None:
        """The profile says so."""
        made = sender(ModuleProfile(suspect_after_send=False))
        self.sends(made, 10.0)
        assert made.reads_due is None

    def test_send_fail_is_as_suspect(self) -> None:
        """The module was in data mode."""
        made = sender()
        made.begin(stream(b"\x00"), LINE, 0.0)
        made.finish(sent=False, now=10.0)
        assert made.reads_due == pytest.approx(10.1)


class TestWorded:
    """A send that a caller has worded takes the one place, too."""

    @pytest.mark.parametrize(("data", "form"), [(None, SendForm.INLINE), (b"abc", SendForm.FIXED)])
    def test_it_has_no_socket_of_ours(self, data: bytes | None, form: SendForm) -> None:
        """Its result concerns the caller alone."""
        made, job = sender(), Job(Raw("AT+QISEND=0,3", True), data=data)
        made.begin_job(job, 0.0)
        send = made.outstanding
        assert send is not None
        assert (send.job, send.form) == (job, form)
        assert send.is_of(job)
        assert not send.is_of(Job(Raw("AT")))
        assert made.finish(sent=True, now=0.0) is None

    def test_a_send_of_ours_is_of_itself(self) -> None:
        """And of no job."""
        send = sender().begin(stream(), LINE, 0.0)
        assert send.is_of(send)
        assert not send.is_of(None)


def test_a_restart_forgets_everything() -> None:
    """The module knows of no send any more."""
    made = sender()
    TestSuspicion.sends(made, 10.0)
    made.begin(stream(), LINE, 0.0)
    made.forget()
    assert (made.outstanding, made.reads_due) == (None, None)
