"""The one send that may be outstanding on the module (§2.2.4, §4.1.2).

Layer: core. Does no I/O; time comes in as ``now``.

``SEND OK`` carries no connect ID, so whatever comes belongs to the outstanding send.
"""

from __future__ import annotations

import math
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
from aiobc9x.core.forms import ANY_FORM, LineTiming, SendForm, choose_form
from aiobc9x.core.profile import ModuleProfile
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import StreamBroken, WriteFailed
from aiobc9x.spec import SEND_MAX_BYTES, Err, ServiceType
from aiobc9x.wire.commands import Command, Qisend, Qisendex

RESULT_LIMIT_S: Final = 15.0
"""Seconds from the payload to ``SEND OK``. Ours: the note states none."""

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

_FORM_REFUSED: Final = {
    None,
    Err.UNKNOWN,
    Err.INVALID_PARAMETERS,
    Err.NO_MEMORY,
    Err.NOT_SUPPORTED,
}
_PASSING: Final = {None, Err.BLOCKED, Err.BUSY, Err.NO_MEMORY}


@dataclass(eq=False, slots=True)
class Send:
    """One AT+QISEND.

    Attributes:
        slot: The socket.
        data: What was sent.
        form: How.
        deadline: When ``SEND OK`` must have come, once the command has ended.
        result: Set if ``SEND OK`` or ``SEND FAIL`` came before the command ended.
        job: The command that it is, for a send that no socket of ours asked for.
        lines: Information lines of that command.
        is_covered: The reads for lost URCs come behind its data mode.
        is_written: The data were written behind the prompt before the module said no.

    """

    slot: Slot
    data: bytes
    form: SendForm
    deadline: float | None = None
    result: bool | None = None
    job: Job | None = None
    lines: tuple[bytes, ...] = ()
    is_covered: bool = False
    is_written: bool = False

    def command(self) -> Command[Any]:
        """Return the command line for the form."""
        size = len(self.data)
        if self.form is SendForm.INLINE:
            return Qisend(self.slot.connect_id, size, self.data)
        if self.form is SendForm.HEX:
            return Qisendex(self.slot.connect_id, size, self.data)
        return Qisend(self.slot.connect_id, size)

    def is_of(self, purpose: object) -> bool:
        """Whether the exchange with this purpose is the send."""
        return purpose is self or (self.job is not None and purpose is self.job)

    def await_result(self, now: float) -> None:
        """Start to wait for ``SEND OK``: the command has ended."""
        self.deadline = now + RESULT_LIMIT_S


class Sender:
    """Remembers the outstanding send, and whether URCs may have been swallowed.

    Attributes:
        profile: Gives the inline limits, which are learned downwards.
        permitted: Forms that may be chosen.
        outstanding: The send whose ``SEND OK`` has not come.
        suspicion_due: When sockets are to be read, because a data-mode send may have swallowed
            a URC; ``None`` if none has.

    """

    def __init__(self, profile: ModuleProfile, permitted: Collection[SendForm] = ANY_FORM) -> None:
        self.profile = profile
        self.permitted = permitted
        self.outstanding: Send | None = None
        self.suspicion_due: float | None = None
        self._burst_ends = 0.0
        # The longest payload of each form that the module has taken.
        self._taken = dict.fromkeys(SendForm, 0)
        # The longest that it may be given, once it has refused one.
        self._limits: dict[SendForm, int] = {}

    def use(self, profile: ModuleProfile) -> None:
        """Go by a profile; what the module has refused stays known."""
        inline = self._limits.get(SendForm.INLINE, SEND_MAX_BYTES)
        in_hex = self._limits.get(SendForm.HEX, SEND_MAX_BYTES)
        self.profile = replace(
            profile,
            inline_limit_bytes=min(profile.inline_limit_bytes, inline),
            hex_inline_limit_bytes=min(profile.hex_inline_limit_bytes, in_hex),
        )

    def begin(self, slot: Slot, line: LineTiming) -> Send:
        """Make the next send of a socket that has something to send."""
        data = slot.next_quantum()
        form = choose_form(data, line, self.profile, self.permitted)
        if form is SendForm.FIXED and self.suspicion_due is not None:
            self.suspicion_due = self._burst_ends  # the burst goes on
        self.outstanding = Send(slot, data, form)
        return self.outstanding

    def begin_job(self, job: Job) -> None:
        """Note a send that a caller has worded: its ``SEND OK`` must not be ours."""
        nobody = Slot(-1, 0, ServiceType.TCP, state=SlotState.FREE)
        form = SendForm.INLINE if job.data is None else SendForm.FIXED
        self.outstanding = Send(nobody, job.data or b"", form, job=job)

    def drop_dead(self, now: float) -> None:
        """Forget a send whose socket is free, once its result won't come any more.

        The result names no socket: one that still comes must not count for another.
        """
        send = self.outstanding
        if send is None or send.job is not None or send.deadline is None:
            return
        if send.slot.state is not SlotState.FREE:
            return
        if math.isinf(send.deadline):  # it has been waited for long enough
            self.outstanding = None
        else:
            send.deadline = min(send.deadline, now + AFTERMATH_S)

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
        if send.form is SendForm.FIXED and not send.is_covered:
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
        slot = send.slot
        if not slot.is_live:
            return None
        if send.form is not SendForm.FIXED and err in _FORM_REFUSED:
            self._avoid(send)
            return None
        if send.is_written and err is None and not slot.is_datagram:
            return Failed(slot, StreamBroken("sent bytes may be lost: ERROR came behind them"))
        if err in _PASSING and not slot.is_datagram:
            return self._stall(slot, err, now)
        if slot.is_datagram:
            slot.confirm(len(send.data))
        return SendRefused(slot, err)

    def _avoid(self, send: Send) -> None:
        """Note that the module takes no such line: only what has worked is used again."""
        self._limits[send.form] = min(self._taken[send.form], len(send.data) - 1)
        self.use(self.profile)

    def _stall(self, slot: Slot, err: int | None, now: float) -> Event:
        """Send the same bytes again later, within :data:`STALL_LIMIT_S`."""
        if slot.stalled_since is None:
            slot.stalled_since = now
        if now - slot.stalled_since >= STALL_LIMIT_S:
            text = f"the module took no byte for {STALL_LIMIT_S:g} s (SEND FAIL)"
            return Failed(slot, StreamBroken(text))
        first, longest = BACKOFF_S
        slot.backoff = min(max(2 * slot.backoff, first), longest)
        slot.retry_at = float("inf")
        return SendStalled(slot, err)

    def _suspect(self, now: float) -> None:
        if not self.profile.suspect_after_send:
            return
        if self.suspicion_due is None:
            self._burst_ends = now + BURST_S
        self.suspicion_due = min(now + QUIET_S, self._burst_ends)

    def clear_suspicion(self, now: float, *, sends_wait: bool = False) -> bool:
        """Whether that time has come; if so, it starts anew with the next send.

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
