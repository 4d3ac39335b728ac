"""Carry one send from its command to its result (§2.2.4, §2.2.5, §4.1.2).

Layer: core. Does no I/O; time comes in as ``now``.

``SEND OK`` names no socket, so at most one send is *outstanding* on the module: no other send
begins before it is over, and a result always belongs to the outstanding one. Each send is a
state machine (:data:`TRANSITIONS`). A send of fixed length begins as ASKED; a send with the
data on its command line begins as WRITTEN::

    state      happens      becomes    note
    ASKED      PROMPT       PROMPTED   the data are to be written; an OK now is a LOSE
    PROMPTED   WRITE        WRITTEN    the last byte of the data has gone out
    WRITTEN    ACCEPT       ACCEPTED   OK: the module has the data
    WRITTEN    RESULT       SETTLED    SEND OK before OK, or without it
    ACCEPTED   RESULT       OVER       as the note has it: OK, then SEND OK or SEND FAIL
    SETTLED    RESULT       SETTLED    a second result; the first was a doubled result of the
                                       send before, so the last one counts (F24)
    SETTLED    ACCEPT       OVER       OK after SEND OK
    SETTLED    DISTRUST     ACCEPTED   OK after SEND OK, although this module prints OK first:
                                       SEND OK was most likely of the send before, so wait for
                                       another
    SETTLED    EXPIRE       OVER       no OK: this module omits it, or prints it late (F23)
    not LOST   REFUSE       OVER       ERROR: the module has taken no byte
    not OVER   LOSE         LOST       nobody knows whether the module has the data
    LOST       EXPIRE       OVER       the module can't print the result of this send any more

A LOST send stays outstanding until its EXPIRE. If the next send began before, the late result
of the LOST one would count for it.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection
from dataclasses import replace
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
from aiobc9x.patterns import lazy_pattern
from aiobc9x.slotted import slotted
from aiobc9x.spec import SEND_MAX_BYTES, Err, ServiceType
from aiobc9x.wire.commands.tcpip import Command, Qisend, Qisendex
from aiobc9x.wire.params import inline_text_ok

RESULT_LIMIT_S: Final = 15.0
"""Seconds from the payload to ``SEND OK``. Ours: the note states none."""

RESULT_SLACK_S: Final = 60.0
"""The most seconds by which other traffic can extend :data:`RESULT_LIMIT_S`.

The result may be waiting on the module after that traffic.
"""

GRACE_S: Final = 0.3
"""Seconds to wait for ``OK`` when ``SEND OK`` came first; some relatives omit ``OK`` (F23)."""

EARLY_S: Final = 2.0
"""Seconds to wait for another result where the first one came too early (F24). Ours.

Too early is sooner than the send itself can have crossed the line. Of two results the last
one counts.
"""

SECOND_RESULT_S: Final = 2.0
"""Seconds to wait for another result after ``OK``, if a module that prints ``OK`` first has
printed a result before it (F24). Ours."""

AFTERMATH_S: Final = 2.0
"""Seconds after the end of a socket in which the result of its last send may still come. Ours:
the note doesn't say whether a module that closes a socket still prints it (F25)."""

STALL_LIMIT_S: Final = 60.0
"""Seconds of ``SEND FAIL`` without progress before the connection ends (F26). Ours."""

BACKOFF_S: Final = (0.1, 5.0)
"""First and longest wait after ``SEND FAIL``; each wait is twice the one before. Ours."""

QUIET_S: Final = 0.1
"""Seconds after the last prompted send of a burst after which sockets are read once (F14)."""

BURST_S: Final = 1.0
"""Seconds between such reads in a long burst of prompted sends (F14).

A read after each send would cost a third of the line with 32-byte sends.
"""

FORM_REST_S: Final = (60.0, 86400.0)
"""First and longest time in seconds for which a refused form of send is not used (F29). Ours.

A busy module may refuse a form that it knows, so the form is tried again. Each refusal in a
row doubles the time.
"""

