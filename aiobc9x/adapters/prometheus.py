"""Offer a modem's counters and state to Prometheus.

Layer: adapters. Needs prometheus_client: ``pip install 'aiobc9x[metrics]'``.

    registry.register(ModemCollector(lambda: [watch]))
    prometheus_client.start_http_server(9190, "127.0.0.1", registry)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Final

try:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        Metric,
        StateSetMetricFamily,
    )
    from prometheus_client.registry import Collector
except ImportError as _exc:
    raise ImportError(f"{_exc}; install it with: pip install 'aiobc9x[metrics]'") from _exc

from aiobc9x.adapters.watching import Sample, Watch
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.core.statistics import Statistics

__all__ = ["ModemCollector"]

_COUNTERS: Final = tuple(each.name for each in fields(Statistics))
_GAUGES: Final = {
    "rssi_dbm": "Signal strength in dBm",
    "rsrp_dbm": "Power of the cell's reference signal in dBm",
    "rsrq_db": "Quality of the cell's reference signal in dB",
    "stat": "Registration as AT+CEREG has it; 1 and 5 are registered",
}


class ModemCollector(Collector):
    """The metrics of modems, each with the label ``modem``: its address, without a PIN.

    Counters are those of :class:`~aiobc9x.Statistics`, as ``aiobc9x_commands_total``, and the
    estimated bytes over the air by direction, ``aiobc9x_air_bytes_total``; gauges are the budgets,
    the state, the free sockets, and what was last seen of signal and registration. Nothing is
    asked of the module when Prometheus scrapes.

    Args:
        watches: Returns the watches of all modems; called at each scrape, which may be in
            another thread than that of the event loop.

    """

    def __init__(self, watches: Callable[[], Iterable[Watch]]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as prometheus_client wants them."""
        watches = [*self._watches()]
        for name in _COUNTERS:
            counter = CounterMetricFamily(
                f"aiobc9x_{name}", f"Statistics.{name} of the modem", labels=["modem"]
            )
            for watch in watches:
                count = getattr(watch.modem.statistics, name)
                counter.add_metric([watch.name], count)
            yield counter
        yield from _air(watches)
        yield _states(watches)
        yield _gauge("ready", "Whether the modem is up and has a network", watches, _is_ready)
        yield _gauge("free_sockets", "Sockets that can be opened", watches, _free_sockets)
        for name, words in _GAUGES.items():
            yield _gauge(name, words, watches, _of_sample(name))


def _air(watches: list[Watch]) -> Iterator[Metric]:
    sent = CounterMetricFamily(
        "aiobc9x_air_bytes",
        "Bytes over the air, headers included: an estimate",
        labels=["modem", "direction"],
    )
    limit, spent = (
        GaugeMetricFamily(f"aiobc9x_budget_{name}_bytes", words, labels=["modem", "per"])
        for name, words in (
            ("limit", "Budget of bytes over the air"),
            ("spent", "What is used of it in this period: an estimate"),
        )
    )
    for watch in watches:
        address, usage = watch.modem.address, watch.modem.usage.summary()
        sent.add_metric([address, "sent"], usage["total"]["sent_bytes"])
        sent.add_metric([address, "received"], usage["total"]["received_bytes"])
        for per, budget in usage["budgets"].items():
            limit.add_metric([address, per], budget["limit_bytes"])
            spent.add_metric([address, per], budget["spent_bytes"])
    yield from (sent, limit, spent)


def _states(watches: list[Watch]) -> Metric:
    states = StateSetMetricFamily("aiobc9x_state", "Where the modem stands", labels=["modem"])
    for watch in watches:
        now = watch.modem.state
        states.add_metric([watch.name], {each.value: each is now for each in ModemState})
    return states


def _gauge(
    name: str, words: str, watches: list[Watch], value_of: Callable[[Watch], float | None]
) -> Metric:
    gauge = GaugeMetricFamily(f"aiobc9x_{name}", words, labels=["modem"])
    for watch in watches:
        value = value_of(watch)
        if value is not None:  # unknown is no value, rather than a wrong one
            gauge.add_metric([watch.name], value)
    return gauge


def _is_ready(watch: Watch) -> float:
    return float(watch.modem.is_ready)


def _free_sockets(watch: Watch) -> float:
    return float(watch.modem.free_sockets)


def _of_sample(name: str) -> Callable[[Watch], float | None]:
    def value_of(watch: Watch) -> float | None:
        sample: Sample | None = watch.latest
        # What was seen before the modem went away says nothing about now.
        if sample is None or watch.modem.state is not ModemState.UP:
            return None
        value: float | None = getattr(sample, name)
        return value

    return value_of
