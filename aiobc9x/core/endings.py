"""What the end of an exchange means: answered, refused, explained, or never answered.

Layer: core. Does no I/O; time comes in as ``now``.

The functions yield events; :class:`Explain` among them asks the session to send
AT+QIGETERROR before anything else, because it tells of the last command alone (§3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiobc9x.core.events import (
    Answer,
    DatagramLost,
    DataReceived,
    Drained,
    Event,
    Failed,
    Finished,
    Job,
    ModeSwitched,
    OutOfStep,
    SendOver,
    SwitchRefused,
)
from aiobc9x.core.exchange import Exchange
from aiobc9x.core.receiving import Read, absorb, distrust, is_passing, is_torn_empty, refuse
from aiobc9x.core.sending import Send, Sender
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import LinkTimeout, StreamBroken, UnexpectedAnswer, quoted_command
from aiobc9x.spec import AccessMode, Err
from aiobc9x.wire.commands.tcpip import Qigeterror

# Half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

_TWO_ENDS: Final = "AT+QIRD was answered twice"


@dataclass(eq=False, slots=True)
class Switch:
    """One AT+QISWTMD of the session's own."""

    slot: Slot
    mode: AccessMode


@dataclass(eq=False, slots=True)
class Probe:
    """One AT, so that a frame shows how this module ends pushed data."""


@dataclass(eq=False, slots=True)
class Explain:
    """AT+QIGETERROR on behalf of what was refused."""

    subject: Job | Read | Send | Switch


Purpose: TypeAlias = Job | Read | Send | Switch | Probe | Explain
Consequence: TypeAlias = Event | Explain


