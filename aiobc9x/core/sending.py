"""The one send that may be outstanding on the module (§2.2.4, §2.2.5, §4.1.2).

Layer: core. Does no I/O; time comes in as ``now``.

``SEND OK`` carries no connect ID, so whatever comes belongs to the outstanding send, and
no other begins before it is over. A send is one state machine (:data:`TRANSITIONS`); of
fixed length it begins as ASKED, and with the data on its line as WRITTEN::

    state      happens      becomes    note
    ASKED      PROMPT       PROMPTED   the data go out; for an OK it is too early: LOSE
    PROMPTED   WRITE        WRITTEN    the last byte of the data has gone out
    WRITTEN    ACCEPT       ACCEPTED   OK: the module has the data
    WRITTEN    RESULT       SETTLED    SEND OK before OK, or without it
    ACCEPTED   RESULT       OVER       as the note has it: OK, then SEND OK or SEND FAIL
    SETTLED    RESULT       SETTLED    the first was of the send before, doubled: the last counts
    SETTLED    ACCEPT       OVER       the OK behind SEND OK
    SETTLED    DISTRUST     ACCEPTED   the same, of a module that prints OK first: most likely
                                       SEND OK was of the send before, so another is waited for
    SETTLED    EXPIRE       OVER       no OK: this module omits it, or it comes late
    not LOST   REFUSE       OVER       ERROR: no byte was taken
    not OVER   LOSE         LOST       nobody knows whether the module has the data
    LOST       EXPIRE       OVER       its result is due no more

A LOST send keeps its place until the module can't print its result any more: that result
names no socket, and must not count for the next send.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from aiobc9x.core.events import (
    DatagramLost,
    Event,
    Failed,
    Job,
    SendRefused,
    SendStalled,
    Sent,
)
from aiobc9x.core.line_timing import LineTiming
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken, WriteFailed
from aiobc9x.spec import SEND_MAX_BYTES, Err, ServiceType
from aiobc9x.wire.commands.tcpip import Command, Qisend, Qisendex
from aiobc9x.wire.params import inline_text_ok

RESULT_LIMIT_S: Final = 15.0
"""Seconds from the payload to ``SEND OK``. Ours: the note states none."""

RESULT_SLACK_S: Final = 60.0
"""The most that other traffic on the line can extend that: the result stands behind it."""

GRACE_S: Final = 0.3
"""How long ``OK`` may stay away when ``SEND OK`` came first; relatives omit it."""

EARLY_S: Final = 2.0
"""How long another result is waited for where the first came sooner than the send itself can
have crossed the line: the last one counts. Ours."""

SECOND_RESULT_S: Final = 2.0
"""The same behind ``OK``, from a module that prints ``OK`` first. Ours."""

AFTERMATH_S: Final = 2.0
"""Seconds from the end of a socket until the result of its last send is due no more. Ours:
the note doesn't say whether a module that closes a socket still prints it."""

STALL_LIMIT_S: Final = 60.0
"""Seconds of ``SEND FAIL`` without progress before the connection ends."""

BACKOFF_S: Final = (0.1, 5.0)
"""First and longest wait after ``SEND FAIL``; each is twice the one before."""

QUIET_S: Final = 0.1
"""After the last data-mode send of a burst, sockets are read once (rule 5)."""

BURST_S: Final = 1.0
"""In a long burst of data-mode sends, sockets are read once in this time (rule 5)."""

FORM_REST_S: Final = (60.0, 86400.0)
"""How long a form that was refused is not tried again: a busy module may refuse one that it
knows. Each refusal in a row doubles it, up to a day. Ours."""

_FORM_REFUSED: Final = {
    None,
    Err.UNKNOWN,
    Err.INVALID_PARAMETERS,
    Err.NO_MEMORY,
    Err.NOT_SUPPORTED,
}
_PASSING: Final = {None, Err.BLOCKED, Err.BUSY, Err.NO_MEMORY}

# A module that misses its command takes a payload for command lines, and V.250 has it look
# for AT at the beginning of each.
_COMMAND_LIKE: Final = re.compile(rb"(?:^|[\r\n])[\x00-\x20\x7f-\xff]*AT", re.IGNORECASE)


