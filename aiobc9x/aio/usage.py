"""Show the bytes over the air, and set budgets: what programs see of a ledger.

Layer: aio. :mod:`aiobc9x.aio.ledger` keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiobc9x.aio.arguments import check_integer
from aiobc9x.aio.ledger import PERIODS, Budget, ConnectionUsage, Ledger, Period, merged, sum_of
from aiobc9x.core.air import AirCount

__all__ = ["PoolUsage", "Usage"]


class Usage:
    """An estimate of the bytes over the air; ``modem.usage``.

    The module counts no packets, so they are reckoned from the payloads: docs/cost.md has how,
    what is left out, and how to calibrate the estimate by one bill. All periods are those of UTC.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __repr__(self) -> str:
        total = self.total
        return f"<Usage ~{total.sent_bytes} bytes sent, ~{total.received_bytes} received>"

    @property
    def total(self) -> AirCount:
        """Everything since the modem was opened, and what :meth:`restore` has added."""
        return self._ledger.total()

    @property
    def today(self) -> AirCount:
        """What was used since midnight."""
        return self._ledger.day()

    @property
    def days(self) -> dict[str, AirCount]:
        """What was used on each day, as ``"2026-11-29"``: the last 62 days with traffic."""
        return self._ledger.days()

    @property
    def hosts(self) -> dict[str, AirCount]:
        """What each host has used, the greatest first: the first 64, and the others together.

        Names that were resolved, pings and time servers are hosts too. The others are
        ``"other"``; connections that the program opened by its own commands are ``"unknown"``.
        """
        return self._ledger.hosts()

    @property
    def connections(self) -> list[ConnectionUsage]:
        """What each connection that is open has used, by the module's socket."""
        return self._ledger.connections()

    @property
    def factor(self) -> float:
        """What the estimate is multiplied by, from the first byte on: 1.0, until it is set.

        After a month, set it to what the bill says, divided by what was estimated.

        Raises:
            TypeError: It is set to what is no number.
            ValueError: It is set to a number that is not above 0.

        """
        return self._ledger.factor

    @factor.setter
    def factor(self, factor: float) -> None:
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise TypeError(f"factor must be a number, not {factor!r}")
        if not 0 < factor < math.inf:
            raise ValueError(f"factor must be above 0, not {factor}")
        self._ledger.set_factor(float(factor))

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, at most one for each period."""
        return tuple(self._ledger.budgets.values())

    def budget(
        self,
        limit_bytes: int,
        /,
        per: Period = "day",
        *,
        warn_at: tuple[float, ...] = (0.8, 1.0),
        refuse: bool = False,
    ) -> Budget:
        """Set the budget of a period; it replaces an earlier one of the same period.

        Whenever the estimate reaches one of the shares ``warn_at``, :class:`BudgetReached` goes
        to the subscribers, once in each period. With ``refuse``, nothing new begins once it is
        spent: calls that open a connection or a datagram socket raise :class:`BudgetExceeded`, a
        stream to which more is written ends with it, and ``error_received`` of a datagram socket
        gets it. What is on its way already, what peers send, incoming connections and queries
        such as pings still count, so the limit can be passed.

        Args:
            limit_bytes: Bytes over the air, 1 or more, as estimated.
            per: ``"hour"``, ``"day"`` or ``"month"``, in UTC.
            warn_at: Shares of the budget, each above 0.
            refuse: Whether to begin nothing new once the budget is spent.

        Raises:
            TypeError: The limit is no integer.
            ValueError: An argument is out of range.

        """
        check_integer("limit_bytes", limit_bytes, 1)
        _check_period(per)
        shares = tuple(sorted(warn_at))
        if not all(0 < share < math.inf for share in shares):
            raise ValueError(f"warn_at is {warn_at}: each share must be above 0")
        budget = Budget(self._ledger, limit_bytes, per, shares, refuse)
        self._ledger.set_budget(per, budget)
        return budget

    def remove_budget(self, per: Period = "day") -> None:
        """Remove the budget of a period, if there is one.

        Raises:
            ValueError: There is no such period.

        """
        _check_period(per)
        self._ledger.set_budget(per, None)

    def summary(self) -> dict[str, Any]:
        """Return what a status page shows, as plain values (``Any``: as JSON has it)."""
        return {
            "total": asdict(self.total),
            "today": asdict(self.today),
            "budgets": {
                budget.per: {"limit_bytes": budget.limit_bytes, "spent_bytes": budget.spent_bytes}
                for budget in self.budgets
            },
        }

    def snapshot(self) -> dict[str, Any]:
        """Return everything as plain values, for ``json.dump()`` (``Any``: as JSON has it).

        Budgets and the factor are not in it; set them after :meth:`restore`.
        """
        return self._ledger.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Add what an earlier run of the program has used, so that its month goes on.

        Args:
            snapshot: What :meth:`snapshot` returned (``Any``: as JSON has it).

        Raises:
            ValueError: It is no snapshot; nothing is added.

        """
        self._ledger.restore(snapshot)


class PoolUsage:
    """The estimates of all modems of a pool; ``pool.usage``. Budgets are the modems' own.

    Attributes:
        modems: Each modem's address and its :class:`Usage`.

    """

    def __init__(self, modems: Sequence[tuple[str, Usage]]) -> None:
        self.modems: tuple[tuple[str, Usage], ...] = tuple(modems)

    def __repr__(self) -> str:
        total = self.total
        return f"<PoolUsage ~{total.sent_bytes} bytes sent, ~{total.received_bytes} received>"

    @property
    def total(self) -> AirCount:
        """The sum of all modems."""
        return sum_of(usage.total for _, usage in self.modems)

    @property
    def today(self) -> AirCount:
        """The sum of what all modems have used since midnight, in UTC."""
        return sum_of(usage.today for _, usage in self.modems)

    @property
    def days(self) -> dict[str, AirCount]:
        """What all modems have used on each day."""
        found = merged(usage.days for _, usage in self.modems)
        return {day: found[day] for day in sorted(found)}

    @property
    def hosts(self) -> dict[str, AirCount]:
        """What each host has used on all modems, the greatest first."""
        found = merged(usage.hosts for _, usage in self.modems)
        return {host: found[host] for host in sorted(found, key=lambda x: -found[x].total_bytes)}


def _check_period(per: str) -> None:
    if per not in PERIODS:
        raise ValueError(f"per is {per!r}: use 'hour', 'day' or 'month'")
