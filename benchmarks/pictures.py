"""Draw the tables of a benchmark, as SVG or PNG; the same figures give the same SVG.

Needs matplotlib: ``pip install 'aiobc9x[plot]'``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.harness import Plot, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES: Final = (".svg", ".png")
MARKERS: Final = "os^vDPX*"
_SETTINGS: Final = {
    "svg.hashsalt": "aiobc9x",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "figure.facecolor": "white",
}


def check(path: Path) -> None:
    """Make sure that a picture can be drawn, before minutes of measuring.

    Raises:
        SystemExit: matplotlib is missing, or the file's suffix is unknown.

    """
    if path.suffix not in SUFFIXES:
        raise SystemExit(f"{path}: a picture's name ends in {' or '.join(SUFFIXES)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("Pictures need matplotlib: pip install 'aiobc9x[plot]'")


def draw(path: Path, plots: Sequence[Plot], tables: Sequence[Table]) -> None:
    """Draw the plots side by side.

    Args:
        path: Where to; its suffix says in which format.
        plots: What to draw, from left to right.
        tables: The figures, measured.

    """
    import matplotlib as mpl  # noqa: PLC0415  # optional

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  # behind the choice of a backend

    with mpl.rc_context(_SETTINGS):  # type: ignore[arg-type]  # its keys are literals
        figure, axes = plt.subplots(
            1, len(plots), figsize=(5.2 * len(plots), 3.8), squeeze=False, layout="constrained"
        )
        for plot, panel in zip(plots, axes[0], strict=True):
            _panel(panel, plot, tables[plot.table])
        no_date = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=no_date)
        plt.close(figure)


def lines_of(plot: Plot, table: Table) -> dict[str, list[tuple[object, float]]]:
    """The points of each line of a plot, by what the legend calls it."""
    lines: dict[str, list[tuple[object, float]]] = {}
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        if any(cells[name] != value for name, value in plot.only.items()):
            continue
        for name, value in _values(plot, cells):
            if isinstance(value, int | float):
                label = plot.names.get(name, name)
                lines.setdefault(label, []).append((cells[plot.x], value))
    return lines


def _values(plot: Plot, cells: Mapping[str, object]) -> list[tuple[str, object]]:
    if isinstance(plot.y, str):
        name = plot.y if plot.series is None else str(cells[plot.series])
        return [(name, cells[plot.y])]
    return [(name, cells[name]) for name in plot.y]


def _panel(axes: Axes, plot: Plot, table: Table) -> None:
    lines = lines_of(plot, table)
    places = [str(x) for x in dict.fromkeys(x for line in lines.values() for x, _ in line)]
    has_names = any(isinstance(x, str) for line in lines.values() for x, _ in line)
    for index, (label, points) in enumerate(lines.items()):
        heights = [y for _, y in points]
        if has_names and "x" not in plot.log:
            width = 0.8 / len(lines)
            left = index * width - 0.4 + width / 2
            axes.bar([places.index(str(x)) + left for x, _ in points], heights, width, label=label)
        else:
            xs = [places.index(str(x)) if has_names else x for x, _ in points]
            marker = MARKERS[index % len(MARKERS)]
            axes.plot(xs, heights, marker=marker, markersize=4, label=label)  # type: ignore[arg-type]  # x is a number here
    if has_names:
        axes.set_xticks(range(len(places)), places, rotation=20, ha="right")
    elif "x" in plot.log:
        axes.set_xscale("log")
    _decorate(axes, plot)


def _decorate(axes: Axes, plot: Plot) -> None:
    if "y" in plot.log:
        axes.set_yscale("log")
    if plot.level is not None:
        axes.axhline(plot.level, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.set_title(plot.title)
    axes.legend(fontsize=7, frameon=False)