class SendForm(enum.StrEnum):  # whose members hash as fast as strings
    """How a payload goes to the module (§2.2.4, §2.2.5)."""

    INLINE = "inline"
    HEX = "hex"
    FIXED = "fixed"


# To look an attribute of an enum up takes its time.
_INLINE, _HEX, _FIXED = SendForm.INLINE, SendForm.HEX, SendForm.FIXED

ANY_FORM: Final = frozenset(SendForm)
"""What may be chosen from if nobody has pinned a form."""


def send_time(form: SendForm, size_bytes: int, line: LineTiming) -> float:
    """Return the seconds from the first byte of a send to the last of its ``OK``.

    The costs are counted from the note's byte formats (§2.2.4, §2.2.5), with the echo off:
    a command line and its answer cross the line once, and each turnaround waits for the
    module, or for us. What follows ``OK`` is the same for every form, so it is left out.

    Args:
        form: How the payload goes.
        size_bytes: Of the payload, 1–1440.
        line: What the line takes.

    """
    digits = len(str(size_bytes))
    if form is _INLINE:  # AT+QISEND=0,n,"data" CR, CR LF OK CR LF
        return (22 + digits + size_bytes) / line.bytes_per_s + line.latency_s
    if form is _HEX:  # AT+QISENDEX=0,n,"hex" CR, CR LF OK CR LF
        return (24 + digits + 2 * size_bytes) / line.bytes_per_s + line.latency_s
    # AT+QISEND=0,n CR, CR LF > SP, data, CR LF OK CR LF
    wire = (23 + digits + size_bytes) / line.bytes_per_s
    return wire + 2 * line.latency_s + line.turnaround_s


def is_command_like(data: bytes) -> bool:
    """Whether a module that awaits a command could take a line of a payload for one."""
    return b"AT" in data.upper() and _COMMAND_LIKE.search(data) is not None


def choose_form(
    data: bytes,
    line: LineTiming,
    profile: ModuleProfile,
    permitted: Collection[SendForm] = ANY_FORM,
) -> SendForm:
    """Choose the cheapest form that can carry a payload.

    What quotes, control characters and bytes above 0x7E do inside quotes is undocumented,
    so only plain text goes inline. Fixed length takes any bytes, and is what remains. A
    payload with a line that begins with AT goes as hex whatever that costs: behind a prompt
    that got lost it could not be written without doubt (see :class:`Sender`).

    Args:
        data: 1–1440 bytes.
        line: What the line takes.
        profile: Gives the longest payloads that the module takes on a command line.
        permitted: Forms that may be used; fixed length always may.

    """
    size = len(data)
    if _INLINE in permitted and size <= profile.inline_limit_bytes and inline_text_ok(data):
        return _INLINE  # a byte and a turnaround less than fixed length, on any line
    if _HEX not in permitted or size > profile.hex_inline_limit_bytes:
        return _FIXED
    if _FIXED not in permitted or send_time(_HEX, size, line) < send_time(_FIXED, size, line):
        return _HEX
    return _HEX if is_command_like(data) else _FIXED


def permitted_forms(name: str) -> frozenset[SendForm]:
    """Return the forms that ``open_modem(send_form=…)`` names.

    Args:
        name: ``"auto"``: all. ``"inline"``: plain text inline, the rest by fixed length.
            ``"hex"``: everything as hex. ``"fixed"``: everything by fixed length.

    Raises:
        ValueError: Another name.

    """
    if name not in _NAMED:
        raise ValueError(f"send_form is {name!r}: use {', '.join(map(repr, _NAMED))}")
    return _NAMED[name]


_NAMED: Final[dict[str, frozenset[SendForm]]] = {
    "auto": ANY_FORM,
    "inline": frozenset({SendForm.INLINE, SendForm.FIXED}),
    "hex": frozenset({SendForm.HEX}),
    "fixed": frozenset({SendForm.FIXED}),
}


class SendState(enum.StrEnum):  # as above
    """Where a send is; see the table at the top of this module."""

    ASKED = "asked"
    PROMPTED = "prompted"
    WRITTEN = "written"
    ACCEPTED = "accepted"
    SETTLED = "settled"
    LOST = "lost"
    OVER = "over"


