"""Fault injection as data: what goes wrong, where, how often.

Layer: sim. A :class:`Fault` is a plain value; a :class:`FaultPlan` decides, from its
seed alone, when one strikes, so that a run can be repeated.

Each kind strikes at one of five points: an output **line** (a URC, an information
line or a result), a **command** line, a **payload** on its way to the host, a **send**
(the payload on its way to the module), or a piece of **data** that arrives from the
network. ``on`` selects by the beginning of the text found there::

    Fault(FaultKind.DROP_LINE, on='+QIURC: "recv"')           # lose the next recv URC
    Fault(FaultKind.ERROR, on="AT+QIRD", after=2)             # ERROR to the third QIRD
    Fault(FaultKind.DELAY_LINE, on="CLOSE OK", delay_s=11)    # later than §4.3.4 allows
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable
from dataclasses import dataclass, fields


class FaultKind(enum.StrEnum):
    """What goes wrong; the comment says where it strikes."""

    DROP_LINE = "drop-line"  # line: it never comes
    DUPLICATE_LINE = "duplicate-line"  # line: it comes twice
    DELAY_LINE = "delay-line"  # line: it comes delay_s later
    REPLACE_LINE = "replace-line"  # line: data comes instead
    GARBAGE = "garbage"  # line: data comes in front, unframed
    CORRUPT_LINE = "corrupt-line"  # line: count bits of its text are wrong
    TRUNCATE_LINE = "truncate-line"  # line: its last count bytes are missing, CR and LF first
    INTERLEAVE = "interleave"  # line: data comes as a line of its own in the middle of it
    RESET_AT_LINE = "reset-at-line"  # line: the module restarts instead
    ERROR = "error"  # command: ERROR, and nothing is done
    IGNORE = "ignore"  # command: no answer
    SILENCE = "silence"  # command: neither hears nor speaks for delay_s
    STUCK = "stuck"  # command: neither hears nor speaks until a reset
    RESET = "reset"  # command: restarts instead of an answer
    NETWORK_DOWN = "network-down"  # command: coverage is lost, for delay_s if not 0
    SEND_FAIL = "send-fail"  # send: SEND FAIL, nothing is sent
    SEND_FAIL_PART = "send-fail-part"  # send: SEND FAIL, but its first count bytes are sent
    LOSE_SENT = "lose-sent"  # send after a prompt: count bytes don't reach the module
    LOSE_BYTES = "lose-bytes"  # payload: count bytes missing from its middle
    CORRUPT_BYTES = "corrupt-bytes"  # payload: count bits of it are wrong
    RESET_IN_PAYLOAD = "reset-in-payload"  # payload: restarts after count bytes of it
    DROP_ON_FULL = "drop-on-full"  # data: TCP bytes that find no room are lost
    SWALLOW_RECV = "swallow-recv"  # data: no recv URC while a send is in data mode


LINE_KINDS = frozenset(
    {
        FaultKind.DROP_LINE,
        FaultKind.DUPLICATE_LINE,
        FaultKind.DELAY_LINE,
        FaultKind.REPLACE_LINE,
        FaultKind.GARBAGE,
        FaultKind.CORRUPT_LINE,
        FaultKind.TRUNCATE_LINE,
        FaultKind.INTERLEAVE,
        FaultKind.RESET_AT_LINE,
    }
)
"""The kinds that strike at an output line."""

COMMAND_KINDS = frozenset(
    {
        FaultKind.ERROR,
        FaultKind.IGNORE,
        FaultKind.SILENCE,
        FaultKind.STUCK,
        FaultKind.RESET,
        FaultKind.NETWORK_DOWN,
    }
)
"""The kinds that strike at a command line."""

PAYLOAD_KINDS = frozenset(
    {FaultKind.LOSE_BYTES, FaultKind.CORRUPT_BYTES, FaultKind.RESET_IN_PAYLOAD}
)
"""The kinds that strike at a payload on its way to the host."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: What happens.
        on: How the text at the point begins; empty matches everything.
        after: How many matches pass unharmed first.
        times: How many are struck then; ``None`` for all.
        probability: Of each of those, from 0 to 1, by the seed.
        delay_s: Seconds, for the kinds that say so.
        count: Bytes or bits, for the kinds that say so.
        data: For ``REPLACE_LINE`` and ``INTERLEAVE`` the text of the line, for ``GARBAGE``
            the bytes.

    """

    kind: FaultKind
    on: str = ""
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    delay_s: float = 0.0
    count: int = 1
    data: bytes = b""


class FaultPlan:
    """Count the matches of each fault and say which one strikes."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._faults = list(faults)
        self._matches = [0] * len(self._faults)
        self._struck = [0] * len(self._faults)
        self._struck_before = 0
        self._random = random.Random(seed)

    def add(self, fault: Fault) -> None:
        """Add a fault; its matches count from here on."""
        self._faults.append(fault)
        self._matches.append(0)
        self._struck.append(0)

    def remove(self, fault: Fault) -> None:
        """Take a fault back, whether it has struck or not; the others go on counting.

        Raises:
            ValueError: There is no such fault.

        """
        index = self._faults.index(fault)
        self._struck_before += self._struck[index]
        del self._faults[index], self._matches[index], self._struck[index]

    @property
    def struck(self) -> int:
        """How often any fault has struck."""
        return self._struck_before + sum(self._struck)

    def has(self, kind: FaultKind) -> bool:
        """Tell whether a fault of this kind can still strike."""
        return any(
            fault.kind is kind and (fault.times is None or struck < fault.times)
            for fault, struck in zip(self._faults, self._struck, strict=True)
        )

    def corrupted(self, data: bytes, count: int) -> bytes:
        """Return ``data`` with ``count`` of its bits wrong, chosen by the seed."""
        wrong = bytearray(data)
        for bit in self._random.sample(range(8 * len(data)), min(count, 8 * len(data))):
            wrong[bit // 8] ^= 1 << bit % 8
        return bytes(wrong)

    def strike(self, kinds: Iterable[FaultKind], text: str) -> Fault | None:
        """Return the first fault of these kinds that strikes at ``text``, if one does."""
        for index, fault in enumerate(self._faults):
            if fault.kind in kinds and text.startswith(fault.on) and self._counts(index, fault):
                self._struck[index] += 1
                return fault
        return None

    def _counts(self, index: int, fault: Fault) -> bool:
        self._matches[index] += 1
        if self._matches[index] <= fault.after:
            return False
        if fault.times is not None and self._struck[index] >= fault.times:
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability


def parse_fault(text: str) -> Fault:
    r"""Read ``kind;on=…;times=…`` as in a ``sim://`` address.

    ``times=all`` strikes every time; ``data`` understands ``\r``, ``\n`` and ``\xNN``.

    Raises:
        ValueError: An unknown kind or field, or a value that doesn't fit.

    """
    kind, *rest = text.split(";")
    values: dict[str, object] = {}
    for item in rest:
        name, equals, value = item.partition("=")
        if not equals or name not in {field.name for field in fields(Fault)} - {"kind"}:
            raise ValueError(f"unknown field {name!r} in fault {text!r}")
        values[name] = _field_value(name, value)
    try:
        return Fault(FaultKind(kind), **values)  # type: ignore[arg-type]  # by _field_value
    except ValueError as error:
        raise ValueError(f"unknown fault {kind!r}; known: {', '.join(FaultKind)}") from error


def _field_value(name: str, value: str) -> object:
    if name == "on":
        return value
    if name == "data":
        return value.encode("latin-1").decode("unicode_escape").encode("latin-1")
    if name in ("probability", "delay_s"):
        return float(value)
    return None if name == "times" and value == "all" else int(value)
