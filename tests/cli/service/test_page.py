"""The status page tells what is known, and nothing that a modem prints becomes markup."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from aiobc9x.adapters.watching import Noted, Sample
from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.cli.service.page import chart, page
from aiobc9x.cli.service.status import ModemStatus, Status
from aiobc9x.core.air import AirCount
from aiobc9x.core.statistics import Statistics
from tests.support.browser import Browser, needs_browser

NOW: Final = 1_800_000_000.0


def sample(minutes_ago: float, dbm: int | None = -90) -> Sample:
    """A sample of the past."""
    return Sample(NOW - 60 * minutes_ago, None, dbm, -10.0, 1, "1A2B", "01A2B3C4")


def modem(name: str = "/dev/ttyUSB0", *, up: bool = True, text: str = "back") -> ModemStatus:
    """A modem with a day behind it."""
    samples = [sample(minutes) for minutes in range(1440, 0, -1) if not 300 < minutes < 400]
    return ModemStatus(
        name,
        ModemState.UP if up else ModemState.AWAY,
        up,
        2,
        samples[-1] if up else None,
        Statistics(payload_bytes_sent=1234567, sends=890),
        {
            "total": asdict(AirCount(1_000_000, 2_000_000)),
            "today": asdict(AirCount(10, 20)),
            "budgets": {"month": {"limit_bytes": 5_000_000, "spent_bytes": 3_000_000}},
        },
        samples,
        [Noted(NOW - 90, text)],
    )


def status(*modems: ModemStatus) -> Status:
    """A service with a forward."""
    forward = {"local_host": "127.0.0.1", "local_port": 1883, "host": "broker.example", "port": 1}
    proxy = {
        "port": 1080,
        "connections": 2,
        "opened": 44,
        "failed": 2,
        "turned_away": 0,
        "bytes_up": 5,
        "bytes_down": 7,
        "forwards": [forward],
    }
    return Status(NOW, NOW - 200_000, modems, proxy)


def test_it_tells_each_modem() -> None:
    """State and signal in words, counters, events."""
    text = page(status(modem(), modem("/dev/ttyUSB1", up=False)))
    assert "/dev/ttyUSB0" in text
    assert "up, registered, -90 dBm, 2 of 6 sockets in use" in text
    assert "about 30 bytes today, 3,000,000 in all; 3,000,000 of 5,000,000 this month" in text
    assert '<p class="bad">away</p>' in text
    assert "1,234,567 bytes in 890 sends" in text
    assert "127.0.0.1:1883 to broker.example:1" in text
    assert "up for 2 d 7 h 33 min" in text


def test_nothing_becomes_markup() -> None:
    """Not an address, not an event: both may hold what a module has printed."""
    text = page(status(modem("<script>alert(1)</script>", text="<img src=x onerror=alert(1)>")))
    assert "<script" not in text
    assert "<img" not in text


def test_it_loads_nothing() -> None:
    """A gateway may have no other network than the modem's."""
    text = page(status(modem()))
    assert re.findall(r"(?:src|href)=\"(?!data:)", text) == []
    assert "url(" not in text
    assert "@import" not in text


def test_before_there_is_a_modem() -> None:
    """The page is there from the start."""
    text = page(Status(NOW, NOW, [], None))
    assert "No modem is there yet" in text
    assert "once a modem is there" in text


def test_the_chart_breaks_where_the_modem_was_away() -> None:
    """Older samples than a day, and those without a signal, are not drawn."""
    lines = re.findall(r'points="([^"]+)"', chart(modem().samples, NOW))
    assert len(lines) == 2
    unknown = [sample(60 * 25), sample(5, None), sample(3), sample(2)]
    (line,) = re.findall(r'points="([^"]+)"', chart(unknown, NOW))
    assert len(line.split()) == 2
    xs = [float(point.split(",")[0]) for point in line.split()]
    assert xs == sorted(xs)
    assert "polyline" not in chart([], NOW)


def test_a_signal_beyond_the_scale_stays_inside() -> None:
    """The chart has an upper and a lower end."""
    text = chart([sample(2, -160), sample(1, -20)], NOW)
    (line,) = re.findall(r'points="([^"]+)"', text)
    ys = [float(point.split(",")[1]) for point in line.split()]
    assert all(0 <= y <= 150 for y in ys)


@needs_browser
@pytest.mark.parametrize("columns", [360, 1200])
def test_it_fits_a_telephone_and_a_screen(tmp_path: Path, columns: int) -> None:
    """In a real browser: nothing is wider than the window, and nothing goes wrong."""
    long = "/dev/serial/by-id/usb-Quectel_BC92_" + "0123456789" * 6 + "-if00-port0"
    text = page(status(modem(long), modem("/dev/ttyUSB1", up=False, text="x" * 200)))
    path = tmp_path / "page.html"
    path.write_text(text, "utf-8")
    with Browser() as browser:
        look = browser.look(path, columns=columns)
        assert look.width <= look.room
        assert (look.missing, look.complaints, look.requests) == ([], [], [])
        assert browser.run("document.querySelectorAll('svg').length") == 2
        assert browser.run("getComputedStyle(document.querySelector('h1')).display") == "block"
