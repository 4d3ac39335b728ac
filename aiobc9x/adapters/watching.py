"""Look at a modem now and then, and keep what was seen: signal, cell, registration, events.

Layer: adapters. For status pages, metrics and logs, which ask often and must not ask the module
each time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final, Protocol

from aiobc9x.aio.line.subscriptions import (
    BudgetReached,
    LinkDown,
    LinkUp,
    ModemEvent,
    Recovering,
    Reset,
    StepLost,
    StepRegained,
    Subscription,
)
from aiobc9x.aio.queries.results import Signal
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.aio.usage import Usage
from aiobc9x.core.statistics import Statistics
from aiobc9x.errors import ModemError
from aiobc9x.logs import Log, Logs
from aiobc9x.masking import shown_address
from aiobc9x.slotted import slotted
from aiobc9x.wire.signalling import RegistrationStatus

__all__ = ["Noted", "Sample", "Watch", "Watched", "worded"]

INTERVAL_S: Final = 60.0
"""Seconds between two looks; our choice. A look is three short commands."""

DAY_S: Final = 24 * 3600
MOST_EVENTS: Final = 100


@slotted(frozen=True)
class Sample:
    """What was seen at one time; ``None`` for what the module didn't tell.

    Attributes:
        time: Seconds since 1970.
        rssi_dbm: Signal strength (27.007, CSQ).
        rsrp_dbm: Power of the cell's reference signal (CESQ).
        rsrq_db: Its quality (CESQ).
        stat: Registration as CEREG has it: 1 and 5 are registered.
        area: The tracking area, in hexadecimal digits.
        cell: The cell, in hexadecimal digits.
        reject_cause: Why the network refuses, as it numbers causes (24.301).

    """

    time: float
    rssi_dbm: int | None = None
    rsrp_dbm: int | None = None
    rsrq_db: float | None = None
    stat: int | None = None
    area: str | None = None
    cell: str | None = None
    reject_cause: int | None = None


@slotted(frozen=True)
class Noted:
    """Something that happened to a modem.

    Attributes:
        time: Seconds since 1970.
        text: What, in words.

    """

    time: float
    text: str


class Watched(Protocol):
    """What is watched: a :class:`~aiobc9x.Modem`, whose attributes these are."""

    @property
    def address(self) -> str:
        """What was given to ``open_modem()``."""

    @property
    def state(self) -> ModemState:
        """Where the modem stands."""

    @property
    def is_ready(self) -> bool:
        """Whether it is up and has a network."""

    @property
    def free_sockets(self) -> int:
        """How many sockets can be opened."""

    @property
    def statistics(self) -> Statistics:
        """Its counters."""

    @property
    def usage(self) -> Usage:
        """Its estimate of the bytes over the air."""

    def subscribe(self) -> Subscription:
        """Return an iterator over its events."""

    async def signal(self) -> Signal:
        """Ask for the signal."""

    async def registration(self) -> RegistrationStatus:
        """Ask for the registration."""


class Watch:
    """Keep a day of samples of one modem, and its last events.

    Args:
        modem: The modem.
        interval: Seconds between two samples.

    Attributes:
        modem: The modem.
        name: Its address, without a PIN.
        samples: The last day's, the newest last.
        events: The last hundred, the newest last.

    """

    modem: Watched

    def __init__(self, modem: Watched, interval: float = INTERVAL_S) -> None:
        self.modem, self._interval = modem, interval
        self.name: str = shown_address(modem.address)
        self._log = Log("adapters", Logs(self.name))
        self.samples: deque[Sample] = deque(maxlen=max(1, int(DAY_S / interval)))
        self.events: deque[Noted] = deque(maxlen=MOST_EVENTS)

    @property
    def latest(self) -> Sample | None:
        """The newest sample, if there is one."""
        return self.samples[-1] if self.samples else None

    async def run(self) -> None:
        """Watch until this is cancelled, or the modem is closed."""
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample_for_ever())
            await self._note_events()
            sampling.cancel()

    async def _note_events(self) -> None:
        async with self.modem.subscribe() as events:
            async for event in events:
                if text := worded(event):
                    self.events.append(Noted(time.time(), text))

    async def _sample_for_ever(self) -> None:
        while True:
            if self.modem.state is ModemState.UP:
                try:
                    self._keep(await self._sample())
                except ModemError as exc:  # said by an event, where it is the link
                    self._log.debug("! no sample: %(reason)s", error=exc)
            await asyncio.sleep(self._interval)

    async def _sample(self) -> Sample:
        signal = await self.modem.signal()
        registered = await self.modem.registration()
        return Sample(
            time.time(),
            signal.rssi_dbm,
            signal.rsrp_dbm,
            signal.rsrq_db,
            registered.stat,
            registered.tac,
            registered.ci,
            registered.reject_cause,
        )

    def _keep(self, sample: Sample) -> None:
        before = self.latest
        self.samples.append(sample)
        if before is not None and (before.area, before.cell) != (sample.area, sample.cell):
            where = f"cell {sample.cell} of area {sample.area}" if sample.cell else "no cell"
            self._log.info("= now in %s", where, cell=sample.cell, area=sample.area)
            self.events.append(Noted(sample.time, f"now in {where}"))


def worded(event: ModemEvent) -> str:
    """Return an event of a modem's life in words; empty for others."""
    match event:
        case LinkDown(reason):
            return f"away: {reason}"
        case LinkUp():
            return "back"
        case Reset(banner):
            return f"the module has restarted{f': {banner}' if banner else ''}"
        case Recovering("port", attempt, _, _) if attempt > 1:
            return ""  # each try; the first one and the other rungs tell enough
        case Recovering(rung, _, _, reason):
            return f"recovering by {rung}: {reason}"
        case StepLost(reason):
            return f"answers don't match commands: {reason}"
        case StepRegained():
            return "answers match commands again"
        case BudgetReached(share, _, limit, per):
            return f"{share:.0%} of the budget of {limit} bytes for this {per} is used up"
        case _:
            return ""
