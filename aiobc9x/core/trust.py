"""What can't be believed yet, and what can't be believed at all (rule 6).

Layer: core. Does no I/O; time comes in as ``now``.

Nothing on the line has a checksum, so whether bytes mean what they seem to mean is judged
here, and nowhere else:

torn lines
    A header that lost a byte is an unknown line, and the payload behind it is framed as
    lines, which may hold anything, even ``RDY``. :func:`judge` tells such lines from words
    that a module says of its own accord.
doubt
    Once bytes were lost, no URC, result or pushed data count until the line has been silent.
withheld URCs
    What comes during a read counts once the read has its data: before that, it may be data
    whose header got lost.
held pushes
    Nothing behind pushed data says that they are whole; see :class:`PushGate`.
habits of the module
    Whether it ends pushed data by a CRLF of its own, when it prints ``OK`` for a send, and
    how many line ends it prints behind ``+QIRD: 0``.
late results
    An ``OK`` that belongs to a send which has ended without it.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload
from aiobc9x.wire.frames import NO_PUSH_END, NO_READ_END
from aiobc9x.wire.urcs import Urc

QUIET_S: Final = 0.3
"""Silence behind a loss after which lines count again: the rest of a payload comes at once."""

SILENCE_S: Final = 0.03
"""Silence behind pushed data that shows that they are whole; 30 bytes at 9600 baud."""

PATIENCE_S: Final = 1.0
"""How long a line end that the module always prints may stay away."""

UNSURE_MAX_S: Final = 5.0
"""How long pushed data are held at most while nobody knows how this module ends them."""

LATE_OK_S: Final = 5.0
"""How much later the ``OK`` of a send may come, and must not be taken for another's. Ours."""

NO_EMPTY_END: Final = "more than a line end between +QIRD: 0 and what follows"
"""What shows that ``+QIRD: 0`` has lost its length, and that its data are line ends or noise."""

_LINE_END: Final = b"\r\n"
_SWALLOWED: Final = "pushed data swallowed the line end behind them: they lost bytes"

_VENDOR_LINE: Final = re.compile(rb"[+*^#%&][A-Z]", re.IGNORECASE)
_TORN_READ: Final = re.compile(rb"\+?Q?I?R?D?:? ?[0-9]*,?-?[0-9]*")
_HEADER_LIKE: Final = re.compile(rb'\+Q|"|recv|URC', re.IGNORECASE)
# Lines that are no headers though some have quotes (quirk 63): those of 3GPP TS 27.007, whose
# names no header becomes by losing bytes, and those of relatives.
_KNOWN_VENDOR: Final = re.compile(
    rb"\+(?:C[A-Z]{2,}|DBGINFO|LWM2M|LOWVBAT|QLWEVTIND|QIND|IP)\b|\*MATREADY"
)
_WORDS: Final = re.compile(rb"[A-Za-z]+(?: [A-Za-z]+)*")
_KNOWN_WORDS: Final = frozenset(
    {
        b"RING",
        b"CALL READY",
        b"SMS READY",
        b"SMS DONE",
        b"PB DONE",
        b"AT READY",
        b"READY",
        b"NO CARRIER",
        b"NO ANSWER",
        b"NO DIALTONE",
        b"BUSY",
        b"CONNECT",
    }
)
NOISE: Final = b"\x00\xff"
"""What a UART makes of a module that wakes up, or loses power (quirk 62)."""

_NOISE_FIRST: Final = (b"\x00", b"\xff")
_TORN_FINALS: Final = frozenset(
    final[:at] + final[at + 1 :] for final in (b"OK", b"ERROR") for at in range(len(final))
)
_READ_HEADER: Final = b"+QIRD"
_PUSH_HEADER: Final = re.compile(rb'\+QIURC: {0,8}"recv", {0,8}([0-5])')


