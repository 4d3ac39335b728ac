"""The status page: one file of HTML, with nothing to load, for a telephone or a screen.

Layer: cli.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from aiobc9x.adapters.watching import DAY_S, Sample
from aiobc9x.cli.service.status import ModemStatus, Status

_WEAKEST_DBM, _STRONGEST_DBM = -140, -60
_WIDTH, _HEIGHT, _LEFT, _FOOT = 400, 150, 36, 18
_GAP_S: Final = 600
"""Seconds between two samples after which the line is broken: the modem was away."""

_STYLE: Final = """
:root { color-scheme: light dark; --line: #1668a8; --grid: #8884; --good: #1a7f37; --bad: #c0341d }
@media (prefers-color-scheme: dark) { :root { --line: #6cb6ff; --good: #57d364; --bad: #ff8a75 } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; overflow-wrap: anywhere }
section { border-top: 1px solid var(--grid); margin-top: 1.5rem }
svg { width: 100%; max-width: 34rem; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: currentColor }
polyline { fill: none; stroke: var(--line); stroke-width: 1.5 } path { stroke: var(--grid) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem }
dt { opacity: .75 } dd { margin: 0; overflow-wrap: anywhere }
ul { padding-left: 1.2rem } li { overflow-wrap: anywhere } time { opacity: .75 }
.good { color: var(--good) } .bad { color: var(--bad) }
"""


def page(status: Status, refresh_s: int = 30) -> str:
    """Return the page; it loads itself anew after so many seconds."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>aiobc9x proxy</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="refresh" content="{refresh_s}">',
        '<link rel="icon" href="data:,">',  # else a browser asks for one
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>aiobc9x proxy</h1><p>{_clock(status.time)}, up for {_span(status)}</p>",
    ]
    if not status.modems:
        parts.append('<p class="bad">No modem is there yet.</p>')
    parts += [_modem(each, status.time) for each in status.modems]
    parts += [_proxy(status), "</body></html>"]
    return "\n".join(parts)


def _modem(modem: ModemStatus, now: float) -> str:
    counters = modem.statistics
    rows = [
        ("sockets in use", f"{modem.sockets} of 6"),
        ("sent", f"{counters.payload_bytes_sent:,} bytes in {counters.sends:,} sends"),
        ("received", f"{counters.payload_bytes_received:,} bytes"),
        ("over the air", _air(modem)),
        ("opened", f"{counters.opens:,} connections, {counters.open_failures:,} failed"),
        ("send failures", f"{counters.send_failures:,}"),
        ("recoveries", f"{counters.recoveries:,} in step, {counters.returns:,} of the link"),
        ("restarts", f"{counters.resets:,} of the module, {counters.reset_hooks:,} by the hook"),
    ]
    if modem.signal is not None and modem.signal.cell:
        rows.insert(0, ("cell", f"{modem.signal.cell} of area {modem.signal.area}"))
    kind = "good" if modem.ready else "bad"
    return "\n".join(
        [
            f"<section><h2>{escape(modem.address)}</h2>",
            f'<p class="{kind}">{escape(modem.words)}</p>',
            chart(modem.samples, now) if modem.samples else "<p>No signal was seen yet.</p>",
            _list(rows),
            _events(modem),
            "</section>",
        ]
    )


def _air(modem: ModemStatus) -> str:
    today, total = (modem.usage[name] for name in ("today", "total"))
    used = [one["sent_bytes"] + one["received_bytes"] for one in (today, total)]
    said = f"about {used[0]:,} bytes today, {used[1]:,} in all"
    for per, budget in modem.usage["budgets"].items():
        said += f"; {budget['spent_bytes']:,} of {budget['limit_bytes']:,} this {per}"
    return said


def chart(samples: Sequence[Sample], now: float) -> str:
    """Draw a day of signal strength as SVG; a line for each stretch without a gap."""
    right, bottom = _WIDTH - 6, _HEIGHT - _FOOT

    def x(at: float) -> float:
        return _LEFT + (right - _LEFT) * (1 - (now - at) / DAY_S)

    def y(dbm: float) -> float:
        share = (dbm - _WEAKEST_DBM) / (_STRONGEST_DBM - _WEAKEST_DBM)
        return bottom - (bottom - 6) * min(max(share, 0), 1)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        ' aria-label="Signal over the last day in dBm">',
    ]
    for dbm in range(_WEAKEST_DBM, _STRONGEST_DBM + 1, 20):
        parts.append(f'<path d="M{_LEFT} {y(dbm):.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(dbm) + 4:.1f}" text-anchor="end">{dbm}</text>')
    for hours in range(0, 25, 6):
        at, anchor = x(now - hours * 3600), "end" if not hours else "middle"
        words = f"{hours} h ago" if hours else "now, in dBm"
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{words}</text>')
    for stretch in _stretches(samples, now):
        points = " ".join(f"{x(at):.1f},{y(dbm):.1f}" for at, dbm in stretch)
        parts.append(f'<polyline points="{points}"/>')
    return "".join([*parts, "</svg>"])


def _stretches(samples: Iterable[Sample], now: float) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = []
    last = -float("inf")
    for sample in samples:
        dbm = sample.rsrp_dbm if sample.rsrp_dbm is not None else sample.rssi_dbm
        if dbm is None or sample.time < now - DAY_S:
            continue
        if sample.time - last > _GAP_S:
            found.append([])
        found[-1].append((sample.time, dbm))
        last = sample.time
    return found


def _events(modem: ModemStatus) -> str:
    if not modem.events:
        return "<p>Nothing has happened.</p>"
    rows = [f"<li>{_clock(e.time)} {escape(e.text)}</li>" for e in reversed(modem.events[-20:])]
    return f"<h3>Last events</h3><ul>{''.join(rows)}</ul>"


def _proxy(status: Status) -> str:
    proxy = status.proxy
    if proxy is None:
        return "<section><h2>Proxy</h2><p>It serves once a modem is there.</p></section>"
    rows = [
        ("port", str(proxy["port"] or "forwards alone")),
        ("connections now", f"{proxy['connections']:,}"),
        ("opened", f"{proxy['opened']:,}, {proxy['failed']:,} failed"),
        ("turned away", f"{proxy['turned_away']:,}"),
        ("bytes", f"{proxy['bytes_up']:,} up, {proxy['bytes_down']:,} down"),
    ]
    rows += [
        ("forward", f"{f['local_host']}:{f['local_port']} to {f['host']}:{f['port']}")
        for f in proxy["forwards"]
    ]
    return f"<section><h2>Proxy</h2>{_list(rows)}</section>"


def _list(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return f"<dl>{cells}</dl>"


def _clock(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f'<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M:%S} UTC</time>'


def _span(status: Status) -> str:
    minutes = int((status.time - status.since) // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h {minutes % 60} min" if days else f"{hours} h {minutes % 60} min"
