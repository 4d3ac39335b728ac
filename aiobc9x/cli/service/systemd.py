"""Tell systemd how a service is, by the socket that it names (sd_notify(3)).

Layer: cli. Three words over a datagram socket: a library for it would be longer than this.
"""

from __future__ import annotations

import os
import socket
from typing import Final

_USEC: Final = 1_000_000


def notify(*assignments: str) -> None:
    """Send ``READY=1``, ``STATUS=…``, ``WATCHDOG=1`` and the like; do nothing without systemd.

    A socket that doesn't take it is no reason for a service to fail.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path.startswith("@"):  # of the abstract namespace
        path = "\0" + path[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.setblocking(False)
            sock.sendto("\n".join(assignments).encode(), path)
        except OSError:
            return


def watchdog_s() -> float | None:
    """Return the seconds within which systemd wants ``WATCHDOG=1``; ``None`` if it doesn't."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(usec) / _USEC