class SendStep(enum.StrEnum):
    """What happens to a send."""

    PROMPT = "prompt"
    WRITE = "write"
    ACCEPT = "accept"
    RESULT = "result"
    DISTRUST = "distrust"
    REFUSE = "refuse"
    LOSE = "lose"
    EXPIRE = "expire"


_ASKED, _PROMPTED, _WRITTEN, _ACCEPTED, _SETTLED, _LOST, _OVER = SendState
_PROMPT, _WRITE, _ACCEPT, _RESULT, _DISTRUST, _REFUSE, _LOSE, _EXPIRE = SendStep

_FIRST: Final = {_INLINE: _WRITTEN, _HEX: _WRITTEN, _FIXED: _ASKED}
"""The state that a send of each form begins in."""

TRANSITIONS: Final[dict[tuple[SendState, SendStep], SendState]] = {
    (_ASKED, _PROMPT): _PROMPTED,
    (_PROMPTED, _WRITE): _WRITTEN,
    (_WRITTEN, _ACCEPT): _ACCEPTED,
    (_WRITTEN, _RESULT): _SETTLED,
    (_ACCEPTED, _RESULT): _OVER,
    (_SETTLED, _RESULT): _SETTLED,
    (_SETTLED, _ACCEPT): _OVER,
    (_SETTLED, _DISTRUST): _ACCEPTED,
    (_SETTLED, _EXPIRE): _OVER,
    **{(state, _REFUSE): _OVER for state in (_ASKED, _PROMPTED, _WRITTEN, _ACCEPTED, _SETTLED)},
    **{(state, _LOSE): _LOST for state in SendState if state is not _OVER},
    (_LOST, _EXPIRE): _OVER,
}
"""What a step makes of a state; what is missing here changes nothing."""


