"""Print the AT dialogue in a form that people can read.

Layer: cli. Each row has the time, an arrow, the line, and the meaning of the line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from aiobc9x.cli.terminal import Terminal
from aiobc9x.masking import masked_command
from aiobc9x.slotted import slotted
from aiobc9x.trace.words import meaning

_TIME_COLUMNS: Final = 8
_ARROW_COLUMNS: Final = 3
_FINAL_COLUMNS: Final = 6
_MEANING_SHARE: Final = 0.34
_PREVIEW_CHARS: Final = 24
_FINAL: Final = {"OK", "ERROR"}


def shortened(text: str) -> str:
    """Return a line with its payload shortened, and without PINs and passwords."""
    head, payload, tail = _split_payload(text)
    if not payload:
        return masked_command(text)
    if len(payload) <= _PREVIEW_CHARS:
        return text
    return f"{head}{payload[:_PREVIEW_CHARS]}…{tail}"


def _split_payload(text: str) -> tuple[str, str, str]:
    if match := re.match(r'(AT\+QISEND(?:EX)?=\d,\d+,")(.*)(")$', text, re.DOTALL):
        return match[1], match[2], match[3]
    if match := re.match(r"(\+QIRD: ?\d+(?:,-?\d+)?[ ,])(.*)()$", text, re.DOTALL):
        return match[1], match[2], match[3]
    return text, "", ""


@slotted(frozen=True)
class Group:
    """Commands that are shown as one row where they follow each other.

    Attributes:
        pattern: What matches each of them.
        words: What they are for.
        refused: Why it is right that all of them are refused, where that is usual.

    """

    pattern: str
    words: str
    refused: str = ""


@slotted(frozen=True)
class _Row:
    at: float
    direction: str
    text: str
    words: str = ""


class _Gathered:
    """The commands of a group, and their results."""

    def __init__(self, group: Group, at: float, command: str) -> None:
        self.group, self._at, self._commands = group, at, [command]
        self._finals: set[str] = set()

    def takes(self, direction: str, text: str, group: Group | None) -> bool:
        """Take a line that belongs here; return whether it does."""
        if direction == ">":
            if group is self.group:
                self._commands.append(text)
            return group is self.group
        if text in _FINAL:
            self._finals.add(text)
        return not text.startswith("+QIURC")

    @property
    def row(self) -> _Row:
        """One row for all commands."""
        first, last = self._commands[0], self._commands[-1]
        text = first if len(self._commands) == 1 else f"{first} … {last}"
        return _Row(self._at, ">", text, self.group.words)

    @property
    def final(self) -> str:
        """The result that all commands have had; empty if they differ."""
        return "".join(self._finals) if len(self._finals) == 1 else ""


class Dialogue:
    """Write the lines of a dialogue as they come.

    Args:
        terminal: Where to print.
        fold: Put ``OK`` and ``ERROR`` at the end of the row before. That row is then
            written only when the next line comes, or at :meth:`finish`.
        on_failure: Called once if a row can't be written; no more rows are written then.
        clock: Seconds; the first row's time is 0.

    Attributes:
        groups: Which commands become one row; it may be changed after :meth:`finish`.
        unfold: Show them in rows of their own all the same.
        error: Why a row could not be written, such as a pipe that nobody reads any more.

    """

    def __init__(
        self,
        terminal: Terminal,
        *,
        fold: bool = False,
        on_failure: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._fold = fold
        self._on_failure = on_failure
        self._clock = clock
        self._start: float | None = None
        self._held: _Row | None = None
        self._gathered: _Gathered | None = None
        self.groups: Sequence[Group] = ()
        self.unfold = False
        self.error: OSError | None = None

    def line(self, direction: str, text: str) -> None:
        """Write one line; ``direction`` is ``>`` for to the module, ``<`` for from it.

        Raises nothing, because the module calls this, and must go on if nobody reads the rows.
        """
        if self.error is not None:
            return
        try:
            self._line(direction, text)
        except OSError as exc:
            self.error = exc
            self._on_failure()

    def _line(self, direction: str, text: str) -> None:
        now = self._clock()
        if self._start is None:
            self._start = now
        group = self._group(direction, text)
        belongs = self._gathered is not None and self._gathered.takes(direction, text, group)
        if belongs and not self.unfold:
            return
        if self._held is not None and self._held.text not in _FINAL and text in _FINAL:
            self._flush(text)
            return
        self._flush()
        if not belongs:
            self._end_group()
            if group is not None:
                self._gathered = _Gathered(group, now - self._start, text)
                if not self.unfold:
                    return
        self._held = _Row(now - self._start, direction, text)
        if not self._fold:
            self._flush()

    def _group(self, direction: str, text: str) -> Group | None:
        if direction != ">":
            return None
        return next((each for each in self.groups if re.match(each.pattern, text)), None)

    def finish(self) -> None:
        """Write what is held back.

        Raises:
            OSError: It can't be written.

        """
        self._flush()
        self._end_group()

    def _flush(self, final: str = "") -> None:
        row, self._held = self._held, None
        if row is not None:
            self._terminal.write(self._render(row, final))

    def _end_group(self) -> None:
        gathered, self._gathered = self._gathered, None
        if gathered is None:
            return
        if not self.unfold:
            self._terminal.write(self._render(gathered.row, gathered.final))
        if gathered.final == "ERROR" and gathered.group.refused:
            margin = " " * (_TIME_COLUMNS + _ARROW_COLUMNS)
            self._terminal.folded(gathered.group.refused, margin)

    def _render(self, row: _Row, final: str) -> str:
        screen = self._terminal
        to_module = row.direction == ">"
        explained = int(screen.columns * _MEANING_SHARE)
        width = screen.columns - _TIME_COLUMNS - _ARROW_COLUMNS
        width -= _FINAL_COLUMNS if self._fold else 0
        words = screen.fit(row.words or meaning(row.text), explained)
        room = width - explained - 1 if words or final else width
        shown = screen.fit(_one_line(shortened(row.text), screen), room)
        pieces = [
            screen.paint(f"{row.at:7.3f} ", "dim"),
            screen.paint(self._arrow(to_module=to_module), "dim"),
            screen.paint(shown, *_style(row.text, to_module=to_module)),
        ]
        if words or final:
            pieces.append(" " * (room - len(shown) + 1))
            pieces.append(screen.paint(words, "dim"))
        if final:
            pieces.append(" " * (explained - len(words)))
            pieces.append(screen.paint(final.rjust(_FINAL_COLUMNS), *_style(final)))
        return "".join(pieces)

    def _arrow(self, *, to_module: bool) -> str:
        arrow = self._terminal.arrow(to_module=to_module)
        return arrow.rjust(_ARROW_COLUMNS - 1).ljust(_ARROW_COLUMNS)


def _one_line(text: str, screen: Terminal) -> str:
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return printable if screen.unicode else printable.replace("…", "...")


def _style(text: str, *, to_module: bool = False) -> tuple[str, ...]:
    if to_module:
        return ("cyan",) if text[:2].upper() == "AT" else ()
    if re.match(r"ERROR|\+CM[ES] ERROR|SEND FAIL", text):
        return ("red",)
    if text in {"OK", ">"}:
        return ("dim",)
    return ("yellow",) if text.startswith("+QIURC") else ("green",)