class Loss(NamedTuple):
    """Bytes were lost on the line.

    Attributes:
        reason: What shows it, in words and without what a peer has sent.
        spares_read: The read in flight is not concerned: its answer may still come whole.
        spares_pushes: No pushed data are concerned.
        connect_id: The only push socket that is concerned, ``None`` if it may be any.

    """

    reason: str
    spares_read: bool = False
    spares_pushes: bool = False
    connect_id: int | None = None


def judge(
    text: bytes, *, awaited: bool, reading: bool, emptied: bool, pushing: bool
) -> Loss | None:
    """Say whether a line that nobody knows shows that bytes were lost, and whose.

    Args:
        text: The line.
        awaited: The final result of a command is due.
        reading: An AT+QIRD is in flight, and its data have not come.
        emptied: It has been answered by ``+QIRD: 0``, which may be ``+QIRD: 10`` without its 1:
            then its data are such lines.
        pushing: Sockets in push mode are open: a torn header of theirs leaves its payload to
            be framed as lines.

    """
    if not text.strip(NOISE) or text.upper() in _KNOWN_WORDS:
        return None
    reason = f"a line of {len(text)} bytes that can't be read"
    torn_read = _TORN_READ.fullmatch(text) is not None
    if emptied and not _KNOWN_VENDOR.match(text):
        return Loss(reason, spares_pushes=not is_header_like(text))
    if (reading and torn_read) or (awaited and _is_torn_final(text)):
        return Loss(reason, spares_pushes=True)
    known = _KNOWN_VENDOR.match(text) is not None
    if reading and text.startswith(b"+Q") and not (known or _is_push_header(text)):
        return Loss(reason)
    if _VENDOR_LINE.match(text) is not None and not torn_read:
        return Loss(reason, spares_read=True) if pushing and is_header_like(text) else None
    # A lost header of a read leaves digits, signs or letters of +QIRD: other words are a
    # module's own, and the read shows by itself whether it comes whole.
    words = _WORDS.fullmatch(text) is not None and not torn_read
    return Loss(reason, spares_read=words or _is_push_header(text))


def is_header_like(text: bytes) -> bool:
    """Whether a line may be the header of pushed data that has lost bytes."""
    return _HEADER_LIKE.search(text) is not None and _KNOWN_VENDOR.match(text) is None


def _is_torn_final(text: bytes) -> bool:
    """Whether a line is ``OK`` or ``ERROR`` that has lost a byte."""
    return text in _TORN_FINALS


def _is_push_header(text: bytes) -> bool:
    return b"recv" in text or b"URC" in text


def blame(damage: Damage, push_sockets: AbstractSet[int], last_push: int | None) -> Loss:
    """Say whose bytes a damaged stretch holds, as far as it can be told."""
    data, reason = damage.data, damage.reason
    if reason == NO_PUSH_END:
        return Loss(reason, spares_read=True, connect_id=last_push)
    if reason == NO_READ_END:
        return Loss(reason, spares_pushes=True)
    if (match := _PUSH_HEADER.match(data)) and int(match[1]) in push_sockets:
        return Loss(reason, spares_read=True, connect_id=int(match[1]))
    return Loss(reason, spares_pushes=data.startswith(_READ_HEADER))