# Codes that may mean "I don't know such a line", or "it is too long", without more.
_FORM_REFUSED: Final = {
    None,
    Err.UNKNOWN,
    Err.INVALID_PARAMETERS,
    Err.NO_MEMORY,
    Err.NOT_SUPPORTED,
}
# Codes that may mean that the module has no room or no time now.
_PASSING: Final = {None, Err.BLOCKED, Err.BUSY, Err.NO_MEMORY}

# A module that has missed the send command takes the payload for command lines. V.250 has it
# look for AT at the beginning of each line, and relatives skip noise and blanks before it (F27).
_COMMAND_LIKE: Final = lazy_pattern(rb"(?:^|[\r\n])[\x00-\x20\x7f-\xff]*AT", re.IGNORECASE)


# A StrEnum, because its members hash as fast as strings, and each send is looked up by one.
class SendForm(enum.StrEnum):
    """How a payload goes to the module (§2.2.4, §2.2.5)."""

    INLINE = "inline"
    HEX = "hex"
    FIXED = "fixed"


# Looking up a member of an enum is slow, and these are used in each send.
_INLINE, _HEX, _FIXED = SendForm.INLINE, SendForm.HEX, SendForm.FIXED

ANY_FORM: Final = frozenset(SendForm)
"""The forms that may be chosen from if the user has not named one."""


def send_time(form: SendForm, size_bytes: int, line: LineTiming) -> float:
    """Return the seconds from the first byte of a send to the last of its ``OK``.

    The bytes are counted from the note's formats (§2.2.4, §2.2.5), with the echo off. The
    command line and its answer cross the line once. Each change of direction costs the
    latency of the module, or the turnaround of the host. What follows ``OK`` is the same for
    every form, so it is left out.

    Args:
        form: How the payload goes.
        size_bytes: Size of the payload, 1–1440.
        line: The speed of the line and its delays.

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
    """Whether a module that waits for a command could obey a line of this payload (F27)."""
    # The cheap test first: most payloads have no AT at all.
    return b"AT" in data.upper() and _COMMAND_LIKE.search(data) is not None


def choose_form(
    data: bytes,
    line: LineTiming,
    profile: ModuleProfile,
    permitted: Collection[SendForm] = ANY_FORM,
) -> SendForm:
    """Choose the cheapest form that can carry a payload.

    Only plain text goes inline, because what quotes, control characters and bytes above 0x7E
    do inside quotes is undocumented (F29). Fixed length takes any bytes, so it is used where
    no other form will do. A payload with a line that begins with AT goes as hex digits even
    if that takes longer: if its prompt got lost, it could not be written safely (F27, see
    :class:`Sender`).

    Args:
        data: 1–1440 bytes.
        line: The speed of the line and its delays.
        profile: Has the longest payloads that the module takes on a command line.
        permitted: Forms that may be used; fixed length always may.

    """
    size = len(data)
    if _INLINE in permitted and size <= profile.inline_limit_bytes and inline_text_ok(data):
        # One byte and one change of direction less than fixed length, so the best on any line.
        return _INLINE
    if _HEX not in permitted or size > profile.hex_inline_limit_bytes:
        return _FIXED
    # Twice the bytes against one more change of direction: the line's figures decide.
    if _FIXED not in permitted or send_time(_HEX, size, line) < send_time(_FIXED, size, line):
        return _HEX
    return _HEX if is_command_like(data) else _FIXED


def permitted_forms(name: str) -> frozenset[SendForm]:
    """Return the forms that ``open_modem(send_form=…)`` names.

    Args:
        name: ``"auto"``: all forms. ``"inline"``: plain text inline, the rest by fixed length.
            ``"hex"``: everything as hex digits. ``"fixed"``: everything by fixed length.

    Raises:
        ValueError: There is no such name.

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


class SendState(enum.StrEnum):
    """The states of a send; see the table at the top of this module."""

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
"""The state after each step. A step that is missing here changes nothing: see :meth:`Send.step`."""