class Endings:
    """Knows what each kind of exchange was for."""

    def __init__(self, sender: Sender, statistics: Statistics) -> None:
        self._sender, self._statistics = sender, statistics
        self._last_read: Slot | None = None

    def answered(
        self, exchange: Exchange, now: float, *, lost: bool, length_shown: bool
    ) -> Iterable[Consequence]:
        """Say what a final result means.

        Args:
            exchange: The exchange, with its final result.
            now: The time.
            lost: It came before the data could be written.
            length_shown: Headers carry the remaining length.

        """
        purpose = exchange.purpose
        if isinstance(purpose, Job):
            return self._job(purpose, exchange, now, lost=lost)
        if isinstance(purpose, Read):
            return self._read(purpose, exchange, now, length_shown=length_shown)
        if isinstance(purpose, Send):
            return self._send(purpose, exchange, now, lost=lost)
        if isinstance(purpose, Switch):
            return self._switch(purpose, exchange)
        if isinstance(purpose, Probe):
            return ()
        assert isinstance(purpose, Explain)
        if isinstance(purpose.subject, Read) and exchange.succeeded and not exchange.lines:
            return self._lose_last_read(_TWO_ENDS)  # the OK is the one that was the read's own
        return self._explained(purpose.subject, _code(exchange), now)

    def expired(self, exchange: Exchange, now: float, reason: str = "") -> Iterator[Consequence]:
        """Say what it means that no final result came in time, or that none can come."""
        purpose = exchange.purpose
        what = quoted_command(exchange.command.text)
        reason = f"no final result to {what}: {reason or 'time is up'}"
        if isinstance(purpose, Job):
            self._sender.forget_job(purpose)
            failure = LinkTimeout(f"{reason}: the module is silent, asleep or not connected")
            yield Finished(purpose, Answer(lines=tuple(exchange.lines), failure=failure))
        elif isinstance(purpose, Explain):
            yield from self._unexplained(purpose.subject, reason, now)
        elif isinstance(purpose, Send):
            yield from self.lose_send(purpose, reason, now)
        elif isinstance(purpose, Switch):
            yield from self._lose_switch(purpose, exchange, reason)
        elif isinstance(purpose, Read) and purpose.slot.is_live:
            yield _lost_read(purpose.slot, f"received bytes may be lost: {reason}")
        yield OutOfStep(reason)

    def _unexplained(
        self, subject: Job | Read | Send | Switch, reason: str, now: float
    ) -> Iterator[Consequence]:
        """Say what it means that AT+QIGETERROR got no answer.

        If the ``ERROR`` belonged elsewhere, the module waits for the payload of a send, and
        takes all that is written for it: nobody knows what it has sent.
        """
        if isinstance(subject, Send) and subject is self._sender.outstanding:
            yield from self.lose_send(subject, reason, now)
        else:
            yield from self._explained(subject, None, now)

    def lose_send(self, send: Send, reason: str, now: float) -> Iterator[Consequence]:
        """Give a send up: nobody knows whether the module took the bytes."""
        self._sender.lose(send, now)
        if send.job is not None:
            yield Finished(send.job, Answer(failure=StreamBroken(f"no result: {reason}")))
        slot = send.slot
        if slot.is_live:
            text = f"sent bytes may be lost: {reason}"
            if slot.is_datagram:  # what was received is not concerned
                slot.confirm(len(send.data))
                yield DatagramLost(slot, text)
            else:
                yield Failed(slot, StreamBroken(text))
        yield SendOver(slot)

    def send_result(self, *, sent: bool, now: float) -> Iterator[Consequence]:
        """Account for ``SEND OK`` or ``SEND FAIL`` of the outstanding send."""
        send = self._sender.outstanding
        assert send is not None
        if sent:
            self._statistics.count_send(send.form.value, len(send.data))
        else:
            self._statistics.send_failures += 1
        event = self._sender.finish(sent=sent, now=now)
        if event is not None:
            yield event
        if send.job is not None:
            answer = Answer(ok=True, lines=(*send.lines, b"SEND OK"))
            yield Finished(send.job, answer if sent else Answer(cme="SEND FAIL"))
        else:
            yield _new(SendOver, (send.slot,))

    def stray_payload(self) -> Iterator[Consequence]:
        """Say what data of an AT+QIRD mean that come when none is awaited.

        An ``ERROR`` that belonged elsewhere has answered it: the bytes are those of the
        last read, and its stream must not go on without them.
        """
        reason = "a payload that nobody asked for"
        yield from self._lose_last_read(reason)
        yield OutOfStep(reason)

    def stray_result(self, text: bytes, explain: Explain | None) -> Iterator[Consequence]:
        """Say what a final result means that nobody awaits.

        Args:
            text: The result.
            explain: What is to be explained next. Behind an ``ERROR`` to a read it shows
                that the ``ERROR`` was not the read's own end.

        """
        if explain is not None and isinstance(explain.subject, Read):
            yield from self._lose_last_read(_TWO_ENDS)
        yield OutOfStep(f"a stray {text.decode('ascii', 'backslashreplace')}")

    def _lose_last_read(self, reason: str) -> Iterator[Consequence]:
        slot, self._last_read = self._last_read, None
        if slot is not None and slot.is_live:
            yield _lost_read(slot, f"received bytes may be lost: {reason}")

    def _job(
        self, job: Job, exchange: Exchange, now: float, *, lost: bool
    ) -> Iterator[Consequence]:
        send = self._sender.outstanding
        if send is not None and send.job is job and exchange.succeeded and not lost:
            send.lines = tuple(exchange.lines)
            if send.is_waiting:
                send.await_result(now)
            else:
                yield from self.send_result(sent=bool(send.result), now=now)
            return
        self._sender.forget_job(job)
        if lost:
            reason = _too_early(exchange)
            yield Finished(job, Answer(failure=StreamBroken(reason)))
            yield OutOfStep(reason)
        elif exchange.turned_away and exchange.succeeded:
            what = quoted_command(exchange.command.text)
            reason = f"bytes were lost on the line within the answer to {what}; ask again"
            yield Finished(job, Answer(failure=LinkTimeout(reason)))
        elif exchange.final == b"ERROR" and job.explain and job.command.tcpip:
            yield Explain(job)
        else:
            yield done(job, exchange)

    def _read(
        self, read: Read, exchange: Exchange, now: float, *, length_shown: bool
    ) -> Iterator[Consequence]:
        slot = self._last_read = read.slot
        if not exchange.succeeded and exchange.payload is None and exchange.damage is None:
            yield Explain(read)
            return
        reason = distrust(exchange, length_shown=length_shown)
        if reason is not None:
            exchange.damage = reason
            if _was_empty(exchange):
                slot.readable = True  # it said that there is nothing: ask once more
            elif slot.is_live:
                ends = exchange.payload is not None and exchange.payload.remaining == 0
                text = f"received bytes are lost: {reason}"
                yield _lost(slot, text) if ends else _lost_read(slot, text)
            yield OutOfStep(reason)
            return
        if exchange.payload is None:
            self._statistics.empty_reads += 1
        else:
            self._statistics.payload_bytes_received += len(exchange.payload.data)
        if slot.is_live:
            event = absorb(slot, exchange.payload, now)
            if slot.held is not None and slot.found_empty:
                yield from _complete_switch(slot)
            if event is not None:
                yield event
            if isinstance(event, Drained) and slot.wanted_mode is not None:
                slot.wanted_mode = None
                yield SwitchRefused(slot, None, "the peer has closed the connection")

    def _send(
        self, send: Send, exchange: Exchange, now: float, *, lost: bool
    ) -> Iterable[Consequence]:
        if lost:
            reason = _too_early(exchange)
            return *self.lose_send(send, reason, now), OutOfStep(reason)
        if exchange.succeeded and send.is_waiting:
            send.await_result(now)
            return ()
        if send.result is not None:
            return self.send_result(sent=send.result, now=now)
        return (Explain(send),)

    def _switch(self, switch: Switch, exchange: Exchange) -> Iterator[Consequence]:
        slot = switch.slot
        if not exchange.succeeded and exchange.is_doubtful:
            yield from self._lose_switch(switch, exchange, "its ERROR may be received data")
            return
        if not exchange.succeeded:
            yield Explain(switch)
            return
        if not slot.is_live:
            return
        # The buffer may have collected something without a word.
        slot.readable, slot.found_empty = True, False
        if switch.mode is AccessMode.PUSH:
            if exchange.is_doubtful:  # what was pushed meanwhile was framed as lines
                yield _lost(slot, "received bytes may be lost: the switch came behind lost bytes")
            slot.held = []  # what is pushed from now on comes behind what is left over
            return
        is_newer_wish = slot.wanted_mode is not switch.mode
        if not is_newer_wish:
            slot.wanted_mode = None
        held, slot.held = slot.held, None
        if held and slot.holds_data:
            text = "pushed data overtook what the module had buffered"
            yield Failed(slot, StreamBroken(text))
            return
        for data in held or ():
            yield DataReceived(slot, data)
        if not is_newer_wish:
            yield ModeSwitched(slot)

    def _lose_switch(
        self, switch: Switch, exchange: Exchange, reason: str
    ) -> Iterator[Consequence]:
        slot = switch.slot
        if slot.wanted_mode is None:  # it was closed meanwhile
            return
        slot.wanted_mode = slot.held = None
        slot.is_mode_doubtful = True
        has_come = slot.readable or exchange.is_doubtful
        if slot.is_live and switch.mode is AccessMode.PUSH and has_come:
            # It may have been pushed, and framed as lines.
            yield _lost(slot, f"received bytes may be lost: {reason}")
        yield SwitchRefused(slot, None, reason)

    def _explained(
        self, subject: Job | Read | Send | Switch, err: int | None, now: float
    ) -> Iterator[Consequence]:
        if isinstance(subject, Job):
            yield Finished(subject, Answer(err=err))
        elif isinstance(subject, Send):
            if self._sender.outstanding is subject:
                event = self._sender.refused(err, now)
                if event is not None:
                    yield event
                yield SendOver(subject.slot)
        elif isinstance(subject, Switch):
            yield from _switch_refused(subject, err)
        elif subject.slot.is_live:
            yield from _read_refused(subject.slot, err)


