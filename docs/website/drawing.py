"""Draw the ways of a byte and the states of things: ``python -m docs.website.drawing``.

The states are drawn from the tables in the code, and the ways from the lists in docs/design.md,
so a picture can't tell anything else. The pictures lie in docs/pictures; a test compares them
with what would be drawn now. Each brings its own paper, light or dark as the reader's system is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from aiobc9x.aio.reconnecting import ModemState
from aiobc9x.core import sending, slots
from aiobc9x.core.sending import SendState
from aiobc9x.core.slots import SlotState

PICTURES: Final = Path(__file__).resolve().parents[1] / "pictures"
DESIGN: Final = PICTURES.with_name("design.md")

_STYLE: Final = """
.paper { fill: #ffffff; }
.lane { fill: #f3f5f8; }
.frame { fill: none; stroke: #8c959f; stroke-dasharray: 6 4; }
.box { fill: #e7effa; stroke: #4a6fa5; }
.arrow { fill: none; stroke: #57606a; stroke-width: 1.4; }
.rare { stroke-dasharray: 3 4; }
.head { fill: #57606a; }
text { fill: #1f2328; font: 13px system-ui, sans-serif; text-anchor: middle; }
.file { font: 12px ui-monospace, monospace; }
.said { fill: #57606a; font-size: 12px; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #16191d; }
  .lane { fill: #1e2328; }
  .frame { stroke: #6e7781; }
  .box { fill: #1d2c42; stroke: #7aa2dc; }
  .arrow { stroke: #9aa4ae; }
  .head { fill: #9aa4ae; }
  text { fill: #e6e9ec; }
  .said { fill: #b3bcc5; }
}
"""

WIDE, HIGH = 132, 40
"""The size of a state's box."""

MODEM: Final[dict[tuple[ModemState, str], ModemState]] = {
    (ModemState.UP, "out of step, or restarted"): ModemState.RECOVERING,
    (ModemState.RECOVERING, "set up again"): ModemState.UP,
    (ModemState.UP, "the port goes"): ModemState.AWAY,
    (ModemState.RECOVERING, "nothing answers"): ModemState.AWAY,
    (ModemState.AWAY, "it is back, and set up"): ModemState.UP,
    **{(state, "aclose(), or given up"): ModemState.CLOSED for state in [*ModemState][:3]},
}
"""The steps of a modem. It has no table of its own: its state is read off the link and the
session. A test watches a modem through its life and allows no other step."""

_SOCKET_WORDS: Final = {
    (SlotState.OPENING, SlotState.OPEN): "+QIOPEN: n,0",
    (SlotState.OPENING, SlotState.CLOSING): "it failed",
    (SlotState.OPEN, SlotState.REMOTE_CLOSED): "closed by the peer",
    (SlotState.OPEN, SlotState.CLOSING): "close()",
    (SlotState.REMOTE_CLOSED, SlotState.CLOSING): "close()",
    (SlotState.CLOSING, SlotState.FREE): "CLOSE OK",
}
"""What leads from one state of a socket to another; anywhere else it is a restart."""


class Arrow(NamedTuple):
    """A step between two places."""

    start: str
    end: str
    words: str
    is_rare: bool = False


class Place(NamedTuple):
    """Where a state stands, in columns and rows."""

    column: float
    row: float

    @property
    def x(self) -> float:
        """The middle."""
        return 30 + WIDE / 2 + self.column * 205

    @property
    def y(self) -> float:
        """The middle."""
        return 30 + HIGH / 2 + self.row * 95


def _svg(width: float, height: float, label: str, body: Iterable[str]) -> str:
    inside = "\n".join(body)
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(label)}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<defs>{head} orient="auto"><path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>\n'
        f'<rect class="paper" width="{width:g}" height="{height:g}" rx="8"/>\n{inside}\n</svg>\n'
    )


def _border(at: Place, towards: tuple[float, float]) -> tuple[float, float]:
    """Give the point on a box's border that looks towards another point."""
    dx, dy = towards[0] - at.x, towards[1] - at.y
    scale = min(
        (WIDE / 2 + 2) / abs(dx) if dx else float("inf"),
        (HIGH / 2 + 2) / abs(dy) if dy else float("inf"),
    )
    return at.x + dx * scale, at.y + dy * scale


def _said(words: str, x: float, y: float) -> str:
    """Write words on paper of their own, so that no line runs through them."""
    width = 6.6 * len(words) + 8
    return (
        f'<rect class="paper" x="{x - width / 2:.1f}" y="{y - 9:.1f}" width="{width:.1f}"'
        f' height="18"/><text class="said" x="{x:.1f}" y="{y + 4:.1f}">{escape(words)}</text>'
    )


def _line(
    a: tuple[float, float],
    b: tuple[float, float],
    words: str,
    *,
    is_rare: bool = False,
    at: float = 0.5,
) -> str:
    kind = "arrow rare" if is_rare else "arrow"
    text = (
        f'<path class="{kind}" marker-end="url(#head)"'
        f' d="M{a[0]:.1f},{a[1]:.1f} L{b[0]:.1f},{b[1]:.1f}"/>'
    )
    if words:
        text += _said(words, a[0] + (b[0] - a[0]) * at, a[1] + (b[1] - a[1]) * at)
    return text


def _arrow(arrow: Arrow, places: Mapping[str, Place], *, both_ways: bool) -> str:
    start, end = places[arrow.start], places[arrow.end]
    if arrow.start == arrow.end:
        x, y = start.x + WIDE / 2, start.y
        return (
            f'<path class="arrow" marker-end="url(#head)" d="M{x:.1f},{y - 9:.1f}'
            f' c34,-14 34,32 3,18"/>'
            f'<text class="said" x="{x + 50:.1f}" y="{y + 4:.1f}">{escape(arrow.words)}</text>'
        )
    a = _border(start, (end.x, end.y))
    b = _border(end, (start.x, start.y))
    if both_ways:  # each on its own side
        length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
        nx, ny = -(b[1] - a[1]) / length * 11, (b[0] - a[0]) / length * 11
        a, b = (a[0] - nx, a[1] - ny), (b[0] - nx, b[1] - ny)
    return _line(a, b, arrow.words, is_rare=arrow.is_rare, at=0.36 if both_ways else 0.5)


def _box(name: str, at: Place) -> str:
    x, y = at.x - WIDE / 2, at.y - HIGH / 2
    return (
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{WIDE}" height="{HIGH}" rx="7"/>'
        f'<text x="{at.x:.1f}" y="{at.y + 5:.1f}">{escape(name)}</text>'
    )


def _states(
    label: str, places: Mapping[str, Place], arrows: Iterable[Arrow], *, framed: Iterable[str] = ()
) -> str:
    """Draw a state machine; an arrow from ``""`` begins at the frame around some states."""
    listed = [*arrows]
    width = max(at.x for at in places.values()) + WIDE / 2 + 30
    height = max(at.y for at in places.values()) + HIGH / 2 + 30
    body = []
    inside = [places[name] for name in framed]
    if inside:
        left, right = min(at.x for at in inside), max(at.x for at in inside)
        top, bottom = min(at.y for at in inside), max(at.y for at in inside)
        body.append(
            f'<rect class="frame" x="{left - WIDE / 2 - 14:.1f}" y="{top - HIGH / 2 - 14:.1f}"'
            f' width="{right - left + WIDE + 28:.1f}" height="{bottom - top + HIGH + 28:.1f}"'
            ' rx="10"/>'
        )
        for arrow in [each for each in listed if not each.start]:
            end = places[arrow.end]
            a = (end.x, bottom + HIGH / 2 + 14)
            body.append(_line(a, (end.x, end.y - HIGH / 2 - 2), arrow.words))
    pairs = {(each.start, each.end) for each in listed}
    for arrow in [each for each in listed if each.start]:
        both = arrow.start != arrow.end and (arrow.end, arrow.start) in pairs
        body.append(_arrow(arrow, places, both_ways=both))
    body += [_box(name, at) for name, at in places.items()]
    return _svg(width, height, label, body)


def socket() -> str:
    """Draw the states of a socket."""
    places = {
        SlotState.OPENING.value: Place(0, 0),
        SlotState.OPEN.value: Place(1.15, 0),
        SlotState.REMOTE_CLOSED.value: Place(2.5, 0),
        SlotState.CLOSING.value: Place(0.35, 2),
        SlotState.FREE.value: Place(2.15, 2),
    }
    arrows = [
        Arrow(start.value, end.value, words or "", is_rare=words is None)
        for start, ends in slots.TRANSITIONS.items()
        for end in sorted(ends, key=[*SlotState].index)
        for words in [_SOCKET_WORDS.get((start, end))]
    ]
    return _states("The states of a socket", places, arrows)


def _grouped(
    table: Mapping[tuple[str, str], str], group: Iterable[str]
) -> tuple[list[Arrow], dict[str, str]]:
    """Give the arrows of a table, and apart from them the steps that all states of a group have."""
    members = [*group]
    common = {}
    for _, step in table:
        ends = {table.get((state, step)) for state in members}
        if len(ends) == 1 and (end := ends.pop()) is not None:
            common[step] = end
    words: dict[tuple[str, str], list[str]] = {}
    for (start, step), end in table.items():
        if not (step in common and start in members) and (start != end or step not in common):
            words.setdefault((start, end), []).append(step)
    return [Arrow(start, end, ", ".join(said)) for (start, end), said in words.items()], common


def send() -> str:
    """Draw the states of a send."""
    places = {
        SendState.ASKED.value: Place(0, 0),
        SendState.PROMPTED.value: Place(1, 0),
        SendState.WRITTEN.value: Place(2, 0),
        SendState.ACCEPTED.value: Place(3, 0),
        SendState.SETTLED.value: Place(1.5, 1.1),
        SendState.LOST.value: Place(0.3, 2.6),
        SendState.OVER.value: Place(2.6, 2.6),
    }
    table = {(at.value, step.value): to.value for (at, step), to in sending.TRANSITIONS.items()}
    group = [name for name in places if name not in {SendState.LOST.value, SendState.OVER.value}]
    arrows, common = _grouped(table, group)
    arrows += [Arrow("", end, step) for step, end in common.items()]
    return _states("The states of a send", places, arrows, framed=group)


def modem() -> str:
    """Draw the states of a modem."""
    places = {
        ModemState.UP.value: Place(0, 0),
        ModemState.RECOVERING.value: Place(1.9, 0),
        ModemState.AWAY.value: Place(0.95, 1.6),
        ModemState.CLOSED.value: Place(0.95, 3),
    }
    table = {(at.value, words): to.value for (at, words), to in MODEM.items()}
    group = [name for name in places if name != ModemState.CLOSED.value]
    arrows, common = _grouped(table, group)
    arrows += [Arrow("", end, step) for step, end in common.items()]
    return _states("The states of a modem", places, arrows, framed=group)


LANES: Final = ("module, link", "wire", "core", "aio", "modem, adapters")
_LANE_WIDE, _ROW_HIGH = 146, 46


def _lane(file: str) -> int:
    if file == "aio/line/link.py":
        return 0
    folder = file.partition("/")[0]
    return {"wire": 1, "core": 2, "aio": 3}.get(folder, 4)


def ways() -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    """Read the ways from the page: picture, title, and the files by step."""
    text = DESIGN.read_text("utf-8")
    part = text.partition("\n## Five ways through the files\n")[2].partition("\n## ")[0]
    chunks = re.split(r"^\*\*(.+)\.\*\*$", part, flags=re.MULTILINE)[1:]
    for title, body in zip(chunks[::2], chunks[1::2], strict=True):
        (picture,) = re.findall(r"\]\(pictures/(way-\w+\.svg)\)", body)
        files: list[tuple[int, str]] = []
        for number, step in re.findall(r"^(\d)\. ((?:.+\n)(?:   .+\n)*)", body, re.MULTILINE):
            for file in re.findall(r"`([\w/]+\.py)`", step):
                if not files or files[-1][1] != file:
                    files.append((int(number), file))
        yield picture, title.replace("`", ""), files


def way(title: str, files: list[tuple[int, str]]) -> str:
    """Draw one way: a column for each layer, with the module on the left; a row for each file."""
    top = 48
    width, height = _LANE_WIDE * len(LANES) + 20, top + _ROW_HIGH * len(files) + 14
    body = []
    for number, name in enumerate(LANES):
        left = 10 + number * _LANE_WIDE
        if number % 2 == 0:
            body.append(
                f'<rect class="lane" x="{left}" y="8" width="{_LANE_WIDE}" height="{height - 16}"'
                ' rx="6"/>'
            )
        body.append(f'<text class="said" x="{left + _LANE_WIDE / 2}" y="30">{name}</text>')
    points = [
        (10 + (_lane(file) + 0.5) * _LANE_WIDE, top + row * _ROW_HIGH + 16)
        for row, (_, file) in enumerate(files)
    ]
    for a, b in pairwise(points):
        body.append(_line((a[0], a[1] + 15), (b[0], b[1] - 17), ""))
    for (x, y), (number, file) in zip(points, files, strict=True):
        name = file.rpartition("/")[2]
        body.append(
            f'<rect class="box" x="{x - 68:.1f}" y="{y - 15:.1f}" width="136" height="30" rx="6"/>'
            f'<text class="file" x="{x:.1f}" y="{y + 4:.1f}">{number} {escape(name)}</text>'
        )
    return _svg(width, height, title, body)


def drawings() -> dict[str, str]:
    """Give each picture's name and text."""
    found = {picture: way(title, files) for picture, title, files in ways()}
    return found | {
        "states-socket.svg": socket(),
        "states-send.svg": send(),
        "states-modem.svg": modem(),
    }


if __name__ == "__main__":
    for name, text in drawings().items():
        (PICTURES / name).write_text(text, "utf-8")
