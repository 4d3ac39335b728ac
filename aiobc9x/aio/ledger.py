"""Keep account of the bytes over the air: by connection, host and day; and watch budgets.

Layer: aio. What a packet costs is in :mod:`aiobc9x.core.air`; this module knows the calendar.

Each payload is counted once, when the module has taken or given it: a few additions, and one look
at the clock. Everything else is brought up to date when somebody looks, or when an hour is over.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from aiobc9x.aio.line.subscriptions import BudgetReached
from aiobc9x.core.air import AirCount, AirMeter, dns_cost
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.errors import BudgetExceeded
from aiobc9x.slotted import slotted

HOSTS: Final = 64
"""How many hosts are told apart; others are counted together, as :data:`OTHER`."""

DAYS: Final = 62
"""How many days are kept: this month and the last one."""

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
"""The hosts beyond :data:`HOSTS`; that of a socket which a program's own commands have opened."""

Period: TypeAlias = Literal["hour", "day", "month"]
PERIODS: Final[tuple[Period, ...]] = get_args(Period)

_HOUR_S: Final = 3600
_LENGTH: Final[dict[Period, int]] = {"hour": 13, "day": 10, "month": 7}
"""How much of ``2026-11-29T23`` names each period."""

_VERSION: Final = 1


@slotted(frozen=True)
class ConnectionUsage:
    """What one connection has used so far.

    Attributes:
        host: The host that was asked for; a client's address for an incoming connection.
        port: Its port.
        connect_id: The module's socket.
        count: The bytes.

    """

    host: str
    port: int
    connect_id: int
    count: AirCount


class Budget:
    """A number of bytes for each hour, day or month, in UTC; :meth:`Usage.budget` makes it.

    Attributes:
        limit_bytes: Bytes over the air, as estimated.
        per: The period.
        warn_at: The shares of the budget at which :class:`~aiobc9x.BudgetReached` is published.
        refuse: Whether nothing new is begun once it is spent.

    """

    def __init__(
        self,
        ledger: Ledger,
        limit_bytes: int,
        per: Period,
        warn_at: tuple[float, ...],
        refuse: bool,
    ) -> None:
        self._ledger = ledger
        self.limit_bytes: int = limit_bytes
        self.per: Period = per
        self.warn_at: tuple[float, ...] = warn_at
        self.refuse: bool = refuse
        self._told: set[float] = set()

    def __repr__(self) -> str:
        return f"<Budget {self.spent_bytes} of {self.limit_bytes} bytes this {self.per}>"

    @property
    def spent_bytes(self) -> int:
        """What was used in the present period."""
        return self._ledger.spent_bytes(self.per)

    @property
    def left_bytes(self) -> int:
        """What is left of it, at least 0."""
        return max(0, self.limit_bytes - self.spent_bytes)


@slotted(eq=False)
class _Account:
    host: str
    port: int
    meter: AirMeter
    count: AirCount = field(default_factory=AirCount)


