"""A day of one modem, simulated: the work of a gateway, and all that can go wrong meanwhile.

One modem lives from the first second to the last. Whatever the script does to the module, the line
and the network, the modem has to come back by itself. That it has is found by a probe, whose time
is noted; after it the run is *calm* until the next trouble, and nothing may fail.
"""

import asyncio
import gc
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiobc9x
from aiobc9x import (
    Dropped,
    LinkDown,
    LinkUp,
    Modem,
    ModemState,
    Reconnect,
    Recovering,
    Reset,
    StepLost,
    StepRegained,
)
from aiobc9x.spec import CONNECT_IDS
from benchmarks.soak_desk import Desk
from benchmarks.soak_gateway import LASTING, LIMIT_S, Gateway
from benchmarks.soak_record import Record, holdings, where
from benchmarks.soak_script import Happening
from benchmarks.soak_trouble import Trouble, until

RETURN_S: Final = 300.0
"""Seconds from the end of a trouble until everything works again, at most. The module keeps the
port of a listener that was closed for 120 s (§2.2.1, note 5)."""

FREE_S: Final = 200.0
"""Seconds after the last operation until all connect IDs are free: as in soak_life."""

PROBE_S: Final = 1.0
"""Seconds between two probes."""

RESETS_PER_HOUR: Final = 30
"""Calls of the hook: a day of a soak has more of them than a year in the field."""

MORE_TASKS: Final = 3
"""Tasks more than at the beginning that are no leak: a modem that comes back has its own."""

GROWTH_BLOCKS: Final = 2000
"""Blocks of memory that the second half of a run may gain. In the first half modules are still
imported, and caches fill up."""

STATM: Final = Path("/proc/self/statm")

PAGE_KIB: Final = 4


@dataclass(frozen=True)
class Inspection:
    """What there is at a moment when no operation is under way.

    Attributes:
        at: Seconds since the beginning.
        tasks: The tasks of the loop, and where each stands.
        descriptors: How many are open.
        blocks: Blocks of memory that Python has allocated.
        resident_kib: Memory that the process occupies, in KiB; 0 where /proc is missing.

    """

    at: float
    tasks: tuple[str, ...]
    descriptors: int
    blocks: int
    resident_kib: int


def inspect(at: float) -> Inspection:
    """Look, behind a collection of garbage."""
    for _ in range(2):
        gc.collect()
    held = holdings()
    tasks = tuple(sorted(f"{task.get_name()}: {where(task)}" for task in held.tasks))
    pages = int(STATM.read_text().split()[1]) if STATM.exists() else 0
    blocks = sys.getallocatedblocks()
    return Inspection(at, tasks, len(held.descriptors), blocks, pages * PAGE_KIB)


