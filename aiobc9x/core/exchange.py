"""Follow one command to its end: echo, information lines, prompt, payload, final result.

Layer: core. Does no I/O; time comes in as ``now``.

A *final result* is the line that ends each answer: ``OK``, ``ERROR`` or ``+CME ERROR: …``. An
exchange says what each frame means for its command, and keeps its deadlines. The session acts
on that.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any, Final

from aiobc9x.wire.commands.base import PLAIN, SEND

if TYPE_CHECKING:
    from aiobc9x.wire.commands.base import Command, Meaning
    from aiobc9x.wire.framer import Payload

ANSWER_MARGIN_S: Final = 1.7
"""Seconds added to the note's 300 ms, because real modules break that promise (N4, F53)."""

REST_S: Final = 2.0
"""Seconds of silence after a part of an answer that show that the rest got lost.

The note's 300 ms with :data:`ANSWER_MARGIN_S`.
"""

LINES_MAX: Final = 4096
"""Information lines of one answer; the longest of real modules have hundreds. Ours."""

BITS_A_BYTE: Final = 10
"""A start bit, eight data bits and a stop bit (8N1)."""

CUT_SLACK_S: Final = 20.0
"""The most seconds by which arriving bytes can extend a deadline."""

_CUT_SLACK_LIMITS: Final = 10
"""The most by which they can extend it, as a multiple of the command's own limit.

A command with a short limit has an alternative that should be tried soon.
"""

# Line ends, and noise of a module that wakes up (F4).
_BLANK: Final = b"\r\n\x00\xff"
_FINALS: Final = frozenset({b"OK", b"ERROR"})
_FINAL_ERRORS: Final = (b"+CME ERROR:", b"+CMS ERROR:")


class Step(enum.Enum):
    """What a frame means for the exchange in flight.

    ``TAKEN``: it is part of the answer. ``DONE``: it is the final result. ``NOT_MINE``: it does
    not belong to the answer. ``LOST``: it shows that command and module are out of step.
    """

    TAKEN = "taken"
    DONE = "done"
    NOT_MINE = "not mine"
    LOST = "lost"


# Looking up a member of an enum is slow, and one of these is the result for each line.
TAKEN, DONE, NOT_MINE, LOST = Step


def is_final(text: bytes) -> bool:
    """Whether a line is a final result. The note's commands give ``OK`` and ``ERROR`` alone."""
    return text in _FINALS or text.startswith(_FINAL_ERRORS)


def wire_time(size_bytes: int, baudrate: int) -> float:
    """Return the seconds that so many bytes take on the line."""
    return size_bytes * BITS_A_BYTE / baudrate


