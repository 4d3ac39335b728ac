"""Decide what the end of an exchange means for the job, read, send or switch that it served.

Layer: core. Does no I/O; time comes in as ``now``.

An exchange ends with a final result, or without one when its time is over. The functions here
update slots and yield events. Among the events, :class:`Explain` asks the session to send
AT+QIGETERROR before any other command, because that command tells the reason of the last
failure alone (§2.2.12, F54).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from aiobc9x.core.receiving import Read, absorb, distrust, is_passing, is_torn_empty, note_refusal
from aiobc9x.core.sending import Send, Sender
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.core.statistics import Statistics
from aiobc9x.core.waking import Wake
from aiobc9x.errors import LinkTimeout, StreamBroken, UnexpectedAnswer, quoted_command
from aiobc9x.slotted import slotted
from aiobc9x.spec import AccessMode, Err
from aiobc9x.wire.commands.tcpip import Qigeterror
from aiobc9x.wire.params import ascii_text

# Takes half the time of a NamedTuple's own constructor, which is written in Python.
_new: Final = tuple.__new__

_TWO_ENDS: Final = "AT+QIRD was answered twice"


@slotted(eq=False)
class Switch:
    """One AT+QISWTMD that the session sends for a socket of ours."""

    slot: Slot
    mode: AccessMode


@slotted(eq=False)
class Probe:
    """One AT, whose ``OK`` shows how this module ends the pushed data before it (F19)."""


@slotted(eq=False)
class Explain:
    """One AT+QIGETERROR, to learn why the module refused the subject."""

    subject: Job | Read | Send | Switch


Purpose: TypeAlias = Job | Read | Send | Switch | Probe | Explain | Wake
Consequence: TypeAlias = Event | Explain


class Endings:
    """End exchanges, by what each was for."""

    def __init__(self, sender: Sender, statistics: Statistics) -> None:
        self._sender, self._statistics = sender, statistics
        # Whose data a payload belongs to that comes when no read is in flight.
        self._last_read: Slot | None = None

    def answered(
        self, exchange: Exchange, now: float, *, lost: bool, length_shown: bool
    ) -> Iterable[Consequence]:
        """End an exchange that has its final result.

        Args:
            exchange: The exchange.
            now: The time.
            lost: The final result came before the data could be written.
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
        # AT+QIGETERROR always has a line before its OK. This OK is that of the read: the ERROR
        # before it belonged to something else, and the data of the read are lost.
        if isinstance(purpose.subject, Read) and exchange.succeeded and not exchange.lines:
            return self._lose_last_read(_TWO_ENDS)
        return self._explained(purpose.subject, _code(exchange), now)

    def expired(self, exchange: Exchange, now: float, reason: str = "") -> Iterator[Consequence]:
        """End an exchange without a final result, because its time is over or for a reason.

        Args:
            exchange: The exchange.
            now: The time.
            reason: Why no final result can come; ``""`` if its time is over.

        """
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
        """End a refused exchange whose reason can't be learned.

        AT+QIGETERROR got no answer. If the ``ERROR`` before it did not belong to the send, the
        module still waits for the payload and takes all that is written for it, also the
        AT+QIGETERROR. Then nobody knows what the module has sent.
        """
        if isinstance(subject, Send) and subject is self._sender.outstanding:
            yield from self.lose_send(subject, reason, now)
        else:
            yield from self._explained(subject, None, now)

    def lose_send(self, send: Send, reason: str, now: float) -> Iterator[Consequence]:
        """Give a send up, because nobody knows whether the module took the bytes (F25)."""
        self._sender.lose(send, now)
        if send.job is not None:
            yield Finished(send.job, Answer(failure=StreamBroken(f"no result: {reason}")))
        slot = send.slot
        if slot.is_live:
            text = f"sent bytes may be lost: {reason}"
            # A stream can't go on without these bytes; a UDP socket can.
            if slot.is_datagram:
                slot.confirm(len(send.data))
                yield DatagramLost(slot, text)
            else:
                yield Failed(slot, StreamBroken(text))
        yield SendOver(slot)

    def send_result(self, *, sent: bool, now: float) -> Iterator[Consequence]:
        """End the outstanding send with its ``SEND OK`` or ``SEND FAIL``."""
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
        """Handle data of an AT+QIRD that arrive while no read is in flight.

        An ``ERROR`` that did not belong to the last read has ended it. These are its data, so
        its stream can't go on without them.
        """
        reason = "received data came when no AT+QIRD was in flight"
        yield from self._lose_last_read(reason)
        yield OutOfStep(reason)

    def stray_result(self, text: bytes, explain: Explain | None) -> Iterator[Consequence]:
        """Handle a final result that arrives while no command is in flight.

        Args:
            text: The result.
            explain: The AT+QIGETERROR that is due next, if one is. If it is due because of a
                read, this result shows that the ``ERROR`` was not the end of that read.

        """
        if explain is not None and isinstance(explain.subject, Read):
            yield from self._lose_last_read(_TWO_ENDS)
        yield OutOfStep(f"{ascii_text(text)} came when no command was in flight")

    def _lose_last_read(self, reason: str) -> Iterator[Consequence]:
        slot, self._last_read = self._last_read, None
        if slot is not None and slot.is_live:
            yield _lost_read(slot, f"received bytes may be lost: {reason}")

    def _job(
        self, job: Job, exchange: Exchange, now: float, *, lost: bool
    ) -> Iterator[Consequence]:
        send = self._sender.outstanding
        # A send that the caller wrote: its job ends with SEND OK, not with OK.
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
        # A line that may belong to the answer was not taken, so the answer may be incomplete.
        elif exchange.turned_away and exchange.succeeded:
            what = quoted_command(exchange.command.text)
            reason = f"bytes of the answer to {what} were lost on the line; ask again"
            yield Finished(job, Answer(failure=LinkTimeout(reason)))
        elif exchange.final == b"ERROR" and job.explain and job.command.tcpip:
            yield Explain(job)
        else:
            yield done(job, exchange)

    def _read(
        self, read: Read, exchange: Exchange, now: float, *, length_shown: bool
    ) -> Iterator[Consequence]:
        slot = self._last_read = read.slot
        # A refusal, and no data: ask for the reason.
        if not exchange.succeeded and exchange.payload is None and exchange.damage is None:
            yield Explain(read)
            return
        reason = distrust(exchange, length_shown=length_shown)
        if reason is not None:
            exchange.damage = reason
            if _was_empty(exchange):
                # A torn "+QIRD: 0" has lost no data: read once more.
                slot.readable = True
            elif slot.is_live:
                # With nothing remaining, the payload was the end of its datagram, so the next
                # read does not give its rest.
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
            # The buffer's last byte is delivered: now comes what was pushed after it.
            if slot.held is not None and slot.found_empty:
                yield from _complete_switch(slot)
            if event is not None:
                yield event
            # The socket ended before its switch could be sent.
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
        # SEND OK or SEND FAIL came before this final result, which adds nothing.
        if send.result is not None:
            return self.send_result(sent=send.result, now=now)
        return (Explain(send),)

    def _switch(self, switch: Switch, exchange: Exchange) -> Iterator[Consequence]:
        slot = switch.slot
        if not exchange.succeeded and exchange.is_doubtful:
            text = "the ERROR to the switch may be received data"
            yield from self._lose_switch(switch, exchange, text)
            return
        if not exchange.succeeded:
            yield Explain(switch)
            return
        if not slot.is_live:
            return
        # Around the switch, data may have got into the buffer without an announcement.
        slot.readable, slot.found_empty = True, False
        if switch.mode is AccessMode.PUSH:
            # If the OK came long ago and was not believed, pushed data were framed as lines.
            if exchange.is_doubtful:
                yield _lost(slot, "received bytes may be lost: the switch came after lost bytes")
            # Data pushed from now on are held until the buffer has been read empty.
            slot.held = []
            return
        # The caller may have asked for the other mode again in the meantime; the session sends
        # that switch next.
        is_newer_wish = slot.wanted_mode is not switch.mode
        if not is_newer_wish:
            slot.wanted_mode = None
        held, slot.held = slot.held, None
        # Data that were pushed are here, and older data are still in the buffer: the order of the
        # stream is lost.
        if held and slot.holds_data:
            text = "pushed data came before older data that the module still holds"
            yield Failed(slot, StreamBroken(text))
            return
        for data in held or ():
            yield DataReceived(slot, data)
        if not is_newer_wish:
            yield ModeSwitched(slot)

    def _lose_switch(
        self, switch: Switch, exchange: Exchange, reason: str
    ) -> Iterator[Consequence]:
        """End a switch whose result is not known; the access mode is not known either then."""
        slot = switch.slot
        # The socket was closed in the meantime, which has ended the switch.
        if slot.wanted_mode is None:
            return
        slot.wanted_mode = slot.held = None
        slot.is_mode_doubtful = True
        has_come = slot.readable or exchange.is_doubtful
        if slot.is_live and switch.mode is AccessMode.PUSH and has_come:
            # What has come may have been pushed, and was framed as lines then.
            yield _lost(slot, f"received bytes may be lost: {reason}")
        yield SwitchRefused(slot, None, reason)

    def _explained(
        self, subject: Job | Read | Send | Switch, err: int | None, now: float
    ) -> Iterator[Consequence]:
        """End a refused exchange, with the reason that AT+QIGETERROR gave, if any."""
        if isinstance(subject, Job):
            yield Finished(subject, Answer(err=err))
        elif isinstance(subject, Send):
            # The send may have been given up while AT+QIGETERROR was under way.
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
    """Complete a switch to push mode: the buffer is empty, so deliver what was held."""
    held, slot.held = slot.held, None
    for data in held or ():
        yield DataReceived(slot, data)
    # Buffer mode is wanted if the caller has asked for it in the meantime.
    if slot.wanted_mode is AccessMode.PUSH:
        slot.wanted_mode = None
        yield ModeSwitched(slot)


