"""Print the AT dialogue in a form that people can read.

Layer: cli. Each row has the time, an arrow, the line, and the meaning of the line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiobc9x.cli.terminal import Terminal
from aiobc9x.masking import masked_command
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


@dataclass(frozen=True, slots=True)
class _Row:
    at: float
    direction: str
    text: str


class Dialogue:
    """Write the lines of a dialogue as they come.

    Args:
        terminal: Where to print.
        fold: Put ``OK`` and ``ERROR`` at the end of the row before. That row is then
            written only when the next line comes, or at :meth:`finish`.
        on_failure: Called once if a row can't be written; no more rows are written then.
        clock: Seconds; the first row's time is 0.

    Attributes:
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
        if self._held is not None and self._held.text not in _FINAL and text in _FINAL:
            self.finish(text)
            return
        self.finish()
        self._held = _Row(now - self._start, direction, text)
        if not self._fold:
            self.finish()

    def finish(self, final: str = "") -> None:
        """Write what is held back, with this final result.

        Raises:
            OSError: It can't be written.

        """
        row, self._held = self._held, None
        if row is not None:
            self._terminal.write(self._render(row, final))

    def _render(self, row: _Row, final: str) -> str:
        screen = self._terminal
        to_module = row.direction == ">"
        explained = int(screen.columns * _MEANING_SHARE)
        width = screen.columns - _TIME_COLUMNS - _ARROW_COLUMNS
        width -= _FINAL_COLUMNS if self._fold else 0
        words = screen.fit(meaning(row.text), explained)
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
        if not self._terminal.unicode:
            return ("->" if to_module else "<-").ljust(_ARROW_COLUMNS)
        return (" →" if to_module else " ←").ljust(_ARROW_COLUMNS)


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
