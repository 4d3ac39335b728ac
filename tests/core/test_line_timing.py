"""Stopwatch: what the module and the host take beyond the bytes on the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiobc9x.core.exchange import Exchange
from aiobc9x.core.line_timing import LineTiming, Stopwatch
from aiobc9x.core.statistics import Statistics
from aiobc9x.wire.commands.tcpip import Qird

BAUDRATE = 1000  # 100 bytes a second


def answer(
    watch: Stopwatch,
    statistics: Statistics,
    seconds: float,
    *,
    prompted: bool = False,
) -> float:
    """Let 100 bytes cross the line in an exchange that takes so long; the latency then."""
    exchange = Exchange(Qird(0), None, 5.0, 1.0, traffic=statistics.traffic_bytes)
    exchange.prompted = prompted
    statistics.bytes_sent += 40
    statistics.bytes_received += 60
    watch.sample(exchange, 5.0 + seconds, BAUDRATE)
    return watch.timing(BAUDRATE).latency_s


@pytest.fixture
def statistics() -> Statistics:
    """Counters that don't start at 0."""
    return Statistics(bytes_received=12345, bytes_sent=678)


@pytest.fixture
def watch(statistics: Statistics) -> Stopwatch:
    """One that has measured nothing."""
    return Stopwatch(statistics)


class TestLatency:
    """The time of an exchange less that of its bytes."""

    def test_nothing_measured(self, watch: Stopwatch) -> None:
        """The rate is known, the times are 0."""
        assert watch.timing(BAUDRATE) == LineTiming(100.0, 0.0, 0.0)

    def test_the_first_answer_counts_in_full(
        self, watch: Stopwatch, statistics: Statistics
    ) -> None:
        """There is nothing to average with."""
        assert answer(watch, statistics, 1.02) == pytest.approx(0.02)

    def test_later_ones_weigh_an_eighth(self, watch: Stopwatch, statistics: Statistics) -> None:
        """One slow answer changes little."""
        answer(watch, statistics, 1.02)
        assert answer(watch, statistics, 1.1) == pytest.approx(0.03)

    def test_it_follows_the_module(self, watch: Stopwatch, statistics: Statistics) -> None:
        """After a few dozen answers the old latency is forgotten."""
        answer(watch, statistics, 1.02)
        for _ in range(40):
            last = answer(watch, statistics, 1.5)
        assert last == pytest.approx(0.5, rel=0.01)

    @given(times=st.lists(st.floats(0, 100), min_size=1))
    def test_it_stays_within_the_samples(self, times: list[float]) -> None:
        """Never below 0, whatever the line's real rate is."""
        statistics = Statistics()
        watch = Stopwatch(statistics)
        for seconds in times:
            latency = answer(watch, statistics, seconds)
        assert max(min(times) - 1.0, 0) - 1e-6 <= latency <= max(0, max(times) - 1.0) + 1e-6

    def test_what_waits_for_the_network_tells_nothing(self, watch: Stopwatch) -> None:
        """Nobody knows how long that takes."""
        watch.sample(Exchange(Qird(0), None, 5.0, 1.0, traffic=None), 10.0, BAUDRATE)
        assert watch.timing(BAUDRATE).latency_s == 0

    def test_a_long_exchange_tells_nothing(self, watch: Stopwatch, statistics: Statistics) -> None:
        """The line may be slower than it is thought to be."""
        exchange = Exchange(Qird(0), None, 5.0, 1.0, traffic=statistics.traffic_bytes)
        statistics.bytes_sent += 101
        watch.sample(exchange, 15.0, BAUDRATE)
        assert watch.timing(BAUDRATE).latency_s == 0

    def test_an_end_behind_a_prompt_tells_nothing_new(
        self, watch: Stopwatch, statistics: Statistics
    ) -> None:
        """It holds two latencies and the host's own time."""
        assert answer(watch, statistics, 10.0, prompted=True) == 0


class TestRate:
    """A serial server's port may be slower than it is said to be."""

    @staticmethod
    def cross(watch: Stopwatch, statistics: Statistics, size: int, seconds: float) -> None:
        """Let bytes cross the line in an exchange that takes so long."""
        exchange = Exchange(Qird(0), None, 5.0, 1.0, traffic=statistics.traffic_bytes)
        statistics.bytes_received += size
        watch.sample(exchange, 5.0 + seconds, BAUDRATE)

    def test_long_exchanges_show_a_slower_line(
        self, watch: Stopwatch, statistics: Statistics
    ) -> None:
        """It is taken for the rate, and no longer for latency: here 10 bytes/s and 0.5 s."""
        for _ in range(2):
            self.cross(watch, statistics, 50, 5.5)
            self.cross(watch, statistics, 1000, 100.5)
        assert watch.timing(BAUDRATE).bytes_per_s == pytest.approx(10, rel=0.06)
        for _ in range(60):
            self.cross(watch, statistics, 50, 5.5)
            self.cross(watch, statistics, 1000, 100.5)
        assert watch.timing(BAUDRATE).bytes_per_s == pytest.approx(10, rel=0.01)
        assert watch.timing(BAUDRATE).latency_s == pytest.approx(0.5, rel=0.1)

    @pytest.mark.parametrize("latency", [0.0, 0.5, 5.0])
    def test_a_line_as_fast_as_it_was_said(
        self, watch: Stopwatch, statistics: Statistics, latency: float
    ) -> None:
        """Whatever the module takes; a few delays change nothing."""
        for late in [0, 0, 20, 0, 0, 0, 0]:
            self.cross(watch, statistics, 50, 0.5 + latency)
            self.cross(watch, statistics, 1000, 10 + latency + late)
        assert watch.timing(BAUDRATE).bytes_per_s == 100

    def test_one_delay_shows_nothing(self, watch: Stopwatch, statistics: Statistics) -> None:
        """The host may have been busy."""
        self.cross(watch, statistics, 50, 0.5)
        self.cross(watch, statistics, 1000, 30)
        assert watch.timing(BAUDRATE).bytes_per_s == 100


class TestTurnaround:
    """From the prompt to the payload."""

    def test_it_is_averaged(self, watch: Stopwatch) -> None:
        """Like the latency."""
        watch.note_prompt(1.0)
        watch.note_written(1.25)
        assert watch.timing(BAUDRATE).turnaround_s == 0.25
        watch.note_prompt(2.0)
        watch.note_written(2.25 + 0.08)
        assert watch.timing(BAUDRATE).turnaround_s == pytest.approx(0.26)

    def test_other_writes_are_none(self, watch: Stopwatch) -> None:
        """Only what follows a prompt."""
        watch.note_prompt(1.0)
        watch.note_written(1.25)
        watch.note_written(99.0)
        assert watch.timing(BAUDRATE).turnaround_s == 0.25