class Ledger:
    """The accounts of one modem.

    Attributes:
        factor: What the estimate is multiplied by.
        budgets: At most one for each period.

    """

    def __init__(
        self, publish: Callable[[BudgetReached], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._publish, self._clock = publish, clock
        self.factor: float = 1.0
        self.budgets: dict[Period, Budget] = {}
        self._accounts: dict[Slot, _Account] = {}
        self._total = AirCount()
        self._hosts: dict[str, AirCount] = {}
        self._days: dict[str, AirCount] = {}
        self._spent: dict[Period, int] = dict.fromkeys(PERIODS, 0)
        self._left = math.inf
        # What a meter counts is counted in the loop's thread; metrics may be read in another.
        self._lock = threading.Lock()
        self._begin_hour(self._clock())

    # -- counting --------------------------------------------------------------------------

    def open(self, slot: Slot, host: str, port: int, *, is_ipv6: bool = False) -> None:
        """Begin the account of a socket that is being opened."""
        meter = AirMeter(is_datagram=slot.is_datagram, is_ipv6=is_ipv6)
        with self._lock:
            self._take(slot)
            # Those of sockets that have ended are of no use any more, and there are six at most.
            for ended in [each for each in self._accounts if each.state is SlotState.FREE]:
                self._take(ended)
                del self._accounts[ended]
            self._accounts[slot] = _Account(host, port, meter)

    def opened(self, slot: Slot) -> None:
        """Count a connection that was made."""
        self._roll()
        self._count(self._account(slot).meter.opened())

    def refused(self, slot: Slot) -> None:
        """Count a connection that was not made."""
        self._roll()
        self._count(self._account(slot).meter.refused())

    def accepted(self, slot: Slot) -> None:
        """Begin the account of an incoming connection, and count what it took."""
        self._roll()
        host, port = slot.peer or (UNKNOWN, 0)
        self.open(slot, host, port, is_ipv6=":" in host)
        self._count(self._account(slot).meter.opened(incoming=True))

    def sent(self, slot: Slot, size_bytes: int) -> None:
        """Count a payload that the module has taken."""
        if not self._begins <= self._clock() < self._ends:
            self._roll()
        self._left -= (self._accounts.get(slot) or self._account(slot)).meter.sent(size_bytes)
        if self._left <= 0:
            self._review()

    def received(self, slot: Slot, size_bytes: int) -> None:
        """Count a payload that the module has given."""
        if not self._begins <= self._clock() < self._ends:
            self._roll()
        self._left -= (self._accounts.get(slot) or self._account(slot)).meter.received(size_bytes)
        if self._left <= 0:
            self._review()

    def resolved(self, name: str, answers: int = 1) -> None:
        """Count a name that the module has resolved."""
        self.spend(name, dns_cost(name, answers))

    def spend(self, host: str, count: AirCount) -> None:
        """Count what no socket has used."""
        self._roll()
        with self._lock:
            self._book(host, count)
        self._count(count.total_bytes)

    def _account(self, slot: Slot) -> _Account:
        account = self._accounts.get(slot)
        if account is None:
            self.open(slot, *(slot.peer or (UNKNOWN, 0)))
            account = self._accounts[slot]
        return account

    def _count(self, size_bytes: int) -> None:
        self._left -= size_bytes
        if self._left <= 0:
            self._review()

    def _roll(self) -> None:
        """Begin a new hour, and with it perhaps a day and a month."""
        now = self._clock()
        if self._begins <= now < self._ends:
            return
        self.settle()
        before = self._name
        self._begin_hour(now)
        for per, length in _LENGTH.items():
            if before[:length] != self._name[:length]:
                self._spent[per] = 0
                if per in self.budgets:
                    self.budgets[per]._told.clear()
        self._review()

    def _begin_hour(self, now: float) -> None:
        self._begins = now // _HOUR_S * _HOUR_S
        self._ends = self._begins + _HOUR_S
        self._name = _name_of(now)

    def settle(self) -> None:
        """Book what the meters have counted."""
        with self._lock:
            for slot in self._accounts:
                self._take(slot)

    def _take(self, slot: Slot) -> None:
        account = self._accounts.get(slot)
        if account is not None:
            fresh = account.meter.take()
            account.count.add(fresh)
            self._book(account.host, fresh)

    def _book(self, host: str, count: AirCount) -> None:
        self._add(count, {host: count}, {self._name[: _LENGTH["day"]]: count})
        for per in PERIODS:
            self._spent[per] += count.total_bytes

    def _add(
        self, total: AirCount, hosts: Mapping[str, AirCount], days: Mapping[str, AirCount]
    ) -> None:
        self._total.add(total)
        for host, count in hosts.items():
            _add_host(self._hosts, host, count)
        for day, count in days.items():
            self._days.setdefault(day, AirCount()).add(count)
        while len(self._days) > DAYS:
            del self._days[min(self._days)]

    # -- budgets -----------------------------------------------------------------------------

    def spent_bytes(self, per: Period) -> int:
        """Return what was used in the present period."""
        length = _LENGTH[per]
        with self._lock:
            if _name_of(self._clock())[:length] != self._name[:length]:
                return 0
            fresh = sum(each.meter.fresh.total_bytes for each in self._accounts.values())
            return round((self._spent[per] + fresh) * self.factor)

    def _review(self) -> None:
        """Tell of what was reached, and reckon when to look again."""
        self.settle()
        left = math.inf
        for per, budget in [*self.budgets.items()]:
            spent = round(self._spent[per] * self.factor)
            for share in budget.warn_at:
                missing = share * budget.limit_bytes - spent
                if missing > 0:
                    left = min(left, missing / self.factor)
                elif share not in budget._told:
                    budget._told.add(share)
                    self._publish(BudgetReached(share, spent, budget.limit_bytes, per))
        self._left = left

    def set_budget(self, per: Period, budget: Budget | None) -> None:
        """Set or remove the budget of a period."""
        self.budgets.pop(per, None)
        if budget is not None:
            self.budgets[per] = budget
        self._roll()
        self._review()

    def set_factor(self, factor: float) -> None:
        """Set what the estimate is multiplied by."""
        self.factor = factor
        self._review()

    def refusal(self) -> BudgetExceeded | None:
        """Return the error of a budget that is spent and refuses, if there is one."""
        for budget in self.budgets.values():
            if budget.refuse and budget.spent_bytes >= budget.limit_bytes:
                return BudgetExceeded(budget.limit_bytes, budget.per, budget.spent_bytes)
        return None

    def check(self) -> None:
        """Raise that error.

        Raises:
            BudgetExceeded: A budget that refuses is spent.

        """
        if self.budgets and (error := self.refusal()) is not None:
            raise error

    # -- looking: from any thread, so that nothing is changed ------------------------------------

    def total(self) -> AirCount:
        """Return everything."""
        with self._lock:
            fresh = (each.meter.fresh for each in self._accounts.values())
            return sum_of((self._total, *fresh)).times(self.factor)

    def day(self) -> AirCount:
        """Return what was used today."""
        today = _name_of(self._clock())[: _LENGTH["day"]]
        return self.days().get(today, AirCount())

    def days(self) -> dict[str, AirCount]:
        """Return what was used on each day."""
        today = self._name[: _LENGTH["day"]]
        with self._lock:
            fresh = [{today: each.meter.fresh} for each in self._accounts.values()]
            found = merged((self._days, *fresh))
        return {day: found[day].times(self.factor) for day in sorted(found)}

    def hosts(self) -> dict[str, AirCount]:
        """Return what was used by each host, the greatest first."""
        with self._lock:
            found = merged([self._hosts])
            for each in self._accounts.values():
                _add_host(found, each.host, each.meter.fresh)
        order = sorted(found, key=lambda host: -found[host].total_bytes)
        return {host: found[host].times(self.factor) for host in order}

    def connections(self) -> list[ConnectionUsage]:
        """Return what each open connection has used."""
        with self._lock:
            found = [
                ConnectionUsage(
                    each.host,
                    each.port,
                    slot.connect_id,
                    sum_of((each.count, each.meter.fresh)).times(self.factor),
                )
                for slot, each in self._accounts.items()
                if slot.state is not SlotState.FREE
            ]
        return sorted(found, key=lambda one: one.connect_id)

    def snapshot(self) -> dict[str, Any]:
        """Return everything as JSON has it (hence ``Any``)."""
        self._roll()
        self.settle()
        return {
            "version": _VERSION,
            "at": self._name,
            "total": asdict(self._total),
            "hosts": {host: asdict(count) for host, count in self._hosts.items()},
            "days": {day: asdict(count) for day, count in self._days.items()},
            "spent": {**self._spent},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Add what a snapshot has (``Any``: as JSON has it)."""
        try:
            if snapshot["version"] != _VERSION:
                raise ValueError(f"its version is {snapshot['version']!r}, not {_VERSION}")
            total = _read(snapshot["total"])
            hosts = {str(host): _read(count) for host, count in snapshot["hosts"].items()}
            days = {str(day): _read(count) for day, count in snapshot["days"].items()}
            at, spent = str(snapshot["at"]), {per: int(snapshot["spent"][per]) for per in PERIODS}
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise ValueError(f"not a snapshot of usage: {exc}") from exc
        self._roll()
        self.settle()
        with self._lock:
            self._add(total, hosts, days)
            for per, length in _LENGTH.items():
                if at[:length] == self._name[:length]:
                    self._spent[per] += spent[per]
        self._review()


def _add_host(hosts: dict[str, AirCount], host: str, count: AirCount) -> None:
    known = host in hosts or len(hosts) < HOSTS
    hosts.setdefault(host if known else OTHER, AirCount()).add(count)


def _name_of(seconds: float) -> str:
    """Return the hour of a time as ``2026-11-29T23``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H")


def _read(plain: Mapping[str, Any]) -> AirCount:
    return AirCount(**{each.name: int(plain[each.name]) for each in fields(AirCount)})


def sum_of(counts: Iterable[AirCount]) -> AirCount:
    """Return a new count with the sum of some."""
    total = AirCount()
    for count in counts:
        total.add(count)
    return total


def merged(tables: Iterable[Mapping[str, AirCount]]) -> dict[str, AirCount]:
    """Return a new table with the sums of some."""
    merged: dict[str, AirCount] = {}
    for table in tables:
        for name, count in table.items():
            merged.setdefault(name, AirCount()).add(count)
    return merged
