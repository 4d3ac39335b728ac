"""The promised times: data with reasons, none of them derived from a measurement.

The numbers come from the waits that the note gives, and from the library's own limits; where the
library changes a limit, the promise changes with it, and the page has to be written again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import aiobc9x
from aiobc9x.aio.queries.dns_ping_ntp import DNS_LIMIT_S
from aiobc9x.aio.reconnecting import IN_STEP_S
from aiobc9x.aio.sockets.opening import OPEN_MARGIN_S
from aiobc9x.core.sending import RESULT_LIMIT_S
from aiobc9x.core.session import ANSWER_TIMEOUT_S
from aiobc9x.spec import LOCAL_PORT_QUARANTINE_S, OPEN_TIME_DEFAULT_S

ON_THE_LINE_S: Final = 10.0
"""What the start of the module, an opening and an echo take on the slowest line that is drawn.

At 9600 baud, with 0.1 s for each answer and half a second for the network, a start of 40 commands
takes 6 s, the look for a network 1 s, the opening and the echo 3 s."""

REOPENING_S: Final = 30.0
"""The longest pause between two tries to open a listener or an endpoint again."""

HOOK_S: Final = 60.0
"""From the first command without an answer to the call of the reset hook."""

CLOSE_S: Final = 15.0
"""What ``aclose()`` of a modem in use may take: connections are closed on the module first."""

CLOSE_AWAY_S: Final = 5.0
"""The same while the modem is away or being brought back: nothing is waited for then."""

POLICY: Final = aiobc9x.Reconnect()
OPENING_S: Final = OPEN_TIME_DEFAULT_S + OPEN_MARGIN_S
SEND_S: Final = ANSWER_TIMEOUT_S + RESULT_LIMIT_S

NOTHING: Final = ""
"""The program sees nothing: its call returns what it should."""

DRAINING: Final = "ConnectionResetError"
"""What asyncio's own ``drain()`` raises if the connection ends while it waits, whatever ended it.

The reader's ``exception()`` has the reason."""

BYTES: Final = frozenset({NOTHING, "StreamBroken"})
RESTARTED: Final = BYTES | {"ModuleReset"}
STEP: Final = BYTES | {"LinkTimeout", "ConnectTimedOut"}
NETWORK: Final = frozenset({NOTHING, "NetworkLost", "NetworkDown", "NetworkUnreachable"})
LINK: Final = frozenset({NOTHING, "LinkLost"})


@dataclass(frozen=True, slots=True)
class Promise:
    """What holds for one fault.

    Attributes:
        within_s: Seconds until a fresh connection carries bytes; :data:`ON_THE_LINE_S` comes
            on top.
        because: Where the number comes from, for the page.
        sees: What a program may see, by the name of the class.
        resolving_s: The same for a program that resolves a name, if that differs.
        prompted_s: Seconds more at the positions that may leave the module at a prompt: it
            is filled up first.
        more_s: Seconds beyond that until the listener and the endpoint are open again.

    """

    within_s: float
    because: str
    sees: frozenset[str]
    resolving_s: float | None = None
    prompted_s: float = 0.0
    more_s: float = REOPENING_S

    def back_s(self, position: str) -> float:
        """Return the limit for the next good byte at a position."""
        is_resolving = position == "resolving" and self.resolving_s is not None
        own = self.resolving_s if is_resolving else self.within_s
        assert own is not None
        prompted = self.prompted_s if position in {"in prompt", "sending"} else 0.0
        return own + prompted + ON_THE_LINE_S

    def all_back_s(self, position: str) -> float:
        """Return the limit for the listener and the endpoint."""
        return self.back_s(position) + self.more_s


_LINE: Final = "`+QIOPEN` (`open_time` + 5); a lookup 145"
_QUARANTINE_S: Final = LOCAL_PORT_QUARANTINE_S + REOPENING_S