def _switch_refused(switch: Switch, err: int | None) -> Iterator[Event]:
    """Leave a socket in the access mode that it has, because the module refused the switch.

    If the peer has closed the connection in the meantime, the connection ends now.
    """
    slot = switch.slot
    # The socket was closed in the meantime, and the caller who waits has been told.
    if slot.wanted_mode is None:
        return
    has_newer_wish = slot.wanted_mode is not switch.mode
    slot.wanted_mode = None
    held, slot.held = slot.held, None
    # Push mode can't be read, and the switch back to buffer mode was refused.
    if slot.is_live and held is not None and slot.holds_data:
        text = "the module holds received bytes that can't be read in either access mode"
        yield Failed(slot, StreamBroken(text))
        held = None
    for data in held or ():
        yield DataReceived(slot, data)
    yield SwitchRefused(slot, err)
    # The newer wish was to stay in the mode that the socket is in.
    if has_newer_wish:
        yield ModeSwitched(slot)
    yield from end_of_closed(slot)


def _read_refused(slot: Slot, err: int | None) -> Iterator[Event]:
    """Act on ``ERROR`` to a read.

    During the last part of a switch to push mode, a module may refuse every read, because it
    knows no read in push mode. The buffer then still holds data only if they were announced,
    and the socket must go back to buffer mode to get them. A code that says "busy" proves
    nothing, so the read is repeated (F22).
    """
    if slot.held is None or is_passing(slot, err):
        yield note_refusal(slot, err)
    elif slot.holds_data:
        slot.wanted_mode = AccessMode.BUFFER
        yield SwitchRefused(slot, err)
    else:
        slot.readable = False
        yield from _complete_switch(slot)
        yield from end_of_closed(slot)


