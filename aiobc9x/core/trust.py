"""Decide which frames can be believed when bytes may have been lost on the line.

Layer: core. Does no I/O; time comes in as ``now``.

Nothing on the line has a checksum (F5), so this module judges whether bytes mean what they
seem to mean:

torn lines
    A header that lost a byte arrives as an unknown line. The payload after it is then framed
    as lines, and the peer decides what they say: ``RDY``, for example. :func:`judge` tells
    torn lines from words that modules print unasked.
doubt
    Once bytes were lost, the session ignores URCs, results and pushed data until the line has
    been silent for a moment.
withheld URCs
    A line that looks like a URC during a read may be received data whose header got lost.
    The session acts on it only once the read has its data.
held pushes
    Nothing after pushed data says that they are whole, so they are delivered when the next
    frame, or silence, shows it: see :class:`PushGate`.
habits of the module
    Whether this module prints a CRLF after pushed data (F19), when it prints ``OK`` for a
    send (F23), and how many line ends stand after its ``+QIRD: 0`` (F18).
late results
    An ``OK`` that belongs to a send which has ended without it (F23).
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from aiobc9x.patterns import lazy_pattern
from aiobc9x.wire.framer import Damage, Frame, Framer, Line, Payload
from aiobc9x.wire.frames import NO_PUSH_END, NO_READ_END
from aiobc9x.wire.urcs import Urc

QUIET_S: Final = 0.3
"""Seconds of silence after a loss after which lines are believed again.