LINE_LOST: Final = Promise(OPENING_S, _LINE, STEP, DNS_LIMIT_S)
CORRUPT: Final = replace(LINE_LOST, sees=STEP | {"ConnectFailed", "NameNotFound"})
"""Wrong bits may turn an answer into another one: ``0,1`` address into ``0,0``, for example."""

ANSWERS: Final = Promise(ANSWER_TIMEOUT_S, "`answer_timeout`", BYTES)

PROMISES: Final = {
    "a line is lost": LINE_LOST,
    "a line comes twice": ANSWERS,
    "a line is late": LINE_LOST,
    "a line is corrupt": CORRUPT,
    "a line is cut off": LINE_LOST,
    "a URC in a line": LINE_LOST,
    "received bytes are lost": ANSWERS,
    "sent bytes are lost": Promise(SEND_S, "the prompt (10) and `SEND OK` (15)", BYTES),
    "a command is lost": Promise(
        2 * ANSWER_TIMEOUT_S + RESULT_LIMIT_S,
        "twice `answer_timeout`, and `SEND OK` (15)",
        STEP,
    ),
    "a command is refused": Promise(
        ANSWER_TIMEOUT_S, "`answer_timeout`", BYTES | {"CommandError", "ConnectFailed"}
    ),
    "sends fail": Promise(ANSWER_TIMEOUT_S, "waits from 0.1 to 5 between two sends", BYTES),
    "the module restarts": Promise(
        SEND_S,
        "a lost banner shows at the next poll (10), or by a missing `SEND OK` (15)",
        # A module that has restarted unseen may refuse an opening, before it has a network again.
        RESTARTED | {"LinkTimeout", "NetworkUnreachable"},
    ),
    "silent for a moment": Promise(OPENING_S, _LINE, STEP, DNS_LIMIT_S, more_s=_QUARANTINE_S),
    "silent for long": Promise(
        IN_STEP_S + 5.0,
        "it is asked all the time (5), and filled up first if it was left at a prompt (10);"
        " a lookup 145",
        STEP | {"LinkLost"},
        DNS_LIMIT_S,
        more_s=_QUARANTINE_S,
    ),
    "wedged": Promise(5.0, "it is asked all the time", STEP | {"LinkLost"}),
    "the port hangs up": Promise(
        POLICY.first_delay + 3.0,
        "`first_delay` + 3; left at a prompt, it is filled up first (10)",
        LINK,
        prompted_s=IN_STEP_S,
        more_s=_QUARANTINE_S,
    ),
    "unplugged": Promise(POLICY.first_delay + 3.0, "`first_delay` + 3", LINK),
    "the serial server is gone": Promise(
        POLICY.max_delay + 3.0,
        "`max_delay` + 3; left at a prompt, it is filled up first (10)",
        LINK,
        prompted_s=IN_STEP_S,
        more_s=_QUARANTINE_S,
    ),
    "deep sleep": Promise(
        60.0,
        "the next command, of a program that asks every minute",
        RESTARTED | {"ConnectTimedOut"},
    ),
    "buffer overrun": ANSWERS,
    "buffer full": Promise(
        60.0, "12 000 bytes and their echo take 50 s at 9600 baud", frozenset({NOTHING})
    ),
    "the context ends": Promise(ANSWER_TIMEOUT_S, "it is told at once", NETWORK),
    "the radio is off": Promise(ANSWER_TIMEOUT_S, "it is looked for every 2 s", NETWORK),
    "no coverage": Promise(ANSWER_TIMEOUT_S, "it is looked for every 2 s", NETWORK),
    "two in a row": Promise(
        OPENING_S + IN_STEP_S,
        "`+QIOPEN`, and a port that is opened once more (10); a lookup 145",
        STEP | RESTARTED | NETWORK | LINK,
        DNS_LIMIT_S,
        more_s=_QUARANTINE_S,
    ),
}
"""For each fault of the table, by its name."""