def _complete_switch(slot: Slot) -> Iterator[Event]:
    """Deliver what was pushed behind the buffer's rest: the switch to push mode is complete."""
    held, slot.held = slot.held, None
    for data in held or ():
        yield DataReceived(slot, data)
    if slot.wanted_mode is AccessMode.PUSH:  # else there is a newer wish
        slot.wanted_mode = None
        yield ModeSwitched(slot)


def _switch_refused(switch: Switch, err: int | None) -> Iterator[Event]:
    """Let a socket be in the mode that it was in; one that the peer has closed ends."""
    slot = switch.slot
    if slot.wanted_mode is None:  # it was closed meanwhile, and whoever waited has heard of it
        return
    has_newer_wish = slot.wanted_mode is not switch.mode
    slot.wanted_mode = None
    held, slot.held = slot.held, None
    if slot.is_live and held is not None and slot.holds_data:
        text = "the module holds received bytes that no mode gives"
        yield Failed(slot, StreamBroken(text))
        held = None
    for data in held or ():
        yield DataReceived(slot, data)
    yield SwitchRefused(slot, err)
    if has_newer_wish:
        yield ModeSwitched(slot)  # it is in the mode of the newer wish
    yield from end_of_closed(slot)


def _read_refused(slot: Slot, err: int | None) -> Iterator[Event]:
    """Act on ``ERROR`` to a read; in push mode a module may know no read.

    Then the buffer has a rest only if it was announced, and buffer mode alone can give it. A
    module that is busy says nothing of all that, and is asked again.
    """
    if slot.held is None or is_passing(slot, err):
        yield refuse(slot, err)
    elif slot.holds_data:
        slot.wanted_mode = AccessMode.BUFFER
        yield SwitchRefused(slot, err)
    else:
        slot.readable = False
        yield from _complete_switch(slot)
        yield from end_of_closed(slot)


