"""What the end of an exchange means: answered, refused, explained, or never answered.

Layer: core. Does no I/O; time comes in as ``now``.

The functions yield events; :class:`Explain` among them asks the session to send
AT+QIGETERROR before anything else, because it tells of the last command alone (§3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from aiobc9x.core.events import Answer, Event, Failed, Finished, Job, OutOfStep
from aiobc9x.core.exchange import Exchange
from aiobc9x.core.receiving import Read, absorb, distrust, refuse
from aiobc9x.core.sending import Send, Sender
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import LinkTimeout, StreamBroken, UnexpectedAnswer
from aiobc9x.wire.commands import Qigeterror


@dataclass(eq=False, slots=True)
class Explain:
    """AT+QIGETERROR on behalf of what was refused."""

    subject: Job | Read | Send


Purpose: TypeAlias = Job | Read | Send | Explain
Consequence: TypeAlias = Event | Explain


class Endings:
    """Knows what each kind of exchange was for."""

    def __init__(self, sender: Sender, statistics: Statistics) -> None:
        self._sender, self._statistics = sender, statistics

    def answered(
        self, exchange: Exchange, now: float, *, lost: bool, length_shown: bool
    ) -> Iterator[Consequence]:
        """Say what a final result means.

        Args:
            exchange: The exchange, with its final result.
            now: The time.
            lost: It came before the data could be written.
            length_shown: Headers carry the remaining length.

        """
        purpose = exchange.purpose
        if isinstance(purpose, Job):
            return self._job(purpose, exchange, lost=lost)
        if isinstance(purpose, Read):
            return self._read(purpose, exchange, now, length_shown=length_shown)
        if isinstance(purpose, Send):
            return self._send(purpose, exchange, now, lost=lost)
        assert isinstance(purpose, Explain)
        return self._explained(purpose.subject, _code(exchange), now)

    def expired(self, exchange: Exchange, now: float) -> Iterator[Consequence]:
        """Say what it means that no final result came in time."""
        purpose = exchange.purpose
        reason = f"no final result to {exchange.command.text!r} in time"
        if isinstance(purpose, Job):
            failure = LinkTimeout(f"{reason}: the module is silent, asleep or not connected")
            yield Finished(purpose, Answer(lines=tuple(exchange.lines), failure=failure))
        elif isinstance(purpose, Explain):
            yield from self._explained(purpose.subject, None, now)
        elif isinstance(purpose, Send):
            yield from self.lose_send(purpose, reason)
        elif isinstance(purpose, Read) and purpose.slot.is_live:
            yield Failed(purpose.slot, StreamBroken(f"received bytes may be lost: {reason}"))
        yield OutOfStep(reason)

    def lose_send(self, send: Send, reason: str) -> Iterator[Consequence]:
        """Give a send up: nobody knows whether the module took the bytes."""
        self._sender.outstanding = None
        if send.slot.is_live:
            yield Failed(send.slot, StreamBroken(f"sent bytes may be lost: {reason}"))

    def send_result(self, *, sent: bool, now: float) -> Iterator[Consequence]:
        """Account for ``SEND OK`` or ``SEND FAIL`` of the outstanding send."""
        send = self._sender.outstanding
        assert send is not None
        if sent:
            self._statistics.sends += 1
            self._statistics.payload_bytes_sent += len(send.data)
        else:
            self._statistics.send_failures += 1
        event = self._sender.finish(sent=sent, now=now)
        if event is not None:
            yield event

    def _job(self, job: Job, exchange: Exchange, *, lost: bool) -> Iterator[Consequence]:
        if lost:
            reason = _too_early(exchange)
            yield Finished(job, Answer(failure=StreamBroken(reason)))
            yield OutOfStep(reason)
        elif exchange.final == b"ERROR" and job.explain and job.command.tcpip:
            yield Explain(job)
        else:
            lines = tuple(exchange.lines)
            yield Finished(job, Answer(exchange.succeeded, lines, cme=exchange.cme))

    def _read(
        self, read: Read, exchange: Exchange, now: float, *, length_shown: bool
    ) -> Iterator[Consequence]:
        if not exchange.succeeded:
            yield Explain(read)
            return
        reason = distrust(exchange, length_shown=length_shown)
        if reason is not None:
            if read.slot.is_live:
                yield Failed(read.slot, StreamBroken(f"received bytes are lost: {reason}"))
            yield OutOfStep(reason)
            return
        if exchange.payload is None:
            self._statistics.empty_reads += 1
        else:
            self._statistics.payload_bytes_received += len(exchange.payload.data)
        if read.slot.is_live:
            event = absorb(read.slot, exchange.payload, now)
            if event is not None:
                yield event

    def _send(
        self, send: Send, exchange: Exchange, now: float, *, lost: bool
    ) -> Iterator[Consequence]:
        if lost:
            reason = _too_early(exchange)
            yield from self.lose_send(send, reason)
            yield OutOfStep(reason)
        elif send.result is not None:
            yield from self.send_result(sent=send.result, now=now)
        elif exchange.succeeded:
            send.await_result(now)
        else:
            yield Explain(send)

    def _explained(
        self, subject: Job | Read | Send, err: int | None, now: float
    ) -> Iterator[Consequence]:
        event: Event | None = None
        if isinstance(subject, Job):
            event = Finished(subject, Answer(err=err))
        elif isinstance(subject, Send):
            if self._sender.outstanding is subject:
                event = self._sender.refused(err, now)
        elif subject.slot.is_live:
            event = refuse(subject.slot, err)
        if event is not None:
            yield event


def _too_early(exchange: Exchange) -> str:
    final = (exchange.final or b"").decode("ascii", "backslashreplace")
    return f"the module answered {final} to {exchange.command.text!r} before it had the data"


def _code(exchange: Exchange) -> int | None:
    """Return the ``<err>`` that AT+QIGETERROR gave, if it gave one."""
    if not exchange.succeeded:
        return None
    try:
        return Qigeterror().parse(exchange.lines)[0]
    except UnexpectedAnswer:
        return None