class PushGate:
    """Holds pushed data back until they are known to be whole (§2.3.2); one payload at most.

    Data that lost bytes on the line swallow as many of what follows, so the traces come at
    once: no line end behind them, another one than this module prints, or a line that is not
    silent. A payload is therefore delivered when the next frame shows no trace, or after a
    moment of silence. Silence tells nothing while nobody knows whether this module prints a
    CRLF of its own behind pushed data: then something is asked, so that a frame comes.

    Attributes:
        due: When :meth:`expire` must be called; ``None`` if nothing is held.
        is_unchecked: A payload's end is still to come, whether or not it was delivered.
        wants_frame: Silence won't tell: have the module say something.
        last_push: Whose data came last.

    """

    def __init__(self, framer: Framer) -> None:
        self.due: float | None = None
        self.is_unchecked = False
        self.wants_frame = False
        self.last_push: int | None = None
        self._framer = framer
        self._held: Payload | None = None
        self._since = 0.0
        self._patience_s = PATIENCE_S
        self._is_accused = False
        self._ends_own_line: bool | None = None

    def hold(self, payload: Payload, now: float, frame_s: float = 0.0) -> None:
        """Keep a payload back.

        Args:
            payload: The payload.
            now: The time.
            frame_s: Seconds that a long frame takes on the line: what is half here may be one.

        """
        self._patience_s = PATIENCE_S + frame_s
        self._held, self._since, self.due = payload, now, now + SILENCE_S
        self.is_unchecked, self.last_push = True, payload.connect_id

    def check(self, frame: Frame) -> tuple[Payload | None, str | None, bool]:
        """Look at the frame behind a payload; there must be one that :attr:`is_unchecked`.

        Returns:
            The payload if it is whole; what is wrong if it, or one that was delivered after
            silence, is not; and whether the frame has served its purpose by that.

        """
        if self._is_accused:
            self._is_accused = False
            held = self._let_go()
            # A module that prints no CRLF behind pushed data, and noise or an echo, which
            # have none in front: nothing was swallowed.
            return (held, None, False) if _is_noise(frame) else (None, NO_PUSH_END, False)
        if isinstance(frame, Damage) and frame.reason == NO_PUSH_END:
            if self._framer.push_ends:
                self._framer.push_ends.popleft()
            self._is_accused, self.due = True, self._since + self._patience_s
            return None, None, True
        return *self._settle(is_noise=_is_noise(frame)), False

    def expire(self, now: float) -> tuple[Payload | None, str | None]:
        """Deliver what silence has shown to be whole; see :meth:`check`."""
        if self.due is None or now < self.due:
            return None, None
        if self._is_accused:
            self._is_accused = False
            held = self._let_go()
            return (None, NO_PUSH_END) if self._framer.is_cut else (held, None)
        behind, waited = self._framer.behind_push, now - self._since
        if behind is None and self._framer.push_ends:
            if self._ends_own_line is not self._framer.push_ends[0] and waited < self._patience_s:
                self.due = self._since + self._patience_s  # the next frame may be noise
                return None, None
            # The end is known, but the next frame is slow, or is noise without a line end.
            return self._settle(is_noise=not self._framer.is_cut)
        usual = _LINE_END if self._ends_own_line else b""
        if self._ends_own_line is not None and behind not in {usual, None}:
            if waited < self._patience_s:
                self.due = self._since + self._patience_s
                return None, None
            self.clear()
            return None, _SWALLOWED
        if self._ends_own_line is None and waited < UNSURE_MAX_S:
            self.due, self.wants_frame = self._since + UNSURE_MAX_S, True
            return None, None
        held, self._held, self.due = self._held, None, None
        self.wants_frame = False
        return held, None

    def _let_go(self) -> Payload | None:
        self.is_unchecked = self.wants_frame = False
        held, self._held, self.due = self._held, None, None
        return held

    def _settle(self, *, is_noise: bool) -> tuple[Payload | None, str | None]:
        """Judge the oldest payload by its end; see :meth:`check`.

        What has no CRLF in front, as noise, tells nothing of the end.
        """
        held = self._let_go()
        end = self._framer.push_ends.popleft() if self._framer.push_ends else None
        if is_noise or end is None:
            return held, None
        if self._ends_own_line is None or self._ends_own_line is end:
            self._ends_own_line = end
            return held, None
        self._ends_own_line = None
        return None, _SWALLOWED

    def clear(self) -> None:
        """Drop what is held, and what is known of the ends in progress."""
        self._let_go()
        self._is_accused = False
        self._framer.push_ends.clear()


def _is_noise(frame: Frame) -> bool:
    """Whether a frame has no CRLF in front: noise at wake-up, or an echoed command."""
    if not isinstance(frame, Line):
        return False
    return frame.text.startswith(_NOISE_FIRST) or frame.text[:2].upper() == b"AT"