@dataclass
class Returns:
    """How long it has taken until it worked again.

    Attributes:
        times: How often it was measured.
        total_s: All of them together.
        worst_s: The longest time.

    """

    times: int = 0
    total_s: float = 0.0
    worst_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Note one more."""
        self.times += 1
        self.total_s += seconds
        self.worst_s = max(self.worst_s, seconds)

    @property
    def row(self) -> tuple[float, float]:
        """The mean and the worst."""
        return round(self.total_s / max(self.times, 1), 1), round(self.worst_s, 1)


@dataclass
class Day:
    """One simulated run; made while its loop runs.

    Attributes:
        record: Counts.
        seed: Of everything that is chosen.
        seconds: How long it lasts, apart from its end.
        script: What goes wrong.
        inspections: What there was, at the beginning, in between, and at the end.
        connections: How long it took until a new connection worked, by what went wrong last.
        returns: The same until everything worked, the server and the endpoint too.
        events: What the modem has told of itself, by kind.

    """

    record: Record
    seed: int
    seconds: float
    script: Sequence[Happening]
    inspections: list[Inspection] = field(default_factory=list)
    connections: dict[str, Returns] = field(default_factory=dict)
    returns: dict[str, Returns] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._began = _time()
        self.desk = Desk(random.Random(f"desk {self.seed}"), self.record.heard)
        self.trouble = Trouble(self.desk, self.record, self.seed)

    async def run(self) -> None:
        """Live through it."""
        policy = Reconnect(reset=self.trouble.hook, resets_per_hour=RESETS_PER_HOUR)
        async with asyncio.timeout(LIMIT_S):
            self.modem = await aiobc9x.open_modem(self.desk.create, reconnect=policy)
            await self.modem.available()
        gateway = Gateway(self.modem, self.desk, self.trouble, self.record, self.seed)
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen_to_events(self.modem))
            await gateway.begin()
            probing = group.create_task(self._probe(gateway))
            work = [group.create_task(each, name=name) for name, each in gateway.work().items()]
            troubling = group.create_task(self.trouble.follow(self.script, gateway.is_open, group))
            await self._inspect_until_the_end(gateway)
            troubling.cancel()
            await self._come_to_an_end(gateway, work)
            probing.cancel()
            await gateway.end()
            await self._free(0)
            listening.cancel()
        for wrong in gateway.endpoint.wrong:
            self.record.breach(wrong)
        self.events.update({f"lost: {k}": n for k, n in gateway.endpoint.errors.items()})
        await self._close()

    async def _close(self) -> None:
        self._look_at_state()
        async with asyncio.timeout(LIMIT_S):
            await self.modem.aclose()
        await self.desk.aclose()

    def _look_at_state(self) -> None:
        if self.modem.state is ModemState.CLOSED:
            self.record.breach("the modem is closed, and nobody has closed it")

    async def _inspect_until_the_end(self, gateway: Gateway) -> None:
        every = 3600.0 if self.seconds >= 2 * 3600 else self.seconds / 4
        while self._passed() < self.seconds:
            await asyncio.sleep(min(every, max(self.seconds - self._passed(), 0.0)))
            await self._pause(gateway)
            self.inspections.append(inspect(self._passed()))
            gateway.is_open.set()

    async def _pause(self, gateway: Gateway) -> None:
        """Let all operations come to their ends, and no other begin."""
        gateway.is_open.clear()
        await until(lambda: not gateway.busy and not self.trouble.active)
        number = self.trouble.number
        await until(lambda: self.trouble.is_calm, RETURN_S)
        if number == self.trouble.number:
            await self._free(LASTING)
        self._look_at_state()

    async def _free(self, most: int) -> None:
        """Wait until no more connect IDs than these are in use, and on the module too."""

        def in_use() -> int:
            return max(len(CONNECT_IDS) - self.modem.free_sockets, len(self.desk.open_ids))

        if not await until(lambda: in_use() <= most, FREE_S):
            there, free = self.desk.open_ids, self.modem.free_sockets
            self.record.breach(f"connect IDs are left: {there} on the module, {free} free here")

    async def _come_to_an_end(self, gateway: Gateway, work: Sequence[asyncio.Task[None]]) -> None:
        gateway.is_over = True
        _, late = await asyncio.wait(work, timeout=4 * LIMIT_S)
        for task in late:
            self.record.breach(f"{task.get_name()} does not end")
            task.cancel()

    async def _probe(self, gateway: Gateway) -> None:
        """Find out, behind each trouble, when everything works again."""
        trouble = self.trouble
        while True:
            await asyncio.sleep(PROBE_S)
            if not trouble.active and not trouble.is_calm:
                await self._probe_once(gateway, trouble.number, trouble.ended_at)

    async def _probe_once(self, gateway: Gateway, number: int, ended_at: float) -> None:
        trouble, kind, is_first = self.trouble, self.trouble.last_kind, number != self._probed

        def note_connection() -> None:
            if trouble.number == number and is_first:
                self._probed = number
                self.connections.setdefault(kind, Returns()).add(_time() - ended_at)

        why, passed = await gateway.failure(note_connection), _time() - ended_at
        if trouble.number != number:
            return
        if not why:
            trouble.settle()
            self.returns.setdefault(kind, Returns()).add(passed)
            self.record.heard("=", f"all works again, {passed:.1f} s after {kind}")
        elif passed > RETURN_S:
            self.record.breach(f"{passed:.0f} s after {kind}: {why}")
            trouble.settle()

    _probed = -1

    async def _listen_to_events(self, modem: Modem) -> None:
        async for event in modem.subscribe():
            if isinstance(event, _TOLD):
                name = type(event).__name__
                self.events[f"rung: {event.rung}" if isinstance(event, Recovering) else name] += 1
                self.record.heard("=", repr(event))

    def _passed(self) -> float:
        return _time() - self._began

    def report_growth(self) -> None:
        """Take for a breach what has grown: memory, in the second half of the run."""
        first, last = self.inspections[0], self.inspections[-1]
        middle = self.inspections[len(self.inspections) // 2]
        if len(last.tasks) > len(first.tasks) + MORE_TASKS:
            self.record.breach(f"tasks are left: {', '.join(last.tasks)}")
        if last.descriptors > first.descriptors:
            self.record.breach(f"{last.descriptors - first.descriptors} descriptors more")
        if last.blocks > middle.blocks + GROWTH_BLOCKS:
            self.record.breach(f"{last.blocks - middle.blocks} blocks of memory more")

    def tables(self, wall_s: float) -> Iterator[tuple[Sequence[str], Sequence[Sequence[object]]]]:
        """Say what has happened, apart from the operations."""
        record, statistics = self.record, self.modem.statistics
        yield ("ended_by", "times"), sorted(record.endings.items())
        yield ("trouble", "times"), sorted(record.faults.items())
        yield ("event", "times"), sorted(self.events.items())
        kinds = sorted(self.returns.keys() | self.connections.keys())
        yield (
            ("after", "times", "connection_mean_s", "worst_s", "everything_mean_s", "worst_s"),
            [
                (
                    kind,
                    self.connections.get(kind, Returns()).times,
                    *self.connections.get(kind, Returns()).row,
                    *self.returns.get(kind, Returns()).row,
                )
                for kind in kinds
            ],
        )
        yield (
            ("inspected_at_s", "tasks", "descriptors", "memory_blocks", "resident_kib"),
            [
                (round(i.at), len(i.tasks), i.descriptors, i.blocks, i.resident_kib)
                for i in self.inspections
            ],
        )
        yield (
            ("what", "value"),
            [
                ("operations", sum(each.begun for each in record.tallies.values())),
                ("bytes checked", sum(each.checked_bytes for each in record.tallies.values())),
                ("troubles", sum(record.faults.values())),
                ("lines swallowed by pushes", record.unnoticed),
                ("worst time to the hook, s", round(max(self.trouble.hook_delays, default=0), 1)),
                ("times that opening the line was tried", self.desk.openings),
                ("commands", statistics.commands),
                ("bytes on the line", statistics.traffic_bytes),
                ("rules of the note broken", self.desk.virtual.statistics.broken_rules),
                ("connect IDs left", len(self.desk.open_ids)),
                ("line, bit/s", self.desk.options.baud),
                ("digest", record.digest.hexdigest()[:16]),
                ("wall time, s", round(wall_s, 1)),
            ],
        )


_TOLD: Final = (Dropped, LinkDown, LinkUp, Recovering, Reset, StepLost, StepRegained)


def _time() -> float:
    return asyncio.get_running_loop().time()
