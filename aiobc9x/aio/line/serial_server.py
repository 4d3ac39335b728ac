"""Deal with serial servers (ser2net and its like) between this host and the module.

Layer: aio.

Such a server may print plain text before it connects the module: a banner, or the reason why it
does not (F55). It can also vanish without closing the connection, and then only traffic, or
TCP's keepalive, shows that it is gone.
"""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Any, Final

from aiobc9x.errors import LinkLost, LinkTimeout, PortBusy
from aiobc9x.patterns import lazy_pattern

GREETING_BYTES: Final = 512
"""The first bytes in which text of the server is looked for."""

PROBE_IDLE_S, PROBE_GAP_S, PROBES = 20, 10, 3
"""Seconds of silence before TCP's probes, seconds between them, and their number.

A server that has vanished is noticed after 50 s.
"""

_UNACKNOWLEDGED_MS: Final = 1000 * (PROBE_IDLE_S + PROBE_GAP_S * PROBES)
"""Milliseconds that written bytes may stay unacknowledged.

By itself, TCP would try for a quarter of an hour.
"""

_LINES: Final = lazy_pattern(rb"[\t -~]+")
_OF_A_MODULE: Final = lazy_pattern(
    rb"AT(?:[+&EIQV]|$)|(?:OK|ERROR|RDY)$|[+*^]|F1: |[0-9]+$", re.IGNORECASE
)
_WORDS: Final = lazy_pattern(rb".*[A-Za-z]{3}")
_BUSY: Final = lazy_pattern(
    r"\b(?:in use|being used|locked by|too many (?:connections|clients|users))\b"
    r"|\balready (?:open|opened|locked|taken)\b|\b(?:port|device|resource|line) (?:is )?busy\b",
    re.IGNORECASE,
)
_FAREWELL: Final = lazy_pattern(rb"(?:you have been )?kicked off[a-z ,]{0,60}", re.IGNORECASE)
"""What ser2net prints to a client when another client takes its place.

Only this is quoted in an error, because other last bytes may be the payload of a connection.
"""


def keep_alive(sock: Any) -> None:
    """Switch on TCP's keepalive, which notices a server that has vanished.

    Systems differ in which options they have; those that are missing are skipped. An error is
    ignored, because a connection that has ended already reports that by itself.

    Args:
        sock: The socket of the connection (``Any``: uvloop's is not a :class:`socket.socket`).

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
    """Collect the text that a serial server prints before the module's first line, and last."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = b""
        self._is_over = False

    def hear(self, data: bytes) -> str | None:
        """Take received bytes; return why the server refuses, if they say so, else ``None``."""
        self._last = data
        if self._is_over:
            return None
        self._first += data[: GREETING_BYTES - len(self._first)]
        return f"it said {self.words!r}" if self.is_busy else None

    def end(self) -> None:
        """Note that the module has answered, so that bytes from now on are its own."""
        self._is_over = True

    @property
    def words(self) -> str:
        """The text of the server before the module's first line, in one line."""
        said: list[str] = []
        for line in _LINES.findall(bytes(self._first)):
            if _OF_A_MODULE.match(line.strip()):
                break
            # At a wrong speed, the module's bytes arrive as noise, which has no words.
            if _WORDS.match(line):
                said.append(line.decode("ascii").strip())
        return " ".join(said)

    @property
    def is_busy(self) -> bool:
        """Whether the server's text says that another client has the port."""
        return _BUSY.search(self.words) is not None

    @property
    def last_words(self) -> str:
        """The server's text about the end of the connection; ``""`` if there was none."""
        match = _FAREWELL.search(self._last)
        return match[0].decode("ascii").strip() if match is not None else ""

    def explain(self, exc: BaseException, name: str) -> LinkLost | LinkTimeout | None:
        """Return an error of start-up with the server's text in it.

        Returns:
            The new error; ``None`` if there is no text to add.

        Args:
            exc: The error that was raised.
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
