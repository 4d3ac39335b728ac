"""One command in flight: echo, information lines, prompt, payload, final result.

Layer: core. Does no I/O; time comes in as ``now``.

The exchange only says what a frame means for it; the session acts on that.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.core.effects import PLAIN, Meaning

if TYPE_CHECKING:
    from aiobc9x.wire.commands import Command
    from aiobc9x.wire.framer import Payload

ANSWER_MARGIN_S: Final = 1.7
"""Added to the note's 300 ms: echo, sleep lock and UART need more on real links (N4)."""

BITS_A_BYTE: Final = 10
"""8N1."""

SLOWEST_BAUDRATE: Final = 9600
"""What a long command line is given time for: behind a serial server, or on a virtual
line, the real rate is not known."""

CUT_SLACK_S: Final = 20.0
"""The most that arriving bytes can extend a deadline."""

_CUT_SLACK_LIMITS: Final = 10
"""The same in limits: whoever waits briefly has something else to try."""


_FINALS: Final = frozenset({b"OK", b"ERROR"})
_FINAL_ERRORS: Final = (b"+CME ERROR:", b"+CMS ERROR:")


class Step(enum.Enum):
    """What a frame means for the exchange in flight."""

    TAKEN = "taken"
    DONE = "done"
    NOT_MINE = "not mine"
    LOST = "lost"


TAKEN, DONE, NOT_MINE, LOST = Step  # to look an attribute of an enum up takes its time


def is_final(text: bytes) -> bool:
    """Whether a line is a final result (27.007; the note's commands give the first two)."""
    return text in _FINALS or text.startswith(_FINAL_ERRORS)


def wire_time(size_bytes: int, baudrate: int) -> float:
    """Seconds that so many bytes take on the line."""
    return size_bytes * BITS_A_BYTE / baudrate


def answer_time(
    command: Command[Any], limit: float | None, answer_bytes: int, baudrate: int
) -> float:
    """Seconds from the first byte of a command to its final result.

    Args:
        command: The command.
        limit: What the caller gives the module for it; ``None`` for what the note gives.
        answer_bytes: The most that the answer has.
        baudrate: What is known of the line; a long command gets time for a slower one.

    """
    if limit is None:
        limit = command.time_limit + ANSWER_MARGIN_S
    sending = wire_time(len(command.encode()), min(baudrate, SLOWEST_BAUDRATE))
    return limit + sending + wire_time(answer_bytes, baudrate)


class Exchange:
    """A command line and what came of it.

    Attributes:
        command: The command.
        purpose: What the session wants it for; never looked at here.
        meaning: What the command's text means for the session; nor is this.
        started: When the line was written.
        traffic_before: All bytes of the link until then, both ways.
        deadline: When the final result must have come.
        lines: Information lines so far.
        payload: The payload of a ``+QIRD``, once it has come.
        negative: Its header had a negative remaining length; relatives print one.
        final: The final result, once it has come.
        echoed: The module echoed the line.
        damage: Why the answer can't be trusted, if it can't.

    """

    __slots__ = (
        "_echo",
        "_hard_deadline",
        "_negatives",
        "_outgoing",
        "command",
        "damage",
        "deadline",
        "echoed",
        "final",
        "lines",
        "meaning",
        "negative",
        "payload",
        "prompted",
        "purpose",
        "started",
        "traffic_before",
    )

    def __init__(
        self,
        command: Command[Any],
        purpose: object,
        now: float,
        limit: float,
        outgoing: bytes | None = None,
        negatives: int = 0,
        traffic: int = 0,
        meaning: Meaning = PLAIN,
    ) -> None:
        self.command = command
        self.purpose = purpose
        self.meaning = meaning
        self.started = now
        self.traffic_before = traffic
        self.deadline = now + limit
        self._hard_deadline = self.deadline + min(CUT_SLACK_S, _CUT_SLACK_LIMITS * limit)
        self._echo = command.encode()[:-1]
        self._outgoing = outgoing
        self._negatives = negatives
        self.lines: list[bytes] = []
        self.payload: Payload | None = None
        self.negative = False
        self.final: bytes | None = None
        self.echoed = self.prompted = False
        self.damage: str | None = None

    @property
    def prompt_is_due(self) -> bool:
        """Whether a prompt must come next."""
        return self._outgoing is not None and not self.prompted

    @property
    def has_data(self) -> bool:
        """Whether the answer proper has begun."""
        return self.payload is not None or bool(self.lines)

    @property
    def succeeded(self) -> bool:
        """Whether the final result is OK."""
        return self.final == b"OK"

    @property
    def cme(self) -> str | None:
        """What follows ``+CME ERROR:`` or ``+CMS ERROR:``."""
        if self.final is None or not self.final.startswith(b"+"):
            return None
        return self.final.partition(b":")[2].strip().decode("ascii", "backslashreplace")

    def on_line(self, text: bytes) -> Step:
        """Say what a line means."""
        if is_final(text):
            self.final = text
            return LOST if text == b"OK" and self.prompt_is_due else DONE
        if text == self._echo and not self.lines:
            self.echoed = True
            return TAKEN
        if self.command.claims(text):
            self.lines.append(text)
            return TAKEN
        return NOT_MINE

    def on_payload(self, payload: Payload, negatives: int = 0) -> Step:
        """Say what a counted payload means: one is due for AT+QIRD, and only one.

        Args:
            payload: The payload.
            negatives: The framer's count of negative remaining lengths by now; that
                of the beginning is the constructor's.

        """
        if self.payload is not None:
            self.damage = "the module answered one AT+QIRD with two payloads"
        self.payload = payload
        self.negative = negatives > self._negatives
        return Step.TAKEN

    def on_prompt(self) -> bytes:
        """Return the payload, which is due now."""
        self.prompted = True
        return self._outgoing or b""

    def progress(self, now: float) -> None:
        """Bytes are arriving: an answer that is on its way may finish, within bounds."""
        if now + ANSWER_MARGIN_S > self.deadline < self._hard_deadline:
            self.deadline = min(now + ANSWER_MARGIN_S, self._hard_deadline)

    def extend(self, deadline: float, slack: float = CUT_SLACK_S) -> None:
        """Set a later deadline for what comes next, such as the result of a payload.

        Args:
            deadline: When it must have come.
            slack: The most that arriving bytes can extend that.

        """
        self.deadline = deadline
        self._hard_deadline = deadline + slack