class OkHabit(enum.Enum):
    """When a module prints ``OK`` for a send: relatives differ (quirk 22)."""

    FIRST = "before SEND OK"
    BEHIND = "behind SEND OK"
    OMITTED = "never"


class Trust:
    """Keeps what is to be known to judge the next frame.

    Attributes:
        in_doubt: Bytes were lost, and the line has not been silent since: no URC, no result
            and no pushed data count.
        withheld: URCs that came during a read which has no data yet.
        gate: Holds pushed data.
        ok_habits: When this module prints ``OK`` for a send, by the form of the send: relatives
            omit it behind a prompt alone. A form that has not been used has none.
        awaits_late_ok: A send has ended without its ``OK``, which may still come.
        accused: Damage behind the payload of a read that the next frame may explain.
        pushed_at: When data last seemed to be pushed that nobody has asked for; only while
            the session is suspended and nobody knows which sockets push.

    """

    def __init__(self, framer: Framer) -> None:
        self.in_doubt = False
        self.withheld: list[Urc] = []
        self.gate = PushGate(framer)
        self.accused: Damage | None = None
        self.ok_habits: dict[str, OkHabit] = {}
        self.pushed_at = -math.inf
        self.awaits_late_ok = False
        self._late_ok_until = 0.0
        self._is_empty_plain = False

    def doubt(self) -> None:
        """Believe nothing until the line has been silent; forget what was withheld."""
        self.in_doubt = True
        self.withheld.clear()

    def silent(self, seconds: float) -> None:
        """Note how long the line has been silent: doubt ends with the rest of a payload."""
        if seconds >= QUIET_S:
            self.in_doubt = False

    def accuse(self, damage: Damage) -> bool:
        """Keep back what may be explained by the next frame; return whether it may.

        A CRLF has ended the payload of a read, so the payload has swallowed none. What follows
        is not the CRLF of ``OK``: noise at wake-up, which has none, or a loss.
        """
        if damage.reason == NO_READ_END and damage.data == _LINE_END:
            self.accused = damage
        return self.accused is not None

    def acquit(self, frame: Frame) -> Damage | None:
        """Look at the next frame; return the damage unless the frame explains it."""
        damage, self.accused = self.accused, None
        return None if _is_noise(frame) else damage

    def mistrusts_empty(self, blanks: bytes) -> bool:
        """Look at what stands between ``+QIRD: 0`` and the next line; say whether it is data.

        It is one CRLF (§4.1.3), and noise at times. A relative may print another number of
        blank lines, as some do elsewhere (quirk 29): it has never printed just one.
        """
        line_ends = blanks.translate(None, NOISE)
        self._is_empty_plain |= line_ends == _LINE_END
        return self._is_empty_plain and len(line_ends) > len(_LINE_END)

    def withhold(self, urc: Urc) -> None:
        """Keep a URC back until the read in flight has its data."""
        self.withheld.append(urc)

    def release(self) -> list[Urc]:
        """Give back what was withheld."""
        urcs, self.withheld = self.withheld, []
        return urcs

    def omit_ok(self, form: str, now: float) -> None:
        """Note that a send has ended without its ``OK``."""
        self.ok_habits[form] = OkHabit.OMITTED
        self.awaits_late_ok, self._late_ok_until = True, now + LATE_OK_S

    def is_late_ok(self, text: bytes, now: float) -> bool:
        """Whether a line may be the ``OK`` of a send that has ended without it."""
        return self.awaits_late_ok and text == b"OK" and now <= self._late_ok_until

    def take_late_ok(self) -> None:
        """Note that it has come: there is one for each send."""
        self.awaits_late_ok = False

    def in_step(self) -> None:
        """Start afresh: commands and answers match, and nothing is on its way."""
        self.in_doubt = False
        self.withheld.clear()
        self.awaits_late_ok = False

    def clear(self) -> None:
        """Forget everything but the habits: the module has restarted, or the link is gone."""
        self.in_step()
        self.accused = None
        self.gate.clear()
