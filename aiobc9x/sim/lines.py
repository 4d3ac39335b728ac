"""Command lines out of what the host types (§2.1.2).

Layer: sim.
"""

from __future__ import annotations

from collections import deque

from aiobc9x.sim.board import Board

LINE_NOISE = " " + "".join(map(chr, range(0x7F, 0x100)))
"""What a line at the wrong speed leaves in front of the next one; skipped."""

CONTROL = bytes(range(0x20))
"""Characters that are no part of a line."""


class LineEditor:
    """Echo what is typed and cut it into lines.

    Attributes:
        lines: Complete lines that begin with ``AT`` or ``at`` and wait to be carried out.

    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._line = bytearray()
        self.lines: deque[str] = deque()

    def clear(self) -> None:
        """Forget everything."""
        self._line.clear()
        self.lines.clear()

    def take(self, data: bytes) -> int:
        """Take input up to the first ``<CR>``; return how many bytes were used.

        An ``<LF>`` in the same breath goes with the ``<CR>``. LF, NUL, ESC and other
        control characters are no part of a line, and neither is noise before it.
        """
        end = data.find(b"\r")
        used = len(data) if end < 0 else end + 1
        if self._board.settings.echo:
            self._board.echo(data[:used])
        self._line += data[:used].translate(None, CONTROL)
        # One byte more than fits shows that the line is too long.
        del self._line[self._board.options.line_limit + 1 :]
        if end < 0:
            return used
        line = self._line.decode("latin-1").lstrip(LINE_NOISE)
        self._line.clear()
        if line.startswith(("AT", "at")):
            self.lines.append(line)
        return used + (data[used : used + 1] == b"\n")


def may_prompt(line: str) -> bool:
    """Tell whether a line is a send whose payload comes after a prompt."""
    return line[2:].upper().startswith("+QISEND") and '"' not in line and "?" not in line
