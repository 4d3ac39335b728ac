"""Find out what a terminal can show, and print to it: colour, width, arrows.

Layer: cli.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import Final, TextIO

from aiobc9x.slotted import slotted

MAX_COLUMNS: Final = 100
"""Wider terminals get no wider output: long lines read badly."""

MIN_COLUMNS: Final = 60

_CODES: Final = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


@slotted(frozen=True)
class Terminal:
    """A stream, and what may be written to it.

    Attributes:
        stream: Where the text goes.
        colour: Whether escape sequences are wanted.
        columns: Width to stay within, 60–100.
        unicode: Whether the stream's encoding has arrows; without, all is ASCII.

    """

    stream: TextIO
    colour: bool = False
    columns: int = MAX_COLUMNS
    unicode: bool = True

    def paint(self, text: str, *styles: str) -> str:
        """Return ``text`` in these styles, or as it is where colour is not wanted."""
        if not self.colour or not styles or not text:
            return text
        codes = ";".join(str(_CODES[style]) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def write(self, text: str = "") -> None:
        """Write one line at once, so that a reader of a pipe sees it in time."""
        self.stream.write(self.spelled(text) + "\n")
        self.stream.flush()

    def spelled(self, text: str) -> str:
        """Return a text in characters that the stream has."""
        if self.unicode:
            return text
        return text.replace("§", "section ").encode("ascii", "replace").decode("ascii")

    def title(self, text: str, *, apart: bool = True) -> None:
        """Write a headline, after an empty line if it stands apart."""
        rule = "─" if self.unicode else "-"
        if apart:
            self.write()
        self.write(self.paint(f"{rule * 2} {text} ".ljust(self.columns, rule), "bold"))

    def folded(self, text: str, margin: str = "") -> None:
        """Write a text in as many lines as it takes, each behind a margin."""
        for line in textwrap.wrap(text, self.columns - len(margin), break_on_hyphens=False):
            self.write(margin + line)

    def arrow(self, *, to_module: bool) -> str:
        """Return the arrow of a line that goes to the module, or comes from it."""
        if self.unicode:
            return "→" if to_module else "←"
        return "->" if to_module else "<-"

    def fit(self, text: str, width: int) -> str:
        """Return ``text`` cut to ``width`` columns, with a mark where something is missing."""
        mark = "…" if self.unicode else "..."
        return text if len(text) <= width else text[: width - len(mark)] + mark


def terminal(stream: TextIO) -> Terminal:
    """Find out what a stream can show; ``NO_COLOR`` and ``TERM=dumb`` are respected."""
    is_tty = stream.isatty()
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    columns = shutil.get_terminal_size((MAX_COLUMNS, 24)).columns if is_tty else MAX_COLUMNS
    return Terminal(
        stream,
        colour=is_tty and not plain,
        columns=min(max(columns, MIN_COLUMNS), MAX_COLUMNS),
        unicode=_can_encode(stream.encoding or "ascii"),
    )


def _can_encode(encoding: str) -> bool:
    try:
        "→←─…§".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
