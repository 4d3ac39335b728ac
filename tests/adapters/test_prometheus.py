"""Metrics as Prometheus reads them."""

from __future__ import annotations

from dataclasses import fields

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import aiobc9x
from aiobc9x.adapters.prometheus import ModemCollector
from aiobc9x.adapters.watching import Sample, Watch
from tests.support.bench import Bench, echoed
from tests.support.clock import virtual


def scraped(*watches: Watch) -> dict[tuple[str, str], float]:
    """What a scrape gives: the values by name and state."""
    registry = CollectorRegistry()
    registry.register(ModemCollector(lambda: watches))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels["modem"] for sample in samples)
    kinds = ("aiobc9x_state", "direction", "per")
    return {(s.name, "".join(s.labels.get(k, "") for k in kinds)): s.value for s in samples}


@virtual
async def test_counters_are_the_modems() -> None:
    """All of them, with ``_total`` behind."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        await echoed(modem)
        found = scraped(Watch(modem))
        for each in fields(aiobc9x.Statistics):
            value = getattr(modem.statistics, each.name)
            assert found[f"aiobc9x_{each.name}_total", ""] == value
        assert found["aiobc9x_opens_total", ""] == 1


@virtual
async def test_bytes_over_the_air() -> None:
    """An estimate, by direction, and the budgets."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        modem.usage.budget(10_000, "month")
        await echoed(modem, b"hello")
        total, found = modem.usage.total, scraped(Watch(modem))
        assert found["aiobc9x_air_bytes_total", "sent"] == total.sent_bytes > 0
        assert found["aiobc9x_air_bytes_total", "received"] == total.received_bytes > 0
        assert found["aiobc9x_budget_limit_bytes", "month"] == 10_000
        assert found["aiobc9x_budget_spent_bytes", "month"] == total.total_bytes


@virtual
async def test_the_state_is_one_of_all() -> None:
    """And what was seen of the network is told only while the modem is up."""
    async with Bench() as bench:
        modem = await bench.open_lasting()
        await modem.wait_ready()
        watch = Watch(modem)
        watch.samples.append(Sample(0.0, -73, -81, -10.0, 1, "1A2B", "01A2B3C4"))
        found = scraped(watch)
        assert found["aiobc9x_state", "up"] == 1
        assert found["aiobc9x_state", "away"] == 0
        assert found["aiobc9x_ready", ""] == 1
        assert found["aiobc9x_free_sockets", ""] == 6
        assert found["aiobc9x_rsrp_dbm", ""] == -81
        await modem.aclose()
        found = scraped(watch)
        assert found["aiobc9x_state", "closed"] == 1
        assert found["aiobc9x_ready", ""] == 0
        assert ("aiobc9x_rsrp_dbm", "") not in found


def test_without_a_modem_there_is_nothing_to_tell() -> None:
    """The page is valid all the same."""
    assert scraped() == {}