The rest of a torn payload would have come without a pause. Ours.
"""

SILENCE_S: Final = 0.03
"""Seconds of silence that show that pushed data are whole. Ours: 30 bytes at 9600 baud."""

PATIENCE_S: Final = 1.0
"""Seconds to wait for a line end that this module always prints. Ours."""

UNSURE_MAX_S: Final = 5.0
"""The most seconds that pushed data are held while it is not known how this module ends them.
Ours."""

PROOFS_MAX: Final = 64
"""Payloads by which a module's habit is proven as well as can be: seven in a row that have lost two
bytes each must contradict it then. A noisy line brings two or three of them. Ours."""

LATE_OK_S: Final = 5.0
"""Seconds after the end of a send in which its missing ``OK`` may still come (F23). Ours."""

WITHHELD_MAX: Final = 256
"""URCs that are put aside during a read. More come only from a module that babbles: what they
say is asked for later (F15). Ours."""

NO_EMPTY_END: Final = "more than a line end between +QIRD: 0 and what follows"
"""Reason of a damaged read: its ``+QIRD: 0`` was a header that lost digits of its length, and its
data are nothing but line ends or noise (F18)."""

_LINE_END: Final = b"\r\n"
_SWALLOWED: Final = "pushed data swallowed the line end after them: they lost bytes"

# The sign and a letter: what every module prints in front of a line of its own.
_VENDOR_LINE: Final = lazy_pattern(rb"[+*^#%&][A-Z]", re.IGNORECASE)
# "+QIRD: 10,0" with any bytes missing from its beginning or its middle.
_TORN_READ: Final = lazy_pattern(rb"\+?Q?I?R?D?:? ?[0-9]*,?-?[0-9]*")
_WHOLE_READ: Final = lazy_pattern(rb"\+QIRD: {0,8}[1-9][0-9]{0,3}(, {0,8}-?[0-9]+)?")
# What a header of pushed data still has when it has lost a few bytes.
_HEADER_LIKE: Final = lazy_pattern(rb'\+Q|"|recv|URC', re.IGNORECASE)
# Lines that are no headers, although some have quotes (F6): those of 27.007, because no header
# turns into one of its names by losing bytes, and those that relatives are known to print.
_KNOWN_VENDOR: Final = lazy_pattern(
    rb"\+(?:C[A-Z]{2,}|DBGINFO|LWM2M|LOWVBAT|QLWEVTIND|QIND|IP)\b|\*MATREADY"
)
# Plain words, such as a module prints unasked and no header consists of.
_WORDS: Final = lazy_pattern(rb"[A-Za-z]+(?: [A-Za-z]+)*")
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
"""Bytes that a UART receives while a module wakes up or loses power (F4)."""

_NOISE_FIRST: Final = (b"\x00", b"\xff")
# "OK" and "ERROR" with one byte missing.
_TORN_FINALS: Final = frozenset(
    final[:at] + final[at + 1 :] for final in (b"OK", b"ERROR") for at in range(len(final))
)
_READ_HEADER: Final = b"+QIRD"
_PUSH_HEADER: Final = lazy_pattern(rb'\+QIURC: {0,8}"recv", {0,8}([0-5])')


class Loss(NamedTuple):
    """Bytes were lost on the line.

    Attributes:
        reason: What shows the loss, in words, without any byte that a peer has sent.
        spares_read: The loss does not concern the read in flight, which may still be whole.
        spares_pushes: The loss does not concern pushed data.
        connect_id: The only push socket that the loss concerns; ``None`` if it may be any.

    """

    reason: str
    spares_read: bool = False
    spares_pushes: bool = False
    connect_id: int | None = None


def judge(
    text: bytes, *, awaited: bool, reading: bool, emptied: bool, pushing: bool
) -> Loss | None:
    """Decide whether an unknown line shows that bytes were lost, and whose bytes (F5).

    Args:
        text: The line.
        awaited: The final result of a command is due.
        reading: An AT+QIRD is in flight, and its data have not come.
        emptied: An AT+QIRD is in flight and has been answered by ``+QIRD: 0``, which may be
            ``+QIRD: 10`` that lost its 1: its data would then arrive as unknown lines.
        pushing: Sockets in push mode are open. If the header of their data is torn, the data
            arrive as unknown lines.

    Returns:
        The loss; ``None`` if the line is harmless.

    """
    # Noise at wake-up (F4), and words that modules are known to print (F6), prove nothing.
    if not text.strip(NOISE) or text.upper() in _KNOWN_WORDS:
        return None
    reason = f"a line of {len(text)} bytes that can't be read"
    torn_read = _TORN_READ.fullmatch(text) is not None
    # Between "+QIRD: 0" and its OK no line has a place, except one of a vendor.
    if emptied and not _KNOWN_VENDOR.match(text):
        return Loss(reason, spares_pushes=not is_header_like(text))
    # The line is what is left of the header or the end of the command in flight.
    if (reading and torn_read) or (awaited and _is_torn_final(text)):
        return Loss(reason, spares_pushes=True)
    known = _KNOWN_VENDOR.match(text) is not None
    # "+Q…" with a damaged name: the header of the read, or of pushed data; nobody can tell.
    if reading and text.startswith(b"+Q") and not (known or _is_push_header(text)):
        return Loss(reason)
    # A sign and a letter: a vendor's line, which concerns no socket. But a header of pushed data
    # that lost bytes looks the same.
    if _VENDOR_LINE.match(text) is not None and not torn_read:
        return Loss(reason, spares_read=True) if pushing and is_header_like(text) else None
    # A torn header of a read leaves digits, signs, or letters of "+QIRD". Other words are the
    # module's own, and if they aren't, the read in flight won't come whole and shows the loss.
    words = _WORDS.fullmatch(text) is not None and not torn_read
    return Loss(reason, spares_read=words or _is_push_header(text))


def is_read_header(text: bytes) -> bool:
    """Whether a line is the whole header of an answer to AT+QIRD that brings data."""
    return _WHOLE_READ.fullmatch(text) is not None


def is_header_like(text: bytes) -> bool:
    """Whether a line may be a header of pushed data that has lost bytes (F5)."""
    return _HEADER_LIKE.search(text) is not None and _KNOWN_VENDOR.match(text) is None


def _is_torn_final(text: bytes) -> bool:
    """Whether a line is ``OK`` or ``ERROR`` that has lost a byte."""
    return text in _TORN_FINALS


def _is_push_header(text: bytes) -> bool:
    return b"recv" in text or b"URC" in text


def blame(damage: Damage, push_sockets: AbstractSet[int], last_push: int | None) -> Loss:
    """Decide whose bytes the framer's damage concerns, as far as the bytes tell.

    Args:
        damage: What could not be framed.
        push_sockets: The sockets whose data are framed as pushed ones.
        last_push: The socket of the pushed data that came last.

    """
    data, reason = damage.data, damage.reason
    if reason == NO_PUSH_END:
        return Loss(reason, spares_read=True, connect_id=last_push)
    if reason == NO_READ_END:
        return Loss(reason, spares_pushes=True)
    if (match := _PUSH_HEADER.match(data)) and int(match[1]) in push_sockets:
        return Loss(reason, spares_read=True, connect_id=int(match[1]))
    return Loss(reason, spares_pushes=data.startswith(_READ_HEADER))


class PushGate:
    """Hold a pushed payload back until it is known to be whole (§2.3.2, F19).

    The framer counts a payload's bytes. If the payload lost some on the line, the framer takes
    as many of the bytes that follow, and that leaves a trace at once: there is no line end
    after the payload, or another one than this module prints, or the line is not silent. So a
    payload is delivered when the next frame shows no such trace, or after a moment of silence.
    Silence proves nothing as long as it is not known whether this module prints a CRLF of its
    own after pushed data. The session then sends AT, so that a frame comes.

    At most one payload is held.

    Attributes:
        due: When :meth:`expire` must be called; ``None`` if nothing is held.
        is_unchecked: The end of the last payload has not been seen yet, whether that payload is
            held or was delivered after silence.
        wants_frame: Silence proves nothing, so the session must make the module print a line.
        last_push: The socket of the last payload; ``None`` if there was none.

    """

    def __init__(self, framer: Framer) -> None:
        self.due: float | None = None
        self.is_unchecked: bool = False
        self.wants_frame: bool = False
        self.last_push: int | None = None
        self._framer = framer
        self._held: Payload | None = None
        self._since = 0.0
        self._patience_s = PATIENCE_S
        # No line end was found after the payload; the next frame, or silence, may explain that.
        self._lacks_end = False
        # Whether this module prints a CRLF of its own after pushed data; None if not known yet.
        self._ends_own_line: bool | None = None
        # How many payloads have shown it, up to PROOFS_MAX; each that contradicts halves that.
        self._proofs = 0

    def hold(self, payload: Payload, now: float, frame_s: float = 0.0) -> None:
        """Start to hold a payload.

        Args:
            payload: The payload.
            now: The time.
            frame_s: Seconds that the longest frame takes on the line, because the next frame
                may be half here already.

        """
        self._patience_s = PATIENCE_S + frame_s
        self._held, self._since, self.due = payload, now, now + SILENCE_S
        self.is_unchecked, self.last_push = True, payload.connect_id

    def check(self, frame: Frame) -> tuple[Payload | None, str | None, bool]:
        """Judge the last payload by the frame after it; :attr:`is_unchecked` must be true.

        Returns:
            The payload if it is whole and was held; the reason if the payload is not whole;
            and whether the frame was only about the payload, so that it means nothing more.

        """
        if self._lacks_end:
            self._lacks_end = False
            held = self._let_go()
            # No line end stood after the payload. If the frame is one that has no CRLF in
            # front (noise, an echo), this module simply prints none, and nothing was lost.
            return (held, None, False) if _is_noise(frame) else (None, NO_PUSH_END, False)
        if isinstance(frame, Damage) and frame.reason == NO_PUSH_END:
            # The next frame decides. The framer has noted an end for this payload, which means
            # nothing now.
            if self._framer.push_ends:
                self._framer.push_ends.popleft()
            self._lacks_end, self.due = True, self._since + self._patience_s
            return None, None, True
        return *self._settle(is_noise=_is_noise(frame)), False

    def expire(self, now: float) -> tuple[Payload | None, str | None]:
        """Judge the payload by the silence after it, if it has lasted long enough.

        Returns:
            The payload if it is whole, and the reason if it is not; ``(None, None)`` if it is
            still held.

        """
        if self.due is None or now < self.due:
            return None, None
        # Bytes that are half here belong to a frame that is not noise: so the line end is missing.
        if self._lacks_end:
            self._lacks_end = False
            held = self._let_go()
            return (None, NO_PUSH_END) if self._framer.is_cut else (held, None)
        behind, waited = self._framer.behind_push, now - self._since
        if behind is None and self._framer.push_ends:
            if self._ends_own_line is not self._framer.push_ends[0] and waited < self._patience_s:
                # The end differs from the usual one, which noise in the next frame would explain.
                self.due = self._since + self._patience_s
                return None, None
            # The end is as usual, but the next frame is slow, or is noise without a line end.
            return self._settle(is_noise=not self._framer.is_cut)
        usual = _LINE_END if self._ends_own_line else b""
        # The habit is known, and what stands after the payload is neither that nor nothing.
        if self._ends_own_line is not None and behind not in {usual, None}:
            if waited < self._patience_s:
                self.due = self._since + self._patience_s
                return None, None
            self.clear()
            return None, _SWALLOWED
        # The habit is not known, so silence may just mean that no CRLF of its own comes.
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
        """Judge the payload by its end; learn the module's habit from the first one (F19).

        Args:
            is_noise: The next frame has no CRLF in front, so it tells nothing about the end.

        """
        held = self._let_go()
        end = self._framer.push_ends.popleft() if self._framer.push_ends else None
        if is_noise or end is None:
            return held, None
        if self._ends_own_line is None or self._ends_own_line is end:
            self._ends_own_line = end
            self._proofs = min(self._proofs + 1, PROOFS_MAX)
            return held, None
        # A change of habit: the payload lost two bytes, and took the line end instead of them. Or
        # what was learned before was wrong; it is learned again, unless it is proven well: losses
        # come in bursts, and the next payload must not teach the wrong habit.
        self._proofs //= 2
        if not self._proofs:
            self._ends_own_line = None
        return None, _SWALLOWED

    def clear(self) -> None:
        """Drop the held payload, and the ends that the framer has noted."""
        self._let_go()
        self._lacks_end = False
        self._framer.push_ends.clear()


def _is_noise(frame: Frame) -> bool:
    """Whether a frame has no CRLF in front: noise at wake-up, or an echoed command."""
    if not isinstance(frame, Line):
        return False
    return frame.text.startswith(_NOISE_FIRST) or frame.text[:2].upper() == b"AT"


class OkHabit(enum.Enum):
    """When a module prints ``OK`` for a send: relatives differ (N10, F23)."""

    FIRST = "before SEND OK"
    BEHIND = "after SEND OK"
    OMITTED = "never"


class Trust:
    """Keep what must be known to judge the next frame.

    Attributes:
        in_doubt: Bytes were lost, and the line has not been silent since. The session ignores
            URCs, results and pushed data.
        withheld: URCs that came during a read whose data have not come.
        gate: The gate that holds pushed data.
        ok_habits: When this module prints ``OK`` for a send, by the form of the send, because
            some relatives omit it only after a prompt. A form that has not been used is not
            in the dict.
        awaits_late_ok: A send has ended without its ``OK``, which may still come.
        deferred: Damage after the payload of a read, until the next frame has explained it or
            not; ``None`` if there is none.
        pushed_at: When a line last looked like pushed data for which no socket of ours asked.
            Noted only while the session is suspended, because it does not know then which
            sockets push (F45).

    """

    def __init__(self, framer: Framer) -> None:
        self.in_doubt: bool = False
        self.withheld: list[Urc] = []
        self.gate: PushGate = PushGate(framer)
        self.deferred: Damage | None = None
        self.ok_habits: dict[str, OkHabit] = {}
        self.pushed_at: float = -math.inf
        self.awaits_late_ok: bool = False
        self._late_ok_until = 0.0
        # Whether this module has ever printed exactly one CRLF after "+QIRD: 0".
        self._is_empty_plain = False

    def begin_doubt(self) -> None:
        """Begin to doubt: drop withheld URCs, and believe no line until the line is silent."""
        self.in_doubt = True
        self.withheld.clear()

    def note_silence(self, seconds: float) -> None:
        """End the doubt if the line has been silent long enough for a payload to have ended."""
        if seconds >= QUIET_S:
            self.in_doubt = False

    def defer(self, damage: Damage) -> bool:
        """Put a damage aside if the next frame may explain it, and return whether it may.

        That is so where one CRLF stands after the payload of a read, and not the second one in
        front of ``OK`` (§2.2.6). The payload has taken no byte of what follows. What follows is
        either noise at wake-up (F4), which has no CRLF in front, or bytes were lost.
        """
        if damage.reason == NO_READ_END and damage.data == _LINE_END:
            self.deferred = damage
        return self.deferred is not None

    def settle_deferred(self, frame: Frame) -> Damage | None:
        """Return the damage that was put aside, unless this next frame explains it."""
        damage, self.deferred = self.deferred, None
        return None if _is_noise(frame) else damage

    def check_blanks(self, blanks: bytes) -> bool:
        """Return whether the bytes after ``+QIRD: 0`` must be data; learn the module's habit.

        One CRLF stands there (§4.1.3), and noise at times. A module that has once printed one
        CRLF prints no more than one, so more are data of a header that lost its length (F18).
        A module that always prints more is left alone.

        Args:
            blanks: The line ends and noise between ``+QIRD: 0`` and the next line.

        """
        line_ends = blanks.translate(None, NOISE)
        self._is_empty_plain |= line_ends == _LINE_END
        return self._is_empty_plain and len(line_ends) > len(_LINE_END)

    def withhold(self, urc: Urc) -> None:
        """Put a URC aside until the read in flight has its data; forget what is too many."""
        if len(self.withheld) < WITHHELD_MAX:
            self.withheld.append(urc)

    def release(self) -> list[Urc]:
        """Return the withheld URCs, and keep none."""
        urcs, self.withheld = self.withheld, []
        return urcs

    def note_omitted_ok(self, form: str, now: float) -> None:
        """Note that this module omits ``OK`` for a form of send, or prints it late."""
        self.ok_habits[form] = OkHabit.OMITTED
        self.awaits_late_ok, self._late_ok_until = True, now + LATE_OK_S

    def is_late_ok(self, text: bytes, now: float) -> bool:
        """Whether a line may be the ``OK`` of a send that has ended without it."""
        return self.awaits_late_ok and text == b"OK" and now <= self._late_ok_until

    def take_late_ok(self) -> None:
        """Note that the late ``OK`` has come; each send has one at most."""
        self.awaits_late_ok = False

    def end_doubt(self) -> None:
        """End all doubt, because answers belong to their commands again; keep the habits."""
        self.in_doubt = False
        self.withheld.clear()
        self.awaits_late_ok = False

    def clear(self) -> None:
        """Forget everything but the habits, because the module restarted or the link is gone."""
        self.end_doubt()
        self.deferred = None
        self.gate.clear()