@dataclass(eq=False, slots=True)
class Send:
    """One AT+QISEND.

    Attributes:
        slot: The socket.
        data: What was sent.
        form: How.
        state: See :data:`TRANSITIONS`; it begins as its form says.
        written_at: When the last of it was written: the line, or the data behind the prompt.
        deadline: When the next thing must have happened that no exchange waits for.
        result: ``True`` for ``SEND OK``, ``False`` for ``SEND FAIL``, once it has come before
            ``OK``.
        is_early: It came sooner than the send can have crossed the line, so it is most likely
            of the send before.
        job: The command that it is, for a send that no socket of ours asked for.
        lines: Information lines of that command.
        is_covered: The reads for lost URCs come behind its data mode.

    """

    slot: Slot
    data: bytes
    form: SendForm
    state: SendState
    written_at: float = 0.0
    deadline: float | None = None
    result: bool | None = None
    is_early: bool = False
    job: Job | None = None
    lines: tuple[bytes, ...] = ()
    is_covered: bool = False
    _hard_deadline: float = math.inf

    def step(self, step: SendStep) -> bool:
        """Take a step; return whether the table has it for this state."""
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether its command has ended and its result is due."""
        return self.state is _ACCEPTED

    @property
    def is_lost(self) -> bool:
        """Whether it only keeps its place."""
        return self.state is _LOST

    def command(self) -> Command[Any]:
        """Return the command line for the form."""
        size = len(self.data)
        if self.form is _INLINE:
            return Qisend(self.slot.connect_id, size, self.data)
        if self.form is _HEX:
            return Qisendex(self.slot.connect_id, size, self.data)
        return Qisend(self.slot.connect_id, size)

    def is_of(self, purpose: object) -> bool:
        """Whether the exchange with this purpose is the send."""
        return purpose is self or (self.job is not None and purpose is self.job)

    def await_result(self, now: float) -> None:
        """Set the time by which ``SEND OK`` must have come: the command has ended.

        Behind a result that came before ``OK``, another one comes soon or never, unless that
        one was most likely of the send before.
        """
        is_doubted = self.result is not None and not self.is_early
        self.deadline = now + (SECOND_RESULT_S if is_doubted else RESULT_LIMIT_S)
        self._hard_deadline = self.deadline + RESULT_SLACK_S

    def progress(self, now: float, margin: float) -> None:
        """Bytes are arriving: a result that stands behind them may still come, within bounds."""
        if self.deadline is not None and self.state is _ACCEPTED and self.deadline < now + margin:
            self.deadline = min(now + margin, self._hard_deadline)

    def keep_place(self, until: float) -> None:
        """Let no other send begin before then."""
        self.deadline = until


class Sender:
    """Remembers the outstanding send, and whether URCs may have been swallowed.

    A prompt that got lost leaves the module waiting for the data. Anything else that is
    written then, such as ``AT``, would reach the peer as if the program had sent it. So the
    data themselves are written (``Session`` does it), unless a line of them could be taken
    for a command by a module that has missed AT+QISEND.

    Attributes:
        profile: Gives the inline limits, which are learned downwards for a while.
        permitted: Forms that may be chosen.
        outstanding: The send that is not over.
        suspicion_due: When sockets are to be read, because a data-mode send may have swallowed
            a URC; ``None`` if none has.

    """

    def __init__(self, profile: ModuleProfile, permitted: Collection[SendForm] = ANY_FORM) -> None:
        self.profile = self._told = profile
        self.permitted = permitted
        self.outstanding: Send | None = None
        self.suspicion_due: float | None = None
        self._burst_ends = 0.0
        # The longest payload of each form that the module has taken.
        self._taken = dict.fromkeys(SendForm, 0)
        # The longest that it may be given, once it has refused one, until when, and how long
        # the next refusal counts.
        self._limits: dict[SendForm, tuple[int, float]] = {}
        self._rests = dict.fromkeys(SendForm, FORM_REST_S[0])
        self._heals_at = math.inf

    def use(self, profile: ModuleProfile) -> None:
        """Take over a profile; what the module has refused lately stays known."""
        self._told = profile
        self._apply_limits()

    def _apply_limits(self) -> None:
        told = self._told
        inline = self._limits.get(_INLINE, (SEND_MAX_BYTES, 0))[0]
        in_hex = self._limits.get(_HEX, (SEND_MAX_BYTES, 0))[0]
        self.profile = replace(
            told,
            inline_limit_bytes=min(told.inline_limit_bytes, inline),
            hex_inline_limit_bytes=min(told.hex_inline_limit_bytes, in_hex),
        )
        self._heals_at = min((until for _, until in self._limits.values()), default=math.inf)

    def heal(self, now: float) -> None:
        """Offer the module again what it refused long enough ago."""
        if now >= self._heals_at:
            self._limits = {f: limit for f, limit in self._limits.items() if now < limit[1]}
            self._apply_limits()

    def begin(self, slot: Slot, line: LineTiming, now: float) -> Send:
        """Make the next send of a socket that has something to send."""
        self.heal(now)
        data = slot.next_quantum()
        form = choose_form(data, line, self.profile, self.permitted)
        if form is _FIXED and self.suspicion_due is not None:
            self.suspicion_due = self._burst_ends  # the burst goes on
        self.outstanding = Send(slot, data, form, _FIRST[form], now)
        return self.outstanding

    def begin_job(self, job: Job, now: float) -> None:
        """Note a send that a caller has worded: its ``SEND OK`` must not be ours."""
        nobody = Slot(-1, 0, ServiceType.TCP, state=SlotState.FREE)
        form = _INLINE if job.data is None else _FIXED
        self.outstanding = Send(nobody, job.data or b"", form, _FIRST[form], now, job=job)

    def forget_job(self, job: Job) -> None:
        """Drop the outstanding send if it is this job's: its command has ended without data."""
        if self.outstanding is not None and self.outstanding.job is job:
            self.outstanding.step(_REFUSE)
            self.outstanding = None

    def lose(self, send: Send, now: float) -> None:
        """Give a send up; it keeps its place while its result may still come.

        A stream ends by that, so its send waits for the end of the socket. A datagram socket
        and a caller's own command go on.
        """
        send.step(_LOSE)
        slot = send.slot
        ends = send.job is None and not slot.is_datagram and slot.state is not SlotState.FREE
        send.keep_place(math.inf if ends else now + AFTERMATH_S)

    def drop_dead(self, now: float) -> Send | None:
        """Let a send whose socket is free keep its place for a moment only.

        The result names no socket: one that still comes must not count for another.

        Returns:
            The send, if it has been given up by this.

        """
        send = self.outstanding
        if send is None or send.job is not None or send.deadline is None:
            return None
        if send.slot.state is not SlotState.FREE:
            return None
        if send.is_lost:  # it has been waited for long enough
            if math.isinf(send.deadline):
                self.expire_lost()
            return None
        self.lose(send, now)
        return send

    def expire_lost(self) -> None:
        """Free the place of a lost send whose time has come."""
        send = self.outstanding
        assert send is not None
        send.step(_EXPIRE)
        self.outstanding = None

    def finish(self, *, sent: bool, now: float) -> Event | None:
        """Account for the result of the outstanding send.

        Args:
            sent: ``SEND OK`` came, not ``SEND FAIL``.
            now: The time.

        Returns:
            What it means for the socket; ``None`` if the socket has gone meanwhile.

        """
        send = self.outstanding
        assert send is not None
        self.outstanding = None
        self._taken[send.form] = max(self._taken[send.form], len(send.data))
        if send.form not in self._limits:
            self._rests[send.form] = FORM_REST_S[0]  # it works, at any length
        if send.form is _FIXED and not send.is_covered:
            self._suspect(now)
        slot = send.slot
        if not slot.is_live:
            return None
        if sent:
            slot.confirm(len(send.data))
            return Sent(slot, len(send.data))
        if slot.is_datagram:
            slot.confirm(len(send.data))
            return DatagramLost(slot, "SEND FAIL: the module could not take the datagram")
        if not self.profile.send_fail_is_atomic:
            return Failed(slot, WriteFailed(send.command().text, Err.WRITE_FAILED))
        return self._stall(slot, Err.WRITE_FAILED, now)

    def refused(self, err: int | None, now: float) -> Event | None:
        """Account for ``ERROR`` to the outstanding send: no byte was taken.

        Behind the data it may mean anything, unless its code says more.
        """
        send = self.outstanding
        assert send is not None
        self.outstanding = None
        was_written = send.state is _WRITTEN
        send.step(_REFUSE)
        slot = send.slot
        if not slot.is_live:
            return None
        if send.form is not _FIXED and err in _FORM_REFUSED:
            self._avoid(send, now)
            return None
        if was_written and err is None and not slot.is_datagram:
            return Failed(slot, StreamBroken("sent bytes may be lost: ERROR came behind them"))
        if err in _PASSING and not slot.is_datagram:
            return self._stall(slot, err, now)
        if slot.is_datagram:
            slot.confirm(len(send.data))
        return SendRefused(slot, err)

    def _avoid(self, send: Send, now: float) -> None:
        """Send no such line for a while: only what has worked is used again."""
        form, rest = send.form, self._rests[send.form]
        self._limits[form] = min(self._taken[form], len(send.data) - 1), now + rest
        self._rests[form] = min(2 * rest, FORM_REST_S[1])
        self._apply_limits()

    def _stall(self, slot: Slot, err: int | None, now: float) -> Event:
        """Send the same bytes again later, within :data:`STALL_LIMIT_S`."""
        if slot.stalled_since is None:
            slot.stalled_since = now
        if now - slot.stalled_since >= STALL_LIMIT_S:
            text = f"the module took no byte for {STALL_LIMIT_S:g} s (SEND FAIL)"
            return Failed(slot, StreamBroken(text))
        first, longest = BACKOFF_S
        slot.backoff = min(max(2 * slot.backoff, first), longest)
        slot.retry_at = math.inf
        return SendStalled(slot, err)

    def _suspect(self, now: float) -> None:
        if not self.profile.suspect_after_send:
            return
        if self.suspicion_due is None:
            self._burst_ends = now + BURST_S
        self.suspicion_due = min(now + QUIET_S, self._burst_ends)

    def end_burst(self, now: float, *, sends_wait: bool = False) -> bool:
        """End a burst of data-mode sends whose time has come; return whether one has ended.

        Args:
            now: The time.
            sends_wait: Somebody has more to send, so the burst is not over.

        """
        if self.suspicion_due is None or now < self.suspicion_due:
            return False
        if sends_wait and now < self._burst_ends:
            self.suspicion_due = self._burst_ends
            return False
        self.suspicion_due = None
        if self.outstanding is not None:
            self.outstanding.is_covered = True
        return True

    def forget(self) -> None:
        """Drop everything: the module has restarted, or the link is gone."""
        self.outstanding = None
        self.suspicion_due = None
