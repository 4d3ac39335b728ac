"""Look at a modem again and again: how it is, and what has happened since the last time.

Layer: cli.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from aiobc9x.aio.bringup.readiness import in_words as registration_in_words
from aiobc9x.aio.queries.results import Signal
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.cli.happenings import in_words
from aiobc9x.cli.output import plain
from aiobc9x.errors import ModemError
from aiobc9x.modem import Modem
from aiobc9x.slotted import slotted
from aiobc9x.wire.commands.tcpip import SocketStatus
from aiobc9x.wire.signalling import RegistrationStatus

T = TypeVar("T")

KEPT: Final = 1000
"""Signals that are remembered: more than the widest terminal shows."""

ANSWER_S: Final = 5.0
"""Seconds for all answers of a look; a module that searches a cell answers later."""


@slotted(frozen=True)
class Look:
    """How a modem was at one moment.

    Attributes:
        time: When.
        state: Of the modem.
        registration: ``None`` if nothing answers.
        signal: ``None`` likewise.
        addresses: Of all contexts.
        sockets: As the module has them, those of this program and others.
        received_bytes_per_s: On the line, since the look before; 0 at the first.
        sent_bytes_per_s: Likewise.
        statistics: Of the modem since it was opened, by name.
        usage: Bytes over the air, an estimate: in all, today, and the budgets.
        event: The last thing that happened to the modem; ``None`` if nothing has.

    """

    time: datetime
    state: ModemState
    registration: RegistrationStatus | None
    signal: Signal | None
    addresses: tuple[str, ...]
    sockets: tuple[SocketStatus, ...] | None
    received_bytes_per_s: float
    sent_bytes_per_s: float
    statistics: dict[str, int]
    usage: dict[str, Any]
    event: str | None

    @property
    def network(self) -> str:
        """The registration in words."""
        if self.registration is None:
            return "no answer" if self.state is ModemState.UP else "-"
        return registration_in_words(self.registration)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found: dict[str, Any] = plain(self)
        found["network"] = self.network
        return found


class Looker:
    """Looks at one modem.

    Attributes:
        strengths: Received powers in dBm, one a look, ``None`` where unknown.

    """

    def __init__(self, modem: Modem) -> None:
        self.strengths: deque[int | None] = deque(maxlen=KEPT)
        self._modem = modem
        self._events = modem.subscribe()
        self._event: str | None = None
        self._before: tuple[float, int, int] | None = None

    async def listen(self) -> None:
        """Note what happens to the modem, until it is closed."""
        async for event in self._events:
            if (words := in_words(event)) is not None:
                self._event = f"{datetime.now().astimezone():%H:%M:%S} {words}"

    async def look(self) -> Look:
        """Look at the modem.

        One that is away is not asked, as the questions would wait for it. What does not answer
        in time is ``None``.
        """
        registration = signal = addresses = sockets = None
        if self._modem.state is ModemState.UP:
            try:
                async with asyncio.timeout(ANSWER_S):
                    registration = await _maybe(self._modem.registration())
                    signal = await _maybe(self._modem.signal())
                    addresses = await _maybe(self._modem.addresses())
                    sockets = await _maybe(self._modem.socket_states())
            except TimeoutError:
                pass
        self.strengths.append(_strength(signal))
        now = self._counted()
        before, self._before = self._before or now, now
        seconds = (now[0] - before[0]) or 1.0
        return Look(
            datetime.now().astimezone(),
            self._modem.state,
            registration,
            signal,
            tuple(each for _, found in addresses or () for each in found),
            sockets,
            round((now[1] - before[1]) / seconds, 1),
            round((now[2] - before[2]) / seconds, 1),
            plain(self._modem.statistics),
            self._modem.usage.summary(),
            self._event,
        )

    def _counted(self) -> tuple[float, int, int]:
        counters = self._modem.statistics
        now = asyncio.get_running_loop().time()
        return now, counters.bytes_received, counters.bytes_sent


async def _maybe(answer: Awaitable[T]) -> T | None:
    try:
        return await answer
    except ModemError:
        return None


def _strength(signal: Signal | None) -> int | None:
    if signal is None:
        return None
    return signal.rssi_dbm if signal.rssi_dbm is not None else signal.rsrp_dbm


def sparkline(strengths: Iterable[int | None], columns: int, *, unicode: bool = True) -> str:
    """Draw received powers, the last at the right; a gap where one is unknown.

    Args:
        strengths: In dBm; -113 is the lowest block, -51 the highest (27.007, 8.5).
        columns: How many of the last ones.
        unicode: Whether there are blocks; else digits.

    """
    blocks = "▁▂▃▄▅▆▇█" if unicode else "12345678"
    return "".join(_block(each, blocks) for each in [*strengths][-columns:])


def _block(strength: int | None, blocks: str) -> str:
    if strength is None:
        return " "
    share = (strength + 113) / 62
    return blocks[min(max(int(share * len(blocks)), 0), len(blocks) - 1)]
