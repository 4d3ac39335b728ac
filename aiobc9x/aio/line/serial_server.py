"""What is particular to a module behind a serial server (ser2net and its like).

Layer: aio.

Such a server speaks to us in plain words before it connects the module: a banner, or why it
won't. And it can vanish without a word, which the network tells nobody who doesn't ask.
"""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Any, Final

from aiobc9x.errors import LinkLost, LinkTimeout, PortBusy

GREETING_BYTES: Final = 512
"""So much of what comes first may be the server's words."""

PROBE_IDLE_S, PROBE_GAP_S, PROBES = 20, 10, 3
"""A server that vanished is noticed after 50 s: silence, then probes of TCP."""

_UNACKNOWLEDGED_MS: Final = 1000 * (PROBE_IDLE_S + PROBE_GAP_S * PROBES)
"""How long written bytes may go unacknowledged; TCP by itself tries for a quarter of an hour."""

_LINES: Final = re.compile(rb"[\t -~]+")
_OF_A_MODULE: Final = re.compile(
    rb"AT(?:[+&EIQV]|$)|(?:OK|ERROR|RDY)$|[+*^]|F1: |[0-9]+$", re.IGNORECASE
)
_WORDS: Final = re.compile(rb".*[A-Za-z]{3}")
_BUSY: Final = re.compile(
    r"\b(?:in use|being used|locked by|too many (?:connections|clients|users))\b"
    r"|\balready (?:open|opened|locked|taken)\b|\b(?:port|device|resource|line) (?:is )?busy\b",
    re.IGNORECASE,
)
_FAREWELL: Final = re.compile(rb"(?:you have been )?kicked off[a-z ,]{0,60}", re.IGNORECASE)
"""What ser2net says to a client whose place another one takes. Whatever else comes last may be
a payload, which is nobody's business in a message."""


def keep_alive(sock: Any) -> None:
    """Have TCP notice that the server has vanished (``Any``: uvloop's is no socket).

    Systems differ in what can be set; what they lack is left as it is. A connection that has
    ended already tells of it by itself.
    """
    wanted = (
        (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), PROBE_IDLE_S),  # macOS has the second
        (("TCP_KEEPINTVL",), PROBE_GAP_S),
        (("TCP_KEEPCNT",), PROBES),
        (("TCP_USER_TIMEOUT",), _UNACKNOWLEDGED_MS),
    )
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for names, value in wanted:
            known = [getattr(socket, name) for name in names if hasattr(socket, name)]
            if known:
                sock.setsockopt(socket.IPPROTO_TCP, known[0], value)


class Greeting:
    """Listens to what a serial server says before the module, and as its last words."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = b""
        self._is_over = False

    def hear(self, data: bytes) -> str | None:
        """Take received bytes; return why the server won't connect the module, if it says so."""
        self._last = data
        if self._is_over:
            return None
        self._first += data[: GREETING_BYTES - len(self._first)]
        return f"it said {self.words!r}" if self.is_busy else None

    def end(self) -> None:
        """Take what comes from now on for the module's."""
        self._is_over = True

    @property
    def words(self) -> str:
        """What the server has said before the module's first line, in one line."""
        said: list[str] = []
        for line in _LINES.findall(bytes(self._first)):
            if _OF_A_MODULE.match(line.strip()):
                break
            if _WORDS.match(line):  # and no noise of a wrong speed
                said.append(line.decode("ascii").strip())
        return " ".join(said)

    @property
    def is_busy(self) -> bool:
        """Whether the server's words mean that somebody else has the port."""
        return _BUSY.search(self.words) is not None

    @property
    def last_words(self) -> str:
        """What the server said about the end, ``""`` if it did not."""
        match = _FAREWELL.search(self._last)
        return match[0].decode("ascii").strip() if match is not None else ""

    def explain(self, exc: BaseException, name: str) -> LinkLost | LinkTimeout | None:
        """Return a start's failure with the server's words, ``None`` if they add nothing.

        Args:
            exc: What was raised.
            name: The address of the server.

        """
        words = self.words
        if not words or not isinstance(exc, LinkLost | LinkTimeout):
            return None
        if self.is_busy:
            return PortBusy(f"{name} is in use by another client: the serial server said {words!r}")
        reason: str = exc.args[-1]
        told = reason if words in reason else f"{reason}; it said {words!r}"
        return LinkLost(told) if isinstance(exc, LinkLost) else LinkTimeout(told)
