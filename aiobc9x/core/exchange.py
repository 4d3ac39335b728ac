"""One command in flight: echo, information lines, prompt, payload, final result.

Layer: core. Does no I/O; time comes in as ``now``.

The exchange only says what a frame means for it; the session acts on that.
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
"""Added to the note's 300 ms: echo, sleep lock and UART need more on real links (N4)."""

REST_S: Final = 2.0
"""Silence behind the first part of an answer that shows that the rest got lost: the note's
300 ms with the margin."""

BITS_A_BYTE: Final = 10
"""8N1."""

CUT_SLACK_S: Final = 20.0
"""The most that arriving bytes can extend a deadline."""

_CUT_SLACK_LIMITS: Final = 10
"""The same in limits: whoever waits briefly has something else to try."""


_BLANK: Final = b"\r\n\x00\xff"
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


class Exchange:
    """A command line and what came of it.

    Attributes:
        command: The command.
        meaning: What it does beside having an answer.
        is_plain: It changes nothing in how bytes are read, and the answer is lines alone.
        purpose: What the session wants it for; never looked at here.
        started: When the line was written.
        size_bytes: How long it is.
        traffic_before: All bytes of the link until then, both ways; ``None`` if the time that
            it takes tells nothing of the line.
        negatives_before: The framer's count of negative remaining lengths until then.
        due: When the final result must have come.
        deadline: The same, if nothing has come before.
        rest_due: The same because a part of the answer has come; infinity before.
        cut_at: When bytes last came that end amid a line or payload, which may be a part of the
            answer; infinity if what has come since is whole.
        rest_s: How long the rest of the answer has behind each part of it; infinity for a
            command whose answer may take its time.
        lines: Information lines so far.
        payload: The payload of a ``+QIRD``, once it has come.
        negative: Its header had a negative remaining length; relatives print one.
        final: The final result, once it has come.
        echoed: The module echoed the line.
        prompted: The prompt has come, or the data were written without it.
        damage: Why the answer can't be trusted, if it can't.
        torn_line: The only line that can't be read, if there is just one and nothing else.
        is_doubtful: What looks like its end may be received data.
        turned_away: A line that it would have taken came while no line could be trusted.
        is_framed_at_once: The data of the socket that it opens are framed from when it was
            written.

    """

    # Defaults live on the class and an instance overrides them: one is made a command, and
    # this saves a dozen attribute writes for each.
    meaning: Meaning = PLAIN
    is_plain = True
    payload: Payload | None = None
    negative = False
    negatives_before = 0
    final: bytes | None = None
    echoed = prompted = False
    damage: str | None = None
    torn_line: bytes | None = None
    is_doubtful = False
    turned_away = False
    rest_due = cut_at = math.inf
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
        if meaning is not PLAIN:
            self.meaning, self.is_plain = meaning, meaning is SEND
        if outgoing is not None:
            self._outgoing, self.is_plain = outgoing, False
        self.lines: list[bytes] = []

    @property
    def prompt_is_due(self) -> bool:
        """Whether a prompt must come next."""
        return self._outgoing is not None and not self.prompted

    @property
    def outgoing(self) -> bytes:
        """What goes out at the prompt."""
        return self._outgoing or b""

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

    def on_line(self, text: bytes, sure_only: bool = False) -> Step:
        """Say what a line means.

        Args:
            text: The line.
            sure_only: Take an information line with the command's own prefix alone: this
                may be received data.

        """
        if text in _FINALS or text.startswith(_FINAL_ERRORS):
            self.final = text
            too_early = self._outgoing is not None and not self.prompted
            return LOST if too_early and text == b"OK" else DONE
        if not self.lines and text == self.command.encode()[:-1]:
            self.echoed = True
            return TAKEN
        if self.command.claims(text):
            if sure_only and not self.command.owns(text):
                self.turned_away = True
                return NOT_MINE
            self.lines.append(text)
            return TAKEN
        return NOT_MINE

    def blanks_behind(self, data: bytes) -> bytes | None:
        """Collect the line ends and noise right behind the first information line.

        Args:
            data: What comes next behind that line.

        Returns:
            All of them, once, when something else comes; ``None`` before and afterwards.

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
        """Say what a counted payload means: one is due for AT+QIRD, and only one.

        Args:
            payload: The payload.
            negatives: The framer's count of negative remaining lengths by now.

        """
        if self.payload is not None:
            self.damage = "the module answered one AT+QIRD with two payloads"
        self.payload = payload
        self.negative = negatives > self.negatives_before
        return TAKEN

    def on_prompt(self) -> bytes:
        """Return the payload, which is due now."""
        self.prompted = True
        return self._outgoing or b""

    def ends_at(self) -> float:
        """Return when it has come to nothing: what is half here is a part of the answer."""
        cut_due = self.cut_at + self.rest_s
        return cut_due if cut_due < self.due else self.due

    def part(self, now: float) -> None:
        """Note that a part of the answer has come: the rest is not far."""
        self.rest_due = now + self.rest_s
        self.due = min(self.deadline, self.rest_due)

    def progress(self, now: float) -> None:
        """Bytes are arriving: an answer that is on its way may finish, within bounds."""
        if self.rest_due < math.inf:
            self.part(now)
        if now + ANSWER_MARGIN_S <= self.deadline:
            return
        hard = self._hard_deadline
        if hard is None:
            slack = min(CUT_SLACK_S, _CUT_SLACK_LIMITS * (self.deadline - self.started))
            hard = self._hard_deadline = self.deadline + slack
        if self.deadline < hard:
            self.deadline = min(now + ANSWER_MARGIN_S, hard)
            self.due = min(self.deadline, self.rest_due)

    def await_last(self, deadline: float, slack: float) -> None:
        """Wait a moment for another final result; see :meth:`extend`. The last one counts."""
        if not self._awaits_last:
            self._awaits_last = True
            self.extend(deadline, slack)

    def extend(self, deadline: float, slack: float = CUT_SLACK_S) -> None:
        """Set another deadline for what comes next, such as the result of a payload.

        Args:
            deadline: When it must have come.
            slack: The most that arriving bytes can extend that.

        """
        self.due = self.deadline = deadline
        self.rest_due = math.inf
        self._hard_deadline = deadline + slack


def _name_attributes(first: Exchange) -> None:
    """Give the first instance every attribute.

    CPython keeps the attributes in place, where it finds them fastest, whose names the first
    instances of a class have had. The first commands of a session set few of these.
    """
    for name, value in vars(Exchange).items():
        if not (name.startswith("__") or callable(value) or isinstance(value, property)):
            setattr(first, name, value)


_name_attributes(Exchange(None, None, 0.0, 0.0))  # type: ignore[arg-type]  # never used