@slotted(eq=False)
class Send:
    """One AT+QISEND or AT+QISENDEX.

    Attributes:
        slot: The socket.
        data: The payload.
        form: How the payload goes to the module.
        state: See :data:`TRANSITIONS`; the first state depends on the form.
        written_at: When the last byte was written: of the line, or of the data at the prompt.
        deadline: When the ``OK`` or the result must have come that no exchange waits for;
            ``None`` while an exchange does.
        result: The result, if it came before ``OK``: ``True`` for ``SEND OK``, ``False`` for
            ``SEND FAIL``; else ``None``.
        is_early: The result came sooner than the send can have crossed the line, so it is most
            likely the result of the send before (F24).
        job: The caller's own command, for a send that a caller wrote; ``None`` for a send of a
            socket of ours.
        lines: The information lines of that command.
        is_covered: The reads for swallowed URCs are due anyway, after this send (F14).

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
        """Take a step, and return ``True``; if the table lacks it for this state, ``False``."""
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether the module has said ``OK``, and the result is due."""
        return self.state is _ACCEPTED

    @property
    def is_lost(self) -> bool:
        """Whether the send has been given up, and only stays outstanding."""
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
        """Whether an exchange with this purpose carries this send."""
        return purpose is self or (self.job is not None and purpose is self.job)

    def await_result(self, now: float) -> None:
        """Set the deadline for the result, because the command has ended with ``OK``.

        If a result came before the ``OK``, a second one comes soon or never, so the deadline is
        short. But if the first was too early, it belongs to the send before, and the deadline
        is that of any result.
        """
        is_doubted = self.result is not None and not self.is_early
        self.deadline = now + (SECOND_RESULT_S if is_doubted else RESULT_LIMIT_S)
        self._hard_deadline = self.deadline + RESULT_SLACK_S

    def extend_for_traffic(self, now: float, margin: float) -> None:
        """Extend the deadline, within bounds, because bytes arrive that may precede the result."""
        if self.deadline is not None and self.state is _ACCEPTED and self.deadline < now + margin:
            self.deadline = min(now + margin, self._hard_deadline)

    def keep_place(self, until: float) -> None:
        """Stay outstanding until then, so that no other send begins."""
        self.deadline = until


