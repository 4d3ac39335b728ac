"""How a service and its modems are, as data and in words.

Layer: cli.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from aiobc9x.adapters.proxy.api import ProxyServer
from aiobc9x.adapters.watching import Noted, Sample, Watch
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.core.statistics import Statistics
from aiobc9x.slotted import slotted
from aiobc9x.spec import CONNECT_IDS

REGISTRATION: Final = {
    0: "not registered",
    1: "registered",
    2: "searching for a network",
    3: "refused by the network",
    4: "without coverage",
    5: "registered, roaming",
}
"""What <stat> of CEREG means (27.007)."""


@slotted(frozen=True)
class ModemStatus:
    """One modem.

    Attributes:
        address: What it was opened by.
        state: Where it stands in its life.
        ready: Whether it is up and has a network.
        sockets: How many of its six sockets are in use.
        signal: What was last seen of the network, while it is up.
        statistics: Its counters.
        usage: Bytes over the air, an estimate: in all, today, and the budgets.
        samples: The last day's.
        events: The last ones, the newest last.

    """

    address: str
    state: ModemState
    ready: bool
    sockets: int
    signal: Sample | None
    statistics: Statistics
    usage: dict[str, Any]
    samples: Sequence[Sample]
    events: Sequence[Noted]

    @property
    def words(self) -> str:
        """The modem in one line."""
        if self.state is not ModemState.UP:
            return str(self.state.value)
        parts = ["up" if self.ready else "up, network not asked for yet"]
        seen = self.signal
        if seen is not None:
            parts.append(REGISTRATION.get(seen.stat or 0, "registration unknown"))
            if seen.reject_cause:
                parts.append(f"cause {seen.reject_cause}")
            if (strength := seen.rsrp_dbm or seen.rssi_dbm) is not None:
                parts.append(f"{strength} dBm")
        parts.append(f"{self.sockets} of {len(CONNECT_IDS)} sockets in use")
        return ", ".join(parts)


@slotted(frozen=True)
class Status:
    """The service at one time.

    Attributes:
        time: Seconds since 1970.
        since: When the service began.
        modems: Each of its modems.
        proxy: The proxy's addresses and counters; ``None`` before it serves.

    """

    time: float
    since: float
    modems: Sequence[ModemStatus]
    proxy: dict[str, Any] | None

    @property
    def words(self) -> str:
        """The service in one line, for ``systemctl status``."""
        if not self.modems:
            return "no modem is there yet"
        return "; ".join(f"{each.address} {each.words}" for each in self.modems)

    def as_json(self) -> dict[str, Any]:
        """The state file: without the day's samples, and with times that people can read."""
        return {
            "time": _iso(self.time),
            "since": _iso(self.since),
            "modems": [_modem_as_json(each) for each in self.modems],
            "proxy": self.proxy,
        }


def take(watches: Iterable[Watch], proxy: ProxyServer | None, since: float) -> Status:
    """Take down how things are now."""
    return Status(time.time(), since, [_modem(each) for each in watches], _proxy(proxy))


def _modem(watch: Watch) -> ModemStatus:
    modem = watch.modem
    return ModemStatus(
        watch.name,
        modem.state,
        modem.is_ready,
        len(CONNECT_IDS) - modem.free_sockets,
        watch.latest if modem.state is ModemState.UP else None,
        modem.statistics,
        modem.usage.summary(),
        [*watch.samples],
        [*watch.events],
    )


def _proxy(proxy: ProxyServer | None) -> dict[str, Any] | None:
    if proxy is None:
        return None
    return {
        "port": proxy.port,
        "forwards": [asdict(each) for each in proxy.forwards],
        "connections": proxy.connections,
        **asdict(proxy.statistics),
    }


def _modem_as_json(modem: ModemStatus) -> dict[str, Any]:
    signal = asdict(modem.signal) if modem.signal is not None else None
    if signal is not None:
        signal["time"] = _iso(signal["time"])
    return {
        "address": modem.address,
        "state": modem.state.value,
        "ready": modem.ready,
        "sockets": modem.sockets,
        "signal": signal,
        "statistics": asdict(modem.statistics),
        "usage": modem.usage,
        "events": [{"time": _iso(each.time), "text": each.text} for each in modem.events],
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