def end_of_closed(slot: Slot) -> Iterator[Event]:
    """End a push-mode socket that the peer has closed, because it has no buffer to read."""
    is_over = slot.is_live and slot.state is SlotState.REMOTE_CLOSED and not slot.is_drained
    if is_over and not slot.has_buffer:
        yield Drained(slot)


def unfinished(
    exchange: Exchange | None, explain: Explain | None, send: Send | None, queue: Iterable[Job]
) -> list[Job]:
    """Return the jobs without a result, those under way first, each once."""
    begun = [send and send.job, explain, exchange and exchange.purpose]
    subjects = [p.subject if isinstance(p, Explain) else p for p in begun]
    return list(dict.fromkeys(job for job in (*subjects, *queue) if isinstance(job, Job)))


def done(job: Job, exchange: Exchange) -> Finished:
    """Return the end of a job that its final result ends, with the answer."""
    lines = (*exchange.lines, *_payload_lines(exchange))
    cme = exchange.cme
    return Finished(job, Answer(exchange.succeeded, lines, err=_table_2(cme), cme=cme))


def _table_2(cme: str | None) -> int | None:
    """Return the ``<err>`` of table 2 that a module put after ``+CME ERROR:``, if it did (F54)."""
    # The codes of table 2 have three digits; int() of thousands would be slow.
    if cme is None or not cme.isdecimal() or len(cme) > 3:
        return None
    return int(cme) if int(cme) in _ERRORS else None


_ERRORS: Final = frozenset(int(err) for err in Err if err)


def _was_empty(exchange: Exchange) -> bool:
    """Whether a damaged answer was most likely ``+QIRD: 0``, by the one torn line in it."""
    torn = exchange.torn_line
    alone = exchange.succeeded and exchange.payload is None and not exchange.lines
    return alone and torn is not None and is_torn_empty(torn)


def _lost(slot: Slot, reason: str) -> Event:
    """Report lost bytes: a stream ends, because it must never skip data; a datagram is lost."""
    if not slot.is_datagram:
        return Failed(slot, StreamBroken(reason))
    slot.fragments.clear()
    return DatagramLost(slot, reason)


def _lost_read(slot: Slot, reason: str) -> Event:
    """Report a read whose data are lost; of a datagram, the next read may give the rest."""
    slot.rest_due = slot.is_datagram
    return _lost(slot, reason)


def _payload_lines(exchange: Exchange) -> tuple[bytes, ...]:
    """Give the payload of a caller's own AT+QIRD as the lines that the module printed."""
    payload = exchange.payload
    if payload is None:
        return ()
    left = b"" if payload.remaining is None else b",%d" % payload.remaining
    return (b"+QIRD: %d%b" % (len(payload.data), left), payload.data)


def _too_early(exchange: Exchange) -> str:
    final = ascii_text(exchange.final or b"")
    what = quoted_command(exchange.command.text)
    return f"the module answered {final} to {what} before it had the data"


def _code(exchange: Exchange) -> int | None:
    """Return the ``<err>`` that AT+QIGETERROR gave, if it gave one."""
    if not exchange.succeeded:
        return None
    try:
        # 0, "success", explains no refusal: AT+QIGETERROR told of another command.
        return Qigeterror().parse(exchange.lines)[0] or None
    except UnexpectedAnswer:
        return None
