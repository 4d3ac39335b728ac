"""The AT dialogue, a line at a time, in a form to read.

Layer: cli. Each row has the time, an arrow, the line, and what it means.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from aiobc9x.cli.terminal import Terminal

_TIME_COLUMNS: Final = 8
_ARROW_COLUMNS: Final = 3
_MEANING_SHARE: Final = 0.36
_PREVIEW_CHARS: Final = 24

_MEANINGS: Final[list[tuple[str, str]]] = [
    (r"AT$", "is anyone there?"),
    (r"ATE0", "echo off"),
    (r"ATI", "who are you?"),
    (r"ATV1", "results in words"),
    (r"AT\+CMEE=", "errors with a number"),
    (r"AT\+CFUN\?", "is the radio on?"),
    (r"AT\+CFUN=", "switch the radio"),
    (r"AT\+(QSCLK|CPSMS|CEDRXS)=", "no sleep while we talk"),
    (r"AT\+CPIN\?", "is the SIM ready?"),
    (r"AT\+C(E|G)?REG\?", "registered with a network?"),
    (r"AT\+C(E|G)?REG=", "report changes of registration"),
    (r"AT\+CGATT\?", "attached?"),
    (r"AT\+CGATT=", "attach"),
    (r"AT\+CGPADDR", "which address have we got?"),
    (r"AT\+CGACT\?", "is the context active?"),
    (r"AT\+CGACT=", "activate the context"),
    (r"AT\+QIDNSCFG", "name servers (§2.2.13)"),
    (r"AT\+QIGETERROR", "why? (§2.2.12)"),
    (r'AT\+QICFG="(\w+)"$', r"read the setting {1} (§2.2.11)"),
    (r'AT\+QICFG="(\w+)",', r"set {1} (§2.2.11)"),
    (r"AT\+QISTATE", "which sockets are open? (§2.2.3)"),
    (r'AT\+QIOPEN=\d,(\d),"([\w ]+)"', "open socket {1}, {2} (§2.2.1)"),
    (r"AT\+QICLOSE=(\d)", "close socket {1} (§2.2.2)"),
    (r"AT\+QISEND=(\d),(\d+)", "socket {1}: send {2} bytes (§2.2.4)"),
    (r"AT\+QISENDEX=(\d),(\d+)", "socket {1}: send {2} bytes as hex"),
    (r"AT\+QIRD=(\d),", "socket {1}: read (§2.2.6)"),
    (r"\+QIOPEN: ?(\d),0$", "socket {1} is connected"),
    (r"\+QIOPEN: ?(\d),(\d+)", "socket {1}: failed, error {2}"),
    (r'\+QIURC: ?"recv",(\d),"buff full"', "socket {1}: the module's buffer is full"),
    (r'\+QIURC: ?"recv",(\d)', "socket {1} has data (§2.3.2)"),
    (r'\+QIURC: ?"closed",(\d)', "socket {1}: the peer has closed"),
    (r"\+QIRD: ?0\b", "nothing left"),
    (r"\+QIRD: ?(\d+)", "{1} bytes"),
    (r">\s*$", "now the bytes"),
    (r"SEND OK", "the module has taken the bytes"),
    (r"SEND FAIL", "the module has not taken them"),
    (r"CLOSE OK", "closed"),
    (r"RDY$", "the module has started"),
]
"""What a line says, by how it begins; ``{1}`` is the first group."""


def meaning(text: str) -> str:
    """Say in a few words what a line of the dialogue is for; empty if unknown."""
    for pattern, words in _MEANINGS:
        if match := re.match(pattern, text):
            return words.format(match[0], *match.groups())
    return ""


def shortened(text: str) -> str:
    """Return a line with the payload at its end or between its quotes shortened."""
    head, payload, tail = _split_payload(text)
    if len(payload) <= _PREVIEW_CHARS:
        return text
    return f"{head}{payload[:_PREVIEW_CHARS]}…{tail}"


def _split_payload(text: str) -> tuple[str, str, str]:
    if match := re.match(r'(AT\+QISEND(?:EX)?=\d,\d+,")(.*)(")$', text, re.DOTALL):
        return match[1], match[2], match[3]
    if match := re.match(r"(\+QIRD: ?\d+(?:,-?\d+)?[ ,])(.*)()$", text, re.DOTALL):
        return match[1], match[2], match[3]
    return text, "", ""


class Dialogue:
    """Write the lines of a dialogue as they come.

    Args:
        terminal: Where to.
        clock: Seconds; the first row's time is 0.

    """

    def __init__(self, terminal: Terminal, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._clock = clock
        self._start: float | None = None
        self.rows = 0

    def line(self, direction: str, text: str) -> None:
        """Write one line; ``direction`` is ``>`` for to the module, ``<`` for from it."""
        now = self._clock()
        if self._start is None:
            self._start = now
        self.rows += 1
        self._terminal.write(self._row(now - self._start, direction, text))

    def _row(self, at: float, direction: str, text: str) -> str:
        screen = self._terminal
        to_module = direction == ">"
        words = meaning(text)
        width = screen.columns - _TIME_COLUMNS - _ARROW_COLUMNS
        if words:
            width -= int(screen.columns * _MEANING_SHARE)
        shown = screen.fit(_one_line(shortened(text), screen), width)
        words = screen.fit(words, int(screen.columns * _MEANING_SHARE) - 1)
        return "".join(
            (
                screen.paint(f"{at:7.3f} ", "dim"),
                screen.paint(self._arrow(to_module=to_module), "dim"),
                screen.paint(shown, *_style(text, to_module=to_module)),
                screen.paint(" " * (width - len(shown)) + " " + words, "dim") if words else "",
            )
        )

    def _arrow(self, *, to_module: bool) -> str:
        if not self._terminal.unicode:
            return ("->" if to_module else "<-").ljust(_ARROW_COLUMNS)
        return (" →" if to_module else " ←").ljust(_ARROW_COLUMNS)


def _one_line(text: str, screen: Terminal) -> str:
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return printable if screen.unicode else printable.replace("…", "...")


def _style(text: str, *, to_module: bool) -> tuple[str, ...]:
    if to_module:
        return ("cyan",) if text[:2].upper() == "AT" else ()
    if re.match(r"ERROR|\+CM[ES] ERROR|SEND FAIL", text):
        return ("red",)
    if text in {"OK", ">"}:
        return ("dim",)
    return ("yellow",) if text.startswith("+QIURC") else ("green",)