def end_of_closed(slot: Slot) -> Iterator[Event]:
    """Report the end of a push-mode socket that the peer has closed: nothing is buffered."""
    is_over = slot.is_live and slot.state is SlotState.REMOTE_CLOSED and not slot.is_drained
    if is_over and not slot.has_buffer:
        yield Drained(slot)


def unfinished(
    exchange: Exchange | None, explain: Explain | None, send: Send | None, queue: Iterable[Job]
) -> list[Job]:
    """Return the jobs that nothing has come of yet, those under way first."""
    begun = [send and send.job, explain, exchange and exchange.purpose]
    subjects = [p.subject if isinstance(p, Explain) else p for p in begun]
    return list(dict.fromkeys(job for job in (*subjects, *queue) if isinstance(job, Job)))


def done(job: Job, exchange: Exchange) -> Finished:
    """Return what comes of a job whose final result settles it."""
    lines = (*exchange.lines, *_payload_lines(exchange))
    cme = exchange.cme
    return Finished(job, Answer(exchange.succeeded, lines, err=_table_2(cme), cme=cme))


def _table_2(cme: str | None) -> int | None:
    """Return the ``<err>`` of table 2 that a module put behind ``+CME ERROR:``, if it did."""
    if cme is None or not cme.isdecimal() or len(cme) > 3:
        return None
    return int(cme) if int(cme) in _ERRORS else None


_ERRORS: Final = frozenset(int(err) for err in Err if err)


def _was_empty(exchange: Exchange) -> bool:
    """Whether a damaged answer was ``+QIRD: 0``, by the one torn line that is left of it."""
    torn = exchange.torn_line
    alone = exchange.succeeded and exchange.payload is None and not exchange.lines
    return alone and torn is not None and is_torn_empty(torn)


def _lost(slot: Slot, reason: str) -> Event:
    """Report lost bytes: a stream must not go on with a hole; of datagrams one is lost."""
    if not slot.is_datagram:
        return Failed(slot, StreamBroken(reason))
    slot.fragments.clear()
    return DatagramLost(slot, reason)


def _lost_read(slot: Slot, reason: str) -> Event:
    """Report a read that gave nothing; the rest of its datagram may be read next."""
    slot.rest_due = slot.is_datagram
    return _lost(slot, reason)


def _payload_lines(exchange: Exchange) -> tuple[bytes, ...]:
    """Give the payload of a caller's own AT+QIRD as the lines that it came in."""
    payload = exchange.payload
    if payload is None:
        return ()
    left = b"" if payload.remaining is None else b",%d" % payload.remaining
    return (b"+QIRD: %d%b" % (len(payload.data), left), payload.data)


def _too_early(exchange: Exchange) -> str:
    final = (exchange.final or b"").decode("ascii", "backslashreplace")
    what = quoted_command(exchange.command.text)
    return f"the module answered {final} to {what} before it had the data"


def _code(exchange: Exchange) -> int | None:
    """Return the ``<err>`` that AT+QIGETERROR gave, if it gave one."""
    if not exchange.succeeded:
        return None
    try:
        return Qigeterror().parse(exchange.lines)[0] or None  # success explains no refusal
    except UnexpectedAnswer:
        return None