class Exchange:
    """One command line, and what the module has answered so far.

    Attributes:
        command: The command.
        meaning: What the command does besides having an answer.
        is_plain: The command changes nothing about how bytes are read, has no prompt, and its
            answer is lines alone.
        purpose: What the session wants the command for; this class never looks at it.
        started: When the line was written.
        size_bytes: Length of the line.
        traffic_before: Bytes of the link, both ways, when the line was written; ``None`` if the
            time of this exchange tells nothing about the line.
        negatives_before: The framer's count of negative remaining lengths at that moment.
        due: When the final result must have come: the earlier of the next two.
        deadline: When the first part of the answer must have come.
        rest_due: When the next part must have come; infinity before the first part.
        cut_at: When bytes last came that end in the middle of a line or payload, which may be
            a part of the answer; infinity if no such bytes are pending.
        rest_s: Seconds that may pass between two parts of the answer; infinity for a command
            that may pause in the middle of its answer.
        lines: The information lines so far.
        payload: The payload of a ``+QIRD``, once it has come.
        negative: The header of that payload had a negative remaining length (F16).
        final: The final result, once it has come.
        echoed: Whether the module has echoed the line.
        prompted: Whether the data may be or were written: the prompt has come, or is overdue.
        damage: Why the answer can't be trusted; ``None`` if it can.
        torn_line: The damaged line, if the answer so far is one damaged line and nothing else.
        is_doubtful: The line that looks like the final result may be received data.
        turned_away: A line that the answer could have had came while no line could be trusted,
            or behind :data:`LINES_MAX` others.
        is_framed_at_once: The framer expects data of the socket that this command opens since
            the command was written.

    """

    due: float
    deadline: float

    # Class-level defaults; instances override them. Saves a dozen attribute writes per command.
    meaning: Meaning = PLAIN
    is_plain: bool = True
    payload: Payload | None = None
    negative: bool = False
    negatives_before = 0
    final: bytes | None = None
    echoed: bool = False
    prompted: bool = False
    damage: str | None = None
    torn_line: bytes | None = None
    is_doubtful = False
    turned_away: bool = False
    rest_due: float = math.inf
    cut_at: float = math.inf
    is_framed_at_once = False
    _blanks: bytes | None = b""
    _awaits_last = False
    _outgoing: bytes | None = None
    _hard_deadline: float | None = None

    def __init__(
        self,
        command: Command[Any],
        purpose: object,
        now: float,
        limit: float,
        outgoing: bytes | None = None,
        traffic: int | None = None,
        rest_s: float = REST_S,
        meaning: Meaning = PLAIN,
        size_bytes: int = 0,
    ) -> None:
        self.command = command
        self.purpose = purpose
        self.started = now
        self.traffic_before = traffic
        self.due = self.deadline = now + limit
        self.rest_s = rest_s
        self.size_bytes = size_bytes
        # A send without a prompt is plain as well: its result comes after its end.
        if meaning is not PLAIN:
            self.meaning, self.is_plain = meaning, meaning is SEND
        if outgoing is not None:
            self._outgoing, self.is_plain = outgoing, False
        self.lines: list[bytes] = []

    @property
    def prompt_is_due(self) -> bool:
        """Whether the command has a prompt that has not come yet."""
        return self._outgoing is not None and not self.prompted

    @property
    def outgoing(self) -> bytes:
        """The bytes to write at the prompt."""
        return self._outgoing or b""

    @property
    def has_data(self) -> bool:
        """Whether a part of the answer has come besides the echo and the prompt."""
        return self.payload is not None or bool(self.lines)

    @property
    def succeeded(self) -> bool:
        """Whether the final result is OK."""
        return self.final == b"OK"

    @property
    def cme(self) -> str | None:
        """The text after ``+CME ERROR:`` or ``+CMS ERROR:``; ``None`` for other results."""
        if self.final is None or not self.final.startswith(b"+"):
            return None
        return self.final.partition(b":")[2].strip().decode("ascii", "backslashreplace")

    def on_line(self, text: bytes, sure_only: bool = False) -> Step:
        """Take a line if it belongs to the answer, and return what it means.

        Args:
            text: The line.
            sure_only: Take information lines only if they have the command's own prefix,
                because the line may be received data (F5).

        """
        if text in _FINALS or text.startswith(_FINAL_ERRORS):
            self.final = text
            # OK before the data were written: the module took something else for the data, or
            # answers an earlier command (N10). ERROR is a refusal, also without a prompt (N38).
            too_early = self._outgoing is not None and not self.prompted
            return LOST if too_early and text == b"OK" else DONE
        # After an information line, the same text would be data or a line of its own.
        if not self.lines and text == self.command.encode()[:-1]:
            self.echoed = True
            return TAKEN
        if self.command.claims(text):
            if sure_only and not self.command.owns(text):
                self.turned_away = True
                return NOT_MINE
            if len(self.lines) < LINES_MAX:
                self.lines.append(text)
            else:
                self.turned_away = True  # the rest takes no memory; the answer fails
            return TAKEN
        return NOT_MINE

    def collect_blanks(self, data: bytes) -> bytes | None:
        """Collect the line ends and noise that stand right after ``+QIRD: 0`` (F18).

        Args:
            data: The bytes that come next after that line, in chunks of any size.

        Returns:
            Everything up to the first other byte, once that byte has come; ``None`` in each
            other call.

        """
        if self._blanks is None:
            return None
        blanks = self._blanks + data
        others = blanks.lstrip(_BLANK)
        if not others:
            self._blanks = blanks
            return None
        self._blanks = None
        return blanks[: len(blanks) - len(others)]

    def on_payload(self, payload: Payload, negatives: int = 0) -> Step:
        """Take the payload of an AT+QIRD; a second one damages the answer.

        Args:
            payload: The payload.
            negatives: The framer's present count of negative remaining lengths. A frame does
                not tell a negative length from a missing one, but the count does (F16).

        """
        if self.payload is not None:
            self.damage = "the module answered one AT+QIRD with two payloads"
        self.payload = payload
        self.negative = negatives > self.negatives_before
        return TAKEN

    def on_prompt(self) -> bytes:
        """Note that the data may be written now, and return them."""
        self.prompted = True
        return self._outgoing or b""

    def ends_at(self) -> float:
        """Return when to give the exchange up.

        Bytes of an incomplete line or payload count as a part of the answer.
        """
        cut_due = self.cut_at + self.rest_s
        return cut_due if cut_due < self.due else self.due

    def note_part(self, now: float) -> None:
        """Note that a part of the answer has come, so that the rest must come soon."""
        self.rest_due = now + self.rest_s
        self.due = min(self.deadline, self.rest_due)

    def extend_for_traffic(self, now: float) -> None:
        """Extend the deadline, within bounds, because bytes are arriving.

        The answer may stand after them: a module prints one thing at a time.
        """
        if self.rest_due < math.inf:
            self.note_part(now)
        if now + ANSWER_MARGIN_S <= self.deadline:
            return
        # A bound, because a peer that sends without a pause would keep a lost answer due for ever.
        hard = self._hard_deadline
        if hard is None:
            slack = min(CUT_SLACK_S, _CUT_SLACK_LIMITS * (self.deadline - self.started))
            hard = self._hard_deadline = self.deadline + slack
        if self.deadline < hard:
            self.deadline = min(now + ANSWER_MARGIN_S, hard)
            self.due = min(self.deadline, self.rest_due)

    def hasten(self, deadline: float) -> None:
        """Wait for the rest of the answer no longer than until then."""
        self.deadline, self.due = min(self.deadline, deadline), min(self.due, deadline)

    def await_last(self, deadline: float, slack: float) -> None:
        """Wait until then for another final result, because the last one counts (F45)."""
        if not self._awaits_last:
            self._awaits_last = True
            self.extend(deadline, slack)

    def extend(self, deadline: float, slack: float = CUT_SLACK_S) -> None:
        """Set a new deadline for the next part, for example the ``OK`` after a send's data.

        Args:
            deadline: When the next part must have come.
            slack: The most seconds by which arriving bytes can extend the deadline.

        """
        self.due = self.deadline = deadline
        self.rest_due = math.inf
        self._hard_deadline = deadline + slack


def _name_attributes(first: Exchange) -> None:
    """Set every attribute of the first instance.

    CPython stores attributes inside the object, where access is fastest, for names that the
    first instances of a class had. The first commands of a session would set only a few.
    """
    for name, value in vars(Exchange).items():
        if not (name.startswith("__") or callable(value) or isinstance(value, property)):
            setattr(first, name, value)


_name_attributes(Exchange(None, None, 0.0, 0.0))  # type: ignore[arg-type]  # never used
