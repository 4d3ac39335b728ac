"""Bytes over the air: what is counted for whom, when, and what a budget does."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from aiobc9x import AirCount, BudgetExceeded, BudgetReached
from aiobc9x.aio.ledger import DAYS, HOSTS, Ledger
from aiobc9x.aio.usage import Usage
from aiobc9x.core.slots import Slot, SlotState
from aiobc9x.spec import ServiceType
from tests.support.bench import HOST

MIDNIGHT = datetime(2026, 11, 10, tzinfo=UTC).timestamp()
HEADER, CONNECTION = 40, 7 * 40 + 2 * 4


class Books:
    """A ledger, its calendar and what it tells."""

    def __init__(self) -> None:
        self.now = MIDNIGHT
        self.told: list[BudgetReached] = []
        self.ledger = Ledger(self.told.append, lambda: self.now)
        self.usage = Usage(self.ledger)

    def spends(self, size_bytes: int, host: str = HOST) -> None:
        """Use so many bytes."""
        self.ledger.spend(host, AirCount(size_bytes))

    def socket(self, host: str = HOST) -> Slot:
        """Open a UDP socket."""
        slot = Slot(0, 1, ServiceType.UDP, state=SlotState.OPEN)
        self.ledger.open(slot, host, 7)
        self.ledger.opened(slot)
        return slot

    @property
    def shares(self) -> list[float]:
        """The shares that were told, in order; they are forgotten."""
        shares = [each.share for each in self.told]
        self.told.clear()
        return shares


class TestAccounts:
    """Whose bytes they are."""

    def test_hosts_and_total(self) -> None:
        """The greatest first."""
        books = Books()
        books.spends(10, "small")
        books.spends(100, "great")
        assert [*books.usage.hosts] == ["great", "small"]
        assert books.usage.total == AirCount(110)
        assert "110" in repr(books.usage)

    def test_few_hosts(self) -> None:
        """Those beyond the first 64 are counted together."""
        books = Books()
        for number in range(HOSTS + 10):
            books.spends(1, f"host{number}")
        assert len(books.usage.hosts) == HOSTS + 1
        assert books.usage.hosts["other"].total_bytes == 10
        books.spends(5, "host0")
        assert books.usage.hosts["host0"].total_bytes == 6

    def test_days(self) -> None:
        """What is used belongs to its day, though the connection is the same."""
        books = Books()
        slot = books.socket()
        books.now = MIDNIGHT + 86399
        books.ledger.sent(slot, 72)
        books.now = MIDNIGHT + 86400
        books.ledger.received(slot, 12)
        first, second = books.usage.days.values()
        assert (first.total_bytes, second.total_bytes) == (100, 40)
        assert books.usage.today == second
        assert books.usage.connections[0].count.total_bytes == 140

    def test_a_clock_that_is_set_back(self) -> None:
        """A gateway begins in 1970 until it has asked for the time."""
        books = Books()
        for now in (0.0, MIDNIGHT, 0.0):
            books.now = now
            books.spends(1)
        assert [day.total_bytes for day in books.usage.days.values()] == [2, 1]
        assert next(iter(books.usage.days)) == "1970-01-01"

    def test_few_days(self) -> None:
        """The oldest are forgotten."""
        books = Books()
        for day in range(DAYS + 5):
            books.now = MIDNIGHT + day * 86400
            books.spends(1)
        assert len(books.usage.days) == DAYS
        assert books.usage.total.total_bytes == DAYS + 5

    def test_few_connections(self) -> None:
        """Those that have ended are forgotten when the next one begins."""
        books = Books()
        for _ in range(3):
            slot = books.socket()
            books.ledger.sent(slot, 72)
            slot.state = SlotState.FREE
        assert books.usage.connections == []
        assert len(books.ledger._accounts) == 1
        assert books.usage.hosts[HOST] == AirCount(300, 0, 216, 0, 3)

    def test_nobodys_socket(self) -> None:
        """What a program has opened by its own commands has no name."""
        books = Books()
        books.ledger.sent(Slot(3, 1, ServiceType.UDP), 72)
        assert books.usage.hosts["unknown"].total_bytes == 100


class TestFactor:
    """The calibration by a bill."""

    def test_it_changes_what_was_counted(self) -> None:
        """Everywhere, and in a budget too."""
        books = Books()
        books.socket()
        books.spends(100)
        budget = books.usage.budget(200)
        books.usage.factor = 1.7
        assert books.usage.factor == 1.7
        assert books.usage.total.sent_bytes == books.usage.today.sent_bytes == 170
        assert books.usage.hosts[HOST].sent_bytes == 170
        assert (budget.spent_bytes, budget.left_bytes) == (170, 30)
        assert books.shares == [0.8]

    @pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
    def test_what_is_none(self, factor: float) -> None:
        """It must be above 0."""
        with pytest.raises(ValueError, match="factor must be above 0"):
            Books().usage.factor = factor

    def test_no_number(self) -> None:
        """Nor a flag."""
        for wrong in ("1", True):
            with pytest.raises(TypeError, match="factor"):
                Books().usage.factor = wrong  # type: ignore[assignment]  # that is the point


class TestBudget:
    """What is told, and when again."""

    def test_each_share_once_in_a_period(self) -> None:
        """At 80 % and at 100 %, and again on the next day."""
        books = Books()
        budget = books.usage.budget(1000)
        told = []
        for _ in range(12):
            books.spends(100)
            told += books.shares
        assert told == [0.8, 1.0]
        assert (budget.spent_bytes, budget.left_bytes) == (1200, 0)
        books.now += 86400
        assert (budget.spent_bytes, budget.left_bytes) == (0, 1000)
        books.spends(1000)
        assert books.told == [
            BudgetReached(0.8, 1000, 1000, "day"),
            BudgetReached(1.0, 1000, 1000, "day"),
        ]

    def test_several_shares_at_once(self) -> None:
        """One great payload."""
        books = Books()
        books.usage.budget(1000, warn_at=(1.0, 0.5, 1.5))
        books.spends(2000)
        assert books.shares == [0.5, 1.0, 1.5]

    def test_periods(self) -> None:
        """Each has its own; a month lasts until its end."""
        books = Books()
        for per in ("hour", "day", "month"):
            books.usage.budget(1000, per)
        books.spends(900)
        assert len(books.shares) == 3
        hour, day, month = books.usage.budgets
        books.now += 3600
        assert [each.spent_bytes for each in (hour, day, month)] == [0, 900, 900]
        books.now += 86400
        assert [each.spent_bytes for each in (hour, day, month)] == [0, 0, 900]
        books.now += 31 * 86400
        assert month.spent_bytes == 0
        assert repr(month) == "<Budget 0 of 1000 bytes this month>"

    def test_set_late(self) -> None:
        """What was used before in the period counts."""
        books = Books()
        books.spends(900)
        books.usage.budget(1000)
        assert books.shares == [0.8]

    def test_replaced_and_removed(self) -> None:
        """One for each period."""
        books = Books()
        books.usage.budget(1000)
        books.usage.budget(5000)
        books.spends(3000)
        assert books.shares == []
        books.usage.remove_budget()
        books.spends(3000)
        assert books.shares == []
        assert books.usage.budgets == ()
        books.usage.remove_budget("month")

    def test_arguments(self) -> None:
        """What is refused."""
        usage = Books().usage
        with pytest.raises(ValueError, match="limit_bytes is 0"):
            usage.budget(0)
        with pytest.raises(TypeError, match="limit_bytes must be an integer"):
            usage.budget(1.5)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="use 'hour', 'day' or 'month'"):
            usage.budget(1, "week")  # type: ignore[arg-type]  # as above
        with pytest.raises(ValueError, match="use 'hour', 'day' or 'month'"):
            usage.remove_budget("week")  # type: ignore[arg-type]  # as above
        with pytest.raises(ValueError, match="warn_at"):
            usage.budget(1, warn_at=(0.0,))
        assert usage.budgets == ()

    def test_refusal(self) -> None:
        """Only of a budget that refuses, and only while it is spent."""
        books = Books()
        books.usage.budget(100)
        books.usage.budget(1000, "month", refuse=True)
        books.spends(500)
        books.ledger.check()
        books.spends(500)
        with pytest.raises(BudgetExceeded, match="1000 bytes for this month") as caught:
            books.ledger.check()
        assert (caught.value.limit_bytes, caught.value.per) == (1000, "month")
        books.now += 31 * 86400
        books.ledger.check()


class TestSnapshot:
    """What the next run of a program begins with."""

    def test_a_months_budget_goes_on(self) -> None:
        """Through JSON, on another day."""
        books, after = Books(), Books()
        books.socket()
        books.spends(900)
        kept = json.loads(json.dumps(books.usage.snapshot()))
        after.now += 86400
        after.spends(10)
        after.usage.restore(kept)
        assert after.usage.budget(1000, "month").spent_bytes == 910
        assert after.usage.budget(1000, "day").spent_bytes == 10
        assert after.usage.total == AirCount(910, connections=1)
        assert [day.sent_bytes for day in after.usage.days.values()] == [900, 10]
        assert after.usage.hosts[HOST] == AirCount(910, connections=1)
        assert after.shares == [0.8]

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2},
            {"total": 1},
            {"hosts": {"a": {}}},
            {"spent": {"day": "x"}},
            {"days": None},
        ],
    )
    def test_what_is_none(self, change: dict[str, Any]) -> None:
        """A file that another program has written changes nothing."""
        books = Books()
        with pytest.raises(ValueError, match="not a snapshot of usage"):
            books.usage.restore({**Books().usage.snapshot(), **change})
        with pytest.raises(ValueError, match="not a snapshot of usage"):
            books.usage.restore({})
        assert books.usage.total == AirCount()


class TestThreads:
    """Metrics are read in another thread."""

    def test_looking_changes_nothing(self) -> None:
        """Nothing is lost while the loop counts on."""
        books = Books()
        slot = books.socket()
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                books.usage.summary()
                assert [*books.usage.days] == ["2026-11-10"]
                assert len(books.usage.hosts) == len(books.usage.connections) == 1

        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(3000):
            books.ledger.sent(slot, 72)
        done.set()
        thread.join()
        assert books.usage.total.sent_bytes == 300_000