class Sender:
    """Keep the outstanding send, the forms that work, and the time of reads after a burst.

    A prompt that gets lost leaves the module waiting for the data (F27). Anything else that is
    written then, such as ``AT``, reaches the peer as if the program had sent it. So the session
    writes the data themselves when the prompt is overdue, unless a line of the data begins like
    a command: a module that missed AT+QISEND would obey that line.

    Attributes:
        profile: The user's profile, with the inline limits as lowered by recent refusals.
        permitted: Forms that may be chosen.
        outstanding: The send that is not over, ``None`` if there is none.
        reads_due: When sockets are to be read, because a prompted send may have swallowed a
            URC (F14); ``None`` if no such send is behind us.

    """

    profile: ModuleProfile

    def __init__(self, profile: ModuleProfile, permitted: Collection[SendForm] = ANY_FORM) -> None:
        self.profile = self._told = profile
        self.permitted = permitted
        self.outstanding: Send | None = None
        self.reads_due: float | None = None
        self._repeats: Slot | None = None  # whose bytes the last SEND FAIL has go again
        self._burst_ends = 0.0
        # The longest payload that the module has taken so far, by form.
        self._taken = dict.fromkeys(SendForm, 0)
        # Forms that the module has refused: the longest payload that may still go by the form,
        # and the time when this limit ends.
        self._limits: dict[SendForm, tuple[int, float]] = {}
        # How many seconds the next refusal of a form counts.
        self._rests = dict.fromkeys(SendForm, FORM_REST_S[0])
        self._limits_end_at = math.inf

    def use(self, profile: ModuleProfile) -> None:
        """Use another profile; limits from recent refusals still apply."""
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
        self._limits_end_at = min((until for _, until in self._limits.values()), default=math.inf)

    def lift_limits(self, now: float) -> None:
        """End the limits whose time is over, so that a refused form is tried again (F29)."""
        if now >= self._limits_end_at:
            self._limits = {f: limit for f, limit in self._limits.items() if now < limit[1]}
            self._apply_limits()

    def begin(self, slot: Slot, line: LineTiming, now: float) -> Send:
        """Make the next send of a socket that has something to send."""
        self.lift_limits(now)
        data = slot.next_quantum()
        form = choose_form(data, line, self.profile, self.permitted)
        if form is _FIXED and self.reads_due is not None:
            # This send prolongs the burst, so the reads wait, but for a second at most.
            self.reads_due = self._burst_ends
        self.outstanding = Send(slot, data, form, _FIRST[form], now)
        self._repeats = None
        return self.outstanding

    def begin_job(self, job: Job, now: float) -> None:
        """Note that a caller's own command is a send: its ``SEND OK`` must not count for ours."""
        # Its socket is none of our slots, so it gets one that is in no table.
        nobody = Slot(-1, 0, ServiceType.TCP, state=SlotState.FREE)
        form = _INLINE if job.data is None else _FIXED
        self.outstanding = Send(nobody, job.data or b"", form, _FIRST[form], now, job=job)
        self._repeats = None

    def forget_job(self, job: Job) -> None:
        """Drop the outstanding send if it is this job, whose command was refused."""
        if self.outstanding is not None and self.outstanding.job is job:
            self.outstanding.step(_REFUSE)
            self.outstanding = None

    def lose(self, send: Send, now: float) -> None:
        """Give a send up, which stays outstanding while its result may still come (F25).

        A stream connection fails with its lost send, so the send stays until the socket is
        closed. The socket of a datagram, or of a caller's own command, goes on; such a send
        stays for :data:`AFTERMATH_S`.
        """
        send.step(_LOSE)
        slot = send.slot
        ends = send.job is None and not slot.is_datagram and slot.state is not SlotState.FREE
        send.keep_place(math.inf if ends else now + AFTERMATH_S)

    def drop_dead(self, now: float) -> Send | None:
        """Give the outstanding send up if its socket has been freed.

        The send then stays outstanding for :data:`AFTERMATH_S` only, so that a late result
        does not count for another socket.

        Returns:
            The send, if this call has given it up; else ``None``.

        """
        send = self.outstanding
        if send is None or send.job is not None or send.deadline is None:
            return None
        if send.slot.state is not SlotState.FREE:
            return None
        if send.is_lost:
            # Given up while the socket was still open, and kept until its end, which is now.
            if math.isinf(send.deadline):
                self.expire_lost()
            return None
        self.lose(send, now)
        return send

    def expire_lost(self) -> None:
        """End a lost send whose result can't come any more, so that the next send may begin."""
        send = self.outstanding
        assert send is not None
        send.step(_EXPIRE)
        self.outstanding = None

    def finish(self, *, sent: bool, now: float) -> Event | None:
        """End the outstanding send with its result.

        Args:
            sent: ``SEND OK`` came, not ``SEND FAIL``.
            now: The time.

        Returns:
            What the result means for the socket; ``None`` if the socket has ended meanwhile.

        """
        send = self.outstanding
        assert send is not None
        self.outstanding = None
        # SEND FAIL proves as well that the module knows the form.
        self._taken[send.form] = max(self._taken[send.form], len(send.data))
        # The form works without a limit, so its next refusal is a first one again.
        if send.form not in self._limits:
            self._rests[send.form] = FORM_REST_S[0]
        # Only sends after a prompt swallow URCs (F14).
        if send.form is _FIXED and not send.is_covered:
            self._schedule_reads(now)
        slot = send.slot
        if not slot.is_live:
            return None
        if sent:
            slot.confirm(len(send.data))
            return Sent(slot, len(send.data))
        # No repetition for a datagram: a protocol on UDP repeats by itself, and wants the newest.
        if slot.is_datagram:
            slot.confirm(len(send.data))
            return DatagramLost(slot, "SEND FAIL: the module could not take the datagram")
        if not self.profile.send_fail_is_atomic:
            return Failed(slot, WriteFailed(send.command().text, Err.WRITE_FAILED))
        self._repeats = slot
        return self._stall(slot, Err.WRITE_FAILED, now)

    def contradict(self) -> Event | None:
        """Take a ``SEND OK`` that comes behind the ``SEND FAIL`` of the last send (F24).

        Returns:
            The end of its connection, if the same bytes were to be sent again: the peer may have
            them already, and would get them twice. ``None`` if the result concerns nobody.

        """
        slot, self._repeats = self._repeats, None
        if slot is None or not slot.is_live:
            return None
        return Failed(slot, StreamBroken("sent bytes may be doubled: SEND FAIL, then SEND OK"))

    def refused(self, err: int | None, now: float) -> Event | None:
        """End the outstanding send because the module answered ``ERROR``.

        Before the data were written, ``ERROR`` means that the module has taken no byte. After
        the data it may mean anything, unless its code says more.

        Args:
            err: The code that AT+QIGETERROR gave; ``None`` if it gave none.
            now: The time.

        Returns:
            What that means for the socket; ``None`` if the same bytes go again by another form,
            or if the socket has ended meanwhile.

        """
        send = self.outstanding
        assert send is not None
        self.outstanding = None
        was_written = send.state is _WRITTEN
        send.step(_REFUSE)
        slot = send.slot
        if not slot.is_live:
            return None
        # A form without a prompt may be unknown to the module, or its line too long (F29). The
        # bytes stay in the slot, so the next turn sends them by another form.
        if send.form is not _FIXED and err in _FORM_REFUSED:
            self._avoid(send, now)
            return None
        # Nobody knows what the module did with the data, so a stream can't go on.
        if was_written and err is None and not slot.is_datagram:
            return Failed(slot, StreamBroken("sent bytes may be lost: the module answered ERROR"))
        if err in _PASSING and not slot.is_datagram:
            return self._stall(slot, err, now)
        if slot.is_datagram:
            slot.confirm(len(send.data))
        return SendRefused(slot, err)

    def _avoid(self, send: Send, now: float) -> None:
        """Limit a form for a while to the payloads that have worked, and that are shorter."""
        form, rest = send.form, self._rests[send.form]
        self._limits[form] = min(self._taken[form], len(send.data) - 1), now + rest
        self._rests[form] = min(2 * rest, FORM_REST_S[1])
        self._apply_limits()

    def _stall(self, slot: Slot, err: int | None, now: float) -> Event:
        """Have the same bytes sent again later; end the connection after :data:`STALL_LIMIT_S`."""
        if slot.stalled_since is None:
            slot.stalled_since = now
        if now - slot.stalled_since >= STALL_LIMIT_S:
            text = f"the module took no byte for {STALL_LIMIT_S:g} s (SEND FAIL)"
            return Failed(slot, StreamBroken(text))
        first, longest = BACKOFF_S
        slot.backoff = min(max(2 * slot.backoff, first), longest)
        # Not before the layer above has asked AT+QISTATE whether the socket still stands (F26);
        # Session.retry_send() then sets the time.
        slot.retry_at = math.inf
        return SendStalled(slot, err)

    def _schedule_reads(self, now: float) -> None:
        """Note that a prompted send may have swallowed a URC: sockets are to be read (F14)."""
        if not self.profile.suspect_after_send:
            return
        if self.reads_due is None:
            self._burst_ends = now + BURST_S
        self.reads_due = min(now + QUIET_S, self._burst_ends)

    def end_burst(self, now: float, *, sends_wait: bool = False) -> bool:
        """End a burst of prompted sends if its time has come; return whether that was so.

        The caller then has each socket read once (F14).

        Args:
            now: The time.
            sends_wait: A socket has more to send, so the burst goes on if it may.

        """
        if self.reads_due is None or now < self.reads_due:
            return False
        if sends_wait and now < self._burst_ends:
            self.reads_due = self._burst_ends
            return False
        self.reads_due = None
        # The reads can't start before this send is over, so they come after its data too.
        if self.outstanding is not None:
            self.outstanding.is_covered = True
        return True

    def forget(self) -> None:
        """Drop everything: the module has restarted, or the link is gone."""
        self.outstanding = self._repeats = None
        self.reads_due = None
