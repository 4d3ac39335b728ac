"""Word what happens to a modem, for people.

Layer: cli.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from aiobc9x.aio.line.subscriptions import (
    BudgetReached,
    Dropped,
    LinkDown,
    LinkUp,
    ModemEvent,
    Recovering,
    Reset,
    StepLost,
    StepRegained,
    Unknown,
)
from aiobc9x.wire.urcs import Urc, parse_urc

_KEPT: Final = 200
_LONGEST_LINE: Final = 4096

_RUNGS: Final = {
    "device": "waiting for the device",
    "port": "opening the port again",
    "hook": "having the hook reset the module",
    "radio": "switching the radio off and on",
    "restart": "restarting the module",
}


def in_words(event: ModemEvent) -> str | None:
    """Say what an event means for the modem; ``None`` for what a line of the module says."""
    match event:
        case LinkDown(reason):
            return f"away: {reason}"
        case LinkUp():
            return "back, with its settings made again"
        case Recovering(rung=rung, reason=reason):
            return f"{_RUNGS.get(rung, rung)}: {reason}"
        case Reset(banner):
            return f"the module has restarted: {banner or 'without a word'}"
        case StepLost(reason):
            return f"answers don't match their commands: {reason}"
        case StepRegained():
            return "answers match their commands again"
        case BudgetReached(share, _, limit, per):
            return f"{share:.0%} of the budget of {limit} bytes for this {per} is used up"
        case Dropped(count):
            return f"{count} lines came too fast to be shown"
    return None


class Spelling:
    """Remember how the module has spelled its unasked lines, of which events tell the meaning."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: OrderedDict[Urc, bytes] = OrderedDict()

    def hear(self, data: bytes) -> None:
        """Take received bytes, cut anywhere."""
        *lines, rest = (self._rest + data).split(b"\r\n")
        self._rest = rest[-_LONGEST_LINE:]
        for line in lines:
            if (urc := parse_urc(line)) is not None:
                self._lines.pop(urc, None)
                self._lines[urc] = line.strip()
        while len(self._lines) > _KEPT:
            self._lines.popitem(last=False)

    def line(self, event: ModemEvent) -> bytes | None:
        """Return the line behind an event; ``None`` if there is none."""
        if isinstance(event, Unknown):
            return event.text
        if isinstance(event, Urc):
            return self._lines.get(event) or repr(event).encode()
        return None
